/* SPDX-License-Identifier: ISC */
/*
 * Between disk_nbd.c, which serves requests, and disk_nbd_open.c, which connects.
 *
 * A request is a chain of commands to the server.  One that lies in one piece goes
 * between guest memory and the socket; others through a buffer of the slot, so that the
 * memory is bounded, whatever the guest asks for.
 */
#ifndef VMM_DISK_NBD_H
#define VMM_DISK_NBD_H

#include "disk.h"
#include "nbd_lib.h"
#include "reactor.h"

enum {
	NBD_SLOTS = 16,
	NBD_CHUNK_MAX = 256 << 10, /* through a buffer */
	NBD_DIRECT_MAX = 2 << 20,  /* straight; servers take 32 MiB */
};

struct disk_nbd;

/* A request that is being served. */
struct nbd_slot {
	struct disk_nbd *d;
	struct disk_request *rq;
	uint64_t moved;  /* bytes done */
	unsigned at;     /* the first piece that is not done */
	size_t within;   /* bytes of it that are */
	uint8_t *bounce; /* NBD_CHUNK_MAX, once it was needed */
	size_t chunk;    /* bytes of the command */
	bool bounced;
	bool busy; /* a command is out */
	int err;   /* of the command, when it is finished */
	struct nbd_slot *next;
};

struct disk_nbd {
	struct disk disk;
	struct reactor *r;
	struct nbd_lib lib;
	struct nbd_handle *h;
	char *name; /* for messages */
	struct reactor_io io;
	struct reactor_defer later;
	unsigned events; /* watched */
	unsigned inflight;
	unsigned drain_steps; /* without an answer, until it is given up */
	struct disk_request *waiting, *waiting_last; /* for a slot; by priv[0] */
	struct nbd_slot slot[NBD_SLOTS];
	struct nbd_slot *spare, *finished;
	size_t chunk_max, direct_max;
	bool flushes, zeroes;
	bool dead; /* the connection is gone: everything fails */
	bool warned;
	int flush_err; /* once a flush failed, what was lost is not known */
};

/* Connected and negotiated; takes the handle and the name over, also if it fails. */
struct disk_config;
struct err;
int disk_nbd_start(struct reactor *r, const struct disk_config *cfg,
		   const struct nbd_lib *lib, struct nbd_handle *h, struct disk **ret,
		   struct err *e);

/* On a socket that somebody connected: for tests. Takes the socket over. */
int disk_nbd_open_socket(struct reactor *r, const struct disk_config *cfg, int sock,
			 struct disk **ret, struct err *e);

extern const struct disk_ops disk_nbd_ops;
void disk_nbd_init(struct disk_nbd *d);
void disk_nbd_watch(struct disk_nbd *d);

#endif
