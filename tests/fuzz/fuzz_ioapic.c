/* SPDX-License-Identifier: ISC */
/*
 * libFuzzer target: the I/O APIC model against what must hold after any sequence
 * of register accesses, pin changes and EOIs.
 *
 * Each step is 7 bytes: operation, argument, width selector, 32-bit value.  The
 * oracle judges from outside: from the entries as the guest reads them, from the
 * pins as they were driven, and from what the model reported.
 */
#include <string.h>

#include "fuzz.h"
#include "ioapic.h"
#include "irqchip.h"
#include "util.h"

enum { STEP_LEN = 7 };

/* Bits of an entry, named apart from the model's own. */
#define VECTOR(e) ((unsigned)((e)&0xff))
#define MODE(e) ((unsigned)((e) >> 8 & 7))
#define REMOTE_IRR(e) ((e) >> 14 & 1)
#define MASKED(e) ((e) >> 16 & 1)
#define LEVEL(e) (((e) >> 15 & 1) && MODE(e) <= 1)
#define MUST_BE_ZERO 0x00fffffffffe1000ull /* reserved, and delivery status */

struct oracle {
	struct ioapic io;
	uint32_t wire; /* as driven */
	struct msi_msg route[IOAPIC_PINS];
	uint32_t routed;    /* as reported */
	unsigned delivered; /* in this step */
	struct msi_msg last;
};

static void
routes_changed(void *arg)
{
	struct oracle *o = arg;
	uint32_t was = o->routed;
	bool changed = false;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		struct msi_msg msg = { 0 };
		bool routed = ioapic_route(&o->io, pin, &msg);

		changed |= routed != (was >> pin & 1);
		changed |= routed && (msg.addr != o->route[pin].addr ||
				      msg.data != o->route[pin].data);
		o->route[pin] = msg;
		o->routed = routed ? o->routed | 1u << pin : o->routed & ~(1u << pin);
	}
	CHECK(changed); /* a report costs a system call */
}

static void
deliver(void *arg, const struct msi_msg *msg)
{
	struct oracle *o = arg;
	unsigned mode = msg->data >> 8 & 7;
	bool known = false;

	o->delivered++;
	o->last = *msg;
	CHECK((msg->addr & ~0xff00cull) == 0xfee00000);
	CHECK((msg->data & ~0xc7ffu) == 0);
	CHECK(mode != 3 && mode != 6 && mode != 7);

	/* A level interrupt comes from a pin whose route was reported before. */
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		known |= (o->routed & o->wire) >> pin & 1 &&
			 o->route[pin].addr == msg->addr &&
			 o->route[pin].data == msg->data;
	CHECK(known == (msg->data >> 15 & 1));
}

static const struct ioapic_ops ops = { deliver, routes_changed };

static uint64_t
entry(struct oracle *o, unsigned pin)
{
	uint8_t select = (uint8_t)ioapic_read(&o->io, 0x00, 4);
	uint64_t half[2];

	for (unsigned i = 0; i < 2; i++) {
		ioapic_write(&o->io, 0x00, 1, 0x10 + 2 * pin + i);
		half[i] = ioapic_read(&o->io, 0x10, 4);
		CHECK(half[i] <= UINT32_MAX);
	}
	ioapic_write(&o->io, 0x00, 1, select);
	return half[1] << 32 | half[0];
}

static void
check_state(struct oracle *o)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = entry(o, pin);
		struct msi_msg msg = { 0 };

		CHECK((e & MUST_BE_ZERO) == 0);
		CHECK(!REMOTE_IRR(e) || LEVEL(e));
		/* No level interrupt is left behind. */
		CHECK(!(LEVEL(e) && (o->wire >> pin & 1) && !MASKED(e) &&
			!REMOTE_IRR(e)));
		/* No EOI that matters is missed, and no change went unreported. */
		CHECK(ioapic_route(&o->io, pin, &msg) ==
		      (LEVEL(e) && (!MASKED(e) || REMOTE_IRR(e))));
		CHECK((o->routed >> pin & 1) == ioapic_route(&o->io, pin, &msg));
		CHECK(msg.addr == o->route[pin].addr && msg.data == o->route[pin].data);
	}
}

static void
step_pin(struct oracle *o, unsigned pin, bool level)
{
	uint64_t e = entry(o, pin);
	bool rising = level && !(o->wire >> pin & 1);
	bool due = level && !MASKED(e) && MODE(e) != 3 && MODE(e) != 6 && MODE(e) != 7 &&
		   (LEVEL(e) ? !REMOTE_IRR(e) : rising);

	o->wire = level ? o->wire | 1u << pin : o->wire & ~(1u << pin);
	ioapic_set_pin(&o->io, pin, level);
	CHECK(o->delivered == due);
	if (due) {
		CHECK((o->last.data & 0x7ff) == (e & 0x7ff));
		CHECK((o->last.addr >> 12 & 0xff) == e >> 56);
	}
	CHECK(entry(o, pin) == (due && LEVEL(e) ? e | 1u << 14 : e));
}

static void
step_eoi(struct oracle *o, unsigned vector, bool by_register)
{
	unsigned due = 0;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = entry(o, pin);

		due += REMOTE_IRR(e) && VECTOR(e) == vector && (o->wire >> pin & 1) &&
		       !MASKED(e);
	}
	if (by_register)
		ioapic_write(&o->io, 0x40, 4, vector);
	else
		ioapic_eoi(&o->io, vector);
	CHECK(o->delivered == due);
}

static void
step_write(struct oracle *o, uint64_t off, unsigned len, uint32_t val)
{
	ioapic_write(&o->io, off, len, val);
	if (off != 0x40)
		CHECK(o->delivered <= 1);
	else if (len != 4)
		CHECK(o->delivered == 0);
}

static void
step(struct oracle *o, const uint8_t *in)
{
	static const uint8_t offs[] = { 0x00, 0x10, 0x40, 0x44 };
	unsigned arg = in[1], len = 1u << (in[2] & 3);
	uint32_t val = le32_get(in + 3);

	o->delivered = 0;
	switch (in[0] & 7) {
	case 0: /* an entry as a driver writes it: most of what is of interest */
	case 1:
		ioapic_write(&o->io, 0x00, 4, 0x10 + arg % (2 * IOAPIC_PINS));
		step_write(o, 0x10, 4, val);
		break;
	case 2:
		step_write(o, offs[arg & 3], len, val);
		break;
	case 3:
		step_write(o, (uint64_t)arg << 4 | (in[2] >> 4), len, val);
		break;
	case 4:
		ioapic_read(&o->io, (uint64_t)arg << 4 | (in[2] >> 4), len);
		CHECK(o->delivered == 0);
		break;
	case 5:
		step_eoi(o, arg, in[2] & 1);
		break;
	default:
		step_pin(o, arg % IOAPIC_PINS, in[2] & 1);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oracle o;

	memset(&o, 0, sizeof(o));
	ioapic_init(&o.io, &ops, &o);
	for (; size >= STEP_LEN; data += STEP_LEN, size -= STEP_LEN) {
		step(&o, data);
		check_state(&o);
	}
	return 0;
}
