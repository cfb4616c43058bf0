// SPDX-License-Identifier: ISC
/* The device tree, walked as an operating system would, and checked by dtc. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include <errno.h>
#include <setjmp.h>
#include <cmocka.h>
#include <libfdt.h>

#include "bus.h"
#include "dev.h"
#include "devtree.h"
#include "fake_pci.h"
#include "irqchip.h"
#include "memory.h"
#include "util.h"

enum { RAM = 0x80000000, NSPI = 96, PCI_IO_GPA = 0x3eff0000 };

struct machine {
	struct devtree dt;
	struct memory mem;
	struct space space[SPACE_KINDS];
	struct slot_list slots;
	struct irqchip chip;
	struct bus bus;
	uint64_t mpidr[256];
	struct fake_pci pci;
	struct pci_function fn[PCI_DEVICES];
	void *blob;
};

static void
no_level(struct irqchip *chip, unsigned gsi, bool level)
{
	(void)chip, (void)gsi, (void)level;
}

static const struct irqchip_ops chip_ops = { .name = "test", .set_level = no_level };
static const struct region_ops dev_ops;

/* The odd one out: a virtio slot with an edge. */
static const struct platform_row rows[] = {
	{ DEVICE_UART16550, SPACE_MMIO, 0x09000000, 8, 1, IRQ_LEVEL },
	{ DEVICE_UART16550, SPACE_MMIO, 0x09000100, 8, 5, IRQ_LEVEL },
	{ DEVICE_PL031, SPACE_MMIO, 0x09010000, 0x1000, 2, IRQ_LEVEL },
	{ DEVICE_PL061, SPACE_MMIO, 0x09030000, 0x1000, 7, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0x0a000000, 0x200, 16, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0x0a001000, 0x200, 17, IRQ_EDGE },
	{ DEVICE_DEBUG_EXIT, SPACE_MMIO, 0x0b000000, 0x10, -1, IRQ_EDGE },
};

static void
attach(struct machine *m, enum device_kind kind)
{
	struct bus_device dev = { .kind = kind, .name = "test", .ops = &dev_ops };
	const struct bus_slot *slot;

	assert_int_equal(bus_attach(&m->bus, &dev, &slot), 0);
}

static void
add_pci(struct machine *m)
{
	fake_pci_init(&m->pci, false);
	m->dt.pci = &m->pci.seg;
	m->dt.pci_io_gpa = PCI_IO_GPA;
}

static void
attach_pci(struct machine *m, unsigned pin)
{
	static const struct pci_ids ids = { .vendor = 0x1af4, .device = 0x1044 };
	struct pci_function *fn = &m->fn[m->pci.seg.nslot];
	const struct pci_slot *slot;

	pci_function_init(fn, "fn", DEVICE_VIRTIO_PCI, &ids, pin, NULL);
	assert_int_equal(pci_attach(&m->pci.bus, fn, &slot), 0);
}

static int
setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	irqchip_init(&m->chip, &chip_ops, NSPI);
	assert_int_equal(slot_list_init(&m->slots), 0);
	m->bus = (struct bus){
		.name = "platform",
		.row = rows,
		.nrow = ARRAY_SIZE(rows),
		.chip = &m->chip,
		.space = m->space,
		.slots = &m->slots,
	};
	m->mem.n = 1;
	m->mem.range[0] = (struct memory_range){ .gpa = RAM, .len = MiB(256) };
	for (unsigned i = 0; i < ARRAY_SIZE(m->mpidr); i++) /* as KVM numbers them */
		m->mpidr[i] = (i & 15) | (uint64_t)(i >> 4) << 8;
	m->dt = (struct devtree){
		.ncpu = 2, .mpidr = m->mpidr, .memory = &m->mem, .cmdline = "quiet",
		.slots = &m->slots,
		.gic = {
			.version = 3, .dist_base = 0x08000000, .dist_len = 0x10000,
			.cpu_base = 0x0c000000, .cpu_len = 0x40000,
		},
	};
	*state = m;
	return 0;
}

static int
teardown(void **state)
{
	struct machine *m = *state;

	slot_list_fini(&m->slots);
	if (m->dt.pci != NULL)
		fake_pci_fini(&m->pci);
	free(m->blob);
	free(m);
	return 0;
}

/* ---- walking ---- */

static const void *
build(struct machine *m)
{
	free(m->blob);
	m->blob = malloc(DEVTREE_LEN);
	assert_non_null(m->blob);
	assert_int_equal(devtree_build(&m->dt, m->blob, DEVTREE_LEN), 0);
	assert_int_equal(fdt_check_full(m->blob, DEVTREE_LEN), 0);
	return m->blob;
}

static int
node(const void *fdt, const char *path)
{
	int n = fdt_path_offset(fdt, path);

	if (n < 0)
		print_error("no node %s\n", path);
	assert_true(n >= 0);
	return n;
}

static uint32_t
cell(const void *fdt, int n, const char *name, unsigned i)
{
	int len;
	const fdt32_t *p = fdt_getprop(fdt, n, name, &len);

	if (p == NULL)
		print_error("no property %s\n", name);
	assert_non_null(p);
	assert_true(len % 4 == 0 && len / 4 > (int)i);
	return fdt32_to_cpu(p[i]);
}

static uint64_t
quad(const void *fdt, int n, const char *name, unsigned i)
{
	return (uint64_t)cell(fdt, n, name, 2 * i) << 32 | cell(fdt, n, name, 2 * i + 1);
}

static void
assert_len(const void *fdt, int n, const char *name, int expect)
{
	int len;

	assert_non_null(fdt_getprop(fdt, n, name, &len));
	assert_int_equal(len, expect);
}

static void
assert_string(const void *fdt, int n, const char *name, const char *expect)
{
	const char *s = fdt_stringlist_get(fdt, n, name, 0, NULL);

	assert_non_null(s);
	assert_string_equal(s, expect);
}

static int
compatible(const void *fdt, const char *what)
{
	int n = fdt_node_offset_by_compatible(fdt, -1, what);

	if (n < 0)
		print_error("nothing is compatible with %s\n", what);
	assert_true(n >= 0);
	return n;
}

/* ---- tests ---- */

static void
interrupts_lead_to_the_gic(void **state)
{
	const void *fdt = build(*state);
	int gic = compatible(fdt, "arm,gic-v3");

	assert_int_equal(cell(fdt, 0, "interrupt-parent", 0), fdt_get_phandle(fdt, gic));
	assert_int_equal(cell(fdt, gic, "#interrupt-cells", 0), 3);
	assert_non_null(fdt_getprop(fdt, gic, "interrupt-controller", NULL));
	assert_int_equal(quad(fdt, gic, "reg", 0), 0x08000000);
	assert_int_equal(quad(fdt, gic, "reg", 1), 0x10000);
	assert_int_equal(quad(fdt, gic, "reg", 2), 0x0c000000);
	assert_int_equal(quad(fdt, gic, "reg", 3), 0x40000);
	assert_int_equal(fdt_first_subnode(fdt, gic), -FDT_ERR_NOTFOUND);
}

static void
its_is_a_child_of_the_gicv3(void **state)
{
	struct machine *m = *state;

	m->dt.gic.its_base = 0x08080000;
	m->dt.gic.its_len = 0x20000;

	const void *fdt = build(m);
	int its = compatible(fdt, "arm,gic-v3-its");

	assert_int_equal(fdt_parent_offset(fdt, its), compatible(fdt, "arm,gic-v3"));
	assert_non_null(fdt_getprop(fdt, its, "msi-controller", NULL));
	assert_int_equal(cell(fdt, its, "#msi-cells", 0), 1);
	assert_int_equal(quad(fdt, its, "reg", 0), 0x08080000);
	assert_true(fdt_get_phandle(fdt, its) != 0);
}

static void
gicv2_timer_names_the_cpus(void **state)
{
	struct machine *m = *state;

	m->dt.gic.version = 2;
	m->dt.ncpu = 8;

	const void *fdt = build(m);
	int timer = compatible(fdt, "arm,armv8-timer");

	compatible(fdt, "arm,cortex-a15-gic");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(cell(fdt, timer, "interrupts", 3 * i + 2), 0xff04);
	m->dt.ncpu = 1;
	fdt = build(m);
	timer = compatible(fdt, "arm,armv8-timer");
	assert_int_equal(cell(fdt, timer, "interrupts", 2), 0x104);
}

static void
timer_has_the_four_architected_ppis(void **state)
{
	static const uint32_t ppi[] = { 13, 14, 11, 10 };
	const void *fdt = build(*state);
	int timer = compatible(fdt, "arm,armv8-timer");

	assert_len(fdt, timer, "interrupts", 4 * 12);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(cell(fdt, timer, "interrupts", 3 * i), 1);
		assert_int_equal(cell(fdt, timer, "interrupts", 3 * i + 1), ppi[i]);
		assert_int_equal(cell(fdt, timer, "interrupts", 3 * i + 2), 4);
	}
	assert_non_null(fdt_getprop(fdt, timer, "always-on", NULL));
}

static void
cpus_are_started_by_psci_at_their_affinity(void **state)
{
	struct machine *m = *state;

	m->dt.ncpu = 18;
	m->mpidr[17] = 0x1200030405;

	const void *fdt = build(m);
	int cpus = node(fdt, "/cpus"), cpu, i = 0;

	assert_int_equal(fdt_address_cells(fdt, cpus), 2);
	assert_int_equal(fdt_size_cells(fdt, cpus), 0);
	fdt_for_each_subnode(cpu, fdt, cpus)
	{
		assert_string(fdt, cpu, "device_type", "cpu");
		assert_string(fdt, cpu, "enable-method", "psci");
		assert_len(fdt, cpu, "reg", 8);
		assert_true(quad(fdt, cpu, "reg", 0) == m->mpidr[i++]);
	}
	assert_int_equal(i, 18);
	node(fdt, "/cpus/cpu@1200030405");

	int psci = compatible(fdt, "arm,psci-1.0");

	assert_int_equal(psci, compatible(fdt, "arm,psci-0.2"));
	assert_string(fdt, psci, "method", "hvc");
}

static void
memory_lists_every_range(void **state)
{
	struct machine *m = *state;

	m->mem.n = 2;
	m->mem.range[1] = (struct memory_range){ .gpa = GiB(5), .len = GiB(600) };

	const void *fdt = build(m);
	int mem = node(fdt, "/memory@80000000");

	assert_string(fdt, mem, "device_type", "memory");
	assert_len(fdt, mem, "reg", 32);
	assert_true(quad(fdt, mem, "reg", 0) == RAM);
	assert_true(quad(fdt, mem, "reg", 1) == MiB(256));
	assert_true(quad(fdt, mem, "reg", 2) == GiB(5));
	assert_true(quad(fdt, mem, "reg", 3) == GiB(600));
}

static void
chosen_has_what_the_kernel_is_given(void **state)
{
	struct machine *m = *state;
	struct devtree_seed seed = { .kaslr = 0x1122334455667788 };

	memset(seed.rng, 0x5a, sizeof(seed.rng));
	m->dt.cmdline = "console=ttyS0 quiet";
	m->dt.initrd_gpa = 0x88000000;
	m->dt.initrd_len = 12345;
	m->dt.seed = &seed;
	attach(m, DEVICE_UART16550);

	const void *fdt = build(m);
	int chosen = node(fdt, "/chosen"), len;

	assert_string(fdt, chosen, "bootargs", "console=ttyS0 quiet");
	assert_int_equal(quad(fdt, chosen, "linux,initrd-start", 0), 0x88000000);
	assert_int_equal(quad(fdt, chosen, "linux,initrd-end", 0), 0x88000000 + 12345);
	assert_true(quad(fdt, chosen, "kaslr-seed", 0) == seed.kaslr);
	const void *rng = fdt_getprop(fdt, chosen, "rng-seed", &len);
	assert_int_equal(len, sizeof(seed.rng));
	assert_memory_equal(rng, seed.rng, sizeof(seed.rng));

	/* stdout-path leads to the first UART. */
	char path[64];
	const char *out = fdt_getprop(fdt, chosen, "stdout-path", NULL);

	assert_non_null(out);
	assert_true(strchr(out, ':') != NULL);
	snprintf(path, sizeof(path), "%.*s", (int)(strchr(out, ':') - out), out);
	assert_int_equal(node(fdt, path), compatible(fdt, "ns16550a"));
}

static void
chosen_leaves_out_what_there_is_not(void **state)
{
	struct machine *m = *state;
	struct devtree_seed seed = { .kaslr = 0 };
	const void *fdt = build(m);
	int chosen = node(fdt, "/chosen");

	assert_null(fdt_getprop(fdt, chosen, "linux,initrd-start", NULL));
	assert_null(fdt_getprop(fdt, chosen, "linux,initrd-end", NULL));
	assert_null(fdt_getprop(fdt, chosen, "rng-seed", NULL));
	assert_null(fdt_getprop(fdt, chosen, "kaslr-seed", NULL));
	assert_null(fdt_getprop(fdt, chosen, "stdout-path", NULL));
	m->dt.seed = &seed;
	fdt = build(m);
	chosen = node(fdt, "/chosen");
	assert_non_null(fdt_getprop(fdt, chosen, "rng-seed", NULL));
	assert_null(fdt_getprop(fdt, chosen, "kaslr-seed", NULL));
}

/* Node names come from the address; the rest from the slot that attach made. */
static void
each_slot_has_a_node_with_its_place_and_line(void **state)
{
	static const struct {
		enum device_kind kind;
		const char *path, *compatible;
		uint32_t spi, flags;
		uint64_t len;
	} expect[] = {
		{ DEVICE_UART16550, "/serial@9000000", "ns16550a", 1, 4, 8 },
		{ DEVICE_PL031, "/rtc@9010000", "arm,pl031", 2, 4, 0x1000 },
		{ DEVICE_PL061, "/gpio@9030000", "arm,pl061", 7, 4, 0x1000 },
		{ DEVICE_VIRTIO_MMIO, "/virtio_mmio@a000000", "virtio,mmio", 16, 4,
		  0x200 },
		{ DEVICE_VIRTIO_MMIO, "/virtio_mmio@a001000", "virtio,mmio", 17, 1,
		  0x200 },
		{ DEVICE_UART16550, "/serial@9000100", "ns16550a", 5, 4, 8 },
	};
	struct machine *m = *state;

	for (size_t i = 0; i < ARRAY_SIZE(expect); i++)
		attach(m, expect[i].kind);

	const void *fdt = build(m);

	for (size_t i = 0; i < ARRAY_SIZE(expect); i++) {
		int n = node(fdt, expect[i].path);

		assert_int_equal(fdt_node_check_compatible(fdt, n, expect[i].compatible),
				 0);
		assert_len(fdt, n, "interrupts", 12);
		assert_int_equal(cell(fdt, n, "interrupts", 0), 0);
		assert_int_equal(cell(fdt, n, "interrupts", 1), expect[i].spi);
		assert_int_equal(cell(fdt, n, "interrupts", 2), expect[i].flags);
		assert_true(quad(fdt, n, "reg", 0) == m->slots.slot[i].base);
		assert_true(quad(fdt, n, "reg", 1) == expect[i].len);
	}
}

static void
devices_without_a_binding_have_no_node(void **state)
{
	struct machine *m = *state;
	const void *fdt = build(m);
	size_t without = fdt_totalsize(fdt);

	attach(m, DEVICE_DEBUG_EXIT);
	assert_int_equal(fdt_totalsize(build(m)), without);
}

static void
primecells_have_a_clock(void **state)
{
	static const char *const path[] = { "/rtc@9010000", "/gpio@9030000" };
	struct machine *m = *state;

	attach(m, DEVICE_PL031);
	attach(m, DEVICE_PL061);

	const void *fdt = build(m);
	int clock = compatible(fdt, "fixed-clock");

	assert_int_equal(cell(fdt, clock, "#clock-cells", 0), 0);
	assert_int_equal(cell(fdt, clock, "clock-frequency", 0), 24000000);
	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		int n = node(fdt, path[i]);

		assert_int_equal(fdt_node_check_compatible(fdt, n, "arm,primecell"), 0);
		assert_int_equal(cell(fdt, n, "clocks", 0), fdt_get_phandle(fdt, clock));
		assert_string(fdt, n, "clock-names", "apb_pclk");
	}
}

static void
power_key_is_on_the_gpio(void **state)
{
	struct machine *m = *state;

	attach(m, DEVICE_PL061);

	const void *fdt = build(m);
	int keys = compatible(fdt, "gpio-keys");
	int button = fdt_first_subnode(fdt, keys);
	int gpio = compatible(fdt, "arm,pl061");

	assert_int_equal(cell(fdt, button, "linux,code", 0), 116);
	assert_int_equal(cell(fdt, button, "gpios", 0), fdt_get_phandle(fdt, gpio));
	assert_int_equal(cell(fdt, button, "gpios", 1), PL061_POWER_BUTTON);
	assert_int_equal(cell(fdt, button, "gpios", 2), 0);
	assert_int_equal(cell(fdt, gpio, "#gpio-cells", 0), 2);
	assert_non_null(fdt_getprop(fdt, gpio, "gpio-controller", NULL));
}

/* ---- PCI ---- */

static void
without_a_segment_there_is_no_bridge(void **state)
{
	const void *fdt = build(*state);

	assert_int_equal(fdt_node_offset_by_compatible(fdt, -1, "pci-host-ecam-generic"),
			 -FDT_ERR_NOTFOUND);
}

static void
bridge_is_where_the_ecam_is_and_has_one_bus(void **state)
{
	struct machine *m = *state;

	add_pci(m);

	const void *fdt = build(m);
	int pci = node(fdt, "/pcie@70000000");

	assert_int_equal(pci, compatible(fdt, "pci-host-ecam-generic"));
	assert_string(fdt, pci, "device_type", "pci");
	assert_len(fdt, pci, "reg", 16);
	assert_int_equal(quad(fdt, pci, "reg", 0), ECAM_GPA);
	assert_int_equal(quad(fdt, pci, "reg", 1), 0x100000);
	assert_len(fdt, pci, "bus-range", 8);
	assert_int_equal(cell(fdt, pci, "bus-range", 0), 0);
	assert_int_equal(cell(fdt, pci, "bus-range", 1), 0);
	assert_int_equal(cell(fdt, pci, "linux,pci-domain", 0), 0);
	assert_int_equal(fdt_address_cells(fdt, pci), 3);
	assert_int_equal(fdt_size_cells(fdt, pci), 2);
	assert_non_null(fdt_getprop(fdt, pci, "dma-coherent", NULL));
	/* BARs stay where their images are; Linux before 6.11 looks in chosen only. */
	assert_int_equal(cell(fdt, node(fdt, "/chosen"), "linux,pci-probe-only", 0), 1);
	/* Nothing is wired, and there is no ITS. */
	assert_null(fdt_getprop(fdt, pci, "interrupt-map", NULL));
	assert_null(fdt_getprop(fdt, pci, "msi-map", NULL));
	assert_null(fdt_getprop(fdt, pci, "msi-parent", NULL));
}

/* Only the I/O window is elsewhere for the CPU. */
static void
ranges_are_the_windows_there_are(void **state)
{
	static const struct {
		uint32_t space;
		uint64_t pci, cpu, len;
	} expect[] = {
		{ 0x01000000, IO_BASE, PCI_IO_GPA, IO_LEN },
		{ 0x02000000, MEM32_GPA, MEM32_GPA, MEM32_LEN },
		{ 0x03000000, MEM64_GPA, MEM64_GPA, MEM64_LEN },
		{ 0x43000000, PREF_GPA, PREF_GPA, PREF_LEN },
	};
	struct machine *m = *state;

	add_pci(m);
	for (unsigned missing = 0; missing <= PCI_WINDOWS; missing++) {
		struct pci_window save[PCI_WINDOWS];
		unsigned at = 0;

		memcpy(save, m->pci.seg.window, sizeof(save));
		if (missing < PCI_WINDOWS)
			m->pci.seg.window[missing].len = 0;

		const void *fdt = build(m);
		int pci = compatible(fdt, "pci-host-ecam-generic");

		assert_len(fdt, pci, "ranges", (missing < PCI_WINDOWS ? 3 : 4) * 28);
		for (unsigned i = 0; i < ARRAY_SIZE(expect); i++) {
			if (i == missing)
				continue;
			assert_int_equal(cell(fdt, pci, "ranges", at), expect[i].space);
			const uint64_t want[] = { expect[i].pci, expect[i].cpu,
						  expect[i].len };

			for (unsigned k = 0; k < 3; k++) {
				assert_int_equal(cell(fdt, pci, "ranges", at + 1 + 2 * k),
						 want[k] >> 32);
				assert_int_equal(cell(fdt, pci, "ranges", at + 2 + 2 * k),
						 (uint32_t)want[k]);
			}
			at += 7;
		}
		memcpy(m->pci.seg.window, save, sizeof(save));
	}
}

/* What an OS does to find the interrupt of a function: mask, look up, follow. */
static void
assert_routed(const void *fdt, unsigned devfn, uint32_t spi)
{
	int pci = compatible(fdt, "pci-host-ecam-generic");
	int gic = fdt_node_offset_by_phandle(fdt, cell(fdt, pci, "interrupt-map", 4));
	uint32_t unit = devfn << 8 & cell(fdt, pci, "interrupt-map-mask", 0);
	uint32_t pin = 1 & cell(fdt, pci, "interrupt-map-mask", 3);
	unsigned row = (unsigned)(fdt_address_cells(fdt, pci) +
				  (int)cell(fdt, pci, "#interrupt-cells", 0) + 1 +
				  fdt_address_cells(fdt, gic) +
				  (int)cell(fdt, gic, "#interrupt-cells", 0));
	int len;

	fdt_getprop(fdt, pci, "interrupt-map", &len);
	assert_int_equal(len % (int)(row * 4), 0);
	for (unsigned at = 0; at < (unsigned)len / 4; at += row) {
		if (cell(fdt, pci, "interrupt-map", at) != unit ||
		    cell(fdt, pci, "interrupt-map", at + 3) != pin)
			continue;
		assert_int_equal(cell(fdt, pci, "interrupt-map", at + 4),
				 fdt_get_phandle(fdt, compatible(fdt, "arm,gic-v3")));
		for (unsigned i = 5; i < 8; i++) /* address in the GIC, SPI */
			assert_int_equal(cell(fdt, pci, "interrupt-map", at + i), 0);
		assert_int_equal(cell(fdt, pci, "interrupt-map", at + 8), spi);
		assert_int_equal(cell(fdt, pci, "interrupt-map", at + 9), 4);
		return;
	}
	fail_msg("no route for devfn %#x", devfn);
}

static void
each_pin_leads_to_its_spi(void **state)
{
	struct machine *m = *state;

	add_pci(m);
	attach_pci(m, PCI_PIN_A);
	attach_pci(m, PCI_PIN_NONE);
	attach_pci(m, PCI_PIN_A);
	attach_pci(m, PCI_PIN_A);

	const void *fdt = build(m);
	int pci = compatible(fdt, "pci-host-ecam-generic");

	assert_len(fdt, pci, "interrupt-map", 3 * 40);
	assert_len(fdt, pci, "interrupt-map-mask", 16);
	assert_routed(fdt, 1 << 3, 16);
	assert_routed(fdt, 1 << 3 | 5, 16); /* any function of the device */
	assert_routed(fdt, 3 << 3, 18);
	assert_routed(fdt, 4 << 3, 16);
}

static void
requester_ids_are_device_ids_of_the_its(void **state)
{
	struct machine *m = *state;

	add_pci(m);
	m->dt.gic.its_base = 0x08080000;
	m->dt.gic.its_len = 0x20000;

	const void *fdt = build(m);
	int pci = compatible(fdt, "pci-host-ecam-generic");

	assert_len(fdt, pci, "msi-map", 16);
	assert_int_equal(cell(fdt, pci, "msi-map", 0), 0);
	assert_int_equal(cell(fdt, pci, "msi-map", 1),
			 fdt_get_phandle(fdt, compatible(fdt, "arm,gic-v3-its")));
	assert_int_equal(cell(fdt, pci, "msi-map", 2), 0);
	assert_int_equal(cell(fdt, pci, "msi-map", 3), 0x100);
}

/* ---- room ---- */

/* A buffer of exactly len bytes: ASan sees a byte too many. */
static void
too_small_a_buffer_is_refused_at_every_length(void **state)
{
	struct machine *m = *state;
	size_t total;
	size_t len = 0;

	attach(m, DEVICE_UART16550);
	attach(m, DEVICE_PL061);
	add_pci(m);
	attach_pci(m, PCI_PIN_A);
	total = fdt_totalsize(build(m));
	for (;; len += 8) {
		void *buf = aligned_alloc(8, len + 8);
		int r = devtree_build(&m->dt, buf, len);

		free(buf);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOSPC);
	}
	/* While it is written it is a little longer than in the end. */
	assert_in_range(len, total, total + 64);
}

static void
the_largest_machine_fits(void **state)
{
	static struct platform_row many[BUS_SLOTS_MAX];
	static char cmdline[2048];
	struct machine *m = *state;
	struct devtree_seed seed = { .kaslr = 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct platform_row){ DEVICE_VIRTIO_MMIO,
						 SPACE_MMIO,
						 0x0a000000 + 0x1000 * i,
						 0x1000,
						 (int)i,
						 IRQ_LEVEL };
	m->bus.row = many;
	m->bus.nrow = ARRAY_SIZE(many);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		attach(m, DEVICE_VIRTIO_MMIO);
	add_pci(m);
	m->pci.bus.last = PCI_DEVICES - 1;
	for (unsigned i = 1; i < PCI_DEVICES; i++)
		attach_pci(m, PCI_PIN_A);
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	m->dt.cmdline = cmdline;
	m->dt.seed = &seed;
	m->dt.ncpu = 255;
	build(m);
}

/* ---- dtc ---- */

/* Runs dtc on the blob and answers with what it has to say, which should be nothing. */
static void
assert_dtc_is_content(const void *fdt)
{
	char path[] = "/tmp/test_devtree.XXXXXX", cmd[128], said[4096];
	int fd = mkstemp(path);
	size_t len = fdt_totalsize(fdt);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, fdt, len), len);
	close(fd);
	snprintf(cmd, sizeof(cmd), "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
	FILE *p = popen(cmd, "r");
	assert_non_null(p);
	said[fread(said, 1, sizeof(said) - 1, p)] = '\0';
	int status = pclose(p);
	unlink(path);
	assert_string_equal(said, "");
	assert_int_equal(status, 0);
}

static void
dtc_has_no_warnings(void **state)
{
	struct machine *m = *state;
	struct devtree_seed seed = { .kaslr = 1 };

	if (system("dtc --version >/dev/null 2>&1") != 0) {
		print_message("dtc is not installed (device-tree-compiler)\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		attach(m, rows[i].kind);
	add_pci(m);
	assert_dtc_is_content(build(m));
	attach_pci(m, PCI_PIN_A);
	attach_pci(m, PCI_PIN_A);
	m->dt.seed = &seed;
	m->dt.initrd_len = 4096;
	m->dt.gic.its_base = 0x08080000;
	m->dt.gic.its_len = 0x20000;
	assert_dtc_is_content(build(m));
	m->dt.gic.version = 2;
	m->dt.gic.its_len = 0;
	assert_dtc_is_content(build(m));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(interrupts_lead_to_the_gic),
		TEST(its_is_a_child_of_the_gicv3),
		TEST(gicv2_timer_names_the_cpus),
		TEST(timer_has_the_four_architected_ppis),
		TEST(cpus_are_started_by_psci_at_their_affinity),
		TEST(memory_lists_every_range),
		TEST(chosen_has_what_the_kernel_is_given),
		TEST(chosen_leaves_out_what_there_is_not),
		TEST(each_slot_has_a_node_with_its_place_and_line),
		TEST(devices_without_a_binding_have_no_node),
		TEST(primecells_have_a_clock),
		TEST(power_key_is_on_the_gpio),
		TEST(without_a_segment_there_is_no_bridge),
		TEST(bridge_is_where_the_ecam_is_and_has_one_bus),
		TEST(ranges_are_the_windows_there_are),
		TEST(each_pin_leads_to_its_spi),
		TEST(requester_ids_are_device_ids_of_the_its),
		TEST(too_small_a_buffer_is_refused_at_every_length),
		TEST(the_largest_machine_fits),
		TEST(dtc_has_no_warnings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
