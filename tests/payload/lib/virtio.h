/* SPDX-License-Identifier: ISC */
/*
 * virtio for payloads: a small driver for every transport, and a split ring.
 *
 * Two levels.  virtio_start(), virtq_setup(), virtio_ready() and virtq_*() are a driver
 * as it should be.  Below it v->ops are the registers, one function for each, and the
 * ring's parts are open: for payloads that do what a driver must not.
 */
#ifndef PAYLOAD_VIRTIO_H
#define PAYLOAD_VIRTIO_H

#include "pci.h"

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLK = 2, VIRTIO_ID_RNG = 4 };

enum {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

#define VIRTIO_F_INDIRECT (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_RING_RESET (1ull << 40)

enum { VIRTIO_NO_VECTOR = 0xffff, VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

struct virtio;

/* Registers. Those of a queue are of the one that was selected. */
struct virtio_ops {
	const char *name; /* "pci", "legacy", "mmio", "mmio-legacy" */
	bool legacy;
	uint32_t (*features)(const struct virtio *v, unsigned word);
	void (*set_features)(const struct virtio *v, unsigned word, uint32_t val);
	uint8_t (*status)(const struct virtio *v);
	void (*set_status)(const struct virtio *v, uint8_t val);
	void (*select)(const struct virtio *v, uint32_t queue);
	uint32_t (*size)(const struct virtio *v); /* the largest, before it is set */
	void (*set_size)(const struct virtio *v, uint32_t size);
	/* A legacy interface has one page number for all of it, which enables it. */
	void (*set_addr)(const struct virtio *v, uint64_t desc, uint64_t avail,
			 uint64_t used);
	void (*enable)(const struct virtio *v);
	bool (*enabled)(const struct virtio *v);
	void (*notify)(const struct virtio *v, uint32_t queue);
	uint32_t (*isr)(const struct virtio *v); /* and acknowledges it */
	/* NULL: no MSI-X. queue -1: configuration changes. Returns what it reads then. */
	uint16_t (*set_vector)(const struct virtio *v, int queue, uint16_t vec);
	uint8_t (*generation)(const struct virtio *v);
	uint32_t (*config)(const struct virtio *v, unsigned off, unsigned len);
};

struct virtio {
	const struct virtio_ops *ops;
	uint32_t type;
	uint64_t features;     /* that were accepted */
	struct irq_source irq; /* INTx, or the line of the MMIO slot */
	/* PCI */
	struct pci_dev pci;
	struct pci_msix msix; /* n is 0: none */
	uint64_t common, isr, notify, device;
	uint32_t notify_multiplier, port;
	uint32_t nqueue;
	/* MMIO */
	uint64_t mmio;
};

/*
 * The n-th device of a type on a transport.  "pci" and "legacy" are the two interfaces of
 * a function, which may have both.  Nothing is reset.
 */
bool virtio_find(const char *transport, uint32_t type, unsigned n, struct virtio *ret);

/* Reset, ACKNOWLEDGE, DRIVER, those of the wanted features that are offered (VERSION_1 is
 * always wanted where there is one), FEATURES_OK. false: they were refused. */
bool virtio_start(struct virtio *v, uint64_t wanted);
void virtio_ready(struct virtio *v);
void virtio_reset(struct virtio *v);
uint8_t virtio_status(const struct virtio *v);

/* ---- split ring (virtio 1.2, 2.7) ---- */

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { VIRTQ_MAX = 256, VIRTQ_INDIRECT_MAX = 16 };

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring_avail {
	uint16_t flags, idx, ring[]; /* [size]: used_event */
};

struct vring_used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[]; /* behind it: avail_event */
};

struct vbuf {
	const void *p;
	uint32_t len;
};

struct virtq {
	struct virtio *v;
	unsigned index;
	uint16_t size;
	struct vring_desc *desc, *table; /* table: of indirect descriptors */
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t added;     /* avail->idx */
	uint16_t kicked;    /* at the last kick */
	uint16_t last_used; /* how far used was read */
	uint16_t free, nfree;
	uint16_t chain[VIRTQ_MAX]; /* descriptors of the chain with this head */
	void *token[VIRTQ_MAX];
	size_t memory; /* size that the memory is for, 0: none yet */
};

/* After virtio_start(): the queue with that size, or its own if that is smaller, empty
 * and enabled. Can be called again after a reset; false: there is no such queue. */
bool virtq_setup(struct virtq *q, struct virtio *v, unsigned index, uint16_t size);
/* nread buffers for the device to read, then nwrite that it writes. false: full. */
bool virtq_add(struct virtq *q, const struct vbuf *buf, unsigned nread, unsigned nwrite,
	       void *token);
/* Rings if the device wants it. Returns whether it did. */
bool virtq_kick(struct virtq *q);
/* One that is finished. Does not wait. */
bool virtq_take(struct virtq *q, void **token, uint32_t *len);
/* Interrupts at the next completion, or none. Look again after true. */
void virtq_interrupts(struct virtq *q, bool on);

#endif
