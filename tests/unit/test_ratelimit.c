/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ratelimit.h"
#include "util.h"

enum { T0 = 1000 };

static void
without_a_rate_there_is_no_limit(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 0, 100, T0);
	assert_int_equal(token_bucket_avail(&b, T0), UINT64_MAX);
	assert_true(token_bucket_take(&b, UINT64_MAX, T0));
	assert_int_equal(token_bucket_ready_ns(&b, UINT64_MAX, T0), T0);
}

static void
a_bucket_starts_full_and_empties(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 100, T0);
	assert_int_equal(token_bucket_avail(&b, T0), 100);
	assert_true(token_bucket_take(&b, 60, T0));
	assert_false(token_bucket_take(&b, 60, T0));
	assert_true(token_bucket_take(&b, 40, T0));
	assert_false(token_bucket_take(&b, 1, T0));
	assert_int_equal(token_bucket_avail(&b, T0), 0);
}

static void
the_time_it_names_is_exact(void **state)
{
	static const uint64_t rate[] = {
		1, 3, 7, 1000, 999983, 1000000007, 5000000000ull
	};
	struct token_bucket b;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rate); i++) {
		token_bucket_init(&b, rate[i], 10, T0);
		assert_true(token_bucket_take(&b, 10, T0));
		uint64_t at = token_bucket_ready_ns(&b, 4, T0);
		assert_true(at > T0);
		assert_false(token_bucket_take(&b, 4, at - 1));
		assert_int_equal(token_bucket_ready_ns(&b, 4, at - 1), at);
		assert_true(token_bucket_take(&b, 4, at));
	}
}

static void
looking_often_loses_and_gains_nothing(void **state)
{
	struct token_bucket b;
	uint64_t now = T0;

	(void)state;
	token_bucket_init(&b, 3, 1000, now);
	assert_true(token_bucket_take(&b, 1000, now));
	for (unsigned i = 0; i < 1000000; i++) {
		now += 9973;
		token_bucket_avail(&b, now);
	}
	assert_int_equal(token_bucket_avail(&b, now), (now - T0) * 3 / NSEC_PER_SEC);
}

static void
it_never_holds_more_than_the_burst(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1000, 50, T0);
	assert_true(token_bucket_take(&b, 50, T0));
	assert_int_equal(token_bucket_avail(&b, T0 + 3600 * NSEC_PER_SEC), 50);
	assert_int_equal(token_bucket_avail(&b, UINT64_MAX), 50);
}

static void
a_request_larger_than_the_burst_is_served_on_credit(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 100, 10, T0);
	assert_true(token_bucket_take(&b, 110, T0));
	assert_false(token_bucket_take(&b, 1, T0));
	/* 100 owed and 10 for a full bucket: 1.1 seconds */
	assert_int_equal(token_bucket_ready_ns(&b, 110, T0), T0 + 1100000000);
	assert_int_equal(token_bucket_avail(&b, T0 + NSEC_PER_SEC), 0);
	assert_int_equal(token_bucket_avail(&b, T0 + 1010000000), 1);
}

static void
a_clock_that_goes_back_does_no_harm(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1, 10, 100 * NSEC_PER_SEC);
	assert_true(token_bucket_take(&b, 10, 100 * NSEC_PER_SEC));
	assert_int_equal(token_bucket_avail(&b, 50 * NSEC_PER_SEC), 0);
	assert_int_equal(token_bucket_avail(&b, 52 * NSEC_PER_SEC), 2);
}

static void
huge_numbers_do_not_overflow(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, UINT64_MAX, UINT64_MAX, 0);
	for (unsigned i = 0; i < 100; i++)
		token_bucket_take(&b, UINT64_MAX, i);
	assert_true(token_bucket_ready_ns(&b, UINT64_MAX, 100) >= 100);
	assert_int_equal(token_bucket_avail(&b, UINT64_MAX), TOKEN_BUCKET_MAX);
}

static void
a_limit_takes_from_both_buckets_or_from_none(void **state)
{
	const struct rate_limit_config cfg = {
		.rate = 1000, .burst = 100, .rate_ops = 10, .burst_ops = 2
	};
	struct rate_limit rl;

	(void)state;
	rate_limit_init(&rl, &cfg, T0);
	assert_true(rate_limit_take(&rl, 90, 1, T0));
	/* Too many bytes: the operation is not paid for. */
	assert_false(rate_limit_take(&rl, 20, 1, T0));
	assert_int_equal(rate_limit_ready_ns(&rl, 20, 1, T0), T0 + 10000000);
	assert_true(rate_limit_take(&rl, 1, 1, T0));
	/* Too many operations: the bytes are not paid for. */
	assert_false(rate_limit_take(&rl, 1, 1, T0));
	assert_int_equal(rate_limit_ready_ns(&rl, 1, 1, T0), T0 + 100000000);
	assert_true(rate_limit_take(&rl, 9, 1, T0 + 100000000));
}

static void
a_limit_of_nothing_lets_everything_through(void **state)
{
	const struct rate_limit_config cfg = { 0 };
	struct rate_limit rl;

	(void)state;
	rate_limit_init(&rl, &cfg, T0);
	assert_true(rate_limit_take(&rl, UINT64_MAX, UINT64_MAX, T0));
	assert_int_equal(rate_limit_ready_ns(&rl, UINT64_MAX, UINT64_MAX, T0), T0);
}

static void
what_was_used_already_is_owed(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1000, 100, 0);
	token_bucket_charge(&b, 600, 0);
	assert_int_equal(token_bucket_avail(&b, 0), 0);
	assert_int_equal(token_bucket_ready_ns(&b, 1, 0), 501000000);
	/* However much that is, it does not overflow. */
	for (unsigned i = 0; i < 100; i++)
		token_bucket_charge(&b, UINT64_MAX, 0);
	assert_false(token_bucket_take(&b, 1, NSEC_PER_SEC));
	assert_true(token_bucket_ready_ns(&b, 1, 0) > NSEC_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_rate_there_is_no_limit),
		cmocka_unit_test(a_bucket_starts_full_and_empties),
		cmocka_unit_test(the_time_it_names_is_exact),
		cmocka_unit_test(looking_often_loses_and_gains_nothing),
		cmocka_unit_test(it_never_holds_more_than_the_burst),
		cmocka_unit_test(a_request_larger_than_the_burst_is_served_on_credit),
		cmocka_unit_test(a_clock_that_goes_back_does_no_harm),
		cmocka_unit_test(huge_numbers_do_not_overflow),
		cmocka_unit_test(a_limit_takes_from_both_buckets_or_from_none),
		cmocka_unit_test(a_limit_of_nothing_lets_everything_through),
		cmocka_unit_test(what_was_used_already_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
