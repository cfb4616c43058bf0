/* SPDX-License-Identifier: ISC */
/* A virtio console from the inside: console.c has the streams, console_control.c what
 * device and driver tell each other about the ports (virtio 1.2, 5.3.6.2). */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include "reactor.h"
#include "virtio.h"
#include "virtio_dev.h"

#define CONSOLE_F_SIZE (UINT64_C(1) << 0)
#define CONSOLE_F_MULTIPORT (UINT64_C(1) << 1)
#define CONSOLE_F_EMERG_WRITE (UINT64_C(1) << 2)

enum {
	CONSOLE_QUEUE_SIZE = 64,
	CONSOLE_CONTROL_RX = 2, /* to the driver */
	CONSOLE_CONTROL_TX = 3,
	/* Port 0 is a console or nothing, so there may be one more than was asked for. */
	CONSOLE_PORTS = VIRTIO_CONSOLE_PORTS_MAX + 1,
	CONSOLE_QUEUES = 2 * (CONSOLE_PORTS + 1),
	CONSOLE_CONFIG_LEN = 12,
};

/* What the driver has yet to be told of a port: bits, so that it does not pile up. */
enum console_tell {
	CONSOLE_TELL_ADD = 1,
	CONSOLE_TELL_CONSOLE = 2,
	CONSOLE_TELL_NAME = 4,
	CONSOLE_TELL_OPEN = 8,
	CONSOLE_TELL_SIZE = 16,
};

struct console_port {
	struct virtio_console *vc;
	unsigned id;
	const char *name;
	bool console;
	struct chr *chr; /* NULL: there is no such port */

	/* As the driver said, and what it shall hear. */
	bool ready;
	bool guest_open;
	uint8_t tell;

	/* Output. */
	uint64_t tx_off; /* bytes of the first chain that the back has taken */
	uint64_t
		stalled_ns; /* since when the back of a console takes nothing; 0: it does */
	bool giving_up;     /* and that was too long */
	struct reactor_timer timer;
};

struct virtio_console {
	struct virtio_device dev;
	struct reactor *r;
	struct reactor_defer publish;
	uint32_t dirty; /* a bit for each queue that has something to publish */
	unsigned nport;
	struct console_port port[CONSOLE_PORTS];
	struct virtio_queue queue[CONSOLE_QUEUES];
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	struct reactor_timer control_timer;
	uint8_t config[CONSOLE_CONFIG_LEN];
	struct {
		uint64_t in, out, dropped; /* bytes, as the guest sees it */
	} stat;
};

_Static_assert(CONSOLE_QUEUES <= 32, "dirty has a bit for each");

/* Only with this may the driver use more than the queues of port 0 (5.3.2). */
static inline bool
console_is_multiport(const struct virtio_console *vc)
{
	return virtio_has(&vc->dev, CONSOLE_F_MULTIPORT);
}

/* 5.3.2: the control queues lie behind the queues of port 0. */
static inline unsigned
console_rx_queue(const struct console_port *p)
{
	return p->id == 0 ? 0 : 2 + 2 * p->id;
}

static inline unsigned
console_tx_queue(const struct console_port *p)
{
	return console_rx_queue(p) + 1;
}

/* May chains be popped from this queue? */
static inline bool
console_queue_runs(const struct virtio_console *vc, unsigned queue)
{
	return vc->dev.live && vc->queue[queue].enabled && !vc->queue[queue].vq.broken;
}

/* As virtqueue_pop(), with the iovec that all share; a broken ring fails the device. */
bool console_pop(struct virtio_console *vc, unsigned queue, struct vq_chain *ret);

/* The queue is published when the pass of the loop ends. */
void console_mark(struct virtio_console *vc, unsigned queue);

/* The driver opened the port, or closed it. */
void console_port_opened(struct console_port *p, bool open);

/* console_control.c: what the driver sent is looked at, and what is waiting is told. */
void console_control_receive(struct virtio_console *vc);
void console_control_flush(struct virtio_console *vc);

#endif
