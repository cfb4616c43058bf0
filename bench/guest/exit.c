// SPDX-License-Identifier: ISC
/*
 * The guest of the exit benchmark: how long an exit takes, as the guest sees it.
 * For each kind the median and the 99th percentile of n=, after a warm-up; raw
 * cycles, with the frequency, for the host to convert.
 */
#include "x86_64.h"

enum { SAMPLES_MAX = 20000, SCR = 0x3ff, IDLE_MMIO = 0xc8000000u };

static uint32_t sample[SAMPLES_MAX];

static inline uint64_t
tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

/* The k-th smallest (Hoare's selection): a sort takes too long where guest code is
 * interpreted. */
static uint32_t
select(unsigned n, unsigned k)
{
	unsigned lo = 0, hi = n - 1;

	while (lo < hi) {
		uint32_t pivot = sample[(lo + hi) / 2];
		unsigned i = lo, j = hi;
		for (;; i++, j--) {
			while (sample[i] < pivot)
				i++;
			while (sample[j] > pivot)
				j--;
			if (i >= j)
				break;
			uint32_t v = sample[i];
			sample[i] = sample[j];
			sample[j] = v;
		}
		if (k <= j)
			hi = j;
		else
			lo = j + 1;
	}
	return sample[k];
}

#define MEASURE(name, access) \
	do { \
		for (unsigned i = 0; i < warm; i++) \
			access; \
		for (unsigned i = 0; i < n; i++) { \
			uint64_t t = tsc(); \
			access; \
			sample[i] = (uint32_t)(tsc() - t); \
		} \
		say("exit %s median %u p99 %u min %u", name, select(n, n / 2), \
		    select(n, n * 99 / 100), select(n, 0)); \
	} while (0)

void
payload_main(void)
{
	unsigned n = (unsigned)cmdline_num("n", 2000), warm = n / 4;

	if (n > SAMPLES_MAX)
		n = SAMPLES_MAX;
	say("hz %lu", clock_hz());
	MEASURE("nothing", __asm__ volatile("" ::: "memory"));
	MEASURE("pio-read", (void)inb(SCR));
	MEASURE("mmio-read", (void)mmio_r32(IDLE_MMIO));
	MEASURE("posted-write", outb(SCR, (uint8_t)i));
	MEASURE("write-then-read", (outb(SCR, (uint8_t)i), (void)inb(SCR)));
}
