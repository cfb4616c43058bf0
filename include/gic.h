/* SPDX-License-Identifier: ISC */
/*
 * The GIC of KVM's arm64 in-kernel devices: GICv2, GICv3, ITS.
 *
 * gic_new() before the vCPUs are made (it chooses what the host has), and
 * gic_finalize() after all of them and before the first one runs: KVM's order.
 */
#ifndef VMM_GIC_H
#define VMM_GIC_H

#include "fdt.h"

struct err;
struct irqchip;
struct vm;

enum {
	GIC_SPIS = 96,		/* inputs; INTIDs 32 .. 127 */
};

/* version 0: GICv3 if the host has it, else GICv2. */
int gic_new(struct vm *vm, unsigned version, unsigned ncpu, struct irqchip **ret,
	    struct err *e);
int gic_finalize(struct irqchip *chip, struct err *e);

/* For the FDT. */
void gic_describe(const struct irqchip *chip, struct fdt_gic *ret);

#endif
