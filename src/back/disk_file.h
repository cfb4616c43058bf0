/* SPDX-License-Identifier: ISC */
/* Between disk_file.c, which serves requests, and disk_file_open.c, which opens. */
#ifndef VMM_DISK_FILE_H
#define VMM_DISK_FILE_H

#include "disk.h"
#include "reactor.h"

/*
 * What disk_file_open() finds out about a file.
 *
 * fd is as the cache mode has it.  With O_DIRECT a request has to be aligned; one that is
 * not goes through plain_fd, the same file by the page cache.  The kernel keeps the two
 * coherent for requests that do not overlap, and a guest has no business with others.
 */
struct disk_file {
	struct disk disk;
	struct reactor *r;
	char *path;
	int fd;
	int plain_fd;       /* without O_DIRECT; may be fd itself */
	uint32_t mem_align; /* of fd, powers of two */
	uint32_t off_align;
	uint64_t end; /* of the file: info.size is up to a block more if readonly */
	bool block_device;
	bool flushes; /* not cache = unsafe, not readonly */
	enum reactor_way read_way, write_way, plain_write_way;

	/* ---- disk_file.c ---- */
	unsigned inflight;
	int flush_err; /* once a flush failed, what was lost is not known: all fail */
	bool no_punch, no_zero_range; /* the file system said so */
	void *zeroes;
	struct iovec *zero_iov;
	struct disk_request *answered, **answered_end; /* without an operation */
	struct reactor_defer answer_later;
	bool warned;
};

extern const struct disk_ops disk_file_ops;

/* Also of one that is half open. */
void disk_file_free(struct disk *disk);

#endif
