/* SPDX-License-Identifier: ISC */
/*
 * The I/O APIC (82093AA) over KVM's split irqchip.
 *
 * src/ioapic/ioapic.c is a pure model: pins, redirection table, remote IRR and
 * EOI.  It reports through struct ioapic_ops.  src/ioapic/ioapic_kvm_x86_64.c is
 * its KVM half: messages by KVM_SIGNAL_MSI, GSI routes only for level-triggered
 * pins in use (KVM exits on EOI for the vectors of those).
 * src/ioapic/kernel_x86_64.c is the full in-kernel irqchip instead.
 *
 * Reactor thread only.
 */
#ifndef VMM_IOAPIC_H
#define VMM_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

enum { IOAPIC_PINS = 24, IOAPIC_BASE = 0xfec00000, IOAPIC_LEN = 0x1000 };

struct msi_msg;

struct ioapic_ops {
	/* Send this message to the local APICs. */
	void (*deliver)(void *arg, const struct msi_msg *msg);
	/* What ioapic_route() says of some pin has changed. Comes before the first
	 * deliver() of a new route. */
	void (*routes_changed)(void *arg);
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *arg;
	uint64_t redir[IOAPIC_PINS];
	uint32_t wire; /* level of each pin */
	unsigned pins; /* how many the guest is told of */
	uint8_t select;
	uint8_t id;
};

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *arg);
/* Before the guest runs: only the first n pins exist. */
void ioapic_set_pins(struct ioapic *io, unsigned n);
void ioapic_set_pin(struct ioapic *io, unsigned pin, bool level);
void ioapic_eoi(struct ioapic *io, unsigned vector);

/* Register window (IOREGSEL 0x00, IOWIN 0x10, EOI 0x40); struct region_ops. */
uint64_t ioapic_read(void *io, uint64_t off, unsigned len);
void ioapic_write(void *io, uint64_t off, unsigned len, uint64_t val);

/*
 * The message of a pin whose EOI must be reported: level-triggered, and unmasked
 * or (still) in service; else false.
 */
bool ioapic_route(const struct ioapic *io, unsigned pin, struct msi_msg *ret);

/* ---- the KVM half ---- */

struct err;
struct irqchip;
struct space;
struct vm;

/* Enables the split irqchip; before the vCPUs are made. */
int ioapic_kvm_new(struct vm *vm, struct space *mmio, struct irqchip **ret,
		   struct err *e);
/* When all lines are handed out: pins behind the last are not there. */
void ioapic_kvm_finalize(struct irqchip *chip);
/* The in-kernel PIC, I/O APIC and local APICs; no PIT. */
int irqchip_kernel_new(struct vm *vm, struct irqchip **ret, struct err *e);

#endif
