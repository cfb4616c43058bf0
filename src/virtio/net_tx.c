/* SPDX-License-Identifier: ISC */
/*
 * virtio-net, from the guest (virtio 1.2, 5.1.6.2).
 *
 * A packet goes to the back straight from guest memory, but for its header: that is
 * copied once, checked against what was negotiated, and the copy is sent.  A back that is
 * full leaves the packet in the ring, and so does a limit; the driver does not ring
 * meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "net_priv.h"
#include "util.h"

enum { HDR_F_NEEDS_CSUM = 1 };

/*
 * The packet's header as the back gets it.  False: there is no packet, or it asks for
 * what was not negotiated.
 */
static bool
take_hdr(const struct net *net, const struct vq_chain *c, struct net_hdr *hdr)
{
	memset(hdr, 0, sizeof(*hdr));
	if (vq_chain_read(c, 0, hdr, net->hdr_len) < net->hdr_len)
		return false;
	uint64_t len = c->read_len - net->hdr_len;
	if (len < NET_FRAME_MIN || len > NET_PACKET_MAX)
		return false;
	if (!net_hdr_ok(hdr, net->tx_offloads))
		return false;
	/* The other flags are for the guest (5.1.6.2.1). */
	hdr->flags &= HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	/* Lengths and offsets that stand for nothing are not shown. */
	if (hdr->flags == 0 && hdr->gso_type == 0)
		memset(hdr, 0, sizeof(*hdr));
	return true;
}

/* 0: the chain is done with; -EAGAIN: it stays in the ring. */
static int
send_one(struct net_pair *p, const struct vq_chain *c)
{
	struct net *net = p->net;
	struct net_hdr hdr;

	if (!take_hdr(net, c, &hdr)) {
		net->stat.tx_dropped++;
		return 0;
	}
	uint64_t len = c->read_len - net->hdr_len;
	if (!net_limit_ok(p, NET_TX, len))
		return -EAGAIN;

	/* The guest's header makes way for the copy; net->iov has room for it before
	 * the first piece. */
	unsigned gone = net_iov_cut(c->iov, c->nread, net->hdr_len);
	struct iovec *iov = c->iov + gone - 1;
	iov[0] = (struct iovec){ .iov_base = &hdr, .iov_len = sizeof(hdr) };

	int err = net->back->ops->send(net->back, p->index, iov, 1 + c->nread - gone);
	if (err == -EAGAIN) {
		p->tx_full = true;
		return err;
	}
	if (err) {
		net->stat.tx_dropped++;
		return 0;
	}
	net_limit_charge(net, NET_TX, len);
	net->stat.tx_packets++;
	net->stat.tx_bytes += len;
	return 0;
}

/* One chain of the ring. False: that is all for now. */
static bool
serve_one(struct net_pair *p)
{
	struct net *net = p->net;
	struct virtqueue *vq = &net_queue(p, NET_TX)->vq;
	struct vq_chain c = { .iov = net->iov + 1, .iov_max = NET_QUEUE_SIZE };
	int n = virtqueue_pop(vq, &c);

	if (n < 0) {
		virtio_fail(&net->dev, "the ring of queue %u is broken",
			    2 * p->index + 1);
		return false;
	}
	if (n == 0) {
		if (!virtqueue_enable_notify(vq))
			return false;
		virtqueue_disable_notify(vq);
		return true;
	}
	if (send_one(p, &c)) {
		virtqueue_unpop(vq, &c);
		return false;
	}
	virtqueue_push(vq, c.head, 0);
	return true;
}

void
net_tx_run(struct net_pair *p)
{
	struct net *net = p->net;
	unsigned left = NET_PASS_PACKETS;

	if (!net_pair_on(p, NET_TX))
		return;
	p->tx_full = false;
	virtqueue_disable_notify(&net_queue(p, NET_TX)->vq);
	while (left > 0 && serve_one(p))
		left--;
	virtio_publish(&net->dev, 2 * p->index + 1);
	if (left == 0)
		reactor_defer(net->r, &p->tx_defer);
	net_want(p);
}

static void
on_defer(struct reactor_defer *d)
{
	net_tx_run(container_of(d, struct net_pair, tx_defer));
}

void
net_tx_stop(struct net_pair *p)
{
	reactor_defer_cancel(p->net->r, &p->tx_defer);
	p->tx_full = false;
	p->limited[NET_TX] = false;
}

void
net_tx_init(struct net_pair *p)
{
	p->tx_defer.cb = on_defer;
}
