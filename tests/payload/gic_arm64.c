// SPDX-License-Identifier: ISC
/*
 * The interrupt controller: a level-triggered SPI (the UART's, which comes again
 * while the line is up), masking, SGIs between CPUs.
 */
#include "arm64.h"

enum { LEVEL_TIMES = 3, SGI = 3 };

static volatile unsigned level_count, sgi_count, sgi_cpu;

static void
lower(void)
{
	uart_write(UART_IER, 0);
	(void)uart_read(UART_IIR);
}

static void
raise(void)
{
	lower();
	uart_write(UART_IER, UART_IER_THRE);
}

static void
on_level(void *arg)
{
	(void)arg;
	if (++level_count == LEVEL_TIMES)
		lower();
}

static unsigned
wait_level(unsigned n, unsigned ms)
{
	uint64_t t = deadline_ms(ms);

	irq_on();
	while (level_count < n && !passed(t))
		cpu_relax();
	irq_off();
	return level_count;
}

static void
test_level(void)
{
	irq_attach(irq_of_uart(), on_level, NULL);
	raise();
	unsigned n = wait_level(LEVEL_TIMES, 1000);
	lower();
	check(n == LEVEL_TIMES, "gic-level-again-after-eoi", "%u interrupts", n);
	n = wait_level(~0u, 5);
	check(n == LEVEL_TIMES, "gic-level-ends-with-line", "%u interrupts", n);
}

static void
test_masked(void)
{
	level_count = 0;
	irq_mask(irq_of_uart(), true);
	raise();
	unsigned masked = wait_level(1, 5);
	irq_mask(irq_of_uart(), false);
	unsigned open = wait_level(LEVEL_TIMES, 1000);
	lower();
	irq_mask(irq_of_uart(), true);
	/* a level is not lost */
	check(masked == 0 && open == LEVEL_TIMES, "gic-masked", "%u masked, %u open",
	      masked, open);
}

static void
on_sgi(void *arg)
{
	(void)arg;
	sgi_cpu = cpu_id();
	sgi_count++;
}

static void
cpu1(void *arg)
{
	gic_attach(SGI, false, on_sgi, NULL);
	*(volatile bool *)arg = true;
	for (;;)
		irq_wait();
}

static void
test_sgi(void)
{
	static volatile bool up;

	if (!cpu_start(1, cpu1, (void *)(uintptr_t)&up)) {
		fail("gic-sgi", "CPU 1 did not start");
		return;
	}
	while (!up)
		cpu_relax();
	for (unsigned i = 1; i <= 10; i++) {
		gic_send(1, SGI);
		uint64_t t = deadline_ms(1000);
		while (sgi_count < i && !passed(t))
			cpu_relax();
	}
	check(sgi_count == 10 && sgi_cpu == 1, "gic-sgi", "%u on CPU %u", sgi_count,
	      sgi_cpu);
	check(psci(PSCI_CPU_ON, cpu_mpidr(1), 0, 0) == -4, "psci-already-on",
	      "not refused");
	check(psci(PSCI_AFFINITY_INFO, cpu_mpidr(1), 0, 0) == 0, "psci-affinity-info",
	      "not on");
}

void
payload_main(void)
{
	test_level();
	test_masked();
	test_sgi();
}
