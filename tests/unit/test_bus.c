/* SPDX-License-Identifier: ISC */
/* Address spaces, the platform bus, and the line that a device is given there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bus.h"
#include "irqchip.h"
#include "util.h"

/* A device that notes what it is asked; reads return PATTERN from byte off on. */
struct probe {
	unsigned nread, nwrite;
	struct access {
		uint64_t off;
		unsigned len;
		uint64_t val;
	} seen[8];
};

#define PATTERN 0x8877665544332211ull

static uint64_t
probe_read(void *dev, uint64_t off, unsigned len)
{
	struct probe *p = dev;

	p->seen[p->nread++ % 8] = (struct access){ off, len, 0 };
	/* More than len bytes, on purpose: the caller masks. */
	return PATTERN >> (off % 8 * 8);
}

static void
probe_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct probe *p = dev;

	p->seen[p->nwrite++ % 8] = (struct access){ off, len, val };
}

static const struct region_ops probe_ops = { probe_read, probe_write };

static int
add(struct space *sp, uint64_t base, uint64_t len, void *dev)
{
	const struct region rg = {
		.base = base,
		.len = len,
		.ops = &probe_ops,
		.dev = dev,
		.name = "probe",
	};

	return space_add(sp, &rg);
}

/* ---- address spaces ---- */

static void
regions_are_found_whatever_the_order_they_came_in(void **state)
{
	static const uint64_t order[] = { 5, 1, 9, 3, 7, 0, 8, 2, 6, 4 };
	struct space sp = { 0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(add(&sp, 0x1000 + order[i] * 0x100, 0x80, NULL), 0);
	for (uint64_t addr = 0xf00; addr < 0x1b00; addr++) {
		bool inside = addr >= 0x1000 && addr < 0x1a00 && addr % 0x100 < 0x80;
		const struct region *rg = space_find(&sp, addr);

		assert_int_equal(rg != NULL, inside);
		if (rg)
			assert_int_equal(rg->base, addr & ~0xffull);
	}
	for (unsigned i = 1; i < sp.nregion; i++)
		assert_true(sp.region[i - 1].base < sp.region[i].base);
}

static void
regions_never_overlap(void **state)
{
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x100, 0x10, NULL), 0);
	assert_int_equal(add(&sp, 0x100, 0x10, NULL), -EEXIST);
	assert_int_equal(add(&sp, 0x10f, 1, NULL), -EEXIST);
	assert_int_equal(add(&sp, 0xff, 2, NULL), -EEXIST);
	assert_int_equal(add(&sp, 0x104, 2, NULL), -EEXIST);
	assert_int_equal(add(&sp, 0, 0x1000, NULL), -EEXIST);
	assert_int_equal(add(&sp, 0x110, 1, NULL), 0);
	assert_int_equal(add(&sp, 0xff, 1, NULL), 0);
}

static void
empty_and_wrapping_regions_are_refused(void **state)
{
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x100, 0, NULL), -EINVAL);
	assert_int_equal(add(&sp, UINT64_MAX - 0xf, 0x20, NULL), -EINVAL);
	assert_int_equal(add(&sp, 1, UINT64_MAX, NULL), -EINVAL);
	assert_int_equal(sp.nregion, 0);
}

static void
space_that_is_full_says_so(void **state)
{
	struct space sp = { 0 };

	(void)state;
	for (unsigned i = 0; i < SPACE_REGIONS_MAX; i++)
		assert_int_equal(add(&sp, i * 16ull, 16, NULL), 0);
	assert_int_equal(add(&sp, 0x100000, 16, NULL), -ENOSPC);
}

static void
removed_region_is_unclaimed_and_can_come_again(void **state)
{
	struct probe p = { 0 };
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x100, 0x10, &p), 0);
	assert_int_equal(add(&sp, 0x200, 0x10, &p), 0);
	assert_int_equal(space_remove(&sp, 0x101), -ENOENT);
	assert_int_equal(space_remove(&sp, 0xff), -ENOENT);
	assert_int_equal(space_remove(&sp, 0x100), 0);
	assert_null(space_find(&sp, 0x100));
	assert_non_null(space_find(&sp, 0x200));
	assert_int_equal(add(&sp, 0x100, 0x10, &p), 0);
}

static void
unclaimed_reads_are_all_ones_and_writes_vanish(void **state)
{
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(space_read(&sp, 0x60, 1), 0xff);
	assert_int_equal(space_read(&sp, 0x60, 2), 0xffff);
	assert_int_equal(space_read(&sp, 0x60, 3), 0xffffff);
	assert_int_equal(space_read(&sp, 0x60, 4), 0xffffffff);
	assert_true(space_read(&sp, UINT64_MAX, 8) == UINT64_MAX);
	space_write(&sp, UINT64_MAX, 8, 1);
}

static void
access_over_the_end_does_not_reach_the_model(void **state)
{
	struct probe p = { 0 };
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x100, 8, &p), 0);
	assert_int_equal(add(&sp, 0x108, 8, &p), 0); /* nor into the neighbour */
	assert_int_equal(space_read(&sp, 0x105, 4), 0xffffffff);
	assert_true(space_read(&sp, 0x101, 8) == UINT64_MAX);
	space_write(&sp, 0x107, 2, 0);
	space_write(&sp, 0xff, 4, 0); /* over the start */
	assert_int_equal(p.nread + p.nwrite, 0);
	assert_int_equal(space_read(&sp, 0x104, 4), 0x88776655);
	assert_int_equal(p.nread, 1);
}

static void
widths_and_alignment_reach_the_model_as_they_are(void **state)
{
	struct probe p = { 0 };
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x1000, 0x100, &p), 0);
	assert_true(space_read(&sp, 0x1000, 8) == PATTERN);
	assert_int_equal(space_read(&sp, 0x1001, 4), 0x55443322);
	assert_int_equal(space_read(&sp, 0x1003, 2), 0x5544);
	assert_int_equal(space_read(&sp, 0x1007, 1), 0x88);
	assert_int_equal(p.nread, 4);
	assert_int_equal(p.seen[1].off, 1);
	assert_int_equal(p.seen[1].len, 4);

	space_write(&sp, 0x1003, 2, 0xdeadbeef);
	assert_int_equal(p.nwrite, 1);
	assert_int_equal(p.seen[0].off, 3);
	assert_int_equal(p.seen[0].len, 2);
	assert_int_equal(p.seen[0].val, 0xbeef);
}

static void
odd_lengths_are_split_lowest_address_first(void **state)
{
	struct probe p = { 0 };
	struct space sp = { 0 };

	(void)state;
	assert_int_equal(add(&sp, 0x1000, 8, &p), 0);
	assert_true(space_read(&sp, 0x1000, 7) == (PATTERN & ones(7)));
	assert_int_equal(p.nread, 3);
	assert_int_equal(p.seen[1].off, 4);
	assert_int_equal(p.seen[1].len, 2);

	space_write(&sp, 0x1005, 3, 0x332211);
	assert_int_equal(p.nwrite, 2);
	assert_int_equal(p.seen[0].off, 5);
	assert_int_equal(p.seen[0].len, 2);
	assert_int_equal(p.seen[0].val, 0x2211);
	assert_int_equal(p.seen[1].off, 7);
	assert_int_equal(p.seen[1].len, 1);
	assert_int_equal(p.seen[1].val, 0x33);
}

/* ---- the platform bus ---- */

static const struct platform_row rows[] = {
	{ DEVICE_UART16550, SPACE_PIO, 0x3f8, 8, 4, IRQ_EDGE },
	{ DEVICE_UART16550, SPACE_PIO, 0x2f8, 8, 3, IRQ_EDGE },
	{ DEVICE_I8042, SPACE_PIO, 0x60, 5, -1, IRQ_EDGE },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0xd0000000, 0x200, 16, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0xd0000200, 0x200, 16, IRQ_LEVEL },
	{ DEVICE_RTC_CMOS, SPACE_PIO, 0x2f0, 16, 8, IRQ_EDGE },  /* overlaps 0x2f8 */
	{ DEVICE_POWER_ACPI, SPACE_PIO, 0x600, 8, 4, IRQ_EDGE }, /* taken line */
};

struct machine {
	struct irqchip chip;
	struct space space[SPACE_KINDS];
	struct slot_list slots;
	struct bus bus;
	struct probe probe;
};

static void
ignore_level(struct irqchip *chip, unsigned gsi, bool level)
{
	(void)chip, (void)gsi, (void)level;
}

static int
set_up(void **state)
{
	static const struct irqchip_ops ops = { .name = "fake",
						.set_level = ignore_level };
	struct machine *m = test_calloc(1, sizeof(*m));

	irqchip_init(&m->chip, &ops, 24);
	if (slot_list_init(&m->slots))
		return -1;
	m->bus = (struct bus){
		.name = "platform",
		.row = rows,
		.nrow = ARRAY_SIZE(rows),
		.chip = &m->chip,
		.space = m->space,
		.slots = &m->slots,
	};
	*state = m;
	return 0;
}

static int
tear_down(void **state)
{
	struct machine *m = *state;

	slot_list_fini(&m->slots);
	test_free(m);
	return 0;
}

static int
attach(struct machine *m, enum device_kind kind, const struct bus_slot **ret)
{
	const struct bus_device dev = {
		.kind = kind,
		.name = "probe0",
		.ops = &probe_ops,
		.dev = &m->probe,
		.flags = REGION_POSTED_WRITE,
	};

	return bus_attach(&m->bus, &dev, ret);
}

static void
nth_device_of_a_kind_gets_the_nth_row(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *a, *b, *c = NULL;

	assert_int_equal(attach(m, DEVICE_UART16550, &a), 0);
	assert_int_equal(attach(m, DEVICE_UART16550, &b), 0);
	assert_int_equal(attach(m, DEVICE_UART16550, &c), -ENODEV);
	assert_null(c);
	assert_int_equal(a->base, 0x3f8);
	assert_int_equal(irq_line_gsi(a->irq), 4);
	assert_int_equal(b->base, 0x2f8);
	assert_int_equal(irq_line_gsi(b->irq), 3);
	assert_int_equal(irq_line_trigger(b->irq), IRQ_EDGE);
	assert_string_equal(b->bus, "platform");
	assert_string_equal(b->name, "probe0");
	assert_int_equal(m->slots.n, 2);
	assert_ptr_equal(slot_find(&m->slots, DEVICE_UART16550), a);
	assert_null(slot_find(&m->slots, DEVICE_PL031));
}

static void
attach_puts_the_registers_in_their_space(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *slot;
	const struct region *rg;

	assert_int_equal(attach(m, DEVICE_VIRTIO_MMIO, &slot), 0);
	assert_null(space_find(&m->space[SPACE_PIO], 0xd0000000));
	rg = space_find(&m->space[SPACE_MMIO], 0xd0000000);
	assert_non_null(rg);
	assert_int_equal(rg->flags, REGION_POSTED_WRITE);
	space_write(&m->space[SPACE_MMIO], 0xd0000010, 4, 7);
	assert_int_equal(m->probe.nwrite, 1);
	assert_int_equal(m->probe.seen[0].off, 0x10);
}

static void
device_without_interrupt_has_no_line(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *slot;

	assert_int_equal(attach(m, DEVICE_I8042, &slot), 0);
	assert_null(slot->irq);
}

static void
level_lines_are_shared(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *a, *b;

	assert_int_equal(attach(m, DEVICE_VIRTIO_MMIO, &a), 0);
	assert_int_equal(attach(m, DEVICE_VIRTIO_MMIO, &b), 0);
	assert_ptr_not_equal(a->irq, b->irq);
	irq_line_set(a->irq, true);
	irq_line_set(b->irq, true);
	irq_line_set(a->irq, false);
	assert_true(m->chip.wire[16] != 0);
}

static void
bus_has_no_place_for_a_kind_without_a_row(void **state)
{
	const struct bus_slot *slot;

	assert_int_equal(attach(*state, DEVICE_PL061, &slot), -ENODEV);
}

static void
refused_attach_leaves_nothing_behind(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *slot;

	assert_int_equal(attach(m, DEVICE_UART16550, &slot), 0);
	assert_int_equal(attach(m, DEVICE_UART16550, &slot), 0);

	assert_int_equal(attach(m, DEVICE_POWER_ACPI, &slot), -EBUSY);
	assert_null(space_find(&m->space[SPACE_PIO], 0x600));
	assert_int_equal(attach(m, DEVICE_RTC_CMOS, &slot), -EEXIST);
	assert_int_equal(m->chip.sharers[8], 0);
	assert_int_equal(m->slots.n, 2);
	assert_null(slot_find(&m->slots, DEVICE_RTC_CMOS));
}

/*
 * What this project comes from: a monitor that raised the interrupt whose number
 * the guest had written to a register. Here a device has a pointer to const, and
 * no write anywhere changes what is behind it.
 */
static void
line_of_a_device_does_not_change_whatever_is_written(void **state)
{
	struct machine *m = *state;
	const struct bus_slot *slot;

	assert_int_equal(attach(m, DEVICE_UART16550, &slot), 0);
	_Static_assert(_Generic(slot->irq, const struct irq_line * : 1, default : 0),
		       "a device holds its line as a pointer to const");
	_Static_assert(_Generic(&irq_line_set,
				void (*)(const struct irq_line *, bool) : 1, default : 0),
		       "a line is raised by its handle, not by a number");
	_Static_assert(_Generic(&irq_line_pulse, void (*)(const struct irq_line *) : 1,
				default : 0),
		       "a line is raised by its handle, not by a number");

	for (uint64_t addr = 0; addr < 0x10000; addr++)
		for (unsigned len = 1; len <= 8; len *= 2)
			space_write(&m->space[SPACE_PIO], addr, len, 0x0b0b0b0b0b0b0b0b);
	assert_true(m->probe.nwrite > 0);
	assert_int_equal(irq_line_gsi(slot->irq), 4);
	irq_line_set(slot->irq, true);
	for (unsigned gsi = 0; gsi < 24; gsi++)
		assert_int_equal(m->chip.wire[gsi] != 0, gsi == 4);
}

int
main(void)
{
#define BUS_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_found_whatever_the_order_they_came_in),
		cmocka_unit_test(regions_never_overlap),
		cmocka_unit_test(empty_and_wrapping_regions_are_refused),
		cmocka_unit_test(space_that_is_full_says_so),
		cmocka_unit_test(removed_region_is_unclaimed_and_can_come_again),
		cmocka_unit_test(unclaimed_reads_are_all_ones_and_writes_vanish),
		cmocka_unit_test(access_over_the_end_does_not_reach_the_model),
		cmocka_unit_test(widths_and_alignment_reach_the_model_as_they_are),
		cmocka_unit_test(odd_lengths_are_split_lowest_address_first),
		BUS_TEST(nth_device_of_a_kind_gets_the_nth_row),
		BUS_TEST(attach_puts_the_registers_in_their_space),
		BUS_TEST(device_without_interrupt_has_no_line),
		BUS_TEST(level_lines_are_shared),
		BUS_TEST(bus_has_no_place_for_a_kind_without_a_row),
		BUS_TEST(refused_attach_leaves_nothing_behind),
		BUS_TEST(line_of_a_device_does_not_change_whatever_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
