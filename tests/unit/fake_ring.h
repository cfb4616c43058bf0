/* SPDX-License-Identifier: ISC */
/*
 * Guest memory and a driver's side of a split ring, for tests: all of it by hand, so
 * that a test can write what no driver would.
 */
#ifndef FAKE_RING_H
#define FAKE_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "util.h"
#include "virtqueue.h"

enum {
	RAM_GPA = 0x100000,
	RAM_LEN = 0x40000,
	RAM_END = RAM_GPA + RAM_LEN,
	RING_GPA = RAM_GPA + 0x1000, /* rings of queue q at + q * 0x8000 */
	RING_STEP = 0x8000,
	DATA_GPA = RAM_GPA + 0x20000,
	F_NEXT = 1,
	F_WRITE = 2,
	F_INDIRECT = 4,
};

/* Allocated to the byte, so that a step over the end is seen. */
struct fake_ram {
	struct memory mem;
	uint8_t *buf;
};

static inline void
ram_init(struct fake_ram *r)
{
	r->buf = aligned_alloc(4096, RAM_LEN);
	assert(r->buf);
	memset(r->buf, 0, RAM_LEN);
	memory_from_buffer(&r->mem, RAM_GPA, r->buf, RAM_LEN);
}

static inline void
ram_fini(struct fake_ram *r)
{
	free(r->buf);
}

static inline uint8_t *
ram_at(struct fake_ram *r, uint64_t gpa)
{
	assert(gpa >= RAM_GPA && gpa < RAM_END);
	return r->buf + (gpa - RAM_GPA);
}

struct fake_ring {
	struct fake_ram *ram;
	struct virtqueue_layout at;
	uint16_t avail_idx;
};

static inline void
ring_init(struct fake_ring *ring, struct fake_ram *ram, unsigned queue, unsigned size)
{
	uint64_t base = RING_GPA + queue * RING_STEP;

	*ring = (struct fake_ring){
		.ram = ram,
		.at = {
			.size = (uint16_t)size,
			.desc = base,
			.driver = base + 16 * size,
			.device = align_up(base + 16 * size + 6 + 2 * size, 4),
		},
	};
	memset(ram_at(ram, base), 0, ring->at.device + 6 + 8 * size - base);
}

static inline void
desc_put(uint8_t *p, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	le64_put(p, addr);
	le32_put(p + 8, len);
	le16_put(p + 12, (uint16_t)flags);
	le16_put(p + 14, (uint16_t)next);
}

static inline void
ring_desc(struct fake_ring *ring, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
	  unsigned next)
{
	desc_put(ram_at(ring->ram, ring->at.desc + 16 * i), addr, len, flags, next);
}

/* Puts a head into the available ring, without showing it. */
static inline void
ring_put(struct fake_ring *ring, unsigned head)
{
	unsigned i = ring->avail_idx++ & (ring->at.size - 1u);

	le16_put(ram_at(ring->ram, ring->at.driver + 4 + 2 * i), (uint16_t)head);
}

static inline void
ring_show(struct fake_ring *ring)
{
	le16_put(ram_at(ring->ram, ring->at.driver + 2), ring->avail_idx);
}

static inline void
ring_offer(struct fake_ring *ring, unsigned head)
{
	ring_put(ring, head);
	ring_show(ring);
}

static inline void
ring_set_avail_flags(struct fake_ring *ring, unsigned flags)
{
	le16_put(ram_at(ring->ram, ring->at.driver), (uint16_t)flags);
}

static inline void
ring_set_used_event(struct fake_ring *ring, unsigned idx)
{
	le16_put(ram_at(ring->ram, ring->at.driver + 4 + 2 * ring->at.size),
		 (uint16_t)idx);
}

static inline uint16_t
ring_used_flags(struct fake_ring *ring)
{
	return le16_get(ram_at(ring->ram, ring->at.device));
}

static inline uint16_t
ring_used_idx(struct fake_ring *ring)
{
	return le16_get(ram_at(ring->ram, ring->at.device + 2));
}

static inline uint32_t
ring_used_id(struct fake_ring *ring, unsigned i)
{
	return le32_get(
		ram_at(ring->ram, ring->at.device + 4 + 8 * (i & (ring->at.size - 1u))));
}

static inline uint32_t
ring_used_len(struct fake_ring *ring, unsigned i)
{
	return le32_get(
		ram_at(ring->ram, ring->at.device + 8 + 8 * (i & (ring->at.size - 1u))));
}

static inline uint16_t
ring_avail_event(struct fake_ring *ring)
{
	return le16_get(ram_at(ring->ram, ring->at.device + 4 + 8 * ring->at.size));
}

/*
 * Offers one more and says whether a driver rings the bell then (2.7.10.1): with
 * EVENT_IDX if the index passes avail_event, else if the flag is not set.
 */
static inline bool
ring_offer_rings(struct fake_ring *ring, unsigned head, bool event_idx)
{
	uint16_t old = ring->avail_idx;

	ring_offer(ring, head);
	if (!event_idx)
		return !(ring_used_flags(ring) & 1);
	return (uint16_t)(ring->avail_idx - ring_avail_event(ring) - 1) <
	       (uint16_t)(ring->avail_idx - old);
}

#endif
