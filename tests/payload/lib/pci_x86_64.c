// SPDX-License-Identifier: ISC
/*
 * Where PCI and virtio-mmio are on a PC: MCFG, and what the DSDT says.  Its AML is not
 * interpreted: names and resource descriptors are looked for as the bytes that they are.
 */
#include "pci.h"
#include "x86_64.h"

extern uint64_t pdpt[512];

uint64_t
pci_ecam(void)
{
	static uint64_t base;
	const struct acpi_header *mcfg = base ? NULL : acpi_find("MCFG", 0);

	if (mcfg && mcfg->length >= 60)
		memcpy(&base, (const uint8_t *)mcfg + 44, sizeof(base));
	return base;
}

/* Above 4 GiB there are no page tables yet; an address space of 512 GiB is enough. */
void
pci_map(uint64_t addr)
{
	uint64_t *pd;

	if (pdpt[addr >> 30 & 511])
		return;
	pd = ram_alloc(4096, 4096);
	for (unsigned i = 0; i < 512; i++)
		pd[i] = (addr & ~0x3fffffffull) + i * 0x200000ull + 0xe3;
	pdpt[addr >> 30 & 511] = (uint64_t)pd | 3;
}

/* ---- DSDT ---- */

struct aml {
	const uint8_t *p, *end;
};

static struct aml
dsdt(void)
{
	const struct acpi_header *fadt = acpi_find("FACP", 0);
	uint64_t addr = 0;

	if (!fadt)
		return (struct aml){ NULL, NULL };
	memcpy(&addr, (const uint8_t *)fadt + 140, 8);
	if (!addr)
		memcpy(&addr, (const uint8_t *)fadt + 40, 4);
	const struct acpi_header *h = (const struct acpi_header *)addr;
	return (struct aml){ (const uint8_t *)(h + 1), (const uint8_t *)h + h->length };
}

/* Goes on behind the next of these bytes. */
static bool
seek(struct aml *a, const void *bytes, size_t n)
{
	for (; a->p + n <= a->end; a->p++)
		if (!memcmp(a->p, bytes, n)) {
			a->p += n;
			return true;
		}
	return false;
}

/* PkgLength (ACPI 6.5, 20.2.4): only skipped. */
static void
skip_length(struct aml *a)
{
	a->p += 1 + (*a->p >> 6);
}

static uint64_t
take_int(struct aml *a)
{
	uint8_t op = *a->p++;
	unsigned n = op == 0x0a   ? 1
		     : op == 0x0b ? 2
		     : op == 0x0c ? 4
		     : op == 0x0e ? 8
				  : 0;
	uint64_t v = op == 1;

	memcpy(&v, a->p, n);
	a->p += n;
	return v;
}

/* Name (_PRT, Package { Package (4) { device << 16 | 0xffff, pin, 0, GSI }, ... }) */
bool
pci_route(unsigned device, struct irq_source *ret)
{
	struct aml a = dsdt();

	if (!seek(&a, "\x08_PRT\x12", 6))
		return false;
	skip_length(&a);
	for (unsigned n = *a.p++; n > 0; n--) {
		a.p++; /* Package */
		skip_length(&a);
		a.p++; /* 4 */
		uint64_t addr = take_int(&a), pin = take_int(&a);
		(void)take_int(&a);
		unsigned gsi = (unsigned)take_int(&a);
		if (addr >> 16 == device && pin == 0) {
			*ret = (struct irq_source){ .gsi = gsi, .level = true };
			return true;
		}
	}
	return false;
}

/* Memory32Fixed (6.4.3.4) and Extended Interrupt (6.4.3.6) behind the _HID */
bool
mmio_slot(unsigned n, uint64_t *base, struct irq_source *irq)
{
	struct aml a = dsdt();
	uint32_t addr, gsi;

	do {
		if (!seek(&a, "LNRO0005", 8))
			return false;
	} while (n-- > 0);
	if (!seek(&a, "\x86\x09\x00", 3))
		return false;
	memcpy(&addr, a.p + 1, 4);
	if (!seek(&a, "\x89\x06\x00", 3))
		return false;
	memcpy(&gsi, a.p + 2, 4);
	*base = addr;
	*irq = (struct irq_source){ .gsi = gsi, .level = !(a.p[0] & 2) };
	return true;
}

/* ---- ports ---- */

uint32_t
port_read(uint32_t port, unsigned len)
{
	return len == 1   ? inb((uint16_t)port)
	       : len == 2 ? inw((uint16_t)port)
			  : inl((uint16_t)port);
}

void
port_write(uint32_t port, unsigned len, uint32_t val)
{
	if (len == 1)
		outb((uint16_t)port, (uint8_t)val);
	else if (len == 2)
		outw((uint16_t)port, (uint16_t)val);
	else
		outl((uint16_t)port, val);
}

/* ---- messages: to the local APIC, a vector for each (SDM 3, 11.11) ---- */

enum { MSI_VECTOR0 = 0x80, MSI_VECTORS = 0x60 };

static struct {
	unsigned devfn, event;
	void (*handler)(void *);
	void *arg;
} messages[MSI_VECTORS];
static unsigned nmessages;

static void
deliver(struct trap_frame *f, void *arg)
{
	unsigned i = (unsigned)f->vector - MSI_VECTOR0;

	(void)arg;
	messages[i].handler(messages[i].arg);
	lapic_eoi();
}

bool
msi_make(const struct pci_dev *d, unsigned event, void (*handler)(void *), void *arg,
	 struct msi *ret)
{
	unsigned i = 0;

	while (i < nmessages &&
	       (messages[i].devfn != d->devfn || messages[i].event != event))
		i++;
	if (i == MSI_VECTORS)
		return false;
	if (i == nmessages)
		nmessages++;
	messages[i].devfn = d->devfn;
	messages[i].event = event;
	messages[i].handler = handler;
	messages[i].arg = arg;
	lapic_enable();
	trap_attach(MSI_VECTOR0 + i, deliver, NULL);
	*ret = (struct msi){ .addr = 0xfee00000u | (uint64_t)cpuid_apic_id() << 12,
			     .data = MSI_VECTOR0 + i };
	return true;
}
