/* SPDX-License-Identifier: ISC */
/*
 * Opening a disk: what the configuration names, as a struct disk (disk.h).
 *
 * The file is looked at once, here: how long it is, how it has to be accessed, which way
 * is the fastest, and that nobody else has it.
 *
 * Reactor thread, before the machine runs: it may block.
 */
#ifndef VMM_DISK_OPEN_H
#define VMM_DISK_OPEN_H

#include <stdbool.h>

struct disk;
struct err;
struct reactor;

/* Where a write is when it is answered. */
enum disk_cache {
	DISK_CACHE_WRITEBACK, /* the host's page cache; a flush makes durable */
	DISK_CACHE_NONE,      /* around the page cache (O_DIRECT); flushes all the same */
	DISK_CACHE_UNSAFE,    /* a flush does nothing */
};

struct disk_config {
	const char *path;  /* a file, a block device, or a URI */
	const char *where; /* who named it, for messages: config_where(); or NULL */
	enum disk_cache cache;
	bool readonly;
	bool discard; /* pass it on, where the back can */
};

/*
 * 0 or -errno with a text: -ENOENT, -EACCES, -EBUSY (somebody else has it), -EINVAL (it
 * can be no disk), and what the host says.  Freed by its ops.
 */
int disk_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	      struct err *e);

/* Is it a URI of an NBD server, which only vmm-full opens (full.h), and no path? */
bool disk_is_nbd(const char *path);

#endif
