/* SPDX-License-Identifier: ISC */
/*
 * One request of virtio-blk (virtio 1.2, section 5.2.6): a header of 16 bytes, data, and
 * a status byte.  Where one piece of memory ends and the next begins means nothing
 * (2.7.4): header and status are found by counting bytes.
 *
 * Nothing is done before everything was checked, and what was checked is a copy.
 */
#include <assert.h>
#include <errno.h>

#include "blk.h"

/*
 * What the driver may ask for.  Any other type is answered with UNSUPP, and so is one
 * whose feature was not negotiated.
 */
struct blk_kind {
	uint32_t type;
	enum disk_op op; /* DISK_OPS: the back is not asked */
	bool writes;
	uint64_t feature;
	enum blk_status (*check)(struct blk_request *rq, const struct vq_chain *c,
				 uint64_t sector);
};

/* ---- the pool ---- */

static size_t
index_of(const struct blk_request *rq)
{
	return (size_t)(rq - rq->q->request);
}

static struct blk_request *
take(struct blk_queue *q)
{
	/* A queue never has more in flight than it has descriptors. */
	assert(q->nspare > 0);
	struct blk_request *rq = &q->request[q->spare[--q->nspare]];

	rq->q = q;
	return rq;
}

void
blk_request_put(struct blk_request *rq)
{
	struct blk_queue *q = rq->q;

	q->spare[q->nspare++] = (uint16_t)index_of(rq);
}

static struct iovec *
pieces_of(struct blk_request *rq, unsigned n)
{
	return n <= BLK_FEW ? rq->few.iov : rq->q->page[index_of(rq)].iov;
}

static struct blk_range *
ranges_of(struct blk_request *rq)
{
	return rq->nranges <= BLK_FEW ? rq->few.range : rq->q->page[index_of(rq)].range;
}

/* ---- from the chain ---- */

/* Is it on the disk, in whole blocks? */
static bool
on_disk(const struct blk *blk, uint64_t sector, uint64_t len)
{
	const struct disk_info *info = &blk->disk->info;

	if (sector > info->size / BLK_SECTOR)
		return false;
	return range_ok(sector * BLK_SECTOR, len, info->size) &&
	       sector * BLK_SECTOR % info->block == 0 && len % info->block == 0;
}

/* The bytes [off, off + len) of n pieces are the data. */
static void
set_data(struct blk_request *rq, const struct iovec *from, unsigned n, uint64_t off,
	 uint64_t len)
{
	struct iovec *iov = pieces_of(rq, n);
	unsigned niov = 0;

	rq->disk.len = len;
	for (unsigned i = 0; i < n && len > 0; i++) {
		if (off >= from[i].iov_len) {
			off -= from[i].iov_len;
			continue;
		}
		uint64_t m = from[i].iov_len - off;
		m = m < len ? m : len;
		iov[niov++] = (struct iovec){
			.iov_base = (uint8_t *)from[i].iov_base + off,
			.iov_len = (size_t)m,
		};
		off = 0;
		len -= m;
	}
	rq->disk.iov = iov;
	rq->disk.niov = niov;
}

static enum blk_status
check_data(struct blk_request *rq, const struct vq_chain *c, uint64_t sector)
{
	bool out = rq->kind->writes;
	uint64_t len = out ? c->read_len - sizeof(struct blk_header) : c->write_len - 1;

	rq->bytes = len;
	if (!on_disk(rq->q->blk, sector, len))
		return BLK_S_IOERR;
	rq->disk.off = sector * BLK_SECTOR;
	if (out) {
		set_data(rq, c->iov, c->nread, sizeof(struct blk_header), len);
	} else {
		set_data(rq, c->iov + c->nread, c->nwrite, 0, len);
		rq->used_good = (uint32_t)c->write_len;
	}
	return BLK_S_OK;
}

static enum blk_status
check_nothing(struct blk_request *rq, const struct vq_chain *c, uint64_t sector)
{
	(void)rq;
	(void)c;
	(void)sector;
	return BLK_S_OK;
}

static enum blk_status
check_id(struct blk_request *rq, const struct vq_chain *c, uint64_t sector)
{
	uint64_t room = c->write_len - 1;

	(void)sector;
	/* With room for more, there is a gap before the status. */
	rq->used_good = room > BLK_SERIAL_MAX ? BLK_SERIAL_MAX : (uint32_t)room + 1;
	return BLK_S_OK;
}

/* One range of a discard or write zeroes (5.2.6.2). */
static enum blk_status
check_range(const struct blk_request *rq, const struct blk_range *r)
{
	bool zeroes = rq->kind->op == DISK_WRITE_ZEROES;
	uint64_t len = (uint64_t)r->num_sectors * BLK_SECTOR;

	if (r->flags & ~(zeroes ? (uint32_t)BLK_RANGE_UNMAP : 0))
		return BLK_S_UNSUPP;
	if (len > (zeroes ? BLK_ZEROES_MAX : BLK_DISCARD_MAX) ||
	    !on_disk(rq->q->blk, r->sector, len))
		return BLK_S_IOERR;
	return BLK_S_OK;
}

/* All of them, before the first is touched. */
static enum blk_status
check_ranges(struct blk_request *rq, const struct vq_chain *c, uint64_t sector)
{
	const size_t each = sizeof(struct blk_range);
	uint64_t len = c->read_len - sizeof(struct blk_header), n = len / each;

	(void)sector;
	if (n == 0 || n > BLK_RANGES_MAX || len % each)
		return BLK_S_IOERR;
	rq->nranges = (uint16_t)n;
	rq->ops = n;

	struct blk_range *r = ranges_of(rq);
	vq_chain_read(c, sizeof(struct blk_header), r, (size_t)len);
	for (unsigned i = 0; i < n; i++) {
		enum blk_status status = check_range(rq, &r[i]);

		if (status != BLK_S_OK)
			return status;
	}
	return BLK_S_OK;
}

static const struct blk_kind kind_table[] = {
	{ .type = BLK_T_IN, .op = DISK_READ, .check = check_data },
	{ .type = BLK_T_OUT, .op = DISK_WRITE, .writes = true, .check = check_data },
	{ .type = BLK_T_FLUSH, .op = DISK_FLUSH, .check = check_nothing },
	{ .type = BLK_T_FLUSH_OUT, .op = DISK_FLUSH, .check = check_nothing },
	{ .type = BLK_T_GET_ID, .op = DISK_OPS, .check = check_id },
	{ .type = BLK_T_DISCARD,
	  .op = DISK_DISCARD,
	  .writes = true,
	  .feature = BLK_F_DISCARD,
	  .check = check_ranges },
	{ .type = BLK_T_WRITE_ZEROES,
	  .op = DISK_WRITE_ZEROES,
	  .writes = true,
	  .feature = BLK_F_WRITE_ZEROES,
	  .check = check_ranges },
};

static const struct blk_kind *
find_kind(uint32_t type)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kind_table); i++)
		if (kind_table[i].type == type)
			return &kind_table[i];
	return NULL;
}

static enum blk_status
check(struct blk_request *rq, const struct vq_chain *c)
{
	const struct blk *blk = rq->q->blk;
	struct blk_header h;

	if (vq_chain_read(c, 0, &h, sizeof(h)) < sizeof(h))
		return BLK_S_IOERR;
	rq->kind = find_kind(h.type);
	if (!rq->kind)
		return BLK_S_UNSUPP;
	rq->disk.op = rq->kind->op;
	if (rq->kind->writes && blk->disk->info.readonly)
		return BLK_S_IOERR;
	if (rq->kind->feature && !virtio_has(&blk->dev, rq->kind->feature))
		return BLK_S_UNSUPP;
	return rq->kind->check(rq, c, h.sector);
}

struct blk_request *
blk_request_get(struct blk_queue *q, const struct vq_chain *c,
		enum blk_status *ret_status)
{
	if (c->write_len == 0)
		return NULL;

	const struct iovec *last = &c->iov[c->nread + c->nwrite - 1];
	struct blk_request *rq = take(q);

	rq->kind = NULL;
	rq->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	/* Of what is written only the status, unless the type says more. */
	rq->used_bad = c->write_len == 1;
	rq->used_good = rq->used_bad;
	rq->head = c->head;
	rq->range = 0;
	rq->nranges = 0;
	rq->flushing = false;
	rq->bytes = 0;
	rq->ops = 1;
	rq->disk.len = 0;
	*ret_status = check(rq, c);
	return rq;
}

/* ---- to the driver ---- */

static void
count(struct blk_request *rq, enum blk_status status)
{
	struct blk *blk = rq->q->blk;

	if (status != BLK_S_OK) {
		blk->count.errors++;
		return;
	}
	switch (rq->kind->op) {
	case DISK_READ:
		blk->count.reads++;
		blk->count.read_bytes += rq->bytes;
		break;
	case DISK_WRITE:
		blk->count.writes++;
		blk->count.written_bytes += rq->bytes;
		break;
	case DISK_FLUSH:
		blk->count.flushes++;
		break;
	case DISK_DISCARD:
		blk->count.discards++;
		break;
	case DISK_WRITE_ZEROES:
		blk->count.zeroes++;
		break;
	case DISK_OPS:
		break;
	}
}

void
blk_request_answer(struct blk_request *rq, enum blk_status status)
{
	struct blk_queue *q = rq->q;

	count(rq, status);
	*rq->status = (uint8_t)status;
	virtqueue_push(q->vq, rq->head,
		       status == BLK_S_OK ? rq->used_good : rq->used_bad);
	blk_request_put(rq);
	/* With whatever else this pass of the loop completes. */
	reactor_defer(q->blk->r, &q->publish);
}

static enum blk_status
status_of(int err)
{
	return err == 0 ? BLK_S_OK : err == -EOPNOTSUPP ? BLK_S_UNSUPP : BLK_S_IOERR;
}

/* ---- through the back ---- */

static void
submit(struct blk_request *rq)
{
	struct blk *blk = rq->q->blk;

	if (rq->disk.op == DISK_FLUSH)
		rq->mark = blk->written;
	blk->disk->ops->submit(blk->disk, &rq->disk);
}

/* The next range that is not empty; false: there is none. */
static bool
next_range(struct blk_request *rq)
{
	while (rq->range < rq->nranges) {
		const struct blk_range *r = &ranges_of(rq)[rq->range++];

		if (r->num_sectors == 0)
			continue;
		rq->disk.off = r->sector * BLK_SECTOR;
		rq->disk.len = (uint64_t)r->num_sectors * BLK_SECTOR;
		rq->disk.unmap = r->flags & BLK_RANGE_UNMAP;
		return true;
	}
	return false;
}

/*
 * A write has to be durable when it is answered, if the driver thinks that there is no
 * cache: it has turned it off, or cannot flush it (5.2.6.2).
 */
static bool
wants_flush(struct blk_request *rq)
{
	if (!rq->kind->writes || rq->flushing || !blk_is_writethrough(rq->q->blk))
		return false;
	rq->flushing = true;
	rq->disk.op = DISK_FLUSH;
	return true;
}

/* Keeps account of what a flush at the end would still have to do. */
static void
note_durable(const struct blk_request *rq, int err)
{
	struct blk *blk = rq->q->blk;

	if (rq->disk.op == DISK_FLUSH) {
		if (err == 0 && rq->mark > blk->durable)
			blk->durable = rq->mark;
	} else if (rq->kind->writes) {
		blk->written++; /* a part may be written, whatever it returned */
	}
}

static void
done(struct disk_request *d, int err)
{
	struct blk_request *rq = container_of(d, struct blk_request, disk);

	note_durable(rq, err);
	if (err == 0 && (next_range(rq) || wants_flush(rq))) {
		if (!rq->q->stopping) {
			submit(rq);
			return;
		}
		err = -ECANCELED;
	}
	blk_request_answer(rq, status_of(err));
}

static void
answer_id(struct blk_request *rq, const struct vq_chain *c)
{
	const struct blk *blk = rq->q->blk;
	uint64_t room = c->write_len - 1;

	vq_chain_write(c, 0, blk->id,
		       room < sizeof(blk->id) ? (size_t)room : sizeof(blk->id));
	blk_request_answer(rq, BLK_S_OK);
}

void
blk_request_start(struct blk_request *rq, const struct vq_chain *c)
{
	enum disk_op op = rq->kind->op;

	if (op == DISK_OPS) {
		answer_id(rq, c);
		return;
	}
	rq->disk.done = done;
	rq->disk.unmap = false;
	/* Of no bytes, or with ranges of none: there is nothing to ask the back for. */
	if (op != DISK_FLUSH && !next_range(rq) && rq->disk.len == 0) {
		blk_request_answer(rq, BLK_S_OK);
		return;
	}
	submit(rq);
}
