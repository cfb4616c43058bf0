/* SPDX-License-Identifier: ISC */
/* boot_arch_finish(): what an x86-64 kernel finds in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "err.h"
#include "exit_status.h"
#include "image_make.h"
#include "memory.h"
#include "util.h"
#include "vcpu.h"

enum { RSDP = 0xe0000 };

/* A bzImage as boot_load() leaves it, with all of the setup header's bytes set. */
static uint8_t header[0x26c - 0x1f1];

static struct boot_loaded
loaded(enum image_kind kind, const char *cmdline)
{
	struct boot_loaded bl = {
		.image = { .kind = kind,
			   .nsegment = 1,
			   .entry = 0x100200,
			   .segment[0] = { .gpa = 0x100000 } },
		.initrd_gpa = 0x3f12000,
		.initrd_len = 0xed123,
		.cmdline = cmdline,
		.cmdline_where = "vm.ini:11",
	};

	memset(header, 0xa5, sizeof(header));
	le32_put(header + (0x238 - 0x1f1), 2047);
	header[0x211 - 0x1f1] = 0x40;
	if (kind == IMAGE_BZIMAGE) {
		bl.image.setup = header;
		bl.image.setup_len = sizeof(header);
	}
	return bl;
}

static struct memory
ram(uint64_t low, uint64_t high)
{
	const struct memory_range range[] = {
		{ .gpa = 0, .len = low },
		{ .gpa = GiB(4), .len = high },
	};
	struct memory m;
	struct err e = { .status = 0 };

	assert_int_equal(memory_reserve(&m, range, high ? 2 : 1, &e), 0);
	return m;
}

static struct vcpu_boot
finish(struct memory *m, const struct boot_loaded *bl)
{
	struct vcpu_boot boot;
	struct err e = { .status = 0 };

	assert_int_equal(boot_arch_finish(m, bl, RSDP, &boot, &e), 0);
	return boot;
}

static void
zero_page_holds_the_header_and_what_the_loader_has_to_fill_in(void **state)
{
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "console=ttyS0 quiet");
	/* Left over from an earlier boot. */
	memset(memory_ptr(&m, 0, 0x30000), 0xcc, 0x30000);
	struct vcpu_boot boot = finish(&m, &bl);
	const uint8_t *zp = memory_ptr(&m, boot.arg, 4096);

	(void)state;
	assert_non_null(zp);
	assert_int_equal(le64_get(zp + 0x070), RSDP);
	assert_int_equal(le32_get(zp + 0x0c0), 0); /* ext_ramdisk_image */
	assert_int_equal(le32_get(zp + 0x0c4), 0); /* ext_ramdisk_size */
	assert_int_equal(le32_get(zp + 0x0c8), 0); /* ext_cmd_line_ptr */
	assert_int_equal(zp[0x1ef], 0);            /* sentinel */
	assert_int_equal(le16_get(zp + 0x1fa), 0xffff);
	assert_int_equal(zp[0x210], 0xff); /* type_of_loader */
	assert_int_equal(zp[0x211], 0x41); /* loadflags: LOADED_HIGH added */
	assert_int_equal(le32_get(zp + 0x214), 0x100000);
	assert_int_equal(le32_get(zp + 0x218), 0x3f12000);
	assert_int_equal(le32_get(zp + 0x21c), 0xed123);
	assert_int_equal(le32_get(zp + 0x228), X86_CMDLINE_GPA);
	assert_int_equal(le64_get(zp + 0x250), 0); /* setup_data */
	assert_string_equal(memory_ptr(&m, X86_CMDLINE_GPA, 32), "console=ttyS0 quiet");

	/* The rest of the header is the kernel's, the rest of the page zero. */
	assert_int_equal(zp[0x1f1], 0xa5);
	assert_int_equal(le32_get(zp + 0x230), 0xa5a5a5a5);
	assert_int_equal(zp[0x26b], 0xa5);
	for (unsigned i = 0x26c; i < 0x2d0; i++)
		assert_int_equal(zp[i], 0);
	for (unsigned i = 0; i < 0x70; i++) /* screen_info: no VGA */
		assert_int_equal(zp[i], 0);
	memory_release(&m);
}

/* boot_load() leaves the header in the very page that is written. */
static void
zero_page_is_the_same_if_the_header_already_lies_in_it(void **state)
{
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "x");
	uint8_t first[4096];

	(void)state;
	struct vcpu_boot boot = finish(&m, &bl);
	memory_read(&m, boot.arg, first, sizeof(first));
	memory_write(&m, X86_ZERO_PAGE_GPA + 0x1f1, header, sizeof(header));
	bl.image.setup = memory_ptr(&m, X86_ZERO_PAGE_GPA + 0x1f1, sizeof(header));
	finish(&m, &bl);
	assert_memory_equal(memory_ptr(&m, boot.arg, 4096), first, sizeof(first));
	memory_release(&m);
}

struct region {
	uint64_t gpa, len;
	uint32_t type;
};

static const struct region small_map[] = {
	{ 0, 0x9fc00, 1 },
	{ 0x9fc00, 0x400, 2 },
	{ 0xe0000, 0x20000, 3 },
	{ 0x100000, MiB(63), 1 },
};

static const struct region large_map[] = {
	{ 0, 0x9fc00, 1 },       { 0x9fc00, 0x400, 2 },
	{ 0xe0000, 0x20000, 3 }, { 0x100000, GiB(3) - MiB(1), 1 },
	{ GiB(4), GiB(5), 1 },
};

static void
check_e820(struct memory *m, const struct region *want, unsigned n)
{
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "");
	struct vcpu_boot boot = finish(m, &bl);
	const uint8_t *zp = memory_ptr(m, boot.arg, 4096);

	assert_int_equal(zp[0x1e8], n);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = zp + 0x2d0 + i * 20;

		assert_int_equal(le64_get(p), want[i].gpa);
		assert_int_equal(le64_get(p + 8), want[i].len);
		assert_int_equal(le32_get(p + 16), want[i].type);
	}
	for (unsigned i = 0x2d0 + n * 20; i < 4096; i++)
		assert_int_equal(zp[i], 0);
	memory_release(m);
}

static void
e820_names_low_ram_acpi_and_ram_on_both_sides_of_the_gap(void **state)
{
	struct memory m = ram(MiB(64), 0);

	(void)state;
	check_e820(&m, small_map, ARRAY_SIZE(small_map));
	m = ram(GiB(3), GiB(5));
	check_e820(&m, large_map, ARRAY_SIZE(large_map));
	/* Nothing from 1 MiB on: no entry of length 0. */
	m = ram(MiB(1), 0);
	check_e820(&m, small_map, 3);
}

/* Intel SDM 3A, 4.5, as the CPU does it with CR4.PAE and EFER.LME. ~0: not present. */
static uint64_t
walk(const struct memory *m, uint64_t cr3, uint64_t va)
{
	uint64_t table = cr3 & ~0xfffull;

	for (unsigned shift = 39;; shift -= 9) {
		const uint8_t *p = memory_ptr(m, table + ((va >> shift) & 511) * 8, 8);

		assert_non_null(p);
		uint64_t e = le64_get(p);
		if (!(e & 1))
			return UINT64_MAX;
		assert_true(e & 2); /* writable at each level */
		uint64_t mask = (1ull << shift) - 1;
		if (shift == 12 || (e & 0x80)) {
			assert_true(shift == 12 || shift == 21); /* no 1 GiB pages */
			/* reserved bits of a large page: below 2 MiB but for PAT */
			assert_int_equal(e & mask & ~0xfffull, 0);
			assert_int_equal(e >> 52, 0); /* XD clear: code may run */
			return (e & 0xffffffffff000ull & ~mask) | (va & mask);
		}
		table = e & 0xffffffffff000ull;
	}
}

static void
page_tables_map_the_first_4g_to_themselves_and_nothing_else(void **state)
{
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "");

	(void)state;
	/* Stale bytes must not become entries. */
	memset(memory_ptr(&m, 0, 0x30000), 0xff, 0x30000);
	struct vcpu_boot boot = finish(&m, &bl);
	assert_true(boot.long_mode);
	for (uint64_t va = 0; va < GiB(4); va += MiB(1) + 0x1235)
		assert_int_equal(walk(&m, boot.cr3, va), va);
	assert_int_equal(walk(&m, boot.cr3, GiB(4) - 1), GiB(4) - 1);
	for (uint64_t va = GiB(4); va < GiB(600); va += MiB(511))
		assert_int_equal(walk(&m, boot.cr3, va), UINT64_MAX);
	assert_int_equal(walk(&m, boot.cr3, 0xffff800000000000), UINT64_MAX);
	memory_release(&m);
}

static void
gdt_holds_flat_code_at_0x10_and_data_at_0x18(void **state)
{
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "");
	struct vcpu_boot boot = finish(&m, &bl);

	(void)state;
	assert_int_equal(boot.gdt_limit, 4 * 8 - 1);
	const uint8_t *p = memory_ptr(&m, boot.gdt, boot.gdt_limit + 1u);
	assert_int_equal(le64_get(p), 0);
	for (unsigned i = 2; i < 4; i++) {
		uint64_t d = le64_get(p + i * 8);

		/* base 0, limit 0xfffff pages, present, DPL 0, code or data segment */
		assert_int_equal(d & 0xff0000ffffff0000, 0);
		assert_int_equal(d & 0xffff, 0xffff);
		assert_int_equal(d >> 48 & 0xf, 0xf);
		assert_int_equal(d >> 55 & 1, 1);
		assert_int_equal(d >> 44 & 0xf, 9);
		/* code: execute/read, L and not D; data: read/write */
		assert_int_equal(d >> 41 & 5, i == 2 ? 5 : 1);
		assert_int_equal(d >> 53 & 3, i == 2 ? 1 : 2);
	}
	memory_release(&m);
}

static void
tables_do_not_overlap_and_stay_in_low_ram(void **state)
{
	static const struct region used[] = {
		{ X86_GDT_GPA, 32, 0 },
		{ X86_PVH_INFO_GPA, 4096, 0 },
		{ X86_ZERO_PAGE_GPA, 4096, 0 },
		{ X86_PAGE_TABLE_GPA, 6 * 4096, 0 },
		{ X86_CMDLINE_GPA, X86_CMDLINE_MAX, 0 },
	};
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "some words");

	(void)state;
	finish(&m, &bl);
	bl = loaded(IMAGE_ELF_PVH, "some words");
	finish(&m, &bl);
	/* Nothing else was touched. */
	const uint8_t *p = memory_ptr(&m, 0, MiB(64));
	for (uint64_t i = 0; i < MiB(2); i++) {
		bool ours = false;

		for (size_t k = 0; k < ARRAY_SIZE(used); k++)
			ours |= i - used[k].gpa < used[k].len;
		if (!ours && p[i])
			fail_msg("0x%llx is 0x%02x", (unsigned long long)i, p[i]);
	}
	for (size_t a = 0; a < ARRAY_SIZE(used); a++)
		for (size_t b = 0; b < a; b++)
			assert_false(ranges_overlap(used[a].gpa, used[a].len, used[b].gpa,
						    used[b].len));
	memory_release(&m);
}

static void
pvh_start_info_names_memory_map_initrd_cmdline_and_rsdp(void **state)
{
	struct memory m = ram(GiB(3), GiB(5));
	struct boot_loaded bl = loaded(IMAGE_ELF_PVH, "console=ttyS0");
	struct vcpu_boot boot = finish(&m, &bl);
	const uint8_t *p = memory_ptr(&m, boot.arg, 56);

	(void)state;
	assert_false(boot.long_mode);
	assert_int_equal(boot.entry, 0x100200);
	assert_int_equal(le32_get(p), 0x336ec578);
	assert_int_equal(le32_get(p + 4), 1);  /* version */
	assert_int_equal(le32_get(p + 8), 0);  /* flags */
	assert_int_equal(le32_get(p + 12), 1); /* nr_modules */
	assert_int_equal(le64_get(p + 32), RSDP);
	assert_string_equal(memory_ptr(&m, le64_get(p + 24), 14), "console=ttyS0");

	const uint8_t *mod = memory_ptr(&m, le64_get(p + 16), 32);
	assert_int_equal(le64_get(mod), 0x3f12000);
	assert_int_equal(le64_get(mod + 8), 0xed123);
	assert_int_equal(le64_get(mod + 16), 0);

	assert_int_equal(le32_get(p + 48), ARRAY_SIZE(large_map));
	for (unsigned i = 0; i < ARRAY_SIZE(large_map); i++) {
		const uint8_t *e = memory_ptr(&m, le64_get(p + 40) + i * 24, 24);

		assert_int_equal(le64_get(e), large_map[i].gpa);
		assert_int_equal(le64_get(e + 8), large_map[i].len);
		assert_int_equal(le32_get(e + 16), large_map[i].type);
		assert_int_equal(le32_get(e + 20), 0);
	}
	memory_release(&m);
}

static void
pvh_without_initrd_has_no_module(void **state)
{
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_ELF_PVH, "");

	(void)state;
	bl.initrd_len = 0;
	struct vcpu_boot boot = finish(&m, &bl);
	const uint8_t *p = memory_ptr(&m, boot.arg, 56);
	assert_int_equal(le32_get(p + 12), 0);
	assert_int_equal(le64_get(p + 16), 0);
	memory_release(&m);
}

static void
cmdline_as_long_as_the_kernel_allows_is_accepted_and_no_longer(void **state)
{
	char *cmdline = malloc(X86_CMDLINE_MAX + 1);
	static const struct {
		enum image_kind kind;
		size_t max;
	} cases[] = {
		{ IMAGE_BZIMAGE, 2047 },
		{ IMAGE_ELF_PVH, X86_CMDLINE_MAX - 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory m = ram(MiB(64), 0);
		struct boot_loaded bl = loaded(cases[i].kind, cmdline);
		struct vcpu_boot boot;
		struct err e = { .status = 0 };

		memset(cmdline, 'x', cases[i].max);
		cmdline[cases[i].max] = '\0';
		finish(&m, &bl);
		assert_int_equal(*(char *)memory_ptr(&m,
						     X86_CMDLINE_GPA + cases[i].max - 1,
						     1),
				 'x');
		assert_int_equal(*(char *)memory_ptr(&m, X86_CMDLINE_GPA + cases[i].max,
						     1),
				 0);

		strcpy(cmdline + cases[i].max, "x");
		assert_int_equal(boot_arch_finish(&m, &bl, RSDP, &boot, &e), -E2BIG);
		assert_int_equal(e.status, EXIT_STATUS_CONFIG);
		if (cases[i].kind == IMAGE_BZIMAGE)
			assert_string_equal(e.text,
					    "vm.ini:11: the command line has 2048 "
					    "characters, this kernel takes 2047");
		memory_release(&m);
	}
	free(cmdline);
}

/* A header may claim anything; the place in memory is the limit then. */
static void
cmdline_never_leaves_its_place_whatever_the_header_claims(void **state)
{
	char *cmdline = malloc(X86_CMDLINE_MAX + 1);
	struct memory m = ram(MiB(64), 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, cmdline);
	struct vcpu_boot boot;
	struct err e = { .status = 0 };

	(void)state;
	memset(cmdline, 'x', X86_CMDLINE_MAX);
	cmdline[X86_CMDLINE_MAX] = '\0';
	le32_put(header + (0x238 - 0x1f1), UINT32_MAX);
	assert_int_equal(boot_arch_finish(&m, &bl, RSDP, &boot, &e), -E2BIG);
	memory_release(&m);
	free(cmdline);
}

static void
ram_too_small_for_the_tables_is_refused(void **state)
{
	struct memory m = ram(0x8000, 0);
	struct boot_loaded bl = loaded(IMAGE_BZIMAGE, "");
	struct vcpu_boot boot;
	struct err e = { .status = 0 };

	(void)state;
	assert_int_equal(boot_arch_finish(&m, &bl, RSDP, &boot, &e), -EFAULT);
	assert_int_equal(e.status, EXIT_STATUS_CONFIG);
	memory_release(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			zero_page_holds_the_header_and_what_the_loader_has_to_fill_in),
		cmocka_unit_test(zero_page_is_the_same_if_the_header_already_lies_in_it),
		cmocka_unit_test(
			e820_names_low_ram_acpi_and_ram_on_both_sides_of_the_gap),
		cmocka_unit_test(
			page_tables_map_the_first_4g_to_themselves_and_nothing_else),
		cmocka_unit_test(gdt_holds_flat_code_at_0x10_and_data_at_0x18),
		cmocka_unit_test(tables_do_not_overlap_and_stay_in_low_ram),
		cmocka_unit_test(pvh_start_info_names_memory_map_initrd_cmdline_and_rsdp),
		cmocka_unit_test(pvh_without_initrd_has_no_module),
		cmocka_unit_test(
			cmdline_as_long_as_the_kernel_allows_is_accepted_and_no_longer),
		cmocka_unit_test(
			cmdline_never_leaves_its_place_whatever_the_header_claims),
		cmocka_unit_test(ram_too_small_for_the_tables_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
