/* SPDX-License-Identifier: ISC */
/*
 * PCI: functions, their configuration space, and the buses they are attached to.
 *
 * One segment is one host bridge with one bus: its ECAM window, its apertures and a
 * place for each device number.  Several struct pci_bus share it (virtio-pci,
 * emulated-pci, passthrough), each an attach point with its own range of device
 * numbers, its own part of the apertures and its own pool of INTx lines.  A device
 * on one knows nothing of the others.
 *
 * A function's configuration space is an image of the bytes as the guest reads them
 * and a mask of the bits it may write.  Nothing else is derived from the image: which
 * line a function raises was decided by pci_attach() and is held by the function as a
 * pointer to const.  The interrupt line byte (3Ch) is scratch, the pin byte (3Dh)
 * read-only.  The image may lie in a page that is mapped read-only into the guest, so
 * that reads cost no exit; whatever changes it does so before the write that caused
 * the change completes, in aligned words.
 *
 * A BAR decodes where it lies wholly within an aperture of the segment and over
 * nothing else: no RAM, no ECAM, no other region.  Elsewhere it reads back what was
 * written and simply does not decode; it will, as soon as the place becomes free.
 *
 * Reactor thread only; pci_attach() only before the vCPUs start.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "irqchip.h"
#include "msix.h"

struct memory;
struct pci_bus;
struct pci_function;
struct pci_segment;
struct pci_slot;

/* ---- configuration space (PCI 3.0, chapter 6) ---- */

enum {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION_ID = 0x08,
	PCI_CLASS_CODE = 0x09,
	PCI_CACHE_LINE_SIZE = 0x0c,
	PCI_LATENCY_TIMER = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
	PCI_SUBSYSTEM_ID = 0x2e,
	PCI_ROM_BASE = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
	PCI_HEADER_END = 0x40,
};

enum {
	PCI_COMMAND_IO = 1 << 0,
	PCI_COMMAND_MEMORY = 1 << 1,
	PCI_COMMAND_MASTER = 1 << 2,
	PCI_COMMAND_PARITY = 1 << 6,
	PCI_COMMAND_SERR = 1 << 8,
	PCI_COMMAND_INTX_DISABLE = 1 << 10,
	PCI_STATUS_INTERRUPT = 1 << 3,
	PCI_STATUS_CAP_LIST = 1 << 4,
};

enum { PCI_CAP_ID_VENDOR = 0x09, PCI_CAP_ID_MSIX = 0x11 };

enum {
	PCI_BARS = 6,
	PCI_CONFIG_LEN = 256, /* what is implemented of it */
	PCI_ECAM_PAGE = 4096, /* what a function has of the ECAM window */
	PCI_DEVICES = 32,
	PCI_ECAM_LEN = PCI_DEVICES * 8 * PCI_ECAM_PAGE,
	PCI_PIN_NONE = 0,
	PCI_PIN_A = 1,
};

struct pci_ids {
	uint16_t vendor;
	uint16_t device;
	uint16_t sub_vendor;
	uint16_t sub_device;
	uint32_t class_code; /* base class << 16 | sub-class << 8 | interface */
	uint8_t revision;
};

enum pci_bar_flags {
	PCI_BAR_IO = 1 << 0,
	PCI_BAR_64 = 1 << 1, /* takes the next BAR, too */
	PCI_BAR_PREFETCH = 1 << 2,
	/* Reads have no side effects: wants a place among the segment's images. */
	PCI_BAR_IMAGE = 1 << 3,
};

struct pci_bar {
	uint64_t len;                 /* a power of two; 0: there is no such BAR */
	unsigned flags;               /* enum pci_bar_flags */
	const struct region_ops *ops; /* NULL: decodes, but nobody answers */
	void *dev;
	unsigned region_flags; /* enum region_flags */
	uint64_t addr;         /* where it decodes, while mapped */
	bool mapped;
};

/*
 * What a function may want to know. Any of them may be NULL.
 */
struct pci_function_ops {
	/*
	 * Bytes [off, off + len), none of them in the header or in the MSI-X
	 * capability, were written, and at least one was writable.
	 */
	void (*config_written)(struct pci_function *fn, unsigned off, unsigned len);
	/* They are about to be read by an exit. Not called for reads of the page. */
	void (*config_reading)(struct pci_function *fn, unsigned off, unsigned len);
	/* fn->bar[bar].mapped or .addr changed. */
	void (*bar_changed)(struct pci_function *fn, unsigned bar);
	/* MSI-X was enabled or disabled. */
	void (*msix_changed)(struct pci_function *fn);
};

struct pci_function {
	const char *name;
	enum device_kind kind;
	const struct pci_function_ops *ops;
	struct pci_bar bar[PCI_BARS];
	struct msix *msix; /* NULL: none */
	uint8_t msix_cap;
	uint8_t last_cap; /* offset of the last capability, 0: none */
	uint8_t cap_end;  /* first free byte behind the capabilities */
	uint8_t pin;
	bool intx;               /* the function has something to say by INTx */
	struct pci_segment *seg; /* NULL until attached */
	const struct pci_slot *slot;
	uint8_t *image; /* own[], or the function's page in the ECAM */
	_Alignas(8) uint8_t own[PCI_CONFIG_LEN];
	_Alignas(8) uint8_t wmask[PCI_CONFIG_LEN]; /* bits the guest writes */
	_Alignas(8) uint8_t w1c[PCI_CONFIG_LEN];   /* bits it clears by writing 1 */
};

/*
 * A type-0 header without BARs and capabilities.  pin is PCI_PIN_NONE or PCI_PIN_A:
 * functions are the only ones of their device.
 */
void pci_function_init(struct pci_function *fn, const char *name, enum device_kind kind,
		       const struct pci_ids *ids, unsigned pin,
		       const struct pci_function_ops *ops);

/* Adds a BAR; only before the attach. */
void pci_add_bar(struct pci_function *fn, unsigned bar, const struct pci_bar *desc);

/*
 * Appends a capability of len bytes, body[0] being the byte behind the next pointer.
 * wmask (len bytes, or NULL: read-only) has the bits the guest may write; the first
 * two bytes never are.  Returns its offset.  Only before the attach.
 */
unsigned pci_add_cap(struct pci_function *fn, uint8_t id, const void *body,
		     const uint8_t *wmask, unsigned len);

/* Appends the MSI-X capability: table and pending array at these places. */
void pci_add_msix(struct pci_function *fn, struct msix *m, unsigned table_bar,
		  uint32_t table_off, unsigned pba_bar, uint32_t pba_off);

/*
 * A level on the function's INTx pin.  The line follows, unless INTX_DISABLE is set or
 * MSI-X is enabled; STATUS.INT tells the guest in any case.
 */
void pci_set_intx(struct pci_function *fn, bool level);

/* Changes what the guest reads, whatever the mask says. off and len: 1, 2 or 4. */
void pci_config_set(struct pci_function *fn, unsigned off, unsigned len, uint32_t val);
uint32_t pci_config_get(const struct pci_function *fn, unsigned off, unsigned len);

/* Is memory or I/O decoding, bus mastering, ... on?  PCI_COMMAND_* */
bool pci_command(const struct pci_function *fn, unsigned bit);

/* The guest's accesses, of any length from 1 to 8 and any alignment. */
uint64_t pci_config_read(struct pci_function *fn, unsigned off, unsigned len);
void pci_config_write(struct pci_function *fn, unsigned off, unsigned len, uint64_t val);

/* The state after power-on or a reset of the machine: BARs where they were put. */
void pci_function_reset(struct pci_function *fn);

/* ---- segment, buses, slots ---- */

enum pci_window_kind {
	PCI_WINDOW_IO,
	PCI_WINDOW_MEM32,    /* below 4 GiB, not prefetchable */
	PCI_WINDOW_MEM64,    /* above, not prefetchable */
	PCI_WINDOW_PREFETCH, /* above, prefetchable */
	PCI_WINDOWS
};

struct pci_window {
	uint64_t base;
	uint64_t len;  /* 0: none */
	uint64_t used; /* bytes handed out, from base; pci_bus only */
};

/* What a device was given; ACPI, FDT and --dump-config are written from it. */
struct pci_slot {
	const char *bus; /* "virtio-pci", ... */
	const char *name;
	enum device_kind kind;
	uint8_t devfn;              /* device << 3 */
	uint8_t pin;                /* PCI_PIN_NONE or PCI_PIN_A */
	const struct irq_line *irq; /* NULL: no pin */
	const struct pci_function *fn;
	uint64_t bar_base[PCI_BARS]; /* where it was put at attach */
	/*
	 * What the guest reads at bar_base without an exit, bar[].len bytes; NULL: its
	 * reads exit.  Written by page.h; all-ones while the BAR does not decode there.
	 */
	uint8_t *bar_image[PCI_BARS];
};

/*
 * Memory that the guest reads, and does not write, at window: the images of BARs, one
 * behind the other, so that they are one memory slot.  It stays there whatever the
 * guest does to the BARs, and is all-ones at first.  A BAR that was moved away is
 * served by exits.  Where another comes to decode over the images, its reads would find
 * the wrong bytes: covered() is called, once, and has to take the memory out of the
 * guest's sight.
 */
struct pci_images {
	struct pci_window window; /* of no bus; len 0: none */
	uint8_t *hva;
	void (*covered)(void *arg);
	void *arg;
};

struct pci_segment {
	struct space *space; /* array of SPACE_KINDS */
	struct irqchip *chip;
	const struct memory *ram;
	struct msi_sink msi;
	uint64_t ecam_base;
	uint8_t *ecam; /* PCI_ECAM_LEN bytes, page aligned, or NULL */
	struct pci_images images;
	bool images_covered;
	struct pci_window window[PCI_WINDOWS];
	struct pci_function bridge; /* the host bridge, device 0 */
	struct pci_function *fn[PCI_DEVICES];
	struct pci_slot slot[PCI_DEVICES];
	struct irq_line line[PCI_DEVICES]; /* behind slot[].irq */
	unsigned nslot;                    /* in attach order */
};

struct pci_segment_config {
	struct space *space;
	struct irqchip *chip;
	const struct memory *ram;
	uint64_t ecam_base;
	/*
	 * The page image of the ECAM window, PCI_ECAM_LEN bytes that read as all-ones,
	 * or NULL where reads are forwarded.  Only pages of attached functions are
	 * written to.
	 */
	uint8_t *ecam;
	struct pci_images images;
	struct pci_window window[PCI_WINDOWS];
};

/*
 * The segment, with its ECAM window claimed and a host bridge as device 0, which has
 * no slot.  As space_add().
 */
int pci_segment_init(struct pci_segment *seg, const struct pci_segment_config *cfg);

struct pci_bus {
	const char *name;
	struct pci_segment *seg;
	uint8_t first; /* device numbers, both included; not 0 */
	uint8_t last;
	const unsigned *gsi; /* the pool of INTx lines, level-triggered */
	unsigned ngsi;
	struct pci_window window[PCI_WINDOWS]; /* each within the segment's */
	unsigned nattached;
};

/*
 * Gives the function a device number, its line, and a place for each BAR.  -ENOSPC:
 * none left; else as irqchip_share().  The function stays alive as long as the
 * segment.
 */
int pci_attach(struct pci_bus *bus, struct pci_function *fn, const struct pci_slot **ret);

/* The function is gone: nothing of it decodes.  Its slot stays in the list. */
void pci_detach(struct pci_function *fn);

/* Every function as after power-on. */
void pci_segment_reset(struct pci_segment *seg);

/*
 * The configuration mechanism of old PCs at ports CF8h and CFCh (PCI 3.0, 3.2.2.3.2).
 * As space_add().
 */
struct pci_cf8 {
	struct pci_segment *seg;
	uint32_t addr;
};

int pci_cf8_init(struct pci_cf8 *c, struct pci_segment *seg);

#endif
