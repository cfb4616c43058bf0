/* SPDX-License-Identifier: ISC */
/*
 * The I/O APIC's KVM half: split irqchip, local APICs in the kernel.
 *
 * An interrupt is a KVM_SIGNAL_MSI. The GSI routes below IOAPIC_PINS are never
 * used to deliver; they only tell KVM for which vectors a guest's EOI has to be
 * reported (KVM_EXIT_IOAPIC_EOI). A guest with edge interrupts only has none.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "bus.h"
#include "err.h"
#include "ioapic.h"
#include "irqchip.h"
#include "log.h"
#include "util.h"
#include "vm.h"

struct ioapic_kvm {
	struct irqchip chip;
	struct ioapic io;
	struct vm *vm;
	struct space *mmio;
	/* What KVM has been told. */
	struct msi_msg route[IOAPIC_PINS];
	uint32_t routed; /* bit for each pin */
	struct ratelimit warned;
};

/* ---- routes ---- */

/* Makes KVM's routes those of the model, and those of irqfds. */
static int
routes_tell(struct ioapic_kvm *k)
{
	struct vm_route pin_route[IOAPIC_PINS];
	unsigned n = 0;

	k->routed = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		struct msi_msg *msg = &k->route[pin];

		if (!ioapic_route(&k->io, pin, msg))
			continue;
		k->routed |= 1u << pin;
		pin_route[n++] = (struct vm_route){ .gsi = pin, .msg = msg };
	}
	return vm_set_all_routes(k->vm, pin_route, n, &k->chip.routes, false);
}

static void
routes_commit(struct ioapic_kvm *k)
{
	int err = routes_tell(k);

	if (err)
		log_guest(&k->warned, "ioapic",
			  "KVM_SET_GSI_ROUTING: %s; level interrupts may stop",
			  strerror(-err));
}

static bool
route_known(const struct ioapic_kvm *k, unsigned pin, const struct msi_msg *msg)
{
	return (k->routed >> pin & 1) && k->route[pin].addr == msg->addr &&
	       k->route[pin].data == msg->data;
}

/*
 * A route too many costs an exit at the EOI of its vector, if that is ever used;
 * a route too few loses an EOI; and the call costs 60 us and more. So only what
 * is missing leads to a call at once. A pin that is masked and unmasked again,
 * which Linux does around each threaded handler, costs nothing.
 */
static void
routes_changed(void *arg)
{
	struct ioapic_kvm *k = arg;
	struct msi_msg msg;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (ioapic_route(&k->io, pin, &msg) && !route_known(k, pin, &msg)) {
			routes_commit(k);
			return;
		}
	}
}

static bool
vector_wanted(const struct ioapic_kvm *k, unsigned vector)
{
	struct msi_msg msg;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (ioapic_route(&k->io, pin, &msg) && (msg.data & 0xff) == vector)
			return true;
	return false;
}

/* ---- struct ioapic_ops, struct irqchip_ops ---- */

static void
deliver(void *arg, const struct msi_msg *msg)
{
	const struct ioapic_kvm *k = arg;

	/* Fails where the guest named a CPU that is not there: its own affair. */
	(void)vm_signal_msi(k->vm, msg, false);
}

static const struct ioapic_ops model_ops = {
	.deliver = deliver,
	.routes_changed = routes_changed,
};

static struct ioapic_kvm *
from_chip(struct irqchip *chip)
{
	return container_of(chip, struct ioapic_kvm, chip);
}

static void
set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	ioapic_set_pin(&from_chip(chip)->io, gsi, level);
}

static int
signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	return vm_signal_msi(from_chip(chip)->vm, msg, false);
}

static int
chip_routes_commit(struct irqchip *chip)
{
	return routes_tell(from_chip(chip));
}

static void
eoi(struct irqchip *chip, unsigned vector)
{
	struct ioapic_kvm *k = from_chip(chip);

	/*
	 * The exit was for nothing if no pin has that vector any more. The guest
	 * has given the vector to something else: stop KVM from reporting it.
	 */
	if (!vector_wanted(k, vector))
		routes_commit(k);
	ioapic_eoi(&k->io, vector);
}

static void
chip_free(struct irqchip *chip)
{
	struct ioapic_kvm *k = from_chip(chip);

	space_remove(k->mmio, IOAPIC_BASE);
	irqchip_fini(chip);
	free(k);
}

static const struct irqchip_ops chip_ops = {
	.name = "split",
	.set_level = set_level,
	.signal_msi = signal_msi,
	.routes_commit = chip_routes_commit,
	.eoi = eoi,
	.free = chip_free,
};

static const struct region_ops window_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

/*
 * Writes are not posted: IOREGSEL and IOWIN are a pair that the guest keeps
 * together with a lock, and posted writes of two vCPUs have no order.
 */
static int
map_window(struct ioapic_kvm *k, struct err *e)
{
	const struct region rg = {
		.base = IOAPIC_BASE,
		.len = IOAPIC_LEN,
		.ops = &window_ops,
		.dev = &k->io,
		.name = "ioapic",
	};
	int err = space_add(k->mmio, &rg);

	return err ? err_set(e, -err, "ioapic: no place for its registers at 0x%x: %s",
			     IOAPIC_BASE, strerror(-err))
		   : 0;
}

static int
enable_split(struct vm *vm, struct err *e)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { IOAPIC_PINS }, /* routes reserved for our pins */
	};

	if (ioctl(vm_fd(vm), KVM_ENABLE_CAP, &cap) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(e, EINVAL,
			       "this host's KVM has no split irqchip "
			       "(Linux 4.4 or later has); try [irqchip] mode = kernel");
	return err_set(e, errno, "KVM_CAP_SPLIT_IRQCHIP: %s", strerror(errno));
}

/*
 * Linux reads each entry three times and writes it twice before it uses any: twenty
 * exits for each pin that nothing is wired to.
 */
void
ioapic_kvm_finalize(struct irqchip *chip)
{
	unsigned n = chip->ngsi;

	while (n > 1 && chip->sharers[n - 1] == 0)
		n--;
	chip->ngsi = n;
	ioapic_set_pins(&from_chip(chip)->io, n);
}

int
ioapic_kvm_new(struct vm *vm, struct space *mmio, struct irqchip **ret, struct err *e)
{
	struct ioapic_kvm *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return err_set(e, ENOMEM, "ioapic: %s", strerror(ENOMEM));
	k->vm = vm;
	k->mmio = mmio;
	irqchip_init(&k->chip, &chip_ops, IOAPIC_PINS);
	ioapic_init(&k->io, &model_ops, k);

	err = enable_split(vm, e);
	if (err)
		goto free;
	err = map_window(k, e);
	if (err)
		goto free;
	*ret = &k->chip;
	return 0;
free:
	free(k);
	return err;
}
