/* SPDX-License-Identifier: ISC */
/* The 16550A, as Linux' 8250 driver and a hostile guest use it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "chr.h"
#include "dev.h"
#include "fake_bus.h"
#include "util.h"

enum { BASE = 0x3f8, GSI = 4 };

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

enum {
	IER_RDA = 1,
	IER_THRE = 2,
	IER_RLS = 4,
	IER_MS = 8,
	LSR_DR = 0x01,
	LSR_OE = 0x02,
	LSR_BI = 0x10,
	LSR_IDLE = 0x60,
	LSR_FIFO_ERR = 0x80,
};

static const struct platform_row rows[] = {
	{ DEVICE_UART16550, SPACE_PIO, BASE, 8, GSI, IRQ_EDGE },
};

/* A back that takes only limit bytes. */
struct fixture {
	struct chr chr;
	struct fake_bus fb;
	struct uart16550 *u;
	size_t limit;
	uint8_t out[16384];
	size_t nout;
	size_t room;
};

static size_t
back_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct fixture *f = container_of(c, struct fixture, chr);
	size_t n = len < f->limit ? len : f->limit;

	assert_true(f->nout + n <= sizeof(f->out));
	memcpy(f->out + f->nout, buf, n);
	f->nout += n;
	f->limit -= n;
	return n;
}

static void
back_set_room(struct chr *c, size_t room)
{
	container_of(c, struct fixture, chr)->room = room;
}

static const struct chr_back_ops back_ops = { back_write, back_set_room };

static struct fixture fx;

static int
setup(void **state)
{
	memset(&fx, 0, sizeof(fx));
	fake_bus_init(&fx.fb, rows, ARRAY_SIZE(rows));
	fx.chr.back = &back_ops;
	fx.limit = SIZE_MAX;
	*state = &fx;
	return uart16550_new(&fx.fb.bus, "serial0", &fx.chr, &fx.u);
}

static int
teardown(void **state)
{
	(void)state;
	uart16550_free(fx.u);
	fake_bus_fini(&fx.fb);
	return 0;
}

static uint8_t
in(unsigned reg)
{
	return (uint8_t)space_read(&fx.fb.space[SPACE_PIO], BASE + reg, 1);
}

static void
out(unsigned reg, uint8_t val)
{
	space_write(&fx.fb.space[SPACE_PIO], BASE + reg, 1, val);
}

/* What the host sends; fails if the UART did not ask for that much. */
static void
input(const char *s)
{
	size_t len = strlen(s);

	assert_true(len <= fx.room);
	fx.room -= len;
	fx.chr.front->input(fx.chr.dev, (const uint8_t *)s, len);
}

static void
drain(size_t limit)
{
	fx.limit = limit;
	fx.chr.front->writable(fx.chr.dev);
}

static bool
line(void)
{
	return fx.fb.level[GSI];
}

static void
open_fifo(uint8_t fcr)
{
	out(2, fcr);
	out(IER, IER_RDA | IER_RLS);
}

/* ---- */

static void
test_bytes_written_reach_the_back_in_order(void **state)
{
	(void)state;
	for (const char *p = "hello"; *p; p++)
		out(RBR, (uint8_t)*p);
	assert_int_equal(fx.nout, 5);
	assert_memory_equal(fx.out, "hello", 5);
}

static void
test_linux_autoconfig_finds_a_16550a(void **state)
{
	(void)state;
	/* autoconfig(): IER keeps four bits */
	out(IER, 0);
	assert_int_equal(in(IER), 0);
	out(IER, 0xff);
	assert_int_equal(in(IER), 0x0f);
	out(IER, 0);
	/* loopback with OUT2 and RTS gives DCD and CTS */
	out(MCR, 0x10 | 0x0a);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	/* FIFOs show in the IIR */
	assert_int_equal(in(IIR) >> 6, 0);
	out(LCR, 0xbf);
	out(2, 0);
	out(LCR, 0);
	out(2, 1);
	assert_int_equal(in(IIR) >> 6, 3);
	/* autoconfig_16550a(): no EFR, no EXCR1, no 64-byte FIFO, no UUE */
	out(LCR, 0x80);
	assert_int_equal(in(IIR), 0xc1);
	out(LCR, 0);
	out(2, 0x21);
	assert_int_equal(in(IIR) >> 5, 6);
	out(IER, 0x40);
	assert_int_equal(in(IER)&0x40, 0);
	/* size_fifo(): 256 bytes in loopback, 16 arrive, none gets out */
	out(2, 0x07);
	out(MCR, 0x10);
	for (unsigned i = 0; i < 256; i++)
		out(RBR, (uint8_t)i);
	unsigned n = 0;
	while (in(LSR)&LSR_DR)
		assert_int_equal(in(RBR), n++);
	assert_int_equal(n, 16);
	assert_int_equal(fx.nout, 0);
}

static void
test_loopback_overrun_shows_once(void **state)
{
	(void)state;
	out(MCR, 0x10);
	out(RBR, 'a');
	out(RBR, 'b');
	assert_int_equal(in(LSR) & (LSR_OE | LSR_DR), LSR_OE | LSR_DR);
	assert_int_equal(in(LSR) & (LSR_OE | LSR_DR), LSR_DR);
	assert_int_equal(in(RBR), 'a');
}

static void
test_enabling_thre_interrupt_raises_it_each_time(void **state)
{
	(void)state;
	/* The two tests of serial8250_do_startup(). */
	for (unsigned i = 0; i < 2; i++) {
		out(IER, IER_THRE);
		assert_true(line());
		assert_int_equal(in(LSR)&LSR_IDLE, LSR_IDLE);
		assert_int_equal(in(IIR), 0x02);
		out(IER, 0);
	}
	assert_int_equal(fx.fb.edges[GSI], 2);
}

static void
test_reading_iir_clears_thre_and_writing_raises_it_again(void **state)
{
	(void)state;
	out(IER, IER_THRE);
	assert_int_equal(in(IIR), 0x02);
	assert_false(line());
	assert_int_equal(in(IIR), 0x01);
	out(RBR, 'x');
	assert_true(line());
	assert_int_equal(in(IIR), 0x02);
}

static void
test_reading_iir_leaves_thre_when_another_was_read(void **state)
{
	(void)state;
	out(IER, IER_THRE | IER_RDA);
	input("a");
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(IIR), 0x02);
}

static void
test_no_input_is_asked_for_before_the_guest_listens(void **state)
{
	(void)state;
	assert_int_equal(fx.room, 0);
	out(2, 1);
	assert_int_equal(fx.room, 0);
	out(IER, IER_RDA);
	assert_int_equal(fx.room, 16);
	out(IER, 0);
	assert_int_equal(fx.room, 0);
	/* A guest that polls raises RTS. */
	out(MCR, 0x02);
	assert_int_equal(fx.room, 16);
	out(2, 0);
	assert_int_equal(fx.room, 1);
	out(MCR, 0x12);
	assert_int_equal(fx.room, 0);
}

static void
test_room_follows_the_fifo(void **state)
{
	(void)state;
	open_fifo(0x01);
	input("0123456789abcdef");
	assert_int_equal(fx.room, 0);
	assert_int_equal(in(RBR), '0');
	assert_int_equal(fx.room, 1);
	input("g");
	for (const char *p = "123456789abcdefg"; *p; p++) {
		assert_int_equal(in(LSR), LSR_IDLE | LSR_DR);
		assert_int_equal(in(RBR), *p);
	}
	assert_int_equal(in(LSR), LSR_IDLE);
	assert_int_equal(fx.room, 16);
}

static void
test_trigger_level_tells_data_from_timeout(void **state)
{
	(void)state;
	open_fifo(0x81);
	input("1234567");
	assert_true(line());
	assert_int_equal(in(IIR), 0xcc);
	input("8");
	assert_int_equal(in(IIR), 0xc4);
	in(RBR);
	assert_int_equal(in(IIR), 0xcc);
	while (in(LSR)&LSR_DR)
		in(RBR);
	assert_int_equal(in(IIR), 0xc1);
	assert_false(line());
}

static void
test_clearing_the_receive_fifo_lowers_the_line_and_makes_room(void **state)
{
	(void)state;
	open_fifo(0x01);
	input("abc");
	out(2, 0x03);
	assert_false(line());
	assert_int_equal(in(LSR), LSR_IDLE);
	assert_int_equal(fx.room, 16);
}

static void
test_byte_that_comes_before_the_fifos_are_on_is_kept(void **state)
{
	(void)state;
	/* serial8250_do_startup(), then serial8250_do_set_termios() */
	out(2, 0x07);
	out(2, 0);
	in(LSR), in(RBR), in(IIR), in(MSR);
	assert_int_equal(fx.room, 0);
	out(IER, IER_RDA | IER_RLS);
	input("e");
	out(2, 0x01);
	out(2, 0x81);
	assert_int_equal(fx.room, 15);
	input("cho");
	for (const char *p = "echo"; *p; p++)
		assert_int_equal(in(RBR), *p);
	/* Back to 16450 mode, all is gone. */
	input("lost");
	out(2, 0);
	assert_int_equal(in(LSR), LSR_IDLE);
	assert_int_equal(fx.room, 1);
}

static void
test_break_is_a_zero_with_bi(void **state)
{
	(void)state;
	open_fifo(0x01);
	input("a");
	fx.chr.front->line_break(fx.chr.dev);
	/* Not yet: it belongs to the byte after this one. */
	assert_int_equal(in(LSR), LSR_IDLE | LSR_DR | LSR_FIFO_ERR);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), LSR_IDLE | LSR_DR | LSR_BI | LSR_FIFO_ERR);
	assert_int_equal(in(LSR), LSR_IDLE | LSR_DR);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), LSR_IDLE);
}

static void
test_break_into_a_full_fifo_is_not_lost(void **state)
{
	(void)state;
	open_fifo(0x01);
	input("0123456789abcdef");
	fx.chr.front->line_break(fx.chr.dev);
	for (unsigned i = 0; i < 16; i++) {
		assert_false(in(LSR)&LSR_BI);
		in(RBR);
	}
	assert_true(in(LSR)&LSR_BI);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(fx.room, 16);
}

static void
test_polling_guest_is_never_held_up_and_drops_are_counted(void **state)
{
	(void)state;
	fx.limit = 0;
	for (unsigned i = 0; i < 5000; i++) {
		assert_int_equal(in(LSR)&LSR_IDLE, LSR_IDLE);
		out(RBR, (uint8_t)i);
	}
	assert_int_equal(uart16550_dropped(fx.u), 5000 - 4096);
	assert_int_equal(uart16550_dropped(fx.u), 0);
	drain(SIZE_MAX);
	assert_int_equal(fx.nout, 4096);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(fx.out[i], (uint8_t)i);
}

/* What Linux' interrupt handler does for a tty with that much to write. */
static size_t
tty_output(size_t len)
{
	size_t sent = 0;

	while (line() && (in(IIR)&0x0f) == 0x02)
		for (unsigned i = 0; i < 16 && sent < len; i++, sent++)
			out(RBR, (uint8_t)sent);
	return sent;
}

static void
test_interrupt_driven_output_waits_and_loses_nothing(void **state)
{
	(void)state;
	fx.limit = 0;
	out(2, 1);
	out(IER, IER_THRE);
	size_t sent = tty_output(10000);
	assert_in_range(sent, 1, 4095);
	assert_false(line());

	/* Draining a little is not enough, draining more raises the interrupt. */
	drain(1);
	assert_true(sent > 2048);
	drain(1000);
	assert_true(line());
	fx.limit = SIZE_MAX;
	for (size_t i = sent; i < 10000; i++) {
		drain(SIZE_MAX);
		out(RBR, (uint8_t)i);
	}
	drain(SIZE_MAX);
	assert_int_equal(fx.nout, 10000);
	for (size_t i = 0; i < fx.nout; i++)
		assert_int_equal(fx.out[i], (uint8_t)i);
	assert_int_equal(uart16550_dropped(fx.u), 0);
}

static void
test_partly_taken_output_keeps_its_order_across_the_ring_end(void **state)
{
	(void)state;
	unsigned n = 0;

	for (unsigned round = 0; round < 9; round++) {
		fx.limit = 0;
		for (unsigned i = 0; i < 1000; i++)
			out(RBR, (uint8_t)(n++ * 7));
		drain(round % 2 ? 2000 : 500);
	}
	drain(SIZE_MAX);
	assert_int_equal(fx.nout, 9000);
	for (unsigned i = 0; i < 9000; i++)
		assert_int_equal(fx.out[i], (uint8_t)(i * 7));
}

static void
test_output_does_not_overtake_what_is_buffered(void **state)
{
	(void)state;
	fx.limit = 0;
	out(RBR, 'a');
	fx.limit = SIZE_MAX; /* but nobody said so yet */
	out(RBR, 'b');
	drain(SIZE_MAX);
	assert_int_equal(fx.nout, 2);
	assert_memory_equal(fx.out, "ab", 2);
}

static void
test_modem_status_deltas(void **state)
{
	(void)state;
	assert_int_equal(in(MSR), 0xb0);
	out(IER, IER_MS);
	out(MCR, 0x10 | 0x04); /* loopback, OUT1: RI rises, the others fall */
	assert_true(line());
	assert_int_equal(in(IIR), 0x00);
	assert_int_equal(in(MSR), 0x40 | 0x0b);
	assert_false(line());
	out(MCR, 0x10); /* RI falls: only that counts */
	assert_int_equal(in(MSR), 0x04);
	assert_int_equal(in(MSR), 0x00);
}

static void
test_divisor_and_scratch_are_remembered(void **state)
{
	(void)state;
	out(LCR, 0x83);
	out(0, 0x34);
	out(1, 0x12);
	assert_int_equal(in(0), 0x34);
	assert_int_equal(in(1), 0x12);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(LCR), 0x03);
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	assert_int_equal(fx.nout, 0);
}

static void
test_wide_access_is_so_many_byte_cycles(void **state)
{
	(void)state;
	const struct space *sp = &fx.fb.space[SPACE_PIO];

	space_write(sp, BASE + SCR, 1, 0x5a);
	assert_int_equal(space_read(sp, BASE + MSR, 2), 0x5ab0);
	/* LCR and MCR */
	space_write(sp, BASE + LCR, 2, 0x0203);
	assert_int_equal(in(LCR), 0x03);
	assert_int_equal(in(MCR), 0x02);
	space_read(sp, BASE, 8);
	space_write(sp, BASE, 8, UINT64_MAX);
}

static void
test_free_makes_the_place_free_and_stops_the_flow(void **state)
{
	(void)state;
	out(IER, IER_RDA);
	uart16550_free(fx.u);
	fx.u = NULL;
	assert_int_equal(fx.room, 0);
	assert_null(fx.chr.front);
	assert_null(space_find(&fx.fb.space[SPACE_PIO], BASE));
}

static void
test_a_bus_without_a_place_refuses(void **state)
{
	(void)state;
	struct uart16550 *second = NULL;

	assert_int_equal(uart16550_new(&fx.fb.bus, "serial1", &fx.chr, &second), -ENODEV);
	assert_null(second);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bytes_written_reach_the_back_in_order),
		T(test_linux_autoconfig_finds_a_16550a),
		T(test_loopback_overrun_shows_once),
		T(test_enabling_thre_interrupt_raises_it_each_time),
		T(test_reading_iir_clears_thre_and_writing_raises_it_again),
		T(test_reading_iir_leaves_thre_when_another_was_read),
		T(test_no_input_is_asked_for_before_the_guest_listens),
		T(test_room_follows_the_fifo),
		T(test_trigger_level_tells_data_from_timeout),
		T(test_clearing_the_receive_fifo_lowers_the_line_and_makes_room),
		T(test_byte_that_comes_before_the_fifos_are_on_is_kept),
		T(test_break_is_a_zero_with_bi),
		T(test_break_into_a_full_fifo_is_not_lost),
		T(test_polling_guest_is_never_held_up_and_drops_are_counted),
		T(test_interrupt_driven_output_waits_and_loses_nothing),
		T(test_partly_taken_output_keeps_its_order_across_the_ring_end),
		T(test_output_does_not_overtake_what_is_buffered),
		T(test_modem_status_deltas),
		T(test_divisor_and_scratch_are_remembered),
		T(test_wide_access_is_so_many_byte_cycles),
		T(test_free_makes_the_place_free_and_stops_the_flow),
		T(test_a_bus_without_a_place_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
