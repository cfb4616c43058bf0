// SPDX-License-Identifier: ISC
/* Where the device tree says that PCI and virtio-mmio are. */
#include "arm64.h"
#include "pci.h"

/* Cells of an entry of "ranges": PCI address, CPU address, size; and its kind. */
enum { RANGE_CELLS = 7, RANGE_IO = 1 };
/* Of "interrupt-map": PCI address, pin, controller, its address, the interrupt. */
enum { MAP_CELLS = 10, MAP_PIN = 3, MAP_SPI = 8 };

static bool
bridge(struct fdt_node *ret)
{
	return fdt_find("pci-host-ecam-generic", 0, ret);
}

uint64_t
pci_ecam(void)
{
	static uint64_t base;
	struct fdt_node node;

	if (!base && bridge(&node))
		base = fdt_reg(&node, 0);
	return base;
}

/* The page tables have the first 512 GiB. */
void
pci_map(uint64_t addr)
{
	(void)addr;
}

bool
pci_route(unsigned device, struct irq_source *ret)
{
	struct fdt_node node;

	if (!bridge(&node))
		return false;
	for (unsigned i = 0; (i + MAP_CELLS) * 4 <= node.interrupt_map.len;
	     i += MAP_CELLS) {
		if ((fdt_cells(&node.interrupt_map, i, 1) >> 11 & 31) != device ||
		    fdt_cells(&node.interrupt_map, i + MAP_PIN, 1) != 1)
			continue;
		ret->gsi = (unsigned)fdt_cells(&node.interrupt_map, i + MAP_SPI, 1);
		ret->level = true;
		return true;
	}
	return false;
}

bool
mmio_slot(unsigned n, uint64_t *base, struct irq_source *irq)
{
	struct fdt_node node;

	if (!fdt_find("virtio,mmio", n, &node))
		return false;
	*base = fdt_reg(&node, 0);
	*irq = fdt_irq(&node);
	return true;
}

/* ---- ports ---- */

static uint64_t
port_at(uint32_t port)
{
	static uint64_t window;
	struct fdt_node node;

	for (unsigned i = 0;
	     !window && bridge(&node) && (i + RANGE_CELLS) * 4 <= node.ranges.len;
	     i += RANGE_CELLS)
		if ((fdt_cells(&node.ranges, i, 1) >> 24 & 3) == RANGE_IO)
			window = fdt_cells(&node.ranges, i + 3, 2) -
				 fdt_cells(&node.ranges, i + 1, 2);
	return window + port;
}

uint32_t
port_read(uint32_t port, unsigned len)
{
	uint64_t a = port_at(port);

	return len == 1 ? mmio_r8(a) : len == 2 ? mmio_r16(a) : mmio_r32(a);
}

void
port_write(uint32_t port, unsigned len, uint32_t val)
{
	uint64_t a = port_at(port);

	if (len == 1)
		mmio_w8(a, (uint8_t)val);
	else if (len == 2)
		mmio_w16(a, (uint16_t)val);
	else
		mmio_w32(a, val);
}

/* ---- messages: through the ITS, which a GICv2 has not ---- */

bool
msi_make(const struct pci_dev *d, unsigned event, void (*handler)(void *), void *arg,
	 struct msi *ret)
{
	ret->data = event;
	return its_attach(d->devfn, event, handler, arg, &ret->addr);
}
