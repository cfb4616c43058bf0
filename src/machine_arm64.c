/* SPDX-License-Identifier: ISC */
/*
 * The arm64 machine: address map, platform bus, device tree.
 *
 *	08000000   GIC distributor
 *	08010000   GICv2 CPU interface
 *	08080000   ITS, its doorbell in the second 64 KiB
 *	09000000   UART
 *	09010000   RTC
 *	09030000   GPIO with the power button
 *	0a000000   virtio-mmio: 32 slots of 4 KiB, each with its own interrupt
 *	0c000000   GICv3 redistributors: 128 KiB for each of up to 512 CPUs
 *	10000000   PCI: 32-bit memory, then at
 *	3f000000   ECAM of one bus
 *	3f100000   the window to its I/O ports
 *	40000000   nothing
 *	80000000   RAM; the device tree lies in it where boot.h says
 *	above it   PCI: 64-bit memory, at a multiple of 32 GiB, where RAM leaves room
 *	10000000000 the end: the 40 address bits of KVM's default
 *
 * SPIs: 1 UART, 2 RTC, 7 GPIO, 16 to 47 virtio-mmio, 48 to 51 the virtio-pci bus,
 * 52 and 53 emulated-pci, 54 and 55 passthrough.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config.h"
#include "devtree.h"
#include "err.h"
#include "exit_status.h"
#include "gic.h"
#include "irqchip.h"
#include "machine_arch.h"
#include "util.h"

enum {
	VIRTIO_GPA = 0x0a000000,
	VIRTIO_LEN = 0x1000,
	VIRTIO_SPI = 16,
	PCI_GPA = 0x10000000,
	PCI_ECAM_GPA = 0x3f000000,
	PCI_IO_GPA = 0x3f100000,
};
#define RAM_END_MAX (1ull << 40)

_Static_assert(VIRTIO_GPA + 32 * VIRTIO_LEN <= (int)GIC_REDIST_GPA &&
		       (int)GIC_END_GPA <= PCI_GPA,
	       "the map above is wrong");

#define VIRTIO_SLOT(n) \
	{ \
		DEVICE_VIRTIO_MMIO, SPACE_MMIO, VIRTIO_GPA + (n)*VIRTIO_LEN, VIRTIO_LEN, \
			VIRTIO_SPI + (n), IRQ_LEVEL \
	}
#define VIRTIO_SLOTS_8(n) \
	VIRTIO_SLOT(n), VIRTIO_SLOT((n) + 1), VIRTIO_SLOT((n) + 2), \
		VIRTIO_SLOT((n) + 3), VIRTIO_SLOT((n) + 4), VIRTIO_SLOT((n) + 5), \
		VIRTIO_SLOT((n) + 6), VIRTIO_SLOT((n) + 7)

const struct platform_row machine_platform_row[] = {
	{ DEVICE_UART16550, SPACE_MMIO, 0x09000000, 8, 1, IRQ_LEVEL },
	{ DEVICE_PL031, SPACE_MMIO, 0x09010000, 0x1000, 2, IRQ_LEVEL },
	{ DEVICE_PL061, SPACE_MMIO, 0x09030000, 0x1000, 7, IRQ_LEVEL },
	VIRTIO_SLOTS_8(0),
	VIRTIO_SLOTS_8(8),
	VIRTIO_SLOTS_8(16),
	VIRTIO_SLOTS_8(24),
};
const unsigned machine_platform_rows = ARRAY_SIZE(machine_platform_row);

/* None: registers have an address each. */
const struct machine_index_row machine_index_row[1];
const unsigned machine_index_rows = 0;

int
machine_arch_ram(const struct machine *m, struct memory_range range[MEMORY_RANGES_MAX],
		 unsigned *ret_n, struct err *e)
{
	uint64_t size = m->cfg->memory.size;
	char where[128];

	if (size > RAM_END_MAX - ARM64_RAM_GPA)
		return err_set_status(e, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: memory.size: at most %juM: more does not fit "
				      "into 40 bits of address",
				      config_where(m->cfg, &m->cfg->memory.size, where,
						   sizeof(where)),
				      (uintmax_t)((RAM_END_MAX - ARM64_RAM_GPA) >> 20));
	range[0] = (struct memory_range){ .gpa = ARM64_RAM_GPA, .len = size };
	*ret_n = 1;
	return 0;
}

void
machine_arch_pci(const struct machine *m, struct machine_pci_layout *ret)
{
	static const unsigned spi[MACHINE_PCI_LINES] = { 48, 49, 50, 51, 52, 53, 54, 55 };
	const struct memory_range *ram = &m->memory.range[0];
	uint64_t high = align_up(ram->gpa + ram->len, GiB(32));
	uint64_t room = high + GiB(32) <= RAM_END_MAX ? GiB(24) : 0;

	*ret = (struct machine_pci_layout){
		.ecam_base = PCI_ECAM_GPA,
		.io_gpa = PCI_IO_GPA,
		.window = {
			[PCI_WINDOW_IO] = { .base = 0x1000, .len = 0xf000 },
			[PCI_WINDOW_MEM32] = { .base = PCI_GPA,
					       .len = PCI_ECAM_GPA - PCI_GPA },
			[PCI_WINDOW_PREFETCH] = { .base = high, .len = room },
		},
		.gsi = spi,
	};
}

int
machine_arch_irqchip(struct machine *m, struct err *e)
{
	static const unsigned version[] = {
		[CONFIG_GIC_AUTO] = 0,
		[CONFIG_GIC_V2] = 2,
		[CONFIG_GIC_V3] = 3,
	};
	const struct config *cfg = m->cfg;

	return gic_new(m->vm, version[cfg->irqchip.gic], cfg->cpu.count, &m->irqchip, e);
}

int
machine_arch_devices(struct machine *m)
{
	struct reactor *r = m->host.reactor;
	int rc;

	rc = uart16550_new(&m->platform, "serial0", m->host.serial, &m->serial);
	if (rc == 0)
		rc = pl031_new(&m->platform, r, &m->pl031);
	if (rc == 0)
		rc = pl061_new(&m->platform, r, &m->pl061);
	return rc;
}

/* Where boot.h says: the initrd was placed around it. */
static uint64_t
devtree_gpa(const struct memory *mem)
{
	uint64_t len = mem->range[0].len;

	if (len > GiB(1))
		len = GiB(1);
	return mem->range[0].gpa + align_down(len, ARM64_FDT_LEN) - ARM64_FDT_LEN;
}

/*
 * Never waits: a host that has just booted may have no randomness yet, and then
 * the guest has to find its own.
 */
static const struct devtree_seed *
make_seed(struct devtree_seed *seed)
{
	ssize_t n = getrandom(seed, sizeof(*seed), GRND_NONBLOCK);

	return n == (ssize_t)sizeof(*seed) ? seed : NULL;
}

int
machine_arch_tables(struct machine *m, uint64_t *ret, struct err *e)
{
	unsigned ncpu = m->cfg->cpu.count;
	uint64_t gpa = devtree_gpa(&m->memory);
	void *buf = memory_ptr(&m->memory, gpa, DEVTREE_LEN);
	uint64_t *mpidr = calloc(ncpu, sizeof(*mpidr));
	struct devtree_seed seed;
	struct devtree dt = {
		.ncpu = ncpu,
		.mpidr = mpidr,
		.memory = &m->memory,
		.cmdline = m->loaded.cmdline,
		.initrd_gpa = m->loaded.initrd_gpa,
		.initrd_len = m->loaded.initrd_len,
		.seed = make_seed(&seed),
		.slots = &m->slots,
		.pci_io_gpa = PCI_IO_GPA,
		.pci = m->pci,
	};
	int rc;

	if (buf == NULL || mpidr == NULL) {
		free(mpidr);
		return err_set(e, ENOMEM, "no room for the device tree");
	}
	for (unsigned i = 0; i < ncpu; i++)
		mpidr[i] = vcpu_mpidr(m->vcpu[i]);
	gic_describe(m->irqchip, &dt.gic);
	rc = devtree_build(&dt, buf, DEVTREE_LEN);
	explicit_bzero(&seed, sizeof(seed));
	free(mpidr);
	if (rc < 0)
		return err_set(e, -rc, "the device tree does not fit");
	*ret = gpa;
	return 0;
}

int
machine_arch_finalize(struct machine *m, struct err *e)
{
	return gic_finalize(m->irqchip, e);
}

void
machine_arch_press_button(struct machine *m)
{
	pl061_press_button(m->pl061);
}
