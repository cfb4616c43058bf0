// SPDX-License-Identifier: ISC
/*
 * A PCI function used as it must not be: BARs moved over what is there already, decoding
 * switched off, vectors that there are not, writes to the pending bits, messages rewritten
 * without end, the configuration access window pointed anywhere.
 */
#include "attack.h"

enum { VECTOR_NONE = 0xffff, DRIVER_VECTOR = 1, RAM_WORDS = 512 };

#define PATTERN 0x1122334455667788ull

static struct msi message;
static bool has_messages;
static volatile unsigned interrupts;
static uint64_t *ram; /* a page of it, that BARs are moved over */

static void
on_message(void *arg)
{
	(void)arg;
	interrupts++;
}

static const struct pci_dev *
fn(void)
{
	return &victim.v.pci;
}

/* ---- BARs ---- */

/* Is all as it was where the BAR went? */
static bool
neighbours_live(void)
{
	bool good = true;

	for (unsigned i = 0; i < RAM_WORDS; i += 64)
		good &= *(volatile uint64_t *)(ram + i) == PATTERN + i;
	ram[0] = 0;
	good &= *(volatile uint64_t *)ram == 0;
	ram[0] = PATTERN;
	/* configuration space of both */
	good &= pci_read(fn(), PCI_ID, 2) == fn()->vendor;
	good &= pci_read(&other.v.pci, PCI_ID, 2) == fn()->vendor;
	/* the serial port, and what interrupts come through */
	good &= uart_read(UART_LSR) != 0xff;
	irq_mask(&other.v.irq, true);
	return good && rng_read(&other);
}

enum place { OVER_RAM, OVER_OTHER, OVER_ECAM, OVER_IRQCHIP, OVER_NOTHING, AT_0, AT_END };

static uint64_t
place_of(enum place p, unsigned bar, bool io)
{
	struct pci_bar b = { 0 };

	switch (p) {
	case OVER_RAM:
		return io ? 0x600 : (uint64_t)ram;
	case OVER_OTHER:
		(void)pci_bar(&other.v.pci, bar, false, &b);
		return b.addr;
	case OVER_ECAM:
		return io ? 0xcf8 : pci_ecam();
	case OVER_IRQCHIP:
		return io ? 0x3f8 : irqchip_base();
	case OVER_NOTHING:
		return io ? 0xd000 : pci_ecam() - 0x8000000;
	case AT_0:
		return 0;
	case AT_END:
		return io ? 0xfffc : ~0ull;
	}
	return 0;
}

static void
attack_bars(const struct attack *a)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar b;
		if (!pci_bar(fn(), i, false, &b))
			continue;
		pci_bar_move(fn(), i, place_of((enum place)a->num, i, b.io));
		if (!neighbours_live())
			attack_failed("the BAR took something away");
		pci_bar_move(fn(), i, b.addr);
		i += b.wide;
	}
}

/* All BARs of the victim and of the other are at one place: the first one stays. */
static void
attack_all_bars(const struct attack *a)
{
	uint64_t addr[PCI_BARS];
	struct pci_bar b;

	(void)a;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		addr[i] = 0;
		if (!pci_bar(fn(), i, false, &b))
			continue;
		addr[i] = b.addr;
		pci_bar_move(fn(), i, place_of(OVER_OTHER, b.io ? 0 : i, b.io));
		i += b.wide;
	}
	if (!neighbours_live())
		attack_failed("the other device is not where it was");
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (addr[i])
			pci_bar_move(fn(), i, addr[i]);
}

/* The registers that were behind [from, from + len) are at to now. */
static void
registers_move(struct rng *r, uint64_t from, uint64_t len, uint64_t to)
{
	uint64_t *const at[] = { &r->v.common, &r->v.notify, &r->v.isr, &r->v.device };

	for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
		if (*at[k] >= from && *at[k] < from + len)
			*at[k] += to - from;
}

/* Somewhere else, and it works there: the doorbell has come along. */
static void
use_elsewhere(unsigned bar, const struct pci_bar *b, uint64_t to)
{
	struct rng *r = &victim;

	pci_bar_move(fn(), bar, to);
	pci_map(to);
	if (!b->io)
		registers_move(r, b->addr, b->len, to);
	else if (r->v.port == b->addr)
		r->v.port = (uint32_t)to;
	if (r->v.ops->isr(&r->v) == 0xff || !rng_read(r))
		attack_failed("it does not work at another place");
	pci_bar_move(fn(), bar, b->addr);
	if (!b->io)
		registers_move(r, to, b->len, b->addr);
	else if (r->v.port == to)
		r->v.port = (uint32_t)b->addr;
}

static void
attack_move(const struct attack *a)
{
	(void)a;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar b;
		if (!pci_bar(fn(), i, true, &b))
			continue;
		/* a free place of the same window: behind what is in use */
		use_elsewhere(i, &b, b.addr + (b.io ? 0x2000 : b.len * 64));
		i += b.wide;
	}
}

/*
 * Directly below the ECAM are the pages that are read without exits, and nobody's BAR is
 * in the last of them: one that comes there must not be read as one of those.
 */
static void
attack_images(const struct attack *a)
{
	(void)a;
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar b;
		if (!pci_bar(fn(), i, true, &b))
			continue;
		if (!b.io)
			use_elsewhere(i, &b, pci_ecam() - b.len);
		i += b.wide;
	}
}

/* A doorbell that nobody hears, and registers that are not there. */
static void
attack_decode_off(const struct attack *a)
{
	(void)a;
	pci_command(fn(), 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	(void)rng_ask(&victim);
	victim.v.ops->notify(&victim.v, 0);
	/* that one has side effects: it is no page that the guest may see all the time */
	if (victim.v.ops->isr(&victim.v) != 0xff)
		attack_failed("registers answer with decoding off");
	pci_command(fn(), PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 0);
	victim.v.ops->notify(&victim.v, 0);
	if (!rng_take(&victim, 1))
		attack_failed("the request was forgotten");
}

/* Decoding on and off, with what depends on it: descriptors and slots. */
static void
attack_decode_again(const struct attack *a)
{
	for (unsigned i = 0; i < a->num; i++) {
		pci_command(fn(), 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
		pci_command(fn(), PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 0);
	}
}

/* ---- MSI-X ---- */

static bool
msix_on(void)
{
	const struct virtio *v = &victim.v;

	for (unsigned i = 0; i < v->msix.n; i++)
		pci_msix_set(&v->msix, i, &message, false);
	pci_msix_control(&v->msix, true, false);
	virtq_interrupts(&victim.q, true);
	interrupts = 0;
	return v->ops->set_vector(v, 0, DRIVER_VECTOR) == DRIVER_VECTOR;
}

static bool
one_interrupt(void)
{
	uint64_t t = deadline_ms(5000);

	if (!rng_read(&victim))
		return false;
	irq_on();
	while (has_messages && !interrupts && !passed(t))
		cpu_relax();
	irq_off();
	return !has_messages || interrupts == 1;
}

static void
msix_off(void)
{
	pci_msix_control(&victim.v.msix, false, false);
	virtq_interrupts(&victim.q, false);
}

static void
attack_vector(const struct attack *a)
{
	const struct virtio *v = &victim.v;

	(void)msix_on();
	if (v->ops->set_vector(v, 0, (uint16_t)a->num) != VECTOR_NONE ||
	    v->ops->set_vector(v, -1, (uint16_t)a->num) != VECTOR_NONE)
		attack_failed("the vector was taken");
	if (!rng_read(&victim))
		attack_failed("no I/O without a vector");
	msix_off();
}

/* All of the array, and what is behind it, is read-only. */
static void
attack_pba(const struct attack *a)
{
	const struct pci_msix *m = &victim.v.msix;

	(void)a;
	(void)msix_on();
	for (unsigned off = 0; off < 64; off += 4)
		mmio_w32(m->pba + off, ~0u);
	mmio_w64(m->pba, ~0ull);
	mmio_w8(m->pba + 1, 0xff);
	for (unsigned i = 0; i < m->n; i++)
		if (pci_msix_pending(m, i))
			attack_failed("a bit was set");
	if (!one_interrupt())
		attack_failed("no interrupt after it");
	msix_off();
}

/* Entries that there are not, and accesses that are none. */
static void
attack_table(const struct attack *a)
{
	const struct pci_msix *m = &victim.v.msix;

	(void)a;
	(void)msix_on();
	for (unsigned i = m->n; i < m->n + 16; i++)
		pci_msix_set(m, i, &message, false);
	mmio_w64(m->table + m->n * 16 - 4, ~0ull);
	(void)mmio_r64(m->table + m->n * 16 - 4);
	pci_msix_set(m, DRIVER_VECTOR, &message, false);
	if (!one_interrupt())
		attack_failed("no interrupt after it");
	msix_off();
}

/* What a host may have too few of is not used up by it. */
static void
attack_rewrites(const struct attack *a)
{
	const struct pci_msix *m = &victim.v.msix;
	uint64_t n = cmdline_num("rewrites", a->num);
	uint64_t data = m->table + DRIVER_VECTOR * 16 + 8;

	(void)msix_on();
	for (uint64_t i = 0; i < n; i++)
		mmio_w32(data, (uint32_t)i);
	for (uint64_t i = 0; i < n / 16; i++)
		pci_msix_mask(m, DRIVER_VECTOR, !(i & 1));
	pci_msix_set(m, DRIVER_VECTOR, &message, false);
	if (!one_interrupt())
		attack_failed("no interrupt after it");
	msix_off();
}

/* Messages to nowhere: the guest's own loss. */
static void
attack_messages(const struct attack *a)
{
	static const struct msi nowhere[] = {
		{ 0, 0 },
		{ ~3ull, ~0u },
		{ 0xfee00000, 0 },
		{ 0xfeeff00c, 0xffff },
		{ 0x80000000, 0xdeadbeef },
	};
	const struct pci_msix *m = &victim.v.msix;

	(void)a;
	(void)msix_on();
	pci_msix_control(m, true, true);
	for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
		/* vector 0 of the local APIC would be an error of our own */
		pci_msix_set(m, DRIVER_VECTOR, &nowhere[i], true);
		(void)rng_read(&victim);
	}
	pci_msix_set(m, DRIVER_VECTOR, &(struct msi){ 0xfeefe000, 0x5a }, false);
	pci_msix_control(m, true, false);
	(void)rng_read(&victim);
	pci_msix_set(m, DRIVER_VECTOR, &message, false);
	interrupts = 0;
	if (!one_interrupt())
		attack_failed("no interrupt after it");
	msix_off();
}

static void
attack_enable_again(const struct attack *a)
{
	for (unsigned i = 0; i < a->num; i++) {
		(void)msix_on();
		msix_off();
	}
	(void)msix_on();
	if (!one_interrupt())
		attack_failed("no interrupt after it");
	msix_off();
}

/* ---- the configuration access capability (virtio 1.2, 4.1.4.9) ---- */

static void
attack_window(const struct attack *a)
{
	static const uint32_t offset[] = { 0,      1,          0x14,       0xffc,
					   0x1000, 0x7fffffff, 0xfffffffc, 0xffffffff };
	static const uint32_t length[] = { 0, 1, 2, 3, 4, 8, 0xffffffff };
	unsigned cap = 0;

	(void)a;
	for (unsigned i = 0, off; (off = pci_cap(fn(), PCI_CAP_VENDOR, i)); i++)
		if (pci_read(fn(), off + 3, 1) == 5)
			cap = off;
	if (!cap)
		return;
	for (unsigned bar = 0; bar < 8; bar++)
		for (unsigned i = 0; i < ARRAY_SIZE(offset); i++) {
			pci_write(fn(), cap + 4, 1, bar == 7 ? 0xff : bar);
			pci_write(fn(), cap + 8, 4, offset[i]);
			pci_write(fn(), cap + 12, 4, length[i % ARRAY_SIZE(length)]);
			(void)pci_read(fn(), cap + 16, 4);
			pci_write(fn(), cap + 17, 2, 0xffff);
		}
	pci_write(fn(), cap + 12, 4, 0);
}

/* All ones, then all zeroes, to all there is but the command register and the BARs. */
static void
attack_config(const struct attack *a)
{
	uint8_t line = (uint8_t)pci_read(fn(), PCI_INTERRUPT_LINE, 1);

	(void)a;
	for (unsigned off = PCI_BAR0 + 4 * PCI_BARS; off < PCI_ECAM_PAGE;
	     off += off < PCI_CONFIG_LEN ? 4 : 64) {
		pci_write(fn(), off, 4, ~0u);
		pci_write(fn(), off, 4, 0);
	}
	pci_write(fn(), PCI_CONFIG_LEN - 2, 4, ~0u);
	mmio_w64(fn()->config + PCI_ECAM_PAGE - 4, ~0ull);
	(void)mmio_r64(fn()->config + PCI_ECAM_PAGE - 4);
	pci_write(fn(), PCI_INTERRUPT_LINE, 1, line);
	if (pci_cap(fn(), PCI_CAP_MSIX, 0) != victim.v.msix.cap)
		attack_failed("the list of capabilities has changed");
}

#define BARS(name_, place_) \
	{ \
		.name = "bars-" name_, .on = ON_FUNCTION, .want = SURVIVES, \
		.fn = attack_bars, .num = place_ \
	}
#define ROW(name_, fn_, num_) \
	{ \
		.name = name_, .on = ON_FUNCTION, .want = SURVIVES, .fn = fn_, \
		.num = num_ \
	}

static const struct attack attacks[] = {
	ROW("decode-off", attack_decode_off, 0),
	ROW("decode-on-and-off", attack_decode_again, 20),
	ROW("msix-vector-7ffe", attack_vector, 0x7ffe),
	ROW("msix-vector-of-size", attack_vector, 2),
	ROW("msix-pba-writes", attack_pba, 0),
	ROW("msix-table-overrun", attack_table, 0),
	ROW("msix-rewrites", attack_rewrites, 4000),
	ROW("msix-messages-to-nowhere", attack_messages, 0),
	ROW("msix-enabled-again", attack_enable_again, 20),
	ROW("config-window", attack_window, 0),
	ROW("config-all-bits", attack_config, 0),
	/* last: a BAR over the pages of another may end reads without exits */
	BARS("over-ram", OVER_RAM),
	BARS("over-another", OVER_OTHER),
	BARS("over-ecam", OVER_ECAM),
	BARS("over-irqchip", OVER_IRQCHIP),
	BARS("over-nothing", OVER_NOTHING),
	BARS("at-0", AT_0),
	BARS("at-the-end", AT_END),
	ROW("bars-all-at-one-place", attack_all_bars, 0),
	ROW("bars-elsewhere", attack_move, 0),
	ROW("bars-over-images", attack_images, 0),
	{ 0 },
};

void
payload_main(void)
{
	if (!attack_begin())
		return;
	ram = ram_alloc(0x10000, 0x10000);
	for (unsigned i = 0; i < RAM_WORDS; i++)
		ram[i] = PATTERN + i;
	has_messages = msi_make(&victim.v.pci, 0, on_message, NULL, &message);
	attack_all(attacks);
}
