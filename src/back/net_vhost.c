/* SPDX-License-Identifier: ISC */
/*
 * vhost-net (Linux: drivers/vhost/net.c): the kernel takes packets from the guest's rings
 * and gives them to the tap, and the other way round.
 *
 * A ring runs from the moment the tap is set as its backend until it is taken away; the
 * request that takes it away returns when the worker has let go of the ring.  If even that
 * fails, the descriptor is closed, which stops the worker for certain; the pair does not
 * start again then.
 */
#include "net_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "reactor.h"
#include "util.h"
#include "vhost.h"
#include "virtio_lent.h"

#define PATH "/dev/vhost-net"

/* What the kernel has to know of to serve a ring; all others are the tap's or ours. */
static const uint64_t ring_features =
	1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX |
	1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF;

struct vhost_pair {
	struct vhost v;
	int tap;
	bool runs[NET_DIRS];
};

struct net_vhost {
	struct reactor *r;
	const char *name;
	void (*on_broken)(void *arg);
	void *arg;
	struct reactor_io broken; /* signalled by the kernel for a ring of any pair */
	struct ratelimit log;
	unsigned nrun; /* rings */
	unsigned n;
	struct vhost_pair pair[NET_QUEUES_MAX];
};

/* ---- rings ---- */

static int
set_backend(const struct vhost_pair *p, enum net_dir dir, int fd)
{
	struct vhost_vring_file file = { .index = dir, .fd = fd };

	return vhost_request(&p->v, VHOST_NET_SET_BACKEND, &file);
}

static int
start_ring(const struct net_vhost *nv, const struct vhost_pair *p, enum net_dir dir,
	   const struct virtio_lent *ring)
{
	int rc = 0;

	/* Both rings of a descriptor have the same, and may not be running. */
	if (!p->runs[NET_RX] && !p->runs[NET_TX])
		rc = vhost_set_features(&p->v, ring->features & ring_features);
	if (rc == 0)
		rc = vhost_set_ring(&p->v, dir, ring, nv->broken.fd);
	return rc ? rc : set_backend(p, dir, p->tap);
}

int
net_vhost_start(struct net_vhost *nv, unsigned pair, enum net_dir dir,
		const struct virtio_lent *ring)
{
	struct vhost_pair *p = &nv->pair[pair];
	int rc = start_ring(nv, p, dir, ring);

	if (rc) {
		log_guest(&nv->log, nv->name,
			  PATH " refuses the ring of queue %u: %s; it carries nothing",
			  2 * pair + dir, strerror(-rc));
		return rc;
	}
	p->runs[dir] = true;
	nv->nrun++;
	/* What the driver made available before is served without its doorbell. */
	(void)eventfd_write(ring->kick, 1);
	return 0;
}

/* What was signalled for rings that have stopped is not about those that start next. */
static void
forget_broken(struct net_vhost *nv)
{
	eventfd_t count;

	if (nv->nrun == 0)
		(void)eventfd_read(nv->broken.fd, &count);
}

uint16_t
net_vhost_stop(struct net_vhost *nv, unsigned pair, enum net_dir dir)
{
	struct vhost_pair *p = &nv->pair[pair];
	uint16_t next = 0;
	int rc = set_backend(p, dir, -1);

	if (rc == 0)
		rc = vhost_get_next(&p->v, dir, &next);
	if (rc && p->v.fd >= 0) {
		log_warn("%s: " PATH " does not stop queue %u: %s; it is closed",
			 nv->name, 2 * pair + dir, strerror(-rc));
		vhost_close(&p->v);
	}
	p->runs[dir] = false;
	nv->nrun--;
	forget_broken(nv);
	return next;
}

static void
on_broken(struct reactor_io *io, unsigned events)
{
	struct net_vhost *nv = container_of(io, struct net_vhost, broken);
	eventfd_t count;

	(void)events;
	if (eventfd_read(io->fd, &count) == 0)
		nv->on_broken(nv->arg);
}

/* ---- features ---- */

uint64_t
net_vhost_lacks(const struct net_vhost *nv)
{
	return ring_features & ~nv->pair[0].v.features;
}

/* As vhost_net_set_features() of Linux has it. */
unsigned
net_vhost_hdr_len(uint64_t features)
{
	const uint64_t longer =
		1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF;

	return features & longer ? sizeof(struct virtio_net_hdr_mrg_rxbuf)
				 : sizeof(struct virtio_net_hdr);
}

/* ---- open ---- */

int
net_vhost_new(struct reactor *r, const struct net_vhost_config *cfg,
	      struct net_vhost **ret, struct err *e)
{
	struct net_vhost *nv = calloc(1, sizeof(*nv));
	char who[64];
	int rc = 0;

	snprintf(who, sizeof(who), "tap '%s'", cfg->name);
	if (!nv)
		return err_set(e, ENOMEM, "no memory for vhost-net");
	nv->r = r;
	nv->on_broken = cfg->broken;
	nv->arg = cfg->arg;
	nv->name = cfg->name;
	nv->broken.cb = on_broken;
	nv->broken.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nv->broken.fd < 0)
		rc = err_set(e, errno, "%s: eventfd: %s", who, strerror(errno));
	while (rc == 0 && nv->n < cfg->pairs) {
		struct vhost_pair *p = &nv->pair[nv->n];

		p->tap = cfg->tap[nv->n];
		rc = vhost_open(&p->v, cfg->sys, PATH, cfg->mem, who, e);
		nv->n += rc == 0;
	}
	if (rc) {
		net_vhost_free(nv);
		return rc;
	}
	reactor_io_start(r, &nv->broken, REACTOR_READ);
	*ret = nv;
	return 0;
}

void
net_vhost_free(struct net_vhost *nv)
{
	if (!nv)
		return;
	for (unsigned i = 0; i < nv->n; i++)
		vhost_close(&nv->pair[i].v);
	if (nv->broken.fd >= 0) {
		reactor_io_stop(nv->r, &nv->broken);
		close(nv->broken.fd);
	}
	free(nv);
}
