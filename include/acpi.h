/* SPDX-License-Identifier: ISC */
/*
 * ACPI tables for the x86-64 machine: hardware-reduced RSDP, XSDT, FADT, MADT,
 * DSDT, and MCFG where there is PCI; ACPI 6.5.
 *
 * Pure: writes into the caller's buffer as if it lay at guest address gpa.  What
 * exists and with which interrupt comes from the slots, the same that bus_attach()
 * and pci_attach() filled.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pci_segment;
struct slot_list;

struct acpi_machine {
	unsigned ncpu; /* APIC ids 0 .. ncpu - 1 */
	uint32_t lapic_base;
	uint32_t ioapic_base;
	uint8_t ioapic_id;
	const struct slot_list *slots;
	bool pci_legacy_config;        /* CF8h and CFCh answer, too */
	const struct pci_segment *pci; /* NULL: no PCI */
};

/*
 * Writes the tables; the RSDP is at the start of the buffer.  ret_len is the
 * number of bytes used.  -ENOSPC: the buffer is too small (64 KiB is enough for
 * 255 CPUs and BUS_SLOTS_MAX devices).
 */
int acpi_build(const struct acpi_machine *am, uint64_t gpa, uint8_t *buf, size_t len,
	       size_t *ret_len);

/*
 * Registers of the DEVICE_POWER_ACPI slot, by offset; the DSDT, the FADT and the
 * model agree on these.
 */
enum acpi_power_reg {
	ACPI_POWER_SLEEP_CONTROL = 0, /* FADT SLEEP_CONTROL_REG, 1 byte */
	ACPI_POWER_SLEEP_STATUS = 1,  /* FADT SLEEP_STATUS_REG, 1 byte */
	ACPI_POWER_RESET = 2,         /* FADT RESET_REG, 1 byte */
	ACPI_POWER_EVENT = 4,         /* generic event device: pending events, read
					 * clears, 1 byte */
	ACPI_POWER_LEN = 8,
};

enum {
	ACPI_POWER_RESET_VALUE = 0x42,
	ACPI_POWER_S5_TYPE = 5, /* SLP_TYPx of \_S5 */
	ACPI_POWER_EVENT_BUTTON = 1 << 0,
};

#endif
