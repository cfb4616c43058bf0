/* SPDX-License-Identifier: ISC */
/*
 * The small devices on one bus under a hostile guest, with a clock that moves as
 * the input says: both RTCs, the GPIO, the power registers and the i8042.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "acpi.h"
#include "dev.h"
#include "fuzz.h"
#include "util.h"

#include "../unit/fake_bus.c"
#include "../unit/fake_reactor.c"

enum { RTC, I8042, POWER, PL031, PL061, DEVICES };

static const struct platform_row rows[DEVICES] = {
	[RTC] = { DEVICE_RTC_CMOS, SPACE_PIO, 0x70, 2, 8, IRQ_EDGE },
	[I8042] = { DEVICE_I8042, SPACE_PIO, 0x60, 5, -1, IRQ_EDGE },
	[POWER] = { DEVICE_POWER_ACPI, SPACE_PIO, 0x600, ACPI_POWER_LEN, 9, IRQ_EDGE },
	[PL031] = { DEVICE_PL031, SPACE_MMIO, 0x10000, 0x1000, 2, IRQ_LEVEL },
	[PL061] = { DEVICE_PL061, SPACE_MMIO, 0x20000, 0x1000, 7, IRQ_LEVEL },
};

struct machine {
	struct fake_bus fb;
	struct fake_reactor fr;
	struct rtc_cmos *rtc;
	struct i8042 *k;
	struct acpi_power *power;
	struct pl031 *pl031;
	struct pl061 *pl061;
};

static void
ignore(void *arg)
{
	assert(arg != NULL);
}

static const struct power_ops power_ops = { ignore, ignore };

static void
start(struct machine *m)
{
	struct reactor *r = fake_reactor(&m->fr);
	struct bus *bus = &m->fb.bus;

	memset(&m->fr, 0, sizeof(m->fr));
	m->fr.now_ns = NSEC_PER_SEC;
	m->fr.wall_ns = 1800000000 * (int64_t)NSEC_PER_SEC + 1;
	fake_bus_init(&m->fb, rows, DEVICES);
	if (rtc_cmos_new(bus, r, &m->rtc) || i8042_new(bus, &power_ops, m, &m->k) ||
	    acpi_power_new(bus, &power_ops, m, &m->power) ||
	    pl031_new(bus, r, &m->pl031) || pl061_new(bus, r, &m->pl061))
		abort();
}

static void
stop(struct machine *m)
{
	rtc_cmos_free(m->rtc);
	i8042_free(m->k);
	acpi_power_free(m->power);
	pl031_free(m->pl031);
	pl061_free(m->pl061);
	assert(fake_reactor_ntimers(&m->fr) == 0);
	fake_bus_fini(&m->fb);
}

static void
step(struct machine *m, const uint8_t op[8])
{
	const struct platform_row *row = &rows[(op[0] >> 4) % DEVICES];
	const struct space *sp = &m->fb.space[row->space];
	uint64_t addr = row->base + le16_get(op + 1) % row->len;
	unsigned len = op[3] % 8 + 1;
	uint64_t val = le32_get(op + 4) * 0x100000001ull;

	switch (op[0] % 8) {
	case 0:
		space_read(sp, addr, len);
		break;
	case 1:
		space_write(sp, addr, len, val);
		break;
	case 2:
		space_write(sp, row->base + le16_get(op + 1) % row->len / 4 * 4, 4, val);
		break;
	case 3: /* index, then data */
		space_write(&m->fb.space[SPACE_PIO], 0x70, 1, op[1]);
		space_write(&m->fb.space[SPACE_PIO], 0x71, 1, op[2]);
		break;
	case 4:
		space_write(&m->fb.space[SPACE_PIO], 0x70, 1, op[1]);
		space_read(&m->fb.space[SPACE_PIO], 0x71, 1);
		break;
	case 5: /* up to a day and a bit */
		fake_reactor_advance(&m->fr, le32_get(op + 4) % 90000000 * 1000000ull);
		break;
	case 6: /* somebody sets the host's clock */
		m->fr.wall_ns = (int64_t)(le32_get(op + 4) * NSEC_PER_SEC);
		break;
	default:
		acpi_power_press_button(m->power);
		pl061_press_button(m->pl061);
		break;
	}
	/* One timer each for those that have one. */
	assert(fake_reactor_ntimers(&m->fr) <= 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;

	start(&m);
	for (; size >= 8; data += 8, size -= 8)
		step(&m, data);
	stop(&m);
	return 0;
}
