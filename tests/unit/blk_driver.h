/* SPDX-License-Identifier: ISC */
/* A driver of virtio-blk for tests, by hand, over a disk in memory. */
#ifndef BLK_DRIVER_H
#define BLK_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../src/virtio/blk.h"
#include "fake_disk.h"
#include "fake_driver.h"
#include "fake_reactor.h"
#include "fake_ring.h"

enum {
	SIZE = 256,
	QUEUES = 3,
	CAPACITY = 2048, /* sectors */
	SLOTS = 64,      /* requests that have a place: header, status, 1 KiB of data */
	DATA_LEN = 1024,
	PENDING = 0xee, /* a status that was not written */
};

struct fix {
	struct fake_ram ram;
	struct fake_reactor r;
	struct fake_disk disk;
	struct fake_ring ring[QUEUES];
	struct blk *blk;
	struct virtio_device *dev;
	struct fake_transport t;
};

static inline void
enable_queue(struct fix *x, unsigned q)
{
	ring_init(&x->ring[q], &x->ram, q, SIZE);
	driver_enable_queue(x->dev, q, &x->ring[q].at);
}

/* Without DRIVER_OK. */
static inline void
negotiate(struct fix *x, uint64_t features)
{
	driver_negotiate(x->dev, features);
	assert_int_equal(x->dev->status, DRIVER_FEATURES_OK);
}

static inline void
drive_with(struct fix *x, uint64_t features)
{
	negotiate(x, features);
	for (unsigned q = 0; q < x->dev->nqueue; q++)
		enable_queue(x, q);
	virtio_set_status(x->dev, DRIVER_OK);
	assert_int_equal(x->dev->status, DRIVER_OK);
}

/* What Linux takes. */
static inline uint64_t
usual_features(const struct fix *x)
{
	return x->dev->offered & ~VIRTIO_F_EVENT_IDX;
}

static inline void
make(struct fix *x, const struct blk_config *cfg)
{
	assert_int_equal(blk_new(&x->ram.mem, fake_reactor(&x->r), &x->disk.disk, cfg,
				 &x->blk),
			 0);
	x->dev = blk_device(x->blk);
	fake_transport_connect(&x->t, x->dev);
	drive_with(x, usual_features(x));
}

static inline void
make_usual(struct fix *x)
{
	const struct blk_config cfg = { .name = "disk0", .queues = 1, .serial = "abc" };

	make(x, &cfg);
}

static inline int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	x->r.now_ns = 1000000000;
	fake_disk_init(&x->disk, (uint64_t)CAPACITY * 512, 512);
	*state = x;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->blk) {
		virtio_disconnect(x->dev);
		blk_free(x->blk);
		assert_true(x->disk.freed);
	} else {
		x->disk.disk.ops->free(&x->disk.disk);
	}
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	assert_null(x->r.deferred);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

/* ---- requests ---- */

static inline uint64_t
header_at(unsigned k)
{
	return DATA_GPA + k * 32;
}

static inline uint64_t
status_at(unsigned k)
{
	return DATA_GPA + k * 32 + 24;
}

static inline uint64_t
data_at(unsigned k)
{
	return DATA_GPA + 0x4000 + k * DATA_LEN;
}

static inline void
put_header(struct fix *x, unsigned k, uint32_t type, uint64_t sector)
{
	uint8_t *p = ram_at(&x->ram, header_at(k));

	assert_true(k < SLOTS);
	le32_put(p, type);
	le32_put(p + 4, 0);
	le64_put(p + 8, sector);
	*ram_at(&x->ram, status_at(k)) = PENDING;
}

static inline bool
is_out(uint32_t type)
{
	return type & 1;
}

/* As Linux lays it out: three descriptors, or two without data. */
static inline void
put_request(struct fix *x, unsigned q, unsigned k, uint32_t type, uint64_t sector,
	    uint32_t len)
{
	struct fake_ring *ring = &x->ring[q];
	unsigned d = 3 * k;

	put_header(x, k, type, sector);
	ring_desc(ring, d, header_at(k), 16, F_NEXT, len ? d + 1 : d + 2);
	ring_desc(ring, d + 1, data_at(k), len, F_NEXT | (is_out(type) ? 0 : F_WRITE),
		  d + 2);
	ring_desc(ring, d + 2, status_at(k), 1, F_WRITE, 0);
	ring_offer(ring, d);
}

static inline void
request(struct fix *x, unsigned k, uint32_t type, uint64_t sector, uint32_t len)
{
	put_request(x, 0, k, type, sector, len);
	virtio_notify(x->dev, 0);
}

static inline unsigned
status(struct fix *x, unsigned k)
{
	return *ram_at(&x->ram, status_at(k));
}

static inline uint8_t *
data(struct fix *x, unsigned k)
{
	return ram_at(&x->ram, data_at(k));
}

/* Ranges of DISCARD and WRITE_ZEROES, in the data. */
static inline void
put_range(struct fix *x, unsigned k, unsigned i, uint64_t sector, uint32_t n,
	  uint32_t flags)
{
	const struct blk_range r = { sector, n, flags };

	memcpy(data(x, k) + i * sizeof(r), &r, sizeof(r));
}

/* The back answers all there is, in order, and what that brings; then the interrupt. */
static inline void
settle(struct fix *x)
{
	while (x->disk.nheld > 0)
		fake_disk_answer_all(&x->disk);
	fake_reactor_deferred(&x->r);
}

static inline unsigned
used(struct fix *x, unsigned q)
{
	return ring_used_idx(&x->ring[q]);
}

/* One request from offer to answer: its status. */
static inline unsigned
ask(struct fix *x, uint32_t type, uint64_t sector, uint32_t len)
{
	unsigned before = used(x, 0);

	request(x, 0, type, sector, len);
	settle(x);
	assert_int_equal(used(x, 0), before + 1);
	assert_int_equal(ring_used_id(&x->ring[0], before), 0);
	return status(x, 0);
}

#endif
