/* SPDX-License-Identifier: ISC */
/*
 * A machine from the inside, and what differs between architectures:
 * machine_x86_64.c and machine_arm64.c implement the machine_arch_ functions.
 */
#ifndef VMM_MACHINE_ARCH_H
#define VMM_MACHINE_ARCH_H

#include "boot.h"
#include "bus.h"
#include "config.h"
#include "dev.h"
#include "exits.h"
#include "machine.h"
#include "memory.h"
#include "notifier.h"
#include "pci.h"
#include "vcpu.h"

enum { MACHINE_POSTED_MAX = 8 };

/* The attach points for PCI functions: each its own device numbers, windows, lines. */
enum machine_pci_bus {
	MACHINE_PCI_VIRTIO,
	MACHINE_PCI_EMULATED,
	MACHINE_PCI_PASSTHROUGH,
	MACHINE_PCI_BUSES
};

enum { MACHINE_PCI_LINES = 8 };

/* Where PCI lies on this architecture. */
struct machine_pci_layout {
	uint64_t ecam_base;
	uint64_t io_gpa; /* where the CPU reaches the I/O window; 0: it has
				 * ports */
	struct pci_window window[PCI_WINDOWS];
	const unsigned *gsi; /* MACHINE_PCI_LINES of them, for the buses to share out */
};

/* A virtio device: the model, and the one transport that it has. */
struct machine_virtio {
	const char *section; /* "rng" */
	const char *name;    /* of the section, [rng "name"] */
	void *model;
	void (*free)(void *model);
	/* NULL: nothing has to be durable.  The device is stopped. */
	void (*sync)(struct machine_virtio *mv);
	struct virtio_device *dev;
	enum config_transport transport;
	struct virtio_pci *pci;
	struct virtio_mmio *mmio;
};

/* What the guest reads of PCI without an exit; hva NULL: nothing. */
struct machine_pages {
	uint64_t gpa;
	uint8_t *hva; /* images of BARs, then the ECAM window */
	size_t len;
	size_t images_len;
};

/* A register whose writes KVM may hold back: src/machine_index.c. */
struct machine_index_row {
	bool mmio;
	uint64_t addr;
	uint32_t len;
};

enum { MACHINE_INDEX_MAX = 4 };

struct machine {
	const struct config *cfg;
	struct machine_host host;
	struct vm *vm;
	struct memory memory;
	struct irqchip *irqchip;
	struct space space[SPACE_KINDS];
	struct slot_list slots;
	struct bus platform;
	struct boot_loaded loaded;
	struct mailboxes *mailboxes;
	struct posted_range posted[MACHINE_POSTED_MAX];
	struct vcpu_env vcpu_env;
	struct vcpu **vcpu;      /* cfg->cpu.count of them */
	struct pci_segment *pci; /* NULL: no device needs it */
	struct pci_cf8 pci_cf8;
	struct machine_pages pages;
	struct pci_bus pci_bus[MACHINE_PCI_BUSES];
	struct machine_virtio virtio[CONFIG_NAMED_MAX];
	unsigned nvirtio;
	struct notifiers notifiers; /* doorbells, and queues that are lent */
	unsigned index_writes[MACHINE_INDEX_MAX]; /* that exited */
	uint64_t coalesced;                       /* that did not */
	bool coalescing;
	enum machine_end end;
	const struct vcpu *crashed;

	/* Devices; NULL where the architecture or the configuration has none. */
	struct uart16550 *serial;
	struct rtc_cmos *rtc_cmos;
	struct pl031 *pl031;
	struct i8042 *i8042;
	struct acpi_power *acpi_power;
	struct pl061 *pl061;
};

/* The places of the platform bus. */
extern const struct platform_row machine_platform_row[];
extern const unsigned machine_platform_rows;

/* Index registers, at most MACHINE_INDEX_MAX. */
extern const struct machine_index_row machine_index_row[];
extern const unsigned machine_index_rows;
/* A write exited, and may be to one; and: before any exit is served. */
void machine_index_written(struct machine *m, const struct exit *x);
void machine_index_drain(struct machine *m);

/* Power-off and reset for the devices that lead there; arg is the machine. */
extern const struct power_ops machine_power_ops;

/* Where RAM of the configured size lies; only gpa and len are filled in. */
int machine_arch_ram(const struct machine *m,
		     struct memory_range range[MEMORY_RANGES_MAX], unsigned *ret_n,
		     struct err *e);

/* Makes m->irqchip, after the memory slots and before the vCPUs. */
int machine_arch_irqchip(struct machine *m, struct err *e);

void machine_arch_pci(const struct machine *m, struct machine_pci_layout *ret);

/* Makes m->pci and its buses; src/machine_pci.c. */
int machine_pci_new(struct machine *m, struct err *e);

/* Memory for reads that do not exit, if PCI is wanted; src/machine_pages.c. */
int machine_pages_new(struct machine *m, struct err *e);
void machine_pages_show(struct machine *m, struct pci_segment_config *sc);
void machine_pages_free(struct machine *m);

/* [net "name"], for the table of src/machine_virtio.c; src/machine_net.c. */
int machine_net_make(struct machine *m, struct machine_virtio *mv,
		     const struct config_named *named, struct err *e);
void machine_net_free(void *model);

/* [disk "name"], for the table of src/machine_virtio.c; src/machine_disk.c. */
int machine_disk_make(struct machine *m, struct machine_virtio *mv,
		      const struct config_named *named, struct err *e);
void machine_disk_sync(struct machine_virtio *mv);
void machine_disk_free(void *model);

/* Makes and attaches the devices of the named sections; src/machine_virtio.c. */
int machine_virtio_new(struct machine *m, struct err *e);
/* How many of them are PCI functions, each with a page image. */
unsigned machine_virtio_images(const struct config *cfg);
/* The end of a machine: what is in flight ends, and what was acknowledged is durable. */
void machine_virtio_stop(struct machine *m);
void machine_virtio_free(struct machine *m);
/* Their counters, as the members of a JSON object. */
void machine_virtio_write_stats(const struct machine *m, FILE *out);

/*
 * The kind "console", src/machine_console.c: all sections with one transport are ports of
 * one device, which the first of them makes.
 */
bool machine_console_is_first(const struct config *cfg, const struct config_named *named);
int machine_console_make(struct machine *m, struct machine_virtio *mv,
			 const struct config_named *named, struct err *e);
void machine_console_free(void *model);

/* Attaches the platform devices. 0 or -errno. */
int machine_arch_devices(struct machine *m);

/* After the kernel is loaded and the vCPUs exist: writes ACPI or FDT;
 * ret is for boot_arch_finish(). */
int machine_arch_tables(struct machine *m, uint64_t *ret, struct err *e);

/* After all vCPUs are made, before the first one runs. */
int machine_arch_finalize(struct machine *m, struct err *e);

void machine_arch_press_button(struct machine *m);

#endif
