/* SPDX-License-Identifier: ISC */
/*
 * virtio-net from the inside: net.c (the device), net_rx.c, net_tx.c (a queue pair each
 * way), net_ring.c (where these are the back's to serve) and net_ctrl.c (the control queue
 * and what it sets).
 */
#ifndef VMM_NET_PRIV_H
#define VMM_NET_PRIV_H

#include "net.h"
#include "ratelimit.h"
#include "reactor.h"
#include "virtio.h"
#include "virtio_dev.h"

/* Feature bits (virtio 1.2, 5.1.3). */
#define NET_F_CSUM (UINT64_C(1) << 0)
#define NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (UINT64_C(1) << 2)
#define NET_F_MTU (UINT64_C(1) << 3)
#define NET_F_MAC (UINT64_C(1) << 5)
#define NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define NET_F_GUEST_TSO6 (UINT64_C(1) << 8)
#define NET_F_GUEST_ECN (UINT64_C(1) << 9)
#define NET_F_HOST_TSO4 (UINT64_C(1) << 11)
#define NET_F_HOST_TSO6 (UINT64_C(1) << 12)
#define NET_F_HOST_ECN (UINT64_C(1) << 13)
#define NET_F_MRG_RXBUF (UINT64_C(1) << 15)
#define NET_F_STATUS (UINT64_C(1) << 16)
#define NET_F_CTRL_VQ (UINT64_C(1) << 17)
#define NET_F_CTRL_RX (UINT64_C(1) << 18)
#define NET_F_CTRL_VLAN (UINT64_C(1) << 19)
#define NET_F_CTRL_RX_EXTRA (UINT64_C(1) << 20)
#define NET_F_GUEST_ANNOUNCE (UINT64_C(1) << 21)
#define NET_F_MQ (UINT64_C(1) << 22)
#define NET_F_CTRL_MAC_ADDR (UINT64_C(1) << 23)
#define NET_F_GUEST_USO4 (UINT64_C(1) << 54)
#define NET_F_GUEST_USO6 (UINT64_C(1) << 55)
#define NET_F_HOST_USO (UINT64_C(1) << 56)

/* The configuration space (5.1.4). */
enum {
	NET_CONFIG_MAC = 0,
	NET_CONFIG_STATUS = 6,
	NET_CONFIG_PAIRS = 8,
	NET_CONFIG_MTU = 10,
	NET_CONFIG_LEN = 12,

	NET_STATUS_LINK_UP = 1,
	NET_STATUS_ANNOUNCE = 2,
};

enum {
	NET_MAC_LEN = 6,
	NET_VLANS = 4096,
	NET_MACS_MAX = 64, /* in the table of either kind; more: all of that kind */
	NET_FRAME_MIN = 14,
	NET_FRAME_PEEK = 18, /* what filters look at: the header with a VLAN tag */
	NET_QUEUE_SIZE = 256,
	NET_IOV_MAX = 1024,    /* of one system call */
	NET_PASS_PACKETS = 64, /* of one queue before others have their turn */
};

/* What the back fills in and is given, always 12 bytes (5.1.6). */
struct net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
_Static_assert(sizeof(struct net_hdr) == NET_HDR_LEN, "as in memory");

/* What the guest wants to hear of (5.1.6.5). */
struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool vlans_on;            /* the table below counts */
	uint8_t own[NET_MAC_LEN]; /* the device's address */
	bool uni_overflow;        /* the guest has more than the table */
	bool multi_overflow;
	unsigned nuni, nmulti;
	uint8_t uni[NET_MACS_MAX][NET_MAC_LEN];
	uint8_t multi[NET_MACS_MAX][NET_MAC_LEN];
	uint64_t vlan[NET_VLANS / 64];
};

/* A receive buffer of the guest that waits for a packet. */
struct net_buffer {
	uint16_t head;
	uint16_t niov;
	uint32_t len; /* what is left of it for the packet */
};

/*
 * Receive buffers, popped ahead of the packets so that a large one finds enough of
 * them.  They are kept between packets and dropped when the queue stops.
 */
struct net_window {
	struct iovec iov[NET_IOV_MAX]; /* pieces at .. end; one before them is free */
	struct net_buffer buf[NET_QUEUE_SIZE]; /* first .. last */
	unsigned at, end;
	unsigned first, last;
	uint64_t len;                     /* of all buffers */
	bool cut;                         /* the first has its header taken off: */
	struct iovec hdr_at[NET_HDR_LEN]; /* where it goes */
	unsigned nhdr;
};

struct net_pair {
	struct net *net;
	unsigned index;
	bool rx_starved;        /* waits for buffers, the driver will ring */
	bool rx_waiting;        /* for more of them, so long */
	bool rx_late;           /* has waited long enough: goes on with few buffers */
	bool tx_full;           /* waits for the back */
	bool limited[NET_DIRS]; /* waits for tokens */
	bool want_rx, want_tx;  /* what the back was told last */
	bool lent[NET_DIRS];    /* the back serves the ring */
	struct reactor_timer rx_timer; /* until rx_late */
	struct reactor_defer tx_defer;
	struct net_window win;
};

struct net {
	struct virtio_device dev;
	struct virtio_queue queue[2 * NET_QUEUES_MAX + 1];
	struct reactor *r;
	struct net_back *back;
	uint8_t config[NET_CONFIG_LEN];
	uint8_t mac[NET_MAC_LEN]; /* as configured; a reset brings it back */
	unsigned pairs_max;
	/* Settled at start(): */
	unsigned pairs;       /* that have queues */
	unsigned active;      /* of them, that carry packets */
	unsigned hdr_len;     /* 12; 10 by the legacy interface without MRG_RXBUF */
	bool mergeable;       /* a packet may take several buffers */
	uint64_t rx_need;     /* bytes of buffers for the largest packet */
	unsigned rx_offloads; /* enum net_offload */
	unsigned tx_offloads;
	struct net_filter filter;
	struct rate_limit *limit[NET_DIRS]; /* one for both, if it is shared */
	struct rate_limit limits[NET_DIRS];
	struct reactor_timer limit_timer[NET_DIRS];
	unsigned turn[NET_DIRS]; /* who comes first when there are tokens */
	struct reactor_defer ctrl_defer;
	struct {
		uint64_t rx_packets, rx_bytes, rx_dropped, rx_filtered;
		uint64_t tx_packets, tx_bytes, tx_dropped;
	} stat;
	struct iovec iov[1 + NET_QUEUE_SIZE]; /* of the packet or command at hand */
	struct net_pair *pair;                /* pairs_max of them */
};

static inline struct net *
net_of(struct virtio_device *dev)
{
	return (struct net *)(void *)dev;
}

static inline struct virtio_queue *
net_queue(struct net_pair *p, enum net_dir dir)
{
	return &p->net->queue[2 * p->index + dir];
}

/* May packets of this pair go this way? */
static inline bool
net_queue_on(struct net_pair *p, enum net_dir dir)
{
	const struct virtio_queue *q = net_queue(p, dir);

	return p->net->dev.live && p->index < p->net->active && q->enabled &&
	       !q->vq.broken;
}

/* And are they ours to move? */
static inline bool
net_pair_on(struct net_pair *p, enum net_dir dir)
{
	return !p->net->back->info.rings && net_queue_on(p, dir);
}

/* ---- net.c ---- */

/* Tells the back what this pair waits for, if that changed. */
void net_want(struct net_pair *p);

/* How many pairs carry packets from now on. 0 or -errno. */
int net_set_active(struct net *net, unsigned pairs);

/* False: the packet has to wait for tokens, a timer is set. */
bool net_limit_ok(struct net_pair *p, enum net_dir dir, uint64_t len);
/* Takes the tokens of what has been moved. */
void net_limit_charge(struct net *net, enum net_dir dir, uint64_t len);

/* Cuts n bytes off the beginning of pieces; how many are gone as a whole. */
unsigned net_iov_cut(struct iovec *iov, unsigned niov, size_t n);

/* ---- net_features.c ---- */

/* Of the device and its back. */
uint64_t net_features_offered(const struct net *net);

/* struct virtio_type */
bool net_features_ok(struct virtio_device *dev, uint64_t features);

/* What the guest may ask for in the headers of what it sends: enum net_offload. */
unsigned net_tx_offloads_of(uint64_t features);

/* What the guest takes on receive from now on: feature bits. 0 or -errno. */
int net_set_guest_offloads(struct net *net, uint64_t features);

/* Does the header ask for no more than is allowed (enum net_offload)? */
bool net_hdr_ok(const struct net_hdr *hdr, unsigned allowed);

/* ---- net_ring.c: where the back serves the rings ---- */

/* Lends it those that may carry packets, and takes back the others.  -errno: one of the
 * first kind it does not serve. */
int net_rings_update(struct net *net);

/* Takes one back that is lent. */
void net_ring_stop(struct net_pair *p, enum net_dir dir);

/* ---- net_rx.c, net_tx.c ---- */

void net_rx_run(struct net_pair *p);
void net_rx_stop(struct net_pair *p);
void net_rx_init(struct net_pair *p);

void net_tx_run(struct net_pair *p);
void net_tx_stop(struct net_pair *p);
void net_tx_init(struct net_pair *p);

/* ---- net_ctrl.c ---- */

void net_ctrl_run(struct net *net);
void net_ctrl_init(struct net *net);

/* Its queue among those of the device; UINT_MAX: there is none. */
unsigned net_ctrl_queue(const struct net *net);

/* Everything passes. */
void net_filter_reset(struct net_filter *f, const uint8_t mac[NET_MAC_LEN],
		      bool vlans_on);

/* frame: the first NET_FRAME_PEEK bytes of a packet. */
bool net_filter_pass(const struct net_filter *f, const uint8_t *frame);

#endif
