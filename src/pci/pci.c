/* SPDX-License-Identifier: ISC */
/*
 * Configuration space of one function: an image of what the guest reads, and masks of
 * what it may change.  Where the BARs then decode is pci_bus.c's business.
 */
#include "pci.h"

#include <assert.h>
#include <string.h>

#include "page.h"
#include "pci_internal.h"
#include "util.h"

enum {
	/* Capability registers of MSI-X (PCI 3.0, 6.8.2). */
	MSIX_CAP_LEN = 12,
	MSIX_CONTROL = 2,
	MSIX_CONTROL_ENABLE = 1 << 15,
	MSIX_CONTROL_MASK = 1 << 14,
	CAP_LEN_MAX = PCI_CONFIG_LEN - PCI_HEADER_END,
	/*
	 * What firmware would leave there; Linux does not touch it then.  Bursts are
	 * nothing to a virtual bus.
	 */
	LATENCY = 64,
};

/* ---- the image: written in whole aligned words ---- */

static void
word_set(struct pci_function *fn, unsigned off, uint32_t v)
{
	page_store32(fn->image + off, v);
	if (fn->image != fn->own)
		page_publish(fn->image + off, sizeof(v));
}

/* The part of an access that lies in one word. */
struct piece {
	unsigned word; /* offset of the word */
	unsigned off;  /* of the first byte */
	unsigned len;
	uint32_t mask;
	unsigned shift;
};

static struct piece
piece_at(unsigned off, unsigned left)
{
	unsigned skip = off & 3;
	unsigned len = left < 4 - skip ? left : 4 - skip;

	return (struct piece){
		.word = off - skip,
		.off = off,
		.len = len,
		.mask = (uint32_t)ones(len) << (skip * 8),
		.shift = skip * 8,
	};
}

void
pci_config_set(struct pci_function *fn, unsigned off, unsigned len, uint32_t val)
{
	struct piece p = piece_at(off, len);

	assert(p.len == len && off + len <= PCI_CONFIG_LEN);
	word_set(fn, p.word,
		 (page_load32(fn->image + p.word) & ~p.mask) |
			 ((val << p.shift) & p.mask));
}

uint32_t
pci_config_get(const struct pci_function *fn, unsigned off, unsigned len)
{
	struct piece p = piece_at(off, len);

	assert(p.len == len && off + len <= PCI_CONFIG_LEN);
	return (page_load32(fn->image + p.word) & p.mask) >> p.shift;
}

bool
pci_command(const struct pci_function *fn, unsigned bit)
{
	return pci_config_get(fn, PCI_COMMAND, 2) & bit;
}

/* ---- INTx (PCI 3.0, 2.2.6 and 6.2.3) ---- */

static void
intx_update(struct pci_function *fn)
{
	bool msix = fn->msix && fn->msix->enabled;
	bool level = fn->intx && !msix && !pci_command(fn, PCI_COMMAND_INTX_DISABLE);
	uint32_t status = pci_config_get(fn, PCI_STATUS, 2);
	uint32_t now = fn->intx && !msix ? status | PCI_STATUS_INTERRUPT
					 : status & ~(uint32_t)PCI_STATUS_INTERRUPT;

	if (now != status)
		pci_config_set(fn, PCI_STATUS, 2, now);
	if (fn->slot && fn->slot->irq)
		irq_line_set(fn->slot->irq, level);
}

void
pci_set_intx(struct pci_function *fn, bool level)
{
	fn->intx = level;
	intx_update(fn);
}

/* ---- making a function ---- */

void
pci_function_init(struct pci_function *fn, const char *name, enum device_kind kind,
		  const struct pci_ids *ids, unsigned pin,
		  const struct pci_function_ops *ops)
{
	memset(fn, 0, sizeof(*fn));
	fn->name = name;
	fn->kind = kind;
	fn->ops = ops;
	fn->pin = (uint8_t)pin;
	fn->image = fn->own;
	fn->cap_end = PCI_HEADER_END;

	pci_config_set(fn, PCI_VENDOR_ID, 2, ids->vendor);
	pci_config_set(fn, PCI_DEVICE_ID, 2, ids->device);
	pci_config_set(fn, PCI_REVISION_ID, 4, ids->class_code << 8 | ids->revision);
	pci_config_set(fn, PCI_LATENCY_TIMER, 1, LATENCY);
	pci_config_set(fn, PCI_SUBSYSTEM_VENDOR_ID, 2, ids->sub_vendor);
	pci_config_set(fn, PCI_SUBSYSTEM_ID, 2, ids->sub_device);
	pci_config_set(fn, PCI_INTERRUPT_PIN, 1, pin);

	le16_put(fn->wmask + PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
						  PCI_COMMAND_SERR |
						  (pin ? PCI_COMMAND_INTX_DISABLE : 0));
	fn->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	fn->wmask[PCI_LATENCY_TIMER] = 0xff;
	/* Scratch: it routes nothing (6.2.4). */
	fn->wmask[PCI_INTERRUPT_LINE] = 0xff;
	/* Error bits that we never set, but that are written 1 to clear (6.2.3). */
	fn->w1c[PCI_STATUS + 1] = 0xf9;
}

/* The bits of a BAR that say what it is (6.2.5.1). */
static uint32_t
bar_type(const struct pci_bar *b)
{
	if (b->flags & PCI_BAR_IO)
		return 1;
	return (b->flags & PCI_BAR_64 ? 4u : 0) | (b->flags & PCI_BAR_PREFETCH ? 8u : 0);
}

void
pci_add_bar(struct pci_function *fn, unsigned bar, const struct pci_bar *desc)
{
	unsigned off = PCI_BAR0 + 4 * bar;
	bool wide = desc->flags & PCI_BAR_64;
	bool io = desc->flags & PCI_BAR_IO;
	uint64_t mask = ~(desc->len - 1);

	assert(!fn->seg && bar + wide < PCI_BARS && fn->bar[bar].len == 0);
	assert(desc->len >= (io ? 4 : 16) && (desc->len & (desc->len - 1)) == 0);
	assert(wide ? !io : desc->len <= 0x80000000u);

	fn->bar[bar] = *desc;
	fn->bar[bar].mapped = false;
	pci_config_set(fn, off, 4, bar_type(desc));
	/* An I/O BAR has 16 bits, as I/O space has. */
	le32_put(fn->wmask + off, io ? (uint32_t)mask & 0xffff : (uint32_t)mask);
	if (wide)
		le32_put(fn->wmask + off + 4, (uint32_t)(mask >> 32));
	fn->wmask[PCI_COMMAND] |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

unsigned
pci_add_cap(struct pci_function *fn, uint8_t id, const void *body, const uint8_t *wmask,
	    unsigned len)
{
	unsigned off = fn->cap_end;

	assert(!fn->seg && len >= 2 && len <= CAP_LEN_MAX);
	assert(off + len <= PCI_CONFIG_LEN);
	fn->own[off] = id;
	fn->own[off + 1] = 0;
	memcpy(fn->own + off + 2, body, len - 2);
	if (wmask)
		memcpy(fn->wmask + off + 2, wmask + 2, len - 2);

	/* Last in the list. */
	fn->own[fn->last_cap ? fn->last_cap + 1u : (unsigned)PCI_CAPABILITIES] =
		(uint8_t)off;
	fn->own[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	fn->last_cap = (uint8_t)off;
	/* 256 would be 0; nothing fits behind it, and the assertion above says so. */
	unsigned end = (unsigned)align_up(off + len, 4);
	fn->cap_end = (uint8_t)(end < PCI_CONFIG_LEN ? end : PCI_CONFIG_LEN - 1);
	return off;
}

void
pci_add_msix(struct pci_function *fn, struct msix *m, unsigned table_bar,
	     uint32_t table_off, unsigned pba_bar, uint32_t pba_off)
{
	uint8_t body[MSIX_CAP_LEN - 2];
	uint8_t wmask[MSIX_CAP_LEN] = { 0 };

	assert(!fn->msix && (table_off & 7) == 0 && (pba_off & 7) == 0);
	assert(table_bar < PCI_BARS && pba_bar < PCI_BARS);
	le16_put(body, (uint16_t)(m->n - 1));
	le32_put(body + 2, table_off | table_bar);
	le32_put(body + 6, pba_off | pba_bar);
	le16_put(wmask + MSIX_CONTROL, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);
	fn->msix_cap =
		(uint8_t)pci_add_cap(fn, PCI_CAP_ID_MSIX, body, wmask, MSIX_CAP_LEN);
	fn->msix = m;
}

/* ---- the guest's accesses ---- */

static void
msix_written(struct pci_function *fn)
{
	uint32_t control = pci_config_get(fn, fn->msix_cap + MSIX_CONTROL, 2);
	bool was = fn->msix->enabled;

	msix_set_control(fn->msix, control & MSIX_CONTROL_ENABLE,
			 control & MSIX_CONTROL_MASK);
	if (fn->msix->enabled == was)
		return;
	intx_update(fn);
	if (fn->ops && fn->ops->msix_changed)
		fn->ops->msix_changed(fn);
}

/* Bytes of one word, some of them writable, have their new values. */
static void
written(struct pci_function *fn, const struct piece *p)
{
	if (p->word == PCI_COMMAND) {
		intx_update(fn);
		pci_update_bars(fn);
	} else if (p->word >= PCI_BAR0 && p->word < PCI_BAR0 + 4 * PCI_BARS) {
		pci_update_bars(fn);
	} else if (fn->msix && p->word == fn->msix_cap) {
		msix_written(fn);
	} else if (p->word >= PCI_HEADER_END && fn->ops && fn->ops->config_written) {
		fn->ops->config_written(fn, p->off, p->len);
	}
}

static void
write_piece(struct pci_function *fn, const struct piece *p, uint32_t val)
{
	uint32_t writable = page_load32(fn->wmask + p->word) & p->mask;
	uint32_t clears = page_load32(fn->w1c + p->word) & p->mask & val;
	uint32_t old = page_load32(fn->image + p->word);

	if (!writable && !clears)
		return;
	word_set(fn, p->word, ((old & ~writable) | (val & writable)) & ~clears);
	written(fn, p);
}

void
pci_config_write(struct pci_function *fn, unsigned off, unsigned len, uint64_t val)
{
	for (unsigned done = 0; done < len;) {
		if (off + done >= PCI_CONFIG_LEN)
			return;
		struct piece p = piece_at(off + done, len - done);

		write_piece(fn, &p,
			    (uint32_t)((val >> (done * 8)) & ones(p.len)) << p.shift);
		done += p.len;
	}
}

/* What lies behind the first 256 bytes reads as 0: no extended capabilities. */
uint64_t
pci_config_read(struct pci_function *fn, unsigned off, unsigned len)
{
	uint64_t val = 0;

	if (off >= PCI_HEADER_END && off < PCI_CONFIG_LEN && fn->ops &&
	    fn->ops->config_reading)
		fn->ops->config_reading(fn, off, len);
	for (unsigned i = 0; i < len && off + i < PCI_CONFIG_LEN; i++)
		val |= (uint64_t)fn->image[off + i] << (i * 8);
	return val;
}

void
pci_function_reset(struct pci_function *fn)
{
	/* All that the guest may have written, but where the BARs were put. */
	for (unsigned off = 0; off < PCI_CONFIG_LEN; off += 4) {
		uint32_t mask = page_load32(fn->wmask + off);

		if (mask)
			word_set(fn, off, page_load32(fn->image + off) & ~mask);
	}
	pci_config_set(fn, PCI_LATENCY_TIMER, 1, LATENCY);
	pci_place_bars(fn);
	pci_update_bars(fn);
	if (fn->msix) {
		msix_reset(fn->msix);
		msix_written(fn);
	}
	fn->intx = false;
	intx_update(fn);
}
