/* SPDX-License-Identifier: ISC */
/*
 * The control queues of a virtio console (virtio 1.2, 5.3.6.2): which ports there are,
 * what they are called, and who has opened them.
 *
 * What is to be told is derived from the state of the port when a buffer for it is there:
 * a bit is all that waits, however often the state changes meanwhile.
 */
#include <assert.h>

#include "chr.h"
#include "util.h"
#include "virtio_console.h"

enum event {
	DEVICE_READY = 0,
	PORT_ADD = 1,
	PORT_READY = 3,
	CONSOLE_PORT = 4,
	RESIZE = 5,
	PORT_OPEN = 6,
	PORT_NAME = 7,
};

enum {
	MESSAGE_LEN = 8, /* le32 id, le16 event, le16 value */
	MESSAGE_MAX = MESSAGE_LEN + VIRTIO_CONSOLE_NAME_MAX,
	MESSAGES_PASS = CONSOLE_QUEUE_SIZE,
};

/* ---- to the driver ---- */

struct message {
	uint8_t buf[MESSAGE_MAX];
	unsigned len;
};

static void
put_header(struct message *m, const struct console_port *p, enum event event,
	   unsigned value)
{
	le32_put(m->buf, p->id);
	le16_put(m->buf + 4, (uint16_t)event);
	le16_put(m->buf + 6, (uint16_t)value);
	m->len = MESSAGE_LEN;
}

static void
put_add(struct message *m, const struct console_port *p)
{
	put_header(m, p, PORT_ADD, 1);
}

static void
put_console(struct message *m, const struct console_port *p)
{
	put_header(m, p, CONSOLE_PORT, 1);
}

static void
put_name(struct message *m, const struct console_port *p)
{
	size_t len = strlen(p->name);

	assert(len <= VIRTIO_CONSOLE_NAME_MAX);
	put_header(m, p, PORT_NAME, 1);
	memcpy(m->buf + MESSAGE_LEN, p->name, len);
	m->len += (unsigned)len;
}

/* Consoles are always open: what is written while nobody is there is lost. */
static void
put_open(struct message *m, const struct console_port *p)
{
	put_header(m, p, PORT_OPEN, p->console || !p->chr->closed);
}

/*
 * The specification has columns first.  Linux reads rows first, from the first version
 * that knew the message on, and so does what other monitors send.
 */
static void
put_size(struct message *m, const struct console_port *p)
{
	put_header(m, p, RESIZE, 1);
	le16_put(m->buf + MESSAGE_LEN, p->chr->rows);
	le16_put(m->buf + MESSAGE_LEN + 2, p->chr->cols);
	m->len += 4;
}

/* In the order in which they are sent. */
static const struct {
	uint8_t bit;
	void (*put)(struct message *m, const struct console_port *p);
} tell_table[] = {
	{ CONSOLE_TELL_ADD, put_add },   { CONSOLE_TELL_CONSOLE, put_console },
	{ CONSOLE_TELL_NAME, put_name }, { CONSOLE_TELL_OPEN, put_open },
	{ CONSOLE_TELL_SIZE, put_size },
};

/* False: there is no buffer left.  Those that are too short are given back empty. */
static bool
send(struct virtio_console *vc, const struct message *m)
{
	struct virtqueue *vq = &vc->queue[CONSOLE_CONTROL_RX].vq;
	struct vq_chain c;

	for (unsigned i = 0; i < MESSAGES_PASS; i++) {
		if (!console_pop(vc, CONSOLE_CONTROL_RX, &c))
			return false;
		console_mark(vc, CONSOLE_CONTROL_RX);
		if (c.write_len >= m->len) {
			vq_chain_write(&c, 0, m->buf, m->len);
			virtqueue_push(vq, c.head, m->len);
			return true;
		}
		virtqueue_push(vq, c.head, 0);
	}
	return false;
}

static bool
tell(struct console_port *p)
{
	struct message m;

	for (unsigned i = 0; i < ARRAY_SIZE(tell_table); i++) {
		if (!(p->tell & tell_table[i].bit))
			continue;
		tell_table[i].put(&m, p);
		if (!send(p->vc, &m))
			return false;
		p->tell &= (uint8_t)~tell_table[i].bit;
	}
	return true;
}

void
console_control_flush(struct virtio_console *vc)
{
	if (!console_is_multiport(vc))
		return;
	for (unsigned i = 0; i < vc->nport; i++)
		if (!tell(&vc->port[i]))
			return;
}

/* ---- from the driver ---- */

/* It is there, and wants to know the ports. */
static void
device_ready(struct virtio_console *vc, unsigned value)
{
	for (unsigned i = 0; value == 1 && i < vc->nport; i++)
		if (vc->port[i].chr)
			vc->port[i].tell |= CONSOLE_TELL_ADD;
}

/* It has made what it needs for the port; 0: it could not. */
static void
port_ready(struct console_port *p, unsigned value)
{
	p->ready = value == 1;
	p->tell = 0;
	if (!p->ready)
		return;
	p->tell = CONSOLE_TELL_NAME;
	if (p->console)
		p->tell |= CONSOLE_TELL_CONSOLE;
	if (p->console || !p->chr->closed)
		p->tell |= CONSOLE_TELL_OPEN;
	if (p->console && p->chr->cols != 0)
		p->tell |= CONSOLE_TELL_SIZE;
}

static void
port_open(struct console_port *p, unsigned value)
{
	console_port_opened(p, value == 1);
}

static const struct {
	enum event event;
	void (*handle)(struct console_port *p, unsigned value);
} event_table[] = {
	{ PORT_READY, port_ready },
	{ PORT_OPEN, port_open },
};

static void
handle(struct virtio_console *vc, uint32_t id, unsigned event, unsigned value)
{
	if (event == DEVICE_READY) {
		device_ready(vc, value);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(event_table); i++)
		if (event_table[i].event == event && id < vc->nport && vc->port[id].chr) {
			event_table[i].handle(&vc->port[id], value);
			return;
		}
	log_guest(&vc->dev.log, vc->dev.name, "control message %u for port %u ignored",
		  event, id);
}

static void
receive_timer(struct reactor_timer *t)
{
	console_control_receive(container_of(t, struct virtio_console, control_timer));
}

void
console_control_receive(struct virtio_console *vc)
{
	uint8_t buf[MESSAGE_LEN];
	unsigned left = MESSAGES_PASS;
	struct vq_chain c;

	if (!console_is_multiport(vc))
		return;
	for (; left > 0 && console_pop(vc, CONSOLE_CONTROL_TX, &c); left--) {
		if (vq_chain_read(&c, 0, buf, sizeof(buf)) == sizeof(buf))
			handle(vc, le32_get(buf), le16_get(buf + 4), le16_get(buf + 6));
		virtqueue_push(&vc->queue[CONSOLE_CONTROL_TX].vq, c.head, 0);
		console_mark(vc, CONSOLE_CONTROL_TX);
	}
	/* Who sends without end has to wait for the others. */
	if (left == 0) {
		vc->control_timer.cb = receive_timer;
		reactor_timer_set(vc->r, &vc->control_timer, 0);
	}
	console_control_flush(vc);
}
