/* SPDX-License-Identifier: ISC */
/*
 * A machine for one device: the real bus and address spaces, and an interrupt
 * controller that only remembers the level of each wire.
 */
#ifndef VMM_FAKE_BUS_H
#define VMM_FAKE_BUS_H

#include "bus.h"
#include "irqchip.h"

struct fake_bus {
	struct irqchip chip;
	bool level[IRQCHIP_GSI_MAX];
	unsigned edges[IRQCHIP_GSI_MAX]; /* rising ones */
	struct space space[SPACE_KINDS];
	struct slot_list slots;
	struct bus bus;
};

/* The rows are kept, not copied. */
void fake_bus_init(struct fake_bus *fb, const struct platform_row *row, unsigned nrow);
void fake_bus_fini(struct fake_bus *fb);

#endif
