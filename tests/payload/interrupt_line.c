// SPDX-License-Identifier: ISC
/*
 * The bug that this program comes from: the interrupt line byte (3Ch) belongs to the
 * guest, and nothing is raised on what stands there.  While virtio-rng does I/O over
 * INTx, all values are written to it, and to all the bytes that nobody may change.
 */
#include "rng.h"

static struct rng rng;
static volatile unsigned interrupts, isr_bits;
static uint8_t before[PCI_CONFIG_LEN];
static bool ours[PCI_CONFIG_LEN]; /* the guest may write here, or it changes by itself */
static uint8_t attacked[PCI_CONFIG_LEN];
static unsigned nattacked;

static void
on_irq(void *arg)
{
	(void)arg;
	isr_bits = rng.v.ops->isr(&rng.v);
	if (isr_bits & VIRTIO_ISR_QUEUE)
		interrupts++;
}

static void
mark(unsigned off, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		ours[off + i] = true;
}

static void
read_config(uint8_t *to)
{
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i += 4) {
		uint32_t v = pci_read(&rng.v.pci, i, 4);
		memcpy(to + i, &v, 4);
	}
}

/* PCI 3.0, chapter 6; 6.8.2.3 of MSI-X; virtio 1.2, 4.1.4.9 */
static void
look_at_config(void)
{
	const struct pci_dev *d = &rng.v.pci;
	unsigned off;

	mark(PCI_COMMAND, 4);
	mark(0x0c, 2); /* cache line, latency */
	mark(PCI_BAR0, 4 * PCI_BARS);
	mark(PCI_INTERRUPT_LINE, 1);
	if ((off = pci_cap(d, PCI_CAP_MSIX, 0)))
		mark(off + 2, 2);
	for (unsigned i = 0; (off = pci_cap(d, PCI_CAP_VENDOR, i)); i++)
		if (pci_read(d, off + 3, 1) == 5) /* the configuration access window */
			mark(off + 4, 16);
	read_config(before);
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++)
		if (!ours[i])
			attacked[nattacked++] = (uint8_t)i;
}

/* One request whose interrupt has to come while the byte has this value. */
static bool
round(unsigned val)
{
	const struct pci_dev *d = &rng.v.pci;
	unsigned n = interrupts, other = attacked[val % nattacked];
	uint64_t t = deadline_ms(5000);

	pci_write(d, PCI_INTERRUPT_LINE, 1, val);
	if (!rng_ask(&rng))
		return false;
	pci_write(d, other, 1, before[other] ^ 0xff);
	virtq_kick(&rng.q);
	/* asleep, as systems are: the emulated host of the lab has better use for its CPUs */
	while (interrupts == n && !passed(t))
		irq_wait();
	uint32_t line = pci_read(d, PCI_INTERRUPT_LINE, 1);
	if (interrupts != n + 1 || line != val) {
		fail("interrupt-line", "value %u: %u interrupts, line reads %x", val,
		     interrupts - n, line);
		return false;
	}
	return rng_take(&rng, 1);
}

/* Of any width: the word has the line byte, the pin, and two that are read-only. */
static void
test_wide(void)
{
	const struct pci_dev *d = &rng.v.pci;

	pci_write(d, PCI_INTERRUPT_LINE, 4, 0xffffff5a);
	uint32_t four = pci_read(d, PCI_INTERRUPT_LINE, 4);
	pci_write(d, PCI_INTERRUPT_LINE, 2, 0xffa5);
	uint32_t two = pci_read(d, PCI_INTERRUPT_LINE, 2);
	check(four == 0x15a && two == 0x1a5, "interrupt-line-wide-writes", "%x %x", four,
	      two);
}

static void
test_unchanged(void)
{
	uint8_t after[PCI_CONFIG_LEN];
	unsigned changed = 0, at = 0;

	read_config(after);
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++)
		if (!ours[i] && after[i] != before[i]) {
			changed++;
			at = i;
		}
	check(changed == 0, "read-only-bytes-unchanged", "%u changed, the last at %x",
	      changed, at);
}

void
payload_main(void)
{
	char transport[16] = "pci";
	unsigned val = 0;

	(void)cmdline_get("transport", transport, sizeof(transport));
	if (!rng_find(&rng, transport, 0) || !rng_start(&rng, 0)) {
		fail("interrupt-line", "no rng on %s", transport);
		return;
	}
	look_at_config();
	virtq_interrupts(&rng.q, true);
	irq_attach(&rng.v.irq, on_irq, NULL);
	while (val < 256 && round(val))
		val++;
	if (val < 256)
		return;
	check(nattacked <= 256, "interrupt-line", "not all bytes tried");
	test_wide();
	test_unchanged();
	check(rng_read(&rng), "io-goes-on", "status %x", virtio_status(&rng.v));
}
