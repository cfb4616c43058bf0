/* SPDX-License-Identifier: ISC */
/*
 * Buses: where a device is attached, and what it is given there.
 *
 * A device describes itself (struct bus_device) and is attached to one bus.  The
 * bus decides, by its own policy and once for all, where its registers are and
 * which interrupt line it has, and answers with a const struct bus_slot.  ACPI,
 * FDT and --dump-config are written from the same list of slots.
 *
 * An address space finds the region behind an exit.  There is one for port I/O
 * and one for memory-mapped I/O, shared by all buses of a machine.
 *
 * Reactor thread only; bus_attach() only before the vCPUs start.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "irq.h"

struct irqchip;

enum { BUS_SLOTS_MAX = 64, SPACE_REGIONS_MAX = 256 };

/* ---- address spaces ---- */

enum space_kind { SPACE_PIO, SPACE_MMIO, SPACE_KINDS };

/*
 * Register access of a model.  off is relative to the region; len is 1, 2, 4 or
 * 8 and [off, off + len) lies within the region.  Values are right-aligned; the
 * caller masks what read() returns to len bytes.
 */
struct region_ops {
	uint64_t (*read)(void *dev, uint64_t off, unsigned len);
	void (*write)(void *dev, uint64_t off, unsigned len, uint64_t val);
};

enum region_flags {
	REGION_POSTED_WRITE = 1 << 0, /* nobody waits for a write: doc/design.md */
};

struct region {
	uint64_t base;
	uint64_t len;
	const struct region_ops *ops;
	void *dev;
	const char *name;
	unsigned flags;
};

/* Regions of one kind of address, sorted by base, never overlapping. */
struct space {
	struct region region[SPACE_REGIONS_MAX];
	unsigned nregion;
};

/* -EEXIST: overlaps another region; -ENOSPC: too many; -EINVAL: empty or wraps. */
int space_add(struct space *sp, const struct region *rg);

/* -ENOENT: no region has that base. */
int space_remove(struct space *sp, uint64_t base);

/* NULL where nobody lives. */
const struct region *space_find(const struct space *sp, uint64_t addr);

/*
 * An access by the guest, of any length from 1 to 8.  Where nobody lives, and
 * where an access runs over the end of a region, reads return all-ones and
 * writes are ignored.
 */
uint64_t space_read(const struct space *sp, uint64_t addr, unsigned len);
void space_write(const struct space *sp, uint64_t addr, unsigned len, uint64_t val);

/* ---- devices and slots ---- */

/* What a device is, for the firmware tables. The order is of no meaning. */
enum device_kind {
	DEVICE_UART16550,
	DEVICE_RTC_CMOS,   /* MC146818, x86-64 */
	DEVICE_I8042,      /* reset only, x86-64 */
	DEVICE_POWER_ACPI, /* sleep, reset and button registers, x86-64 */
	DEVICE_PL031,      /* RTC, arm64 */
	DEVICE_PL061,      /* GPIO with the power button, arm64 */
	DEVICE_DEBUG_EXIT, /* test payloads only: [debug] exit = yes */
	DEVICE_PCI_HOST,   /* the host bridge */
	DEVICE_VIRTIO_MMIO,
	DEVICE_VIRTIO_PCI,
	DEVICE_KINDS
};

struct bus_device {
	enum device_kind kind;
	const char *name; /* "serial0"; lives as long as the device */
	const struct region_ops *ops;
	void *dev;      /* first argument of the ops */
	unsigned flags; /* enum region_flags */
};

struct bus_slot {
	const char *bus; /* "platform", ... */
	const char *name;
	enum device_kind kind;
	enum space_kind space;
	uint64_t base;
	uint64_t len;
	const struct irq_line *irq; /* NULL: the device has no interrupt */
};

/*
 * The policy of the platform bus: one row for each place that a kind of device
 * may have.  The n-th device of a kind gets the n-th row of that kind.
 */
struct platform_row {
	enum device_kind kind;
	enum space_kind space;
	uint64_t base;
	uint64_t len;
	int gsi; /* -1: no interrupt */
	enum irq_trigger trigger;
};

struct bus {
	const char *name;
	const struct platform_row *row;
	unsigned nrow;
	uint64_t rows_taken; /* bit for each row */
	struct irqchip *chip;
	struct space *space; /* array of SPACE_KINDS */
	struct slot_list *slots;
};

/* Every device of a machine in attach order, of all buses. */
struct slot_list {
	struct bus_slot slot[BUS_SLOTS_MAX];
	struct irq_line *line; /* BUS_SLOTS_MAX of them, behind slot[].irq */
	unsigned n;
};

int slot_list_init(struct slot_list *list);
void slot_list_fini(struct slot_list *list);

/*
 * Gives the device its place and its line.  -ENODEV: the bus has no place (left)
 * for this kind; else as space_add() and irqchip_share().
 */
int bus_attach(struct bus *bus, const struct bus_device *dev,
	       const struct bus_slot **ret);

/* The first slot of a kind, or NULL. */
const struct bus_slot *slot_find(const struct slot_list *list, enum device_kind kind);

#endif
