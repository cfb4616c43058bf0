/* SPDX-License-Identifier: ISC */
/*
 * What of the guest's frames libslirp gets to see.  It is an old stack that was not
 * written against a hostile guest; what no honest guest needs is kept from it.
 */
#include <string.h>

#include "net_user_priv.h"

enum {
	ETH_LEN = 14,
	ETH_ARP = 0x0806,
	ETH_IP = 0x0800,
	ETH_IP6 = 0x86dd,
	IP_LEN = 20,
	IP_FRAGMENT = 0xbfff, /* anything but "do not" */
	IP6_LEN = 40,
	ICMP6_ECHO = 128,
	TCP_LEN = 20,
	TCP_FLAGS = 13, /* offset */
	TCP_URG = 0x20,
};

static unsigned
be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/*
 * Urgent data: libslirp up to 4.9.1 believes the guest's pointer to it and sends what
 * lies behind its buffer.  Nothing but telnet and rlogin has ever used it.
 */
static bool
tcp_pass(const uint8_t *p, size_t len)
{
	return len < TCP_LEN || !(p[TCP_FLAGS] & TCP_URG);
}

/*
 * libslirp connects to any address that the guest names.  In 127.0.0.0/8 and 0.0.0.0/8
 * that is the host itself.
 *
 * Pieces of datagrams: it keeps all that are not complete for half a minute, and 4.7.0
 * as Debian builds it follows a pointer of the guest's making when the last piece comes
 * first.  A guest that finds out the path's MTU, as all do for TCP, sends none.
 */
static bool
ip_pass(const uint8_t *p, size_t len)
{
	size_t header = (size_t)(p[0] & 15) * 4;

	if (p[16] == 127 || p[16] == 0 || (be16(p + 6) & IP_FRAGMENT))
		return false;
	return p[9] != IPPROTO_TCP || header >= len || tcp_pass(p + header, len - header);
}

/*
 * libslirp answers for the router and the DNS server, fec0:: or fe80::2 and 3, and
 * complains on our stderr of any other echo request.
 */
static bool
icmp6_pass(const uint8_t *dst, const uint8_t *p, size_t len)
{
	static const uint8_t zero[13];
	bool ours = dst[0] == 0xfe && (dst[1] == 0x80 || dst[1] == 0xc0) &&
		    memcmp(dst + 2, zero, sizeof(zero)) == 0 &&
		    (dst[15] == 2 || dst[15] == 3);

	return len == 0 || p[0] != ICMP6_ECHO || ours;
}

/* The host itself is in ::, ::1 and the IPv4 addresses in ::/96 and ::ffff:0:0/96. */
static bool
ip6_pass(const uint8_t *p, size_t len)
{
	static const uint8_t zero[10];
	const uint8_t *dst = p + 24;

	if (memcmp(dst, zero, sizeof(zero)) == 0)
		return false;
	if (p[6] == IPPROTO_ICMPV6)
		return icmp6_pass(dst, p + IP6_LEN, len - IP6_LEN);
	return p[6] != IPPROTO_TCP || tcp_pass(p + IP6_LEN, len - IP6_LEN);
}

bool
user_filter_pass(const uint8_t *frame, size_t len)
{
	if (len < ETH_LEN || len > USER_FRAME_MAX)
		return false;
	const uint8_t *p = frame + ETH_LEN;
	len -= ETH_LEN;
	switch (be16(frame + 12)) {
	case ETH_ARP:
		return true;
	case ETH_IP:
		return len >= IP_LEN && ip_pass(p, len);
	case ETH_IP6:
		return len >= IP6_LEN && ip6_pass(p, len);
	default:
		return false;
	}
}
