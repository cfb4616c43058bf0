/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk (virtio 1.2, section 5.2): the device around the requests of blk_request.c.
 *
 * A doorbell serves its queue until it is empty.  If a request has to wait, for tokens or
 * because a pass is over, it stays in the ring and the *whole device* waits for the timer:
 * then the queues are served in turn, beginning with the one that waited, so that no
 * queue takes from the others what they waited for.
 *
 * Nothing is allocated once the device is made.
 */
#include "blk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	BLK_ID = 2,
	BLK_LEGACY_PCI_ID = 0x1001,
	BLK_PCI_CLASS = 0x018000, /* mass storage, other */
	PASS_MAX = BLK_QUEUE_SIZE,
};

static struct blk *
of_device(struct virtio_device *dev)
{
	return container_of(dev, struct blk, dev);
}

/* ---- serving ---- */

static bool
is_live(const struct blk_queue *q)
{
	return q->blk->dev.live && q->blk->queue[q->index].enabled;
}

/* Nothing is served before that; then this queue comes first. */
static void
wait_until(struct blk_queue *q, uint64_t deadline_ns)
{
	q->blk->waiting = true;
	q->blk->turn = q->index;
	reactor_timer_set(q->blk->r, &q->blk->timer, deadline_ns);
}

/* May it be served now?  If not, the timer is set. */
static bool
pay(struct blk_queue *q, const struct blk_request *rq)
{
	struct blk *blk = q->blk;

	if (!blk->limited)
		return true;
	uint64_t now = reactor_now_ns(blk->r);
	if (rate_limit_take(&blk->limit, rq->bytes, rq->ops, now))
		return true;
	wait_until(q, rate_limit_ready_ns(&blk->limit, rq->bytes, rq->ops, now));
	return false;
}

/* One request.  False: there is none, or it has to wait. */
static bool
serve_one(struct blk_queue *q)
{
	struct blk *blk = q->blk;
	struct vq_chain c = { .iov = blk->iov, .iov_max = BLK_QUEUE_SIZE };
	enum blk_status status;

	if (blk->left == 0) {
		if (virtqueue_pending(q->vq))
			wait_until(q, reactor_now_ns(blk->r));
		return false;
	}
	int n = virtqueue_pop(q->vq, &c);
	if (n <= 0) {
		if (n < 0)
			virtio_fail(&blk->dev, "queue %u is broken", q->index);
		return false;
	}
	struct blk_request *rq = blk_request_get(q, &c, &status);
	if (!rq) {
		virtio_fail(&blk->dev, "queue %u: a request without a status byte",
			    q->index);
		return false;
	}
	if (!pay(q, rq)) {
		blk_request_put(rq);
		virtqueue_unpop(q->vq, &c);
		return false;
	}
	blk->left--;
	if (status == BLK_S_OK)
		blk_request_start(rq, &c);
	else
		blk_request_answer(rq, status);
	return true;
}

/* One queue, until it is empty. */
static void
serve(struct blk_queue *q)
{
	struct blk *blk = q->blk;

	/* What is added while we look needs no doorbell, nor does what has to wait. */
	virtqueue_disable_notify(q->vq);
	if (blk->waiting)
		return;
	blk->left = PASS_MAX;
	do {
		while (serve_one(q))
			;
	} while (!blk->waiting && virtqueue_enable_notify(q->vq));
}

/* The end of a wait. */
static void
on_timer(struct reactor_timer *t)
{
	struct blk *blk = container_of(t, struct blk, timer);
	unsigned i = blk->turn, idle = 0;

	blk->waiting = false;
	blk->left = PASS_MAX;
	while (!blk->waiting && idle < blk->nqueue) {
		struct blk_queue *q = &blk->bq[i];

		idle = is_live(q) && serve_one(q) ? 0 : idle + 1;
		i = (i + 1) % blk->nqueue;
	}
	/* All are empty: doorbells again. */
	for (i = 0; i < blk->nqueue && !blk->waiting; i++)
		if (is_live(&blk->bq[i]))
			serve(&blk->bq[i]);
}

static void
queue_notify(struct virtio_device *dev, unsigned queue)
{
	serve(&of_device(dev)->bq[queue]);
}

/* One interrupt for all that was answered in this pass of the loop. */
static void
on_publish(struct reactor_defer *d)
{
	struct blk_queue *q = container_of(d, struct blk_queue, publish);

	virtio_publish(&q->blk->dev, q->index);
}

/* ---- start, stop ---- */

static void
set_writeback(struct blk *blk, uint8_t on)
{
	virtio_config_put(&blk->dev, offsetof(struct blk_space, writeback), &on, 1);
}

static bool
features_ok(struct virtio_device *dev, uint64_t features)
{
	/* Who can change the mode and cannot flush begins without a cache (5.2.5.2). */
	if ((features & BLK_F_CONFIG_WCE) && !(features & BLK_F_FLUSH))
		set_writeback(of_device(dev), 0);
	return true;
}

static int
start(struct virtio_device *dev)
{
	struct blk *blk = of_device(dev);

	/* Who cannot change the mode has a cache if it can flush it (5.2.6.2). */
	if (!virtio_has(dev, BLK_F_CONFIG_WCE))
		set_writeback(blk, virtio_has(dev, BLK_F_FLUSH));
	return 0;
}

static void
halt(struct blk_queue *q)
{
	struct blk *blk = q->blk;

	/* What has more steps ends with an error, so that this ends. */
	q->stopping = true;
	while (q->nspare < BLK_QUEUE_SIZE)
		blk->disk->ops->drain(blk->disk);
	q->stopping = false;
	reactor_defer_cancel(blk->r, &q->publish);
	virtio_publish(&blk->dev, q->index);
}

static void
queue_stop(struct virtio_device *dev, unsigned queue)
{
	halt(&of_device(dev)->bq[queue]);
}

static void
stop(struct virtio_device *dev)
{
	struct blk *blk = of_device(dev);

	for (unsigned i = 0; i < blk->nqueue; i++)
		blk->bq[i].stopping = true;
	for (unsigned i = 0; i < blk->nqueue; i++)
		halt(&blk->bq[i]);
	reactor_timer_cancel(blk->r, &blk->timer);
	blk->waiting = false;
}

static void
config_write(struct virtio_device *dev, unsigned off, unsigned len, uint32_t val)
{
	const unsigned at = offsetof(struct blk_space, writeback);

	if (!dev->legacy && !virtio_has(dev, BLK_F_CONFIG_WCE))
		return;
	/* All else is read-only. */
	if (off <= at && at < off + len)
		set_writeback(of_device(dev), (val >> 8 * (at - off) & 0xff) != 0);
}

static void
reset(struct virtio_device *dev)
{
	set_writeback(of_device(dev), 1);
}

#define COUNTER(member) \
	{ \
#member, offsetof(struct blk, count.member) \
	}

static const struct virtio_counter counter_table[] = {
	COUNTER(reads),      COUNTER(writes),        COUNTER(flushes),
	COUNTER(discards),   COUNTER(zeroes),        COUNTER(errors),
	COUNTER(read_bytes), COUNTER(written_bytes), { NULL, 0 },
};

static const struct virtio_type blk_type = {
	.name = "blk",
	.id = BLK_ID,
	.legacy_pci_id = BLK_LEGACY_PCI_ID,
	.pci_class = BLK_PCI_CLASS,
	.counter = counter_table,
	.features_ok = features_ok,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
	.queue_notify = queue_notify,
	.config_write = config_write,
	.reset = reset,
};

/* ---- the end of the machine ---- */

static void
sync_done(struct disk_request *rq, int err)
{
	container_of(rq, struct blk, sync)->sync_err = err;
}

int
blk_sync(struct blk *blk)
{
	assert(!blk->dev.live);
	if (blk->written == blk->durable)
		return 0;
	blk->sync = (struct disk_request){ .done = sync_done, .op = DISK_FLUSH };
	blk->sync_err = -EINPROGRESS;
	blk->disk->ops->submit(blk->disk, &blk->sync);
	blk->disk->ops->drain(blk->disk);
	if (blk->sync_err == 0)
		blk->durable = blk->written;
	return blk->sync_err;
}

/* ---- making one ---- */

static uint64_t
features(const struct blk *blk)
{
	const struct disk_info *info = &blk->disk->info;
	uint64_t f = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY | BLK_F_FLUSH |
		     BLK_F_CONFIG_WCE;

	if (blk->nqueue > 1)
		f |= BLK_F_MQ;
	if (info->readonly)
		return f | BLK_F_RO;
	if (info->discard)
		f |= BLK_F_DISCARD;
	return f | BLK_F_WRITE_ZEROES;
}

static uint32_t
sectors(uint64_t bytes)
{
	return (uint32_t)(bytes / BLK_SECTOR);
}

static void
fill_config(struct blk *blk)
{
	const struct disk_info *info = &blk->disk->info;
	uint32_t align =
		info->discard_align > info->block ? info->discard_align : info->block;
	uint8_t exp = 0;

	while ((uint64_t)info->block << (exp + 1) <= info->physical_block)
		exp++;
	blk->space = (struct blk_space){
		.capacity = info->size / BLK_SECTOR,
		.seg_max = BLK_SEG_MAX,
		.blk_size = info->block,
		.physical_block_exp = exp,
		.min_io_size = (uint16_t)(1u << exp),
		.writeback = 1,
		.num_queues = (uint16_t)blk->nqueue,
		.max_discard_sectors = sectors(BLK_DISCARD_MAX),
		.max_discard_seg = BLK_RANGES_MAX,
		.discard_sector_alignment = sectors(align),
		.max_write_zeroes_sectors = sectors(BLK_ZEROES_MAX),
		.max_write_zeroes_seg = BLK_RANGES_MAX,
		.write_zeroes_may_unmap = info->discard,
	};
}

/*
 * Requests and pages of all queues.  A page of it takes no memory before it is used, and
 * is not to become a huge one then.
 */
static int
make_pool(struct blk *blk)
{
	size_t requests =
		sizeof(struct blk_request) * BLK_QUEUE_SIZE * (size_t)blk->nqueue;
	size_t pages = sizeof(union blk_page) * BLK_QUEUE_SIZE * (size_t)blk->nqueue;
	void *p;

	requests = align_up(requests, sizeof(union blk_page));
	blk->pool_len = requests + pages;
	p = mmap(NULL, blk->pool_len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	madvise(p, blk->pool_len, MADV_NOHUGEPAGE);
	blk->pool = p;
	for (unsigned i = 0; i < blk->nqueue; i++) {
		struct blk_queue *q = &blk->bq[i];

		q->request = (struct blk_request *)p + (size_t)i * BLK_QUEUE_SIZE;
		q->page = (union blk_page *)(void *)((uint8_t *)p + requests) +
			  (size_t)i * BLK_QUEUE_SIZE;
	}
	return 0;
}

static int
make_queues(struct blk *blk)
{
	blk->queue = calloc(blk->nqueue, sizeof(*blk->queue));
	blk->bq = calloc(blk->nqueue, sizeof(*blk->bq));
	if (!blk->queue || !blk->bq)
		return -ENOMEM;
	for (unsigned i = 0; i < blk->nqueue; i++) {
		struct blk_queue *q = &blk->bq[i];

		blk->queue[i].size_max = BLK_QUEUE_SIZE;
		q->blk = blk;
		q->index = i;
		q->vq = &blk->queue[i].vq;
		q->publish.cb = on_publish;
		while (q->nspare < BLK_QUEUE_SIZE) {
			q->spare[q->nspare] = (uint16_t)(BLK_QUEUE_SIZE - 1 - q->nspare);
			q->nspare++;
		}
	}
	return make_pool(blk);
}

static void
dispose(struct blk *blk)
{
	if (blk->pool)
		munmap(blk->pool, blk->pool_len);
	free(blk->queue);
	free(blk->bq);
	free(blk);
}

int
blk_new(const struct memory *mem, struct reactor *r, struct disk *disk,
	const struct blk_config *cfg, struct blk **ret)
{
	struct blk *blk = calloc(1, sizeof(*blk));

	if (!blk)
		return -ENOMEM;
	assert(cfg->queues >= 1 && cfg->queues <= BLK_QUEUES_MAX);
	blk->r = r;
	blk->disk = disk;
	blk->nqueue = cfg->queues;
	blk->timer.cb = on_timer;
	memcpy(blk->id, cfg->serial, strnlen(cfg->serial, sizeof(blk->id)));
	rate_limit_init(&blk->limit, &cfg->rate, reactor_now_ns(r));
	blk->limited = cfg->rate.rate || cfg->rate.rate_ops;
	if (make_queues(blk)) {
		dispose(blk);
		return -ENOMEM;
	}
	fill_config(blk);

	const struct virtio_desc desc = {
		.type = &blk_type,
		.name = cfg->name,
		.mem = mem,
		.features = features(blk),
		.queue = blk->queue,
		.nqueue = blk->nqueue,
		.config = (uint8_t *)&blk->space,
		.config_len = BLK_SPACE_LEN,
	};
	virtio_device_init(&blk->dev, &desc);
	*ret = blk;
	return 0;
}

struct virtio_device *
blk_device(struct blk *blk)
{
	return &blk->dev;
}

void
blk_free(struct blk *blk)
{
	if (!blk)
		return;
	reactor_timer_cancel(blk->r, &blk->timer);
	for (unsigned i = 0; i < blk->nqueue; i++)
		reactor_defer_cancel(blk->r, &blk->bq[i].publish);
	blk->disk->ops->free(blk->disk);
	dispose(blk);
}
