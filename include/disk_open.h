/* SPDX-License-Identifier: ISC */
/*
 * Opening a disk: what the configuration names, as a struct disk (disk.h).
 *
 * Reactor thread, before the machine runs: it may block.
 */
#ifndef VMM_DISK_OPEN_H
#define VMM_DISK_OPEN_H

#include <stdbool.h>

struct disk;
struct err;
struct reactor;

enum disk_cache {
	DISK_CACHE_WRITEBACK, /* the host's page cache; a flush makes durable */
	DISK_CACHE_NONE,      /* around the page cache (O_DIRECT) */
	DISK_CACHE_UNSAFE,    /* a flush does nothing */
};

struct disk_config {
	const char *path;  /* a file, a block device, or a URI */
	const char *where; /* who named it, for messages: config_where() */
	enum disk_cache cache;
	bool readonly;
	bool discard; /* pass it on, where the back can */
};

/* 0 or -errno with a text.  Freed by its ops. */
int disk_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	      struct err *e);

#endif
