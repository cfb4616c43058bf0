/* SPDX-License-Identifier: ISC */
/*
 * A network link, as its back (a tap, libslirp, a socket) offers it to a device model.
 *
 * Packets travel with a struct virtio_net_hdr of 12 bytes before them (virtio 1.2, 5.1.6,
 * num_buffers included, which the back ignores and the front sets).  A back without
 * offloads zeroes it on receive and is only given packets that need none.
 *
 * The front pulls: it asks for a packet when it has room for one, so no side ever buffers
 * without bound.  The back is told whether the front wants to hear of packets (rx) and of
 * room to send (tx); it calls readable() and writable() only then, level-triggered.
 * Each direction goes on whatever the other does.
 *
 * Some backs can take packets from the guest's rings themselves (info.rings).  The front
 * sees no packet of theirs; it lends them the rings and takes them back.
 *
 * Reactor thread only.
 */
#ifndef VMM_NET_H
#define VMM_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct net_back;
struct virtio_lent;

enum {
	NET_HDR_LEN = 12,
	NET_QUEUES_MAX = 16,         /* pairs */
	NET_PACKET_MAX = 65536 + 64, /* a TSO segment with its headers */
};

enum net_dir { NET_RX, NET_TX, NET_DIRS };

enum net_offload {
	NET_OFFLOAD_CSUM = 1 << 0,
	NET_OFFLOAD_TSO4 = 1 << 1,
	NET_OFFLOAD_TSO6 = 1 << 2,
	NET_OFFLOAD_ECN = 1 << 3,
	NET_OFFLOAD_USO4 = 1 << 4,
	NET_OFFLOAD_USO6 = 1 << 5,
};

/* Set by the front when it is made. From the loop, not from within a call to the back. */
struct net_front_ops {
	void (*readable)(void *dev, unsigned pair);
	void (*writable)(void *dev, unsigned pair);
	/* The link went up or down: info.link is the new state. */
	void (*link)(void *dev);
	/* A ring that the back serves cannot be right. */
	void (*broken)(void *dev);
};

struct net_back_ops {
	/*
	 * Sends one packet, header first.  0: it is gone, or is lost as packets are;
	 * -EAGAIN: the back is full, try again at writable().  Any other -errno: it was
	 * refused, and will be again.
	 */
	int (*send)(struct net_back *b, unsigned pair, const struct iovec *iov,
		    unsigned niov);
	/*
	 * Receives one packet, header first: how many bytes, or -EAGAIN.  One that does
	 * not fit is dropped (-EMSGSIZE): go on with the next.
	 */
	ssize_t (*recv)(struct net_back *b, unsigned pair, const struct iovec *iov,
			unsigned niov);
	/* What the front of this pair waits for. */
	void (*want)(struct net_back *b, unsigned pair, bool rx, bool tx);
	/* What the guest takes on receive: of info.rx_offloads. May be NULL if that is 0. */
	int (*set_rx_offloads)(struct net_back *b, unsigned offloads);
	/* How many pairs are in use, of info.pairs. May be NULL if that is 1. */
	int (*set_pairs)(struct net_back *b, unsigned pairs);
	/*
	 * Where info.rings is set, in place of send, recv and want: the back serves this
	 * ring from now on.  -errno, and it does not.
	 */
	int (*ring_start)(struct net_back *b, unsigned pair, enum net_dir dir,
			  const struct virtio_lent *ring);
	/* On return it touches no memory of the guest for this ring; the entry of the
	 * available ring that would have been next. */
	uint16_t (*ring_stop)(struct net_back *b, unsigned pair, enum net_dir dir);
	void (*free)(struct net_back *b);
};

struct net_info {
	unsigned pairs;       /* of queues that the back can serve */
	unsigned rx_offloads; /* enum net_offload: what received packets may need */
	unsigned tx_offloads; /* what sent packets may need */
	uint16_t mtu;         /* 0: not known */
	bool link;
	bool rings;          /* serves rings itself */
	uint64_t rings_lack; /* features that it cannot serve them with */
};

/* Embedded by the back; front and dev are set by the front. */
struct net_back {
	const struct net_back_ops *ops;
	struct net_info info;
	const struct net_front_ops *front; /* NULL: nobody listens yet */
	void *dev;
};

#endif
