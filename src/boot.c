/* SPDX-License-Identifier: ISC */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "exit_status.h"
#include "memory.h"
#include "util.h"

#ifdef __aarch64__
#define HOST_ARCH IMAGE_ARM64
#else
#define HOST_ARCH IMAGE_X86_64
#endif

enum {
	PAGE_LEN = 4096,
	/* struct boot_params holds the setup header at the offset it has in the file. */
	SETUP_HEADER_OFF = 0x1f1,
};

#define FDT_WINDOW GiB(1)

/* A file that the configuration names; what is said of it begins with who. */
struct file {
	const char *what; /* "kernel" */
	const char *path;
	const char *where; /* "vm.ini:9" or NULL */
	int fd;
	uint64_t len;
};

#define refuse(f, e, errnum, fmt, ...) \
	err_set_status(e, EXIT_STATUS_CONFIG, errnum, "%s%s%s %s" fmt, \
		       (f)->where ? (f)->where : "", (f)->where ? ": " : "", (f)->what, \
		       (f)->path, __VA_ARGS__)

static const char *
type_noun(mode_t mode)
{
	static const struct {
		mode_t type;
		const char *noun;
	} nouns[] = {
		{ S_IFDIR, "directory" },        { S_IFIFO, "FIFO" },
		{ S_IFCHR, "character device" }, { S_IFBLK, "block device" },
		{ S_IFSOCK, "socket" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(nouns); i++)
		if ((mode & S_IFMT) == nouns[i].type)
			return nouns[i].noun;
	return "special file";
}

/* Only regular files can be mapped and have a length; O_NONBLOCK: a FIFO without a
 * writer would hold us here. */
static int
file_open(struct file *f, struct err *e)
{
	struct stat st;

	f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0) {
		int r = errno;

		/* open() of a socket: ENXIO, which says little. */
		if (r == ENXIO && stat(f->path, &st) == 0)
			return refuse(f, e, EINVAL, " is a %s, not a regular file",
				      type_noun(st.st_mode));
		return refuse(f, e, r, ": %s", strerror(r));
	}
	if (fstat(f->fd, &st) < 0)
		return refuse(f, e, errno, ": %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(f, e, EINVAL, " is a %s, not a regular file",
			      type_noun(st.st_mode));
	f->len = (uint64_t)st.st_size;
	if (f->len == 0)
		return refuse(f, e, ENOEXEC, " is %s", "empty");
	return 0;
}

static void
file_close(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
}

static int
load_error(const struct file *f, int r, struct err *e)
{
	if (r == -EIO)
		return refuse(f, e, EIO, ": %s",
			      "cannot be read to its end: a bad disk, or it "
			      "became shorter just now");
	return refuse(f, e, -r, ": %s", strerror(-r));
}

/* ---- where things may lie ---- */

/*
 * arm64: the device tree has the last 2 MiB-aligned block of the first 1 GiB of RAM
 * (boot.h).  The kernel stays below it; the initrd may lie on either side.
 */
static uint64_t
fdt_block(const struct memory_range *ram)
{
	uint64_t end = ram->gpa + (ram->len < FDT_WINDOW ? ram->len : FDT_WINDOW);

	if (end - ram->gpa < ARM64_FDT_LEN)
		return ram->gpa;
	return align_down(end, ARM64_FDT_LEN) - ARM64_FDT_LEN;
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The highest page-aligned place of len bytes within [lo, hi), or 0. */
static uint64_t
highest(uint64_t lo, uint64_t hi, uint64_t len)
{
	if (hi < len)
		return 0;
	uint64_t at = align_down(hi - len, PAGE_LEN);

	return at >= lo ? at : 0;
}

/*
 * As high as possible: what the kernel allocates first is low.  Page-aligned, so that
 * the file is mapped.
 */
static int
place_initrd(enum image_arch arch, const struct memory_range *ram,
	     const struct image *img, const struct file *f, uint64_t *ret, struct err *e)
{
	uint64_t lo = align_up(img->end, PAGE_LEN);
	uint64_t hi = ram->gpa + ram->len;
	uint64_t below = hi;
	uint64_t at = 0;

	if (img->initrd_max < UINT64_MAX)
		hi = min_u64(hi, img->initrd_max + 1);
	if (arch == IMAGE_ARM64) {
		below = fdt_block(ram);
		at = highest(below + ARM64_FDT_LEN, hi, f->len);
	}
	if (at == 0)
		at = highest(lo, min_u64(below, hi), f->len);
	if (at == 0)
		return refuse(f, e, ENOMEM,
			      " has %llu KiB, but of %llu MiB RAM only %llu KiB are "
			      "left beside the kernel: raise memory.size",
			      (unsigned long long)((f->len - 1) / 1024 + 1),
			      (unsigned long long)(ram->len >> 20),
			      (unsigned long long)(min_u64(below, hi) > lo
							   ? (min_u64(below, hi) - lo) >>
								     10
							   : 0));
	*ret = at;
	return 0;
}

/* ---- kernel and initrd ---- */

static int
load_segments(struct memory *m, const struct image *img, const struct file *f, int copy,
	      struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < img->nsegment; i++) {
		const struct image_segment *seg = &img->segment[i];

		if (img->unpacked)
			r = memory_write(m, seg->gpa, img->unpacked + seg->off,
					 seg->file_len);
		else
			r = memory_load_file(m, seg->gpa, f->fd, seg->off, seg->file_len,
					     copy);
	}
	return r < 0 ? load_error(f, r, e) : 0;
}

/*
 * The image must not refer to the mapped file any longer than that is mapped: the
 * setup header moves to where boot_arch_finish() would put it anyway, into the zero
 * page.
 */
static int
keep_setup(struct memory *m, struct image *img)
{
	uint64_t gpa = X86_ZERO_PAGE_GPA + SETUP_HEADER_OFF;

	if (!img->setup)
		return 0;
	int r = memory_write(m, gpa, img->setup, img->setup_len);
	img->setup = memory_ptr(m, gpa, img->setup_len);
	return r;
}

static int
load_kernel(enum image_arch arch, const struct boot_source *src, struct memory *m,
	    struct image *ret, struct err *e)
{
	struct file f = {
		.what = "kernel",
		.path = src->kernel,
		.where = src->kernel_where,
	};
	const struct memory_range *ram = &m->range[0];
	uint64_t ram_len = arch == IMAGE_ARM64 ? fdt_block(ram) - ram->gpa : ram->len;
	struct err pe = { .status = 0 };
	int r = file_open(&f, e);
	if (r < 0)
		goto out_close;

	void *data = mmap(NULL, f.len, PROT_READ, MAP_PRIVATE, f.fd, 0);
	if (data == MAP_FAILED) {
		r = refuse(&f, e, errno, ": cannot be mapped: %s", strerror(errno));
		goto out_close;
	}
	r = image_parse(arch, data, f.len, ram->gpa, ram_len, ret, &pe);
	if (r < 0) {
		r = refuse(&f, e, -r, " %s", pe.text);
		goto out_unmap;
	}
	r = load_segments(m, ret, &f, src->copy, e);
	if (r == 0) {
		r = keep_setup(m, ret);
		if (r < 0)
			load_error(&f, r, e);
	}
	/* Its bytes are in guest memory now. */
	image_fini(ret);

out_unmap:
	munmap(data, f.len);
out_close:
	file_close(&f);
	return r;
}

static int
load_initrd(enum image_arch arch, const struct boot_source *src, struct memory *m,
	    struct boot_loaded *ret, struct err *e)
{
	struct file f = {
		.what = "initrd",
		.path = src->initrd,
		.where = src->initrd_where,
	};
	int r = file_open(&f, e);

	if (r == 0)
		r = place_initrd(arch, &m->range[0], &ret->image, &f, &ret->initrd_gpa,
				 e);
	if (r == 0) {
		ret->initrd_len = f.len;
		r = memory_load_file(m, ret->initrd_gpa, f.fd, 0, f.len, src->copy);
		if (r < 0)
			load_error(&f, r, e);
	}
	file_close(&f);
	return r;
}

int
boot_load_arch(enum image_arch arch, const struct boot_source *src, struct memory *m,
	       struct boot_loaded *ret, struct err *e)
{
	struct boot_loaded bl = {
		.cmdline = src->cmdline ? src->cmdline : "",
		.cmdline_where = src->cmdline_where ? src->cmdline_where : "boot.cmdline",
	};
	int r = load_kernel(arch, src, m, &bl.image, e);

	if (r == 0 && src->initrd)
		r = load_initrd(arch, src, m, &bl, e);
	if (r == 0)
		*ret = bl;
	return r;
}

int
boot_load(const struct boot_source *src, struct memory *m, struct boot_loaded *ret,
	  struct err *e)
{
	return boot_load_arch(HOST_ARCH, src, m, ret, e);
}
