/* SPDX-License-Identifier: ISC */
/*
 * virtio-net (virtio 1.2, section 5.1): the device.  What it offers follows from what the
 * back can do; packets are in net_rx.c and net_tx.c, or in nobody's hands here but the
 * rings as a whole (net_ring.c), commands in net_ctrl.c.
 *
 * Everything is served within one call: no packet is ever in flight on either side, so
 * stop() has nothing to wait for.  Each direction of each pair waits for its own reason:
 * for buffers (the driver rings), for the back (readable, writable), or for tokens (a
 * timer).  One that waits asks for nothing else, so no direction can hold up another, and
 * nothing spins.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"
#include "util.h"

enum {
	NET_ID = 1,
	NET_LEGACY_PCI_ID = 0x1000,
	NET_PCI_CLASS = 0x020000, /* Ethernet */
	LEGACY_HDR_LEN = 10,      /* without num_buffers (5.1.6.1) */
};

/* ---- what runs ---- */

unsigned
net_iov_cut(struct iovec *iov, unsigned niov, size_t n)
{
	unsigned gone = 0;

	while (gone < niov && n >= iov[gone].iov_len)
		n -= iov[gone++].iov_len;
	if (gone < niov) {
		iov[gone].iov_base = (uint8_t *)iov[gone].iov_base + n;
		iov[gone].iov_len -= n;
	}
	return gone;
}

void
net_want(struct net_pair *p)
{
	const struct net_window *w = &p->win;
	bool rx = net_pair_on(p, NET_RX) && !p->limited[NET_RX] && w->last > w->first &&
		  (!p->rx_starved || p->rx_late);
	bool tx = net_pair_on(p, NET_TX) && p->tx_full;

	if (rx == p->want_rx && tx == p->want_tx)
		return;
	p->want_rx = rx;
	p->want_tx = tx;
	p->net->back->ops->want(p->net->back, p->index, rx, tx);
}

bool
net_limit_ok(struct net_pair *p, enum net_dir dir, uint64_t len)
{
	struct net *net = p->net;

	if (!rate_limit_is_on(net->limit[dir]))
		return true;
	uint64_t now = reactor_now_ns(net->r);
	uint64_t at = rate_limit_ready_ns(net->limit[dir], len, 1, now);

	p->limited[dir] = at > now;
	if (at > now)
		reactor_timer_set(net->r, &net->limit_timer[dir], at);
	return at <= now;
}

void
net_limit_charge(struct net *net, enum net_dir dir, uint64_t len)
{
	if (rate_limit_is_on(net->limit[dir]))
		rate_limit_charge(net->limit[dir], len, 1, reactor_now_ns(net->r));
}

static void
go_on(struct net *net, enum net_dir dir)
{
	unsigned first = net->turn[dir]++;

	/* Each time another one comes first: what there is may be enough for one only. */
	for (unsigned i = 0; i < net->pairs_max; i++) {
		struct net_pair *p = &net->pair[(first + i) % net->pairs_max];

		if (!p->limited[dir])
			continue;
		p->limited[dir] = false;
		if (dir == NET_RX)
			net_rx_run(p);
		else
			net_tx_run(p);
	}
}

static void
on_rx_tokens(struct reactor_timer *t)
{
	go_on(container_of(t, struct net, limit_timer[NET_RX]), NET_RX);
}

static void
on_tx_tokens(struct reactor_timer *t)
{
	go_on(container_of(t, struct net, limit_timer[NET_TX]), NET_TX);
}

/* ---- from the back ---- */

static void
readable(void *dev, unsigned pair)
{
	struct net *net = dev;

	assert(pair < net->pairs_max);
	net_rx_run(&net->pair[pair]);
}

static void
writable(void *dev, unsigned pair)
{
	struct net *net = dev;

	assert(pair < net->pairs_max);
	net_tx_run(&net->pair[pair]);
}

static void
link_changed(void *dev)
{
	struct net *net = dev;
	uint16_t status = 0;
	uint8_t buf[2];

	if (net->back->info.link)
		status = NET_STATUS_LINK_UP;
	/* Behind the link there may be other switches now (5.1.6.5.4). */
	if (status && virtio_has(&net->dev, NET_F_GUEST_ANNOUNCE))
		status |= NET_STATUS_ANNOUNCE;
	le16_put(buf, status);
	virtio_config_change(&net->dev, NET_CONFIG_STATUS, buf, sizeof(buf));
}

static void
ring_broken(void *dev)
{
	struct net *net = dev;

	virtio_fail(&net->dev, "a ring of packets is broken");
}

static const struct net_front_ops front_ops = {
	.readable = readable,
	.writable = writable,
	.link = link_changed,
	.broken = ring_broken,
};

/* ---- the device ---- */

static void
pair_stop(struct net_pair *p)
{
	net_rx_stop(p);
	net_tx_stop(p);
	net_want(p);
}

static int
set_pairs(struct net *net, unsigned pairs)
{
	return net->back->ops->set_pairs ? net->back->ops->set_pairs(net->back, pairs)
					 : 0;
}

int
net_set_active(struct net *net, unsigned pairs)
{
	unsigned old = net->active;
	int err = set_pairs(net, pairs);

	if (err)
		return err;
	net->active = pairs;
	err = net_rings_update(net);
	if (err) {
		/* Fewer than before cannot fail. */
		net->active = old;
		net_rings_update(net);
		(void)set_pairs(net, old);
		return err;
	}
	/* What the others hold of their queues they keep; they go on from there. */
	for (unsigned i = pairs; i < old; i++)
		net_want(&net->pair[i]);
	for (unsigned i = old; i < pairs; i++) {
		net_rx_run(&net->pair[i]);
		/* Later: a command of the guest may be in hand, with its memory. */
		reactor_defer(net->r, &net->pair[i].tx_defer);
	}
	return 0;
}

static int
start(struct virtio_device *dev)
{
	struct net *net = net_of(dev);
	bool modern = virtio_has(dev, VIRTIO_F_VERSION_1);
	int err;

	net->mergeable = virtio_has(dev, NET_F_MRG_RXBUF);
	net->hdr_len = modern || net->mergeable ? NET_HDR_LEN : LEGACY_HDR_LEN;
	net->pairs = virtio_has(dev, NET_F_MQ) ? net->pairs_max : 1;
	net->tx_offloads = net_tx_offloads_of(dev->features);
	net_filter_reset(&net->filter, net->config + NET_CONFIG_MAC,
			 virtio_has(dev, NET_F_CTRL_VLAN));
	err = net_set_guest_offloads(net, dev->features);
	if (!err)
		err = set_pairs(net, 1);
	if (err)
		return err;
	net->active = 1;
	err = net_rings_update(net);
	if (err) {
		net->active = 0;
		net_rings_update(net);
	}
	return err;
}

static void
stop(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	net->active = 0;
	net_rings_update(net);
	for (unsigned i = 0; i < net->pairs_max; i++)
		pair_stop(&net->pair[i]);
	for (unsigned i = 0; i < NET_DIRS; i++)
		reactor_timer_cancel(net->r, &net->limit_timer[i]);
	reactor_defer_cancel(net->r, &net->ctrl_defer);
}

/* The pair that has this queue, or NULL: it is the control queue, or nobody's. */
static struct net_pair *
pair_of(struct net *net, unsigned queue)
{
	return queue / 2 < net->pairs ? &net->pair[queue / 2] : NULL;
}

static void
queue_stop(struct virtio_device *dev, unsigned queue)
{
	struct net *net = net_of(dev);
	struct net_pair *p = pair_of(net, queue);

	if (!p) {
		reactor_defer_cancel(net->r, &net->ctrl_defer);
		return;
	}
	net_ring_stop(p, queue % 2);
	if (queue % 2 == NET_RX)
		net_rx_stop(p);
	else
		net_tx_stop(p);
	net_want(p);
}

/* Packets that are ours to move wait for the doorbell, which comes next. */
static void
queue_start(struct virtio_device *dev, unsigned queue)
{
	int err = net_rings_update(net_of(dev));

	if (err)
		virtio_fail(dev, "queue %u: %s", queue, strerror(-err));
}

static void
failed(struct virtio_device *dev)
{
	net_rings_update(net_of(dev));
}

static void
queue_notify(struct virtio_device *dev, unsigned queue)
{
	struct net *net = net_of(dev);
	struct net_pair *p = pair_of(net, queue);

	if (queue == net_ctrl_queue(net))
		net_ctrl_run(net);
	else if (p && queue % 2 == NET_TX)
		net_tx_run(p);
	else if (p && (p->rx_starved || p->win.last == p->win.first))
		net_rx_run(p);
}

/* Old drivers set the address so (5.1.4.1); it is theirs until the reset. */
static void
config_write(struct virtio_device *dev, unsigned off, unsigned len, uint32_t val)
{
	struct net *net = net_of(dev);
	uint8_t buf[4];

	if (!dev->legacy || !range_ok(off, len, NET_MAC_LEN))
		return;
	le32_put(buf, val);
	virtio_config_put(dev, NET_CONFIG_MAC + off, buf, len);
	memcpy(net->filter.own, net->config + NET_CONFIG_MAC, NET_MAC_LEN);
}

static void
reset(struct virtio_device *dev)
{
	struct net *net = net_of(dev);
	uint8_t status[2];

	virtio_config_put(dev, NET_CONFIG_MAC, net->mac, NET_MAC_LEN);
	le16_put(status, net->back->info.link ? NET_STATUS_LINK_UP : 0);
	virtio_config_put(dev, NET_CONFIG_STATUS, status, sizeof(status));
}

#define COUNTER(member) \
	{ \
#member, offsetof(struct net, stat.member) \
	}

static const struct virtio_counter counters[] = {
	COUNTER(rx_packets), COUNTER(rx_bytes), COUNTER(rx_dropped), COUNTER(rx_filtered),
	COUNTER(tx_packets), COUNTER(tx_bytes), COUNTER(tx_dropped), { NULL, 0 },
};

/* Nobody tells us of packets that do not pass through here. */
static const struct virtio_counter counters_rings[] = {
	{ "rx_packets", VIRTIO_UNCOUNTED },
	{ "rx_bytes", VIRTIO_UNCOUNTED },
	{ "rx_dropped", VIRTIO_UNCOUNTED },
	{ "tx_packets", VIRTIO_UNCOUNTED },
	{ "tx_bytes", VIRTIO_UNCOUNTED },
	{ "tx_dropped", VIRTIO_UNCOUNTED },
	{ "rings_started", offsetof(struct net, dev.stat.lent) },
	{ "rings_stopped", offsetof(struct net, dev.stat.reclaimed) },
	{ "interrupts_forwarded", offsetof(struct net, dev.stat.forwarded) },
	{ NULL, 0 },
};

static const struct virtio_type net_type = {
	.name = "net",
	.id = NET_ID,
	.legacy_pci_id = NET_LEGACY_PCI_ID,
	.pci_class = NET_PCI_CLASS,
	.counter = counters,
	.features_ok = net_features_ok,
	.start = start,
	.stop = stop,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_notify = queue_notify,
	.failed = failed,
	.config_write = config_write,
	.reset = reset,
};

static void
init_limits(struct net *net, const struct net_config *cfg)
{
	uint64_t now = reactor_now_ns(net->r);

	for (unsigned i = 0; i < NET_DIRS; i++) {
		rate_limit_init(&net->limits[i], &cfg->limit, now);
		net->limit[i] = &net->limits[cfg->limit_shared ? 0 : i];
	}
	net->limit_timer[NET_RX].cb = on_rx_tokens;
	net->limit_timer[NET_TX].cb = on_tx_tokens;
}

static void
init_config(struct net *net, const struct net_config *cfg)
{
	const struct net_info *info = &net->back->info;

	memcpy(net->mac, cfg->mac, NET_MAC_LEN);
	memcpy(net->config + NET_CONFIG_MAC, cfg->mac, NET_MAC_LEN);
	le16_put(net->config + NET_CONFIG_STATUS, info->link ? NET_STATUS_LINK_UP : 0);
	le16_put(net->config + NET_CONFIG_PAIRS, (uint16_t)net->pairs_max);
	le16_put(net->config + NET_CONFIG_MTU, cfg->mtu ? cfg->mtu : info->mtu);
}

int
net_new(const struct memory *mem, struct reactor *r, struct net_back *back,
	const struct net_config *cfg, struct net **ret)
{
	struct net *net = calloc(1, sizeof(*net));

	assert(back->info.pairs >= 1 && back->info.pairs <= NET_QUEUES_MAX);
	if (!net)
		return -ENOMEM;
	net->pair = calloc(back->info.pairs, sizeof(*net->pair));
	if (!net->pair) {
		free(net);
		return -ENOMEM;
	}
	net->r = r;
	net->back = back;
	net->pairs_max = back->info.pairs;
	for (unsigned i = 0; i < net->pairs_max; i++) {
		net->pair[i].net = net;
		net->pair[i].index = i;
		net_rx_init(&net->pair[i]);
		net_tx_init(&net->pair[i]);
	}
	net_ctrl_init(net);
	init_limits(net, cfg);
	init_config(net, cfg);
	for (unsigned i = 0; i < ARRAY_SIZE(net->queue); i++)
		net->queue[i].size_max = NET_QUEUE_SIZE;

	const struct virtio_desc desc = {
		.type = &net_type,
		.name = cfg->name,
		.mem = mem,
		.features = net_features_offered(net),
		.queue = net->queue,
		.nqueue = 2 * net->pairs_max + 1,
		.config = net->config,
		.config_len = NET_CONFIG_LEN,
	};
	virtio_device_init(&net->dev, &desc);
	net->dev.offered &= ~back->info.rings_lack;
	if (back->info.rings)
		net->dev.counter = counters_rings;
	back->dev = net;
	back->front = &front_ops;
	*ret = net;
	return 0;
}

struct virtio_device *
net_device(struct net *net)
{
	return &net->dev;
}

void
net_free(struct net *net)
{
	if (!net)
		return;
	for (unsigned i = 0; i < net->pairs_max; i++)
		pair_stop(&net->pair[i]);
	net->back->ops->free(net->back);
	free(net->pair);
	free(net);
}
