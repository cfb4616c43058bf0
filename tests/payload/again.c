// SPDX-License-Identifier: ISC
/*
 * What a driver may do again and again, at the word of the host, which looks whether vmm
 * has more descriptors than before: start a device, ring, move it, mask it, reset it.
 */
#include "rng.h"

enum { TIMES = 200 };

static struct rng rng;

static bool
restart(unsigned times)
{
	bool good = true;

	/* the shortest way that drivers have; the configuration is that of the queue */
	for (unsigned i = 0; good && i < times; i++)
		good = rng_start(&rng, 0);
	return good && rng_read(&rng);
}

static bool
enable(unsigned times)
{
	const struct virtio *v = &rng.v;

	v->ops->select(v, 0);
	for (unsigned i = 0; i < times; i++)
		if (v->ops->enable)
			v->ops->enable(v);
		else
			v->ops->set_addr(v, (uint64_t)rng.q.desc, 0, 0);
	return rng_read(&rng);
}

static bool
decode(unsigned times)
{
	for (unsigned i = 0; rng.v.pci.config && i < times; i++) {
		pci_command(&rng.v.pci, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
		pci_command(&rng.v.pci, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 0);
	}
	return rng_read(&rng);
}

static bool
message(unsigned times)
{
	for (unsigned i = 0; rng.v.msix.n && i < times; i++) {
		pci_msix_set(&rng.v.msix, 1, &(struct msi){ 0xfee00000, i }, i & 1);
		pci_msix_control(&rng.v.msix, i & 1, i & 2);
	}
	if (rng.v.msix.n)
		pci_msix_control(&rng.v.msix, false, false);
	return rng_read(&rng);
}

void
payload_main(void)
{
	char transport[16] = "pci";
	unsigned times = (unsigned)cmdline_num("cycles", TIMES);

	times = times < TIMES ? times : TIMES;
	(void)cmdline_get("transport", transport, sizeof(transport));
	if (!check(rng_find(&rng, transport, 0) && rng_start(&rng, 0), "device",
		   "no rng on %s", transport))
		return;
	do {
		bool started = restart(times), enabled = enable(times),
		     decoded = decode(times / 10), masked = message(times);
		if (!started || !enabled || !decoded || !masked) {
			fail("again", "start %u enable %u decode %u message %u", started,
			     enabled, decoded, masked);
			return;
		}
		say("round");
	} while (uart_getc(10000) == 'a');
	ok("again");
}
