/* SPDX-License-Identifier: ISC */
/*
 * virtio over MMIO: version 2 (virtio 1.2, section 4.2) and, by option, the legacy
 * version 1 (4.2.4).
 */
#include <errno.h>
#include <stdlib.h>

#include "util.h"
#include "virtio.h"
#include "virtio_transport.h"

enum {
	QUEUE_NOTIFY = 0x050,
	CONFIG = 0x100,
	MAGIC = 0x74726976, /* "virt" */
	VENDOR = 0x1af4,
	IRQ_QUEUE = 1,
	IRQ_CONFIG = 2,
};

struct virtio_mmio {
	struct virtio_transport t;
	struct bus *bus;
	const struct bus_slot *slot;
	bool legacy;
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
	uint32_t isr;
	/* Version 1 only. */
	uint32_t page_len;
	uint32_t *align; /* of each queue */
	bool doorbells_added;
};

static struct virtio_mmio *
of_transport(struct virtio_transport *t)
{
	return container_of(t, struct virtio_mmio, t);
}

static struct virtio_queue *
selected(struct virtio_mmio *vm)
{
	return virtio_queue(vm->t.dev, vm->queue_sel);
}

/* ---- interrupts (4.2.3.4) ---- */

static void
isr_set(struct virtio_mmio *vm, uint32_t isr)
{
	vm->isr = isr;
	if (vm->slot)
		irq_line_set(vm->slot->irq, isr != 0);
}

static void
queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	(void)queue;
	isr_set(of_transport(t), of_transport(t)->isr | IRQ_QUEUE);
}

static void
config_interrupt(struct virtio_transport *t)
{
	isr_set(of_transport(t), of_transport(t)->isr | IRQ_CONFIG);
}

/* ---- registers (4.2.2, 4.2.4) ---- */

static uint32_t
read_magic(struct virtio_mmio *vm)
{
	(void)vm;
	return MAGIC;
}

static uint32_t
read_version(struct virtio_mmio *vm)
{
	return vm->legacy ? 1 : 2;
}

static uint32_t
read_device_id(struct virtio_mmio *vm)
{
	return vm->t.dev->type->id;
}

static uint32_t
read_vendor(struct virtio_mmio *vm)
{
	(void)vm;
	return VENDOR;
}

static uint32_t
read_device_features(struct virtio_mmio *vm)
{
	return virtio_features_offered(vm->t.dev, vm->device_features_sel);
}

static void
write_device_features_sel(struct virtio_mmio *vm, uint32_t val)
{
	vm->device_features_sel = val;
}

static void
write_driver_features(struct virtio_mmio *vm, uint32_t val)
{
	virtio_features_accept(vm->t.dev, vm->driver_features_sel, val);
}

static void
write_driver_features_sel(struct virtio_mmio *vm, uint32_t val)
{
	vm->driver_features_sel = val;
}

static void
write_page_len(struct virtio_mmio *vm, uint32_t val)
{
	vm->page_len = val;
}

static void
write_queue_sel(struct virtio_mmio *vm, uint32_t val)
{
	vm->queue_sel = val;
}

static uint32_t
read_queue_size_max(struct virtio_mmio *vm)
{
	const struct virtio_queue *q = selected(vm);

	return q ? q->size_max : 0;
}

static void
write_queue_size(struct virtio_mmio *vm, uint32_t val)
{
	virtio_queue_set_size(vm->t.dev, vm->queue_sel, val);
}

static void
write_queue_align(struct virtio_mmio *vm, uint32_t val)
{
	if (selected(vm))
		vm->align[vm->queue_sel] = val;
}

static uint32_t
read_queue_pfn(struct virtio_mmio *vm)
{
	const struct virtio_queue *q = selected(vm);

	return q ? q->pfn : 0;
}

static void
write_queue_pfn(struct virtio_mmio *vm, uint32_t val)
{
	if (selected(vm))
		virtio_queue_set_pfn(vm->t.dev, vm->queue_sel, val, vm->page_len,
				     vm->align[vm->queue_sel]);
}

static uint32_t
read_queue_ready(struct virtio_mmio *vm)
{
	const struct virtio_queue *q = selected(vm);

	return q && q->enabled;
}

static void
write_queue_ready(struct virtio_mmio *vm, uint32_t val)
{
	if (val == 1)
		virtio_queue_enable(vm->t.dev, vm->queue_sel);
	else if (val == 0)
		virtio_queue_disable(vm->t.dev, vm->queue_sel);
}

/* With NOTIFICATION_DATA, which we do not offer, there would be more in it (4.2.3.3). */
static void
write_queue_notify(struct virtio_mmio *vm, uint32_t val)
{
	virtio_notify(vm->t.dev, val);
}

static uint32_t
read_isr(struct virtio_mmio *vm)
{
	return vm->isr;
}

static void
write_ack(struct virtio_mmio *vm, uint32_t val)
{
	isr_set(vm, vm->isr & ~val);
}

static uint32_t
read_status(struct virtio_mmio *vm)
{
	return vm->t.dev->status;
}

static void
write_status(struct virtio_mmio *vm, uint32_t val)
{
	/* Not truncated first: 0x100 is no reset. */
	if (val <= UINT8_MAX)
		virtio_set_status(vm->t.dev, (uint8_t)val);
}

static void
set_addr(struct virtio_mmio *vm, enum virtio_area area, bool high, uint32_t val)
{
	virtio_queue_set_addr(vm->t.dev, vm->queue_sel, area, high, val);
}

static void
write_desc_low(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DESC, false, val);
}

static void
write_desc_high(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DESC, true, val);
}

static void
write_driver_low(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DRIVER, false, val);
}

static void
write_driver_high(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DRIVER, true, val);
}

static void
write_device_low(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DEVICE, false, val);
}

static void
write_device_high(struct virtio_mmio *vm, uint32_t val)
{
	set_addr(vm, VIRTIO_AREA_DEVICE, true, val);
}

/* There are no shared memory regions: length and base are -1. */
static uint32_t
read_shm(struct virtio_mmio *vm)
{
	(void)vm;
	return UINT32_MAX;
}

/* A queue has been reset by the time the write completes. */
static void
write_queue_reset(struct virtio_mmio *vm, uint32_t val)
{
	if (val == 1)
		virtio_queue_reset(vm->t.dev, vm->queue_sel);
}

static uint32_t
read_generation(struct virtio_mmio *vm)
{
	return vm->t.dev->generation;
}

enum { V1 = 1, V2 = 2 };

static const struct mmio_reg {
	uint16_t off;
	uint8_t versions;
	uint32_t (*read)(struct virtio_mmio *vm);
	void (*write)(struct virtio_mmio *vm, uint32_t val);
} mmio_reg[] = {
	{ 0x000, V1 | V2, read_magic, NULL },
	{ 0x004, V1 | V2, read_version, NULL },
	{ 0x008, V1 | V2, read_device_id, NULL },
	{ 0x00c, V1 | V2, read_vendor, NULL },
	{ 0x010, V1 | V2, read_device_features, NULL },
	{ 0x014, V1 | V2, NULL, write_device_features_sel },
	{ 0x020, V1 | V2, NULL, write_driver_features },
	{ 0x024, V1 | V2, NULL, write_driver_features_sel },
	{ 0x028, V1, NULL, write_page_len },
	{ 0x030, V1 | V2, NULL, write_queue_sel },
	{ 0x034, V1 | V2, read_queue_size_max, NULL },
	{ 0x038, V1 | V2, NULL, write_queue_size },
	{ 0x03c, V1, NULL, write_queue_align },
	{ 0x040, V1, read_queue_pfn, write_queue_pfn },
	{ 0x044, V2, read_queue_ready, write_queue_ready },
	{ QUEUE_NOTIFY, V1 | V2, NULL, write_queue_notify },
	{ 0x060, V1 | V2, read_isr, NULL },
	{ 0x064, V1 | V2, NULL, write_ack },
	{ 0x070, V1 | V2, read_status, write_status },
	{ 0x080, V2, NULL, write_desc_low },
	{ 0x084, V2, NULL, write_desc_high },
	{ 0x090, V2, NULL, write_driver_low },
	{ 0x094, V2, NULL, write_driver_high },
	{ 0x0a0, V2, NULL, write_device_low },
	{ 0x0a4, V2, NULL, write_device_high },
	{ 0x0b0, V2, read_shm, NULL },
	{ 0x0b4, V2, read_shm, NULL },
	{ 0x0b8, V2, read_shm, NULL },
	{ 0x0bc, V2, read_shm, NULL },
	{ 0x0c0, V2, NULL, write_queue_reset },
	{ 0x0fc, V2, read_generation, NULL },
};

/* Control registers are accessed by aligned words only (4.2.2.2). */
static const struct mmio_reg *
reg_at(const struct virtio_mmio *vm, uint64_t off, unsigned len)
{
	unsigned version = vm->legacy ? V1 : V2;

	for (unsigned i = 0; len == 4 && i < ARRAY_SIZE(mmio_reg); i++)
		if (mmio_reg[i].off == off && (mmio_reg[i].versions & version))
			return &mmio_reg[i];
	return NULL;
}

static uint64_t
mmio_read(void *dev, uint64_t off, unsigned len)
{
	struct virtio_mmio *vm = dev;

	if (vm->legacy)
		virtio_use_legacy(vm->t.dev);
	if (off >= CONFIG)
		return virtio_config_read(vm->t.dev, off - CONFIG, len);

	const struct mmio_reg *r = reg_at(vm, off, len);
	return r && r->read ? r->read(vm) : 0;
}

static void
mmio_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_mmio *vm = dev;

	if (vm->legacy)
		virtio_use_legacy(vm->t.dev);
	if (off >= CONFIG) {
		virtio_config_write(vm->t.dev, off - CONFIG, len, val);
		return;
	}
	const struct mmio_reg *r = reg_at(vm, off, len);
	if (r && r->write)
		r->write(vm, (uint32_t)val);
}

/* ---- for the core ---- */

/* Every read is served by an exit: there is nothing to bring up to date. */
static void
refresh(struct virtio_transport *t)
{
	(void)t;
}

static void
live(struct virtio_transport *t)
{
	struct virtio_mmio *vm = of_transport(t);

	if (!t->doorbell || vm->doorbells_added)
		return;
	for (unsigned q = 0; q < t->dev->nqueue; q++) {
		const struct virtio_doorbell db = {
			.dev = t->dev,
			.queue = q,
			.space = SPACE_MMIO,
			.addr = vm->slot->base + QUEUE_NOTIFY,
			.len = 4,
			.match = true,
			.value = q,
		};
		t->doorbell->add(t->doorbell_arg, &db);
	}
	vm->doorbells_added = true;
}

static void
reset(struct virtio_transport *t)
{
	struct virtio_mmio *vm = of_transport(t);

	vm->device_features_sel = 0;
	vm->driver_features_sel = 0;
	vm->queue_sel = 0;
	/* The page size stays: Linux writes it once, before its first reset. */
	for (unsigned i = 0; i < t->dev->nqueue; i++)
		vm->align[i] = 0;
	isr_set(vm, 0);
}

static void
queue_reset(struct virtio_transport *t, unsigned queue)
{
	(void)t;
	(void)queue;
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.refresh = refresh,
	.live = live,
	.reset = reset,
	.queue_reset = queue_reset,
};

/* ---- making one ---- */

/* Nobody answers any more.  The slot is not given back: a line cannot be. */
static void
unmap(struct virtio_mmio *vm)
{
	space_remove(&vm->bus->space[vm->slot->space], vm->slot->base);
	vm->slot = NULL;
}

static int
attach(struct virtio_mmio *vm, struct bus *bus)
{
	static const struct region_ops ops = { .read = mmio_read, .write = mmio_write };
	const struct bus_device desc = {
		.kind = DEVICE_VIRTIO_MMIO,
		.name = vm->t.dev->name,
		.ops = &ops,
		.dev = vm,
	};
	int err = bus_attach(bus, &desc, &vm->slot);

	if (err)
		return err;
	if (!vm->slot->irq || vm->slot->space != SPACE_MMIO ||
	    vm->slot->len < CONFIG + vm->t.dev->config_len) {
		unmap(vm);
		return -EINVAL;
	}
	return 0;
}

int
virtio_mmio_new(struct bus *bus, struct virtio_device *dev,
		const struct virtio_mmio_config *cfg, struct virtio_mmio **ret)
{
	struct virtio_mmio *vm = calloc(1, sizeof(*vm));
	int err = -ENOMEM;

	if (!vm)
		return -ENOMEM;
	vm->align = calloc(dev->nqueue, sizeof(*vm->align));
	if (!vm->align)
		goto out;
	vm->bus = bus;
	vm->legacy = cfg->legacy;
	vm->t.doorbell = cfg->doorbell;
	vm->t.doorbell_arg = cfg->doorbell_arg;
	virtio_connect(dev, &vm->t, &transport_ops);
	err = attach(vm, bus);
	if (err)
		goto disconnect;
	reset(&vm->t);
	*ret = vm;
	return 0;
disconnect:
	virtio_disconnect(dev);
out:
	free(vm->align);
	free(vm);
	return err;
}

void
virtio_mmio_free(struct virtio_mmio *vm)
{
	if (!vm)
		return;
	virtio_disconnect(vm->t.dev);
	unmap(vm);
	free(vm->align);
	free(vm);
}

const struct bus_slot *
virtio_mmio_slot(const struct virtio_mmio *vm)
{
	return vm->slot;
}
