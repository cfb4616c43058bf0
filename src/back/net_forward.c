/* SPDX-License-Identifier: ISC */
/* The text of [net] forward into addresses. See net_user.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "net_user.h"

/* A part of the text that is being cut into pieces. */
struct piece {
	const char *s;
	size_t len;
};

static struct piece
trim(struct piece p)
{
	while (p.len > 0 && (*p.s == ' ' || *p.s == '\t')) {
		p.s++;
		p.len--;
	}
	while (p.len > 0 && (p.s[p.len - 1] == ' ' || p.s[p.len - 1] == '\t'))
		p.len--;
	return p;
}

/* Cuts off what is before the first c; false: there is none. */
static bool
cut(struct piece *rest, char c, struct piece *ret)
{
	const char *at = memchr(rest->s, c, rest->len);

	if (!at)
		return false;
	ret->s = rest->s;
	ret->len = (size_t)(at - rest->s);
	rest->len -= ret->len + 1;
	rest->s = at + 1;
	return true;
}

static bool
parse_port(struct piece p, in_port_t *ret)
{
	unsigned port = 0;

	for (size_t i = 0; i < p.len; i++) {
		if (p.s[i] < '0' || p.s[i] > '9' || port > 6553)
			return false;
		port = port * 10 + (unsigned)(p.s[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return false;
	*ret = htons((uint16_t)port);
	return true;
}

/* An address in brackets is one of IPv6; none is 0. */
static bool
parse_addr(struct piece p, union net_addr *ret)
{
	char text[INET6_ADDRSTRLEN] = "";

	*ret = (union net_addr){ .in = { .sin_family = AF_INET } };
	if (p.len == 0)
		return true;
	bool v6 = p.len > 2 && p.s[0] == '[' && p.s[p.len - 1] == ']';
	if (v6) {
		p.s++;
		p.len -= 2;
	}
	if (p.len >= sizeof(text))
		return false;
	memcpy(text, p.s, p.len);
	if (!v6)
		return inet_pton(AF_INET, text, &ret->in.sin_addr) == 1;
	*ret = (union net_addr){ .in6 = { .sin6_family = AF_INET6 } };
	return inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1;
}

/* ADDRESS:PORT; the last colon is the one. */
static bool
parse_side(struct piece p, union net_addr *ret)
{
	const char *colon = memrchr(p.s, ':', p.len);
	in_port_t port;

	if (!colon)
		return false;
	struct piece addr = { p.s, (size_t)(colon - p.s) };
	struct piece digits = { colon + 1, p.len - addr.len - 1 };

	if (!parse_addr(addr, ret) || !parse_port(digits, &port))
		return false;
	if (ret->sa.sa_family == AF_INET6)
		ret->in6.sin6_port = port;
	else
		ret->in.sin_port = port;
	return true;
}

static bool
is_any(const union net_addr *a)
{
	return a->sa.sa_family == AF_INET && a->in.sin_addr.s_addr == 0;
}

/* What has been left out; false: the families differ. */
static bool
complete(struct net_forward *f, bool host_left_out)
{
	if (host_left_out)
		f->host.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (f->host.sa.sa_family == AF_INET6 && is_any(&f->guest)) {
		in_port_t port = f->guest.in.sin_port;

		f->guest = (union net_addr){
			.in6 = { .sin6_family = AF_INET6, .sin6_port = port },
		};
	}
	return f->host.sa.sa_family == f->guest.sa.sa_family;
}

static bool
parse_one(struct piece p, struct net_forward *ret, const char **what)
{
	struct net_forward f = { 0 };
	struct piece proto, host;

	*what = "write tcp:ADDRESS:PORT-ADDRESS:PORT, or udp";
	if (!cut(&p, ':', &proto) || !cut(&p, '-', &host))
		return false;
	f.udp = proto.len == 3 && memcmp(proto.s, "udp", 3) == 0;
	if (!f.udp && (proto.len != 3 || memcmp(proto.s, "tcp", 3) != 0))
		return false;
	*what = "the host's side is a numeric address, or nothing, and a port";
	if (!parse_side(host, &f.host))
		return false;
	*what = "the guest's side is a numeric address, or nothing, and a port";
	if (!parse_side(p, &f.guest))
		return false;
	*what = "both sides have to be IPv4, or both IPv6";
	if (!complete(&f, host.len > 0 && host.s[0] == ':'))
		return false;
	*ret = f;
	return true;
}

int
net_forward_parse(const char *list, struct net_forward ret[NET_FORWARD_MAX], char *why,
		  size_t len)
{
	struct piece rest = { list, strlen(list) }, one;
	const char *what = NULL;
	bool more = true;
	int n = 0;

	while (more) {
		more = cut(&rest, ',', &one);
		if (!more)
			one = rest;
		one = trim(one);
		if (n == NET_FORWARD_MAX) {
			snprintf(why, len, "more than %d forwards", NET_FORWARD_MAX);
			return -EINVAL;
		}
		if (!parse_one(one, &ret[n], &what)) {
			snprintf(why, len, "bad forward '%.*s'; %s",
				 (int)(one.len > 64 ? 64 : one.len), one.s, what);
			return -EINVAL;
		}
		n++;
	}
	return n;
}
