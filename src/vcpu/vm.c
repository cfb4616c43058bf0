/* SPDX-License-Identifier: ISC */
/* The KVM VM. See vm.h. */
#include "vm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "err.h"
#include "exit_status.h"
#include "irqchip.h"

#define KVM_DEVICE "/dev/kvm"

/* RAM has MEMORY_RANGES_MAX; every KVM has 32. */
enum { VM_SLOTS_MAX = 32 };

struct vm {
	int kvm_fd;
	int fd;
	uint64_t slot_gpa[VM_SLOTS_MAX];
	unsigned nslot;
};

static int
open_error(struct err *e, int errnum)
{
	const char *hint = errnum == ENOENT ? "load the kvm module, or enable "
					      "virtualisation in this host's firmware"
			   : errnum == EACCES
				   ? "join the group that owns it (usually kvm)"
				   : "is KVM usable on this host?";

	return err_set_status(e, EXIT_STATUS_HOST, errnum, KVM_DEVICE ": %s; %s",
			      strerror(errnum), hint);
}

/*
 * arm64: the default of 40 address bits is refused by a host that has fewer.  The
 * capability does not exist elsewhere, and type 0 is right there.
 */
static unsigned long
vm_type(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 && bits < 40 ? (unsigned long)bits : 0;
}

int
vm_new(struct vm **ret, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	unsigned long type;
	int rc;

	if (!vm)
		return err_set_status(e, EXIT_STATUS_HOST, ENOMEM, "out of memory");
	vm->fd = -1;
	vm->kvm_fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0) {
		rc = open_error(e, errno);
		goto free_vm;
	}
	rc = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (rc != KVM_API_VERSION) {
		rc = err_set_status(e, EXIT_STATUS_HOST, ENOTSUP,
				    KVM_DEVICE ": API version %d, need %d; is it KVM?",
				    rc, KVM_API_VERSION);
		goto close_kvm;
	}
	type = vm_type(vm->kvm_fd);
	do /* a signal may interrupt it, and then nothing was made */
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0) {
		rc = err_set_status(e, EXIT_STATUS_HOST, errno,
				    "KVM_CREATE_VM: %s; too many VMs, or no memory?",
				    strerror(errno));
		goto close_kvm;
	}
	*ret = vm;
	return 0;

close_kvm:
	close(vm->kvm_fd);
free_vm:
	free(vm);
	return rc;
}

void
vm_free(struct vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	close(vm->kvm_fd);
	free(vm);
}

bool
vm_has_readonly(const struct vm *vm)
{
	return vm_check(vm, KVM_CAP_READONLY_MEM) > 0;
}

int
vm_map(struct vm *vm, uint64_t gpa, void *hva, size_t len, unsigned flags, struct err *e)
{
	struct kvm_userspace_memory_region region = {
		.slot = vm->nslot,
		.flags = (flags & VM_MAP_READONLY) ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)hva,
	};

	if (vm->nslot == VM_SLOTS_MAX)
		return err_set_status(e, EXIT_STATUS_HOST, ENOSPC,
				      "more than %d slots of memory", VM_SLOTS_MAX);
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_set_status(e, EXIT_STATUS_HOST, errno,
				      "KVM refuses %zu bytes of memory at 0x%llx: %s",
				      len, (unsigned long long)gpa, strerror(errno));
	vm->slot_gpa[vm->nslot++] = gpa;
	return 0;
}

void
vm_unmap(struct vm *vm, uint64_t gpa)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = gpa };

	while (region.slot < vm->nslot && vm->slot_gpa[region.slot] != gpa)
		region.slot++;
	assert(region.slot < vm->nslot);
	(void)ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region); /* 0 bytes */
}

static int
set_ioeventfd(const struct vm *vm, const struct vm_ioeventfd *ioe, uint32_t flags)
{
	struct kvm_ioeventfd arg = {
		.datamatch = ioe->value,
		.addr = ioe->addr,
		.len = ioe->len,
		.fd = ioe->fd,
		.flags = flags | (ioe->pio ? KVM_IOEVENTFD_FLAG_PIO : 0u) |
			 (ioe->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &arg) < 0 ? -errno : 0;
}

int
vm_ioeventfd_add(const struct vm *vm, const struct vm_ioeventfd *ioe)
{
	return set_ioeventfd(vm, ioe, 0);
}

void
vm_ioeventfd_remove(const struct vm *vm, const struct vm_ioeventfd *ioe)
{
	(void)set_ioeventfd(vm, ioe, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

int
vm_coalesce(const struct vm *vm, bool pio, uint64_t addr, uint32_t len)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = len, .pio = pio };

	if (vm_check(vm, pio ? KVM_CAP_COALESCED_PIO : KVM_CAP_COALESCED_MMIO) == 0)
		return -ENOTSUP;
	return ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone) < 0 ? -errno : 0;
}

int
vm_check(const struct vm *vm, unsigned cap)
{
	int rc = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);

	return rc < 0 ? 0 : rc;
}

unsigned
vm_max_vcpus(const struct vm *vm)
{
	int max = vm_check(vm, KVM_CAP_MAX_VCPUS);

	if (max == 0)
		max = vm_check(vm, KVM_CAP_NR_VCPUS);
	return max > 0 ? (unsigned)max : 4; /* 4: what the API document says */
}

int
vm_fd(const struct vm *vm)
{
	return vm->fd;
}

int
vm_kvm_fd(const struct vm *vm)
{
	return vm->kvm_fd;
}

int
vm_signal_msi(const struct vm *vm, const struct msi_msg *msg, bool with_devid)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)msg->addr,
		.address_hi = (uint32_t)(msg->addr >> 32),
		.data = msg->data,
		.flags = with_devid ? KVM_MSI_VALID_DEVID : 0,
		.devid = msg->devid,
	};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

void
vm_irq_line(const struct vm *vm, uint32_t irq, bool level)
{
	struct kvm_irq_level il = { .irq = irq, .level = level };

	/* Fails only for an input that does not exist; those are refused at attach. */
	(void)ioctl(vm->fd, KVM_IRQ_LINE, &il);
}

static int
set_irqfd(const struct vm *vm, int fd, unsigned gsi, uint32_t flags)
{
	struct kvm_irqfd arg = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags };

	return ioctl(vm->fd, KVM_IRQFD, &arg) < 0 ? -errno : 0;
}

int
vm_irqfd_add(const struct vm *vm, int fd, unsigned gsi)
{
	return set_irqfd(vm, fd, gsi, 0);
}

void
vm_irqfd_remove(const struct vm *vm, int fd, unsigned gsi)
{
	(void)set_irqfd(vm, fd, gsi, KVM_IRQFD_FLAG_DEASSIGN);
}

/* A table in the making. */
struct routing {
	struct kvm_irq_routing *table;
	uint32_t flags; /* of a message */
};

static void
add_message(void *arg, unsigned gsi, const struct msi_msg *msg)
{
	const struct routing *r = arg;

	r->table->entries[r->table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = r->flags,
		.u.msi = { .address_lo = (uint32_t)msg->addr,
			   .address_hi = (uint32_t)(msg->addr >> 32),
			   .data = msg->data,
			   .devid = r->flags ? msg->devid : 0 },
	};
}

static void
add_input(const struct routing *r, const struct vm_route *in)
{
	r->table->entries[r->table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = in->gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = in->chip, .pin = in->pin },
	};
}

int
vm_set_all_routes(const struct vm *vm, const struct vm_route *input, unsigned n,
		  const struct irq_routes *messages, bool with_devid)
{
	size_t rows = (size_t)n + messages->n;
	struct routing r = {
		.table = calloc(1, sizeof(*r.table) + rows * sizeof(r.table->entries[0])),
		.flags = with_devid ? KVM_MSI_VALID_DEVID : 0,
	};
	int rc;

	if (!r.table)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		if (input[i].msg)
			add_message(&r, input[i].gsi, input[i].msg);
		else
			add_input(&r, &input[i]);
	}
	irq_routes_each(messages, add_message, &r);
	rc = ioctl(vm->fd, KVM_SET_GSI_ROUTING, r.table) < 0 ? -errno : 0;
	free(r.table);
	return rc;
}
