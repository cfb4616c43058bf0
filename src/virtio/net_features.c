/* SPDX-License-Identifier: ISC */
/* virtio-net: feature bits and offloads (virtio 1.2, 5.1.3), and what headers may ask for. */
#include "net_priv.h"
#include "util.h"

enum {
	ETHERNET_MTU = 1500,
	ETHERNET_HDR_LEN = 18, /* with a VLAN tag */

	GSO_NONE = 0,
	GSO_TCPV4 = 1,
	GSO_TCPV6 = 4,
	GSO_UDP_L4 = 5,
	GSO_ECN = 0x80,
	HDR_F_NEEDS_CSUM = 1,
};

/* What the guest's bits mean to the back, either way. */
static const struct {
	uint64_t guest; /* it can receive that */
	uint64_t host;  /* it may send that */
	unsigned offload;
} offload_table[] = {
	{ NET_F_GUEST_CSUM, NET_F_CSUM, NET_OFFLOAD_CSUM },
	{ NET_F_GUEST_TSO4, NET_F_HOST_TSO4, NET_OFFLOAD_TSO4 },
	{ NET_F_GUEST_TSO6, NET_F_HOST_TSO6, NET_OFFLOAD_TSO6 },
	{ NET_F_GUEST_ECN, NET_F_HOST_ECN, NET_OFFLOAD_ECN },
	{ NET_F_GUEST_USO4, NET_F_HOST_USO, NET_OFFLOAD_USO4 },
	{ NET_F_GUEST_USO6, NET_F_HOST_USO, NET_OFFLOAD_USO6 },
};

static uint64_t
offload_features(const struct net_info *info)
{
	const unsigned uso = NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;
	uint64_t f = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offload_table); i++) {
		if (info->rx_offloads & offload_table[i].offload)
			f |= offload_table[i].guest;
		if (info->tx_offloads & offload_table[i].offload)
			f |= offload_table[i].host;
	}
	/* One bit of the guest's stands for both. */
	if ((info->tx_offloads & uso) != uso)
		f &= ~NET_F_HOST_USO;
	if (info->rx_offloads)
		f |= NET_F_CTRL_GUEST_OFFLOADS;
	return f;
}

static unsigned
rx_offloads_of(uint64_t features)
{
	unsigned offloads = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offload_table); i++)
		if (features & offload_table[i].guest)
			offloads |= offload_table[i].offload;
	return offloads;
}

unsigned
net_tx_offloads_of(uint64_t features)
{
	unsigned offloads = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offload_table); i++)
		if (features & offload_table[i].host)
			offloads |= offload_table[i].offload;
	return offloads;
}

/* 5.1.3.1: what makes no sense without another. */
static const struct {
	uint64_t feature;
	uint64_t needs; /* one of them */
} needs_table[] = {
	{ NET_F_GUEST_TSO4, NET_F_GUEST_CSUM },
	{ NET_F_GUEST_TSO6, NET_F_GUEST_CSUM },
	{ NET_F_GUEST_ECN, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 },
	{ NET_F_GUEST_USO4, NET_F_GUEST_CSUM },
	{ NET_F_GUEST_USO6, NET_F_GUEST_CSUM },
	{ NET_F_HOST_TSO4, NET_F_CSUM },
	{ NET_F_HOST_TSO6, NET_F_CSUM },
	{ NET_F_HOST_ECN, NET_F_HOST_TSO4 | NET_F_HOST_TSO6 },
	{ NET_F_HOST_USO, NET_F_CSUM },
	{ NET_F_CTRL_RX, NET_F_CTRL_VQ },
	{ NET_F_CTRL_RX_EXTRA, NET_F_CTRL_VQ },
	{ NET_F_CTRL_VLAN, NET_F_CTRL_VQ },
	{ NET_F_CTRL_MAC_ADDR, NET_F_CTRL_VQ },
	{ NET_F_CTRL_GUEST_OFFLOADS, NET_F_CTRL_VQ },
	{ NET_F_GUEST_ANNOUNCE, NET_F_CTRL_VQ },
	{ NET_F_MQ, NET_F_CTRL_VQ },
};

bool
net_features_ok(struct virtio_device *dev, uint64_t features)
{
	(void)dev;
	for (unsigned i = 0; i < ARRAY_SIZE(needs_table); i++)
		if ((features & needs_table[i].feature) &&
		    !(features & needs_table[i].needs))
			return false;
	return true;
}

uint64_t
net_features_offered(const struct net *net)
{
	uint64_t f = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ |
		     NET_F_CTRL_RX | NET_F_CTRL_RX_EXTRA | NET_F_CTRL_VLAN |
		     NET_F_CTRL_MAC_ADDR | NET_F_GUEST_ANNOUNCE;

	f |= offload_features(&net->back->info);
	if (le16_get(net->config + NET_CONFIG_MTU) != 0)
		f |= NET_F_MTU;
	if (net->pairs_max > 1)
		f |= NET_F_MQ;
	return f;
}

/* Which offload each kind of segments takes (5.1.6.2). */
static bool
gso_ok(unsigned gso, unsigned allowed)
{
	switch (gso) {
	case GSO_NONE:
		return true;
	case GSO_TCPV4:
		return allowed & NET_OFFLOAD_TSO4;
	case GSO_TCPV6:
		return allowed & NET_OFFLOAD_TSO6;
	case GSO_UDP_L4:
		return allowed & (NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6);
	default:
		return false;
	}
}

bool
net_hdr_ok(const struct net_hdr *hdr, unsigned allowed)
{
	if ((hdr->flags & HDR_F_NEEDS_CSUM) && !(allowed & NET_OFFLOAD_CSUM))
		return false;
	if ((hdr->gso_type & GSO_ECN) && !(allowed & NET_OFFLOAD_ECN))
		return false;
	return gso_ok(hdr->gso_type & (uint8_t)~GSO_ECN, allowed);
}

int
net_set_guest_offloads(struct net *net, uint64_t features)
{
	unsigned offloads = rx_offloads_of(features);
	const unsigned large =
		NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;
	uint16_t mtu = le16_get(net->config + NET_CONFIG_MTU);
	int err = 0;

	if (net->back->ops->set_rx_offloads)
		err = net->back->ops->set_rx_offloads(net->back, offloads);
	if (err)
		return err;
	net->rx_offloads = offloads;
	net->rx_need =
		net->hdr_len + (offloads & large     ? NET_PACKET_MAX
				: mtu > ETHERNET_MTU ? (uint64_t)mtu + ETHERNET_HDR_LEN
						     : ETHERNET_MTU + ETHERNET_HDR_LEN);
	return 0;
}
