/* SPDX-License-Identifier: ISC */
/* Device-specific configuration space (virtio 1.2, 2.5): virtio.h. */
#include <assert.h>
#include <string.h>

#include "util.h"
#include "virtio.h"

static void
refresh(struct virtio_device *dev)
{
	if (dev->transport)
		dev->transport->ops->refresh(dev->transport);
}

void
virtio_config_put(struct virtio_device *dev, unsigned off, const void *buf, unsigned len)
{
	assert(range_ok(off, len, dev->config_len));
	if (memcmp(dev->config + off, buf, len) == 0)
		return;
	/*
	 * A driver reads the generation, the fields and the generation again.  Where it
	 * does so without exits it may run between any two lines here: changing the
	 * generation on both sides leaves it the fewest ways to be deceived, and the
	 * interrupt that follows a change of our own makes it look again.
	 */
	dev->generation++;
	refresh(dev);
	memcpy(dev->config + off, buf, len);
	dev->generation++;
	refresh(dev);
}

void
virtio_config_change(struct virtio_device *dev, unsigned off, const void *buf,
		     unsigned len)
{
	virtio_config_put(dev, off, buf, len);
	if ((dev->status & VIRTIO_STATUS_DRIVER_OK) && dev->transport)
		dev->transport->ops->config_interrupt(dev->transport);
}

uint64_t
virtio_config_read(const struct virtio_device *dev, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < len && off < dev->config_len; i++, off++)
		val |= (uint64_t)dev->config[off] << (8 * i);
	return val;
}

void
virtio_config_write(struct virtio_device *dev, uint64_t off, unsigned len, uint64_t val)
{
	if (!dev->type->config_write || virtio_is_dead(dev))
		return;
	/* 64-bit fields are two of 32 (4.1.3). */
	for (unsigned n; len > 0; off += n, len -= n, val >>= 8 * n) {
		n = len < 4 ? len : 4;
		if (!range_ok(off, n, dev->config_len))
			return;
		dev->type->config_write(dev, (unsigned)off, n, (uint32_t)(val & ones(n)));
	}
}
