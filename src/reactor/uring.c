/* SPDX-License-Identifier: ISC */
/*
 * File operations through one io_uring.
 *
 * The ring is made by the first operation.  Its fd becomes readable when there
 * are completions, so it is an ordinary source in the loop; no eventfd.  What is
 * queued during a pass is submitted once, at its end.
 */
#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <liburing.h>
#include <stdlib.h>

#include "reactor.h"
#include "reactor_internal.h"
#include "util.h"

enum {
	URING_ENTRIES = 256,
	URING_FILES = 256, /* the kernel wants it below RLIMIT_NOFILE */
	/* What a length of io_uring can hold, and a multiple of any block. */
	LEN_MAX = 1 << 30,
	/* After this much others have their turn.  What comes from the page cache is copied
	 * while we submit, and who waits for what is complete gets it; a device works on
	 * the first while we prepare the rest. */
	SUBMIT_MAX = 32 << 10,
};

struct uring {
	struct io_uring ring;
	struct ev_loop *loop;
	ev_io io;
	unsigned queued;         /* since the last submit */
	uint64_t bytes;          /* of those */
	unsigned inflight;       /* queued or submitted, not completed */
	struct op_queue waiting; /* for room in the ring */
	bool files;              /* there is a table of files: a file's place is its fd */
	uint64_t known[URING_FILES / 64];
};

/* ---- completions ---- */

static bool
reap(struct uring *u)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct reactor_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		/* Before done(): it may queue the next operation. */
		io_uring_cqe_seen(&u->ring, cqe);
		u->inflight--;
		op->done(op, res);
		any = true;
	}
	return any;
}

static void
ring_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	struct uring *u = container_of(w, struct uring, io);

	(void)loop;
	(void)revents;
	reap(u);
}

/* ---- operations ---- */

static void
prepare_rw(struct io_uring_sqe *sqe, const struct reactor_op *op)
{
	/* One piece needs no import of a vector.  A short answer is nothing new to who
	 * reads and writes. */
	const struct iovec *v = op->iov;
	unsigned len = op->niov != 1           ? 0
		       : v->iov_len <= LEN_MAX ? (unsigned)v->iov_len
					       : LEN_MAX;

	if (op->code == REACTOR_READV && op->niov == 1)
		io_uring_prep_read(sqe, op->fd, v->iov_base, len, op->off);
	else if (op->code == REACTOR_READV)
		io_uring_prep_readv(sqe, op->fd, v, op->niov, op->off);
	else if (op->niov == 1)
		io_uring_prep_write(sqe, op->fd, v->iov_base, len, op->off);
	else
		io_uring_prep_writev(sqe, op->fd, v, op->niov, op->off);
}

static bool
is_known(const struct uring *u, int fd)
{
	return (unsigned)fd < URING_FILES &&
	       (u->known[(unsigned)fd / 64] & (1ull << ((unsigned)fd % 64)));
}

static void
prepare(struct uring *u, struct io_uring_sqe *sqe, struct reactor_op *op)
{
	switch (op->code) {
	case REACTOR_READV:
	case REACTOR_WRITEV:
		prepare_rw(sqe, op);
		break;
	case REACTOR_FDATASYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case REACTOR_FALLOCATE:
		io_uring_prep_fallocate(sqe, op->fd, op->mode, (off_t)op->off,
					(off_t)op->len);
		break;
	case REACTOR_BLKDISCARD:
		assert(false); /* no form in io_uring */
	}
	if (is_known(u, op->fd))
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, op);
}

static uint64_t
bytes_of(const struct reactor_op *op)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < op->niov; i++)
		n += op->iov[i].iov_len;
	return n;
}

/* Never more in flight than the completion queue holds: none overflows. */
static void
fill(struct uring *u)
{
	while (u->waiting.first && u->inflight < URING_ENTRIES && u->bytes < SUBMIT_MAX) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		if (!sqe)
			return;
		struct reactor_op *op = op_queue_take(&u->waiting);
		prepare(u, sqe, op);
		u->bytes += bytes_of(op);
		u->queued++;
		u->inflight++;
	}
}

bool
uring_queue(struct uring *u, struct reactor_op *op)
{
	if (op->code == REACTOR_BLKDISCARD)
		return false;
	op_queue_put(&u->waiting, op);
	return true;
}

static void
submit(struct uring *u)
{
	int rc = io_uring_submit(&u->ring);

	/* EAGAIN, EBUSY: the kernel is out of memory or behind; the next pass tries
	 * again, what was queued is still there. */
	if (rc >= 0)
		u->queued -= (unsigned)rc;
	else
		assert(rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
	if (u->queued == 0)
		u->bytes = 0;
}

unsigned
uring_push(struct uring *u)
{
	fill(u);
	if (u->queued > 0)
		submit(u);
	unsigned what = reap(u) ? OPS_ANSWERED : 0;

	fill(u);
	return what | (u->queued > 0 ? OPS_STUCK : 0);
}

bool
uring_wait(struct uring *u)
{
	if (u->inflight == 0 && !u->waiting.first)
		return false;
	fill(u);
	int rc = io_uring_submit_and_wait(&u->ring, 1);

	if (rc > 0)
		u->queued -= (unsigned)rc;
	if (u->queued == 0)
		u->bytes = 0;
	reap(u);
	return true;
}

/* ---- files ---- */

void
uring_file(struct uring *u, int fd, bool add)
{
	const int none = -1;

	if (!u->files || (unsigned)fd >= URING_FILES || is_known(u, fd) == add)
		return;
	/* A table that cannot take it is no loss: the fd works as well. */
	if (io_uring_register_files_update(&u->ring, (unsigned)fd, add ? &fd : &none,
					   1) != 1)
		return;
	u->known[(unsigned)fd / 64] ^= 1ull << ((unsigned)fd % 64);
}

/* ---- life ---- */

static int
setup(struct uring *u)
{
	/* Completions are run by our own system calls, not by interrupting us.  Not
	 * DEFER_TASKRUN: with it the ring's fd does not become readable by itself. */
	static const unsigned flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER, /* 6.0 */
		IORING_SETUP_COOP_TASKRUN,                              /* 5.19 */
		0,
	};
	int rc = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(flags) && rc == -EINVAL; i++) {
		struct io_uring_params p = { .flags = flags[i] };

		rc = io_uring_queue_init_params(URING_ENTRIES, &u->ring, &p);
	}
	return rc < 0 ? rc : 0;
}

/* Before Linux 5.6 there are rings that lack most operations. */
static bool
has_all_ops(struct uring *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
	bool all = probe && io_uring_opcode_supported(probe, IORING_OP_READ) &&
		   io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
		   io_uring_opcode_supported(probe, IORING_OP_FALLOCATE);

	io_uring_free_probe(probe);
	return all;
}

int
uring_new(struct ev_loop *loop, struct uring **ret)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	rc = setup(u);
	if (rc)
		goto free;
	if (!has_all_ops(u)) {
		rc = -ENOSYS;
		goto exit;
	}
	u->files = io_uring_register_files_sparse(&u->ring, URING_FILES) == 0;
	u->loop = loop;
	ev_io_init(&u->io, ring_cb, u->ring.ring_fd, EV_READ);
	ev_io_start(loop, &u->io);
	*ret = u;
	return 0;

exit:
	io_uring_queue_exit(&u->ring);
free:
	free(u);
	return rc;
}

void
uring_free(struct uring *u)
{
	if (!u)
		return;
	/* The kernel may still write into memory that the caller frees next. */
	while (uring_wait(u))
		;
	ev_io_stop(u->loop, &u->io);
	io_uring_queue_exit(&u->ring);
	free(u);
}
