/* SPDX-License-Identifier: ISC */
/* Disks of NBD servers: nbdkit and qemu-nbd. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/full/disk_nbd.h"
#include "disk_asked.h"
#include "disk_open.h"
#include "err.h"
#include "log.h"
#include "util.h"

enum { SIZE = 8 << 20 };

struct fixture {
	char dir[64], socket[96], uri[160];
	pid_t server;
	struct reactor *r;
	struct disk *d;
};

/* ---- servers ---- */

static bool
somebody_listens(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	yes = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
	close(fd);
	return yes;
}

static void
run_server(struct fixture *f, const char *const *argv)
{
	f->server = fork();
	if (f->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		fprintf(stderr, "%s: %s (scripts/deps check installs it)\n", argv[0],
			strerror(errno));
		_exit(127);
	}
	for (unsigned i = 0; i < 500; i++) {
		if (somebody_listens(f->socket))
			return;
		if (waitpid(f->server, NULL, WNOHANG) == f->server)
			fail_msg("%s does not run", argv[0]);
		usleep(10000);
	}
	fail_msg("%s does not listen", argv[0]);
}

static void
set_up(struct fixture *f)
{
	snprintf(f->dir, sizeof(f->dir), "/tmp/vmm-nbd-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->socket, sizeof(f->socket), "%s/s", f->dir);
	snprintf(f->uri, sizeof(f->uri), "nbd+unix:///?socket=%s", f->socket);
	assert_int_equal(reactor_new(&f->r), 0);
}

static void
start_nbdkit(struct fixture *f, const char *filter, const char *parameter)
{
	const char *argv[] = {
		"nbdkit", "-f", "-U",      f->socket, filter ? filter : "-n",
		"memory", "8M", parameter, NULL,
	};

	set_up(f);
	run_server(f, argv);
}

static void
tear_down(struct fixture *f)
{
	char cmd[96];

	if (f->d)
		f->d->ops->free(f->d);
	reactor_free(f->r);
	if (f->server > 0) {
		kill(f->server, SIGKILL);
		waitpid(f->server, NULL, 0);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->dir);
	assert_int_equal(system(cmd), 0);
}

static int
open_as(struct fixture *f, const struct disk_config *cfg, struct err *e)
{
	struct disk_config c = *cfg;

	c.path = f->uri;
	*e = (struct err){ 0 };
	return disk_open(f->r, &c, &f->d, e);
}

static void
open_ok(struct fixture *f, const struct disk_config *cfg)
{
	struct err e;

	if (open_as(f, cfg, &e))
		fail_msg("%s", e.text);
}

/* ---- requests ---- */

static int
move(struct fixture *f, enum disk_op op, uint64_t off, struct iovec *v, unsigned n)
{
	struct asked a = { .rq = { .op = op, .off = off, .iov = v, .niov = n } };

	for (unsigned i = 0; i < n; i++)
		a.rq.len += v[i].iov_len;
	return asked_awaited(f->d, f->r, &a);
}

static int
range(struct fixture *f, enum disk_op op, uint64_t off, uint64_t len, bool unmap)
{
	struct asked a = { .rq = { .op = op, .off = off, .len = len, .unmap = unmap } };

	return asked_awaited(f->d, f->r, &a);
}

static void
fill(uint8_t *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed * 31 + i * 7 + i / 251);
}

/* ---- what works ---- */

static void
check_contents(struct fixture *f)
{
	static uint8_t out[4 << 20], in[4 << 20];
	struct iovec whole = { in, sizeof(in) };
	/* Odd pieces, small and large: some through the buffer, some straight. */
	static const size_t pieces[] = {
		1, 511, 4096, 300001, 700000, 512, 1 << 20, 0, 3
	};
	struct iovec v[ARRAY_SIZE(pieces) + 1];
	size_t at = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); at += pieces[i++])
		v[i] = (struct iovec){ out + at, pieces[i] };
	v[ARRAY_SIZE(pieces)] = (struct iovec){ out + at, sizeof(out) - at };
	fill(out, sizeof(out), 5);
	assert_int_equal(move(f, DISK_WRITE, 512, v, ARRAY_SIZE(v)), 0);
	assert_int_equal(range(f, DISK_FLUSH, 0, 0, false), 0);
	assert_int_equal(move(f, DISK_READ, 512, &whole, 1), 0);
	assert_memory_equal(in, out, sizeof(in));
	memset(out, 0, sizeof(out));
	assert_int_equal(move(f, DISK_READ, 512, v, ARRAY_SIZE(v)), 0);
	assert_memory_equal(in, out, sizeof(in));

	assert_int_equal(range(f, DISK_WRITE_ZEROES, 1024, MiB(1), false), 0);
	assert_int_equal(range(f, DISK_WRITE_ZEROES, MiB(2), MiB(1), true), 0);
	assert_int_equal(range(f, DISK_DISCARD, MiB(3), 512, false), 0);
	assert_int_equal(range(f, DISK_DISCARD, 0, 0, false), 0);
	memset(out + 512, 0, MiB(1));
	memset(out + MiB(2) - 512, 0, MiB(1));
	assert_int_equal(move(f, DISK_READ, 512, &whole, 1), 0);
	assert_memory_equal(in, out, MiB(3) - 512);
}

static void
test_nbdkit_keeps_what_was_written(void **state)
{
	struct fixture f = { .d = NULL };

	(void)state;
	start_nbdkit(&f, NULL, NULL);
	open_ok(&f, &(struct disk_config){ .discard = true });
	assert_int_equal(f.d->info.size, SIZE);
	assert_int_equal(f.d->info.block, 512);
	assert_true(f.d->info.discard);
	check_contents(&f);
	tear_down(&f);
}

static void
test_a_server_that_cannot_zero_and_takes_small_requests(void **state)
{
	struct fixture f = { .d = NULL };
	const char *argv[] = {
		"nbdkit",
		"-f",
		"-U",
		NULL,
		"--filter=nozero",

		"--filter=blocksize-policy",
		"memory",
		"8M",
		"blocksize-minimum=512",
		"blocksize-preferred=4096",
		"blocksize-maximum=65536",
		"blocksize-error-policy=error",
		NULL,
	};

	(void)state;
	set_up(&f);
	argv[3] = f.socket;
	run_server(&f, argv);
	open_ok(&f, &(struct disk_config){ .cache = DISK_CACHE_UNSAFE });
	assert_false(f.d->info.discard);
	check_contents(&f); /* and no request is larger than the server takes */
	tear_down(&f);
}

static void
test_qemu_nbd_brings_qcow2(void **state)
{
	struct fixture f = { .d = NULL };
	char image[96], cmd[256];
	const char *argv[] = { "qemu-nbd",        "-t", "-k", NULL, "-f", "qcow2",
			       "--discard=unmap", NULL, NULL };

	(void)state;
	set_up(&f);
	snprintf(image, sizeof(image), "%s/disk.qcow2", f.dir);
	snprintf(cmd, sizeof(cmd), "qemu-img create -q -f qcow2 %s 8M", image);
	assert_int_equal(system(cmd), 0);
	argv[3] = f.socket;
	argv[7] = image;
	run_server(&f, argv);
	open_ok(&f, &(struct disk_config){ .discard = true });
	assert_int_equal(f.d->info.size, SIZE);
	check_contents(&f);
	tear_down(&f);
}

static void
test_more_requests_than_slots_are_each_answered_once(void **state)
{
	enum { MANY = 500 };
	static struct asked a[MANY];
	static struct iovec v[MANY][2];
	static uint8_t buf[MANY][1024];
	struct fixture f = { .d = NULL };

	(void)state;
	start_nbdkit(&f, NULL, NULL);
	open_ok(&f, &(struct disk_config){ 0 });
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			memset(buf[i], round == 0 ? (int)i : 0, sizeof(buf[i]));
			v[i][0] = (struct iovec){ buf[i], 100 };
			v[i][1] = (struct iovec){ buf[i] + 100, 924 };
			a[i] = (struct asked){ .rq = { .op = round == 0 ? DISK_WRITE
									: DISK_READ,
						       .off = i * 1024ull,
						       .len = 1024,
						       .iov = v[i],
						       .niov = 2 } };
			asked_submit(f.d, &a[i]);
		}
		f.d->ops->drain(f.d);
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(a[i].calls, 1);
			assert_int_equal(a[i].err, 0);
			assert_int_equal(buf[i][0], (uint8_t)i);
			assert_int_equal(buf[i][1023], (uint8_t)i);
		}
	}
	tear_down(&f);
}

/* ---- what goes wrong ---- */

static void
test_errors_of_the_server_are_errors(void **state)
{
	static uint8_t buf[4096];
	struct iovec v = { buf, sizeof(buf) };
	struct fixture f = { .d = NULL };

	(void)state;
	start_nbdkit(&f, "--filter=error", "error-rate=100%");
	open_ok(&f, &(struct disk_config){ .discard = true });
	assert_int_equal(move(&f, DISK_READ, 0, &v, 1), -EIO);
	assert_int_equal(move(&f, DISK_WRITE, 0, &v, 1), -EIO);
	assert_int_equal(range(&f, DISK_WRITE_ZEROES, 0, 4096, false), -EIO);
	assert_int_equal(range(&f, DISK_DISCARD, 0, 4096, false), -EIO);
	tear_down(&f);
}

static void
test_a_server_that_is_killed_fails_what_is_out_and_what_comes(void **state)
{
	enum { MANY = 40 };
	static struct asked a[MANY];
	static uint8_t buf[512];
	struct iovec v = { buf, sizeof(buf) };
	struct fixture f = { .d = NULL };

	(void)state;
	start_nbdkit(&f, "--filter=delay", "rdelay=60");
	open_ok(&f, &(struct disk_config){ 0 });
	for (unsigned i = 0; i < MANY; i++) {
		a[i] = (struct asked){
			.rq = { .op = DISK_READ, .len = 512, .iov = &v, .niov = 1 }
		};
		asked_submit(f.d, &a[i]);
	}
	reactor_run_once(f.r, false);
	kill(f.server, SIGKILL);
	while (a[MANY - 1].calls == 0)
		reactor_run_once(f.r, true);
	f.d->ops->drain(f.d);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(a[i].calls, 1);
		assert_true(a[i].err < 0);
	}
	assert_int_equal(move(&f, DISK_WRITE, 0, &v, 1), -EIO);
	assert_int_equal(range(&f, DISK_FLUSH, 0, 0, false), -EIO);
	tear_down(&f);
}

static void
test_a_server_that_stops_answering_does_not_hold_a_drain(void **state)
{
	static uint8_t buf[512];
	struct iovec v = { buf, sizeof(buf) };
	struct asked a = { .rq = { .op = DISK_READ, .len = 512, .iov = &v, .niov = 1 } };
	struct fixture f = { .d = NULL };

	(void)state;
	start_nbdkit(&f, "--filter=delay", "rdelay=60");
	open_ok(&f, &(struct disk_config){ 0 });
	container_of(f.d, struct disk_nbd, disk)->drain_steps = 1;
	asked_submit(f.d, &a);
	f.d->ops->drain(f.d);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, -EIO);
	a.calls = 0;
	assert_int_equal(asked_awaited(f.d, f.r, &a), -EIO);
	tear_down(&f);
}

static void
test_who_cannot_be_a_disk_is_named(void **state)
{
	struct fixture f = { .d = NULL };
	struct err e;

	(void)state;
	set_up(&f);
	assert_true(open_as(&f, &(struct disk_config){ 0 }, &e) < 0);
	assert_non_null(strstr(e.text, f.uri)); /* nobody there */
	assert_null(f.d);
	snprintf(f.uri, sizeof(f.uri), "nbd+unix:///?socket=");
	assert_true(open_as(&f, &(struct disk_config){ .where = "vm.ini:3" }, &e) < 0);
	assert_non_null(strstr(e.text, "vm.ini:3: nbd"));
	tear_down(&f);

	start_nbdkit(&f, "-r", NULL);
	assert_int_equal(open_as(&f, &(struct disk_config){ 0 }, &e), -EROFS);
	assert_non_null(strstr(e.text, "readonly = yes"));
	open_ok(&f, &(struct disk_config){ .readonly = true });
	tear_down(&f);
}

static void
test_uris_are_told_from_paths(void **state)
{
	(void)state;
	assert_true(disk_is_nbd("nbd://host/name"));
	assert_true(disk_is_nbd("nbd+unix:///?socket=/s"));
	assert_false(disk_is_nbd("nbd.img"));
	assert_false(disk_is_nbd("/dev/nbd0"));
	assert_false(disk_is_nbd("nbd:/x"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nbdkit_keeps_what_was_written),
		cmocka_unit_test(test_a_server_that_cannot_zero_and_takes_small_requests),
		cmocka_unit_test(test_qemu_nbd_brings_qcow2),
		cmocka_unit_test(test_more_requests_than_slots_are_each_answered_once),
		cmocka_unit_test(test_errors_of_the_server_are_errors),
		cmocka_unit_test(
			test_a_server_that_is_killed_fails_what_is_out_and_what_comes),
		cmocka_unit_test(
			test_a_server_that_stops_answering_does_not_hold_a_drain),
		cmocka_unit_test(test_who_cannot_be_a_disk_is_named),
		cmocka_unit_test(test_uris_are_told_from_paths),
	};

	log_set_level(LOG_ERROR); /* failed requests warn */
	return cmocka_run_group_tests_name("disk_nbd", tests, NULL, NULL);
}
