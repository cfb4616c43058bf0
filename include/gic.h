/* SPDX-License-Identifier: ISC */
/*
 * The GIC of KVM's arm64 in-kernel devices: GICv2, GICv3, ITS.
 *
 * gic_new() before the vCPUs are made (it chooses what the host has), and
 * gic_finalize() after all of them and before the first one runs: KVM's order.
 */
#ifndef VMM_GIC_H
#define VMM_GIC_H

#include "devtree.h"

struct err;
struct irqchip;
struct vm;

enum {
	GIC_SPIS = 96, /* inputs; INTIDs 32 .. 127 */
	GIC_V2_CPUS_MAX = 8,
	GIC_V3_CPUS_MAX = 512, /* as many redistributors as there is room for */
};

/*
 * Where the guest finds it; part of the map in src/machine_arm64.c.  All
 * redistributors lie in one region behind the small devices: no second region is
 * ever needed.
 */
enum {
	GIC_DIST_GPA = 0x08000000,
	GIC_V2_CPU_GPA = 0x08010000,
	GIC_ITS_GPA = 0x08080000,
	GIC_REDIST_GPA = 0x0c000000,
	GIC_END_GPA = GIC_REDIST_GPA + GIC_V3_CPUS_MAX * 0x20000,
};

/*
 * version 0: GICv3 if the host has it, else GICv2.  Texts say which setting to
 * change when the host lacks that version, or when it is too small for ncpu.
 */
int gic_new(struct vm *vm, unsigned version, unsigned ncpu, struct irqchip **ret,
	    struct err *e);
int gic_finalize(struct irqchip *chip, struct err *e);

/* For the FDT. */
void gic_describe(const struct irqchip *chip, struct devtree_gic *ret);

#endif
