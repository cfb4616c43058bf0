// SPDX-License-Identifier: ISC
/* GICv2 (IHI 0048) and GICv3 (IHI 0069), as much as takes an interrupt. */
#include "arm64.h"

enum {
	GICD_CTLR = 0,
	GICD_IGROUPR = 0x80,
	GICD_ISENABLER = 0x100,
	GICD_ICENABLER = 0x180,
	GICD_IPRIORITYR = 0x400,
	GICD_ITARGETSR = 0x800,
	GICD_ICFGR = 0xc00,
	GICD_SGIR = 0xf00,
	GICD_IROUTER = 0x6000
};
enum { GICC_CTLR = 0, GICC_PMR = 4, GICC_IAR = 0xc, GICC_EOIR = 0x10 };
enum { GICR_TYPER = 8, GICR_WAKER = 0x14, GICR_STRIDE = 0x20000, GICR_SGI = 0x10000 };

static struct {
	unsigned version;   /* 0: not looked for yet */
	uint64_t dist, cpu; /* cpu: CPU interface, or the redistributors */
} gic;

static struct {
	void (*handler)(void *);
	void *arg;
} handlers[INTID_MAX];

unsigned
gic_version(void)
{
	struct fdt_node node;

	if (gic.version)
		return gic.version;
	if (fdt_find("arm,gic-v3", 0, &node))
		gic.version = 3;
	else if (fdt_find("arm,cortex-a15-gic", 0, &node))
		gic.version = 2;
	gic.dist = fdt_reg(&node, 0);
	gic.cpu = fdt_reg(&node, 1);
	return gic.version;
}

uint64_t
irqchip_base(void)
{
	return gic_version() ? gic.dist : 0;
}

/* This CPU's redistributor: the one with its affinity. */
uint64_t
gic_redistributor(void)
{
	uint64_t mpidr = read_sysreg(mpidr_el1);
	uint32_t affinity = (uint32_t)(mpidr & 0xffffff) | (uint32_t)(mpidr >> 32 & 0xff)
								   << 24;
	uint64_t at = gic.cpu;

	for (unsigned i = 0; i < CPUS_MAX; i++, at += GICR_STRIDE) {
		if (mmio_r32(at + GICR_TYPER + 4) == affinity)
			return at;
		if (mmio_r32(at + GICR_TYPER) & 1 << 4)
			break;
	}
	fail("gic", "no redistributor for %lx", mpidr);
	power_off();
}

static void
enable_v3(void)
{
	uint64_t redist = gic_redistributor();

	mmio_w32(redist + GICR_WAKER, mmio_r32(redist + GICR_WAKER) & ~2u);
	while (mmio_r32(redist + GICR_WAKER) & 4)
		cpu_relax();
	mmio_w32(gic.dist + GICD_CTLR, 0x12); /* ARE, group 1 */
	mmio_w32(redist + GICR_SGI + GICD_IGROUPR, ~0u);
	write_sysreg(S3_0_C12_C12_5, 1);  /* ICC_SRE_EL1 */
	write_sysreg(S3_0_C4_C6_0, 0xff); /* ICC_PMR_EL1 */
	write_sysreg(S3_0_C12_C12_7, 1);  /* ICC_IGRPEN1_EL1 */
	/* all SGIs */
	mmio_w32(redist + GICR_SGI + GICD_ISENABLER, 0xffff);
}

void
gic_enable(void)
{
	if (gic_version() == 3) {
		enable_v3();
		return;
	}
	mmio_w32(gic.dist + GICD_CTLR, 1);
	mmio_w32(gic.cpu + GICC_PMR, 0xff);
	mmio_w32(gic.cpu + GICC_CTLR, 1);
	mmio_w32(gic.dist + GICD_ISENABLER, 0xffff);
}

/* Where the registers of an interrupt are that each CPU may have its own of. */
static uint64_t
bank(unsigned intid)
{
	return gic.version == 3 && intid < INTID_SPI ? gic_redistributor() + GICR_SGI
						     : gic.dist;
}

void
gic_mask(unsigned intid, bool masked)
{
	mmio_w32(bank(intid) + (masked ? GICD_ICENABLER : GICD_ISENABLER) +
			 intid / 32 * 4,
		 1u << intid % 32);
}

void
gic_attach(unsigned intid, bool level, void (*handler)(void *), void *arg)
{
	uint64_t regs;
	uint32_t v;

	gic_enable();
	regs = bank(intid);
	handlers[intid].handler = handler;
	handlers[intid].arg = arg;
	gic_mask(intid, true);
	v = mmio_r32(regs + GICD_IGROUPR + intid / 32 * 4);
	mmio_w32(regs + GICD_IGROUPR + intid / 32 * 4,
		 gic.version == 3 ? v | 1u << intid % 32 : v);
	mmio_w8(regs + GICD_IPRIORITYR + intid, 0xa0);
	if (intid >= INTID_SPI) {
		uint32_t bit = 2u << intid % 16 * 2;
		v = mmio_r32(regs + GICD_ICFGR + intid / 16 * 4);
		mmio_w32(regs + GICD_ICFGR + intid / 16 * 4, level ? v & ~bit : v | bit);
		if (gic.version == 3)
			mmio_w64(regs + GICD_IROUTER + intid * 8,
				 read_sysreg(mpidr_el1) & 0xff00ffffff);
		else
			mmio_w8(regs + GICD_ITARGETSR + intid, (uint8_t)(1 << cpu_id()));
	}
	gic_mask(intid, false);
}

void
gic_send(unsigned id, unsigned sgi)
{
	uint64_t mpidr = cpu_mpidr(id);

	__asm__ volatile("dsb ishst" ::: "memory");
	if (gic_version() == 2) {
		mmio_w32(gic.dist + GICD_SGIR, 1u << (16 + id) | sgi);
		return;
	}
	/* ICC_SGI1R_EL1 */
	write_sysreg(S3_0_C12_C11_5,
		     (mpidr >> 32 & 0xff) << 48 | (mpidr >> 16 & 0xff) << 32 |
			     (uint64_t)sgi << 24 | (mpidr >> 8 & 0xff) << 16 |
			     1ull << (mpidr & 0xf));
}

void gic_irq(void);

void
gic_irq(void)
{
	uint32_t iar = gic.version == 3 ? (uint32_t)read_sysreg(S3_0_C12_C12_0)
					: mmio_r32(gic.cpu + GICC_IAR);
	unsigned intid = iar & (gic.version == 3 ? 0xffffff : 0x3ff);

	if (intid >= INTID_NONE && intid < INTID_LPI)
		return; /* spurious */
	if (intid >= INTID_LPI && its_deliver(intid))
		;
	else if (intid < INTID_MAX && handlers[intid].handler)
		handlers[intid].handler(handlers[intid].arg);
	else
		fail("gic", "unexpected interrupt %u", intid);
	if (gic.version == 3)
		write_sysreg(S3_0_C12_C12_1, iar); /* ICC_EOIR1_EL1 */
	else
		mmio_w32(gic.cpu + GICC_EOIR, iar);
}

/* ---- what both architectures have ---- */

void
irq_attach(const struct irq_source *src, void (*handler)(void *), void *arg)
{
	gic_attach(INTID_SPI + src->gsi, src->level, handler, arg);
}

void
irq_mask(const struct irq_source *src, bool masked)
{
	gic_mask(INTID_SPI + src->gsi, masked);
}

/* From when gic_irq() acknowledged it until it has ended it. */
bool
irq_in_service(const struct irq_source *src)
{
	(void)src;
	return true;
}

const struct irq_source *
irq_of_uart(void)
{
	static struct irq_source uart;
	struct fdt_node node;

	if (fdt_find("ns16550a", 0, &node))
		uart = fdt_irq(&node);
	return &uart;
}
