// SPDX-License-Identifier: ISC
/*
 * The guest of the network benchmark, as plain as tap_host.c on the host is.
 *
 *	mode=tx		sends packets of len= bytes; above 1514, segments for the host to cut
 *	mode=rx		takes n= packets, that lie in the tap before it offers buffers
 *	mode=ping	sends one, waits for one
 *
 * for ms=, but for rx.  The driver runs in user mode and polls, as in blk.c; the doorbell of what is sent
 * is rung for at most BATCH packets.
 */
#include "sample.h"
#include "user.h"
#include "virtio.h"

enum { RX = 0, TX = 1, BATCH = 64, HDR = 12, ETH = 14, RX_BUF = 2048, TX_DEPTH = 256 };
enum { LEN_MAX = 65536 + ETH, HANG_S = 5, GSO_TCPV4 = 1, NEEDS_CSUM = 1, MSS = 1448 };
enum { IP = HDR + ETH, TCP = IP + 20, PAYLOAD = TCP + 20 };
#define F_CSUM (1ull << 0)
#define F_HOST_TSO4 (1ull << 11)
#define F_MRG_RXBUF (1ull << 15)
#define F_GUEST_CSUM (1ull << 1)
#define F_GUEST_TSO4 (1ull << 7)

struct bench {
	struct virtq rx, tx;
	uint8_t *packet; /* with its header */
	uint8_t *rx_buf; /* one for each descriptor */
	uint32_t len;
	uint64_t hz, ms, wanted;
	/* results */
	uint64_t packets, cycles, kicks;
	uint32_t median, p99;
};

static struct virtio v;

static void
be16(uint8_t *p, unsigned val)
{
	p[0] = (uint8_t)(val >> 8);
	p[1] = (uint8_t)val;
}

/* A segment of TCP, that the host cuts: virtio 1.2, 5.1.6.2. */
static void
make_segment(uint8_t *p, unsigned len)
{
	p[0] = NEEDS_CSUM;
	p[1] = GSO_TCPV4;
	*(uint16_t *)(void *)(p + 2) = PAYLOAD - HDR;
	*(uint16_t *)(void *)(p + 4) = MSS;
	*(uint16_t *)(void *)(p + 6) = TCP - HDR;
	*(uint16_t *)(void *)(p + 8) = 16;
	be16(p + HDR + 12, 0x0800);
	p[IP] = 0x45;
	be16(p + IP + 2, len - ETH);
	p[IP + 8] = 64;
	p[IP + 9] = 6;
	p[IP + 12] = p[IP + 16] = 10;
	p[TCP + 12] = 5 << 4;
}

/* To an address that nobody has, and of a type that nobody knows (IEEE 802, local). */
static void
make_packet(struct bench *b)
{
	static const uint8_t head[ETH] = {
		2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5
	};

	b->packet = ram_alloc(HDR + LEN_MAX, 4096);
	memcpy(b->packet + HDR, head, ETH);
	if (b->len > 1514)
		make_segment(b->packet, b->len);
}

static void
finish(struct bench *b, uint64_t start, uint64_t now, unsigned samples)
{
	unsigned n = samples < SAMPLES_MAX ? samples : SAMPLES_MAX;

	b->cycles = now - start;
	b->median = n ? sample_select(n, n / 2) : 0;
	b->p99 = n ? sample_select(n, n * 99 / 100) : 0;
}

static bool
send(struct bench *b)
{
	const struct vbuf buf = { b->packet, HDR + b->len };

	return virtq_add(&b->tx, &buf, 1, 0, b);
}

static void
run_tx(void *arg)
{
	struct bench *b = arg;
	uint64_t start = tsc(), now = start, end = start + b->hz / 1000 * b->ms;

	b->packets = b->kicks = 0;
	while (now < end) {
		unsigned n = 0;

		while (virtq_take(&b->tx, NULL, NULL))
			b->packets++;
		while (n < BATCH && send(b))
			n++;
		if (n > 0)
			b->kicks += virtq_kick(&b->tx);
		now = tsc();
	}
	finish(b, start, now, 0);
	while (b->tx.nfree < b->tx.size && now < end + HANG_S * b->hz) {
		(void)virtq_take(&b->tx, NULL, NULL);
		now = tsc();
	}
}

static bool
offer(struct bench *b, void *p)
{
	const struct vbuf buf = { p, RX_BUF };

	return virtq_add(&b->rx, &buf, 0, 1, p);
}

/* Takes a packet and offers its buffer again. */
static bool
receive(struct bench *b)
{
	void *p;

	return virtq_take(&b->rx, &p, NULL) && offer(b, p);
}

/* Takes whole packets: one may fill many buffers, all but the last to the end. */
static void
run_rx(void *arg)
{
	struct bench *b = arg;
	uint64_t start = tsc(), now = start, end = start + HANG_S * b->hz;
	uint64_t bytes = 0, wanted = b->wanted * (HDR + b->len);
	uint32_t len;
	void *p;

	b->packets = b->kicks = 0;
	for (unsigned i = 0; i < b->rx.size; i++)
		offer(b, b->rx_buf + i * RX_BUF);
	b->kicks += virtq_kick(&b->rx);
	while (bytes < wanted && now < end) {
		unsigned n = 0;

		for (; n < BATCH && virtq_take(&b->rx, &p, &len); n++) {
			bytes += len;
			offer(b, p);
		}
		if (n > 0)
			b->kicks += virtq_kick(&b->rx);
		else
			cpu_relax();
		now = tsc();
	}
	b->packets = bytes / (HDR + b->len);
	finish(b, start, now, 0);
}

static void
run_ping(void *arg)
{
	struct bench *b = arg;
	uint64_t start = tsc(), now = start, end = start + b->hz / 1000 * b->ms;

	b->packets = b->kicks = 0;
	while (now < end) {
		uint64_t since = now, late = since + b->hz / 10;

		(void)send(b);
		b->kicks += virtq_kick(&b->tx);
		while (!receive(b) && now < late)
			now = tsc();
		(void)virtq_kick(&b->rx);
		now = tsc();
		while (!virtq_take(&b->tx, NULL, NULL) && now < late)
			now = tsc();
		if (now < late)
			sample[b->packets++ % SAMPLES_MAX] = (uint32_t)(now - since);
	}
	finish(b, start, now, (unsigned)b->packets);
}

static bool
start(struct bench *b)
{
	/* Who takes segments needs buffers for one before it is given any packet. */
	const uint64_t rx_tso = b->len > 1514 ? F_GUEST_CSUM | F_GUEST_TSO4 : 0;
	const uint64_t features =
		VIRTIO_F_EVENT_IDX | F_CSUM | F_HOST_TSO4 | F_MRG_RXBUF | rx_tso;

	if (!virtio_find("pci", VIRTIO_ID_NET, 0, &v) || !virtio_start(&v, features) ||
	    !virtq_setup(&b->rx, &v, RX, VIRTQ_MAX) ||
	    !virtq_setup(&b->tx, &v, TX, TX_DEPTH))
		return false;
	virtq_interrupts(&b->rx, false);
	virtq_interrupts(&b->tx, false);
	return true;
}

static void
offer_all(struct bench *b)
{
	for (unsigned i = 0; i < b->rx.size; i++)
		offer(b, b->rx_buf + i * RX_BUF);
	virtq_kick(&b->rx);
}

void
payload_main(void)
{
	static struct bench b;
	char mode[8] = "tx";

	(void)cmdline_get("mode", mode, sizeof(mode));
	void (*run)(void *) = mode[0] == 'r'   ? run_rx
			      : mode[0] == 'p' ? run_ping
					       : run_tx;
	b.len = (uint32_t)cmdline_num("len", 64);
	b.len = b.len > LEN_MAX ? LEN_MAX : b.len;
	b.hz = clock_hz();
	if (!start(&b)) {
		fail("net", "no network device on pci");
		return;
	}
	make_packet(&b);
	b.rx_buf = ram_alloc(b.rx.size * RX_BUF, RX_BUF);
	b.wanted = cmdline_num("n", 10000);
	virtio_ready(&v);
	if (run != run_rx) {
		offer_all(&b);
		b.ms = cmdline_num("warm", 30);
		user_run(run, &b);
	}
	b.ms = cmdline_num("ms", 250);
	say("go");
	(void)uart_getc(10000);
	user_run(run, &b);
	uint64_t mhz = b.hz / 1000000;
	say("result ops %lu ns %lu median %lu p99 %lu kicks %lu errors 0", b.packets,
	    b.cycles * 1000 / mhz, b.median * 1000ul / mhz, b.p99 * 1000ul / mhz,
	    b.kicks);
	(void)uart_getc(10000);
}
