// SPDX-License-Identifier: ISC
/*
 * The send queue of a virtio-net function, whoever serves it: vmm, or the kernel of the host
 * (vhost).  What is sent goes to an interface that is down, and is lost there; here it is
 * about the ring, its interrupts and resets.
 */
#include "virtio.h"

enum { TX = 1, SIZE = 64, HDR = 12, FRAME = 60, QUIET_MS = 5, WAIT_MS = 5000 };

static struct virtio v;
static struct virtq q;
static uint8_t *packet;
static struct msi message, message2;
static volatile unsigned count, count2;

static void
on_message(void *arg)
{
	++*(volatile unsigned *)arg;
}

/* Acknowledged by reading, which lowers the line. */
static void
on_line(void *arg)
{
	(void)arg;
	if (v.ops->isr(&v) & VIRTIO_ISR_QUEUE)
		count++;
}

static unsigned
wait_for(volatile unsigned *n, unsigned want, unsigned ms)
{
	uint64_t t = deadline_ms(ms);

	irq_on();
	while (*n < want && !passed(t))
		cpu_relax();
	irq_off();
	return *n;
}

/* With MSI-X, vector 1 for the queue and 0 for the configuration; else with the line. */
static bool
start(bool msix)
{
	virtio_reset(&v);
	if (v.msix.n) {
		pci_msix_set(&v.msix, 0, &message2, false);
		pci_msix_set(&v.msix, 1, &message, false);
		pci_msix_control(&v.msix, msix, false);
	}
	if (!virtio_start(&v, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT) ||
	    !virtq_setup(&q, &v, TX, SIZE))
		return false;
	if (msix && (v.ops->set_vector(&v, TX, 1) != 1 || v.ops->set_vector(&v, -1, 0)))
		return false;
	virtq_interrupts(&q, true);
	virtio_ready(&v);
	count = count2 = 0;
	return true;
}

static bool
offer(unsigned n)
{
	const struct vbuf buf[] = { { packet, HDR }, { packet + HDR, FRAME } };

	for (unsigned i = 0; i < n; i++)
		if (!virtq_add(&q, buf, 2, 0, NULL))
			return false;
	virtq_kick(&q);
	return true;
}

/* All n are used. */
static bool
take(unsigned n)
{
	uint64_t t = deadline_ms(WAIT_MS);

	while (n > 0 && !passed(t))
		n -= virtq_take(&q, NULL, NULL);
	return n == 0;
}

/* A driver that has seen a packet used is not told of it: so the interrupt comes first. */
static bool
send(unsigned n, volatile unsigned *counter, unsigned want)
{
	return offer(n) && wait_for(counter, want, WAIT_MS) == want && take(n);
}

static void
test_ring(void)
{
	bool good = start(false);

	virtq_interrupts(&q, false);
	for (unsigned i = 0; good && i < 20; i++)
		good = offer(1 + i) && take(1 + i);
	check(good, "sent", "status %x used %u of %u", virtio_status(&v), q.used->idx,
	      q.added);
}

static void
test_line(void)
{
	bool good = start(false);

	irq_attach(&v.irq, on_line, NULL);
	good = good && offer(1);
	unsigned n = wait_for(&count, 1, WAIT_MS);
	check(good && n > 0 && take(1), "line", "%u interrupts", n);
	irq_mask(&v.irq, true);
}

static void
test_message(void)
{
	bool good = start(true);

	/* The first may take another way than the others. */
	for (unsigned i = 1; good && i <= 10; i++) {
		good = send(1, &count, i);
		wait_for(&count, ~0u, 1);
	}
	check(good && count == 10, "message", "%u interrupts", count);
}

/* Nothing while it is masked, but a bit; one when it is not any more. */
static void
test_mask(void)
{
	bool good = start(true) && send(1, &count, 1);
	uint64_t t = deadline_ms(WAIT_MS);

	pci_msix_mask(&v.msix, 1, true);
	good = good && offer(2);
	while (!pci_msix_pending(&v.msix, 1) && !passed(t))
		cpu_relax();
	bool pending = pci_msix_pending(&v.msix, 1);
	unsigned none = wait_for(&count, ~0u, QUIET_MS);
	check(good && take(2) && pending && none == 1, "masked",
	      "pending %u, %u interrupts", pending, none);
	pci_msix_mask(&v.msix, 1, false);
	unsigned n = wait_for(&count, 2, WAIT_MS);
	n = wait_for(&count, ~0u, QUIET_MS);
	check(n == 2 && !pci_msix_pending(&v.msix, 1), "unmasked", "%u interrupts", n);
	check(send(1, &count, 3), "goes-on", "%u interrupts", count);
}

static void
test_many_masks(void)
{
	bool good = start(true);

	for (unsigned i = 1; good && i <= 50; i++) {
		pci_msix_mask(&v.msix, 1, true);
		good = offer(1);
		pci_msix_mask(&v.msix, 1, false);
		good = good && wait_for(&count, i, WAIT_MS) == i && take(1);
	}
	check(good, "no-interrupt-is-lost-by-masking", "%u interrupts", count);
}

static void
test_other_message(void)
{
	bool good = start(true) && send(1, &count, 1);

	pci_msix_set(&v.msix, 1, &message2, false);
	good = good && send(1, &count2, 1);
	check(good && count == 1, "message-changed", "%u new, %u old", count2, count);
}

/* More in the ring than it holds. */
static void
test_broken(void)
{
	bool good = start(true) && send(1, &count, 1);
	uint64_t t = deadline_ms(WAIT_MS);

	q.avail->idx = (uint16_t)(q.avail->idx + SIZE + 1);
	v.ops->notify(&v, TX);
	while (!(virtio_status(&v) & VIRTIO_NEEDS_RESET) && !passed(t))
		cpu_relax();
	unsigned told = wait_for(&count2, 1, WAIT_MS);
	uint16_t used = q.used->idx;
	v.ops->notify(&v, TX);
	wait_for(&count, ~0u, QUIET_MS);
	check(good && (virtio_status(&v) & VIRTIO_NEEDS_RESET) && told == 1 &&
		      q.used->idx == used,
	      "broken-ring", "status %x, told %u", virtio_status(&v), told);
	check(start(true) && send(SIZE, &count, 1), "reset-helps", "status %x used %u",
	      virtio_status(&v), q.used->idx);
}

/* Nothing of what was under way comes to a ring that is somebody else's by now. */
static void
test_resets(void)
{
	bool good = true;

	for (unsigned round = 0; good && round < 50; round++) {
		good = start(true) && offer(SIZE);
		virtio_reset(&v);
		for (unsigned i = 0; i < SIZE; i++)
			q.used->ring[i].id = 77;
		q.used->idx = 77;
		wait_for(&count, ~0u, 1);
		good = good && q.used->idx == 77;
		for (unsigned i = 0; good && i < SIZE; i++)
			good = q.used->ring[i].id == 77;
	}
	check(good && start(true) && send(SIZE, &count, 1), "resets", "status %x used %u",
	      virtio_status(&v), q.used->idx);
}

void
payload_main(void)
{
	static void (*const msix_test[])(void) = {
		test_message,       test_mask,   test_many_masks,
		test_other_message, test_broken, test_resets,
	};

	if (!check(virtio_find("pci", VIRTIO_ID_NET, 0, &v), "found", "no net on PCI"))
		return;
	packet = ram_alloc(HDR + FRAME, 64);
	memset(packet + HDR, 0xff, 6);
	test_ring();
	test_line();
	if (v.msix.n < 2 ||
	    !msi_make(&v.pci, 0, on_message, (void *)(uintptr_t)&count, &message) ||
	    !msi_make(&v.pci, 1, on_message, (void *)(uintptr_t)&count2, &message2)) {
		skip("messages", "nobody takes them here");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(msix_test); i++)
		msix_test[i]();
}
