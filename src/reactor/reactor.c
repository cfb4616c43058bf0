/* SPDX-License-Identifier: ISC */
/* The event loop: libev on epoll, poll sources, and when to sleep. See reactor.h. */
#include "reactor.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "reactor_internal.h"
#include "spin.h"
#include "util.h"

enum {
	/* While poll sources keep us busy, look at file descriptors this often. */
	POLLS_PER_LOOP = 64,
	SPIN_ROUND = 16, /* polls between two looks at the clock */
	DEFERRED_PER_PASS = 1024,
};

struct reactor {
	struct ev_loop *loop;
	struct reactor_poll *polls;
	struct reactor_defer *deferred; /* in the order in which they came */
	struct reactor_defer **deferred_end;
	ev_io kick_io;
	struct spin spin;
	struct spin io_spin;
	bool stopped;
	bool busy;    /* the last pass ended with work from a poll source */
	bool fired;   /* in this pass: an event of a descriptor, or what stands for one */
	bool io_busy; /* so it was in the last pass, or a file operation was done */
	bool once;    /* the caller looks at what happened, before we sleep */
	bool happened; /* in this pass */
	/* Of reactor_kick(), in any thread. */
	_Alignas(64) _Atomic int sleeping;
	int kick_fd;
	_Atomic uint64_t kicked_ns; /* when the sleeper was woken */
	struct ops ops;
};

_Static_assert(sizeof(ev_io) <= sizeof(((struct reactor_io *)0)->priv), "ev_io");
_Static_assert(sizeof(ev_timer) <= sizeof(((struct reactor_timer *)0)->priv), "ev_timer");
_Static_assert(sizeof(ev_signal) <= sizeof(((struct reactor_signal *)0)->priv),
	       "ev_signal");

bool
spin_is_futile(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) < 2;
}

/* ---- file descriptors, timers, signals: thin over libev ---- */

static void
io_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	struct reactor_io *io = container_of((void *)w, struct reactor_io, priv);

	((struct reactor *)ev_userdata(loop))->fired = true;
	io->cb(io, ((revents & EV_READ) ? REACTOR_READ : 0u) |
			   ((revents & EV_WRITE) ? REACTOR_WRITE : 0u));
}

void
reactor_io_start(struct reactor *r, struct reactor_io *io, unsigned events)
{
	ev_io *w = (ev_io *)(void *)io->priv;

	reactor_io_stop(r, io);
	if (events == 0)
		return;
	ev_io_init(w, io_cb, io->fd,
		   ((events & REACTOR_READ) ? EV_READ : 0) |
			   ((events & REACTOR_WRITE) ? EV_WRITE : 0));
	ev_io_start(r->loop, w);
}

void
reactor_io_stop(struct reactor *r, struct reactor_io *io)
{
	ev_io_stop(r->loop, (ev_io *)(void *)io->priv);
}

static void
timer_cb(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct reactor_timer *t = container_of((void *)w, struct reactor_timer, priv);

	(void)loop;
	(void)revents;
	t->cb(t);
}

void
reactor_timer_set(struct reactor *r, struct reactor_timer *t, uint64_t deadline_ns)
{
	ev_timer *w = (ev_timer *)(void *)t->priv;
	uint64_t now = reactor_now_ns(r);
	double after = deadline_ns > now ? (double)(deadline_ns - now) * 1e-9 : 0.;

	ev_timer_stop(r->loop, w);
	/* libev counts from the start of the pass, which may be long ago. */
	ev_now_update(r->loop);
	ev_timer_init(w, timer_cb, after, 0.);
	ev_timer_start(r->loop, w);
}

void
reactor_timer_cancel(struct reactor *r, struct reactor_timer *t)
{
	ev_timer_stop(r->loop, (ev_timer *)(void *)t->priv);
}

static void
signal_cb(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct reactor_signal *s = container_of((void *)w, struct reactor_signal, priv);

	(void)loop;
	(void)revents;
	s->cb(s, w->signum);
}

void
reactor_signal_start(struct reactor *r, struct reactor_signal *s, int signum)
{
	ev_signal *w = (ev_signal *)(void *)s->priv;

	ev_signal_init(w, signal_cb, signum);
	ev_signal_start(r->loop, w);
}

void
reactor_signal_stop(struct reactor *r, struct reactor_signal *s)
{
	ev_signal_stop(r->loop, (ev_signal *)(void *)s->priv);
}

/* ---- clocks ---- */

uint64_t
reactor_now_ns(const struct reactor *r)
{
	(void)r;
	return spin_now_ns();
}

int64_t
reactor_wall_ns(const struct reactor *r)
{
	struct timespec ts;

	(void)r;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NSEC_PER_SEC + ts.tv_nsec;
}

/* ---- later in this pass ---- */

void
reactor_defer(struct reactor *r, struct reactor_defer *d)
{
	if (d->waiting)
		return;
	d->waiting = true;
	d->next = NULL;
	*r->deferred_end = d;
	r->deferred_end = &d->next;
}

void
reactor_defer_cancel(struct reactor *r, struct reactor_defer *d)
{
	struct reactor_defer **pp = &r->deferred;

	if (!d->waiting)
		return;
	while (*pp != d)
		pp = &(*pp)->next;
	*pp = d->next;
	if (r->deferred_end == &d->next)
		r->deferred_end = pp;
	d->waiting = false;
}

/* A model that defers itself for ever must not keep the others from their events. */
static void
run_deferred(struct reactor *r)
{
	for (unsigned i = 0; r->deferred && i < DEFERRED_PER_PASS; i++) {
		struct reactor_defer *d = r->deferred;

		reactor_defer_cancel(r, d);
		d->cb(d);
		r->happened = true;
	}
}

/* ---- poll sources and sleep ---- */

void
reactor_poll_start(struct reactor *r, struct reactor_poll *p)
{
	p->next = r->polls;
	r->polls = p;
}

void
reactor_poll_stop(struct reactor *r, struct reactor_poll *p)
{
	struct reactor_poll **pp = &r->polls;

	while (*pp && *pp != p)
		pp = &(*pp)->next;
	if (*pp)
		*pp = p->next;
}

void
reactor_kick(struct reactor *r)
{
	const uint64_t one = 1;

	/*
	 * The other half of go_to_sleep(): our work was published before this
	 * fence and its flag is read after; there it is the other way round, so
	 * one of the two sees the other.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&r->sleeping, memory_order_relaxed))
		return;
	if (!atomic_exchange_explicit(&r->sleeping, 0, memory_order_relaxed))
		return; /* somebody else wakes it */
	atomic_store_explicit(&r->kicked_ns, spin_now_ns(), memory_order_relaxed);
	while (write(r->kick_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void
kick_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	uint64_t count;

	(void)loop;
	(void)revents;
	if (read(w->fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
}

static bool
poll_all(struct reactor *r)
{
	bool worked = false;

	for (struct reactor_poll *p = r->polls, *next; p && !r->stopped; p = next) {
		next = p->next;
		bool did = p->poll(p);

		r->happened |= did;
		*(p->rest ? &r->fired : &worked) |= did;
	}
	run_deferred(r);
	return worked;
}

/* True: somebody had work yet. */
static bool
rest_all(struct reactor *r)
{
	bool worked = false;

	for (struct reactor_poll *p = r->polls, *next; p; p = next) {
		next = p->next;
		worked |= p->rest && p->rest(p);
	}
	r->fired |= worked;
	return worked;
}

/* Hands file operations over and answers what is complete.  False: nobody would wake us
 * for those that the kernel did not take. */
static bool
push_ops(struct reactor *r)
{
	unsigned what = ops_push(&r->ops);

	r->happened |= (what & OPS_ANSWERED) != 0;
	return !(what & OPS_STUCK);
}

/* Polls until there is work, events included, or the budget is spent. */
static bool
spin_for_work(struct reactor *r)
{
	uint32_t budget = r->polls ? spin_budget(&r->spin) : 0;
	uint64_t end;
	bool met = false;

	if (budget == 0)
		return false;
	end = spin_now_ns() + budget;
	do {
		for (unsigned i = 0; i < SPIN_ROUND && !met && !r->fired; i++) {
			met = poll_all(r);
			spin_pause();
		}
	} while (!met && !r->fired && !r->stopped && spin_now_ns() < end);
	if (met || !r->fired)
		spin_result(&r->spin, met);
	return met;
}

/*
 * Looks for events for a while instead of sleeping: a guest that was just answered
 * goes on at once, and a wake-up costs it more than we spend here.
 */
static bool
spin_for_events(struct reactor *r)
{
	uint32_t budget = r->io_busy ? spin_budget(&r->io_spin) : 0;
	uint64_t end;
	bool met = false;

	if (budget == 0)
		return false;
	end = spin_now_ns() + budget;
	do {
		for (unsigned i = 0; i < SPIN_ROUND && !met; i++) {
			met = poll_all(r) || r->fired;
			spin_pause();
		}
		if (!met)
			ev_run(r->loop, EVRUN_NOWAIT);
		met = met || r->fired || r->deferred;
	} while (!met && !r->stopped && spin_now_ns() < end);
	spin_result(&r->io_spin, met);
	return met;
}

static void
sleep_until_event(struct reactor *r)
{
	uint64_t kicked;

	atomic_store_explicit(&r->kicked_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&r->sleeping, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	bool worked = poll_all(r);
	bool sleep = push_ops(r) && !worked && !r->fired && !r->deferred && !r->stopped &&
		     !(r->once && r->happened) && !rest_all(r);
	ev_run(r->loop, sleep ? EVRUN_ONCE : EVRUN_NOWAIT);
	atomic_store_explicit(&r->sleeping, 0, memory_order_relaxed);
	kicked = atomic_load_explicit(&r->kicked_ns, memory_order_relaxed);
	if (kicked != 0)
		spin_measured(&r->spin, spin_now_ns() - kicked);
}

static void
pass(struct reactor *r, bool wait)
{
	/* Work is likely to come when there was some just now. */
	r->happened = false;
	r->fired = false;
	bool worked = poll_all(r) || (r->busy && spin_for_work(r));

	for (unsigned i = 0; worked && !r->fired && i < POLLS_PER_LOOP && !r->stopped;
	     i++)
		worked = spin_for_work(r);
	r->busy = worked;
	bool sleep = push_ops(r) && wait && !worked && !r->fired && !r->stopped &&
		     !(r->once && r->happened);
	if (!sleep)
		ev_run(r->loop, EVRUN_NOWAIT);
	else if (!spin_for_events(r))
		sleep_until_event(r);
	r->io_busy = r->fired || r->deferred;
	run_deferred(r);
	push_ops(r);
}

void
reactor_run_once(struct reactor *r, bool wait)
{
	r->once = true;
	pass(r, wait);
	r->once = false;
}

void
reactor_run(struct reactor *r)
{
	r->stopped = false;
	while (!r->stopped)
		pass(r, true);
}

void
reactor_stop(struct reactor *r)
{
	r->stopped = true;
}

/* ---- file operations ---- */

void
reactor_submit(struct reactor *r, struct reactor_op *op)
{
	ops_submit(&r->ops, op);
}

bool
reactor_op_wait(struct reactor *r)
{
	return ops_wait(&r->ops);
}

void
reactor_file_add(struct reactor *r, int fd)
{
	ops_file(&r->ops, fd, true);
}

void
reactor_file_drop(struct reactor *r, int fd)
{
	ops_file(&r->ops, fd, false);
}

/* ---- life ---- */

int
reactor_new(struct reactor **ret)
{
	struct reactor *r = aligned_alloc(_Alignof(struct reactor), sizeof(*r));

	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->deferred_end = &r->deferred;
	r->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->kick_fd < 0) {
		int rc = -errno;

		free(r);
		return rc;
	}
	errno = 0;
	r->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!r->loop) {
		int rc = errno ? -errno : -ENOMEM;

		close(r->kick_fd);
		free(r);
		return rc;
	}
	ev_io_init(&r->kick_io, kick_cb, r->kick_fd, EV_READ);
	ev_io_start(r->loop, &r->kick_io);
	ev_set_userdata(r->loop, r);
	ops_init(&r->ops, r, r->loop);
	spin_init(&r->spin, spin_is_futile());
	spin_init(&r->io_spin, r->spin.never);
	/*
	 * On one CPU each posted write would wake us, and waking preempts the vCPU: two
	 * switches for nothing.  A batch task does not preempt who wakes it; it runs
	 * when the vCPU waits or its time is up.  A host that refuses is no loss.
	 */
	if (r->spin.never)
		(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	*ret = r;
	return 0;
}

void
reactor_free(struct reactor *r)
{
	if (!r)
		return;
	ops_free(&r->ops);
	ev_io_stop(r->loop, &r->kick_io);
	ev_loop_destroy(r->loop);
	close(r->kick_fd);
	free(r);
}
