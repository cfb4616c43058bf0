/* SPDX-License-Identifier: ISC */
/* Disks on block devices: loop devices, which only root can make. Skipped
 * without. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk_asked.h"
#include "disk_open.h"
#include "err.h"
#include "log.h"
#include "reactor.h"
#include "util.h"

enum { SIZE = 4 << 20 };

struct fixture {
	char image[32], device[64];
	struct reactor *r;
	struct disk *d;
};

static void
tear_down(struct fixture *f)
{
	char cmd[96];

	if (f->d)
		f->d->ops->free(f->d);
	reactor_free(f->r);
	snprintf(cmd, sizeof(cmd), "losetup -d %s", f->device);
	if (f->device[0])
		assert_int_equal(system(cmd), 0);
	unlink(f->image);
}

/* False: no loop devices here. */
static bool
set_up(struct fixture *f, unsigned block)
{
	char cmd[128];
	FILE *out;
	int fd;

	*f = (struct fixture){ .image = "/var/tmp/vmm-loop-XXXXXX" };
	fd = mkstemp(f->image);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	assert_int_equal(reactor_new(&f->r), 0);
	snprintf(cmd, sizeof(cmd), "losetup -b %u --show -f %s 2>/dev/null", block,
		 f->image);
	out = popen(cmd, "r");
	if (out && fgets(f->device, sizeof(f->device), out))
		f->device[strcspn(f->device, "\n")] = '\0';
	if (out)
		pclose(out);
	if (f->device[0])
		return true;
	tear_down(f);
	return false;
}

static int
open_as(struct fixture *f, struct disk_config cfg, struct err *e)
{
	cfg.path = f->device;
	*e = (struct err){ 0 };
	return disk_open(f->r, &cfg, &f->d, e);
}

static int
ask(struct fixture *f, enum disk_op op, uint64_t off, void *buf, uint64_t len)
{
	struct iovec v = { buf, len };
	struct asked a = { .rq = { .op = op,
				   .off = off,
				   .len = len,
				   .iov = &v,
				   .niov = 1,
				   .unmap = true } };

	return asked_drained(f->d, &a);
}

static void
try_device(unsigned block, enum disk_cache cache)
{
	static _Alignas(4096) uint8_t out[65536], in[65536], zero[65536];
	struct fixture f;
	struct err e;

	if (!set_up(&f, block))
		skip();
	if (open_as(&f, (struct disk_config){ .cache = cache, .discard = true }, &e))
		fail_msg("%s", e.text);
	assert_int_equal(f.d->info.size, SIZE);
	assert_int_equal(f.d->info.block, block);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(ask(&f, DISK_WRITE, SIZE - sizeof(out), out, sizeof(out)), 0);
	assert_int_equal(ask(&f, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(ask(&f, DISK_READ, SIZE - sizeof(in), in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(ask(&f, DISK_WRITE_ZEROES, SIZE - sizeof(in), NULL, sizeof(in)),
			 0);
	assert_int_equal(ask(&f, DISK_READ, SIZE - sizeof(in), in, sizeof(in)), 0);
	assert_memory_equal(in, zero, sizeof(in));
	assert_int_equal(ask(&f, DISK_DISCARD, 0, NULL, MiB(1)), 0);
	/* An odd place in memory, which O_DIRECT would not take. */
	assert_int_equal(ask(&f, DISK_WRITE, 0, out + 1, block), 0);
	assert_int_equal(ask(&f, DISK_READ, 0, in + 3, block), 0);
	assert_memory_equal(in + 3, out + 1, block);
	tear_down(&f);
}

static void
test_a_block_device_keeps_what_was_written(void **state)
{
	(void)state;
	try_device(512, DISK_CACHE_WRITEBACK);
	try_device(512, DISK_CACHE_NONE);
}

static void
test_a_device_of_large_blocks_is_shown_as_one(void **state)
{
	(void)state;
	try_device(4096, DISK_CACHE_WRITEBACK);
	try_device(4096, DISK_CACHE_NONE);
}

static void
test_a_device_that_the_host_uses_is_not_written(void **state)
{
	struct fixture f;
	struct err e;
	int fd;

	(void)state;
	if (!set_up(&f, 512))
		skip();
	fd = open(f.device, O_RDWR | O_EXCL | O_CLOEXEC); /* as a mount does */
	assert_true(fd >= 0);
	assert_int_equal(open_as(&f, (struct disk_config){ 0 }, &e), -EBUSY);
	assert_non_null(strstr(e.text, "in use by the host"));
	if (open_as(&f, (struct disk_config){ .readonly = true }, &e))
		fail_msg("%s", e.text);
	close(fd);
	tear_down(&f);
}

/* Runs everywhere. */
static void
test_a_device_that_is_not_there_is_named(void **state)
{
	struct fixture f = { .device = "/dev/vmm-no-such-device" };
	struct err e;

	(void)state;
	assert_int_equal(reactor_new(&f.r), 0);
	assert_int_equal(open_as(&f, (struct disk_config){ 0 }, &e), -ENOENT);
	assert_non_null(strstr(e.text, f.device));
	reactor_free(f.r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_block_device_keeps_what_was_written),
		cmocka_unit_test(test_a_device_of_large_blocks_is_shown_as_one),
		cmocka_unit_test(test_a_device_that_the_host_uses_is_not_written),
		cmocka_unit_test(test_a_device_that_is_not_there_is_named),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests_name("disk_block", tests, NULL, NULL);
}
