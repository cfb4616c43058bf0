/* SPDX-License-Identifier: ISC */
/*
 * What a driver must not do: tables of attacks on virtio-rng, for the hostile payloads.
 *
 * For each row the victim is started and serves a request.  Then the attack; then what the
 * row promises, a second device goes on, and the victim works after a reset.
 */
#ifndef PAYLOAD_ATTACK_H
#define PAYLOAD_ATTACK_H

#include "rng.h"

/* Transports, by virtio_ops.name. */
enum {
	ON_PCI = 1 << 0,
	ON_LEGACY = 1 << 1,
	ON_MMIO = 1 << 2,
	ON_MMIO_LEGACY = 1 << 3,
	ON_MODERN = ON_PCI | ON_MMIO,
	ON_OLD = ON_LEGACY | ON_MMIO_LEGACY,
	ON_FUNCTION = ON_PCI | ON_LEGACY,
	ON_ANY = ON_MODERN | ON_OLD
};

enum outcome {
	BREAKS,   /* the device sets NEEDS_RESET */
	SURVIVES, /* it serves the next request */
	UNHARMED, /* it serves what the attack has put into the ring itself */
	REFUSED   /* one bit of the status, in arg, is not set */
};

struct attack {
	const char *name; /* NULL: the end */
	unsigned on;
	enum outcome want;
	uint64_t features;
	void (*fn)(const struct attack *a);
	const void *arg;
	uint64_t num, num2;
};

extern struct rng victim, other;

/* The attack itself found something wrong. */
void attack_failed(const char *why);

/* Finds the devices on transport=; false: it has said so. */
bool attack_begin(void);
/* All rows for this transport whose names begin with only=. */
void attack_all(const struct attack *a);

#endif
