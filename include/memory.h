/* SPDX-License-Identifier: ISC */
/*
 * Guest memory.
 *
 * A pointer into guest RAM never comes without a length, and only from
 * memory_ptr().  Every caller handles NULL: addresses come from the guest.
 *
 * RAM is private, anonymous, reserved and not populated, 2 MiB aligned.  Files
 * may be mapped over it (memory_map_file), copy-on-write, so that a kernel image
 * costs neither a read nor memory until it is touched.
 *
 * memory_ptr() from any thread; the rest before the vCPUs start.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum { MEMORY_RANGES_MAX = 4 };

struct memory_range {
	uint64_t gpa;
	uint64_t len;
	uint8_t *hva;
};

struct memory {
	struct memory_range range[MEMORY_RANGES_MAX];
	unsigned n;
	uint8_t *map; /* the one reservation behind all ranges; NULL: not ours */
	size_t map_len;
};

/*
 * Reserves the RAM of n ranges whose gpa and len are filled in by the caller
 * (page multiples, ascending, not overlapping).  -ENOMEM with a text.
 */
int memory_reserve(struct memory *m, const struct memory_range *range, unsigned n,
		   struct err *e);
void memory_release(struct memory *m);

/* For tests: len bytes at buf are all of RAM, at gpa. */
void memory_from_buffer(struct memory *m, uint64_t gpa, void *buf, size_t len);

/* [gpa, gpa + len) within one range, or NULL. len 0 is NULL too. */
void *memory_ptr(const struct memory *m, uint64_t gpa, uint64_t len);

/* Copies in or out; -EFAULT if any byte is not RAM, and then nothing is copied. */
int memory_write(const struct memory *m, uint64_t gpa, const void *buf, size_t len);
int memory_read(const struct memory *m, uint64_t gpa, void *buf, size_t len);

/*
 * Makes [gpa, gpa + len) show the file's bytes from off on.  Maps where gpa and
 * off agree modulo the page size and copy is false; reads the rest: head, tail,
 * and all of it where they do not agree.  -EFAULT: not RAM; -EIO: the file is
 * shorter than off + len; or what pread/mmap say.
 */
int memory_load_file(struct memory *m, uint64_t gpa, int fd, uint64_t off, uint64_t len,
		     int copy);

/* Bytes of all ranges. */
uint64_t memory_size(const struct memory *m);

#endif
