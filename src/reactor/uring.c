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

enum { URING_ENTRIES = 256 };

struct uring {
	struct io_uring ring;
	struct ev_loop *loop;
	ev_io io;
	unsigned queued;   /* since the last submit */
	unsigned inflight; /* queued or submitted, not completed */
};

static void
reap(struct uring *u)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct reactor_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		/* Before done(): it may queue the next operation. */
		io_uring_cqe_seen(&u->ring, cqe);
		u->inflight--;
		op->done(op, res);
	}
}

static void
ring_cb(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	reap(container_of(w, struct uring, io));
}

int
uring_new(struct ev_loop *loop, struct uring **ret)
{
	struct uring *u = calloc(1, sizeof(*u));
	/* Completions run in our own next system call, not by interrupting us. */
	struct io_uring_params p = { .flags = IORING_SETUP_COOP_TASKRUN };
	int rc;

	if (!u)
		return -ENOMEM;
	rc = io_uring_queue_init_params(URING_ENTRIES, &u->ring, &p);
	if (rc == -EINVAL) { /* Linux < 5.19 */
		p = (struct io_uring_params){ 0 };
		rc = io_uring_queue_init_params(URING_ENTRIES, &u->ring, &p);
	}
	if (rc < 0) {
		free(u);
		return rc;
	}
	u->loop = loop;
	ev_io_init(&u->io, ring_cb, u->ring.ring_fd, EV_READ);
	ev_io_start(loop, &u->io);
	*ret = u;
	return 0;
}

void
uring_free(struct uring *u)
{
	if (!u)
		return;
	/* The kernel may still write into memory that the caller frees next. */
	while (u->inflight > 0) {
		io_uring_submit_and_wait(&u->ring, 1);
		reap(u);
	}
	ev_io_stop(u->loop, &u->io);
	io_uring_queue_exit(&u->ring);
	free(u);
}

static void
prepare(struct io_uring_sqe *sqe, const struct reactor_op *op)
{
	switch (op->code) {
	case REACTOR_READV:
		io_uring_prep_readv(sqe, op->fd, op->iov, op->niov, op->off);
		break;
	case REACTOR_WRITEV:
		io_uring_prep_writev(sqe, op->fd, op->iov, op->niov, op->off);
		break;
	case REACTOR_FDATASYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	}
}

int
uring_queue(struct uring *u, struct reactor_op *op)
{
	struct io_uring_sqe *sqe;

	/* Never more in flight than the completion queue holds: none overflows. */
	if (u->inflight >= URING_ENTRIES)
		return -EAGAIN;
	sqe = io_uring_get_sqe(&u->ring);
	if (!sqe)
		return -EAGAIN;
	prepare(sqe, op);
	io_uring_sqe_set_data(sqe, op);
	u->queued++;
	u->inflight++;
	return 0;
}

void
uring_submit(struct uring *u)
{
	int rc;

	if (!u || u->queued == 0)
		return;
	rc = io_uring_submit(&u->ring);
	/* EAGAIN, EBUSY: the kernel is out of memory or behind; the next pass tries
	 * again, what was queued is still there. */
	if (rc >= 0)
		u->queued -= (unsigned)rc;
	else
		assert(rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
	reap(u);
}
