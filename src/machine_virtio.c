/* SPDX-License-Identifier: ISC */
/*
 * PCI and virtio of a machine: the segment with its buses, doorbells as ioeventfds, and
 * one device for each named section of the configuration, attached in the order of the
 * file.
 *
 * A kind of device is a row in kind_table: a constructor for model and backend, and its
 * free().  The transport is chosen here; the model knows none.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config.h"
#include "err.h"
#include "log.h"
#include "machine_arch.h"
#include "pci.h"
#include "reactor.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"
#include "virtio_transport.h"
#include "vm.h"

/* ---- doorbells ---- */

/* An ioeventfd and its source in the loop; kept from DRIVER_OK to the end. */
struct doorbell {
	struct reactor_io io;
	struct virtio_doorbell at;
	struct machine *m;
	struct doorbell *next;
};

static void
doorbell_rang(struct reactor_io *io, unsigned events)
{
	struct doorbell *db = container_of(io, struct doorbell, io);
	uint64_t count;

	(void)events;
	if (read(io->fd, &count, sizeof(count)) < 0)
		return;
	db->m->doorbells_rung++;
	virtio_notify(db->at.dev, db->at.queue);
}

static struct vm_ioeventfd
ioeventfd_of(const struct virtio_doorbell *at, int fd)
{
	return (struct vm_ioeventfd){
		.fd = fd,
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
	struct machine *m = arg;
	struct doorbell *db = calloc(1, sizeof(*db));
	struct vm_ioeventfd ioe;

	if (!db)
		return;
	*db = (struct doorbell){
		.io = { .cb = doorbell_rang,
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) },
		.at = *at,
		.m = m,
	};
	ioe = ioeventfd_of(at, db->io.fd);
	if (db->io.fd < 0 || vm_ioeventfd_add(m->vm, &ioe) != 0) {
		log_warn("%s: no ioeventfd for queue %u; its doorbell exits",
			 at->dev->name, at->queue);
		if (db->io.fd >= 0)
			close(db->io.fd);
		free(db);
		return;
	}
	db->next = m->doorbells;
	m->doorbells = db;
	reactor_io_start(m->host.reactor, &db->io, REACTOR_READ);
}

static void
doorbell_free(struct doorbell *db)
{
	reactor_io_stop(db->m->host.reactor, &db->io);
	close(db->io.fd);
	free(db);
}

static void
doorbell_remove(void *arg, const struct virtio_doorbell *at)
{
	struct machine *m = arg;

	for (struct doorbell **p = &m->doorbells; *p; p = &(*p)->next) {
		struct doorbell *db = *p;
		struct vm_ioeventfd ioe = ioeventfd_of(&db->at, db->io.fd);

		if (db->at.dev != at->dev || db->at.queue != at->queue ||
		    db->at.space != at->space || db->at.addr != at->addr)
			continue;
		vm_ioeventfd_remove(m->vm, &ioe);
		*p = db->next;
		doorbell_free(db);
		return;
	}
}

static const struct virtio_doorbell_ops doorbell_ops = {
	.add = doorbell_add,
	.remove = doorbell_remove,
};

/* ---- PCI ---- */

static bool
wants_pci(const struct config *cfg)
{
	bool any = false;

	for (unsigned i = 0; i < cfg->named_count; i++)
		any |= cfg->rng[cfg->named[i].index].transport <=
		       CONFIG_TRANSPORT_TRANSITIONAL;
	return any;
}

/* Who gets which device numbers, lines and quarters of the windows. */
static const struct {
	const char *name;
	uint8_t first, last;
	uint8_t line, nline;
	uint8_t quarter, nquarter;
} bus_table[MACHINE_PCI_BUSES] = {
	[MACHINE_PCI_VIRTIO] = { "virtio-pci", 1, 15, 0, 4, 0, 1 },
	[MACHINE_PCI_EMULATED] = { "emulated-pci", 16, 23, 4, 2, 1, 1 },
	[MACHINE_PCI_PASSTHROUGH] = { "passthrough", 24, 31, 6, 2, 2, 2 },
};

static void
make_buses(struct machine *m, const struct machine_pci_layout *layout)
{
	for (unsigned b = 0; b < MACHINE_PCI_BUSES; b++) {
		struct pci_bus *bus = &m->pci_bus[b];

		*bus = (struct pci_bus){
			.name = bus_table[b].name,
			.seg = m->pci,
			.first = bus_table[b].first,
			.last = bus_table[b].last,
			.gsi = layout->gsi + bus_table[b].line,
			.ngsi = bus_table[b].nline,
		};
		for (unsigned k = 0; k < PCI_WINDOWS; k++) {
			const struct pci_window *all = &m->pci->window[k];

			bus->window[k] = (struct pci_window){
				.base = all->base + all->len / 4 * bus_table[b].quarter,
				.len = all->len / 4 * bus_table[b].nquarter,
			};
		}
	}
}

/* A CPU without ports reaches those of the window through memory. */
static uint64_t
io_read(void *dev, uint64_t off, unsigned len)
{
	const struct machine *m = dev;

	return space_read(&m->space[SPACE_PIO], m->pci->window[PCI_WINDOW_IO].base + off,
			  len);
}

static void
io_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	const struct machine *m = dev;

	space_write(&m->space[SPACE_PIO], m->pci->window[PCI_WINDOW_IO].base + off, len,
		    val);
}

static int
add_io_window(struct machine *m, uint64_t gpa)
{
	static const struct region_ops ops = { .read = io_read, .write = io_write };
	const struct region rg = {
		.base = gpa,
		.len = m->pci->window[PCI_WINDOW_IO].len,
		.ops = &ops,
		.dev = m,
		.name = "pci-io",
	};

	return gpa ? space_add(&m->space[SPACE_MMIO], &rg) : 0;
}

static int
make_pci(struct machine *m, struct err *e)
{
	struct machine_pci_layout layout;
	struct pci_segment_config sc = {
		.space = m->space,
		.chip = m->irqchip,
		.ram = &m->memory,
	};
	int rc;

	m->pci = calloc(1, sizeof(*m->pci));
	if (!m->pci)
		return err_set(e, ENOMEM, "out of memory");
	machine_arch_pci(m, &layout);
	sc.ecam_base = layout.ecam_base;
	memcpy(sc.window, layout.window, sizeof(sc.window));
	rc = pci_segment_init(m->pci, &sc);
	if (rc == 0)
		rc = add_io_window(m, layout.io_gpa);
	if (rc)
		return err_set(e, -rc, "PCI host bridge: %s", strerror(-rc));
	make_buses(m, &layout);
	return 0;
}

/* ---- devices ---- */

static int
make_rng(struct machine *m, struct machine_virtio *mv, const struct config_named *named)
{
	const struct config_rng *cr = &m->cfg->rng[named->index];
	const struct rng_config rc = {
		.name = named->name,
		.rate = cr->rate,
		.burst = cr->burst,
	};
	struct rng *rng;
	int err = rng_new(&m->memory, m->host.reactor, &rng_backend_getrandom, &rc, &rng);

	if (err)
		return err;
	mv->model = rng;
	mv->dev = rng_device(rng);
	mv->transport = cr->transport;
	return 0;
}

static void
free_rng(void *model)
{
	rng_free(model);
}

static const struct virtio_kind {
	const char *section;
	int (*make)(struct machine *m, struct machine_virtio *mv,
		    const struct config_named *named);
	void (*free)(void *model);
} kind_table[] = {
	{ "rng", make_rng, free_rng },
};

static int
connect(struct machine *m, struct machine_virtio *mv)
{
	const struct virtio_pci_config pci = {
		.transitional = mv->transport == CONFIG_TRANSPORT_TRANSITIONAL,
		.doorbell = &doorbell_ops,
		.doorbell_arg = m,
	};
	const struct virtio_mmio_config mmio = {
		.legacy = mv->transport == CONFIG_TRANSPORT_MMIO_LEGACY,
		.doorbell = &doorbell_ops,
		.doorbell_arg = m,
	};

	if (mv->transport <= CONFIG_TRANSPORT_TRANSITIONAL)
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
	*mv = (struct machine_virtio){ .free = kind->free };
	rc = kind->make(m, mv, named);
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
	int rc = wants_pci(m->cfg) ? make_pci(m, e) : 0;

	for (unsigned i = 0; rc == 0 && i < m->cfg->named_count; i++)
		rc = make_device(m, &m->cfg->named[i], e);
	return rc;
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
	while (m->doorbells) {
		struct doorbell *db = m->doorbells;

		m->doorbells = db->next;
		doorbell_free(db);
	}
	free(m->pci);
}
