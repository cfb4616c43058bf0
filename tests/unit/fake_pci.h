/* SPDX-License-Identifier: ISC */
/* A segment with one bus, and an interrupt controller that remembers. */
#ifndef FAKE_PCI_H
#define FAKE_PCI_H

#include "fake_ring.h"
#include "irqchip.h"
#include "pci.h"

enum {
	ECAM_GPA = 0x70000000,
	MEM32_GPA = 0x78000000,
	MEM32_LEN = 0x1000000,
	IO_BASE = 0x1000,
	IO_LEN = 0x1000,
	FAKE_MSI_MAX = 64,
	IMAGES_LEN = 0x10000,
	IMAGES_GPA = MEM32_GPA + MEM32_LEN - IMAGES_LEN,
};
#define MEM64_GPA UINT64_C(0x8000000000)
#define MEM64_LEN UINT64_C(0x1000000000)
#define PREF_GPA UINT64_C(0xa000000000)
#define PREF_LEN UINT64_C(0x1000000000)

struct fake_pci {
	struct fake_ram ram;
	struct irqchip chip;
	bool level[IRQCHIP_GSI_MAX];
	struct msi_msg msi[FAKE_MSI_MAX]; /* the last of them */
	unsigned nmsi;
	struct space space[SPACE_KINDS];
	struct pci_segment seg;
	struct pci_bus bus;
	uint8_t *ecam; /* NULL: no page images */
	uint8_t *images;
	unsigned covered;
};

static inline void
fake_pci_set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	container_of(chip, struct fake_pci, chip)->level[gsi] = level;
}

static inline int
fake_pci_signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	struct fake_pci *p = container_of(chip, struct fake_pci, chip);

	p->msi[p->nmsi++ % FAKE_MSI_MAX] = *msg;
	return 0;
}

static inline const struct msi_msg *
last_msi(const struct fake_pci *p)
{
	assert(p->nmsi > 0);
	return &p->msi[(p->nmsi - 1) % FAKE_MSI_MAX];
}

static inline void
fake_pci_covered(void *arg)
{
	((struct fake_pci *)arg)->covered++;
}

static const unsigned fake_gsi[] = { 16, 17, 18 };

static inline void
fake_pci_init(struct fake_pci *p, bool image)
{
	static const struct irqchip_ops ops = {
		.name = "fake",
		.set_level = fake_pci_set_level,
		.signal_msi = fake_pci_signal_msi,
	};

	memset(p, 0, sizeof(*p));
	ram_init(&p->ram);
	irqchip_init(&p->chip, &ops, 24);
	if (image) {
		p->ecam = aligned_alloc(4096, PCI_ECAM_LEN);
		memset(p->ecam, 0xff, PCI_ECAM_LEN);
		p->images = malloc(IMAGES_LEN);
		memset(p->images, 0xff, IMAGES_LEN);
	}
	const struct pci_segment_config cfg = {
		.space = p->space,
		.chip = &p->chip,
		.ram = &p->ram.mem,
		.ecam_base = ECAM_GPA,
		.ecam = p->ecam,
		.images = { .window = { .base = IMAGES_GPA,
					.len = image ? IMAGES_LEN : 0 },
			    .hva = p->images,
			    .covered = fake_pci_covered,
			    .arg = p },
		.window = {
			[PCI_WINDOW_IO] = { .base = IO_BASE, .len = IO_LEN },
			[PCI_WINDOW_MEM32] = { .base = MEM32_GPA, .len = MEM32_LEN },
			[PCI_WINDOW_MEM64] = { .base = MEM64_GPA, .len = MEM64_LEN },
			[PCI_WINDOW_PREFETCH] = { .base = PREF_GPA, .len = PREF_LEN },
		},
	};
	int err = pci_segment_init(&p->seg, &cfg);

	assert(err == 0);
	(void)err;
	p->bus = (struct pci_bus){
		.name = "virtio-pci",
		.seg = &p->seg,
		.first = 1,
		.last = 15,
		.gsi = fake_gsi,
		.ngsi = ARRAY_SIZE(fake_gsi),
	};
	memcpy(p->bus.window, cfg.window, sizeof(cfg.window));
	p->bus.window[PCI_WINDOW_MEM32].len -= IMAGES_LEN;
}

static inline void
fake_pci_fini(struct fake_pci *p)
{
	ram_fini(&p->ram);
	free(p->ecam);
	free(p->images);
}

/* The guest's accesses to configuration space, through the ECAM. */
static inline uint32_t
cfg_read(struct fake_pci *p, unsigned devfn, unsigned off, unsigned len)
{
	return (uint32_t)space_read(&p->space[SPACE_MMIO], ECAM_GPA + devfn * 4096u + off,
				    len);
}

static inline void
cfg_write(struct fake_pci *p, unsigned devfn, unsigned off, unsigned len, uint32_t val)
{
	space_write(&p->space[SPACE_MMIO], ECAM_GPA + devfn * 4096u + off, len, val);
}

/* Offset of the n-th capability of that kind, 0: none. Never loops. */
static inline unsigned
find_cap(struct fake_pci *p, unsigned devfn, unsigned id, unsigned n)
{
	unsigned off = cfg_read(p, devfn, PCI_CAPABILITIES, 1);

	for (unsigned i = 0; off && i < 48; i++) {
		if (cfg_read(p, devfn, off, 1) == id && n-- == 0)
			return off;
		off = cfg_read(p, devfn, off + 1, 1);
	}
	return 0;
}

#endif
