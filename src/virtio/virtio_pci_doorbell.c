/* SPDX-License-Identifier: ISC */
/* virtio over PCI: doorbells that need not exit, where the BAR decodes. */
#include "virtio_pci.h"

static struct virtio_doorbell
doorbell_at(const struct virtio_pci *vp, enum doorbell_set set, unsigned queue)
{
	uint64_t base = vp->doorbells[set].base;

	if (set == DOORBELL_MODERN)
		return (struct virtio_doorbell){
			.dev = vp->t.dev,
			.queue = queue,
			.space = SPACE_MMIO,
			.addr = base + VIRTIO_PCI_NOTIFY_OFF +
				(uint64_t)queue * VIRTIO_PCI_NOTIFY_MULTIPLIER,
		};
	return (struct virtio_doorbell){
		.dev = vp->t.dev,
		.queue = queue,
		.space = SPACE_PIO,
		.addr = base + LEGACY_QUEUE_NOTIFY,
		.len = 2,
		.match = true,
		.value = queue,
	};
}

static void
doorbells_each(struct virtio_pci *vp, enum doorbell_set set,
	       void (*fn)(void *arg, const struct virtio_doorbell *db))
{
	for (unsigned q = 0; q < vp->t.dev->nqueue; q++) {
		struct virtio_doorbell db = doorbell_at(vp, set, q);

		fn(vp->t.doorbell_arg, &db);
	}
}

void
virtio_pci_doorbells_update(struct virtio_pci *vp, enum doorbell_set set)
{
	const struct pci_bar *b =
		&vp->fn.bar[set == DOORBELL_MODERN ? vp->bar + 1 : LEGACY_BAR];
	bool want = vp->doorbells[set].wanted && b->mapped;

	if (!vp->t.doorbell)
		return;
	if (vp->doorbells[set].added && !(want && b->addr == vp->doorbells[set].base)) {
		doorbells_each(vp, set, vp->t.doorbell->remove);
		vp->doorbells[set].added = false;
	}
	if (want && !vp->doorbells[set].added) {
		vp->doorbells[set].base = b->addr;
		doorbells_each(vp, set, vp->t.doorbell->add);
		vp->doorbells[set].added = true;
	}
}
