/* SPDX-License-Identifier: ISC */
/* What virtio_pci.c and virtio_pci_legacy.c share. */
#ifndef VMM_VIRTIO_PCI_INTERNAL_H
#define VMM_VIRTIO_PCI_INTERNAL_H

#include "msix.h"
#include "pci.h"
#include "virtio.h"
#include "virtio_transport.h"

enum { VIRTIO_MSI_NO_VECTOR = 0xffff };

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
	const struct virtio_doorbell_ops *doorbell;
	void *doorbell_arg;
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

/* Brings the page image up to date. */
void virtio_pci_refresh(struct virtio_pci *vp);

/* The I/O BAR of transitional devices. */
extern const struct region_ops virtio_pci_legacy_ops;
uint64_t virtio_pci_legacy_len(const struct virtio_device *dev);

#endif
