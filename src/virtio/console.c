/* SPDX-License-Identifier: ISC */
/*
 * virtio-console (virtio 1.2, section 5.3): streams of bytes, each with a queue for
 * either direction, between the driver and the backs of chr.h.
 *
 * Nothing is buffered here.  Output stays in the ring until the back takes it, input on
 * the host until the driver has a buffer for it: the room that the back is told is that
 * of the next buffer.  So a port that nobody reads stops itself and nothing else.
 *
 * Consoles are different: Linux writes to them with a spinlock held and waits, spinning,
 * until the buffer comes back (put_chars() of its virtio_console.c).  If the back takes
 * nothing for HOLD_NS, what is written to it is lost, and counted, until it does again.
 *
 * A device with one port, a console, has no control queues: less for the driver to do
 * before the first byte, and its size is in the configuration space.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "chr.h"
#include "util.h"
#include "virtio_console.h"

enum {
	CONSOLE_ID = 3,
	CONSOLE_LEGACY_PCI_ID = 0x1003,
	CONSOLE_PCI_CLASS = 0x078000, /* simple communication controller, other */
	CONFIG_COLS = 0,              /* le16 each */
	CONFIG_ROWS = 2,
	CONFIG_MAX_NR_PORTS = 4, /* le32 */
	CONFIG_EMERG_WR = 8,
	PASS_MAX = 256 * 1024, /* bytes of one port before others have their turn */
	HOLD_NS = 100000000,
	SYSRQ = 0x0f, /* what Linux takes for a break on hvc */
};

static struct virtio_console *
of_device(struct virtio_device *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

bool
console_pop(struct virtio_console *vc, unsigned queue, struct vq_chain *ret)
{
	*ret = (struct vq_chain){ .iov = vc->iov, .iov_max = CONSOLE_QUEUE_SIZE };
	if (!console_queue_runs(vc, queue))
		return false;
	int n = virtqueue_pop(&vc->queue[queue].vq, ret);
	if (n < 0)
		virtio_fail(&vc->dev, "queue %u is broken", queue);
	return n == 1;
}

/* ---- publishing, once for all that a pass of the loop has brought ---- */

void
console_mark(struct virtio_console *vc, unsigned queue)
{
	vc->dirty |= UINT32_C(1) << queue;
	reactor_defer(vc->r, &vc->publish);
}

static void
publish_all(struct virtio_console *vc)
{
	for (unsigned i = 0; vc->dirty != 0; i++, vc->dirty >>= 1)
		if (vc->dirty & 1)
			virtio_publish(&vc->dev, i);
}

static void
publish_cb(struct reactor_defer *d)
{
	publish_all(container_of(d, struct virtio_console, publish));
}

/* ---- input ---- */

static bool
guest_listens(const struct console_port *p)
{
	return console_queue_runs(p->vc, console_rx_queue(p)) &&
	       (!console_is_multiport(p->vc) || p->guest_open);
}

/* The next buffer that has any room, which stays in the ring. */
static size_t
rx_room(struct console_port *p)
{
	unsigned queue = console_rx_queue(p);
	struct vq_chain c;

	for (unsigned i = 0; i < CONSOLE_QUEUE_SIZE; i++) {
		if (!console_pop(p->vc, queue, &c))
			return 0;
		if (c.write_len > 0) {
			virtqueue_unpop(&p->vc->queue[queue].vq, &c);
			return (size_t)c.write_len;
		}
		virtqueue_push(&p->vc->queue[queue].vq, c.head, 0);
		console_mark(p->vc, queue);
	}
	return 0;
}

static void
announce(struct console_port *p)
{
	size_t room = guest_listens(p) ? rx_room(p) : 0;

	if (p->chr)
		p->chr->back->set_room(p->chr, room);
}

/* More than one buffer is used only if the driver changed what it had offered. */
static void
front_input(void *dev, const uint8_t *buf, size_t len)
{
	struct console_port *p = dev;
	unsigned queue = console_rx_queue(p);
	struct vq_chain c;

	for (unsigned i = 0; i < CONSOLE_QUEUE_SIZE && len > 0 && guest_listens(p); i++) {
		if (!console_pop(p->vc, queue, &c))
			break;
		size_t n = vq_chain_write(&c, 0, buf, len);
		virtqueue_push(&p->vc->queue[queue].vq, c.head, (uint32_t)n);
		p->vc->stat.in += n;
		buf += n;
		len -= n;
	}
	console_mark(p->vc, queue);
	announce(p);
}

/* There is no such thing as a break in virtio. */
static void
front_line_break(void *dev)
{
	static const uint8_t sysrq = SYSRQ;

	if (((struct console_port *)dev)->console)
		front_input(dev, &sysrq, 1);
}

/* ---- output ---- */

/* Offers the back what it has not taken of the chain yet, max bytes at most. */
static uint64_t
tx_offer(struct console_port *p, const struct vq_chain *c, uint64_t max)
{
	uint64_t off = p->tx_off, done = 0;

	for (unsigned i = 0; i < c->nread && done < max; i++) {
		if (off >= c->iov[i].iov_len) {
			off -= c->iov[i].iov_len;
			continue;
		}
		const uint8_t *at = (const uint8_t *)c->iov[i].iov_base + off;
		uint64_t n = c->iov[i].iov_len - off;
		n = n < max - done ? n : max - done;
		size_t took =
			p->chr ? p->chr->back->write(p->chr, at, (size_t)n) : (size_t)n;
		done += took;
		off = 0;
		if (took < n)
			break;
	}
	return done;
}

/* The back did not take all. Is it waited for? */
static bool
tx_waits(struct console_port *p, bool progress)
{
	uint64_t now = reactor_now_ns(p->vc->r);

	if (!p->console)
		return true; /* writable() comes */
	if (p->giving_up)
		return false;
	if (p->stalled_ns == 0 || progress)
		p->stalled_ns = now;
	p->giving_up = now - p->stalled_ns >= HOLD_NS;
	if (!p->giving_up)
		reactor_timer_set(p->vc->r, &p->timer, p->stalled_ns + HOLD_NS);
	return !p->giving_up;
}

/* What is left of one pass over a queue. */
struct pass {
	uint64_t bytes;
	unsigned chains; /* buffers of no length cost no bytes */
};

/* One buffer. False: there is none, or it has to wait. */
static bool
tx_one(struct console_port *p, struct pass *left)
{
	struct virtqueue *vq = &p->vc->queue[console_tx_queue(p)].vq;
	struct vq_chain c;

	if (!console_pop(p->vc, console_tx_queue(p), &c))
		return false;
	uint64_t n = left->chains > 0 ? tx_offer(p, &c, left->bytes) : 0;
	p->tx_off += n;
	left->bytes -= n;
	p->vc->stat.out += n;

	bool rest = p->tx_off < c.read_len;
	if (left->chains == 0 || (rest && left->bytes == 0)) {
		virtqueue_unpop(vq, &c);
		reactor_timer_set(p->vc->r, &p->timer, 0);
		return false;
	}
	if (rest && tx_waits(p, n > 0)) {
		virtqueue_unpop(vq, &c);
		return false;
	}
	if (rest)
		p->vc->stat.dropped += c.read_len - p->tx_off;
	p->tx_off = 0;
	left->chains--;
	virtqueue_push(vq, c.head, 0);
	return true;
}

static void
tx_serve(struct console_port *p)
{
	struct pass left = { .bytes = PASS_MAX, .chains = CONSOLE_QUEUE_SIZE };

	while (tx_one(p, &left))
		;
	virtio_publish(&p->vc->dev, console_tx_queue(p));
}

static void
tx_timer(struct reactor_timer *t)
{
	tx_serve(container_of(t, struct console_port, timer));
}

static void
tx_forget(struct console_port *p)
{
	reactor_timer_cancel(p->vc->r, &p->timer);
	p->tx_off = 0;
	p->stalled_ns = 0;
}

static void
front_writable(void *dev)
{
	struct console_port *p = dev;

	reactor_timer_cancel(p->vc->r, &p->timer);
	p->stalled_ns = 0;
	p->giving_up = false;
	if (console_queue_runs(p->vc, console_tx_queue(p)))
		tx_serve(p);
}

/* ---- the other end ---- */

/* The size of the first console, for drivers without control queues. */
static bool
put_size(struct virtio_console *vc, uint8_t size[4])
{
	const struct chr *chr = vc->port[0].chr;

	le16_put(size + CONFIG_COLS, chr ? chr->cols : 0);
	le16_put(size + CONFIG_ROWS, chr ? chr->rows : 0);
	return memcmp(size, vc->config, 4) != 0;
}

static void
front_changed(void *dev)
{
	struct console_port *p = dev;
	struct virtio_console *vc = p->vc;
	uint8_t size[4];

	if ((vc->dev.offered & CONSOLE_F_SIZE) && put_size(vc, size))
		virtio_config_change(&vc->dev, CONFIG_COLS, size, sizeof(size));
	if (!p->ready)
		return;
	p->tell |= p->console ? CONSOLE_TELL_SIZE : CONSOLE_TELL_OPEN;
	console_control_flush(vc);
}

void
console_port_opened(struct console_port *p, bool open)
{
	p->guest_open = open;
	announce(p);
}

static const struct chr_front_ops front_ops = {
	.input = front_input,
	.writable = front_writable,
	.line_break = front_line_break,
	.changed = front_changed,
};

/* ---- the type ---- */

/* The port that a queue belongs to; NULL: a control queue, or one the driver may not use. */
static struct console_port *
port_of_queue(struct virtio_console *vc, unsigned queue)
{
	if (queue < CONSOLE_CONTROL_RX)
		return &vc->port[0];
	if (queue <= CONSOLE_CONTROL_TX || !console_is_multiport(vc))
		return NULL;
	return &vc->port[queue / 2 - 1];
}

static void
queue_notify(struct virtio_device *dev, unsigned queue)
{
	struct virtio_console *vc = of_device(dev);
	struct console_port *p = port_of_queue(vc, queue);

	if (p && queue == console_rx_queue(p))
		announce(p);
	else if (p)
		tx_serve(p);
	else if (queue == CONSOLE_CONTROL_RX)
		console_control_flush(vc);
	else if (queue == CONSOLE_CONTROL_TX)
		console_control_receive(vc);
}

/* Linux looks at the size only when it is told that it changed. */
static int
start(struct virtio_device *dev)
{
	if (virtio_has(dev, CONSOLE_F_SIZE) && !console_is_multiport(of_device(dev)))
		virtio_config_change(dev, CONFIG_COLS, dev->config, 4);
	return 0;
}

/* Bytes are copied within one call: nothing is ever in flight. */
static void
stop(struct virtio_device *dev)
{
	struct virtio_console *vc = of_device(dev);

	reactor_timer_cancel(vc->r, &vc->control_timer);
	reactor_defer_cancel(vc->r, &vc->publish);
	publish_all(vc);
	for (unsigned i = 0; i < vc->nport; i++) {
		struct console_port *p = &vc->port[i];

		p->ready = false;
		p->guest_open = false;
		p->tell = 0;
		tx_forget(p);
		if (p->chr)
			p->chr->back->set_room(p->chr, 0);
	}
}

static void
queue_stop(struct virtio_device *dev, unsigned queue)
{
	struct virtio_console *vc = of_device(dev);
	struct console_port *p = port_of_queue(vc, queue);

	publish_all(vc);
	if (p && queue == console_tx_queue(p))
		tx_forget(p);
	else if (p && p->chr)
		p->chr->back->set_room(p->chr, 0);
}

/* 5.3.4: a character for whoever listens, at any time, even before the driver is ready. */
static void
config_write(struct virtio_device *dev, unsigned off, unsigned len, uint32_t val)
{
	struct virtio_console *vc = of_device(dev);
	const uint8_t byte = (uint8_t)val;

	(void)len;
	if (off != CONFIG_EMERG_WR || !vc->port[0].chr)
		return;
	if (vc->port[0].chr->back->write(vc->port[0].chr, &byte, 1) == 1)
		vc->stat.out++;
	else
		vc->stat.dropped++;
}

#define COUNTER(member) offsetof(struct virtio_console, stat.member)
static const struct virtio_counter counters[] = {
	{ "bytes_in", COUNTER(in) },
	{ "bytes_out", COUNTER(out) },
	{ "bytes_dropped", COUNTER(dropped) },
	{ NULL, 0 },
};

static const struct virtio_type console_type = {
	.name = "console",
	.id = CONSOLE_ID,
	.legacy_pci_id = CONSOLE_LEGACY_PCI_ID,
	.pci_class = CONSOLE_PCI_CLASS,
	.counter = counters,
	.start = start,
	.stop = stop,
	.queue_stop = queue_stop,
	.queue_notify = queue_notify,
	.config_write = config_write,
};

/* ---- life ---- */

static void
add_port(struct virtio_console *vc, const struct virtio_console_port *port)
{
	struct console_port *p = &vc->port[vc->nport++];

	p->name = port->name;
	p->console = port->console;
	p->chr = port->chr;
	p->chr->dev = p;
	p->chr->front = &front_ops;
}

/* Consoles come first.  Port 0 is never anything else: a driver without MULTIPORT takes
 * it for one. */
static void
add_ports(struct virtio_console *vc, const struct virtio_console_config *cfg)
{
	for (unsigned i = 0; i < CONSOLE_PORTS; i++) {
		vc->port[i].vc = vc;
		vc->port[i].id = i;
		vc->port[i].timer.cb = tx_timer;
	}
	for (unsigned i = 0; i < cfg->nport; i++)
		if (cfg->port[i].console)
			add_port(vc, &cfg->port[i]);
	if (vc->nport == 0)
		vc->nport = 1;
	for (unsigned i = 0; i < cfg->nport; i++)
		if (!cfg->port[i].console)
			add_port(vc, &cfg->port[i]);
}

static uint64_t
features_of(const struct virtio_console *vc)
{
	uint64_t features = CONSOLE_F_EMERG_WRITE;

	if (vc->nport > 1)
		features |= CONSOLE_F_MULTIPORT;
	if (vc->port[0].chr && vc->port[0].chr->cols != 0)
		features |= CONSOLE_F_SIZE;
	return features;
}

int
virtio_console_new(const struct memory *mem, struct reactor *r,
		   const struct virtio_console_config *cfg, struct virtio_console **ret)
{
	struct virtio_console *vc = calloc(1, sizeof(*vc));

	if (!vc)
		return -ENOMEM;
	assert(cfg->nport >= 1 && cfg->nport <= VIRTIO_CONSOLE_PORTS_MAX);
	vc->r = r;
	vc->publish.cb = publish_cb;
	add_ports(vc, cfg);
	put_size(vc, vc->config);
	le32_put(vc->config + CONFIG_MAX_NR_PORTS, vc->nport);
	for (unsigned i = 0; i < CONSOLE_QUEUES; i++)
		vc->queue[i].size_max = CONSOLE_QUEUE_SIZE;

	const struct virtio_desc desc = {
		.type = &console_type,
		.name = cfg->name,
		.mem = mem,
		.features = features_of(vc),
		.queue = vc->queue,
		.nqueue = vc->nport > 1 ? 2 * (vc->nport + 1) : 2,
		.config = vc->config,
		.config_len = CONSOLE_CONFIG_LEN,
	};
	virtio_device_init(&vc->dev, &desc);
	*ret = vc;
	return 0;
}

struct virtio_device *
virtio_console_device(struct virtio_console *vc)
{
	return &vc->dev;
}

void
virtio_console_free(struct virtio_console *vc)
{
	if (!vc)
		return;
	for (unsigned i = 0; i < vc->nport; i++)
		if (vc->port[i].chr)
			chr_release(vc->port[i].chr);
	free(vc);
}
