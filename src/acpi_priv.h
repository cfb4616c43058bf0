/* SPDX-License-Identifier: ISC */
/* Between acpi.c and acpi_dsdt.c. */
#ifndef VMM_ACPI_PRIV_H
#define VMM_ACPI_PRIV_H

struct acpi_machine;
struct aml;

/* What follows the header of the DSDT. */
void acpi_write_dsdt(struct aml *a, const struct acpi_machine *am);

#endif
