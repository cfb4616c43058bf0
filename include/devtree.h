/* SPDX-License-Identifier: ISC */
/*
 * The flattened device tree of the arm64 machine, written with libfdt.  (Not fdt.h:
 * that is the name of one of libfdt's headers.)
 *
 * Pure, and compiled on every architecture so that it is tested everywhere.
 * Devices and their interrupts come from the slots that bus_attach() and
 * pci_attach() filled.
 */
#ifndef VMM_DEVTREE_H
#define VMM_DEVTREE_H

#include <stddef.h>
#include <stdint.h>

struct memory;
struct pci_segment;
struct slot_list;

struct devtree_gic {
	unsigned version; /* 2 or 3 */
	uint64_t dist_base, dist_len;
	uint64_t cpu_base, cpu_len; /* v2: CPU interface; v3: redistributors */
	uint64_t its_base, its_len; /* v3 with ITS; its_len 0: none */
};

enum { DEVTREE_RNG_SEED_LEN = 64 };

/* Randomness for the guest, which makes it its own at once and wipes it here. */
struct devtree_seed {
	uint8_t rng[DEVTREE_RNG_SEED_LEN]; /* for its entropy pool */
	uint64_t kaslr;                    /* where the kernel goes; 0: not randomised */
};

struct devtree {
	unsigned ncpu;
	const uint64_t *mpidr;       /* affinity of each CPU, ncpu of them */
	const struct memory *memory; /* ranges */
	const char *cmdline;
	uint64_t initrd_gpa, initrd_len; /* len 0: none */
	const struct devtree_seed *seed; /* NULL: none */
	struct devtree_gic gic;
	const struct slot_list *slots;
	/*
	 * CPU address of the PCI segment's I/O window: here memory accesses become I/O
	 * accesses.  Linux maps it in pages, of up to 64 KiB.
	 */
	uint64_t pci_io_gpa;
	const struct pci_segment *pci; /* NULL: no PCI */
};

/* Enough for 255 CPUs and every slot. */
enum { DEVTREE_LEN = 0x10000 };

/* buf is aligned to 8 bytes. -ENOSPC: does not fit into len bytes. */
int devtree_build(const struct devtree *dt, void *buf, size_t len);

#endif
