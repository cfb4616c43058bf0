/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_pci.h"

enum { NDEV = 3, MSIX_TABLE = 0x1000, MSIX_PBA = 0x1800, NVEC = 4 };

/* A function with a bit of everything: 32-bit, I/O and 64-bit BARs, MSI-X, a line. */
struct dev {
	struct pci_function fn;
	const struct pci_slot *slot;
	struct msix msix;
	_Alignas(8) uint8_t table[NVEC * MSIX_ENTRY_LEN];
	unsigned cap;
	unsigned written, reading, bar_changes[PCI_BARS], msix_changes;
	uint64_t last_write;
};

struct fix {
	struct fake_pci p;
	struct dev d[NDEV];
};

static struct dev *
dev_of(struct pci_function *fn)
{
	return container_of(fn, struct dev, fn);
}

static void
on_written(struct pci_function *fn, unsigned off, unsigned len)
{
	struct dev *d = dev_of(fn);

	assert_true(off >= PCI_HEADER_END && len >= 1 && len <= 4);
	d->written++;
}

static void
on_reading(struct pci_function *fn, unsigned off, unsigned len)
{
	(void)off;
	(void)len;
	dev_of(fn)->reading++;
}

static void
on_bar(struct pci_function *fn, unsigned bar)
{
	dev_of(fn)->bar_changes[bar]++;
}

static void
on_msix(struct pci_function *fn)
{
	dev_of(fn)->msix_changes++;
}

static const struct pci_function_ops fn_ops = {
	.config_written = on_written,
	.config_reading = on_reading,
	.bar_changed = on_bar,
	.msix_changed = on_msix,
};

static uint64_t
bar_read(void *arg, uint64_t off, unsigned len)
{
	(void)len;
	return (uintptr_t)arg + off;
}

static void
bar_write(void *arg, uint64_t off, unsigned len, uint64_t val)
{
	(void)off;
	(void)len;
	((struct dev *)arg)->last_write = val;
}

static const struct region_ops bar_ops = { .read = bar_read, .write = bar_write };

static const struct pci_ids ids = {
	.vendor = 0x1af4,
	.device = 0x1044,
	.sub_vendor = 0x1af4,
	.sub_device = 0x0044,
	.class_code = 0x010203,
	.revision = 1,
};

static void
dev_init(struct dev *d, const char *name)
{
	static const uint8_t body[] = { 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	static const uint8_t wmask[8] = { 0xff, 0xff, 0x0f, 0, 0, 0, 0xff, 0 };

	memset(d, 0, sizeof(*d));
	pci_function_init(&d->fn, name, DEVICE_VIRTIO_PCI, &ids, PCI_PIN_A, &fn_ops);
	pci_add_bar(&d->fn, 0,
		    &(struct pci_bar){ .len = 0x4000, .ops = &bar_ops, .dev = d });
	pci_add_bar(&d->fn, 1,
		    &(struct pci_bar){
			    .len = 64, .flags = PCI_BAR_IO, .ops = &bar_ops, .dev = d });
	pci_add_bar(&d->fn, 2,
		    &(struct pci_bar){ .len = GiB(8),
				       .flags = PCI_BAR_64 | PCI_BAR_PREFETCH });
	pci_add_bar(&d->fn, 4, &(struct pci_bar){ .len = 0x1000, .flags = PCI_BAR_64 });
	msix_init(&d->msix, d->table, NVEC);
	pci_add_msix(&d->fn, &d->msix, 0, MSIX_TABLE, 0, MSIX_PBA);
	d->cap = pci_add_cap(&d->fn, PCI_CAP_ID_VENDOR, body, wmask, sizeof(wmask));
}

static int
setup_with(void **state, bool image)
{
	static const char *name[NDEV] = { "a", "b", "c" };
	struct fix *x = calloc(1, sizeof(*x));

	fake_pci_init(&x->p, image);
	for (unsigned i = 0; i < NDEV; i++) {
		dev_init(&x->d[i], name[i]);
		assert_int_equal(pci_attach(&x->p.bus, &x->d[i].fn, &x->d[i].slot), 0);
	}
	*state = x;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, false);
}

static int
setup_image(void **state)
{
	return setup_with(state, true);
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	fake_pci_fini(&x->p);
	free(x);
	return 0;
}

/* The accesses of the guest to the first device. */
static uint32_t
rd(struct fix *x, unsigned off, unsigned len)
{
	return cfg_read(&x->p, x->d[0].slot->devfn, off, len);
}

static void
wr(struct fix *x, unsigned off, unsigned len, uint32_t val)
{
	cfg_write(&x->p, x->d[0].slot->devfn, off, len, val);
}

static uint64_t
mmio(struct fix *x, uint64_t addr)
{
	return space_read(&x->p.space[SPACE_MMIO], addr, 4);
}

/* ---- header ---- */

static void
the_header_says_who_it_is(void **state)
{
	struct fix *x = *state;

	assert_int_equal(rd(x, PCI_VENDOR_ID, 4), 0x10441af4);
	assert_int_equal(rd(x, PCI_REVISION_ID, 4), 0x01020301);
	assert_int_equal(rd(x, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(rd(x, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x00441af4);
	assert_int_equal(rd(x, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(rd(x, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(rd(x, PCI_COMMAND, 2), 0);
	assert_int_equal(rd(x, PCI_ROM_BASE, 4), 0);
}

static void
the_host_bridge_is_device_0(void **state)
{
	struct fix *x = *state;

	assert_int_equal(cfg_read(&x->p, 0, PCI_REVISION_ID, 4), 0x06000000);
	assert_int_equal(cfg_read(&x->p, 0, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(cfg_read(&x->p, 0, PCI_STATUS, 2), 0);
	assert_int_equal(cfg_read(&x->p, 0, PCI_CAPABILITIES, 1), 0);
}

static void
the_interrupt_line_byte_is_scratch_and_moves_no_line(void **state)
{
	struct fix *x = *state;
	unsigned gsi = irq_line_gsi(x->d[0].slot->irq);

	for (unsigned v = 0; v < 256; v++) {
		wr(x, PCI_INTERRUPT_LINE, 1, v);
		wr(x, PCI_INTERRUPT_PIN, 1, v);
		assert_int_equal(rd(x, PCI_INTERRUPT_LINE, 1), v);
		assert_int_equal(rd(x, PCI_INTERRUPT_PIN, 1), 1);
		pci_set_intx(&x->d[0].fn, true);
		for (unsigned i = 0; i < IRQCHIP_GSI_MAX; i++)
			assert_int_equal(x->p.level[i], i == gsi);
		pci_set_intx(&x->d[0].fn, false);
		assert_false(x->p.level[gsi]);
		assert_int_equal(irq_line_gsi(x->d[0].slot->irq), gsi);
	}
}

static void
only_the_bits_of_the_mask_can_be_written(void **state)
{
	struct fix *x = *state;
	uint8_t before[256];

	for (unsigned i = 0; i < 256; i++)
		before[i] = (uint8_t)rd(x, i, 1);
	for (unsigned i = 0; i < 256; i++) {
		/* With MSI-X enabled the status would change, too. */
		if (i == x->d[0].fn.msix_cap + 3u)
			continue;
		uint8_t mask = x->d[0].fn.wmask[i];

		wr(x, i, 1, (uint8_t)~before[i]);
		assert_int_equal(rd(x, i, 1), before[i] ^ mask);
		wr(x, i, 1, before[i]);
		assert_int_equal(rd(x, i, 1), before[i]);
	}
	/* What the specification makes writable, and no more. */
	assert_int_equal(le16_get(x->d[0].fn.wmask + PCI_COMMAND), 0x0547);
	for (unsigned i = 0; i < PCI_HEADER_END; i++) {
		bool rw = i == 4 || i == 5 || i == 0xc || i == 0xd || i == 0x3c ||
			  (i >= 0x10 && i < 0x28);
		if (!rw)
			assert_int_equal(x->d[0].fn.wmask[i], 0);
	}
}

static void
every_width_and_alignment_is_the_same_bytes(void **state)
{
	struct fix *x = *state;
	unsigned devfn = x->d[0].slot->devfn;

	for (unsigned len = 1; len <= 8; len++) {
		for (unsigned off = 0; off < 256; off++) {
			uint64_t at = ECAM_GPA + devfn * 4096u + off, want = 0;

			for (unsigned i = 0; i < len; i++)
				if (off + i < 256)
					want |= (uint64_t)rd(x, off + i, 1) << (8 * i);
			assert_int_equal(space_read(&x->p.space[SPACE_MMIO], at, len),
					 want);
		}
	}
	/* Writes over words: cache line size to the scratch bytes of a BAR. */
	space_write(&x->p.space[SPACE_MMIO], ECAM_GPA + devfn * 4096u + 0x0b, 8,
		    0xfedcba9876543210);
	assert_int_equal(rd(x, 0x0b, 1), 0x01); /* class code */
	assert_int_equal(rd(x, 0x0c, 1), 0x32);
	assert_int_equal(rd(x, 0x0d, 1), 0x54);
	assert_int_equal(rd(x, 0x0e, 2), 0);
	assert_int_equal(rd(x, 0x10, 4), 0x78fedcba & ~0x3fffu);
}

static void
an_access_over_the_end_of_a_function_is_split(void **state)
{
	struct fix *x = *state;

	/* Device 1's last bytes are 0, function 1 of it is absent. */
	assert_int_equal(rd(x, 4094, 4), 0xffff0000);
	wr(x, 4094, 4, 0);
	/* The last bytes of the bus. */
	assert_int_equal(cfg_read(&x->p, 255, 4092, 4), 0xffffffff);
	assert_int_equal(cfg_read(&x->p, 255, 4094, 4), 0xffffffff);
}

static void
absent_functions_read_all_ones_and_ignore_writes(void **state)
{
	struct fix *x = *state;
	unsigned present = 0;

	for (unsigned devfn = 0; devfn < 256; devfn++) {
		cfg_write(&x->p, devfn, PCI_INTERRUPT_LINE, 1, 0x5a);
		if (cfg_read(&x->p, devfn, 0, 4) == 0xffffffff) {
			assert_int_equal(cfg_read(&x->p, devfn, 0x3c, 4), 0xffffffff);
			assert_int_equal(cfg_read(&x->p, devfn, 0x100, 1), 0xff);
		} else {
			assert_int_equal(devfn & 7, 0);
			present++;
		}
	}
	assert_int_equal(present, NDEV + 1);
	/* No extended capabilities. */
	assert_int_equal(rd(x, 0x100, 4), 0);
}

/* ---- capabilities ---- */

static void
the_capability_list_ends_and_holds_all(void **state)
{
	struct fix *x = *state;
	unsigned devfn = x->d[0].slot->devfn;
	unsigned msix = find_cap(&x->p, devfn, PCI_CAP_ID_MSIX, 0);

	assert_int_equal(msix, 0x40);
	assert_int_equal(find_cap(&x->p, devfn, PCI_CAP_ID_VENDOR, 0), x->d[0].cap);
	assert_int_equal(rd(x, x->d[0].cap + 1, 1), 0);
	assert_int_equal(rd(x, msix + 2, 2), NVEC - 1);
	assert_int_equal(rd(x, msix + 4, 4), MSIX_TABLE);
	assert_int_equal(rd(x, msix + 8, 4), MSIX_PBA);
}

static void
table_size_and_offsets_cannot_be_written(void **state)
{
	struct fix *x = *state;

	wr(x, 0x40, 4, 0xffffffff);
	assert_int_equal(rd(x, 0x40, 4) & 0x3fffffff,
			 (PCI_CAP_ID_MSIX | x->d[0].cap << 8 | (NVEC - 1) << 16));
	wr(x, 0x44, 4, 0xffffffff);
	wr(x, 0x48, 4, 0xffffffff);
	assert_int_equal(rd(x, 0x44, 4), MSIX_TABLE);
	assert_int_equal(rd(x, 0x48, 4), MSIX_PBA);
}

static void
the_function_hears_of_writes_to_its_capability(void **state)
{
	struct fix *x = *state;
	struct dev *d = &x->d[0];

	wr(x, d->cap, 2, 0xffff); /* id and next: nothing writable */
	assert_int_equal(d->written, 0);
	assert_int_equal(rd(x, d->cap, 1), PCI_CAP_ID_VENDOR);
	wr(x, d->cap + 2, 1, 0x55);
	assert_int_equal(d->written, 1);
	assert_int_equal(rd(x, d->cap + 2, 1), 0xa5);
	wr(x, d->cap + 4, 4, 0);
	assert_int_equal(d->written, 2);
	assert_true(d->reading > 0);
}

static void
error_bits_are_cleared_by_writing_1(void **state)
{
	struct fix *x = *state;

	pci_config_set(&x->d[0].fn, PCI_STATUS, 2, 0xf900 | PCI_STATUS_CAP_LIST);
	wr(x, PCI_STATUS, 2, 0x4000);
	assert_int_equal(rd(x, PCI_STATUS, 2), 0xb900 | PCI_STATUS_CAP_LIST);
	wr(x, PCI_COMMAND, 4, 0xffff0000);
	assert_int_equal(rd(x, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

/* ---- BARs ---- */

static void
bars_tell_their_size(void **state)
{
	static const uint32_t want[PCI_BARS] = { 0xffffc000, 0x0000ffc1, 0x0000000c,
						 0xfffffffe, 0xfffff004, 0xffffffff };
	struct fix *x = *state;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t was = rd(x, PCI_BAR0 + 4 * i, 4);

		wr(x, PCI_BAR0 + 4 * i, 4, 0xffffffff);
		assert_int_equal(rd(x, PCI_BAR0 + 4 * i, 4), want[i]);
		wr(x, PCI_BAR0 + 4 * i, 4, was);
		assert_int_equal(rd(x, PCI_BAR0 + 4 * i, 4), was);
	}
}

static void
bars_are_placed_in_the_windows_of_the_bus(void **state)
{
	struct fix *x = *state;

	for (unsigned i = 0; i < NDEV; i++) {
		const uint64_t *base = x->d[i].slot->bar_base;

		assert_int_equal(base[0], MEM32_GPA + i * 0x4000u);
		assert_int_equal(base[1], IO_BASE + i * 64u);
		assert_int_equal(base[2], PREF_GPA + i * GiB(8));
		assert_int_equal(base[4], MEM64_GPA + i * 0x1000u);
		assert_int_equal(x->d[i].fn.bar[0].mapped, false);
	}
}

static void
decoding_follows_the_command_register(void **state)
{
	struct fix *x = *state;
	struct dev *d = &x->d[0];

	assert_int_equal(mmio(x, MEM32_GPA), 0xffffffff);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(mmio(x, MEM32_GPA + 8), (uint32_t)((uintptr_t)d + 8));
	assert_int_equal(space_read(&x->p.space[SPACE_PIO], IO_BASE, 4), 0xffffffff);
	assert_int_equal(d->bar_changes[0], 1);
	/* A BAR without an answer decodes, too. */
	assert_true(d->fn.bar[2].mapped);
	assert_int_equal(mmio(x, PREF_GPA), 0xffffffff);

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(mmio(x, MEM32_GPA + 8), 0xffffffff);
	assert_int_equal(space_read(&x->p.space[SPACE_PIO], IO_BASE + 4, 4),
			 (uint32_t)((uintptr_t)d + 4));
	assert_int_equal(d->bar_changes[0], 2);
	/* Nothing changes, nobody is told. */
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	assert_int_equal(d->bar_changes[0], 2);
	assert_int_equal(d->bar_changes[1], 1);
}

static void
a_bar_can_be_moved_within_the_windows(void **state)
{
	struct fix *x = *state;
	struct dev *d = &x->d[0];

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	wr(x, PCI_BAR0, 4, MEM32_GPA + 0x100000);
	assert_int_equal(mmio(x, MEM32_GPA), 0xffffffff);
	assert_int_equal(mmio(x, MEM32_GPA + 0x100000), (uint32_t)(uintptr_t)d);
	assert_int_equal(d->fn.bar[0].addr, MEM32_GPA + 0x100000);
	assert_int_equal(d->bar_changes[0], 3); /* on, off, on */

	/* A 64-bit BAR in two steps. */
	wr(x, PCI_BAR0 + 16, 4, 0x10000000);
	wr(x, PCI_BAR0 + 20, 4, (uint32_t)((MEM64_GPA + GiB(4)) >> 32));
	assert_true(d->fn.bar[4].mapped);
	assert_int_equal(d->fn.bar[4].addr, MEM64_GPA + GiB(4) + 0x10000000);
}

static void
a_bar_does_not_decode_where_it_must_not(void **state)
{
	static const uint32_t bad[] = {
		0,
		RAM_GPA,
		RAM_GPA - 0x4000,
		RAM_END - 0x4000,
		ECAM_GPA,
		ECAM_GPA + PCI_ECAM_LEN - 0x4000,
		0xfee00000,
		0xffffc000,
		MEM32_GPA - 0x4000,
		MEM32_GPA + MEM32_LEN,
		0xfec00000,
	};
	struct fix *x = *state;
	struct dev *d = &x->d[0];

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(x, PCI_BAR0, 4, bad[i]);
		assert_int_equal(rd(x, PCI_BAR0, 4), bad[i]);
		assert_false(d->fn.bar[0].mapped);
		assert_int_equal(mmio(x, bad[i]) == (uint32_t)(uintptr_t)d, false);
	}
	/* The ECAM still answers, and it comes back. */
	assert_int_equal(rd(x, PCI_VENDOR_ID, 2), 0x1af4);
	wr(x, PCI_BAR0, 4, MEM32_GPA);
	assert_int_equal(mmio(x, MEM32_GPA), (uint32_t)(uintptr_t)d);
}

static void
a_window_over_ram_is_no_way_into_it(void **state)
{
	struct fix *x = *state;

	x->p.seg.window[PCI_WINDOW_MEM32].base = 0;
	x->p.seg.window[PCI_WINDOW_MEM32].len = GiB(4);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (uint32_t a = RAM_GPA - 0x4000; a < RAM_END + 0x4000; a += 0x4000) {
		wr(x, PCI_BAR0, 4, a);
		assert_int_equal(x->d[0].fn.bar[0].mapped, a < RAM_GPA || a >= RAM_END);
	}
	wr(x, PCI_BAR0, 4, ECAM_GPA + 0x4000);
	assert_false(x->d[0].fn.bar[0].mapped);
}

static void
io_bars_stay_in_io_space(void **state)
{
	struct fix *x = *state;

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_IO);
	wr(x, PCI_BAR0 + 4, 4, 0x3f8);
	assert_false(x->d[0].fn.bar[1].mapped);
	wr(x, PCI_BAR0 + 4, 4, 0xfff80000 | (IO_BASE + 0x800));
	assert_int_equal(rd(x, PCI_BAR0 + 4, 4), IO_BASE + 0x801);
	assert_true(x->d[0].fn.bar[1].mapped);
	wr(x, PCI_BAR0 + 4, 4, 0xffffffff);
	assert_false(x->d[0].fn.bar[1].mapped);
}

static void
of_two_bars_at_one_place_the_first_decodes(void **state)
{
	struct fix *x = *state;
	unsigned other = x->d[1].slot->devfn;

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_write(&x->p, other, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	cfg_write(&x->p, other, PCI_BAR0, 4, MEM32_GPA);
	assert_false(x->d[1].fn.bar[0].mapped);
	assert_int_equal(mmio(x, MEM32_GPA), (uint32_t)(uintptr_t)&x->d[0]);

	/* As soon as the place is free, it does: BARs are moved one by one. */
	wr(x, PCI_BAR0, 4, MEM32_GPA + 0x4000);
	assert_true(x->d[0].fn.bar[0].mapped);
	assert_true(x->d[1].fn.bar[0].mapped);
	assert_int_equal(mmio(x, MEM32_GPA), (uint32_t)(uintptr_t)&x->d[1]);
	assert_int_equal(mmio(x, MEM32_GPA + 0x4000), (uint32_t)(uintptr_t)&x->d[0]);
}

static void
moving_a_bar_100000_times_leaves_no_trace(void **state)
{
	struct fix *x = *state;
	unsigned n;

	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	n = x->p.space[SPACE_MMIO].nregion;
	for (unsigned i = 0; i < 100000; i++)
		wr(x, PCI_BAR0, 4, MEM32_GPA + 0x100000 + (i & 0xff) * 0x4000);
	assert_int_equal(x->p.space[SPACE_MMIO].nregion, n);
}

/* ---- INTx ---- */

static void
intx_disable_holds_the_line_and_status_tells(void **state)
{
	struct fix *x = *state;
	unsigned gsi = irq_line_gsi(x->d[0].slot->irq);

	pci_set_intx(&x->d[0].fn, true);
	assert_true(x->p.level[gsi]);
	assert_true(rd(x, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(x->p.level[gsi]);
	assert_true(rd(x, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	wr(x, PCI_COMMAND, 2, 0);
	assert_true(x->p.level[gsi]);
	pci_set_intx(&x->d[0].fn, false);
	assert_false(x->p.level[gsi]);
	assert_false(rd(x, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
}

static void
a_function_with_msix_enabled_is_silent_on_the_line(void **state)
{
	struct fix *x = *state;
	unsigned gsi = irq_line_gsi(x->d[0].slot->irq);

	pci_set_intx(&x->d[0].fn, true);
	wr(x, 0x42, 2, 0x8000);
	assert_int_equal(x->d[0].msix_changes, 1);
	assert_false(x->p.level[gsi]);
	assert_false(rd(x, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	wr(x, 0x42, 2, 0xc000);
	assert_int_equal(x->d[0].msix_changes, 1);
	wr(x, 0x42, 2, 0);
	assert_true(x->p.level[gsi]);
}

static void
lines_come_from_the_pool_in_turn_and_are_shared(void **state)
{
	struct fix *x = *state;
	struct dev extra;

	assert_int_equal(irq_line_gsi(x->d[0].slot->irq), 16);
	assert_int_equal(irq_line_gsi(x->d[1].slot->irq), 17);
	assert_int_equal(irq_line_gsi(x->d[2].slot->irq), 18);
	dev_init(&extra, "d");
	assert_int_equal(pci_attach(&x->p.bus, &extra.fn, &extra.slot), 0);
	assert_int_equal(irq_line_gsi(extra.slot->irq), 16);
	assert_int_equal(irq_line_trigger(extra.slot->irq), IRQ_LEVEL);

	pci_set_intx(&extra.fn, true);
	pci_set_intx(&x->d[0].fn, true);
	pci_set_intx(&extra.fn, false);
	assert_true(x->p.level[16]);
	pci_set_intx(&x->d[0].fn, false);
	assert_false(x->p.level[16]);
}

static void
msix_goes_out_with_the_requester_id(void **state)
{
	struct fix *x = *state;

	msix_table_write(&x->d[1].msix, 16, 8, 0xfee01000);
	msix_table_write(&x->d[1].msix, 24, 8, 0x42); /* unmasked */
	cfg_write(&x->p, x->d[1].slot->devfn, 0x42, 2, 0x8000);
	msix_raise(&x->d[1].msix, 1);
	assert_int_equal(x->p.nmsi, 1);
	assert_int_equal(last_msi(&x->p)->addr, 0xfee01000);
	assert_int_equal(last_msi(&x->p)->data, 0x42);
	assert_int_equal(last_msi(&x->p)->devid, 2 << 3);
}

/* ---- buses ---- */

static void
buses_share_the_segment_and_keep_apart(void **state)
{
	static const unsigned pool[] = { 20 };
	struct fix *x = *state;
	struct pci_bus other = {
		.name = "passthrough", .seg = &x->p.seg, .first = 24, .last = 24,
		.gsi = pool, .ngsi = 1,
		.window = {
			[PCI_WINDOW_IO] = { .base = IO_BASE + 0x800, .len = 0x100 },
			[PCI_WINDOW_MEM32] = { .base = MEM32_GPA + 0x800000, .len = 0x8000 },
			[PCI_WINDOW_MEM64] = { .base = MEM64_GPA + GiB(32), .len = GiB(1) },
			[PCI_WINDOW_PREFETCH] = { .base = PREF_GPA + GiB(32), .len = GiB(16) },
		},
	};
	struct dev d, e;

	dev_init(&d, "d");
	dev_init(&e, "e");
	assert_int_equal(pci_attach(&other, &d.fn, &d.slot), 0);
	assert_int_equal(d.slot->devfn, 24 << 3);
	assert_string_equal(d.slot->bus, "passthrough");
	assert_int_equal(irq_line_gsi(d.slot->irq), 20);
	assert_int_equal(d.slot->bar_base[0], MEM32_GPA + 0x800000);
	assert_int_equal(x->p.seg.nslot, NDEV + 1);
	assert_ptr_equal(x->p.seg.slot[NDEV].fn, &d.fn);

	/* No device number left, though the segment has some. */
	assert_int_equal(pci_attach(&other, &e.fn, &e.slot), -ENOSPC);
	assert_int_equal(x->p.seg.nslot, NDEV + 1);
}

static void
an_attach_that_fails_takes_nothing(void **state)
{
	struct fix *x = *state;
	struct dev d;

	/* The last window that is asked is full. */
	x->p.bus.window[PCI_WINDOW_MEM64].len = x->p.bus.window[PCI_WINDOW_MEM64].used;
	const uint64_t used = x->p.bus.window[PCI_WINDOW_MEM32].used;
	dev_init(&d, "d");
	assert_int_equal(pci_attach(&x->p.bus, &d.fn, &d.slot), -ENOSPC);
	assert_int_equal(x->p.bus.window[PCI_WINDOW_MEM32].used, used);
	assert_int_equal(x->p.seg.nslot, NDEV);
	assert_int_equal(x->p.chip.sharers[16], 1);
	assert_int_equal(cfg_read(&x->p, (NDEV + 1) << 3, 0, 4), 0xffffffff);
}

static void
a_bus_of_31_devices_can_be_filled(void **state)
{
	struct fix *x = *state;
	struct dev *d = calloc(PCI_DEVICES, sizeof(*d));
	unsigned n = 0;

	x->p.bus.last = 31;
	x->p.bus.window[PCI_WINDOW_PREFETCH].len = 0;
	x->p.bus.window[PCI_WINDOW_MEM64].len = GiB(1024);
	for (;; n++) {
		dev_init(&d[n], "many");
		if (pci_attach(&x->p.bus, &d[n].fn, &d[n].slot))
			break;
	}
	assert_int_equal(n, 31 - NDEV);
	free(d);
}

/* ---- page images ---- */

static void
the_page_shows_what_an_exit_would(void **state)
{
	struct fix *x = *state;

	wr(x, PCI_BAR0, 4, 0xffffffff);
	wr(x, PCI_INTERRUPT_LINE, 1, 0x77);
	wr(x, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_set_intx(&x->d[0].fn, true);
	for (unsigned devfn = 0; devfn < 256; devfn++)
		for (unsigned off = 0; off < 4096; off += 4)
			assert_int_equal(le32_get(x->p.ecam + devfn * 4096u + off),
					 cfg_read(&x->p, devfn, off, 4));
}

static void
pages_of_absent_functions_are_not_touched(void **state)
{
	struct fix *x = *state;

	for (unsigned devfn = 0; devfn < 256; devfn++)
		cfg_write(&x->p, devfn, PCI_COMMAND, 4, 0);
	for (unsigned devfn = (NDEV + 1) << 3; devfn < 256; devfn++)
		for (unsigned i = 0; i < 4096; i++)
			assert_int_equal(x->p.ecam[devfn * 4096u + i], 0xff);
}

static void
a_reset_brings_everything_back(void **state)
{
	struct fix *x = *state;
	uint8_t before[256];

	memcpy(before, x->p.ecam + 4096 * 8, 256);
	wr(x, PCI_COMMAND, 2, 0xffff);
	wr(x, PCI_BAR0, 4, MEM32_GPA + 0x100000);
	wr(x, PCI_BAR0 + 20, 4, 0);
	wr(x, PCI_INTERRUPT_LINE, 1, 9);
	wr(x, PCI_LATENCY_TIMER, 1, 9);
	wr(x, 0x42, 2, 0xc000);
	msix_table_write(&x->d[0].msix, 0, 8, UINT64_MAX);
	pci_set_intx(&x->d[0].fn, true);
	pci_segment_reset(&x->p.seg);

	/* The capability of the test starts with bits set that can be written. */
	before[x->d[0].cap + 2] &= 0xf0;
	before[x->d[0].cap + 6] = 0;
	assert_memory_equal(before, x->p.ecam + 4096 * 8, 256);
	assert_false(x->d[0].fn.bar[0].mapped);
	assert_false(x->d[0].msix.enabled);
	assert_int_equal(msix_table_read(&x->d[0].msix, 0, 8), 0);
	assert_false(x->p.level[16]);
}

/* ---- mechanism #1 ---- */

static void
cf8_reaches_the_same_functions(void **state)
{
	struct fix *x = *state;
	struct space *pio = &x->p.space[SPACE_PIO];
	struct pci_cf8 c;

	assert_int_equal(pci_cf8_init(&c, &x->p.seg), 0);
	assert_int_equal(space_read(pio, 0xcfc, 4), 0xffffffff); /* not enabled */
	space_write(pio, 0xcf8, 4, 0x80000800);
	assert_int_equal(space_read(pio, 0xcf8, 4), 0x80000800);
	assert_int_equal(space_read(pio, 0xcfc, 4), 0x10441af4);
	assert_int_equal(space_read(pio, 0xcfe, 2), 0x1044);
	assert_int_equal(space_read(pio, 0xcff, 1), 0x10);
	space_write(pio, 0xcf8, 4, 0x8000083c);
	space_write(pio, 0xcfc, 1, 0x5a);
	assert_int_equal(rd(x, PCI_INTERRUPT_LINE, 1), 0x5a);
	/* Other widths at the address register are not for it (reset register). */
	space_write(pio, 0xcf9, 1, 6);
	assert_int_equal(space_read(pio, 0xcf8, 4), 0x8000083c);
	space_write(pio, 0xcf8, 4, 0x80010800); /* bus 1 */
	assert_int_equal(space_read(pio, 0xcfc, 4), 0xffffffff);
	space_write(pio, 0xcf8, 4, 0x80000900); /* function 1 */
	assert_int_equal(space_read(pio, 0xcfc, 4), 0xffffffff);
	space_write(pio, 0xcf8, 4, 0xffffffff);
	assert_int_equal(space_read(pio, 0xcf8, 4), 0x80fffffc);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* ---- images of BARs ---- */

/* Two functions whose first BAR is an image, and one with a plain BAR. */
static void
attach_images(struct fake_pci *p, struct dev d[3], const struct pci_slot *slot[3])
{
	for (unsigned i = 0; i < 3; i++) {
		memset(&d[i], 0, sizeof(d[i]));
		pci_function_init(&d[i].fn, "image", DEVICE_VIRTIO_PCI, &ids, PCI_PIN_A,
				  &fn_ops);
		pci_add_bar(&d[i].fn, 0,
			    &(struct pci_bar){ .len = 0x2000,
					       .flags = i < 2 ? PCI_BAR_IMAGE : 0,
					       .ops = &bar_ops,
					       .dev = &d[i] });
		assert_int_equal(pci_attach(&p->bus, &d[i].fn, &slot[i]), 0);
		cfg_write(p, slot[i]->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	}
}

static void
images_lie_one_behind_the_other(void **state)
{
	struct fix *x = *state;
	struct dev d[3];
	const struct pci_slot *slot[3];

	attach_images(&x->p, d, slot);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(slot[i]->bar_base[0], IMAGES_GPA + i * 0x2000);
		assert_ptr_equal(slot[i]->bar_image[0], x->p.images + i * 0x2000);
	}
	assert_null(slot[2]->bar_image[0]);
	assert_true(slot[2]->bar_base[0] < IMAGES_GPA);
	assert_int_equal(x->p.covered, 0);
	for (unsigned i = 0; i < 3; i++)
		pci_detach(&d[i].fn);
}

static void
what_decodes_over_images_is_told_once(void **state)
{
	struct fix *x = *state;
	struct dev d[3];
	const struct pci_slot *slot[3];

	attach_images(&x->p, d, slot);
	/* One that goes away and comes back covers nothing. */
	cfg_write(&x->p, slot[0]->devfn, PCI_BAR0, 4, MEM32_GPA + 0x100000);
	cfg_write(&x->p, slot[0]->devfn, PCI_BAR0, 4, IMAGES_GPA);
	assert_int_equal(x->p.covered, 0);
	/* Behind the last image nobody lives, but the memory is in sight there, too. */
	cfg_write(&x->p, slot[2]->devfn, PCI_BAR0, 4, IMAGES_GPA + 0x8000);
	assert_int_equal(x->p.covered, 1);
	cfg_write(&x->p, slot[2]->devfn, PCI_BAR0, 4, IMAGES_GPA + 0xa000);
	assert_int_equal(x->p.covered, 1);
	for (unsigned i = 0; i < 3; i++)
		pci_detach(&d[i].fn);
}

static void
an_image_at_the_place_of_another_covers_it(void **state)
{
	struct fix *x = *state;
	struct dev d[3];
	const struct pci_slot *slot[3];

	attach_images(&x->p, d, slot);
	/* It waits while the other is there, */
	cfg_write(&x->p, slot[1]->devfn, PCI_BAR0, 4, IMAGES_GPA);
	assert_int_equal(x->p.covered, 0);
	/* and decodes as soon as that has gone. */
	cfg_write(&x->p, slot[0]->devfn, PCI_COMMAND, 2, 0);
	assert_int_equal(x->p.covered, 1);
	for (unsigned i = 0; i < 3; i++)
		pci_detach(&d[i].fn);
}

static void
more_images_than_there_is_room_for_are_served_by_exits(void **state)
{
	struct fix *x = *state;
	struct dev d[3];
	const struct pci_slot *slot[3];

	x->p.seg.images.window.len = 0x2000;
	attach_images(&x->p, d, slot);
	assert_non_null(slot[0]->bar_image[0]);
	assert_null(slot[1]->bar_image[0]);
	assert_true(slot[1]->bar_base[0] >= MEM32_GPA &&
		    slot[1]->bar_base[0] < IMAGES_GPA);
	for (unsigned i = 0; i < 3; i++)
		pci_detach(&d[i].fn);
}

#define TI(name) cmocka_unit_test_setup_teardown(name, setup_image, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_header_says_who_it_is),
		T(the_host_bridge_is_device_0),
		T(the_interrupt_line_byte_is_scratch_and_moves_no_line),
		T(only_the_bits_of_the_mask_can_be_written),
		T(every_width_and_alignment_is_the_same_bytes),
		T(an_access_over_the_end_of_a_function_is_split),
		T(absent_functions_read_all_ones_and_ignore_writes),
		T(the_capability_list_ends_and_holds_all),
		T(table_size_and_offsets_cannot_be_written),
		T(the_function_hears_of_writes_to_its_capability),
		T(error_bits_are_cleared_by_writing_1),
		T(bars_tell_their_size),
		T(bars_are_placed_in_the_windows_of_the_bus),
		T(decoding_follows_the_command_register),
		T(a_bar_can_be_moved_within_the_windows),
		T(a_bar_does_not_decode_where_it_must_not),
		T(a_window_over_ram_is_no_way_into_it),
		T(io_bars_stay_in_io_space),
		T(of_two_bars_at_one_place_the_first_decodes),
		T(moving_a_bar_100000_times_leaves_no_trace),
		T(intx_disable_holds_the_line_and_status_tells),
		T(a_function_with_msix_enabled_is_silent_on_the_line),
		T(lines_come_from_the_pool_in_turn_and_are_shared),
		T(msix_goes_out_with_the_requester_id),
		T(buses_share_the_segment_and_keep_apart),
		T(an_attach_that_fails_takes_nothing),
		T(a_bus_of_31_devices_can_be_filled),
		TI(the_page_shows_what_an_exit_would),
		TI(pages_of_absent_functions_are_not_touched),
		TI(a_reset_brings_everything_back),
		TI(images_lie_one_behind_the_other),
		TI(what_decodes_over_images_is_told_once),
		TI(an_image_at_the_place_of_another_covers_it),
		TI(more_images_than_there_is_room_for_are_served_by_exits),
		T(cf8_reaches_the_same_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
