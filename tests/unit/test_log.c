/* SPDX-License-Identifier: ISC */
/* Messages: levels, one clean line each, the guest's rate limit; and struct err. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "err.h"
#include "log.h"

/* Standard error is a pipe, or a terminal, while a test runs. */
static struct {
	int saved;
	int read_fd;
	char text[8192];
} fx;

static void
capture(int read_fd, int write_fd)
{
	fx.saved = dup(STDERR_FILENO);
	fx.read_fd = read_fd;
	assert_true(fcntl(read_fd, F_SETFL, O_NONBLOCK) == 0);
	assert_true(dup2(write_fd, STDERR_FILENO) >= 0);
	close(write_fd);
}

static int
setup(void **state)
{
	int fd[2];

	(void)state;
	if (pipe(fd) < 0)
		return -1;
	capture(fd[0], fd[1]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	log_set_level(LOG_WARN);
	log_set_crlf(0);
	dup2(fx.saved, STDERR_FILENO);
	close(fx.saved);
	close(fx.read_fd);
	return 0;
}

static const char *
said(void)
{
	struct pollfd pfd = { .fd = fx.read_fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	/* A pty hands on what was written in its own time and in pieces. */
	do {
		n = read(fx.read_fd, fx.text + len, sizeof(fx.text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || poll(&pfd, 1, 50) > 0);
	fx.text[len] = '\0';
	return fx.text;
}

static unsigned
lines(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

static void
test_quiet_by_default(void **state)
{
	(void)state;
	log_info("no");
	log_debug("no");
	assert_string_equal(said(), "");
	log_error("kernel: %s", "gone");
	assert_string_equal(said(), "vmm: kernel: gone\n");
	log_warn("w");
	assert_string_equal(said(), "vmm: warning: w\n");
	log_set_level(LOG_INFO);
	log_info("i");
	log_debug("no");
	assert_string_equal(said(), "vmm: i\n");
	log_set_level(LOG_ERROR);
	log_warn("no");
	assert_string_equal(said(), "");
}

static void
test_a_message_is_one_line_whatever_is_in_it(void **state)
{
	(void)state;
	char big[5000];

	log_error("file a\nb\x1b[31m\rc\td");
	assert_string_equal(said(), "vmm: file a?b?[31m?c\td\n");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_error("%s", big);
	assert_int_equal(lines(said()), 1);
	assert_in_range(strlen(fx.text), 1000, 1024);
	assert_int_equal(fx.text[strlen(fx.text) - 1], '\n');
}

static void
test_a_file_gets_no_carriage_returns(void **state)
{
	(void)state;
	log_set_crlf(1);
	log_error("x");
	assert_string_equal(said(), "vmm: x\n");
}

static void
test_a_raw_terminal_gets_carriage_returns(void **state)
{
	(void)state;
	int master, slave;
	struct termios t;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(slave, TCSANOW, &t), 0);
	capture(master, slave);
	log_set_crlf(1);
	log_error("x");
	log_set_crlf(0);
	log_error("y");
	assert_string_equal(said(), "vmm: x\r\nvmm: y\n");
}

static void
test_a_full_pipe_does_not_hold_a_warning_up(void **state)
{
	(void)state;
	char buf[4096] = { 0 };

	/* Blocking, as standard error is: only one write at a time, until full. */
	assert_true(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0);
	while (write(STDERR_FILENO, buf, sizeof(buf)) > 0)
		;
	assert_true(fcntl(STDERR_FILENO, F_SETFL, 0) == 0);
	alarm(5); /* hanging ends the test */
	log_warn("lost");
	alarm(0);
}

static void
test_guest_gets_a_burst_then_a_line_a_second(void **state)
{
	(void)state;
	struct ratelimit rl = { 0 };

	for (unsigned i = 0; i < 100; i++)
		log_guest(&rl, "disk0", "bad request %u", i);
	assert_int_equal(lines(said()), LOG_GUEST_BURST);
	assert_non_null(strstr(fx.text, "vmm: guest: disk0: bad request 4\n"));

	/* A second passes. */
	rl.next_ns = 1;
	log_guest(&rl, "disk0", "bad request %u", 100u);
	log_guest(&rl, "disk0", "bad request %u", 101u);
	assert_string_equal(said(),
			    "vmm: guest: disk0: bad request 100 (95 more like this "
			    "left out)\n");
	rl.next_ns = 1;
	log_guest(&rl, "disk0", "last");
	assert_string_equal(said(),
			    "vmm: guest: disk0: last (1 more like this left out)\n");
}

static void
test_each_device_has_its_own_limit(void **state)
{
	(void)state;
	struct ratelimit a = { 0 }, b = { 0 };

	for (unsigned i = 0; i < 10; i++)
		log_guest(&a, "a", "x");
	said();
	log_guest(&b, "b", "y");
	assert_string_equal(said(), "vmm: guest: b: y\n");
}

static void
test_the_first_error_wins(void **state)
{
	(void)state;
	struct err e = { 0 };

	assert_int_equal(err_set_status(&e, 2, EINVAL, "%s:%d: bad", "vm.ini", 3),
			 -EINVAL);
	assert_int_equal(err_set(&e, ENOENT, "outer"), -ENOENT);
	assert_string_equal(e.text, "vm.ini:3: bad");
	assert_int_equal(e.status, 2);
}

static void
test_an_error_is_one_line(void **state)
{
	(void)state;
	struct err e = { 0 };
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, EIO, "a\nb%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_memory_equal(e.text, "a?bx", 4);
	assert_int_equal(e.status, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_quiet_by_default),
		T(test_a_message_is_one_line_whatever_is_in_it),
		T(test_a_file_gets_no_carriage_returns),
		cmocka_unit_test_teardown(test_a_raw_terminal_gets_carriage_returns,
					  teardown),
		T(test_a_full_pipe_does_not_hold_a_warning_up),
		T(test_guest_gets_a_burst_then_a_line_a_second),
		T(test_each_device_has_its_own_limit),
		cmocka_unit_test(test_the_first_error_wins),
		cmocka_unit_test(test_an_error_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
