/* SPDX-License-Identifier: ISC */
/* The model, with a driver, backs and a clock made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "chr.h"
#include "fake_driver.h"
#include "fake_reactor.h"
#include "fake_ring.h"
#include "virtio.h"
#include "virtio_dev.h"

/* Ports: 0 is the console "con", 1 the console "two", 2 the port "agent". */
enum {
	SIZE = 64,
	TWO = 1,
	AGENT = 2,
	RX0 = 0,
	TX0 = 1,
	CTRL_RX = 2,
	CTRL_TX = 3,
	RX1 = 4,
	TX1 = 5,
	RX2 = 6,
	TX2 = 7,
	QUEUES = 8,
	F_SIZE = 1,
	F_MULTIPORT = 2,
	F_EMERG = 4,
	DEVICE_READY = 0,
	PORT_ADD = 1,
	PORT_READY = 3,
	CONSOLE_PORT = 4,
	RESIZE = 5,
	PORT_OPEN = 6,
	PORT_NAME = 7,
	MS = 1000000,
	HOLD = 100 * MS,
};

/* A back that takes what the test allows. */
struct back {
	struct chr chr;
	size_t takes; /* bytes from now on */
	size_t room;
	uint8_t out[1 << 20];
	size_t nout;
	unsigned calls;
};

struct fix {
	struct fake_ram ram;
	struct fake_reactor r;
	struct fake_ring ring[QUEUES];
	struct virtio_console *vc;
	struct virtio_device *dev;
	struct fake_transport t;
	struct back back[3];
	unsigned nport;
	uint16_t told; /* messages looked at */
};

static size_t
back_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct back *b = container_of(c, struct back, chr);
	size_t n = len < b->takes ? len : b->takes;

	b->calls++;
	if (c->closed)
		return len;
	assert_true(b->nout + n <= sizeof(b->out));
	memcpy(b->out + b->nout, buf, n);
	b->nout += n;
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

/* ---- a driver ---- */

static void
start_queue(struct fix *x, unsigned q)
{
	ring_init(&x->ring[q], &x->ram, 0, SIZE);
	/* Close together: there are many. */
	uint64_t base = RING_GPA + q * 0x800;
	x->ring[q].at.desc = base;
	x->ring[q].at.driver = base + 16 * SIZE;
	x->ring[q].at.device = align_up(base + 16 * SIZE + 6 + 2 * SIZE, 4);
	memset(ram_at(&x->ram, base), 0, 0x800);
	driver_enable_queue(x->dev, q, &x->ring[q].at);
}

static void
drive(struct fix *x, uint32_t features)
{
	unsigned n = features & F_MULTIPORT ? x->dev->nqueue : 2;

	driver_negotiate(x->dev, features);
	for (unsigned q = 0; q < n; q++)
		start_queue(x, q);
	virtio_set_status(x->dev, DRIVER_OK);
	assert_int_equal(x->dev->status, DRIVER_OK);
	x->told = 0;
}

static void
make(struct fix *x, const char *const *names, const char *types)
{
	struct virtio_console_port port[3];
	struct virtio_console_config cfg = { .name = "console0", .port = port };

	for (; cfg.nport < 3 && types[cfg.nport]; cfg.nport++) {
		struct back *b = &x->back[cfg.nport];

		b->chr.back = &back_ops;
		b->takes = SIZE_MAX;
		port[cfg.nport] = (struct virtio_console_port){
			.name = names[cfg.nport],
			.console = types[cfg.nport] == 'c',
			.chr = &b->chr,
		};
	}
	x->nport = cfg.nport;
	assert_int_equal(virtio_console_new(&x->ram.mem, fake_reactor(&x->r), &cfg,
					    &x->vc),
			 0);
	x->dev = virtio_console_device(x->vc);
	fake_transport_connect(&x->t, x->dev);
}

/* One console: no control queues. */
static void
make_single(struct fix *x)
{
	make(x, (const char *const[]){ "con" }, "c");
	drive(x, 0);
}

/* back[] is in the order of the configuration: the agent is the second there. */
static void
make_multi(struct fix *x)
{
	make(x, (const char *const[]){ "con", "agent", "two" }, "cpc");
	drive(x, F_MULTIPORT);
}

static struct back *
back_of(struct fix *x, unsigned id)
{
	static const unsigned order[] = { 0, 2, 1 };

	return &x->back[order[id]];
}

static void
offer(struct fix *x, unsigned q, unsigned head, uint64_t gpa, uint32_t len)
{
	bool write = q == CTRL_RX || (q % 2 == 0);

	ring_desc(&x->ring[q], head, gpa, len, write ? F_WRITE : 0, 0);
	ring_offer(&x->ring[q], head);
	virtio_notify(x->dev, q);
}

static void
control(struct fix *x, uint32_t id, unsigned event, unsigned value)
{
	struct fake_ring *ring = &x->ring[CTRL_TX];
	uint8_t *p = ram_at(&x->ram, DATA_GPA + 0x8000);

	le32_put(p, id);
	le16_put(p + 4, (uint16_t)event);
	le16_put(p + 6, (uint16_t)value);
	offer(x, CTRL_TX, ring->avail_idx % SIZE, DATA_GPA + 0x8000, 8);
}

/* Gives the device n buffers for messages, each with a page of its own. */
static void
offer_control(struct fix *x, unsigned n)
{
	for (; n > 0; n--) {
		unsigned head = x->ring[CTRL_RX].avail_idx % SIZE;

		offer(x, CTRL_RX, head, DATA_GPA + 0x9000 + head * 64, 64);
	}
}

/* The next message must be this one. */
static const uint8_t *
told(struct fix *x, uint32_t id, unsigned event, unsigned value, unsigned len)
{
	struct fake_ring *ring = &x->ring[CTRL_RX];
	const uint8_t *p;

	fake_reactor_deferred(&x->r);
	assert_true((int16_t)(ring_used_idx(ring) - x->told) > 0);
	assert_int_equal(ring_used_len(ring, x->told), 8 + len);
	p = ram_at(&x->ram, DATA_GPA + 0x9000 + ring_used_id(ring, x->told) * 64);
	assert_int_equal(le32_get(p), id);
	assert_int_equal(le16_get(p + 4), event);
	assert_int_equal(le16_get(p + 6), value);
	x->told++;
	return p + 8;
}

static void
told_nothing(struct fix *x)
{
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(&x->ring[CTRL_RX]), x->told);
}

/* As Linux does: all ports are made and opened. */
static void
greet(struct fix *x)
{
	offer_control(x, SIZE);
	control(x, 0, DEVICE_READY, 1);
	for (unsigned i = 0; i < x->dev->nqueue / 2 - 1; i++)
		told(x, i, PORT_ADD, 1, 0);
	for (unsigned i = 0; i < x->dev->nqueue / 2 - 1; i++) {
		control(x, i, PORT_READY, 1);
		control(x, i, PORT_OPEN, 1);
	}
	fake_reactor_deferred(&x->r);
	x->told = ring_used_idx(&x->ring[CTRL_RX]);
	offer_control(x, 8);
}

static void
write_out(struct fix *x, unsigned q, unsigned head, const char *text)
{
	memcpy(ram_at(&x->ram, DATA_GPA + head * 64), text, strlen(text));
	offer(x, q, head, DATA_GPA + head * 64, (uint32_t)strlen(text));
}

static void
input(struct back *b, const char *text, size_t len)
{
	assert_true(len <= b->room);
	b->room -= len;
	b->chr.front->input(b->chr.dev, (const uint8_t *)text, len);
}

static void
went_out(struct back *b, const char *text)
{
	assert_int_equal(b->nout, strlen(text));
	assert_memory_equal(b->out, text, strlen(text));
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	x->r.now_ns = 1000000000;
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	virtio_disconnect(x->dev);
	for (unsigned i = 0; i < x->nport; i++)
		assert_int_equal(x->back[i].room, 0);
	assert_null(x->r.deferred);
	virtio_console_free(x->vc);
	for (unsigned i = 0; i < x->nport; i++)
		assert_null(x->back[i].chr.front);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

/* ---- one console ---- */

static void
one_console_has_two_queues_and_no_control(void **state)
{
	struct fix *x = *state;

	make_single(x);
	assert_int_equal(x->dev->nqueue, 2);
	assert_int_equal(virtio_features_offered(x->dev, 0) & 7, F_EMERG);
}

static void
output_reaches_the_back_and_the_buffer_comes_back(void **state)
{
	struct fix *x = *state;

	make_single(x);
	write_out(x, TX0, 3, "hello");
	went_out(&x->back[0], "hello");
	assert_int_equal(ring_used_id(&x->ring[TX0], 0), 3);
	assert_int_equal(ring_used_len(&x->ring[TX0], 0), 0);
	assert_int_equal(x->t.irqs[TX0], 1);
}

static void
pieces_go_out_in_order_and_writable_ones_are_left_alone(void **state)
{
	struct fix *x = *state;

	make_single(x);
	memcpy(ram_at(&x->ram, DATA_GPA), "abcdef", 6);
	ring_desc(&x->ring[TX0], 0, DATA_GPA + 3, 3, F_NEXT, 1);
	ring_desc(&x->ring[TX0], 1, DATA_GPA, 3, F_NEXT, 2);
	ring_desc(&x->ring[TX0], 2, DATA_GPA, 3, F_WRITE, 0);
	ring_offer(&x->ring[TX0], 0);
	virtio_notify(x->dev, TX0);
	went_out(&x->back[0], "defabc");
	assert_memory_equal(ram_at(&x->ram, DATA_GPA), "abcdef", 6);
}

static void
input_is_asked_for_only_while_the_driver_has_buffers(void **state)
{
	struct fix *x = *state;
	struct back *b = &x->back[0];

	make_single(x);
	assert_int_equal(b->room, 0);
	offer(x, RX0, 0, DATA_GPA, 8);
	assert_int_equal(b->room, 8);
	offer(x, RX0, 1, DATA_GPA + 64, 32);
	assert_int_equal(b->room, 8);
	input(b, "12345678", 8);
	assert_int_equal(b->room, 32);
	input(b, "9", 1);
	assert_int_equal(b->room, 0);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(&x->ring[RX0]), 2);
	assert_int_equal(ring_used_len(&x->ring[RX0], 0), 8);
	assert_int_equal(ring_used_len(&x->ring[RX0], 1), 1);
	assert_memory_equal(ram_at(&x->ram, DATA_GPA), "12345678", 8);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA + 64), '9');
	/* one interrupt for all of it */
	assert_int_equal(x->t.irqs[RX0], 1);
}

static void
buffers_without_room_are_given_back(void **state)
{
	struct fix *x = *state;

	make_single(x);
	offer(x, RX0, 0, DATA_GPA, 0);
	offer(x, RX0, 1, DATA_GPA, 4);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(&x->ring[RX0]), 1);
	assert_int_equal(x->back[0].room, 4);
}

/* The buffer has shrunk since it was announced: the rest goes into the next, or nowhere. */
static void
a_buffer_that_changes_after_it_was_announced_overruns_nothing(void **state)
{
	struct fix *x = *state;

	make_single(x);
	offer(x, RX0, 0, DATA_GPA, 64);
	offer(x, RX0, 1, DATA_GPA + 64, 4);
	ring_desc(&x->ring[RX0], 0, DATA_GPA, 2, F_WRITE, 0);
	input(&x->back[0], "0123456789", 10);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_len(&x->ring[RX0], 0), 2);
	assert_int_equal(ring_used_len(&x->ring[RX0], 1), 4);
	assert_memory_equal(ram_at(&x->ram, DATA_GPA), "01\0", 3);
	assert_memory_equal(ram_at(&x->ram, DATA_GPA + 64), "2345\0", 5);
}

/* Linux waits for the buffer with a lock held: 100 ms, once. */
static void
a_console_nobody_reads_is_waited_for_once_and_then_loses_output(void **state)
{
	struct fix *x = *state;
	struct back *b = &x->back[0];

	make_single(x);
	b->takes = 2;
	write_out(x, TX0, 0, "abcd");
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 0);
	fake_reactor_advance(&x->r, HOLD - 1);
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 0);
	fake_reactor_advance(&x->r, 1);
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 1);
	write_out(x, TX0, 1, "lost");
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 2);
	b->takes = SIZE_MAX;
	b->chr.front->writable(b->chr.dev);
	write_out(x, TX0, 2, "ef");
	went_out(b, "abef");
}

static void
a_slow_reader_of_a_console_loses_nothing(void **state)
{
	struct fix *x = *state;
	struct back *b = &x->back[0];

	make_single(x);
	b->takes = 1;
	write_out(x, TX0, 0, "abcdef");
	for (unsigned i = 0; i < 5; i++) {
		fake_reactor_advance(&x->r, HOLD - 1);
		b->takes = 1;
		b->chr.front->writable(b->chr.dev);
	}
	went_out(b, "abcdef");
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 1);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
}

static void
one_pass_is_bounded_and_the_rest_follows(void **state)
{
	struct fix *x = *state;
	struct back *b = &x->back[0];

	make_single(x);
	for (unsigned i = 0; i < 6; i++) {
		ring_desc(&x->ring[TX0], i, DATA_GPA, 0x10000, 0, 0);
		ring_put(&x->ring[TX0], i);
	}
	ring_show(&x->ring[TX0]);
	virtio_notify(x->dev, TX0);
	assert_int_equal(b->nout, 256 * 1024);
	fake_reactor_advance(&x->r, 0);
	assert_int_equal(b->nout, 6 * 0x10000);
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 6);
}

static void
a_character_in_an_emergency_needs_no_driver(void **state)
{
	struct fix *x = *state;

	make(x, (const char *const[]){ "con" }, "c");
	virtio_config_write(x->dev, 8, 4, '!');
	virtio_config_write(x->dev, 8, 1, '?');
	virtio_config_write(x->dev, 0, 4, 'n');
	virtio_config_write(x->dev, 4, 4, 'n');
	went_out(&x->back[0], "!?");
	assert_int_equal(virtio_config_read(x->dev, 8, 4), 0);
}

static void
the_size_of_the_terminal_is_in_the_configuration(void **state)
{
	struct fix *x = *state;
	struct chr *chr = &x->back[0].chr;

	chr->cols = 80;
	chr->rows = 25;
	make(x, (const char *const[]){ "con" }, "c");
	assert_int_equal(virtio_features_offered(x->dev, 0) & 7, F_EMERG | F_SIZE);
	drive(x, F_SIZE);
	/* or Linux would not look */
	assert_int_equal(x->t.config_irqs, 1);
	assert_int_equal(virtio_config_read(x->dev, 0, 2), 80);
	assert_int_equal(virtio_config_read(x->dev, 2, 2), 25);
	chr->cols = 132;
	chr->front->changed(chr->dev);
	assert_int_equal(virtio_config_read(x->dev, 0, 2), 132);
	assert_int_equal(x->t.config_irqs, 2);
}

static void
a_break_is_the_sysrq_key_of_hvc(void **state)
{
	struct fix *x = *state;
	struct chr *chr = &x->back[0].chr;

	make_single(x);
	chr->front->line_break(chr->dev);
	offer(x, RX0, 0, DATA_GPA, 8);
	chr->front->line_break(chr->dev);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_len(&x->ring[RX0], 0), 1);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA), 0x0f);
}

/* ---- several ports ---- */

static void
consoles_come_first_and_all_are_announced(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	assert_int_equal(virtio_config_read(x->dev, 4, 4), 3);
	assert_int_equal(x->dev->nqueue, QUEUES);
	offer_control(x, SIZE);
	told_nothing(x);
	control(x, 0, DEVICE_READY, 1);
	for (unsigned i = 0; i < 3; i++)
		told(x, i, PORT_ADD, 1, 0);
	control(x, TWO, PORT_READY, 1);
	told(x, TWO, CONSOLE_PORT, 1, 0);
	assert_memory_equal(told(x, TWO, PORT_NAME, 1, 3), "two", 3);
	told(x, TWO, PORT_OPEN, 1, 0);
	control(x, AGENT, PORT_READY, 1);
	assert_memory_equal(told(x, AGENT, PORT_NAME, 1, 5), "agent", 5);
	told(x, AGENT, PORT_OPEN, 1, 0);
	told_nothing(x);
}

static void
each_port_has_its_own_queues(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	greet(x);
	write_out(x, TX0, 0, "zero");
	write_out(x, TX1, 1, "one");
	write_out(x, TX2, 2, "two");
	went_out(back_of(x, 0), "zero");
	went_out(back_of(x, TWO), "one");
	went_out(back_of(x, AGENT), "two");
	offer(x, RX2, 0, DATA_GPA, 16);
	assert_int_equal(back_of(x, AGENT)->room, 16);
	assert_int_equal(back_of(x, TWO)->room, 0);
	input(back_of(x, AGENT), "in", 2);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_len(&x->ring[RX2], 0), 2);
}

static void
a_port_that_nobody_reads_stops_itself_and_no_other(void **state)
{
	struct fix *x = *state;
	struct back *b;

	make_multi(x);
	greet(x);
	b = back_of(x, AGENT);
	b->takes = 3;
	write_out(x, TX2, 0, "abcdef");
	write_out(x, TX2, 1, "ghi");
	fake_reactor_advance(&x->r, 3600ull * 1000 * MS);
	assert_int_equal(ring_used_idx(&x->ring[TX2]), 0);
	write_out(x, TX1, 5, "others");
	went_out(back_of(x, TWO), "others");
	b->takes = SIZE_MAX;
	b->chr.front->writable(b->chr.dev);
	went_out(b, "abcdefghi");
	assert_int_equal(ring_used_idx(&x->ring[TX2]), 2);
}

static void
a_port_that_the_guest_has_not_opened_gets_no_input(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	offer(x, RX2, 0, DATA_GPA, 16);
	assert_int_equal(back_of(x, AGENT)->room, 0);
	control(x, AGENT, PORT_OPEN, 1);
	assert_int_equal(back_of(x, AGENT)->room, 16);
	control(x, AGENT, PORT_OPEN, 0);
	assert_int_equal(back_of(x, AGENT)->room, 0);
}

static void
the_guest_hears_of_a_client_that_comes_and_goes(void **state)
{
	struct fix *x = *state;
	struct chr *chr;

	make_multi(x);
	chr = &back_of(x, AGENT)->chr;
	chr->closed = true;
	greet(x);
	told_nothing(x);
	chr->closed = false;
	chr->front->changed(chr->dev);
	told(x, AGENT, PORT_OPEN, 1, 0);
	chr->closed = true;
	chr->front->changed(chr->dev);
	told(x, AGENT, PORT_OPEN, 0, 0);
	/* While nobody is there, output is lost and the guest goes on. */
	write_out(x, TX2, 0, "lost");
	assert_int_equal(ring_used_idx(&x->ring[TX2]), 1);
}

static void
what_there_is_to_tell_does_not_pile_up(void **state)
{
	struct fix *x = *state;
	struct chr *chr;
	unsigned before;

	make_multi(x);
	greet(x);
	chr = &back_of(x, AGENT)->chr;
	/* The driver has no more than these. */
	before = (uint16_t)(x->ring[CTRL_RX].avail_idx - x->told);
	for (unsigned i = 0; i < 1001; i++) {
		chr->closed = !chr->closed;
		chr->front->changed(chr->dev);
	}
	fake_reactor_deferred(&x->r);
	assert_int_equal((uint16_t)(ring_used_idx(&x->ring[CTRL_RX]) - x->told), before);
	x->told = ring_used_idx(&x->ring[CTRL_RX]);
	offer_control(x, 4);
	told(x, AGENT, PORT_OPEN, 0, 0);
	told_nothing(x);
}

static void
a_new_size_is_told_to_consoles(void **state)
{
	struct fix *x = *state;
	const uint8_t *size;
	struct chr *chr;

	make_multi(x);
	greet(x);
	chr = &back_of(x, TWO)->chr;
	chr->cols = 100;
	chr->rows = 30;
	chr->front->changed(chr->dev);
	size = told(x, TWO, RESIZE, 1, 4);
	assert_int_equal(le16_get(size), 30);
	assert_int_equal(le16_get(size + 2), 100);
}

static void
ports_are_announced_again_after_a_reset(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	greet(x);
	offer(x, RX2, 0, DATA_GPA, 16);
	assert_int_equal(back_of(x, AGENT)->room, 16);
	drive(x, F_MULTIPORT);
	assert_int_equal(back_of(x, AGENT)->room, 0);
	offer(x, RX2, 0, DATA_GPA, 16);
	assert_int_equal(back_of(x, AGENT)->room, 0); /* not opened yet */
	offer_control(x, SIZE);
	told_nothing(x);
	control(x, 0, DEVICE_READY, 1);
	told(x, 0, PORT_ADD, 1, 0);
}

static void
without_a_console_port_0_is_nobody(void **state)
{
	struct fix *x = *state;

	make(x, (const char *const[]){ "agent" }, "p");
	drive(x, F_MULTIPORT);
	assert_int_equal(virtio_config_read(x->dev, 4, 4), 2);
	offer_control(x, 4);
	control(x, 0, DEVICE_READY, 1);
	told(x, 1, PORT_ADD, 1, 0);
	told_nothing(x);
	control(x, 0, PORT_READY, 1);
	control(x, 0, PORT_OPEN, 1);
	told_nothing(x);
	write_out(x, TX0, 0, "to nobody");
	assert_int_equal(ring_used_idx(&x->ring[TX0]), 1);
	offer(x, RX0, 0, DATA_GPA, 16);
	virtio_config_write(x->dev, 8, 4, '!');
	assert_int_equal(x->back[0].nout, 0);
}

static void
a_driver_without_multiport_has_port_0_and_no_other(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	drive(x, 0);
	write_out(x, TX0, 0, "hello");
	went_out(back_of(x, 0), "hello");
	offer(x, RX0, 0, DATA_GPA, 16);
	assert_int_equal(back_of(x, 0)->room, 16);
	/* It has set up queues that it may not use. */
	drive(x, F_MULTIPORT);
	virtio_reset(x->dev);
	virtio_set_status(x->dev, 3);
	virtio_features_accept(x->dev, 1, 1);
	virtio_set_status(x->dev, 11);
	for (unsigned q = 0; q < QUEUES; q++)
		start_queue(x, q);
	virtio_set_status(x->dev, 15);
	x->told = 0;
	offer_control(x, 4);
	control(x, 0, DEVICE_READY, 1);
	told_nothing(x);
	write_out(x, TX1, 0, "no");
	assert_int_equal(back_of(x, TWO)->nout, 0);
}

/* ---- nonsense ---- */

static void
control_messages_that_make_no_sense_are_ignored(void **state)
{
	static const struct {
		uint32_t id;
		unsigned event, value;
	} bad[] = {
		{ 3, PORT_READY, 1 },
		{ 0xffffffff, PORT_OPEN, 1 },
		{ 4, PORT_OPEN, 1 },
		{ 0, PORT_ADD, 1 },
		{ 0, 2, 1 },
		{ 0, CONSOLE_PORT, 1 },
		{ 0, RESIZE, 1 },
		{ 0, 8, 1 },
		{ 0, 0xffff, 0xffff },
		{ 0, DEVICE_READY, 0 },
		{ 0, DEVICE_READY, 2 },
		{ 1, PORT_READY, 0 },
	};
	struct fix *x = *state;

	make_multi(x);
	offer_control(x, SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		control(x, bad[i].id, bad[i].event, bad[i].value);
	told_nothing(x);
	assert_int_equal(x->dev->status, 15);
	assert_int_equal(ring_used_idx(&x->ring[CTRL_TX]), ARRAY_SIZE(bad));
}

/* Who keeps its queue full has to let the others have their turn. */
static void
a_full_control_queue_is_served_and_looked_at_again_later(void **state)
{
	struct fix *x = *state;
	struct fake_ring *ring;

	make_multi(x);
	ring = &x->ring[CTRL_TX];
	for (unsigned i = 0; i < SIZE; i++) {
		ring_desc(ring, i, DATA_GPA, 8, 0, 0);
		ring_put(ring, i);
	}
	ring_show(ring);
	virtio_notify(x->dev, CTRL_TX);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(ring), SIZE);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	ring_offer(ring, 0);
	fake_reactor_advance(&x->r, 0);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(ring), SIZE + 1);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	for (unsigned i = 0; i < SIZE; i++)
		ring_put(ring, i);
	ring_show(ring);
	virtio_notify(x->dev, CTRL_TX);
	virtio_set_status(x->dev, 0);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
}

static void
messages_that_are_cut_off_are_ignored(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	offer_control(x, SIZE);
	memset(ram_at(&x->ram, DATA_GPA), 0, 8);
	*ram_at(&x->ram, DATA_GPA + 6) = 1;
	for (unsigned len = 0; len < 8; len++)
		offer(x, CTRL_TX, len, DATA_GPA, len);
	told_nothing(x);
	assert_int_equal(ring_used_idx(&x->ring[CTRL_TX]), 8);
}

static void
buffers_too_short_for_a_message_are_given_back(void **state)
{
	struct fix *x = *state;

	make_multi(x);
	offer(x, CTRL_RX, 0, DATA_GPA, 7);
	control(x, 0, DEVICE_READY, 1);
	fake_reactor_deferred(&x->r);
	assert_int_equal(ring_used_idx(&x->ring[CTRL_RX]), 1);
	assert_int_equal(ring_used_len(&x->ring[CTRL_RX], 0), 0);
	x->told = 1;
	offer_control(x, 4);
	told(x, 0, PORT_ADD, 1, 0);
}

static void
a_broken_ring_needs_a_reset_and_recovers(void **state)
{
	struct fix *x = *state;

	for (unsigned q = 0; q < QUEUES; q++) {
		if (x->dev)
			drive(x, F_MULTIPORT);
		else
			make_multi(x);
		for (unsigned i = 0; i < 3; i++)
			control(x, i, PORT_OPEN, 1);
		control(x, 0, DEVICE_READY, 1);
		ring_offer(&x->ring[q], SIZE);
		virtio_notify(x->dev, q);
		assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
		for (unsigned i = 0; i < 3; i++)
			back_of(x, i)->chr.front->writable(back_of(x, i)->chr.dev);
	}
	drive(x, F_MULTIPORT);
	write_out(x, TX0, 0, "again");
	went_out(back_of(x, 0), "again");
}

static void
nothing_is_written_after_a_reset(void **state)
{
	struct fix *x = *state;
	struct back *b;

	make_multi(x);
	greet(x);
	b = back_of(x, 0);
	b->takes = 0;
	write_out(x, TX0, 0, "held");
	offer(x, RX0, 0, DATA_GPA, 8);
	input(b, "x", 1); /* not yet published */
	virtio_set_status(x->dev, 0);
	assert_int_equal(x->t.irqs[RX0], 1);
	assert_int_equal(b->room, 0);
	memset(x->ram.buf, 0, RAM_LEN);
	b->takes = SIZE_MAX;
	b->chr.front->writable(b->chr.dev);
	b->chr.front->changed(b->chr.dev);
	b->chr.front->input(b->chr.dev, (const uint8_t *)"y", 1);
	fake_reactor_advance(&x->r, 10ull * 1000 * MS);
	fake_reactor_deferred(&x->r);
	for (unsigned i = 0; i < RAM_LEN; i++)
		assert_int_equal(x->ram.buf[i], 0);
	assert_int_equal(b->nout, 0);
}

static void
a_queue_that_is_reset_forgets_what_it_held(void **state)
{
	struct fix *x = *state;
	struct back *b;

	make_multi(x);
	greet(x);
	b = back_of(x, AGENT);
	b->takes = 2;
	write_out(x, TX2, 0, "abcd");
	offer(x, RX2, 0, DATA_GPA, 8);
	virtio_queue_reset(x->dev, TX2);
	virtio_queue_reset(x->dev, RX2);
	assert_int_equal(b->room, 0);
	b->takes = SIZE_MAX;
	b->chr.front->writable(b->chr.dev);
	went_out(b, "ab");
	start_queue(x, TX2);
	write_out(x, TX2, 0, "efgh");
	went_out(b, "abefgh");
	start_queue(x, RX2);
	offer(x, RX2, 0, DATA_GPA, 8);
	assert_int_equal(b->room, 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_console_has_two_queues_and_no_control),
		T(output_reaches_the_back_and_the_buffer_comes_back),
		T(pieces_go_out_in_order_and_writable_ones_are_left_alone),
		T(input_is_asked_for_only_while_the_driver_has_buffers),
		T(buffers_without_room_are_given_back),
		T(a_buffer_that_changes_after_it_was_announced_overruns_nothing),
		T(a_console_nobody_reads_is_waited_for_once_and_then_loses_output),
		T(a_slow_reader_of_a_console_loses_nothing),
		T(one_pass_is_bounded_and_the_rest_follows),
		T(a_character_in_an_emergency_needs_no_driver),
		T(the_size_of_the_terminal_is_in_the_configuration),
		T(a_break_is_the_sysrq_key_of_hvc),
		T(consoles_come_first_and_all_are_announced),
		T(each_port_has_its_own_queues),
		T(a_port_that_nobody_reads_stops_itself_and_no_other),
		T(a_port_that_the_guest_has_not_opened_gets_no_input),
		T(the_guest_hears_of_a_client_that_comes_and_goes),
		T(what_there_is_to_tell_does_not_pile_up),
		T(a_new_size_is_told_to_consoles),
		T(ports_are_announced_again_after_a_reset),
		T(without_a_console_port_0_is_nobody),
		T(a_driver_without_multiport_has_port_0_and_no_other),
		T(control_messages_that_make_no_sense_are_ignored),
		T(a_full_control_queue_is_served_and_looked_at_again_later),
		T(messages_that_are_cut_off_are_ignored),
		T(buffers_too_short_for_a_message_are_given_back),
		T(a_broken_ring_needs_a_reset_and_recovers),
		T(nothing_is_written_after_a_reset),
		T(a_queue_that_is_reset_forgets_what_it_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
