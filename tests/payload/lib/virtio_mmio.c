// SPDX-License-Identifier: ISC
/* virtio over MMIO, version 2 and the legacy version 1: virtio 1.2, section 4.2. */
#include "virtio_transport.h"

enum { MAGIC = 0x74726976, PAGE = 4096 };

static uint32_t
rd(const struct virtio *v, unsigned off)
{
	return mmio_r32(v->mmio + off);
}

static void
wr(const struct virtio *v, unsigned off, uint32_t val)
{
	mmio_w32(v->mmio + off, val);
}

static uint32_t
get_features(const struct virtio *v, unsigned word)
{
	wr(v, 0x14, word);
	return rd(v, 0x10);
}

static void
set_features(const struct virtio *v, unsigned word, uint32_t val)
{
	wr(v, 0x24, word);
	wr(v, 0x20, val);
}

static uint8_t
get_status(const struct virtio *v)
{
	return (uint8_t)rd(v, 0x70);
}

static void
set_status(const struct virtio *v, uint8_t val)
{
	wr(v, 0x70, val);
}

static void
select_queue(const struct virtio *v, uint32_t queue)
{
	wr(v, 0x30, queue);
}

static uint32_t
get_size(const struct virtio *v)
{
	return rd(v, 0x34);
}

static void
set_size(const struct virtio *v, uint32_t size)
{
	wr(v, 0x38, size);
}

static void
set_addr64(const struct virtio *v, unsigned off, uint64_t val)
{
	wr(v, off, (uint32_t)val);
	wr(v, off + 4, (uint32_t)(val >> 32));
}

static void
set_addr(const struct virtio *v, uint64_t desc, uint64_t avail, uint64_t used)
{
	set_addr64(v, 0x80, desc);
	set_addr64(v, 0x90, avail);
	set_addr64(v, 0xa0, used);
}

static void
enable(const struct virtio *v)
{
	wr(v, 0x44, 1);
}

static bool
enabled(const struct virtio *v)
{
	return rd(v, 0x44);
}

static void
notify(const struct virtio *v, uint32_t queue)
{
	wr(v, 0x50, queue);
}

static uint32_t
get_isr(const struct virtio *v)
{
	uint32_t isr = rd(v, 0x60);

	wr(v, 0x64, isr);
	return isr;
}

static uint8_t
generation(const struct virtio *v)
{
	return (uint8_t)rd(v, 0xfc);
}

static uint32_t
config(const struct virtio *v, unsigned off, unsigned len)
{
	uint64_t a = v->mmio + 0x100 + off;

	return len == 1 ? mmio_r8(a) : len == 2 ? mmio_r16(a) : mmio_r32(a);
}

static void
set_page(const struct virtio *v, uint64_t desc, uint64_t avail, uint64_t used)
{
	(void)avail;
	(void)used;
	wr(v, 0x28, PAGE);
	wr(v, 0x3c, PAGE);
	wr(v, 0x40, (uint32_t)(desc / PAGE));
}

static bool
has_page(const struct virtio *v)
{
	return rd(v, 0x40);
}

static uint8_t
no_generation(const struct virtio *v)
{
	(void)v;
	return 0;
}

static const struct virtio_ops version2 = {
	.name = "mmio",
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
	.generation = generation,
	.config = config,
};

static const struct virtio_ops version1 = {
	.name = "mmio-legacy",
	.legacy = true,
	.features = get_features,
	.set_features = set_features,
	.status = get_status,
	.set_status = set_status,
	.select = select_queue,
	.size = get_size,
	.set_size = set_size,
	.set_addr = set_page,
	.enabled = has_page,
	.notify = notify,
	.isr = get_isr,
	.generation = no_generation,
	.config = config,
};

bool
virtio_mmio_find(const char *transport, uint32_t type, unsigned n, struct virtio *ret)
{
	const struct virtio_ops *ops =
		strcmp(transport, version2.name) ? &version1 : &version2;

	*ret = (struct virtio){ .ops = ops, .type = type };
	if (strcmp(transport, ops->name))
		return false;
	for (unsigned i = 0; mmio_slot(i, &ret->mmio, &ret->irq); i++)
		if (rd(ret, 0) == MAGIC && rd(ret, 4) == (ops->legacy ? 1 : 2) &&
		    rd(ret, 8) == type && n-- == 0)
			return true;
	return false;
}
