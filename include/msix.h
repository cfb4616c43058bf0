/* SPDX-License-Identifier: ISC */
/*
 * MSI-X (PCI 3.0, section 6.8.2): a table of messages and an array of pending bits.
 *
 * The number of vectors and where table and array lie are fixed when the device is
 * made; nothing the guest writes changes them, and a vector out of range is
 * nobody's.  The table is kept as the guest sees it, in memory that the caller
 * provides, so that the page can be mapped read-only into the guest: reads then cost
 * nothing.  Rewriting a vector allocates nothing.
 *
 * Reactor thread only.
 */
#ifndef VMM_MSIX_H
#define VMM_MSIX_H

#include <stdbool.h>
#include <stdint.h>

struct msi_msg;
struct msix;

enum { MSIX_VECTORS_MAX = 256, MSIX_ENTRY_LEN = 16 };

/* Where messages go. */
struct msi_sink {
	int (*signal)(void *arg, const struct msi_msg *msg);
	void *arg;
};

struct msix {
	uint8_t *table; /* n entries of MSIX_ENTRY_LEN bytes, 8-byte aligned */
	unsigned n;
	bool enabled;
	bool masked;    /* the function mask */
	uint32_t devid; /* requester id: bus, device, function */
	uint64_t pending[MSIX_VECTORS_MAX / 64];
	const struct msi_sink *sink;
	/*
	 * The message of a vector, or whether it may be sent, may have changed; for
	 * who keeps irqfd routes. NULL: nobody.
	 */
	void (*changed)(struct msix *m, unsigned vec);
};

/* All vectors masked and zero. table is the caller's and outlives m. */
void msix_init(struct msix *m, uint8_t *table, unsigned n);

/* The same after a reset of the machine; who is connected stays so. */
void msix_reset(struct msix *m);

/* MSI-X Enable and Function Mask were written. */
void msix_set_control(struct msix *m, bool enabled, bool masked);

/*
 * Sends the vector's message, or remembers it as pending while masked.  Does
 * nothing where MSI-X is not enabled or there is no such vector.
 */
void msix_raise(struct msix *m, unsigned vec);

/* The message of a vector, if it could be sent now. */
bool msix_message(const struct msix *m, unsigned vec, struct msi_msg *ret);

/* Guest accesses; off is from the start of table or array. */
uint64_t msix_table_read(const struct msix *m, uint64_t off, unsigned len);
void msix_table_write(struct msix *m, uint64_t off, unsigned len, uint64_t val);
uint64_t msix_pba_read(const struct msix *m, uint64_t off, unsigned len);

#endif
