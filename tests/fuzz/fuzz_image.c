/* SPDX-License-Identifier: ISC */
/*
 * image_parse() on any bytes: the file may have been made by an enemy.  Whatever
 * it accepts must lie within the file and within RAM, or boot_load() would read or
 * write beside them.
 *
 * The first byte chooses architecture (bit 0) and size of RAM; the rest is the file.
 */
#include <assert.h>
#include <string.h>

#include "err.h"
#include "exit_status.h"
#include "fuzz.h"
#include "image.h"
#include "util.h"

static void
check_segment(const struct image *img, unsigned i, size_t src_len, uint64_t base,
	      uint64_t ram_len)
{
	const struct image_segment *s = &img->segment[i];

	assert(s->mem_len > 0 && s->file_len <= s->mem_len);
	assert(range_ok(s->off, s->file_len, src_len));
	assert(s->gpa >= base && range_ok(s->gpa - base, s->mem_len, ram_len));
	assert(s->gpa + s->mem_len <= img->end);
	for (unsigned k = 0; k < i; k++)
		assert(!ranges_overlap(s->gpa, s->mem_len, img->segment[k].gpa,
				       img->segment[k].mem_len));
}

static void
check_image(const struct image *img, const uint8_t *data, size_t len, uint64_t base,
	    uint64_t ram_len)
{
	bool entry_loaded = false;

	assert(img->nsegment > 0 && img->nsegment <= IMAGE_SEGMENTS_MAX);
	for (unsigned i = 0; i < img->nsegment; i++) {
		const struct image_segment *s = &img->segment[i];

		check_segment(img, i, img->unpacked ? img->unpacked_len : len, base,
			      ram_len);
		entry_loaded |= img->entry - s->gpa < s->file_len;
	}
	assert(entry_loaded);
	assert(img->end > base && img->end - base <= ram_len);
	assert(!img->unpacked || img->unpacked_len <= ram_len);
	if (img->setup)
		assert(range_ok((uint64_t)(img->setup - data), img->setup_len, len) &&
		       img->setup_len <= 0x290 - 0x1f1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct image img = { .nsegment = 0 };
	struct err e = { .status = 0 };

	if (len == 0)
		return 0;
	enum image_arch arch = data[0] & 1 ? IMAGE_ARM64 : IMAGE_X86_64;
	uint64_t base = arch == IMAGE_ARM64 ? 0x80000000 : 0;
	uint64_t ram_len = MiB(1) * (data[0] >> 1);
	data++;
	len--;

	int r = image_parse(arch, data, len, base, ram_len, &img, &e);
	if (r == 0) {
		check_image(&img, data, len, base, ram_len);
		image_fini(&img);
	} else {
		assert(r < 0 && e.text[0] && !strchr(e.text, '\n'));
		assert(e.status == EXIT_STATUS_CONFIG);
	}
	return 0;
}
