/* SPDX-License-Identifier: ISC */
/*
 * User networking under a hostile guest: its frames go through the filter into the real
 * libslirp.  What is tested is the glue: that the queue and the table of sockets hold,
 * that nothing is left behind at the end, and that libslirp's assertions about what it is
 * told cannot fail.
 *
 * The process has a network of its own with nothing but a loopback, where a server
 * listens on port 7, so that no frame gets out.
 *
 *	steps: operation, argument, two bytes of length, so many bytes
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "fuzz.h"
#include "log.h"
#include "net.h"
#include "net_user.h"
#include "util.h"

#include "../unit/fake_guest.h"
#include "../unit/fake_reactor.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { STEP_LEN = 4, SERVER_PORT = 7, FORWARD_PORT = 8 };

static int server = -1; /* -1: no network of our own */

struct run {
	struct fake_reactor fr;
	struct net_back *back;
	int host; /* the host's end of a connection, or -1 */
	unsigned taken;
};

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct sockaddr_in in = loopback(SERVER_PORT);
	int fd;

	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 16))
		abort();
	server = fd;
	return 0;
}

static void
take_all(struct run *x)
{
	static uint8_t buf[NET_PACKET_MAX];
	struct iovec iov[2] = { { buf, 7 }, { buf + 7, sizeof(buf) - 7 } };
	ssize_t n;

	while ((n = x->back->ops->recv(x->back, 0, iov, 2)) > 0)
		x->taken++;
	if (n != -EAGAIN)
		abort();
}

static void
readable(void *dev, unsigned pair)
{
	(void)pair;
	take_all(dev);
}

static const struct net_front_ops front = { .readable = readable };

/* Checksums and lengths are right, so that the frame gets beyond the first test. */
static void
mend(uint8_t *b, size_t len)
{
	uint8_t *ip = b + ETH;
	size_t hlen = len > ETH + IP ? (ip[0] & 15) * 4u : 0;

	if (hlen < IP || get16(b + 12) != 0x0800 || len < ETH + hlen + UDP)
		return;
	uint8_t *p = ip + hlen;
	size_t n = len - ETH - hlen;
	size_t off = ip[9] == IPPROTO_UDP ? 6 : ip[9] == IPPROTO_TCP ? 16 : 2;

	put16(ip + 2, (unsigned)(len - ETH));
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum16(ip, hlen, 0)));
	if (n < off + 2)
		return;
	if (ip[9] == IPPROTO_UDP)
		put16(p + 4, (unsigned)n);
	put16(p + off, 0);
	uint32_t pseudo =
		ip[9] == IPPROTO_ICMP ? 0 : sum16(ip + 12, 8, ip[9] + (uint32_t)n);
	put16(p + off, fold(sum16(p, n, pseudo)));
}

static void
send_frame(struct run *x, bool right, const uint8_t *data, size_t len)
{
	static uint8_t buf[NET_PACKET_MAX];
	struct iovec iov[2] = { { buf, 20 }, { buf + 20, 0 } };

	len = len < 9000 ? len : 9000;
	memset(buf, 0, 20);
	memcpy(buf + NET_HDR_LEN, data, len);
	if (right)
		mend(buf + NET_HDR_LEN, len);
	if (len + NET_HDR_LEN < 20)
		iov[0].iov_len = len + NET_HDR_LEN;
	else
		iov[1].iov_len = len + NET_HDR_LEN - 20;
	if (x->back->ops->send(x->back, 0, iov, 2))
		abort();
}

/* The host's side: connects to the forward, or accepts, talks, hangs up. */
static void
host_step(struct run *x, uint8_t arg)
{
	struct sockaddr_in in = loopback(FORWARD_PORT);
	struct linger now = { .l_onoff = 1 };
	char buf[4096] = "x";

	if (server < 0)
		return;
	if (x->host < 0) {
		x->host = arg & 1 ? accept(server, NULL, NULL)
				  : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (x->host >= 0 && !(arg & 1))
			(void)!connect(x->host, (struct sockaddr *)&in, sizeof(in));
	} else if (arg & 1) {
		(void)!send(x->host, buf, arg * 16u, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (arg & 2) {
		(void)!recv(x->host, buf, sizeof(buf), MSG_DONTWAIT);
	} else {
		if (arg & 4)
			setsockopt(x->host, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(x->host);
		x->host = -1;
	}
}

static void
step(struct run *x, uint8_t op, uint8_t arg, const uint8_t *data, size_t len)
{
	switch (op % 8) {
	case 0:
		send_frame(x, false, data, len);
		break;
	case 1:
	case 2:
	case 3:
		send_frame(x, true, data, len);
		break;
	case 4:
		fake_reactor_advance(&x->fr, (uint64_t)arg * arg * 1000000);
		break;
	case 5:
		host_step(x, arg);
		break;
	case 6:
		x->back->ops->want(x->back, 0, arg & 1, false);
		break;
	default:
		take_all(x);
		break;
	}
	if (!(arg & 0x80)) {
		fake_reactor_io(&x->fr, 0);
		fake_reactor_deferred(&x->fr);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_forward forward[NET_FORWARD_MAX];
	char why[100];
	struct err e = { 0 };
	struct run x = { .host = -1, .fr = { .now_ns = NSEC_PER_SEC } };
	const struct net_user_config cfg = {
		.name = "net0",
		.restricted = server < 0,
		.host_loopback = true,
		.forward = forward,
		.nforward = server < 0 ? 0 : 1,
	};

	if (net_forward_parse("tcp::8-:9", forward, why, sizeof(why)) != 1 ||
	    net_user_new(fake_reactor(&x.fr), &cfg, &x.back, &e))
		abort();
	x.back->front = &front;
	x.back->dev = &x;
	while (size >= STEP_LEN) {
		size_t len = le16_get(data + 2);

		len = len < size - STEP_LEN ? len : size - STEP_LEN;
		step(&x, data[0], data[1], data + STEP_LEN, len);
		data += STEP_LEN + len;
		size -= STEP_LEN + len;
	}
	x.back->ops->free(x.back);
	if (fake_reactor_ntimers(&x.fr) || fake_reactor_deferred(&x.fr))
		abort();
	if (x.host >= 0)
		close(x.host);
	for (int fd; server >= 0 && (fd = accept(server, NULL, NULL)) >= 0;)
		close(fd);
	return 0;
}
