/* SPDX-License-Identifier: ISC */
/*
 * A back of a network link that does what the test says: packets to receive are a list,
 * sent ones are kept, and any operation can fail.
 */
#ifndef FAKE_NET_H
#define FAKE_NET_H

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "net.h"
#include "virtio_lent.h"

enum { FAKE_NET_LIST = 512, FAKE_NET_KEEP = 2048 };

struct fake_packet {
	unsigned pair;
	size_t len; /* with the header */
	uint8_t start[FAKE_NET_KEEP];
};

struct fake_net {
	struct net_back back;
	/* Byte i of a packet's data is (uint8_t)(fill + i). */
	struct {
		uint8_t hdr[NET_HDR_LEN];
		uint8_t start[18];
		size_t len; /* of the data */
		uint8_t fill;
	} rx[FAKE_NET_LIST];
	unsigned rx_first, rx_last;
	unsigned rx_pair; /* where they come */
	struct fake_packet tx[FAKE_NET_LIST];
	unsigned ntx;
	unsigned tx_room;      /* then -EAGAIN */
	unsigned recvs, sends; /* calls */
	unsigned fail_at, ops; /* the n-th operation fails with fail_with; 0: none */
	int fail_with;
	size_t last_room; /* of the last recv, without the header */
	bool want_rx[NET_QUEUES_MAX], want_tx[NET_QUEUES_MAX];
	unsigned offloads, pairs, frees;
	/* Rings that it was lent (info.rings). */
	bool ring_on[NET_QUEUES_MAX][NET_DIRS];
	struct virtio_lent ring[NET_QUEUES_MAX][NET_DIRS];
	uint16_t ring_next[NET_QUEUES_MAX][NET_DIRS]; /* where the next one stops */
	unsigned ring_starts, ring_stops;
};

static inline struct fake_net *
fake_net_of(struct net_back *b)
{
	return (struct fake_net *)(void *)b;
}

static inline int
fake_net_fails(struct fake_net *f)
{
	return ++f->ops == f->fail_at ? f->fail_with : 0;
}

static inline int
fake_net_send(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct fake_net *f = fake_net_of(b);
	struct fake_packet *p = &f->tx[f->ntx % FAKE_NET_LIST];
	int err = fake_net_fails(f);

	f->sends++;
	if (err)
		return err;
	if (f->tx_room == 0)
		return -EAGAIN;
	f->tx_room--;
	p->pair = pair;
	p->len = 0;
	for (unsigned i = 0; i < niov; i++)
		for (size_t k = 0; k < iov[i].iov_len; k++, p->len++)
			if (p->len < FAKE_NET_KEEP)
				p->start[p->len] = ((uint8_t *)iov[i].iov_base)[k];
	f->ntx++;
	return 0;
}

static inline size_t
fake_net_scatter(const struct iovec *iov, unsigned niov, size_t at, const uint8_t *from,
		 size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < niov && done < len; i++) {
		if (at >= iov[i].iov_len) {
			at -= iov[i].iov_len;
			continue;
		}
		size_t n = iov[i].iov_len - at;

		n = n < len - done ? n : len - done;
		memcpy((uint8_t *)iov[i].iov_base + at, from + done, n);
		done += n;
		at = 0;
	}
	return done;
}

static inline ssize_t
fake_net_recv(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	static const size_t max = NET_HDR_LEN + NET_PACKET_MAX;
	struct fake_net *f = fake_net_of(b);
	uint8_t buf[NET_HDR_LEN + NET_PACKET_MAX];
	size_t room = 0;
	int err = fake_net_fails(f);

	f->recvs++;
	for (unsigned i = 0; i < niov; i++)
		room += iov[i].iov_len;
	f->last_room = room - NET_HDR_LEN;
	if (err)
		return err;
	if (f->rx_first == f->rx_last || pair != f->rx_pair)
		return -EAGAIN;
	unsigned i = f->rx_first++ % FAKE_NET_LIST;
	size_t len = NET_HDR_LEN + f->rx[i].len;
	assert(len <= max);
	memcpy(buf, f->rx[i].hdr, NET_HDR_LEN);
	for (size_t k = 0; k < f->rx[i].len; k++)
		buf[NET_HDR_LEN + k] = (uint8_t)(f->rx[i].fill + k);
	memcpy(buf + NET_HDR_LEN, f->rx[i].start, f->rx[i].len < 18 ? f->rx[i].len : 18);
	size_t done = fake_net_scatter(iov, niov, 0, buf, len);
	return done < len ? -EMSGSIZE : (ssize_t)len;
}

static inline void
fake_net_want(struct net_back *b, unsigned pair, bool rx, bool tx)
{
	fake_net_of(b)->want_rx[pair] = rx;
	fake_net_of(b)->want_tx[pair] = tx;
}

static inline int
fake_net_set_rx_offloads(struct net_back *b, unsigned offloads)
{
	int err = fake_net_fails(fake_net_of(b));

	if (!err)
		fake_net_of(b)->offloads = offloads;
	return err;
}

static inline int
fake_net_set_pairs(struct net_back *b, unsigned pairs)
{
	int err = fake_net_fails(fake_net_of(b));

	if (!err)
		fake_net_of(b)->pairs = pairs;
	return err;
}

static inline int
fake_net_ring_start(struct net_back *b, unsigned pair, enum net_dir dir,
		    const struct virtio_lent *ring)
{
	struct fake_net *f = fake_net_of(b);
	int err = fake_net_fails(f);

	assert(!f->ring_on[pair][dir]);
	if (err)
		return err;
	f->ring_on[pair][dir] = true;
	f->ring[pair][dir] = *ring;
	f->ring_starts++;
	return 0;
}

static inline uint16_t
fake_net_ring_stop(struct net_back *b, unsigned pair, enum net_dir dir)
{
	struct fake_net *f = fake_net_of(b);

	assert(f->ring_on[pair][dir]);
	f->ring_on[pair][dir] = false;
	f->ring_stops++;
	return f->ring_next[pair][dir];
}

static inline void
fake_net_free(struct net_back *b)
{
	fake_net_of(b)->frees++;
}

static const struct net_back_ops fake_net_ops = {
	.send = fake_net_send,
	.recv = fake_net_recv,
	.want = fake_net_want,
	.set_rx_offloads = fake_net_set_rx_offloads,
	.set_pairs = fake_net_set_pairs,
	.ring_start = fake_net_ring_start,
	.ring_stop = fake_net_ring_stop,
	.free = fake_net_free,
};

static inline void
fake_net_init(struct fake_net *f, unsigned pairs, unsigned offloads)
{
	memset(f, 0, sizeof(*f));
	f->back.ops = &fake_net_ops;
	f->back.info = (struct net_info){
		.pairs = pairs,
		.rx_offloads = offloads,
		.tx_offloads = offloads,
		.mtu = 1500,
		.link = true,
	};
	f->tx_room = UINT32_MAX;
}

/* A packet for this address of len bytes; returns its number. */
static inline unsigned
fake_net_put(struct fake_net *f, const uint8_t mac[6], size_t len)
{
	unsigned i = f->rx_last++ % FAKE_NET_LIST;

	assert(f->rx_last - f->rx_first <= FAKE_NET_LIST);
	memset(&f->rx[i], 0, sizeof(f->rx[i]));
	f->rx[i].len = len;
	f->rx[i].fill = (uint8_t)(f->rx_last * 7);
	for (unsigned k = 0; k < 18; k++)
		f->rx[i].start[k] = (uint8_t)(f->rx[i].fill + k);
	memcpy(f->rx[i].start, mac, 6);
	f->rx[i].start[12] = 8; /* IPv4 */
	f->rx[i].start[13] = 0;
	return i;
}

/* As a back does from the loop. False: nobody wants to hear of it. */
static inline bool
fake_net_readable(struct fake_net *f)
{
	if (!f->want_rx[f->rx_pair] || f->rx_first == f->rx_last)
		return false;
	f->back.front->readable(f->back.dev, f->rx_pair);
	return true;
}

static inline bool
fake_net_writable(struct fake_net *f, unsigned pair)
{
	if (!f->want_tx[pair] || f->tx_room == 0)
		return false;
	f->back.front->writable(f->back.dev, pair);
	return true;
}

#endif
