/* SPDX-License-Identifier: ISC */
/*
 * virtio-net where the back serves the rings of packets itself (vhost): which of them it
 * has is all that is left to decide.  It has those that could carry packets if they were
 * ours; each of the events that change that calls net_rings_update().
 */
#include "net_priv.h"
#include "virtio_lent.h"

static unsigned
number(const struct net_pair *p, enum net_dir dir)
{
	return 2 * p->index + dir;
}

static int
ring_start(struct net_pair *p, enum net_dir dir)
{
	struct net *net = p->net;
	struct virtio_lent ring;
	int err = virtio_queue_lend(&net->dev, number(p, dir), &ring);

	if (err)
		return err;
	err = net->back->ops->ring_start(net->back, p->index, dir, &ring);
	if (err)
		virtio_queue_reclaim(&net->dev, number(p, dir), ring.next);
	p->lent[dir] = err == 0;
	return err;
}

void
net_ring_stop(struct net_pair *p, enum net_dir dir)
{
	struct net *net = p->net;

	if (!p->lent[dir])
		return;
	p->lent[dir] = false;
	virtio_queue_reclaim(&net->dev, number(p, dir),
			     net->back->ops->ring_stop(net->back, p->index, dir));
}

int
net_rings_update(struct net *net)
{
	int err = 0;

	if (!net->back->info.rings)
		return 0;
	for (unsigned i = 0; i < 2 * net->pairs_max; i++)
		if (!net_queue_on(&net->pair[i / 2], i % 2))
			net_ring_stop(&net->pair[i / 2], i % 2);
	for (unsigned i = 0; err == 0 && i < 2 * net->pairs_max; i++) {
		struct net_pair *p = &net->pair[i / 2];

		if (net_queue_on(p, i % 2) && !p->lent[i % 2])
			err = ring_start(p, i % 2);
	}
	return err;
}
