/* SPDX-License-Identifier: ISC */
/*
 * Guest memory as the input: rings, descriptors and data are whatever the fuzzer
 * makes of them, and change between the steps.
 *
 * Before each pop a second reader, written from the specification and as plainly as
 * possible, says what the chain must be; both have to agree.  All memory that a chain
 * points to is then read or written, so that a range which is not RAM is a crash.
 *
 *	byte 0	bits 0-1 log2 of the size, 2 INDIRECT, 3 EVENT_IDX, 4 two iovecs,
 *		5 layout from bytes 1-3 instead of the usual one
 *	byte 4	number of steps, 4 bytes each: operation, argument, 16-bit value
 *	then	RAM, from guest address 0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "memory.h"
#include "util.h"
#include "virtio.h"
#include "virtqueue.h"

enum { HEADER_LEN = 5, STEPS_MAX = 48, RAM_MAX = 4096, IOV_MAX_TEST = 64, HELD_MAX = 8 };

struct guest {
	struct memory mem;
	uint8_t *ram;
	size_t len;
	struct virtqueue_layout at;
	bool indirect;
	bool event_idx;
	unsigned iov_max;
	struct virtqueue vq;
	uint16_t held[HELD_MAX];
	unsigned nheld;
};

/* ---- the second reader ---- */

struct expected {
	unsigned n, nread;
	struct {
		uint64_t addr;
		uint32_t len;
	} piece[IOV_MAX_TEST];
};

static bool
in_ram(const struct guest *g, uint64_t addr, uint64_t len)
{
	return addr < g->len && len <= g->len - addr;
}

/* Follows the chain; false: it breaks the queue. */
static bool
expect_chain(const struct guest *g, unsigned head, struct expected *e)
{
	uint64_t table = g->at.desc;
	unsigned n = g->at.size, count = 0, i = head;
	bool indirect = false, writable = false;

	memset(e, 0, sizeof(*e));
	for (;;) {
		if (i >= n)
			return false;
		const uint8_t *d = g->ram + table + 16 * i;
		uint64_t addr = le64_get(d);
		uint32_t len = le32_get(d + 8);
		unsigned flags = le16_get(d + 12), next = le16_get(d + 14);

		if (flags & 4) {
			if (!g->indirect || indirect || (flags & 1) || len == 0 ||
			    len % 16 || !in_ram(g, addr, len))
				return false;
			table = addr;
			n = len / 16;
			i = 0;
			indirect = true;
			continue;
		}
		if (++count > g->at.size)
			return false;
		if (writable && !(flags & 2))
			return false;
		if (len > 0) {
			if (e->n == g->iov_max || !in_ram(g, addr, len))
				return false;
			writable = flags & 2;
			e->piece[e->n].addr = addr;
			e->piece[e->n++].len = len;
			e->nread += !writable;
		}
		if (!(flags & 1))
			return true;
		i = next;
	}
}

static bool
is_held(const struct guest *g, unsigned head)
{
	for (unsigned i = 0; i < g->nheld; i++)
		if (g->held[i] == head)
			return true;
	return false;
}

/* What pop must return, and the head if it is 1. */
static int
expect_pop(const struct guest *g, struct expected *e, unsigned *head)
{
	const struct virtqueue *vq = &g->vq;
	uint16_t seen = vq->seen_avail;

	if (vq->broken)
		return -EPROTO;
	if (seen == vq->next_avail) {
		uint16_t idx = le16_get(g->ram + g->at.driver + 2);

		if ((uint16_t)(idx - vq->next_avail) > g->at.size)
			return -EPROTO;
		if (idx == vq->next_avail)
			return 0;
	}
	*head = le16_get(g->ram + g->at.driver + 4 + 2 * (vq->next_avail % g->at.size));
	if (*head >= g->at.size || is_held(g, *head))
		return -EPROTO;
	return expect_chain(g, *head, e) ? 1 : -EPROTO;
}

/* ---- steps ---- */

static void
touch(const struct vq_chain *c, uint8_t with)
{
	volatile uint8_t sum = 0;

	for (unsigned i = 0; i < c->nread + c->nwrite; i++) {
		uint8_t *p = c->iov[i].iov_base;

		if (i >= c->nread) {
			memset(p, with, c->iov[i].iov_len);
			continue;
		}
		for (size_t k = 0; k < c->iov[i].iov_len; k++)
			sum = (uint8_t)(sum + p[k]);
	}
}

/* Rings over each other are legal to set up and change as they are used. */
static bool
overlap(const struct guest *g)
{
	return ranges_overlap(g->at.device, 6 + 8u * g->at.size, g->at.desc,
			      16u * g->at.size) ||
	       ranges_overlap(g->at.device, 6 + 8u * g->at.size, g->at.driver,
			      6 + 2u * g->at.size);
}

static void
step_pop(struct guest *g, uint8_t arg)
{
	struct iovec iov[IOV_MAX_TEST];
	struct vq_chain c = { .iov = iov, .iov_max = g->iov_max };
	struct expected e;
	unsigned head = 0;

	if (g->nheld == HELD_MAX)
		return;
	int want = expect_pop(g, &e, &head);
	int got = virtqueue_pop(&g->vq, &c);

	/* Asking for the doorbell may have changed what was expected. */
	if (want != got && g->event_idx && overlap(g)) {
		if (got == 1)
			virtqueue_unpop(&g->vq, &c);
		return;
	}
	CHECK(got == want);
	/* Empty is a promise that the driver will ring for the next. */
	if (got == 0 && g->event_idx && !g->vq.quiet && !overlap(g))
		CHECK(le16_get(g->ram + g->at.device + 4 + 8 * g->at.size) ==
		      g->vq.next_avail);
	if (got != 1)
		return;
	CHECK(c.head == head);
	CHECK(c.nread == e.nread && c.nread + c.nwrite == e.n);
	for (unsigned i = 0; i < e.n; i++) {
		CHECK(c.iov[i].iov_base == g->ram + e.piece[i].addr);
		CHECK(c.iov[i].iov_len == e.piece[i].len);
	}
	if (arg & 1) {
		virtqueue_unpop(&g->vq, &c);
		return;
	}
	g->held[g->nheld++] = c.head;
	if (arg & 2)
		touch(&c, arg);
}

static void
step_push(struct guest *g, uint8_t arg, uint16_t val)
{
	if (g->nheld == 0)
		return;
	unsigned i = arg % g->nheld;
	uint16_t head = g->held[i];

	g->held[i] = g->held[--g->nheld];
	virtqueue_push(&g->vq, head, val);
}

static void
step_publish(struct guest *g)
{
	bool broken = g->vq.broken;
	uint16_t now = g->vq.next_used;

	virtqueue_publish(&g->vq);
	if (!broken)
		CHECK(le16_get(g->ram + g->at.device + 2) == now ||
		      g->vq.published == now);
}

static void
poke(struct guest *g, uint8_t arg, uint16_t val)
{
	size_t off = ((size_t)arg * 2) % g->len;

	g->ram[off] = (uint8_t)val;
	if (off + 1 < g->len)
		g->ram[off + 1] = (uint8_t)(val >> 8);
}

static void
step(struct guest *g, const uint8_t *s)
{
	uint16_t val = le16_get(s + 2);

	switch (s[0] % 8) {
	case 0:
	case 1:
	case 2:
		step_pop(g, s[1]);
		break;
	case 3:
		step_push(g, s[1], val);
		break;
	case 4:
		step_publish(g);
		break;
	case 5:
		if (s[1] & 1)
			virtqueue_enable_notify(&g->vq);
		else
			virtqueue_disable_notify(&g->vq);
		break;
	case 6:
		poke(g, s[1], val);
		break;
	default:
		/* One more request, so that long runs need no luck. */
		le16_put(g->ram + g->at.driver + 2,
			 (uint16_t)(le16_get(g->ram + g->at.driver + 2) + 1));
		break;
	}
	CHECK(g->vq.ninflight == g->nheld || g->vq.broken);
}

static bool
layout_ok(const struct guest *g)
{
	return g->at.desc % 16 == 0 && g->at.driver % 2 == 0 && g->at.device % 4 == 0 &&
	       in_ram(g, g->at.desc, 16u * g->at.size) &&
	       in_ram(g, g->at.driver, 6 + 2u * g->at.size) &&
	       in_ram(g, g->at.device, 6 + 8u * g->at.size);
}

static void
place(struct guest *g, const uint8_t *h)
{
	unsigned size = 1u << (h[0] & 3);

	g->at.size = (uint16_t)size;
	if (h[0] & 0x20) {
		g->at.desc = h[1] * 4u;
		g->at.driver = h[2];
		g->at.device = h[3] * 2u;
	} else {
		g->at.desc = 0;
		g->at.driver = 16 * size;
		g->at.device = align_up(16 * size + 6 + 2 * size, 4);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < HEADER_LEN)
		return 0;
	unsigned nsteps = data[4] % (STEPS_MAX + 1);
	size_t skip = HEADER_LEN + 4u * nsteps;
	if (size <= skip || size - skip > RAM_MAX)
		return 0;

	struct guest g = {
		.indirect = data[0] & 4,
		.event_idx = data[0] & 8,
		.iov_max = data[0] & 0x10 ? 2 : IOV_MAX_TEST,
		.len = size - skip,
	};
	/* To the byte: what lies behind it is not RAM. */
	g.ram = malloc(g.len);
	CHECK(g.ram);
	memcpy(g.ram, data + skip, g.len);
	memory_from_buffer(&g.mem, 0, g.ram, g.len);
	place(&g, data);

	int err = virtqueue_start(&g.vq, &g.mem, &g.at);
	CHECK(err == (layout_ok(&g) ? 0 : -EINVAL));
	if (!err) {
		virtqueue_set_features(&g.vq,
				       (g.indirect ? VIRTIO_F_INDIRECT_DESC : 0) |
					       (g.event_idx ? VIRTIO_F_EVENT_IDX : 0));
		for (unsigned i = 0; i < nsteps; i++)
			step(&g, data + HEADER_LEN + 4 * i);
	}
	free(g.ram);
	return 0;
}
