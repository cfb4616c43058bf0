// SPDX-License-Identifier: ISC
/*
 * Ways to end, by how= on the command line: what the VMM does then is for the
 * runner to see.  "ask" reads one letter from the serial port instead, so that a
 * guest that was reset can be told to do something else the second time.
 */
#include "payload.h"
#ifdef __x86_64__
#include "x86_64.h"
#else
#include "arm64.h"
#endif

static void
hang(void)
{
	for (;;)
		irq_wait();
}

#ifdef __x86_64__
static void
reset_i8042(void)
{
	outb(0x64, 0xfe);
}

static void
reset_acpi(void)
{
	struct acpi_gas gas;

	if (acpi_fadt_gas(FADT_RESET_REG, &gas))
		gas_write(&gas,
			  ((const uint8_t *)acpi_find("FACP", 0))[FADT_RESET_VALUE]);
}

static void
triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
}

static void
jump_into_mmio(void)
{
	((void (*)(void))0xc8000000ul)();
}

#else
static void
reset_psci(void)
{
	psci(PSCI_SYSTEM_RESET, 0, 0, 0);
}

#endif

static void
on_cpu(void *arg)
{
	((void (*)(void))arg)();
	hang();
}

static const struct {
	const char *name;
	char letter;
	void (*fn)(void);
} ways[] = {
	{ "poweroff", 'p', power_off },  { "hang", 'h', hang },
#ifdef __x86_64__
	{ "jump", 'j', jump_into_mmio }, { "i8042", 'i', reset_i8042 },
	{ "acpi", 'a', reset_acpi },     { "triple", 't', triple_fault },
#else
	{ "psci", 'a', reset_psci },
#endif
};

void
payload_main(void)
{
	char how[16] = "";
	int c = 0;

	cmdline_get("how", how, sizeof(how));
	say("up");
	if (!strcmp(how, "ask"))
		c = uart_getc(20000);
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(how, ways[i].name) && c != ways[i].letter)
			continue;
		say("going %s", ways[i].name);
		if (cmdline_num("on", 0) == 0)
			ways[i].fn();
		else if (!cpu_start((unsigned)cmdline_num("on", 0), on_cpu,
				    (void *)ways[i].fn))
			fail("end", "CPU did not start");
		uint64_t t = deadline_ms(5000);
		while (!passed(t))
			cpu_relax();
		fail("end", "still here");
		return;
	}
	fail("end", "no such way: '%s' %d", how, c);
}
