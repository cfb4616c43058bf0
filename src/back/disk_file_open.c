/* SPDX-License-Identifier: ISC */
/*
 * Opens a regular file or block device as a disk: locks it, measures it, and finds out
 * which way its operations take (doc/adr/0014-disk-files.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "disk_back.h"
#include "disk_file.h"
#include "disk.h"
#include "disk_open.h"
#include "err.h"
#include "log.h"
#include "util.h"

enum {
	SECTOR = 512,
	PAGE = 4096,
	DIO_ALIGN_GUESS = 4096, /* enough for any device in use */
	LOCK_RETRY_NS = 10000000,
	LOCK_RETRIES = 30,
};

/* ---- who else has it ---- */

/*
 * One writer, or any number of readers.  The locks are those of the open file: they end
 * with it, whoever closes what else.  A writer locks all of it.  A reader locks the bytes
 * by which QEMU's tools say "I read" and "nobody may write or resize", and looks at the
 * one by which they say "I write": so each sees the other.
 */
enum { QEMU_READS = 100, QEMU_WRITES = 101, QEMU_NO_WRITER = 201, QEMU_NO_RESIZE = 203 };

static int
lock_bytes(int fd, int cmd, short type, off_t start, off_t len, struct flock *ret)
{
	*ret = (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};
	return fcntl(fd, cmd, ret) < 0 ? -errno : 0;
}

static int
lock_reader(int fd, struct flock *l)
{
	static const off_t mine[] = { QEMU_READS, QEMU_NO_WRITER, QEMU_NO_RESIZE };
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(mine); i++)
		rc = lock_bytes(fd, F_OFD_SETLK, F_RDLCK, mine[i], 1, l);
	if (rc == 0)
		rc = lock_bytes(fd, F_OFD_GETLK, F_WRLCK, QEMU_WRITES, 1, l);
	return rc == 0 && l->l_type != F_UNLCK ? -EAGAIN : rc;
}

static int
try_lock(const struct disk_file *d, bool readonly)
{
	struct flock l;

	return readonly ? lock_reader(d->fd, &l)
			: lock_bytes(d->fd, F_OFD_SETLK, F_WRLCK, 0, 0, &l);
}

/* The kernel takes io_uring apart in the background: the files of a vmm that was killed
 * are closed a moment after it is gone. */
static int
lock_file(struct disk_file *d, bool readonly, struct err *e)
{
	const struct timespec pause = { .tv_nsec = LOCK_RETRY_NS };
	int rc = try_lock(d, readonly);

	for (unsigned i = 0; rc == -EAGAIN && i < LOCK_RETRIES; i++) {
		nanosleep(&pause, NULL);
		rc = try_lock(d, readonly);
	}
	if (rc == -EAGAIN || rc == -EACCES)
		return err_set(e, EBUSY,
			       "%s is in use by another program%s; `lsof %s` shows it",
			       d->path,
			       readonly ? " that writes to it"
					: ", perhaps another virtual machine",
			       d->path);
	if (rc)
		/* Some network file systems. */
		log_warn("%s cannot be locked (%s): nothing keeps a second user out",
			 d->path, strerror(-rc));
	return 0;
}

/* ---- opening ---- */

static int
open_failed(const char *path, const struct disk_config *cfg, bool block, int errnum,
	    struct err *e)
{
	if (errnum == EINVAL && cfg->cache == DISK_CACHE_NONE)
		return err_set(e, EINVAL,
			       "%s: its file system has no O_DIRECT; cache = writeback "
			       "works",
			       path);
	if (errnum == EBUSY && block)
		return err_set(e, EBUSY,
			       "%s is in use by the host, perhaps mounted; a guest that "
			       "writes to it would destroy it",
			       path);
	if (errnum == EACCES || errnum == EPERM || errnum == EROFS)
		return err_set(e, errnum, "%s cannot be %s: %s", path,
			       cfg->readonly ? "read" : "written (readonly = yes?)",
			       strerror(errnum));
	return err_set(e, errnum, "%s: %s", path, strerror(errnum));
}

/* What is no disk is never opened: a FIFO would wait, a tape would wind. */
static int
check_type(const char *path, struct stat *st, struct err *e)
{
	if (stat(path, st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return err_set(e, EINVAL, "%s is a %s: a disk is a file or a block device", path,
		       S_ISDIR(st->st_mode)   ? "directory"
		       : S_ISCHR(st->st_mode) ? "character device"
					      : "FIFO or socket");
}

static bool
is_in_memory(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int
open_fd(struct disk_file *d, const struct disk_config *cfg, struct err *e)
{
	struct stat st;
	int rc = check_type(d->path, &st, e), flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (rc)
		return rc;
	flags |= cfg->readonly ? O_RDONLY : O_RDWR;
	/* Of a block device: refused while the host has it mounted. */
	if (S_ISBLK(st.st_mode) && !cfg->readonly)
		flags |= O_EXCL;
	/* In memory there is nothing to go around. */
	if (cfg->cache == DISK_CACHE_NONE && !is_in_memory(d->path))
		flags |= O_DIRECT;
	d->fd = open(d->path, flags);
	if (d->fd < 0)
		return open_failed(d->path, cfg, S_ISBLK(st.st_mode), errno, e);
	/* Only for what it may have become since we looked. */
	(void)fcntl(d->fd, F_SETFL, flags & O_DIRECT);
	if (fstat(d->fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return err_set(e, EINVAL, "%s changed while it was opened", d->path);
	d->block_device = S_ISBLK(st.st_mode);
	d->end = (uint64_t)st.st_size;
	d->plain_fd = d->fd;
	if (!(flags & O_DIRECT))
		return 0;

	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", d->fd);
	d->plain_fd = open(self, flags & ~(O_DIRECT | O_EXCL | O_NONBLOCK));
	if (d->plain_fd < 0)
		return err_set(e, errno, "%s: %s", self, strerror(errno));
	return 0;
}

/* ---- what kind of file it is ---- */

static int
measure_block_device(struct disk_file *d, struct err *e)
{
	struct disk_info *info = &d->disk.info;
	unsigned physical = 0;
	int logical = 0;

	if (ioctl(d->fd, BLKGETSIZE64, &d->end) < 0 ||
	    ioctl(d->fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(d->fd, BLKPBSZGET, &physical) < 0)
		return err_set(e, errno, "%s: its size: %s", d->path, strerror(errno));
	if (logical != SECTOR && logical != PAGE)
		return err_set(e, EINVAL,
			       "%s has blocks of %d bytes: a guest can use "
			       "512 or 4096",
			       d->path, logical);
	info->block = (uint32_t)logical;
	info->physical_block = physical > info->block ? physical : info->block;
	d->off_align = d->mem_align = info->block;
	return 0;
}

static void
measure_file(struct disk_file *d)
{
	struct statx sx = { 0 };

	d->disk.info.block = SECTOR;
	d->disk.info.physical_block = PAGE; /* of the page cache; most file systems */
	d->off_align = d->mem_align = DIO_ALIGN_GUESS;
#ifdef STATX_DIOALIGN
	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_offset_align > 0) {
		d->off_align = sx.stx_dio_offset_align;
		d->mem_align = sx.stx_dio_mem_align;
	}
#endif
}

static int
measure(struct disk_file *d, struct err *e)
{
	struct disk_info *info = &d->disk.info;
	int rc = 0;

	if (d->block_device)
		rc = measure_block_device(d, e);
	else
		measure_file(d);
	if (rc)
		return rc;
	info->size = align_up(d->end, info->block);
	if (d->end == 0)
		return err_set(e, EINVAL, "%s is empty: a disk has at least one block",
			       d->path);
	if (info->size != d->end && !info->readonly)
		return err_set(e, EINVAL,
			       "%s is %" PRIu64 " bytes long, which is no multiple of "
			       "%u: `truncate -s %" PRIu64 "` makes it whole, and "
			       "readonly = yes reads the rest as zeroes",
			       d->path, d->end, info->block, info->size);
	return 0;
}

/* Can the call say "I would have to sleep"?  Asked where there is nothing to read. */
static bool
can_read_nowait(const struct disk_file *d)
{
	struct iovec v = { &v, 0 };
	char *buf = aligned_alloc(PAGE, PAGE);
	ssize_t n;

	if (!buf)
		return false;
	v = (struct iovec){ buf, PAGE };
	n = preadv2(d->fd, &v, 1, (off_t)align_up(d->end, PAGE), RWF_NOWAIT);
	free(buf);
	return n == 0 || errno == EAGAIN;
}

/* The same for a write to the page cache: one from nowhere, which nobody can carry out. */
static bool
can_write_nowait(const struct disk_file *d)
{
	struct iovec v = { (void *)(uintptr_t)1, 1 };

	return pwritev2(d->plain_fd, &v, 1, 0, RWF_NOWAIT) < 0 &&
	       (errno == EFAULT || errno == EAGAIN);
}

static void
classify(struct disk_file *d, bool readonly)
{
	bool direct = d->fd != d->plain_fd;

	if (is_in_memory(d->path)) {
		d->read_way = d->write_way = REACTOR_INLINE;
		return;
	}
	d->plain_write_way =
		!readonly && can_write_nowait(d) ? REACTOR_RING : REACTOR_THREAD;
	d->read_way = can_read_nowait(d) ? REACTOR_RING : REACTOR_THREAD;
	d->write_way = direct ? d->read_way : d->plain_write_way;
}

/* Does a discard do something?  A file system that cannot says so at the first. */
static void
find_discard(struct disk_file *d, const struct disk_config *cfg)
{
	struct disk_info *info = &d->disk.info;
	struct stat st;

	if (!cfg->discard || cfg->readonly)
		return;
	info->discard = true;
	info->discard_align = info->physical_block;
	if (fstat(d->fd, &st) == 0 && st.st_blksize > 0 && !d->block_device)
		info->discard_align = (uint32_t)st.st_blksize;
}

int
disk_file_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	       struct err *e)
{
	struct disk_file *d = calloc(1, sizeof(*d));
	int rc;

	char *path = strdup(cfg->path);

	if (!d || !path) {
		free(d);
		free(path);
		return err_set(e, ENOMEM, "%s: %s", cfg->path, strerror(ENOMEM));
	}
	d->disk.ops = &disk_file_ops;
	d->disk.info.readonly = cfg->readonly;
	d->r = r;
	d->fd = d->plain_fd = -1;
	d->answered_end = &d->answered;
	d->path = path;
	rc = open_fd(d, cfg, e);
	if (rc == 0)
		rc = lock_file(d, cfg->readonly, e);
	if (rc == 0)
		rc = measure(d, e);
	if (rc) {
		disk_file_free(&d->disk);
		return rc;
	}
	classify(d, cfg->readonly);
	find_discard(d, cfg);
	d->flushes = !cfg->readonly && cfg->cache != DISK_CACHE_UNSAFE;
	reactor_file_add(r, d->fd);
	if (d->plain_fd != d->fd)
		reactor_file_add(r, d->plain_fd);
	*ret = &d->disk;
	return 0;
}
