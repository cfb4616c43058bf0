/* SPDX-License-Identifier: ISC */
/* The console on the real event loop: what epoll refuses, and that it sleeps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chr.h"
#include "console.h"
#include "reactor.h"
#include "util.h"

static struct {
	struct reactor *r;
	struct console *con;
	struct chr *chr;
	char in[256];
	size_t nin;
	bool timed_out;
	struct reactor_timer timeout;
} fx;

static void
front_input(void *dev, const uint8_t *buf, size_t len)
{
	(void)dev;
	assert_true(fx.nin + len <= sizeof(fx.in));
	memcpy(fx.in + fx.nin, buf, len);
	fx.nin += len;
}

static void
front_writable(void *dev)
{
	(void)dev;
}

static const struct chr_front_ops front = {
	.input = front_input,
	.writable = front_writable,
};
static const struct console_ops ops = { 0 };

static void
on_timeout(struct reactor_timer *t)
{
	(void)t;
	fx.timed_out = true;
	reactor_stop(fx.r);
}

/* Runs the loop for so long; returns the CPU time it took. */
static uint64_t
run_ms(unsigned ms)
{
	struct timespec a, b;

	fx.timed_out = false;
	fx.timeout.cb = on_timeout;
	reactor_timer_set(fx.r, &fx.timeout, reactor_now_ns(fx.r) + ms * 1000000ull);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	reactor_run(fx.r);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	assert_true(fx.timed_out);
	return (uint64_t)(b.tv_sec - a.tv_sec) * NSEC_PER_SEC + (uint64_t)b.tv_nsec -
	       (uint64_t)a.tv_nsec;
}

static void
start(int in_fd, int out_fd)
{
	assert_int_equal(reactor_new(&fx.r), 0);
	assert_int_equal(console_new(fx.r, in_fd, out_fd, &ops, &fx, &fx.con), 0);
	fx.chr = console_chr(fx.con);
	fx.chr->front = &front;
	fx.chr->dev = &fx;
}

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	signal(SIGPIPE, SIG_IGN);
	alarm(20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	console_free(fx.con);
	reactor_free(fx.r);
	alarm(0);
	return 0;
}

static void
put(const char *s)
{
	assert_int_equal(fx.chr->back->write(fx.chr, (const uint8_t *)s, strlen(s)),
			 strlen(s));
}

static void
test_pipes_both_ways_and_sleep(void **state)
{
	(void)state;
	int i[2], o[2];
	char buf[16];

	assert_int_equal(pipe(i) | pipe(o), 0);
	start(i[0], o[1]);
	fx.chr->back->set_room(fx.chr, 16);
	assert_int_equal(write(i[1], "in", 2), 2);
	put("out");
	run_ms(50);
	assert_memory_equal(fx.in, "in", 2);
	assert_int_equal(read(o[0], buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "out", 3);
	/* Nothing to do: no CPU. */
	assert_in_range(run_ms(200), 0, 20000000);
	/* Nor with input that the guest has no room for. */
	fx.chr->back->set_room(fx.chr, 0);
	assert_int_equal(write(i[1], "more", 4), 4);
	assert_in_range(run_ms(200), 0, 20000000);
	assert_int_equal(fx.nin, 2);
	close(i[0]), close(i[1]), close(o[0]), close(o[1]);
}

static void
test_files_that_epoll_refuses(void **state)
{
	(void)state;
	char path[] = "/tmp/vmm-test-console-XXXXXX";
	int in = mkstemp(path), null = open("/dev/null", O_RDWR);

	unlink(path);
	assert_int_equal(write(in, "0123456789", 10), 10);
	assert_int_equal(lseek(in, 0, SEEK_SET), 0);
	start(in, null);
	put("x");
	fx.chr->back->set_room(fx.chr, 4);
	run_ms(20);
	assert_int_equal(fx.nin, 4);
	fx.chr->back->set_room(fx.chr, 100);
	run_ms(20);
	assert_int_equal(fx.nin, 10);
	assert_memory_equal(fx.in, "0123456789", 10);
	/* The end of the file has been seen. */
	assert_in_range(run_ms(200), 0, 20000000);
	close(in);
	close(null);
}

static void
test_stopped_reader_costs_no_cpu(void **state)
{
	(void)state;
	int p[2];
	uint8_t buf[1000] = { 0 };

	assert_int_equal(pipe(p), 0);
	start(-1, p[1]);
	while (fx.chr->back->write(fx.chr, buf, sizeof(buf)) == sizeof(buf))
		run_ms(2);
	assert_in_range(run_ms(200), 0, 20000000);
	close(p[0]), close(p[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pipes_both_ways_and_sleep),
		T(test_files_that_epoll_refuses),
		T(test_stopped_reader_costs_no_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
