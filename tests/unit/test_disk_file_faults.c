/* SPDX-License-Identifier: ISC */
/*
 * Requests to a file whose operations go wrong, one at a time: the reactor is a fake that
 * carries an operation out when the test says so, or says that it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk_asked.h"
#include "disk_open.h"
#include "err.h"
#include "fake_reactor.h"
#include "log.h"
#include "util.h"

enum { SIZE = 256 << 10 };

/* ---- operations: in this test's hands ---- */

static struct {
	struct reactor_op *op; /* one at a time */
	unsigned count;        /* so many were submitted */
	unsigned fail_at;      /* this one fails, counted from 1; 0: none */
	int with;
	size_t at_most; /* bytes of each; 0: all */
	enum reactor_op_code last;
	enum reactor_way last_way;
	int last_mode;
} ops;

void
reactor_submit(struct reactor *r, struct reactor_op *op)
{
	(void)r;
	assert_null(ops.op);
	ops.op = op;
	ops.count++;
	ops.last = op->code;
	ops.last_way = op->way;
	ops.last_mode = op->mode;
}

void
reactor_file_add(struct reactor *r, int fd)
{
	(void)r;
	(void)fd;
}

void
reactor_file_drop(struct reactor *r, int fd)
{
	(void)r;
	(void)fd;
}

static int
carry_out(const struct reactor_op *op)
{
	struct iovec v = op->niov > 0 ? op->iov[0] : (struct iovec){ 0 };
	ssize_t n = -1;

	if (ops.at_most > 0 && v.iov_len > ops.at_most)
		v.iov_len = ops.at_most;
	switch (op->code) {
	case REACTOR_READV: /* always a short one, of one piece */
		n = preadv(op->fd, &v, 1, (off_t)op->off);
		break;
	case REACTOR_WRITEV:
		n = pwritev(op->fd, &v, 1, (off_t)op->off);
		break;
	case REACTOR_FDATASYNC:
		n = 0;
		break;
	case REACTOR_FALLOCATE:
		n = fallocate(op->fd, op->mode, (off_t)op->off, (off_t)op->len);
		break;
	case REACTOR_BLKDISCARD:
		errno = ENOTTY;
		break;
	}
	return n < 0 ? -errno : (int)n;
}

/* False: nothing is in flight. */
bool
reactor_op_wait(struct reactor *r)
{
	struct reactor_op *op = ops.op;

	(void)r;
	if (!op)
		return false;
	ops.op = NULL;
	op->done(op, ops.count == ops.fail_at ? ops.with : carry_out(op));
	return true;
}

/* ---- a disk ---- */

struct fixture {
	struct fake_reactor r;
	char path[64];
	struct disk *d;
};

static void
set_up(struct fixture *f, const struct disk_config *cfg)
{
	struct disk_config c = *cfg;
	struct err e = { 0 };
	int fd;

	memset(f, 0, sizeof(*f));
	memset(&ops, 0, sizeof(ops));
	snprintf(f->path, sizeof(f->path), "/var/tmp/vmm-fault-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	c.path = f->path;
	if (disk_open(fake_reactor(&f->r), &c, &f->d, &e))
		fail_msg("%s", e.text);
}

static void
tear_down(struct fixture *f)
{
	f->d->ops->free(f->d);
	unlink(f->path);
}

static int
ask(struct fixture *f, enum disk_op op, uint64_t off, uint64_t len, struct iovec *v,
    unsigned n)
{
	struct asked a = { .rq = { .op = op,
				   .off = off,
				   .len = len,
				   .iov = v,
				   .niov = n,
				   .unmap = true } };
	int err = asked_drained(f->d, &a);

	assert_null(ops.op);
	return err;
}

static int
move(struct fixture *f, enum disk_op op, uint8_t *buf)
{
	struct iovec v[] = { { buf, 1000 }, { buf + 1000, 3096 }, { buf + 4096, 4096 } };

	return ask(f, op, 4096, 8192, v, ARRAY_SIZE(v));
}

/* ---- the n-th operation fails ---- */

static unsigned
operations_of(struct fixture *f, enum disk_op op, uint8_t *buf)
{
	ops.count = ops.fail_at = 0;
	if (op == DISK_READ || op == DISK_WRITE)
		assert_int_equal(move(f, op, buf), 0);
	else
		assert_int_equal(ask(f, op, 0, SIZE, NULL, 0), 0);
	return ops.count;
}

static void
test_whichever_operation_fails_the_request_fails_once(void **state)
{
	static const int with[] = { -EIO, -ENOSPC, -EDQUOT };
	static _Alignas(4096) uint8_t buf[8192];

	(void)state;
	for (unsigned op = 0; op < DISK_OPS; op++)
		for (unsigned w = 0; w < ARRAY_SIZE(with); w++) {
			struct fixture f;

			if (op == DISK_FLUSH)
				continue;
			set_up(&f, &(struct disk_config){ .discard = true });
			ops.at_most = 1500;
			unsigned n = operations_of(&f, (enum disk_op)op, buf);
			assert_true(n >= (op <= DISK_WRITE ? 6 : 1));
			for (unsigned i = 1; i <= n; i++) {
				ops.count = 0;
				ops.fail_at = i;
				ops.with = with[w];
				if (op <= DISK_WRITE)
					assert_int_equal(move(&f, (enum disk_op)op, buf),
							 with[w]);
				else
					assert_int_equal(ask(&f, (enum disk_op)op, 0,
							     SIZE, NULL, 0),
							 with[w]);
				assert_int_equal(ops.count, i); /* and nothing after */
			}
			/* The disk goes on. */
			operations_of(&f, (enum disk_op)op, buf);
			tear_down(&f);
		}
}

static void
test_nothing_moved_is_an_error(void **state)
{
	static uint8_t buf[8192];
	struct fixture f;

	(void)state;
	set_up(&f, &(struct disk_config){ 0 });
	ops.fail_at = 2;
	ops.with = 0;
	assert_int_equal(move(&f, DISK_WRITE, buf), -EIO);
	ops.count = 0;
	assert_int_equal(move(&f, DISK_READ, buf), -EIO);
	tear_down(&f);
}

static void
test_an_operation_that_was_interrupted_is_done_again(void **state)
{
	static const int with[] = { -EINTR, -EAGAIN };
	static uint8_t out[8192], in[8192];
	struct fixture f;

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(with); w++) {
		set_up(&f, &(struct disk_config){ 0 });
		memset(out, 0x31 + (int)w, sizeof(out));
		assert_int_equal(move(&f, DISK_WRITE, out), 0);
		for (unsigned i = 1; i <= 3; i++) {
			memset(in, 0, sizeof(in));
			ops.count = 0;
			ops.fail_at = i;
			ops.with = with[w];
			assert_int_equal(move(&f, DISK_READ, in), 0);
			assert_memory_equal(in, out, sizeof(in));
		}
		tear_down(&f);
	}
}

/* ---- flush ---- */

static void
test_a_flush_is_asked_for_unless_it_was_not_wanted(void **state)
{
	static const struct {
		struct disk_config cfg;
		unsigned ops;
	} cases[] = {
		{ { .cache = DISK_CACHE_WRITEBACK }, 1 },
		{ { .cache = DISK_CACHE_NONE }, 1 },
		{ { .cache = DISK_CACHE_UNSAFE }, 0 },
		{ { .readonly = true }, 0 },
	};
	struct fixture f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up(&f, &cases[i].cfg);
		assert_int_equal(ask(&f, DISK_FLUSH, 0, 0, NULL, 0), 0);
		assert_int_equal(ops.count, cases[i].ops);
		if (ops.count > 0)
			assert_int_equal(ops.last, REACTOR_FDATASYNC);
		tear_down(&f);
	}
}

/* The kernel says it once: what it could not write is then clean, and lost. */
static void
test_after_a_flush_that_failed_none_succeeds(void **state)
{
	static uint8_t buf[8192];
	struct fixture f;

	(void)state;
	set_up(&f, &(struct disk_config){ 0 });
	ops.fail_at = 1;
	ops.with = -EIO;
	assert_int_equal(ask(&f, DISK_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(ask(&f, DISK_FLUSH, 0, 0, NULL, 0), -EIO);
	assert_int_equal(move(&f, DISK_READ, buf), 0);
	tear_down(&f);
}

/* ---- what a file system cannot ---- */

static void
test_what_the_file_system_cannot_is_done_otherwise(void **state)
{
	static uint8_t buf[8192], in[8192];
	struct fixture f;

	(void)state;
	set_up(&f, &(struct disk_config){ .discard = true });
	memset(buf, 9, sizeof(buf));
	assert_int_equal(move(&f, DISK_WRITE, buf), 0);
	ops.count = 0;
	ops.fail_at = 1;
	ops.with = -EOPNOTSUPP;
	assert_int_equal(ask(&f, DISK_WRITE_ZEROES, 0, SIZE, NULL, 0), 0);
	assert_int_equal(ops.count, 2);
	assert_int_equal(ops.last, REACTOR_FALLOCATE); /* no hole, but zeroes */
	assert_int_equal(ops.last_mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(move(&f, DISK_READ, in), 0);
	assert_memory_equal(in, buf, sizeof(in));

	ops.count = 0;
	ops.fail_at = 1;
	assert_int_equal(ask(&f, DISK_WRITE_ZEROES, 0, SIZE, NULL, 0), 0);
	assert_int_equal(ops.last, REACTOR_WRITEV); /* nor these: written */
	ops.count = 0;
	assert_int_equal(ask(&f, DISK_DISCARD, 0, SIZE, NULL, 0), 0);
	assert_int_equal(ops.count, 0); /* it was only a hint */
	tear_down(&f);
}

static void
test_a_discard_that_the_file_system_cannot_is_no_error(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, &(struct disk_config){ .discard = true });
	ops.fail_at = 1;
	ops.with = -EOPNOTSUPP;
	assert_int_equal(ask(&f, DISK_DISCARD, 0, SIZE, NULL, 0), 0);
	assert_int_equal(ops.count, 1);
	tear_down(&f);
}

/* A file system that wants more alignment than it said. */
static void
test_what_o_direct_refuses_goes_by_the_page_cache(void **state)
{
	static _Alignas(4096) uint8_t buf[4096];
	struct iovec v = { buf, sizeof(buf) };
	struct fixture f;

	(void)state;
	set_up(&f, &(struct disk_config){ .cache = DISK_CACHE_NONE });
	ops.fail_at = 1;
	ops.with = -EINVAL;
	assert_int_equal(ask(&f, DISK_READ, 0, sizeof(buf), &v, 1), 0);
	assert_int_equal(ops.count, 2);
	ops.count = 0;
	ops.fail_at = 0;
	v = (struct iovec){ buf, 512 }; /* an alignment that it never takes */
	assert_int_equal(ask(&f, DISK_READ, 0, 512, &v, 1), 0);
	assert_int_equal(ops.count, 1);
	tear_down(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whichever_operation_fails_the_request_fails_once),
		cmocka_unit_test(test_nothing_moved_is_an_error),
		cmocka_unit_test(test_an_operation_that_was_interrupted_is_done_again),
		cmocka_unit_test(test_a_flush_is_asked_for_unless_it_was_not_wanted),
		cmocka_unit_test(test_after_a_flush_that_failed_none_succeeds),
		cmocka_unit_test(test_what_the_file_system_cannot_is_done_otherwise),
		cmocka_unit_test(test_a_discard_that_the_file_system_cannot_is_no_error),
		cmocka_unit_test(test_what_o_direct_refuses_goes_by_the_page_cache),
	};

	log_set_level(LOG_ERROR); /* failed requests warn */
	return cmocka_run_group_tests_name("disk_file_faults", tests, NULL, NULL);
}
