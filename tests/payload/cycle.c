// SPDX-License-Identifier: ISC
/*
 * For the start/stop test: all CPUs make exits of all kinds as fast as they can,
 * and after a short while one of them, another one each time, powers off.
 */
#include "payload.h"

#ifdef __x86_64__
#define NOWHERE 0xc8000000ul
#else
#define NOWHERE 0x0b000000ul
#endif

static volatile unsigned killer;
static volatile unsigned long exits_before;

static void
hammer(void *arg)
{
	unsigned id = cpu_id();

	(void)arg;
	for (unsigned long n = 0;; n++) {
		uart_write(UART_SCR, (uint8_t)n);
		(void)uart_read(UART_SCR);
		(void)mmio_r32(NOWHERE);
		if (id == killer && n >= exits_before)
			power_off();
	}
}

void
payload_main(void)
{
	unsigned n = (unsigned)cmdline_num("cpus", 4);

	killer = (unsigned)(clock_cycles() >> 6) % n;
	exits_before = (unsigned)(clock_cycles() >> 9) % 20;
	say("killer %u", killer);
	unsigned up = cpu_start_all(n, hammer, NULL);
	if (up != n - 1)
		fail("cycle", "%u of %u CPUs", up, n - 1);
	hammer(NULL);
}
