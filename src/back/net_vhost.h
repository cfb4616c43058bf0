/* SPDX-License-Identifier: ISC */
/*
 * The kernel's vhost-net worker between the guest's rings and a tap: what net_tap.c does
 * with packets otherwise.  One descriptor of /dev/vhost-net for each pair of queues.
 */
#ifndef VMM_NET_VHOST_H
#define VMM_NET_VHOST_H

#include <stdint.h>

#include "net.h"

struct err;
struct memory;
struct net_vhost;
struct reactor;
struct vhost_sys;
struct virtio_lent;

struct net_vhost_config {
	/* The kernel says that a ring cannot be right, or that its tap is gone. */
	void (*broken)(void *arg);
	void *arg;
	const char *name; /* for messages; outlives this */
	const struct memory *mem;
	const int *tap; /* a descriptor for each pair; stay the caller's */
	unsigned pairs;
	const struct vhost_sys *sys;
};

/* -errno with a text. */
int net_vhost_new(struct reactor *r, const struct net_vhost_config *cfg,
		  struct net_vhost **ret, struct err *e);
void net_vhost_free(struct net_vhost *nv);

/* Of the features that concern rings, those that this kernel's vhost lacks. */
uint64_t net_vhost_lacks(const struct net_vhost *nv);

/* The length of the header before each packet that the tap has to use with these. */
unsigned net_vhost_hdr_len(uint64_t features);

/* As ring_start and ring_stop of net.h. */
int net_vhost_start(struct net_vhost *nv, unsigned pair, enum net_dir dir,
		    const struct virtio_lent *ring);
uint16_t net_vhost_stop(struct net_vhost *nv, unsigned pair, enum net_dir dir);

#endif
