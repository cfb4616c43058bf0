// SPDX-License-Identifier: ISC
/*
 * The guest of the interrupt benchmark: how long from the doorbell of a virtio-rng to the
 * handler of its interrupt, which a CPU that has nothing else to do waits for; and, by
 * busy=1, on a CPU that does not halt.  For each kind the median and the 99th percentile of
 * n=, as exit.c has it.
 */
#include "rng.h"
#include "sample.h"
#include "x86_64.h"

static struct rng rng;
static uint64_t rang;
static volatile uint64_t came;

static void
on_message(void *arg)
{
	(void)arg;
	came = tsc();
}

static void
on_intx(void *arg)
{
	(void)arg;
	came = tsc();
	(void)rng.v.ops->isr(&rng.v);
}

static bool
once(bool halt, uint32_t *ret)
{
	came = 0;
	if (!rng_ask(&rng))
		return false;
	rang = tsc();
	virtq_kick(&rng.q);
	if (!halt)
		irq_on();
	while (!came) {
		if (halt)
			irq_wait();
		else
			cpu_relax();
	}
	irq_off();
	*ret = (uint32_t)(came - rang);
	return rng_take(&rng, 1);
}

static void
measure(const char *name, unsigned n, bool halt)
{
	uint32_t waste;

	for (unsigned i = 0; i < n / 4; i++)
		if (!once(halt, &waste))
			return;
	for (unsigned i = 0; i < n; i++)
		if (!once(halt, &sample[i]))
			return;
	sample_say("irq", name, n);
}

static bool
start(void)
{
	bool good = rng_start(&rng, 0);

	virtq_interrupts(&rng.q, true);
	return good;
}

void
payload_main(void)
{
	unsigned n = sample_count();
	struct msi msg;

	say("hz %lu", clock_hz());
	if (!rng_find(&rng, "pci", 0) || !start() ||
	    !msi_make(&rng.v.pci, 0, on_message, NULL, &msg)) {
		fail("irq", "no rng on pci");
		return;
	}
	irq_attach(&rng.v.irq, on_intx, NULL);
	measure("intx", n, true);
	irq_mask(&rng.v.irq, true);

	pci_msix_set(&rng.v.msix, 0, &msg, false);
	pci_msix_control(&rng.v.msix, true, false);
	if (!start() || rng.v.ops->set_vector(&rng.v, 0, 0) != 0)
		return;
	measure("msix", n, true);
	if (cmdline_num("busy", 0))
		measure("msix-busy", n, false);
}
