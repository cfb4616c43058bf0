/* SPDX-License-Identifier: ISC */
/*
 * A disk, as its back (a file, a block device, an NBD server) offers it to a device model.
 *
 * The back knows no device type: it moves bytes between memory and the disk, answers each
 * request exactly once, in any order, and never blocks the reactor for long.  Requests go
 * straight between the iovec, which is guest memory, and the file.
 *
 * Reactor thread only.
 */
#ifndef VMM_DISK_H
#define VMM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct disk;

enum disk_op {
	DISK_READ,         /* iov is filled with exactly len bytes */
	DISK_WRITE,        /* exactly len bytes of iov */
	DISK_FLUSH,        /* what was answered before it was submitted is durable */
	DISK_DISCARD,      /* the range may read as anything */
	DISK_WRITE_ZEROES, /* the range reads as zeroes */
	DISK_OPS
};

/* The caller's, from submit to done(). */
struct disk_request {
	/* err: 0, or -errno. Never from within submit(): at the earliest later in the same
	 * pass of the loop, or from within drain(). */
	void (*done)(struct disk_request *rq, int err);
	enum disk_op op;
	bool unmap;        /* DISK_WRITE_ZEROES: the space may be given back */
	uint64_t off;      /* bytes; off and len are multiples of info.block and */
	uint64_t len;      /* [off, off + len) lies within info.size */
	struct iovec *iov; /* read and write: niov pieces of len bytes together, each a
			    * multiple of nothing; the back may change it */
	unsigned niov;
	uint64_t priv[16]; /* the back's */
};

struct disk_info {
	uint64_t size;           /* bytes, a multiple of block */
	uint32_t block;          /* logical block, 512 or 4096 */
	uint32_t physical_block; /* what is written without reading first */
	bool readonly;
	bool discard; /* DISK_DISCARD does something */
	uint32_t discard_align;
};

struct disk_ops {
	void (*submit)(struct disk *d, struct disk_request *rq);
	/* Returns when every request has been answered. */
	void (*drain)(struct disk *d);
	/* Drained before. Everything written is durable if the cache mode says so. */
	void (*free)(struct disk *d);
};

/* Embedded by the back. */
struct disk {
	const struct disk_ops *ops;
	struct disk_info info;
};

#endif
