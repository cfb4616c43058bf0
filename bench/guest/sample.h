/* SPDX-License-Identifier: ISC */
/* Samples of a benchmark's guest, in raw cycles, for the host to convert. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include "payload.h"

enum { SAMPLES_MAX = 20000 };

static uint32_t sample[SAMPLES_MAX];

static inline uint64_t
tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

/* n= of the command line. */
static inline unsigned
sample_count(void)
{
	unsigned n = (unsigned)cmdline_num("n", 2000);

	return n < SAMPLES_MAX ? n : SAMPLES_MAX;
}

/* The k-th smallest (Hoare's selection): a sort takes too long where guest code is
 * interpreted. */
static inline uint32_t
sample_select(unsigned n, unsigned k)
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

static inline void
sample_say(const char *kind, const char *name, unsigned n)
{
	say("%s %s median %u p99 %u min %u", kind, name, sample_select(n, n / 2),
	    sample_select(n, n * 99 / 100), sample_select(n, 0));
}

#endif
