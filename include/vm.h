/* SPDX-License-Identifier: ISC */
/*
 * The KVM VM: /dev/kvm, memory slots, and the ways an interrupt gets in.
 *
 * Only src/vcpu/, src/gic/ and src/ioapic/ see <linux/kvm.h>; the rest of the
 * program speaks through this header.  The order of calls is part of the design
 * (doc/design.md): vm_new, all vm_map, the irqchip, the vCPUs, run; ioeventfds last.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct irq_routes;
struct msi_msg;

struct vm;

/* Opens /dev/kvm and creates the VM (retrying EINTR). Exit status 3 texts that say
 * what to do about no device, no permission, a wrong API version. */
int vm_new(struct vm **ret, struct err *e);
void vm_free(struct vm *vm);

enum vm_map_flags { VM_MAP_READONLY = 1 << 0 };

/* Does it know VM_MAP_READONLY? */
bool vm_has_readonly(const struct vm *vm);

/* One memory slot. All of them before the irqchip. */
int vm_map(struct vm *vm, uint64_t gpa, void *hva, size_t len, unsigned flags,
	   struct err *e);

/* Removes the slot that was mapped at gpa. Waits for a grace period of the host. */
void vm_unmap(struct vm *vm, uint64_t gpa);

/*
 * A write of len bytes (0: any) at addr, or only of this value, signals fd instead of
 * exiting.  Never removed before the end but where a BAR moves: that waits for a grace
 * period of the host's kernel.  0 or -errno.
 */
struct vm_ioeventfd {
	int fd;
	bool pio;
	uint64_t addr;
	unsigned len;
	bool match;
	uint64_t value;
};

int vm_ioeventfd_add(const struct vm *vm, const struct vm_ioeventfd *ioe);
void vm_ioeventfd_remove(const struct vm *vm, const struct vm_ioeventfd *ioe);

/*
 * From now on KVM keeps writes within [addr, addr + len) in a ring, from which
 * vcpu_coalesced() takes them; they exit only while that is full.  -ENOTSUP: it cannot.
 */
int vm_coalesce(const struct vm *vm, bool pio, uint64_t addr, uint32_t len);

/* KVM_CHECK_EXTENSION by its KVM_CAP_ number; 0: not there. */
int vm_check(const struct vm *vm, unsigned cap);
unsigned vm_max_vcpus(const struct vm *vm);

/*
 * What is written to fd raises the GSI without the reactor: where the routes lead,
 * vm_set_all_routes().  0 or -errno.  Removed before fd is closed.
 */
int vm_irqfd_add(const struct vm *vm, int fd, unsigned gsi);
void vm_irqfd_remove(const struct vm *vm, int fd, unsigned gsi);

/* A row of KVM's table: a message, or an input of a controller of KVM's. */
struct vm_route {
	unsigned gsi;
	const struct msi_msg *msg; /* NULL: chip and pin */
	unsigned chip, pin;
};

/*
 * Replaces KVM's whole table: n rows of inputs, then the messages of irqfds, each with its
 * device ID if the controller wants one.  For src/gic and src/ioapic.
 */
int vm_set_all_routes(const struct vm *vm, const struct vm_route *input, unsigned n,
		      const struct irq_routes *messages, bool with_devid);

/* For src/vcpu, src/gic and src/ioapic. */
int vm_fd(const struct vm *vm);
int vm_kvm_fd(const struct vm *vm);

/* KVM_SIGNAL_MSI. 0, or -errno; a blocked interrupt is success. */
int vm_signal_msi(const struct vm *vm, const struct msi_msg *msg, bool with_devid);

/* KVM_IRQ_LINE; irq is what KVM wants: a GSI, or on arm64 type << 24 | INTID. */
void vm_irq_line(const struct vm *vm, uint32_t irq, bool level);

#endif
