/* SPDX-License-Identifier: ISC */
/*
 * The reactor: one event loop on the main thread that runs every device model.
 *
 * Behind it is libev on its epoll backend and one io_uring, made when the first
 * operation is submitted, whose ring fd is an ordinary source in the loop.
 * Nobody outside src/reactor/ includes their headers.
 *
 * After an event the loop looks for the next one for a bounded and adaptive time (spin.h)
 * before it sleeps.  An idle machine uses no CPU.
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
	/*
	 * For work of those who cannot call reactor_kick(), but can make a file descriptor
	 * readable: the loop is about to sleep, and that is to be used from now on.  True:
	 * there was work, and it has been done.  NULL: reactor_kick() is called.
	 */
	bool (*rest)(struct reactor_poll *p);
	struct reactor_poll *next; /* the reactor's */
};

void reactor_poll_start(struct reactor *r, struct reactor_poll *p);
void reactor_poll_stop(struct reactor *r, struct reactor_poll *p);

/* Any thread. */
void reactor_kick(struct reactor *r);

/* ---- asynchronous file operations ---- */

/*
 * Through io_uring; where a host has none, or an operation has no form there, by a
 * few threads.  Both are made when the first operation needs them.
 */
enum reactor_op_code {
	REACTOR_READV,      /* iov, niov, off */
	REACTOR_WRITEV,     /* iov, niov, off */
	REACTOR_FDATASYNC,  /* nothing else */
	REACTOR_FALLOCATE,  /* mode, off, len */
	REACTOR_BLKDISCARD, /* off, len: a block device's ioctl */
};

/* The best way depends on the file: who opens it finds out. */
enum reactor_way {
	/* The kernel waits for a device, and no thread does. */
	REACTOR_RING,
	/* The call sleeps: io_uring would hand it to a thread of the kernel's. */
	REACTOR_THREAD,
	/* The call copies memory and does not sleep: at once, while it is not much. */
	REACTOR_INLINE,
};

/*
 * done() gets what the system call would have returned, or -errno; never from within
 * reactor_submit().  The op, its iovec and the memory behind it stay alive until then.
 * An operation ends by itself: it is not for pipes and terminals.
 */
struct reactor_op {
	void (*done)(struct reactor_op *op, int res);
	enum reactor_op_code code;
	enum reactor_way way;
	int fd;
	int mode;
	const struct iovec *iov;
	uint64_t off, len;
	uint32_t niov; /* at most IOV_MAX */
	bool cached;   /* through the page cache: a read may find it all there */
	/* The reactor's. */
	int res;
	struct reactor_op *next;
};

/*
 * Never refuses: what the ring has no room for waits.  The kernel gets what was
 * submitted in one pass of the loop with one system call.  -EAGAIN to done(): there is
 * neither a ring nor a thread to be had.
 */
void reactor_submit(struct reactor *r, struct reactor_op *op);

/* Waits until at least one operation, of anybody's, has called done(). False: there is
 * none in flight. */
bool reactor_op_wait(struct reactor *r);

/* Operations on fd will come: cheaper, for the same number of bytes.  Drop it before
 * the fd is closed. */
void reactor_file_add(struct reactor *r, int fd);
void reactor_file_drop(struct reactor *r, int fd);

#endif
