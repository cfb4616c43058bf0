/* SPDX-License-Identifier: ISC */
/* Synthetic kernel images for the tests of image and boot: valid unless poked. */
#ifndef VMM_TEST_IMAGE_MAKE_H
#define VMM_TEST_IMAGE_MAKE_H

#include <stddef.h>
#include <stdint.h>

/* Deterministic bytes, so that a copy can be compared with where it came from. */
void image_fill(uint8_t *p, size_t len, unsigned seed);

enum {
	MAKE_PREF_ADDRESS = 0x1000000,
	MAKE_INIT_SIZE = 0x300000,
};

/* (setup_sects + 1) sectors of setup, then payload bytes (a multiple of 16). */
uint8_t *image_make_bzimage(unsigned setup_sects, size_t payload, size_t *len);

struct make_segment {
	uint64_t paddr;
	uint64_t off;
	uint64_t file_len;
	uint64_t mem_len;
};

/*
 * ELF for x86-64 with n PT_LOADs and, if note_len is not 0, a PT_NOTE.  The program
 * headers lie at 64, the note at 0x800; segments should lie behind 0x1000.
 */
uint8_t *image_make_elf(const struct make_segment *seg, unsigned n, const void *note,
			size_t note_len, size_t *len);
/* The PVH note with a descriptor of 4 or 8 bytes; answers with its length. */
size_t image_make_pvh_note(uint8_t *buf, uint64_t entry, unsigned desc_len);

/* file_len bytes that promise image_size. */
uint8_t *image_make_arm64(size_t file_len, uint64_t image_size, uint64_t text_offset);

uint8_t *image_make_gzip(const uint8_t *data, size_t len, size_t *ret_len);
/* EFI zboot wrapper around a payload. */
uint8_t *image_make_zboot(const uint8_t *payload, size_t len, const char *type,
			  size_t *ret_len);

#endif
