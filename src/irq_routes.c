/* SPDX-License-Identifier: ISC */
#include "irq_routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "irqchip.h"

struct irq_route {
	struct msi_msg msg;
	bool used;
	bool open; /* leads to msg */
};

void
irq_routes_init(struct irq_routes *r, unsigned first)
{
	*r = (struct irq_routes){ .first = first };
}

void
irq_routes_fini(struct irq_routes *r)
{
	free(r->route);
	*r = (struct irq_routes){ .first = r->first };
}

int
irq_routes_alloc(struct irq_routes *r, unsigned *ret_gsi)
{
	unsigned i = 0;

	if (!r->route)
		r->route = calloc(IRQ_ROUTES_MAX, sizeof(*r->route));
	if (!r->route)
		return -ENOMEM;
	while (i < r->n && r->route[i].used)
		i++;
	if (i == IRQ_ROUTES_MAX)
		return -ENOSPC;
	if (i == r->n)
		r->n++;
	r->route[i] = (struct irq_route){ .used = true };
	*ret_gsi = r->first + i;
	return 0;
}

static struct irq_route *
route_of(const struct irq_routes *r, unsigned gsi)
{
	assert(gsi >= r->first && gsi - r->first < r->n);
	assert(r->route[gsi - r->first].used);
	return &r->route[gsi - r->first];
}

void
irq_routes_free(struct irq_routes *r, unsigned gsi)
{
	irq_routes_set(r, gsi, NULL);
	route_of(r, gsi)->used = false;
}

static bool
same(const struct msi_msg *a, const struct msi_msg *b)
{
	return a->addr == b->addr && a->data == b->data && a->devid == b->devid;
}

void
irq_routes_set(struct irq_routes *r, unsigned gsi, const struct msi_msg *msg)
{
	struct irq_route *route = route_of(r, gsi);

	if (msg ? route->open && same(&route->msg, msg) : !route->open)
		return;
	route->open = msg != NULL;
	if (msg)
		route->msg = *msg;
	r->changed = true;
}

void
irq_routes_each(const struct irq_routes *r,
		void (*fn)(void *arg, unsigned gsi, const struct msi_msg *msg), void *arg)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->route[i].open)
			fn(arg, r->first + i, &r->route[i].msg);
}

void
irq_routes_told(struct irq_routes *r)
{
	r->changed = false;
}
