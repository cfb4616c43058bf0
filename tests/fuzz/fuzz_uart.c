/* SPDX-License-Identifier: ISC */
/*
 * The 16550 between a hostile guest and a back that behaves: triples of bytes,
 * each an access of any width, or something that the host does.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chr.h"
#include "dev.h"
#include "fuzz.h"
#include "util.h"

#include "../unit/fake_bus.c"

enum { BASE = 0x3f8, GSI = 4, TX_MAX = 4096 };

static const struct platform_row rows[] = {
	{ DEVICE_UART16550, SPACE_PIO, BASE, 8, GSI, IRQ_EDGE },
};

struct host {
	struct chr chr;
	size_t room, limit, taken;
};

static size_t
back_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct host *h = container_of(c, struct host, chr);
	size_t n = len < h->limit ? len : h->limit;

	assert(len > 0 && len <= TX_MAX);
	for (size_t i = 0; i < len; i++) {
		volatile uint8_t touch = buf[i];
		(void)touch;
	}
	h->limit -= n;
	h->taken += n;
	return n;
}

static void
back_set_room(struct chr *c, size_t room)
{
	assert(room <= 16);
	container_of(c, struct host, chr)->room = room;
}

static const struct chr_back_ops back_ops = {
	.write = back_write,
	.set_room = back_set_room,
};

static void
input(struct host *h, size_t len)
{
	static const uint8_t text[16] = "0123456789abcdef";

	if (len > h->room)
		len = h->room;
	h->room -= len;
	h->chr.front->input(h->chr.dev, text, len);
}

static void
step(struct host *h, struct fake_bus *fb, const uint8_t op[3])
{
	const struct space *sp = &fb->space[SPACE_PIO];
	uint64_t val = op[2] * 0x0101010101010101ull;
	unsigned len = 1u << (op[0] >> 6);
	uint64_t addr = BASE + op[1] % 8;

	switch (op[0] % 8) {
	case 0:
	case 1:
		space_write(sp, addr, 1, val);
		break;
	case 2:
	case 3:
		space_read(sp, addr, 1);
		break;
	case 4:
		if (op[1] & 1)
			space_write(sp, addr, len, val);
		else
			space_read(sp, addr, len);
		break;
	case 5:
		input(h, op[1]);
		break;
	case 6:
		h->limit = op[1] * 64u;
		h->chr.front->writable(h->chr.dev);
		break;
	default:
		h->chr.front->line_break(h->chr.dev);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake_bus fb;
	struct host h = { .chr = { .back = &back_ops } };
	struct uart16550 *u;

	fake_bus_init(&fb, rows, ARRAY_SIZE(rows));
	if (uart16550_new(&fb.bus, "serial0", &h.chr, &u) != 0)
		abort();
	for (; size >= 3; data += 3, size -= 3) {
		step(&h, &fb, data);
		/* A guest that polls always finds the transmitter ready. */
		if ((data[0] & 0x38) == 0)
			assert((space_read(&fb.space[SPACE_PIO], BASE + 5, 1) & 0x60) ==
			       0x60);
	}
	/* With every source disabled the line is low, whatever went before. */
	space_write(&fb.space[SPACE_PIO], BASE + 3, 1, 0);
	space_write(&fb.space[SPACE_PIO], BASE + 1, 1, 0);
	assert(!fb.level[GSI]);
	/* An open back gets what is left, and that is bounded. */
	h.taken = 0;
	h.limit = SIZE_MAX;
	h.chr.front->writable(h.chr.dev);
	assert(h.taken <= TX_MAX);
	uart16550_free(u);
	assert(h.room == 0 && h.chr.front == NULL);
	fake_bus_fini(&fb);
	return 0;
}
