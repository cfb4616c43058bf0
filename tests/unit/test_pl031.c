/* SPDX-License-Identifier: ISC */
/* The PL031, as Linux' rtc-pl031 and a hostile guest use it. */
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

enum { BASE = 0x9010000, GSI = 2 };

enum {
	DR = 0,
	MR = 4,
	LR = 8,
	CR = 0xc,
	IMSC = 0x10,
	RIS = 0x14,
	MIS = 0x18,
	ICR = 0x1c
};

static const struct platform_row rows[] = {
	{ DEVICE_PL031, SPACE_MMIO, BASE, 0x1000, GSI, IRQ_LEVEL },
};

static struct {
	struct fake_bus fb;
	struct fake_reactor fr;
	struct pl031 *p;
} fx;

static const uint32_t now_s = 1800000000;

static int
setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fake_bus_init(&fx.fb, rows, ARRAY_SIZE(rows));
	fx.fr.now_ns = NSEC_PER_SEC;
	fx.fr.wall_ns = now_s * (int64_t)NSEC_PER_SEC + 250000000;
	return pl031_new(&fx.fb.bus, fake_reactor(&fx.fr), &fx.p);
}

static int
teardown(void **state)
{
	(void)state;
	pl031_free(fx.p);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	fake_bus_fini(&fx.fb);
	return 0;
}

static uint32_t
get(unsigned reg)
{
	return (uint32_t)space_read(&fx.fb.space[SPACE_MMIO], BASE + reg, 4);
}

static void
put(unsigned reg, uint32_t val)
{
	space_write(&fx.fb.space[SPACE_MMIO], BASE + reg, 4, val);
}

static void
sleep_ms(unsigned ms)
{
	fake_reactor_advance(&fx.fr, ms * 1000000ull);
}

static void
test_identifies_as_pl031(void **state)
{
	(void)state;
	uint32_t pid = 0, cid = 0;

	/* as amba_read_periphid() reads it */
	for (unsigned i = 0; i < 4; i++) {
		pid |= (get(0xfe0 + 4 * i) & 255) << (i * 8);
		cid |= (get(0xff0 + 4 * i) & 255) << (i * 8);
	}
	assert_int_equal(pid, 0x00041031);
	assert_int_equal(cid, 0xb105f00d);
}

static void
test_counts_seconds_from_the_host_time(void **state)
{
	(void)state;
	assert_int_equal(get(DR), now_s);
	assert_int_equal(get(CR), 1);
	sleep_ms(750);
	assert_int_equal(get(DR), now_s + 1);
	put(CR, 0);
	assert_int_equal(get(CR), 1);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
}

static void
test_load_moves_the_guest_and_not_the_host(void **state)
{
	(void)state;
	int64_t host = fx.fr.wall_ns;

	put(LR, 1000);
	assert_int_equal(fx.fr.wall_ns, host);
	assert_int_equal(get(DR), 1000);
	assert_int_equal(get(LR), 1000);
	sleep_ms(999);
	assert_int_equal(get(DR), 1000);
	sleep_ms(1);
	assert_int_equal(get(DR), 1001);
}

static void
test_counter_wraps(void **state)
{
	(void)state;
	put(LR, UINT32_MAX);
	put(MR, 0);
	put(IMSC, 1);
	sleep_ms(999);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(1);
	assert_int_equal(get(DR), 0);
	assert_true(fx.fb.level[GSI]);
}

static void
test_alarm_interrupts_on_the_second_and_is_acknowledged(void **state)
{
	(void)state;
	put(MR, now_s + 3);
	put(IMSC, 1);
	sleep_ms(2749);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(get(RIS), 0);
	sleep_ms(1);
	assert_true(fx.fb.level[GSI]);
	assert_int_equal(get(RIS), 1);
	assert_int_equal(get(MIS), 1);
	put(ICR, 0);
	assert_true(fx.fb.level[GSI]);
	/* In the same second: neither at once again, nor a timer that spins. */
	put(ICR, 1);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(5000);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(fx.fb.edges[GSI], 1);
}

static void
test_alarm_in_this_second_matches_at_once(void **state)
{
	(void)state;
	put(IMSC, 1);
	put(MR, now_s);
	assert_true(fx.fb.level[GSI]);
}

static void
test_past_alarm_does_not_match(void **state)
{
	(void)state;
	put(IMSC, 1);
	put(MR, now_s - 1);
	sleep_ms(10000);
	assert_false(fx.fb.level[GSI]);
}

static void
test_match_without_interrupt_is_seen_when_polled_and_needs_no_timer(void **state)
{
	(void)state;
	put(MR, now_s + 2);
	assert_int_equal(fake_reactor_ntimers(&fx.fr), 0);
	sleep_ms(10000);
	assert_int_equal(get(RIS), 1);
	assert_int_equal(get(MIS), 0);
	assert_false(fx.fb.level[GSI]);
	put(IMSC, 1);
	assert_true(fx.fb.level[GSI]);
	put(IMSC, 0);
	assert_false(fx.fb.level[GSI]);
	assert_int_equal(get(RIS), 1);
}

static void
test_host_clock_set_back_raises_nothing(void **state)
{
	(void)state;
	put(MR, now_s + 10);
	put(IMSC, 1);
	fx.fr.wall_ns -= 1000 * (int64_t)NSEC_PER_SEC;
	sleep_ms(10000);
	assert_false(fx.fb.level[GSI]);
	sleep_ms(1000 * 1000);
	assert_true(fx.fb.level[GSI]);
}

static void
test_odd_accesses_do_nothing(void **state)
{
	(void)state;
	const struct space *sp = &fx.fb.space[SPACE_MMIO];

	space_write(sp, BASE + LR, 1, 5);
	space_write(sp, BASE + LR + 1, 4, 5);
	assert_int_equal(get(DR), now_s);
	assert_int_equal(space_read(sp, BASE + DR + 1, 2), 0);
	assert_int_equal(space_read(sp, BASE + DR, 8), now_s);
	put(DR, 1);
	put(0x20, 1);
	put(0xfe0, 1);
	assert_int_equal(get(DR), now_s);
	assert_int_equal(get(0x20), 0);
	assert_int_equal(get(0xfe0), 0x31);
	assert_int_equal(get(ICR), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identifies_as_pl031),
		T(test_counts_seconds_from_the_host_time),
		T(test_load_moves_the_guest_and_not_the_host),
		T(test_counter_wraps),
		T(test_alarm_interrupts_on_the_second_and_is_acknowledged),
		T(test_alarm_in_this_second_matches_at_once),
		T(test_past_alarm_does_not_match),
		T(test_match_without_interrupt_is_seen_when_polled_and_needs_no_timer),
		T(test_host_clock_set_back_raises_nothing),
		T(test_odd_accesses_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
