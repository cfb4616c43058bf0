/* SPDX-License-Identifier: ISC */
/*
 * From files to a machine that can run: kernel and initrd into guest memory, the
 * tables the kernel reads beside them, and the registers of the boot CPU.
 *
 * boot_load() is common (src/boot.c); boot_arch_finish() is
 * src/boot_x86_64.c (zero page or PVH start info, page tables, GDT) or
 * src/boot_arm64.c (device tree).  Before the vCPUs start.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdint.h>

#include "image.h"

struct err;
struct memory;
struct slot_list;
struct vcpu_boot;

struct boot_source {
	const char *kernel;       /* path */
	const char *kernel_where; /* "vm.ini:9", "--set boot.kernel": for errors */
	const char *initrd;       /* path or NULL */
	const char *initrd_where;
	const char *cmdline;
	const char *cmdline_where;
	int copy; /* read the files instead of mapping them */
};

/* What is in memory after boot_load(). */
struct boot_loaded {
	struct image image;
	uint64_t initrd_gpa;
	uint64_t initrd_len; /* 0: none */
	const char *cmdline;
	const char *cmdline_where; /* not NULL */
};

/*
 * After it, image.setup points into guest memory (the zero page) and
 * image.unpacked is gone: no part of boot_loaded has to be freed.
 */
int boot_load(const struct boot_source *src, struct memory *m, struct boot_loaded *ret,
	      struct err *e);
/* The same for a guest of either architecture, so that both are tested on each. */
int boot_load_arch(enum image_arch arch, const struct boot_source *src, struct memory *m,
		   struct boot_loaded *ret, struct err *e);

/*
 * x86-64: tables is the address of the RSDP.  arm64: tables is where the device
 * tree lies.  Writes what the boot protocol wants and answers with the registers.
 * -E2BIG with a text if the command line is too long for the protocol.
 */
int boot_arch_finish(struct memory *m, const struct boot_loaded *bl, uint64_t tables,
		     struct vcpu_boot *ret, struct err *e);

/* ---- guest-physical layout ---- */

/* x86-64 */
enum {
	X86_GDT_GPA = 0x500,
	X86_PVH_INFO_GPA = 0x6000, /* hvm_start_info, module list, memory map */
	X86_ZERO_PAGE_GPA = 0x7000,
	X86_PAGE_TABLE_GPA = 0x9000, /* PML4, PDPT, 4 PDs: 6 pages */
	X86_CMDLINE_GPA = 0x20000,
	X86_CMDLINE_MAX = 0x10000,
	X86_LOW_RAM_END = 0x9fc00,
	X86_ACPI_GPA = 0xe0000,
	X86_ACPI_LEN = 0x20000,
	X86_HIGH_RAM_GPA = 0x100000,
};
#define X86_MMIO_GAP_GPA 0xc0000000ull  /* RAM below ends here at the latest ... */
#define X86_MMIO_GAP_END 0x100000000ull /* ... and goes on here */

/* arm64 */
#define ARM64_RAM_GPA 0x80000000ull /* below: devices; see src/machine_arm64.c */
enum {
	ARM64_FDT_LEN = 0x200000, /* in the last 2 MiB-aligned block of the first
					 * 1 GiB of RAM, or of RAM if it is smaller */
};

#endif
