/* SPDX-License-Identifier: ISC */
/* What the files src/image*.c share. */
#ifndef VMM_IMAGE_PRIV_H
#define VMM_IMAGE_PRIV_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "exit_status.h"
#include "image.h"

/* What is parsed, and the RAM where it has to fit. */
struct image_source {
	const uint8_t *data;
	size_t len;
	uint64_t ram_base;
	uint64_t ram_len;
};

/* For whom a file is, where it is not one of enum image_arch. */
enum { IMAGE_FOR_NONE = -1, IMAGE_FOR_OTHER = -2 };

/* Every refusal: the file that the configuration names is no kernel for us. */
#define image_refuse(e, ...) err_set_status(e, EXIT_STATUS_CONFIG, ENOEXEC, __VA_ARGS__)

/* Does the file have these bytes at off? */
bool image_has(const struct image_source *s, size_t off, const char *magic, size_t len);

bool image_is_bzimage(const struct image_source *s);
int image_parse_bzimage(const struct image_source *s, struct image *img, struct err *e);

bool image_is_elf(const struct image_source *s);
int image_parse_elf(const struct image_source *s, struct image *img, struct err *e);
/* "an ELF file for arm64", and enum image_arch or IMAGE_FOR_OTHER. */
const char *image_elf_noun(const struct image_source *s, int *ret);

bool image_is_arm64(const struct image_source *s);
int image_parse_arm64(const struct image_source *s, struct image *img, struct err *e);

bool image_is_gzip(const struct image_source *s);
int image_parse_gzip(const struct image_source *s, struct image *img, struct err *e);
/* The first bytes of what a gzip stream holds; answers with how many. */
size_t image_gzip_peek(const struct image_source *s, uint8_t *buf, size_t len);

bool image_is_zboot(const struct image_source *s);
int image_parse_zboot(const struct image_source *s, struct image *img, struct err *e);

/*
 * "needs 80 MiB of RAM ...", unless [gpa, gpa + len) lies within RAM.  Never
 * overflows.
 */
int image_check_ram(const struct image_source *s, uint64_t gpa, uint64_t len,
		    struct err *e);

#endif
