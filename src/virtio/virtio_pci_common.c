/* SPDX-License-Identifier: ISC */
/* virtio over PCI: the common configuration structure (virtio 1.2, 4.1.4.3). */
#include <string.h>

#include "util.h"
#include "virtio_pci.h"

void
virtio_pci_common_image(const struct virtio_pci *vp, uint8_t *p)
{
	struct virtio_device *dev = vp->t.dev;
	const struct virtio_queue *q = virtio_queue(dev, vp->queue_select);

	memset(p, 0, VIRTIO_PCI_COMMON_LEN);
	le32_put(p + 0x00, vp->device_feature_select);
	le32_put(p + 0x04, virtio_features_offered(dev, vp->device_feature_select));
	le32_put(p + 0x08, vp->driver_feature_select);
	le32_put(p + 0x0c, virtio_features_accepted(dev, vp->driver_feature_select));
	le16_put(p + 0x10, vp->config_vector);
	le16_put(p + 0x12, (uint16_t)dev->nqueue);
	p[0x14] = dev->status;
	p[0x15] = dev->generation;
	le16_put(p + 0x16, vp->queue_select);
	/* A queue that does not exist has size 0 and nothing else (4.1.4.3.1). */
	if (!q)
		return;
	le16_put(p + 0x18, q->at.size);
	le16_put(p + 0x1a, vp->vector[vp->queue_select]);
	le16_put(p + 0x1c, q->enabled);
	le16_put(p + 0x1e, vp->queue_select);
	le64_put(p + 0x20, q->at.desc);
	le64_put(p + 0x28, q->at.driver);
	le64_put(p + 0x30, q->at.device);
	/* A queue is reset by the time the write of queue_reset completes: it reads 0. */
}

static void
write_device_feature_select(struct virtio_pci *vp, uint32_t val)
{
	vp->device_feature_select = val;
}

static void
write_driver_feature_select(struct virtio_pci *vp, uint32_t val)
{
	vp->driver_feature_select = val;
}

static void
write_driver_feature(struct virtio_pci *vp, uint32_t val)
{
	virtio_features_accept(vp->t.dev, vp->driver_feature_select, val);
}

static void
write_config_vector(struct virtio_pci *vp, uint32_t val)
{
	vp->config_vector = virtio_pci_vector(vp, val);
}

static void
write_status(struct virtio_pci *vp, uint32_t val)
{
	virtio_set_status(vp->t.dev, (uint8_t)val);
}

static void
write_queue_select(struct virtio_pci *vp, uint32_t val)
{
	vp->queue_select = (uint16_t)val;
}

static void
write_queue_size(struct virtio_pci *vp, uint32_t val)
{
	virtio_queue_set_size(vp->t.dev, vp->queue_select, val);
}

/* A driver writes no 0 there (4.1.4.3.2), and it would mean nothing. */
static void
write_queue_enable(struct virtio_pci *vp, uint32_t val)
{
	if (val == 1)
		virtio_queue_enable(vp->t.dev, vp->queue_select);
}

static void
write_queue_reset(struct virtio_pci *vp, uint32_t val)
{
	if (val == 1)
		virtio_queue_reset(vp->t.dev, vp->queue_select);
}

static void
write_addr(struct virtio_pci *vp, unsigned off, uint32_t val)
{
	virtio_queue_set_addr(vp->t.dev, vp->queue_select,
			      (enum virtio_area)((off - 0x20) / 8), off & 4, val);
}

/* Registers that can be written; an access is of exactly their width (4.1.3.1). */
static const struct common_reg {
	uint8_t off;
	uint8_t len;
	void (*write)(struct virtio_pci *vp, uint32_t val);
} common_reg[] = {
	{ 0x00, 4, write_device_feature_select },
	{ 0x08, 4, write_driver_feature_select },
	{ 0x0c, 4, write_driver_feature },
	{ 0x10, 2, write_config_vector },
	{ 0x14, 1, write_status },
	{ 0x16, 2, write_queue_select },
	{ 0x18, 2, write_queue_size },
	{ 0x1a, 2, virtio_pci_set_queue_vector },
	{ 0x1c, 2, write_queue_enable },
	{ 0x3a, 2, write_queue_reset },
};

void
virtio_pci_common_write(struct virtio_pci *vp, unsigned off, unsigned len, uint64_t val)
{
	/* 64-bit fields are two of 32, whose halves may be written at once (4.1.3). */
	if (off >= 0x20 && off < 0x38) {
		if (off % len == 0 && len >= 4)
			for (unsigned i = 0; i < len; i += 4, val >>= 32)
				write_addr(vp, off + i, (uint32_t)val);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(common_reg); i++)
		if (common_reg[i].off == off && common_reg[i].len == len)
			common_reg[i].write(vp, (uint32_t)val);
}
