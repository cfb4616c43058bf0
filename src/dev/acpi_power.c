/* SPDX-License-Identifier: ISC */
/*
 * Registers behind a hardware-reduced ACPI: sleep control and status (ACPI 6.5,
 * 4.8.3.7), the reset register (4.8.3.6) and the pending events of the generic
 * event device (5.6.9), whose _EVT method reads them.
 */
#include <errno.h>
#include <stdlib.h>

#include "acpi.h"
#include "bus.h"
#include "dev.h"

enum {
	SLEEP_SLP_EN = 1 << 5,
	SLEEP_TYPE_SHIFT = 2,
	SLEEP_TYPE_MASK = 7,
};

struct acpi_power {
	struct bus *bus;
	const struct bus_slot *slot;
	const struct power_ops *ops;
	void *arg;
	uint8_t pending; /* ACPI_POWER_EVENT_ bits */
};

static void
line_set(const struct acpi_power *p, bool level)
{
	if (p->slot->irq != NULL)
		irq_line_set(p->slot->irq, level);
}

static uint8_t
event_read(struct acpi_power *p)
{
	uint8_t pending = p->pending;

	p->pending = 0;
	line_set(p, false);
	return pending;
}

/* One-byte registers: a wider access reads them side by side. */
static uint64_t
power_read(void *dev, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	/* The rest, SLEEP_STATUS with its WAK_STS included, is 0. */
	for (unsigned i = 0; i < len; i++)
		if (off + i == ACPI_POWER_EVENT)
			val |= (uint64_t)event_read(dev) << (i * 8);
	return val;
}

/* Ends the machine, so one byte only: no stray wide write does. */
static void
power_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct acpi_power *p = dev;

	if (len != 1)
		return;
	if (off == ACPI_POWER_SLEEP_CONTROL && (val & SLEEP_SLP_EN) &&
	    ((val >> SLEEP_TYPE_SHIFT) & SLEEP_TYPE_MASK) == ACPI_POWER_S5_TYPE)
		p->ops->poweroff(p->arg);
	else if (off == ACPI_POWER_RESET && val == ACPI_POWER_RESET_VALUE)
		p->ops->reset(p->arg);
}

static const struct region_ops power_region_ops = {
	.read = power_read,
	.write = power_write,
};

/*
 * The line stays up until the guest has read the event, and goes down first: so
 * each press is an edge, even if nobody looked at the one before, and a level
 * line would do as well.
 */
void
acpi_power_press_button(struct acpi_power *p)
{
	p->pending |= ACPI_POWER_EVENT_BUTTON;
	line_set(p, false);
	line_set(p, true);
}

int
acpi_power_new(struct bus *bus, const struct power_ops *ops, void *arg,
	       struct acpi_power **ret)
{
	struct acpi_power *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->bus = bus;
	p->ops = ops;
	p->arg = arg;

	const struct bus_device dev = {
		.kind = DEVICE_POWER_ACPI,
		.name = "power",
		.ops = &power_region_ops,
		.dev = p,
	};
	int rc = bus_attach(bus, &dev, &p->slot);
	if (rc < 0) {
		free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void
acpi_power_free(struct acpi_power *p)
{
	if (p == NULL)
		return;
	line_set(p, false);
	space_remove(&p->bus->space[p->slot->space], p->slot->base);
	free(p);
}
