/* SPDX-License-Identifier: ISC */
/* virtio-net with a driver made by hand on one side and fake_net.h on the other. */
#ifndef FAKE_NET_DRIVER_H
#define FAKE_NET_DRIVER_H

#include "fake_driver.h"
#include "fake_net.h"
#include "fake_reactor.h"
#include "fake_ring.h"
#include "virtio.h"
#include "virtio_dev.h"

enum {
	NET_RINGS = 5,
	NET_DATA = RAM_GPA + 0x24000, /* behind the rings; to RAM_END */
	NET_DATA_LEN = RAM_END - NET_DATA,
	NET_RING = 64,
	CTRL_GPA = RAM_GPA + 0x800, /* before the rings */
};

#define F(bit) (UINT64_C(1) << (bit))
/* Bits of virtio 1.2, 5.1.3, written down a second time. */
#define F_CSUM F(0)
#define F_GUEST_CSUM F(1)
#define F_GUEST_OFFLOADS F(2)
#define F_MTU F(3)
#define F_MAC F(5)
#define F_GUEST_TSO4 F(7)
#define F_GUEST_TSO6 F(8)
#define F_HOST_TSO4 F(11)
#define F_HOST_TSO6 F(12)
#define F_MRG F(15)
#define F_STATUS F(16)
#define F_CTRL F(17)
#define F_CTRL_RX F(18)
#define F_CTRL_VLAN F(19)
#define F_CTRL_RX_EXTRA F(20)
#define F_ANNOUNCE F(21)
#define F_MQ F(22)
#define F_CTRL_MAC F(23)

enum {
	ALL_OFFLOADS = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
		       NET_OFFLOAD_ECN | NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6,
};

static const uint8_t net_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t other_mac[6] = { 2, 0, 0, 0, 0, 2 };

struct net_fix {
	struct fake_ram ram;
	struct fake_reactor r;
	struct fake_ring ring[NET_RINGS];
	struct fake_net back;
	struct net *net;
	struct virtio_device *dev;
	struct fake_transport t;
	bool event_idx;
};

static inline void
net_fix_init(struct net_fix *x)
{
	memset(x, 0, sizeof(*x));
	ram_init(&x->ram);
	x->r.now_ns = 1000000000;
}

/* The model over the back as it is. */
static inline void
net_fix_connect(struct net_fix *x, struct net_config *cfg)
{
	memcpy(cfg->mac, net_mac, 6);
	if (net_new(&x->ram.mem, fake_reactor(&x->r), &x->back.back, cfg, &x->net))
		abort();
	x->dev = net_device(x->net);
	fake_transport_connect(&x->t, x->dev);
}

static inline void
net_fix_make(struct net_fix *x, unsigned pairs, unsigned offloads,
	     const struct rate_limit_config *limit, bool shared)
{
	struct net_config cfg = { .name = "net0", .limit_shared = shared };

	if (limit)
		cfg.limit = *limit;
	fake_net_init(&x->back, pairs, offloads);
	net_fix_connect(x, &cfg);
}

static inline void
net_fix_fini(struct net_fix *x)
{
	if (x->net) {
		virtio_disconnect(x->dev);
		net_free(x->net);
		assert(x->back.frees == 1);
	}
	assert(fake_reactor_ntimers(&x->r) == 0);
	assert(!x->r.deferred);
	ram_fini(&x->ram);
}

/* Sets one queue up; it may have been used before. */
static inline void
net_ring(struct net_fix *x, unsigned q, unsigned size)
{
	ring_init(&x->ring[q], &x->ram, q, size);
	driver_enable_queue(x->dev, q, &x->ring[q].at);
}

/* A modern driver with rings of this size for queues 0 .. n - 1. */
static inline void
net_drive(struct net_fix *x, uint64_t features, unsigned n, unsigned size)
{
	driver_negotiate(x->dev, features);
	x->event_idx = features & VIRTIO_F_EVENT_IDX;
	for (unsigned q = 0; q < n; q++)
		net_ring(x, q, size);
	virtio_set_status(x->dev, DRIVER_OK);
}

/* A driver of the legacy interface; its rings have 256 entries and one layout. */
static inline void
net_drive_legacy(struct net_fix *x, uint32_t features)
{
	virtio_reset(x->dev);
	virtio_use_legacy(x->dev);
	virtio_set_status(x->dev, 3);
	virtio_features_accept(x->dev, 0, features);
	x->event_idx = false;
	for (unsigned q = 0; q < 2; q++) {
		struct fake_ring *ring = &x->ring[q];

		ring_init(ring, &x->ram, q, 256);
		ring->at.driver = ring->at.desc + 4096;
		ring->at.device = ring->at.desc + 8192;
		memset(ram_at(&x->ram, ring->at.desc), 0, 0x3000);
		virtio_queue_set_pfn(x->dev, q, (uint32_t)(ring->at.desc >> 12), 4096,
				     4096);
	}
	virtio_set_status(x->dev, 7);
}

static inline void
net_offer(struct net_fix *x, unsigned q, unsigned head)
{
	if (ring_offer_rings(&x->ring[q], head, x->event_idx))
		virtio_notify(x->dev, q);
}

/* A receive buffer of one piece. */
static inline void
net_buffer(struct net_fix *x, unsigned q, unsigned head, uint64_t gpa, uint32_t len)
{
	ring_desc(&x->ring[q], head, gpa, len, F_WRITE, 0);
	net_offer(x, q, head);
}

/* n buffers of len bytes one behind the other. */
static inline void
net_buffers(struct net_fix *x, unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++) {
		assert((i + 1) * len <= NET_DATA_LEN);
		ring_desc(&x->ring[0], i, NET_DATA + i * len, len, F_WRITE, 0);
		ring_put(&x->ring[0], i);
	}
	ring_show(&x->ring[0]);
	virtio_notify(x->dev, 0);
}

/* Sends len bytes of 0, 1, 2, ... behind this header, in one piece. */
static inline void
net_send(struct net_fix *x, unsigned q, unsigned head, const uint8_t hdr[12],
	 unsigned hdr_len, uint32_t len)
{
	static const uint8_t none[12];
	uint64_t gpa = NET_DATA + (head % 32) * 0x800;

	memcpy(ram_at(&x->ram, gpa), hdr ? hdr : none, hdr_len);
	for (unsigned i = 0; i < len && i < 0x700; i++)
		*ram_at(&x->ram, gpa + hdr_len + i) = (uint8_t)i;
	ring_desc(&x->ring[q], head, gpa, hdr_len + len, 0, 0);
	net_offer(x, q, head);
}

/* A command on the control queue; the answer, or -1: there was none. */
static inline int
net_command(struct net_fix *x, unsigned q, const void *cmd, uint32_t len)
{
	struct fake_ring *ring = &x->ring[q];
	uint16_t before = ring_used_idx(ring);
	uint8_t *ack = ram_at(&x->ram, CTRL_GPA + 0x7f0);

	assert(len <= 0x7f0);
	memcpy(ram_at(&x->ram, CTRL_GPA), cmd, len);
	*ack = 0xee;
	ring_desc(ring, 0, CTRL_GPA, len, F_NEXT, 1);
	ring_desc(ring, 1, CTRL_GPA + 0x7f0, 1, F_WRITE, 0);
	ring_offer(ring, 0);
	virtio_notify(x->dev, q);
	if (ring_used_idx(ring) == before)
		return -1;
	return *ack;
}

#endif
