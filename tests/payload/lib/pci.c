// SPDX-License-Identifier: ISC
/* Configuration space, BARs, capabilities (PCI 3.0, chapter 6) and MSI-X (6.8.2). */
#include "pci.h"

enum { DEVFNS = 256, CAPS_MAX = 48 };

static struct pci_dev
at(unsigned devfn)
{
	struct pci_dev d = { .devfn = devfn,
			     .config = pci_ecam() + (uint64_t)devfn * PCI_ECAM_PAGE };
	uint32_t id = mmio_r32(d.config);

	d.vendor = (uint16_t)id;
	d.device = (uint16_t)(id >> 16);
	return d;
}

/* Only function 0 of each device: there are no others on this machine. */
bool
pci_find(uint16_t vendor, unsigned n, struct pci_dev *ret)
{
	if (!pci_ecam())
		return false;
	for (unsigned devfn = 0; devfn < DEVFNS; devfn += 8) {
		struct pci_dev d = at(devfn);
		if (d.vendor == 0xffff || (vendor != 0xffff && d.vendor != vendor))
			continue;
		if (n-- == 0) {
			*ret = d;
			return true;
		}
	}
	return false;
}

uint32_t
pci_read(const struct pci_dev *d, unsigned off, unsigned len)
{
	uint64_t a = d->config + off;

	return len == 1 ? mmio_r8(a) : len == 2 ? mmio_r16(a) : mmio_r32(a);
}

void
pci_write(const struct pci_dev *d, unsigned off, unsigned len, uint32_t val)
{
	uint64_t a = d->config + off;

	if (len == 1)
		mmio_w8(a, (uint8_t)val);
	else if (len == 2)
		mmio_w16(a, (uint16_t)val);
	else
		mmio_w32(a, val);
}

void
pci_command(const struct pci_dev *d, uint16_t set, uint16_t clear)
{
	uint32_t v = pci_read(d, PCI_COMMAND, 2);

	pci_write(d, PCI_COMMAND, 2, (v | set) & ~(uint32_t)clear);
}

unsigned
pci_cap(const struct pci_dev *d, uint8_t id, unsigned n)
{
	unsigned off = pci_read(d, PCI_CAPABILITIES, 1);

	for (unsigned i = 0; off && i < CAPS_MAX; i++) {
		if (pci_read(d, off, 1) == id && n-- == 0)
			return off;
		off = pci_read(d, off + 1, 1);
	}
	return 0;
}

/* ---- BARs ---- */

static uint64_t
bar_len(const struct pci_dev *d, unsigned off, const struct pci_bar *b)
{
	uint32_t lo = pci_read(d, off, 4), hi = b->wide ? pci_read(d, off + 4, 4) : 0;
	uint32_t command = pci_read(d, PCI_COMMAND, 2);
	uint64_t mask;

	pci_command(d, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	pci_write(d, off, 4, ~0u);
	if (b->wide)
		pci_write(d, off + 4, 4, ~0u);
	mask = pci_read(d, off, 4) & (b->io ? ~3u : ~15u);
	mask |= b->wide ? (uint64_t)pci_read(d, off + 4, 4) << 32 : 0xffffffff00000000ull;
	pci_write(d, off, 4, lo);
	if (b->wide)
		pci_write(d, off + 4, 4, hi);
	pci_write(d, PCI_COMMAND, 2, command);
	return b->io ? (uint32_t)-mask & 0xffff : -mask;
}

bool
pci_bar(const struct pci_dev *d, unsigned bar, bool sizes, struct pci_bar *ret)
{
	unsigned off = PCI_BAR0 + 4 * bar;
	uint32_t lo = pci_read(d, off, 4);

	if (bar >= PCI_BARS || lo == 0)
		return false;
	*ret = (struct pci_bar){
		.addr = lo & (lo & 1 ? ~3u : ~15u),
		.io = lo & 1,
		.wide = (lo & 7) == 4,
		.prefetch = (lo & 9) == 8,
	};
	if (ret->wide)
		ret->addr |= (uint64_t)pci_read(d, off + 4, 4) << 32;
	if (sizes)
		ret->len = bar_len(d, off, ret);
	if (!ret->io)
		pci_map(ret->addr);
	return true;
}

void
pci_bar_move(const struct pci_dev *d, unsigned bar, uint64_t addr)
{
	unsigned off = PCI_BAR0 + 4 * bar;

	if ((pci_read(d, off, 4) & 7) == 4)
		pci_write(d, off + 4, 4, (uint32_t)(addr >> 32));
	pci_write(d, off, 4, (uint32_t)addr);
}

bool
pci_intx(const struct pci_dev *d, struct irq_source *ret)
{
	return pci_read(d, PCI_INTERRUPT_PIN, 1) == 1 && pci_route(d->devfn >> 3, ret);
}

/* ---- MSI-X ---- */

enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_ENTRY = 16 };
enum { MSIX_ENABLE = 1 << 15, MSIX_MASK = 1 << 14 };

static uint64_t
place(const struct pci_dev *d, unsigned off)
{
	uint32_t v = pci_read(d, off, 4);
	struct pci_bar b;

	return pci_bar(d, v & 7, false, &b) ? b.addr + (v & ~7u) : 0;
}

bool
pci_msix(const struct pci_dev *d, struct pci_msix *ret)
{
	unsigned cap = pci_cap(d, PCI_CAP_MSIX, 0);

	if (!cap)
		return false;
	*ret = (struct pci_msix){
		.dev = d,
		.cap = cap,
		.n = (pci_read(d, cap + MSIX_CONTROL, 2) & 0x7ff) + 1,
		.table = place(d, cap + MSIX_TABLE),
		.pba = place(d, cap + MSIX_PBA),
	};
	return ret->table && ret->pba;
}

void
pci_msix_control(const struct pci_msix *m, bool enable, bool mask)
{
	pci_write(m->dev, m->cap + MSIX_CONTROL, 2,
		  (enable ? MSIX_ENABLE : 0) | (mask ? MSIX_MASK : 0));
}

void
pci_msix_set(const struct pci_msix *m, unsigned vec, const struct msi *msg, bool masked)
{
	uint64_t entry = m->table + vec * MSIX_ENTRY;

	mmio_w32(entry, (uint32_t)msg->addr);
	mmio_w32(entry + 4, (uint32_t)(msg->addr >> 32));
	mmio_w32(entry + 8, msg->data);
	mmio_w32(entry + 12, masked);
}

void
pci_msix_mask(const struct pci_msix *m, unsigned vec, bool masked)
{
	mmio_w32(m->table + vec * MSIX_ENTRY + 12, masked);
}

bool
pci_msix_pending(const struct pci_msix *m, unsigned vec)
{
	return mmio_r32(m->pba + vec / 32 * 4) >> vec % 32 & 1;
}
