/* SPDX-License-Identifier: ISC */
/* Small helpers that have no better home. */
#ifndef VMM_UTIL_H
#define VMM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define KiB(n) ((uint64_t)(n) << 10)
#define MiB(n) ((uint64_t)(n) << 20)
#define GiB(n) ((uint64_t)(n) << 30)

#define NSEC_PER_SEC 1000000000ull

/* Does [off, off + n) lie within [0, len)?  Never overflows; n may be 0. */
static inline bool
range_ok(uint64_t off, uint64_t n, uint64_t len)
{
	return off <= len && n <= len - off;
}

/* Do [a, a + alen) and [b, b + blen) share a byte?  Both must not wrap. */
static inline bool
ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static inline uint64_t
align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline uint64_t
align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

/* All-ones of an access of len bytes: what a read returns where nobody lives. */
static inline uint64_t
ones(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (1ull << (len * 8)) - 1;
}

/* Little-endian loads and stores at any alignment. */
static inline uint16_t
le16_get(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
le32_get(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
le64_get(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
le16_put(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
le32_put(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
le64_put(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "x86-64 and arm64 little-endian hosts only");

#endif
