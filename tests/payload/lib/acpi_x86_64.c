// SPDX-License-Identifier: ISC
/* ACPI 6.5, as much as finds tables, and the end of the machine through them. */
#include "x86_64.h"

const uint8_t *
acpi_rsdp(void)
{
	const uint8_t *p = (const uint8_t *)pvh_info->rsdp;

	if (p && !memcmp(p, "RSD PTR ", 8))
		return p;
	return NULL;
}

static uint64_t
get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

const struct acpi_header *
acpi_find(const char *signature, unsigned n)
{
	const uint8_t *rsdp = acpi_rsdp();
	uint64_t xsdt = rsdp && rsdp[15] >= 2 ? get(rsdp + 24, 8) : 0;
	unsigned width = xsdt ? 8 : 4;

	if (!rsdp)
		return NULL;
	const uint8_t *root = (const uint8_t *)(xsdt ? xsdt : get(rsdp + 16, 4));
	uint32_t len = ((const struct acpi_header *)root)->length;
	for (uint32_t off = 36; off + width <= len; off += width) {
		const uint8_t *t = (const uint8_t *)get(root + off, width);
		if (!memcmp(t, signature, 4) && n-- == 0)
			return (const struct acpi_header *)t;
	}
	return NULL;
}

bool
acpi_fadt_gas(unsigned off, struct acpi_gas *ret)
{
	const struct acpi_header *fadt = acpi_find("FACP", 0);

	if (!fadt || fadt->length < off + sizeof(*ret))
		return false;
	memcpy(ret, (const uint8_t *)fadt + off, sizeof(*ret));
	return ret->addr != 0;
}

void
gas_write(const struct acpi_gas *gas, uint8_t val)
{
	if (gas->space == 1)
		outb((uint16_t)gas->addr, val);
	else
		mmio_w8(gas->addr, val);
}

uint8_t
gas_read(const struct acpi_gas *gas)
{
	return gas->space == 1 ? inb((uint16_t)gas->addr) : mmio_r8(gas->addr);
}

/* Where there are no tables (a bench guest on a machine without): vmm's own port. */
void
power_off(void)
{
	struct acpi_gas gas = { .space = 1, .addr = 0x600 };

	acpi_fadt_gas(FADT_SLEEP_CONTROL, &gas);
	gas_write(&gas, 5 << 2 | 1 << 5); /* SLP_TYP of \_S5, SLP_EN */
	outb(0x64, 0xfe);                 /* a VMM that only knows resets */
	cpu_stop();
}
