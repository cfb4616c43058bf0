/* SPDX-License-Identifier: ISC */
/* Which configurations make vmm become vmm-full: the others must not pay for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "config.h"
#include "err.h"
#include "full.h"
#include "util.h"

static void
test_only_what_needs_it(void **state)
{
	static const struct {
		const char *text;
		const char *name; /* NULL: it is not needed */
	} row[] = {
		{ "", NULL },
		{ "[rng \"r\"]\n", NULL },
		{ "[net \"t\"]\nbackend = tap\ntap = t\n", NULL },
		{ "[net \"s\"]\nbackend = stream\npath = s\n", NULL },
		{ "[net \"u\"]\n", "u" },
		{ "[rng \"r\"]\n[net \"u\"]\nbackend = user\n", "u" },
		{ "[net \"t\"]\nbackend = tap\ntap = t\n[net \"u\"]\n[net \"v\"]\n",
		  "u" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		const struct config_named *named;
		struct err e = { 0 };
		struct config cfg;

		config_init(&cfg, CONFIG_ARCH_NATIVE, NULL);
		assert_int_equal(config_parse(&cfg, row[i].text, strlen(row[i].text),
					      "vm.ini", &e),
				 0);
		named = full_needed_by(&cfg);
		if (row[i].name)
			assert_string_equal(named->name, row[i].name);
		else
			assert_null(named);
		config_free(&cfg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_needs_it),
	};

	return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
