/* SPDX-License-Identifier: ISC */
/* The real libslirp in the real reactor, with a guest made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "fake_guest.h"
#include "log.h"
#include "net_user.h"
#include "reactor.h"
#include "util.h"

enum { PASSES = 400, PORT = 20022 };

struct fix {
	struct reactor *r;
	struct net_back *back;
	struct reactor_timer tick;
	bool ticked;
	unsigned readable;
	struct frame got; /* the last of recv() */
	struct net_forward forward[NET_FORWARD_MAX];
	int fds; /* before */
};

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void
on_readable(void *dev, unsigned pair)
{
	struct fix *x = dev;

	assert_int_equal(pair, 0);
	x->readable++;
	x->back->ops->want(x->back, 0, false, false);
}

static void
on_tick(struct reactor_timer *t)
{
	container_of(t, struct fix, tick)->ticked = true;
}

static const struct net_front_ops front = { .readable = on_readable };

static void
make(struct fix *x, struct net_user_config *cfg, const char *forward)
{
	struct err e = { 0 };
	char why[200];

	cfg->name = "net0";
	if (forward) {
		int n = net_forward_parse(forward, x->forward, why, sizeof(why));

		assert_true(n > 0);
		cfg->forward = x->forward;
		cfg->nforward = (unsigned)n;
	}
	assert_int_equal(net_user_new(x->r, cfg, &x->back, &e), 0);
	x->back->front = &front;
	x->back->dev = x;
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	x->fds = count_fds();
	x->tick.cb = on_tick;
	assert_int_equal(reactor_new(&x->r), 0);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->back)
		x->back->ops->free(x->back);
	reactor_timer_cancel(x->r, &x->tick);
	reactor_free(x->r);
	assert_int_equal(count_fds(), x->fds);
	free(x);
	return 0;
}

/* Lets the loop run for a moment. */
static void
pass(struct fix *x)
{
	reactor_timer_set(x->r, &x->tick, reactor_now_ns(x->r) + 5000000);
	reactor_run_once(x->r, true);
}

static void
put(struct fix *x, const struct frame *f)
{
	struct iovec iov = { (void *)(uintptr_t)f->hdr, NET_HDR_LEN + f->len };

	assert_int_equal(x->back->ops->send(x->back, 0, &iov, 1), 0);
}

static bool
take(struct fix *x)
{
	struct iovec iov[2] = { { x->got.hdr, NET_HDR_LEN }, { x->got.b, FRAME_MAX } };
	ssize_t n = x->back->ops->recv(x->back, 0, iov, 2);

	if (n < 0) {
		assert_int_equal(n, -EAGAIN);
		return false;
	}
	x->got.len = (size_t)n - NET_HDR_LEN;
	return true;
}

/* The guest's address is known to the router, as after ARP. */
static void
introduce(struct fix *x)
{
	struct frame f;

	frame_arp(&f, 2, GUEST_IP, ROUTER_IP);
	put(x, &f);
}

/* The next TCP segment that comes; answers ARP on the way. False: none comes. */
static bool
take_tcp(struct fix *x, unsigned passes)
{
	for (unsigned i = 0; i < passes; i++) {
		while (take(x)) {
			if (is_tcp(&x->got))
				return true;
			if (get16(x->got.b + 12) == 0x0806)
				introduce(x);
		}
		pass(x);
	}
	return false;
}

static const uint8_t *
tcp_of(const struct frame *f)
{
	return f->b + ETH + IP;
}

/* Waits for a segment with these flags and follows it. */
static void
expect(struct fix *x, struct tcp *t, unsigned flags)
{
	do
		assert_true(take_tcp(x, PASSES));
	while ((tcp_of(&x->got)[13] & flags) != flags);
	t->ack = get32(tcp_of(&x->got) + 4) + 1;
}

static void
say(struct fix *x, struct tcp *t, unsigned flags, const char *text)
{
	struct frame f;

	frame_tcp(&f, t, flags, text, strlen(text));
	put(x, &f);
	t->seq += (uint32_t)strlen(text) + ((flags & (TCP_SYN | TCP_FIN)) != 0);
}

/* A server on the host's loopback. */
static int
server(uint16_t *port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static int
client(uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static bool
wait_readable(struct fix *x, int fd)
{
	for (unsigned i = 0; i < PASSES && !is_readable(fd, 0); i++)
		pass(x);
	return is_readable(fd, 0);
}

/* ---- tests ---- */

static void
a_guest_is_offered_an_address(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct frame f;

	make(x, &cfg, NULL);
	frame_dhcp_discover(&f);
	put(x, &f);
	memset(&x->got, 0xee, sizeof(x->got));
	while (take(x) && x->got.b[ETH + 9] != IPPROTO_UDP)
		;
	assert_int_equal(get16(tcp_of(&x->got) + 2), 68);
	assert_int_equal(get32(tcp_of(&x->got) + UDP + 16), GUEST_IP);
	for (unsigned i = 0; i < NET_HDR_LEN; i++)
		assert_int_equal(x->got.hdr[i], 0);
}

static void
the_front_hears_of_packets_only_while_it_wants_to(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct frame f;

	make(x, &cfg, NULL);
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	put(x, &f);
	pass(x);
	assert_int_equal(x->readable, 0);
	x->back->ops->want(x->back, 0, true, false);
	assert_int_equal(x->readable, 0);
	pass(x);
	assert_int_equal(x->readable, 1);
	pass(x);
	assert_int_equal(x->readable, 1);
	while (take(x))
		;
	x->back->ops->want(x->back, 0, true, false);
	pass(x);
	assert_int_equal(x->readable, 1);
	put(x, &f);
	pass(x);
	assert_int_equal(x->readable, 2);
}

static void
a_connection_to_a_forward_reaches_the_guest_and_back(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct tcp t = { .seq = 5000 };
	char buf[16] = "";

	make(x, &cfg, "tcp::20022-:22");
	int fd = client(PORT);
	expect(x, &t, TCP_SYN);
	assert_int_equal(get32(x->got.b + ETH + 16), GUEST_IP);
	assert_int_equal(get16(tcp_of(&x->got) + 2), 22);
	t.ip = get32(x->got.b + ETH + 12);
	t.peer_port = (uint16_t)get16(tcp_of(&x->got));
	t.port = 22;
	say(x, &t, TCP_SYN | TCP_ACK, "");
	say(x, &t, TCP_ACK, "");
	say(x, &t, TCP_ACK | TCP_PSH, "SSH-2.0");
	assert_true(wait_readable(x, fd));
	assert_int_equal(read(fd, buf, sizeof(buf)), 7);
	assert_string_equal(buf, "SSH-2.0");
	assert_int_equal(write(fd, "hello", 5), 5);
	do
		assert_true(take_tcp(x, PASSES));
	while (x->got.len != ETH + IP + TCP + 5);
	assert_memory_equal(tcp_of(&x->got) + TCP, "hello", 5);
	close(fd);
}

static void
dial(struct fix *x, struct tcp *t, uint32_t ip, uint16_t port)
{
	*t = (struct tcp){ .ip = ip, .port = 4000, .peer_port = port, .seq = 77 };
	introduce(x);
	say(x, t, TCP_SYN, "");
}

static void
the_guest_reaches_a_server_of_the_host(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .host_loopback = true };
	char buf[16] = "";
	struct tcp t;
	uint16_t port;

	make(x, &cfg, NULL);
	int fd = server(&port);
	dial(x, &t, ROUTER_IP, port);
	expect(x, &t, TCP_SYN | TCP_ACK);
	say(x, &t, TCP_ACK, "");
	int conn = accept(fd, NULL, NULL);
	assert_true(conn >= 0);
	say(x, &t, TCP_ACK | TCP_PSH, "GET /");
	assert_true(wait_readable(x, conn));
	assert_int_equal(read(conn, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "GET /");
	close(conn);
	expect(x, &t, TCP_FIN);
	close(fd);
}

static void
a_refused_connection_is_reset(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .host_loopback = true };
	struct tcp t;
	uint16_t port;

	make(x, &cfg, NULL);
	close(server(&port));
	dial(x, &t, ROUTER_IP, port);
	expect(x, &t, TCP_RST);
}

static void
loopback_of_the_host_is_out_of_reach(void **state)
{
	static const uint32_t ip[] = { ROUTER_IP, LOOPBACK_IP, 0x7f010203, 0,
				       0x00000001 };
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct tcp t;
	uint16_t port;

	make(x, &cfg, NULL);
	int fd = server(&port);
	for (unsigned i = 0; i < ARRAY_SIZE(ip); i++) {
		dial(x, &t, ip[i], port);
		while (take_tcp(x, 3))
			assert_false(tcp_of(&x->got)[13] & TCP_SYN);
	}
	assert_false(is_readable(fd, 50));
	close(fd);
}

static void
by_no_name_but_the_router_s(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .host_loopback = true };
	struct tcp t;
	uint16_t port;

	make(x, &cfg, NULL);
	int fd = server(&port);
	dial(x, &t, LOOPBACK_IP, port);
	assert_false(take_tcp(x, 5));
	assert_false(is_readable(fd, 50));
	close(fd);
}

static void
a_restricted_guest_reaches_nothing(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .restricted = true, .host_loopback = true };
	struct frame f;
	struct tcp t;
	uint16_t port;

	make(x, &cfg, NULL);
	int fd = server(&port);
	dial(x, &t, ROUTER_IP, port);
	while (take_tcp(x, 5))
		assert_false(tcp_of(&x->got)[13] & TCP_SYN);
	assert_false(is_readable(fd, 50));
	close(fd);
	/* But for an address. */
	frame_dhcp_discover(&f);
	put(x, &f);
	assert_true(take(x));
}

static void
what_nobody_takes_is_bounded(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct frame f;
	unsigned n = 0;

	make(x, &cfg, NULL);
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	for (unsigned i = 0; i < 5000; i++)
		put(x, &f);
	while (take(x))
		n++;
	assert_int_equal(n, 1024);
	put(x, &f);
	assert_true(take(x));
}

static void
the_host_waits_while_the_guest_takes_nothing(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	struct frame f;
	struct tcp t = { 0 };

	make(x, &cfg, "tcp::20022-:22");
	introduce(x);
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	for (unsigned i = 0; i < 256; i++)
		put(x, &f);
	int fd = client(PORT);
	for (unsigned i = 0; i < 20; i++)
		pass(x);
	/* Only what was there before the connection; it comes when there is room. */
	for (unsigned i = 0; i < 256; i++) {
		assert_true(take(x));
		assert_false(is_tcp(&x->got));
	}
	expect(x, &t, TCP_SYN);
	close(fd);
}

static void
a_packet_that_does_not_fit_is_dropped(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	uint8_t small[20];
	struct iovec iov = { small, sizeof(small) };
	struct frame f;

	make(x, &cfg, NULL);
	while (take(x))
		;
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	put(x, &f);
	assert_int_equal(x->back->ops->recv(x->back, 0, &iov, 1), -EMSGSIZE);
	assert_int_equal(x->back->ops->recv(x->back, 0, &iov, 1), -EAGAIN);
}

/* However guest memory is cut. */
static void
packets_come_whole_in_any_pieces(void **state)
{
	enum { LEN = NET_HDR_LEN + 64, OUT = NET_HDR_LEN + ETH + 28 };
	struct fix *x = *state;
	struct net_user_config cfg = { 0 };
	uint8_t whole[LEN], cut[LEN];
	struct frame f;

	make(x, &cfg, NULL);
	while (take(x))
		;
	frame_arp(&f, 1, GUEST_IP, ROUTER_IP);
	put(x, &f);
	assert_int_equal(x->back->ops->recv(x->back, 0, &(struct iovec){ whole, LEN }, 1),
			 LEN);
	for (size_t at = 0; at <= LEN; at++) {
		struct iovec iov[3] = { { cut, at }, { cut, 0 }, { cut + at, LEN - at } };
		size_t n = at < OUT ? at : OUT;
		struct iovec out[2] = { { f.hdr, n }, { f.hdr + n, OUT - n } };

		memset(cut, 0xee, LEN);
		assert_int_equal(x->back->ops->send(x->back, 0, out, 2), 0);
		assert_int_equal(x->back->ops->recv(x->back, 0, iov, 3), LEN);
		assert_memory_equal(cut, whole, LEN);
	}
}

static void
sockets_of_the_host_are_bounded(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .host_loopback = true };
	struct frame f;

	make(x, &cfg, NULL);
	int before = count_fds();
	for (unsigned i = 0; i < 600; i++) {
		frame_udp(&f, GUEST_IP, 1000 + i, ROUTER_IP, 9, "x", 1);
		put(x, &f);
	}
	assert_int_equal(count_fds() - before, 256);
	while (take(x))
		;
	frame_dhcp_discover(&f);
	put(x, &f);
	assert_true(take(x));
	/* And those that are left can be opened again. */
	int fd = dup(0);
	assert_true(fd >= 0);
	close(fd);
}

static void
a_port_in_use_is_said_so(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .name = "net0", .forward = x->forward };
	struct err e = { 0 };
	char list[64], want[96], why[64];
	uint16_t port;

	int fd = server(&port);
	snprintf(list, sizeof(list), "tcp::%u-:22", port);
	cfg.nforward = (unsigned)net_forward_parse(list, x->forward, why, sizeof(why));
	assert_int_equal(net_user_new(x->r, &cfg, &x->back, &e), -EADDRINUSE);
	snprintf(want, sizeof(want),
		 "cannot listen on 127.0.0.1 port %u: Address already in use", port);
	assert_string_equal(e.text, want);
	assert_null(x->back);
	close(fd);
}

/* teardown() counts the descriptors, ASan the memory. */
static void
all_goes_with_connections_open(void **state)
{
	struct fix *x = *state;
	struct net_user_config cfg = { .host_loopback = true };
	struct tcp t;
	struct frame f;
	uint16_t port;

	make(x, &cfg, "tcp::20022-:22, udp::20022-:53");
	int fd = server(&port);
	int fwd = client(PORT);
	dial(x, &t, ROUTER_IP, port);
	expect(x, &t, TCP_SYN | TCP_ACK);
	frame_udp(&f, GUEST_IP, 5353, ROUTER_IP, 9, "x", 1);
	put(x, &f);
	pass(x);
	x->back->ops->free(x->back);
	x->back = NULL;
	close(fwd);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_guest_is_offered_an_address),
		T(the_front_hears_of_packets_only_while_it_wants_to),
		T(a_connection_to_a_forward_reaches_the_guest_and_back),
		T(the_guest_reaches_a_server_of_the_host),
		T(a_refused_connection_is_reset),
		T(loopback_of_the_host_is_out_of_reach),
		T(by_no_name_but_the_router_s),
		T(a_restricted_guest_reaches_nothing),
		T(what_nobody_takes_is_bounded),
		T(the_host_waits_while_the_guest_takes_nothing),
		T(a_packet_that_does_not_fit_is_dropped),
		T(packets_come_whole_in_any_pieces),
		T(sockets_of_the_host_are_bounded),
		T(a_port_in_use_is_said_so),
		T(all_goes_with_connections_open),
	};

	return cmocka_run_group_tests_name("net_user", tests, NULL, NULL);
}
