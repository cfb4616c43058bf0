/* SPDX-License-Identifier: ISC */
/*
 * MC146818 real time clock with 114 bytes of CMOS memory (Motorola data sheet,
 * ADI1018), index at port 0x70, data at 0x71.
 *
 * The time is that of the host plus an offset, UTC; setting it changes the offset
 * and never the host's clock.  Update-ended and alarm flags are worked out when
 * the guest looks; a timer runs only while an interrupt is enabled and its flag
 * is not yet set.  There is no periodic interrupt and no square wave: PIE and
 * SQWE stay 0, so that a guest that wants them can see it (Linux uses neither on
 * this chip: its RTC core emulates both with timers).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "dev.h"
#include "reactor.h"
#include "util.h"

enum reg {
	SECONDS = 0,
	SECONDS_ALARM = 1,
	MINUTES = 2,
	MINUTES_ALARM = 3,
	HOURS = 4,
	HOURS_ALARM = 5,
	WEEKDAY = 6, /* 1 is Sunday */
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	A = 10,
	B = 11,
	C = 12,
	D = 13,
	CENTURY = 0x32, /* by convention, and in the FADT */
	REGS = 128,
};

enum {
	A_UIP = 1 << 7,
	A_DEFAULT = 0x26, /* 32768 Hz time base, 1024 Hz rate */

	B_SET = 1 << 7,
	B_PIE = 1 << 6,
	B_AIE = 1 << 5,
	B_UIE = 1 << 4,
	B_SQWE = 1 << 3,
	B_BINARY = 1 << 2,
	B_24H = 1 << 1,

	C_IRQ = 1 << 7,
	C_AF = 1 << 5,
	C_UF = 1 << 4, /* AF and UF where AIE and UIE */

	D_VALID = 1 << 7,

	HOUR_PM = 1 << 7,
	ALARM_ANY = 0xc0, /* both bits: every value matches */
};

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

/* UIP comes this long before an update, figure 15. */
static const uint64_t uip_ns = 244000;

struct rtc_cmos {
	struct bus *bus;
	const struct bus_slot *slot;
	struct reactor *r;
	struct reactor_timer timer;

	/* Guest time is floor((host time + shift_ns) / 1 s) + offset_s seconds. */
	int64_t offset_s;
	int64_t shift_ns; /* 0 .. 999999999 */

	uint8_t index;
	/* As the guest wrote them; the time and date among them only while SET. */
	uint8_t reg[REGS];
	int64_t seen_s; /* flags were worked out up to this second */
};

struct civil {
	int64_t year;
	int month, day; /* from 1 */
};

/* ---- the calendar, proleptic Gregorian, in days since 1970-01-01 ---- */

/* With years that start in March, so that the leap day is the last. */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct civil
civil_from_days(int64_t days)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int month = (int)(mp < 10 ? mp + 3 : mp - 9);

	return (struct civil){
		.year = yoe + era * 400 + (month <= 2),
		.month = month,
		.day = (int)(doy - (153 * mp + 2) / 5) + 1,
	};
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* ---- the clock ---- */

static int64_t
shifted_ns(const struct rtc_cmos *rtc)
{
	return reactor_wall_ns(rtc->r) + rtc->shift_ns;
}

static int64_t
now_s(const struct rtc_cmos *rtc)
{
	return floor_div(shifted_ns(rtc), (int64_t)NSEC_PER_SEC) + rtc->offset_s;
}

/* How far this second is gone. */
static uint64_t
fraction_ns(const struct rtc_cmos *rtc)
{
	int64_t ns = shifted_ns(rtc);

	return (uint64_t)(ns -
			  floor_div(ns, (int64_t)NSEC_PER_SEC) * (int64_t)NSEC_PER_SEC);
}

static void
set_time(struct rtc_cmos *rtc, int64_t s, uint64_t ns)
{
	uint64_t host_ns;

	rtc->shift_ns = 0;
	host_ns = fraction_ns(rtc);
	rtc->shift_ns = (int64_t)((ns + NSEC_PER_SEC - host_ns) % NSEC_PER_SEC);
	rtc->offset_s += s - now_s(rtc);
}

/* ---- how numbers are written: register B ---- */

static uint8_t
encode(const struct rtc_cmos *rtc, int64_t v)
{
	unsigned u = (unsigned)(v % 100);

	return (uint8_t)(rtc->reg[B] & B_BINARY ? u : u / 10 << 4 | u % 10);
}

/* Total: nonsense gives some number up to 255. */
static int
decode(const struct rtc_cmos *rtc, uint8_t v)
{
	return rtc->reg[B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t
encode_hour(const struct rtc_cmos *rtc, int64_t hour)
{
	if (rtc->reg[B] & B_24H)
		return encode(rtc, hour);
	return (uint8_t)(encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0));
}

static int
decode_hour(const struct rtc_cmos *rtc, uint8_t v)
{
	if (rtc->reg[B] & B_24H)
		return decode(rtc, v);
	return decode(rtc, v & (uint8_t)~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Writes the time into the registers, in the modes of register B. */
static void
latch(struct rtc_cmos *rtc)
{
	int64_t s = now_s(rtc);
	int64_t days = floor_div(s, DAY_S);
	int64_t tod = s - days * DAY_S;
	struct civil c = civil_from_days(days);

	if (c.year < 0) /* the host's clock is off its mind */
		c.year = 0;
	rtc->reg[SECONDS] = encode(rtc, tod % MINUTE_S);
	rtc->reg[MINUTES] = encode(rtc, tod / MINUTE_S % 60);
	rtc->reg[HOURS] = encode_hour(rtc, tod / HOUR_S);
	rtc->reg[WEEKDAY] = (uint8_t)((days % 7 + 11) % 7 + 1); /* day 0: Thursday */
	rtc->reg[DAY] = encode(rtc, c.day);
	rtc->reg[MONTH] = encode(rtc, c.month);
	rtc->reg[YEAR] = encode(rtc, c.year);
	rtc->reg[CENTURY] = encode(rtc, c.year / 100);
}

/* And back.  Dates that do not exist overflow into the next month; the weekday
 * follows from the date. */
static int64_t
latched_s(const struct rtc_cmos *rtc)
{
	int month = decode(rtc, rtc->reg[MONTH]);
	int64_t year = decode(rtc, rtc->reg[CENTURY]) * 100 + decode(rtc, rtc->reg[YEAR]);

	if (month < 1)
		month = 1;
	if (month > 12)
		month = 12;
	return days_from_civil(year, month, decode(rtc, rtc->reg[DAY])) * DAY_S +
	       decode_hour(rtc, rtc->reg[HOURS]) * (int64_t)HOUR_S +
	       decode(rtc, rtc->reg[MINUTES]) * (int64_t)MINUTE_S +
	       decode(rtc, rtc->reg[SECONDS]);
}

/* ---- alarm and update-ended ---- */

static bool
alarm_matches(uint8_t alarm, int want, int is)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || want == is;
}

/* The first second after s that the alarm matches, or INT64_MAX. */
static int64_t
alarm_next(const struct rtc_cmos *rtc, int64_t s)
{
	const uint8_t *reg = rtc->reg;
	int want_s = decode(rtc, reg[SECONDS_ALARM]);
	int want_m = decode(rtc, reg[MINUTES_ALARM]);
	int want_h = decode_hour(rtc, reg[HOURS_ALARM]);
	bool any_s = (reg[SECONDS_ALARM] & ALARM_ANY) == ALARM_ANY;
	int64_t t = s + 1;
	int64_t end = t + DAY_S;

	if (!any_s && want_s >= MINUTE_S)
		return INT64_MAX;
	/* A minute at a time: at most 1441 rounds. */
	while (t <= end) {
		int64_t tod = t - floor_div(t, DAY_S) * DAY_S;
		int64_t minute = t - tod % MINUTE_S;
		int64_t hit = any_s ? t : minute + want_s;

		if (hit >= t &&
		    alarm_matches(reg[HOURS_ALARM], want_h, (int)(tod / HOUR_S)) &&
		    alarm_matches(reg[MINUTES_ALARM], want_m, (int)(tod / MINUTE_S % 60)))
			return hit;
		t = minute + MINUTE_S;
	}
	return INT64_MAX;
}

/* Sets the flags for what has happened since the last look. */
static void
look(struct rtc_cmos *rtc)
{
	int64_t now = now_s(rtc);

	if (rtc->reg[B] & B_SET || now <= rtc->seen_s) {
		rtc->seen_s = now; /* nothing counts, or the host's clock went back */
		return;
	}
	rtc->reg[C] |= C_UF;
	if (!(rtc->reg[C] & C_AF) && alarm_next(rtc, rtc->seen_s) <= now)
		rtc->reg[C] |= C_AF;
	rtc->seen_s = now;
}

/* When the next interrupt is due that is enabled and not pending; or INT64_MAX. */
static int64_t
due_s(const struct rtc_cmos *rtc)
{
	uint8_t missing = rtc->reg[B] & (uint8_t)~rtc->reg[C];

	if (rtc->reg[B] & B_SET)
		return INT64_MAX;
	if (missing & B_UIE)
		return rtc->seen_s + 1;
	return missing & B_AIE ? alarm_next(rtc, rtc->seen_s) : INT64_MAX;
}

static void
update(struct rtc_cmos *rtc)
{
	look(rtc);

	bool irq = rtc->reg[C] & rtc->reg[B] & (C_AF | C_UF);
	if (rtc->slot->irq != NULL)
		irq_line_set(rtc->slot->irq, irq);

	int64_t due = due_s(rtc);
	if (due == INT64_MAX) {
		reactor_timer_cancel(rtc->r, &rtc->timer);
		return;
	}
	int64_t wait_ns = (due - rtc->offset_s) * (int64_t)NSEC_PER_SEC - shifted_ns(rtc);
	reactor_timer_set(rtc->r, &rtc->timer,
			  reactor_now_ns(rtc->r) + (wait_ns > 0 ? (uint64_t)wait_ns : 0));
}

static void
timer_cb(struct reactor_timer *t)
{
	update(container_of(t, struct rtc_cmos, timer));
}

/* ---- registers ---- */

static bool
is_time(unsigned i)
{
	return i == SECONDS || i == MINUTES || i == HOURS ||
	       (i >= WEEKDAY && i <= YEAR) || i == CENTURY;
}

static uint8_t
reg_read(struct rtc_cmos *rtc, unsigned i)
{
	bool running = !(rtc->reg[B] & B_SET);
	uint8_t val;

	if (is_time(i) && running)
		latch(rtc);
	switch (i) {
	case A:
		/* True to the data sheet and cheap: Linux finds it in one of 4000
		 * readings, and then waits a millisecond. */
		val = running && fraction_ns(rtc) >= NSEC_PER_SEC - uip_ns ? A_UIP : 0;
		return rtc->reg[A] | val;
	case C:
		look(rtc);
		val = rtc->reg[C];
		if (val & rtc->reg[B] & (C_AF | C_UF))
			val |= C_IRQ;
		rtc->reg[C] = 0;
		update(rtc);
		return val;
	case D:
		return D_VALID;
	default:
		return rtc->reg[i];
	}
}

static void
b_write(struct rtc_cmos *rtc, uint8_t val)
{
	uint8_t was = rtc->reg[B];

	val &= (uint8_t) ~(B_PIE | B_SQWE);
	if (val & B_SET)
		val &= (uint8_t)~B_UIE; /* data sheet: SET clears UIE */
	look(rtc);
	rtc->reg[B] = val;
	/* The time stands still from here on, and what is read is what it was. */
	if (!(was & B_SET) && (val & B_SET))
		latch(rtc);
	/* The first update comes half a second after the divider starts anew. */
	if ((was & B_SET) && !(val & B_SET)) {
		set_time(rtc, latched_s(rtc), NSEC_PER_SEC / 2);
		rtc->seen_s = now_s(rtc);
	}
}

static void
time_write(struct rtc_cmos *rtc, unsigned i, uint8_t val)
{
	if (rtc->reg[B] & B_SET) {
		rtc->reg[i] = val;
		return;
	}
	latch(rtc);
	rtc->reg[i] = val;
	set_time(rtc, latched_s(rtc), fraction_ns(rtc));
	rtc->seen_s = now_s(rtc);
}

static void
reg_write(struct rtc_cmos *rtc, unsigned i, uint8_t val)
{
	if (is_time(i)) {
		look(rtc);
		time_write(rtc, i, val);
	} else if (i == A) {
		rtc->reg[A] = val & (uint8_t)~A_UIP;
		return;
	} else if (i == B) {
		b_write(rtc, val);
	} else if (i == C || i == D) {
		return; /* read only */
	} else if (i > D) {
		rtc->reg[i] = val; /* memory */
		return;
	} else {
		look(rtc); /* up to now the old alarm counts */
		rtc->reg[i] = val;
	}
	update(rtc);
}

/* Two one-byte ports; a wider access is so many byte cycles, lowest first. */
static uint64_t
rtc_read(void *dev, uint64_t off, unsigned len)
{
	struct rtc_cmos *rtc = dev;
	uint64_t val = 0;

	for (unsigned i = 0; i < len; i++) {
		/* The index cannot be read back, as on a PC. */
		uint8_t byte = off + i == 1 ? reg_read(rtc, rtc->index) : 0xff;

		val |= (uint64_t)byte << (i * 8);
	}
	return val;
}

static void
rtc_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct rtc_cmos *rtc = dev;

	for (unsigned i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)(val >> (i * 8));

		if (off + i == 0)
			rtc->index = byte & (REGS - 1); /* bit 7 masks NMIs: none here */
		else if (off + i == 1)
			reg_write(rtc, rtc->index, byte);
	}
}

static const struct region_ops rtc_ops = { .read = rtc_read, .write = rtc_write };

int
rtc_cmos_new(struct bus *bus, struct reactor *r, struct rtc_cmos **ret)
{
	struct rtc_cmos *rtc = calloc(1, sizeof(*rtc));

	if (rtc == NULL)
		return -ENOMEM;
	rtc->bus = bus;
	rtc->r = r;
	rtc->timer.cb = timer_cb;
	rtc->reg[A] = A_DEFAULT;
	rtc->reg[B] = B_24H;
	rtc->seen_s = now_s(rtc);

	const struct bus_device dev = {
		.kind = DEVICE_RTC_CMOS,
		.name = "rtc",
		.ops = &rtc_ops,
		.dev = rtc,
	};
	int rc = bus_attach(bus, &dev, &rtc->slot);
	if (rc < 0) {
		free(rtc);
		return rc;
	}
	*ret = rtc;
	return 0;
}

void
rtc_cmos_free(struct rtc_cmos *rtc)
{
	if (rtc == NULL)
		return;
	reactor_timer_cancel(rtc->r, &rtc->timer);
	space_remove(&rtc->bus->space[rtc->slot->space], rtc->slot->base);
	free(rtc);
}
