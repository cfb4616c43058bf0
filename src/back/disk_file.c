/* SPDX-License-Identifier: ISC */
/*
 * Requests to a regular file or block device.
 *
 * Each is a chain of file operations: a read or write goes on after a short answer and
 * after IOV_MAX pieces; zeroes are punched, else set, else written.  A read that ends
 * before it should is -EIO: the file was truncated under us.
 */
#include "disk_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

enum {
	ZERO_BYTES = 64 << 10,
	ZERO_PIECES = 16, /* 1 MiB in one operation */
};

/* In disk_request.priv. */
struct file_request {
	struct reactor_op op;
	struct disk_file *d;
	struct disk_request *next; /* answered */
	uint64_t moved;            /* bytes done */
	unsigned at;               /* the first piece that is not done */
	int err;
	bool plain;        /* not by O_DIRECT */
	struct iovec tail; /* of zeroes */
};

_Static_assert(sizeof(struct file_request) <= sizeof(((struct disk_request *)0)->priv),
	       "file_request");

static struct disk_file *
of_disk(struct disk *disk)
{
	return container_of(disk, struct disk_file, disk);
}

static struct file_request *
of_request(struct disk_request *rq)
{
	return (struct file_request *)(void *)rq->priv;
}

static struct disk_request *
request_of(struct file_request *fr)
{
	return container_of((void *)fr, struct disk_request, priv);
}

/* ---- answers ---- */

static const char *const op_name[DISK_OPS] = {
	[DISK_READ] = "read",
	[DISK_WRITE] = "write",
	[DISK_FLUSH] = "flush",
	[DISK_DISCARD] = "discard",
	[DISK_WRITE_ZEROES] = "write of zeroes",
};

/* A disk that fails goes on failing: it is said once. */
static void
warn(struct disk_file *d, const struct disk_request *rq, int err)
{
	if (d->warned)
		return;
	d->warned = true;
	log_warn("%s: %s of %" PRIu64 " bytes at %" PRIu64
		 " failed: %s; the guest is told, also of those to come",
		 d->path, op_name[rq->op], rq->len, rq->off, strerror(-err));
}

static void
answer(struct disk_file *d, struct disk_request *rq, int err)
{
	if (err)
		warn(d, rq, err);
	d->inflight--;
	rq->done(rq, err);
}

static void
answer_all(struct reactor_defer *defer)
{
	struct disk_file *d = container_of(defer, struct disk_file, answer_later);
	struct disk_request *rq;

	while ((rq = d->answered)) {
		d->answered = of_request(rq)->next;
		if (!d->answered)
			d->answered_end = &d->answered;
		answer(d, rq, of_request(rq)->err);
	}
}

/* From within submit(). */
static void
answer_soon(struct disk_file *d, struct disk_request *rq, int err)
{
	of_request(rq)->err = err;
	of_request(rq)->next = NULL;
	*d->answered_end = rq;
	d->answered_end = &of_request(rq)->next;
	d->answer_later.cb = answer_all;
	reactor_defer(d->r, &d->answer_later);
}

static void go(struct disk_file *d, struct disk_request *rq);

/* ---- reads and writes ---- */

/* The pieces that are left, as many as one operation takes, fit O_DIRECT. */
static bool
is_aligned(const struct disk_file *d, const struct reactor_op *op)
{
	uint64_t mem = 0, off = op->off;

	for (uint32_t i = 0; i < op->niov; i++) {
		mem |= (uintptr_t)op->iov[i].iov_base | op->iov[i].iov_len;
		off |= op->iov[i].iov_len;
	}
	return (mem & (d->mem_align - 1)) == 0 && (off & (d->off_align - 1)) == 0;
}

static bool
prepare_move(struct disk_file *d, struct disk_request *rq)
{
	struct file_request *fr = of_request(rq);
	struct reactor_op *op = &fr->op;
	bool write = rq->op == DISK_WRITE;

	op->iov = rq->iov + fr->at;
	op->niov = rq->niov - fr->at < IOV_MAX ? rq->niov - fr->at : IOV_MAX;
	op->off = rq->off + fr->moved;
	op->code = write ? REACTOR_WRITEV : REACTOR_READV;
	op->fd = d->fd;
	op->way = write ? d->write_way : d->read_way;
	if (d->fd != d->plain_fd && (fr->plain || !is_aligned(d, op))) {
		fr->plain = true;
		op->fd = d->plain_fd;
		op->way = write ? d->plain_write_way : REACTOR_RING;
	}
	op->cached = op->fd == d->plain_fd && op->way == REACTOR_RING;
	return true;
}

/* n bytes more are done: the rest of the vector. */
static void
advance(struct disk_request *rq, uint64_t n)
{
	struct file_request *fr = of_request(rq);

	fr->moved += n;
	for (; fr->at < rq->niov; fr->at++) {
		struct iovec *v = &rq->iov[fr->at];

		if (n < v->iov_len) {
			v->iov_base = (uint8_t *)v->iov_base + n;
			v->iov_len -= n;
			return;
		}
		n -= v->iov_len;
	}
	assert(n == 0);
}

/* What lies behind the end of the file and within its last block reads as zeroes. */
static void
zero_tail(struct disk_file *d, struct disk_request *rq)
{
	const struct file_request *fr = of_request(rq);

	if (rq->op != DISK_READ || rq->off + fr->moved != d->end)
		return;
	for (unsigned i = fr->at; i < rq->niov; i++)
		memset(rq->iov[i].iov_base, 0, rq->iov[i].iov_len);
	advance(rq, rq->len - fr->moved);
}

static void
moved(struct disk_file *d, struct disk_request *rq, int res)
{
	struct file_request *fr = of_request(rq);

	if (res > 0)
		advance(rq, (uint64_t)res);
	zero_tail(d, rq);
	if (fr->moved == rq->len) {
		answer(d, rq, 0);
	} else if (res > 0) {
		go(d, rq);
	} else if (res == -EINVAL && fr->op.fd != d->plain_fd) {
		fr->plain = true; /* it wants more than it said */
		go(d, rq);
	} else {
		answer(d, rq, res < 0 ? res : -EIO);
	}
}

/* ---- flush ---- */

static bool
prepare_flush(struct disk_file *d, struct disk_request *rq)
{
	struct reactor_op *op = &of_request(rq)->op;

	if (!d->flushes || d->flush_err) {
		answer_soon(d, rq, d->flush_err);
		return false;
	}
	op->code = REACTOR_FDATASYNC;
	op->fd = d->fd;
	op->way = REACTOR_THREAD;
	return true;
}

static void
flushed(struct disk_file *d, struct disk_request *rq, int res)
{
	/* The kernel reports a failed write-back once and then believes the pages clean:
	 * a later flush would be a wrong success. */
	if (res < 0)
		d->flush_err = res;
	answer(d, rq, d->flush_err);
}

/* ---- discard and zeroes ---- */

static bool
prepare_discard(struct disk_file *d, struct disk_request *rq)
{
	struct reactor_op *op = &of_request(rq)->op;

	if (!d->disk.info.discard || d->no_punch || rq->len == 0) {
		answer_soon(d, rq, 0); /* a hint */
		return false;
	}
	op->code = d->block_device ? REACTOR_BLKDISCARD : REACTOR_FALLOCATE;
	op->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	op->fd = d->fd;
	op->way = REACTOR_THREAD;
	op->off = rq->off;
	op->len = rq->len;
	return true;
}

static void
discarded(struct disk_file *d, struct disk_request *rq, int res)
{
	if (res == -EOPNOTSUPP) {
		d->no_punch = true;
		res = 0;
	}
	answer(d, rq, res);
}

static int
need_zeroes(struct disk_file *d)
{
	if (d->zeroes)
		return 0;
	d->zero_iov = calloc(ZERO_PIECES, sizeof(*d->zero_iov));
	d->zeroes = aligned_alloc(4096, ZERO_BYTES);
	if (!d->zero_iov || !d->zeroes) {
		free(d->zero_iov);
		free(d->zeroes);
		d->zero_iov = d->zeroes = NULL;
		return -ENOMEM;
	}
	memset(d->zeroes, 0, ZERO_BYTES);
	for (unsigned i = 0; i < ZERO_PIECES; i++)
		d->zero_iov[i] = (struct iovec){ d->zeroes, ZERO_BYTES };
	return 0;
}

/* The file system cannot: zeroes are written through the page cache, as many whole
 * pieces as there are or one that is shorter. */
static bool
prepare_zero_write(struct disk_file *d, struct disk_request *rq)
{
	struct file_request *fr = of_request(rq);
	struct reactor_op *op = &fr->op;
	uint64_t left = rq->len - fr->moved;

	if (need_zeroes(d)) {
		answer_soon(d, rq, -ENOMEM);
		return false;
	}
	if (left >= ZERO_BYTES) {
		op->iov = d->zero_iov;
		op->niov = (uint32_t)(left / ZERO_BYTES < ZERO_PIECES ? left / ZERO_BYTES
								      : ZERO_PIECES);
	} else {
		fr->tail = (struct iovec){ d->zeroes, left };
		op->iov = &fr->tail;
		op->niov = 1;
	}
	op->code = REACTOR_WRITEV;
	op->fd = d->plain_fd;
	op->way = REACTOR_THREAD;
	op->off = rq->off + fr->moved;
	return true;
}

static bool
prepare_zeroes(struct disk_file *d, struct disk_request *rq)
{
	struct reactor_op *op = &of_request(rq)->op;
	bool punch = rq->unmap && d->disk.info.discard && !d->no_punch;

	if (rq->len == 0) {
		answer_soon(d, rq, 0);
		return false;
	}
	if (!punch && d->no_zero_range)
		return prepare_zero_write(d, rq);
	op->code = REACTOR_FALLOCATE;
	op->mode = FALLOC_FL_KEEP_SIZE |
		   (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	op->fd = d->fd;
	op->way = REACTOR_THREAD;
	op->off = rq->off;
	op->len = rq->len;
	return true;
}

static void
zeroed(struct disk_file *d, struct disk_request *rq, int res)
{
	struct file_request *fr = of_request(rq);
	const struct reactor_op *op = &fr->op;

	if (op->code == REACTOR_FALLOCATE && res == -EOPNOTSUPP) {
		if (op->mode & FALLOC_FL_PUNCH_HOLE)
			d->no_punch = true;
		else
			d->no_zero_range = true;
		go(d, rq);
		return;
	}
	if (op->code == REACTOR_WRITEV && res > 0)
		fr->moved += (uint64_t)res;
	if (op->code == REACTOR_WRITEV && res > 0 && fr->moved < rq->len)
		go(d, rq);
	else if (op->code == REACTOR_WRITEV && res == 0)
		answer(d, rq, -EIO);
	else
		answer(d, rq, res < 0 ? res : 0);
}

/* ---- any request ---- */

static const struct {
	/* Fills in the next operation; false: there is none, the answer is on its way. */
	bool (*prepare)(struct disk_file *d, struct disk_request *rq);
	void (*done)(struct disk_file *d, struct disk_request *rq, int res);
} op_table[DISK_OPS] = {
	[DISK_READ] = { prepare_move, moved },
	[DISK_WRITE] = { prepare_move, moved },
	[DISK_FLUSH] = { prepare_flush, flushed },
	[DISK_DISCARD] = { prepare_discard, discarded },
	[DISK_WRITE_ZEROES] = { prepare_zeroes, zeroed },
};

static void
go(struct disk_file *d, struct disk_request *rq)
{
	if (op_table[rq->op].prepare(d, rq))
		reactor_submit(d->r, &of_request(rq)->op);
}

static void
on_done(struct reactor_op *op, int res)
{
	struct file_request *fr = container_of(op, struct file_request, op);
	struct disk_request *rq = request_of(fr);

	/* The ring may be short of something; a thread waits for it. */
	if ((res == -EAGAIN || res == -EINTR) && op->way != REACTOR_THREAD) {
		op->way = REACTOR_THREAD;
		reactor_submit(fr->d->r, op);
		return;
	}
	op_table[rq->op].done(fr->d, rq, res);
}

static void
submit(struct disk *disk, struct disk_request *rq)
{
	struct disk_file *d = of_disk(disk);
	struct file_request *fr = of_request(rq);

	memset(fr, 0, sizeof(*fr));
	fr->d = d;
	fr->op.done = on_done;
	d->inflight++;
	go(d, rq);
}

static void
drain(struct disk *disk)
{
	struct disk_file *d = of_disk(disk);

	while (d->inflight > 0) {
		reactor_defer_cancel(d->r, &d->answer_later);
		answer_all(&d->answer_later);
		if (d->inflight > 0)
			reactor_op_wait(d->r);
	}
}

static void
close_fd(struct disk_file *d, int fd)
{
	reactor_file_drop(d->r, fd);
	close(fd);
}

void
disk_file_free(struct disk *disk)
{
	struct disk_file *d = of_disk(disk);

	assert(d->inflight == 0);
	if (d->flushes && fdatasync(d->fd) < 0)
		log_error("%s: what was written last may be lost: %s", d->path,
			  strerror(errno));
	if (d->plain_fd >= 0 && d->plain_fd != d->fd)
		close_fd(d, d->plain_fd);
	if (d->fd >= 0)
		close_fd(d, d->fd); /* and the lock with it */
	free(d->zeroes);
	free(d->zero_iov);
	free(d->path);
	free(d);
}

const struct disk_ops disk_file_ops = {
	.submit = submit,
	.drain = drain,
	.free = disk_file_free,
};
