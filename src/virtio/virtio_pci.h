/* SPDX-License-Identifier: ISC */
/* What the files of virtio over PCI share. */
#ifndef VMM_VIRTIO_PCI_INTERNAL_H
#define VMM_VIRTIO_PCI_INTERNAL_H

#include "msix.h"
#include "pci.h"
#include "virtio.h"
#include "virtio_transport.h"

enum { VIRTIO_MSI_NO_VECTOR = 0xffff };

enum {
	VIRTIO_PCI_COMMON_LEN = 0x40,
	/* In the BAR of events: queue n has its doorbell at OFF + MULTIPLIER * n. */
	VIRTIO_PCI_NOTIFY_OFF = 0x1000,
	VIRTIO_PCI_NOTIFY_MULTIPLIER = 4,
};

enum {
	LEGACY_BAR = 0,
	LEGACY_QUEUE_NOTIFY = 0x10,
};

/* Which of the two interfaces a doorbell belongs to. */
enum doorbell_set { DOORBELL_MODERN, DOORBELL_LEGACY, DOORBELL_SETS };

struct virtio_pci {
	struct virtio_transport t;
	struct pci_function fn;
	const struct pci_slot *slot;
	struct msix msix;
	unsigned bar;       /* of the image; events are in the next */
	uint8_t *image;     /* VIRTIO_PCI_IMAGE_LEN bytes: own_image, or the slot's */
	uint8_t *own_image; /* while reads exit */
	unsigned cfg_cap;   /* the PCI configuration access capability */
	uint8_t isr;
	/* Selectors and vectors: read-write registers that are the transport's. */
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint16_t *vector; /* of each queue */
	struct {
		bool wanted; /* the driver was ready once */
		bool added;
		uint64_t base; /* of the BAR they were added for */
	} doorbells[DOORBELL_SETS];
};

/* Reads the ISR status, which clears it and lowers the line (4.1.4.5). */
uint8_t virtio_pci_isr_read(struct virtio_pci *vp);

/* Maps an event to a vector, or to none where there is no such vector. */
uint16_t virtio_pci_vector(const struct virtio_pci *vp, uint32_t val);

/* The same for the selected queue, if there is one, and lets it be known. */
void virtio_pci_set_queue_vector(struct virtio_pci *vp, uint32_t val);

/* Brings the page image up to date. */
void virtio_pci_refresh(struct virtio_pci *vp);

/*
 * The common configuration: what a driver reads there now, all of it, and a write to it,
 * after which that may be something else.
 */
void virtio_pci_common_image(const struct virtio_pci *vp, uint8_t *p);
void virtio_pci_common_write(struct virtio_pci *vp, unsigned off, unsigned len,
			     uint64_t val);

/* The set's doorbells are where their BAR is, and nowhere while it does not decode. */
void virtio_pci_doorbells_update(struct virtio_pci *vp, enum doorbell_set set);

/* The I/O BAR of transitional devices. */
extern const struct region_ops virtio_pci_legacy_ops;
uint64_t virtio_pci_legacy_len(const struct virtio_device *dev);

#endif
