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

/* Runs n ops to their end; false where this host has no io_uring. */
static bool
run_ops(struct file_op *f, unsigned n)
{
	unsigned left = n;

	for (unsigned i = 0; i < n; i++) {
		int rc;

		f[i].left = &left;
		f[i].res = -1000;
		f[i].op.done = on_done;
		f[i].op.iov = &f[i].iov;
		f[i].op.niov = f[i].op.code == REACTOR_FDATASYNC ? 0 : 1;
		rc = reactor_submit(f[i].r, &f[i].op);
		if (rc == -ENOSYS || rc == -EPERM)
			return false;
		assert_int_equal(rc, 0);
	}
	reactor_run(f[0].r);
	return true;
}

static void
test_file_operations_complete_with_what_the_system_call_would_say(void **state)
{
	struct reactor *r = make_reactor();
	char name[] = "/tmp/vmm-reactor-XXXXXX", out[8192], in[8192] = { 0 };
	int fd = mkstemp(name), dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct file_op w = { .r = r,
			     .op = { .code = REACTOR_WRITEV, .fd = fd, .off = 512 },
			     .iov = { out, sizeof(out) } };
	struct file_op s = { .r = r, .op = { .code = REACTOR_FDATASYNC, .fd = fd } };
	struct file_op rd = { .r = r,
			      .op = { .code = REACTOR_READV, .fd = fd, .off = 512 },
			      .iov = { in, sizeof(in) } };
	struct file_op bad = { .r = r,
			       .op = { .code = REACTOR_READV, .fd = dir },
			       .iov = { in, sizeof(in) } };

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	memset(out, 0x5a, sizeof(out));
	if (!run_ops(&w, 1))
		skip();
	assert_int_equal(w.res, sizeof(out));
	assert_true(run_ops(&s, 1));
	assert_int_equal(s.res, 0);
	assert_true(run_ops(&rd, 1));
	assert_int_equal(rd.res, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	assert_true(run_ops(&bad, 1));
	assert_int_equal(bad.res, -EISDIR);
	close(fd);
	close(dir);
	reactor_free(r);
}

static void
test_a_full_ring_says_so_and_takes_more_after_completions(void **state)
{
	enum { MANY = 600 };
	struct reactor *r = make_reactor();
	static struct file_op f[MANY];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	static char buf[MANY];
	unsigned done = 0, rounds = 0, left = MANY;

	(void)state;
	while (done < MANY) {
		int rc = 0;

		for (; done < MANY; done++) {
			f[done] = (struct file_op){
				.r = r,
				.left = &left,
				.res = -1000,
				.op = { .done = on_done,
					.code = REACTOR_READV,
					.fd = fd,
					.niov = 1 },
				.iov = { &buf[done], 1 },
			};
			f[done].op.iov = &f[done].iov;
			rc = reactor_submit(r, &f[done].op);
			if (rc)
				break;
		}
		if (rc == -ENOSYS || rc == -EPERM)
			skip();
		assert_true(rc == 0 || rc == -EAGAIN);
		reactor_run_once(r, false);
		assert_true(++rounds < 100000);
	}
	if (left > 0)
		reactor_run(r);
	assert_true(rounds > 1); /* the ring did fill */
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(f[i].res, 1);
	close(fd);
	reactor_free(r);
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
		cmocka_unit_test(test_an_idle_reactor_with_a_poll_source_uses_no_cpu),
		cmocka_unit_test(
			test_file_operations_complete_with_what_the_system_call_would_say),
		cmocka_unit_test(
			test_a_full_ring_says_so_and_takes_more_after_completions),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
