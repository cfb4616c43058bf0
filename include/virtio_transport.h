/* SPDX-License-Identifier: ISC */
/*
 * virtio transports: PCI, modern and transitional (virtio 1.2, 4.1), and MMIO (4.2).
 *
 * A constructor connects a device, attaches to a bus and returns the transport;
 * x_free() undoes it: before the device and the bus, after the vCPUs are gone.  All of
 * it on the reactor thread.
 */
#ifndef VMM_VIRTIO_TRANSPORT_H
#define VMM_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

struct pci_bus;
struct pci_slot;
struct virtio_device;
struct virtio_lent;
struct virtio_mmio;
struct virtio_pci;

/* ---- doorbells ---- */

/*
 * A guest write that means "look at this queue": any write to addr, or one of len
 * bytes, or one of len bytes with this value.  The machine can make an ioeventfd of it
 * that calls virtio_notify(); a write that exits all the same works the same.
 */
struct virtio_doorbell {
	struct virtio_device *dev;
	unsigned queue;
	enum space_kind space;
	uint64_t addr;
	unsigned len; /* 0: any */
	bool match;   /* only value; else any */
	uint64_t value;
};

/*
 * The machine's side: ioeventfds, and eventfds for queues that are lent (notifier.h).
 *
 * The transport calls add once for each queue, the first time the driver is ready, and
 * not again however often the device is reset: doorbells are kept.  Only a BAR that
 * moves takes its doorbells with it: remove and add.
 */
struct virtio_doorbell_ops {
	void (*add)(void *arg, const struct virtio_doorbell *db);
	void (*remove)(void *arg, const struct virtio_doorbell *db);
	/*
	 * For virtio_queue_lend(): fills in kick, the eventfd of all doorbells of this
	 * queue, which nobody else listens to then, and call.  -errno.
	 */
	int (*lend)(void *arg, struct virtio_device *dev, unsigned queue,
		    struct virtio_lent *ret);
	void (*reclaim)(void *arg, struct virtio_device *dev, unsigned queue);
	/* queue_message() of the transport may say something else than before. */
	void (*message_changed)(void *arg, struct virtio_device *dev, unsigned queue);
};

/* ---- PCI ---- */

enum {
	/* Of the first BAR: configuration and MSI-X table.  Reads have no side effects. */
	VIRTIO_PCI_IMAGE_LEN = 0x2000,
	/* Of the next: what has side effects. */
	VIRTIO_PCI_EVENT_LEN = 0x2000,
};

struct virtio_pci_config {
	bool transitional; /* legacy interface beside the modern one */
	const struct virtio_doorbell_ops *doorbell; /* NULL: every write exits */
	void *doorbell_arg;
};

/*
 * -ENOTSUP: transitional, and the type has no legacy form; -ENOMEM; or as
 * pci_attach().
 */
int virtio_pci_new(struct pci_bus *bus, struct virtio_device *dev,
		   const struct virtio_pci_config *cfg, struct virtio_pci **ret);
void virtio_pci_free(struct virtio_pci *vp);
const struct pci_slot *virtio_pci_slot(const struct virtio_pci *vp);
/* The BAR of the image, and the one behind it of the events: 0, or 1 if transitional. */
unsigned virtio_pci_bar(const struct virtio_pci *vp);

/* ---- MMIO ---- */

struct virtio_mmio_config {
	bool legacy; /* version 1 */
	const struct virtio_doorbell_ops *doorbell;
	void *doorbell_arg;
};

enum { VIRTIO_MMIO_LEN_MIN = 0x200 };

/* -EINVAL: the slot is too small for the device; or as bus_attach(). */
int virtio_mmio_new(struct bus *bus, struct virtio_device *dev,
		    const struct virtio_mmio_config *cfg, struct virtio_mmio **ret);
void virtio_mmio_free(struct virtio_mmio *vm);
const struct bus_slot *virtio_mmio_slot(const struct virtio_mmio *vm);

#endif
