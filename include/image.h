/* SPDX-License-Identifier: ISC */
/*
 * Kernel images: what is in the file and where it goes.
 *
 * image_parse() looks at the bytes of a file and answers with a plan; it touches
 * neither files nor guest memory, so it can be fuzzed.  The file may have been
 * made by an enemy: every offset and size is checked against the file, and every
 * place against the RAM that there is (ram_base, ram_len: the first range).
 *
 * Formats: x86-64 bzImage (Linux boot protocol >= 2.12 with XLF_KERNEL_64, 64-bit
 * entry at +0x200), x86-64 ELF with a PVH note (XEN_ELFNOTE_PHYS32_ENTRY); arm64
 * Image (Documentation/arch/arm64/booting), the same within gzip, and within an EFI zboot
 * wrapper with gzip payload if it is cheap to have.
 */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum image_arch { IMAGE_X86_64, IMAGE_ARM64 };
enum image_kind { IMAGE_BZIMAGE, IMAGE_ELF_PVH, IMAGE_ARM64_IMAGE };

enum { IMAGE_SEGMENTS_MAX = 16 };

struct image_segment {
	uint64_t gpa;
	uint64_t off; /* in the image: the file, or image.data if unpacked */
	uint64_t file_len;
	uint64_t mem_len; /* >= file_len; the rest is zero (RAM starts as zero) */
};

struct image {
	enum image_kind kind;
	struct image_segment segment[IMAGE_SEGMENTS_MAX];
	unsigned nsegment;
	uint64_t entry;       /* guest-physical */
	uint64_t end;         /* first free byte behind the running kernel, bss
				 * and bzImage init_size included */
	uint64_t initrd_max;  /* highest address the initrd's last byte may have */
	const uint8_t *setup; /* bzImage: setup header, to be copied into the zero
				 * page at 0x1f1 */
	size_t setup_len;
	uint8_t *unpacked; /* NULL, or malloc'd: segments refer to this, not to
				 * the file */
	size_t unpacked_len;
};

/*
 * -ENOEXEC with a text that says what the file is instead ("is an arm64 Image,
 * this host is x86-64", "is truncated: the header promises N bytes, the file has M",
 * "is a gzip stream that ends early", "is a raw vmlinux without a PVH note: ...").
 * The text begins with the verb: the caller puts "kernel PATH " before it.
 */
int image_parse(enum image_arch arch, const uint8_t *data, size_t len, uint64_t ram_base,
		uint64_t ram_len, struct image *ret, struct err *e);
void image_fini(struct image *img);

#endif
