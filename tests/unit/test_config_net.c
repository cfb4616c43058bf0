/* SPDX-License-Identifier: ISC */
/* [net "name"]: addresses, and keys that go together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "err.h"
#include "util.h"

#define HEAD "[vm]\nname = a\n[boot]\nkernel = x\n[net \"n\"]\n"

static int
check(struct config *cfg, const char *text, struct err *err)
{
	int rc;

	memset(err, 0, sizeof(*err));
	config_init(cfg, CONFIG_ARCH_X86_64, NULL);
	rc = config_parse(cfg, text, strlen(text), "vm.ini", err);
	return rc ? rc : config_check(cfg, err);
}

static void
every_bad_section_gets_its_one_line(void **state)
{
	static const struct {
		const char *text, *line;
	} bad[] = {
		{ HEAD "mac = 02:00\n",
		  "vm.ini:6: bad address '02:00'; write six bytes such as "
		  "02:00:00:00:00:01, the first one even" },
		{ HEAD "mac = 01:00:5e:00:00:01\n",
		  "vm.ini:6: bad address '01:00:5e:00:00:01'; write six bytes such as "
		  "02:00:00:00:00:01, the first one even" },
		{ HEAD "mac = 02:00:00:00:0g:01\n",
		  "vm.ini:6: bad address '02:00:00:00:0g:01'; write six bytes such as "
		  "02:00:00:00:00:01, the first one even" },
		{ HEAD "mac = 02-00-00-00-00-01\n",
		  "vm.ini:6: bad address '02-00-00-00-00-01'; write six bytes such as "
		  "02:00:00:00:00:01, the first one even" },
		{ HEAD "mtu = 67\n",
		  "vm.ini:6: 67 is out of range; valid is 0 or 68 to 65535" },
		{ HEAD "backend = tap\n", "vm.ini:6: [net \"n\"] needs either 'tap = "
					  "NAME' or 'tap-fd = NUMBER'" },
		{ HEAD "backend = tap\ntap = t\ntap-fd = 3\n",
		  "vm.ini:6: [net \"n\"] needs either 'tap = NAME' or 'tap-fd = "
		  "NUMBER'" },
		{ HEAD "backend = tap\ntap-fd = 3\nqueues = 2\n",
		  "vm.ini:8: a descriptor is one queue, not 2; use 'tap = NAME'" },
		{ HEAD "tap = t\n",
		  "vm.ini:6: [net \"n\"] has a tap; add 'backend = tap'" },
		{ HEAD "tap-fd = 3\n",
		  "vm.ini:6: [net \"n\"] has a tap; add 'backend = tap'" },
		{ HEAD "mtu = 1501\n",
		  "vm.ini:6: user networking has packets of up to 1500 bytes, not 1501" },
		{ HEAD "restrict = no\nforward = tcp:22\n",
		  "vm.ini:7: bad forward 'tcp:22'; write tcp:ADDRESS:PORT-ADDRESS:PORT, "
		  "or udp" },
		{ HEAD "forward = tcp::1-:1\nbackend = tap\ntap = t\n",
		  "vm.ini:6: [net \"n\"] has a forward; only 'backend = user' does "
		  "that" },
		{ HEAD "backend = stream\n",
		  "vm.ini:6: [net \"n\"] needs 'path = SOCKET'" },
		{ HEAD "path = s\n",
		  "vm.ini:6: [net \"n\"] has a socket; add 'backend = stream'" },
		{ HEAD "vhost = yes\n",
		  "vm.ini:6: [net \"n\"] has vhost; add 'backend = tap'" },
		{ HEAD "backend = tap\ntap = t\nvhost = yes\nrate = 1M\n",
		  "vm.ini:9: [net \"n\"] has vhost, which knows no limit; remove one of "
		  "them" },
		{ HEAD "rate-ops = 9\nbackend = tap\ntap = t\nvhost = yes\n",
		  "vm.ini:6: [net \"n\"] has vhost, which knows no limit; remove one of "
		  "them" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct config cfg;
		struct err err;

		assert_int_equal(check(&cfg, bad[i].text, &err), -EINVAL);
		assert_string_equal(err.text, bad[i].line);
		config_free(&cfg);
	}
}

static void
mac_of(const char *text, unsigned section, uint8_t ret[6])
{
	struct config cfg;
	struct err err;

	if (check(&cfg, text, &err))
		fail_msg("%s", err.text);
	config_net_mac(&cfg, &cfg.named[section], ret);
	config_free(&cfg);
}

static void
an_address_is_taken_as_it_is_written(void **state)
{
	static const uint8_t want[6] = { 0x52, 0x54, 0x00, 0xAb, 0xcD, 0xef };
	uint8_t got[6];

	(void)state;
	mac_of(HEAD "mac = 52:54:00:Ab:cD:ef\n", 0, got);
	assert_memory_equal(got, want, 6);
}

static void
an_address_that_is_made_is_local_stable_and_of_both_names(void **state)
{
	uint8_t a[6], again[6], other_vm[6], other_net[6];
	static const char two[] = HEAD "[net \"m\"]\n";

	(void)state;
	mac_of(two, 0, a);
	mac_of(HEAD, 0, again);
	mac_of(two, 1, other_net);
	mac_of("[vm]\nname = b\n[boot]\nkernel = x\n[net \"n\"]\n", 0, other_vm);
	assert_int_equal(a[0] & 3, 2);
	assert_memory_equal(a, again, 6);
	assert_memory_not_equal(a, other_vm, 6);
	assert_memory_not_equal(a, other_net, 6);
}

/* "ab" with "c" is another machine than "a" with "bc". */
static void
names_are_kept_apart_in_the_address(void **state)
{
	uint8_t a[6], b[6];

	(void)state;
	mac_of("[vm]\nname = ab\n[boot]\nkernel = x\n[net \"c\"]\n", 0, a);
	mac_of("[vm]\nname = a\n[boot]\nkernel = x\n[net \"bc\"]\n", 0, b);
	assert_memory_not_equal(a, b, 6);
}

static void
good_sections_pass(void **state)
{
	static const char *const good[] = {
		HEAD,
		HEAD "backend = tap\ntap = tap0\nqueues = 4\nmtu = 9000\n",
		HEAD "backend = tap\ntap-fd = 3\nmtu = 68\n",
		HEAD "backend = tap\ntap = t\nvhost = yes\nqueues = 2\n",
		HEAD "vhost = no\nrate = 1M\n",
		HEAD "transport = mmio\nrate = 1M\nburst = 64K\nrate-ops = 1000\n"
		     "burst-ops = 10\nrate-shared = yes\n",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct config cfg;
		struct err err;

		if (check(&cfg, good[i], &err))
			fail_msg("%s", err.text);
		config_free(&cfg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_section_gets_its_one_line),
		cmocka_unit_test(an_address_is_taken_as_it_is_written),
		cmocka_unit_test(
			an_address_that_is_made_is_local_stable_and_of_both_names),
		cmocka_unit_test(names_are_kept_apart_in_the_address),
		cmocka_unit_test(good_sections_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
