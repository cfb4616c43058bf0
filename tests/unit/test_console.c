/* SPDX-License-Identifier: ISC */
/* The console on pipes, sockets, files and terminals: what it must never do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "console.h"
#include "fake_reactor.h"
#include "util.h"

enum { MS = 1000000 };

static struct {
	struct fake_reactor fr;
	struct console *con;
	struct chr *chr;
	unsigned quits, breaks, writables, changes;
	size_t out_len;
	uint8_t in[16384];
	size_t nin;
	uint8_t out[512 * 1024];
	size_t nout;
} fx;

/* ---- the front ---- */

static void
front_input(void *dev, const uint8_t *buf, size_t len)
{
	assert_ptr_equal(dev, &fx);
	assert_true(fx.nin + len <= sizeof(fx.in));
	memcpy(fx.in + fx.nin, buf, len);
	fx.nin += len;
}

static void
front_writable(void *dev)
{
	assert_ptr_equal(dev, &fx);
	fx.writables++;
}

static void
front_break(void *dev)
{
	assert_ptr_equal(dev, &fx);
	fx.breaks++;
}

static void
front_changed(void *dev)
{
	assert_ptr_equal(dev, &fx);
	fx.changes++;
}

static const struct chr_front_ops front = {
	.input = front_input,
	.writable = front_writable,
	.line_break = front_break,
	.changed = front_changed,
};

static void
on_quit(void *arg)
{
	assert_ptr_equal(arg, &fx);
	fx.quits++;
}

static void
on_output(void *arg, const uint8_t *buf, size_t len)
{
	assert_ptr_equal(arg, &fx);
	assert_non_null(buf);
	fx.out_len += len;
}

static const struct console_ops ops = { on_quit, on_output };

static void
start(int in_fd, int out_fd)
{
	assert_int_equal(console_new(fake_reactor(&fx.fr), in_fd, out_fd, &ops, &fx,
				     &fx.con),
			 0);
	fx.chr = console_chr(fx.con);
	fx.chr->front = &front;
	fx.chr->dev = &fx;
}

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.fr.now_ns = NSEC_PER_SEC;
	signal(SIGPIPE, SIG_IGN);
	alarm(20); /* what blocks, fails */
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	console_free(fx.con);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	for (int fd = 0; fd < 64; fd++)
		assert_int_equal(fake_reactor_watched(&fx.fr, fd), 0);
	alarm(0);
	return 0;
}

static size_t
put(const void *buf, size_t len)
{
	return fx.chr->back->write(fx.chr, buf, len);
}

static void
room(size_t n)
{
	fx.chr->back->set_room(fx.chr, n);
}

/* Passes of the loop until nothing happens. */
static void
settle(void)
{
	do
		fake_reactor_advance(&fx.fr, 2 * MS);
	while (fake_reactor_io(&fx.fr, 0) != 0);
	fake_reactor_advance(&fx.fr, 2 * MS);
}

/* All that is there to read. */
static void
collect(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	while (poll(&pfd, 1, 0) > 0) {
		ssize_t n = read(fd, fx.out + fx.nout, sizeof(fx.out) - fx.nout);

		if (n <= 0)
			return;
		fx.nout += (size_t)n;
	}
}

static void
make_pipe(int fd[2])
{
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
}

static void
close2(const int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

static bool
nonblocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static void
send_all(int fd, const void *buf, size_t len)
{
	assert_int_equal(write(fd, buf, len), (ssize_t)len);
}

/* ---- output ---- */

static void
test_output_goes_out_in_batches(void **state)
{
	(void)state;
	int p[2];

	make_pipe(p);
	start(-1, p[1]);
	assert_int_equal(put("a", 1), 1);
	/* The first after a pause goes in the next pass, */
	fake_reactor_advance(&fx.fr, 0);
	collect(p[0]);
	assert_int_equal(fx.nout, 1);
	assert_int_equal(fx.out_len, 1);
	/* what follows waits for the rest of its line. */
	for (const char *s = "bcdef"; *s; s++) {
		put(s, 1);
		fake_reactor_advance(&fx.fr, 1000);
		collect(p[0]);
		assert_int_equal(fx.nout, 1);
	}
	fake_reactor_advance(&fx.fr, 1 * MS);
	collect(p[0]);
	assert_memory_equal(fx.out, "abcdef", 6);
	assert_int_equal(fx.nout, 6);
	assert_int_equal(fx.out_len, 6);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	close2(p);
}

/* Offers len bytes of a pattern from position pos. */
static size_t
put_pattern(size_t pos, size_t len)
{
	static uint8_t buf[1024];

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((pos + i) * 31 >> 3);
	return put(buf, len);
}

/* A reader that does not read; then it does. */
static void
stopped_reader(int out_fd, int read_fd)
{
	size_t pos = 0, took;

	start(-1, out_fd);
	do {
		took = put_pattern(pos, 1000);
		pos += took;
		fake_reactor_advance(&fx.fr, 2 * MS);
		fake_reactor_io(&fx.fr, 0);
		assert_true(pos < sizeof(fx.out));
	} while (took == 1000);
	assert_int_equal(put("x", 1), 0);
	assert_true(pos >= CONSOLE_OUT_MAX);
	assert_int_equal(fx.writables, 0);
	assert_false(nonblocking(out_fd));

	for (unsigned i = 0; i < 1000 && fx.writables == 0; i++) {
		collect(read_fd);
		settle();
	}
	assert_int_equal(fx.writables, 1);
	pos += put_pattern(pos, 1000);
	for (unsigned i = 0; i < 1000 && fx.nout < pos; i++) {
		settle();
		collect(read_fd);
	}
	assert_int_equal(fx.nout, pos);
	for (size_t i = 0; i < pos; i++)
		assert_int_equal(fx.out[i], (uint8_t)(i * 31 >> 3));
	assert_int_equal(fx.writables, 1);
	/* Nothing left to do: an idle guest costs nothing. */
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	assert_int_equal(fake_reactor_io(&fx.fr, 0), 0);
}

static void
test_pipe_whose_reader_stops_neither_blocks_nor_loses(void **state)
{
	(void)state;
	int p[2];

	make_pipe(p);
	stopped_reader(p[1], p[0]);
	close2(p);
}

static void
test_socket_whose_reader_stops_neither_blocks_nor_loses(void **state)
{
	(void)state;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	stopped_reader(s[1], s[0]);
	close2(s);
}

static void
test_terminal_whose_reader_stops_neither_blocks_nor_loses(void **state)
{
	(void)state;
	int master, slave;
	struct termios t;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &t);
	cfmakeraw(&t);
	tcsetattr(slave, TCSANOW, &t);
	stopped_reader(slave, master);
	close(master);
	close(slave);
}

/* A pty's master cannot be opened anew: it is asked before each write. */
static void
test_description_that_cannot_be_opened_anew_neither_blocks_nor_loses(void **state)
{
	(void)state;
	int master, slave;
	struct termios t;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &t);
	cfmakeraw(&t);
	tcsetattr(slave, TCSANOW, &t);
	stopped_reader(master, slave);
	close(master);
	close(slave);
}

static void
test_closed_reader_is_no_reason_to_stop(void **state)
{
	(void)state;
	int p[2], err[2], saved = dup(STDERR_FILENO);
	char text[1024];

	make_pipe(p);
	make_pipe(err);
	start(-1, p[1]);
	close(p[0]);
	dup2(err[1], STDERR_FILENO);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(put_pattern(0, 1000), 1000);
		settle();
	}
	dup2(saved, STDERR_FILENO);
	ssize_t n = read(err[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	/* one warning */
	assert_non_null(strstr(text, "warning: console: standard output: Broken pipe"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	assert_int_equal(fx.out_len, 0);
	close(saved);
	close2(err);
	close(p[1]);
}

static void
test_files_and_dev_null_take_everything(void **state)
{
	(void)state;
	char path[] = "/tmp/vmm-test-console-XXXXXX";
	int fd = mkstemp(path), null = open("/dev/null", O_RDWR);
	uint8_t c;

	unlink(path);
	start(null, fd);
	put("file\n", 5);
	settle();
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
	/* End of input, and nothing is watched any more. */
	room(16);
	settle();
	assert_int_equal(fx.nin, 0);
	assert_int_equal(fake_reactor_watched(&fx.fr, null), 0);
	console_free(fx.con);

	start(fd, null);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(put_pattern(0, 1000), 1000);
		settle();
	}
	lseek(fd, 0, SEEK_SET);
	room(3);
	settle();
	assert_int_equal(fx.nin, 3);
	room(16);
	settle();
	assert_memory_equal(fx.in, "file\n", 5);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	close(null);
}

static void
test_closed_descriptors_are_like_dev_null(void **state)
{
	(void)state;
	start(-1, -1);
	room(16);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(put_pattern(0, 1000), 1000);
		settle();
	}
	console_flush(fx.con);
	assert_int_equal(fx.nin, 0);
}

static void
test_flush_waits_for_a_slow_reader(void **state)
{
	(void)state;
	int p[2], status;

	make_pipe(p);
	start(-1, p[1]);
	for (unsigned i = 0; i < 120; i++)
		assert_int_equal(put_pattern(0, 1000), 1000), settle();
	pid_t pid = fork();
	if (pid == 0) {
		size_t sum = 0;
		ssize_t n;

		close(p[1]);
		/* What this copy of the console holds must not keep the pipe open. */
		for (int fd = 3; fd < 64; fd++)
			if (fd != p[0])
				close(fd);
		do {
			usleep(10000);
			n = read(p[0], fx.out, 4096);
			sum += n > 0 ? (size_t)n : 0;
		} while (n > 0);
		_exit(sum == 120000 ? 0 : 1);
	}
	console_flush(fx.con);
	console_free(fx.con);
	fx.con = NULL;
	close2(p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_flush_gives_up_on_a_stopped_reader(void **state)
{
	(void)state;
	int p[2];

	make_pipe(p);
	start(-1, p[1]);
	while (put_pattern(0, 1000) == 1000)
		settle();
	alarm(5);
	console_flush(fx.con);
	close2(p);
}

/* ---- input ---- */

static void
test_input_is_read_only_while_there_is_room(void **state)
{
	(void)state;
	int p[2], left;

	make_pipe(p);
	start(p[0], -1);
	send_all(p[1], "0123456789", 10);
	settle();
	assert_int_equal(ioctl(p[0], FIONREAD, &left), 0);
	assert_int_equal(left, 10);
	room(4);
	settle();
	assert_int_equal(fx.nin, 4);
	assert_int_equal(ioctl(p[0], FIONREAD, &left), 0);
	assert_int_equal(left, 6);
	room(0);
	settle();
	assert_int_equal(fx.nin, 4);
	room(100);
	settle();
	assert_int_equal(fx.nin, 10);
	assert_memory_equal(fx.in, "0123456789", 10);
	assert_false(nonblocking(p[0]));
	close2(p);
}

static void
test_pipes_pass_every_byte_unchanged(void **state)
{
	(void)state;
	uint8_t all[260];
	int p[2];

	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	memcpy(all + 256, "\1x\1b", 4);
	make_pipe(p);
	start(p[0], -1);
	room(1000);
	send_all(p[1], all, sizeof(all));
	settle();
	assert_int_equal(fx.nin, sizeof(all));
	assert_memory_equal(fx.in, all, sizeof(all));
	assert_int_equal(fx.quits, 0);
	assert_int_equal(fx.breaks, 0);
	close2(p);
}

static void
test_end_of_input_stops_reading_and_not_the_output(void **state)
{
	(void)state;
	int i[2], o[2];

	make_pipe(i);
	make_pipe(o);
	start(i[0], o[1]);
	room(16);
	send_all(i[1], "bye", 3);
	close(i[1]);
	settle();
	assert_memory_equal(fx.in, "bye", 3);
	assert_int_equal(fake_reactor_io(&fx.fr, 0), 0);
	put("still here", 10);
	settle();
	collect(o[0]);
	assert_int_equal(fx.nout, 10);
	assert_int_equal(fx.quits, 0);
	close(i[0]);
	close2(o);
}

static void
test_one_socket_for_both_ways(void **state)
{
	(void)state;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	start(s[1], s[1]);
	room(16);
	send_all(s[0], "in", 2);
	put("out", 3);
	settle();
	assert_memory_equal(fx.in, "in", 2);
	collect(s[0]);
	assert_memory_equal(fx.out, "out", 3);
	assert_false(nonblocking(s[1]));
	close2(s);
}

/* ---- terminals ---- */

static struct {
	int master, slave;
	struct termios found;
} pty;

static void
open_pty(void)
{
	assert_int_equal(openpty(&pty.master, &pty.slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(pty.slave, &pty.found), 0);
	assert_true(pty.found.c_lflag & ICANON);
}

static void
close_pty(void)
{
	close(pty.master);
	close(pty.slave);
}

static bool
is_raw(void)
{
	struct termios t;

	assert_int_equal(tcgetattr(pty.slave, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_oflag & OPOST);
}

static bool
is_as_found(void)
{
	struct termios t;

	assert_int_equal(tcgetattr(pty.slave, &t), 0);
	return t.c_lflag == pty.found.c_lflag && t.c_iflag == pty.found.c_iflag &&
	       t.c_oflag == pty.found.c_oflag && t.c_cflag == pty.found.c_cflag &&
	       memcmp(t.c_cc, pty.found.c_cc, sizeof(t.c_cc)) == 0;
}

static void
type(const char *s)
{
	send_all(pty.master, s, strlen(s));
	settle();
}

static void
test_terminal_is_raw_and_given_back(void **state)
{
	(void)state;
	open_pty();
	start(pty.slave, pty.slave);
	assert_true(is_raw());
	assert_false(nonblocking(pty.slave));
	console_free(fx.con);
	fx.con = NULL;
	assert_true(is_as_found());
	close_pty();
}

static void
test_size_of_the_terminal_is_known_and_followed(void **state)
{
	(void)state;
	struct winsize ws = { .ws_col = 80, .ws_row = 25 };

	open_pty();
	ioctl(pty.master, TIOCSWINSZ, &ws);
	start(pty.slave, pty.slave);
	assert_int_equal(fx.chr->cols, 80);
	assert_int_equal(fx.chr->rows, 25);
	ws.ws_col = 132;
	ioctl(pty.master, TIOCSWINSZ, &ws);
	assert_int_equal(fake_reactor_signal(&fx.fr, SIGWINCH), 1);
	assert_int_equal(fx.chr->cols, 132);
	assert_int_equal(fx.changes, 1);
	/* a signal for nothing */
	fake_reactor_signal(&fx.fr, SIGWINCH);
	assert_int_equal(fx.changes, 1);
	close_pty();
}

static void
test_restore_gives_the_terminal_back_any_number_of_times(void **state)
{
	(void)state;
	struct termios changed;

	console_restore();
	open_pty();
	start(pty.slave, -1);
	console_restore();
	assert_true(is_as_found());
	/* Only the first time: now it is somebody else's. */
	changed = pty.found;
	changed.c_lflag &= (tcflag_t)~ECHO;
	tcsetattr(pty.slave, TCSANOW, &changed);
	console_restore();
	console_free(fx.con);
	fx.con = NULL;
	assert_false(is_as_found());
	close_pty();
}

static void
test_keys_reach_the_guest_unprocessed(void **state)
{
	(void)state;
	open_pty();
	start(pty.slave, pty.slave);
	room(100);
	type("ls\r\3\4\32\x1b[A");
	assert_int_equal(fx.nin, 9);
	assert_memory_equal(fx.in, "ls\r\3\4\32\x1b[A", 9);
	collect(pty.master);
	assert_int_equal(fx.nout, 0); /* no echo */
	close_pty();
}

static void
test_escape_keys(void **state)
{
	(void)state;
	open_pty();
	start(pty.slave, pty.slave);
	room(100);
	type("a\1");
	type("\1b\1b\1zc");
	assert_int_equal(fx.nin, 4);
	assert_memory_equal(fx.in, "a\1bc", 4);
	assert_int_equal(fx.breaks, 1);
	assert_int_equal(fx.quits, 0);
	type("\1?");
	collect(pty.master);
	assert_non_null(memmem(fx.out, fx.nout, "Ctrl-A x", 8));
	assert_null(memmem(fx.out, fx.nout, "x\n", 2));
	type("\1x");
	assert_int_equal(fx.quits, 1);
	assert_int_equal(fx.nin, 4);
	close_pty();
}

static void
test_escape_works_with_a_guest_that_does_not_listen(void **state)
{
	(void)state;
	open_pty();
	start(pty.slave, -1);
	type("is anybody there");
	type("\1x");
	assert_int_equal(fx.quits, 1);
	assert_int_equal(fx.nin, 0);
	/* and what was typed is not lost */
	room(2);
	settle();
	assert_memory_equal(fx.in, "is", 2);
	assert_int_equal(fx.nin, 2);
	room(100);
	settle();
	assert_int_equal(fx.nin, 16);
	close_pty();
}

static void
test_reading_ahead_is_bounded_and_loses_nothing(void **state)
{
	(void)state;
	char chunk[100];
	size_t sent = 0;

	open_pty();
	start(pty.slave, -1);
	fcntl(pty.master, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 90; i++) {
		memset(chunk, 'a' + (int)(i % 26), sizeof(chunk));
		ssize_t n = write(pty.master, chunk, sizeof(chunk));

		sent += n > 0 ? (size_t)n : 0;
		settle();
	}
	assert_true(sent > CONSOLE_IN_MAX);
	/* A full buffer is not watched: it would turn the loop into a spin. */
	assert_int_equal(fake_reactor_io(&fx.fr, 0), 0);
	for (unsigned i = 0; i < 2000 && fx.nin < sent; i++) {
		room(16);
		settle();
	}
	assert_int_equal(fx.nin, sent);
	for (size_t i = 1; i < sent; i++)
		assert_true(fx.in[i] == fx.in[i - 1] || i % 100 == 0);
	close_pty();
}

/* ---- job control: in a child, for whom the pty is the controlling terminal ---- */

enum { CHILD_OK = 0 };

#define CHECK(x) \
	do { \
		if (!(x)) \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

/* Returns in the child; the parent gets its pid. */
static pid_t
fork_session(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		setsid();
		CHECK(ioctl(pty.slave, TIOCSCTTY, 0) == 0);
	}
	return pid;
}

static void
expect_ok(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

static void
test_stop_gives_the_terminal_back_and_continue_takes_it(void **state)
{
	(void)state;
	int status;

	open_pty();
	pid_t pid = fork_session();
	if (pid == 0) {
		pid_t job = fork();

		/* A stop in an orphaned process group would be discarded. */
		if (job != 0) {
			setpgid(job, job);
			waitpid(job, &status, WUNTRACED);
			CHECK(WIFSTOPPED(status));
			CHECK(is_as_found());
			kill(job, SIGCONT);
			waitpid(job, &status, 0);
			_exit(WEXITSTATUS(status));
		}
		setpgid(0, 0);
		signal(SIGTTOU, SIG_IGN);
		CHECK(tcsetpgrp(pty.slave, getpgrp()) == 0);
		signal(SIGTTOU, SIG_DFL);
		start(pty.slave, -1);
		CHECK(is_raw());
		CHECK(fake_reactor_signal(&fx.fr, SIGTSTP) == 1);
		CHECK(!is_raw());
		CHECK(fake_reactor_signal(&fx.fr, SIGCONT) == 1);
		CHECK(is_raw());
		console_free(fx.con);
		CHECK(is_as_found());
		_exit(CHILD_OK);
	}
	expect_ok(pid);
	close_pty();
}

static void
test_background_job_leaves_the_terminal_alone_until_it_comes_forward(void **state)
{
	(void)state;
	open_pty();
	pid_t pid = fork_session();
	if (pid == 0) {
		int status;
		pid_t job = fork();

		if (job != 0) {
			waitpid(job, &status, WUNTRACED);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
		}
		/* Our own process group; the session leader's has the terminal. */
		setpgid(0, 0);
		start(pty.slave, -1);
		CHECK(is_as_found());
		room(16);
		CHECK(write(pty.master, "x\n", 2) == 2);
		settle(); /* reading would stop us */
		CHECK(fx.nin == 0);
		fake_reactor_advance(&fx.fr, 5 * NSEC_PER_SEC);
		CHECK(is_as_found());
		console_restore();

		signal(SIGTTOU, SIG_IGN);
		CHECK(tcsetpgrp(pty.slave, getpgrp()) == 0);
		signal(SIGTTOU, SIG_DFL);
		fake_reactor_advance(&fx.fr, 2 * NSEC_PER_SEC);
		CHECK(is_raw());
		settle();
		CHECK(fx.nin == 2);
		/* No timer while in front. */
		CHECK(fake_reactor_ntimers(&fx.fr) == 0);
		console_free(fx.con);
		CHECK(is_as_found());
		_exit(CHILD_OK);
	}
	expect_ok(pid);
	close_pty();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_output_goes_out_in_batches),
		T(test_pipe_whose_reader_stops_neither_blocks_nor_loses),
		T(test_socket_whose_reader_stops_neither_blocks_nor_loses),
		T(test_terminal_whose_reader_stops_neither_blocks_nor_loses),
		T(test_description_that_cannot_be_opened_anew_neither_blocks_nor_loses),
		T(test_closed_reader_is_no_reason_to_stop),
		T(test_files_and_dev_null_take_everything),
		T(test_closed_descriptors_are_like_dev_null),
		T(test_flush_waits_for_a_slow_reader),
		T(test_flush_gives_up_on_a_stopped_reader),
		T(test_input_is_read_only_while_there_is_room),
		T(test_pipes_pass_every_byte_unchanged),
		T(test_end_of_input_stops_reading_and_not_the_output),
		T(test_one_socket_for_both_ways),
		T(test_terminal_is_raw_and_given_back),
		T(test_size_of_the_terminal_is_known_and_followed),
		T(test_restore_gives_the_terminal_back_any_number_of_times),
		T(test_keys_reach_the_guest_unprocessed),
		T(test_escape_keys),
		T(test_escape_works_with_a_guest_that_does_not_listen),
		T(test_reading_ahead_is_bounded_and_loses_nothing),
		T(test_stop_gives_the_terminal_back_and_continue_takes_it),
		T(test_background_job_leaves_the_terminal_alone_until_it_comes_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
