/* SPDX-License-Identifier: ISC */
/*
 * The DSDT: the devices of the machine in AML (ACPI 6.5, chapters 5.6 and 6).
 *
 * dsdt_row[] says how a slot of each kind appears.  A kind without a row is not
 * described.  What is behind the PCI host bridge the guest finds by itself; it has to
 * be told of the bridge and of its interrupt lines.
 */
#include <stdio.h>

#include "acpi.h"
#include "acpi_priv.h"
#include "aml.h"
#include "bus.h"
#include "pci.h"
#include "util.h"

/* ---- platform devices ---- */

/* One device of the DSDT: the row's constants and the slot's place. */
struct dsdt_device {
	const char *hid;
	unsigned uid; /* counts the devices of a kind */
	char name[5];
	const struct bus_slot *slot;
};

static void
write_interrupt(struct aml *a, const struct irq_line *irq)
{
	bool level = irq_line_trigger(irq) == IRQ_LEVEL;

	/* Level lines may be shared, edge lines never are: irqchip.h. */
	aml_res_interrupt(a, irq_line_gsi(irq), level, level);
}

static void
write_ids(struct aml *a, const char *hid, unsigned uid)
{
	aml_name(a, "_HID");
	aml_hid(a, hid);
	aml_name(a, "_UID");
	aml_int(a, uid);
}

/* Registers and interrupt in _CRS, and nothing else. */
static void
write_plain(struct aml *a, const struct dsdt_device *d)
{
	const struct bus_slot *slot = d->slot;
	size_t dev = aml_device(a, d->name);

	write_ids(a, d->hid, d->uid);
	aml_name(a, "_CRS");
	size_t crs = aml_resources(a);
	if (slot->space == SPACE_PIO)
		aml_res_io(a, (uint16_t)slot->base, (uint8_t)slot->len);
	else
		aml_res_memory(a, slot->base, slot->len);
	if (slot->irq)
		write_interrupt(a, slot->irq);
	aml_resources_end(a, crs);
	aml_end(a, dev);
}

/* Method (_EVT, 1): read the pending events, which clears them; tell who is meant. */
static void
write_evt(struct aml *a, const struct bus_slot *slot)
{
	aml_region(a, "REGS",
		   slot->space == SPACE_PIO ? AML_SYSTEM_IO : AML_SYSTEM_MEMORY,
		   slot->base, slot->len);
	aml_byte_field(a, "REGS", ACPI_POWER_EVENT, "EVNT");

	size_t evt = aml_method(a, "_EVT", 1);
	aml_store(a);
	aml_path(a, "EVNT");
	aml_local(a, 0);
	size_t button = aml_if(a);
	aml_and_local(a, 0, ACPI_POWER_EVENT_BUTTON);
	aml_notify(a);
	aml_path(a, "PWRB");
	aml_int(a, 0x80); /* pressed: 4.8.2.2.1.2 */
	aml_end(a, button);
	aml_end(a, evt);
}

/*
 * The control-method power button, and the generic event device (5.6.9) that its
 * interrupt comes through. The registers are no resource of the device: the AML
 * owns them.
 */
static void
write_power(struct aml *a, const struct dsdt_device *d)
{
	const struct bus_slot *slot = d->slot;

	if (!slot->irq)
		return;

	size_t button = aml_device(a, "PWRB");
	write_ids(a, "PNP0C0C", 0);
	aml_end(a, button);

	size_t ged = aml_device(a, d->name);
	write_ids(a, d->hid, d->uid);
	aml_name(a, "_CRS");
	size_t crs = aml_resources(a);
	write_interrupt(a, slot->irq);
	aml_resources_end(a, crs);
	write_evt(a, slot);
	aml_end(a, ged);
}

/*
 * No processors (ACPI0007): Linux takes the CPUs from the MADT and needs nothing
 * else of them, and for each such device udev would try cpufreq drivers.
 * No i8042: the one we have can only reset, and a driver would wait for it.
 */
static const struct {
	enum device_kind kind;
	const char *hid;
	const char *name; /* two letters; two hex digits follow */
	void (*write)(struct aml *a, const struct dsdt_device *d);
} dsdt_row[] = {
	{ DEVICE_UART16550, "PNP0501", "CO", write_plain },
	{ DEVICE_RTC_CMOS, "PNP0B00", "RT", write_plain },
	{ DEVICE_POWER_ACPI, "ACPI0013", "GE", write_power },
	{ DEVICE_VIRTIO_MMIO, "LNRO0005", "VR", write_plain },
};

static void
write_devices(struct aml *a, const struct slot_list *slots)
{
	for (unsigned r = 0; r < ARRAY_SIZE(dsdt_row); r++) {
		struct dsdt_device d = { .hid = dsdt_row[r].hid };

		for (unsigned i = 0; i < slots->n; i++) {
			if (slots->slot[i].kind != dsdt_row[r].kind)
				continue;
			snprintf(d.name, sizeof(d.name), "%.2s%02X", dsdt_row[r].name,
				 d.uid & 0xff);
			d.slot = &slots->slot[i];
			dsdt_row[r].write(a, &d);
			d.uid++;
		}
	}
}

/* ---- PCI ---- */

static void
write_pci_windows(struct aml *a, const struct pci_window *w)
{
	if (w[PCI_WINDOW_IO].len > 0)
		aml_res_io_window(a, (uint16_t)w[PCI_WINDOW_IO].base,
				  (uint32_t)w[PCI_WINDOW_IO].len);
	for (unsigned k = PCI_WINDOW_MEM32; k < PCI_WINDOWS; k++)
		if (w[k].len > 0)
			aml_res_memory_window(a, w[k].base, w[k].len,
					      k == PCI_WINDOW_PREFETCH);
}

/* The ECAM window is not among them: PCI Firmware Specification 3.2, 4.1.2. */
static void
write_pci_crs(struct aml *a, const struct acpi_machine *am)
{
	enum { CF8 = 0xcf8, CF8_LEN = 8 };

	aml_name(a, "_CRS");
	size_t crs = aml_resources(a);

	aml_res_bus_window(a, 0, 0);
	if (am->pci_legacy_config)
		aml_res_io(a, CF8, CF8_LEN);
	write_pci_windows(a, am->pci->window);
	aml_resources_end(a, crs);
}

/* 6.2.13: the pins of every function of a device, and the GSI each is wired to. */
static void
write_prt(struct aml *a, const struct pci_segment *seg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < seg->nslot; i++)
		n += seg->slot[i].pin != PCI_PIN_NONE;
	if (n == 0)
		return;
	aml_name(a, "_PRT");
	size_t prt = aml_package(a, n);

	for (unsigned i = 0; i < seg->nslot; i++) {
		const struct pci_slot *slot = &seg->slot[i];

		if (slot->pin == PCI_PIN_NONE)
			continue;
		size_t entry = aml_package(a, 4);
		aml_int(a, (uint32_t)(slot->devfn >> 3) << 16 | 0xffff);
		aml_int(a, slot->pin - 1u);
		aml_int(a, 0); /* no link device: the GSI follows */
		aml_int(a, irq_line_gsi(slot->irq));
		aml_end(a, entry);
	}
	aml_end(a, prt);
}

/*
 * 6.2.11: the system asks which features of PCI Express it may drive itself. All that
 * it asks for, as there is no firmware to keep any: the capabilities are returned as
 * they came. Without this method Linux complains that the platform keeps control.
 */
static void
write_osc(struct aml *a)
{
	/* 33db4d5b-1ff7-401c-9657-7441c03dd766, a host bridge's, as ToUUID has it */
	static const uint8_t uuid[16] = {
		0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40,
		0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66,
	};
	enum { UUID = 0, CAPABILITIES = 3, UNRECOGNISED_UUID = 1 << 2 };

	size_t osc = aml_method(a, "_OSC", 4);
	size_t ours = aml_if(a);
	aml_equal(a);
	aml_arg(a, UUID);
	aml_buffer(a, uuid, sizeof(uuid));
	aml_return(a);
	aml_arg(a, CAPABILITIES);
	aml_end(a, ours);
	aml_or_arg_byte(a, CAPABILITIES, 0, UNRECOGNISED_UUID);
	aml_return(a);
	aml_arg(a, CAPABILITIES);
	aml_end(a, osc);
}

static void
write_host_bridge(struct aml *a, const struct acpi_machine *am)
{
	static const struct {
		const char *name;
		unsigned val;
	} constant[] = {
		{ "_SEG", 0 },
		{ "_BBN", 0 },
		{ "_CCA", 1 },
	};
	size_t dev = aml_device(a, "PCI0");

	write_ids(a, "PNP0A08", 0);
	aml_name(a, "_CID");
	aml_hid(a, "PNP0A03");
	for (unsigned i = 0; i < ARRAY_SIZE(constant); i++) {
		aml_name(a, constant[i].name);
		aml_int(a, constant[i].val);
	}
	write_pci_crs(a, am);
	write_prt(a, am->pci);
	write_osc(a);
	aml_end(a, dev);
}

/* Systems believe the MCFG only if the window is a motherboard's: 4.1.2 again. */
static void
write_ecam(struct aml *a, const struct pci_segment *seg)
{
	size_t dev = aml_device(a, "ECAM");

	write_ids(a, "PNP0C02", 0);
	aml_name(a, "_CRS");
	size_t crs = aml_resources(a);
	aml_res_memory(a, seg->ecam_base, PCI_ECAM_LEN);
	aml_resources_end(a, crs);
	aml_end(a, dev);
}

/* ---- the table ---- */

/* \_S5, 7.4.2: the value for SLP_TYP. Its presence says that power-off works. */
static void
write_s5(struct aml *a)
{
	aml_name(a, "\\_S5_");
	size_t s5 = aml_package(a, 4);
	aml_int(a, ACPI_POWER_S5_TYPE);
	for (unsigned i = 1; i < 4; i++)
		aml_int(a, 0);
	aml_end(a, s5);
}

void
acpi_write_dsdt(struct aml *a, const struct acpi_machine *am)
{
	if (slot_find(am->slots, DEVICE_POWER_ACPI))
		write_s5(a);
	size_t sb = aml_scope(a, "\\_SB_");
	write_devices(a, am->slots);
	if (am->pci) {
		write_host_bridge(a, am);
		write_ecam(a, am->pci);
	}
	aml_end(a, sb);
}
