/* SPDX-License-Identifier: ISC */
/*
 * The virtio devices of a machine: one for each named section of the configuration, or
 * one for several, attached in the order of the file.
 *
 * A kind of device is a row in kind_table: a constructor for model and backend, and its
 * free().  The transport is chosen here; the model knows none.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "machine_arch.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"
#include "virtio_transport.h"
#include "vm.h"

static bool
is_pci(enum config_transport transport)
{
	return transport <= CONFIG_TRANSPORT_TRANSITIONAL;
}

unsigned
machine_virtio_images(const struct config *cfg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cfg->named_count; i++)
		n += is_pci(config_transport(cfg, &cfg->named[i]));
	return n;
}

static int
make_rng(struct machine *m, struct machine_virtio *mv, const struct config_named *named,
	 struct err *e)
{
	const struct config_rng *cr = &m->cfg->rng[named->index];
	const struct rng_config rc = {
		.name = named->name,
		.rate = cr->rate,
		.burst = cr->burst,
	};
	struct rng *rng;

	(void)e;
	int err = rng_new(&m->memory, m->host.reactor, &rng_backend_getrandom, &rc, &rng);

	if (err)
		return err;
	mv->model = rng;
	mv->dev = rng_device(rng);
	return 0;
}

static void
free_rng(void *model)
{
	rng_free(model);
}

static const struct virtio_kind {
	const char *section;
	/* -errno; with a text if there is more to say than that. */
	int (*make)(struct machine *m, struct machine_virtio *mv,
		    const struct config_named *named, struct err *e);
	void (*free)(void *model);
	/* NULL: every section is a device; else those that this says. */
	bool (*makes_device)(const struct config *cfg, const struct config_named *named);
	/* NULL: nothing has to be durable at the end of the machine. */
	void (*sync)(struct machine_virtio *mv);
} kind_table[] = {
	{ .section = "disk",
	  .make = machine_disk_make,
	  .free = machine_disk_free,
	  .sync = machine_disk_sync },
	{ .section = "rng", .make = make_rng, .free = free_rng },
	{ .section = "net", .make = machine_net_make, .free = machine_net_free },
	{ .section = "console",
	  .make = machine_console_make,
	  .free = machine_console_free,
	  .makes_device = machine_console_is_first },
};

static int
connect(struct machine *m, struct machine_virtio *mv)
{
	const struct virtio_pci_config pci = {
		.transitional = mv->transport == CONFIG_TRANSPORT_TRANSITIONAL,
		.doorbell = &notifier_doorbell_ops,
		.doorbell_arg = &m->notifiers,
	};
	const struct virtio_mmio_config mmio = {
		.legacy = mv->transport == CONFIG_TRANSPORT_MMIO_LEGACY,
		.doorbell = &notifier_doorbell_ops,
		.doorbell_arg = &m->notifiers,
	};

	if (is_pci(mv->transport))
		return virtio_pci_new(&m->pci_bus[MACHINE_PCI_VIRTIO], mv->dev, &pci,
				      &mv->pci);
	return virtio_mmio_new(&m->platform, mv->dev, &mmio, &mv->mmio);
}

static int
make_device(struct machine *m, const struct config_named *named, struct err *e)
{
	struct machine_virtio *mv = &m->virtio[m->nvirtio];
	const struct virtio_kind *kind = kind_table;
	int rc;

	while (strcmp(kind->section, named->section->name) != 0) {
		kind++;
		assert(kind < kind_table + ARRAY_SIZE(kind_table));
	}
	if (kind->makes_device && !kind->makes_device(m->cfg, named))
		return 0;
	*mv = (struct machine_virtio){
		.section = kind->section,
		.name = named->name,
		.transport = config_transport(m->cfg, named),
		.free = kind->free,
		.sync = kind->sync,
	};
	rc = kind->make(m, mv, named, e);
	if (rc == 0) {
		m->nvirtio++;
		rc = connect(m, mv);
	}
	if (rc)
		return err_set(e, -rc, "[%s \"%s\"]: %s", named->section->name,
			       named->name,
			       rc == -ENOSPC || rc == -ENODEV
				       ? "the bus has no place left"
				       : strerror(-rc));
	return 0;
}

int
machine_virtio_new(struct machine *m, struct err *e)
{
	static const struct notifier_ops kvm = {
		.ioeventfd_add = vm_ioeventfd_add,
		.ioeventfd_remove = vm_ioeventfd_remove,
		.irqfd_add = vm_irqfd_add,
		.irqfd_remove = vm_irqfd_remove,
	};
	int rc = machine_virtio_images(m->cfg) > 0 ? machine_pci_new(m, e) : 0;

	notifiers_init(&m->notifiers, m->host.reactor, m->irqchip, m->vm, &kvm);
	for (unsigned i = 0; rc == 0 && i < m->cfg->named_count; i++)
		rc = make_device(m, &m->cfg->named[i], e);
	return rc;
}

/* All devices stop before the first is synced: it may take a while. */
void
machine_virtio_stop(struct machine *m)
{
	for (unsigned i = 0; i < m->nvirtio; i++)
		virtio_stop(m->virtio[i].dev);
	for (unsigned i = 0; i < m->nvirtio; i++)
		if (m->virtio[i].sync)
			m->virtio[i].sync(&m->virtio[i]);
}

void
machine_virtio_free(struct machine *m)
{
	for (unsigned i = 0; i < m->nvirtio; i++) {
		struct machine_virtio *mv = &m->virtio[i];

		virtio_pci_free(mv->pci);
		virtio_mmio_free(mv->mmio);
		mv->free(mv->model);
	}
	notifiers_fini(&m->notifiers);
	free(m->pci);
	machine_pages_free(m);
}

static void
write_counters(const struct virtio_device *dev, FILE *out)
{
	const struct virtio_counter *c = dev->counter;

	fprintf(out,
		"\"notified\": %" PRIu64 ", \"interrupts\": %" PRIu64
		", \"failures\": %" PRIu64,
		dev->stat.notified, dev->stat.interrupts, dev->stat.failures);
	for (; c && c->name; c++) {
		if (c->off == VIRTIO_UNCOUNTED) {
			fprintf(out, ", \"%s\": null", c->name);
			continue;
		}
		const void *at = (const uint8_t *)dev + c->off;

		fprintf(out, ", \"%s\": %" PRIu64, c->name, *(const uint64_t *)at);
	}
}

void
machine_virtio_write_stats(const struct machine *m, FILE *out)
{
	for (unsigned i = 0; i < m->nvirtio; i++) {
		const struct machine_virtio *mv = &m->virtio[i];

		fprintf(out, "%s\"%s.%s\": {", i > 0 ? ", " : "", mv->section, mv->name);
		write_counters(mv->dev, out);
		fprintf(out, "}");
	}
}
