/* SPDX-License-Identifier: ISC */
/* virtio-rng as payloads use it: a device with one queue whose I/O anybody can check. */
#ifndef PAYLOAD_RNG_H
#define PAYLOAD_RNG_H

#include "virtio.h"

enum { RNG_BUF = 64 };

struct rng {
	struct virtio v;
	struct virtq q;
	uint8_t *buf; /* of RNG_BUF bytes for each descriptor of the queue */
};

/* The n-th on this transport; not started. */
bool rng_find(struct rng *r, const char *transport, unsigned n);
/* From reset to DRIVER_OK, no vectors, no interrupts wanted. */
bool rng_start(struct rng *r, uint64_t features);
/* Makes one more request. false: the queue is full. */
bool rng_ask(struct rng *r);
/* Takes n answers; each must come within five seconds and be random. */
bool rng_take(struct rng *r, unsigned n);
/* Asks, rings, takes. */
bool rng_read(struct rng *r);

#endif
