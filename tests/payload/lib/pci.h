/* SPDX-License-Identifier: ISC */
/*
 * PCI for payloads: bus 0 through ECAM, capabilities, BARs, INTx and MSI-X.
 *
 * Nothing is known before it is looked for: ECAM, lines and the window to the I/O ports
 * come from MCFG and _PRT, or from the device tree; what a function has, from its BARs
 * and capabilities.  BARs are taken where the machine put them.
 */
#ifndef PAYLOAD_PCI_H
#define PAYLOAD_PCI_H

#include "payload.h"

enum {
	PCI_ID = 0x00,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS = 0x08,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM = 0x2c,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};
enum {
	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_INTX_DISABLE = 1 << 10,
	PCI_STATUS_INTERRUPT = 1 << 3,
};
enum { PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };
enum { PCI_BARS = 6, PCI_ECAM_PAGE = 4096, PCI_CONFIG_LEN = 256 };

struct pci_dev {
	unsigned devfn;
	uint16_t vendor, device;
	uint64_t config; /* of its page in the ECAM window */
};

struct pci_bar {
	uint64_t addr, len;
	bool io, wide, prefetch;
};

/* n-th function of that vendor, 0xffff: of any. */
bool pci_find(uint16_t vendor, unsigned n, struct pci_dev *ret);

/* len: 1, 2 or 4 */
uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned len);
void pci_write(const struct pci_dev *d, unsigned off, unsigned len, uint32_t val);

/* Bits of the command register. */
void pci_command(const struct pci_dev *d, uint16_t set, uint16_t clear);

/* Offset of the n-th capability with that ID; 0: no such. */
unsigned pci_cap(const struct pci_dev *d, uint8_t id, unsigned n);

/* Where a BAR is. false: there is none. len only if sizes is set: that takes decoding
 * off for a moment. A memory BAR can be read and written by the CPU then. */
bool pci_bar(const struct pci_dev *d, unsigned bar, bool sizes, struct pci_bar *ret);
void pci_bar_move(const struct pci_dev *d, unsigned bar, uint64_t addr);

/* The line that pin INTA# of the function is wired to. */
bool pci_intx(const struct pci_dev *d, struct irq_source *ret);

/* ---- I/O ports, by instruction or through memory; len: 1, 2 or 4 ---- */

uint32_t port_read(uint32_t port, unsigned len);
void port_write(uint32_t port, unsigned len, uint32_t val);

/* ---- messages ---- */

struct msi {
	uint64_t addr;
	uint32_t data;
};

/*
 * A message that makes this CPU run handler(arg).  event: 0..31, which of the function's
 * it is.  false: nobody takes messages on this machine, or there are no more.
 */
bool msi_make(const struct pci_dev *d, unsigned event, void (*handler)(void *), void *arg,
	      struct msi *ret);

struct pci_msix {
	const struct pci_dev *dev;
	unsigned cap, n;
	uint64_t table, pba;
};

/* false: the function has none. */
bool pci_msix(const struct pci_dev *d, struct pci_msix *ret);
void pci_msix_control(const struct pci_msix *m, bool enable, bool mask);
void pci_msix_set(const struct pci_msix *m, unsigned vec, const struct msi *msg,
		  bool masked);
void pci_msix_mask(const struct pci_msix *m, unsigned vec, bool masked);
bool pci_msix_pending(const struct pci_msix *m, unsigned vec);

/* ---- what pci_x86_64.c and pci_arm64.c know ---- */

/* ECAM window of bus 0; 0: no PCI here. */
uint64_t pci_ecam(void);
/* Line of INTA# of a device on bus 0. */
bool pci_route(unsigned device, struct irq_source *ret);
/* Makes an address reachable for the CPU. */
void pci_map(uint64_t addr);
/* n-th virtio-mmio slot of the machine, whether somebody is there or not. */
bool mmio_slot(unsigned n, uint64_t *base, struct irq_source *irq);

#endif
