/* SPDX-License-Identifier: ISC */
/* The MC146818, as Linux' mc146818 library and rtc-cmos use it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "dev.h"
#include "fake_bus.h"
#include "fake_reactor.h"
#include "util.h"

enum { GSI = 8 };

enum {
	SEC,
	SEC_ALARM,
	MIN,
	MIN_ALARM,
	HOUR,
	HOUR_ALARM,
	WDAY,
	DAY,
	MONTH,
	YEAR,
	A,
	B,
	C,
	D,
	CENTURY = 0x32,
};

enum { SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, BINARY = 4, H24 = 2 };
enum { IRQF = 0x80, AF = 0x20, UF = 0x10 };

static const struct platform_row rows[] = {
	{ DEVICE_RTC_CMOS, SPACE_PIO, 0x70, 2, GSI, IRQ_EDGE },
};

static struct {
	struct fake_bus fb;
	struct fake_reactor fr;
	struct rtc_cmos *rtc;
} fx;

/* 2024-02-29 23:58:57 UTC, a Thursday */
static const int64_t leap_s = 1709251137;

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fake_bus_init(&fx.fb, rows, ARRAY_SIZE(rows));
	fx.fr.now_ns = 5 * NSEC_PER_SEC;
	fx.fr.wall_ns = leap_s * (int64_t)NSEC_PER_SEC + 250000000;
	return rtc_cmos_new(&fx.fb.bus, fake_reactor(&fx.fr), &fx.rtc);
}

static int
teardown(void **state)
{
	(void)state;
	rtc_cmos_free(fx.rtc);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	fake_bus_fini(&fx.fb);
	return 0;
}

static uint8_t
get(uint8_t reg)
{
	space_write(&fx.fb.space[SPACE_PIO], 0x70, 1, reg);
	return (uint8_t)space_read(&fx.fb.space[SPACE_PIO], 0x71, 1);
}

static void
put(uint8_t reg, uint8_t val)
{
	space_write(&fx.fb.space[SPACE_PIO], 0x70, 1, reg);
	space_write(&fx.fb.space[SPACE_PIO], 0x71, 1, val);
}

static void
sleep_ms(unsigned ms)
{
	fake_reactor_advance(&fx.fr, ms * 1000000ull);
}

/* Seconds to year, as three bytes of BCD would print. */
static void
assert_time(unsigned century, unsigned year, unsigned month, unsigned day, unsigned hour,
	    unsigned min, unsigned sec)
{
	assert_int_equal(get(CENTURY), century);
	assert_int_equal(get(YEAR), year);
	assert_int_equal(get(MONTH), month);
	assert_int_equal(get(DAY), day);
	assert_int_equal(get(HOUR), hour);
	assert_int_equal(get(MIN), min);
	assert_int_equal(get(SEC), sec);
}

static void
set_all(uint8_t century, uint8_t year, uint8_t month, uint8_t day, uint8_t hour,
	uint8_t min, uint8_t sec)
{
	uint8_t b = get(B), a = get(A);

	put(B, b | SET);
	put(A, a | 0x70);
	put(YEAR, year);
	put(MONTH, month);
	put(DAY, day);
	put(HOUR, hour);
	put(MIN, min);
	put(SEC, sec);
	put(CENTURY, century);
	put(B, b);
	put(A, a);
}

/* ---- */

static void
test_reads_the_host_time_in_bcd_and_24_hours(void **state)
{
	(void)state;
	assert_time(0x20, 0x24, 0x02, 0x29, 0x23, 0x58, 0x57);
	assert_int_equal(get(WDAY), 5);
	assert_int_equal(get(D), 0x80);
	sleep_ms(63000);
	assert_time(0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(WDAY), 6);
}

static void
test_binary_and_12_hour_modes(void **state)
{
	(void)state;
	put(B, BINARY | H24);
	assert_time(20, 24, 2, 29, 23, 58, 57);
	put(B, BINARY);
	assert_int_equal(get(HOUR), 0x80 | 11);
	put(B, 0);
	assert_int_equal(get(HOUR), 0x80 | 0x11);
	sleep_ms(63000);
	assert_int_equal(get(HOUR), 0x12); /* midnight is 12 am */
	sleep_ms(12 * 3600 * 1000);
	assert_int_equal(get(HOUR), 0x80 | 0x12); /* noon is 12 pm */
	/* and the same way in */
	set_all(0x20, 0x24, 0x03, 0x01, 0x12, 0x00, 0x00);
	put(B, H24);
	assert_int_equal(get(HOUR), 0x00);
	put(B, 0);
	set_all(0x20, 0x24, 0x03, 0x01, 0x80 | 0x12, 0x00, 0x00);
	put(B, H24);
	assert_int_equal(get(HOUR), 0x12);
}

static void
test_calendar_agrees_with_the_c_library(void **state)
{
	(void)state;
	put(B, BINARY | H24);
	/* From 1900 to 2155, every 40 days and a bit. */
	for (int64_t t = -2208988800; t < 5869584000; t += 40 * 86400 + 4999) {
		struct tm tm;
		time_t tt = (time_t)t;

		fx.fr.wall_ns = t * (int64_t)NSEC_PER_SEC;
		assert_non_null(gmtime_r(&tt, &tm));
		assert_int_equal(get(CENTURY) * 100 + get(YEAR), tm.tm_year + 1900);
		assert_int_equal(get(MONTH), tm.tm_mon + 1);
		assert_int_equal(get(DAY), tm.tm_mday);
		assert_int_equal(get(HOUR), tm.tm_hour);
		assert_int_equal(get(MIN), tm.tm_min);
		assert_int_equal(get(SEC), tm.tm_sec);
		assert_int_equal(get(WDAY), tm.tm_wday + 1);
	}
}

static void
test_setting_moves_the_guest_and_not_the_host(void **state)
{
	(void)state;
	int64_t host = fx.fr.wall_ns;

	set_all(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	assert_int_equal(fx.fr.wall_ns, host);
	assert_time(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	/* The next second comes half a second after. */
	sleep_ms(499);
	assert_int_equal(get(SEC), 0x59);
	sleep_ms(2);
	assert_time(0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(WDAY), 7);
}

static void
test_time_stands_still_while_set(void **state)
{
	(void)state;
	put(B, H24 | SET);
	sleep_ms(5000);
	assert_time(0x20, 0x24, 0x02, 0x29, 0x23, 0x58, 0x57);
	assert_int_equal(get(A) & 0x80, 0);
}

static void
test_a_single_register_can_be_written_while_running(void **state)
{
	(void)state;
	put(HOUR, 0x05);
	assert_time(0x20, 0x24, 0x02, 0x29, 0x05, 0x58, 0x57);
	sleep_ms(749);
	assert_int_equal(get(SEC), 0x57);
	sleep_ms(2);
	assert_int_equal(get(SEC), 0x58);
}

static void
test_nonsense_time_is_harmless(void **state)
{
	(void)state;
	set_all(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
	for (uint8_t i = 0; i < 10; i++)
		get(i);
	set_all(0, 0, 0, 0, 0, 0, 0);
	for (uint8_t i = 0; i < 10; i++)
		get(i);
	set_all(0x20, 0x23, 0x02, 0x30, 0, 0, 0);
	assert_time(0x20, 0x23, 0x03, 0x02, 0, 0, 0);
	/* January of year 0 belongs to the year before that starts in March. */
	set_all(0x00, 0x00, 0x01, 0x15, 0, 0, 0);
	assert_time(0x00, 0x00, 0x01, 0x15, 0, 0, 0);
}

static void
test_uip_only_just_before_an_update(void **state)
{
	(void)state;
	assert_int_equal(get(A), 0x26);
	fake_reactor_advance(&fx.fr, 749999999 - 244000);
	assert_int_equal(get(A), 0x26);
	fake_reactor_advance(&fx.fr, 1);
	assert_int_equal(get(A), 0xa6);
	assert_int_equal(get(SEC), 0x57);
	fake_reactor_advance(&fx.fr, 244000);
	assert_int_equal(get(A), 0x26);
	assert_int_equal(get(SEC), 0x58);
}

static void
test_idle_clock_needs_no_timer(void **state)
{
	(void)state;
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	put(SEC_ALARM, 0x00);
	put(MIN_ALARM, 0x59);
	put(HOUR_ALARM, 0x23);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
}

static void
test_update_interrupt_once_until_acknowledged(void **state)
{
	(void)state;
	get(C);
	put(B, H24 | UIE);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(749);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(2);
	assert_true(fx.fb.level[GSI]);
	/* Nobody looks: no more timers. */
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	sleep_ms(10000);
	assert_int_equal(get(C), IRQF | UF);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(get(C), 0);
	sleep_ms(1000);
	assert_true(fx.fb.level[GSI]);
	assert_int_equal(fx.fb.edges[GSI], 2);
	put(B, H24);
	assert_false(fx.fb.level[GSI]);
}

static void
test_flags_are_there_for_a_guest_that_polls(void **state)
{
	(void)state;
	put(SEC_ALARM, 0x59);
	put(MIN_ALARM, 0x58);
	put(HOUR_ALARM, 0x23);
	assert_int_equal(get(C), 0);
	sleep_ms(1000);
	assert_int_equal(get(C), UF);
	sleep_ms(1000);
	assert_int_equal(get(C), UF | AF);
	assert_int_equal(get(C), 0);
	assert_int_equal(fx.fb.edges[GSI], 0);
}

static void
alarm_at(uint8_t hour, uint8_t min, uint8_t sec)
{
	put(HOUR_ALARM, hour);
	put(MIN_ALARM, min);
	put(SEC_ALARM, sec);
	get(C);
	put(B, H24 | AIE);
}

static void
test_alarm_interrupt_on_the_second(void **state)
{
	(void)state;
	alarm_at(0x00, 0x01, 0x30); /* tomorrow, in 153 s */
	sleep_ms(152749);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(2);
	assert_true(fx.fb.level[GSI]);
	assert_int_equal(get(C), IRQF | AF | UF);
	assert_false(fx.fb.level[GSI]);
	/* and again a day later */
	sleep_ms(86399000);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(1000);
	assert_true(fx.fb.level[GSI]);
}

static void
test_alarm_with_dont_care_codes(void **state)
{
	(void)state;
	static const struct {
		uint8_t h, m, s;
		unsigned period_s, first_s;
	} row[] = {
		{ 0xff, 0xff, 0xff, 1, 1 },     { 0xc0, 0xff, 0x10, 60, 13 },
		{ 0xff, 0x00, 0x00, 3600, 63 }, { 0x23, 0xff, 0x00, 60, 3 },
		{ 0xff, 0x59, 0xff, 1, 3 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		fx.fr.wall_ns = leap_s * (int64_t)NSEC_PER_SEC;
		put(B, H24);
		alarm_at(row[i].h, row[i].m, row[i].s);
		sleep_ms(row[i].first_s * 1000 - 1);
		assert_false(fx.fb.level[GSI]);
		sleep_ms(1);
		assert_true(fx.fb.level[GSI]);
		get(C);
		assert_false(fx.fb.level[GSI]);
		if (i == 3)
			continue; /* once more, and it is 0 o'clock */
		sleep_ms(row[i].period_s * 1000 - 1);
		assert_false(fx.fb.level[GSI]);
		sleep_ms(1);
		assert_true(fx.fb.level[GSI]);
	}
}

static void
test_alarm_that_never_comes_sets_no_timer(void **state)
{
	(void)state;
	alarm_at(0x00, 0x00, 0x60);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	alarm_at(0x24, 0x00, 0x00);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	alarm_at(0x00, 0x9f, 0x00);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
}

static void
test_set_time_moves_the_alarm(void **state)
{
	(void)state;
	alarm_at(0x12, 0x00, 0x00);
	set_all(0x20, 0x24, 0x06, 0x01, 0x11, 0x59, 0x59);
	assert_int_equal(get(C) & AF, 0);
	sleep_ms(499);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(2);
	assert_true(fx.fb.level[GSI]);
}

static void
test_host_clock_set_back_raises_nothing(void **state)
{
	(void)state;
	alarm_at(0x23, 0x58, 0x58);
	fx.fr.wall_ns -= 3600 * (int64_t)NSEC_PER_SEC;
	sleep_ms(2000);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(3600 * 1000);
	assert_true(fx.fb.level[GSI]);
}

static void
test_set_clears_uie_and_pie_never_sticks(void **state)
{
	(void)state;
	put(B, H24 | PIE | UIE | 0x08);
	assert_int_equal(get(B), H24 | UIE);
	put(B, H24 | SET | UIE);
	assert_int_equal(get(B), H24 | SET);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
}

static void
test_memory_keeps_bytes_and_index_ignores_the_nmi_bit(void **state)
{
	(void)state;
	for (unsigned i = 0x0e; i < 0x80; i++)
		if (i != CENTURY)
			put((uint8_t)(i | 0x80), (uint8_t)(i * 3));
	for (unsigned i = 0x0e; i < 0x80; i++)
		if (i != CENTURY)
			assert_int_equal(get((uint8_t)i), (uint8_t)(i * 3));
	assert_int_equal(get(CENTURY), 0x20);
	put(C, 0xff);
	put(D, 0x00);
	assert_int_equal(get(D), 0x80);
	assert_int_equal(get(C) & 0x0f, 0);
	assert_int_equal(space_read(&fx.fb.space[SPACE_PIO], 0x70, 1), 0xff);
}

static void
test_word_write_is_index_then_data(void **state)
{
	(void)state;
	space_write(&fx.fb.space[SPACE_PIO], 0x70, 2, 0xa50e);
	assert_int_equal(get(0x0e), 0xa5);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reads_the_host_time_in_bcd_and_24_hours),
		T(test_binary_and_12_hour_modes),
		T(test_calendar_agrees_with_the_c_library),
		T(test_setting_moves_the_guest_and_not_the_host),
		T(test_time_stands_still_while_set),
		T(test_a_single_register_can_be_written_while_running),
		T(test_nonsense_time_is_harmless),
		T(test_uip_only_just_before_an_update),
		T(test_idle_clock_needs_no_timer),
		T(test_update_interrupt_once_until_acknowledged),
		T(test_flags_are_there_for_a_guest_that_polls),
		T(test_alarm_interrupt_on_the_second),
		T(test_alarm_with_dont_care_codes),
		T(test_alarm_that_never_comes_sets_no_timer),
		T(test_set_time_moves_the_alarm),
		T(test_host_clock_set_back_raises_nothing),
		T(test_set_clears_uie_and_pie_never_sticks),
		T(test_memory_keeps_bytes_and_index_ignores_the_nmi_bit),
		T(test_word_write_is_index_then_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
