/* SPDX-License-Identifier: ISC */
/* The reactor on the real kernel: sources, timers, kicks and the io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "reactor.h"
#include "util.h"

static struct reactor *
make_reactor(void)
{
	struct reactor *r;

	assert_int_equal(reactor_new(&r), 0);
	return r;
}

/* ---- later in this pass ---- */

struct later {
	struct reactor_defer d;
	struct reactor *r;
	unsigned calls, again;
};

static void
later_cb(struct reactor_defer *d)
{
	struct later *l = container_of(d, struct later, d);

	l->calls++;
	if (l->again > 0) {
		l->again--;
		reactor_defer(l->r, d);
	}
}

static void
test_what_is_deferred_runs_once_in_this_pass_and_keeps_the_loop_awake(void **state)
{
	struct later a = { .d.cb = later_cb }, b = { .d.cb = later_cb, .again = 2 };
	struct reactor *r;

	(void)state;
	assert_int_equal(reactor_new(&r), 0);
	a.r = b.r = r;
	reactor_defer(r, &a.d);
	reactor_defer(r, &a.d);
	reactor_defer(r, &b.d);
	reactor_run_once(r, true); /* nothing else would wake it */
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 3);

	reactor_defer(r, &a.d);
	reactor_defer(r, &b.d);
	reactor_defer_cancel(r, &b.d);
	reactor_defer(r, &b.d);
	reactor_defer_cancel(r, &a.d);
	reactor_run_once(r, false);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 4);
	reactor_free(r);
}

/* ---- descriptors ---- */

struct pipe_reader {
	struct reactor_io io;
	struct reactor *r;
	char got[16];
	unsigned calls;
};

static void
on_pipe(struct reactor_io *io, unsigned events)
{
	struct pipe_reader *p = container_of(io, struct pipe_reader, io);

	assert_int_equal(events, REACTOR_READ);
	p->calls++;
	assert_int_equal(read(io->fd, p->got, 1), 1);
	if (p->got[0] == 'x') {
		reactor_io_stop(p->r, io);
		reactor_stop(p->r);
	}
}

static void
test_a_readable_pipe_calls_back_until_it_is_empty(void **state)
{
	struct pipe_reader p = { .r = make_reactor() };
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	p.io = (struct reactor_io){ .cb = on_pipe, .fd = fd[0] };
	reactor_io_start(p.r, &p.io, REACTOR_READ);
	assert_int_equal(write(fd[1], "abx", 3), 3);
	reactor_run(p.r);
	assert_int_equal(p.calls, 3);
	close(fd[0]);
	close(fd[1]);
	reactor_free(p.r);
}

static void
test_a_regular_file_counts_as_always_ready(void **state)
{
	struct pipe_reader p = { .r = make_reactor() };
	char name[] = "/tmp/vmm-reactor-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(pwrite(fd, "ax", 2, 0), 2);
	p.io = (struct reactor_io){ .cb = on_pipe, .fd = fd };
	reactor_io_start(p.r, &p.io, REACTOR_READ);
	reactor_run(p.r);
	assert_int_equal(p.calls, 2);
	close(fd);
	reactor_free(p.r);
}

/* ---- timers ---- */

struct ticker {
	struct reactor_timer t;
	struct reactor *r;
	unsigned *order;
	unsigned seen;
};

static void
on_tick(struct reactor_timer *t)
{
	struct ticker *k = container_of(t, struct ticker, t);

	k->seen = ++*k->order;
}

static void
on_last_tick(struct reactor_timer *t)
{
	on_tick(t);
	reactor_stop(container_of(t, struct ticker, t)->r);
}

static void
test_timers_fire_in_order_of_deadline_and_not_before(void **state)
{
	struct reactor *r = make_reactor();
	unsigned order = 0;
	struct ticker k[4];
	uint64_t start = reactor_now_ns(r);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		k[i] = (struct ticker){ .t.cb = i == 0 ? on_last_tick : on_tick,
					.r = r,
					.order = &order };
	reactor_timer_set(r, &k[0].t, start + 30000000);
	reactor_timer_set(r, &k[1].t, start + 20000000);
	reactor_timer_set(r, &k[2].t, start + 1); /* in the past by now */
	reactor_timer_set(r, &k[3].t, start + 10000000);
	reactor_timer_cancel(r, &k[3].t);
	reactor_timer_set(r, &k[2].t, start + 15000000); /* moved */
	reactor_run(r);
	assert_true(reactor_now_ns(r) >= start + 30000000);
	assert_int_equal(k[2].seen, 1);
	assert_int_equal(k[1].seen, 2);
	assert_int_equal(k[0].seen, 3);
	assert_int_equal(k[3].seen, 0);
	reactor_free(r);
}

/* ---- signals ---- */

struct catcher {
	struct reactor_signal s;
	struct reactor *r;
	int got;
};

static void
on_signal(struct reactor_signal *s, int signum)
{
	struct catcher *c = container_of(s, struct catcher, s);

	c->got = signum;
	reactor_stop(c->r);
}

static void
test_a_signal_arrives_in_the_loop(void **state)
{
	struct catcher c = { .r = make_reactor(), .s.cb = on_signal };

	(void)state;
	reactor_signal_start(c.r, &c.s, SIGUSR2);
	raise(SIGUSR2);
	reactor_run(c.r);
	assert_int_equal(c.got, SIGUSR2);
	reactor_signal_stop(c.r, &c.s);
	reactor_free(c.r);
}

/* ---- poll sources ---- */

struct counter {
	struct reactor_poll p;
	struct reactor *r;
	_Atomic unsigned made;
	unsigned seen, until;
};

static bool
on_poll(struct reactor_poll *p)
{
	struct counter *c = container_of(p, struct counter, p);
	unsigned made = atomic_load(&c->made);

	if (c->seen == made)
		return false;
	c->seen = made;
	if (c->seen == c->until)
		reactor_stop(c->r);
	return true;
}

static void *
make_work(void *arg)
{
	struct counter *c = arg;

	for (unsigned i = 0; i < c->until; i++) {
		atomic_fetch_add(&c->made, 1);
		reactor_kick(c->r);
		if (i % 8 == 0) /* let it fall asleep now and then */
			usleep(300);
	}
	return NULL;
}

static void
test_no_kick_is_lost_whether_the_reactor_sleeps_or_spins(void **state)
{
	struct counter c = { .r = make_reactor(), .p.poll = on_poll, .until = 2000 };
	pthread_t thread;

	(void)state;
	reactor_poll_start(c.r, &c.p);
	assert_int_equal(pthread_create(&thread, NULL, make_work, &c), 0);
	reactor_run(c.r); /* a lost kick hangs here; the runner has a time limit */
	pthread_join(thread, NULL);
	assert_int_equal(c.seen, 2000);
	reactor_poll_stop(c.r, &c.p);
	reactor_free(c.r);
}

static void
test_an_idle_reactor_with_a_poll_source_uses_no_cpu(void **state)
{
	struct counter c = { .r = make_reactor(), .p.poll = on_poll, .until = 1 };
	struct ticker k = { .t.cb = on_last_tick, .r = c.r };
	struct rusage before, after;
	unsigned order = 0;

	(void)state;
	k.order = &order;
	reactor_poll_start(c.r, &c.p);
	reactor_timer_set(c.r, &k.t, reactor_now_ns(c.r) + 300000000);
	getrusage(RUSAGE_THREAD, &before);
	reactor_run(c.r);
	getrusage(RUSAGE_THREAD, &after);
	/* 300 ms asleep; a loop that spins would show them all. */
	assert_true((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
			    after.ru_utime.tv_usec - before.ru_utime.tv_usec <
		    100000);
	reactor_poll_stop(c.r, &c.p);
	reactor_free(c.r);
}

/* A guest: adds to made, and rings only if it is asked to. */
struct bell {
	struct reactor_poll p;
	struct reactor_io io;
	struct reactor *r;
	_Atomic unsigned made;
	_Atomic bool asked;
	_Atomic unsigned rung;
	unsigned seen, until;
};

static bool
bell_look(struct reactor_poll *p)
{
	struct bell *b = container_of(p, struct bell, p);
	unsigned made = atomic_load(&b->made);

	if (b->seen == made)
		return false;
	b->seen = made;
	if (b->seen == b->until)
		reactor_stop(b->r);
	return true;
}

static bool
bell_rest(struct reactor_poll *p)
{
	struct bell *b = container_of(p, struct bell, p);

	atomic_store(&b->asked, true);
	return bell_look(p);
}

static void
bell_rang(struct reactor_io *io, unsigned events)
{
	uint64_t n;

	(void)events;
	assert_int_equal(read(io->fd, &n, sizeof(n)), sizeof(n));
}

static void *
ring_if_asked(void *arg)
{
	struct bell *b = arg;
	const uint64_t one = 1;

	for (unsigned i = 0; i < b->until; i++) {
		atomic_fetch_add(&b->made, 1);
		if (atomic_exchange(&b->asked, false)) {
			atomic_fetch_add(&b->rung, 1);
			assert_int_equal(write(b->io.fd, &one, sizeof(one)), sizeof(one));
		}
		if (i % 8 == 0)
			usleep(300);
	}
	return NULL;
}

static void
test_a_source_that_cannot_kick_is_asked_to_ring_before_the_reactor_sleeps(void **state)
{
	struct bell b = { .r = make_reactor(),
			  .p = { .poll = bell_look, .rest = bell_rest },
			  .until = 2000 };
	pthread_t thread;

	(void)state;
	b.io = (struct reactor_io){ .cb = bell_rang, .fd = eventfd(0, EFD_CLOEXEC) };
	reactor_io_start(b.r, &b.io, REACTOR_READ);
	reactor_poll_start(b.r, &b.p);
	assert_int_equal(pthread_create(&thread, NULL, ring_if_asked, &b), 0);
	reactor_run(b.r); /* a lost bell hangs here */
	pthread_join(thread, NULL);
	assert_int_equal(b.seen, 2000);
	assert_true(b.rung > 0);
	reactor_poll_stop(b.r, &b.p);
	reactor_io_stop(b.r, &b.io);
	close(b.io.fd);
	reactor_free(b.r);
}

/* After an event it stays awake for the next, but not for long. */
static void
test_a_reactor_that_had_an_event_is_idle_again_soon(void **state)
{
	struct pipe_reader p = { .r = make_reactor() };
	struct ticker k = { .t.cb = on_last_tick, .r = p.r };
	struct rusage before, after;
	unsigned order = 0;
	int fd[2];

	(void)state;
	k.order = &order;
	assert_int_equal(pipe(fd), 0);
	p.io = (struct reactor_io){ .cb = on_pipe, .fd = fd[0] };
	reactor_io_start(p.r, &p.io, REACTOR_READ);
	assert_int_equal(write(fd[1], "a", 1), 1);
	reactor_timer_set(p.r, &k.t, reactor_now_ns(p.r) + 300000000);
	getrusage(RUSAGE_THREAD, &before);
	reactor_run(p.r);
	getrusage(RUSAGE_THREAD, &after);
	assert_int_equal(p.calls, 1);
	assert_true((after.ru_utime.tv_sec - before.ru_utime.tv_sec +
		     after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
				    1000000 +
			    after.ru_utime.tv_usec - before.ru_utime.tv_usec +
			    after.ru_stime.tv_usec - before.ru_stime.tv_usec <
		    100000);
	close(fd[0]);
	close(fd[1]);
	reactor_free(p.r);
}

/* ---- io_uring ---- */

struct file_op {
	struct reactor_op op;
	struct reactor *r;
	struct iovec iov;
	int res;
	unsigned *left;
};

static void
on_done(struct reactor_op *op, int res)
{
	struct file_op *f = container_of(op, struct file_op, op);

	f->res = res;
	if (--*f->left == 0)
		reactor_stop(f->r);
}

/* Runs n ops to their end. */
static void
run_ops(struct file_op *f, unsigned n)
{
	unsigned left = n;

	for (unsigned i = 0; i < n; i++) {
		f[i].left = &left;
		f[i].res = -1000;
		f[i].op.done = on_done;
		if (!f[i].op.iov) {
			f[i].op.iov = &f[i].iov;
			f[i].op.niov = f[i].iov.iov_base ? 1 : 0;
		}
		reactor_submit(f[i].r, &f[i].op);
		assert_int_equal(f[i].res, -1000); /* never from within submit */
	}
	reactor_run(f[0].r);
}

static const enum reactor_way ways[] = { REACTOR_RING, REACTOR_THREAD, REACTOR_INLINE };

static int
temporary_file(void)
{
	char name[] = "/tmp/vmm-reactor-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

static void
test_file_operations_complete_with_what_the_system_call_would_say(void **state)
{
	struct reactor *r = make_reactor();
	int fd = temporary_file(), dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static char out[8192], in[8192];

	(void)state;
	reactor_file_add(r, fd);
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		enum reactor_way way = ways[i];
		struct file_op w = { .r = r,
				     .op = { .code = REACTOR_WRITEV,
					     .way = way,
					     .fd = fd,
					     .off = 512 },
				     .iov = { out, sizeof(out) } };
		struct file_op s = {
			.r = r, .op = { .code = REACTOR_FDATASYNC, .way = way, .fd = fd }
		};
		struct file_op rd = {
			.r = r,
			.op = { .code = REACTOR_READV, .way = way, .fd = fd, .off = 512 },
			.iov = { in, sizeof(in) }
		};
		struct file_op bad = {
			.r = r,
			.op = { .code = REACTOR_READV, .way = way, .fd = dir },
			.iov = { in, sizeof(in) }
		};
		struct file_op odd = { .r = r,
				       .op = { .code = REACTOR_BLKDISCARD,
					       .way = way,
					       .fd = fd,
					       .len = 512 } };

		memset(out, 0x50 + (int)i, sizeof(out));
		memset(in, 0, sizeof(in));
		run_ops(&w, 1);
		assert_int_equal(w.res, sizeof(out));
		run_ops(&s, 1);
		assert_int_equal(s.res, 0);
		run_ops(&rd, 1);
		assert_int_equal(rd.res, sizeof(in));
		assert_memory_equal(in, out, sizeof(in));
		run_ops(&bad, 1);
		assert_int_equal(bad.res, -EISDIR);
		run_ops(&odd, 1); /* has no form in io_uring */
		assert_int_equal(odd.res, -ENOTTY);
	}
	reactor_file_drop(r, fd);
	close(fd);
	close(dir);
	reactor_free(r);
}

static void
test_a_hole_is_punched_and_a_vector_is_read_in_order(void **state)
{
	struct reactor *r = make_reactor();
	int fd = temporary_file();
	static char out[3 * 4096], a[100], b[8192], c[3996];

	(void)state;
	memset(out, 'x', sizeof(out));
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct iovec v[] = { { a, sizeof(a) },
					   { b, sizeof(b) },
					   { c, sizeof(c) } };
		struct file_op punch = { .r = r,
					 .op = { .code = REACTOR_FALLOCATE,
						 .way = ways[i],
						 .fd = fd,
						 .mode = FALLOC_FL_PUNCH_HOLE |
							 FALLOC_FL_KEEP_SIZE,
						 .off = 4096,
						 .len = 4096 } };
		struct file_op rd = { .r = r,
				      .op = { .code = REACTOR_READV,
					      .way = ways[i],
					      .fd = fd,
					      .iov = v,
					      .niov = 3 } };

		assert_int_equal(pwrite(fd, out, sizeof(out), 0), sizeof(out));
		run_ops(&punch, 1);
		assert_int_equal(punch.res, 0);
		run_ops(&rd, 1);
		assert_int_equal(rd.res, sizeof(a) + sizeof(b) + sizeof(c));
		assert_int_equal(a[99], 'x');
		assert_int_equal(b[3995], 'x');
		assert_int_equal(b[3996], 0);
		assert_int_equal(b[8091], 0);
		assert_int_equal(b[8092], 'x');
		assert_int_equal(c[3995], 'x');
	}
	close(fd);
	reactor_free(r);
}

static void
test_more_operations_than_the_ring_holds_are_all_done(void **state)
{
	enum { MANY = 3000 };
	static struct file_op f[MANY];
	static char buf[MANY];
	struct reactor *r = make_reactor();
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
		for (unsigned i = 0; i < MANY; i++)
			f[i] = (struct file_op){
				.r = r,
				.op = { .code = REACTOR_READV, .way = ways[w], .fd = fd },
				.iov = { &buf[i], 1 },
			};
		run_ops(f, MANY);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(f[i].res, 1);
	}
	close(fd);
	reactor_free(r);
}

struct told {
	struct reactor_defer defer;
	struct reactor *r;
	unsigned left, left_when_told;
};

struct told_op {
	struct reactor_op op;
	struct told *t;
};

static void
on_told(struct reactor_defer *d)
{
	struct told *t = container_of(d, struct told, defer);

	if (t->left_when_told == 0)
		t->left_when_told = t->left;
}

static void
on_copied(struct reactor_op *op, int res)
{
	struct told *t = container_of(op, struct told_op, op)->t;

	assert_int_equal(res, 4096);
	reactor_defer(t->r, &t->defer);
	if (--t->left == 0)
		reactor_stop(t->r);
}

struct ordered_op {
	struct file_op f;
	unsigned *next; /* of this file */
	unsigned number;
};

static void
on_ordered(struct reactor_op *op, int res)
{
	struct ordered_op *o = container_of(op, struct ordered_op, f.op);

	assert_int_equal(o->number, (*o->next)++);
	on_done(op, res);
}

/* Threads that all wait for the lock of one file are no faster than one of them. */
static void
test_threads_write_to_a_file_one_after_the_other_and_to_two_at_once(void **state)
{
	enum { N = 400, FILES = 2 };
	static struct ordered_op o[N];
	static char out[4096];
	struct reactor *r = make_reactor();
	unsigned next[FILES] = { 0 }, left = N;
	int fd[FILES];

	(void)state;
	for (unsigned i = 0; i < FILES; i++)
		fd[i] = temporary_file();
	for (unsigned i = 0; i < N; i++) {
		unsigned file = i / 7 % FILES;

		o[i] = (struct ordered_op){
			.f = { .op = { .done = on_ordered,
				       .code = REACTOR_WRITEV,
				       .way = REACTOR_THREAD,
				       .fd = fd[file],
				       .iov = &o[i].f.iov,
				       .niov = 1,
				       .off = i * sizeof(out) },
			       .iov = { out, sizeof(out) },
			       .r = r,
			       .left = &left },
			.next = &next[file],
		};
	}
	for (unsigned i = 0, number[FILES] = { 0 }; i < N; i++) {
		o[i].number = number[i / 7 % FILES]++;
		reactor_submit(r, &o[i].f.op);
	}
	reactor_run(r);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(o[i].f.res, sizeof(out));
	for (unsigned i = 0; i < FILES; i++)
		close(fd[i]);
	reactor_free(r);
}

/* They are done while they are submitted: what is told of at the end of a pass would
 * have to wait for all of them. */
static void
test_the_first_copies_are_told_of_before_the_last_is_made(void **state)
{
	enum { OPS = 64 };
	static struct told_op f[OPS];
	static char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct told t = { .defer = { .cb = on_told }, .r = make_reactor(), .left = OPS };
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	for (unsigned i = 0; i < OPS; i++) {
		f[i] = (struct told_op){
			.op = { .done = on_copied,
				.code = REACTOR_READV,
				.way = REACTOR_RING,
				.cached = true,
				.fd = fd,
				.iov = &iov,
				.niov = 1 },
			.t = &t,
		};
		reactor_submit(t.r, &f[i].op);
	}
	reactor_run(t.r);
	assert_in_range(t.left_when_told, OPS / 2, OPS - 1);
	close(fd);
	reactor_free(t.r);
}

/* ---- waiting for operations ---- */

struct chained {
	struct reactor_op op;
	struct reactor *r;
	struct iovec iov;
	unsigned left;
	unsigned *done;
};

/* Starts the next one, by another way, from within done(). */
static void
on_chained(struct reactor_op *op, int res)
{
	struct chained *c = container_of(op, struct chained, op);

	assert_int_equal(res, 1);
	++*c->done;
	if (c->left-- == 0)
		return;
	op->way = ways[c->left % ARRAY_SIZE(ways)];
	reactor_submit(c->r, op);
}

static void
test_waiting_ends_when_nothing_is_in_flight_whatever_done_starts(void **state)
{
	enum { CHAINS = 20, EACH = 50 };
	static struct chained c[CHAINS];
	static char buf[CHAINS];
	struct reactor *r = make_reactor();
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	unsigned done = 0;

	(void)state;
	assert_false(reactor_op_wait(r));
	for (unsigned i = 0; i < CHAINS; i++) {
		c[i] = (struct chained){
			.op = { .done = on_chained,
				.code = REACTOR_READV,
				.way = ways[i % ARRAY_SIZE(ways)],
				.fd = fd,
				.iov = &c[i].iov,
				.niov = 1 },
			.r = r,
			.iov = { &buf[i], 1 },
			.left = EACH - 1,
			.done = &done,
		};
		reactor_submit(r, &c[i].op);
	}
	while (reactor_op_wait(r))
		;
	assert_int_equal(done, CHAINS * EACH);
	close(fd);
	reactor_free(r);
}

/* A model that is reset while completions are handed out waits for the others. */
static void
on_done_wait(struct reactor_op *op, int res)
{
	struct chained *c = container_of(op, struct chained, op);

	assert_int_equal(res, 1);
	++*c->done;
	while (reactor_op_wait(c->r))
		;
}

static void
test_done_may_wait_for_the_others(void **state)
{
	enum { OPS = 64 };
	static struct chained c[OPS];
	static char buf[OPS];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
		struct reactor *r = make_reactor();
		unsigned done = 0;

		for (unsigned i = 0; i < OPS; i++) {
			c[i] = (struct chained){
				.op = { .done = on_done_wait,
					.code = REACTOR_READV,
					.way = ways[w],
					.fd = fd,
					.iov = &c[i].iov,
					.niov = 1 },
				.r = r,
				.iov = { &buf[i], 1 },
				.done = &done,
			};
			reactor_submit(r, &c[i].op);
		}
		while (done < OPS)
			reactor_run_once(r, true);
		reactor_free(r);
	}
	close(fd);
}

static void
test_a_reactor_is_freed_only_after_its_operations(void **state)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
		struct reactor *r = make_reactor();
		unsigned done = 0;
		char buf[1];
		struct chained c = {
			.op = { .done = on_chained,
				.code = REACTOR_READV,
				.way = ways[w],
				.fd = fd,
				.niov = 1 },
			.r = r,
			.iov = { buf, 1 },
			.left = 3,
			.done = &done,
		};

		c.op.iov = &c.iov;
		reactor_submit(r, &c.op);
		reactor_free(r);
		assert_int_equal(done, 4);
	}
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_readable_pipe_calls_back_until_it_is_empty),
		cmocka_unit_test(test_a_regular_file_counts_as_always_ready),
		cmocka_unit_test(test_timers_fire_in_order_of_deadline_and_not_before),
		cmocka_unit_test(test_a_signal_arrives_in_the_loop),
		cmocka_unit_test(
			test_what_is_deferred_runs_once_in_this_pass_and_keeps_the_loop_awake),
		cmocka_unit_test(
			test_no_kick_is_lost_whether_the_reactor_sleeps_or_spins),
		cmocka_unit_test(
			test_a_source_that_cannot_kick_is_asked_to_ring_before_the_reactor_sleeps),
		cmocka_unit_test(test_an_idle_reactor_with_a_poll_source_uses_no_cpu),
		cmocka_unit_test(test_a_reactor_that_had_an_event_is_idle_again_soon),
		cmocka_unit_test(
			test_file_operations_complete_with_what_the_system_call_would_say),
		cmocka_unit_test(test_a_hole_is_punched_and_a_vector_is_read_in_order),
		cmocka_unit_test(test_more_operations_than_the_ring_holds_are_all_done),
		cmocka_unit_test(
			test_threads_write_to_a_file_one_after_the_other_and_to_two_at_once),
		cmocka_unit_test(
			test_the_first_copies_are_told_of_before_the_last_is_made),
		cmocka_unit_test(
			test_waiting_ends_when_nothing_is_in_flight_whatever_done_starts),
		cmocka_unit_test(test_done_may_wait_for_the_others),
		cmocka_unit_test(test_a_reactor_is_freed_only_after_its_operations),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
