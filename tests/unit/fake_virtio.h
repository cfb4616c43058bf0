/* SPDX-License-Identifier: ISC */
/* A device type that does what the test says, and counts. */
#ifndef FAKE_VIRTIO_H
#define FAKE_VIRTIO_H

#include <errno.h>

#include "fake_ring.h"
#include "virtio.h"

enum {
	FAKE_QUEUES = 3,
	FAKE_QUEUE_SIZE = 64,
	FAKE_CONFIG_LEN = 12,
	FAKE_ID = 4,
};

#define FAKE_F_ONE (UINT64_C(1) << 0)
#define FAKE_F_TWO (UINT64_C(1) << 1) /* needs FAKE_F_ONE */

struct fake_dev {
	struct virtio_device dev;
	struct virtio_queue queue[FAKE_QUEUES];
	uint8_t config[FAKE_CONFIG_LEN];
	int start_err;
	unsigned starts, stops, resets;
	unsigned queue_starts[FAKE_QUEUES], queue_stops[FAKE_QUEUES];
	unsigned notified[FAKE_QUEUES];
	unsigned config_writes;
	unsigned held; /* chains popped and kept: what stop() waits for */
	uint16_t head;
	struct iovec iov[FAKE_QUEUE_SIZE];
};

static inline struct fake_dev *
fake_of(struct virtio_device *dev)
{
	return container_of(dev, struct fake_dev, dev);
}

static inline bool
fake_features_ok(struct virtio_device *dev, uint64_t features)
{
	(void)dev;
	return !(features & FAKE_F_TWO) || (features & FAKE_F_ONE);
}

static inline int
fake_start(struct virtio_device *dev)
{
	fake_of(dev)->starts++;
	return fake_of(dev)->start_err;
}

static inline void
fake_stop(struct virtio_device *dev)
{
	struct fake_dev *f = fake_of(dev);

	f->stops++;
	f->held = 0;
}

static inline void
fake_reset(struct virtio_device *dev)
{
	fake_of(dev)->resets++;
}

static inline void
fake_queue_start(struct virtio_device *dev, unsigned q)
{
	fake_of(dev)->queue_starts[q]++;
}

static inline void
fake_queue_stop(struct virtio_device *dev, unsigned q)
{
	fake_of(dev)->queue_stops[q]++;
}

/* Queue 0 completes at once, 1 keeps the last request, 2 only counts. */
static inline void
fake_queue_notify(struct virtio_device *dev, unsigned q)
{
	struct fake_dev *f = fake_of(dev);
	struct vq_chain c = { .iov = f->iov, .iov_max = FAKE_QUEUE_SIZE };
	int err = 0;

	f->notified[q]++;
	if (q == 2)
		return;
	while ((err = virtqueue_pop(&f->queue[q].vq, &c)) == 1) {
		f->head = c.head;
		if (q == 0)
			virtqueue_push(&f->queue[q].vq, c.head, (uint32_t)c.write_len);
		else
			f->held++;
	}
	if (err)
		virtio_fail(dev, "queue %u is broken", q);
	else
		virtio_publish(dev, q);
}

static inline void
fake_config_write(struct virtio_device *dev, unsigned off, unsigned len, uint32_t val)
{
	uint8_t buf[4];

	le32_put(buf, val);
	assert(off + len <= FAKE_CONFIG_LEN && len >= 1 && len <= 4);
	fake_of(dev)->config_writes++;
	virtio_config_put(dev, off, buf, len);
}

static const struct virtio_type fake_type = {
	.name = "fake",
	.id = FAKE_ID,
	.legacy_pci_id = 0x1005,
	.pci_class = 0x00ff00,
	.features_ok = fake_features_ok,
	.start = fake_start,
	.stop = fake_stop,
	.queue_start = fake_queue_start,
	.queue_stop = fake_queue_stop,
	.queue_notify = fake_queue_notify,
	.config_write = fake_config_write,
	.reset = fake_reset,
};

static inline void
fake_dev_init(struct fake_dev *f, const struct memory *mem)
{
	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		f->queue[i].size_max = FAKE_QUEUE_SIZE;
	for (unsigned i = 0; i < FAKE_CONFIG_LEN; i++)
		f->config[i] = (uint8_t)(0xc0 + i);
	const struct virtio_desc desc = {
		.type = &fake_type,
		.name = "fake0",
		.mem = mem,
		.features = FAKE_F_ONE | FAKE_F_TWO,
		.queue = f->queue,
		.nqueue = FAKE_QUEUES,
		.config = f->config,
		.config_len = FAKE_CONFIG_LEN,
	};

	virtio_device_init(&f->dev, &desc);
}

#endif
