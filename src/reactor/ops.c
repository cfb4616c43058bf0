/* SPDX-License-Identifier: ISC */
/* File operations: the ring does them, or a thread, or we do. See reactor.h. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "log.h"
#include "reactor.h"
#include "reactor_internal.h"
#include "util.h"

enum {
	/* What the reactor copies itself: some ten microseconds of an operation, and
	 * some fifty of a pass. */
	INLINE_OP_MAX = 64 << 10,
	INLINE_PASS_MAX = 256 << 10,
};

static void
settle(struct reactor_defer *d)
{
	struct ops *o = container_of(d, struct ops, settle);

	o->inline_left = INLINE_PASS_MAX;
	for (struct reactor_op *op; (op = op_queue_take(&o->settled));)
		op->done(op, op->res);
}

void
ops_init(struct ops *o, struct reactor *r, struct ev_loop *loop)
{
	o->r = r;
	o->loop = loop;
	o->settle.cb = settle;
	o->inline_left = INLINE_PASS_MAX;
}

void
ops_free(struct ops *o)
{
	/* Each may start another in its done(), and that one on the other side. */
	while (ops_wait(o))
		;
	uring_free(o->uring);
	pool_free(o->pool);
}

static struct uring *
need_uring(struct ops *o)
{
	int rc;

	if (o->uring || o->no_uring)
		return o->uring;
	rc = uring_new(o->loop, &o->uring);
	if (rc) {
		/* ENOSYS, EPERM: not built, or closed by sysctl or seccomp. */
		o->no_uring = true;
		log_info(
			"no io_uring on this host (%s): threads read and write the disks",
			strerror(-rc));
		return NULL;
	}
	for (unsigned i = 0; i < o->nfile; i++)
		uring_file(o->uring, o->file[i], true);
	return o->uring;
}

static struct pool *
need_pool(struct ops *o)
{
	if (!o->pool)
		(void)pool_new(o->r, &o->pool);
	return o->pool;
}

static void
settle_later(struct ops *o, struct reactor_op *op, int res)
{
	op->res = res;
	op_queue_put(&o->settled, op);
	reactor_defer(o->r, &o->settle);
}

/* As much as we copy ourselves; then it is taken off what is left of the pass. */
static bool
is_little(struct ops *o, const struct reactor_op *op)
{
	uint64_t len = 0;

	for (uint32_t i = 0; i < op->niov && len <= INLINE_OP_MAX; i++)
		len += op->iov[i].iov_len;
	if (len > INLINE_OP_MAX || len > o->inline_left)
		return false;
	o->inline_left -= len;
	return true;
}

/* At once, if it is only copying. */
static bool
do_inline(struct ops *o, struct reactor_op *op)
{
	ssize_t n;

	if (op->way == REACTOR_INLINE && is_little(o, op)) {
		settle_later(o, op, pool_perform(op));
		return true;
	}
	/* io_uring finds out by itself what is in the page cache; a thread is dear. */
	if (!op->cached || op->code != REACTOR_READV || need_uring(o) ||
	    !is_little(o, op))
		return false;
	n = preadv2(op->fd, op->iov, (int)op->niov, (off_t)op->off, RWF_NOWAIT);
	if (n <= 0)
		return false;
	settle_later(o, op, (int)n);
	return true;
}

void
ops_submit(struct ops *o, struct reactor_op *op)
{
	if (do_inline(o, op))
		return;
	if (op->way == REACTOR_RING && need_uring(o) && uring_queue(o->uring, op))
		return;
	if (need_pool(o))
		pool_queue(o->pool, op);
	else
		settle_later(o, op, -EAGAIN);
}

bool
ops_wait(struct ops *o)
{
	if (o->settled.first) {
		settle(&o->settle);
		return true;
	}
	return (o->uring && uring_wait(o->uring)) || (o->pool && pool_wait(o->pool));
}

unsigned
ops_push(struct ops *o)
{
	return o->uring ? uring_push(o->uring) : 0;
}

void
ops_file(struct ops *o, int fd, bool add)
{
	unsigned i = 0;

	while (i < o->nfile && o->file[i] != fd)
		i++;
	if (add == (i < o->nfile) || (add && i == OPS_FILES_MAX))
		return;
	if (add)
		o->file[o->nfile++] = fd;
	else
		o->file[i] = o->file[--o->nfile];
	if (o->uring)
		uring_file(o->uring, fd, add);
}
