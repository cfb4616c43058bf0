/* SPDX-License-Identifier: ISC */
/*
 * A transport that counts, and what every driver does first (virtio 1.2, 3.1.1): for
 * tests and fuzz targets of a device.
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H

#include <assert.h>

#include "util.h"
#include "virtio.h"

enum {
	DRIVER_FEATURES_OK = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			     VIRTIO_STATUS_FEATURES_OK,
	DRIVER_OK = DRIVER_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK,
};

enum { FAKE_TRANSPORT_QUEUES = 65 };

struct fake_transport {
	struct virtio_transport t;
	unsigned irqs[FAKE_TRANSPORT_QUEUES], config_irqs;
	unsigned refreshes, lives, resets, queue_resets;
};

static inline struct fake_transport *
fake_transport_of(struct virtio_transport *t)
{
	return container_of(t, struct fake_transport, t);
}

static inline void
fake_transport_irq(struct virtio_transport *t, unsigned q)
{
	assert(q < t->dev->nqueue);
	fake_transport_of(t)->irqs[q]++;
}

static inline void
fake_transport_config_irq(struct virtio_transport *t)
{
	fake_transport_of(t)->config_irqs++;
}

static inline void
fake_transport_refresh(struct virtio_transport *t)
{
	fake_transport_of(t)->refreshes++;
}

static inline void
fake_transport_live(struct virtio_transport *t)
{
	fake_transport_of(t)->lives++;
}

static inline void
fake_transport_reset(struct virtio_transport *t)
{
	fake_transport_of(t)->resets++;
}

static inline void
fake_transport_queue_reset(struct virtio_transport *t, unsigned q)
{
	assert(q < t->dev->nqueue);
	fake_transport_of(t)->queue_resets++;
}

static inline void
fake_transport_connect(struct fake_transport *ft, struct virtio_device *dev)
{
	static const struct virtio_transport_ops ops = {
		.queue_interrupt = fake_transport_irq,
		.config_interrupt = fake_transport_config_irq,
		.refresh = fake_transport_refresh,
		.live = fake_transport_live,
		.reset = fake_transport_reset,
		.queue_reset = fake_transport_queue_reset,
	};

	assert(dev->nqueue <= FAKE_TRANSPORT_QUEUES);
	virtio_connect(dev, &ft->t, &ops);
}

/* From reset to FEATURES_OK; VERSION_1 and RING_RESET are always among the features. */
static inline void
driver_negotiate(struct virtio_device *dev, uint64_t features)
{
	features |= VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET;
	virtio_reset(dev);
	virtio_set_status(dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	virtio_features_accept(dev, 0, (uint32_t)features);
	virtio_features_accept(dev, 1, (uint32_t)(features >> 32));
	virtio_set_status(dev, DRIVER_FEATURES_OK);
}

static inline void
driver_queue_addr(struct virtio_device *dev, unsigned q, enum virtio_area area,
		  uint64_t addr)
{
	virtio_queue_set_addr(dev, q, area, false, (uint32_t)addr);
	virtio_queue_set_addr(dev, q, area, true, (uint32_t)(addr >> 32));
}

/* All of a queue but queue_enable. */
static inline void
driver_set_queue(struct virtio_device *dev, unsigned q, const struct virtqueue_layout *at)
{
	virtio_queue_set_size(dev, q, at->size);
	driver_queue_addr(dev, q, VIRTIO_AREA_DESC, at->desc);
	driver_queue_addr(dev, q, VIRTIO_AREA_DRIVER, at->driver);
	driver_queue_addr(dev, q, VIRTIO_AREA_DEVICE, at->device);
}

static inline void
driver_enable_queue(struct virtio_device *dev, unsigned q,
		    const struct virtqueue_layout *at)
{
	driver_set_queue(dev, q, at);
	virtio_queue_enable(dev, q);
}

#endif
