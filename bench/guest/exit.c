// SPDX-License-Identifier: ISC
/*
 * The guest of the exit benchmark: how long an exit takes, as the guest sees it.
 * For each kind the median and the 99th percentile of n=, after a warm-up; raw
 * cycles, with the frequency, for the host to convert.
 */
#include "sample.h"
#include "x86_64.h"

enum { SCR = 0x3ff, IDLE_MMIO = 0xc8000000u };

#define MEASURE(name, access) \
	do { \
		for (unsigned i = 0; i < warm; i++) \
			access; \
		for (unsigned i = 0; i < n; i++) { \
			uint64_t t = tsc(); \
			access; \
			sample[i] = (uint32_t)(tsc() - t); \
		} \
		sample_say("exit", name, n); \
	} while (0)

void
payload_main(void)
{
	unsigned n = sample_count(), warm = n / 4;

	say("hz %lu", clock_hz());
	MEASURE("nothing", __asm__ volatile("" ::: "memory"));
	MEASURE("pio-read", (void)inb(SCR));
	MEASURE("mmio-read", (void)mmio_r32(IDLE_MMIO));
	MEASURE("posted-write", outb(SCR, (uint8_t)i));
	MEASURE("write-then-read", (outb(SCR, (uint8_t)i), (void)inb(SCR)));
}
