/* SPDX-License-Identifier: ISC */
/* Time stamps and the text that means "ready". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "timing.h"

static bool
feed(struct timing_watch *w, const char *text)
{
	return timing_watch_feed(w, (const uint8_t *)text, strlen(text));
}

static void
test_the_text_is_found_across_pieces_and_only_once(void **state)
{
	struct timing_watch w;

	(void)state;
	timing_watch_init(&w, "login:");
	assert_false(feed(&w, "debian lo"));
	assert_false(feed(&w, "gin"));
	assert_true(feed(&w, ": "));
	assert_false(feed(&w, "login:"));
}

static void
test_a_text_that_overlaps_itself_is_found(void **state)
{
	struct timing_watch w;

	(void)state;
	timing_watch_init(&w, "aab");
	assert_true(feed(&w, "aaab"));
}

static void
test_no_text_is_never_found(void **state)
{
	struct timing_watch w;

	(void)state;
	timing_watch_init(&w, NULL);
	assert_false(feed(&w, "anything"));
}

static void
test_a_stage_keeps_its_first_time_and_missing_ones_are_null(void **state)
{
	static struct timing t;
	char name[] = "/tmp/vmm-timing-XXXXXX", text[1024] = "";
	int fd = mkstemp(name);
	uint64_t first;

	(void)state;
	assert_true(fd >= 0);
	timing_mark(&t, TIMING_MAIN);
	first = t.ns[TIMING_MAIN];
	timing_mark(&t, TIMING_MAIN);
	assert_int_equal(t.ns[TIMING_MAIN], first);
	timing_mark(&t, TIMING_EXIT);
	assert_int_equal(timing_write(&t, name), 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "\"main\": 0.0,"));
	assert_non_null(strstr(text, "\"guest_ready\": null,"));
	assert_null(strstr(text, "\"exit\": null"));
	assert_string_equal(text + strlen(text) - 2, "}\n");
	close(fd);
	unlink(name);
}

static void
test_the_start_is_carried_across_an_exec(void **state)
{
	static struct timing first, second, later;

	(void)state;
	atomic_store(&first.ns[TIMING_MAIN], 12345);
	timing_export(&first);
	timing_import(&second);
	timing_mark(&second, TIMING_MAIN);
	assert_int_equal(atomic_load(&second.ns[TIMING_MAIN]), 12345);
	/* Our own children do not hear of it. */
	assert_null(getenv("VMM_MAIN_NS"));
	timing_import(&later);
	assert_int_equal(atomic_load(&later.ns[TIMING_MAIN]), 0);
}

static void
test_a_start_in_the_future_is_no_start(void **state)
{
	static struct timing t;

	(void)state;
	setenv("VMM_MAIN_NS", "18446744073709551615", 1);
	timing_import(&t);
	assert_int_equal(atomic_load(&t.ns[TIMING_MAIN]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_text_is_found_across_pieces_and_only_once),
		cmocka_unit_test(test_a_text_that_overlaps_itself_is_found),
		cmocka_unit_test(test_no_text_is_never_found),
		cmocka_unit_test(
			test_a_stage_keeps_its_first_time_and_missing_ones_are_null),
		cmocka_unit_test(test_the_start_is_carried_across_an_exec),
		cmocka_unit_test(test_a_start_in_the_future_is_no_start),
	};

	return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
