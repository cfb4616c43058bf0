/* SPDX-License-Identifier: ISC */
/*
 * The reactor: one event loop on the main thread that runs every device model.
 *
 * Behind it is libev on its epoll backend and one io_uring, made when the first
 * operation is submitted, whose ring fd is an ordinary source in the loop.
 * Nobody outside src/reactor/ includes their headers.
 *
 * Watchers are intrusive: the caller owns the struct, zeroes it before its first
 * use and keeps it alive until it is stopped.  A callback may start and stop any
 * watcher, its own included, and may free the struct of a stopped one.
 *
 * Reactor thread only, but for reactor_kick().
 */
#ifndef VMM_REACTOR_H
#define VMM_REACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;
struct reactor;

/* -ENOMEM, -EMFILE or what epoll_create1() and eventfd() say. */
int reactor_new(struct reactor **ret);
void reactor_free(struct reactor *r);

/* Runs until reactor_stop(). */
void reactor_run(struct reactor *r);
void reactor_stop(struct reactor *r);

/* One pass: waits at most until the first event. For tests. */
void reactor_run_once(struct reactor *r, bool wait);

/* CLOCK_MONOTONIC and CLOCK_REALTIME, read anew at each call. */
uint64_t reactor_now_ns(const struct reactor *r);
int64_t reactor_wall_ns(const struct reactor *r);

/* ---- file descriptors ---- */

enum reactor_events { REACTOR_READ = 1, REACTOR_WRITE = 2 };

struct reactor_io {
	void (*cb)(struct reactor_io *io, unsigned events);
	int fd;
	uint64_t priv[8];
};

/*
 * Level-triggered.  A regular file or /dev/null, which epoll refuses, counts as
 * always ready.  Starting a started watcher changes its events; events == 0 and
 * reactor_io_stop() are the same.  Stop before closing the fd.
 */
void reactor_io_start(struct reactor *r, struct reactor_io *io, unsigned events);
void reactor_io_stop(struct reactor *r, struct reactor_io *io);

/* ---- timers ---- */

struct reactor_timer {
	void (*cb)(struct reactor_timer *t);
	uint64_t priv[8];
};

/* One shot, at a CLOCK_MONOTONIC time; in the past means in the next pass.
 * Setting a set timer moves it. */
void reactor_timer_set(struct reactor *r, struct reactor_timer *t, uint64_t deadline_ns);
void reactor_timer_cancel(struct reactor *r, struct reactor_timer *t);

/* ---- signals ---- */

struct reactor_signal {
	void (*cb)(struct reactor_signal *s, int signum);
	uint64_t priv[8];
};

void reactor_signal_start(struct reactor *r, struct reactor_signal *s, int signum);
void reactor_signal_stop(struct reactor *r, struct reactor_signal *s);

/* ---- later in this pass ---- */

/*
 * cb() runs once, soon: when the events that are at hand have been served, and before
 * the loop submits what was queued or sleeps.  So what many completions of one pass
 * have in common (an interrupt) is done once for all of them.  Deferring a deferred one
 * changes nothing; what a cb() defers runs in the next round of the same pass.
 */
struct reactor_defer {
	void (*cb)(struct reactor_defer *d);
	struct reactor_defer *next; /* the reactor's */
	bool waiting;
};

void reactor_defer(struct reactor *r, struct reactor_defer *d);
void reactor_defer_cancel(struct reactor *r, struct reactor_defer *d);

/* ---- poll sources: work that arrives through memory, without a system call ---- */

/*
 * poll() does what there is to do and returns whether there was any.  The loop
 * calls it before it sleeps and, for a bounded and adaptive time after work,
 * instead of sleeping.  Who makes work for a poll source calls reactor_kick()
 * after it has been published; that is a fence and a load while the reactor is
 * awake, and a write to an eventfd only when it sleeps.
 */
struct reactor_poll {
	bool (*poll)(struct reactor_poll *p);
	struct reactor_poll *next; /* the reactor's */
};

void reactor_poll_start(struct reactor *r, struct reactor_poll *p);
void reactor_poll_stop(struct reactor *r, struct reactor_poll *p);

/* Any thread. */
void reactor_kick(struct reactor *r);

/* ---- asynchronous file operations (io_uring) ---- */

enum reactor_op_code { REACTOR_READV, REACTOR_WRITEV, REACTOR_FDATASYNC };

/* done() gets what the system call would have returned, or -errno.  The op, its
 * iovec and the memory behind it stay alive until then. */
struct reactor_op {
	void (*done)(struct reactor_op *op, int res);
	enum reactor_op_code code;
	int fd;
	const struct iovec *iov;
	unsigned niov;
	uint64_t off;
};

/* -ENOSYS/-EPERM: this host has no io_uring; -EAGAIN: the ring is full, try
 * again after a completion.  Submitted once for each pass of the loop. */
int reactor_submit(struct reactor *r, struct reactor_op *op);

#endif
