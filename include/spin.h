/* SPDX-License-Identifier: ISC */
/*
 * How long to spin before sleeping: one policy for both sides of an exit.
 *
 * A spin is worth at most what a sleep and wake-up costs, so the budget is one
 * measured wake-up.  A spin that met its event restores the budget, one that did
 * not halves it; below SPIN_MIN_NS spinning stops and is probed rarely, the
 * interval doubling each time a probe fails (a fixed interval costs a one-core
 * machine microseconds an exit).  With one CPU in the affinity mask nobody can
 * make progress while we spin: never.
 *
 * Used by one thread; no locks.
 */
#ifndef VMM_SPIN_H
#define VMM_SPIN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
	SPIN_MIN_NS = 500,
	SPIN_WAKE_MIN_NS = 20000,
	SPIN_WAKE_MAX_NS = 100000,
	SPIN_PROBE_MIN = 16, /* waits until the first probe */
	SPIN_PROBE_MAX = 1 << 16,
};

struct spin {
	uint32_t wake_ns; /* what one sleep and wake-up costs, smoothed */
	uint32_t budget_ns;
	uint32_t probe_in; /* waits left until a probe */
	uint32_t probe_every;
	bool never;
};

static inline void
spin_init(struct spin *s, bool never)
{
	*s = (struct spin){
		.wake_ns = SPIN_WAKE_MIN_NS,
		.budget_ns = SPIN_WAKE_MIN_NS,
		.probe_in = SPIN_PROBE_MIN,
		.probe_every = SPIN_PROBE_MIN,
		.never = never,
	};
}

/* How long to spin this time, in ns; 0: sleep at once. */
static inline uint32_t
spin_budget(struct spin *s)
{
	if (s->never)
		return 0;
	if (s->budget_ns >= SPIN_MIN_NS)
		return s->budget_ns;
	if (--s->probe_in > 0)
		return 0;
	s->probe_in = s->probe_every;
	return s->wake_ns;
}

/* After a spin of spin_budget() > 0: did the event come within it? */
static inline void
spin_result(struct spin *s, bool met)
{
	if (met) {
		s->budget_ns = s->wake_ns;
		s->probe_every = SPIN_PROBE_MIN;
		s->probe_in = s->probe_every;
	} else if (s->budget_ns >= SPIN_MIN_NS) {
		s->budget_ns /= 2;
	} else if (s->probe_every < SPIN_PROBE_MAX) {
		s->probe_every *= 2;
		s->probe_in = s->probe_every;
	}
}

/*
 * A sleep and wake-up was seen to take this long.  Never believe that it is cheap: two
 * threads that take turns sleeping are put on one core, where waking costs little, and
 * would stay there for ever; one that spins is moved to the other core.
 */
static inline void
spin_measured(struct spin *s, uint64_t wake_ns)
{
	if (wake_ns > SPIN_WAKE_MAX_NS)
		wake_ns = SPIN_WAKE_MAX_NS;
	if (wake_ns < SPIN_WAKE_MIN_NS)
		wake_ns = SPIN_WAKE_MIN_NS;
	s->wake_ns = (uint32_t)((s->wake_ns * 7ull + wake_ns) / 8);
}

static inline uint64_t
spin_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void
spin_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

/* Is there but one CPU that this process may run on? */
bool spin_is_futile(void);

#endif
