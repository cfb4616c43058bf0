/* SPDX-License-Identifier: ISC */
/* ACPI Machine Language: ACPI 6.5, chapter 20 (grammar) and 6.4 (resources). */
#include <assert.h>
#include <string.h>

#include "aml.h"
#include "util.h"

/* ACPI 6.5, table 20.2. */
enum opcode {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_OR = 0x7d,
	OP_DEREF_OF = 0x83,
	OP_NOTIFY = 0x86,
	OP_INDEX = 0x88,
	OP_EQUAL = 0x93,
	OP_IF = 0xa0,
	OP_RETURN = 0xa4,
	OP_EXT = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
};

void
aml_init(struct aml *a, uint8_t *buf, size_t cap)
{
	*a = (struct aml){ .buf = buf, .cap = cap };
}

static void
put(struct aml *a, const void *p, size_t n)
{
	if (a->full || !range_ok(a->len, n, a->cap)) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

static void
put8(struct aml *a, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(a, &b, 1);
}

static void
put_le(struct aml *a, uint64_t v, size_t n)
{
	uint8_t b[8];

	le64_put(b, v);
	put(a, b, n);
}

/* ---- names: 20.2.2 ---- */

static void
put_segment(struct aml *a, const char *s, size_t n)
{
	assert(n >= 1 && n <= 4);
	put(a, s, n);
	put(a, "____", 4 - n);
}

void
aml_path(struct aml *a, const char *path)
{
	size_t nseg = 1, n = strspn(path, "\\^");

	put(a, path, n);
	path += n;
	for (const char *p = path; *p; p++)
		nseg += *p == '.';
	if (nseg == 2)
		put8(a, OP_DUAL_NAME);
	if (nseg > 2) {
		put8(a, OP_MULTI_NAME);
		put8(a, (unsigned)nseg);
	}
	for (; nseg > 0; nseg--) {
		n = strcspn(path, ".");
		put_segment(a, path, n);
		path += n + 1;
	}
}

/* ---- what has a length: 20.2.4 ---- */

/*
 * PkgLength counts itself and has 1 to 4 bytes. It is inserted when the end is
 * known; a mark is where it goes.
 */
void
aml_end(struct aml *a, size_t mark)
{
	uint8_t pkg[4];
	size_t n = 1, body = a->len - mark;

	if (a->full)
		return;
	if (body + 1 > 0x3f)
		while (n < 4 && body + n >= 1u << (4 + 8 * (n - 1)))
			n++;
	size_t total = body + n;

	pkg[0] = (uint8_t)(n == 1 ? total : (n - 1) << 6 | (total & 0xf));
	for (size_t i = 1; i < n; i++)
		pkg[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));

	put(a, pkg, n); /* makes the room, or finds that there is none */
	if (a->full)
		return;
	memmove(a->buf + mark + n, a->buf + mark, body);
	memcpy(a->buf + mark, pkg, n);
}

size_t
aml_scope(struct aml *a, const char *path)
{
	put8(a, OP_SCOPE);
	size_t mark = a->len;
	aml_path(a, path);
	return mark;
}

size_t
aml_device(struct aml *a, const char *name)
{
	put8(a, OP_EXT);
	put8(a, OP_EXT_DEVICE);
	size_t mark = a->len;
	aml_path(a, name);
	return mark;
}

size_t
aml_method(struct aml *a, const char *name, unsigned nargs)
{
	assert(nargs <= 7);
	put8(a, OP_METHOD);
	size_t mark = a->len;
	aml_path(a, name);
	put8(a, nargs); /* flags: not serialised, sync level 0 */
	return mark;
}

size_t
aml_if(struct aml *a)
{
	put8(a, OP_IF);
	return a->len;
}

size_t
aml_package(struct aml *a, unsigned nelements)
{
	put8(a, OP_PACKAGE);
	size_t mark = a->len;
	put8(a, nelements);
	return mark;
}

/* ---- terms ---- */

void
aml_name(struct aml *a, const char *name)
{
	put8(a, OP_NAME);
	aml_path(a, name);
}

void
aml_int(struct aml *a, uint64_t val)
{
	static const struct {
		uint64_t max;
		uint8_t op;
		uint8_t len;
	} form[] = {
		{ 0, OP_ZERO, 0 },           { 1, OP_ONE, 0 },
		{ UINT8_MAX, OP_BYTE, 1 },   { UINT16_MAX, OP_WORD, 2 },
		{ UINT32_MAX, OP_DWORD, 4 }, { UINT64_MAX, OP_QWORD, 8 },
	};
	unsigned i = 0;

	while (val > form[i].max)
		i++;
	put8(a, form[i].op);
	put_le(a, val, form[i].len);
}

void
aml_string(struct aml *a, const char *s)
{
	put8(a, OP_STRING);
	put(a, s, strlen(s) + 1);
}

void
aml_buffer(struct aml *a, const void *p, size_t len)
{
	put8(a, OP_BUFFER);
	size_t mark = a->len;

	aml_int(a, len);
	put(a, p, len);
	aml_end(a, mark);
}

static unsigned
hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* 6.1.5: three letters of 5 bits and four hex digits, big-endian. */
void
aml_hid(struct aml *a, const char *id)
{
	uint32_t v = 0;

	if (strlen(id) != 7) {
		aml_string(a, id);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	put8(a, OP_DWORD);
	put_le(a, __builtin_bswap32(v), 4);
}

void
aml_local(struct aml *a, unsigned n)
{
	assert(n <= 7);
	put8(a, OP_LOCAL0 + n);
}

void
aml_arg(struct aml *a, unsigned n)
{
	assert(n <= 6);
	put8(a, OP_ARG0 + n);
}

void
aml_return(struct aml *a)
{
	put8(a, OP_RETURN);
}

void
aml_store(struct aml *a)
{
	put8(a, OP_STORE);
}

void
aml_and_local(struct aml *a, unsigned n, uint64_t mask)
{
	put8(a, OP_AND);
	aml_local(a, n);
	aml_int(a, mask);
	put8(a, OP_ZERO); /* no target */
}

void
aml_equal(struct aml *a)
{
	put8(a, OP_EQUAL);
}

static void
put_arg_byte(struct aml *a, unsigned n, unsigned off)
{
	put8(a, OP_INDEX);
	aml_arg(a, n);
	aml_int(a, off);
	put8(a, OP_ZERO); /* the reference is stored nowhere */
}

void
aml_or_arg_byte(struct aml *a, unsigned n, unsigned off, uint8_t bits)
{
	put8(a, OP_OR);
	put8(a, OP_DEREF_OF);
	put_arg_byte(a, n, off);
	aml_int(a, bits);
	put_arg_byte(a, n, off);
}

void
aml_notify(struct aml *a)
{
	put8(a, OP_NOTIFY);
}

/* ---- registers ---- */

void
aml_region(struct aml *a, const char *name, enum aml_space space, uint64_t base,
	   uint64_t len)
{
	put8(a, OP_EXT);
	put8(a, OP_EXT_REGION);
	aml_path(a, name);
	put8(a, space);
	aml_int(a, base);
	aml_int(a, len);
}

void
aml_byte_field(struct aml *a, const char *region, unsigned off, const char *name)
{
	enum { BYTE_ACCESS = 1, RESERVED_FIELD = 0 };

	put8(a, OP_EXT);
	put8(a, OP_EXT_FIELD);
	size_t mark = a->len;

	aml_path(a, region);
	put8(a, BYTE_ACCESS);
	if (off > 0) {
		put8(a, RESERVED_FIELD);
		/* Its length in bits is in the form of a PkgLength, 2 bytes of it. */
		assert(off * 8 < 1 << 12);
		put8(a, 1u << 6 | (off * 8 & 0xf));
		put8(a, off * 8 >> 4);
	}
	put_segment(a, name, strlen(name));
	put8(a, 8);
	aml_end(a, mark);
}

/* ---- resource templates: 6.4 ---- */

enum {
	RES_IO = 0x47,             /* 6.4.2.5 */
	RES_END_TAG = 0x79,        /* 6.4.2.9 */
	RES_MEMORY32_FIXED = 0x86, /* 6.4.3.4 */
	RES_DWORD = 0x87,          /* 6.4.3.5.2 */
	RES_WORD = 0x88,           /* 6.4.3.5.3 */
	RES_INTERRUPT = 0x89,      /* 6.4.3.6 */
	RES_QWORD = 0x8a,          /* 6.4.3.5.1 */
};

/* Always a word, so that it can be filled in at the end. */
enum { BUFFER_SIZE_LEN = 3 };

size_t
aml_resources(struct aml *a)
{
	put8(a, OP_BUFFER);
	size_t mark = a->len;

	put8(a, OP_WORD);
	put_le(a, 0, 2);
	return mark;
}

void
aml_resources_end(struct aml *a, size_t mark)
{
	put8(a, RES_END_TAG);
	put8(a, 0); /* checksum: 0 is "take it as right" */
	if (a->full)
		return;
	le16_put(a->buf + mark + 1, (uint16_t)(a->len - mark - BUFFER_SIZE_LEN));
	aml_end(a, mark);
}

void
aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
	put8(a, RES_IO);
	put8(a, 1); /* decodes 16 bits */
	put_le(a, base, 2);
	put_le(a, base, 2);
	put8(a, 1); /* alignment */
	put8(a, len);
}

static void
res_memory32(struct aml *a, uint32_t base, uint32_t len)
{
	put8(a, RES_MEMORY32_FIXED);
	put_le(a, 9, 2);
	put8(a, 1); /* read-write */
	put_le(a, base, 4);
	put_le(a, len, 4);
}

/* 6.4.3.5: the three descriptors of address spaces differ in the width of a number. */
enum { RES_MEMORY_RANGE = 0, RES_IO_RANGE = 1, RES_BUS_RANGE = 2 };

enum {
	RES_FIXED = 1 << 2 | 1 << 3, /* neither minimum nor maximum can be moved */
	RES_CONSUMER = 1 << 0 | RES_FIXED,
	RES_PRODUCER = RES_FIXED,
};

/* Flags of their own: tables 6.47 and 6.48. */
enum {
	RES_READ_WRITE = 1 << 0,
	RES_PREFETCHABLE = 3 << 1,
	RES_ENTIRE_RANGE = 3 << 0,
};

struct address_space {
	uint8_t type;
	uint8_t general;
	uint8_t specific;
	uint64_t base;
	uint64_t len;
};

static void
res_address(struct aml *a, size_t width, const struct address_space *as)
{
	put8(a, width == 2 ? RES_WORD : width == 4 ? RES_DWORD : RES_QWORD);
	put_le(a, 3 + 5 * width, 2);
	put8(a, as->type);
	put8(a, as->general);
	put8(a, as->specific);
	put_le(a, 0, width); /* granularity */
	put_le(a, as->base, width);
	put_le(a, as->base + as->len - 1, width);
	put_le(a, 0, width); /* translation */
	put_le(a, as->len, width);
}

static void
res_memory64(struct aml *a, uint64_t base, uint64_t len)
{
	res_address(a, 8,
		    &(struct address_space){ RES_MEMORY_RANGE, RES_CONSUMER,
					     RES_READ_WRITE, base, len });
}

void
aml_res_memory(struct aml *a, uint64_t base, uint64_t len)
{
	if (base + len - 1 <= UINT32_MAX)
		res_memory32(a, (uint32_t)base, (uint32_t)len);
	else
		res_memory64(a, base, len);
}

void
aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
	assert(first <= last && last - first < UINT16_MAX);
	res_address(a, 2,
		    &(struct address_space){ RES_BUS_RANGE, RES_PRODUCER, 0, first,
					     last - first + 1ull });
}

/* All 64 Ki ports have a length that a word cannot hold. */
void
aml_res_io_window(struct aml *a, uint16_t base, uint32_t len)
{
	assert(len > 0 && range_ok(base, len, UINT16_MAX + 1ull));
	res_address(a, len <= UINT16_MAX ? 2 : 4,
		    &(struct address_space){ RES_IO_RANGE, RES_PRODUCER, RES_ENTIRE_RANGE,
					     base, len });
}

void
aml_res_memory_window(struct aml *a, uint64_t base, uint64_t len, bool prefetch)
{
	uint8_t flags = RES_READ_WRITE | (prefetch ? RES_PREFETCHABLE : 0);

	res_address(a, base + len - 1 <= UINT32_MAX ? 4 : 8,
		    &(struct address_space){ RES_MEMORY_RANGE, RES_PRODUCER, flags, base,
					     len });
}

void
aml_res_interrupt(struct aml *a, uint32_t gsi, bool level, bool shared)
{
	enum { CONSUMER = 1 << 0, EDGE = 1 << 1, SHARED = 1 << 3 };

	put8(a, RES_INTERRUPT);
	put_le(a, 6, 2);
	put8(a, CONSUMER | (level ? 0 : EDGE) | (shared ? SHARED : 0));
	put8(a, 1); /* one of them */
	put_le(a, gsi, 4);
}
