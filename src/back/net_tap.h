/* SPDX-License-Identifier: ISC */
/* What net_tap.c and net_tap_open.c share. */
#ifndef VMM_NET_TAP_H
#define VMM_NET_TAP_H

#include <linux/if.h>
#include <stdint.h>

#include "net.h"

struct err;
struct net_tap_config;

/* A descriptor for each pair of queues, with a header of NET_HDR_LEN before each packet. */
struct net_tap_fds {
	int fd[NET_QUEUES_MAX];
	unsigned n;
	char name[IFNAMSIZ];
	uint16_t mtu; /* 0: not known */
};

/* -errno with a text. */
int net_tap_open(const struct net_tap_config *cfg, struct net_tap_fds *ret,
		 struct err *e);
void net_tap_close(struct net_tap_fds *f);

#endif
