/* SPDX-License-Identifier: ISC */
/*
 * The full in-kernel irqchip: I/O APIC, local APICs and a PIC that nothing
 * announces. KVM's default routes send GSI n to pin n. No PIT: it costs 15 ms at
 * every exit of the process.
 *
 * The guest's EOIs stay in the kernel, so there is no .eoi.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "err.h"
#include "ioapic.h"
#include "irqchip.h"
#include "util.h"
#include "vm.h"

struct irqchip_kernel {
	struct irqchip chip;
	struct vm *vm;
};

static struct irqchip_kernel *
from_chip(struct irqchip *chip)
{
	return container_of(chip, struct irqchip_kernel, chip);
}

static void
set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	vm_irq_line(from_chip(chip)->vm, gsi, level);
}

static int
signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	return vm_signal_msi(from_chip(chip)->vm, msg, false);
}

/* The inputs lead to KVM's I/O APIC as they do by default; the PIC goes without. */
static int
routes_commit(struct irqchip *chip)
{
	struct vm_route pin_route[IOAPIC_PINS];

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		pin_route[pin] = (struct vm_route){ .gsi = pin,
						    .chip = KVM_IRQCHIP_IOAPIC,
						    .pin = pin };
	return vm_set_all_routes(from_chip(chip)->vm, pin_route, IOAPIC_PINS,
				 &chip->routes, false);
}

static void
chip_free(struct irqchip *chip)
{
	irqchip_fini(chip);
	free(from_chip(chip));
}

static const struct irqchip_ops chip_ops = {
	.name = "kernel",
	.set_level = set_level,
	.signal_msi = signal_msi,
	.routes_commit = routes_commit,
	.free = chip_free,
};

/*
 * As firmware leaves it: the boot CPU's LINT0 starts out as ExtINT and open, so a
 * PIC that is open, too, would deliver our lines a second time, as vectors 0 to 15.
 */
static int
mask_pic(struct vm *vm, uint32_t id)
{
	struct kvm_irqchip state = { .chip_id = id };

	if (ioctl(vm_fd(vm), KVM_GET_IRQCHIP, &state) < 0)
		return -errno;
	state.chip.pic.imr = 0xff;
	return ioctl(vm_fd(vm), KVM_SET_IRQCHIP, &state) < 0 ? -errno : 0;
}

int
irqchip_kernel_new(struct vm *vm, struct irqchip **ret, struct err *e)
{
	if (ioctl(vm_fd(vm), KVM_CREATE_IRQCHIP) < 0)
		return err_set(e, errno, "KVM_CREATE_IRQCHIP: %s", strerror(errno));

	int rc = mask_pic(vm, KVM_IRQCHIP_PIC_MASTER);

	if (rc == 0)
		rc = mask_pic(vm, KVM_IRQCHIP_PIC_SLAVE);
	if (rc)
		return err_set(e, -rc, "masking the PIC: %s", strerror(-rc));

	struct irqchip_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ENOMEM, "irqchip: %s", strerror(ENOMEM));
	k->vm = vm;
	irqchip_init(&k->chip, &chip_ops, IOAPIC_PINS);
	*ret = &k->chip;
	return 0;
}
