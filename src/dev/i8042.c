/* SPDX-License-Identifier: ISC */
/*
 * What is left of an 8042 keyboard controller: command 0xfe pulses the line that
 * resets the machine.
 *
 * The status register always shows a full output buffer and an empty input
 * buffer.  The first tells a driver that looks for a keyboard at once that there
 * is no controller (Linux: "No controller found" after 0.8 ms; with an empty one
 * it would wait half a second for an answer), the second keeps a kernel that
 * wants to reset from waiting before it sends the command.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "dev.h"

enum {
	PORT_COMMAND = 0x64, /* read: status */

	STATUS_OUTPUT_FULL = 1 << 0,
	COMMAND_RESET = 0xfe, /* pulse output line 0 */
};

struct i8042 {
	struct bus *bus;
	const struct bus_slot *slot;
	const struct power_ops *ops;
	void *arg;
};

/* The region may be the one port or the range from 0x60. */
static bool
is_command_port(const struct i8042 *k, uint64_t off)
{
	return k->slot->base + off == PORT_COMMAND;
}

static uint64_t
i8042_read(void *dev, uint64_t off, unsigned len)
{
	(void)len;
	return is_command_port(dev, off) ? STATUS_OUTPUT_FULL : 0;
}

static void
i8042_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct i8042 *k = dev;

	if (len == 1 && is_command_port(k, off) && val == COMMAND_RESET)
		k->ops->reset(k->arg);
}

static const struct region_ops i8042_ops = { .read = i8042_read, .write = i8042_write };

int
i8042_new(struct bus *bus, const struct power_ops *ops, void *arg, struct i8042 **ret)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->bus = bus;
	k->ops = ops;
	k->arg = arg;

	const struct bus_device dev = {
		.kind = DEVICE_I8042,
		.name = "i8042",
		.ops = &i8042_ops,
		.dev = k,
	};
	int rc = bus_attach(bus, &dev, &k->slot);
	if (rc < 0) {
		free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

void
i8042_free(struct i8042 *k)
{
	if (k == NULL)
		return;
	space_remove(&k->bus->space[k->slot->space], k->slot->base);
	free(k);
}
