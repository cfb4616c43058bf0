/* SPDX-License-Identifier: ISC */
/* The table of message routes, and how often KVM would hear of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "irq_routes.h"
#include "irqchip.h"
#include "util.h"

enum { PINS = 24 };

struct fix {
	struct irqchip chip;
	unsigned commits;
	int refuse; /* what the next commits return */
	/* The table as it was told last. */
	unsigned gsi[IRQ_ROUTES_MAX];
	struct msi_msg msg[IRQ_ROUTES_MAX];
	unsigned n;
};

static void
tell(void *arg, unsigned gsi, const struct msi_msg *msg)
{
	struct fix *x = arg;

	x->gsi[x->n] = gsi;
	x->msg[x->n++] = *msg;
}

static int
commit(struct irqchip *chip)
{
	struct fix *x = container_of(chip, struct fix, chip);

	x->commits++;
	x->n = 0;
	irq_routes_each(&chip->routes, tell, x);
	return x->refuse;
}

static const struct irqchip_ops ops = { .name = "fake", .routes_commit = commit };

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	irqchip_init(&x->chip, &ops, PINS);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	irqchip_fini(&x->chip);
	free(x);
	return 0;
}

static unsigned
alloc(struct fix *x)
{
	unsigned gsi;

	assert_int_equal(irqchip_route_alloc(&x->chip, &gsi), 0);
	return gsi;
}

static struct msi_msg
message(uint32_t n)
{
	return (struct msi_msg){ .addr = 0xfee00000, .data = n, .devid = 8 };
}

static void
set(struct fix *x, unsigned gsi, uint32_t n)
{
	struct msi_msg msg = message(n);

	irqchip_route_set(&x->chip, gsi, &msg);
}

static void
gsis_are_behind_the_pins_and_none_is_given_twice(void **state)
{
	struct fix *x = *state;
	unsigned last = alloc(x);

	assert_int_equal(last, PINS);
	for (unsigned i = 1; i < IRQ_ROUTES_MAX; i++)
		assert_int_equal(alloc(x), ++last);
	assert_int_equal(irqchip_route_alloc(&x->chip, &last), -ENOSPC);
	irqchip_route_free(&x->chip, PINS + 7);
	assert_int_equal(alloc(x), PINS + 7);
}

/* Allocation alone is nothing that KVM has to know. */
static void
changes_are_told_together_and_once(void **state)
{
	struct fix *x = *state;
	unsigned a = alloc(x), b = alloc(x), c = alloc(x);

	assert_int_equal(irqchip_routes_commit(&x->chip), 0);
	assert_int_equal(x->commits, 0);
	set(x, c, 3);
	set(x, a, 1);
	assert_int_equal(irqchip_routes_commit(&x->chip), 0);
	assert_int_equal(irqchip_routes_commit(&x->chip), 0);
	assert_int_equal(x->commits, 1);
	assert_int_equal(x->n, 2);
	assert_int_equal(x->gsi[0], a);
	assert_int_equal(x->gsi[1], c);
	assert_int_equal(x->msg[1].data, 3);
	assert_int_equal(x->msg[1].devid, 8);
	set(x, b, 2);
	assert_int_equal(irqchip_routes_commit(&x->chip), 0);
	assert_int_equal(x->n, 3);
}

static void
what_changes_nothing_is_not_told(void **state)
{
	struct fix *x = *state;
	unsigned a = alloc(x);

	irqchip_route_set(&x->chip, a, NULL);
	irqchip_routes_commit(&x->chip);
	assert_int_equal(x->commits, 0);
	set(x, a, 1);
	irqchip_routes_commit(&x->chip);
	set(x, a, 1);
	irqchip_routes_commit(&x->chip);
	assert_int_equal(x->commits, 1);
	irqchip_route_set(&x->chip, a, NULL);
	irqchip_routes_commit(&x->chip);
	assert_int_equal(x->commits, 2);
	assert_int_equal(x->n, 0);
}

static void
a_freed_route_leads_nowhere(void **state)
{
	struct fix *x = *state;
	unsigned a = alloc(x);

	set(x, a, 1);
	irqchip_route_free(&x->chip, a);
	irqchip_routes_commit(&x->chip);
	assert_int_equal(x->n, 0);
	assert_int_equal(alloc(x), a);
	irqchip_routes_commit(&x->chip);
	assert_int_equal(x->n, 0);
}

/* As a guest that rewrites its MSI-X table does. */
static void
a_million_rewrites_neither_fail_nor_take_another_route(void **state)
{
	struct fix *x = *state;
	unsigned a = alloc(x);

	for (uint32_t i = 1; i <= 1000000; i++) {
		set(x, a, i);
		assert_int_equal(irqchip_routes_commit(&x->chip), 0);
		irqchip_route_set(&x->chip, a, NULL);
	}
	assert_int_equal(x->commits, 1000000);
	assert_int_equal(x->n, 1);
	assert_int_equal(x->gsi[0], a);
	assert_int_equal(alloc(x), a + 1);
}

static void
what_was_refused_is_told_again(void **state)
{
	struct fix *x = *state;
	unsigned a = alloc(x);

	set(x, a, 1);
	x->refuse = -EINVAL;
	assert_int_equal(irqchip_routes_commit(&x->chip), -EINVAL);
	x->refuse = 0;
	assert_int_equal(irqchip_routes_commit(&x->chip), 0);
	assert_int_equal(x->commits, 2);
	assert_int_equal(x->n, 1);
}

static void
a_controller_without_routes_gives_none(void **state)
{
	static const struct irqchip_ops none = { .name = "none" };
	struct irqchip chip;
	unsigned gsi = 77;

	(void)state;
	irqchip_init(&chip, &none, PINS);
	assert_int_equal(irqchip_route_alloc(&chip, &gsi), -ENOTSUP);
	assert_int_equal(gsi, 77);
	irqchip_fini(&chip);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(gsis_are_behind_the_pins_and_none_is_given_twice),
		T(changes_are_told_together_and_once),
		T(what_changes_nothing_is_not_told),
		T(a_freed_route_leads_nowhere),
		T(a_million_rewrites_neither_fail_nor_take_another_route),
		T(what_was_refused_is_told_again),
		T(a_controller_without_routes_gives_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
