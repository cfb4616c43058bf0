/* SPDX-License-Identifier: ISC */
/*
 * Interrupt lines and the wired-OR in front of the interrupt controller: irq.h
 * is the devices' view of it, irqchip.h that of buses and the machine.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "irqchip.h"

void
irqchip_init(struct irqchip *chip, const struct irqchip_ops *ops, unsigned ngsi)
{
	assert(ngsi <= IRQCHIP_GSI_MAX);
	memset(chip, 0, sizeof(*chip));
	chip->ops = ops;
	chip->ngsi = ngsi;
	irq_routes_init(&chip->routes, ngsi);
}

void
irqchip_fini(struct irqchip *chip)
{
	irq_routes_fini(&chip->routes);
}

int
irqchip_share(struct irqchip *chip, unsigned gsi, enum irq_trigger trigger,
	      struct irq_line *ret)
{
	if (gsi >= chip->ngsi)
		return -EINVAL;

	unsigned n = chip->sharers[gsi];
	/* The edge of a second sharer is invisible while the first holds the wire. */
	if (n > 0 && (trigger == IRQ_EDGE || chip->trigger[gsi] != trigger))
		return -EBUSY;
	if (n == IRQCHIP_SHARERS_MAX)
		return -EBUSY;

	chip->trigger[gsi] = (uint8_t)trigger;
	chip->sharers[gsi] = (uint8_t)(n + 1);
	*ret = (struct irq_line){
		.chip = chip,
		.gsi = (uint16_t)gsi,
		.sharer = (uint8_t)n,
		.trigger = (uint8_t)trigger,
	};
	return 0;
}

void
irq_line_set(const struct irq_line *line, bool level)
{
	struct irqchip *chip = line->chip;
	uint64_t bit = 1ull << line->sharer;
	uint64_t was = chip->wire[line->gsi];
	uint64_t now = level ? was | bit : was & ~bit;

	chip->wire[line->gsi] = now;
	if (!was != !now)
		chip->ops->set_level(chip, line->gsi, now != 0);
}

void
irq_line_pulse(const struct irq_line *line)
{
	irq_line_set(line, true);
	irq_line_set(line, false);
}

unsigned
irq_line_gsi(const struct irq_line *line)
{
	return line->gsi;
}

enum irq_trigger
irq_line_trigger(const struct irq_line *line)
{
	return (enum irq_trigger)line->trigger;
}

int
irqchip_signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	return chip->ops->signal_msi(chip, msg);
}

int
irqchip_route_alloc(struct irqchip *chip, unsigned *ret_gsi)
{
	return chip->ops->routes_commit ? irq_routes_alloc(&chip->routes, ret_gsi)
					: -ENOTSUP;
}

void
irqchip_route_free(struct irqchip *chip, unsigned gsi)
{
	irq_routes_free(&chip->routes, gsi);
}

void
irqchip_route_set(struct irqchip *chip, unsigned gsi, const struct msi_msg *msg)
{
	irq_routes_set(&chip->routes, gsi, msg);
}

int
irqchip_routes_commit(struct irqchip *chip)
{
	int err = chip->routes.changed ? chip->ops->routes_commit(chip) : 0;

	if (err == 0)
		irq_routes_told(&chip->routes);
	return err;
}
