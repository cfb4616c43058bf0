// SPDX-License-Identifier: ISC
/*
 * INTx and MSI-X of PCI functions (PCI 3.0, 2.2.6, 6.2.3, 6.8.2), with several virtio-rng
 * of which two share a line.
 */
#include "rng.h"

enum { DEVICES_MAX = 8, TIMES = 3, QUIET_MS = 5 };

static struct rng rng[DEVICES_MAX];
static unsigned nrng;
static volatile unsigned count, count2;
static struct rng *volatile acked_at_once; /* by the handler; NULL: see below */
static struct rng *volatile held;          /* lowered at the TIMES-th interrupt */

/* Lowered by the handler of an interrupt that was ended already: it may come once more. */
static volatile bool lowered_late;

static void
lower(struct rng *r)
{
	lowered_late = !irq_in_service(&r->v.irq);
	(void)r->v.ops->isr(&r->v);
}

static void
on_intx(void *arg)
{
	(void)arg;
	count++;
	if (acked_at_once && count == 1)
		lower(acked_at_once);
	/* a line that stays up leaves the CPU no time for anything else */
	if (held && count == TIMES)
		lower(held);
}

static void
on_message(void *arg)
{
	++*(volatile unsigned *)arg;
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

/* As many as there are in some time in which there should be no more. */
static unsigned
settle(volatile unsigned *n)
{
	return wait_for(n, ~0u, QUIET_MS);
}

static bool
as_many(unsigned n, unsigned want)
{
	return n == want || (lowered_late && n == want + 1);
}

/* A request is done, without a look at the interrupt. */
static bool
io(struct rng *r)
{
	return rng_read(r);
}

static bool
interrupt_status(struct rng *r)
{
	return pci_read(&r->v.pci, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static bool
restart(struct rng *r)
{
	if (r->v.msix.n)
		pci_msix_control(&r->v.msix, false, false);
	pci_command(&r->v.pci, 0, PCI_COMMAND_INTX_DISABLE);
	bool good = rng_start(r, 0);
	virtq_interrupts(&r->q, true);
	count = count2 = 0;
	acked_at_once = held = NULL;
	lowered_late = false;
	return good;
}

/* ---- INTx ---- */

/* The interrupt comes again after each EOI until the ISR is read, and then no more. */
static void
test_level(void)
{
	struct rng *r = &rng[0];
	bool good = restart(r);

	irq_attach(&r->v.irq, on_intx, NULL);
	held = r;
	good = io(r) && good;
	unsigned n = wait_for(&count, TIMES, 5000);
	irq_mask(&r->v.irq, true);
	check(good && as_many(n, TIMES) && !interrupt_status(r), "intx-level",
	      "%u interrupts", n);
	irq_mask(&r->v.irq, false);
	n = settle(&count);
	check(as_many(n, TIMES), "intx-ends-with-isr", "%u interrupts", n);
	irq_mask(&r->v.irq, true);
}

/* Held back, but seen in the status register; it comes when the bit is cleared. */
static void
test_disable(void)
{
	struct rng *r = &rng[0];
	bool good = restart(r);

	pci_command(&r->v.pci, PCI_COMMAND_INTX_DISABLE, 0);
	irq_attach(&r->v.irq, on_intx, NULL);
	held = NULL;
	acked_at_once = r;
	bool before = interrupt_status(r);
	good = io(r) && good;
	unsigned none = settle(&count);
	bool status = interrupt_status(r);
	check(good && none == 0 && !before && status, "intx-disable",
	      "%u interrupts, status %u then %u", none, before, status);
	pci_command(&r->v.pci, 0, PCI_COMMAND_INTX_DISABLE);
	unsigned n = wait_for(&count, 1, 5000);
	n = settle(&count);
	check(as_many(n, 1) && !interrupt_status(r), "intx-enabled-again",
	      "%u interrupts, status %u", n, interrupt_status(r));
	irq_mask(&r->v.irq, true);
}

/* Two on one wire: it is up until both have been served. */
static void
test_shared(void)
{
	struct rng *a = &rng[0], *b = NULL;

	for (unsigned i = 1; i < nrng && !b; i++)
		if (rng[i].v.irq.gsi == a->v.irq.gsi)
			b = &rng[i];
	if (!b) {
		skip("intx-shared", "no two functions share a line");
		return;
	}
	bool good = restart(a) && restart(b);
	irq_attach(&a->v.irq, on_intx, NULL);
	irq_mask(&a->v.irq, true);
	good = io(a) && io(b) && good;
	acked_at_once = a;
	held = b;
	irq_mask(&a->v.irq, false);
	unsigned n = wait_for(&count, TIMES, 5000);
	n = settle(&count);
	check(good && as_many(n, TIMES) && !interrupt_status(a) && !interrupt_status(b),
	      "intx-shared", "%u interrupts, status %u %u", n, interrupt_status(a),
	      interrupt_status(b));
	/* in the other order, too: the second lowers first */
	count = 0;
	acked_at_once = b;
	held = a;
	good = io(a) && io(b);
	n = wait_for(&count, TIMES, 5000);
	n = settle(&count);
	check(good && as_many(n, TIMES), "intx-shared-other-order", "%u interrupts", n);
	irq_mask(&a->v.irq, true);
}

/* A function that is reset lowers its line. */
static void
test_reset_lowers(void)
{
	struct rng *r = &rng[0];
	bool good = restart(r);

	irq_attach(&r->v.irq, on_intx, NULL);
	irq_mask(&r->v.irq, true);
	good = io(r) && good;
	bool up = interrupt_status(r);
	virtio_reset(&r->v);
	bool down = !interrupt_status(r);
	irq_mask(&r->v.irq, false);
	unsigned n = settle(&count);
	check(good && up && down && n == 0, "intx-reset-lowers",
	      "status %u then %u, %u interrupts", up, !down, n);
	irq_mask(&r->v.irq, true);
}

/* ---- MSI-X ---- */

static struct msi message, message2;

static bool
restart_msix(struct rng *r, uint16_t vec)
{
	bool good = restart(r);

	pci_msix_set(&r->v.msix, 0, &message, false);
	pci_msix_set(&r->v.msix, 1, &message, false);
	pci_msix_control(&r->v.msix, true, false);
	return r->v.ops->set_vector(&r->v, 0, vec) == vec && good;
}

static void
test_message(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	for (unsigned i = 1; good && i <= 10; i++)
		good = io(r) && wait_for(&count, i, 5000) == i;
	unsigned n = settle(&count);
	check(good && n == 10 && !interrupt_status(r), "msix", "%u interrupts", n);
}

/* No INTx while it is enabled. */
static void
test_not_both(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	irq_attach(&r->v.irq, on_intx, NULL);
	good = io(r) && good;
	unsigned n = wait_for(&count, 1, 5000);
	n = settle(&count);
	check(good && n == 1, "msix-no-intx", "%u interrupts", n);
	irq_mask(&r->v.irq, true);
}

static void
test_vector_mask(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	pci_msix_mask(&r->v.msix, 1, true);
	good = io(r) && io(r) && good;
	unsigned none = settle(&count);
	bool pending = pci_msix_pending(&r->v.msix, 1),
	     other = pci_msix_pending(&r->v.msix, 0);
	check(good && none == 0 && pending && !other, "msix-vector-mask",
	      "%u interrupts, pending %u, of the other vector %u", none, pending, other);
	pci_msix_mask(&r->v.msix, 1, false);
	unsigned n = wait_for(&count, 1, 5000);
	n = settle(&count);
	pending = pci_msix_pending(&r->v.msix, 1);
	check(n == 1 && !pending, "msix-delivered-on-unmask", "%u interrupts, pending %u",
	      n, pending);
}

static void
test_function_mask(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	pci_msix_control(&r->v.msix, true, true);
	good = io(r) && good;
	unsigned none = settle(&count);
	bool pending = pci_msix_pending(&r->v.msix, 1);
	check(good && none == 0 && pending, "msix-function-mask",
	      "%u interrupts, pending %u", none, pending);
	/* a vector that is masked itself stays so */
	pci_msix_mask(&r->v.msix, 1, true);
	pci_msix_control(&r->v.msix, true, false);
	none = settle(&count);
	pci_msix_mask(&r->v.msix, 1, false);
	unsigned n = wait_for(&count, 1, 5000);
	n = settle(&count);
	check(none == 0 && n == 1 && !pci_msix_pending(&r->v.msix, 1), "msix-both-masks",
	      "%u interrupts, then %u", none, n);
}

static void
test_other_message(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	pci_msix_set(&r->v.msix, 1, &message2, false);
	good = io(r) && good;
	unsigned n = wait_for(&count2, 1, 5000);
	check(good && n == 1 && count == 0, "msix-message-changed", "%u new, %u old", n,
	      count);
}

static void
test_no_vector(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, VIRTIO_NO_VECTOR);

	good = io(r) && good;
	unsigned n = settle(&count);
	check(good && n == 0 && !pci_msix_pending(&r->v.msix, 0) &&
		      !pci_msix_pending(&r->v.msix, 1),
	      "msix-no-vector", "%u interrupts", n);
}

/* A ring that cannot be: the driver is told by a configuration change. */
static void
test_config_vector(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	pci_msix_set(&r->v.msix, 0, &message2, false);
	good = r->v.ops->set_vector(&r->v, -1, 0) == 0 && good;
	r->q.avail->idx = (uint16_t)(r->q.avail->idx + r->q.size + 1);
	r->v.ops->notify(&r->v, 0);
	unsigned n = wait_for(&count2, 1, 5000);
	check(good && n == 1 && count == 0 && (virtio_status(&r->v) & VIRTIO_NEEDS_RESET),
	      "msix-config-vector", "%u interrupts, status %x", n, virtio_status(&r->v));
}

/* The messages are the function's own: a reset of the device leaves the table. */
static void
test_survives_reset(void)
{
	struct rng *r = &rng[0];
	bool good = restart_msix(r, 1);

	good = rng_start(r, 0) && good;
	virtq_interrupts(&r->q, true);
	good = r->v.ops->set_vector(&r->v, 0, 1) == 1 && io(r) && good;
	unsigned n = wait_for(&count, 1, 5000);
	check(good && n == 1, "msix-table-survives-reset", "%u interrupts", n);
}

static void (*const msix_test[])(void) = {
	test_message,       test_not_both,  test_vector_mask,   test_function_mask,
	test_other_message, test_no_vector, test_config_vector, test_survives_reset,
};

void
payload_main(void)
{
	char transport[16] = "pci";

	(void)cmdline_get("transport", transport, sizeof(transport));
	while (nrng < DEVICES_MAX && rng_find(&rng[nrng], transport, nrng))
		nrng++;
	if (!check(nrng > 0, "functions", "no rng on %s", transport))
		return;
	test_level();
	test_disable();
	test_shared();
	test_reset_lowers();
	if (rng[0].v.msix.n < 2 ||
	    !msi_make(&rng[0].v.pci, 0, on_message, (void *)(uintptr_t)&count,
		      &message) ||
	    !msi_make(&rng[0].v.pci, 1, on_message, (void *)(uintptr_t)&count2,
		      &message2)) {
		skip("msix", "nobody takes messages here");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(msix_test); i++)
		msix_test[i]();
}
