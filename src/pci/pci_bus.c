/* SPDX-License-Identifier: ISC */
/* Segments, buses and slots: who lives where, and what decodes where. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "memory.h"
#include "page.h"
#include "pci.h"
#include "pci_internal.h"
#include "util.h"

enum {
	MEM_BAR_ALIGN = 4096, /* so that pages of a BAR can be mapped */
};

/* ---- what decodes where ---- */

static uint64_t
bar_addr(const struct pci_function *fn, unsigned i)
{
	unsigned off = PCI_BAR0 + 4 * i;
	uint64_t lo = pci_config_get(fn, off, 4);

	if (fn->bar[i].flags & PCI_BAR_IO)
		return lo & ~3ull;
	if (fn->bar[i].flags & PCI_BAR_64)
		lo |= (uint64_t)pci_config_get(fn, off + 4, 4) << 32;
	return lo & ~15ull;
}

static struct space *
bar_space(const struct pci_function *fn, unsigned i)
{
	bool io = fn->bar[i].flags & PCI_BAR_IO;

	return &fn->seg->space[io ? SPACE_PIO : SPACE_MMIO];
}

static bool
in_window(const struct pci_window *w, uint64_t addr, uint64_t len)
{
	return addr >= w->base && range_ok(addr - w->base, len, w->len);
}

/* Does the host bridge pass this address on?  To any memory BAR, if to one. */
static bool
in_aperture(const struct pci_segment *seg, const struct pci_bar *b, uint64_t addr)
{
	if (b->flags & PCI_BAR_IO)
		return in_window(&seg->window[PCI_WINDOW_IO], addr, b->len);
	for (unsigned k = PCI_WINDOW_MEM32; k < PCI_WINDOWS; k++)
		if (in_window(&seg->window[k], addr, b->len))
			return true;
	return false;
}

static bool
over_ram(const struct pci_segment *seg, const struct pci_bar *b, uint64_t addr)
{
	if (b->flags & PCI_BAR_IO)
		return false;
	for (unsigned i = 0; i < seg->ram->n; i++) {
		const struct memory_range *r = &seg->ram->range[i];

		if (ranges_overlap(addr, b->len, r->gpa, r->len))
			return true;
	}
	return false;
}

static bool
decodes(const struct pci_function *fn, unsigned i)
{
	bool io = fn->bar[i].flags & PCI_BAR_IO;

	return fn->bar[i].len > 0 &&
	       pci_command(fn, io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
}

static void
bar_changed(struct pci_function *fn, unsigned i)
{
	if (fn->ops && fn->ops->bar_changed)
		fn->ops->bar_changed(fn, i);
}

static void
bar_unmap(struct pci_function *fn, unsigned i)
{
	fn->bar[i].mapped = false;
	space_remove(bar_space(fn, i), fn->bar[i].addr);
	bar_changed(fn, i);
}

/* Does anything but an image at its own place decode where images are shown? */
static void
check_images(struct pci_segment *seg, const struct pci_function *fn, unsigned i)
{
	const struct pci_window *w = &seg->images.window;
	const struct pci_bar *b = &fn->bar[i];

	if (seg->images_covered || (b->flags & PCI_BAR_IO) ||
	    b->addr == fn->slot->bar_base[i] ||
	    !ranges_overlap(b->addr, b->len, w->base, w->len))
		return;
	seg->images_covered = true;
	seg->images.covered(seg->images.arg);
}

/* Where it cannot be, it is not: neither the guest nor its neighbours are disturbed. */
static void
bar_map(struct pci_function *fn, unsigned i)
{
	static const struct region_ops nobody;
	struct pci_bar *b = &fn->bar[i];
	uint64_t addr = bar_addr(fn, i);
	const struct region rg = {
		.base = addr,
		.len = b->len,
		.ops = b->ops ? b->ops : &nobody,
		.dev = b->dev,
		.name = fn->name,
		.flags = b->region_flags,
	};

	if (!in_aperture(fn->seg, b, addr) || over_ram(fn->seg, b, addr))
		return;
	if (space_add(bar_space(fn, i), &rg))
		return;
	b->addr = addr;
	b->mapped = true;
	check_images(fn->seg, fn, i);
	bar_changed(fn, i);
}

void
pci_update_bars(struct pci_function *fn)
{
	struct pci_segment *seg = fn->seg;

	if (!seg)
		return;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *b = &fn->bar[i];

		if (b->mapped && (!decodes(fn, i) || b->addr != bar_addr(fn, i)))
			bar_unmap(fn, i);
	}
	/*
	 * What was given up may be what another BAR waits for: systems move BARs one by
	 * one, with decoding on, and one may come to lie where another still is.
	 */
	for (unsigned d = 0; d < PCI_DEVICES; d++)
		for (unsigned i = 0; seg->fn[d] && i < PCI_BARS; i++)
			if (!seg->fn[d]->bar[i].mapped && decodes(seg->fn[d], i))
				bar_map(seg->fn[d], i);
}

void
pci_place_bars(struct pci_function *fn)
{
	for (unsigned i = 0; fn->slot && i < PCI_BARS; i++) {
		const struct pci_bar *b = &fn->bar[i];
		uint64_t base = fn->slot->bar_base[i];
		unsigned off = PCI_BAR0 + 4 * i;

		if (b->len == 0)
			continue;
		pci_config_set(fn, off, 4,
			       (uint32_t)base | (pci_config_get(fn, off, 4) & 15));
		if (b->flags & PCI_BAR_64)
			pci_config_set(fn, off + 4, 4, (uint32_t)(base >> 32));
	}
}

/* ---- ECAM (PCI Express 3.0, 7.2.2) ---- */

/* The function an offset into the window belongs to: the others are absent. */
static struct pci_function *
ecam_function(const struct pci_segment *seg, uint64_t off)
{
	unsigned devfn = (unsigned)(off / PCI_ECAM_PAGE);

	return devfn & 7 ? NULL : seg->fn[devfn >> 3];
}

static unsigned
in_page(uint64_t off, unsigned len)
{
	unsigned left = PCI_ECAM_PAGE - (unsigned)(off % PCI_ECAM_PAGE);

	return len < left ? len : left;
}

static uint64_t
ecam_read(void *dev, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	for (unsigned done = 0, n; done < len; done += n) {
		struct pci_function *fn = ecam_function(dev, off + done);
		unsigned reg = (unsigned)((off + done) % PCI_ECAM_PAGE);

		n = in_page(off + done, len - done);
		val |= (fn ? pci_config_read(fn, reg, n) : ones(n)) << (done * 8);
	}
	return val;
}

static void
ecam_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	for (unsigned done = 0, n; done < len; done += n) {
		struct pci_function *fn = ecam_function(dev, off + done);
		unsigned reg = (unsigned)((off + done) % PCI_ECAM_PAGE);

		n = in_page(off + done, len - done);
		if (fn)
			pci_config_write(fn, reg, n, (val >> (done * 8)) & ones(n));
	}
}

static const struct region_ops ecam_ops = { .read = ecam_read, .write = ecam_write };

/* ---- segment ---- */

static int
signal_msi(void *arg, const struct msi_msg *msg)
{
	struct pci_segment *seg = arg;

	return irqchip_signal_msi(seg->chip, msg);
}

/* From now on the function is where the guest looks for it. */
static void
install(struct pci_segment *seg, struct pci_function *fn, unsigned device)
{
	if (seg->ecam) {
		uint8_t *page = seg->ecam + (size_t)device * 8 * PCI_ECAM_PAGE;

		memset(page, 0, PCI_ECAM_PAGE);
		memcpy(page, fn->own, sizeof(fn->own));
		page_publish(page, PCI_ECAM_PAGE);
		fn->image = page;
	}
	fn->seg = seg;
	seg->fn[device] = fn;
}

static void
bridge_init(struct pci_function *fn)
{
	/* The generic PCIe host bridge of the PCI ID repository: no driver wants it. */
	static const struct pci_ids ids = {
		.vendor = 0x1b36,
		.device = 0x0008,
		.class_code = 0x060000,
	};

	pci_function_init(fn, "host-bridge", DEVICE_PCI_HOST, &ids, PCI_PIN_NONE, NULL);
}

static bool
window_wraps(const struct pci_window *w)
{
	uint64_t end;

	return __builtin_add_overflow(w->base, w->len, &end);
}

int
pci_segment_init(struct pci_segment *seg, const struct pci_segment_config *cfg)
{
	*seg = (struct pci_segment){
		.space = cfg->space,
		.chip = cfg->chip,
		.ram = cfg->ram,
		.msi = { .signal = signal_msi, .arg = seg },
		.ecam_base = cfg->ecam_base,
		.ecam = cfg->ecam,
		.images = cfg->images,
	};
	for (unsigned k = 0; k < PCI_WINDOWS; k++) {
		assert(!window_wraps(&cfg->window[k]));
		seg->window[k] = cfg->window[k];
	}
	bridge_init(&seg->bridge);
	install(seg, &seg->bridge, 0);

	const struct region rg = {
		.base = cfg->ecam_base,
		.len = PCI_ECAM_LEN,
		.ops = &ecam_ops,
		.dev = seg,
		.name = "pci-ecam",
	};
	return space_add(&seg->space[SPACE_MMIO], &rg);
}

void
pci_segment_reset(struct pci_segment *seg)
{
	for (unsigned d = 0; d < PCI_DEVICES; d++)
		if (seg->fn[d])
			pci_function_reset(seg->fn[d]);
}

/* ---- attach ---- */

/* Which window of the bus a BAR is taken from; the first there is. */
static struct pci_window *
window_for(struct pci_window *w, const struct pci_bar *b)
{
	if (b->flags & PCI_BAR_IO)
		return &w[PCI_WINDOW_IO];
	if ((b->flags & PCI_BAR_64) && (b->flags & PCI_BAR_PREFETCH) &&
	    w[PCI_WINDOW_PREFETCH].len > 0)
		return &w[PCI_WINDOW_PREFETCH];
	if ((b->flags & PCI_BAR_64) && w[PCI_WINDOW_MEM64].len > 0)
		return &w[PCI_WINDOW_MEM64];
	return &w[PCI_WINDOW_MEM32];
}

static int
bar_alloc(struct pci_window *w, const struct pci_bar *b, uint64_t *ret)
{
	uint64_t len = b->len;

	if (!(b->flags & PCI_BAR_IO) && len < MEM_BAR_ALIGN)
		len = MEM_BAR_ALIGN;
	uint64_t off = align_up(w->base + w->used, len) - w->base;

	if (!range_ok(off, len, w->len))
		return -ENOSPC;
	w->used = off + len;
	*ret = w->base + off;
	return 0;
}

/* What an attach takes BARs from: copies, which count if all of it succeeds. */
struct supply {
	struct pci_window window[PCI_WINDOWS];
	struct pci_window images;
};

static int
bar_take(struct supply *s, const struct pci_bar *b, uint64_t *ret)
{
	if ((b->flags & PCI_BAR_IMAGE) && bar_alloc(&s->images, b, ret) == 0)
		return 0;
	return bar_alloc(window_for(s->window, b), b, ret);
}

static int
bars_take(struct supply *s, const struct pci_function *fn, uint8_t *images,
	  struct pci_slot *slot)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *b = &fn->bar[i];
		uint64_t base = 0;
		int err;

		if (b->len == 0)
			continue;
		err = bar_take(s, b, &base);
		if (err)
			return err;
		slot->bar_base[i] = base;
		if ((b->flags & PCI_BAR_IMAGE) && in_window(&s->images, base, b->len))
			slot->bar_image[i] = images + (base - s->images.base);
	}
	return 0;
}

/* A free device number of the bus; 0: there is none. */
static unsigned
device_free(const struct pci_bus *bus)
{
	assert(bus->first > 0 && bus->last < PCI_DEVICES);
	for (unsigned d = bus->first; d <= bus->last; d++)
		if (!bus->seg->fn[d])
			return d;
	return 0;
}

int
pci_attach(struct pci_bus *bus, struct pci_function *fn, const struct pci_slot **ret)
{
	struct pci_segment *seg = bus->seg;
	struct pci_slot *slot = &seg->slot[seg->nslot];
	struct irq_line *line = fn->pin ? &seg->line[seg->nslot] : NULL;
	struct supply supply = { .images = seg->images.window };
	unsigned device = device_free(bus);
	int err;

	assert(!fn->seg);
	if (device == 0)
		return -ENOSPC;
	*slot = (struct pci_slot){
		.bus = bus->name,
		.name = fn->name,
		.kind = fn->kind,
		.devfn = (uint8_t)(device << 3),
		.pin = fn->pin,
		.irq = line,
		.fn = fn,
	};

	memcpy(supply.window, bus->window, sizeof(supply.window));
	err = bars_take(&supply, fn, seg->images.hva, slot);
	if (err)
		return err;
	/* Last of what can fail: a share of a line cannot be given back. */
	if (line) {
		assert(bus->ngsi > 0);
		err = irqchip_share(seg->chip, bus->gsi[bus->nattached % bus->ngsi],
				    IRQ_LEVEL, line);
		if (err)
			return err;
	}

	memcpy(bus->window, supply.window, sizeof(supply.window));
	seg->images.window = supply.images;
	bus->nattached++;
	seg->nslot++;
	install(seg, fn, device);
	fn->slot = slot;
	if (fn->msix) {
		fn->msix->sink = &seg->msi;
		fn->msix->devid = slot->devfn;
	}
	pci_place_bars(fn);
	*ret = slot;
	return 0;
}

void
pci_detach(struct pci_function *fn)
{
	struct pci_segment *seg = fn->seg;

	pci_set_intx(fn, false);
	pci_config_set(fn, PCI_COMMAND, 2, 0);
	pci_update_bars(fn);
	seg->fn[fn->slot->devfn >> 3] = NULL;
	if (seg->ecam) {
		memset(fn->image, 0xff, PCI_ECAM_PAGE);
		page_publish(fn->image, PCI_ECAM_PAGE);
	}
	fn->image = fn->own;
	fn->seg = NULL;
}

/* ---- configuration mechanism #1 ---- */

enum {
	CF8_ADDR = 0,
	CF8_DATA = 4,
	CF8_LEN = 8,
};
#define CF8_ENABLE UINT32_C(0x80000000)
#define CF8_WRITABLE UINT32_C(0x80fffffc)

/* Offset into the ECAM window of what the address register selects. */
static bool
cf8_target(const struct pci_cf8 *c, uint64_t off, uint64_t *ret)
{
	uint32_t bus = c->addr >> 16 & 0xff;
	uint32_t devfn = c->addr >> 8 & 0xff;

	if (!(c->addr & CF8_ENABLE) || bus != 0 || off < CF8_DATA)
		return false;
	*ret = (uint64_t)devfn * PCI_ECAM_PAGE + (c->addr & 0xfc) + (off - CF8_DATA);
	return true;
}

static uint64_t
cf8_read(void *dev, uint64_t off, unsigned len)
{
	const struct pci_cf8 *c = dev;
	uint64_t target;

	if (off == CF8_ADDR && len == 4)
		return c->addr;
	return cf8_target(c, off, &target) ? ecam_read(c->seg, target, len) : ones(len);
}

static void
cf8_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct pci_cf8 *c = dev;
	uint64_t target;

	if (off == CF8_ADDR && len == 4)
		c->addr = (uint32_t)val & CF8_WRITABLE;
	else if (cf8_target(c, off, &target))
		ecam_write(c->seg, target, len, val);
}

int
pci_cf8_init(struct pci_cf8 *c, struct pci_segment *seg)
{
	static const struct region_ops ops = { .read = cf8_read, .write = cf8_write };

	*c = (struct pci_cf8){ .seg = seg };
	const struct region rg = {
		.base = 0xcf8,
		.len = CF8_LEN,
		.ops = &ops,
		.dev = c,
		.name = "pci-cf8",
	};
	return space_add(&seg->space[SPACE_PIO], &rg);
}
