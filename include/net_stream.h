/* SPDX-License-Identifier: ISC */
/*
 * A network link over a stream socket: each frame has its length before it, 32 bits,
 * big-endian, as passt(1) and `-netdev stream` of QEMU speak it.
 *
 * The peer is not trusted: a length that cannot be right takes the link down, a peer that
 * does not read stops the guest's sending and nothing else, and nothing is buffered
 * beyond one packet to it and what one read brought from it.  When the peer goes the link
 * is down; it is up again when there is a new one.
 *
 * Reactor thread only.  src/back/net_stream.c.
 */
#ifndef VMM_NET_STREAM_H
#define VMM_NET_STREAM_H

#include <stdbool.h>

struct err;
struct net_back;
struct reactor;

struct net_stream_config {
	const char *name;     /* for messages */
	const char *path;     /* of a unix socket; NULL: take fd. Outlives the back */
	int fd;               /* a connected socket, the back's from then on */
	bool listen;          /* on path, for one peer at a time; else connect */
	unsigned reconnect_s; /* try to connect again so often; 0: never */
};

/* -errno with a text, and nothing has been taken. */
int net_stream_new(struct reactor *r, const struct net_stream_config *cfg,
		   struct net_back **ret, struct err *e);

#endif
