/* SPDX-License-Identifier: ISC */
/*
 * virtio devices: one model file in src/virtio/ each.
 *
 * A constructor takes guest memory and the backend and returns a device that waits to be
 * connected to a transport; x_free() after the transport is gone.  The backend is a
 * table of functions that know no device type.
 */
#ifndef VMM_VIRTIO_DEV_H
#define VMM_VIRTIO_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ratelimit.h"

struct chr;
struct disk;
struct memory;
struct net_back;
struct reactor;
struct virtio_device;

/* ---- entropy (virtio 1.2, 5.4), src/virtio/rng.c ---- */

struct rng_backend {
	/* Fills buf, which is guest memory, and returns how far it came or -errno. */
	ssize_t (*fill)(void *arg, void *buf, size_t len);
	void *arg;
};

struct rng_config {
	const char *name; /* "rng0" */
	uint64_t rate;    /* bytes a second; 0: no limit */
	uint64_t burst;   /* bytes; 0: a second's worth */
};

struct rng;

/* getrandom(2): never blocks once the host has booted. */
extern const struct rng_backend rng_backend_getrandom;

int rng_new(const struct memory *mem, struct reactor *r, const struct rng_backend *back,
	    const struct rng_config *cfg, struct rng **ret);
struct virtio_device *rng_device(struct rng *rng);
void rng_free(struct rng *rng);

/* ---- disk (virtio 1.2, 5.2), src/virtio/blk.c ---- */

enum { BLK_QUEUES_MAX = 64, BLK_SERIAL_MAX = 20 };

struct blk_config {
	const char *name;   /* "disk0" */
	unsigned queues;    /* 1 to BLK_QUEUES_MAX */
	const char *serial; /* as the guest sees it: cut after BLK_SERIAL_MAX bytes */
	struct rate_limit_config rate;
};

struct blk;

/* The disk (disk.h) is the device's from then on, unless this fails. */
int blk_new(const struct memory *mem, struct reactor *r, struct disk *disk,
	    const struct blk_config *cfg, struct blk **ret);
struct virtio_device *blk_device(struct blk *blk);

/*
 * Once the device is stopped: whatever the driver was told is written is durable on
 * return, as far as the disk's cache mode has it.  Costs nothing if it is already.
 */
int blk_sync(struct blk *blk);

/* Frees the disk, too. */
void blk_free(struct blk *blk);

/* ---- network (virtio 1.2, 5.1), src/virtio/net.c ---- */

struct net_config {
	const char *name; /* "net0" */
	uint8_t mac[6];
	uint16_t mtu; /* what the guest is told; 0: what the back knows */
	struct rate_limit_config limit; /* of each direction */
	bool limit_shared;              /* of both together */
};

struct net;

/* The back belongs to the device from then on, and is freed with it; not on failure. */
int net_new(const struct memory *mem, struct reactor *r, struct net_back *back,
	    const struct net_config *cfg, struct net **ret);
struct virtio_device *net_device(struct net *net);
void net_free(struct net *net);

/* ---- console (virtio 1.2, 5.3), src/virtio/console.c ---- */

enum {
	VIRTIO_CONSOLE_PORTS_MAX = 8,
	VIRTIO_CONSOLE_NAME_MAX = 32,
};

/*
 * One stream of bytes.  A console is a terminal of the guest (hvc0), whose kernel waits
 * with a spinning CPU until its output is taken: it is held for a moment and then lost.
 * Other ports (/dev/virtio-ports/NAME) are waited for in the ring for as long as it takes.
 */
struct virtio_console_port {
	const char *name; /* at most VIRTIO_CONSOLE_NAME_MAX bytes */
	bool console;
	struct chr *chr; /* the back, with no other front */
};

struct virtio_console_config {
	const char *name; /* of the device: "console0" */
	const struct virtio_console_port *port;
	unsigned nport; /* 1 to VIRTIO_CONSOLE_PORTS_MAX */
};

struct virtio_console;

/* Names, the device's and the ports', are kept as pointers. */
int virtio_console_new(const struct memory *mem, struct reactor *r,
		       const struct virtio_console_config *cfg,
		       struct virtio_console **ret);
struct virtio_device *virtio_console_device(struct virtio_console *vc);
void virtio_console_free(struct virtio_console *vc);

#endif
