// SPDX-License-Identifier: ISC
/*
 * Writes may be posted, that is, not waited for.  A read must still see them: its
 * own CPU's in order, and those of another CPU that said that it is finished.
 */
#include "payload.h"

enum { ROUNDS = 200, BURST = 100 };

static volatile unsigned turn;   /* what CPU 1 has been told to write */
static volatile unsigned answer; /* what it has written */
static volatile bool stop;

static void
test_own(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uart_write(UART_SCR, (uint8_t)i);
		uint8_t r = uart_read(UART_SCR);
		if (r != (uint8_t)i) {
			fail("posted-write-then-read", "round %u read %x", i, r);
			return;
		}
	}
	ok("posted-write-then-read");
}

/* More writes than any ring holds; the last one counts. */
static void
test_burst(void)
{
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < BURST; i++)
			uart_write(UART_SCR, (uint8_t)(round * 50 + i));
		uint8_t want = (uint8_t)(round * 50 + BURST - 1), r = uart_read(UART_SCR);
		if (r != want) {
			fail("posted-burst-in-order", "want %x read %x", want, r);
			return;
		}
	}
	ok("posted-burst-in-order");
}

/* Two registers: the second write must not pass the first. */
static void
test_two_registers(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uart_write(UART_SCR, (uint8_t)i);
		uart_write(UART_MCR, (uint8_t)(UART_MCR_LOOP | (i & 0xf)));
		unsigned mcr = uart_read(UART_MCR), scr = uart_read(UART_SCR);
		if (mcr != (UART_MCR_LOOP | (i & 0xf)) || scr != (uint8_t)i) {
			uart_write(UART_MCR, 0);
			fail("posted-two-registers", "round %u mcr %x scr %x", i, mcr,
			     scr);
			return;
		}
	}
	uart_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	ok("posted-two-registers");
}

static void
writer(void *arg)
{
	(void)arg;
	while (!stop) {
		unsigned t = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);
		if (t == answer) {
			cpu_relax();
			continue;
		}
		uart_write(UART_SCR, (uint8_t)t);
		__atomic_store_n(&answer, t, __ATOMIC_RELEASE);
	}
}

static void
test_other_cpu(void)
{
	if (cpu_count() < 2) {
		skip("posted-seen-by-other-cpu", "one CPU");
		return;
	}
	if (!cpu_start(1, writer, NULL)) {
		fail("posted-seen-by-other-cpu", "CPU 1 did not start");
		return;
	}
	for (unsigned i = 1; i <= ROUNDS; i++) {
		__atomic_store_n(&turn, i, __ATOMIC_RELEASE);
		uint64_t t = deadline_ms(1000);
		while (__atomic_load_n(&answer, __ATOMIC_ACQUIRE) != i) {
			if (passed(t)) {
				fail("posted-seen-by-other-cpu", "CPU 1 hangs");
				return;
			}
			cpu_relax();
		}
		uint8_t r = uart_read(UART_SCR);
		if (r != (uint8_t)i) {
			stop = true;
			fail("posted-seen-by-other-cpu", "round %u read %x", i, r);
			return;
		}
	}
	stop = true;
	ok("posted-seen-by-other-cpu");
}

void
payload_main(void)
{
	test_own();
	test_burst();
	test_two_registers();
	test_other_cpu();
}
