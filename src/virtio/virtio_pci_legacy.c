/* SPDX-License-Identifier: ISC */
/*
 * virtio over PCI, legacy interface of transitional devices (virtio 1.2, 4.1.4.10): an
 * I/O BAR.  The same device, the same queues, the same state machine.
 */
#include "util.h"
#include "virtio_pci.h"

enum {
	DEVICE_FEATURES = 0x00,
	DRIVER_FEATURES = 0x04,
	QUEUE_PFN = 0x08,
	QUEUE_SIZE = 0x0c,
	QUEUE_SELECT = 0x0e,
	STATUS = 0x12,
	ISR = 0x13,
	CONFIG_VECTOR = 0x14, /* these two are there while MSI-X is enabled, */
	QUEUE_VECTOR = 0x16,
	DEVICE_MSIX = 0x18, /* and the device's own space is behind them */
	DEVICE = 0x14,
	PAGE_LEN = 4096,
};

static uint32_t
read_device_features(struct virtio_pci *vp)
{
	return virtio_features_offered(vp->t.dev, 0);
}

static uint32_t
read_driver_features(struct virtio_pci *vp)
{
	return virtio_features_accepted(vp->t.dev, 0);
}

static void
write_driver_features(struct virtio_pci *vp, uint32_t val)
{
	virtio_features_accept(vp->t.dev, 0, val);
}

static uint32_t
read_queue_pfn(struct virtio_pci *vp)
{
	const struct virtio_queue *q = virtio_queue(vp->t.dev, vp->queue_select);

	return q ? q->pfn : 0;
}

static void
write_queue_pfn(struct virtio_pci *vp, uint32_t val)
{
	virtio_queue_set_pfn(vp->t.dev, vp->queue_select, val, PAGE_LEN, PAGE_LEN);
}

static uint32_t
read_queue_size(struct virtio_pci *vp)
{
	const struct virtio_queue *q = virtio_queue(vp->t.dev, vp->queue_select);

	return q ? q->at.size : 0;
}

static uint32_t
read_queue_select(struct virtio_pci *vp)
{
	return vp->queue_select;
}

static void
write_queue_select(struct virtio_pci *vp, uint32_t val)
{
	vp->queue_select = (uint16_t)val;
}

static void
write_queue_notify(struct virtio_pci *vp, uint32_t val)
{
	virtio_notify(vp->t.dev, val);
}

static uint32_t
read_status(struct virtio_pci *vp)
{
	return vp->t.dev->status;
}

static void
write_status(struct virtio_pci *vp, uint32_t val)
{
	virtio_set_status(vp->t.dev, (uint8_t)val);
}

static uint32_t
read_isr(struct virtio_pci *vp)
{
	return virtio_pci_isr_read(vp);
}

static uint32_t
read_config_vector(struct virtio_pci *vp)
{
	return vp->config_vector;
}

static void
write_config_vector(struct virtio_pci *vp, uint32_t val)
{
	vp->config_vector = virtio_pci_vector(vp, val);
}

static uint32_t
read_queue_vector(struct virtio_pci *vp)
{
	return virtio_queue(vp->t.dev, vp->queue_select) ? vp->vector[vp->queue_select]
							 : VIRTIO_MSI_NO_VECTOR;
}

static const struct legacy_reg {
	uint8_t off;
	uint8_t len;
	bool msix;
	uint32_t (*read)(struct virtio_pci *vp);
	void (*write)(struct virtio_pci *vp, uint32_t val);
} legacy_reg[] = {
	{ DEVICE_FEATURES, 4, false, read_device_features, NULL },
	{ DRIVER_FEATURES, 4, false, read_driver_features, write_driver_features },
	{ QUEUE_PFN, 4, false, read_queue_pfn, write_queue_pfn },
	{ QUEUE_SIZE, 2, false, read_queue_size, NULL },
	{ QUEUE_SELECT, 2, false, read_queue_select, write_queue_select },
	{ LEGACY_QUEUE_NOTIFY, 2, false, NULL, write_queue_notify },
	{ STATUS, 1, false, read_status, write_status },
	{ ISR, 1, false, read_isr, NULL },
	{ CONFIG_VECTOR, 2, true, read_config_vector, write_config_vector },
	{ QUEUE_VECTOR, 2, true, read_queue_vector, virtio_pci_set_queue_vector },
};

static const struct legacy_reg *
reg_at(const struct virtio_pci *vp, uint64_t off, unsigned len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(legacy_reg); i++) {
		const struct legacy_reg *r = &legacy_reg[i];

		if (r->off == off && r->len == len && (!r->msix || vp->msix.enabled))
			return r;
	}
	return NULL;
}

/* "Once you enable MSI-X on the device, the other fields move." */
static uint64_t
device_off(const struct virtio_pci *vp)
{
	return vp->msix.enabled ? DEVICE_MSIX : DEVICE;
}

static uint64_t
legacy_read(void *dev, uint64_t off, unsigned len)
{
	struct virtio_pci *vp = dev;

	virtio_use_legacy(vp->t.dev);
	/* Of any width (4.1.4.10). */
	if (off >= device_off(vp))
		return virtio_config_read(vp->t.dev, off - device_off(vp), len);

	const struct legacy_reg *r = reg_at(vp, off, len);
	return r && r->read ? r->read(vp) : 0;
}

static void
legacy_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_pci *vp = dev;

	virtio_use_legacy(vp->t.dev);
	if (off >= device_off(vp)) {
		virtio_config_write(vp->t.dev, off - device_off(vp), len, val);
	} else {
		const struct legacy_reg *r = reg_at(vp, off, len);

		if (r && r->write)
			r->write(vp, (uint32_t)val);
	}
	virtio_pci_refresh(vp);
}

const struct region_ops virtio_pci_legacy_ops = {
	.read = legacy_read,
	.write = legacy_write,
};

uint64_t
virtio_pci_legacy_len(const struct virtio_device *dev)
{
	uint64_t len = 32;

	while (len < DEVICE_MSIX + dev->config_len)
		len *= 2;
	return len;
}
