// SPDX-License-Identifier: ISC
/*
 * The 16550: registers, loopback, FIFOs and both interrupts through the interrupt
 * controller.  What it sends meanwhile stays inside by loopback.
 */
#include "payload.h"

enum { FCR_ON = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4 };
enum { LCR_8N1 = 3, LCR_DLAB = 0x80 };

static volatile unsigned interrupts;
static volatile uint8_t last_iir;
static volatile unsigned rx_seen;
static uint8_t rx[32];

static void
quiet(void)
{
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, LCR_8N1);
	uart_write(UART_FCR, FCR_ON | FCR_CLEAR_RX | FCR_CLEAR_TX);
	uart_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	(void)uart_read(UART_IIR);
	(void)uart_read(UART_MSR);
}

static void
test_scratch(void)
{
	for (unsigned v = 0; v < 256; v += 51) {
		uart_write(UART_SCR, (uint8_t)v);
		uint8_t r = uart_read(UART_SCR);
		if (r != v) {
			fail("serial-scratch", "wrote %x read %x", v, r);
			return;
		}
	}
	ok("serial-scratch");
}

static void
test_divisor_latch(void)
{
	uart_write(UART_IER, 0);
	uart_write(UART_LCR, LCR_8N1 | LCR_DLAB);
	uart_write(0, 0x34);
	uart_write(1, 0x02);
	unsigned dll = uart_read(0), dlm = uart_read(1);
	uart_write(0, 1);
	uart_write(1, 0);
	uart_write(UART_LCR, LCR_8N1);
	unsigned ier = uart_read(UART_IER), lcr = uart_read(UART_LCR);
	check(dll == 0x34 && dlm == 2 && ier == 0 && lcr == LCR_8N1,
	      "serial-divisor-latch", "dll %x dlm %x ier %x lcr %x", dll, dlm, ier, lcr);
}

static void
test_ier_mask(void)
{
	uart_write(UART_MCR, 0);
	uart_write(UART_IER, 0xff);
	unsigned v = uart_read(UART_IER);
	quiet();
	check(v == 0x0f, "serial-ier-high-bits-are-zero", "read %x", v);
}

static void
test_fifo_bits(void)
{
	uart_write(UART_FCR, 0);
	unsigned off = uart_read(UART_IIR);
	uart_write(UART_FCR, FCR_ON);
	unsigned on = uart_read(UART_IIR);
	check((off & 0xc0) == 0 && (on & 0xc0) == 0xc0, "serial-iir-tells-fifo",
	      "off %x on %x", off, on);
}

/* Loopback: MCR outputs appear as MSR inputs (16550D data sheet, 8.6). */
static void
test_loop_modem(void)
{
	static const uint8_t map[][2] = {
		{ UART_MCR_DTR, 0x20 },
		{ UART_MCR_RTS, 0x10 },
		{ UART_MCR_OUT1, 0x40 },
		{ UART_MCR_OUT2, 0x80 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
		uart_write(UART_MCR, (uint8_t)(UART_MCR_LOOP | map[i][0]));
		unsigned msr = uart_read(UART_MSR) & 0xf0u;
		if (msr != map[i][1]) {
			quiet();
			fail("serial-loopback-modem", "mcr %x msr %x", map[i][0], msr);
			return;
		}
	}
	quiet();
	ok("serial-loopback-modem");
}

static bool
loop_wait_dr(void)
{
	uint64_t t = deadline_ms(500);

	while (!(uart_read(UART_LSR) & UART_LSR_DR))
		if (passed(t))
			return false;
	return true;
}

static void
test_loop_data(void)
{
	static const char text[] = "0123456789abcdef";
	char got[17] = "";
	unsigned n = 0;

	uart_write(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 16; i++)
		uart_write(UART_THR, (uint8_t)text[i]);
	while (n < 16 && loop_wait_dr())
		got[n++] = (char)uart_read(UART_RBR);
	unsigned lsr = uart_read(UART_LSR);
	quiet();
	check(!memcmp(got, text, 16) && !(lsr & (UART_LSR_DR | UART_LSR_OE)),
	      "serial-loopback-fifo", "%u bytes '%s' lsr %x", n, got, lsr);
}

static void
test_loop_overrun(void)
{
	uart_write(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 40; i++)
		uart_write(UART_THR, (uint8_t)i);
	/* OE is cleared by the read that sees it. */
	unsigned lsr = uart_read(UART_LSR), again = uart_read(UART_LSR);
	unsigned first = uart_read(UART_RBR);
	bool dr = lsr & UART_LSR_DR;
	uart_write(UART_FCR, FCR_ON | FCR_CLEAR_RX);
	unsigned cleared = uart_read(UART_LSR);
	quiet();
	check(dr && (lsr & UART_LSR_OE) && !(again & UART_LSR_OE) && first == 0 &&
		      !(cleared & UART_LSR_DR),
	      "serial-overrun", "lsr %x again %x first %x cleared %x", lsr, again, first,
	      cleared);
}

static void
on_uart(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 64; i++) {
		uint8_t iir = uart_read(UART_IIR);
		if (iir & 1)
			break;
		interrupts++;
		last_iir = iir & 0x0f;
		if ((iir & 0x0f) == 2)
			uart_write(UART_IER,
				   uart_read(UART_IER) & (uint8_t)~UART_IER_THRE);
		else if ((iir & 4))
			while (rx_seen < sizeof(rx) && uart_read(UART_LSR) & UART_LSR_DR)
				rx[rx_seen++] = uart_read(UART_RBR);
		else
			(void)uart_read(UART_MSR);
	}
}

/* Interrupts on until cond, or 500 ms. */
#define SPIN_UNTIL(cond) \
	do { \
		uint64_t deadline_ = deadline_ms(500); \
		irq_on(); \
		while (!(cond) && !passed(deadline_)) \
			cpu_relax(); \
		irq_off(); \
	} while (0)

static void
test_irq_thre(void)
{
	interrupts = 0;
	last_iir = 0;
	uart_write(UART_IER, UART_IER_THRE);
	SPIN_UNTIL(interrupts);
	unsigned n = interrupts, iir = last_iir;
	quiet();
	check(n >= 1 && iir == 2, "serial-irq-thre", "%u interrupts iir %x", n, iir);
}

/* With nothing enabled nothing comes. */
static void
test_irq_off(void)
{
	interrupts = 0;
	uart_write(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	uart_write(UART_THR, 'x');
	bool dr = loop_wait_dr();
	uint64_t t = deadline_ms(5);
	irq_on();
	while (!passed(t))
		cpu_relax();
	irq_off();
	unsigned iir = uart_read(UART_IIR);
	quiet();
	check(dr && !interrupts && (iir & 1), "serial-irq-disabled",
	      "%u interrupts iir %x", interrupts, iir);
}

/* A byte from the host, or "skip" if nobody sends one: input=1 promises it. */
static void
test_irq_rx(void)
{
	if (!cmdline_num("input", 0)) {
		skip("serial-irq-rx", "no input= on the command line");
		return;
	}
	interrupts = 0;
	rx_seen = 0;
	uart_write(UART_IER, UART_IER_RX);
	say("send");
	uint64_t t = deadline_ms(5000);
	irq_on();
	while (rx_seen < 5 && !passed(t))
		cpu_relax();
	irq_off();
	quiet();
	check(rx_seen == 5 && !memcmp(rx, "input", 5), "serial-irq-rx",
	      "%u bytes, %u interrupts, iir %x", rx_seen, interrupts, last_iir);
}

void
payload_main(void)
{
	test_scratch();
	test_divisor_latch();
	test_ier_mask();
	test_fifo_bits();
	quiet();
	test_loop_modem();
	test_loop_data();
	test_loop_overrun();
	irq_attach(irq_of_uart(), on_uart, NULL);
	test_irq_thre();
	test_irq_off();
	test_irq_rx();
	irq_mask(irq_of_uart(), true);
}
