/* SPDX-License-Identifier: ISC */
/*
 * User networking: a back of a network link (net.h) that needs no privilege.  The guest
 * is behind a router that exists only in this process (libslirp), which opens ordinary
 * sockets of the host for what the guest does.
 *
 * The network is 10.0.2.0/24 and fec0::/64; .2 is the router, .3 answers DNS, and
 * DHCP gives the guest .15.  Frames of up to 1514 bytes; no offloads.
 *
 * Reactor thread only.
 */
#ifndef VMM_NET_USER_H
#define VMM_NET_USER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct err;
struct net_back;
struct reactor;

enum { NET_FORWARD_MAX = 16, NET_USER_MTU = 1500 };

union net_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Connections to host arrive at guest. */
struct net_forward {
	bool udp;
	union net_addr host;
	union net_addr guest; /* of the same family; any: the guest's, whatever it is */
};

/*
 * Parses "tcp:127.0.0.1:2222-:22, udp:[::1]:53-[fec0::5]:53".  An address that is left out
 * is 127.0.0.1 on the host's side and the guest's own on the other.  Returns how many
 * there are, or -EINVAL with a line in why that quotes the part it is about.
 * Pure; src/back/net_forward.c.
 */
int net_forward_parse(const char *list, struct net_forward ret[NET_FORWARD_MAX],
		      char *why, size_t len);

struct net_user_config {
	const char *name;   /* for messages */
	bool restricted;    /* nothing but DHCP, DNS excepted, and what is forwarded */
	bool host_loopback; /* 10.0.2.2 and fec0::2 are the host's loopback */
	const struct net_forward *forward;
	unsigned nforward;
};

/* Only in vmm-full (full.h). -EADDRINUSE and the like with a text: a forward's port. */
int net_user_new(struct reactor *r, const struct net_user_config *cfg,
		 struct net_back **ret, struct err *e);

#endif
