/* SPDX-License-Identifier: ISC */
/*
 * virtio over PCI, modern interface (virtio 1.2, section 4.1).
 *
 * Two memory BARs, by what a read of them does.  The first is an image:
 *
 *	0000	common configuration, device-specific configuration at 0100
 *	1000	MSI-X table
 *
 * Reads of it have no side effects, so that memory which is mapped into the guest can
 * serve them.  What they return depends on selectors that the driver writes: every write
 * recomputes the image before it completes.  Reads that exit are served from the
 * same bytes.  The second has the events:
 *
 *	0000	ISR status
 *	0800	MSI-X pending array
 *	1000	notification: queue n at 1000 + 4 * n
 */
#include "virtio_pci.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "util.h"

enum {
	COMMON_OFF = 0x0000,
	DEVICE_OFF = 0x0100,
	DEVICE_LEN_MAX = 0x0f00,
	MSIX_OFF = 0x1000,
	ISR_OFF = 0x0000,
	PBA_OFF = 0x0800,
	QUEUES_MAX = 0x1000 / VIRTIO_PCI_NOTIFY_MULTIPLIER,

	/* Virtio structure capabilities (4.1.4) */
	CAP_COMMON_CFG = 1,
	CAP_NOTIFY_CFG = 2,
	CAP_ISR_CFG = 3,
	CAP_DEVICE_CFG = 4,
	CAP_PCI_CFG = 5,
	CAP_LEN = 16,
	CAP_BAR = 4,
	CAP_OFFSET = 8,
	CAP_LENGTH = 12,
	CAP_EXTRA = 16, /* notify_off_multiplier, or pci_cfg_data */

	ISR_QUEUE = 1,
	ISR_CONFIG = 2,

	ID_VENDOR = 0x1af4,
	ID_MODERN = 0x1040,
	SUBSYSTEM_MODERN = 0x40,
};

static struct virtio_pci *
of_transport(struct virtio_transport *t)
{
	return container_of(t, struct virtio_pci, t);
}

static struct virtio_pci *
of_function(struct pci_function *fn)
{
	return container_of(fn, struct virtio_pci, fn);
}

/* ---- interrupts (4.1.5.3, 4.1.5.4) ---- */

static void
isr_set(struct virtio_pci *vp, uint8_t isr)
{
	vp->isr = isr;
	pci_set_intx(&vp->fn, isr != 0);
}

uint8_t
virtio_pci_isr_read(struct virtio_pci *vp)
{
	uint8_t isr = vp->isr;

	isr_set(vp, 0);
	return isr;
}

uint16_t
virtio_pci_vector(const struct virtio_pci *vp, uint32_t val)
{
	return val < vp->msix.n ? (uint16_t)val : VIRTIO_MSI_NO_VECTOR;
}

static void
queue_interrupt(struct virtio_transport *t, unsigned queue)
{
	struct virtio_pci *vp = of_transport(t);

	if (vp->msix.enabled)
		msix_raise(&vp->msix, vp->vector[queue]);
	else
		isr_set(vp, vp->isr | ISR_QUEUE);
}

static void
config_interrupt(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	/* This bit is set with MSI-X, too (4.1.4.5.1); the line then stays low. */
	isr_set(vp, vp->isr | ISR_CONFIG);
	if (vp->msix.enabled)
		msix_raise(&vp->msix, vp->config_vector);
}

static bool
queue_message(struct virtio_transport *t, unsigned queue, struct msi_msg *ret)
{
	struct virtio_pci *vp = of_transport(t);

	return msix_message(&vp->msix, vp->vector[queue], ret);
}

static void
message_changed(struct virtio_pci *vp, unsigned queue)
{
	const struct virtio_doorbell_ops *ops = vp->t.doorbell;

	if (vp->t.dev->queue[queue].lent)
		ops->message_changed(vp->t.doorbell_arg, vp->t.dev, queue);
}

static void
msix_changed(struct msix *m, unsigned vec)
{
	struct virtio_pci *vp = container_of(m, struct virtio_pci, msix);

	for (unsigned q = 0; q < vp->t.dev->nqueue; q++)
		if (vp->vector[q] == vec)
			message_changed(vp, q);
}

void
virtio_pci_set_queue_vector(struct virtio_pci *vp, uint32_t val)
{
	unsigned queue = vp->queue_select;

	if (!virtio_queue(vp->t.dev, queue))
		return;
	vp->vector[queue] = virtio_pci_vector(vp, val);
	message_changed(vp, queue);
}

/* ---- the image ---- */

static void
image_store(struct virtio_pci *vp, unsigned off, const uint8_t *src, unsigned len)
{
	for (unsigned i = 0; i < len; i += 4)
		page_store32(vp->image + off + i, le32_get(src + i));
	page_publish(vp->image + off, len);
}

static void cfg_window_refresh(struct virtio_pci *vp);

void
virtio_pci_refresh(struct virtio_pci *vp)
{
	const struct virtio_device *dev = vp->t.dev;
	uint8_t *device = vp->image + DEVICE_OFF;
	uint8_t common[VIRTIO_PCI_COMMON_LEN];

	virtio_pci_common_image(vp, common);
	image_store(vp, COMMON_OFF, common, VIRTIO_PCI_COMMON_LEN);
	for (unsigned i = 0; i < dev->config_len; i += 4)
		page_store32(device + i, (uint32_t)virtio_config_read(dev, i, 4));
	page_publish(device, dev->config_len);
	cfg_window_refresh(vp);
}

/* ---- the BARs ---- */

static uint64_t
image_read(void *dev, uint64_t off, unsigned len)
{
	const struct virtio_pci *vp = dev;
	uint64_t val = 0;

	memcpy(&val, vp->image + off, len);
	return val;
}

/* Without the side effect. */
static uint64_t
event_peek(const struct virtio_pci *vp, uint64_t off, unsigned len)
{
	if (off == ISR_OFF)
		return vp->isr;
	if (off >= PBA_OFF && off < VIRTIO_PCI_NOTIFY_OFF)
		return msix_pba_read(&vp->msix, off - PBA_OFF, len);
	return 0;
}

static uint64_t
event_read(void *dev, uint64_t off, unsigned len)
{
	struct virtio_pci *vp = dev;

	return off == ISR_OFF ? virtio_pci_isr_read(vp) : event_peek(vp, off, len);
}

/* The address says which queue; what is written, the driver knows. */
static void
event_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_pci *vp = dev;

	(void)len;
	(void)val;
	if (off >= VIRTIO_PCI_NOTIFY_OFF)
		virtio_notify(vp->t.dev, (uint32_t)(off - VIRTIO_PCI_NOTIFY_OFF) /
						 VIRTIO_PCI_NOTIFY_MULTIPLIER);
}

static void
image_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct virtio_pci *vp = dev;

	if (off >= MSIX_OFF) {
		msix_table_write(&vp->msix, off - MSIX_OFF, len, val);
		return;
	}
	if (off >= DEVICE_OFF)
		virtio_config_write(vp->t.dev, off - DEVICE_OFF, len, val);
	else if (off < VIRTIO_PCI_COMMON_LEN)
		virtio_pci_common_write(vp, (unsigned)off, len, val);
	virtio_pci_refresh(vp);
}

static const struct region_ops image_ops = { .read = image_read, .write = image_write };
static const struct region_ops event_ops = { .read = event_read, .write = event_write };

/* ---- PCI configuration access capability (4.1.4.9) ---- */

/* What the window shows. */
struct cfg_window {
	uint32_t off;
	uint32_t len;
	bool event; /* in the BAR of events */
};

/* False unless it is set up as a driver may. */
static bool
cfg_window(const struct virtio_pci *vp, struct cfg_window *w)
{
	unsigned bar = pci_config_get(&vp->fn, vp->cfg_cap + CAP_BAR, 1);

	w->off = pci_config_get(&vp->fn, vp->cfg_cap + CAP_OFFSET, 4);
	w->len = pci_config_get(&vp->fn, vp->cfg_cap + CAP_LENGTH, 4);
	w->event = bar == vp->bar + 1;
	return (w->event || bar == vp->bar) &&
	       (w->len == 1 || w->len == 2 || w->len == 4) && w->off % w->len == 0 &&
	       range_ok(w->off, w->len,
			w->event ? VIRTIO_PCI_EVENT_LEN : VIRTIO_PCI_IMAGE_LEN);
}

static void
cfg_data_set(struct virtio_pci *vp, uint64_t val)
{
	pci_config_set(&vp->fn, vp->cfg_cap + CAP_EXTRA, 4, (uint32_t)val);
}

static void
cfg_window_refresh(struct virtio_pci *vp)
{
	struct cfg_window w;

	if (vp->cfg_cap && cfg_window(vp, &w))
		cfg_data_set(vp, w.event ? event_peek(vp, w.off, w.len)
					 : image_read(vp, w.off, w.len));
}

static bool
touches_cfg_data(const struct virtio_pci *vp, unsigned off, unsigned len)
{
	return ranges_overlap(off, len, vp->cfg_cap + CAP_EXTRA, 4);
}

static void
config_written(struct pci_function *fn, unsigned off, unsigned len)
{
	struct virtio_pci *vp = of_function(fn);
	struct cfg_window w;

	if (touches_cfg_data(vp, off, len) && cfg_window(vp, &w)) {
		uint32_t data = pci_config_get(fn, vp->cfg_cap + CAP_EXTRA, 4);
		const struct region_ops *ops = w.event ? &event_ops : &image_ops;

		ops->write(vp, w.off, w.len, data & ones(w.len));
	}
	/*
	 * A guest that reads the page sees what a read would return, but for the ISR,
	 * which only a read that exits can clear.
	 */
	cfg_window_refresh(vp);
}

static void
config_reading(struct pci_function *fn, unsigned off, unsigned len)
{
	struct virtio_pci *vp = of_function(fn);
	struct cfg_window w;

	if (touches_cfg_data(vp, off, len) && cfg_window(vp, &w))
		cfg_data_set(vp, w.event ? event_read(vp, w.off, w.len)
					 : image_read(vp, w.off, w.len));
}

/* ---- where the BARs are ---- */

/*
 * The image is where the guest reads it while the BAR decodes there.  Else all-ones are,
 * as where nobody lives, and exits are served from a copy of our own.
 */
static void
image_update(struct virtio_pci *vp)
{
	const struct pci_bar *b = &vp->fn.bar[vp->bar];
	const struct pci_slot *slot = vp->fn.slot;
	uint8_t *page = slot->bar_image[vp->bar];
	bool show = b->mapped && b->addr == slot->bar_base[vp->bar];

	if (!page || show == (vp->image == page))
		return;
	memcpy(show ? page : vp->own_image, vp->image, VIRTIO_PCI_IMAGE_LEN);
	vp->image = show ? page : vp->own_image;
	vp->msix.table = vp->image + MSIX_OFF;
	if (!show)
		memset(page, 0xff, VIRTIO_PCI_IMAGE_LEN);
	page_publish(page, VIRTIO_PCI_IMAGE_LEN);
}

static void
bar_changed(struct pci_function *fn, unsigned bar)
{
	struct virtio_pci *vp = of_function(fn);

	if (bar == vp->bar)
		image_update(vp);
	else
		virtio_pci_doorbells_update(vp, bar > vp->bar ? DOORBELL_MODERN
							      : DOORBELL_LEGACY);
}

static const struct pci_function_ops function_ops = {
	.config_written = config_written,
	.config_reading = config_reading,
	.bar_changed = bar_changed,
};

/* ---- for the core ---- */

static void
refresh(struct virtio_transport *t)
{
	virtio_pci_refresh(of_transport(t));
}

static void
live(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);
	enum doorbell_set set = t->dev->legacy ? DOORBELL_LEGACY : DOORBELL_MODERN;

	vp->doorbells[set].wanted = true;
	virtio_pci_doorbells_update(vp, set);
}

static void
reset(struct virtio_transport *t)
{
	struct virtio_pci *vp = of_transport(t);

	vp->device_feature_select = 0;
	vp->driver_feature_select = 0;
	vp->queue_select = 0;
	vp->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned i = 0; i < t->dev->nqueue; i++)
		vp->vector[i] = VIRTIO_MSI_NO_VECTOR;
	isr_set(vp, 0);
	virtio_pci_refresh(vp);
}

static void
queue_reset(struct virtio_transport *t, unsigned queue)
{
	of_transport(t)->vector[queue] = VIRTIO_MSI_NO_VECTOR;
}

static const struct virtio_transport_ops transport_ops = {
	.queue_interrupt = queue_interrupt,
	.config_interrupt = config_interrupt,
	.refresh = refresh,
	.live = live,
	.reset = reset,
	.queue_reset = queue_reset,
	.queue_message = queue_message,
};

/* ---- making one ---- */

static unsigned
add_cap(struct virtio_pci *vp, uint8_t type, unsigned bar, uint32_t off, uint32_t len,
	const uint32_t *extra, const uint8_t *wmask)
{
	uint8_t body[CAP_LEN + 4 - 2] = { 0 };
	unsigned cap_len = CAP_LEN + (extra ? 4 : 0);

	body[0] = (uint8_t)cap_len;
	body[1] = type;
	body[CAP_BAR - 2] = (uint8_t)bar;
	le32_put(body + CAP_OFFSET - 2, off);
	le32_put(body + CAP_LENGTH - 2, len);
	if (extra)
		le32_put(body + CAP_EXTRA - 2, *extra);
	return pci_add_cap(&vp->fn, PCI_CAP_ID_VENDOR, body, wmask, cap_len);
}

static void
add_caps(struct virtio_pci *vp)
{
	static const uint8_t cfg_wmask[CAP_LEN + 4] = {
		[CAP_BAR] = 0xff,
		[CAP_OFFSET] = 0xff,
		0xff,
		0xff,
		0xff,
		[CAP_LENGTH] = 0xff,
		0xff,
		0xff,
		0xff,
		[CAP_EXTRA] = 0xff,
		0xff,
		0xff,
		0xff,
	};
	const struct virtio_device *dev = vp->t.dev;
	uint32_t multiplier = VIRTIO_PCI_NOTIFY_MULTIPLIER, data = 0;

	unsigned image = vp->bar, event = vp->bar + 1;

	pci_add_msix(&vp->fn, &vp->msix, image, MSIX_OFF, event, PBA_OFF);
	add_cap(vp, CAP_COMMON_CFG, image, COMMON_OFF, VIRTIO_PCI_COMMON_LEN, NULL, NULL);
	add_cap(vp, CAP_NOTIFY_CFG, event, VIRTIO_PCI_NOTIFY_OFF,
		dev->nqueue * VIRTIO_PCI_NOTIFY_MULTIPLIER, &multiplier, NULL);
	add_cap(vp, CAP_ISR_CFG, event, ISR_OFF, 1, NULL, NULL);
	if (dev->config_len > 0)
		add_cap(vp, CAP_DEVICE_CFG, image, DEVICE_OFF, dev->config_len, NULL,
			NULL);
	/* The window points to nothing until the driver sets it up. */
	vp->cfg_cap = add_cap(vp, CAP_PCI_CFG, 0, 0, 0, &data, cfg_wmask);
}

static void
function_init(struct virtio_pci *vp, bool transitional)
{
	const struct virtio_device *dev = vp->t.dev;
	const struct virtio_type *type = dev->type;
	/* 4.1.2.1 and 4.1.2.3 */
	const struct pci_ids ids = {
		.vendor = ID_VENDOR,
		.device = (uint16_t)(transitional ? type->legacy_pci_id
						  : ID_MODERN + type->id),
		.sub_vendor = ID_VENDOR,
		.sub_device =
			(uint16_t)(transitional ? type->id : SUBSYSTEM_MODERN + type->id),
		.class_code = type->pci_class,
		.revision = transitional ? 0 : 1,
	};

	pci_function_init(&vp->fn, dev->name, DEVICE_VIRTIO_PCI, &ids, PCI_PIN_A,
			  &function_ops);
	vp->bar = transitional ? 1 : 0;
	if (transitional)
		pci_add_bar(&vp->fn, LEGACY_BAR,
			    &(struct pci_bar){ .len = virtio_pci_legacy_len(dev),
					       .flags = PCI_BAR_IO,
					       .ops = &virtio_pci_legacy_ops,
					       .dev = vp });
	pci_add_bar(&vp->fn, vp->bar,
		    &(struct pci_bar){ .len = VIRTIO_PCI_IMAGE_LEN,
				       .flags = PCI_BAR_IMAGE,
				       .ops = &image_ops,
				       .dev = vp });
	pci_add_bar(&vp->fn, vp->bar + 1,
		    &(struct pci_bar){
			    .len = VIRTIO_PCI_EVENT_LEN, .ops = &event_ops, .dev = vp });
	add_caps(vp);
}

static void
discard(struct virtio_pci *vp)
{
	free(vp->own_image);
	free(vp->vector);
	free(vp);
}

/* Memory for a transport of dev: NULL if there is none. */
static struct virtio_pci *
alloc(const struct virtio_device *dev)
{
	struct virtio_pci *vp = calloc(1, sizeof(*vp));

	if (!vp)
		return NULL;
	vp->vector = calloc(dev->nqueue, sizeof(*vp->vector));
	vp->own_image = calloc(1, VIRTIO_PCI_IMAGE_LEN);
	vp->image = vp->own_image;
	if (!vp->vector || !vp->image) {
		discard(vp);
		return NULL;
	}
	return vp;
}

int
virtio_pci_new(struct pci_bus *bus, struct virtio_device *dev,
	       const struct virtio_pci_config *cfg, struct virtio_pci **ret)
{
	unsigned nvec =
		dev->nqueue + 1 < MSIX_VECTORS_MAX ? dev->nqueue + 1 : MSIX_VECTORS_MAX;

	assert(dev->nqueue >= 1 && dev->nqueue <= QUEUES_MAX);
	assert(dev->config_len <= DEVICE_LEN_MAX);
	if (cfg->transitional && dev->type->legacy_pci_id == 0)
		return -ENOTSUP;

	struct virtio_pci *vp = alloc(dev);
	if (!vp)
		return -ENOMEM;
	vp->t.doorbell = cfg->doorbell;
	vp->t.doorbell_arg = cfg->doorbell_arg;
	virtio_connect(dev, &vp->t, &transport_ops);
	msix_init(&vp->msix, vp->image + MSIX_OFF, nvec);
	vp->msix.changed = msix_changed;
	function_init(vp, cfg->transitional);
	reset(&vp->t);

	int err = pci_attach(bus, &vp->fn, &vp->slot);
	if (err) {
		virtio_disconnect(dev);
		discard(vp);
		return err;
	}
	*ret = vp;
	return 0;
}

void
virtio_pci_free(struct virtio_pci *vp)
{
	if (!vp)
		return;
	virtio_disconnect(vp->t.dev);
	pci_detach(&vp->fn);
	discard(vp);
}

const struct pci_slot *
virtio_pci_slot(const struct virtio_pci *vp)
{
	return vp->slot;
}

unsigned
virtio_pci_bar(const struct virtio_pci *vp)
{
	return vp->bar;
}
