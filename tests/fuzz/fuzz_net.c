/* SPDX-License-Identifier: ISC */
/*
 * virtio-net between a hostile driver and a hostile back: descriptors, the bytes behind
 * them, doorbells, configuration and resets on one side; packets with any header,
 * failures and a link that comes and goes on the other.
 *
 * What the back is given is touched to the last byte and checked: the header is in one
 * piece and asks for no more than the driver negotiated, lengths are those of packets.
 * In the end a proper driver has to be served, whatever went before.
 *
 * A back that serves the rings itself sees no packet, and has exactly those that the device
 * lends it.
 *
 *	byte 0	the back: bits 0-1 pairs, 2 offloads, 3-4 limits, 5 rings
 *	then	steps of 8 bytes: operation, argument, three 16-bit values
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "net.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"
#include "virtio_lent.h"
#include "virtio_transport.h"

#include "../unit/fake_driver.h"
#include "../unit/fake_reactor.c"
#include "../unit/fake_ring.h"

enum { STEP_LEN = 8, STEPS_MAX = 200, RINGS = 5, SIZE = 16, PIECES_MAX = 1024 };

struct world {
	struct fake_ram ram;
	struct fake_reactor r;
	struct fake_ring ring[RINGS];
	struct net_back back;
	struct net *net;
	struct virtio_device *dev;
	struct fake_transport t;
	bool want_rx[NET_QUEUES_MAX], want_tx[NET_QUEUES_MAX];
	/* The next packet and the next failure. */
	unsigned packets;
	uint16_t len;
	uint8_t flags, gso, kind;
	unsigned room;
	unsigned fail_in;
	int fail_with;
	unsigned sent, received;
	/* With rings: what the device lent, and what the back has of it. */
	bool lent[2 * NET_QUEUES_MAX + 1], served[2 * NET_QUEUES_MAX + 1];
};

static struct world *
world_of(struct net_back *b)
{
	return container_of(b, struct world, back);
}

/* ---- the back ---- */

static bool
fails(struct world *w)
{
	return w->fail_in > 0 && --w->fail_in == 0;
}

static uint64_t
total(const struct iovec *iov, unsigned niov)
{
	uint64_t len = 0;

	CHECK(niov >= 1 && niov <= PIECES_MAX && iov[0].iov_len == NET_HDR_LEN);
	for (unsigned i = 1; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

/* 5.1.6.2: what each kind needs. */
static bool
may_ask(const struct world *w, const uint8_t *hdr)
{
	uint64_t f = w->dev->features;
	unsigned gso = hdr[1] & 0x7f;

	if (hdr[0] & ~1)
		return false;
	if ((hdr[0] & 1) && !(f & 1 << 0))
		return false;
	if ((hdr[1] & 0x80) && !(f & 1 << 13))
		return false;
	return gso == 0 || (gso == 1 && (f & 1 << 11)) || (gso == 4 && (f & 1 << 12)) ||
	       (gso == 5 && (f >> 56 & 1));
}

static int
back_send(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct world *w = world_of(b);
	uint64_t len = total(iov, niov);
	volatile uint8_t sum = 0;

	CHECK(w->dev->live && pair < b->info.pairs && !b->info.rings);
	CHECK(len >= 14 && len <= NET_PACKET_MAX);
	CHECK(may_ask(w, iov[0].iov_base));
	for (unsigned i = 0; i < niov; i++)
		for (size_t k = 0; k < iov[i].iov_len; k++)
			sum = (uint8_t)(sum + ((uint8_t *)iov[i].iov_base)[k]);
	if (fails(w))
		return w->fail_with;
	if (w->room == 0)
		return -EAGAIN;
	w->room--;
	w->sent++;
	return 0;
}

static ssize_t
back_recv(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct world *w = world_of(b);
	uint64_t room = total(iov, niov), len = w->len;
	uint8_t *hdr = iov[0].iov_base;

	CHECK(w->dev->live && pair < b->info.pairs && !b->info.rings);
	if (fails(w))
		return w->fail_with;
	if (w->packets == 0)
		return -EAGAIN;
	w->packets--;
	memset(hdr, w->kind, NET_HDR_LEN);
	hdr[0] = w->flags;
	hdr[1] = w->gso;
	for (unsigned i = 1; i < niov; i++)
		memset(iov[i].iov_base, w->kind, iov[i].iov_len);
	/* A back that claims more than there was room for. */
	if (w->kind == 0xbd)
		return NET_HDR_LEN + (ssize_t)room + 1;
	w->received++;
	return len > room ? -EMSGSIZE : NET_HDR_LEN + (ssize_t)len;
}

static void
back_want(struct net_back *b, unsigned pair, bool rx, bool tx)
{
	CHECK(pair < b->info.pairs);
	world_of(b)->want_rx[pair] = rx;
	world_of(b)->want_tx[pair] = tx;
}

static int
back_set(struct net_back *b, unsigned value)
{
	(void)value;
	return fails(world_of(b)) ? world_of(b)->fail_with : 0;
}

static int
back_ring_start(struct net_back *b, unsigned pair, enum net_dir dir,
		const struct virtio_lent *ring)
{
	struct world *w = world_of(b);
	const uint8_t *ram = w->ram.buf;
	const uint8_t *desc = ring->desc, *used = ring->used;
	unsigned q = 2 * pair + dir;

	CHECK(w->dev->live && pair < b->info.pairs && w->lent[q] && !w->served[q]);
	CHECK(ring->size > 0 && ring->size <= 256);
	CHECK(desc >= ram && desc + 16 * ring->size <= ram + RAM_LEN);
	CHECK(used >= ram && used + 6 + 8 * ring->size <= ram + RAM_LEN);
	CHECK(!(ring->features & ~w->dev->offered));
	if (fails(w))
		return w->fail_with;
	w->served[q] = true;
	return 0;
}

static uint16_t
back_ring_stop(struct net_back *b, unsigned pair, enum net_dir dir)
{
	struct world *w = world_of(b);

	CHECK(w->served[2 * pair + dir]);
	w->served[2 * pair + dir] = false;
	return w->len;
}

static void
back_free(struct net_back *b)
{
	(void)b;
}

static const struct net_back_ops back_ops = {
	.send = back_send,
	.recv = back_recv,
	.want = back_want,
	.set_rx_offloads = back_set,
	.set_pairs = back_set,
	.ring_start = back_ring_start,
	.ring_stop = back_ring_stop,
	.free = back_free,
};

static int
lend(void *arg, struct virtio_device *dev, unsigned q, struct virtio_lent *ret)
{
	struct world *w = arg;

	CHECK(dev == w->dev && q < dev->nqueue && !w->lent[q]);
	if (fails(w))
		return w->fail_with;
	w->lent[q] = true;
	ret->kick = ret->call = -1;
	return 0;
}

static void
reclaim(void *arg, struct virtio_device *dev, unsigned q)
{
	struct world *w = arg;

	(void)dev;
	CHECK(w->lent[q] && !w->served[q]);
	w->lent[q] = false;
}

static const struct virtio_doorbell_ops doorbell_ops = { .lend = lend,
							 .reclaim = reclaim };

/* No ring is served of a device that is reset, or needs to be. */
static void
check_rings(const struct world *w)
{
	bool may = w->dev->live && !(w->dev->status & VIRTIO_STATUS_NEEDS_RESET);

	for (unsigned q = 0; q < ARRAY_SIZE(w->lent); q++) {
		CHECK(w->lent[q] == w->served[q]);
		CHECK(!w->lent[q] || (may && w->dev->queue[q].enabled));
	}
}

/* ---- the driver ---- */

static void
set_up_ring(struct world *w, unsigned q)
{
	ring_init(&w->ring[q], &w->ram, q, SIZE);
	driver_enable_queue(w->dev, q, &w->ring[q].at);
}

static void
drive(struct world *w, uint64_t features)
{
	driver_negotiate(w->dev, features & w->dev->offered);
	for (unsigned q = 0; q < RINGS; q++)
		set_up_ring(w, q);
	virtio_set_status(w->dev, DRIVER_OK);
}

/* Before FEATURES_OK there was, with one page for each ring. */
static void
drive_legacy(struct world *w, uint32_t features)
{
	virtio_set_status(w->dev, 0);
	virtio_use_legacy(w->dev);
	virtio_set_status(w->dev, 3);
	virtio_features_accept(w->dev, 0, features & (uint32_t)w->dev->offered);
	for (unsigned q = 0; q < 3; q++) {
		struct fake_ring *ring = &w->ring[q];

		ring_init(ring, &w->ram, q, 256);
		ring->at.driver = ring->at.desc + 4096;
		ring->at.device = ring->at.desc + 8192;
		memset(ram_at(&w->ram, ring->at.desc), 0, 0x3000);
		virtio_queue_set_pfn(w->dev, q, (uint32_t)(ring->at.desc >> 12), 4096,
				     4096);
	}
	virtio_set_status(w->dev, 7);
}

static uint64_t
gpa_of(uint16_t v)
{
	return RAM_GPA + v * 4ull;
}

static void
step_control(struct world *w, uint8_t arg, uint16_t a, uint16_t b, uint16_t c)
{
	uint64_t features = a | (uint64_t)b << 16 | (uint64_t)c << 48;

	switch (arg % 6) {
	case 0:
		drive(w, features | 1ull << 15);
		break;
	case 1:
		drive_legacy(w, (uint32_t)features);
		break;
	case 2:
		virtio_config_write(w->dev, a % 16, 1u << (b % 4), c * 0x10001ull);
		break;
	case 3:
		virtio_queue_reset(w->dev, a % RINGS);
		if (b & 1)
			set_up_ring(w, a % RINGS);
		break;
	case 4:
		w->back.info.link = a & 1;
		w->back.front->link(w->back.dev);
		break;
	default:
		virtio_set_status(w->dev, (uint8_t)a);
		break;
	}
	if (c == 0x5a5a)
		w->back.front->broken(w->back.dev);
}

static void
step_back(struct world *w, uint8_t arg, uint16_t a)
{
	static const int errors[] = { -EAGAIN, -EIO, -EMSGSIZE, -ENOBUFS, -EBADFD };

	w->room = arg & 1 ? 100 : 0;
	w->fail_in = arg & 2 ? a % 8u : 0;
	w->fail_with = errors[(arg >> 4) % ARRAY_SIZE(errors)];
}

/* As a level-triggered loop does: as long as somebody wants to hear of it. */
static void
step_loop(struct world *w)
{
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned p = 0; p < w->back.info.pairs; p++) {
			if (w->want_rx[p] && w->packets)
				w->back.front->readable(w->back.dev, p);
			if (w->want_tx[p] && w->room)
				w->back.front->writable(w->back.dev, p);
		}
		fake_reactor_deferred(&w->r);
	}
}

static void
step(struct world *w, const uint8_t *s)
{
	uint16_t a = le16_get(s + 2), b = le16_get(s + 4), c = le16_get(s + 6);
	struct fake_ring *ring = &w->ring[s[1] % RINGS];

	switch (s[0] % 8) {
	case 0:
		ring_desc(ring, s[1] / RINGS % SIZE, gpa_of(a), b, c & 7, c >> 8);
		break;
	case 1:
		ring_put(ring, a);
		ring_show(ring);
		virtio_notify(w->dev, s[1] % RINGS);
		break;
	case 2:
		memcpy(ram_at(&w->ram, gpa_of(a)), s + 4, 4);
		break;
	case 3:
		w->packets = s[1] & 15;
		w->len = a;
		w->flags = (uint8_t)b;
		w->gso = (uint8_t)(b >> 8);
		w->kind = (uint8_t)c;
		step_loop(w);
		break;
	case 4:
		step_back(w, s[1], a);
		step_loop(w);
		break;
	case 5:
		fake_reactor_advance(&w->r, a * 1000000ull);
		break;
	case 6:
		step_control(w, s[1], a, b, c);
		break;
	default: /* a command with its answer */
		memcpy(ram_at(&w->ram, RAM_GPA + 0x800), s + 2, 6);
		ring_desc(ring, 0, RAM_GPA + 0x800, s[1] / RINGS, F_NEXT, 1);
		ring_desc(ring, 1, RAM_GPA + 0x900, 1, F_WRITE, 0);
		ring_offer(ring, 0);
		virtio_notify(w->dev, s[1] % RINGS);
		break;
	}
}

/* A packet each way for somebody who does everything right. */
static void
serve_properly(struct world *w)
{
	unsigned sent;

	w->room = 10;
	w->fail_in = 0;
	w->packets = 0;
	/* What is owed from before is paid. */
	fake_reactor_advance(&w->r, 1000000000000000);
	drive(w, 1ull << 15);
	CHECK(w->dev->status == 15);
	if (w->back.info.rings) {
		CHECK(w->served[0] && w->served[1]);
		return;
	}
	sent = w->sent;
	ring_desc(&w->ring[0], 0, DATA_GPA, 4096, F_WRITE, 0);
	ring_offer(&w->ring[0], 0);
	virtio_notify(w->dev, 0);
	w->packets = 1;
	w->len = 60;
	w->flags = w->gso = 0;
	w->kind = 0;
	step_loop(w);
	CHECK(ring_used_idx(&w->ring[0]) == 1);
	CHECK(ring_used_len(&w->ring[0], 0) == 72);
	memset(ram_at(&w->ram, DATA_GPA), 0, 12);
	ring_desc(&w->ring[1], 0, DATA_GPA, 72, 0, 0);
	ring_offer(&w->ring[1], 0);
	virtio_notify(w->dev, 1);
	CHECK(w->sent == sent + 1);
	CHECK(ring_used_idx(&w->ring[1]) == 1);
}

static void
start(struct world *w, uint8_t how)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct net_config cfg = { .name = "net0" };

	memcpy(cfg.mac, mac, 6);
	if (how & 8)
		cfg.limit = (struct rate_limit_config){ .rate = 100000, .rate_ops = 100 };
	cfg.limit_shared = how & 0x10;
	log_set_level(LOG_ERROR);
	ram_init(&w->ram);
	w->r.now_ns = 1000000000;
	w->room = 100;
	w->back.ops = &back_ops;
	w->back.info = (struct net_info){
		.pairs = how % 2 + 1,
		.rx_offloads = how & 4 ? 0x3f : 0,
		.tx_offloads = how & 4 ? 0x3f : 0,
		.mtu = 1500,
		.link = true,
		.rings = how & 0x20,
	};
	CHECK(net_new(&w->ram.mem, fake_reactor(&w->r), &w->back, &cfg, &w->net) == 0);
	w->dev = net_device(w->net);
	fake_transport_connect(&w->t, w->dev);
	w->t.t.doorbell = &doorbell_ops;
	w->t.t.doorbell_arg = w;
	drive(w, how & 2 ? UINT64_MAX : 1 << 15);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { 0 };

	if (size < 1)
		return 0;
	start(&w, data[0]);
	for (unsigned i = 0; i < STEPS_MAX && 1 + (i + 1) * STEP_LEN <= size; i++) {
		step(&w, data + 1 + (size_t)i * STEP_LEN);
		check_rings(&w);
	}
	serve_properly(&w);
	virtio_disconnect(w.dev);
	check_rings(&w);
	for (unsigned p = 0; p < w.back.info.pairs; p++)
		CHECK(!w.want_rx[p] && !w.want_tx[p]);
	net_free(w.net);
	CHECK(fake_reactor_ntimers(&w.r) == 0 && !w.r.deferred);
	ram_fini(&w.ram);
	return 0;
}
