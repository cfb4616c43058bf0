/* SPDX-License-Identifier: ISC */
/*
 * The guest's end of a network link, by hand: frames with right checksums, one TCP
 * connection, and a front that keeps what it is given.
 */
#ifndef VMM_FAKE_GUEST_H
#define VMM_FAKE_GUEST_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "net.h"

enum { ETH = 14, IP = 20, TCP = 20, UDP = 8, FRAME_MAX = 2048 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

#define GUEST_IP 0x0a00020fu
#define ROUTER_IP 0x0a000202u
#define LOOPBACK_IP 0x7f000001u

struct frame {
	uint8_t hdr[NET_HDR_LEN];
	uint8_t b[FRAME_MAX];
	size_t len;
};

static inline void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline uint32_t
sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static inline unsigned
fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static inline void
frame_eth(struct frame *f, unsigned type)
{
	memset(f, 0, sizeof(*f));
	memset(f->b, 0xff, 6);
	memcpy(f->b + 6, guest_mac, 6);
	put16(f->b + 12, type);
}

/* The IP header around a payload that is in place already; its checksum, too, at off. */
static inline void
frame_ip(struct frame *f, uint32_t src, uint32_t dst, uint8_t proto, size_t len,
	 size_t check_off)
{
	uint8_t *ip = f->b + ETH, *p = ip + IP;

	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP + len));
	put16(ip + 4, 1);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dst);
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum16(ip, IP, 0)));
	put16(p + check_off, 0);
	put16(p + check_off,
	      fold(sum16(p, len, sum16(ip + 12, 8, proto + (uint32_t)len))));
	f->len = ETH + IP + len;
}

static inline void
frame_udp(struct frame *f, uint32_t src, unsigned sport, uint32_t dst, unsigned dport,
	  const void *data, size_t len)
{
	uint8_t *p = f->b + ETH + IP;

	frame_eth(f, 0x0800);
	put16(p, sport);
	put16(p + 2, dport);
	put16(p + 4, (unsigned)(UDP + len));
	memcpy(p + UDP, data, len);
	frame_ip(f, src, dst, IPPROTO_UDP, UDP + len, 6);
}

struct tcp {
	uint32_t ip; /* of the peer */
	uint16_t port, peer_port;
	uint32_t seq, ack;
};

static inline void
frame_tcp(struct frame *f, const struct tcp *t, unsigned flags, const void *data,
	  size_t len)
{
	uint8_t *p = f->b + ETH + IP;

	frame_eth(f, 0x0800);
	put16(p, t->port);
	put16(p + 2, t->peer_port);
	put32(p + 4, t->seq);
	put32(p + 8, t->ack);
	p[12] = TCP / 4 << 4;
	p[13] = (uint8_t)flags;
	put16(p + 14, 0xffff);
	memcpy(p + TCP, data, len);
	frame_ip(f, GUEST_IP, t->ip, IPPROTO_TCP, TCP + len, 16);
}

static inline void
frame_dhcp_discover(struct frame *f)
{
	uint8_t d[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };

	memcpy(d + 28, guest_mac, 6);
	put32(d + 236, 0x63825363); /* magic */
	memcpy(d + 240, "\x35\x01\x01\xff", 4);
	frame_udp(f, 0, 68, 0xffffffff, 67, d, sizeof(d));
}

static inline void
frame_arp(struct frame *f, unsigned op, uint32_t src, uint32_t dst)
{
	uint8_t *p = f->b + ETH;

	frame_eth(f, 0x0806);
	put16(p, 1);
	put16(p + 2, 0x0800);
	p[4] = 6;
	p[5] = 4;
	put16(p + 6, op);
	memcpy(p + 8, guest_mac, 6);
	put32(p + 14, src);
	put32(p + 24, dst);
	f->len = ETH + 28;
}

static inline bool
is_tcp(const struct frame *f)
{
	return f->len >= ETH + IP + TCP && get16(f->b + 12) == 0x0800 &&
	       f->b[ETH + 9] == IPPROTO_TCP;
}

#endif
