/* SPDX-License-Identifier: ISC */
/*
 * 16550A UART, after the PC16550D data sheet (National Semiconductor, 1995).
 *
 * Time does not exist here: what is written to the transmitter has been sent,
 * and the character time-out comes at once, since no byte is ever under way.
 * Baud rate, parity and stop bits are only remembered.
 *
 * Flow control towards the host is done where a real port would raise RTS: input
 * is asked for once the guest enables the receive interrupt or asserts RTS, and
 * never more than fits.  So what waits in the host's pipe while the guest boots
 * does not get lost when its driver clears the FIFOs, and outside loopback there
 * is no overrun.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "chr.h"
#include "dev.h"
#include "util.h"

enum reg {
	RBR = 0, /* read; THR on write; DLL with DLAB */
	IER = 1, /* DLM with DLAB */
	IIR = 2, /* read; FCR on write */
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7,
	REGS = 8,
};

enum {
	IER_RDA = 1 << 0,
	IER_THRE = 1 << 1,
	IER_RLS = 1 << 2,
	IER_MS = 1 << 3,
	IER_MASK = 0x0f,

	IIR_NONE = 0x01,
	IIR_RLS = 0x06,
	IIR_RDA = 0x04,
	IIR_TIMEOUT = 0x0c,
	IIR_THRE = 0x02,
	IIR_MS = 0x00,
	IIR_FIFOS = 0xc0,

	FCR_ENABLE = 1 << 0,
	FCR_CLEAR_RX = 1 << 1,
	FCR_TRIGGER_SHIFT = 6,

	LCR_DLAB = 1 << 7,

	MCR_RTS = 1 << 1,
	MCR_LOOP = 1 << 4,
	MCR_MASK = 0x1f,

	LSR_DR = 1 << 0,
	LSR_OE = 1 << 1,
	LSR_BI = 1 << 4,
	LSR_THRE = 1 << 5,
	LSR_TEMT = 1 << 6,
	LSR_FIFO_ERR = 1 << 7,

	MSR_CTS = 1 << 4,
	MSR_DSR = 1 << 5,
	MSR_RI = 1 << 6,
	MSR_DCD = 1 << 7,
	MSR_TERI = 1 << 2,
};

enum {
	RX_MAX = 16,
	TX_MAX = 4096,
	/*
	 * Interrupt-driven output stops here, so that a guest that polls (printk,
	 * an oops) has the rest of the buffer for itself.
	 */
	TX_THROTTLE = TX_MAX / 2,
};

struct uart16550 {
	struct bus *bus;
	const struct bus_slot *slot;
	struct chr *back;

	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t lsr; /* OE and BI, until read */
	uint8_t msr_delta;
	bool thre;       /* THR-empty interrupt, until IIR is read */
	bool thre_waits; /* ... shall be raised when the back drains */

	uint8_t rx[RX_MAX];
	bool rx_break[RX_MAX]; /* this 0 came with a break */
	unsigned rx_head, rx_len;
	bool break_waits; /* a break that found the FIFO full */

	uint8_t tx[TX_MAX]; /* what the back did not take yet */
	unsigned tx_head, tx_len;
	unsigned dropped;
};

/* ---- receiver ---- */

static unsigned
rx_size(const struct uart16550 *u)
{
	return u->fcr & FCR_ENABLE ? RX_MAX : 1;
}

static unsigned
rx_trigger(const struct uart16550 *u)
{
	static const uint8_t trigger[4] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? trigger[u->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The error bits belong to the character at the top of the FIFO. */
static void
rx_reveal(struct uart16550 *u)
{
	if (u->rx_len != 0 && u->rx_break[u->rx_head]) {
		u->rx_break[u->rx_head] = false;
		u->lsr |= LSR_BI;
	}
}

static void
rx_push(struct uart16550 *u, uint8_t byte, bool brk)
{
	if (u->rx_len >= rx_size(u)) {
		u->lsr |= LSR_OE; /* loopback only */
		return;
	}
	unsigned i = (u->rx_head + u->rx_len++) % RX_MAX;

	u->rx[i] = byte;
	u->rx_break[i] = brk;
	rx_reveal(u);
}

static void
rx_clear(struct uart16550 *u)
{
	u->rx_head = u->rx_len = 0;
	u->lsr &= (uint8_t)~LSR_BI;
	u->break_waits = false;
}

/* Anew after whatever changes the answer; last, for the back may answer at once. */
static void
rx_announce(struct uart16550 *u)
{
	bool open = ((u->ier & IER_RDA) || (u->mcr & MCR_RTS)) && !(u->mcr & MCR_LOOP);

	u->back->back->set_room(u->back, open ? rx_size(u) - u->rx_len : 0);
}

/* ---- interrupt ---- */

/* IIR without the FIFO bits: the pending interrupt of highest priority, table II. */
static uint8_t
iir_pending(const struct uart16550 *u)
{
	if ((u->ier & IER_RLS) && (u->lsr & (LSR_OE | LSR_BI)))
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->rx_len != 0)
		return u->rx_len >= rx_trigger(u) ? IIR_RDA : IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre)
		return IIR_THRE;
	if ((u->ier & IER_MS) && u->msr_delta)
		return IIR_MS;
	return IIR_NONE;
}

static void
irq_update(const struct uart16550 *u)
{
	if (u->slot->irq != NULL)
		irq_line_set(u->slot->irq, iir_pending(u) != IIR_NONE);
}

/* ---- transmitter ---- */

/* The holding register is empty; says so now, or when the back has drained. */
static void
thre_raise(struct uart16550 *u)
{
	u->thre = u->tx_len <= TX_THROTTLE;
	u->thre_waits = !u->thre;
}

static void
tx_flush(struct uart16550 *u)
{
	while (u->tx_len != 0) {
		unsigned run = TX_MAX - u->tx_head;
		unsigned n = u->tx_len < run ? u->tx_len : run;
		size_t took = u->back->back->write(u->back, u->tx + u->tx_head, n);

		u->tx_head = (u->tx_head + (unsigned)took) % TX_MAX;
		u->tx_len -= (unsigned)took;
		if (took < n)
			break;
	}
}

static void
tx_send(struct uart16550 *u, uint8_t byte)
{
	if (u->tx_len == 0 && u->back->back->write(u->back, &byte, 1) == 1)
		return;
	if (u->tx_len < TX_MAX)
		u->tx[(u->tx_head + u->tx_len++) % TX_MAX] = byte;
	else
		u->dropped++;
}

/* ---- modem lines ---- */

/* In loopback the outputs are the inputs, 8.6.4; else somebody is always there. */
static uint8_t
msr_lines(uint8_t mcr)
{
	static const uint8_t looped[4] = { MSR_DSR, MSR_CTS, MSR_RI, MSR_DCD };
	uint8_t lines = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	for (unsigned i = 0; i < ARRAY_SIZE(looped); i++)
		if (mcr & (1u << i))
			lines |= looped[i];
	return lines;
}

static void
mcr_write(struct uart16550 *u, uint8_t val)
{
	uint8_t old = msr_lines(u->mcr);

	u->mcr = val & MCR_MASK;
	uint8_t new = msr_lines(u->mcr);
	uint8_t delta = (uint8_t)((old ^ new) >> 4);

	/* The ring indicator counts its trailing edge only. */
	if (!(old & MSR_RI) || (new &MSR_RI))
		delta &= (uint8_t)~MSR_TERI;
	u->msr_delta |= delta;
}

/* ---- registers ---- */

static uint8_t
rbr_read(struct uart16550 *u)
{
	if (u->rx_len == 0)
		return 0;
	uint8_t byte = u->rx[u->rx_head];

	u->rx_head = (u->rx_head + 1) % RX_MAX;
	u->rx_len--;
	if (u->break_waits) {
		u->break_waits = false;
		rx_push(u, 0, true);
	}
	rx_reveal(u);
	return byte;
}

static uint8_t
iir_read(struct uart16550 *u)
{
	uint8_t iir = iir_pending(u);

	/* Reading clears it, if it is what was read. */
	if (iir == IIR_THRE)
		u->thre = false;
	return iir | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t
lsr_read(struct uart16550 *u)
{
	/* The transmitter is always ready: a guest that polls never waits. */
	uint8_t lsr = LSR_THRE | LSR_TEMT | u->lsr;

	if (u->rx_len != 0)
		lsr |= LSR_DR;
	if ((u->fcr & FCR_ENABLE) && (u->lsr & LSR_BI))
		lsr |= LSR_FIFO_ERR;
	for (unsigned i = 0; i < u->rx_len && (u->fcr & FCR_ENABLE); i++)
		if (u->rx_break[(u->rx_head + i) % RX_MAX])
			lsr |= LSR_FIFO_ERR;
	u->lsr = 0;
	return lsr;
}

static uint8_t
msr_read(struct uart16550 *u)
{
	uint8_t msr = msr_lines(u->mcr) | u->msr_delta;

	u->msr_delta = 0;
	return msr;
}

static void
ier_write(struct uart16550 *u, uint8_t val)
{
	uint8_t enabled = val & (uint8_t)~u->ier;

	u->ier = val & IER_MASK;
	/* Enabling with the holding register empty raises it; Linux tests that. */
	if (enabled & IER_THRE)
		thre_raise(u);
}

static void
fcr_write(struct uart16550 *u, uint8_t val)
{
	bool was = u->fcr & FCR_ENABLE, on = val & FCR_ENABLE;

	/*
	 * The other bits count only together with bit 0, 8.5.  Leaving FIFO mode
	 * clears, entering it does not: Linux enables the receive interrupt first
	 * (serial8250_do_set_termios), and the byte that has come by then is input
	 * like any other.  Clearing the transmit FIFO finds it empty: what is in
	 * u->tx was sent long ago.
	 */
	if ((was && !on) || (on && (val & FCR_CLEAR_RX)))
		rx_clear(u);
	u->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT) : 0;
}

static void
thr_write(struct uart16550 *u, uint8_t val)
{
	if (u->mcr & MCR_LOOP)
		rx_push(u, val, false);
	else
		tx_send(u, val);
	thre_raise(u);
}

static uint8_t
reg_read(struct uart16550 *u, uint64_t reg)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		return dlab ? u->dll : rbr_read(u);
	case IER:
		return dlab ? u->dlm : u->ier;
	case IIR:
		return iir_read(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return lsr_read(u);
	case MSR:
		return msr_read(u);
	case SCR:
		return u->scr;
	default:
		return 0xff;
	}
}

static void
reg_write(struct uart16550 *u, uint64_t reg, uint8_t val)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		if (dlab)
			u->dll = val;
		else
			thr_write(u, val);
		break;
	case IER:
		if (dlab)
			u->dlm = val;
		else
			ier_write(u, val);
		break;
	case IIR:
		fcr_write(u, val);
		break;
	case LCR:
		u->lcr = val;
		break;
	case MCR:
		mcr_write(u, val);
		break;
	case SCR:
		u->scr = val;
		break;
	default:
		break; /* LSR and MSR: factory test only */
	}
}

/* A wider access reaches an 8-bit chip as so many byte cycles, lowest first. */
static uint64_t
uart_read(void *dev, uint64_t off, unsigned len)
{
	struct uart16550 *u = dev;
	unsigned had = u->rx_len;
	uint64_t val = 0;

	for (unsigned i = 0; i < len; i++)
		val |= (uint64_t)reg_read(u, off + i) << (i * 8);
	irq_update(u);
	if (u->rx_len != had)
		rx_announce(u);
	return val;
}

static void
uart_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct uart16550 *u = dev;
	/* Those that flow control depends on. */
	uint32_t before = (uint32_t)(u->ier << 16 | u->mcr << 8 | u->fcr);
	unsigned had = u->rx_len;

	for (unsigned i = 0; i < len; i++)
		reg_write(u, off + i, (uint8_t)(val >> (i * 8)));
	irq_update(u);
	if (u->rx_len != had || before != (uint32_t)(u->ier << 16 | u->mcr << 8 | u->fcr))
		rx_announce(u);
}

static const struct region_ops uart_ops = { .read = uart_read, .write = uart_write };

/* ---- the other side ---- */

static void
front_input(void *dev, const uint8_t *buf, size_t len)
{
	struct uart16550 *u = dev;

	for (size_t i = 0; i < len; i++)
		rx_push(u, buf[i], false);
	irq_update(u);
}

static void
front_writable(void *dev)
{
	struct uart16550 *u = dev;

	tx_flush(u);
	if (u->thre_waits && u->tx_len <= TX_THROTTLE)
		thre_raise(u);
	irq_update(u);
}

static void
front_line_break(void *dev)
{
	struct uart16550 *u = dev;

	if (u->mcr & MCR_LOOP)
		return;
	if (u->rx_len < rx_size(u))
		rx_push(u, 0, true);
	else
		u->break_waits = true;
	irq_update(u);
	rx_announce(u);
}

static const struct chr_front_ops front_ops = {
	.input = front_input,
	.writable = front_writable,
	.line_break = front_line_break,
};

unsigned
uart16550_dropped(struct uart16550 *u)
{
	unsigned n = u->dropped;

	u->dropped = 0;
	return n;
}

int
uart16550_new(struct bus *bus, const char *name, struct chr *back, struct uart16550 **ret)
{
	struct uart16550 *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	u->bus = bus;
	u->back = back;
	u->dll = 12; /* 9600 baud, as firmware would leave it */

	const struct bus_device dev = {
		.kind = DEVICE_UART16550,
		.name = name,
		.ops = &uart_ops,
		.dev = u,
		.flags = REGION_POSTED_WRITE,
	};
	int rc = bus_attach(bus, &dev, &u->slot);
	if (rc < 0) {
		free(u);
		return rc;
	}
	back->dev = u;
	back->front = &front_ops;
	rx_announce(u);
	*ret = u;
	return 0;
}

void
uart16550_free(struct uart16550 *u)
{
	if (u == NULL)
		return;
	u->back->back->set_room(u->back, 0);
	u->back->front = NULL;
	u->back->dev = NULL;
	space_remove(&u->bus->space[u->slot->space], u->slot->base);
	free(u);
}
