/* SPDX-License-Identifier: ISC */
/*
 * A queue that somebody outside the reactor serves: the kernel (vhost), or another process
 * (vhost-user).  What it takes to do that, and nothing of the device.
 *
 * The device type lends (virtio.h), a back passes it on.  The eventfds stay the same
 * however often a queue is lent, and are not the borrower's to close.
 */
#ifndef VMM_VIRTIO_LENT_H
#define VMM_VIRTIO_LENT_H

#include <stdint.h>

struct virtio_lent {
	uint64_t features; /* what the driver negotiated */
	/* In our address space; all of it lies in RAM, and nobody unmaps it. */
	const void *desc;
	const void *avail;
	void *used;
	uint16_t size;
	uint16_t next; /* entry of the available ring to look at next */
	int kick;      /* readable: the driver may have made something available */
	int call;      /* write to it to interrupt the driver */
};

#endif
