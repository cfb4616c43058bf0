/* SPDX-License-Identifier: ISC */
/*
 * The tap back with the real interface, in a network namespace of its own that nobody
 * else sees.  Without /dev/net/tun or the right to make a namespace the tests are
 * skipped, and say so.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "err.h"
#include "log.h"
#include "net.h"
#include "net_back.h"
#include "reactor.h"
#include "util.h"

#define NAME "vmmtest0"

enum { ETHERTYPE = 0x88b5 /* for experiments: IEEE 802 */, DATA_MAX = 9000 };

struct fix {
	struct reactor *r;
	struct net_back *back;
	int sock; /* sees what passes the interface, and sends from it */
	unsigned readable[4], writable[4], links;
};

static const char *why_not;

static void
on_readable(void *dev, unsigned pair)
{
	struct fix *x = dev;

	x->readable[pair]++;
	x->back->ops->want(x->back, pair, false, false);
}

static void
on_writable(void *dev, unsigned pair)
{
	((struct fix *)dev)->writable[pair]++;
}

static void
on_link(void *dev)
{
	((struct fix *)dev)->links++;
}

static const struct net_front_ops front = { .readable = on_readable,
					    .writable = on_writable,
					    .link = on_link };

static void
put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void
enter_namespace(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		why_not = "/dev/net/tun cannot be opened";
		return;
	}
	close(fd);
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		why_not = "no right to make a network namespace";
	/* Or the kernel talks on each interface of its own accord. */
	put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

/* One request to the interface, through any socket. */
static int
interface(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", NAME);
	int rc = ioctl(fd, request, ifr) ? -errno : 0;
	close(fd);
	return rc;
}

static void
bring_up(struct fix *x)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	int one = 1;

	assert_int_equal(interface(SIOCSIFFLAGS, &ifr), 0);
	assert_int_equal(interface(SIOCGIFINDEX, &ifr), 0);
	at.sll_ifindex = ifr.ifr_ifindex;
	x->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(x->sock >= 0);
	assert_int_equal(setsockopt(x->sock, SOL_PACKET, PACKET_VNET_HDR, &one,
				    sizeof(one)),
			 0);
	assert_int_equal(bind(x->sock, (struct sockaddr *)&at, sizeof(at)), 0);
}

static void
delete_interface(void)
{
	struct {
		struct nlmsghdr nl;
		struct ifinfomsg ifi;
	} msg = {
		.nl = { .nlmsg_len = sizeof(msg),
			.nlmsg_type = RTM_DELLINK,
			.nlmsg_flags = NLM_F_REQUEST },
	};
	struct ifreq ifr = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	assert_int_equal(interface(SIOCGIFINDEX, &ifr), 0);
	msg.ifi.ifi_index = ifr.ifr_ifindex;
	assert_int_equal(send(fd, &msg, sizeof(msg), 0), sizeof(msg));
	close(fd);
}

static int
open_tap(struct fix *x, const char *name, int fd, unsigned pairs, struct err *e)
{
	const struct net_tap_config cfg = { .name = name, .fd = fd, .pairs = pairs };
	int rc = net_tap_new(x->r, &cfg, &x->back, e);

	if (rc == 0) {
		x->back->front = &front;
		x->back->dev = x;
	}
	return rc;
}

static void
must_open(struct fix *x, unsigned pairs)
{
	struct err e = { 0 };

	if (open_tap(x, NAME, -1, pairs, &e))
		fail_msg("%s", e.text);
	bring_up(x);
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	x->sock = -1;
	if (!why_not)
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
	if (x->sock >= 0)
		close(x->sock);
	reactor_free(x->r);
	free(x);
	return 0;
}

#define NEEDS_TAP() \
	do { \
		if (why_not) { \
			print_message("skipped: %s\n", why_not); \
			skip(); \
		} \
	} while (0)

static void
fill_frame(uint8_t *frame, size_t len, uint8_t first)
{
	for (size_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(first + i);
	frame[0] = 2;
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
}

/* The host sends this frame out of the interface: towards us. */
static void
host_sends(struct fix *x, const void *frame, size_t len, const struct virtio_net_hdr *hdr)
{
	struct virtio_net_hdr none = { 0 };
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)(hdr ? hdr : &none), sizeof(none) },
		{ (void *)(uintptr_t)frame, len },
	};

	assert_int_equal(writev(x->sock, iov, 2), sizeof(none) + len);
}

/* What we get of it, waiting a little; the length without the header, or -errno. */
static ssize_t
we_receive(struct fix *x, uint8_t hdr[NET_HDR_LEN], void *buf, size_t len)
{
	struct iovec iov[2] = { { hdr, NET_HDR_LEN }, { buf, len } };
	ssize_t n = x->back->ops->recv(x->back, 0, iov, 2);

	for (unsigned i = 0; n == -EAGAIN && i < 100; i++) {
		usleep(1000);
		n = x->back->ops->recv(x->back, 0, iov, 2);
	}
	return n < 0 ? n : n - NET_HDR_LEN;
}

static void
a_sent_packet_arrives_at_the_host(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN] = { 0 }, frame[600], got[2000];
	struct iovec iov[3] = { { hdr, sizeof(hdr) },
				{ frame, 14 },
				{ frame + 14, 586 } };

	NEEDS_TAP();
	must_open(x, 1);
	fill_frame(frame, sizeof(frame), 1);
	assert_int_equal(x->back->ops->send(x->back, 0, iov, 3), 0);
	ssize_t n = -1;
	for (unsigned i = 0; n < 0 && i < 100; i++, usleep(1000))
		n = read(x->sock, got, sizeof(got));
	assert_int_equal(n, sizeof(struct virtio_net_hdr) + 600);
	assert_memory_equal(got + sizeof(struct virtio_net_hdr), frame, 600);
}

static void
a_packet_of_the_host_is_told_of_and_received(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN], frame[1000], got[2000];

	NEEDS_TAP();
	must_open(x, 1);
	fill_frame(frame, sizeof(frame), 7);
	host_sends(x, frame, sizeof(frame), NULL);
	/* Only if somebody wants to hear of it. */
	reactor_run_once(x->r, false);
	assert_int_equal(x->readable[0], 0);
	x->back->ops->want(x->back, 0, true, false);
	for (unsigned i = 0; x->readable[0] == 0 && i < 100; i++)
		reactor_run_once(x->r, false);
	assert_int_equal(x->readable[0], 1);
	assert_int_equal(we_receive(x, hdr, got, sizeof(got)), 1000);
	assert_memory_equal(got, frame, 1000);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(hdr[i], 0);
	assert_int_equal(we_receive(x, hdr, got, sizeof(got)), -EAGAIN);
}

static void
a_packet_that_does_not_fit_is_dropped_and_the_next_one_is_not(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN], frame[1000], got[2000];

	NEEDS_TAP();
	must_open(x, 1);
	fill_frame(frame, sizeof(frame), 7);
	host_sends(x, frame, 501, NULL);
	host_sends(x, frame, 500, NULL);
	assert_int_equal(we_receive(x, hdr, got, 500), -EMSGSIZE);
	assert_int_equal(we_receive(x, hdr, got, 500), 500);
	assert_memory_equal(got, frame, 500);
}

/* A TCP segment of 8000 bytes that the host leaves to us to cut. */
static void
host_sends_segment(struct fix *x)
{
	enum { HEADERS = 14 + 20 + 20, LEN = HEADERS + 8000 };
	static uint8_t f[LEN];
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEADERS,
		.gso_size = 1400,
		.csum_start = 34,
		.csum_offset = 16,
	};

	memset(f, 0, sizeof(f));
	f[0] = 2;
	f[12] = 8;
	f[14] = 0x45;
	f[16] = (LEN - 14) >> 8;
	f[17] = (LEN - 14) & 0xff;
	f[22] = 64;
	f[23] = 6; /* TCP */
	memcpy(f + 26, "\12\0\0\1\12\0\0\2", 8);
	f[46] = 0x50; /* 20 bytes of header */
	f[47] = 0x10; /* ACK */
	host_sends(x, f, LEN, &hdr);
}

static void
segments_come_whole_or_cut_as_the_guest_has_it(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN], got[DATA_MAX];

	NEEDS_TAP();
	must_open(x, 1);
	if (!(x->back->info.rx_offloads & NET_OFFLOAD_TSO4)) {
		print_message("skipped: this kernel has no TSO for taps\n");
		skip();
	}
	assert_int_equal(x->back->ops->set_rx_offloads(x->back, NET_OFFLOAD_CSUM |
									NET_OFFLOAD_TSO4),
			 0);
	host_sends_segment(x);
	assert_int_equal(we_receive(x, hdr, got, sizeof(got)), 8054);
	assert_int_equal(hdr[0], VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr[1], VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16_get(hdr + 4), 1400);
	host_sends_segment(x);
	assert_int_equal(we_receive(x, hdr, got, 8053), -EMSGSIZE);

	assert_int_equal(x->back->ops->set_rx_offloads(x->back, 0), 0);
	host_sends_segment(x);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(we_receive(x, hdr, got, sizeof(got)),
				 i < 5 ? 1454 : 1054);
		assert_int_equal(hdr[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		assert_int_equal(hdr[1], 0);
	}
}

static void
an_interface_that_goes_away_takes_the_link_down_once(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN] = { 0 }, frame[100];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { frame, sizeof(frame) } };

	NEEDS_TAP();
	must_open(x, 1);
	fill_frame(frame, sizeof(frame), 1);
	x->back->ops->want(x->back, 0, true, true);
	delete_interface();
	for (unsigned i = 0; x->readable[0] == 0 && i < 100; i++)
		reactor_run_once(x->r, false);
	assert_true(x->readable[0] > 0);
	assert_int_equal(x->back->ops->recv(x->back, 0, iov, 2), -EAGAIN);
	assert_int_equal(x->links, 0); /* not from within a call */
	reactor_run_once(x->r, false);
	assert_int_equal(x->links, 1);
	assert_false(x->back->info.link);
	/* Nothing spins, nothing fails hard, and nobody is told twice. */
	unsigned before = x->readable[0] + x->writable[0];
	x->back->ops->want(x->back, 0, true, true);
	assert_true(x->back->ops->send(x->back, 0, iov, 2) < 0);
	assert_int_equal(x->back->ops->set_rx_offloads(x->back, 0), 0);
	for (unsigned i = 0; i < 10; i++)
		reactor_run_once(x->r, false);
	assert_int_equal(x->readable[0] + x->writable[0], before);
	assert_int_equal(x->links, 1);
}

/* With vhost nobody here reads or writes: then it turns out when a driver starts. */
static void
a_driver_that_starts_too_late_finds_the_link_down(void **state)
{
	struct fix *x = *state;

	NEEDS_TAP();
	must_open(x, 1);
	delete_interface();
	assert_int_equal(x->back->ops->set_rx_offloads(x->back, NET_OFFLOAD_CSUM), 0);
	assert_int_equal(x->back->ops->set_pairs(x->back, 1), 0);
	assert_false(x->back->info.link);
	reactor_run_once(x->r, false);
	assert_int_equal(x->links, 1);
}

static void
an_interface_that_is_down_loses_packets_and_comes_back(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN] = { 0 }, frame[100];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { frame, sizeof(frame) } };
	struct ifreq ifr = { 0 };

	NEEDS_TAP();
	must_open(x, 1);
	fill_frame(frame, sizeof(frame), 1);
	assert_int_equal(interface(SIOCSIFFLAGS, &ifr), 0);
	assert_int_equal(x->back->ops->send(x->back, 0, iov, 2), -EIO);
	assert_true(x->back->info.link);
	ifr.ifr_flags = IFF_UP;
	assert_int_equal(interface(SIOCSIFFLAGS, &ifr), 0);
	assert_int_equal(x->back->ops->send(x->back, 0, iov, 2), 0);
}

static void
queues_are_attached_while_they_are_used(void **state)
{
	struct fix *x = *state;
	uint8_t hdr[NET_HDR_LEN] = { 0 }, frame[100];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { frame, sizeof(frame) } };

	NEEDS_TAP();
	must_open(x, 3);
	assert_int_equal(x->back->info.pairs, 3);
	fill_frame(frame, sizeof(frame), 1);
	for (unsigned n = 1; n <= 3; n++) {
		assert_int_equal(x->back->ops->set_pairs(x->back, n), 0);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(x->back->ops->send(x->back, i, iov, 2), 0);
	}
	assert_int_equal(x->back->ops->set_pairs(x->back, 1), 0);
	assert_true(x->back->info.link);
}

static void
a_descriptor_is_taken_over_and_stays_the_callers(void **state)
{
	struct fix *x = *state;
	struct err e = { 0 };
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	uint8_t hdr[NET_HDR_LEN] = { 0 }, frame[100];
	struct iovec iov[2] = { { hdr, sizeof(hdr) }, { frame, sizeof(frame) } };

	NEEDS_TAP();
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), NAME);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	for (unsigned i = 0; i < 2; i++) {
		if (open_tap(x, NULL, fd, 1, &e))
			fail_msg("%s", e.text);
		assert_int_equal(x->back->info.mtu, 1500);
		bring_up(x);
		fill_frame(frame, sizeof(frame), 1);
		assert_int_equal(x->back->ops->send(x->back, 0, iov, 2), 0);
		/* As for a reset of the guest: it is made once more. */
		x->back->ops->free(x->back);
		x->back = NULL;
		close(x->sock);
		x->sock = -1;
	}
	close(fd);
}

static void
what_cannot_be_opened_is_told_in_one_line(void **state)
{
	struct fix *x = *state;
	struct fix y = { .sock = -1 };
	struct err e = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int bare = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	NEEDS_TAP();
	y.r = x->r;
	must_open(x, 1);
	assert_int_equal(open_tap(&y, NAME, -1, 1, &e), -EBUSY);
	assert_string_equal(e.text, "tap '" NAME "' is used by another process");
	e = (struct err){ 0 };
	assert_int_equal(open_tap(&y, "lo", -1, 1, &e), -EINVAL);
	assert_string_equal(e.text, "tap 'lo' is no tap interface");
	e = (struct err){ 0 };
	assert_int_equal(open_tap(&y, NAME, -1, 2, &e), -EINVAL);
	assert_string_equal(e.text,
			    "tap '" NAME "' is no tap interface with multi_queue, "
			    "which more than one queue need");
	e = (struct err){ 0 };
	assert_int_equal(open_tap(&y, "a-name-of-16-bytes-or-more", -1, 1, &e), -EINVAL);
	assert_string_equal(e.text,
			    "tap 'a-name-of-16-bytes-or-more': a name has at most "
			    "15 bytes");
	e = (struct err){ 0 };
	assert_int_equal(open_tap(&y, NULL, null, 1, &e), -EINVAL);
	assert_non_null(strstr(e.text, "is no tap interface"));
	e = (struct err){ 0 };
	assert_int_equal(ioctl(bare, TUNSETIFF, &ifr), 0);
	assert_int_equal(open_tap(&y, NULL, bare, 1, &e), -EINVAL);
	assert_non_null(strstr(e.text, "was not opened with"));
	close(null);
	close(bare);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_sent_packet_arrives_at_the_host),
		T(a_packet_of_the_host_is_told_of_and_received),
		T(a_packet_that_does_not_fit_is_dropped_and_the_next_one_is_not),
		T(segments_come_whole_or_cut_as_the_guest_has_it),
		T(an_interface_that_goes_away_takes_the_link_down_once),
		T(a_driver_that_starts_too_late_finds_the_link_down),
		T(an_interface_that_is_down_loses_packets_and_comes_back),
		T(queues_are_attached_while_they_are_used),
		T(a_descriptor_is_taken_over_and_stays_the_callers),
		T(what_cannot_be_opened_is_told_in_one_line),
	};

	log_set_level(LOG_ERROR);
	enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
