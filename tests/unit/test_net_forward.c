/* SPDX-License-Identifier: ISC */
/* The text of [net] forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net_user.h"
#include "util.h"

static const char *
text_of(const union net_addr *a, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->sa.sa_family == AF_INET6)
		snprintf(buf, len, "[%s]:%u",
			 inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip)),
			 ntohs(a->in6.sin6_port));
	else
		snprintf(buf, len, "%s:%u",
			 inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip)),
			 ntohs(a->in.sin_port));
	return buf;
}

static void
test_good_ones(void **state)
{
	static const struct {
		const char *list;
		bool udp;
		const char *host, *guest;
	} row[] = {
		{ "tcp:127.0.0.1:2222-:22", false, "127.0.0.1:2222", "0.0.0.0:22" },
		{ "tcp::2222-:22", false, "127.0.0.1:2222", "0.0.0.0:22" },
		{ "udp:0.0.0.0:1-10.0.2.9:65535", true, "0.0.0.0:1", "10.0.2.9:65535" },
		{ "tcp:[::1]:80-:8080", false, "[::1]:80", "[::]:8080" },
		{ "udp:[::]:80-[fec0::5]:80", true, "[::]:80", "[fec0::5]:80" },
		{ " \ttcp::1-:1 ", false, "127.0.0.1:1", "0.0.0.0:1" },
	};
	struct net_forward f[NET_FORWARD_MAX];
	char why[200], buf[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		assert_int_equal(net_forward_parse(row[i].list, f, why, sizeof(why)), 1);
		assert_int_equal(f[0].udp, row[i].udp);
		assert_string_equal(text_of(&f[0].host, buf, sizeof(buf)), row[i].host);
		assert_string_equal(text_of(&f[0].guest, buf, sizeof(buf)), row[i].guest);
	}
}

static void
test_bad_ones_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *list, *why;
	} row[] = {
		{ "", "bad forward ''; write tcp:ADDRESS:PORT-ADDRESS:PORT, or udp" },
		{ "tcp", "bad forward 'tcp'; write tcp:" },
		{ "sctp::1-:1", "bad forward 'sctp::1-:1'; write tcp:" },
		{ "TCP::1-:1", "write tcp:" },
		{ "tcp::1", "write tcp:" },
		{ "tcp:1-:1", "the host's side" },
		{ "tcp::-:1", "the host's side" },
		{ "tcp::0-:1", "the host's side" },
		{ "tcp::65536-:1", "the host's side" },
		{ "tcp::4294967297-:1", "the host's side" },
		{ "tcp::+1-:1", "the host's side" },
		{ "tcp:localhost:1-:1", "the host's side" },
		{ "tcp:1.2.3:1-:1", "the host's side" },
		{ "tcp:::1:1-:1", "the host's side" },
		{ "tcp:[1.2.3.4]:1-:1", "the host's side" },
		{ "tcp:[]:1-:1", "the host's side" },
		{ "tcp::1-1", "the guest's side" },
		{ "tcp::1-:", "the guest's side" },
		{ "tcp::1-:1x", "the guest's side" },
		{ "tcp::1-:1-:1", "the guest's side" },
		{ "tcp::1-[fec0::5]:1", "both sides" },
		{ "tcp:[::1]:1-10.0.2.15:1", "both sides" },
		{ "tcp::1-:1,", "bad forward ''" },
		{ "tcp::1-:1, udp:x", "bad forward 'udp:x'" },
		{ "tcp:111111111111111111111111111111111111111111111111111:1-:1",
		  "bad forward 'tcp:1111" },
	};
	struct net_forward f[NET_FORWARD_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		char why[200] = "";

		assert_int_equal(net_forward_parse(row[i].list, f, why, sizeof(why)),
				 -EINVAL);
		if (!strstr(why, row[i].why))
			fail_msg("'%s': %s", row[i].list, why);
	}
}

static void
test_a_list_has_them_in_order_and_is_bounded(void **state)
{
	struct net_forward f[NET_FORWARD_MAX];
	char list[1024] = "", why[200];

	(void)state;
	for (unsigned i = 1; i <= NET_FORWARD_MAX; i++) {
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "%stcp::%u-:22", i > 1 ? ", " : "", 1000 + i);
		assert_int_equal(net_forward_parse(list, f, why, sizeof(why)), i);
		assert_int_equal(ntohs(f[i - 1].host.in.sin_port), 1000 + i);
		assert_int_equal(ntohs(f[0].host.in.sin_port), 1001);
	}
	strcat(list, ",tcp::1-:1");
	assert_int_equal(net_forward_parse(list, f, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "more than 16 forwards");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_ones),
		cmocka_unit_test(test_bad_ones_are_refused_with_a_reason),
		cmocka_unit_test(test_a_list_has_them_in_order_and_is_bounded),
	};

	return cmocka_run_group_tests_name("net_forward", tests, NULL, NULL);
}
