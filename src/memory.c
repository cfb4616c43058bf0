/* SPDX-License-Identifier: ISC */
#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "util.h"

enum {
	PAGE_LEN = 4096,
	/* Below this one pread is cheaper than a mapping and its page faults. */
	MAP_LEN_MIN = 16 * PAGE_LEN,
};

#define HUGE_LEN MiB(2)
/*
 * Nothing is mapped for this long before, between and after the ranges: a length
 * that was computed wrong ends in SIGSEGV, not in our heap.
 */
#define GUARD_LEN HUGE_LEN

static size_t
page_len(void)
{
	long n = sysconf(_SC_PAGESIZE);

	return n > 0 ? (size_t)n : PAGE_LEN;
}

/*
 * Without MAP_NORESERVE a host that counts commitments (vm.overcommit_memory)
 * would refuse guests whose RAM is never used.  Not in core dumps: they would be
 * as large as the guest, and hold its secrets.
 */
static int
map_range(const struct memory_range *r)
{
	void *p = mmap(r->hva, r->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	/* A host without transparent huge pages says EINVAL: slower, not wrong. */
	(void)madvise(r->hva, r->len, MADV_HUGEPAGE);
	(void)madvise(r->hva, r->len, MADV_DONTDUMP);
	return 0;
}

/*
 * Each range begins at an address that agrees with its gpa modulo 2 MiB: only then
 * can KVM back a 2 MiB page of the guest by one of the host.
 */
static void
place_ranges(struct memory *m)
{
	uintptr_t at = (uintptr_t)m->map;

	for (unsigned i = 0; i < m->n; i++) {
		struct memory_range *r = &m->range[i];

		at = align_up(at + GUARD_LEN, HUGE_LEN) + (r->gpa & (HUGE_LEN - 1));
		r->hva = (uint8_t *)at;
		at += r->len;
	}
}

int
memory_reserve(struct memory *m, const struct memory_range *range, unsigned n,
	       struct err *e)
{
	struct memory tmp = { .n = n };
	uint64_t total = 2 * GUARD_LEN;

	assert(n > 0 && n <= MEMORY_RANGES_MAX);
	for (unsigned i = 0; i < n; i++) {
		tmp.range[i] = range[i];
		assert(range[i].len > 0 && !((range[i].gpa | range[i].len) % PAGE_LEN));
		assert(range[i].len <= UINT64_MAX - range[i].gpa);
		assert(i == 0 || range[i].gpa >= range[i - 1].gpa + range[i - 1].len);
		if (__builtin_add_overflow(total, range[i].len, &total) ||
		    __builtin_add_overflow(total, GUARD_LEN + 2 * HUGE_LEN, &total))
			return err_set(e, ENOMEM,
				       "memory.size: larger than the "
				       "address space of this host");
	}

	tmp.map_len = total;
	void *p = mmap(NULL, total, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		goto fail;
	tmp.map = p;
	place_ranges(&tmp);
	for (unsigned i = 0; i < n; i++) {
		if (map_range(&tmp.range[i]) < 0) {
			munmap(tmp.map, tmp.map_len);
			goto fail;
		}
	}
	*m = tmp;
	return 0;

fail:
	return err_set(e, ENOMEM,
		       "cannot reserve %llu MiB of guest RAM: give the guest less "
		       "(memory.size), or raise the limit of this process (ulimit -v)",
		       (unsigned long long)(memory_size(&tmp) >> 20));
}

void
memory_release(struct memory *m)
{
	if (m->map)
		munmap(m->map, m->map_len);
	*m = (struct memory){ .n = 0 };
}

void
memory_from_buffer(struct memory *m, uint64_t gpa, void *buf, size_t len)
{
	*m = (struct memory){ .n = 1,
			      .range[0] = { .gpa = gpa, .len = len, .hva = buf } };
}

/* The bytes from gpa to the end of its range, *avail of them; NULL: not RAM. */
static uint8_t *
find(const struct memory *m, uint64_t gpa, uint64_t *avail)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct memory_range *r = &m->range[i];

		/* gpa - r->gpa wraps to a huge number below the range. */
		if (gpa - r->gpa < r->len) {
			*avail = r->len - (gpa - r->gpa);
			return r->hva + (gpa - r->gpa);
		}
	}
	*avail = 0;
	return NULL;
}

void *
memory_ptr(const struct memory *m, uint64_t gpa, uint64_t len)
{
	uint64_t avail;
	uint8_t *p = find(m, gpa, &avail);

	return p && len > 0 && len <= avail ? p : NULL;
}

/* Ranges may touch each other, so that [gpa, gpa + len) takes more than one. */
static bool
is_ram(const struct memory *m, uint64_t gpa, size_t len)
{
	uint64_t avail;

	while (len > 0) {
		if (!find(m, gpa, &avail))
			return false;
		if (avail >= len)
			return true;
		gpa += avail;
		len -= avail;
	}
	return true;
}

int
memory_write(const struct memory *m, uint64_t gpa, const void *buf, size_t len)
{
	const uint8_t *src = buf;
	uint64_t avail;

	if (!is_ram(m, gpa, len))
		return -EFAULT;
	while (len > 0) {
		uint8_t *p = find(m, gpa, &avail);
		size_t n = avail < len ? avail : len;

		assert(p);
		memcpy(p, src, n);
		src += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int
memory_read(const struct memory *m, uint64_t gpa, void *buf, size_t len)
{
	uint8_t *dst = buf;
	uint64_t avail;

	if (!is_ram(m, gpa, len))
		return -EFAULT;
	while (len > 0) {
		const uint8_t *p = find(m, gpa, &avail);
		size_t n = avail < len ? avail : len;

		assert(p);
		memcpy(dst, p, n);
		dst += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

static int
read_all(int fd, uint8_t *p, uint64_t off, uint64_t len)
{
	while (len > 0) {
		/* One read() transfers at most 2 GiB - 4 KiB. */
		size_t want = len < GiB(1) ? len : GiB(1);
		ssize_t n = pread(fd, p, want, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/*
 * Whole pages of the file over whole pages of RAM.  The pages at both ends are
 * read by the caller: mapped, they would show bytes of the file where RAM has to
 * be zero (a kernel's bss), and nothing behind the end of the file may be mapped,
 * because touching it is SIGBUS.
 */
static int
map_file(uint8_t *p, int fd, uint64_t off, uint64_t len)
{
	void *q = mmap(p, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)off);

	if (q == MAP_FAILED)
		return -errno;
	(void)madvise(p, len, MADV_DONTDUMP);
	return 0;
}

int
memory_load_file(struct memory *m, uint64_t gpa, int fd, uint64_t off, uint64_t len,
		 int copy)
{
	uint64_t page = page_len();
	struct stat st;

	if (len == 0)
		return 0;
	uint8_t *p = memory_ptr(m, gpa, len);
	if (!p)
		return -EFAULT;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && !range_ok(off, len, (uint64_t)st.st_size))
		return -EIO;

	uint64_t head = -(uintptr_t)p & (page - 1);
	if (copy || !m->map || !S_ISREG(st.st_mode) ||
	    ((uintptr_t)p - off) & (page - 1) || len < head + MAP_LEN_MIN)
		return read_all(fd, p, off, len);

	uint64_t mapped = align_down(len - head, page);
	uint64_t tail = len - head - mapped;
	int r = map_file(p + head, fd, off + head, mapped);
	if (r == -ENODEV) /* a file system that cannot map */
		return read_all(fd, p, off, len);
	if (r == 0)
		r = read_all(fd, p, off, head);
	if (r == 0)
		r = read_all(fd, p + head + mapped, off + head + mapped, tail);
	return r;
}

uint64_t
memory_size(const struct memory *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->n; i++)
		sum += m->range[i].len;
	return sum;
}
