/* SPDX-License-Identifier: ISC */
/*
 * ACPI tables of a hardware-reduced x86-64 machine: ACPI 6.5, chapters 5 (tables)
 * and 4.1 (hardware-reduced).  The devices are in acpi_dsdt.c.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "acpi_priv.h"
#include "aml.h"
#include "bus.h"
#include "pci.h"
#include "util.h"

enum { HEADER_LEN = 36, RSDP_LEN = 36, TABLE_ALIGN = 16 };

/* Where the tables go. Out of room is remembered, as in struct aml. */
struct out {
	const struct acpi_machine *am;
	uint8_t *buf;
	size_t cap;
	size_t len;
	uint64_t gpa;  /* of buf */
	uint64_t dsdt; /* guest address */
	bool full;
};

/* ---- what all tables have ---- */

/* n zero bytes to fill in, or NULL. */
static uint8_t *
reserve(struct out *o, size_t n)
{
	if (o->full || !range_ok(o->len, n, o->cap)) {
		o->full = true;
		return NULL;
	}
	uint8_t *p = o->buf + o->len;

	memset(p, 0, n);
	o->len += n;
	return p;
}

static void
append(struct out *o, const void *p, size_t n)
{
	uint8_t *to = reserve(o, n);

	if (to)
		memcpy(to, p, n);
}

/* What makes the bytes of a table sum up to 0. */
static uint8_t
checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n-- > 0)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/* System Description Table header, 5.2.6. Returns the offset of the table. */
static size_t
table_begin(struct out *o, const char *signature, uint8_t revision)
{
	uint8_t *h;

	reserve(o, (size_t)align_up(o->len, TABLE_ALIGN) - o->len);
	size_t start = o->len;

	h = reserve(o, HEADER_LEN);
	if (h) {
		memcpy(h, signature, 4);
		h[8] = revision;
		memcpy(h + 10, "VMM   ", 6);   /* OEM */
		memcpy(h + 16, "VMM     ", 8); /* OEM table */
		le32_put(h + 24, 1);
		memcpy(h + 28, "VMM ", 4); /* creator */
		le32_put(h + 32, 1);
	}
	return start;
}

static void
table_end(struct out *o, size_t start)
{
	if (o->full)
		return;
	le32_put(o->buf + start + 4, (uint32_t)(o->len - start));
	o->buf[start + 9] = checksum(o->buf + start, o->len - start);
}

/* ---- DSDT ---- */

static void
write_dsdt(struct out *o)
{
	size_t start = table_begin(o, "DSDT", 2); /* 2: integers have 64 bits */
	struct aml a;

	o->dsdt = o->gpa + start;
	aml_init(&a, o->buf + o->len, o->cap - o->len);
	acpi_write_dsdt(&a, o->am);
	o->len += a.len;
	o->full |= a.full;
	table_end(o, start);
}

/* ---- FADT: 5.2.9 ---- */

enum fadt_field {
	FADT_CENTURY = 108,
	FADT_IAPC_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_LEN = 276,
};

/*
 * 5.2.9.3. Two bits are never set: the one for an 8042 (1 << 1), as ours can only
 * reset, and "MSI not supported" (1 << 3).
 */
enum iapc_boot_arch {
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_ASPM = 1 << 4,
	BOOT_NO_CMOS_RTC = 1 << 5,
};

/*
 * Table 5.10. The button bits mean "no fixed-hardware button", FIX_RTC "no RTC
 * wake-up in fixed hardware".  FORCE_APIC_PHYSICAL is left to the guest: KVM is
 * as fast with either mode, and logical mode reaches eight CPUs in one write.
 */
enum fadt_flags {
	FLAG_WBINVD = 1 << 0,
	FLAG_PROC_C1 = 1 << 2,
	FLAG_PWR_BUTTON = 1 << 4,
	FLAG_SLP_BUTTON = 1 << 5,
	FLAG_FIX_RTC = 1 << 6,
	FLAG_RESET_REG_SUP = 1 << 10,
	FLAG_HW_REDUCED_ACPI = 1 << 20,
};

enum { RTC_CENTURY = 0x32 }; /* where rtc_cmos.c has it */

/* Generic Address Structure of a register of one byte, 5.2.3.2. */
static void
put_gas(uint8_t *p, const struct bus_slot *slot, unsigned off)
{
	p[0] = slot->space == SPACE_PIO ? 1 : 0;
	p[1] = 8; /* bits */
	p[2] = 0; /* first bit */
	p[3] = 1; /* byte access */
	le64_put(p + 4, slot->base + off);
}

static void
write_fadt(struct out *o)
{
	const struct bus_slot *power = slot_find(o->am->slots, DEVICE_POWER_ACPI);
	uint32_t flags = FLAG_HW_REDUCED_ACPI | FLAG_WBINVD | FLAG_PROC_C1 |
			 FLAG_PWR_BUTTON | FLAG_SLP_BUTTON | FLAG_FIX_RTC;
	uint16_t boot = BOOT_NO_VGA | BOOT_NO_ASPM;
	uint8_t fadt[FADT_LEN] = { 0 };

	if (slot_find(o->am->slots, DEVICE_RTC_CMOS))
		fadt[FADT_CENTURY] = RTC_CENTURY;
	else
		boot |= BOOT_NO_CMOS_RTC;
	if (power) {
		flags |= FLAG_RESET_REG_SUP;
		put_gas(fadt + FADT_RESET_REG, power, ACPI_POWER_RESET);
		fadt[FADT_RESET_VALUE] = ACPI_POWER_RESET_VALUE;
		put_gas(fadt + FADT_SLEEP_CONTROL, power, ACPI_POWER_SLEEP_CONTROL);
		put_gas(fadt + FADT_SLEEP_STATUS, power, ACPI_POWER_SLEEP_STATUS);
	}
	le16_put(fadt + FADT_IAPC_BOOT_ARCH, boot);
	le32_put(fadt + FADT_FLAGS, flags);
	fadt[FADT_MINOR] = 5;
	le64_put(fadt + FADT_X_DSDT, o->dsdt);
	append(o, fadt + HEADER_LEN, FADT_LEN - HEADER_LEN);
}

/* ---- MADT: 5.2.12 ---- */

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

enum { ISA_IRQS = 16, XAPIC_IDS = 255 };

static void
madt_cpu(struct out *o, unsigned id)
{
	const uint32_t enabled = 1;

	if (id < XAPIC_IDS) {
		uint8_t e[8] = { MADT_LAPIC, sizeof(e), (uint8_t)id, (uint8_t)id };

		le32_put(e + 4, enabled);
		append(o, e, sizeof(e));
	} else {
		uint8_t e[16] = { MADT_X2APIC, sizeof(e) };

		le32_put(e + 4, id);
		le32_put(e + 8, enabled);
		le32_put(e + 12, id); /* processor UID */
		append(o, e, sizeof(e));
	}
}

static void
madt_ioapic(struct out *o)
{
	uint8_t e[12] = { MADT_IOAPIC, sizeof(e), o->am->ioapic_id };

	le32_put(e + 4, o->am->ioapic_base);
	le32_put(e + 8, 0); /* its first GSI */
	append(o, e, sizeof(e));
}

/* ISA interrupts are edge-triggered and active high unless it is said here. */
static void
madt_overrides(struct out *o)
{
	const struct slot_list *slots = o->am->slots;
	const uint16_t level_high = 0x000d;
	uint32_t done = 0;

	for (unsigned i = 0; i < slots->n; i++) {
		const struct irq_line *irq = slots->slot[i].irq;

		if (!irq || irq_line_gsi(irq) >= ISA_IRQS ||
		    irq_line_trigger(irq) == IRQ_EDGE || done >> irq_line_gsi(irq) & 1)
			continue;
		done |= 1u << irq_line_gsi(irq);

		uint8_t e[10] = { MADT_OVERRIDE, sizeof(e), 0,
				  (uint8_t)irq_line_gsi(irq) };

		le32_put(e + 4, irq_line_gsi(irq));
		le16_put(e + 8, level_high);
		append(o, e, sizeof(e));
	}
}

/* NMI on LINT1 of every CPU, as on every PC. */
static void
madt_nmi(struct out *o)
{
	const uint8_t xapic[6] = { MADT_LAPIC_NMI, sizeof(xapic), 0xff, 0, 0, 1 };
	const uint8_t x2apic[12] = {
		MADT_X2APIC_NMI, sizeof(x2apic), 0, 0, 0xff, 0xff, 0xff, 0xff, 1
	};

	append(o, xapic, sizeof(xapic));
	if (o->am->ncpu > XAPIC_IDS)
		append(o, x2apic, sizeof(x2apic));
}

static void
write_madt(struct out *o)
{
	uint8_t head[8] = { 0 }; /* flags 0: no 8259 */

	le32_put(head, o->am->lapic_base);
	append(o, head, sizeof(head));
	for (unsigned id = 0; id < o->am->ncpu; id++)
		madt_cpu(o, id);
	madt_ioapic(o);
	madt_overrides(o);
	madt_nmi(o);
}

/* ---- MCFG: PCI Firmware Specification 3.2, 4.1.2 ---- */

/* Where the configuration space of segment 0 is; it has bus 0 only. */
static void
write_mcfg(struct out *o)
{
	uint8_t body[8 + 16] = { 0 }; /* reserved; one allocation: table 4-3 */

	le64_put(body + 8, o->am->pci->ecam_base);
	append(o, body, sizeof(body));
}

/* ---- XSDT and RSDP ---- */

static const struct {
	const char *signature;
	uint8_t revision;
	bool pci;                     /* only where there is PCI */
	void (*write)(struct out *o); /* what follows the header */
} listed[] = {
	{ "FACP", 6, false, write_fadt },
	{ "APIC", 5, false, write_madt },
	{ "MCFG", 1, true, write_mcfg },
};

/* 5.2.8 */
static uint64_t
write_xsdt(struct out *o, const uint64_t *gpa, size_t n)
{
	size_t start = table_begin(o, "XSDT", 1);

	for (size_t i = 0; i < n; i++) {
		uint8_t e[8];

		le64_put(e, gpa[i]);
		append(o, e, sizeof(e));
	}
	table_end(o, start);
	return o->gpa + start;
}

/* 5.2.5.3. The first checksum covers what ACPI 1.0 knew of it. */
static void
write_rsdp(uint8_t *p, uint64_t xsdt)
{
	memcpy(p, "RSD PTR ", 8);
	memcpy(p + 9, "VMM   ", 6);
	p[15] = 2;
	le32_put(p + 20, RSDP_LEN);
	le64_put(p + 24, xsdt);
	p[8] = checksum(p, 20);
	p[32] = checksum(p, RSDP_LEN);
}

int
acpi_build(const struct acpi_machine *am, uint64_t gpa, uint8_t *buf, size_t len,
	   size_t *ret_len)
{
	struct out o = { .am = am, .buf = buf, .cap = len, .gpa = gpa };
	uint64_t table[ARRAY_SIZE(listed)];
	size_t n = 0;
	uint8_t *rsdp = reserve(&o, RSDP_LEN);

	assert(gpa % TABLE_ALIGN == 0);
	write_dsdt(&o);
	for (size_t i = 0; i < ARRAY_SIZE(listed); i++) {
		if (listed[i].pci && !am->pci)
			continue;
		size_t start = table_begin(&o, listed[i].signature, listed[i].revision);

		listed[i].write(&o);
		table_end(&o, start);
		table[n++] = gpa + start;
	}
	uint64_t xsdt = write_xsdt(&o, table, n);

	if (o.full)
		return -ENOSPC;
	write_rsdp(rsdp, xsdt);
	*ret_len = o.len;
	return 0;
}
