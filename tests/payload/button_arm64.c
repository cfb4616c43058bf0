// SPDX-License-Identifier: ISC
/* The power button: input 3 of the PL061 (DDI 0190) goes up, and down again. */
#include "arm64.h"

enum {
	DATA_3 = 0x020,
	GPIODIR = 0x400,
	GPIOIBE = 0x408,
	GPIOIE = 0x410,
	GPIOMIS = 0x418,
	GPIOIC = 0x41c,
	BUTTON = 1 << 3
};

static volatile unsigned interrupts;
static volatile uint32_t cause, level;
static uint64_t gpio;

static void
on_gpio(void *arg)
{
	(void)arg;
	cause = mmio_r32(gpio + GPIOMIS);
	level = mmio_r32(gpio + DATA_3);
	mmio_w32(gpio + GPIOIC, BUTTON);
	interrupts++;
}

static void
wait_edge(unsigned n)
{
	while (interrupts < n)
		irq_wait();
}

void
payload_main(void)
{
	struct fdt_node node, keys;

	if (!check(fdt_find("arm,pl061", 0, &node), "button-gpio", "no pl061") ||
	    !check(fdt_find("gpio-keys", 0, &keys), "button-keys", "no gpio-keys"))
		return;
	struct irq_source src = fdt_irq(&node);
	gpio = fdt_reg(&node, 0);
	mmio_w32(gpio + GPIODIR, 0);
	mmio_w32(gpio + GPIOIBE, BUTTON);
	mmio_w32(gpio + GPIOIC, 0xff);
	irq_attach(&src, on_gpio, NULL);
	mmio_w32(gpio + GPIOIE, BUTTON);
	check(!(mmio_r32(gpio + DATA_3) & BUTTON), "button-not-pressed", "it is");
	say("ready");
	wait_edge(1);
	check(cause == BUTTON && level == BUTTON, "button-pressed", "cause %x level %x",
	      cause, level);
	wait_edge(2);
	check(cause == BUTTON && level == 0, "button-released", "cause %x level %x",
	      cause, level);
}
