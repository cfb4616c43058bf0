// SPDX-License-Identifier: ISC
/* The modern interface of a PCI function: virtio 1.2, section 4.1. */
#include "virtio_transport.h"

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };
enum { RED_HAT = 0x1af4, ID_LEGACY = 0x1000, ID_MODERN = 0x1040, ID_END = 0x1080 };

static bool
is_type(const struct pci_dev *d, uint32_t type)
{
	if (d->device < ID_LEGACY || d->device >= ID_END)
		return false;
	return d->device >= ID_MODERN ? d->device == ID_MODERN + type
				      : pci_read(d, PCI_SUBSYSTEM, 4) >> 16 == type;
}

bool
virtio_pci_function(uint32_t type, unsigned n, bool legacy, struct virtio *ret)
{
	for (unsigned i = 0; pci_find(RED_HAT, i, &ret->pci); i++) {
		if (!is_type(&ret->pci, type) ||
		    (legacy && ret->pci.device >= ID_MODERN) || n-- > 0)
			continue;
		pci_command(&ret->pci,
			    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
		ret->type = type;
		if (!pci_msix(&ret->pci, &ret->msix))
			ret->msix.n = 0;
		(void)pci_intx(&ret->pci, &ret->irq);
		return true;
	}
	return false;
}

static uint32_t
get_features(const struct virtio *v, unsigned word)
{
	mmio_w32(v->common, word);
	return mmio_r32(v->common + 4);
}

static void
set_features(const struct virtio *v, unsigned word, uint32_t val)
{
	mmio_w32(v->common + 8, word);
	mmio_w32(v->common + 0xc, val);
}

static uint8_t
get_status(const struct virtio *v)
{
	return mmio_r8(v->common + 0x14);
}

static void
set_status(const struct virtio *v, uint8_t val)
{
	mmio_w8(v->common + 0x14, val);
}

static void
select_queue(const struct virtio *v, uint32_t queue)
{
	mmio_w16(v->common + 0x16, (uint16_t)queue);
}

static uint32_t
get_size(const struct virtio *v)
{
	return mmio_r16(v->common + 0x18);
}

static void
set_size(const struct virtio *v, uint32_t size)
{
	mmio_w16(v->common + 0x18, (uint16_t)size);
}

/* In halves: 4.1.3. */
static void
set_addr64(const struct virtio *v, unsigned off, uint64_t val)
{
	mmio_w32(v->common + off, (uint32_t)val);
	mmio_w32(v->common + off + 4, (uint32_t)(val >> 32));
}

static void
set_addr(const struct virtio *v, uint64_t desc, uint64_t avail, uint64_t used)
{
	set_addr64(v, 0x20, desc);
	set_addr64(v, 0x28, avail);
	set_addr64(v, 0x30, used);
}

static void
enable(const struct virtio *v)
{
	mmio_w16(v->common + 0x1c, 1);
}

static bool
enabled(const struct virtio *v)
{
	return mmio_r16(v->common + 0x1c);
}

/* queue_notify_off is the number of the queue in what we drive: no exit to find out. */
static void
notify(const struct virtio *v, uint32_t queue)
{
	mmio_w16(v->notify + (uint64_t)queue * v->notify_multiplier, (uint16_t)queue);
}

static uint32_t
get_isr(const struct virtio *v)
{
	return mmio_r8(v->isr);
}

static uint16_t
set_vector(const struct virtio *v, int queue, uint16_t vec)
{
	uint64_t reg = v->common + (queue < 0 ? 0x10 : 0x1a);

	if (queue >= 0)
		select_queue(v, (uint32_t)queue);
	mmio_w16(reg, vec);
	return mmio_r16(reg);
}

static uint8_t
generation(const struct virtio *v)
{
	return mmio_r8(v->common + 0x15);
}

static uint32_t
config(const struct virtio *v, unsigned off, unsigned len)
{
	uint64_t a = v->device + off;

	return len == 1 ? mmio_r8(a) : len == 2 ? mmio_r16(a) : mmio_r32(a);
}

static const struct virtio_ops ops = {
	.name = "pci",
	.features = get_features,
	.set_features = set_features,
	.status = get_status,
	.set_status = set_status,
	.select = select_queue,
	.size = get_size,
	.set_size = set_size,
	.set_addr = set_addr,
	.enable = enable,
	.enabled = enabled,
	.notify = notify,
	.isr = get_isr,
	.set_vector = set_vector,
	.generation = generation,
	.config = config,
};

/* 4.1.4: where each structure is. */
static bool
take_caps(struct virtio *v)
{
	uint64_t *const place[] = {
		[CAP_COMMON] = &v->common,
		[CAP_NOTIFY] = &v->notify,
		[CAP_ISR] = &v->isr,
		[CAP_DEVICE] = &v->device,
	};
	unsigned off;

	for (unsigned i = 0; (off = pci_cap(&v->pci, PCI_CAP_VENDOR, i)); i++) {
		unsigned type = pci_read(&v->pci, off + 3, 1);
		struct pci_bar b;
		if (type >= ARRAY_SIZE(place) || !place[type] || *place[type] ||
		    !pci_bar(&v->pci, pci_read(&v->pci, off + 4, 1), false, &b))
			continue;
		*place[type] = b.addr + pci_read(&v->pci, off + 8, 4);
		if (type == CAP_NOTIFY)
			v->notify_multiplier = pci_read(&v->pci, off + 16, 4);
	}
	return v->common && v->notify && v->isr;
}

bool
virtio_pci_find(const char *transport, uint32_t type, unsigned n, struct virtio *ret)
{
	*ret = (struct virtio){ .ops = &ops };
	if (strcmp(transport, ops.name) || !virtio_pci_function(type, n, false, ret) ||
	    !take_caps(ret))
		return false;
	ret->nqueue = mmio_r16(ret->common + 0x12);
	return true;
}
