/* SPDX-License-Identifier: ISC */
/*
 * The backs of a network link (net.h): a file in src/back/ each.
 *
 * A constructor opens what it needs, or says what is missing; from then on the back
 * belongs to the front, which frees it.  Reactor thread only.
 */
#ifndef VMM_NET_BACK_H
#define VMM_NET_BACK_H

#include <stdbool.h>

struct err;
struct memory;
struct net_back;
struct reactor;

/* ---- a tap interface of the host, src/back/net_tap.c ---- */

struct net_tap_config {
	const char *name; /* of the interface: attached to, or made; NULL: take fd */
	int fd;           /* of a tap that somebody opened; stays the caller's */
	unsigned pairs;   /* of queues; more than one need a tap with multi_queue */
	bool vhost;       /* packets are the kernel's to move: /dev/vhost-net */
	const struct memory *mem; /* with vhost: the guest's RAM */
};

/* -errno with a text. */
int net_tap_new(struct reactor *r, const struct net_tap_config *cfg,
		struct net_back **ret, struct err *e);

#endif
