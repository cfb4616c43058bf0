// SPDX-License-Identifier: ISC
/*
 * What a plain program gets from a tap interface, and the other end for it and for a guest:
 *
 *	tap_host tx IF LEN MS	writes packets to the tap, as bench/guest/net.c sends them
 *	tap_host rx IF LEN N	reads N packets, that lie in the tap before it begins
 *	tap_host ping IF LEN MS	writes one, waits for one
 *	tap_host fill IF LEN N	puts N packets into the queue of the interface
 *	tap_host pong IF LEN	sends back what comes in, until it is killed
 *
 * The first three are what has the tap open, with the virtio header before each packet; the
 * others are on the host's side of it, by packet sockets.  What nobody takes the host drops.
 * No more than two threads ever want a CPU at once, so that two CPUs are enough.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HDR = 12, ETH = 14, TYPE = 0x88b5, LEN_MAX = 65536 + ETH, MSS = 1448 };
enum { SAMPLES_MAX = 20000, WARM_MS = 30, BATCH = 64, LATE_MS = 100 };
enum { IP = HDR + ETH, TCP = IP + 20, PAYLOAD = TCP + 20 };

static const uint8_t head[ETH] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

struct bench {
	int fd;
	size_t len;
	uint8_t packet[HDR + LEN_MAX], in[HDR + LEN_MAX];
	uint64_t packets;
	uint32_t sample[SAMPLES_MAX];
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tap_host: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t
cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* ---- with the tap open ---- */

static int
open_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4;
	int len = HDR, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &len) ||
	    ioctl(fd, TUNSETOFFLOAD, offloads))
		die(name);
	return fd;
}

static void
be16(uint8_t *p, unsigned val)
{
	p[0] = (uint8_t)(val >> 8);
	p[1] = (uint8_t)val;
}

static void
make_packet(struct bench *b)
{
	struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = PAYLOAD - HDR,
		.gso_size = MSS,
		.csum_start = TCP - HDR,
		.csum_offset = 16,
	};
	uint8_t *p = b->packet;

	memcpy(p + HDR, head, ETH);
	if (b->len <= 1514)
		return;
	memcpy(p, &hdr, sizeof(hdr));
	be16(p + HDR + 12, 0x0800);
	p[IP] = 0x45;
	be16(p + IP + 2, (unsigned)b->len - ETH);
	p[IP + 8] = 64;
	p[IP + 9] = 6;
	p[IP + 12] = p[IP + 16] = 10;
	p[TCP + 12] = 5 << 4;
}

static void
send_one(struct bench *b)
{
	if (write(b->fd, b->packet, HDR + b->len) < 0)
		die("write");
}

/* False: nothing came for that long. */
static bool
wait_for_one(const struct bench *b, int ms)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static bool
receive(struct bench *b)
{
	return read(b->fd, b->in, sizeof(b->in)) > 0;
}

static void
run_tx(struct bench *b, uint64_t end)
{
	while (now_ns() < end)
		for (unsigned i = 0; i < BATCH; i++, b->packets++)
			send_one(b);
}

static void
run_rx(struct bench *b, uint64_t n)
{
	while (b->packets < n && receive(b))
		b->packets++;
}

static void
run_ping(struct bench *b, uint64_t end)
{
	for (uint64_t since = now_ns(); since < end; since = now_ns()) {
		send_one(b);
		while (wait_for_one(b, LATE_MS) && !receive(b))
			;
		b->sample[b->packets++ % SAMPLES_MAX] = (uint32_t)(now_ns() - since);
	}
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
result(struct bench *b, uint64_t t0, uint64_t c0)
{
	uint64_t ns = now_ns() - t0, cpu = cpu_ns() - c0;
	unsigned n = b->packets < SAMPLES_MAX ? (unsigned)b->packets : SAMPLES_MAX;

	qsort(b->sample, n, sizeof(b->sample[0]), by_value);
	printf("result ops %llu ns %llu median %u p99 %u cpu %llu\n",
	       (unsigned long long)b->packets, (unsigned long long)ns, b->sample[n / 2],
	       b->sample[n * 99ull / 100], (unsigned long long)cpu);
}

static int
measure(struct bench *b, void (*run)(struct bench *, uint64_t), uint64_t ms)
{
	make_packet(b);
	run(b, now_ns() + WARM_MS * 1000000ull);
	b->packets = 0;
	uint64_t c0 = cpu_ns(), t0 = now_ns();
	run(b, t0 + ms * 1000000);
	result(b, t0, c0);
	return 0;
}

/* ---- on the host's side ---- */

static int
open_socket(const char *name, unsigned type)
{
	struct ifreq ifr = { 0 };
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &ifr))
		die(name);
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)type),
		.sll_ifindex = ifr.ifr_ifindex,
	};
	/* what we send does not come back, and goes past the queue */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	return fd;
}

/* Of a packet socket the header has 10 bytes: num_buffers is the device's. */
static int
fill(struct bench *b, int fd, uint64_t n)
{
	const size_t skip = 2;
	int one = 1;

	make_packet(b);
	memmove(b->packet + skip, b->packet, HDR - skip);
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		die("PACKET_VNET_HDR");
	for (; n > 0; n--)
		if (send(fd, b->packet + skip, HDR - skip + b->len, 0) < 0)
			die("the queue is too short");
	return 0;
}

static int
measure_rx(struct bench *b, const char *name, uint64_t n)
{
	fill(b, open_socket(name, 0), n);
	uint64_t c0 = cpu_ns(), t0 = now_ns();
	run_rx(b, n);
	result(b, t0, c0);
	return 0;
}

static int
pong(struct bench *b)
{
	for (;;) {
		ssize_t n = recv(b->fd, b->in, sizeof(b->in), 0);

		if (n > 0 && send(b->fd, b->in, (size_t)n, 0) < 0 && errno != ENOBUFS)
			die("send");
	}
}

int
main(int argc, char **argv)
{
	static struct bench b;

	if (argc < 4)
		goto usage;
	char m = argv[1][0];
	uint64_t n = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	b.len = strtoul(argv[3], NULL, 10);
	if (b.len < ETH || b.len > LEN_MAX)
		goto usage;
	if (!strcmp(argv[1], "pong")) {
		b.fd = open_socket(argv[2], TYPE);
		return pong(&b);
	}
	if (argc != 5)
		goto usage;
	if (!strcmp(argv[1], "fill"))
		return fill(&b, open_socket(argv[2], 0), n);
	b.fd = open_tap(argv[2]);
	if (!strcmp(argv[1], "rx"))
		return measure_rx(&b, argv[2], n);
	return measure(&b, m == 't' ? run_tx : run_ping, n);
usage:
	fprintf(stderr, "usage: see tap_host.c\n");
	return 2;
}
