// SPDX-License-Identifier: ISC
/* The legacy interface of a transitional function: virtio 1.2, 4.1.4.10. */
#include "virtio_transport.h"

enum { PAGE_SHIFT = 12 };

static uint32_t
get_features(const struct virtio *v, unsigned word)
{
	return word ? 0 : port_read(v->port, 4);
}

static void
set_features(const struct virtio *v, unsigned word, uint32_t val)
{
	if (word == 0)
		port_write(v->port + 4, 4, val);
}

static uint8_t
get_status(const struct virtio *v)
{
	return (uint8_t)port_read(v->port + 0x12, 1);
}

static void
set_status(const struct virtio *v, uint8_t val)
{
	port_write(v->port + 0x12, 1, val);
}

static void
select_queue(const struct virtio *v, uint32_t queue)
{
	port_write(v->port + 0xe, 2, (uint16_t)queue);
}

static uint32_t
get_size(const struct virtio *v)
{
	return port_read(v->port + 0xc, 2);
}

static void
set_addr(const struct virtio *v, uint64_t desc, uint64_t avail, uint64_t used)
{
	(void)avail;
	(void)used;
	port_write(v->port + 8, 4, (uint32_t)(desc >> PAGE_SHIFT));
}

static bool
enabled(const struct virtio *v)
{
	return port_read(v->port + 8, 4);
}

static void
notify(const struct virtio *v, uint32_t queue)
{
	port_write(v->port + 0x10, 2, (uint16_t)queue);
}

static uint32_t
get_isr(const struct virtio *v)
{
	return port_read(v->port + 0x13, 1);
}

/* These two registers are there while MSI-X is enabled. */
static uint16_t
set_vector(const struct virtio *v, int queue, uint16_t vec)
{
	uint32_t reg = v->port + (queue < 0 ? 0x14 : 0x16);

	if (queue >= 0)
		select_queue(v, (uint32_t)queue);
	port_write(reg, 2, vec);
	return (uint16_t)port_read(reg, 2);
}

static uint8_t
generation(const struct virtio *v)
{
	(void)v;
	return 0;
}

static uint32_t
config(const struct virtio *v, unsigned off, unsigned len)
{
	bool moved = v->msix.n && pci_read(&v->pci, v->msix.cap + 2, 2) & 0x8000;

	return port_read(v->port + (moved ? 0x18 : 0x14) + off, len);
}

static const struct virtio_ops ops = {
	.name = "legacy",
	.legacy = true,
	.features = get_features,
	.set_features = set_features,
	.status = get_status,
	.set_status = set_status,
	.select = select_queue,
	.size = get_size,
	.set_addr = set_addr,
	.enabled = enabled,
	.notify = notify,
	.isr = get_isr,
	.set_vector = set_vector,
	.generation = generation,
	.config = config,
};

bool
virtio_legacy_find(const char *transport, uint32_t type, unsigned n, struct virtio *ret)
{
	struct pci_bar b;

	*ret = (struct virtio){ .ops = &ops };
	if (strcmp(transport, ops.name) || !virtio_pci_function(type, n, true, ret) ||
	    !pci_bar(&ret->pci, 0, false, &b) || !b.io)
		return false;
	ret->port = (uint32_t)b.addr;
	return true;
}
