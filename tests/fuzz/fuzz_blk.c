/* SPDX-License-Identifier: ISC */
/*
 * A driver of virtio-blk that does anything: rings, headers and data are whatever the
 * fuzzer makes of them and change between the steps; the disk answers in any order and
 * fails when the input says so.
 *
 * Whatever happens: the back is asked for nothing that disk.h forbids and for no memory
 * that is not RAM; an error of the back is never a success for the driver; every request
 * is answered once; after a reset nothing is in flight, and a proper driver is served.
 *
 *	byte 0	features: bit 0 FLUSH, 1 CONFIG_WCE, 2 DISCARD and WRITE_ZEROES,
 *		3 INDIRECT, 4 EVENT_IDX; 5 read-only, 6 blocks of 4096, 7 limits
 *	byte 1	number of steps, 4 bytes each: operation, argument, 16-bit value
 *	then	RAM, from guest address 0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/virtio/blk.h"
#include "fuzz.h"
#include "memory.h"

#include "../unit/fake_driver.h"
#include "../unit/fake_reactor.c"

enum {
	QUEUES = 2,
	RING_SIZE = 16,
	RING_STEP = 512, /* a ring of that size fits */
	STEPS_MAX = 64,
	RAM_MIN = QUEUES * RING_STEP,
	RAM_MAX = 8192,
	DISK_LEN = 32 * 1024,
	HELD_MAX = QUEUES * RING_SIZE + 1,
};

struct guest {
	struct fake_reactor r;
	struct memory mem;
	uint8_t *ram;
	size_t len;
	uint64_t features;
	struct virtqueue_layout at[QUEUES];
	struct blk *blk;
	struct virtio_device *dev;
	struct fake_transport t;
	/* the disk */
	struct disk disk;
	uint8_t image[DISK_LEN];
	struct disk_request *held[HELD_MAX];
	unsigned nheld;
	bool fail_next; /* in drain() */
};

/* Time stands still until here. */
static void
run_timer(struct guest *g)
{
	uint64_t at = fake_reactor_deadline(&g->r, &g->blk->timer);

	if (at != 0)
		fake_reactor_advance(&g->r, at > g->r.now_ns ? at - g->r.now_ns : 0);
}

static bool
is_idle(const struct guest *g)
{
	return g->nheld == 0 && !g->r.deferred && fake_reactor_ntimers(&g->r) == 0;
}

/* ---- a disk that holds its front to disk.h ---- */

static bool
in_ram(const struct guest *g, const void *p, size_t len)
{
	uintptr_t base = (uintptr_t)g->ram, at = (uintptr_t)p;

	return at >= base && range_ok(at - base, len, g->len);
}

static void
check_request(const struct guest *g, const struct disk_request *rq)
{
	const struct disk_info *info = &g->disk.info;
	uint64_t sum = 0;

	CHECK(rq->done && rq->op < DISK_OPS);
	if (rq->op == DISK_FLUSH)
		return;
	CHECK(rq->len > 0 && range_ok(rq->off, rq->len, info->size));
	CHECK(rq->off % info->block == 0 && rq->len % info->block == 0);
	CHECK(rq->op == DISK_READ || !info->readonly);
	if (rq->op != DISK_READ && rq->op != DISK_WRITE)
		return;
	for (unsigned i = 0; i < rq->niov; i++) {
		CHECK(in_ram(g, rq->iov[i].iov_base, rq->iov[i].iov_len));
		sum += rq->iov[i].iov_len;
	}
	CHECK(sum == rq->len);
}

static void
disk_submit(struct disk *d, struct disk_request *rq)
{
	struct guest *g = container_of(d, struct guest, disk);

	check_request(g, rq);
	CHECK(g->nheld < HELD_MAX);
	for (unsigned i = 0; i < g->nheld; i++)
		CHECK(g->held[i] != rq);
	g->held[g->nheld++] = rq;
}

static void
move_bytes(struct guest *g, const struct disk_request *rq)
{
	uint8_t *p = g->image + rq->off;

	for (unsigned i = 0; i < rq->niov; p += rq->iov[i].iov_len, i++)
		if (rq->op == DISK_READ)
			memcpy(rq->iov[i].iov_base, p, rq->iov[i].iov_len);
		else
			memcpy(p, rq->iov[i].iov_base, rq->iov[i].iov_len);
}

/* Where a ring is: what is written there may be changed by the queue. */
static bool
in_ring(const struct guest *g, const uint8_t *p)
{
	return p < g->ram + RAM_MIN;
}

static bool
is_held(const struct guest *g, const struct disk_request *rq)
{
	for (unsigned i = 0; i < g->nheld; i++)
		if (g->held[i] == rq)
			return true;
	return false;
}

static void
disk_answer(struct guest *g, unsigned i, int err)
{
	struct disk_request *d = g->held[i];
	struct blk_request *rq = container_of(d, struct blk_request, disk);
	bool ours = d != &g->blk->sync;
	const uint8_t *status = ours ? rq->status : NULL;

	CHECK(!ours || rq->nranges <= BLK_RANGES_MAX);
	g->held[i] = g->held[--g->nheld];
	if (err == 0 && (d->op == DISK_READ || d->op == DISK_WRITE))
		move_bytes(g, d);
	if (err == 0 && d->op == DISK_WRITE_ZEROES)
		memset(g->image + d->off, 0, d->len);
	d->done(d, err);
	if (!ours || is_held(g, d) || in_ring(g, status))
		return;
	CHECK(*status <= BLK_S_UNSUPP);
	if (err)
		CHECK(*status != BLK_S_OK);
}

static void
disk_drain(struct disk *d)
{
	struct guest *g = container_of(d, struct guest, disk);

	while (g->nheld > 0) {
		disk_answer(g, g->nheld - 1, g->fail_next ? -EIO : 0);
		g->fail_next = !g->fail_next;
	}
}

static void
disk_free(struct disk *d)
{
	CHECK(container_of(d, struct guest, disk)->nheld == 0);
}

static const struct disk_ops disk_ops = {
	.submit = disk_submit,
	.drain = disk_drain,
	.free = disk_free,
};

/* ---- steps ---- */

static void
drive(struct guest *g, uint64_t features)
{
	virtio_reset(g->dev);
	CHECK(is_idle(g));
	driver_negotiate(g->dev, features & g->dev->offered);
	for (unsigned q = 0; q < QUEUES; q++)
		driver_enable_queue(g->dev, q, &g->at[q]);
	virtio_set_status(g->dev, DRIVER_OK);
}

static void
poke(struct guest *g, size_t off, uint16_t val)
{
	off %= g->len;
	g->ram[off] = (uint8_t)val;
	if (off + 1 < g->len)
		g->ram[off + 1] = (uint8_t)(val >> 8);
}

static void
offer(struct guest *g, unsigned q, uint16_t n)
{
	uint8_t *idx = g->ram + g->at[q].driver + 2;

	le16_put(idx, (uint16_t)(le16_get(idx) + n % (RING_SIZE + 2)));
}

static void
step(struct guest *g, const uint8_t *s)
{
	static const int error[] = { 0, -EIO, -ENOSPC, -EOPNOTSUPP };
	uint16_t val = le16_get(s + 2);
	unsigned q = s[1] % QUEUES;

	switch (s[0] % 12) {
	case 0:
	case 1:
		offer(g, q, val);
		virtio_notify(g->dev, q);
		break;
	case 2:
	case 3:
		if (g->nheld > 0)
			disk_answer(g, val % g->nheld, error[s[1] % 4]);
		break;
	case 4:
		fake_reactor_deferred(&g->r);
		break;
	case 5:
		run_timer(g);
		break;
	case 6:
		poke(g, s[1] * 2u, val);
		break;
	case 7:
		poke(g, RAM_MIN + s[1] * 2u, val);
		break;
	case 8:
		virtio_config_write(g->dev, s[1] % 64, 1u << (val & 3), val);
		break;
	case 9:
		virtio_queue_reset(g->dev, q);
		if (val & 1)
			driver_enable_queue(g->dev, q, &g->at[q]);
		break;
	case 10:
		drive(g, val & 1 ? g->features : g->features & (val | ~UINT64_C(0xffff)));
		break;
	default:
		virtio_notify(g->dev, q);
		break;
	}
}

/* ---- what must hold ---- */

static void
settle(struct guest *g)
{
	for (unsigned i = 0; !is_idle(g); i++) {
		CHECK(i < 10000);
		run_timer(g);
		disk_drain(&g->disk);
		fake_reactor_deferred(&g->r);
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		const struct virtqueue *vq = &g->blk->queue[q].vq;

		CHECK(g->blk->bq[q].nspare == BLK_QUEUE_SIZE);
		CHECK(vq->broken || vq->ninflight == 0);
	}
}

static void
check_recovery(struct guest *g)
{
	enum { HEADER = RAM_MIN, STATUS = RAM_MIN + 16, ID = RAM_MIN + 32 };

	memset(g->ram, 0, g->len);
	drive(g, 0);
	CHECK(g->dev->status == DRIVER_OK);
	uint8_t *d = g->ram + g->at[0].desc;
	le64_put(d, HEADER);
	le32_put(d + 8, 16);
	le16_put(d + 12, 1);
	le16_put(d + 14, 1);
	le64_put(d + 16, ID);
	le32_put(d + 24, BLK_SERIAL_MAX);
	le16_put(d + 28, 3);
	le16_put(d + 30, 2);
	le64_put(d + 32, STATUS);
	le32_put(d + 40, 1);
	le16_put(d + 44, 2);
	le32_put(g->ram + HEADER, BLK_T_GET_ID);
	g->ram[STATUS] = 0xee;
	offer(g, 0, 1);
	virtio_notify(g->dev, 0);
	settle(g);
	CHECK(le16_get(g->ram + g->at[0].device + 2) == 1);
	CHECK(g->ram[STATUS] == BLK_S_OK);
	CHECK(memcmp(g->ram + ID, "fuzz", 5) == 0);
}

static void
make(struct guest *g, uint8_t opt)
{
	const struct blk_config cfg = {
		.name = "disk0",
		.queues = QUEUES,
		.serial = "fuzz",
		.rate = { .rate = opt & 0x80 ? 4096 : 0,
			  .burst = 1024,
			  .rate_ops = opt & 0x80 ? 10 : 0,
			  .burst_ops = 2 },
	};

	g->features = (opt & 1 ? BLK_F_FLUSH : 0) | (opt & 2 ? BLK_F_CONFIG_WCE : 0) |
		      (opt & 4 ? BLK_F_DISCARD | BLK_F_WRITE_ZEROES : 0) |
		      (opt & 8 ? VIRTIO_F_INDIRECT_DESC : 0) |
		      (opt & 16 ? VIRTIO_F_EVENT_IDX : 0);
	g->disk = (struct disk){
		.ops = &disk_ops,
		.info = { .size = DISK_LEN,
			  .block = opt & 0x40 ? 4096 : 512,
			  .physical_block = 4096,
			  .readonly = opt & 0x20,
			  .discard = true },
	};
	for (unsigned q = 0; q < QUEUES; q++) {
		uint64_t at = (uint64_t)q * RING_STEP;

		g->at[q] = (struct virtqueue_layout){
			.size = RING_SIZE,
			.desc = at,
			.driver = at + 16 * RING_SIZE,
			.device = align_up(at + 16 * RING_SIZE + 6 + 2 * RING_SIZE, 4),
		};
	}
	memory_from_buffer(&g->mem, 0, g->ram, g->len);
	CHECK(blk_new(&g->mem, fake_reactor(&g->r), &g->disk, &cfg, &g->blk) == 0);
	g->dev = blk_device(g->blk);
	fake_transport_connect(&g->t, g->dev);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned nsteps = size >= 2 ? data[1] % (STEPS_MAX + 1) : 0;
	size_t skip = 2 + 4u * nsteps;

	if (size < skip + RAM_MIN + 64 || size - skip > RAM_MAX)
		return 0;
	log_set_level(LOG_ERROR);
	struct guest *g = calloc(1, sizeof(*g));
	CHECK(g);
	/* To the byte: what lies behind it is not RAM. */
	g->len = size - skip;
	g->ram = malloc(g->len);
	CHECK(g->ram);
	memcpy(g->ram, data + skip, g->len);
	make(g, data[0]);
	drive(g, g->features);
	for (unsigned i = 0; i < nsteps; i++)
		step(g, data + 2 + 4 * i);
	settle(g);
	check_recovery(g);
	virtio_stop(g->dev);
	CHECK(blk_sync(g->blk) == 0 || g->blk->sync_err == -EIO);
	virtio_disconnect(g->dev);
	blk_free(g->blk);
	free(g->ram);
	free(g);
	return 0;
}
