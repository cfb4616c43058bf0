/* SPDX-License-Identifier: ISC */
/*
 * A guest that makes any access to a virtio-rng on a PCI bus: configuration space,
 * BARs, I/O ports, its own memory.  Whatever it does, the line and what it says of
 * itself do not change, nothing decodes over RAM, the page image shows what an exit
 * would, and after a reset a proper driver is served.
 *
 * Input: one byte of options (bit 0: transitional), then accesses of 8 bytes: kind and
 * width, offset (16 bits), value (32 bits), one byte unused.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "log.h"
#include "memory.h"
#include "pci.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"
#include "virtio_transport.h"

#include "../unit/fake_reactor.c"

enum {
	ACCESS_LEN = 8,
	ACCESSES_MAX = 512,
	RAM_LEN = 0x4000,
	ECAM = 0x100000,
	MEM32 = 0x200000,
	MEM32_LEN = 0x10000,
	IMAGES = MEM32 + MEM32_LEN, /* directly behind */
	EVENTS = MEM32,             /* where the second BAR is put */
	IO = 0x1000,
	GSI = 7,
	DOORBELLS_MAX = 4,
};

struct guest {
	struct fake_reactor r;
	struct irqchip chip;
	struct memory mem;
	uint8_t *ram;
	struct space space[SPACE_KINDS];
	uint8_t *ecam;
	uint8_t *image;
	bool covered;
	struct pci_segment seg;
	struct pci_bus bus;
	struct rng *rng;
	struct virtio_pci *vp;
	unsigned devfn;
	struct virtio_doorbell db[DOORBELLS_MAX];
	unsigned ndb;
};

/* ---- the host around the device ---- */

static void
set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	(void)chip;
	(void)level;
	CHECK(gsi == GSI);
}

static int
signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	(void)chip;
	CHECK(msg->devid == 1 << 3);
	return 0;
}

static ssize_t
fill(void *arg, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 0x5a, len);
	return (ssize_t)len;
}

static void
doorbell_add(void *arg, const struct virtio_doorbell *db)
{
	struct guest *g = arg;

	CHECK(g->ndb < DOORBELLS_MAX);
	g->db[g->ndb++] = *db;
}

static void
doorbell_remove(void *arg, const struct virtio_doorbell *db)
{
	struct guest *g = arg;
	unsigned i = 0;

	while (i < g->ndb && (g->db[i].addr != db->addr || g->db[i].queue != db->queue ||
			      g->db[i].space != db->space))
		i++;
	CHECK(i < g->ndb);
	g->db[i] = g->db[--g->ndb];
}

static void
covered(void *arg)
{
	struct guest *g = arg;

	CHECK(!g->covered);
	g->covered = true;
}

static void
make(struct guest *g, bool transitional)
{
	static const struct irqchip_ops ops = {
		.name = "none",
		.set_level = set_level,
		.signal_msi = signal_msi,
	};
	static const unsigned gsi[] = { GSI };
	static const struct virtio_doorbell_ops doorbell = {
		.add = doorbell_add,
		.remove = doorbell_remove,
	};
	static const struct rng_backend back = { .fill = fill };
	const struct rng_config rng = { .name = "rng0" };
	const struct pci_window io = { .base = IO, .len = 0x100 };
	const struct pci_window mem32 = { .base = MEM32, .len = MEM32_LEN };

	g->ram = calloc(1, RAM_LEN);
	/* Of a megabyte, the pages of two functions are ever touched. */
	static _Alignas(4096) uint8_t ecam[PCI_ECAM_LEN];
	g->ecam = ecam;
	g->image = aligned_alloc(4096, VIRTIO_PCI_IMAGE_LEN);
	CHECK(g->ram && g->image);
	memset(g->image, 0xff, VIRTIO_PCI_IMAGE_LEN);
	memory_from_buffer(&g->mem, 0, g->ram, RAM_LEN);
	irqchip_init(&g->chip, &ops, 24);
	const struct pci_segment_config cfg = {
		.space = g->space,
		.chip = &g->chip,
		.ram = &g->mem,
		.ecam_base = ECAM,
		.ecam = g->ecam,
		.images = { .window = { .base = IMAGES, .len = VIRTIO_PCI_IMAGE_LEN },
			    .hva = g->image,
			    .covered = covered,
			    .arg = g },
		.window = { [PCI_WINDOW_IO] = io,
			    /* Over RAM on purpose: the window does not protect it. */
			    [PCI_WINDOW_MEM32] = { .base = 0,
						   .len = IMAGES +
							  VIRTIO_PCI_IMAGE_LEN } },
	};
	CHECK(pci_segment_init(&g->seg, &cfg) == 0);
	g->bus = (struct pci_bus){
		.name = "virtio-pci",
		.seg = &g->seg,
		.first = 1,
		.last = 1,
		.gsi = gsi,
		.ngsi = 1,
		.window = { [PCI_WINDOW_IO] = io, [PCI_WINDOW_MEM32] = mem32 },
	};
	CHECK(rng_new(&g->mem, fake_reactor(&g->r), &back, &rng, &g->rng) == 0);
	const struct virtio_pci_config pci = {
		.transitional = transitional,
		.doorbell = &doorbell,
		.doorbell_arg = g,
	};
	CHECK(virtio_pci_new(&g->bus, rng_device(g->rng), &pci, &g->vp) == 0);
	g->devfn = virtio_pci_slot(g->vp)->devfn;
	CHECK(virtio_pci_slot(g->vp)->bar_image[virtio_pci_bar(g->vp)] == g->image);
}

static void
unmake(struct guest *g)
{
	virtio_pci_free(g->vp);
	CHECK(g->ndb == 0);
	rng_free(g->rng);
	CHECK(fake_reactor_ntimers(&g->r) == 0);
	CHECK(g->chip.wire[GSI] == 0);
	CHECK(g->space[SPACE_MMIO].nregion == 1 && g->space[SPACE_PIO].nregion == 0);
	free(g->ram);
	free(g->image);
}

/* ---- accesses ---- */

enum access {
	CFG_WRITE,
	CFG_READ,
	BAR_WRITE,
	BAR_READ,
	IO_WRITE,
	IO_READ,
	RAM_WRITE,
	OTHER,
};

static uint64_t
cfg_addr(const struct guest *g, unsigned off)
{
	return ECAM + g->devfn * 4096u + (off & 0xff);
}

/* The BAR of the image, and the one of the events. */
static const struct pci_bar *
bar_of(const struct guest *g, unsigned n)
{
	return &virtio_pci_slot(g->vp)->fn->bar[virtio_pci_bar(g->vp) + n];
}

/* Where they decode, one behind the other for off; at home, if they do not. */
static uint64_t
bar_addr(const struct guest *g, unsigned off)
{
	unsigned n = off >= VIRTIO_PCI_IMAGE_LEN;
	const struct pci_bar *b = bar_of(g, n);

	return (b->mapped ? b->addr
		: n       ? EVENTS
			  : IMAGES) +
	       off - n * VIRTIO_PCI_IMAGE_LEN;
}

static void
access_one(struct guest *g, const uint8_t *a)
{
	unsigned len = 1u << (a[0] >> 3 & 3);
	unsigned off = le16_get(a + 1);
	uint64_t val = le32_get(a + 3) | (uint64_t)a[7] << 32;
	struct space *mmio = &g->space[SPACE_MMIO], *pio = &g->space[SPACE_PIO];

	switch (a[0] & 7) {
	case CFG_WRITE:
		space_write(mmio, cfg_addr(g, off), len, val);
		break;
	case CFG_READ:
		space_read(mmio, cfg_addr(g, off), len);
		break;
	case BAR_WRITE:
		space_write(mmio, bar_addr(g, off & 0x3fff), len, val);
		break;
	case BAR_READ:
		space_read(mmio, bar_addr(g, off & 0x3fff), len);
		break;
	case IO_WRITE:
		space_write(pio, IO + (off & 0x3f), len & 7 ? len : 4, val);
		break;
	case IO_READ:
		space_read(pio, IO + (off & 0x3f), len & 7 ? len : 4);
		break;
	case RAM_WRITE:
		memory_write(&g->mem, off & (RAM_LEN - 1), a + 3, 4);
		break;
	case OTHER:
		if (fake_reactor_ntimers(&g->r) > 0 && (off & 1)) {
			fake_reactor_advance(&g->r, NSEC_PER_SEC / 10);
		} else if (off == 0x5a5a) {
			pci_segment_reset(&g->seg);
			virtio_reset(rng_device(g->rng));
		} else {
			space_read(mmio, ECAM + (val & 0xfffff), len);
		}
		break;
	default:
		break;
	}
}

/* ---- what must hold whatever happened ---- */

static void
check(struct guest *g)
{
	const uint8_t *page = g->ecam + g->devfn * 4096u;
	const struct pci_bar *event = bar_of(g, 1);
	const struct virtio_device *dev = rng_device(g->rng);

	CHECK(le16_get(page + PCI_VENDOR_ID) == 0x1af4);
	CHECK(page[PCI_INTERRUPT_PIN] == 1 && page[PCI_HEADER_TYPE] == 0);
	CHECK(page[PCI_CAPABILITIES] == 0x40 && page[0x40] == PCI_CAP_ID_MSIX);
	CHECK((le16_get(page + 0x42) & 0x7ff) == 1);
	CHECK(irq_line_gsi(virtio_pci_slot(g->vp)->irq) == GSI);
	for (unsigned n = 0; n < 2; n++) {
		const struct pci_bar *b = bar_of(g, n);

		if (b->mapped)
			CHECK(b->addr >= RAM_LEN &&
			      !ranges_overlap(b->addr, b->len, ECAM, PCI_ECAM_LEN));
	}
	/* What the guest reads without an exit is what it would get by one. */
	CHECK(g->covered || !event->mapped ||
	      !ranges_overlap(event->addr, event->len, IMAGES, VIRTIO_PCI_IMAGE_LEN));
	for (unsigned i = 0; i < g->ndb; i++)
		CHECK(g->db[i].space == SPACE_PIO ||
		      (event->mapped && g->db[i].addr >= event->addr &&
		       g->db[i].addr < event->addr + event->len));
	/* The status is one that a driver can have reached. */
	unsigned s = dev->status;
	CHECK(!(s & 2) || (s & 1));
	CHECK(!(s & 8) || (s & 2));
	CHECK(!(s & 4) || (s & 2));
	/* The image is in sight while its BAR is at home, and nobody's else. */
	const struct pci_bar *image = bar_of(g, 0);
	CHECK(g->image[0x14] == (image->mapped && image->addr == IMAGES ? s : 0xff));
	CHECK(!(s & 8) || (dev->features & ~dev->offered) == 0);
	CHECK(dev->queue[0].at.size <= dev->queue[0].size_max);
	if (dev->queue[0].enabled)
		CHECK(dev->queue[0].vq.size == dev->queue[0].at.size);
}

static void
wr(struct guest *g, unsigned off, unsigned len, uint64_t val)
{
	space_write(&g->space[SPACE_MMIO], bar_addr(g, off), len, val);
}

/* A driver that does everything right is served, whatever went before. */
static void
check_recovery(struct guest *g)
{
	enum { DESC = 0x0000, AVAIL = 0x1000, USED = 0x2000, BUF = 0x3000 };

	space_write(&g->space[SPACE_MMIO], cfg_addr(g, PCI_COMMAND), 2, 0);
	for (unsigned n = 0; n < 2; n++)
		space_write(&g->space[SPACE_MMIO],
			    cfg_addr(g, PCI_BAR0 + 4 * (virtio_pci_bar(g->vp) + n)), 4,
			    n ? EVENTS : IMAGES);
	space_write(&g->space[SPACE_MMIO], cfg_addr(g, PCI_COMMAND), 2,
		    PCI_COMMAND_MEMORY);
	memset(g->ram, 0, RAM_LEN);
	le64_put(g->ram + DESC, BUF);
	le32_put(g->ram + DESC + 8, 16);
	le16_put(g->ram + DESC + 12, 2);

	/* Behind the table of messages, which has two, nothing can be written. */
	for (unsigned off = 0x1020; off < VIRTIO_PCI_IMAGE_LEN; off += 8)
		CHECK(le64_get(g->image + off) == 0);
	wr(g, 0x14, 1, 0);
	CHECK(g->image[0x14] == 0);
	wr(g, 0x14, 1, 1);
	wr(g, 0x14, 1, 3);
	wr(g, 0x08, 4, 0);
	wr(g, 0x0c, 4, 0);
	wr(g, 0x08, 4, 1);
	wr(g, 0x0c, 4, 1);
	wr(g, 0x14, 1, 11);
	CHECK(g->image[0x14] == 11);
	wr(g, 0x16, 2, 0);
	wr(g, 0x18, 2, 4);
	wr(g, 0x20, 8, DESC);
	wr(g, 0x28, 8, AVAIL);
	wr(g, 0x30, 8, USED);
	wr(g, 0x1c, 2, 1);
	wr(g, 0x14, 1, 15);
	CHECK(g->image[0x14] == 15);
	le16_put(g->ram + AVAIL + 2, 1);
	wr(g, 0x3000, 2, 0);
	CHECK(le16_get(g->ram + USED + 2) == 1);
	CHECK(le32_get(g->ram + USED + 8) == 16);
	CHECK(g->ram[BUF] == 0x5a && g->ram[BUF + 15] == 0x5a && g->ram[BUF + 16] == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The irqchip holds pointers into it: not on the stack of a loop. */
	struct guest *g = calloc(1, sizeof(*g));
	unsigned n = 0;

	CHECK(g);
	log_set_level(LOG_ERROR);
	make(g, size > 0 && (data[0] & 1));
	/* Decoding is on, as it is for a driver; the fuzzer may switch it off. */
	space_write(&g->space[SPACE_MMIO], cfg_addr(g, PCI_COMMAND), 2,
		    PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	for (size_t at = 1; at + ACCESS_LEN <= size && n < ACCESSES_MAX;
	     at += ACCESS_LEN, n++) {
		access_one(g, data + at);
		check(g);
	}
	check_recovery(g);
	unmake(g);
	free(g);
	return 0;
}
