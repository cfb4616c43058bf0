/* SPDX-License-Identifier: ISC */
/* Eventfds between the guest and who serves a queue: notifier.h. */
#include "notifier.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "irqchip.h"
#include "log.h"
#include "util.h"
#include "virtio.h"
#include "virtio_lent.h"
#include "virtio_transport.h"
#include "vm.h"

struct notifier {
	struct notifiers *all;
	struct virtio_device *dev;
	unsigned queue;
	struct reactor_io kick; /* .fd: -1 if there is none */
	struct reactor_io call;
	bool lent;
	bool has_gsi;
	unsigned gsi;
	bool direct;        /* KVM has call, and sends */
	struct msi_msg msg; /* this */
	struct notifier *next;
	bool watched; /* it is in the list of these: */
	struct notifier *next_watched;
};

/* ---- interrupts ---- */

static void
take_from_kvm(struct notifier *n)
{
	if (!n->direct)
		return;
	n->all->ops->irqfd_remove(n->all->vm, n->call.fd, n->gsi);
	irqchip_route_set(n->all->chip, n->gsi, NULL);
	n->direct = false;
	if (n->lent)
		reactor_io_start(n->all->r, &n->call, REACTOR_READ);
}

static bool
message_of(struct notifier *n, struct msi_msg *ret)
{
	struct virtio_transport *t = n->dev->transport;

	return n->lent && t->ops->queue_message &&
	       t->ops->queue_message(t, n->queue, ret);
}

static bool
same(const struct msi_msg *a, const struct msi_msg *b)
{
	return a->addr == b->addr && a->data == b->data && a->devid == b->devid;
}

/* False: this one stays with the reactor. */
static bool
get_route(struct notifier *n)
{
	if (!message_of(n, &n->msg))
		return false;
	if (!n->has_gsi)
		n->has_gsi = irqchip_route_alloc(n->all->chip, &n->gsi) == 0;
	if (n->has_gsi)
		irqchip_route_set(n->all->chip, n->gsi, &n->msg);
	return n->has_gsi;
}

/* In two rounds: KVM is told of all routes at once, and knows them before they are used. */
static void
give_to_kvm(struct reactor_defer *d)
{
	struct notifiers *all = container_of(d, struct notifiers, defer);
	unsigned wanted = 0;

	for (struct notifier *n = all->first; n; n = n->next)
		wanted += !n->direct && get_route(n);
	if (wanted == 0 || irqchip_routes_commit(all->chip) != 0)
		return;
	for (struct notifier *n = all->first; n; n = n->next) {
		if (n->direct || !n->has_gsi || !message_of(n, &n->msg))
			continue;
		/* What was signalled so far KVM finds in the eventfd. */
		reactor_io_stop(all->r, &n->call);
		n->direct = all->ops->irqfd_add(all->vm, n->call.fd, n->gsi) == 0;
		if (!n->direct)
			reactor_io_start(all->r, &n->call, REACTOR_READ);
	}
}

static struct notifier *
find(const struct notifiers *all, const struct virtio_device *dev, unsigned queue)
{
	struct notifier *n = all->first;

	while (n && (n->dev != dev || n->queue != queue))
		n = n->next;
	return n;
}

/* Of what KVM has, only the same message may stay there. */
static void
message_changed(void *arg, struct virtio_device *dev, unsigned queue)
{
	struct notifiers *all = arg;
	struct notifier *n = find(all, dev, queue);
	struct msi_msg msg;

	if (!n || !n->lent)
		return;
	if (n->direct && !(message_of(n, &msg) && same(&msg, &n->msg)))
		take_from_kvm(n);
	if (!n->direct)
		reactor_defer(all->r, &all->defer);
}

static void
forward(struct notifier *n)
{
	eventfd_t count;

	if (eventfd_read(n->call.fd, &count) == 0)
		virtio_forward(n->dev, n->queue);
}

static void
on_call(struct reactor_io *io, unsigned events)
{
	(void)events;
	forward(container_of(io, struct notifier, call));
}

/* ---- queues that are watched ---- */

static struct virtqueue *
queue_of(const struct notifier *n)
{
	return &n->dev->queue[n->queue].vq;
}

static void
watch(struct notifier *n)
{
	virtqueue_watch(queue_of(n));
	if (n->watched)
		return;
	n->watched = true;
	n->next_watched = n->all->watched;
	n->all->watched = n;
}

static bool
look(struct reactor_poll *p)
{
	struct notifiers *all = container_of(p, struct notifiers, poll);
	bool rang = false;

	for (struct notifier *n = all->watched; n; n = n->next_watched) {
		if (!virtqueue_rang(queue_of(n)))
			continue;
		rang = true;
		virtio_notify(n->dev, n->queue);
	}
	return rang;
}

static bool
rest(struct reactor_poll *p)
{
	struct notifiers *all = container_of(p, struct notifiers, poll);
	bool rang = false;

	while (all->watched) {
		struct notifier *n = all->watched;

		all->watched = n->next_watched;
		n->watched = false;
		if (!virtqueue_unwatch(queue_of(n)))
			continue;
		rang = true;
		virtio_notify(n->dev, n->queue);
	}
	return rang;
}

/* ---- doorbells ---- */

static void
on_kick(struct reactor_io *io, unsigned events)
{
	struct notifier *n = container_of(io, struct notifier, kick);
	eventfd_t count;

	(void)events;
	if (eventfd_read(io->fd, &count) != 0)
		return;
	n->all->rung++;
	watch(n);
	virtio_notify(n->dev, n->queue);
}

static int
make_eventfd(struct reactor_io *io)
{
	if (io->fd < 0)
		io->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return io->fd < 0 ? -errno : 0;
}

/* With its kick, from the first call on. NULL: there is no memory, or no eventfd. */
static struct notifier *
notifier_of(struct notifiers *all, struct virtio_device *dev, unsigned queue)
{
	struct notifier *n = find(all, dev, queue);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	*n = (struct notifier){
		.all = all,
		.dev = dev,
		.queue = queue,
		.kick = { .cb = on_kick, .fd = -1 },
		.call = { .cb = on_call, .fd = -1 },
		.next = all->first,
	};
	if (make_eventfd(&n->kick)) {
		free(n);
		return NULL;
	}
	reactor_io_start(all->r, &n->kick, REACTOR_READ);
	all->first = n;
	return n;
}

static struct vm_ioeventfd
ioeventfd_of(const struct virtio_doorbell *at, const struct notifier *n)
{
	return (struct vm_ioeventfd){
		.fd = n->kick.fd,
		.pio = at->space == SPACE_PIO,
		.addr = at->addr,
		.len = at->len,
		.match = at->match,
		.value = at->value,
	};
}

/* Without an ioeventfd every write of the doorbell exits, and works the same. */
static void
doorbell_add(void *arg, const struct virtio_doorbell *at)
{
	struct notifiers *all = arg;
	struct notifier *n = notifier_of(all, at->dev, at->queue);
	struct vm_ioeventfd ioe;

	if (n) {
		ioe = ioeventfd_of(at, n);
		if (all->ops->ioeventfd_add(all->vm, &ioe) == 0)
			return;
	}
	log_warn("%s: no ioeventfd for queue %u; its doorbell exits", at->dev->name,
		 at->queue);
}

/* Of one that was not added KVM knows nothing, and does nothing. */
static void
doorbell_remove(void *arg, const struct virtio_doorbell *at)
{
	struct notifiers *all = arg;
	const struct notifier *n = find(all, at->dev, at->queue);
	struct vm_ioeventfd ioe;

	if (!n)
		return;
	ioe = ioeventfd_of(at, n);
	all->ops->ioeventfd_remove(all->vm, &ioe);
}

/* ---- lending ---- */

static int
lend(void *arg, struct virtio_device *dev, unsigned queue, struct virtio_lent *ret)
{
	struct notifiers *all = arg;
	struct notifier *n = notifier_of(all, dev, queue);
	int err = n ? make_eventfd(&n->call) : -ENOMEM;

	if (err)
		return err;
	n->lent = true;
	virtqueue_unwatch(queue_of(n));
	ret->kick = n->kick.fd;
	ret->call = n->call.fd;
	reactor_io_stop(all->r, &n->kick);
	reactor_io_start(all->r, &n->call, REACTOR_READ);
	reactor_defer(all->r, &all->defer);
	return 0;
}

static void
reclaim(void *arg, struct virtio_device *dev, unsigned queue)
{
	struct notifiers *all = arg;
	struct notifier *n = find(all, dev, queue);

	assert(n && n->lent);
	n->lent = false;
	take_from_kvm(n);
	reactor_io_stop(all->r, &n->call);
	forward(n);
	reactor_io_start(all->r, &n->kick, REACTOR_READ);
}

const struct virtio_doorbell_ops notifier_doorbell_ops = {
	.add = doorbell_add,
	.remove = doorbell_remove,
	.lend = lend,
	.reclaim = reclaim,
	.message_changed = message_changed,
};

/* ---- all of them ---- */

void
notifiers_init(struct notifiers *all, struct reactor *r, struct irqchip *chip,
	       const struct vm *vm, const struct notifier_ops *ops)
{
	*all = (struct notifiers){
		.r = r,
		.chip = chip,
		.vm = vm,
		.ops = ops,
		.defer = { .cb = give_to_kvm },
		.poll = { .poll = look, .rest = rest },
	};
	reactor_poll_start(r, &all->poll);
}

static void
notifier_free(struct notifier *n)
{
	struct notifiers *all = n->all;

	assert(!n->lent);
	reactor_io_stop(all->r, &n->kick);
	close(n->kick.fd);
	if (n->call.fd >= 0)
		close(n->call.fd);
	if (n->has_gsi)
		irqchip_route_free(all->chip, n->gsi);
	free(n);
}

void
notifiers_fini(struct notifiers *all)
{
	if (!all->r)
		return;
	reactor_defer_cancel(all->r, &all->defer);
	reactor_poll_stop(all->r, &all->poll);
	while (all->first) {
		struct notifier *n = all->first;

		all->first = n->next;
		notifier_free(n);
	}
}
