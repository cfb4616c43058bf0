/* SPDX-License-Identifier: ISC */
/*
 * Routes from GSIs to messages, for interrupts that somebody outside the reactor
 * signals by an irqfd (vhost, VFIO, vhost-user).  A table only: who owns it tells KVM.
 *
 * A user allocates one GSI for each vector when it is made, and keeps it: rewriting a
 * vector allocates nothing, however often.  KVM takes the whole table at once and needs
 * 60 us and more for it; so changes are collected and told together
 * (irqchip_routes_commit()), and what changes nothing is not told at all.
 *
 * Reactor thread only.
 */
#ifndef VMM_IRQ_ROUTES_H
#define VMM_IRQ_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

struct msi_msg;

enum { IRQ_ROUTES_MAX = 2048 }; /* KVM has 4096 GSIs in all */

struct irq_route;

struct irq_routes {
	struct irq_route
		*route; /* IRQ_ROUTES_MAX of them, from the first allocation on */
	unsigned first; /* GSI of route[0] */
	unsigned n;     /* route[n] and above were never used */
	bool changed;   /* since irq_routes_told() */
};

void irq_routes_init(struct irq_routes *r, unsigned first);
void irq_routes_fini(struct irq_routes *r);

/* A GSI that leads nowhere yet. -ENOSPC: none is free; -ENOMEM. */
int irq_routes_alloc(struct irq_routes *r, unsigned *ret_gsi);
void irq_routes_free(struct irq_routes *r, unsigned gsi);

/* Where the GSI leads from now on; NULL: nowhere, what is signalled is lost. */
void irq_routes_set(struct irq_routes *r, unsigned gsi, const struct msi_msg *msg);

/* Calls fn for each GSI that leads somewhere, in ascending order. */
void irq_routes_each(const struct irq_routes *r,
		     void (*fn)(void *arg, unsigned gsi, const struct msi_msg *msg),
		     void *arg);

/* KVM knows all of it. */
void irq_routes_told(struct irq_routes *r);

#endif
