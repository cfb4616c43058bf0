// SPDX-License-Identifier: ISC
/* Local APIC (x2APIC by MSR, else MMIO) and I/O APIC. */
#include "x86_64.h"

enum { MSR_APIC_BASE = 0x1b, APIC_BASE_X2 = 1 << 10, APIC_BASE_EN = 1 << 11 };
enum { LAPIC_MMIO = 0xfee00000u };

static bool x2; /* all CPUs have it, or none */

uint32_t
lapic_read(unsigned reg)
{
	return x2 ? (uint32_t)rdmsr(0x800 + reg / 16) : mmio_r32(LAPIC_MMIO + reg);
}

void
lapic_write(unsigned reg, uint32_t val)
{
	if (x2)
		wrmsr(0x800 + reg / 16, val);
	else
		mmio_w32(LAPIC_MMIO + reg, val);
}

void
lapic_send(uint32_t dest, uint32_t icr)
{
	if (x2) {
		wrmsr(0x800 + LAPIC_ICR / 16, (uint64_t)dest << 32 | icr);
		return;
	}
	mmio_w32(LAPIC_MMIO + LAPIC_ICR + 16, dest << 24);
	mmio_w32(LAPIC_MMIO + LAPIC_ICR, icr);
}

void
lapic_enable(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (cpuid(1, 0).c & 1 << 21) {
		if (!(base & APIC_BASE_X2))
			wrmsr(MSR_APIC_BASE, base | APIC_BASE_EN | APIC_BASE_X2);
		x2 = true;
	}
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, 0x1ff);
}

void
lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

bool
lapic_in_service(unsigned vector)
{
	return lapic_read(LAPIC_ISR + vector / 32 * 16) >> vector % 32 & 1;
}

uint32_t
cpuid_apic_id(void)
{
	if (cpuid(0, 0).a >= 0xb) {
		struct cpuid r = cpuid(0xb, 0);
		if (r.b)
			return r.d;
	}
	return cpuid(1, 0).b >> 24;
}

/* ---- I/O APIC ---- */

static uint64_t
ioapic_base(void)
{
	static uint64_t base;
	const struct acpi_header *madt;

	if (base)
		return base;
	base = 0xfec00000;
	madt = acpi_find("APIC", 0);
	if (!madt)
		return base;
	const uint8_t *p = (const uint8_t *)madt + 44,
		      *end = (const uint8_t *)madt + madt->length;
	for (; p + 2 <= end && p[1] >= 2; p += p[1])
		if (p[0] == 1 && !*(const uint32_t *)(p + 8)) /* the one with GSI 0 */
			base = *(const uint32_t *)(p + 4);
	return base;
}

uint64_t
irqchip_base(void)
{
	return ioapic_base();
}

uint32_t
ioapic_read(unsigned reg)
{
	mmio_w32(ioapic_base(), reg);
	return mmio_r32(ioapic_base() + 0x10);
}

void
ioapic_write(unsigned reg, uint32_t val)
{
	mmio_w32(ioapic_base(), reg);
	mmio_w32(ioapic_base() + 0x10, val);
}

/* Masked while it changes, as Linux does. */
void
ioapic_route(unsigned pin, unsigned vector, uint32_t flags)
{
	ioapic_write(0x10 + 2 * pin, IOAPIC_MASKED);
	ioapic_write(0x11 + 2 * pin, cpuid_apic_id() << 24);
	ioapic_write(0x10 + 2 * pin, vector | flags);
}

enum { VECTOR_GSI0 = 0x40 };

static struct {
	void (*handler)(void *);
	void *arg;
} gsi[24];

static void
deliver(struct trap_frame *f, void *arg)
{
	(void)arg;
	unsigned n = (unsigned)f->vector - VECTOR_GSI0;

	gsi[n].handler(gsi[n].arg);
	lapic_eoi();
}

void
irq_attach(const struct irq_source *src, void (*handler)(void *), void *arg)
{
	lapic_enable();
	gsi[src->gsi].handler = handler;
	gsi[src->gsi].arg = arg;
	trap_attach(VECTOR_GSI0 + src->gsi, deliver, NULL);
	irq_mask(src, false);
}

void
irq_mask(const struct irq_source *src, bool masked)
{
	ioapic_route(src->gsi, VECTOR_GSI0 + src->gsi,
		     (src->level ? IOAPIC_LEVEL : 0) | (masked ? IOAPIC_MASKED : 0));
}

bool
irq_in_service(const struct irq_source *src)
{
	return lapic_in_service(VECTOR_GSI0 + src->gsi);
}

const struct irq_source *
irq_of_uart(void)
{
	static const struct irq_source uart = { .gsi = 4 };

	return &uart;
}
