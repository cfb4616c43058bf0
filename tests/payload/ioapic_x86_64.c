// SPDX-License-Identifier: ISC
/*
 * The I/O APIC as its data sheet (82093AA) has it; the UART on pin 4 is what makes
 * interrupts: its THRE interrupt rises when IER.THRE is written 0 -> 1.
 */
#include "x86_64.h"

enum { PIN = 4, VECTOR = 0x51, VECTOR2 = 0x52 };

static volatile unsigned count[256];
static volatile bool ack_device;

static void
on_irq(struct trap_frame *f, void *arg)
{
	(void)arg;
	count[f->vector]++;
	if (ack_device)
		(void)uart_read(UART_IIR);
	lapic_eoi();
}

static void
window(unsigned ms)
{
	uint64_t t = deadline_ms(ms);

	irq_on();
	while (!passed(t))
		cpu_relax();
	irq_off();
}

static unsigned
wait_for(unsigned vector, unsigned n)
{
	uint64_t t = deadline_ms(500);

	irq_on();
	while (count[vector] < n && !passed(t))
		cpu_relax();
	irq_off();
	return count[vector];
}

/* The line down, then up. */
static void
raise(void)
{
	uart_write(UART_IER, 0);
	(void)uart_read(UART_IIR);
	uart_write(UART_IER, UART_IER_THRE);
}

static void
lower(void)
{
	uart_write(UART_IER, 0);
	(void)uart_read(UART_IIR);
}

static void
test_registers(void)
{
	uint32_t ver = ioapic_read(1);

	check((ver & 0xff) >= 0x11 && (ver >> 16 & 0xff) >= 9 && (ver >> 16 & 0xff) < 24,
	      "ioapic-version", "%x", ver);
	ioapic_write(0x10 + 2 * 7, IOAPIC_MASKED | 0x77);
	ioapic_write(0x11 + 2 * 7, 0x01000000);
	uint32_t lo = ioapic_read(0x10 + 2 * 7), hi = ioapic_read(0x11 + 2 * 7);
	check(lo == (IOAPIC_MASKED | 0x77) && hi == 0x01000000,
	      "ioapic-redirection-reads-back", "%x %x", hi, lo);
	/* delivery status and remote IRR are read-only */
	ioapic_write(0x10 + 2 * 7, IOAPIC_MASKED | IOAPIC_RIRR | 1 << 12 | 0x77);
	lo = ioapic_read(0x10 + 2 * 7);
	check(lo == (IOAPIC_MASKED | 0x77), "ioapic-status-bits-read-only", "%x", lo);
	lo = ioapic_read(0x10 + 2 * 30);
	check(lo != 0x12345, "ioapic-no-such-register", "%x", lo);
}

static void
test_edge(void)
{
	ack_device = true;
	ioapic_route(PIN, VECTOR, 0);
	for (unsigned i = 1; i <= 10; i++) {
		raise();
		unsigned n = wait_for(VECTOR, i);
		if (n != i) {
			lower();
			fail("ioapic-edge", "edge %u: %u interrupts", i, n);
			return;
		}
		lower();
	}
	window(2);
	check(count[VECTOR] == 10, "ioapic-edge", "10 edges, %u interrupts",
	      count[VECTOR]);
}

/* The line stays up: one edge, one interrupt. */
static void
test_edge_once(void)
{
	unsigned before = count[VECTOR];

	ack_device = false;
	raise();
	wait_for(VECTOR, before + 1);
	window(5);
	lower();
	check(count[VECTOR] == before + 1, "ioapic-edge-once", "%u interrupts",
	      count[VECTOR] - before);
}

static void
test_masked(void)
{
	unsigned before = count[VECTOR];

	ack_device = true;
	lower();
	ioapic_route(PIN, VECTOR, IOAPIC_MASKED);
	raise();
	window(5);
	bool none = count[VECTOR] == before;
	lower();
	/* an edge while masked is lost: the line is down when it is unmasked */
	ioapic_route(PIN, VECTOR, 0);
	window(5);
	check(none && count[VECTOR] == before, "ioapic-masked", "%u interrupts",
	      count[VECTOR] - before);
	raise();
	unsigned n = wait_for(VECTOR, before + 1);
	lower(); /* before anything is printed: that would raise it again */
	check(n == before + 1, "ioapic-unmasked-works-again", "%u interrupts",
	      n - before);
}

static void
test_new_vector(void)
{
	unsigned before = count[VECTOR];

	ioapic_route(PIN, VECTOR2, 0);
	raise();
	wait_for(VECTOR2, 1);
	lower();
	check(count[VECTOR2] == 1 && count[VECTOR] == before, "ioapic-new-vector",
	      "%u new %u old", count[VECTOR2], count[VECTOR] - before);
}

static volatile unsigned cpu1_count;

static void
on_cpu1(struct trap_frame *f, void *arg)
{
	(void)f;
	(void)arg;
	if (cpuid_apic_id() == 1)
		cpu1_count++;
	lapic_eoi();
}

static void
cpu1(void *arg)
{
	lapic_enable();
	*(volatile bool *)arg = true;
	for (;;)
		irq_wait();
}

static void
test_destination(void)
{
	static volatile bool up;

	if (cpu_count() < 2 || !cpu_start(1, cpu1, (void *)&up)) {
		skip("ioapic-destination", "one CPU");
		return;
	}
	while (!up)
		cpu_relax();
	trap_attach(0x53, on_cpu1, NULL);
	ioapic_write(0x10 + 2 * PIN, IOAPIC_MASKED);
	ioapic_write(0x11 + 2 * PIN, 1 << 24);
	ioapic_write(0x10 + 2 * PIN, 0x53);
	raise();
	uint64_t t = deadline_ms(500);
	while (!cpu1_count && !passed(t))
		cpu_relax();
	lower();
	check(cpu1_count == 1, "ioapic-destination", "%u interrupts", cpu1_count);
}

enum { LEVEL_VECTOR = 0x54, LEVEL_TIMES = 3 };

static void (*lower_line)(void);   /* by the handler of the last one */
static volatile bool lowered_late; /* see irq_in_service() */

/* The write is posted: nothing waits for it but the EOI, where that comes to vmm. */
static void
lower_posted(void)
{
	uart_write(UART_IER, 0);
}

/* A line that stays up leaves the CPU no time for anything else. */
static void
on_level(struct trap_frame *f, void *arg)
{
	(void)arg;
	if (++count[f->vector] == LEVEL_TIMES) {
		lowered_late = !lapic_in_service((unsigned)f->vector);
		lower_line();
	}
	lapic_eoi();
}

/* The line up, until the handler has lowered it; false: other than LEVEL_TIMES came. */
static bool
level_round(void)
{
	count[LEVEL_VECTOR] = 0;
	lowered_late = false;
	raise();
	wait_for(LEVEL_VECTOR, LEVEL_TIMES);
	window(1);

	unsigned n = count[LEVEL_VECTOR];
	return n == LEVEL_TIMES || (lowered_late && n == LEVEL_TIMES + 1);
}

/*
 * Level-triggered on the UART's line: the interrupt comes again after EOI while
 * the line is up, and only then.  On the split irqchip the EOI has to come all the
 * way to our I/O APIC, behind what lowers the line.
 */
static void
test_level(void (*how)(void), unsigned rounds, const char *name)
{
	unsigned i = 0;

	lower_line = how;
	trap_attach(LEVEL_VECTOR, on_level, NULL);
	lower();
	ioapic_route(PIN, LEVEL_VECTOR, IOAPIC_LEVEL);
	while (i < rounds && level_round())
		i++;
	window(5);
	uint32_t entry = ioapic_read(0x10 + 2 * PIN);
	lower();
	check(i == rounds && !(entry & IOAPIC_RIRR), name,
	      "round %u: %u interrupts, entry %x", i, count[LEVEL_VECTOR], entry);
	ioapic_write(0x10 + 2 * PIN, IOAPIC_MASKED);
}

void
payload_main(void)
{
	lapic_enable();
	trap_attach(VECTOR, on_irq, NULL);
	trap_attach(VECTOR2, on_irq, NULL);
	uart_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	test_registers();
	test_edge();
	test_edge_once();
	test_masked();
	test_new_vector();
	test_destination();
	test_level(lower, 2, "ioapic-level");
	/* KVM's own I/O APIC may send again before vmm has seen the write */
	if (cmdline_num("in-kernel", 0))
		skip("ioapic-level-posted", "the EOI stays in the kernel");
	else
		test_level(lower_posted, 50, "ioapic-level-posted");
	ioapic_write(0x10 + 2 * PIN, IOAPIC_MASKED);
}
