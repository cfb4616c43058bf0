/* SPDX-License-Identifier: ISC */
/*
 * x86-64 bzImage: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel
 * Header" and "64-bit Boot Protocol".
 *
 * Where it is loaded.  The protected-mode part lies at (setup_sects + 1) * 512 in
 * the file.  We load it at 1 MiB plus what that offset is modulo 4096, so that the
 * file can always be mapped over guest RAM instead of being read.  Such an address
 * need not be a multiple of kernel_alignment; that is safe with the 64-bit entry:
 *
 * - boot.rst, init_size, defines what a relocatable kernel makes of any load
 *   address: runtime_start = align_up(load_address, kernel_alignment), and never
 *   below the address it was linked for, which is pref_address;
 * - arch/x86/boot/compressed/head_64.S, startup_64 does exactly that: it takes its
 *   own address by a rip-relative lea, rounds it up, and copies itself from the
 *   last byte to the first to the end of [runtime_start, runtime_start +
 *   init_size), which is never below the source.  All that runs before this copy
 *   is position-independent and wants no alignment; stack and page tables already
 *   lie in the target;
 * - the entry is 0x200 behind the load address, whatever that is.
 *
 * 1 MiB and not pref_address (16 MiB), although we could: the kernel unpacks to
 * pref_address.  Over a mapped file each page of that would be copied on write,
 * in 4 KiB pages; over anonymous RAM it gets huge pages.
 *
 * A kernel that is not relocatable moves to pref_address too, but possibly
 * downwards, where that copy is not safe: it is loaded at pref_address.
 */
#include <string.h>

#include "boot.h"
#include "image_priv.h"
#include "util.h"

/* Offsets in the file of the setup header's fields. */
enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	HEADER_LEN = 0x201, /* operand of the jump over the header */
	MAGIC = 0x202,
	VERSION = 0x206,
	LOADFLAGS = 0x211,
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE_KERNEL = 0x234,
	XLOADFLAGS = 0x236,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END_2_12 = 0x268,
	HEADER_END_MAX = 0x290, /* here boot_params goes on with its own fields */
};

enum {
	LOADED_HIGH = 1 << 0,   /* loadflags */
	XLF_KERNEL_64 = 1 << 0, /* xloadflags */
	ENTRY_64 = 0x200,       /* behind the load address */
	SECTOR_LEN = 512,
	MAP_PAGE_LEN = 4096,
};

bool
image_is_bzimage(const struct image_source *s)
{
	return image_has(s, MAGIC, "HdrS", 4);
}

static int
check_header(const struct image_source *s, struct err *e)
{
	if (s->len < HEADER_END_2_12)
		return image_refuse(e,
				    "is truncated: the setup header ends at byte %d, the "
				    "file has %zu",
				    HEADER_END_2_12, s->len);

	unsigned version = le16_get(s->data + VERSION);
	if (!(s->data[LOADFLAGS] & LOADED_HIGH))
		return image_refuse(e,
				    "is a zImage, which loads below 1 MiB: a bzImage of "
				    "Linux 3.8 or later is needed");
	if (version < 0x20c)
		return image_refuse(
			e,
			"has boot protocol %u.%02u: 2.12 (Linux 3.8) or later is "
			"needed",
			version >> 8, version & 0xff);
	if (MAGIC + s->data[HEADER_LEN] < HEADER_END_2_12)
		return image_refuse(
			e,
			"has boot protocol %u.%02u, but a setup header that is too "
			"short for it",
			version >> 8, version & 0xff);
	if (!(le16_get(s->data + XLOADFLAGS) & XLF_KERNEL_64))
		return image_refuse(e, "is a 32-bit x86 kernel: it has no 64-bit entry "
				       "(XLF_KERNEL_64)");
	return 0;
}

static int
find_payload(const struct image_source *s, struct image_segment *ret, struct err *e)
{
	uint64_t sects = s->data[SETUP_SECTS] ? s->data[SETUP_SECTS] : 4;
	uint64_t off = (sects + 1) * SECTOR_LEN;
	uint64_t len = (uint64_t)le32_get(s->data + SYSSIZE) * 16;

	if (!range_ok(off, len, s->len))
		return image_refuse(
			e,
			"is truncated: the header promises %llu bytes, the file "
			"has %zu",
			(unsigned long long)(off + len), s->len);
	if (len <= ENTRY_64)
		return image_refuse(
			e,
			"has no 64-bit entry: the header promises %llu bytes of "
			"kernel",
			(unsigned long long)len);
	*ret = (struct image_segment){ .off = off, .file_len = len, .mem_len = len };
	return 0;
}

/* Where the payload is loaded, and how far the running kernel reaches. */
static int
place(const struct image_source *s, struct image_segment *seg, uint64_t *end,
      struct err *e)
{
	uint64_t pref = le64_get(s->data + PREF_ADDRESS);
	uint64_t align = le32_get(s->data + KERNEL_ALIGNMENT);
	uint64_t start = pref;

	if (s->data[RELOCATABLE_KERNEL]) {
		if (align == 0 || (align & (align - 1)))
			return image_refuse(
				e,
				"has a kernel_alignment of 0x%llx, which is no "
				"power of two",
				(unsigned long long)align);
		seg->gpa = X86_HIGH_RAM_GPA + seg->off % MAP_PAGE_LEN;
		start = align_up(seg->gpa, align);
		if (start < pref)
			start = pref;
	} else if (pref < X86_HIGH_RAM_GPA) {
		return image_refuse(e,
				    "is not relocatable and wants to be at 0x%llx, below "
				    "1 MiB",
				    (unsigned long long)pref);
	} else {
		seg->gpa = pref;
	}

	int r = image_check_ram(s, start, le32_get(s->data + INIT_SIZE), e);
	if (r == 0)
		r = image_check_ram(s, seg->gpa, seg->mem_len, e);
	if (r < 0)
		return r;
	*end = start + le32_get(s->data + INIT_SIZE);
	if (*end < seg->gpa + seg->mem_len)
		*end = seg->gpa + seg->mem_len;
	return 0;
}

int
image_parse_bzimage(const struct image_source *s, struct image *img, struct err *e)
{
	int r = check_header(s, e);

	if (r == 0)
		r = find_payload(s, &img->segment[0], e);
	if (r == 0)
		r = place(s, &img->segment[0], &img->end, e);
	if (r < 0)
		return r;

	img->kind = IMAGE_BZIMAGE;
	img->nsegment = 1;
	img->entry = img->segment[0].gpa + ENTRY_64;
	img->initrd_max = le32_get(s->data + INITRD_ADDR_MAX);

	size_t header_end = MAGIC + (size_t)s->data[HEADER_LEN];
	if (header_end > HEADER_END_MAX)
		header_end = HEADER_END_MAX;
	/* find_payload(): the file goes on to 0x400 at least. */
	img->setup = s->data + SETUP_SECTS;
	img->setup_len = header_end - SETUP_SECTS;
	return 0;
}
