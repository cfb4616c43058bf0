/* SPDX-License-Identifier: ISC */
/*
 * What an x86-64 kernel finds in low memory, and the registers it starts with.
 *
 * bzImage: the zero page (struct boot_params), Linux
 * Documentation/arch/x86/zero-page.rst, and the "64-bit Boot Protocol" of boot.rst.
 * ELF: struct hvm_start_info, xen/include/public/arch-x86/hvm/start_info.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "err.h"
#include "exit_status.h"
#include "memory.h"
#include "util.h"
#include "vcpu.h"

enum { PAGE_LEN = 4096 };

/* ---- memory map ---- */

/* The types mean the same to e820 and to PVH. */
enum { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };
enum { MAP_ENTRIES_MAX = MEMORY_RANGES_MAX + 3 };

struct map_entry {
	uint64_t gpa;
	uint64_t len;
	uint32_t type;
};

struct map {
	struct map_entry entry[MAP_ENTRIES_MAX];
	unsigned n;
};

static void
map_add(struct map *map, uint64_t gpa, uint64_t end, uint32_t type)
{
	if (end > gpa)
		map->entry[map->n++] = (struct map_entry){ gpa, end - gpa, type };
}

/*
 * Low RAM ends where a PC's EBDA begins; what an adapter ROM would occupy is not
 * mentioned, though it is RAM; ACPI's tables are marked as what they are.  All RAM
 * from 1 MiB on is the guest's.
 */
static struct map
memory_map(const struct memory *m)
{
	struct map map = { .n = 0 };

	map_add(&map, 0, X86_LOW_RAM_END, MAP_RAM);
	map_add(&map, X86_LOW_RAM_END, 0xa0000, MAP_RESERVED);
	map_add(&map, X86_ACPI_GPA, X86_ACPI_GPA + X86_ACPI_LEN, MAP_ACPI);
	for (unsigned i = 0; i < m->n; i++) {
		uint64_t gpa = m->range[i].gpa;
		uint64_t end = gpa + m->range[i].len;

		map_add(&map, gpa < X86_HIGH_RAM_GPA ? X86_HIGH_RAM_GPA : gpa, end,
			MAP_RAM);
	}
	return map;
}

/* ---- bzImage ---- */

/* Offsets in struct boot_params. */
enum {
	BP_ACPI_RSDP_ADDR = 0x070,
	BP_EXT_RAMDISK_IMAGE = 0x0c0,
	BP_EXT_RAMDISK_SIZE = 0x0c4,
	BP_E820_ENTRIES = 0x1e8,
	BP_SETUP_HEADER = 0x1f1,
	BP_VID_MODE = 0x1fa,
	BP_TYPE_OF_LOADER = 0x210,
	BP_LOADFLAGS = 0x211,
	BP_CODE32_START = 0x214,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_CMD_LINE_PTR = 0x228,
	BP_CMDLINE_SIZE = 0x238,
	BP_SETUP_DATA = 0x250,
	BP_HEADER_END = 0x290,
	BP_E820_TABLE = 0x2d0,
};

enum {
	LOADER_UNDEFINED = 0xff,
	LOADED_HIGH = 1 << 0,
	VID_MODE_NORMAL = 0xffff,
	E820_ENTRY_LEN = 20,
};

static void
zero_page_fill(uint8_t *zp, const struct memory *m, const struct boot_loaded *bl,
	       uint64_t rsdp)
{
	const struct map map = memory_map(m);

	le64_put(zp + BP_ACPI_RSDP_ADDR, rsdp);
	zp[BP_E820_ENTRIES] = (uint8_t)map.n;
	for (unsigned i = 0; i < map.n; i++) {
		uint8_t *p = zp + BP_E820_TABLE + i * E820_ENTRY_LEN;

		le64_put(p, map.entry[i].gpa);
		le64_put(p + 8, map.entry[i].len);
		le32_put(p + 16, map.entry[i].type);
	}

	le16_put(zp + BP_VID_MODE, VID_MODE_NORMAL);
	zp[BP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	zp[BP_LOADFLAGS] |= LOADED_HIGH;
	le32_put(zp + BP_CODE32_START, (uint32_t)bl->image.segment[0].gpa);
	le32_put(zp + BP_RAMDISK_IMAGE, (uint32_t)bl->initrd_gpa);
	le32_put(zp + BP_EXT_RAMDISK_IMAGE, (uint32_t)(bl->initrd_gpa >> 32));
	le32_put(zp + BP_RAMDISK_SIZE, (uint32_t)bl->initrd_len);
	le32_put(zp + BP_EXT_RAMDISK_SIZE, (uint32_t)(bl->initrd_len >> 32));
	le32_put(zp + BP_CMD_LINE_PTR, X86_CMDLINE_GPA);
	le64_put(zp + BP_SETUP_DATA, 0);
}

/*
 * The first 4 GiB, virtual = physical, in 2 MiB pages: those of 1 GiB are not in
 * every CPUID.
 */
static int
write_page_tables(const struct memory *m)
{
	enum { ENTRIES = 512, PDS = 4, TABLES = 2 + PDS };
	enum { PRESENT = 1 << 0, WRITABLE = 1 << 1, LARGE = 1 << 7 };
	uint64_t gpa = X86_PAGE_TABLE_GPA;
	uint8_t *p = memory_ptr(m, gpa, TABLES * PAGE_LEN);

	if (!p)
		return -EFAULT;
	memset(p, 0, 2 * PAGE_LEN);
	le64_put(p, (gpa + PAGE_LEN) | PRESENT | WRITABLE);
	for (unsigned i = 0; i < PDS; i++)
		le64_put(p + PAGE_LEN + i * 8,
			 (gpa + (2 + i) * PAGE_LEN) | PRESENT | WRITABLE);
	for (uint64_t i = 0; i < PDS * ENTRIES; i++)
		le64_put(p + 2 * PAGE_LEN + i * 8,
			 i * MiB(2) | PRESENT | WRITABLE | LARGE);
	return 0;
}

/* boot.rst: __BOOT_CS 0x10 execute/read, __BOOT_DS 0x18 read/write, 4 GiB, flat. */
static const uint64_t gdt[] = {
	0, 0, 0x00af9b000000ffff, /* 64-bit code, accessed */
	0x00cf93000000ffff,       /* data, accessed */
};

static int
finish_bzimage(struct memory *m, const struct boot_loaded *bl, uint64_t rsdp,
	       struct vcpu_boot *ret)
{
	uint8_t header[BP_HEADER_END - BP_SETUP_HEADER] = { 0 };
	uint8_t *zp = memory_ptr(m, X86_ZERO_PAGE_GPA, PAGE_LEN);
	size_t len = bl->image.setup_len;

	if (!zp)
		return -EFAULT;
	/* All but the header is zero, or Linux takes the page for one that a loader
	 * copied as a whole (sentinel, zero-page.rst).  The header may already be in
	 * there. */
	if (len > sizeof(header))
		len = sizeof(header);
	memcpy(header, bl->image.setup, len);
	memset(zp, 0, PAGE_LEN);
	memcpy(zp + BP_SETUP_HEADER, header, len);
	zero_page_fill(zp, m, bl, rsdp);

	int r = write_page_tables(m);
	if (r == 0)
		r = memory_write(m, X86_GDT_GPA, gdt, sizeof(gdt));
	*ret = (struct vcpu_boot){
		.entry = bl->image.entry,
		.arg = X86_ZERO_PAGE_GPA,
		.long_mode = true,
		.cr3 = X86_PAGE_TABLE_GPA,
		.gdt = X86_GDT_GPA,
		.gdt_limit = sizeof(gdt) - 1,
	};
	return r;
}

/* ---- PVH ---- */

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	/* version 1 */
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct hvm_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

enum { HVM_START_MAGIC = 0x336ec578 };

/* As it lies at X86_PVH_INFO_GPA. */
struct pvh_info {
	struct hvm_start_info start;
	struct hvm_modlist_entry module;
	struct hvm_memmap_entry memmap[MAP_ENTRIES_MAX];
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "start_info.h");
_Static_assert(X86_PVH_INFO_GPA + sizeof(struct pvh_info) <= X86_ZERO_PAGE_GPA, "boot.h");

static int
finish_pvh(struct memory *m, const struct boot_loaded *bl, uint64_t rsdp,
	   struct vcpu_boot *ret)
{
	const struct map map = memory_map(m);
	struct pvh_info info = {
		.start = {
			.magic = HVM_START_MAGIC,
			.version = 1,
			.cmdline_paddr = X86_CMDLINE_GPA,
			.rsdp_paddr = rsdp,
			.memmap_paddr = X86_PVH_INFO_GPA + offsetof(struct pvh_info, memmap),
			.memmap_entries = map.n,
		},
	};

	if (bl->initrd_len > 0) {
		info.start.nr_modules = 1;
		info.start.modlist_paddr =
			X86_PVH_INFO_GPA + offsetof(struct pvh_info, module);
		info.module.paddr = bl->initrd_gpa;
		info.module.size = bl->initrd_len;
	}
	for (unsigned i = 0; i < map.n; i++)
		info.memmap[i] = (struct hvm_memmap_entry){
			.addr = map.entry[i].gpa,
			.size = map.entry[i].len,
			.type = map.entry[i].type,
		};
	*ret = (struct vcpu_boot){ .entry = bl->image.entry, .arg = X86_PVH_INFO_GPA };
	return memory_write(m, X86_PVH_INFO_GPA, &info, sizeof(info));
}

/* ---- common ---- */

/* PVH has no limit of its own; the place in memory is one. */
static size_t
cmdline_max(const struct boot_loaded *bl)
{
	size_t max = X86_CMDLINE_MAX - 1;

	if (bl->image.setup_len >= BP_CMDLINE_SIZE + 4 - BP_SETUP_HEADER) {
		const uint8_t *p = bl->image.setup + (BP_CMDLINE_SIZE - BP_SETUP_HEADER);

		if (le32_get(p) < max)
			max = le32_get(p);
	}
	return max;
}

int
boot_arch_finish(struct memory *m, const struct boot_loaded *bl, uint64_t tables,
		 struct vcpu_boot *ret, struct err *e)
{
	size_t len = strlen(bl->cmdline);
	struct vcpu_boot boot;

	if (len > cmdline_max(bl))
		return err_set_status(e, EXIT_STATUS_CONFIG, E2BIG,
				      "%s: the command line has "
				      "%zu characters, this kernel takes %zu",
				      bl->cmdline_where, len, cmdline_max(bl));
	int r = memory_write(m, X86_CMDLINE_GPA, bl->cmdline, len + 1);
	if (r == 0)
		r = bl->image.kind == IMAGE_BZIMAGE ? finish_bzimage(m, bl, tables, &boot)
						    : finish_pvh(m, bl, tables, &boot);
	if (r < 0)
		return err_set_status(e, EXIT_STATUS_CONFIG, -r,
				      "memory.size: the guest has "
				      "less than 1 MiB of RAM");
	*ret = boot;
	return 0;
}
