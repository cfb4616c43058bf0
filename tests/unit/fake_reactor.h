/* SPDX-License-Identifier: ISC */
/*
 * A reactor for tests: its clocks stand still until the test moves them, and file
 * descriptors are looked at only when the test says so.
 *
 * The functions of reactor.h that it has are weak symbols: a test that calls
 * reactor_new() gets the real reactor, all of it, instead.
 */
#ifndef VMM_FAKE_REACTOR_H
#define VMM_FAKE_REACTOR_H

#include "reactor.h"

enum { FAKE_REACTOR_MAX = 8 };

struct fake_reactor {
	uint64_t now_ns;
	int64_t wall_ns;
	struct {
		struct reactor_timer *t;
		uint64_t deadline_ns;
	} timer[FAKE_REACTOR_MAX];
	struct {
		struct reactor_io *io;
		unsigned events;
	} io[FAKE_REACTOR_MAX];
	struct {
		struct reactor_signal *s;
		int signum;
	} signal[FAKE_REACTOR_MAX];
	struct reactor_defer *deferred;
	struct reactor_poll *polls;
	struct reactor_op *op; /* the oldest */
};

/* To pass where a struct reactor is wanted. */
struct reactor *fake_reactor(struct fake_reactor *f);

/* Moves both clocks, and calls what is due on the way, in order, on time. */
void fake_reactor_advance(struct fake_reactor *f, uint64_t ns);

/* Is a timer set, and when for?  0: no. */
unsigned fake_reactor_ntimers(const struct fake_reactor *f);
uint64_t fake_reactor_deadline(const struct fake_reactor *f,
			       const struct reactor_timer *t);

/* What was deferred runs, and what that defers; returns how many there were. */
unsigned fake_reactor_deferred(struct fake_reactor *f);

/* Poll sources, while the reactor is awake and before it sleeps: had any of them work? */
bool fake_reactor_poll(struct fake_reactor *f);
bool fake_reactor_rest(struct fake_reactor *f);

/* One pass over the descriptors; returns how many were ready. */
unsigned fake_reactor_io(struct fake_reactor *f, int timeout_ms);

/* What is watched of a descriptor: REACTOR_READ, REACTOR_WRITE. */
unsigned fake_reactor_watched(const struct fake_reactor *f, int fd);

/* The oldest file operation ends; false: there is none. */
bool fake_reactor_op(struct fake_reactor *f);

/* A signal arrives; returns how many watched for it. */
unsigned fake_reactor_signal(struct fake_reactor *f, int signum);

#endif
