/* SPDX-License-Identifier: ISC */
/* PCI of a machine: the segment, its buses, and where they lie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "machine_arch.h"
#include "util.h"

/*
 * Who gets which device numbers, lines and quarters of the windows: passthrough the
 * first half, whose base is aligned best; virtio-pci the end, where the images lie.
 */
static const struct {
	const char *name;
	uint8_t first, last;
	uint8_t line, nline;
	uint8_t quarter, nquarter;
} bus_table[MACHINE_PCI_BUSES] = {
	[MACHINE_PCI_VIRTIO] = { "virtio-pci", 1, 15, 0, 4, 3, 1 },
	[MACHINE_PCI_EMULATED] = { "emulated-pci", 16, 23, 4, 2, 2, 1 },
	[MACHINE_PCI_PASSTHROUGH] = { "passthrough", 24, 31, 6, 2, 0, 2 },
};

static void
make_buses(struct machine *m, const struct machine_pci_layout *layout)
{
	for (unsigned b = 0; b < MACHINE_PCI_BUSES; b++) {
		struct pci_bus *bus = &m->pci_bus[b];

		*bus = (struct pci_bus){
			.name = bus_table[b].name,
			.seg = m->pci,
			.first = bus_table[b].first,
			.last = bus_table[b].last,
			.gsi = layout->gsi + bus_table[b].line,
			.ngsi = bus_table[b].nline,
		};
		for (unsigned k = 0; k < PCI_WINDOWS; k++) {
			const struct pci_window *all = &m->pci->window[k];

			bus->window[k] = (struct pci_window){
				.base = all->base + all->len / 4 * bus_table[b].quarter,
				.len = all->len / 4 * bus_table[b].nquarter,
			};
		}
	}
	/* Directly below the ECAM window, which ends the window of 32-bit memory. */
	m->pci_bus[MACHINE_PCI_VIRTIO].window[PCI_WINDOW_MEM32].len -=
		m->pci->images.window.len;
}

/* A CPU without ports reaches those of the window through memory. */
static uint64_t
io_read(void *dev, uint64_t off, unsigned len)
{
	const struct machine *m = dev;

	return space_read(&m->space[SPACE_PIO], m->pci->window[PCI_WINDOW_IO].base + off,
			  len);
}

static void
io_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	const struct machine *m = dev;

	space_write(&m->space[SPACE_PIO], m->pci->window[PCI_WINDOW_IO].base + off, len,
		    val);
}

static int
add_io_window(struct machine *m, uint64_t gpa)
{
	static const struct region_ops ops = { .read = io_read, .write = io_write };
	const struct region rg = {
		.base = gpa,
		.len = m->pci->window[PCI_WINDOW_IO].len,
		.ops = &ops,
		.dev = m,
		.name = "pci-io",
	};

	return gpa ? space_add(&m->space[SPACE_MMIO], &rg) : 0;
}

int
machine_pci_new(struct machine *m, struct err *e)
{
	struct machine_pci_layout layout;
	struct pci_segment_config sc = {
		.space = m->space,
		.chip = m->irqchip,
		.ram = &m->memory,
	};
	int rc;

	m->pci = calloc(1, sizeof(*m->pci));
	if (!m->pci)
		return err_set(e, ENOMEM, "out of memory");
	machine_arch_pci(m, &layout);
	sc.ecam_base = layout.ecam_base;
	memcpy(sc.window, layout.window, sizeof(sc.window));
	machine_pages_show(m, &sc);
	rc = pci_segment_init(m->pci, &sc);
	if (rc == 0)
		rc = add_io_window(m, layout.io_gpa);
	if (rc == 0 && m->cfg->pci.legacy_config)
		rc = pci_cf8_init(&m->pci_cf8, m->pci);
	if (rc)
		return err_set(e, -rc, "PCI host bridge: %s", strerror(-rc));
	make_buses(m, &layout);
	return 0;
}
