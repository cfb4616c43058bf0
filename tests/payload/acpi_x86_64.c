// SPDX-License-Identifier: ISC
/* The ACPI tables: reachable, sound, and saying what an OS without PIC and PM needs. */
#include "x86_64.h"

static bool
sums_to_zero(const void *p, uint32_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + b[i]);
	return sum == 0;
}

static uint32_t
get32(const void *table, unsigned off)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)table + off, 4);
	return v;
}

static bool
table(const char *sig)
{
	const struct acpi_header *t = acpi_find(sig, 0);
	char name[] = "acpi-table-XXXX";

	memcpy(name + 11, sig, 4);
	return check(t && t->length >= 36 && t->length < 0x20000 &&
			     sums_to_zero(t, t->length),
		     name, "at %p length %u", (const void *)t, t ? t->length : 0);
}

static void
test_fadt(void)
{
	const struct acpi_header *fadt = acpi_find("FACP", 0);
	const struct acpi_header *dsdt;
	uint64_t x_dsdt;
	struct acpi_gas gas;

	if (!check(fadt->length >= 268 && fadt->revision >= 5, "acpi-fadt-revision",
		   "%u, %u bytes", fadt->revision, fadt->length))
		return;
	uint32_t flags = get32(fadt, 112);
	check(flags & 1 << 20, "acpi-hardware-reduced", "flags %x", flags);
	check(flags & 1 << 10, "acpi-reset-supported", "flags %x", flags);
	check(acpi_fadt_gas(FADT_RESET_REG, &gas), "acpi-reset-register", "none");
	check(acpi_fadt_gas(FADT_SLEEP_CONTROL, &gas), "acpi-sleep-control", "none");
	check(acpi_fadt_gas(FADT_SLEEP_STATUS, &gas), "acpi-sleep-status", "none");
	memcpy(&x_dsdt, (const uint8_t *)fadt + 140, 8);
	dsdt = (const struct acpi_header *)(x_dsdt ? x_dsdt : get32(fadt, 40));
	check(dsdt && !memcmp(dsdt, "DSDT", 4) && sums_to_zero(dsdt, dsdt->length) &&
		      dsdt->length > 36,
	      "acpi-dsdt", "at %p", (const void *)dsdt);
}

static void
test_madt(void)
{
	const struct acpi_header *madt = acpi_find("APIC", 0);
	const uint8_t *p = (const uint8_t *)madt + 44,
		      *end = (const uint8_t *)madt + madt->length;
	unsigned lapics = 0, ioapics = 0, broken = 0;

	for (; p < end; p += p[1]) {
		if (end - p < 2 || p[1] < 2 || p[1] > end - p) {
			broken++;
			break;
		}
		lapics += p[0] == 0 && p[4] & 1;
		ioapics += p[0] == 1;
	}
	check(!broken && ioapics == 1 && lapics == cmdline_num("cpus", 1), "acpi-madt",
	      "%u broken %u I/O APICs %u CPUs", broken, ioapics, lapics);
	check(get32(madt, 36) == 0xfee00000, "acpi-madt-lapic", "%x", get32(madt, 36));
}

void
payload_main(void)
{
	const uint8_t *rsdp = acpi_rsdp();

	if (!check(rsdp && rsdp[15] >= 2, "acpi-rsdp", "at %p", (const void *)rsdp))
		return;
	check(sums_to_zero(rsdp, 20) && sums_to_zero(rsdp, get32(rsdp, 20)),
	      "acpi-rsdp-checksums", "length %u", get32(rsdp, 20));
	uint64_t xsdt;
	memcpy(&xsdt, rsdp + 24, 8);
	const struct acpi_header *x = (const struct acpi_header *)xsdt;
	check(x && !memcmp(x, "XSDT", 4) && sums_to_zero(x, x->length), "acpi-xsdt",
	      "at %p", (const void *)x);
	if (table("FACP"))
		test_fadt();
	if (table("APIC"))
		test_madt();
}
