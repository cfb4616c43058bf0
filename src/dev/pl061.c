/* SPDX-License-Identifier: ISC */
/*
 * ARM PrimeCell GPIO PL061 (DDI 0190), eight lines, of which input 3 is the power
 * button, high while pressed.  The others are not connected and read as 0.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "dev.h"
#include "primecell.h"
#include "reactor.h"
#include "util.h"

enum reg {
	DATA = 0x000, /* to 0x3fc: address bits 9:2 are the mask, 3.3.1 */
	DATA_END = 0x400,
	DIR = 0x400, /* 1: output */
	IS = 0x404,  /* 1: level */
	IBE = 0x408, /* 1: both edges */
	IEV = 0x40c, /* 1: rising edge or high level */
	IE = 0x410,
	RIS = 0x414,
	MIS = 0x418,
	IC = 0x41c,    /* write only */
	AFSEL = 0x420, /* stored: there is nothing else on the pins */
};

enum { PERIPHID = 0x00041061 };

static const uint64_t press_ns = NSEC_PER_SEC / 10;

struct pl061 {
	struct bus *bus;
	const struct bus_slot *slot;
	struct reactor *r;
	struct reactor_timer release;

	uint8_t in; /* what drives the pins from outside */
	uint8_t out;
	uint8_t dir, is, ibe, iev, ie, afsel;
	uint8_t edges; /* seen and not cleared */
};

static uint8_t
pins(const struct pl061 *p)
{
	return (uint8_t)((p->out & p->dir) | (p->in & ~p->dir));
}

static uint8_t
ris(const struct pl061 *p)
{
	uint8_t active = (uint8_t) ~(pins(p) ^ p->iev);

	return (uint8_t)((active & p->is) | (p->edges & ~p->is));
}

/* After any change; was is what the pins were before it. */
static void
update(struct pl061 *p, uint8_t was)
{
	uint8_t now = pins(p);
	uint8_t changed = was ^ now;
	/* IBE set: either edge; else the one that ends at the level IEV says. */
	uint8_t wanted = (uint8_t)(p->ibe | ~(now ^ p->iev));

	p->edges |= (uint8_t)(changed & wanted & ~p->is);
	if (p->slot->irq != NULL)
		irq_line_set(p->slot->irq, (ris(p) & p->ie) != 0);
}

static void
set_input(struct pl061 *p, unsigned line, bool level)
{
	uint8_t was = pins(p);

	p->in = (uint8_t)((p->in & ~(1u << line)) | (unsigned)level << line);
	update(p, was);
}

static uint64_t
pl061_read(void *dev, uint64_t off, unsigned len)
{
	struct pl061 *p = dev;

	(void)len;
	if (!primecell_aligned(off))
		return 0;
	if (off < DATA_END)
		return pins(p) & (off >> 2);
	switch (off) {
	case DIR:
		return p->dir;
	case IS:
		return p->is;
	case IBE:
		return p->ibe;
	case IEV:
		return p->iev;
	case IE:
		return p->ie;
	case RIS:
		return ris(p);
	case MIS:
		return ris(p) & p->ie;
	case AFSEL:
		return p->afsel;
	default:
		return off >= PRIMECELL_ID && off < PRIMECELL_ID_END
			       ? primecell_id(PERIPHID, off)
			       : 0;
	}
}

static void
pl061_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct pl061 *p = dev;
	uint8_t was = pins(p), v = (uint8_t)val;

	(void)len;
	if (!primecell_aligned(off))
		return;
	if (off < DATA_END) {
		/* Only lines that are in the mask and outputs. */
		uint8_t mask = (uint8_t)(off >> 2) & p->dir;

		p->out = (uint8_t)((p->out & ~mask) | (v & mask));
		update(p, was);
		return;
	}
	switch (off) {
	case DIR:
		p->dir = v;
		break;
	case IS:
		p->is = v;
		break;
	case IBE:
		p->ibe = v;
		break;
	case IEV:
		p->iev = v;
		break;
	case IE:
		p->ie = v;
		break;
	case IC:
		p->edges &= (uint8_t)~v;
		break;
	case AFSEL:
		p->afsel = v;
		break;
	default:
		return;
	}
	update(p, was);
}

static const struct region_ops pl061_ops = { .read = pl061_read, .write = pl061_write };

static void
release_cb(struct reactor_timer *t)
{
	set_input(container_of(t, struct pl061, release), PL061_POWER_BUTTON, false);
}

void
pl061_press_button(struct pl061 *p)
{
	set_input(p, PL061_POWER_BUTTON, true);
	reactor_timer_set(p->r, &p->release, reactor_now_ns(p->r) + press_ns);
}

int
pl061_new(struct bus *bus, struct reactor *r, struct pl061 **ret)
{
	struct pl061 *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->bus = bus;
	p->r = r;
	p->release.cb = release_cb;

	const struct bus_device dev = {
		.kind = DEVICE_PL061,
		.name = "gpio",
		.ops = &pl061_ops,
		.dev = p,
	};
	int rc = bus_attach(bus, &dev, &p->slot);
	if (rc < 0) {
		free(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void
pl061_free(struct pl061 *p)
{
	if (p == NULL)
		return;
	reactor_timer_cancel(p->r, &p->release);
	space_remove(&p->bus->space[p->slot->space], p->slot->base);
	free(p);
}
