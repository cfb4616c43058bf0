/* SPDX-License-Identifier: ISC */
/*
 * virtio-net, to the guest (virtio 1.2, 5.1.6.3 and 5.1.6.4).
 *
 * The back writes straight into the guest's buffers.  How long the next packet is nobody
 * knows before it is there, so a window of buffers that hold the largest is popped ahead
 * of it, and what a packet does not use stays for the next.
 *
 * A guest that has too few buffers for the largest packet holds up its own packets
 * until it offers more; the back is not asked then whether it has any, so nothing spins.
 * One that never has enough (a small ring) is given what fits, after LATE_NS.
 */
#include <errno.h>
#include <string.h>

#include "net_priv.h"
#include "util.h"

enum {
	LATE_NS = 10000000,
	/* A piece before the first for the header, and one that the back may add. */
	PIECES_MAX = NET_IOV_MAX - 1,
	BUFFER_MAX = 2 * NET_PACKET_MAX, /* what counts of one: sums stay small */
};

/* ---- the window ---- */

static unsigned
buffers(const struct net_window *w)
{
	return w->last - w->first;
}

static void
window_clear(struct net_window *w)
{
	w->at = w->end = 1;
	w->first = w->last = 0;
	w->len = 0;
	w->cut = false;
}

/* Moves everything to the front. */
static void
window_pack(struct net_window *w)
{
	memmove(w->iov + 1, w->iov + w->at, (w->end - w->at) * sizeof(w->iov[0]));
	w->end -= w->at - 1;
	w->at = 1;
	memmove(w->buf, w->buf + w->first, buffers(w) * sizeof(w->buf[0]));
	w->last -= w->first;
	w->first = 0;
}

/* Is there room for another buffer, of as many pieces as it may have? */
static bool
window_has_room(struct net_window *w, unsigned size)
{
	if (w->end + size > PIECES_MAX || w->last == NET_QUEUE_SIZE)
		window_pack(w);
	return w->end + size <= PIECES_MAX && w->last < NET_QUEUE_SIZE;
}

/* What is readable in a receive buffer has no meaning. */
static void
window_add(struct net_window *w, const struct vq_chain *c)
{
	memmove(c->iov, c->iov + c->nread, c->nwrite * sizeof(c->iov[0]));
	w->buf[w->last++] = (struct net_buffer){
		.head = c->head,
		.niov = (uint16_t)c->nwrite,
		.len = (uint32_t)(c->write_len < BUFFER_MAX ? c->write_len : BUFFER_MAX),
	};
	w->len += w->buf[w->last - 1].len;
	w->end += c->nwrite;
}

/* Gives the first buffer back with this many bytes in it. */
static void
window_push(struct net_pair *p, uint32_t len)
{
	struct net_window *w = &p->win;
	struct net_buffer *b = &w->buf[w->first++];

	virtqueue_push(&net_queue(p, NET_RX)->vq, b->head, len);
	w->at += b->niov;
	w->len -= b->len;
	w->cut = false;
	if (buffers(w) == 0)
		window_clear(w);
}

/*
 * Takes the header off the first buffer and remembers where it goes: it may be in as
 * many pieces as it has bytes.
 */
static void
window_cut(struct net_pair *p)
{
	struct net_window *w = &p->win;
	struct net_buffer *b = &w->buf[w->first];
	size_t left = p->net->hdr_len;

	w->nhdr = 0;
	for (struct iovec *v = w->iov + w->at; left > 0; v++) {
		size_t n = v->iov_len < left ? v->iov_len : left;

		w->hdr_at[w->nhdr++] =
			(struct iovec){ .iov_base = v->iov_base, .iov_len = n };
		left -= n;
	}
	unsigned gone = net_iov_cut(w->iov + w->at, b->niov, p->net->hdr_len);
	w->at += gone;
	b->niov = (uint16_t)(b->niov - gone);
	b->len -= p->net->hdr_len;
	w->len -= p->net->hdr_len;
	w->cut = true;
}

static void
write_hdr(const struct net_window *w, const struct net_hdr *hdr)
{
	const uint8_t *from = (const uint8_t *)hdr;

	for (unsigned i = 0; i < w->nhdr; i++) {
		memcpy(w->hdr_at[i].iov_base, from, w->hdr_at[i].iov_len);
		from += w->hdr_at[i].iov_len;
	}
}

/* ---- buffers from the driver ---- */

static bool
is_enough(struct net_pair *p)
{
	struct net_window *w = &p->win;

	if (buffers(w) == 0)
		return false;
	return !p->net->mergeable || w->len >= p->net->rx_need ||
	       !window_has_room(w, net_queue(p, NET_RX)->vq.size);
}

/* One buffer more. 0: the driver has none and will ring for the next. */
static int
take_buffer(struct net_pair *p)
{
	struct virtqueue *vq = &net_queue(p, NET_RX)->vq;
	struct net_window *w = &p->win;

	/* There is room: an empty window has it, another was asked by is_enough(). */
	struct vq_chain c = {
		.iov = w->iov + w->end,
		.iov_max = PIECES_MAX - w->end,
	};
	int n = virtqueue_pop(vq, &c);

	if (n == 0)
		return virtqueue_enable_notify(vq);
	if (n < 0)
		return n;
	window_add(w, &c);
	/* One that does not even take the header (5.1.6.3.1) is of no use. */
	if (c.write_len < p->net->hdr_len) {
		struct net_buffer b = w->buf[--w->last];

		w->end -= b.niov;
		w->len -= b.len;
		virtqueue_push(vq, b.head, 0);
		p->net->stat.rx_dropped++;
	}
	return 1;
}

/* False: the window has too little for a packet. */
static bool
fill_window(struct net_pair *p)
{
	/* Buffers of no use cost a turn each; a driver may offer them without end. */
	unsigned turns = 2 * NET_QUEUE_SIZE;

	while (!is_enough(p)) {
		int n = turns-- > 0 ? take_buffer(p) : 0;

		if (n < 0) {
			virtio_fail(&p->net->dev, "the ring of queue %u is broken",
				    2 * p->index);
			return false;
		}
		if (n == 0) {
			p->rx_starved = true;
			return p->rx_late && buffers(&p->win) > 0;
		}
	}
	if (p->rx_starved || !net_queue(p, NET_RX)->vq.quiet)
		virtqueue_disable_notify(&net_queue(p, NET_RX)->vq);
	p->rx_starved = false;
	p->rx_late = false;
	p->rx_waiting = false;
	reactor_timer_cancel(p->net->r, &p->rx_timer);
	return true;
}

/* ---- packets ---- */

/* The first bytes of what lies in the window, zeroes behind its end. */
static void
peek(const struct net_window *w, size_t len, uint8_t frame[NET_FRAME_PEEK])
{
	const struct iovec *v = w->iov + w->at;
	size_t done = 0;

	memset(frame, 0, NET_FRAME_PEEK);
	if (len > NET_FRAME_PEEK)
		len = NET_FRAME_PEEK;
	for (; done < len; v++) {
		size_t n = v->iov_len < len - done ? v->iov_len : len - done;

		memcpy(frame + done, v->iov_base, n);
		done += n;
	}
}

/* Gives the driver a packet of len bytes that lies in the window. */
static void
deliver(struct net_pair *p, struct net_hdr *hdr, size_t len)
{
	struct net *net = p->net;
	struct net_window *w = &p->win;
	uint16_t n = 0;
	size_t left = len;

	for (unsigned i = w->first; n == 0 || left > 0; i++, n++)
		left -= w->buf[i].len < left ? w->buf[i].len : left;
	/* 5.1.6.4.1: 1 without MRG_RXBUF, and with 10 bytes nobody sees it. */
	hdr->num_buffers = n;
	/* 5.1.6.4.1: flags are zero without GUEST_CSUM. */
	if (!(net->rx_offloads & NET_OFFLOAD_CSUM))
		hdr->flags = 0;
	write_hdr(w, hdr);

	uint32_t extra = net->hdr_len;
	left = len;
	for (; n > 0; n--) {
		uint32_t most = w->buf[w->first].len;
		uint32_t used = most < left ? most : (uint32_t)left;

		left -= used;
		window_push(p, used + extra);
		extra = 0;
	}
	net->stat.rx_packets++;
	net->stat.rx_bytes += len;
}

/* How many bytes a packet may have now. */
static uint64_t
room(const struct net_pair *p)
{
	const struct net_window *w = &p->win;
	uint64_t len = p->net->mergeable ? w->len : w->buf[w->first].len;

	return len < NET_PACKET_MAX ? len : NET_PACKET_MAX;
}

/* Is this for the guest, and did it say that it can take it? */
static bool
is_welcome(struct net_pair *p, const struct net_hdr *hdr, size_t len)
{
	struct net *net = p->net;
	uint8_t frame[NET_FRAME_PEEK];

	/* What waited in the back may be from before the guest changed its mind. */
	if (len < NET_FRAME_MIN || len > room(p) || !net_hdr_ok(hdr, net->rx_offloads)) {
		net->stat.rx_dropped++;
		return false;
	}
	peek(&p->win, len, frame);
	if (!net_filter_pass(&net->filter, frame)) {
		net->stat.rx_filtered++;
		return false;
	}
	return true;
}

/* One packet. False: there is none. */
static bool
receive(struct net_pair *p)
{
	struct net *net = p->net;
	struct net_window *w = &p->win;
	struct net_hdr hdr = { 0 };

	if (!w->cut)
		window_cut(p);
	unsigned niov = net->mergeable ? w->end - w->at : w->buf[w->first].niov;
	struct iovec *iov = w->iov + w->at - 1;
	iov[0] = (struct iovec){ .iov_base = &hdr, .iov_len = sizeof(hdr) };

	ssize_t n = net->back->ops->recv(net->back, p->index, iov, 1 + niov);
	if (n == -EAGAIN)
		return false;
	/* -EMSGSIZE, or the back is not what it should be. */
	size_t len = n < (ssize_t)sizeof(hdr) ? 0 : (size_t)n - sizeof(hdr);
	if (!is_welcome(p, &hdr, len))
		return true;
	net_limit_charge(net, NET_RX, len);
	deliver(p, &hdr, len);
	return true;
}

/* If some buffers are there but too few, they will have to do after a while. */
static void
wait_for_buffers(struct net_pair *p)
{
	struct net *net = p->net;

	if (net_pair_on(p, NET_RX) && p->rx_starved && !p->rx_late &&
	    buffers(&p->win) > 0 && !p->rx_waiting) {
		p->rx_waiting = true;
		reactor_timer_set(net->r, &p->rx_timer, reactor_now_ns(net->r) + LATE_NS);
	}
}

void
net_rx_run(struct net_pair *p)
{
	if (!net_pair_on(p, NET_RX))
		return;
	unsigned left = NET_PASS_PACKETS;
	while (left > 0 && net_limit_ok(p, NET_RX, 1) && fill_window(p) && receive(p))
		left--;
	/* What is left after that many, the back tells of again; but for that it has to
	 * be known who waits for whom. */
	if (left == 0)
		fill_window(p);
	virtio_publish(&p->net->dev, 2 * p->index);
	wait_for_buffers(p);
	net_want(p);
}

static void
on_late(struct reactor_timer *t)
{
	struct net_pair *p = container_of(t, struct net_pair, rx_timer);

	p->rx_waiting = false;
	p->rx_late = true;
	net_rx_run(p);
}

void
net_rx_stop(struct net_pair *p)
{
	reactor_timer_cancel(p->net->r, &p->rx_timer);
	window_clear(&p->win);
	p->rx_starved = false;
	p->rx_late = false;
	p->rx_waiting = false;
	p->limited[NET_RX] = false;
}

void
net_rx_init(struct net_pair *p)
{
	p->rx_timer.cb = on_late;
	window_clear(&p->win);
}
