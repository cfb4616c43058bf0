/* SPDX-License-Identifier: ISC */
#include "image_make.h"

#include <assert.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util.h"

static uint8_t *
zalloc(size_t len)
{
	uint8_t *p = calloc(1, len);

	assert(p);
	return p;
}

void
image_fill(uint8_t *p, size_t len, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

uint8_t *
image_make_bzimage(unsigned setup_sects, size_t payload, size_t *len)
{
	size_t off = (setup_sects + 1) * 512;
	uint8_t *p = zalloc(off + payload);

	p[0x1f1] = (uint8_t)setup_sects;
	le32_put(p + 0x1f4, (uint32_t)(payload / 16));
	le16_put(p + 0x1fe, 0xaa55);
	p[0x200] = 0xeb;
	p[0x201] = 0x26c - 0x202;
	memcpy(p + 0x202, "HdrS", 4);
	le16_put(p + 0x206, 0x20f);
	p[0x211] = 0x01;
	le32_put(p + 0x22c, 0x7fffffff);
	le32_put(p + 0x230, 0x200000);
	p[0x234] = 1;
	p[0x235] = 21;
	le16_put(p + 0x236, 0x7f);
	le32_put(p + 0x238, 2047);
	le64_put(p + 0x258, MAKE_PREF_ADDRESS);
	le32_put(p + 0x260, MAKE_INIT_SIZE);
	image_fill(p + off, payload, setup_sects);
	*len = off + payload;
	return p;
}

uint8_t *
image_make_elf(const struct make_segment *seg, unsigned n, const void *note,
	       size_t note_len, size_t *len)
{
	const Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)(n + (note_len > 0)),
	};
	size_t end = 0x1000;

	for (unsigned i = 0; i < n; i++)
		if (seg[i].off + seg[i].file_len > end)
			end = seg[i].off + seg[i].file_len;
	uint8_t *p = zalloc(end);
	for (unsigned i = 0; i < n; i++)
		image_fill(p + seg[i].off, seg[i].file_len, i);

	uint8_t *ph = p + sizeof(eh);
	for (unsigned i = 0; i < n; i++, ph += sizeof(Elf64_Phdr))
		memcpy(ph,
		       &(Elf64_Phdr){
			       .p_type = PT_LOAD,
			       .p_offset = seg[i].off,
			       .p_paddr = seg[i].paddr,
			       .p_filesz = seg[i].file_len,
			       .p_memsz = seg[i].mem_len,
			       .p_align = 4096,
		       },
		       sizeof(Elf64_Phdr));
	if (note_len > 0) {
		memcpy(ph,
		       &(Elf64_Phdr){
			       .p_type = PT_NOTE,
			       .p_offset = 0x800,
			       .p_filesz = note_len,
			       .p_memsz = note_len,
			       .p_align = 4,
		       },
		       sizeof(Elf64_Phdr));
		memcpy(p + 0x800, note, note_len);
	}
	memcpy(p, &eh, sizeof(eh));
	*len = end;
	return p;
}

size_t
image_make_pvh_note(uint8_t *buf, uint64_t entry, unsigned desc_len)
{
	const Elf64_Nhdr nh = { .n_namesz = 4, .n_descsz = desc_len, .n_type = 18 };

	memcpy(buf, &nh, sizeof(nh));
	memcpy(buf + sizeof(nh), "Xen", 4);
	memcpy(buf + sizeof(nh) + 4, &entry, desc_len);
	return sizeof(nh) + 4 + desc_len;
}

uint8_t *
image_make_arm64(size_t file_len, uint64_t image_size, uint64_t text_offset)
{
	uint8_t *p = zalloc(file_len);

	image_fill(p, file_len, 3);
	memset(p, 0, 64);
	le64_put(p + 8, text_offset);
	le64_put(p + 16, image_size);
	le64_put(p + 24, 0xa);
	memcpy(p + 56, "ARM\x64", 4);
	return p;
}

uint8_t *
image_make_gzip(const uint8_t *data, size_t len, size_t *ret_len)
{
	size_t cap = compressBound(len) + 64;
	uint8_t *p = zalloc(cap);
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)data,
		       .avail_in = (unsigned)len,
		       .next_out = p,
		       .avail_out = (unsigned)cap };

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	*ret_len = z.total_out;
	deflateEnd(&z);
	return p;
}

uint8_t *
image_make_zboot(const uint8_t *payload, size_t len, const char *type, size_t *ret_len)
{
	enum { OFF = 0x400 };
	uint8_t *p = zalloc(OFF + len);

	memcpy(p, "MZ\0\0zimg", 8);
	le32_put(p + 8, OFF);
	le32_put(p + 12, (uint32_t)len);
	strncpy((char *)p + 24, type, 31);
	memcpy(p + OFF, payload, len);
	*ret_len = OFF + len;
	return p;
}
