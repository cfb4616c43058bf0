// SPDX-License-Identifier: ISC
/* The driver's side of a split ring: virtio 1.2, section 2.7. */
#include "virtio.h"

enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1, PAGE = 4096 };

static volatile uint16_t *
used_event(const struct virtq *q)
{
	return &q->avail->ring[q->size];
}

static volatile uint16_t *
avail_event(const struct virtq *q)
{
	return (volatile uint16_t *)&q->used->ring[q->size];
}

/* The one contiguous layout of old (2.7.2), which does for all. */
static void
lay_out(struct virtq *q, unsigned size)
{
	size_t avail = 16 * size,
	       used = (avail + 6 + 2 * size + PAGE - 1) & ~(PAGE - 1ul);
	size_t len = used + 6 + 8 * size;

	if (q->memory != size) {
		q->desc = ram_alloc(len, PAGE);
		q->table = ram_alloc(sizeof(*q->table) * VIRTQ_INDIRECT_MAX * size, 16);
		q->memory = size;
	}
	q->avail = (void *)((uint8_t *)q->desc + avail);
	q->used = (void *)((uint8_t *)q->desc + used);
	q->size = (uint16_t)size;
	q->avail->flags = q->avail->idx = 0;
	q->used->flags = q->used->idx = 0;
	*used_event(q) = *avail_event(q) = 0;
}

bool
virtq_setup(struct virtq *q, struct virtio *v, unsigned index, uint16_t size)
{
	v->ops->select(v, index);
	uint32_t most = v->ops->size(v);

	if (!most)
		return false;
	most = most > VIRTQ_MAX ? VIRTQ_MAX : most;
	/* a legacy PCI function says how large its queue is, and no more */
	lay_out(q, size < most && v->ops->set_size ? size : most);
	q->v = v;
	q->index = index;
	q->added = q->kicked = q->last_used = 0;
	q->free = 0;
	q->nfree = q->size;
	for (unsigned i = 0; i < q->size; i++)
		q->desc[i].next = (uint16_t)(i + 1);
	if (v->ops->set_size)
		v->ops->set_size(v, q->size);
	v->ops->set_addr(v, (uint64_t)q->desc, (uint64_t)q->avail, (uint64_t)q->used);
	if (v->ops->enable)
		v->ops->enable(v);
	return true;
}

static void
fill(struct vring_desc *d, const struct vbuf *buf, bool write, bool more)
{
	d->addr = (uint64_t)buf->p;
	d->len = buf->len;
	d->flags = (uint16_t)((write ? DESC_WRITE : 0) | (more ? DESC_NEXT : 0));
}

/* Into the table that belongs to the head. */
static void
fill_table(struct virtq *q, uint16_t head, const struct vbuf *buf, unsigned nread,
	   unsigned n)
{
	struct vring_desc *t = q->table + head * VIRTQ_INDIRECT_MAX;

	for (unsigned i = 0; i < n; i++) {
		fill(&t[i], &buf[i], i >= nread, i + 1 < n);
		t[i].next = (uint16_t)(i + 1);
	}
	q->desc[head].addr = (uint64_t)t;
	q->desc[head].len = (uint32_t)(n * sizeof(*t));
	q->desc[head].flags = DESC_INDIRECT;
}

bool
virtq_add(struct virtq *q, const struct vbuf *buf, unsigned nread, unsigned nwrite,
	  void *token)
{
	unsigned n = nread + nwrite;
	bool indirect =
		(q->v->features & VIRTIO_F_INDIRECT) && n > 1 && n <= VIRTQ_INDIRECT_MAX;
	unsigned need = indirect ? 1 : n;
	uint16_t head = q->free, i = head;

	if (need > q->nfree || need == 0)
		return false;
	if (indirect) {
		fill_table(q, head, buf, nread, n);
		i = q->desc[head].next;
	}
	for (unsigned k = 0; !indirect && k < n; k++) {
		fill(&q->desc[i], &buf[k], k >= nread, k + 1 < n);
		i = q->desc[i].next;
	}
	q->free = i;
	q->nfree = (uint16_t)(q->nfree - need);
	q->chain[head] = (uint16_t)need;
	q->token[head] = token;
	q->avail->ring[q->added % q->size] = head;
	q->added++;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	q->avail->idx = q->added;
	return true;
}

bool
virtq_kick(struct virtq *q)
{
	uint16_t old = q->kicked, now = q->added;
	bool wanted;

	/* idx is out before we look whether to ring (2.7.13.4.1) */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (old == now)
		return false;
	q->kicked = now;
	if (q->v->features & VIRTIO_F_EVENT_IDX)
		wanted = (uint16_t)(now - *avail_event(q) - 1) < (uint16_t)(now - old);
	else
		wanted = !(q->used->flags & USED_NO_NOTIFY);
	if (wanted)
		q->v->ops->notify(q->v, q->index);
	return wanted;
}

/* Back to the free ones, which are linked through next. */
static void
release(struct virtq *q, uint16_t head)
{
	uint16_t last = head;

	for (unsigned i = 1; i < q->chain[head]; i++)
		last = q->desc[last].next;
	q->desc[last].next = q->free;
	q->free = head;
	q->nfree = (uint16_t)(q->nfree + q->chain[head]);
}

bool
virtq_take(struct virtq *q, void **token, uint32_t *len)
{
	if (q->used->idx == q->last_used)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	unsigned slot = q->last_used % q->size;
	uint16_t head = (uint16_t)q->used->ring[slot].id;

	if (len)
		*len = q->used->ring[slot].len;
	if (token)
		*token = q->token[head % q->size];
	release(q, head % q->size);
	q->last_used++;
	/* told of the next one, too, if it was wanted for this one */
	if ((q->v->features & VIRTIO_F_EVENT_IDX) &&
	    !(q->avail->flags & AVAIL_NO_INTERRUPT))
		*used_event(q) = q->last_used;
	return true;
}

/* With EVENT_IDX the flag means nothing to the device: an event that was just passed. */
void
virtq_interrupts(struct virtq *q, bool on)
{
	q->avail->flags = on ? 0 : AVAIL_NO_INTERRUPT;
	if (q->v->features & VIRTIO_F_EVENT_IDX)
		*used_event(q) = on ? q->last_used : (uint16_t)(q->last_used - 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
