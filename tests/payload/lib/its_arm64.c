// SPDX-License-Identifier: ISC
/* LPIs through the ITS (IHI 0069, chapters 5 and 12), for one CPU: one collection. */
#include "arm64.h"

enum {
	GITS_CTLR = 0,
	GITS_TYPER = 8,
	GITS_CBASER = 0x80,
	GITS_CWRITER = 0x88,
	GITS_CREADR = 0x90,
	GITS_BASER = 0x100,
	GITS_BASERS = 8,
	GITS_TRANSLATER = 0x10040,
	GICR_CTLR = 0,
	GICR_TYPER = 8,
	GICR_PROPBASER = 0x70,
	GICR_PENDBASER = 0x78
};
enum { CMD_SYNC = 5, CMD_MAPD = 8, CMD_MAPC = 9, CMD_MAPTI = 0xa, CMD_INV = 0xc };
enum {
	LPIS = 64,
	DEVICES = 256,
	EVENT_BITS = 5, /* 32 events a device */
	ID_BITS = 14,
	PAGE_64K = 1 << 16,
	QUEUE_LEN = 4096,
	PRIORITY = 0xa0,
	LPI_ENABLED = 1
};
#define VALID (1ull << 63)
#define INNER_SHAREABLE (1ull << 10)
#define CACHEABLE (7ull << 7) /* inner, read and write allocate, write back */
#define CACHEABLE_BASER (7ull << 59)

static struct {
	uint64_t base, target; /* target: RDbase of commands */
	uint64_t *queue;
	uint8_t *config; /* of LPIs */
	unsigned next, nlpi;
	bool mapped[DEVICES];
} its;

static struct {
	unsigned device, event;
	void (*handler)(void *);
	void *arg;
} lpis[LPIS];

static bool
command(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t *at = its.queue + its.next / 8;
	uint64_t t = deadline_ms(1000);

	at[0] = a;
	at[1] = b;
	at[2] = c;
	at[3] = 0;
	__asm__ volatile("dsb sy" ::: "memory");
	its.next = (its.next + 32) % QUEUE_LEN;
	mmio_w64(its.base + GITS_CWRITER, its.next);
	while (mmio_r64(its.base + GITS_CREADR) != its.next)
		if (passed(t))
			return false;
	return true;
}

/* Tables for devices and collections; what they look like is the ITS's own business. */
static void
give_tables(void)
{
	for (unsigned i = 0; i < GITS_BASERS; i++) {
		uint64_t reg = its.base + GITS_BASER + 8 * i, v = mmio_r64(reg);
		unsigned type = (unsigned)(v >> 56 & 7);
		if (type != 1 && type != 4)
			continue;
		v = (uint64_t)ram_alloc(PAGE_64K, PAGE_64K);
		mmio_w64(reg, VALID | CACHEABLE_BASER | INNER_SHAREABLE | 2ull << 8 | v);
	}
}

static void
enable_lpis(uint64_t redist)
{
	its.config = ram_alloc(PAGE_64K, PAGE_64K);
	uint64_t pending = (uint64_t)ram_alloc(PAGE_64K, PAGE_64K);
	mmio_w64(redist + GICR_PROPBASER,
		 INNER_SHAREABLE | CACHEABLE | (uint64_t)its.config | (ID_BITS - 1));
	mmio_w64(redist + GICR_PENDBASER, INNER_SHAREABLE | CACHEABLE | pending);
	mmio_w32(redist + GICR_CTLR, mmio_r32(redist + GICR_CTLR) | 1);
}

static bool
start(void)
{
	struct fdt_node node;

	if (its.base)
		return true;
	if (gic_version() != 3 || !fdt_find("arm,gic-v3-its", 0, &node))
		return false;
	gic_enable();
	its.base = fdt_reg(&node, 0);
	uint64_t redist = gic_redistributor();
	enable_lpis(redist);
	give_tables();
	its.queue = ram_alloc(QUEUE_LEN, PAGE_64K);
	mmio_w64(its.base + GITS_CBASER,
		 VALID | CACHEABLE_BASER | INNER_SHAREABLE | (uint64_t)its.queue);
	mmio_w64(its.base + GITS_CWRITER, 0);
	mmio_w32(its.base + GITS_CTLR, 1);
	/* RDbase is an address or a number: GITS_TYPER.PTA says which */
	its.target = mmio_r64(its.base + GITS_TYPER) >> 19 & 1
			     ? redist
			     : (mmio_r64(redist + GICR_TYPER) >> 8 & 0xffff) << 16;
	return command(CMD_MAPC, 0, VALID | its.target) &&
	       command(CMD_SYNC, 0, its.target);
}

static bool
map_device(unsigned device)
{
	if (its.mapped[device])
		return true;
	its.mapped[device] = true;
	return command(CMD_MAPD | (uint64_t)device << 32, EVENT_BITS - 1,
		       VALID | (uint64_t)ram_alloc(4096, 4096));
}

bool
its_attach(unsigned device, unsigned event, void (*handler)(void *), void *arg,
	   uint64_t *ret)
{
	uint64_t dev = (uint64_t)device << 32;
	unsigned i = 0;

	if (!start())
		return false;
	while (i < its.nlpi && (lpis[i].device != device || lpis[i].event != event))
		i++;
	if (i == LPIS || event >= 1 << EVENT_BITS || device >= DEVICES)
		return false;
	lpis[i].device = device;
	lpis[i].event = event;
	lpis[i].handler = handler;
	lpis[i].arg = arg;
	*ret = its.base + GITS_TRANSLATER;
	if (i < its.nlpi)
		return true;
	its.nlpi++;
	its.config[i] = PRIORITY | LPI_ENABLED;
	return map_device(device) &&
	       command(CMD_MAPTI | dev, event | (uint64_t)(INTID_LPI + i) << 32, 0) &&
	       command(CMD_INV | dev, event, 0) && command(CMD_SYNC, 0, its.target);
}

bool
its_deliver(unsigned intid)
{
	unsigned i = intid - INTID_LPI;

	if (i >= its.nlpi)
		return false;
	lpis[i].handler(lpis[i].arg);
	return true;
}
