/* SPDX-License-Identifier: ISC */
/* The PL061, as Linux' gpio-pl061 uses it for the power button. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dev.h"
#include "fake_bus.h"
#include "fake_reactor.h"
#include "util.h"

enum { BASE = 0x9030000, GSI = 7 };

enum {
	DATA = 0x000,
	ALL = 0x3fc,
	DIR = 0x400,
	IS = 0x404,
	IBE = 0x408,
	IEV = 0x40c,
	IE = 0x410,
	RIS = 0x414,
	MIS = 0x418,
	IC = 0x41c,
};

enum { BUTTON = 1 << PL061_POWER_BUTTON };

static const struct platform_row rows[] = {
	{ DEVICE_PL061, SPACE_MMIO, BASE, 0x1000, GSI, IRQ_LEVEL },
};

static struct {
	struct fake_bus fb;
	struct fake_reactor fr;
	struct pl061 *p;
} fx;

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fake_bus_init(&fx.fb, rows, ARRAY_SIZE(rows));
	return pl061_new(&fx.fb.bus, fake_reactor(&fx.fr), &fx.p);
}

static int
teardown(void **state)
{
	(void)state;
	pl061_free(fx.p);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	fake_bus_fini(&fx.fb);
	return 0;
}

/* Bytes, as the driver does. */
static uint8_t
get(unsigned reg)
{
	return (uint8_t)space_read(&fx.fb.space[SPACE_MMIO], BASE + reg, 1);
}

static void
put(unsigned reg, uint8_t val)
{
	space_write(&fx.fb.space[SPACE_MMIO], BASE + reg, 1, val);
}

static void
sleep_ms(unsigned ms)
{
	fake_reactor_advance(&fx.fr, ms * 1000000ull);
}

static void
test_identifies_as_pl061(void **state)
{
	(void)state;
	uint32_t pid = 0, cid = 0;

	for (unsigned i = 0; i < 4; i++) {
		pid |= (uint32_t)get(0xfe0 + 4 * i) << (i * 8);
		cid |= (uint32_t)get(0xff0 + 4 * i) << (i * 8);
	}
	assert_int_equal(pid, 0x00041061);
	assert_int_equal(cid, 0xb105f00d);
}

static void
test_button_is_down_for_100_ms(void **state)
{
	(void)state;
	assert_int_equal(get(ALL), 0);
	pl061_press_button(fx.p);
	assert_int_equal(get(ALL), BUTTON);
	assert_int_equal(get(BUTTON << 2), BUTTON);
	assert_int_equal(get((BUTTON << 2) ^ ALL), 0);
	sleep_ms(99);
	assert_int_equal(get(ALL), BUTTON);
	sleep_ms(1);
	assert_int_equal(get(ALL), 0);
}

static void
test_both_edges_interrupt_as_gpio_keys_wants(void **state)
{
	(void)state;
	put(IBE, BUTTON);
	put(IE, BUTTON);
	pl061_press_button(fx.p);
	assert_true(fx.fb.level[GSI]);
	assert_int_equal(get(MIS), BUTTON);
	put(IC, BUTTON);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(get(ALL), BUTTON);
	sleep_ms(100);
	assert_true(fx.fb.level[GSI]);
	put(IC, BUTTON);
	assert_int_equal(fx.fb.edges[GSI], 2);
	pl061_press_button(fx.p);
	assert_true(fx.fb.level[GSI]);
}

static void
test_single_edges(void **state)
{
	(void)state;
	put(IE, BUTTON);
	put(IEV, BUTTON);
	pl061_press_button(fx.p);
	assert_int_equal(get(RIS), BUTTON);
	put(IC, BUTTON);
	sleep_ms(100);
	assert_int_equal(get(RIS), 0);

	put(IEV, 0);
	pl061_press_button(fx.p);
	assert_int_equal(get(RIS), 0);
	sleep_ms(100);
	assert_int_equal(get(RIS), BUTTON);
	assert_true(fx.fb.level[GSI]);
}

static void
test_level_lasts_as_long_as_the_input(void **state)
{
	(void)state;
	put(IS, BUTTON);
	put(IEV, BUTTON);
	put(IE, BUTTON);
	assert_false(fx.fb.level[GSI]);
	pl061_press_button(fx.p);
	put(IC, BUTTON);
	assert_true(fx.fb.level[GSI]);
	sleep_ms(100);
	assert_false(fx.fb.level[GSI]);
}

static void
test_masked_edge_shows_in_ris_only(void **state)
{
	(void)state;
	put(IBE, BUTTON);
	pl061_press_button(fx.p);
	assert_int_equal(get(RIS), BUTTON);
	assert_int_equal(get(MIS), 0);
	assert_false(fx.fb.level[GSI]);
	put(IE, BUTTON);
	assert_true(fx.fb.level[GSI]);
	put(IE, (uint8_t)~BUTTON);
	assert_false(fx.fb.level[GSI]);
}

static void
test_outputs_take_writes_through_the_mask(void **state)
{
	(void)state;
	put(ALL, 0xff);
	assert_int_equal(get(ALL), 0);
	put(DIR, 0xf0);
	put(ALL, 0xff);
	assert_int_equal(get(ALL), 0xf0);
	put(0x10 << 2, 0x00);
	assert_int_equal(get(ALL), 0xe0);
	put(DATA, 0x00);
	assert_int_equal(get(ALL), 0xe0);
	put(DIR, 0);
	assert_int_equal(get(ALL), 0);
}

static void
test_odd_accesses_do_nothing(void **state)
{
	(void)state;
	const struct space *sp = &fx.fb.space[SPACE_MMIO];

	space_write(sp, BASE + DIR + 1, 1, 0xff);
	space_write(sp, BASE + DIR + 2, 8, UINT64_MAX);
	assert_int_equal(get(DIR), 0);
	put(RIS, 0xff);
	put(MIS, 0xff);
	put(0x424, 0xff);
	assert_int_equal(get(RIS), 0);
	assert_int_equal(get(0x424), 0);
	assert_int_equal(get(IC), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identifies_as_pl061),
		T(test_button_is_down_for_100_ms),
		T(test_both_edges_interrupt_as_gpio_keys_wants),
		T(test_single_edges),
		T(test_level_lasts_as_long_as_the_input),
		T(test_masked_edge_shows_in_ris_only),
		T(test_outputs_take_writes_through_the_mask),
		T(test_odd_accesses_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
