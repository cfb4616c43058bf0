/* SPDX-License-Identifier: ISC */
/*
 * Eventfds between guest, reactor and whoever serves a queue, with a KVM made by hand: it
 * takes what was signalled when an irqfd is added, and sends what the routes said when it
 * was told of them last.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_driver.h"
#include "fake_reactor.h"
#include "fake_virtio.h"
#include "irqchip.h"
#include "notifier.h"
#include "virtio_lent.h"
#include "virtio_transport.h"
#include "vm.h"

enum { PINS = 24, KVM_MAX = 8, SENT_MAX = 16 };

struct vm {
	struct vm_ioeventfd ioe[KVM_MAX];
	unsigned nioe;
	struct {
		int fd;
		unsigned gsi;
	} irqfd[KVM_MAX];
	unsigned nirqfd;
	int refuse_ioe, refuse_irqfd; /* what adding returns */
	struct {
		unsigned gsi;
		struct msi_msg msg;
	} route[KVM_MAX];
	unsigned nroute;
	struct msi_msg sent[SENT_MAX];
	unsigned nsent, lost;
};

struct fix {
	struct fake_reactor r;
	struct fake_ram ram;
	struct fake_dev f;
	struct fake_ring ring[FAKE_QUEUES];
	struct irqchip chip;
	unsigned commits;
	int refuse_commit;
	struct virtio_transport t;
	bool open[FAKE_QUEUES]; /* has a message */
	struct msi_msg msg[FAKE_QUEUES];
	unsigned irqs[FAKE_QUEUES];
	struct vm kvm;
	struct notifiers all;
	struct virtio_lent lent[FAKE_QUEUES];
};

/* ---- KVM ---- */

static void
kvm_take(struct vm *kvm, int fd, unsigned gsi)
{
	eventfd_t count;

	if (eventfd_read(fd, &count) != 0)
		return;
	for (unsigned i = 0; i < kvm->nroute; i++) {
		if (kvm->route[i].gsi != gsi)
			continue;
		assert_true(kvm->nsent < SENT_MAX);
		kvm->sent[kvm->nsent++] = kvm->route[i].msg;
		return;
	}
	kvm->lost++;
}

/* What a borrower does; KVM is there at once. */
static void
signal_call(struct fix *x, unsigned q)
{
	eventfd_write(x->lent[q].call, 1);
	for (unsigned i = 0; i < x->kvm.nirqfd; i++)
		kvm_take(&x->kvm, x->kvm.irqfd[i].fd, x->kvm.irqfd[i].gsi);
}

static struct vm *
writable(const struct vm *vm)
{
	return container_of(&vm->nioe, struct vm, nioe);
}

static int
ioeventfd_add(const struct vm *vm, const struct vm_ioeventfd *ioe)
{
	struct vm *kvm = writable(vm);

	if (kvm->refuse_ioe)
		return kvm->refuse_ioe;
	assert_true(kvm->nioe < KVM_MAX);
	kvm->ioe[kvm->nioe++] = *ioe;
	return 0;
}

static void
ioeventfd_remove(const struct vm *vm, const struct vm_ioeventfd *ioe)
{
	struct vm *kvm = writable(vm);
	unsigned i = 0;

	while (i < kvm->nioe &&
	       (kvm->ioe[i].addr != ioe->addr || kvm->ioe[i].fd != ioe->fd))
		i++;
	if (i < kvm->nioe)
		kvm->ioe[i] = kvm->ioe[--kvm->nioe];
}

static int
irqfd_add(const struct vm *vm, int fd, unsigned gsi)
{
	struct vm *kvm = writable(vm);

	if (kvm->refuse_irqfd)
		return kvm->refuse_irqfd;
	for (unsigned i = 0; i < kvm->nirqfd; i++)
		assert_int_not_equal(kvm->irqfd[i].fd, fd);
	assert_true(kvm->nirqfd < KVM_MAX);
	kvm->irqfd[kvm->nirqfd].fd = fd;
	kvm->irqfd[kvm->nirqfd++].gsi = gsi;
	kvm_take(kvm, fd, gsi);
	return 0;
}

static void
irqfd_remove(const struct vm *vm, int fd, unsigned gsi)
{
	struct vm *kvm = writable(vm);
	unsigned i = 0;

	while (i < kvm->nirqfd && (kvm->irqfd[i].fd != fd || kvm->irqfd[i].gsi != gsi))
		i++;
	assert_true(i < kvm->nirqfd);
	kvm->irqfd[i] = kvm->irqfd[--kvm->nirqfd];
}

static const struct notifier_ops kvm_ops = {
	.ioeventfd_add = ioeventfd_add,
	.ioeventfd_remove = ioeventfd_remove,
	.irqfd_add = irqfd_add,
	.irqfd_remove = irqfd_remove,
};

static void
tell(void *arg, unsigned gsi, const struct msi_msg *msg)
{
	struct vm *kvm = arg;

	assert_true(kvm->nroute < KVM_MAX);
	kvm->route[kvm->nroute].gsi = gsi;
	kvm->route[kvm->nroute++].msg = *msg;
}

static int
commit(struct irqchip *chip)
{
	struct fix *x = container_of(chip, struct fix, chip);

	x->commits++;
	if (x->refuse_commit)
		return x->refuse_commit;
	x->kvm.nroute = 0;
	irq_routes_each(&chip->routes, tell, &x->kvm);
	return 0;
}

static const struct irqchip_ops chip_ops = { .name = "fake", .routes_commit = commit };

/* ---- a transport ---- */

static void
queue_interrupt(struct virtio_transport *t, unsigned q)
{
	container_of(t, struct fix, t)->irqs[q]++;
}

static void
nothing(struct virtio_transport *t)
{
	(void)t;
}

static void
queue_nothing(struct virtio_transport *t, unsigned q)
{
	(void)t;
	(void)q;
}

static bool
queue_message(struct virtio_transport *t, unsigned q, struct msi_msg *ret)
{
	const struct fix *x = container_of(t, struct fix, t);

	*ret = x->msg[q];
	return x->open[q];
}

#define T_OPS \
	.queue_interrupt = queue_interrupt, .config_interrupt = nothing, \
	.refresh = nothing, .live = nothing, .reset = nothing, \
	.queue_reset = queue_nothing

static const struct virtio_transport_ops t_ops = { T_OPS,
						   .queue_message = queue_message };
static const struct virtio_transport_ops t_ops_line = { T_OPS };

static int
make(void **state, const struct virtio_transport_ops *tops)
{
	struct fix *x = calloc(1, sizeof(*x));
	struct virtio_device *dev = &x->f.dev;

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	irqchip_init(&x->chip, &chip_ops, PINS);
	notifiers_init(&x->all, fake_reactor(&x->r), &x->chip, &x->kvm, &kvm_ops);
	fake_dev_init(&x->f, &x->ram.mem);
	virtio_connect(dev, &x->t, tops);
	x->t.doorbell = &notifier_doorbell_ops;
	x->t.doorbell_arg = &x->all;
	driver_negotiate(dev, 0);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		ring_init(&x->ring[q], &x->ram, q, 16);
		driver_enable_queue(dev, q, &x->ring[q].at);
		x->open[q] = true;
		x->msg[q] = (struct msi_msg){ .addr = 0xfee00000,
					      .data = 0x40 + q,
					      .devid = 8 };
	}
	virtio_set_status(dev, DRIVER_OK);
	memset(x->f.notified, 0, sizeof(x->f.notified));
	*state = x;
	return 0;
}

static int
setup(void **state)
{
	return make(state, &t_ops);
}

static int
setup_line(void **state)
{
	return make(state, &t_ops_line);
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	for (unsigned q = 0; q < FAKE_QUEUES; q++)
		if (x->f.queue[q].lent)
			virtio_queue_reclaim(&x->f.dev, q, 0);
	virtio_disconnect(&x->f.dev);
	notifiers_fini(&x->all);
	assert_int_equal(x->kvm.nirqfd, 0);
	assert_int_equal(x->kvm.lost, 0);
	assert_null(x->r.deferred);
	irqchip_fini(&x->chip);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

static struct virtio_doorbell
doorbell(struct fix *x, unsigned q, uint64_t base)
{
	return (struct virtio_doorbell){
		.dev = &x->f.dev,
		.queue = q,
		.space = SPACE_MMIO,
		.addr = base + 4 * q,
	};
}

static void
add(struct fix *x, unsigned q, uint64_t base)
{
	struct virtio_doorbell db = doorbell(x, q, base);

	notifier_doorbell_ops.add(&x->all, &db);
}

static void
lend(struct fix *x, unsigned q)
{
	assert_int_equal(virtio_queue_lend(&x->f.dev, q, &x->lent[q]), 0);
}

/* Of a vector: masked or open, with this data. */
static void
change(struct fix *x, unsigned q, bool open, uint32_t data)
{
	x->open[q] = open;
	x->msg[q].data = data;
	notifier_doorbell_ops.message_changed(&x->all, &x->f.dev, q);
}

static bool
is_readable(int fd)
{
	eventfd_t count;

	return eventfd_read(fd, &count) == 0;
}

/* ---- doorbells ---- */

static void
a_doorbell_wakes_the_reactor_and_reaches_the_device(void **state)
{
	struct fix *x = *state;

	add(x, 1, 0x1000);
	eventfd_write(x->kvm.ioe[0].fd, 3);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->f.notified[1], 1);
	assert_int_equal(x->all.rung, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
}

static void
all_doorbells_of_a_queue_are_one_eventfd(void **state)
{
	struct fix *x = *state;
	struct virtio_doorbell db = doorbell(x, 1, 0x1000);

	add(x, 1, 0x1000);
	add(x, 1, 0x2000);
	add(x, 2, 0x1000);
	assert_int_equal(x->kvm.ioe[0].fd, x->kvm.ioe[1].fd);
	assert_int_not_equal(x->kvm.ioe[0].fd, x->kvm.ioe[2].fd);
	/* A BAR moves: the address goes, the eventfd stays. */
	int fd = x->kvm.ioe[0].fd;
	notifier_doorbell_ops.remove(&x->all, &db);
	assert_int_equal(x->kvm.nioe, 2);
	add(x, 1, 0x3000);
	assert_int_equal(x->kvm.ioe[2].fd, fd);
	assert_int_equal(x->kvm.ioe[2].addr, 0x3004);
}

/* A request, and the bell if it is asked for. */
static bool
ask(struct fix *x, unsigned q)
{
	ring_desc(&x->ring[q], 0, RAM_GPA + 0x800, 1, 0, 0);
	bool rings = ring_offer_rings(&x->ring[q], 0, true);

	if (rings)
		eventfd_write(x->kvm.ioe[0].fd, 1);
	return rings;
}

static void
serve(struct fix *x, unsigned q)
{
	struct iovec iov[16];
	struct vq_chain c = { .iov = iov, .iov_max = 16 };
	struct virtqueue *vq = &x->f.queue[q].vq;

	while (virtqueue_pop(vq, &c) == 1)
		virtqueue_push(vq, c.head, 0);
	virtqueue_publish(vq);
}

static void
a_queue_whose_bell_rang_is_watched_until_the_reactor_sleeps(void **state)
{
	struct fix *x = *state;

	x->f.queue[2].vq.event_idx = true;
	virtqueue_enable_notify(&x->f.queue[2].vq);
	add(x, 2, 0x1000);
	assert_false(fake_reactor_poll(&x->r));
	assert_true(ask(x, 2));
	assert_false(fake_reactor_poll(&x->r)); /* not yet */
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	serve(x, 2);
	for (unsigned i = 2; i < 100; i++) {
		assert_false(fake_reactor_poll(&x->r));
		assert_false(ask(x, 2));
		assert_true(fake_reactor_poll(&x->r));
		assert_int_equal(x->f.notified[2], i);
		serve(x, 2);
	}
	assert_int_equal(x->all.rung, 1);
	assert_false(fake_reactor_rest(&x->r));
	assert_true(ask(x, 2));
	assert_false(fake_reactor_poll(&x->r));
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	serve(x, 2);
	/* At the last moment. */
	assert_false(ask(x, 2));
	assert_true(fake_reactor_rest(&x->r));
	assert_int_equal(x->f.notified[2], 101);
}

static void
a_queue_that_is_lent_is_no_longer_watched(void **state)
{
	struct fix *x = *state;

	x->f.queue[2].vq.event_idx = true;
	virtqueue_enable_notify(&x->f.queue[2].vq);
	add(x, 2, 0x1000);
	assert_true(ask(x, 2));
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	serve(x, 2);
	lend(x, 2);
	assert_true(ask(x, 2)); /* the borrower has not said that he polls */
	assert_false(fake_reactor_poll(&x->r));
	assert_false(fake_reactor_rest(&x->r));
	assert_int_equal(x->f.notified[2], 1);
}

static void
doorbells_of_a_lent_queue_are_the_borrower_s(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	add(x, 1, 0x1000);
	assert_int_equal(x->kvm.ioe[0].fd, x->lent[1].kick);
	eventfd_write(x->lent[1].kick, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
	assert_int_equal(x->f.notified[1], 0);
	/* What he has not seen is ours again. */
	virtio_queue_reclaim(&x->f.dev, 1, 0);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->f.notified[1], 1);
}

static void
a_doorbell_that_exits_is_passed_on_to_the_borrower(void **state)
{
	struct fix *x = *state;

	x->kvm.refuse_ioe = -ENOSPC;
	lend(x, 1);
	add(x, 1, 0x1000);
	virtio_notify(&x->f.dev, 1);
	assert_int_equal(x->f.notified[1], 0);
	assert_true(is_readable(x->lent[1].kick));
	virtio_queue_reclaim(&x->f.dev, 1, 0);
	virtio_notify(&x->f.dev, 1);
	assert_int_equal(x->f.notified[1], 1);
	assert_false(is_readable(x->lent[1].kick));
}

/* ---- interrupts ---- */

static void
an_interrupt_goes_through_the_reactor_until_kvm_has_it(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	signal_call(x, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->irqs[1], 1);
	assert_int_equal(x->f.dev.stat.forwarded, 1);

	assert_int_equal(fake_reactor_deferred(&x->r), 1);
	signal_call(x, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
	assert_int_equal(x->irqs[1], 1);
	assert_int_equal(x->kvm.nsent, 1);
	assert_memory_equal(&x->kvm.sent[0], &x->msg[1], sizeof(x->msg[1]));
}

static void
kvm_is_told_of_all_routes_at_once(void **state)
{
	struct fix *x = *state;

	for (unsigned q = 0; q < FAKE_QUEUES; q++)
		lend(x, q);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->commits, 1);
	assert_int_equal(x->kvm.nirqfd, FAKE_QUEUES);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		signal_call(x, q);
		assert_int_equal(x->kvm.sent[q].data, 0x40 + q);
	}
}

static void
what_is_signalled_on_the_way_to_kvm_is_not_lost(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	signal_call(x, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nsent, 1);
	assert_int_equal(x->irqs[1], 0);
}

static void
a_masked_vector_is_taken_from_kvm_at_once(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	fake_reactor_deferred(&x->r);
	change(x, 1, false, 0x41);
	assert_int_equal(x->kvm.nirqfd, 0);
	signal_call(x, 1);
	assert_int_equal(x->kvm.nsent, 0);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->irqs[1], 1); /* the transport makes it pending */

	change(x, 1, true, 0x41);
	assert_int_equal(x->kvm.nirqfd, 0);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nirqfd, 1);
	signal_call(x, 1);
	assert_int_equal(x->kvm.nsent, 1);
}

static void
a_vector_that_is_masked_again_soon_never_reaches_kvm(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	change(x, 1, false, 0x41);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nirqfd, 0);
	assert_int_equal(x->commits, 0);
}

static void
a_vector_rewritten_while_it_is_open_sends_the_new_message_only(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	fake_reactor_deferred(&x->r);
	change(x, 1, true, 0x99);
	signal_call(x, 1);
	fake_reactor_deferred(&x->r);
	signal_call(x, 1);
	assert_int_equal(x->kvm.nsent, 2);
	assert_int_equal(x->kvm.sent[0].data, 0x99);
	assert_int_equal(x->kvm.sent[1].data, 0x99);
	/* The same once more costs nothing. */
	unsigned commits = x->commits;
	change(x, 1, true, 0x99);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->commits, commits);
	assert_int_equal(x->kvm.nirqfd, 1);
}

static void
a_transport_of_lines_keeps_its_interrupts_in_the_reactor(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nirqfd, 0);
	signal_call(x, 1);
	signal_call(x, 1);
	fake_reactor_io(&x->r, 0);
	assert_int_equal(x->irqs[1], 1);
}

static void
what_kvm_refuses_stays_with_the_reactor(void **state)
{
	struct fix *x = *state;

	x->refuse_commit = -EINVAL;
	lend(x, 1);
	signal_call(x, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->irqs[1], 1);

	x->refuse_commit = 0;
	x->kvm.refuse_irqfd = -ENOSPC;
	change(x, 1, true, 0x41);
	fake_reactor_deferred(&x->r);
	signal_call(x, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->irqs[1], 2);

	x->kvm.refuse_irqfd = 0;
	change(x, 1, true, 0x41);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nirqfd, 1);
}

static void
a_controller_without_messages_is_none_of_kvm_s(void **state)
{
	static const struct irqchip_ops without = { .name = "fake" };
	struct fix *x = *state;

	x->chip.ops = &without;
	lend(x, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->kvm.nirqfd, 0);
	signal_call(x, 1);
	fake_reactor_io(&x->r, 0);
	assert_int_equal(x->irqs[1], 1);
}

/* ---- back again ---- */

static void
what_is_under_way_is_delivered_when_a_queue_is_taken_back(void **state)
{
	struct fix *x = *state;

	lend(x, 1);
	signal_call(x, 1);
	virtio_queue_reclaim(&x->f.dev, 1, 7);
	assert_int_equal(x->irqs[1], 1);
	assert_int_equal(x->f.queue[1].vq.next_avail, 7);
	/* And nothing that comes later. */
	signal_call(x, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
	assert_int_equal(x->irqs[1], 1);
	assert_true(is_readable(x->lent[1].call));
}

static unsigned
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void
lending_for_ever_costs_no_descriptor_and_no_gsi(void **state)
{
	struct fix *x = *state;
	unsigned fds = 0;
	int kick = -1;

	for (unsigned i = 0; i < 200; i++) {
		for (unsigned q = 0; q < FAKE_QUEUES; q++)
			lend(x, q);
		fake_reactor_deferred(&x->r);
		assert_int_equal(x->kvm.nirqfd, FAKE_QUEUES);
		for (unsigned q = 0; q < FAKE_QUEUES; q++)
			virtio_queue_reclaim(&x->f.dev, q, 0);
		assert_int_equal(x->kvm.nirqfd, 0);
		if (i == 0) {
			fds = count_fds();
			kick = x->lent[2].kick;
		}
	}
	assert_int_equal(count_fds(), fds);
	assert_int_equal(x->lent[2].kick, kick);
	assert_int_equal(x->chip.routes.n, FAKE_QUEUES);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_doorbell_wakes_the_reactor_and_reaches_the_device),
		TEST(all_doorbells_of_a_queue_are_one_eventfd),
		TEST(a_queue_whose_bell_rang_is_watched_until_the_reactor_sleeps),
		TEST(a_queue_that_is_lent_is_no_longer_watched),
		TEST(doorbells_of_a_lent_queue_are_the_borrower_s),
		TEST(a_doorbell_that_exits_is_passed_on_to_the_borrower),
		TEST(an_interrupt_goes_through_the_reactor_until_kvm_has_it),
		TEST(kvm_is_told_of_all_routes_at_once),
		TEST(what_is_signalled_on_the_way_to_kvm_is_not_lost),
		TEST(a_masked_vector_is_taken_from_kvm_at_once),
		TEST(a_vector_that_is_masked_again_soon_never_reaches_kvm),
		TEST(a_vector_rewritten_while_it_is_open_sends_the_new_message_only),
		cmocka_unit_test_setup_teardown(
			a_transport_of_lines_keeps_its_interrupts_in_the_reactor,
			setup_line, teardown),
		TEST(what_kvm_refuses_stays_with_the_reactor),
		TEST(a_controller_without_messages_is_none_of_kvm_s),
		TEST(what_is_under_way_is_delivered_when_a_queue_is_taken_back),
		TEST(lending_for_ever_costs_no_descriptor_and_no_gsi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
