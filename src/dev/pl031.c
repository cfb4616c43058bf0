/* SPDX-License-Identifier: ISC */
/*
 * ARM PrimeCell real time clock PL031 (DDI 0224): seconds in a 32-bit counter,
 * and one alarm.
 *
 * Setting the time keeps an offset to the host's clock, which is never touched.
 * The match is looked for when the guest looks, and by a timer only while its
 * interrupt is enabled and not pending.
 */
#include <errno.h>
#include <stdlib.h>

#include "bus.h"
#include "dev.h"
#include "primecell.h"
#include "reactor.h"
#include "util.h"

enum reg {
	DR = 0x00, /* data, read only */
	MR = 0x04, /* match */
	LR = 0x08, /* load */
	CR = 0x0c, /* control: bit 0, cannot be cleared */
	IMSC = 0x10,
	RIS = 0x14,
	MIS = 0x18,
	ICR = 0x1c, /* write only */
};

enum { PERIPHID = 0x00041031 };

struct pl031 {
	struct bus *bus;
	const struct bus_slot *slot;
	struct reactor *r;
	struct reactor_timer timer;

	int64_t offset_ns; /* guest time minus host time */
	uint32_t mr, lr;
	bool imsc, ris;
	uint32_t seen; /* the match was looked for up to this second */
};

static uint64_t
time_ns(const struct pl031 *p)
{
	/* Unsigned: a host clock set back below the offset gives nonsense, no trap. */
	return (uint64_t)reactor_wall_ns(p->r) + (uint64_t)p->offset_ns;
}

static uint32_t
counter(const struct pl031 *p)
{
	return (uint32_t)(time_ns(p) / NSEC_PER_SEC);
}

/* Did the counter pass the match value since it was last looked at? */
static void
look(struct pl031 *p)
{
	uint32_t now = counter(p);
	uint32_t passed = now - p->seen;

	/* When the host's clock was set back, nothing has passed. */
	if (passed <= INT32_MAX && p->mr - p->seen - 1 < passed)
		p->ris = true;
	p->seen = now;
}

static void
update(struct pl031 *p)
{
	look(p);
	if (p->slot->irq != NULL)
		irq_line_set(p->slot->irq, p->imsc && p->ris);

	if (!p->imsc || p->ris) {
		reactor_timer_cancel(p->r, &p->timer);
		return;
	}
	/*
	 * Counted from the second that was looked at, not from now.  In the very
	 * second of a match that was acknowledged the next is 2^32 seconds away,
	 * not 0.  (A host clock that jumps makes the alarm late or the timer early;
	 * an early one finds nothing and is set again.)
	 */
	uint64_t wait_ns = ((uint64_t)(uint32_t)(p->mr - p->seen - 1) + 1) * NSEC_PER_SEC;
	uint64_t t = time_ns(p);
	uint64_t gone_ns =
		(uint64_t)((uint32_t)(t / NSEC_PER_SEC) - p->seen) * NSEC_PER_SEC +
		t % NSEC_PER_SEC;

	reactor_timer_set(p->r, &p->timer,
			  reactor_now_ns(p->r) +
				  (gone_ns < wait_ns ? wait_ns - gone_ns : 0));
}

static void
timer_cb(struct reactor_timer *t)
{
	update(container_of(t, struct pl031, timer));
}

static void
load(struct pl031 *p, uint32_t val)
{
	p->lr = val;
	p->offset_ns =
		(int64_t)((uint64_t)val * NSEC_PER_SEC - (uint64_t)reactor_wall_ns(p->r));
	p->seen = val - 1;
}

static uint64_t
pl031_read(void *dev, uint64_t off, unsigned len)
{
	struct pl031 *p = dev;

	(void)len;
	if (!primecell_aligned(off))
		return 0;
	look(p);
	switch (off) {
	case DR:
		return counter(p);
	case MR:
		return p->mr;
	case LR:
		return p->lr;
	case CR:
		return 1;
	case IMSC:
		return p->imsc;
	case RIS:
		return p->ris;
	case MIS:
		return p->imsc && p->ris;
	default:
		return off >= PRIMECELL_ID && off < PRIMECELL_ID_END
			       ? primecell_id(PERIPHID, off)
			       : 0;
	}
}

static void
pl031_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct pl031 *p = dev;

	/* Part of a time is no time. */
	if (!primecell_aligned(off) || len < 4)
		return;
	look(p);
	switch (off) {
	case MR:
		p->mr = (uint32_t)val;
		p->seen--; /* a match in this very second counts */
		break;
	case LR:
		load(p, (uint32_t)val);
		break;
	case IMSC:
		p->imsc = val & 1;
		break;
	case ICR:
		p->ris = p->ris && !(val & 1);
		break;
	default:
		return;
	}
	update(p);
}

static const struct region_ops pl031_ops = { .read = pl031_read, .write = pl031_write };

int
pl031_new(struct bus *bus, struct reactor *r, struct pl031 **ret)
{
	struct pl031 *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->bus = bus;
	p->r = r;
	p->timer.cb = timer_cb;
	p->seen = counter(p);

	const struct bus_device dev = {
		.kind = DEVICE_PL031,
		.name = "rtc",
		.ops = &pl031_ops,
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
pl031_free(struct pl031 *p)
{
	if (p == NULL)
		return;
	reactor_timer_cancel(p->r, &p->timer);
	space_remove(&p->bus->space[p->slot->space], p->slot->base);
	free(p);
}
