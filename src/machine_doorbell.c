/* SPDX-License-Identifier: ISC */
/* Doorbells as ioeventfds: a guest's write to one wakes the reactor and does not exit. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "machine_arch.h"
#include "reactor.h"
#include "util.h"
#include "virtio.h"
#include "virtio_transport.h"
#include "vm.h"

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

const struct virtio_doorbell_ops machine_doorbell_ops = {
	.add = doorbell_add,
	.remove = doorbell_remove,
};

void
machine_doorbells_free(struct machine *m)
{
	while (m->doorbells) {
		struct doorbell *db = m->doorbells;

		m->doorbells = db->next;
		doorbell_free(db);
	}
}
