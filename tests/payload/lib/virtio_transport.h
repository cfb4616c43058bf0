/* SPDX-License-Identifier: ISC */
/* The transports, for virtio_find(): each finds what it is asked for by its name. */
#ifndef PAYLOAD_VIRTIO_TRANSPORT_H
#define PAYLOAD_VIRTIO_TRANSPORT_H

#include "virtio.h"

bool virtio_pci_find(const char *transport, uint32_t type, unsigned n,
		     struct virtio *ret);
bool virtio_legacy_find(const char *transport, uint32_t type, unsigned n,
			struct virtio *ret);
bool virtio_mmio_find(const char *transport, uint32_t type, unsigned n,
		      struct virtio *ret);
/* The function itself, decoding and mastering. */
bool virtio_pci_function(uint32_t type, unsigned n, bool legacy, struct virtio *ret);

#endif
