// SPDX-License-Identifier: ISC
/* Rings that cannot be: chains and indices (virtio 1.2, 2.7). */
#include "attack.h"

enum { SLOTS = 2, SHORT = 8 };

/* Addresses that are known only when it runs. */
enum { BUFFER = 0, TABLE, CONFIG_SPACE, LAST_BYTES, NOWHERE };
#define WRAPS (-32ull)
/* Indices that depend on the size of the queue. */
enum { SIZE = 0x10000, BEYOND };

struct chain {
	struct vring_desc desc[SLOTS], table[SLOTS];
	uint32_t head;
	uint32_t step; /* of the index; 0: 1 */
};

static uint64_t
address(uint64_t v)
{
	switch (v) {
	case BUFFER:
		return (uint64_t)victim.buf;
	case TABLE:
		return (uint64_t)victim.q.table;
	case CONFIG_SPACE:
		return pci_ecam() ? pci_ecam() : irqchip_base();
	case LAST_BYTES:
		return ram_end() - 32;
	case NOWHERE:
		return 1ull << 39;
	default:
		return v;
	}
}

static uint16_t
index_of(uint32_t v)
{
	return (uint16_t)(v == SIZE     ? victim.q.size
			  : v == BEYOND ? victim.q.size + 1u
					: v);
}

static void
put(struct vring_desc *to, const struct vring_desc *from)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		to[i] = from[i];
		to[i].addr = address(from[i].addr);
	}
}

static void
offer(uint16_t head, uint16_t step)
{
	struct virtq *q = &victim.q;

	q->avail->ring[q->added % q->size] = head;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	q->avail->idx = (uint16_t)(q->added + step);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	victim.v.ops->notify(&victim.v, 0);
}

static void
attack_chain(const struct attack *a)
{
	const struct chain *c = a->arg;

	put(victim.q.desc, c->desc);
	put(victim.q.table, c->table);
	offer(index_of(c->head), c->step ? index_of(c->step) : 1);
}

/* More pieces than the queue is long, in a table that has room for them. */
static void
attack_long_table(const struct attack *a)
{
	struct vring_desc *t = victim.q.table;
	unsigned n = victim.q.size + 1u;

	(void)a;
	for (unsigned i = 0; i < n; i++) {
		t[i] = (struct vring_desc){ .addr = (uint64_t)victim.buf, .len = 1 };
		t[i].flags = DESC_WRITE | DESC_NEXT;
		t[i].next = (uint16_t)(i + 1);
	}
	t[n - 1].flags = DESC_WRITE;
	victim.q.desc[0] = (struct vring_desc){ .addr = (uint64_t)t,
						.len = n * (uint32_t)sizeof(*t),
						.flags = DESC_INDIRECT };
	offer(0, 1);
}

/* Everything in the queue at once is the same chain: each only when it is free again. */
static void
attack_same_head(const struct attack *a)
{
	const struct vring_desc d = { (uint64_t)victim.buf, SHORT, DESC_WRITE, 0 };
	struct virtq *q = &victim.q;

	(void)a;
	q->desc[0] = d;
	for (unsigned i = 0; i < q->size; i++)
		q->avail->ring[i] = 0;
	offer(0, q->size);
}

#define W DESC_WRITE
#define N DESC_NEXT
#define CHAIN(name_, want_, ...) \
	{ \
		.name = "chain-" name_, .on = ON_ANY, .want = want_, .fn = attack_chain, \
		.arg = &(const struct chain) \
		{ \
			__VA_ARGS__ \
		} \
	}
/* The descriptor that refers to the table, and what is in it. */
#define TABLE_OF(name_, len_, flags_, ...) \
	{ \
		.name = "indirect-" name_, .on = ON_ANY, .want = BREAKS, \
		.fn = attack_chain, .features = VIRTIO_F_INDIRECT, \
		.arg = &(const struct chain){ \
			.desc = { { TABLE, len_, DESC_INDIRECT | (flags_), 1 } }, \
			.table = { __VA_ARGS__ }, \
		}, \
	}
#define GOOD \
	{ \
		BUFFER, SHORT, W, 0 \
	}

static const struct attack attacks[] = {
	CHAIN("good", UNHARMED, .desc = { GOOD }),
	CHAIN("nothing-to-write", UNHARMED, .desc = { { BUFFER, SHORT, 0, 0 } }),
	CHAIN("loop-of-one", BREAKS, .desc = { { BUFFER, SHORT, W | N, 0 } }),
	CHAIN("loop-of-two", BREAKS,
	      .desc = { { BUFFER, SHORT, W | N, 1 }, { BUFFER, SHORT, W | N, 0 } }),
	CHAIN("loop-of-no-length", BREAKS,
	      .desc = { { BUFFER, 0, W | N, 1 }, { BUFFER, 0, W | N, 0 } }),
	CHAIN("loop-of-gigabytes", BREAKS, .desc = { { BUFFER, 1 << 20, W | N, 0 } }),
	CHAIN("next-out-of-range", BREAKS, .desc = { { BUFFER, SHORT, W | N, 0x7fff } }),
	CHAIN("readable-behind-writable", BREAKS,
	      .desc = { { BUFFER, SHORT, W | N, 1 }, { BUFFER, SHORT, 0, 0 } }),
	CHAIN("outside-ram", BREAKS, .desc = { { NOWHERE, 64, W, 0 } }),
	CHAIN("over-end-of-ram", BREAKS, .desc = { { LAST_BYTES, 64, W, 0 } }),
	CHAIN("wraps", BREAKS, .desc = { { WRAPS, 64, W, 0 } }),
	CHAIN("into-registers", BREAKS, .desc = { { CONFIG_SPACE, 64, W, 0 } }),
	CHAIN("4-GiB", BREAKS, .desc = { { BUFFER, 0xffffffff, W, 0 } }),
	CHAIN("head-of-size", BREAKS, .desc = { GOOD }, .head = SIZE),
	CHAIN("head-out-of-range", BREAKS, .desc = { GOOD }, .head = 0xffff),
	CHAIN("index-too-far", BREAKS, .desc = { GOOD }, .step = BEYOND),
	CHAIN("index-back", BREAKS, .desc = { GOOD }, .step = 0xffff),
	{ .name = "chain-same-head",
	  .on = ON_ANY,
	  .want = UNHARMED,
	  .fn = attack_same_head },
	CHAIN("indirect-not-negotiated", BREAKS,
	      .desc = { { TABLE, 16, DESC_INDIRECT, 0 } }, .table = { GOOD }),
	TABLE_OF("no-length", 0, 0, GOOD),
	TABLE_OF("odd-length", 17, 0, GOOD),
	TABLE_OF("4-GiB", 0xfffffff0, 0, GOOD),
	TABLE_OF("with-next", 16, N, GOOD),
	TABLE_OF("in-indirect", 16, 0, { TABLE, 16, DESC_INDIRECT, 0 }),
	TABLE_OF("loop", 32, 0, { BUFFER, SHORT, W | N, 1 }, { BUFFER, SHORT, W | N, 0 }),
	TABLE_OF("next-out-of-range", 32, 0, { BUFFER, SHORT, W | N, 2 }),
	{ .name = "indirect-longer-than-queue",
	  .on = ON_ANY,
	  .want = BREAKS,
	  .features = VIRTIO_F_INDIRECT,
	  .fn = attack_long_table },
	{ 0 },
};

void
payload_main(void)
{
	if (attack_begin())
		attack_all(attacks);
}
