/* SPDX-License-Identifier: ISC */
/*
 * The interrupt controller, as buses and the machine see it.  Device models do
 * not include this header (make lint checks): they have irq.h.
 *
 * A GSI is an input of the controller: on x86-64 the I/O APIC pin, on arm64 the
 * shared peripheral interrupt number counted from 0 (SPI n is INTID 32 + n).
 * Two families implement the operations: src/ioapic/ and src/gic/.
 *
 * Reactor thread only, but for what is done before the vCPUs start.
 */
#ifndef VMM_IRQCHIP_H
#define VMM_IRQCHIP_H

#include <stdint.h>

#include "irq.h"
#include "irq_routes.h"

struct irqchip;

enum {
	IRQCHIP_GSI_MAX = 256,
	IRQCHIP_SHARERS_MAX = 64, /* bits in a word of wired-OR state */
};

struct msi_msg {
	uint64_t addr;
	uint32_t data;
	uint32_t devid; /* requester id, for the ITS; ignored on x86-64 */
};

struct irqchip_ops {
	const char *name;
	/* The wire of an input changed. Called on changes only. */
	void (*set_level)(struct irqchip *chip, unsigned gsi, bool level);
	/* 0, or -errno where the message goes nowhere. */
	int (*signal_msi)(struct irqchip *chip, const struct msi_msg *msg);
	/*
	 * Tells KVM chip->routes; 0 or -errno. NULL: no irqfds, as messages go
	 * nowhere.
	 */
	int (*routes_commit)(struct irqchip *chip);
	/* The guest ended a level interrupt (split irqchip only); may be NULL. */
	void (*eoi)(struct irqchip *chip, unsigned vector);
	void (*free)(struct irqchip *chip);
};

/*
 * The wired-OR state, one for each machine.  An implementation embeds it as its
 * first member; irqchip_init() clears it.
 */
struct irq_line {
	struct irqchip *chip;
	uint16_t gsi;
	uint8_t sharer;  /* bit in chip->wire[gsi] */
	uint8_t trigger; /* enum irq_trigger */
};

struct irqchip {
	const struct irqchip_ops *ops;
	unsigned ngsi;
	uint64_t wire[IRQCHIP_GSI_MAX];   /* asserted sharers of each input */
	uint8_t sharers[IRQCHIP_GSI_MAX]; /* how many were handed out */
	uint8_t trigger[IRQCHIP_GSI_MAX]; /* of the first sharer */
	struct irq_routes routes;
};

/* Message routes begin behind the ngsi inputs. */
void irqchip_init(struct irqchip *chip, const struct irqchip_ops *ops, unsigned ngsi);
void irqchip_fini(struct irqchip *chip);

/*
 * Makes one more sharer of an input; only the buses (bus.c, pci_bus.c) call it.  -EINVAL: no such
 * input; -EBUSY: the input is edge-triggered and taken, or its sharers disagree
 * about the trigger, or there are IRQCHIP_SHARERS_MAX already.
 */
int irqchip_share(struct irqchip *chip, unsigned gsi, enum irq_trigger trigger,
		  struct irq_line *ret);

int irqchip_signal_msi(struct irqchip *chip, const struct msi_msg *msg);

/*
 * For who has somebody else signal a vector: a GSI for vm_irqfd_add(), as irq_routes.h
 * has it.  -ENOTSUP: this controller takes no messages.  The vector's message is set when
 * it changes, and NULL while it is masked; then the eventfd has to be taken from KVM
 * and read by the reactor, which knows what is pending (msix.h).  Several changes, one
 * commit; KVM knows them when it returns 0.
 */
int irqchip_route_alloc(struct irqchip *chip, unsigned *ret_gsi);
void irqchip_route_free(struct irqchip *chip, unsigned gsi);
void irqchip_route_set(struct irqchip *chip, unsigned gsi, const struct msi_msg *msg);
int irqchip_routes_commit(struct irqchip *chip);

#endif
