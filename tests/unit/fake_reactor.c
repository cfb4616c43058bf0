/* SPDX-License-Identifier: ISC */
#include "fake_reactor.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/uio.h>

#include "util.h"

#define WEAK __attribute__((weak))

struct reactor *
fake_reactor(struct fake_reactor *f)
{
	return (struct reactor *)(void *)f;
}

static struct fake_reactor *
fake(struct reactor *r)
{
	return (struct fake_reactor *)(void *)r;
}

/* ---- clocks and timers ---- */

WEAK uint64_t
reactor_now_ns(const struct reactor *r)
{
	return ((const struct fake_reactor *)(const void *)r)->now_ns;
}

WEAK int64_t
reactor_wall_ns(const struct reactor *r)
{
	return ((const struct fake_reactor *)(const void *)r)->wall_ns;
}

WEAK void
reactor_timer_cancel(struct reactor *r, struct reactor_timer *t)
{
	struct fake_reactor *f = fake(r);

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->timer[i].t == t)
			f->timer[i].t = NULL;
}

WEAK void
reactor_timer_set(struct reactor *r, struct reactor_timer *t, uint64_t deadline_ns)
{
	struct fake_reactor *f = fake(r);
	unsigned i = 0;

	reactor_timer_cancel(r, t);
	while (i < FAKE_REACTOR_MAX && f->timer[i].t != NULL)
		i++;
	assert(i < FAKE_REACTOR_MAX);
	f->timer[i].t = t;
	f->timer[i].deadline_ns = deadline_ns;
}

unsigned
fake_reactor_ntimers(const struct fake_reactor *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		n += f->timer[i].t != NULL;
	return n;
}

uint64_t
fake_reactor_deadline(const struct fake_reactor *f, const struct reactor_timer *t)
{
	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->timer[i].t == t)
			return f->timer[i].deadline_ns;
	return 0;
}

/* The timer that is due first, at end at the latest; FAKE_REACTOR_MAX: none. */
static unsigned
first_due(const struct fake_reactor *f, uint64_t end)
{
	unsigned first = FAKE_REACTOR_MAX;

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->timer[i].t != NULL && f->timer[i].deadline_ns <= end &&
		    (first == FAKE_REACTOR_MAX ||
		     f->timer[i].deadline_ns < f->timer[first].deadline_ns))
			first = i;
	return first;
}

static void
move_to(struct fake_reactor *f, uint64_t ns)
{
	if (ns <= f->now_ns)
		return;
	f->wall_ns += (int64_t)(ns - f->now_ns);
	f->now_ns = ns;
}

void
fake_reactor_advance(struct fake_reactor *f, uint64_t ns)
{
	uint64_t end = f->now_ns + ns;
	unsigned fired = 0;

	for (unsigned i; (i = first_due(f, end)) < FAKE_REACTOR_MAX;) {
		struct reactor_timer *t = f->timer[i].t;

		/* A timer that sets itself to the past for ever is a bug. */
		fired = f->timer[i].deadline_ns <= f->now_ns ? fired + 1 : 0;
		assert(fired < 1000);
		move_to(f, f->timer[i].deadline_ns);
		f->timer[i].t = NULL;
		t->cb(t);
	}
	move_to(f, end);
}

/* ---- file descriptors ---- */

WEAK void
reactor_io_stop(struct reactor *r, struct reactor_io *io)
{
	reactor_io_start(r, io, 0);
}

WEAK void
reactor_io_start(struct reactor *r, struct reactor_io *io, unsigned events)
{
	struct fake_reactor *f = fake(r);
	unsigned i = 0, spare = FAKE_REACTOR_MAX;

	for (; i < FAKE_REACTOR_MAX && f->io[i].io != io; i++)
		if (f->io[i].io == NULL)
			spare = i;
	if (i == FAKE_REACTOR_MAX && events == 0)
		return;
	if (i == FAKE_REACTOR_MAX)
		i = spare;
	assert(i < FAKE_REACTOR_MAX);
	f->io[i].io = events != 0 ? io : NULL;
	f->io[i].events = events;
}

unsigned
fake_reactor_watched(const struct fake_reactor *f, int fd)
{
	unsigned events = 0;

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->io[i].io != NULL && f->io[i].io->fd == fd)
			events |= f->io[i].events;
	return events;
}

/* As epoll does, errors and hang-ups count as ready for all that is watched. */
static unsigned
ready_events(short revents, unsigned watched)
{
	unsigned ready = 0;

	if (revents & POLLIN)
		ready |= REACTOR_READ;
	if (revents & POLLOUT)
		ready |= REACTOR_WRITE;
	if (revents & (POLLERR | POLLHUP))
		ready = watched;
	return ready & watched;
}

unsigned
fake_reactor_io(struct fake_reactor *f, int timeout_ms)
{
	struct pollfd pfd[FAKE_REACTOR_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++) {
		unsigned ev = f->io[i].events;

		pfd[i].fd = f->io[i].io != NULL ? f->io[i].io->fd : -1;
		pfd[i].events = (short)((ev & REACTOR_READ ? POLLIN : 0) |
					(ev & REACTOR_WRITE ? POLLOUT : 0));
	}
	if (poll(pfd, FAKE_REACTOR_MAX, timeout_ms) <= 0)
		return 0;
	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++) {
		/* A callback before this one may have stopped it. */
		unsigned ev = f->io[i].io != NULL && f->io[i].io->fd == pfd[i].fd
				      ? ready_events(pfd[i].revents, f->io[i].events)
				      : 0;

		if (ev != 0) {
			f->io[i].io->cb(f->io[i].io, ev);
			n++;
		}
	}
	return n;
}

/* ---- later ---- */

WEAK void
reactor_defer(struct reactor *r, struct reactor_defer *d)
{
	struct reactor_defer **pp = &fake(r)->deferred;

	if (d->waiting)
		return;
	while (*pp)
		pp = &(*pp)->next;
	d->waiting = true;
	d->next = NULL;
	*pp = d;
}

WEAK void
reactor_defer_cancel(struct reactor *r, struct reactor_defer *d)
{
	struct reactor_defer **pp = &fake(r)->deferred;

	while (*pp && *pp != d)
		pp = &(*pp)->next;
	if (*pp)
		*pp = d->next;
	d->waiting = false;
}

unsigned
fake_reactor_deferred(struct fake_reactor *f)
{
	unsigned n = 0;

	for (struct reactor_defer *d; (d = f->deferred); n++) {
		assert(n < 1000);
		f->deferred = d->next;
		d->waiting = false;
		d->cb(d);
	}
	return n;
}

/* ---- poll sources ---- */

WEAK void
reactor_poll_start(struct reactor *r, struct reactor_poll *p)
{
	p->next = fake(r)->polls;
	fake(r)->polls = p;
}

WEAK void
reactor_poll_stop(struct reactor *r, struct reactor_poll *p)
{
	struct reactor_poll **pp = &fake(r)->polls;

	while (*pp && *pp != p)
		pp = &(*pp)->next;
	if (*pp)
		*pp = p->next;
}

bool
fake_reactor_poll(struct fake_reactor *f)
{
	bool worked = false;

	for (struct reactor_poll *p = f->polls; p; p = p->next)
		worked |= p->poll(p);
	return worked;
}

bool
fake_reactor_rest(struct fake_reactor *f)
{
	bool worked = false;

	for (struct reactor_poll *p = f->polls; p; p = p->next)
		worked |= p->rest && p->rest(p);
	return worked;
}

/* ---- file operations: those that a test has come to ---- */

WEAK void
reactor_submit(struct reactor *r, struct reactor_op *op)
{
	struct reactor_op **pp = &fake(r)->op;

	assert(op->code == REACTOR_WRITEV);
	while (*pp)
		pp = &(*pp)->next;
	op->next = NULL;
	*pp = op;
}

bool
fake_reactor_op(struct fake_reactor *f)
{
	struct reactor_op *op = f->op;

	if (!op)
		return false;
	f->op = op->next;
	ssize_t n = pwritev(op->fd, op->iov, (int)op->niov, (off_t)op->off);
	op->done(op, n < 0 ? -errno : (int)n);
	return true;
}

WEAK bool
reactor_op_wait(struct reactor *r)
{
	return fake_reactor_op(fake(r));
}

/* ---- signals ---- */

WEAK void
reactor_signal_start(struct reactor *r, struct reactor_signal *s, int signum)
{
	struct fake_reactor *f = fake(r);
	unsigned i = 0;

	while (i < FAKE_REACTOR_MAX && f->signal[i].s != NULL)
		i++;
	assert(i < FAKE_REACTOR_MAX);
	f->signal[i].s = s;
	f->signal[i].signum = signum;
}

WEAK void
reactor_signal_stop(struct reactor *r, struct reactor_signal *s)
{
	struct fake_reactor *f = fake(r);

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->signal[i].s == s)
			f->signal[i].s = NULL;
}

unsigned
fake_reactor_signal(struct fake_reactor *f, int signum)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (f->signal[i].s != NULL && f->signal[i].signum == signum) {
			f->signal[i].s->cb(f->signal[i].s, signum);
			n++;
		}
	return n;
}
