/* SPDX-License-Identifier: ISC */
/* The wired-OR in front of the interrupt controller. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "irqchip.h"

struct fake {
	struct irqchip chip;
	unsigned changes;
	unsigned gsi;
	bool level;
	uint64_t msi_addr;
};

static void
fake_set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	struct fake *f = (struct fake *)chip;

	f->changes++;
	f->gsi = gsi;
	f->level = level;
}

static int
fake_signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	((struct fake *)chip)->msi_addr = msg->addr;
	return -ENODEV;
}

static const struct irqchip_ops fake_ops = {
	.name = "fake",
	.set_level = fake_set_level,
	.signal_msi = fake_signal_msi,
};

static void
fake_init(struct fake *f)
{
	*f = (struct fake){ 0 };
	irqchip_init(&f->chip, &fake_ops, 24);
}

static void
wire_stays_up_while_one_sharer_holds_it(void **state)
{
	struct fake f;
	struct irq_line a, b;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 10, IRQ_LEVEL, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 10, IRQ_LEVEL, &b), 0);

	irq_line_set(&a, true);
	assert_int_equal(f.changes, 1);
	assert_true(f.level);
	assert_int_equal(f.gsi, 10);
	irq_line_set(&b, true);
	irq_line_set(&a, false);
	assert_int_equal(f.changes, 1);
	irq_line_set(&b, false);
	assert_int_equal(f.changes, 2);
	assert_false(f.level);
}

static void
same_level_again_is_no_change(void **state)
{
	struct fake f;
	struct irq_line a;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 3, IRQ_LEVEL, &a), 0);
	irq_line_set(&a, false);
	assert_int_equal(f.changes, 0);
	irq_line_set(&a, true);
	irq_line_set(&a, true);
	assert_int_equal(f.changes, 1);
}

static void
lowering_twice_does_not_take_the_other_sharer_down(void **state)
{
	struct fake f;
	struct irq_line a, b;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 10, IRQ_LEVEL, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 10, IRQ_LEVEL, &b), 0);
	irq_line_set(&a, true);
	irq_line_set(&b, false);
	irq_line_set(&b, false);
	assert_int_equal(f.changes, 1);
	assert_true(f.level);
}

static void
pulse_goes_up_and_down(void **state)
{
	struct fake f;
	struct irq_line a;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 4, IRQ_EDGE, &a), 0);
	irq_line_pulse(&a);
	assert_int_equal(f.changes, 2);
	assert_false(f.level);
}

static void
edge_input_is_not_shared(void **state)
{
	struct fake f;
	struct irq_line a, b = { .gsi = 99 };

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 4, IRQ_EDGE, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 4, IRQ_EDGE, &b), -EBUSY);
	assert_int_equal(b.gsi, 99);
}

static void
sharers_agree_about_the_trigger(void **state)
{
	struct fake f;
	struct irq_line a, b;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 4, IRQ_EDGE, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 4, IRQ_LEVEL, &b), -EBUSY);
	assert_int_equal(irqchip_share(&f.chip, 5, IRQ_LEVEL, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 5, IRQ_EDGE, &b), -EBUSY);
	assert_int_equal(irqchip_share(&f.chip, 5, IRQ_LEVEL, &b), 0);
	assert_int_equal(irq_line_trigger(&b), IRQ_LEVEL);
}

static void
input_that_is_not_there_is_refused(void **state)
{
	struct fake f;
	struct irq_line a;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 24, IRQ_LEVEL, &a), -EINVAL);
	assert_int_equal(irqchip_share(&f.chip, 23, IRQ_LEVEL, &a), 0);
	assert_int_equal(irq_line_gsi(&a), 23);
}

static void
each_of_64_sharers_counts_and_the_65th_is_refused(void **state)
{
	struct fake f;
	struct irq_line line[IRQCHIP_SHARERS_MAX], more;

	(void)state;
	fake_init(&f);
	for (unsigned i = 0; i < IRQCHIP_SHARERS_MAX; i++)
		assert_int_equal(irqchip_share(&f.chip, 9, IRQ_LEVEL, &line[i]), 0);
	assert_int_equal(irqchip_share(&f.chip, 9, IRQ_LEVEL, &more), -EBUSY);

	for (unsigned i = 0; i < IRQCHIP_SHARERS_MAX; i++)
		irq_line_set(&line[i], true);
	for (unsigned i = 0; i < IRQCHIP_SHARERS_MAX; i++) {
		assert_true(f.level);
		irq_line_set(&line[i], false);
	}
	assert_false(f.level);
	assert_int_equal(f.changes, 2);
}

static void
inputs_do_not_disturb_each_other(void **state)
{
	struct fake f;
	struct irq_line a, b;

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_share(&f.chip, 10, IRQ_LEVEL, &a), 0);
	assert_int_equal(irqchip_share(&f.chip, 11, IRQ_LEVEL, &b), 0);
	irq_line_set(&a, true);
	irq_line_set(&b, true);
	irq_line_set(&b, false);
	assert_int_equal(f.gsi, 11);
	assert_int_equal(f.changes, 3);
	assert_true(f.chip.wire[10] != 0);
}

static void
msi_reaches_the_chip_and_its_error_comes_back(void **state)
{
	struct fake f;
	struct msi_msg msg = { .addr = 0xfee01000 };

	(void)state;
	fake_init(&f);
	assert_int_equal(irqchip_signal_msi(&f.chip, &msg), -ENODEV);
	assert_int_equal(f.msi_addr, 0xfee01000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_stays_up_while_one_sharer_holds_it),
		cmocka_unit_test(same_level_again_is_no_change),
		cmocka_unit_test(lowering_twice_does_not_take_the_other_sharer_down),
		cmocka_unit_test(pulse_goes_up_and_down),
		cmocka_unit_test(edge_input_is_not_shared),
		cmocka_unit_test(sharers_agree_about_the_trigger),
		cmocka_unit_test(input_that_is_not_there_is_refused),
		cmocka_unit_test(each_of_64_sharers_counts_and_the_65th_is_refused),
		cmocka_unit_test(inputs_do_not_disturb_each_other),
		cmocka_unit_test(msi_reaches_the_chip_and_its_error_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
