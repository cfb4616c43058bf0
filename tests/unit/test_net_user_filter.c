/* SPDX-License-Identifier: ISC */
/* What of the guest's frames libslirp gets to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "../../src/full/net_user_priv.h"
#include "fake_guest.h"
#include "util.h"

static bool
passes(const struct frame *f)
{
	return user_filter_pass(f->b, f->len);
}

static void
tcp_frame(struct frame *f, uint32_t ip, unsigned flags)
{
	const struct tcp t = { .ip = ip, .port = 1, .peer_port = 2 };

	frame_tcp(f, &t, flags, "", 0);
}

static void
test_ordinary_frames_pass(void **state)
{
	struct frame f;

	(void)state;
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	assert_true(passes(&f));
	frame_dhcp_discover(&f);
	assert_true(passes(&f));
	tcp_frame(&f, 0x08080808, TCP_SYN);
	assert_true(passes(&f));
}

static void
test_only_arp_and_ip_pass(void **state)
{
	static const unsigned type[] = { 0, 0x0805, 0x0801, 0x8100, 0x88f8, 0xffff };
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(type); i++) {
		frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
		put16(f.b + 12, type[i]);
		assert_false(passes(&f));
	}
}

static void
test_frames_of_any_length_are_harmless(void **state)
{
	static const unsigned type[] = { 0x0806, 0x0800, 0x86dd };

	(void)state;
	for (size_t len = 0; len <= 1600; len++) {
		uint8_t *exact = malloc(len ? len : 1); /* ASan sees the end */

		memset(exact, 0x45, len);
		for (unsigned i = 0; i < ARRAY_SIZE(type) && len >= 14; i++) {
			put16(exact + 12, type[i]);
			bool pass = user_filter_pass(exact, len);
			if (len > 1514)
				assert_false(pass);
		}
		if (len < 14)
			assert_false(user_filter_pass(exact, len));
		free(exact);
	}
}

static void
test_names_of_the_host_s_loopback_do_not_pass(void **state)
{
	static const uint32_t ip[] = { 0,          1,          0x00ffffff,
				       0x7f000000, 0x7f000001, 0x7fffffff };
	static const uint32_t good[] = { 0x01000000, 0x7effffff, 0x80000000, 0xffffffff };
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ip); i++) {
		tcp_frame(&f, ip[i], TCP_SYN);
		assert_false(passes(&f));
		frame_udp(&f, GUEST_IP, 1, ip[i], 2, "x", 1);
		assert_false(passes(&f));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		tcp_frame(&f, good[i], TCP_SYN);
		assert_true(passes(&f));
	}
}

static void
test_nor_do_those_of_ipv6(void **state)
{
	static const struct {
		const char *dst;
		bool pass;
	} row[] = {
		{ "::", false },       { "::1", false },
		{ "::7f00:1", false }, { "::ffff:127.0.0.1", false },
		{ "fec0::2", true },   { "2001:db8::1", true },
		{ "ff02::1", true },
	};
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		frame_eth(&f, 0x86dd);
		f.b[ETH] = 0x60;
		f.b[ETH + 6] = IPPROTO_UDP;
		assert_int_equal(inet_pton(AF_INET6, row[i].dst, f.b + ETH + 24), 1);
		f.len = ETH + 40 + UDP;
		assert_int_equal(passes(&f), row[i].pass);
	}
}

/* libslirp sends what lies behind its buffer, as much as the guest asks for. */
static void
test_urgent_data_does_not_pass(void **state)
{
	struct frame f, six;

	(void)state;
	tcp_frame(&f, ROUTER_IP, TCP_ACK | TCP_URG);
	assert_false(passes(&f));
	/* Behind options of the IP header, too. */
	tcp_frame(&f, ROUTER_IP, TCP_ACK | TCP_URG);
	memmove(f.b + ETH + 60, f.b + ETH + IP, TCP);
	memset(f.b + ETH + IP, 1, 40);
	f.b[ETH] = 0x4f;
	f.len += 40;
	assert_false(passes(&f));
	f.b[ETH + 60 + 13] = TCP_ACK;
	assert_true(passes(&f));

	frame_eth(&six, 0x86dd);
	six.b[ETH + 6] = IPPROTO_TCP;
	six.b[ETH + 24] = 0xfe;
	six.len = ETH + 40 + TCP;
	assert_true(passes(&six));
	six.b[ETH + 40 + 13] = TCP_URG;
	assert_false(passes(&six));
}

/* libslirp writes a line to stderr for each of the others. */
static void
test_only_the_router_is_asked_for_an_echo(void **state)
{
	static const struct {
		const char *dst;
		unsigned type;
		bool pass;
	} row[] = {
		{ "fec0::2", 128, true },        { "fec0::3", 128, true },
		{ "fe80::2", 128, true },        { "fec0::4", 128, false },
		{ "fec0:0:0:1::2", 128, false }, { "2001:db8::2", 128, false },
		{ "ff02::1", 128, false },       { "2001:db8::2", 135, true },
	};
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		frame_eth(&f, 0x86dd);
		f.b[ETH + 6] = IPPROTO_ICMPV6;
		inet_pton(AF_INET6, row[i].dst, f.b + ETH + 24);
		f.b[ETH + 40] = (uint8_t)row[i].type;
		f.len = ETH + 40 + 8;
		assert_int_equal(passes(&f), row[i].pass);
	}
}

/* libslirp 4.7.0 of Debian follows the second one's payload as a pointer. */
static void
test_pieces_of_datagrams_do_not_pass(void **state)
{
	static const unsigned off[] = { 0x2000, 0x0003, 0x1fff, 0x8000, 0x3fff };
	struct frame f;

	(void)state;
	frame_udp(&f, GUEST_IP, 1, ROUTER_IP, 2, "yyyyyyyy", 8);
	for (unsigned i = 0; i < ARRAY_SIZE(off); i++) {
		put16(f.b + ETH + 6, off[i]);
		assert_false(passes(&f));
	}
	put16(f.b + ETH + 6, 0x4000); /* do not fragment */
	assert_true(passes(&f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary_frames_pass),
		cmocka_unit_test(test_only_arp_and_ip_pass),
		cmocka_unit_test(test_frames_of_any_length_are_harmless),
		cmocka_unit_test(test_names_of_the_host_s_loopback_do_not_pass),
		cmocka_unit_test(test_nor_do_those_of_ipv6),
		cmocka_unit_test(test_urgent_data_does_not_pass),
		cmocka_unit_test(test_only_the_router_is_asked_for_an_echo),
		cmocka_unit_test(test_pieces_of_datagrams_do_not_pass),
	};

	return cmocka_run_group_tests_name("net_user_filter", tests, NULL, NULL);
}
