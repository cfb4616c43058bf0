/* SPDX-License-Identifier: ISC */
/*
 * Requests to an NBD server, through libnbd in the reactor's loop. See disk_nbd.h.
 *
 * libnbd calls back with its handle locked, so a callback only notes the result; pump()
 * goes on with it when the call has returned.
 */
#include "disk_nbd.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

enum {
	RANGE_MAX = 1 << 30, /* of a trim or zero: the protocol has 32 bits */
	DRAIN_STEP_MS = 500,
	DRAIN_STEPS = 20,
};

static struct disk_nbd *
of_disk(struct disk *disk)
{
	return container_of(disk, struct disk_nbd, disk);
}

/* ---- answers ---- */

static void
answer(struct disk_nbd *d, struct disk_request *rq, int err)
{
	if (err && !d->warned) {
		d->warned = true;
		log_warn("%s: a request of %" PRIu64 " bytes at %" PRIu64
			 " failed: %s; the guest is told, also of those to come",
			 d->name, rq->len, rq->off, strerror(-err));
	}
	d->inflight--;
	rq->done(rq, err);
}

static void
finish(struct nbd_slot *s, int err)
{
	s->err = err;
	s->busy = false;
	s->next = s->d->finished;
	s->d->finished = s;
}

/* ---- guest memory ---- */

/* Moves n bytes between the buffer and the pieces, and goes on by as many; NULL: only
 * goes on. */
static void
copy(struct nbd_slot *s, uint8_t *buf, size_t n, bool to_guest)
{
	while (n > 0) {
		const struct iovec *v = &s->rq->iov[s->at];
		size_t part = v->iov_len - s->within < n ? v->iov_len - s->within : n;
		uint8_t *guest = (uint8_t *)v->iov_base + s->within;

		if (buf && to_guest)
			memcpy(guest, buf, part);
		else if (buf)
			memcpy(buf, guest, part);
		buf = buf ? buf + part : NULL;
		n -= part;
		s->within += part;
		if (s->within == v->iov_len) {
			s->at++;
			s->within = 0;
		}
	}
}

static int
need_bounce(struct nbd_slot *s)
{
	if (!s->bounce)
		s->bounce = malloc(NBD_CHUNK_MAX);
	return s->bounce ? 0 : -ENOMEM;
}

/* Where the next command reads or writes, and how much; NULL: no memory. */
static uint8_t *
next_chunk(struct nbd_slot *s)
{
	const struct disk_nbd *d = s->d;
	const struct disk_request *rq = s->rq;
	uint64_t left = rq->len - s->moved;
	size_t n;

	while (rq->iov[s->at].iov_len == s->within) {
		s->at++;
		s->within = 0;
	}
	n = rq->iov[s->at].iov_len - s->within;
	n = n < left ? n : (size_t)left;
	n = n < d->direct_max ? n : d->direct_max;
	n -= n % d->disk.info.block;
	s->bounced = n != left && n < d->chunk_max;
	if (!s->bounced) {
		s->chunk = n;
		return (uint8_t *)rq->iov[s->at].iov_base + s->within;
	}
	s->chunk = left < d->chunk_max ? (size_t)left : d->chunk_max;
	return need_bounce(s) ? NULL : s->bounce;
}

/* ---- commands ---- */

static int
on_complete(void *arg, int *error)
{
	finish(arg, -*error);
	return 1; /* libnbd may forget the command */
}

static nbd_completion_callback
completion(struct nbd_slot *s)
{
	return (nbd_completion_callback){ .callback = on_complete, .user_data = s };
}

static int64_t
start_move(struct nbd_slot *s)
{
	struct disk_nbd *d = s->d;
	uint64_t off = s->rq->off + s->moved;
	uint8_t *buf = next_chunk(s);

	if (!buf)
		return -1;
	if (s->rq->op == DISK_READ)
		return d->lib.aio_pread(d->h, buf, s->chunk, off, completion(s), 0);
	if (s->bounced)
		copy(s, buf, s->chunk, false);
	return d->lib.aio_pwrite(d->h, buf, s->chunk, off, completion(s), 0);
}

static int64_t
start_flush(struct nbd_slot *s)
{
	return s->d->lib.aio_flush(s->d->h, completion(s), 0);
}

static int64_t
start_discard(struct nbd_slot *s)
{
	uint64_t left = s->rq->len - s->moved;

	s->chunk = left < RANGE_MAX ? (size_t)left : RANGE_MAX;
	return s->d->lib.aio_trim(s->d->h, s->chunk, s->rq->off + s->moved, completion(s),
				  0);
}

static int64_t
start_zeroes(struct nbd_slot *s)
{
	struct disk_nbd *d = s->d;
	uint64_t off = s->rq->off + s->moved, left = s->rq->len - s->moved;
	bool hole = s->rq->unmap && d->disk.info.discard;

	if (d->zeroes) {
		s->chunk = left < RANGE_MAX ? (size_t)left : RANGE_MAX;
		return d->lib.aio_zero(d->h, s->chunk, off, completion(s),
				       hole ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
	}
	if (need_bounce(s))
		return -1;
	s->chunk = left < d->chunk_max ? (size_t)left : d->chunk_max;
	memset(s->bounce, 0, s->chunk);
	return d->lib.aio_pwrite(d->h, s->bounce, s->chunk, off, completion(s), 0);
}

static int64_t (*const start_table[DISK_OPS])(struct nbd_slot *s) = {
	[DISK_READ] = start_move,           [DISK_WRITE] = start_move,
	[DISK_FLUSH] = start_flush,         [DISK_DISCARD] = start_discard,
	[DISK_WRITE_ZEROES] = start_zeroes,
};

/* Needs no command. */
static bool
is_trivial(const struct disk_nbd *d, const struct disk_request *rq)
{
	if (rq->op == DISK_FLUSH)
		return !d->flushes;
	return rq->len == 0 || (rq->op == DISK_DISCARD && !d->disk.info.discard);
}

static void
look_if_dead(struct disk_nbd *d)
{
	if (d->dead || (d->lib.aio_is_dead(d->h) <= 0 && d->lib.aio_is_closed(d->h) <= 0))
		return;
	d->dead = true;
	reactor_io_stop(d->r, &d->io);
	d->events = 0;
	log_warn("%s: the connection is lost: the disk is gone until vmm is started anew",
		 d->name);
}

static void
start(struct nbd_slot *s)
{
	struct disk_nbd *d = s->d;

	if (d->dead) {
		finish(s, -EIO);
		return;
	}
	/* The completion may come from within. */
	s->busy = true;
	if (start_table[s->rq->op](s) < 0 && s->busy)
		finish(s, -EIO);
}

/* ---- a request from beginning to end ---- */

static void
begin(struct disk_nbd *d, struct disk_request *rq)
{
	struct nbd_slot *s = d->spare;

	if (rq->op == DISK_FLUSH && d->flush_err) {
		answer(d, rq, d->flush_err);
		return;
	}
	if (is_trivial(d, rq)) {
		answer(d, rq, 0);
		return;
	}
	d->spare = s->next;
	*s = (struct nbd_slot){ .d = d, .rq = rq, .bounce = s->bounce };
	start(s);
}

/* The command of the slot is finished. */
static void
proceed(struct nbd_slot *s)
{
	struct disk_nbd *d = s->d;
	struct disk_request *rq = s->rq;

	/* A write was copied before it was sent. */
	if (!s->err && rq->op == DISK_READ)
		copy(s, s->bounced ? s->bounce : NULL, s->chunk, true);
	else if (!s->err && rq->op == DISK_WRITE && !s->bounced)
		copy(s, NULL, s->chunk, false);
	s->moved += s->chunk;
	if (!s->err && rq->op != DISK_FLUSH && s->moved < rq->len) {
		start(s);
		return;
	}
	if (s->err && rq->op == DISK_FLUSH)
		d->flush_err = s->err;
	s->rq = NULL;
	s->next = d->spare;
	d->spare = s;
	answer(d, rq, s->err);
}

void
disk_nbd_watch(struct disk_nbd *d)
{
	unsigned dir = d->dead ? 0 : d->lib.aio_get_direction(d->h);
	unsigned events = ((dir & LIBNBD_AIO_DIRECTION_READ) ? REACTOR_READ : 0u) |
			  ((dir & LIBNBD_AIO_DIRECTION_WRITE) ? REACTOR_WRITE : 0u);

	if (events != d->events)
		reactor_io_start(d->r, &d->io, events);
	d->events = events;
}

static struct disk_request *
take_waiting(struct disk_nbd *d)
{
	struct disk_request *rq = d->waiting;

	d->waiting = (struct disk_request *)(uintptr_t)rq->priv[0];
	return rq;
}

static void
pump(struct disk_nbd *d)
{
	look_if_dead(d);
	while (d->finished || (d->waiting && d->spare)) {
		struct nbd_slot *s = d->finished;

		if (s) {
			d->finished = s->next;
			proceed(s);
		} else {
			begin(d, take_waiting(d));
		}
		look_if_dead(d);
	}
	disk_nbd_watch(d);
}

static void
pump_later(struct reactor_defer *defer)
{
	pump(container_of(defer, struct disk_nbd, later));
}

static void
on_socket(struct reactor_io *io, unsigned events)
{
	struct disk_nbd *d = container_of(io, struct disk_nbd, io);
	unsigned dir = d->lib.aio_get_direction(d->h);

	if ((events & REACTOR_READ) && (dir & LIBNBD_AIO_DIRECTION_READ))
		d->lib.aio_notify_read(d->h);
	else if ((events & REACTOR_WRITE) && (dir & LIBNBD_AIO_DIRECTION_WRITE))
		d->lib.aio_notify_write(d->h);
	pump(d);
}

/* ---- the disk ---- */

static void
submit(struct disk *disk, struct disk_request *rq)
{
	struct disk_nbd *d = of_disk(disk);

	rq->priv[0] = 0;
	if (d->waiting)
		d->waiting_last->priv[0] = (uintptr_t)rq;
	else
		d->waiting = rq;
	d->waiting_last = rq;
	d->inflight++;
	reactor_defer(d->r, &d->later);
}

/* A server that does not answer any more must not hold the machine: without the handle
 * nothing can complete into guest memory. */
static void
give_up(struct disk_nbd *d)
{
	log_warn("%s: the server does not answer: the disk is gone until vmm is started "
		 "anew",
		 d->name);
	reactor_io_stop(d->r, &d->io);
	d->events = 0;
	d->dead = true;
	d->lib.close(d->h);
	d->h = NULL;
	for (unsigned i = 0; i < NBD_SLOTS; i++)
		if (d->slot[i].busy)
			finish(&d->slot[i], -EIO);
}

static void
drain(struct disk *disk)
{
	struct disk_nbd *d = of_disk(disk);
	unsigned quiet = 0;

	for (;;) {
		unsigned before = d->inflight;

		pump(d);
		if (d->inflight == 0)
			return;
		quiet = d->inflight == before ? quiet : 0;
		if (d->dead)
			continue;
		if (d->lib.poll(d->h, DRAIN_STEP_MS) == 0 && ++quiet == d->drain_steps)
			give_up(d);
	}
}

static void
on_last_flush(struct disk_request *rq, int err)
{
	(void)rq;
	(void)err; /* answer() has warned */
}

static void
nbd_free(struct disk *disk)
{
	struct disk_nbd *d = of_disk(disk);
	struct disk_request flush = { .op = DISK_FLUSH, .done = on_last_flush };

	assert(d->inflight == 0);
	if (d->flushes && !d->dead) {
		submit(disk, &flush);
		drain(disk);
	}
	reactor_defer_cancel(d->r, &d->later);
	if (d->events)
		reactor_io_stop(d->r, &d->io);
	if (d->h && !d->dead)
		(void)d->lib.aio_disconnect(d->h, 0);
	if (d->h)
		d->lib.close(d->h);
	for (unsigned i = 0; i < NBD_SLOTS; i++)
		free(d->slot[i].bounce);
	free(d->name);
	free(d);
}

const struct disk_ops disk_nbd_ops = {
	.submit = submit,
	.drain = drain,
	.free = nbd_free,
};

void
disk_nbd_init(struct disk_nbd *d)
{
	d->disk.ops = &disk_nbd_ops;
	d->later.cb = pump_later;
	d->io.cb = on_socket;
	d->drain_steps = DRAIN_STEPS;
	for (unsigned i = 0; i < NBD_SLOTS; i++) {
		d->slot[i].d = d;
		d->slot[i].next = d->spare;
		d->spare = &d->slot[i];
	}
}
