/* SPDX-License-Identifier: ISC */
/*
 * arm64 Image: Linux Documentation/arch/arm64/booting.rst, section 4.  Also within
 * gzip, and within gzip within an EFI zboot wrapper
 * (drivers/firmware/efi/libstub/zboot-header.S).
 *
 * Compiled on every architecture, which is why the file is not called ..._arm64.c.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "image_priv.h"
#include "util.h"

/* Offsets in the header. */
enum {
	TEXT_OFFSET = 8,
	IMAGE_SIZE = 16,
	FLAGS = 24,
	MAGIC = 56,
	PE_OFFSET = 60,
	HEADER_LEN = 64,
};

enum { FLAG_BIG_ENDIAN = 1 << 0 };

#define BASE_ALIGN MiB(2)
/* "within a 1 GB aligned physical memory window of up to 32 GB in size that fully
 * covers the kernel Image as well" */
#define INITRD_WINDOW GiB(32)

bool
image_is_arm64(const struct image_source *s)
{
	return image_has(s, MAGIC, "ARM\x64", 4);
}

/*
 * The Image header does not tell how long the file is: image_size counts the bss,
 * too.  The section table of the PE header that kernels with an EFI stub have does.
 * 0: no such header.
 */
static uint64_t
promised_len(const struct image_source *s)
{
	enum { COFF_LEN = 24, SECTION_LEN = 40 };
	uint64_t pe = le32_get(s->data + PE_OFFSET);
	uint64_t max = 0;

	if (!range_ok(pe, COFF_LEN, s->len) || memcmp(s->data + pe, "PE\0", 4) != 0)
		return 0;
	unsigned n = le16_get(s->data + pe + 6);
	uint64_t sect = pe + COFF_LEN + le16_get(s->data + pe + 20);
	for (unsigned i = 0; i < n && range_ok(sect, SECTION_LEN, s->len); i++) {
		const uint8_t *p = s->data + sect;
		uint64_t end = (uint64_t)le32_get(p + 20) + le32_get(p + 16);

		if (end > max)
			max = end;
		sect += SECTION_LEN;
	}
	return max;
}

int
image_parse_arm64(const struct image_source *s, struct image *img, struct err *e)
{
	if (s->len < HEADER_LEN)
		return image_refuse(
			e,
			"is truncated: an Image header has %d bytes, the file has "
			"%zu",
			HEADER_LEN, s->len);

	uint64_t text_offset = le64_get(s->data + TEXT_OFFSET);
	uint64_t image_size = le64_get(s->data + IMAGE_SIZE);
	uint64_t promised = promised_len(s);

	if (image_size == 0)
		return image_refuse(
			e, "is an arm64 Image without a size: Linux 3.17 or later is "
			   "needed");
	if (le64_get(s->data + FLAGS) & FLAG_BIG_ENDIAN)
		return image_refuse(e,
				    "is a big-endian arm64 Image: a little-endian one is "
				    "needed");
	if (promised > s->len)
		return image_refuse(
			e,
			"is truncated: the header promises %llu bytes, the file "
			"has %zu",
			(unsigned long long)promised, s->len);

	/* As low as may be: before Linux 4.6 memory below the Image is lost, and
	 * flags bit 3 = 0 asks for it. */
	uint64_t base = align_up(s->ram_base, BASE_ALIGN);
	uint64_t gpa;
	if (__builtin_add_overflow(base, text_offset, &gpa))
		return image_refuse(e, "has a text_offset of 0x%llx, which cannot be",
				    (unsigned long long)text_offset);
	int r = image_check_ram(s, gpa, image_size, e);
	if (r < 0)
		return r;

	/* What comes behind image_size is no part of it: a signature. */
	img->segment[0] = (struct image_segment){
		.gpa = gpa,
		.file_len = s->len < image_size ? s->len : image_size,
		.mem_len = image_size,
	};
	img->nsegment = 1;
	img->kind = IMAGE_ARM64_IMAGE;
	img->entry = gpa;
	img->end = gpa + image_size;
	if (__builtin_add_overflow(align_down(gpa, GiB(1)), INITRD_WINDOW - 1,
				   &img->initrd_max))
		img->initrd_max = UINT64_MAX;
	return 0;
}

/* ---- gzip ---- */

bool
image_is_gzip(const struct image_source *s)
{
	return image_has(s, 0, "\x1f\x8b", 2);
}

static int
gzip_open(z_stream *z)
{
	memset(z, 0, sizeof(*z));
	return inflateInit2(z, 15 + 16); /* any window, gzip header only */
}

/* Goes on from data + *in until out is full or the stream ends. */
static int
gzip_fill(z_stream *z, const struct image_source *s, size_t *in, uint8_t *out, size_t len)
{
	int r = Z_OK;

	for (size_t done = 0; r == Z_OK && done < len;) {
		/* zlib counts in unsigned int. */
		unsigned nin =
			s->len - *in < INT_MAX ? (unsigned)(s->len - *in) : INT_MAX;
		unsigned nout = len - done < INT_MAX ? (unsigned)(len - done) : INT_MAX;

		z->next_in = (z_const Bytef *)(uintptr_t)(s->data + *in);
		z->avail_in = nin;
		z->next_out = out + done;
		z->avail_out = nout;
		r = inflate(z, Z_NO_FLUSH);
		*in += nin - z->avail_in;
		done += nout - z->avail_out;
	}
	return r;
}

size_t
image_gzip_peek(const struct image_source *s, uint8_t *buf, size_t len)
{
	size_t in = 0;
	z_stream z;

	if (gzip_open(&z) != Z_OK)
		return 0;
	(void)gzip_fill(&z, s, &in, buf, len);
	size_t n = z.total_out;
	inflateEnd(&z);
	return n;
}

static int
gzip_error(int zr, struct err *e)
{
	if (zr == Z_BUF_ERROR)
		return image_refuse(e, "is a gzip stream that ends early");
	if (zr == Z_MEM_ERROR)
		return err_set(e, ENOMEM,
			       "is gzip-compressed, and there is no memory to unpack "
			       "it");
	return image_refuse(e, "is a gzip stream that is damaged");
}

/*
 * The buffer doubles until the stream ends or is larger than RAM, so that neither a
 * length in the file nor a bomb decides how much we allocate.
 */
static int
gunzip(const struct image_source *s, struct image *img, struct err *e)
{
	uint64_t max = s->ram_len < SIZE_MAX ? s->ram_len + 1 : SIZE_MAX;
	size_t cap = 0, in = 0;
	int zr = Z_OK;
	z_stream z;

	if (gzip_open(&z) != Z_OK)
		return gzip_error(Z_MEM_ERROR, e);
	while (zr == Z_OK && cap < max) {
		size_t more = cap ? cap : MiB(16);
		size_t next = more < max - cap ? cap + more : max;
		uint8_t *p = realloc(img->unpacked, next);

		if (!p) {
			zr = Z_MEM_ERROR;
			break;
		}
		img->unpacked = p;
		zr = gzip_fill(&z, s, &in, p + cap, next - cap);
		cap = next;
	}
	img->unpacked_len = z.total_out;
	inflateEnd(&z);
	if (img->unpacked_len > s->ram_len)
		return image_refuse(
			e,
			"unpacks to more than the %llu MiB of RAM that the guest "
			"has for it: raise memory.size",
			(unsigned long long)(s->ram_len >> 20));
	return zr == Z_STREAM_END ? 0 : gzip_error(zr, e);
}

int
image_parse_gzip(const struct image_source *s, struct image *img, struct err *e)
{
	int r = gunzip(s, img, e);

	if (r < 0)
		return r;
	struct image_source inner = *s;
	inner.data = img->unpacked;
	inner.len = img->unpacked_len;
	if (!image_is_arm64(&inner))
		return image_refuse(
			e, "is a gzip stream, but what is in it is no arm64 Image");
	return image_parse_arm64(&inner, img, e);
}

/* ---- EFI zboot ---- */

enum { ZBOOT_PAYLOAD_OFF = 8, ZBOOT_PAYLOAD_LEN = 12, ZBOOT_TYPE = 24, ZBOOT_LEN = 64 };

bool
image_is_zboot(const struct image_source *s)
{
	return image_has(s, 0, "MZ\0\0zimg", 8);
}

int
image_parse_zboot(const struct image_source *s, struct image *img, struct err *e)
{
	if (s->len < ZBOOT_LEN)
		return image_refuse(
			e,
			"is truncated: a zboot header has %d bytes, the file has "
			"%zu",
			ZBOOT_LEN, s->len);
	if (strncmp((const char *)s->data + ZBOOT_TYPE, "gzip", 5) != 0) {
		char type[9] = "";

		for (size_t i = 0; i < 8 && isalnum(s->data[ZBOOT_TYPE + i]); i++)
			type[i] = (char)s->data[ZBOOT_TYPE + i];
		return image_refuse(
			e,
			"is an EFI zboot image compressed with '%s', not gzip: "
			"take the Image that the kernel build made beside it",
			type);
	}

	uint64_t off = le32_get(s->data + ZBOOT_PAYLOAD_OFF);
	uint64_t len = le32_get(s->data + ZBOOT_PAYLOAD_LEN);
	if (!range_ok(off, len, s->len))
		return image_refuse(
			e,
			"is truncated: the header promises %llu bytes, the file "
			"has %zu",
			(unsigned long long)(off + len), s->len);
	struct image_source inner = *s;
	inner.data += off;
	inner.len = len;
	return image_parse_gzip(&inner, img, e);
}
