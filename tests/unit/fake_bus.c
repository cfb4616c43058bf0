/* SPDX-License-Identifier: ISC */
#include "fake_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	struct fake_bus *fb = (struct fake_bus *)(void *)chip;

	if (level && !fb->level[gsi])
		fb->edges[gsi]++;
	fb->level[gsi] = level;
}

static int
signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	(void)chip;
	(void)msg;
	return -ENODEV;
}

static const struct irqchip_ops ops = {
	.name = "fake",
	.set_level = set_level,
	.signal_msi = signal_msi,
};

void
fake_bus_init(struct fake_bus *fb, const struct platform_row *row, unsigned nrow)
{
	memset(fb, 0, sizeof(*fb));
	irqchip_init(&fb->chip, &ops, IRQCHIP_GSI_MAX);
	if (slot_list_init(&fb->slots) < 0)
		abort();
	fb->bus = (struct bus){
		.name = "platform",
		.row = row,
		.nrow = nrow,
		.chip = &fb->chip,
		.space = fb->space,
		.slots = &fb->slots,
	};
}

void
fake_bus_fini(struct fake_bus *fb)
{
	slot_list_fini(&fb->slots);
}
