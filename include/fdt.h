/* SPDX-License-Identifier: ISC */
/*
 * The flattened device tree of the arm64 machine, written with libfdt.
 *
 * Pure, and compiled on every architecture so that it is tested everywhere.
 * Devices and their interrupts come from the slot list that bus_attach() filled.
 */
#ifndef VMM_FDT_H
#define VMM_FDT_H

#include <stddef.h>
#include <stdint.h>

struct memory;
struct slot_list;

struct fdt_gic {
	unsigned version;		/* 2 or 3 */
	uint64_t dist_base, dist_len;
	uint64_t cpu_base, cpu_len;	/* v2: CPU interface; v3: redistributors */
	uint64_t its_base, its_len;	/* v3 with ITS; its_len 0: none */
	uint64_t v2m_base, v2m_len;	/* unused: 0 */
};

struct fdt_machine {
	unsigned ncpu;
	const uint64_t *mpidr;		/* affinity of each CPU, ncpu of them */
	const struct memory *memory;	/* ranges */
	const char *cmdline;
	uint64_t initrd_gpa, initrd_len;	/* len 0: none */
	struct fdt_gic gic;
	const struct slot_list *slots;
};

/* -ENOSPC: does not fit into len bytes (64 KiB is enough). */
int fdt_build(const struct fdt_machine *fm, void *buf, size_t len);

#endif
