/* SPDX-License-Identifier: ISC */
/*
 * A virtio console with three ports under a hostile driver and backs that stall, flood
 * and go away: chains, kicks, control messages, configuration writes, resets at any
 * moment.  Afterwards a proper driver must find a device that works.
 *
 *	byte 0	bit 0 MULTIPORT, 1 INDIRECT, 2 EVENT_IDX, 3 SIZE
 *	then	steps of 4 bytes: operation, argument, 16-bit value
 */
#include <stdlib.h>
#include <string.h>

#include "chr.h"
#include "fuzz.h"
#include "memory.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"

#include "../unit/fake_driver.h"
#include "../unit/fake_reactor.c"

enum {
	RAM_LEN = 0x10000,
	QUEUES = 8,
	SIZE = 8,
	RING_STEP = 0x200, /* desc 0, avail 0x80, used 0x100 */
	AVAIL = 0x80,
	USED = 0x100,
	DATA = 0x4000,
	BACKS = 3,
	STEPS_MAX = 256,
	CTRL_TX = 3,
};

struct back {
	struct chr chr;
	size_t takes, room;
	uint64_t sum; /* so that what it is given is read */
};

static struct world {
	struct fake_reactor r;
	struct memory mem;
	uint8_t *ram;
	struct back back[BACKS];
	struct virtio_console *vc;
	struct virtio_device *dev;
	struct fake_transport t;
	uint32_t features;
} w;

static size_t
back_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct back *b = container_of(c, struct back, chr);
	size_t n = len < b->takes ? len : b->takes;

	CHECK(len > 0);
	if (c->closed)
		return len;
	for (size_t i = 0; i < n; i += 64)
		b->sum += buf[i];
	b->sum += buf[len - 1];
	b->takes -= n;
	return n;
}

static void
back_set_room(struct chr *c, size_t room)
{
	container_of(c, struct back, chr)->room = room;
}

static const struct chr_back_ops back_ops = {
	.write = back_write,
	.set_room = back_set_room,
};

static void
start_queue(unsigned q)
{
	uint32_t base = q * RING_STEP;
	const struct virtqueue_layout at = {
		.size = SIZE,
		.desc = base,
		.driver = base + AVAIL,
		.device = base + USED,
	};

	driver_enable_queue(w.dev, q, &at);
}

static void
drive(void)
{
	virtio_reset(w.dev);
	for (unsigned i = 0; i < BACKS; i++)
		CHECK(w.back[i].room == 0);
	CHECK(fake_reactor_ntimers(&w.r) == 0);
	memset(w.ram, 0, QUEUES * RING_STEP);
	driver_negotiate(w.dev, w.features);
	for (unsigned q = 0; q < QUEUES; q++)
		start_queue(q);
	virtio_set_status(w.dev, DRIVER_OK);
	CHECK(w.dev->status == DRIVER_OK);
}

static void
make(uint8_t how)
{
	static const char *const name[BACKS] = { "con", "agent", "two" };
	struct virtio_console_port port[BACKS];
	const struct virtio_console_config cfg = {
		.name = "console0",
		.port = port,
		.nport = BACKS,
	};

	memset(&w.r, 0, sizeof(w.r));
	w.r.now_ns = NSEC_PER_SEC;
	w.ram = calloc(1, RAM_LEN);
	CHECK(w.ram);
	memory_from_buffer(&w.mem, 0, w.ram, RAM_LEN);
	for (unsigned i = 0; i < BACKS; i++) {
		w.back[i] = (struct back){ .chr.back = &back_ops, .takes = 100 };
		port[i] = (struct virtio_console_port){ name[i], i != 1, &w.back[i].chr };
	}
	if (how & 8)
		w.back[0].chr.cols = w.back[0].chr.rows = 50;
	CHECK(virtio_console_new(&w.mem, fake_reactor(&w.r), &cfg, &w.vc) == 0);
	w.dev = virtio_console_device(w.vc);
	fake_transport_connect(&w.t, w.dev);
	w.features = (how & 1 ? 2 : 0) | (how & 2 ? 1u << 28 : 0) |
		     (how & 4 ? 1u << 29 : 0) | (how & 8 ? 1 : 0);
	drive();
}

static void
show(unsigned q, unsigned head)
{
	uint8_t *avail = w.ram + q * RING_STEP + AVAIL;
	uint16_t idx = le16_get(avail + 2);

	le16_put(avail + 4 + 2 * (idx % SIZE), (uint16_t)head);
	le16_put(avail + 2, (uint16_t)(idx + 1));
}

/* A descriptor that is nearly right: flags and next from the argument. */
static void
offer(uint8_t arg, uint16_t val)
{
	unsigned q = arg % QUEUES, head = val % SIZE;
	uint8_t *d = w.ram + q * RING_STEP + head * 16;

	le64_put(d, DATA + head * 0x100);
	le32_put(d + 8, val >> 3);
	le16_put(d + 12, arg >> 3 & 7);
	le16_put(d + 14, (uint16_t)((head + 1) % SIZE));
	show(q, head);
	virtio_notify(w.dev, q);
}

static void
control(uint8_t arg, uint16_t val)
{
	uint8_t *d = w.ram + CTRL_TX * RING_STEP, *msg = w.ram + DATA + 0x1000;
	unsigned head = le16_get(d + AVAIL + 2) % SIZE;

	le32_put(msg, arg);
	le16_put(msg + 4, val & 15);
	le16_put(msg + 6, val >> 8);
	le64_put(d + head * 16, DATA + 0x1000);
	le64_put(d + head * 16 + 8, 8);
	show(CTRL_TX, head);
	virtio_notify(w.dev, CTRL_TX);
}

static void
back_step(uint8_t arg, uint16_t val)
{
	struct back *b = &w.back[arg % BACKS];
	struct chr *c = &b->chr;
	uint8_t buf[256];

	switch (arg >> 4) {
	case 0:
		c->closed = !c->closed;
		c->front->changed(c->dev);
		break;
	case 1:
		c->cols = val & 0xff;
		c->rows = val >> 8;
		c->front->changed(c->dev);
		break;
	case 2:
		c->front->line_break(c->dev);
		break;
	case 3:
		b->takes = val;
		c->front->writable(c->dev);
		break;
	default:
		/* A back never gives more than it was asked for. */
		for (size_t n; b->room > 0 && val > 0; val = (uint16_t)(val - n)) {
			n = val < sizeof(buf) ? val : sizeof(buf);
			n = n < b->room ? n : b->room;
			b->room -= n;
			memset(buf, arg, n);
			c->front->input(c->dev, buf, n);
		}
		break;
	}
}

static void
step(const uint8_t op[4])
{
	uint8_t arg = op[1];
	uint16_t val = le16_get(op + 2);

	switch (op[0] % 9) {
	case 0:
		offer(arg, val);
		break;
	case 1:
		control(arg, val);
		break;
	case 2:
	case 3:
		back_step(arg, val);
		break;
	case 4:
		virtio_config_write(w.dev, arg % 16, val % 8 + 1, val * 0x1000193ull);
		break;
	case 5:
		fake_reactor_deferred(&w.r);
		fake_reactor_advance(&w.r, val * 100000ull);
		break;
	case 6: /* anything, anywhere in the rings */
		le16_put(w.ram + (arg * 16u + val % 16) % (QUEUES * RING_STEP), val);
		virtio_notify(w.dev, arg / 2 % QUEUES);
		break;
	case 7:
		virtio_queue_reset(w.dev, arg % QUEUES);
		if (val & 1)
			start_queue(arg % QUEUES);
		break;
	default:
		if (arg < 16)
			drive();
		else
			virtio_set_status(w.dev, arg);
		break;
	}
	CHECK(fake_reactor_ntimers(&w.r) <= BACKS + 1);
}

/* What it wrote before comes out, whatever happened. */
static void
works(void)
{
	struct back *b = &w.back[0];

	w.features = 0;
	b->chr.closed = false;
	b->takes = SIZE_MAX;
	b->chr.front->writable(b->chr.dev);
	drive();
	b->takes = 100;
	le64_put(w.ram + RING_STEP, DATA);
	le64_put(w.ram + RING_STEP + 8, 7);
	show(1, 0);
	virtio_notify(w.dev, 1);
	CHECK(b->takes == 93);
	CHECK(le16_get(w.ram + RING_STEP + USED + 2) == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	log_set_level(LOG_ERROR);
	make(data[0]);
	data++;
	size--;
	for (unsigned i = 0; size >= 4 && i < STEPS_MAX; i++, data += 4, size -= 4)
		step(data);
	works();
	virtio_disconnect(w.dev);
	CHECK(!w.r.deferred);
	virtio_console_free(w.vc);
	for (unsigned i = 0; i < BACKS; i++)
		CHECK(!w.back[i].chr.front && w.back[i].room == 0);
	free(w.ram);
	return 0;
}
