/* SPDX-License-Identifier: ISC */
/*
 * The x86-64 machine: memory layout, platform bus, ACPI.
 *
 *	0          RAM up to 3 GiB, with the tables of boot.h below 1 MiB
 *	c0000000   PCI: 32-bit memory
 *	e0000000   PCI: ECAM of one bus
 *	fe000000   virtio-mmio: 8 slots of 4 KiB, each with its own interrupt
 *	fec00000   I/O APIC
 *	fee00000   local APICs
 *	100000000  the rest of RAM
 *	above it   PCI: 64-bit memory, at a multiple of 32 GiB
 *
 * GSIs: 4 UART, 8 RTC, 9 ACPI events; 5, 6, 7 and 10 are for functions on the virtio-pci
 * bus, 11 and 12 for emulated-pci, 14 and 15 for passthrough; 16 to 23 virtio-mmio.  The
 * guest's I/O APIC has no pins behind the last that is used, as each costs it exits: so
 * PCI, which most machines have, comes first.
 */
#include <errno.h>
#include <string.h>

#include "acpi.h"
#include "config.h"
#include "err.h"
#include "ioapic.h"
#include "irqchip.h"
#include "machine_arch.h"
#include "util.h"

#define PCI_ECAM_GPA 0xe0000000ull
#define VIRTIO_GPA 0xfe000000ull
#define VIRTIO_LEN 0x1000ull

enum {
	LAPIC_BASE = 0xfee00000,
	RESET_VECTOR_LEN = 16, /* the last bytes below 1 MiB */
};

#define VIRTIO_SLOT(n, gsi) \
	{ \
		DEVICE_VIRTIO_MMIO, SPACE_MMIO, VIRTIO_GPA + (n)*VIRTIO_LEN, VIRTIO_LEN, \
			gsi, IRQ_LEVEL \
	}

const struct platform_row machine_platform_row[] = {
	{ DEVICE_UART16550, SPACE_PIO, 0x3f8, 8, 4, IRQ_EDGE },
	{ DEVICE_RTC_CMOS, SPACE_PIO, 0x70, 2, 8, IRQ_EDGE },
	{ DEVICE_I8042, SPACE_PIO, 0x60, 5, -1, IRQ_EDGE },
	{ DEVICE_POWER_ACPI, SPACE_PIO, 0x600, ACPI_POWER_LEN, 9, IRQ_EDGE },
	VIRTIO_SLOT(0, 16),
	VIRTIO_SLOT(1, 17),
	VIRTIO_SLOT(2, 18),
	VIRTIO_SLOT(3, 19),
	VIRTIO_SLOT(4, 20),
	VIRTIO_SLOT(5, 21),
	VIRTIO_SLOT(6, 22),
	VIRTIO_SLOT(7, 23),
};
const unsigned machine_platform_rows = ARRAY_SIZE(machine_platform_row);

/* The port of configuration space counts also where nobody is behind it: Linux looks. */
const struct machine_index_row machine_index_row[] = {
	{ true, IOAPIC_BASE, 4 }, /* IOREGSEL */
	{ false, 0x70, 1 },       /* RTC */
	{ false, 0xcf8, 4 },      /* CONFIG_ADDRESS */
};
const unsigned machine_index_rows = ARRAY_SIZE(machine_index_row);
_Static_assert(ARRAY_SIZE(machine_index_row) <= MACHINE_INDEX_MAX, "raise it");

int
machine_arch_ram(const struct machine *m, struct memory_range range[MEMORY_RANGES_MAX],
		 unsigned *ret_n, struct err *e)
{
	uint64_t size = m->cfg->memory.size;

	(void)e;
	range[0] = (struct memory_range){ .gpa = 0, .len = size };
	*ret_n = 1;
	if (size > X86_MMIO_GAP_GPA) {
		range[0].len = X86_MMIO_GAP_GPA;
		range[1] = (struct memory_range){
			.gpa = X86_MMIO_GAP_END,
			.len = size - X86_MMIO_GAP_GPA,
		};
		*ret_n = 2;
	}
	return 0;
}

void
machine_arch_pci(const struct machine *m, struct machine_pci_layout *ret)
{
	static const unsigned gsi[MACHINE_PCI_LINES] = { 5, 6, 7, 10, 11, 12, 14, 15 };
	const struct memory_range *top = &m->memory.range[m->memory.n - 1];
	uint64_t high = align_up(top->gpa + top->len, GiB(32));

	*ret = (struct machine_pci_layout){
		.ecam_base = PCI_ECAM_GPA,
		.window = {
			[PCI_WINDOW_IO] = { .base = 0x1000, .len = 0xf000 },
			[PCI_WINDOW_MEM32] = { .base = X86_MMIO_GAP_GPA, .len = MiB(512) },
			[PCI_WINDOW_PREFETCH] = { .base = high, .len = GiB(24) },
		},
		.gsi = gsi,
	};
}

int
machine_arch_irqchip(struct machine *m, struct err *e)
{
	if (m->cfg->irqchip.mode == CONFIG_IRQCHIP_KERNEL)
		return irqchip_kernel_new(m->vm, &m->irqchip, e);
	return ioapic_kvm_new(m->vm, &m->space[SPACE_MMIO], &m->irqchip, e);
}

int
machine_arch_devices(struct machine *m)
{
	struct reactor *r = m->host.reactor;
	int rc;

	rc = uart16550_new(&m->platform, "serial0", m->host.serial, &m->serial);
	if (rc == 0)
		rc = rtc_cmos_new(&m->platform, r, &m->rtc_cmos);
	if (rc == 0)
		rc = i8042_new(&m->platform, &machine_power_ops, m, &m->i8042);
	if (rc == 0)
		rc = acpi_power_new(&m->platform, &machine_power_ops, m, &m->acpi_power);
	return rc;
}

/*
 * What stands at f000:fff0, where a PC comes out of reset.  On a hardware-reduced
 * machine Linux wants to reset by EFI, finds none, and jumps here as its "BIOS"
 * method (arch/x86/kernel/reboot.c), before it would think of the reset register.
 */
static void
write_reset_vector(const struct machine *m, uint8_t *at)
{
	const struct bus_slot *power = slot_find(&m->slots, DEVICE_POWER_ACPI);
	uint16_t port = (uint16_t)(power->base + ACPI_POWER_RESET);
	const uint8_t code[] = {
		0xba,
		(uint8_t)port,
		(uint8_t)(port >> 8), /* mov dx, port */
		0xb0,
		ACPI_POWER_RESET_VALUE, /* mov al, value */
		0xee,                   /* out dx, al */
		0xf4,                   /* hlt */
		0xeb,
		0xfd, /* jmp to the hlt */
	};

	_Static_assert(sizeof(code) <= RESET_VECTOR_LEN, "ends at 1 MiB");
	memcpy(at, code, sizeof(code));
}

int
machine_arch_tables(struct machine *m, uint64_t *ret, struct err *e)
{
	struct acpi_machine am = {
		.ncpu = m->cfg->cpu.count,
		.lapic_base = LAPIC_BASE,
		.ioapic_base = IOAPIC_BASE,
		.ioapic_id = 0,
		.slots = &m->slots,
		.pci = m->pci,
		.pci_legacy_config = m->cfg->pci.legacy_config,
	};
	uint8_t *buf = memory_ptr(&m->memory, X86_ACPI_GPA, X86_ACPI_LEN);
	size_t len;
	int rc;

	if (!buf)
		return err_set(e, ENOMEM, "no room for ACPI tables below 1 MiB");
	rc = acpi_build(&am, X86_ACPI_GPA, buf, X86_ACPI_LEN - RESET_VECTOR_LEN, &len);
	if (rc)
		return err_set(e, -rc, "the ACPI tables do not fit");
	write_reset_vector(m, buf + X86_ACPI_LEN - RESET_VECTOR_LEN);
	*ret = X86_ACPI_GPA;
	return 0;
}

int
machine_arch_finalize(struct machine *m, struct err *e)
{
	(void)e;
	if (m->cfg->irqchip.mode == CONFIG_IRQCHIP_SPLIT)
		ioapic_kvm_finalize(m->irqchip);
	return 0;
}

void
machine_arch_press_button(struct machine *m)
{
	acpi_power_press_button(m->acpi_power);
}
