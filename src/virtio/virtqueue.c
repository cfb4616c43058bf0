/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues (virtio 1.2, section 2.7).  Nobody else reads descriptors.
 *
 * The rings are shared with a guest that may write to them at any time.  Each word
 * is loaded once; descriptors are copied and the compiler is kept from looking at
 * the original again.
 */
#include "virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "memory.h"
#include "util.h"
#include "virtio.h"

enum {
	DESC_LEN = 16,
	DESC_F_NEXT = 1,
	DESC_F_WRITE = 2,
	DESC_F_INDIRECT = 4,

	AVAIL_F_NO_INTERRUPT = 1,
	USED_F_NO_NOTIFY = 1,
	RING_FLAGS = 0, /* offsets in both rings */
	RING_IDX = 2,
	RING_ENTRIES = 4,
	AVAIL_ENTRY_LEN = 2,
	USED_ENTRY_LEN = 8,
};

/* A descriptor chain is at most this many bytes (2.7.5.1). */
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32)

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
_Static_assert(sizeof(struct desc) == DESC_LEN, "as in memory");

/* ---- shared words ---- */

static uint16_t
shared_load(const uint8_t *p, int order)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, order);
}

static void
shared_store(uint8_t *p, uint16_t v, int order)
{
	__atomic_store_n((uint16_t *)(void *)p, v, order);
}

static void
shared_store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELAXED);
}

/* Indirect tables need not be aligned. What is checked is the copy, never p. */
static void
desc_load(struct desc *ret, const uint8_t *p)
{
	memcpy(ret, p, sizeof(*ret));
	__asm__ volatile("" ::: "memory");
}

static const uint8_t *
avail_entry(const struct virtqueue *vq, unsigned i)
{
	return vq->avail + RING_ENTRIES + (size_t)i * AVAIL_ENTRY_LEN;
}

static uint8_t *
used_entry(const struct virtqueue *vq, unsigned i)
{
	return vq->used + RING_ENTRIES + (size_t)i * USED_ENTRY_LEN;
}

/* used_event and avail_event lie where the entry behind the last would be. */
static const uint8_t *
used_event(const struct virtqueue *vq)
{
	return avail_entry(vq, vq->size);
}

static uint8_t *
avail_event(const struct virtqueue *vq)
{
	return used_entry(vq, vq->size);
}

static unsigned
slot(const struct virtqueue *vq, uint16_t idx)
{
	return idx & (vq->size - 1u);
}

/* ---- start and stop ---- */

/* One part of the ring (2.7, the table of alignments and sizes). */
static void *
part(const struct memory *mem, uint64_t gpa, uint64_t len, uint64_t align)
{
	return gpa % align ? NULL : memory_ptr(mem, gpa, len);
}

int
virtqueue_start(struct virtqueue *vq, const struct memory *mem,
		const struct virtqueue_layout *at)
{
	unsigned size = at->size;

	memset(vq, 0, sizeof(*vq));
	if (size == 0 || size > VIRTQUEUE_SIZE_MAX || (size & (size - 1)))
		return -EINVAL;

	/* With the event word behind the entries, whether it is used or not. */
	const uint8_t *desc = part(mem, at->desc, (uint64_t)DESC_LEN * size, 16);
	const uint8_t *avail =
		part(mem, at->driver, RING_ENTRIES + AVAIL_ENTRY_LEN * size + 2, 2);
	uint8_t *used =
		part(mem, at->device, RING_ENTRIES + USED_ENTRY_LEN * size + 2, 4);
	if (!desc || !avail || !used)
		return -EINVAL;

	vq->mem = mem;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->size = (uint16_t)size;
	return 0;
}

void
virtqueue_resume(struct virtqueue *vq, uint16_t next)
{
	assert(vq->ninflight == 0);
	vq->next_avail = next;
	vq->seen_avail = next;
	vq->next_used = next;
	vq->published = next;
}

void
virtqueue_stop(struct virtqueue *vq)
{
	memset(vq, 0, sizeof(*vq));
}

void
virtqueue_set_features(struct virtqueue *vq, uint64_t features)
{
	vq->indirect = (features & VIRTIO_F_INDIRECT_DESC) != 0;
	vq->event_idx = (features & VIRTIO_F_EVENT_IDX) != 0;
}

void
virtqueue_break(struct virtqueue *vq)
{
	vq->broken = true;
}

/* ---- from the driver ---- */

/* Heads that the device holds: a driver that offers one again is broken. */
static bool
head_held(const struct virtqueue *vq, uint16_t head)
{
	return vq->inflight[head / 64] >> (head % 64) & 1;
}

static void
head_hold(struct virtqueue *vq, uint16_t head)
{
	vq->inflight[head / 64] |= 1ull << (head % 64);
	vq->ninflight++;
}

static void
head_release(struct virtqueue *vq, uint16_t head)
{
	vq->inflight[head / 64] &= ~(1ull << (head % 64));
	vq->ninflight--;
}

/* Looks how far the driver got; false if it cannot be that far. */
static bool
look(struct virtqueue *vq)
{
	/* Before the entries and descriptors that it makes valid (2.7.13.3). */
	uint16_t idx = shared_load(vq->avail + RING_IDX, __ATOMIC_ACQUIRE);

	if ((uint16_t)(idx - vq->next_avail) > vq->size) {
		vq->broken = true;
		return false;
	}
	vq->seen_avail = idx;
	return true;
}

/*
 * Asks the driver to ring for what it adds beyond what was seen, and looks again: it
 * may have added something before it could see that.  The driver first stores idx and
 * then looks whether to ring; we store first and then look at idx.  One of the two must
 * see the other, which takes a full barrier on both sides (2.7.10, 2.7.13.4.1).
 */
static bool
arm(struct virtqueue *vq)
{
	if (vq->watched)
		return look(vq);
	if (vq->event_idx)
		shared_store(avail_event(vq), vq->seen_avail, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return look(vq);
}

bool
virtqueue_pending(struct virtqueue *vq)
{
	if (vq->size == 0 || vq->broken)
		return false;
	if (vq->seen_avail != vq->next_avail)
		return true;
	if (!look(vq))
		return false;
	/* Who finds the queue empty waits for the doorbell: with EVENT_IDX it rings
	 * only if it was asked for. */
	if (vq->seen_avail == vq->next_avail && vq->event_idx && !vq->quiet && !arm(vq))
		return false;
	return vq->seen_avail != vq->next_avail;
}

/* A table of descriptors that is being walked: the ring's, or an indirect one. */
struct table {
	const uint8_t *desc;
	uint32_t n;
	bool indirect;
};

/* Adds the memory of one descriptor to the chain. */
static int
chain_add(const struct virtqueue *vq, const struct desc *d, struct vq_chain *c)
{
	bool write = d->flags & DESC_F_WRITE;
	unsigned n = c->nread + c->nwrite;

	/* All that is readable comes first (2.7.4.2). */
	if (!write && c->write_len > 0)
		return -EPROTO;
	/* Of no length: it counts as a descriptor, but there is nothing to point to. */
	if (d->len == 0)
		return 0;
	if (n == c->iov_max || d->len > CHAIN_BYTES_MAX - c->read_len - c->write_len)
		return -EPROTO;

	void *p = memory_ptr(vq->mem, d->addr, d->len);
	if (!p)
		return -EPROTO;

	c->iov[n] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	*(write ? &c->nwrite : &c->nread) += 1;
	*(write ? &c->write_len : &c->read_len) += d->len;
	return 0;
}

/* Goes on in the table that d refers to (2.7.5.3): once, and nothing follows it. */
static int
table_enter(const struct virtqueue *vq, const struct desc *d, struct table *t)
{
	if (!vq->indirect || t->indirect || (d->flags & DESC_F_NEXT))
		return -EPROTO;
	if (d->len == 0 || d->len % DESC_LEN)
		return -EPROTO;

	const uint8_t *p = memory_ptr(vq->mem, d->addr, d->len);
	if (!p)
		return -EPROTO;
	*t = (struct table){ .desc = p, .n = d->len / DESC_LEN, .indirect = true };
	return 0;
}

/*
 * Follows a chain.  It has at most as many descriptors as the queue (2.7.5.3.1), not
 * counting the one that refers to an indirect table, so loops end.
 */
static int
chain_walk(const struct virtqueue *vq, uint16_t head, struct vq_chain *c)
{
	struct table t = { .desc = vq->desc, .n = vq->size };
	unsigned left = vq->size;
	uint32_t i = head;
	struct desc d;
	int err;

	for (;;) {
		if (i >= t.n)
			return -EPROTO;
		desc_load(&d, t.desc + (size_t)i * DESC_LEN);
		if (d.flags & DESC_F_INDIRECT) {
			err = table_enter(vq, &d, &t);
			if (err)
				return err;
			i = 0;
			continue;
		}
		if (left-- == 0)
			return -EPROTO;
		err = chain_add(vq, &d, c);
		if (err || !(d.flags & DESC_F_NEXT))
			return err;
		i = d.next;
	}
}

int
virtqueue_pop(struct virtqueue *vq, struct vq_chain *ret)
{
	if (!virtqueue_pending(vq))
		return vq->broken ? -EPROTO : 0;

	struct vq_chain c = { .iov = ret->iov, .iov_max = ret->iov_max };
	c.head = shared_load(avail_entry(vq, slot(vq, vq->next_avail)), __ATOMIC_RELAXED);
	if (c.head >= vq->size || head_held(vq, c.head) || chain_walk(vq, c.head, &c)) {
		vq->broken = true;
		return -EPROTO;
	}

	head_hold(vq, c.head);
	vq->next_avail++;
	*ret = c;
	return 1;
}

void
virtqueue_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
	if (vq->size == 0 || vq->broken)
		return;
	assert(chain->head < vq->size && head_held(vq, chain->head));
	head_release(vq, chain->head);
	vq->next_avail--;
}

/* ---- to the driver ---- */

void
virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	if (vq->size == 0 || vq->broken)
		return;
	assert(head < vq->size && head_held(vq, head));
	head_release(vq, head);

	uint8_t *p = used_entry(vq, slot(vq, vq->next_used));
	shared_store32(p, head);
	shared_store32(p + 4, len);
	vq->next_used++;
}

bool
virtqueue_publish(struct virtqueue *vq)
{
	uint16_t old = vq->published, now = vq->next_used;

	if (vq->size == 0 || vq->broken || old == now)
		return false;

	/* After the entries and the data (2.7.8.2). */
	shared_store(vq->used + RING_IDX, now, __ATOMIC_RELEASE);
	vq->published = now;

	/*
	 * The driver first says that it wants an interrupt and then looks at idx; we
	 * first store idx and then look whether it does.  One of the two must see the
	 * other, which takes a full barrier on both sides (2.7.7).
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(shared_load(vq->avail + RING_FLAGS, __ATOMIC_RELAXED) &
			 AVAIL_F_NO_INTERRUPT);

	/* Is the entry it waits for among those just published?  Modulo 2^16. */
	uint16_t event = shared_load(used_event(vq), __ATOMIC_RELAXED);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* ---- doorbells ---- */

void
virtqueue_disable_notify(struct virtqueue *vq)
{
	if (vq->size == 0 || vq->broken)
		return;
	vq->quiet = true;
	/*
	 * With EVENT_IDX there is nothing to write: the driver rings when idx passes
	 * avail_event, at most once more, and then not until it is asked to.
	 */
	if (!vq->event_idx)
		shared_store(vq->used + RING_FLAGS, USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool
virtqueue_enable_notify(struct virtqueue *vq)
{
	uint16_t seen = vq->seen_avail;

	if (vq->size == 0 || vq->broken)
		return false;
	vq->quiet = false;
	/* The flags are 0 with EVENT_IDX (2.7.10.2), whatever was in memory before. */
	if (!vq->watched)
		shared_store(vq->used + RING_FLAGS, 0, __ATOMIC_RELAXED);
	return arm(vq) && vq->seen_avail != seen;
}

void
virtqueue_watch(struct virtqueue *vq)
{
	vq->watched = vq->size > 0 && vq->event_idx;
	vq->rang_avail = vq->seen_avail;
}

bool
virtqueue_rang(struct virtqueue *vq)
{
	uint16_t idx;

	if (!vq->watched || vq->quiet || vq->broken)
		return false;
	idx = shared_load(vq->avail + RING_IDX, __ATOMIC_ACQUIRE);
	if (idx == vq->rang_avail)
		return false;
	vq->rang_avail = idx;
	return idx != vq->seen_avail;
}

bool
virtqueue_unwatch(struct virtqueue *vq)
{
	if (!vq->watched)
		return false;
	vq->watched = false;
	return !vq->quiet && virtqueue_enable_notify(vq);
}

/* ---- the bytes of a chain ---- */

/* Calls copy() for the part of each piece that lies in [off, off + len). */
static size_t
chain_each(const struct iovec *iov, unsigned n, uint64_t off, size_t len,
	   void (*copy)(void *guest, uint8_t *host, size_t len), uint8_t *host)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		size_t m = iov[i].iov_len - (size_t)off;
		if (m > len - done)
			m = len - done;
		copy((uint8_t *)iov[i].iov_base + off, host + done, m);
		done += m;
		off = 0;
	}
	return done;
}

static void
copy_out(void *guest, uint8_t *host, size_t len)
{
	memcpy(host, guest, len);
}

static void
copy_in(void *guest, uint8_t *host, size_t len)
{
	memcpy(guest, host, len);
}

size_t
vq_chain_read(const struct vq_chain *chain, uint64_t off, void *buf, size_t len)
{
	return chain_each(chain->iov, chain->nread, off, len, copy_out, buf);
}

size_t
vq_chain_write(const struct vq_chain *chain, uint64_t off, const void *buf, size_t len)
{
	/* copy_in() only reads from it. */
	uint8_t *host = (uint8_t *)(uintptr_t)buf;

	return chain_each(chain->iov + chain->nread, chain->nwrite, off, len, copy_in,
			  host);
}
