/* SPDX-License-Identifier: ISC */
/*
 * Eventfds between the guest and who serves a queue.
 *
 * Each queue has one for its doorbells, however many addresses they have and wherever a
 * BAR takes them: KVM signals it (ioeventfd), and the reactor reads it.  A queue whose bell
 * rang is watched until the reactor sleeps: what the driver adds to it is found in its
 * memory, and the driver need not ring.  While the queue is
 * lent to somebody else (virtio_queue_lend()) he reads it, and signals another one to
 * interrupt the driver.  That one is given to KVM (irqfd) while the queue has a message
 * that can be sent: then neither doorbells nor interrupts pass through this process.
 * While it has none - the vector is masked, MSI-X is off, the transport knows lines only -
 * the reactor reads it and does what the transport does for any interrupt: pending bits,
 * ISR, shared lines.
 *
 * A message is taken away before the write that takes it completes, and given, with others,
 * at the end of a pass of the reactor: the way through the reactor is always right.  No
 * signal is lost between the two, as whoever takes the eventfd finds what it counted.
 *
 * Eventfds and GSIs are made when they are first needed, and kept.  Reactor thread only.
 */
#ifndef VMM_NOTIFIER_H
#define VMM_NOTIFIER_H

#include <stdint.h>

#include "reactor.h"

struct irqchip;
struct notifier;
struct virtio_doorbell_ops;
struct vm;
struct vm_ioeventfd;

/* What KVM does; vm.h, or a test. */
struct notifier_ops {
	int (*ioeventfd_add)(const struct vm *vm, const struct vm_ioeventfd *ioe);
	void (*ioeventfd_remove)(const struct vm *vm, const struct vm_ioeventfd *ioe);
	int (*irqfd_add)(const struct vm *vm, int fd, unsigned gsi);
	void (*irqfd_remove)(const struct vm *vm, int fd, unsigned gsi);
};

struct notifiers {
	struct reactor *r;
	struct irqchip *chip;
	const struct vm *vm;
	const struct notifier_ops *ops;
	struct reactor_defer defer; /* gives messages to KVM */
	struct reactor_poll poll;   /* looks at queues that are watched */
	struct notifier *first;
	struct notifier *watched;
	uint64_t rung; /* doorbells that woke the reactor */
};

void notifiers_init(struct notifiers *all, struct reactor *r, struct irqchip *chip,
		    const struct vm *vm, const struct notifier_ops *ops);

/* All devices are disconnected. */
void notifiers_fini(struct notifiers *all);

/* For the transports; the argument is the struct notifiers. */
extern const struct virtio_doorbell_ops notifier_doorbell_ops;

#endif
