/* SPDX-License-Identifier: ISC */
/* Backs of a stream on real pseudo-terminals, sockets and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "chr_back.h"
#include "fake_reactor.h"
#include "log.h"
#include "util.h"

static struct {
	struct fake_reactor fr;
	struct chr *chr;
	char dir[64];
	char path[128];
	unsigned writables, changes;
	bool was_closed;   /* at the last change */
	size_t room_again; /* announced from within input() */
	uint8_t in[16384];
	size_t nin;
} fx;

/* ---- the front ---- */

static void
front_input(void *dev, const uint8_t *buf, size_t len)
{
	struct chr *c = fx.chr;

	assert_ptr_equal(dev, &fx);
	assert_true(fx.nin + len <= sizeof(fx.in));
	memcpy(fx.in + fx.nin, buf, len);
	fx.nin += len;
	if (fx.room_again)
		c->back->set_room(c, fx.room_again);
}

static void
front_writable(void *dev)
{
	assert_ptr_equal(dev, &fx);
	fx.writables++;
}

static void
front_changed(void *dev)
{
	assert_ptr_equal(dev, &fx);
	fx.changes++;
	fx.was_closed = fx.chr->closed;
}

static const struct chr_front_ops front = {
	.input = front_input,
	.writable = front_writable,
	.changed = front_changed,
};

static void
listen_to(struct chr *c)
{
	fx.chr = c;
	c->front = &front;
	c->dev = &fx;
}

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.fr.now_ns = NSEC_PER_SEC;
	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	strcpy(fx.dir, "/tmp/vmm-chr-XXXXXX");
	assert_non_null(mkdtemp(fx.dir));
	snprintf(fx.path, sizeof(fx.path), "%s/x", fx.dir);
	alarm(20); /* what blocks, fails */
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (fx.chr) {
		chr_release(fx.chr);
		chr_free(fx.chr);
	}
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	assert_null(fx.fr.deferred);
	for (int fd = 0; fd < 64; fd++)
		assert_int_equal(fake_reactor_watched(&fx.fr, fd), 0);
	unlink(fx.path);
	assert_int_equal(rmdir(fx.dir), 0);
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
	unsigned passes = 0;

	do {
		assert_true(passes++ < 1000);
		fake_reactor_deferred(&fx.fr);
	} while (fake_reactor_io(&fx.fr, 0) != 0 || fx.fr.deferred);
}

/* Until the back takes no more. */
static size_t
fill_up(void)
{
	static const uint8_t page[4096];
	size_t n, all = 0;

	do {
		n = put(page, sizeof(page));
		all += n;
		assert_true(all < 64 * MiB(1));
	} while (n == sizeof(page));
	return all;
}

static void
empty(int fd, size_t len)
{
	uint8_t buf[4096];

	while (len > 0) {
		ssize_t n = read(fd, buf, len < sizeof(buf) ? len : sizeof(buf));

		assert_true(n > 0);
		len -= (size_t)n;
	}
}

/* ---- socket ---- */

static void
make_socket(void)
{
	struct chr *c;

	assert_int_equal(chr_socket_new(fake_reactor(&fx.fr), "s", fx.path, &c), 0);
	listen_to(c);
}

static int
connect_to_it(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, fx.path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int
client(void)
{
	int fd = connect_to_it();

	settle();
	assert_false(fx.chr->closed);
	return fd;
}

static void
a_socket_is_for_its_owner_and_goes_away_at_the_end(void **state)
{
	struct stat st;

	(void)state;
	umask(0);
	make_socket();
	assert_int_equal(lstat(fx.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	chr_free(fx.chr);
	fx.chr = NULL;
	assert_int_equal(lstat(fx.path, &st), -1);
	umask(022);
}

static void
a_socket_passes_bytes_both_ways(void **state)
{
	char buf[16];
	int fd;

	(void)state;
	make_socket();
	assert_true(fx.chr->closed);
	assert_int_equal(put("lost", 4), 4);
	fd = client();
	assert_int_equal(fx.changes, 1);
	assert_int_equal(put("hello", 5), 5);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(write(fd, "world", 5), 5);
	settle();
	assert_int_equal(fx.nin, 0);
	room(3);
	settle();
	assert_int_equal(fx.nin, 3);
	room(10);
	settle();
	assert_memory_equal(fx.in, "world", 5);
	close(fd);
}

static void
room_announced_from_within_input_is_used_at_once(void **state)
{
	int fd;

	(void)state;
	make_socket();
	fd = client();
	assert_int_equal(write(fd, "0123456789", 10), 10);
	fx.room_again = 4;
	room(4);
	fake_reactor_io(&fx.fr, 0);
	assert_int_equal(fx.nin, 10);
	close(fd);
}

static void
a_client_that_does_not_read_stops_the_stream_and_then_it_goes_on(void **state)
{
	size_t n;
	int fd;

	(void)state;
	make_socket();
	fd = client();
	n = fill_up();
	settle();
	assert_int_equal(fx.writables, 0);
	empty(fd, n);
	settle();
	assert_int_equal(fx.writables, 1);
	/* and nobody is asked again for nothing */
	assert_int_equal(fake_reactor_io(&fx.fr, 0), 0);
	close(fd);
}

static void
a_client_may_go_and_come_back(void **state)
{
	int fd;

	(void)state;
	make_socket();
	room(100);
	fd = client();
	assert_int_equal(write(fd, "bye", 3), 3);
	close(fd);
	settle();
	assert_int_equal(fx.nin, 3);
	assert_true(fx.chr->closed && fx.was_closed);
	assert_int_equal(put("lost", 4), 4);
	fd = client();
	assert_int_equal(fx.changes, 3);
	assert_int_equal(write(fd, "again", 5), 5);
	settle();
	assert_int_equal(fx.nin, 8);
	close(fd);
}

static void
a_client_that_goes_while_output_waits_frees_the_front(void **state)
{
	int fd;

	(void)state;
	make_socket();
	fd = client();
	fill_up();
	close(fd);
	settle();
	assert_true(fx.chr->closed);
	assert_true(fx.writables >= 1);
	assert_int_equal(put("lost", 4), 4);
}

/* Told later: the front is in the middle of its own work. */
static void
a_write_never_calls_the_front(void **state)
{
	int fd;

	(void)state;
	make_socket();
	fd = client();
	close(fd);
	assert_int_equal(put("x", 1), 1);
	assert_int_equal(fx.changes, 1);
	settle();
	assert_int_equal(fx.changes, 2);
}

static void
a_second_client_is_hung_up_on(void **state)
{
	int first, second;
	char c;

	(void)state;
	make_socket();
	first = client();
	second = client();
	assert_int_equal(read(second, &c, 1), 0);
	assert_int_equal(put("x", 1), 1);
	assert_int_equal(read(first, &c, 1), 1);
	close(second);
	/* The first is dead, though the front does not read and so nobody has seen it. */
	close(first);
	second = client();
	assert_int_equal(put("y", 1), 1);
	assert_int_equal(read(second, &c, 1), 1);
	assert_int_equal(c, 'y');
	close(second);
}

static void
a_socket_left_behind_is_replaced_and_one_in_use_is_not(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct chr *other;

	(void)state;
	strcpy(at.sun_path, fx.path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	make_socket();
	assert_int_equal(chr_socket_new(fake_reactor(&fx.fr), "s", fx.path, &other),
			 -EADDRINUSE);
	close(client());
}

static void
a_file_in_the_place_of_a_socket_is_left_alone(void **state)
{
	int fd = open(fx.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct chr *c;

	(void)state;
	close(fd);
	assert_int_equal(chr_socket_new(fake_reactor(&fx.fr), "s", fx.path, &c),
			 -EADDRINUSE);
	assert_int_equal(access(fx.path, F_OK), 0);
}

static void
a_path_too_long_for_a_socket_is_refused(void **state)
{
	char path[200];
	struct chr *c;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(chr_socket_new(fake_reactor(&fx.fr), "s", path, &c),
			 -ENAMETOOLONG);
}

static void
without_descriptors_clients_wait_and_nobody_spins(void **state)
{
	struct rlimit lim, none;
	int fd;

	(void)state;
	make_socket();
	fd = connect_to_it();
	getrlimit(RLIMIT_NOFILE, &lim);
	none = lim;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	/* poll() obeys the limit, too: the callback is called by hand */
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	for (unsigned i = 0; i < FAKE_REACTOR_MAX; i++)
		if (fx.fr.io[i].io)
			fx.fr.io[i].io->cb(fx.fr.io[i].io, REACTOR_READ);
	setrlimit(RLIMIT_NOFILE, &lim);
	assert_int_equal(fake_reactor_io(&fx.fr, 0), 0);
	fake_reactor_advance(&fx.fr, NSEC_PER_SEC);
	settle();
	assert_false(fx.chr->closed);
	close(fd);
}

/* ---- pty ---- */

static void
make_pty(void)
{
	struct chr *c;

	assert_int_equal(chr_pty_new(fake_reactor(&fx.fr), "p", fx.path, &c), 0);
	listen_to(c);
}

static int
open_slave(void)
{
	int fd = open(fx.path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(fd >= 0);
	settle();
	return fd;
}

static void
a_pty_is_raw_and_has_a_link_that_goes_away_at_the_end(void **state)
{
	char to[64] = "";
	struct termios t;
	int fd;

	(void)state;
	make_pty();
	assert_true(readlink(fx.path, to, sizeof(to) - 1) > 0);
	assert_memory_equal(to, "/dev/pts/", 9);
	fd = open_slave();
	assert_int_equal(tcgetattr(fd, &t), 0);
	assert_int_equal(t.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(t.c_oflag & OPOST, 0);
	close(fd);
	settle();
	chr_free(fx.chr);
	fx.chr = NULL;
	assert_int_equal(readlink(fx.path, to, sizeof(to)), -1);
}

static void
a_pty_is_closed_until_somebody_opens_it(void **state)
{
	char buf[16];
	int fd;

	(void)state;
	make_pty();
	room(100);
	settle();
	assert_true(fx.chr->closed);
	assert_int_equal(put("lost", 4), 4);
	fd = open_slave();
	assert_false(fx.chr->closed);
	assert_int_equal(put("hello", 5), 5);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	assert_int_equal(write(fd, "world", 5), 5);
	settle();
	assert_int_equal(fx.nin, 5);
	close(fd);
	settle();
	assert_true(fx.chr->closed && fx.was_closed);
	fd = open_slave();
	assert_false(fx.chr->closed);
	assert_int_equal(put("again", 5), 5);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "again", 5);
	close(fd);
	settle();
	/* An idle one is not looked at. */
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
}

static void
a_pty_that_nobody_reads_stops_and_goes_on(void **state)
{
	int fd;
	size_t n;

	(void)state;
	make_pty();
	fd = open_slave();
	n = fill_up();
	settle();
	assert_int_equal(fx.writables, 0);
	empty(fd, n);
	settle();
	assert_true(fx.writables >= 1);
	fill_up();
	close(fd);
	settle();
	assert_true(fx.chr->closed);
}

static void
a_link_left_behind_is_replaced_and_other_things_are_not(void **state)
{
	struct chr *c;
	int fd;

	(void)state;
	assert_int_equal(symlink("/dev/pts/12345", fx.path), 0);
	make_pty();
	close(open_slave());
	chr_release(fx.chr);
	chr_free(fx.chr);
	fx.chr = NULL;
	assert_int_equal(symlink("/etc/passwd", fx.path), 0);
	assert_int_equal(chr_pty_new(fake_reactor(&fx.fr), "p", fx.path, &c), -EEXIST);
	unlink(fx.path);
	fd = open(fx.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(chr_pty_new(fake_reactor(&fx.fr), "p", fx.path, &c), -EEXIST);
}

/* ---- file ---- */

static void
assert_file(const void *want, size_t len)
{
	static uint8_t got[(1 << 20) + 1];
	int fd = open(fx.path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, got, sizeof(got)), len);
	assert_memory_equal(got, want, len);
	close(fd);
}

static void
a_file_is_private_and_is_added_to(void **state)
{
	struct stat st;
	struct chr *c;

	(void)state;
	umask(0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", fx.path, &c), 0);
		listen_to(c);
		room(100);
		assert_int_equal(put(i ? "two" : "one", 3), 3);
		chr_release(c);
		chr_free(c);
		fx.chr = NULL;
	}
	umask(022);
	assert_int_equal(stat(fx.path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_file("onetwo", 6);
}

/* By the limit on the size of a file, as a full disk would. */
static void
a_full_disk_loses_output_and_stops_nobody(void **state)
{
	struct rlimit lim, small;
	struct chr *c;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", fx.path, &c), 0);
	listen_to(c);
	log_set_level(LOG_ERROR);
	getrlimit(RLIMIT_FSIZE, &lim);
	small = lim;
	small.rlim_cur = 4;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(put("0123456789", 10), 10);
	assert_int_equal(put("x", 1), 1);
	while (fake_reactor_op(&fx.fr))
		;
	setrlimit(RLIMIT_FSIZE, &lim);
	assert_int_equal(put("yz", 2), 2);
	assert_true(fake_reactor_op(&fx.fr));
	assert_file("0123yz", 6);
}

/* No operation ends until the test says so. */
static void
a_slow_disk_holds_output_back_and_loses_nothing(void **state)
{
	static uint8_t all[1 << 20];
	size_t taken = 0, n;
	struct chr *c;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i % 251);
	assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", fx.path, &c), 0);
	listen_to(c);
	for (;;) {
		while ((n = put(all + taken, sizeof(all) - taken)) > 0)
			taken += n;
		assert_int_equal(fx.writables, 0);
		if (taken == sizeof(all))
			break;
		assert_true(fake_reactor_op(&fx.fr));
		assert_int_equal(fx.writables, 1);
		fx.writables = 0;
	}
	/* the rest at the end, without a loop */
	chr_release(c);
	chr_free(c);
	fx.chr = NULL;
	assert_null(fx.fr.op);
	assert_file(all, sizeof(all));
}

static void
only_regular_files_are_written_to(void **state)
{
	struct chr *c;

	(void)state;
	assert_int_equal(mkfifo(fx.path, 0600), 0);
	assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", fx.path, &c), -ENOTSUP);
	assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", "/dev/null", &c),
			 -ENOTSUP);
	assert_int_equal(chr_file_new(fake_reactor(&fx.fr), "f", fx.dir, &c), -EISDIR);
}

/* ---- nothing ---- */

static void
the_null_back_takes_everything(void **state)
{
	struct chr c;

	(void)state;
	chr_null_init(&c);
	listen_to(&c);
	assert_false(c.closed);
	assert_int_equal(put("x", 1), 1);
	chr_release(&c);
	assert_null(c.front);
	chr_free(&c);
	fx.chr = NULL;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_socket_is_for_its_owner_and_goes_away_at_the_end),
		T(a_socket_passes_bytes_both_ways),
		T(room_announced_from_within_input_is_used_at_once),
		T(a_client_that_does_not_read_stops_the_stream_and_then_it_goes_on),
		T(a_client_may_go_and_come_back),
		T(a_client_that_goes_while_output_waits_frees_the_front),
		T(a_write_never_calls_the_front),
		T(a_second_client_is_hung_up_on),
		T(a_socket_left_behind_is_replaced_and_one_in_use_is_not),
		T(a_file_in_the_place_of_a_socket_is_left_alone),
		T(a_path_too_long_for_a_socket_is_refused),
		T(without_descriptors_clients_wait_and_nobody_spins),
		T(a_pty_is_raw_and_has_a_link_that_goes_away_at_the_end),
		T(a_pty_is_closed_until_somebody_opens_it),
		T(a_pty_that_nobody_reads_stops_and_goes_on),
		T(a_link_left_behind_is_replaced_and_other_things_are_not),
		T(a_file_is_private_and_is_added_to),
		T(a_full_disk_loses_output_and_stops_nobody),
		T(a_slow_disk_holds_output_back_and_loses_nothing),
		T(only_regular_files_are_written_to),
		T(the_null_back_takes_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
