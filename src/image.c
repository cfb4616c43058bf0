/* SPDX-License-Identifier: ISC */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "image_priv.h"
#include "util.h"

static const struct loader {
	enum image_arch arch;
	bool (*match)(const struct image_source *s);
	int (*parse)(const struct image_source *s, struct image *img, struct err *e);
} loaders[] = {
	{ IMAGE_X86_64, image_is_bzimage, image_parse_bzimage },
	{ IMAGE_X86_64, image_is_elf, image_parse_elf },
	{ IMAGE_ARM64, image_is_arm64, image_parse_arm64 },
	{ IMAGE_ARM64, image_is_gzip, image_parse_gzip },
	{ IMAGE_ARM64, image_is_zboot, image_parse_zboot },
};

static const struct arch_text {
	const char *name;
	const char *wants;
} arch_text[] = {
	[IMAGE_X86_64] = { "x86-64",
			   "a bzImage (vmlinuz) or an ELF vmlinux with a PVH note" },
	[IMAGE_ARM64] = { "arm64",
			  "an Image, plain or gzip-compressed, or an EFI zboot image" },
};

/*
 * What else people put behind `kernel =`.  The first row that matches counts:
 * kernels that begin like an EFI program are above the EFI program.
 */
#define MAGIC(s) (s), sizeof(s) - 1
static const struct known {
	size_t off;
	const char *magic;
	size_t len;
	int arch; /* enum image_arch, or IMAGE_FOR_... */
	const char *noun;
} known[] = {
	{ 0x202, MAGIC("HdrS"), IMAGE_X86_64, "an x86 bzImage" },
	{ 0x38, MAGIC("ARM\x64"), IMAGE_ARM64, "an arm64 Image" },
	{ 0x38, MAGIC("RSC\x05"), IMAGE_FOR_OTHER, "a RISC-V Image" },
	{ 0x24, MAGIC("\x18\x28\x6f\x01"), IMAGE_FOR_OTHER, "a 32-bit arm zImage" },
	{ 0, MAGIC("MZ\0\0zimg"), IMAGE_FOR_OTHER, "an EFI zboot image" },
	{ 0, MAGIC("MZ"), IMAGE_FOR_NONE, "an EFI program" },
	{ 0, MAGIC("\x1f\x8b"), IMAGE_FOR_NONE, "a gzip stream" },
	{ 0, MAGIC("\x28\xb5\x2f\xfd"), IMAGE_FOR_NONE, "a zstd stream" },
	{ 0,
	  MAGIC("\xfd"
		"7zXZ\0"),
	  IMAGE_FOR_NONE, "an xz stream" },
	{ 0, MAGIC("BZh"), IMAGE_FOR_NONE, "a bzip2 stream" },
	{ 0, MAGIC("\x02\x21\x4c\x18"), IMAGE_FOR_NONE, "an lz4 stream" },
	{ 0, MAGIC("\x04\x22\x4d\x18"), IMAGE_FOR_NONE, "an lz4 stream" },
	{ 0, MAGIC("\x5d\0\0"), IMAGE_FOR_NONE, "an lzma stream" },
	{ 0, MAGIC("070701"), IMAGE_FOR_NONE, "a cpio archive (an initrd?)" },
	{ 0, MAGIC("070702"), IMAGE_FOR_NONE, "a cpio archive (an initrd?)" },
	{ 0, MAGIC("\x27\x05\x19\x56"), IMAGE_FOR_NONE, "a U-Boot uImage" },
	{ 0, MAGIC("hsqs"), IMAGE_FOR_NONE, "a squashfs file system" },
	{ 0, MAGIC("QFI\xfb"), IMAGE_FOR_NONE, "a qcow2 disk image" },
	{ 0, MAGIC("!<arch>\n"), IMAGE_FOR_NONE, "an ar archive (a .deb package?)" },
	{ 0, MAGIC("#!"), IMAGE_FOR_NONE, "a script" },
	{ 0x1fe, MAGIC("\x55\xaa"), IMAGE_FOR_NONE, "a boot sector or disk image" },
};

bool
image_has(const struct image_source *s, size_t off, const char *magic, size_t len)
{
	return range_ok(off, len, s->len) && memcmp(s->data + off, magic, len) == 0;
}

static struct known
identify(const struct image_source *s)
{
	if (image_is_elf(s)) {
		struct known k = { .off = 0 };

		k.noun = image_elf_noun(s, &k.arch);
		return k;
	}
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (image_has(s, known[i].off, known[i].magic, known[i].len))
			return known[i];
	return (struct known){ .arch = IMAGE_FOR_NONE };
}

/* None of our formats: say what it is instead. */
static int
refuse(enum image_arch arch, const struct image_source *s, struct err *e)
{
	const struct arch_text *host = &arch_text[arch];
	const struct known k = identify(s);

	if (!k.noun)
		return image_refuse(e, "is not a kernel image: %s boots %s", host->name,
				    host->wants);
	if (k.arch != IMAGE_FOR_NONE && k.arch != (int)arch)
		return image_refuse(e, "is %s, this host is %s", k.noun, host->name);

	if (image_is_gzip(s)) {
		uint8_t buf[0x240];
		const struct image_source inner = {
			.data = buf,
			.len = image_gzip_peek(s, buf, sizeof(buf)),
		};
		const struct known ik = identify(&inner);

		if (ik.arch != IMAGE_FOR_NONE && ik.arch != (int)arch)
			return image_refuse(e, "is %s, gzip-compressed, this host is %s",
					    ik.noun, host->name);
		if (ik.noun)
			return image_refuse(e,
					    "is a gzip stream with %s in it: %s boots %s",
					    ik.noun, host->name, host->wants);
	}
	return image_refuse(e, "is %s: %s boots %s", k.noun, host->name, host->wants);
}

int
image_check_ram(const struct image_source *s, uint64_t gpa, uint64_t len, struct err *e)
{
	uint64_t end;

	if (__builtin_add_overflow(gpa, len, &end) || gpa < s->ram_base)
		return image_refuse(
			e, "wants to be at 0x%llx to 0x%llx, where no RAM can be",
			(unsigned long long)gpa, (unsigned long long)(gpa + len - 1));
	if (!range_ok(gpa - s->ram_base, len, s->ram_len))
		return image_refuse(
			e,
			"needs %llu MiB of RAM, the guest has %llu MiB for it: "
			"raise memory.size",
			(unsigned long long)((end - s->ram_base - 1) >> 20) + 1,
			(unsigned long long)(s->ram_len >> 20));
	return 0;
}

int
image_parse(enum image_arch arch, const uint8_t *data, size_t len, uint64_t ram_base,
	    uint64_t ram_len, struct image *ret, struct err *e)
{
	const struct image_source s = {
		.data = data,
		.len = len,
		.ram_base = ram_base,
		.ram_len = ram_len,
	};

	if (len == 0)
		return image_refuse(e, "is empty");
	for (size_t i = 0; i < ARRAY_SIZE(loaders); i++) {
		struct image img = { .nsegment = 0 };

		if (loaders[i].arch != arch || !loaders[i].match(&s))
			continue;
		int r = loaders[i].parse(&s, &img, e);
		if (r < 0)
			image_fini(&img);
		else
			*ret = img;
		return r;
	}
	return refuse(arch, &s, e);
}

void
image_fini(struct image *img)
{
	free(img->unpacked);
	img->unpacked = NULL;
	img->unpacked_len = 0;
}
