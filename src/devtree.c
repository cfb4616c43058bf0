// SPDX-License-Identifier: ISC
/*
 * The device tree: what arm64 Linux knows of the machine (Devicetree
 * Specification 0.4; bindings in Linux' Documentation/devicetree/bindings/).
 *
 * libfdt's sequential writer refuses out-of-order calls and full buffers; struct
 * writer keeps the first refusal, so that the code below reads like the tree.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <libfdt.h>

#include "bus.h"
#include "dev.h"
#include "devtree.h"
#include "memory.h"
#include "pci.h"
#include "util.h"

/* Nodes that others refer to. */
enum { PHANDLE_GIC = 1, PHANDLE_ITS, PHANDLE_CLOCK, PHANDLE_GPIO };

/* arm,gic-v3.yaml, arm,gic.yaml: the three cells of an interrupt */
enum {
	GIC_SPI = 0,
	GIC_PPI = 1,
	GIC_EDGE_RISING = 1,
	GIC_LEVEL_HIGH = 4,
	GIC_PPI_CPUS_SHIFT = 8, /* GICv2: which CPUs have it */
};

enum {
	APB_PCLK_HZ = 24000000,
	UART_CLOCK_HZ = 1843200, /* 16 * 115200, as on a PC */
	KEY_POWER = 116,         /* linux/input-event-codes.h */
	GPIO_ACTIVE_HIGH = 0,
	NODE_NAME_MAX = 48,
};

struct writer {
	void *buf;
	int err; /* FDT_ERR_x, negative; 0: none yet */
	const struct devtree *dt;
};

static void
keep(struct writer *w, int err)
{
	if (w->err == 0)
		w->err = err;
}

__attribute__((format(printf, 2, 3))) static void
node_begin(struct writer *w, const char *fmt, ...)
{
	char name[NODE_NAME_MAX];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	assert(n >= 0 && n < NODE_NAME_MAX); /* the root has no name */
	keep(w, fdt_begin_node(w->buf, name));
}

static void
node_end(struct writer *w)
{
	keep(w, fdt_end_node(w->buf));
}

static void
prop(struct writer *w, const char *name, const void *val, size_t len)
{
	keep(w, fdt_property(w->buf, name, val, (int)len));
}

static void
prop_flag(struct writer *w, const char *name)
{
	prop(w, name, NULL, 0);
}

static void
prop_string(struct writer *w, const char *name, const char *val)
{
	prop(w, name, val, strlen(val) + 1);
}

/* A list of strings, as one literal: "a\0b". */
#define prop_strings(w, name, literal) prop((w), (name), "" literal, sizeof(literal))

static void
prop_u32s(struct writer *w, const char *name, const uint32_t *val, size_t n)
{
	void *cell;
	int err = fdt_property_placeholder(w->buf, name, (int)(n * sizeof(*val)), &cell);

	keep(w, err);
	for (size_t i = 0; err == 0 && i < n; i++)
		fdt32_st((fdt32_t *)cell + i, val[i]);
}

static void
prop_u64s(struct writer *w, const char *name, const uint64_t *val, size_t n)
{
	fdt64_t cell[2 * MEMORY_RANGES_MAX];

	assert(n <= ARRAY_SIZE(cell));
	for (size_t i = 0; i < n; i++)
		cell[i] = cpu_to_fdt64(val[i]);
	prop(w, name, cell, n * sizeof(cell[0]));
}

#define prop_cells(w, name, ...) \
	prop_u32s((w), (name), (const uint32_t[]){ __VA_ARGS__ }, \
		  sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
/* Addresses and sizes have two cells each everywhere in this tree. */
#define prop_quads(w, name, ...) \
	prop_u64s((w), (name), (const uint64_t[]){ __VA_ARGS__ }, \
		  sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static void
prop_irq(struct writer *w, const struct irq_line *irq)
{
	if (irq == NULL)
		return;
	prop_cells(w, "interrupts", GIC_SPI, irq_line_gsi(irq),
		   irq_line_trigger(irq) == IRQ_EDGE ? GIC_EDGE_RISING : GIC_LEVEL_HIGH);
}

/* ---- devices: one writer for each kind that Linux finds here ---- */

static void
write_uart16550(struct writer *w, const struct bus_slot *slot)
{
	node_begin(w, "serial@%jx", (uintmax_t)slot->base);
	prop_string(w, "compatible", "ns16550a");
	prop_quads(w, "reg", slot->base, slot->len);
	prop_irq(w, slot->irq);
	prop_cells(w, "clock-frequency", UART_CLOCK_HZ);
	node_end(w);
}

/* primecell.yaml: the AMBA bus driver needs the clock to read the chip's ID. */
static void
primecell_begin(struct writer *w, const struct bus_slot *slot, const char *name)
{
	node_begin(w, "%s@%jx", name, (uintmax_t)slot->base);
	prop_quads(w, "reg", slot->base, slot->len);
	prop_irq(w, slot->irq);
	prop_cells(w, "clocks", PHANDLE_CLOCK);
	prop_string(w, "clock-names", "apb_pclk");
}

static void
write_pl031(struct writer *w, const struct bus_slot *slot)
{
	primecell_begin(w, slot, "rtc");
	prop_strings(w, "compatible", "arm,pl031\0arm,primecell");
	node_end(w);
}

/* The GPIO controller, and the power button at one of its inputs. */
static void
write_pl061(struct writer *w, const struct bus_slot *slot)
{
	primecell_begin(w, slot, "gpio");
	prop_strings(w, "compatible", "arm,pl061\0arm,primecell");
	prop_flag(w, "gpio-controller");
	prop_cells(w, "#gpio-cells", 2);
	prop_cells(w, "phandle", PHANDLE_GPIO);
	node_end(w);

	node_begin(w, "gpio-keys");
	prop_string(w, "compatible", "gpio-keys");
	node_begin(w, "power-button");
	prop_string(w, "label", "Power Button");
	prop_cells(w, "linux,code", KEY_POWER);
	prop_cells(w, "gpios", PHANDLE_GPIO, PL061_POWER_BUTTON, GPIO_ACTIVE_HIGH);
	node_end(w);
	node_end(w);
}

static void
write_virtio_mmio(struct writer *w, const struct bus_slot *slot)
{
	node_begin(w, "virtio_mmio@%jx", (uintmax_t)slot->base);
	prop_string(w, "compatible", "virtio,mmio");
	prop_quads(w, "reg", slot->base, slot->len);
	prop_irq(w, slot->irq);
	prop_flag(w, "dma-coherent");
	node_end(w);
}

/* Kinds without a row are of no interest to a device tree. */
static void (*const device_writers[DEVICE_KINDS])(struct writer *,
						  const struct bus_slot *) = {
	[DEVICE_UART16550] = write_uart16550,
	[DEVICE_PL031] = write_pl031,
	[DEVICE_PL061] = write_pl061,
	[DEVICE_VIRTIO_MMIO] = write_virtio_mmio,
};

static void
write_devices(struct writer *w)
{
	const struct slot_list *slots = w->dt->slots;

	for (unsigned i = 0; i < slots->n; i++) {
		const struct bus_slot *slot = &slots->slot[i];

		if (device_writers[slot->kind] != NULL)
			device_writers[slot->kind](w, slot);
	}
}

/* ---- PCI: Open Firmware's PCI Bus Binding 2.1, host-generic-pci.yaml ---- */

/* The first of the three cells of a PCI address: what it is an address of. */
enum {
	PCI_CELL_IO = 1 << 24,
	PCI_CELL_MEM32 = 2 << 24,
	PCI_CELL_MEM64 = 3 << 24,
	PCI_CELL_PREFETCH = 1 << 30,
	PCI_CELL_DEVFN_SHIFT = 8,
	PCI_CELL_DEVICE = 0x1f << 11,
};

/* Appends to a property in the making. */
static void
cells_add(uint32_t *cell, size_t *n, const uint32_t *val, size_t nval)
{
	memcpy(cell + *n, val, nval * sizeof(*val));
	*n += nval;
}

#define HI(x) ((uint32_t)((x) >> 32))
#define LO(x) ((uint32_t)(x))

/* PCI address, CPU address, size. They differ for I/O only. */
static void
write_pci_ranges(struct writer *w)
{
	static const uint32_t space[PCI_WINDOWS] = {
		[PCI_WINDOW_IO] = PCI_CELL_IO,
		[PCI_WINDOW_MEM32] = PCI_CELL_MEM32,
		[PCI_WINDOW_MEM64] = PCI_CELL_MEM64,
		[PCI_WINDOW_PREFETCH] = PCI_CELL_MEM64 | PCI_CELL_PREFETCH,
	};
	enum { RANGE_CELLS = 3 + 2 + 2 };
	uint32_t cell[PCI_WINDOWS * RANGE_CELLS];
	size_t n = 0;

	for (unsigned k = 0; k < PCI_WINDOWS; k++) {
		const struct pci_window *win = &w->dt->pci->window[k];
		uint64_t gpa = k == PCI_WINDOW_IO ? w->dt->pci_io_gpa : win->base;
		const uint32_t range[RANGE_CELLS] = {
			space[k], HI(win->base), LO(win->base), HI(gpa),
			LO(gpa),  HI(win->len),  LO(win->len),
		};

		if (win->len > 0)
			cells_add(cell, &n, range, RANGE_CELLS);
	}
	assert(n > 0); /* an empty property would pass everything on */
	prop_u32s(w, "ranges", cell, n);
}

/*
 * Device and pin, and the input of the GIC they are wired to.  The functions of a
 * device share its wires: the mask leaves out the function number.
 */
static void
write_pci_interrupts(struct writer *w)
{
	enum { MAP_CELLS = 3 + 1 + 1 + 2 + 3 };
	const struct pci_segment *seg = w->dt->pci;
	uint32_t cell[PCI_DEVICES * MAP_CELLS];
	size_t n = 0;

	for (unsigned i = 0; i < seg->nslot; i++) {
		const struct pci_slot *slot = &seg->slot[i];

		if (slot->pin == PCI_PIN_NONE)
			continue;
		uint32_t unit = (uint32_t)slot->devfn << PCI_CELL_DEVFN_SHIFT;
		uint32_t spi = irq_line_gsi(slot->irq);
		const uint32_t map[MAP_CELLS] = {
			unit, 0, 0,       slot->pin, PHANDLE_GIC,
			0,    0, GIC_SPI, spi,       GIC_LEVEL_HIGH,
		};

		cells_add(cell, &n, map, MAP_CELLS);
	}
	if (n == 0)
		return;
	prop_cells(w, "#interrupt-cells", 1);
	prop_u32s(w, "interrupt-map", cell, n);
	prop_cells(w, "interrupt-map-mask", PCI_CELL_DEVICE, 0, 0, 7);
}

static void
write_pci(struct writer *w)
{
	const struct pci_segment *seg = w->dt->pci;

	node_begin(w, "pcie@%jx", (uintmax_t)seg->ecam_base);
	prop_string(w, "compatible", "pci-host-ecam-generic");
	prop_string(w, "device_type", "pci");
	prop_quads(w, "reg", seg->ecam_base, PCI_ECAM_LEN);
	prop_cells(w, "bus-range", 0, 0);
	prop_cells(w, "linux,pci-domain", 0);
	prop_cells(w, "#address-cells", 3);
	prop_cells(w, "#size-cells", 2);
	write_pci_ranges(w);
	prop_flag(w, "dma-coherent");
	write_pci_interrupts(w);
	/* pci-msi.txt: requester IDs of bus 0 are the device IDs of the ITS. */
	if (w->dt->gic.its_len != 0)
		prop_cells(w, "msi-map", 0, PHANDLE_ITS, 0, PCI_DEVICES * 8);
	node_end(w);
}

/* ---- what every machine has ---- */

/* chosen.yaml; a console needs no console= if there is a stdout-path. */
static void
write_chosen(struct writer *w)
{
	const struct devtree *dt = w->dt;
	const struct bus_slot *uart = slot_find(dt->slots, DEVICE_UART16550);

	node_begin(w, "chosen");
	prop_string(w, "bootargs", dt->cmdline);
	/*
	 * Not in the bridge's node: Linux before 6.11 looks only here.  Else it would
	 * give every BAR a new address, away from the images that it could read there.
	 */
	if (dt->pci != NULL)
		prop_cells(w, "linux,pci-probe-only", 1);
	if (dt->initrd_len != 0) {
		prop_quads(w, "linux,initrd-start", dt->initrd_gpa);
		prop_quads(w, "linux,initrd-end", dt->initrd_gpa + dt->initrd_len);
	}
	if (dt->seed != NULL) {
		prop(w, "rng-seed", dt->seed->rng, sizeof(dt->seed->rng));
		if (dt->seed->kaslr != 0)
			prop_quads(w, "kaslr-seed", dt->seed->kaslr);
	}
	if (uart != NULL) {
		char path[NODE_NAME_MAX];

		snprintf(path, sizeof(path), "/serial@%jx:115200n8",
			 (uintmax_t)uart->base);
		prop_string(w, "stdout-path", path);
	}
	node_end(w);
}

static void
write_memory(struct writer *w)
{
	const struct memory *m = w->dt->memory;
	uint64_t reg[2 * MEMORY_RANGES_MAX];

	for (unsigned i = 0; i < m->n; i++) {
		reg[2 * i] = m->range[i].gpa;
		reg[2 * i + 1] = m->range[i].len;
	}
	node_begin(w, "memory@%jx", (uintmax_t)m->range[0].gpa);
	prop_string(w, "device_type", "memory");
	prop_u64s(w, "reg", reg, 2 * (size_t)m->n);
	node_end(w);
}

/* arm/cpus.yaml: reg is the affinity, aff3 in the first cell. */
static void
write_cpus(struct writer *w)
{
	const struct devtree *dt = w->dt;

	node_begin(w, "cpus");
	prop_cells(w, "#address-cells", 2);
	prop_cells(w, "#size-cells", 0);
	for (unsigned i = 0; i < dt->ncpu; i++) {
		node_begin(w, "cpu@%jx", (uintmax_t)dt->mpidr[i]);
		prop_string(w, "device_type", "cpu");
		prop_string(w, "compatible", "arm,armv8");
		prop_quads(w, "reg", dt->mpidr[i]);
		prop_string(w, "enable-method", "psci");
		node_end(w);
	}
	node_end(w);
}

static void
write_psci(struct writer *w)
{
	node_begin(w, "psci");
	prop_strings(w, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	prop_string(w, "method", "hvc");
	node_end(w);
}

/*
 * arch_timer.yaml: secure, non-secure, virtual, hypervisor.  always-on: it does
 * not stop in idle, so no broadcast timer is needed.
 */
static void
write_timer(struct writer *w)
{
	static const uint32_t ppi[] = { 13, 14, 11, 10 };
	const struct devtree *dt = w->dt;
	uint32_t cell[3 * ARRAY_SIZE(ppi)];
	uint32_t flags = GIC_LEVEL_HIGH;

	if (dt->gic.version == 2)
		flags |= ((1u << dt->ncpu) - 1) << GIC_PPI_CPUS_SHIFT;
	for (size_t i = 0; i < ARRAY_SIZE(ppi); i++) {
		cell[3 * i] = GIC_PPI;
		cell[3 * i + 1] = ppi[i];
		cell[3 * i + 2] = flags;
	}
	node_begin(w, "timer");
	prop_string(w, "compatible", "arm,armv8-timer");
	prop_u32s(w, "interrupts", cell, ARRAY_SIZE(cell));
	prop_flag(w, "always-on");
	node_end(w);
}

static void
write_clock(struct writer *w)
{
	node_begin(w, "apb-pclk");
	prop_string(w, "compatible", "fixed-clock");
	prop_cells(w, "#clock-cells", 0);
	prop_cells(w, "clock-frequency", APB_PCLK_HZ);
	prop_string(w, "clock-output-names", "clk24mhz");
	prop_cells(w, "phandle", PHANDLE_CLOCK);
	node_end(w);
}

/* arm,gic-v3.yaml: the device ID of an MSI is its one cell. */
static void
write_its(struct writer *w)
{
	const struct devtree_gic *gic = &w->dt->gic;

	node_begin(w, "msi-controller@%jx", (uintmax_t)gic->its_base);
	prop_string(w, "compatible", "arm,gic-v3-its");
	prop_quads(w, "reg", gic->its_base, gic->its_len);
	prop_flag(w, "msi-controller");
	prop_cells(w, "#msi-cells", 1);
	prop_cells(w, "phandle", PHANDLE_ITS);
	node_end(w);
}

static void
write_gic(struct writer *w)
{
	const struct devtree_gic *gic = &w->dt->gic;

	node_begin(w, "interrupt-controller@%jx", (uintmax_t)gic->dist_base);
	prop_string(w, "compatible",
		    gic->version == 2 ? "arm,cortex-a15-gic" : "arm,gic-v3");
	prop_quads(w, "reg", gic->dist_base, gic->dist_len, gic->cpu_base, gic->cpu_len);
	prop_flag(w, "interrupt-controller");
	prop_cells(w, "#interrupt-cells", 3);
	prop_cells(w, "#address-cells", 2);
	prop_cells(w, "#size-cells", 2);
	prop_flag(w, "ranges");
	prop_cells(w, "phandle", PHANDLE_GIC);
	if (gic->its_len != 0)
		write_its(w);
	node_end(w);
}

static void
write_root(struct writer *w)
{
	node_begin(w, "%s", "");
	prop_string(w, "compatible", "linux,dummy-virt");
	prop_string(w, "model", "vmm");
	prop_cells(w, "#address-cells", 2);
	prop_cells(w, "#size-cells", 2);
	prop_cells(w, "interrupt-parent", PHANDLE_GIC);
	write_chosen(w);
	write_memory(w);
	write_cpus(w);
	write_psci(w);
	write_timer(w);
	write_clock(w);
	write_gic(w);
	write_devices(w);
	if (w->dt->pci != NULL)
		write_pci(w);
	node_end(w);
}

int
devtree_build(const struct devtree *dt, void *buf, size_t len)
{
	struct writer w = { .buf = buf, .dt = dt };

	assert(dt->gic.version == 3 || (dt->gic.version == 2 && dt->ncpu <= 8));
	assert(dt->ncpu > 0 && dt->memory->n > 0);
	keep(&w, fdt_create(buf, (int)len));
	keep(&w, fdt_finish_reservemap(buf));
	write_root(&w);
	keep(&w, fdt_finish(buf));
	/* A bad order of calls is the only other thing that can be wrong. */
	assert(w.err == 0 || w.err == -FDT_ERR_NOSPACE);
	return w.err == 0 ? 0 : -ENOSPC;
}
