/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "exit_status.h"
#include "image.h"
#include "image_make.h"
#include "util.h"

#define RAM_X86 0ull
#define RAM_ARM64 0x80000000ull

struct parsed {
	struct image img;
	struct err e;
	int r;
};

static struct parsed
parse_ram(enum image_arch arch, const uint8_t *data, size_t len, uint64_t ram_len)
{
	struct parsed p = { .r = 0 };
	/* A copy of exactly len bytes: AddressSanitizer sees the first byte too many. */
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, data, len);
	p.r = image_parse(arch, copy, len, arch == IMAGE_ARM64 ? RAM_ARM64 : RAM_X86,
			  ram_len, &p.img, &p.e);
	if (p.r == 0 && p.img.setup)
		p.img.setup = data + (p.img.setup - copy);
	free(copy);
	return p;
}

static struct parsed
parse(enum image_arch arch, const uint8_t *data, size_t len)
{
	return parse_ram(arch, data, len, MiB(128));
}

static void
check_refused(struct parsed p, const char *text)
{
	if (p.r != -ENOEXEC)
		fail_msg("answered %d and not -ENOEXEC where expected: %s", p.r, text);
	assert_int_equal(p.e.status, EXIT_STATUS_CONFIG);
	if (!strstr(p.e.text, text))
		fail_msg("said '%s', expected '%s'", p.e.text, text);
	/* Nothing may be left to free, and ret is untouched. */
	assert_null(p.img.unpacked);
	assert_int_equal(p.img.nsegment, 0);
}

/* ---- bzImage ---- */

static void
bzimage_is_planned_at_1m_plus_its_offset_modulo_4096(void **state)
{
	static const struct {
		unsigned sects;
		uint64_t gpa;
	} cases[] = {
		{ 39, 0x100000 }, /* 0x5000 in the file: Linux today */
		{ 30, 0x100e00 },
		{ 1, 0x100400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		uint8_t *f = image_make_bzimage(cases[i].sects, 0x10000, &len);
		struct parsed p = parse(IMAGE_X86_64, f, len);

		assert_int_equal(p.r, 0);
		assert_int_equal(p.img.kind, IMAGE_BZIMAGE);
		assert_int_equal(p.img.nsegment, 1);
		assert_int_equal(p.img.segment[0].gpa, cases[i].gpa);
		assert_int_equal(p.img.segment[0].off, (cases[i].sects + 1) * 512);
		assert_int_equal(p.img.segment[0].file_len, 0x10000);
		assert_int_equal(p.img.entry, cases[i].gpa + 0x200);
		assert_int_equal(p.img.initrd_max, 0x7fffffff);
		/* It moves to pref_address and needs init_size there. */
		assert_int_equal(p.img.end, MAKE_PREF_ADDRESS + MAKE_INIT_SIZE);
		assert_ptr_equal(p.img.setup, f + 0x1f1);
		assert_int_equal(p.img.setup_len, 0x26c - 0x1f1);
		free(f);
	}
}

static void
bzimage_without_setup_sects_has_four(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(4, 0x10000, &len);

	(void)state;
	f[0x1f1] = 0;
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.segment[0].off, 5 * 512);
	free(f);
}

static void
bzimage_linked_low_runs_at_the_next_kernel_alignment(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(30, 0x10000, &len);

	(void)state;
	le64_put(f + 0x258, 0x100000);
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.end, 0x200000 + MAKE_INIT_SIZE);
	free(f);
}

static void
bzimage_that_is_not_relocatable_is_loaded_where_it_runs(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(30, 0x10000, &len);

	(void)state;
	f[0x234] = 0;
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.segment[0].gpa, MAKE_PREF_ADDRESS);
	assert_int_equal(p.img.end, MAKE_PREF_ADDRESS + MAKE_INIT_SIZE);
	le64_put(f + 0x258, 0xf0000);
	check_refused(parse(IMAGE_X86_64, f, len), "is not relocatable");
	free(f);
}

static void
bzimage_with_a_signature_behind_it_is_loaded_without(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(39, 0x10000, &len);

	(void)state;
	le32_put(f + 0x1f4, 0xf000 / 16);
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.segment[0].file_len, 0xf000);
	free(f);
}

static void
bzimage_header_never_reaches_into_the_rest_of_boot_params(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(39, 0x10000, &len);

	(void)state;
	f[0x201] = 0xff;
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.setup_len, 0x290 - 0x1f1);
	free(f);
}

struct poke {
	unsigned off;
	unsigned width;
	uint64_t value;
	const char *text;
};

static void
poke(uint8_t *f, const struct poke *p)
{
	memcpy(f + p->off, &p->value, p->width);
}

static void
bzimage_that_cannot_be_booted_is_refused_with_the_reason(void **state)
{
	static const struct poke cases[] = {
		{ 0x206, 2, 0x204, "has boot protocol 2.04: 2.12 (Linux 3.8) or later" },
		{ 0x206, 2, 0x20b, "has boot protocol 2.11" },
		{ 0x201, 1, 0x60, "setup header that is too short" },
		{ 0x211, 1, 0, "is a zImage" },
		{ 0x236, 2, 0x7e, "is a 32-bit x86 kernel: it has no 64-bit entry" },
		{ 0x1f4, 4, 0x1001,
		  "is truncated: the header promises 86032 bytes, the file "
		  "has 86016" },
		{ 0x1f4, 4, 0xffffffff, "is truncated" },
		{ 0x1f1, 1, 255, "is truncated" },
		{ 0x1f4, 4, 0x20, "has no 64-bit entry" },
		{ 0x1f4, 4, 0, "has no 64-bit entry" },
		{ 0x230, 4, 0, "has a kernel_alignment of 0x0" },
		{ 0x230, 4, 0x300000, "has a kernel_alignment of 0x300000" },
		{ 0x230, 4, 0x80000000, "needs 2051 MiB of RAM, the guest has 128 MiB" },
		{ 0x260, 4, 0x10000000, "needs 272 MiB of RAM, the guest has 128 MiB" },
		{ 0x260, 4, 0xffffffff, "raise memory.size" },
		{ 0x258, 8, MiB(128), "raise memory.size" },
		{ 0x258, 8, UINT64_MAX, "where no RAM can be" },
		{ 0x258, 8, UINT64_MAX - 0x200000, "where no RAM can be" },
		/* without the magic it is what a PC boots from disk */
		{ 0x202, 4, 0, "is a boot sector or disk image" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		uint8_t *f = image_make_bzimage(39, 0x10000, &len);

		poke(f, &cases[i]);
		check_refused(parse(IMAGE_X86_64, f, len), cases[i].text);
		free(f);
	}
}

static void
bzimage_cut_anywhere_is_refused(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(1, 0x800, &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		struct parsed p = parse(IMAGE_X86_64, f, n);

		assert_int_equal(p.r, -ENOEXEC);
		if (n >= 0x206)
			check_refused(p, "is truncated");
	}
	assert_int_equal(parse(IMAGE_X86_64, f, len).r, 0);
	free(f);
}

static void
bzimage_fits_into_the_last_byte_of_ram_and_not_beyond(void **state)
{
	size_t len;
	uint8_t *f = image_make_bzimage(39, 0x10000, &len);
	uint64_t need = MAKE_PREF_ADDRESS + MAKE_INIT_SIZE;

	(void)state;
	assert_int_equal(parse_ram(IMAGE_X86_64, f, len, need).r, 0);
	check_refused(parse_ram(IMAGE_X86_64, f, len, need - 1),
		      "needs 19 MiB of RAM, the guest has 18 MiB");
	check_refused(parse_ram(IMAGE_X86_64, f, len, 0), "raise memory.size");
	free(f);
}

/* ---- ELF ---- */

static const struct make_segment linux_like[] = {
	{ 0x1000000, 0x1000, 0x3000, 0x3000 },
	{ 0x1004000, 0x4000, 0x1234, 0x9000 }, /* with bss */
};

static void
vmlinux_is_planned_by_its_program_headers_and_pvh_note(void **state)
{
	(void)state;
	for (unsigned desc = 4; desc <= 8; desc += 4) {
		uint8_t note[64];
		size_t len, n = image_make_pvh_note(note, 0x1000740, desc);
		uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);
		struct parsed p = parse(IMAGE_X86_64, f, len);

		assert_int_equal(p.r, 0);
		assert_int_equal(p.img.kind, IMAGE_ELF_PVH);
		assert_int_equal(p.img.nsegment, 2);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(p.img.segment[i].gpa, linux_like[i].paddr);
			assert_int_equal(p.img.segment[i].off, linux_like[i].off);
			assert_int_equal(p.img.segment[i].file_len,
					 linux_like[i].file_len);
			assert_int_equal(p.img.segment[i].mem_len, linux_like[i].mem_len);
		}
		assert_int_equal(p.img.entry, 0x1000740);
		assert_int_equal(p.img.end, 0x100d000);
		assert_null(p.img.setup);
		free(f);
	}
}

static size_t
put_note(uint8_t *p, const char *name, uint32_t type, uint32_t descsz)
{
	const Elf64_Nhdr nh = {
		.n_namesz = (uint32_t)strlen(name) + 1,
		.n_descsz = descsz,
		.n_type = type,
	};
	size_t len = sizeof(nh) + align_up(nh.n_namesz, 4) + align_up(descsz, 4);

	memset(p, 0, len);
	memcpy(p, &nh, sizeof(nh));
	memcpy(p + sizeof(nh), name, nh.n_namesz);
	return len;
}

static void
vmlinux_note_is_found_among_others(void **state)
{
	uint8_t note[256];
	size_t len, n = 0;

	(void)state;
	n += put_note(note + n, "Linux", 257, 6);
	n += put_note(note + n, "GNU", 18, 4); /* the type, but not Xen's */
	n += put_note(note + n, "Xen", 3, 7);  /* Xen's, but not the type */
	n += put_note(note + n, "", 0, 0);
	n += image_make_pvh_note(note + n, 0x1001000, 4);
	uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);
	struct parsed p = parse(IMAGE_X86_64, f, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.entry, 0x1001000);
	free(f);
}

static void
vmlinux_notes_that_lie_about_their_lengths_hold_no_entry(void **state)
{
	static const struct {
		unsigned off;
		uint32_t value;
	} cases[] = {
		{ 0, UINT32_MAX }, { 0, 5 }, { 0, 0 },  { 4, UINT32_MAX },
		{ 4, 9 },          { 4, 2 }, { 8, 17 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t note[64];
		size_t len, n = image_make_pvh_note(note, 0x1000000, 8);

		le32_put(note + cases[i].off, cases[i].value);
		uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);
		check_refused(parse(IMAGE_X86_64, f, len), "without a PVH note");
		free(f);
	}
}

/* What lies behind the segment of notes is none, however a note there looks. */
static void
vmlinux_notes_end_where_their_segment_does(void **state)
{
	const size_t filesz =
		64 + 2 * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, p_filesz);
	uint8_t note[128];
	size_t len, n = image_make_pvh_note(note, 0x1000000, 8);
	uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);

	(void)state;
	assert_int_equal(parse(IMAGE_X86_64, f, len).r, 0);
	le64_put(f + filesz, n - 1); /* the descriptor is cut */
	check_refused(parse(IMAGE_X86_64, f, len), "without a PVH note");
	le64_put(f + filesz, sizeof(Elf64_Nhdr) - 1);
	check_refused(parse(IMAGE_X86_64, f, len), "without a PVH note");
	free(f);

	/* Only the padding of the first one leads out. */
	n = put_note(note, "GNU", 1, 7);
	n += image_make_pvh_note(note + n, 0x1000000, 8);
	f = image_make_elf(linux_like, 2, note, n, &len);
	assert_int_equal(parse(IMAGE_X86_64, f, len).r, 0);
	le64_put(f + filesz, sizeof(Elf64_Nhdr) + 4 + 7);
	check_refused(parse(IMAGE_X86_64, f, len), "without a PVH note");
	free(f);
}

static void
vmlinux_without_a_pvh_note_says_what_to_do(void **state)
{
	size_t len;
	uint8_t *f = image_make_elf(linux_like, 2, NULL, 0, &len);

	(void)state;
	check_refused(parse(IMAGE_X86_64, f, len),
		      "is a raw vmlinux without a PVH note: build it with CONFIG_PVH=y");
	free(f);
}

static void
vmlinux_whose_segments_cannot_be_loaded_is_refused(void **state)
{
	static const struct {
		struct make_segment seg[2];
		const char *text;
	} cases[] = {
		{ { { 0x1000000, 0x1000, 0x100, 0x2000 }, { 0x1001fff, 0x2000, 1, 1 } },
		  "overlap at 0x1001fff" },
		{ { { 0x1000000, 0x1000, 0x100, 0x2000 }, { 0x1000000, 0x2000, 0, 1 } },
		  "overlap" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 }, { 0xfff00, 0x2000, 1, 0x1000 } },
		  "below 1 MiB" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 }, { 0, 0x2000, 1, 1 } },
		  "below 1 MiB" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 },
		    { 0x7fff000, 0x2000, 1, 0x1001 } },
		  "needs 129 MiB of RAM" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 }, { UINT64_MAX, 0x2000, 1, 1 } },
		  "where no RAM can be" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 },
		    { 0x2000000, 0x2000, 1, UINT64_MAX } },
		  "where no RAM can be" },
		{ { { 0x1000000, 0x1000, 0x100, 0x100 }, { 0x2000000, 0x2000, 2, 1 } },
		  "more bytes in the file than in memory" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t note[64];
		size_t len, n = image_make_pvh_note(note, 0x1000000, 8);
		uint8_t *f = image_make_elf(cases[i].seg, 2, note, n, &len);

		check_refused(parse(IMAGE_X86_64, f, len), cases[i].text);
		free(f);
	}
}

static void
vmlinux_with_too_many_segments_is_refused(void **state)
{
	struct make_segment seg[IMAGE_SEGMENTS_MAX + 1];
	uint8_t note[64];
	size_t len, n = image_make_pvh_note(note, 0x1000000, 8);

	(void)state;
	for (unsigned i = 0; i <= IMAGE_SEGMENTS_MAX; i++)
		seg[i] = (struct make_segment){ 0x1000000 + i * 0x1000, 0x1000, 16, 16 };
	uint8_t *f = image_make_elf(seg, IMAGE_SEGMENTS_MAX, note, n, &len);
	assert_int_equal(parse(IMAGE_X86_64, f, len).r, 0);
	free(f);
	f = image_make_elf(seg, IMAGE_SEGMENTS_MAX + 1, note, n, &len);
	check_refused(parse(IMAGE_X86_64, f, len), "more than 16 segments");
	free(f);
}

static void
vmlinux_whose_header_lies_is_refused(void **state)
{
#define EH(field) offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field)
#define PH(i, field) \
	64 + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field), \
		sizeof(((Elf64_Phdr *)0)->field)
	static const struct poke cases[] = {
		{ EH(e_machine), EM_AARCH64,
		  "is an ELF file for arm64, this host is x86-64" },
		{ EH(e_machine), EM_386,
		  "is an ELF file for 32-bit x86, this host is x86-64" },
		{ EH(e_machine), 0x1234, "is an ELF file for another machine" },
		{ EI_CLASS, 1, ELFCLASS32, "is no 64-bit little-endian ELF file" },
		{ EI_DATA, 1, ELFDATA2MSB, "is an ELF file for another machine" },
		{ EH(e_type), ET_REL, "no executable" },
		{ EH(e_phnum), 0, "0 program headers" },
		{ EH(e_phnum), 65535, "65535 program headers" },
		{ EH(e_phentsize), 32, "program headers of 32 bytes" },
		{ EH(e_phoff), UINT64_MAX, "program headers lie behind the end" },
		{ EH(e_phoff), 0x5234 - 10, "program headers lie behind the end" },
		{ PH(0, p_offset), 0x5000,
		  "is truncated: the header promises 32768 bytes, the "
		  "file has 21044" },
		{ PH(0, p_offset), UINT64_MAX, "reaches beyond 2^64" },
		{ PH(0, p_filesz), UINT64_MAX, "reaches beyond 2^64" },
		{ PH(2, p_offset), 0x5234, "is truncated" },
		{ PH(2, p_filesz), UINT64_MAX, "beyond 2^64" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t note[64];
		size_t len, n = image_make_pvh_note(note, 0x1000000, 8);
		uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);

		poke(f, &cases[i]);
		check_refused(parse(IMAGE_X86_64, f, len), cases[i].text);
		free(f);
	}
}

static void
vmlinux_entry_must_be_in_what_it_loads(void **state)
{
	static const uint64_t bad[] = { 0, 0xffffff, 0x1003000, 0x1005234, 0x1000000000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t note[64];
		size_t len, n = image_make_pvh_note(note, bad[i], 8);
		uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);

		check_refused(parse(IMAGE_X86_64, f, len), "where it loads nothing");
		free(f);
	}
}

static void
vmlinux_cut_anywhere_is_refused(void **state)
{
	uint8_t note[64];
	size_t len, n = image_make_pvh_note(note, 0x1000000, 8);
	uint8_t *f = image_make_elf(linux_like, 2, note, n, &len);

	(void)state;
	for (size_t cut = 0; cut < len; cut += cut < 0x900 ? 1 : 509)
		assert_int_equal(parse(IMAGE_X86_64, f, cut).r, -ENOEXEC);
	free(f);
}

/* ---- arm64 ---- */

enum { FILE_LEN = 0x30000, IMAGE_SIZE = 0x80000 };

static void
check_arm64(const struct parsed *p, uint64_t gpa)
{
	assert_int_equal(p->r, 0);
	assert_int_equal(p->img.kind, IMAGE_ARM64_IMAGE);
	assert_int_equal(p->img.nsegment, 1);
	assert_int_equal(p->img.segment[0].gpa, gpa);
	assert_int_equal(p->img.segment[0].off, 0);
	assert_int_equal(p->img.segment[0].file_len, FILE_LEN);
	assert_int_equal(p->img.segment[0].mem_len, IMAGE_SIZE);
	assert_int_equal(p->img.entry, gpa);
	assert_int_equal(p->img.end, gpa + IMAGE_SIZE);
	assert_int_equal(p->img.initrd_max, 0x80000000 + GiB(32) - 1);
}

static void
arm64_image_is_planned_at_the_first_2m_plus_text_offset(void **state)
{
	(void)state;
	for (uint64_t text_offset = 0; text_offset <= 0x80000; text_offset += 0x80000) {
		uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, text_offset);
		struct parsed p = parse(IMAGE_ARM64, f, FILE_LEN);

		check_arm64(&p, RAM_ARM64 + text_offset);
		assert_null(p.img.unpacked);
		free(f);
	}
}

static void
arm64_image_in_gzip_is_unpacked(void **state)
{
	size_t len;
	uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);
	uint8_t *gz = image_make_gzip(f, FILE_LEN, &len);
	struct parsed p = parse(IMAGE_ARM64, gz, len);

	(void)state;
	check_arm64(&p, RAM_ARM64);
	assert_int_equal(p.img.unpacked_len, FILE_LEN);
	assert_memory_equal(p.img.unpacked, f, FILE_LEN);
	image_fini(&p.img);
	assert_null(p.img.unpacked);
	free(gz);
	free(f);
}

/* More than one step of the growing buffer. */
static void
arm64_image_of_many_megabytes_in_gzip_is_unpacked(void **state)
{
	enum { BIG = 40 * 1024 * 1024 + 77 };
	size_t len;
	uint8_t *f = calloc(1, BIG);

	(void)state;
	le64_put(f + 16, BIG);
	memcpy(f + 56, "ARM\x64", 4);
	f[BIG - 1] = 0x42;
	uint8_t *gz = image_make_gzip(f, BIG, &len);
	struct parsed p = parse(IMAGE_ARM64, gz, len);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.unpacked_len, BIG);
	assert_int_equal(memcmp(p.img.unpacked, f, BIG), 0);
	image_fini(&p.img);
	check_refused(parse_ram(IMAGE_ARM64, gz, len, BIG - 1),
		      "unpacks to more than the 40 MiB of RAM");
	p = parse_ram(IMAGE_ARM64, gz, len, BIG);
	assert_int_equal(p.r, 0);
	image_fini(&p.img);
	free(gz);
	free(f);
}

static void
arm64_image_in_a_zboot_wrapper_is_unpacked(void **state)
{
	size_t gz_len, len;
	uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);
	uint8_t *gz = image_make_gzip(f, FILE_LEN, &gz_len);
	uint8_t *z = image_make_zboot(gz, gz_len, "gzip", &len);
	struct parsed p = parse(IMAGE_ARM64, z, len);

	(void)state;
	check_arm64(&p, RAM_ARM64);
	assert_memory_equal(p.img.unpacked, f, FILE_LEN);
	image_fini(&p.img);

	check_refused(parse(IMAGE_ARM64, z, len - 1),
		      "is truncated: the header promises");
	check_refused(parse(IMAGE_ARM64, z, 30), "is truncated");
	le32_put(z + 8, UINT32_MAX);
	check_refused(parse(IMAGE_ARM64, z, len), "is truncated");
	free(z);
	z = image_make_zboot(gz, gz_len, "zstd22", &len);
	check_refused(parse(IMAGE_ARM64, z, len), "compressed with 'zstd22', not gzip");
	free(z);
	z = image_make_zboot(gz, gz_len, "\x1b[31m", &len);
	check_refused(parse(IMAGE_ARM64, z, len), "compressed with '', not gzip");
	free(z);
	free(gz);
	free(f);
}

static void
arm64_image_that_cannot_be_booted_is_refused_with_the_reason(void **state)
{
	static const struct poke cases[] = {
		{ 16, 8, 0, "without a size: Linux 3.17" },
		{ 24, 8, 1, "is a big-endian arm64 Image" },
		{ 16, 8, MiB(128) + 1, "needs 129 MiB of RAM, the guest has 128 MiB" },
		{ 16, 8, UINT64_MAX, "where no RAM can be" },
		{ 8, 8, UINT64_MAX - RAM_ARM64, "where no RAM can be" },
		{ 8, 8, UINT64_MAX, "has a text_offset of 0xffffffffffffffff" },
		{ 8, 8, MiB(128), "raise memory.size" },
		{ 56, 4, 0x05435352, "is a RISC-V Image, this host is arm64" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);

		poke(f, &cases[i]);
		check_refused(parse(IMAGE_ARM64, f, FILE_LEN), cases[i].text);
		free(f);
	}
}

/* A PE header whose one section ends where the file does. */
static void
arm64_image_cut_short_is_seen_by_its_pe_sections(void **state)
{
	uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);

	(void)state;
	le32_put(f + 60, 64);
	memset(f + 64, 0, 200);
	memcpy(f + 64, "PE\0", 4);
	le16_put(f + 64 + 6, 1);
	le16_put(f + 64 + 20, 32);
	uint8_t *sect = f + 64 + 24 + 32;
	le32_put(sect + 16, FILE_LEN - 0x1000);
	le32_put(sect + 20, 0x1000);
	assert_int_equal(parse(IMAGE_ARM64, f, FILE_LEN).r, 0);
	check_refused(
		parse(IMAGE_ARM64, f, FILE_LEN - 1),
		"is truncated: the header promises 196608 bytes, the file has 196607");
	/* Sections that are not in the file are not looked at. */
	le16_put(f + 64 + 6, 0xffff);
	le16_put(f + 64 + 20, 0xffff);
	assert_int_equal(parse(IMAGE_ARM64, f, 0x1000).r, 0);
	le32_put(f + 60, UINT32_MAX);
	assert_int_equal(parse(IMAGE_ARM64, f, FILE_LEN).r, 0);
	check_refused(parse(IMAGE_ARM64, f, 61), "is truncated");
	free(f);
}

static void
arm64_image_followed_by_a_signature_is_loaded_without(void **state)
{
	uint8_t *f = image_make_arm64(FILE_LEN, FILE_LEN - 100, 0);
	struct parsed p = parse(IMAGE_ARM64, f, FILE_LEN);

	(void)state;
	assert_int_equal(p.r, 0);
	assert_int_equal(p.img.segment[0].file_len, FILE_LEN - 100);
	free(f);
}

static void
gzip_that_is_no_kernel_is_refused(void **state)
{
	size_t len;
	uint8_t *f = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);
	uint8_t *gz = image_make_gzip(f, FILE_LEN, &len);

	(void)state;
	/* All cuts in the header, and some in the body. */
	for (size_t cut = 2; cut < len; cut += cut < 64 ? 1 : 4093)
		check_refused(parse(IMAGE_ARM64, gz, cut),
			      "is a gzip stream that ends early");
	check_refused(parse(IMAGE_ARM64, gz, len - 1),
		      "is a gzip stream that ends early");
	gz[len - 5] ^= 1; /* CRC */
	check_refused(parse(IMAGE_ARM64, gz, len), "is a gzip stream that is damaged");
	free(gz);

	memset(f + 56, 0, 4);
	gz = image_make_gzip(f, FILE_LEN, &len);
	check_refused(parse(IMAGE_ARM64, gz, len), "what is in it is no arm64 Image");
	free(gz);
	gz = image_make_gzip(f, 0, &len);
	check_refused(parse(IMAGE_ARM64, gz, len), "what is in it is no arm64 Image");
	free(gz);
	free(f);
}

/* ---- neither ---- */

static void
kernels_of_the_other_architecture_are_named(void **state)
{
	size_t len, gz_len;
	uint8_t *bz = image_make_bzimage(39, 0x10000, &len);
	uint8_t *arm = image_make_arm64(FILE_LEN, IMAGE_SIZE, 0);
	uint8_t *gz = image_make_gzip(arm, FILE_LEN, &gz_len);
	uint8_t *elf;

	(void)state;
	check_refused(parse(IMAGE_ARM64, bz, len),
		      "is an x86 bzImage, this host is arm64");
	check_refused(parse(IMAGE_X86_64, arm, FILE_LEN),
		      "is an arm64 Image, this host is x86-64");
	check_refused(parse(IMAGE_X86_64, gz, gz_len),
		      "is an arm64 Image, gzip-compressed, this host is x86-64");
	/* Both begin like an EFI program. */
	memcpy(bz, "MZ", 2);
	memcpy(arm, "MZ", 2);
	check_refused(parse(IMAGE_ARM64, bz, len),
		      "is an x86 bzImage, this host is arm64");
	check_refused(parse(IMAGE_X86_64, arm, FILE_LEN),
		      "is an arm64 Image, this host is x86-64");
	free(gz);
	free(arm);
	free(bz);

	elf = image_make_elf(linux_like, 2, NULL, 0, &len);
	check_refused(parse(IMAGE_ARM64, elf, len),
		      "is an ELF file for x86-64, this host is arm64");
	le16_put(elf + 18, EM_AARCH64);
	check_refused(parse(IMAGE_ARM64, elf, len),
		      "is an ELF file for arm64: arm64 boots an "
		      "Image");
	le16_put(elf + 18, EM_MIPS);
	check_refused(parse(IMAGE_ARM64, elf, len),
		      "is an ELF file for MIPS, this host is arm64");
	gz = image_make_gzip(elf, len, &gz_len);
	check_refused(parse(IMAGE_X86_64, gz, gz_len),
		      "is an ELF file for MIPS, gzip-compressed");
	free(gz);
	free(elf);
}

static void
files_that_are_something_else_are_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} cases[] = {
		{ "", 0, "is empty" },
		{ "\0", 1, "is not a kernel image" },
		{ "hello", 5, "is not a kernel image" },
		{ "070701", 6, "is a cpio archive (an initrd?)" },
		{ "\x28\xb5\x2f\xfd", 4, "is a zstd stream" },
		{ "\xfd"
		  "7zXZ\0",
		  6, "is an xz stream" },
		{ "#!/bin/sh\n", 10, "is a script" },
		{ "MZ", 2, "is an EFI program" },
		{ "!<arch>\n", 8, "is an ar archive" },
		{ "\x7f"
		  "ELF",
		  4, "" },
		{ "\x1f\x8b", 2, "is a gzip stream" },
		{ "MZ\0\0zimg", 8, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint8_t *p = (const uint8_t *)cases[i].bytes;

		check_refused(parse(IMAGE_X86_64, p, cases[i].len), cases[i].text);
		check_refused(parse(IMAGE_ARM64, p, cases[i].len), cases[i].text);
	}
}

static void
gzip_on_x86_64_says_what_is_in_it(void **state)
{
	static const uint8_t cpio[] = "070701 and so on";
	size_t len;
	uint8_t *gz = image_make_gzip(cpio, sizeof(cpio), &len);

	(void)state;
	check_refused(
		parse(IMAGE_X86_64, gz, len),
		"is a gzip stream with a cpio archive (an initrd?) in it: x86-64 boots");
	free(gz);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage_is_planned_at_1m_plus_its_offset_modulo_4096),
		cmocka_unit_test(bzimage_without_setup_sects_has_four),
		cmocka_unit_test(bzimage_linked_low_runs_at_the_next_kernel_alignment),
		cmocka_unit_test(bzimage_that_is_not_relocatable_is_loaded_where_it_runs),
		cmocka_unit_test(bzimage_with_a_signature_behind_it_is_loaded_without),
		cmocka_unit_test(
			bzimage_header_never_reaches_into_the_rest_of_boot_params),
		cmocka_unit_test(
			bzimage_that_cannot_be_booted_is_refused_with_the_reason),
		cmocka_unit_test(bzimage_cut_anywhere_is_refused),
		cmocka_unit_test(bzimage_fits_into_the_last_byte_of_ram_and_not_beyond),
		cmocka_unit_test(vmlinux_is_planned_by_its_program_headers_and_pvh_note),
		cmocka_unit_test(vmlinux_note_is_found_among_others),
		cmocka_unit_test(
			vmlinux_notes_that_lie_about_their_lengths_hold_no_entry),
		cmocka_unit_test(vmlinux_notes_end_where_their_segment_does),
		cmocka_unit_test(vmlinux_without_a_pvh_note_says_what_to_do),
		cmocka_unit_test(vmlinux_whose_segments_cannot_be_loaded_is_refused),
		cmocka_unit_test(vmlinux_with_too_many_segments_is_refused),
		cmocka_unit_test(vmlinux_whose_header_lies_is_refused),
		cmocka_unit_test(vmlinux_entry_must_be_in_what_it_loads),
		cmocka_unit_test(vmlinux_cut_anywhere_is_refused),
		cmocka_unit_test(arm64_image_is_planned_at_the_first_2m_plus_text_offset),
		cmocka_unit_test(arm64_image_in_gzip_is_unpacked),
		cmocka_unit_test(arm64_image_of_many_megabytes_in_gzip_is_unpacked),
		cmocka_unit_test(arm64_image_in_a_zboot_wrapper_is_unpacked),
		cmocka_unit_test(
			arm64_image_that_cannot_be_booted_is_refused_with_the_reason),
		cmocka_unit_test(arm64_image_cut_short_is_seen_by_its_pe_sections),
		cmocka_unit_test(arm64_image_followed_by_a_signature_is_loaded_without),
		cmocka_unit_test(gzip_that_is_no_kernel_is_refused),
		cmocka_unit_test(kernels_of_the_other_architecture_are_named),
		cmocka_unit_test(files_that_are_something_else_are_named),
		cmocka_unit_test(gzip_on_x86_64_says_what_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
