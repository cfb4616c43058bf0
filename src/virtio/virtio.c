/* SPDX-License-Identifier: ISC */
/* The state machine between device types and transports: virtio.h. */
#include "virtio.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "memory.h"
#include "util.h"
#include "virtio_lent.h"
#include "virtio_transport.h"

enum {
	LEGACY_PAGE_MAX = 1 << 16, /* page and alignment of the legacy layout */
};

static void
queue_init(struct virtio_queue *q)
{
	assert(!q->lent);
	virtqueue_stop(&q->vq);
	q->at = (struct virtqueue_layout){ .size = q->size_max };
	q->enabled = false;
	q->thawed = false;
	q->pfn = 0;
}

void
virtio_device_init(struct virtio_device *dev, const struct virtio_desc *desc)
{
	*dev = (struct virtio_device){
		.type = desc->type,
		.name = desc->name,
		.counter = desc->type->counter,
		.mem = desc->mem,
		.queue = desc->queue,
		.nqueue = desc->nqueue,
		.config = desc->config,
		.config_len = desc->config_len,
		.offered = desc->features | VIRTIO_F_CORE,
	};
	for (unsigned i = 0; i < dev->nqueue; i++) {
		assert(dev->queue[i].size_max <= VIRTQUEUE_SIZE_MAX);
		queue_init(&dev->queue[i]);
	}
}

void
virtio_connect(struct virtio_device *dev, struct virtio_transport *t,
	       const struct virtio_transport_ops *ops)
{
	assert(!dev->transport);
	t->ops = ops;
	t->dev = dev;
	dev->transport = t;
}

/* The type lets go of the queues and of all memory behind them. */
void
virtio_stop(struct virtio_device *dev)
{
	if (!dev->live)
		return;
	dev->type->stop(dev);
	dev->live = false;
}

void
virtio_disconnect(struct virtio_device *dev)
{
	/* In this order: what stop() completes is still published. */
	virtio_reset(dev);
	dev->transport = NULL;
}

/* ---- failure ---- */

void
virtio_fail(struct virtio_device *dev, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	if (dev->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_guest(&dev->log, dev->name, "%s; the device needs a reset", text);

	dev->stat.failures++;
	dev->status |= VIRTIO_STATUS_NEEDS_RESET;
	for (unsigned i = 0; i < dev->nqueue; i++)
		virtqueue_break(&dev->queue[i].vq);
	if (dev->live && dev->type->failed)
		dev->type->failed(dev);
	if (dev->transport)
		dev->transport->ops->refresh(dev->transport);
	/* Before DRIVER_OK it is told when it gets there (2.1.2). */
	if ((dev->status & VIRTIO_STATUS_DRIVER_OK) && dev->transport)
		dev->transport->ops->config_interrupt(dev->transport);
}

/* ---- features (2.2) ---- */

void
virtio_use_legacy(struct virtio_device *dev)
{
	if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
		dev->legacy = true;
}

/*
 * The legacy interface has 32 bits and no VERSION_1.  What it has for framing is a
 * promise that all our types keep (2.7.4.3).
 */
static uint64_t
offered(const struct virtio_device *dev)
{
	return dev->legacy ? (uint32_t)(dev->offered | VIRTIO_F_ANY_LAYOUT)
			   : dev->offered;
}

static uint32_t
word(uint64_t features, uint32_t sel)
{
	return sel == 0 ? (uint32_t)features : sel == 1 ? (uint32_t)(features >> 32) : 0;
}

uint32_t
virtio_features_offered(const struct virtio_device *dev, uint32_t sel)
{
	return word(offered(dev), sel);
}

uint32_t
virtio_features_accepted(const struct virtio_device *dev, uint32_t sel)
{
	return word(dev->features & offered(dev), sel);
}

void
virtio_features_accept(struct virtio_device *dev, uint32_t sel, uint32_t val)
{
	if (dev->live || virtio_is_dead(dev) ||
	    (dev->status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)))
		return;
	if (sel == 0)
		dev->features = (dev->features & ~(uint64_t)UINT32_MAX) | val;
	else if (sel == 1)
		dev->features = (dev->features & UINT32_MAX) | (uint64_t)val << 32;
	else if (val != 0)
		dev->features_bad = true;
}

/* May FEATURES_OK be set? (2.2.2, 6.1) */
static bool
features_agree(struct virtio_device *dev)
{
	/* Who sets it does not use the legacy interface, whatever it did before. */
	dev->legacy = false;
	if (dev->features_bad || (dev->features & ~dev->offered))
		return false;
	if (!virtio_has(dev, VIRTIO_F_VERSION_1))
		return false;
	return !dev->type->features_ok || dev->type->features_ok(dev, dev->features);
}

/* ---- queues ---- */

struct virtio_queue *
virtio_queue(struct virtio_device *dev, uint32_t sel)
{
	return sel < dev->nqueue ? &dev->queue[sel] : NULL;
}

/* The queue, if it may be configured now. */
static struct virtio_queue *
queue_thawed(struct virtio_device *dev, uint32_t sel)
{
	struct virtio_queue *q = virtio_queue(dev, sel);

	if (!q || q->enabled || virtio_is_dead(dev))
		return NULL;
	if ((dev->live || (dev->status & VIRTIO_STATUS_DRIVER_OK)) && !q->thawed)
		return NULL;
	return q;
}

void
virtio_queue_set_size(struct virtio_device *dev, uint32_t sel, uint32_t size)
{
	struct virtio_queue *q = queue_thawed(dev, sel);

	if (!q)
		return;
	/* Any other size reads back as 0, and such a queue cannot be enabled. */
	bool good = size <= q->size_max && (size & (size - 1)) == 0;
	q->at.size = good ? (uint16_t)size : 0;
}

void
virtio_queue_set_addr(struct virtio_device *dev, uint32_t sel, enum virtio_area area,
		      bool high, uint32_t val)
{
	struct virtio_queue *q = queue_thawed(dev, sel);

	if (!q)
		return;
	uint64_t *addr = area == VIRTIO_AREA_DESC     ? &q->at.desc
			 : area == VIRTIO_AREA_DRIVER ? &q->at.driver
						      : &q->at.device;
	if (high)
		*addr = (*addr & UINT32_MAX) | (uint64_t)val << 32;
	else
		*addr = (*addr & ~(uint64_t)UINT32_MAX) | val;
}

/* Who serves the queue is to look at it. */
static void
queue_notify(struct virtio_device *dev, unsigned sel)
{
	const struct virtio_queue *q = &dev->queue[sel];

	if (q->lent)
		(void)eventfd_write(q->kick, 1); /* full: it is readable all the same */
	else
		dev->type->queue_notify(dev, sel);
}

/* From here on the type may pop from the queue. */
static void
queue_go_live(struct virtio_device *dev, struct virtio_queue *q)
{
	virtqueue_set_features(&q->vq, dev->features);
	virtqueue_enable_notify(&q->vq);
}

static void
queue_start(struct virtio_device *dev, uint32_t sel)
{
	struct virtio_queue *q = &dev->queue[sel];

	if (virtqueue_start(&q->vq, dev->mem, &q->at)) {
		q->pfn = 0;
		virtio_fail(dev, "queue %u: size %u at %#llx, %#llx, %#llx cannot be",
			    sel, q->at.size, (unsigned long long)q->at.desc,
			    (unsigned long long)q->at.driver,
			    (unsigned long long)q->at.device);
		return;
	}
	q->enabled = true;
	q->thawed = false;
	if (!dev->live)
		return;
	queue_go_live(dev, q);
	if (dev->type->queue_start)
		dev->type->queue_start(dev, sel);
	queue_notify(dev, sel);
}

void
virtio_queue_enable(struct virtio_device *dev, uint32_t sel)
{
	if (!(dev->status & VIRTIO_STATUS_FEATURES_OK) || !queue_thawed(dev, sel))
		return;
	queue_start(dev, sel);
}

/* Nothing of the queue is in flight on return. */
static void
queue_halt(struct virtio_device *dev, uint32_t sel)
{
	struct virtio_queue *q = &dev->queue[sel];

	if (q->enabled && dev->live)
		dev->type->queue_stop(dev, sel);
	assert(!q->lent);
	virtqueue_stop(&q->vq);
	q->enabled = false;
	q->pfn = 0;
}

void
virtio_queue_reset(struct virtio_device *dev, uint32_t sel)
{
	struct virtio_queue *q = virtio_queue(dev, sel);

	if (!q || virtio_is_dead(dev) || !(dev->status & VIRTIO_STATUS_FEATURES_OK) ||
	    !virtio_has(dev, VIRTIO_F_RING_RESET))
		return;
	queue_halt(dev, sel);
	queue_init(q);
	q->thawed = true;
	if (dev->transport)
		dev->transport->ops->queue_reset(dev->transport, sel);
}

void
virtio_queue_disable(struct virtio_device *dev, uint32_t sel)
{
	if (virtio_queue(dev, sel))
		queue_halt(dev, sel);
}

static bool
is_legacy_page(uint32_t len)
{
	return len > 0 && len <= LEGACY_PAGE_MAX && (len & (len - 1)) == 0;
}

/* The one contiguous layout of old (2.7.2). */
void
virtio_queue_set_pfn(struct virtio_device *dev, uint32_t sel, uint32_t pfn,
		     uint32_t page_len, uint32_t align)
{
	struct virtio_queue *q = virtio_queue(dev, sel);

	if (q && pfn == 0)
		queue_halt(dev, sel);
	q = queue_thawed(dev, sel);
	if (!q || pfn == 0)
		return;
	if (!is_legacy_page(page_len) || !is_legacy_page(align)) {
		virtio_fail(dev, "queue %u: pages of %#x bytes, aligned to %#x", sel,
			    page_len, align);
		return;
	}
	/* At most 2^48: it cannot wrap. */
	q->at.desc = (uint64_t)pfn * page_len;
	q->at.driver = q->at.desc + UINT64_C(16) * q->at.size;
	q->at.device = align_up(q->at.driver + 6 + UINT64_C(2) * q->at.size, align);
	q->pfn = pfn;
	queue_start(dev, sel);
}

/* ---- status (2.1, 3.1) ---- */

static void
go_live(struct virtio_device *dev)
{
	/* Something was wrong before, and now the driver can be told. */
	if (dev->status & VIRTIO_STATUS_NEEDS_RESET) {
		dev->transport->ops->config_interrupt(dev->transport);
		return;
	}
	if (dev->live)
		return;

	/* Without FEATURES_OK nobody has looked at them. */
	dev->features &= offered(dev);
	dev->live = true;
	for (unsigned i = 0; i < dev->nqueue; i++)
		if (dev->queue[i].enabled)
			queue_go_live(dev, &dev->queue[i]);
	if (dev->type->start && dev->type->start(dev)) {
		dev->live = false;
		virtio_fail(dev, "cannot start");
		return;
	}
	dev->transport->ops->live(dev->transport);
	/* What was made available before DRIVER_OK came without a doorbell. */
	for (unsigned i = 0; i < dev->nqueue; i++)
		if (dev->queue[i].enabled && !virtio_is_dead(dev))
			queue_notify(dev, i);
}

/*
 * What each bit takes to be set, in the order in which drivers set them.  A driver may
 * set several at once.  The legacy interface has no FEATURES_OK (3.1.2).
 */
static const struct status_step {
	uint8_t bit;
	uint8_t needs;
	uint8_t needs_legacy;
	bool (*allowed)(struct virtio_device *dev);
	void (*entered)(struct virtio_device *dev);
} status_step[] = {
	{ .bit = VIRTIO_STATUS_FAILED, .entered = virtio_stop },
	{ .bit = VIRTIO_STATUS_ACKNOWLEDGE },
	{ .bit = VIRTIO_STATUS_DRIVER,
	  .needs = VIRTIO_STATUS_ACKNOWLEDGE,
	  .needs_legacy = VIRTIO_STATUS_ACKNOWLEDGE },
	{ .bit = VIRTIO_STATUS_FEATURES_OK,
	  .needs = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER,
	  .needs_legacy = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER,
	  .allowed = features_agree },
	{ .bit = VIRTIO_STATUS_DRIVER_OK,
	  .needs = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
		   VIRTIO_STATUS_FEATURES_OK,
	  .needs_legacy = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER,
	  .entered = go_live },
};

static bool
step_ok(struct virtio_device *dev, const struct status_step *s)
{
	uint8_t needs = dev->legacy ? s->needs_legacy : s->needs;

	if (dev->status & VIRTIO_STATUS_FAILED)
		return false;
	return (dev->status & needs) == needs && (!s->allowed || s->allowed(dev));
}

void
virtio_set_status(struct virtio_device *dev, uint8_t val)
{
	if (val == 0) {
		virtio_reset(dev);
		return;
	}
	/* A driver clears no bit but by reset; NEEDS_RESET is not its own (2.1.1). */
	uint8_t kept = (uint8_t)(dev->status & ~VIRTIO_STATUS_NEEDS_RESET);
	if (kept & ~val) {
		log_guest(&dev->log, dev->name, "status %#x after %#x ignored", val,
			  dev->status);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(status_step); i++) {
		const struct status_step *s = &status_step[i];

		if (!(val & ~dev->status & s->bit))
			continue;
		if (!step_ok(dev, s)) {
			log_guest(&dev->log, dev->name, "status %#x refused after %#x",
				  val, dev->status);
			return;
		}
		dev->status |= s->bit;
		if (s->entered)
			s->entered(dev);
	}
}

void
virtio_reset(struct virtio_device *dev)
{
	virtio_stop(dev);
	for (unsigned i = 0; i < dev->nqueue; i++)
		queue_init(&dev->queue[i]);
	dev->features = 0;
	dev->features_bad = false;
	dev->status = 0;
	dev->legacy = false;
	if (dev->type->reset)
		dev->type->reset(dev);
	if (dev->transport)
		dev->transport->ops->reset(dev->transport);
}

/* ---- doorbells and interrupts ---- */

/* Drivers of old used the device before DRIVER_OK, and it must let them (3.1.2). */
static bool
may_go_live_early(const struct virtio_device *dev)
{
	return dev->legacy && (dev->status & VIRTIO_STATUS_DRIVER);
}

void
virtio_notify(struct virtio_device *dev, uint32_t sel)
{
	struct virtio_queue *q = virtio_queue(dev, sel);

	if (!q || !q->enabled || virtio_is_dead(dev))
		return;
	dev->stat.notified++;
	if (dev->live)
		queue_notify(dev, sel);
	else if (may_go_live_early(dev))
		go_live(dev);
}

void
virtio_publish(struct virtio_device *dev, unsigned queue)
{
	if (!virtqueue_publish(&dev->queue[queue].vq))
		return;
	dev->stat.interrupts++;
	dev->transport->ops->queue_interrupt(dev->transport, queue);
}

/* ---- queues that are lent ---- */

int
virtio_queue_lend(struct virtio_device *dev, unsigned queue, struct virtio_lent *ret)
{
	const struct virtio_transport *t = dev->transport;
	struct virtio_queue *q = &dev->queue[queue];

	assert(q->enabled && !q->lent && q->vq.ninflight == 0);
	if (!t || !t->doorbell || !t->doorbell->lend)
		return -ENOTSUP;
	*ret = (struct virtio_lent){
		.features = dev->features,
		.desc = q->vq.desc,
		.avail = q->vq.avail,
		.used = q->vq.used,
		.size = q->vq.size,
		.next = q->vq.next_avail,
	};
	int err = t->doorbell->lend(t->doorbell_arg, dev, queue, ret);
	if (err)
		return err;
	q->lent = true;
	q->kick = ret->kick;
	dev->stat.lent++;
	return 0;
}

void
virtio_queue_reclaim(struct virtio_device *dev, unsigned queue, uint16_t next)
{
	const struct virtio_transport *t = dev->transport;
	struct virtio_queue *q = &dev->queue[queue];

	assert(q->lent && t);
	t->doorbell->reclaim(t->doorbell_arg, dev, queue);
	q->lent = false;
	virtqueue_resume(&q->vq, next);
	dev->stat.reclaimed++;
}

void
virtio_forward(struct virtio_device *dev, unsigned queue)
{
	dev->stat.forwarded++;
	dev->stat.interrupts++;
	dev->transport->ops->queue_interrupt(dev->transport, queue);
}
