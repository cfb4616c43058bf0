/* SPDX-License-Identifier: ISC */
/*
 * virtio-net: the control queue (virtio 1.2, 5.1.6.5), and the filters that it sets.
 *
 * A command is a row of a table, with the feature that it needs and the least bytes that
 * it has.  What is not in the table, was not negotiated, or is too short gets
 * VIRTIO_NET_ERR and changes nothing.
 */
#include <limits.h>
#include <string.h>

#include "net_priv.h"
#include "util.h"

enum {
	CTRL_HDR_LEN = 2, /* class, command */
	CTRL_OK = 0,
	CTRL_ERR = 1,
	CTRL_PASS = 16,    /* commands before others have their turn */
	CTRL_DATA_MAX = 8, /* of all but the MAC table */
	MAC_TABLE_HDR_LEN = 4,
	VLAN_ID_MASK = 0xfff,
	ETHERTYPE_VLAN = 0x8100,
};

/* A command: its fixed data, and the chain for who needs more. */
struct command {
	const struct vq_chain *chain;
	uint8_t data[CTRL_DATA_MAX];
};

/* ---- filters ---- */

void
net_filter_reset(struct net_filter *f, const uint8_t mac[NET_MAC_LEN], bool vlans_on)
{
	*f = (struct net_filter){ .promisc = true, .vlans_on = vlans_on };
	memcpy(f->own, mac, NET_MAC_LEN);
}

static bool
in_table(const uint8_t table[][NET_MAC_LEN], unsigned n, const uint8_t *mac)
{
	for (unsigned i = 0; i < n; i++)
		if (memcmp(table[i], mac, NET_MAC_LEN) == 0)
			return true;
	return false;
}

static bool
vlan_pass(const struct net_filter *f, const uint8_t *frame)
{
	unsigned id = (unsigned)(frame[14] << 8 | frame[15]) & VLAN_ID_MASK;

	if (!f->vlans_on || (frame[12] << 8 | frame[13]) != ETHERTYPE_VLAN)
		return true;
	return f->vlan[id / 64] >> (id % 64) & 1;
}

bool
net_filter_pass(const struct net_filter *f, const uint8_t *frame)
{
	static const uint8_t broadcast[NET_MAC_LEN] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};

	if (!vlan_pass(f, frame))
		return false;
	if (f->promisc)
		return true;
	if (memcmp(frame, broadcast, NET_MAC_LEN) == 0)
		return !f->nobcast;
	if (frame[0] & 1)
		return !f->nomulti && (f->allmulti || f->multi_overflow ||
				       in_table(f->multi, f->nmulti, frame));
	return !f->nouni &&
	       (f->alluni || f->uni_overflow || memcmp(frame, f->own, NET_MAC_LEN) == 0 ||
		in_table(f->uni, f->nuni, frame));
}

/* ---- commands ---- */

static bool
set_promisc(struct net *net, const struct command *c)
{
	net->filter.promisc = c->data[0];
	return true;
}

static bool
set_allmulti(struct net *net, const struct command *c)
{
	net->filter.allmulti = c->data[0];
	return true;
}

static bool
set_alluni(struct net *net, const struct command *c)
{
	net->filter.alluni = c->data[0];
	return true;
}

static bool
set_nomulti(struct net *net, const struct command *c)
{
	net->filter.nomulti = c->data[0];
	return true;
}

static bool
set_nouni(struct net *net, const struct command *c)
{
	net->filter.nouni = c->data[0];
	return true;
}

static bool
set_nobcast(struct net *net, const struct command *c)
{
	net->filter.nobcast = c->data[0];
	return true;
}

/*
 * One table of addresses, from byte *off of the command on; moves *off behind it.  Of more
 * than we keep only the number matters: everything of that kind passes then.
 */
static bool
read_macs(const struct vq_chain *c, uint64_t *off, uint8_t table[][NET_MAC_LEN],
	  unsigned *ret_n, bool *ret_overflow)
{
	uint8_t raw[MAC_TABLE_HDR_LEN];

	if (vq_chain_read(c, *off, raw, sizeof(raw)) < sizeof(raw))
		return false;
	uint64_t n = le32_get(raw);
	*off += sizeof(raw);
	if (!range_ok(*off, n * NET_MAC_LEN, c->read_len))
		return false;
	unsigned kept = n <= NET_MACS_MAX ? (unsigned)n : 0;
	vq_chain_read(c, *off, table, (size_t)kept * NET_MAC_LEN);
	*off += n * NET_MAC_LEN;
	*ret_n = kept;
	*ret_overflow = n > NET_MACS_MAX;
	return true;
}

/* Both tables or none of them (5.1.6.5.2). */
static bool
set_mac_table(struct net *net, const struct command *c)
{
	struct net_filter f = net->filter;
	uint64_t off = CTRL_HDR_LEN;

	if (!read_macs(c->chain, &off, f.uni, &f.nuni, &f.uni_overflow) ||
	    !read_macs(c->chain, &off, f.multi, &f.nmulti, &f.multi_overflow))
		return false;
	net->filter = f;
	return true;
}

static bool
set_mac_addr(struct net *net, const struct command *c)
{
	memcpy(net->filter.own, c->data, NET_MAC_LEN);
	virtio_config_put(&net->dev, NET_CONFIG_MAC, c->data, NET_MAC_LEN);
	return true;
}

static bool
set_vlan(struct net *net, const struct command *c, bool on)
{
	unsigned id = le16_get(c->data);

	if (id >= NET_VLANS)
		return false;
	if (on)
		net->filter.vlan[id / 64] |= 1ull << (id % 64);
	else
		net->filter.vlan[id / 64] &= ~(1ull << (id % 64));
	return true;
}

static bool
add_vlan(struct net *net, const struct command *c)
{
	return set_vlan(net, c, true);
}

static bool
del_vlan(struct net *net, const struct command *c)
{
	return set_vlan(net, c, false);
}

static bool
ack_announce(struct net *net, const struct command *c)
{
	uint8_t status[2];

	(void)c;
	le16_put(status, (uint16_t)(le16_get(net->config + NET_CONFIG_STATUS) &
				    ~NET_STATUS_ANNOUNCE));
	virtio_config_put(&net->dev, NET_CONFIG_STATUS, status, sizeof(status));
	return true;
}

static bool
set_pairs(struct net *net, const struct command *c)
{
	unsigned n = le16_get(c->data);

	return n >= 1 && n <= net->pairs && net_set_active(net, n) == 0;
}

static bool
set_guest_offloads(struct net *net, const struct command *c)
{
	uint64_t want = le64_get(c->data);

	/* Only what was negotiated (5.1.6.5.6.2). */
	return (want & ~net->dev.features) == 0 && net_set_guest_offloads(net, want) == 0;
}

static const struct row {
	uint8_t class, command;
	uint8_t len;
	uint64_t feature;
	bool (*run)(struct net *net, const struct command *c);
} rows[] = {
	{ 0, 0, 1, NET_F_CTRL_RX, set_promisc },
	{ 0, 1, 1, NET_F_CTRL_RX, set_allmulti },
	{ 0, 2, 1, NET_F_CTRL_RX_EXTRA, set_alluni },
	{ 0, 3, 1, NET_F_CTRL_RX_EXTRA, set_nomulti },
	{ 0, 4, 1, NET_F_CTRL_RX_EXTRA, set_nouni },
	{ 0, 5, 1, NET_F_CTRL_RX_EXTRA, set_nobcast },
	{ 1, 0, 0, NET_F_CTRL_RX, set_mac_table },
	{ 1, 1, NET_MAC_LEN, NET_F_CTRL_MAC_ADDR, set_mac_addr },
	{ 2, 0, 2, NET_F_CTRL_VLAN, add_vlan },
	{ 2, 1, 2, NET_F_CTRL_VLAN, del_vlan },
	{ 3, 0, 0, NET_F_GUEST_ANNOUNCE, ack_announce },
	{ 4, 0, 2, NET_F_MQ, set_pairs },
	{ 5, 0, 8, NET_F_CTRL_GUEST_OFFLOADS, set_guest_offloads },
};

static uint8_t
execute(struct net *net, const struct vq_chain *chain)
{
	struct command c = { .chain = chain };
	uint8_t hdr[CTRL_HDR_LEN];

	if (vq_chain_read(chain, 0, hdr, sizeof(hdr)) < sizeof(hdr))
		return CTRL_ERR;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];

		if (row->class != hdr[0] || row->command != hdr[1])
			continue;
		if (!virtio_has(&net->dev, row->feature) ||
		    vq_chain_read(chain, sizeof(hdr), c.data, row->len) < row->len)
			return CTRL_ERR;
		return row->run(net, &c) ? CTRL_OK : CTRL_ERR;
	}
	return CTRL_ERR;
}

/* ---- the queue ---- */

unsigned
net_ctrl_queue(const struct net *net)
{
	/* Where it is depends on MQ, not on how many pairs there could be (5.1.2). */
	return virtio_has(&net->dev, NET_F_CTRL_VQ) ? 2 * net->pairs : UINT_MAX;
}

/* One command. False: there is none. */
static bool
serve_one(struct net *net, struct virtqueue *vq)
{
	struct vq_chain c = { .iov = net->iov, .iov_max = NET_QUEUE_SIZE };
	int n = virtqueue_pop(vq, &c);

	if (n < 0)
		virtio_fail(&net->dev, "the control ring is broken");
	if (n <= 0)
		return false;
	/* What has no room for the answer is not carried out. */
	uint8_t ack = c.write_len > 0 ? execute(net, &c) : CTRL_ERR;
	virtqueue_push(vq, c.head, (uint32_t)vq_chain_write(&c, 0, &ack, sizeof(ack)));
	return true;
}

void
net_ctrl_run(struct net *net)
{
	unsigned i = net_ctrl_queue(net), left = CTRL_PASS;

	if (!net->dev.live || i >= net->dev.nqueue || !net->queue[i].enabled)
		return;
	while (left > 0 && serve_one(net, &net->queue[i].vq))
		left--;
	virtio_publish(&net->dev, i);
	if (left == 0)
		reactor_defer(net->r, &net->ctrl_defer);
}

static void
on_defer(struct reactor_defer *d)
{
	net_ctrl_run(container_of(d, struct net, ctrl_defer));
}

void
net_ctrl_init(struct net *net)
{
	net->ctrl_defer.cb = on_defer;
}
