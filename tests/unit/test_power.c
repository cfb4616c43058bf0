/* SPDX-License-Identifier: ISC */
/* What ends or restarts the machine: the ACPI power registers and the i8042. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "acpi.h"
#include "dev.h"
#include "fake_bus.h"
#include "util.h"

enum { BASE = 0x600, GSI = 9 };

/* The i8042 may be given its one port or the range from 0x60. */
static const struct platform_row rows[] = {
	{ DEVICE_POWER_ACPI, SPACE_PIO, BASE, ACPI_POWER_LEN, GSI, IRQ_EDGE },
	{ DEVICE_I8042, SPACE_PIO, 0x64, 1, -1, IRQ_EDGE },
};
static const struct platform_row rows_wide[] = {
	{ DEVICE_POWER_ACPI, SPACE_PIO, BASE, ACPI_POWER_LEN, GSI, IRQ_EDGE },
	{ DEVICE_I8042, SPACE_PIO, 0x60, 5, -1, IRQ_EDGE },
};

static struct {
	struct fake_bus fb;
	struct acpi_power *power;
	struct i8042 *k;
	unsigned poweroffs, resets;
} fx;

static void
count_poweroff(void *arg)
{
	assert_ptr_equal(arg, &fx);
	fx.poweroffs++;
}

static void
count_reset(void *arg)
{
	assert_ptr_equal(arg, &fx);
	fx.resets++;
}

static const struct power_ops ops = { count_poweroff, count_reset };

static int
start(const struct platform_row *row)
{
	memset(&fx, 0, sizeof(fx));
	fake_bus_init(&fx.fb, row, 2);
	int rc = acpi_power_new(&fx.fb.bus, &ops, &fx, &fx.power);

	return rc ? rc : i8042_new(&fx.fb.bus, &ops, &fx, &fx.k);
}

static int
setup(void **state)
{
	(void)state;
	return start(rows);
}

static int
setup_wide(void **state)
{
	(void)state;
	return start(rows_wide);
}

static int
teardown(void **state)
{
	(void)state;
	acpi_power_free(fx.power);
	i8042_free(fx.k);
	assert_int_equal(fx.fb.space[SPACE_PIO].nregion, 0);
	fake_bus_fini(&fx.fb);
	return 0;
}

static uint8_t
in(unsigned port)
{
	return (uint8_t)space_read(&fx.fb.space[SPACE_PIO], port, 1);
}

static void
out(unsigned port, unsigned len, uint64_t val)
{
	space_write(&fx.fb.space[SPACE_PIO], port, len, val);
}

static void
test_only_s5_with_slp_en_powers_off(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		bool s5 = (v & 0x20) && ((v >> 2) & 7) == 5;

		fx.poweroffs = 0;
		out(BASE + ACPI_POWER_SLEEP_CONTROL, 1, v);
		assert_int_equal(fx.poweroffs, s5);
	}
	assert_int_equal(fx.resets, 0);
	assert_int_equal(in(BASE + ACPI_POWER_SLEEP_STATUS), 0);
}

static void
test_only_the_reset_value_resets(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		fx.resets = 0;
		out(BASE + ACPI_POWER_RESET, 1, v);
		assert_int_equal(fx.resets, v == ACPI_POWER_RESET_VALUE);
	}
	assert_int_equal(fx.poweroffs, 0);
}

static void
test_other_registers_and_widths_end_nothing(void **state)
{
	(void)state;
	for (unsigned off = 0; off < ACPI_POWER_LEN; off++)
		for (unsigned v = 0; v < 256; v++) {
			if (off == ACPI_POWER_SLEEP_CONTROL || off == ACPI_POWER_RESET)
				continue;
			out(BASE + off, 1, v);
		}
	out(BASE + ACPI_POWER_SLEEP_CONTROL, 4, 0x00423434);
	out(BASE + ACPI_POWER_RESET, 2, 0x4242);
	assert_int_equal(fx.poweroffs + fx.resets, 0);
}

static void
test_button_is_an_edge_and_reading_clears(void **state)
{
	(void)state;
	assert_int_equal(in(BASE + ACPI_POWER_EVENT), 0);
	acpi_power_press_button(fx.power);
	assert_int_equal(fx.fb.edges[GSI], 1);
	assert_int_equal(in(BASE + ACPI_POWER_EVENT), ACPI_POWER_EVENT_BUTTON);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(in(BASE + ACPI_POWER_EVENT), 0);
}

static void
test_second_press_is_an_edge_though_nobody_read_the_first(void **state)
{
	(void)state;
	acpi_power_press_button(fx.power);
	acpi_power_press_button(fx.power);
	assert_int_equal(fx.fb.edges[GSI], 2);
	assert_true(fx.fb.level[GSI]);
	assert_int_equal(in(BASE + ACPI_POWER_EVENT), ACPI_POWER_EVENT_BUTTON);
	assert_false(fx.fb.level[GSI]);
}

static void
test_i8042_resets_on_fe_only(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		fx.resets = 0;
		out(0x64, 1, v);
		assert_int_equal(fx.resets, v == 0xfe);
	}
	fx.resets = 0;
	out(0x60, 1, 0xfe);
	out(0x61, 1, 0xfe);
	assert_int_equal(fx.resets, 0);
}

static void
test_i8042_status_holds_nobody_up(void **state)
{
	(void)state;
	/* kb_wait() waits while bit 1 is set; the prober leaves when bit 0 stays. */
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(in(0x64) & 0x03, 0x01);
		in(0x60);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define W(name) cmocka_unit_test_setup_teardown(name, setup_wide, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_only_s5_with_slp_en_powers_off),
		T(test_only_the_reset_value_resets),
		T(test_other_registers_and_widths_end_nothing),
		T(test_button_is_an_edge_and_reading_clears),
		T(test_second_press_is_an_edge_though_nobody_read_the_first),
		T(test_i8042_resets_on_fe_only),
		T(test_i8042_status_holds_nobody_up),
		W(test_i8042_resets_on_fe_only),
		W(test_i8042_status_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
