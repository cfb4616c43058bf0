/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_bus.h"
#include "fake_virtio.h"
#include "virtio_transport.h"

enum {
	BASE = 0x70000000,
	GSI = 5,
	MAGIC = 0x000,
	VERSION = 0x004,
	DEVICE_ID = 0x008,
	VENDOR = 0x00c,
	DF = 0x010,
	DFSEL = 0x014,
	GF = 0x020,
	GFSEL = 0x024,
	PAGE = 0x028,
	QSEL = 0x030,
	QMAX = 0x034,
	QSIZE = 0x038,
	ALIGN = 0x03c,
	PFN = 0x040,
	READY = 0x044,
	NOTIFY = 0x050,
	ISR = 0x060,
	ACK = 0x064,
	STATUS = 0x070,
	DESC = 0x080,
	DRIVER = 0x090,
	DEVICE = 0x0a0,
	SHMLEN = 0x0b0,
	QRESET = 0x0c0,
	GEN = 0x0fc,
	CONFIG = 0x100,
};

static const struct platform_row row[] = {
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, BASE, 0x200, GSI, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, BASE + 0x1000, 0x104, GSI + 1, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, BASE + 0x2000, 0x200, -1, IRQ_LEVEL },
};

struct fix {
	struct fake_ram ram;
	struct fake_bus fb;
	struct fake_dev f;
	struct fake_ring ring[FAKE_QUEUES];
	struct virtio_mmio *vm;
	struct virtio_doorbell db[FAKE_QUEUES];
	unsigned ndb;
};

static void
db_add(void *arg, const struct virtio_doorbell *db)
{
	struct fix *x = arg;

	assert_true(x->ndb < FAKE_QUEUES);
	x->db[x->ndb++] = *db;
}

static int
make(void **state, bool legacy)
{
	static const struct virtio_doorbell_ops ops = { .add = db_add };
	struct fix *x = calloc(1, sizeof(*x));
	const struct virtio_mmio_config cfg = {
		.legacy = legacy,
		.doorbell = &ops,
		.doorbell_arg = x,
	};

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	fake_bus_init(&x->fb, row, ARRAY_SIZE(row));
	fake_dev_init(&x->f, &x->ram.mem);
	assert_int_equal(virtio_mmio_new(&x->fb.bus, &x->f.dev, &cfg, &x->vm), 0);
	*state = x;
	return 0;
}

static int
setup(void **state)
{
	return make(state, false);
}

static int
setup_legacy(void **state)
{
	return make(state, true);
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	virtio_mmio_free(x->vm);
	assert_int_equal(x->f.starts, x->f.stops);
	assert_false(x->fb.level[GSI]);
	assert_int_equal(x->fb.space[SPACE_MMIO].nregion, 0);
	fake_bus_fini(&x->fb);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

static uint32_t
rd(struct fix *x, unsigned off)
{
	return (uint32_t)space_read(&x->fb.space[SPACE_MMIO], BASE + off, 4);
}

static void
wr(struct fix *x, unsigned off, uint32_t val)
{
	space_write(&x->fb.space[SPACE_MMIO], BASE + off, 4, val);
}

static void
wr64(struct fix *x, unsigned off, uint64_t val)
{
	wr(x, off, (uint32_t)val);
	wr(x, off + 4, (uint32_t)(val >> 32));
}

static void
negotiate(struct fix *x)
{
	wr(x, STATUS, 0);
	wr(x, STATUS, 1);
	wr(x, STATUS, 3);
	wr(x, GFSEL, 1);
	wr(x, GF, 1 | 1 << 8);
	wr(x, STATUS, 11);
	assert_int_equal(rd(x, STATUS), 11);
}

static void
set_queue(struct fix *x, unsigned q, unsigned size)
{
	ring_init(&x->ring[q], &x->ram, q, size);
	wr(x, QSEL, q);
	wr(x, QSIZE, size);
	wr64(x, DESC, x->ring[q].at.desc);
	wr64(x, DRIVER, x->ring[q].at.driver);
	wr64(x, DEVICE, x->ring[q].at.device);
	wr(x, READY, 1);
	assert_int_equal(rd(x, READY), 1);
}

static void
drive(struct fix *x)
{
	negotiate(x);
	set_queue(x, 0, 16);
	wr(x, STATUS, 15);
	assert_int_equal(rd(x, STATUS), 15);
}

static void
offer(struct fix *x, unsigned q, unsigned head)
{
	ring_desc(&x->ring[q], head, DATA_GPA, 4, F_WRITE, 0);
	ring_offer(&x->ring[q], head);
}

static void
the_registers_say_who_it_is(void **state)
{
	struct fix *x = *state;

	assert_int_equal(rd(x, MAGIC), 0x74726976);
	assert_int_equal(rd(x, VERSION), 2);
	assert_int_equal(rd(x, DEVICE_ID), FAKE_ID);
	wr(x, QSEL, 2);
	assert_int_equal(rd(x, QMAX), FAKE_QUEUE_SIZE);
	wr(x, QSEL, 3);
	assert_int_equal(rd(x, QMAX), 0);
	assert_int_equal(rd(x, SHMLEN), UINT32_MAX);
	wr(x, DFSEL, 1);
	assert_int_equal(rd(x, DF), 1 | 1 << 8);
	/* Registers of version 1 are not there. */
	wr(x, PFN, 1);
	assert_int_equal(rd(x, PFN), 0);
}

static void
a_request_goes_round(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 0, 7);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_true(x->fb.level[GSI]);
	assert_int_equal(rd(x, ISR), 1);
	assert_true(x->fb.level[GSI]); /* reading acknowledges nothing */
	wr(x, ACK, 2);
	assert_true(x->fb.level[GSI]);
	wr(x, ACK, 1);
	assert_false(x->fb.level[GSI]);
	assert_int_equal(rd(x, ISR), 0);
}

static void
registers_are_words(void **state)
{
	struct fix *x = *state;
	const struct space *sp = &x->fb.space[SPACE_MMIO];

	space_write(sp, BASE + STATUS, 1, 1);
	space_write(sp, BASE + STATUS, 2, 1);
	space_write(sp, BASE + STATUS, 8, 1);
	space_write(sp, BASE + STATUS + 1, 4, 1);
	wr(x, STATUS, 0x101);
	assert_int_equal(rd(x, STATUS), 0);
	wr(x, STATUS, 1);
	wr(x, STATUS, 0x100); /* no reset */
	assert_int_equal(rd(x, STATUS), 1);
	assert_int_equal(space_read(sp, BASE + MAGIC, 1), 0);
	assert_int_equal(space_read(sp, BASE + MAGIC + 1, 4), 0);
	/* The device's own space is read at any width. */
	assert_int_equal(space_read(sp, BASE + CONFIG + 1, 1), 0xc1);
	assert_int_equal(space_read(sp, BASE + CONFIG + 3, 2), 0xc4c3);
	assert_int_equal(space_read(sp, BASE + CONFIG + 4, 8), 0xcbcac9c8c7c6c5c4);
	assert_int_equal(space_read(sp, BASE + 0x1f8, 8), 0);
}

static void
a_queue_does_not_change_after_driver_ok(void **state)
{
	struct fix *x = *state;

	drive(x);
	wr(x, QSIZE, 8);
	wr64(x, DESC, 0);
	assert_int_equal(x->f.queue[0].at.size, 16);
	assert_int_equal(x->f.queue[0].at.desc, x->ring[0].at.desc);
	wr(x, QSEL, 1);
	wr(x, QSIZE, 8);
	wr(x, READY, 1);
	assert_int_equal(rd(x, READY), 0);
}

static void
queue_ready_0_stops_the_queue(void **state)
{
	struct fix *x = *state;

	drive(x);
	wr(x, READY, 0);
	assert_int_equal(rd(x, READY), 0);
	assert_int_equal(x->f.queue_stops[0], 1);
	offer(x, 0, 0);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
	drive(x);
}

static void
a_queue_is_reset_and_made_ready_again(void **state)
{
	struct fix *x = *state;

	drive(x);
	wr(x, QSEL, 0);
	wr(x, QRESET, 1);
	assert_int_equal(rd(x, QRESET), 0);
	assert_int_equal(rd(x, READY), 0);
	set_queue(x, 0, 32);
	offer(x, 0, 31);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 31);
}

static void
doorbells_and_queues_out_of_range_are_harmless(void **state)
{
	static const uint32_t bad[] = { 1, 3, 0xffff, 0x10000, UINT32_MAX };
	struct fix *x = *state;

	drive(x);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(x, NOTIFY, bad[i]);
		if (bad[i] < FAKE_QUEUES)
			continue;
		wr(x, QSEL, bad[i]);
		assert_int_equal(rd(x, QMAX), 0);
		assert_int_equal(rd(x, READY), 0);
		wr(x, QSIZE, 1);
		wr(x, READY, 1);
		wr(x, READY, 0);
		wr(x, QRESET, 1);
		wr(x, ALIGN, 1);
		wr(x, PFN, 1);
	}
	assert_int_equal(rd(x, STATUS), 15);
	offer(x, 0, 1);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
}

static void
a_broken_ring_is_told_by_config_interrupt(void **state)
{
	struct fix *x = *state;

	drive(x);
	ring_offer(&x->ring[0], 0x8000);
	wr(x, NOTIFY, 0);
	assert_int_equal(rd(x, STATUS), 15 | 64);
	assert_int_equal(rd(x, ISR), 2);
	wr(x, STATUS, 0);
	assert_int_equal(rd(x, ISR), 0);
	assert_false(x->fb.level[GSI]);
	drive(x);
}

static void
a_configuration_change_moves_the_generation(void **state)
{
	struct fix *x = *state;

	drive(x);
	uint32_t gen = rd(x, GEN);
	virtio_config_change(&x->f.dev, 2, "\x42", 1);
	assert_int_not_equal(rd(x, GEN), gen);
	assert_int_equal(rd(x, ISR), 2);
}

static void
doorbells_are_one_address_with_the_queue_as_value(void **state)
{
	struct fix *x = *state;

	for (unsigned i = 0; i < 3; i++)
		drive(x);
	assert_int_equal(x->ndb, FAKE_QUEUES);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		assert_int_equal(x->db[q].addr, BASE + NOTIFY);
		assert_int_equal(x->db[q].len, 4);
		assert_true(x->db[q].match);
		assert_int_equal(x->db[q].value, q);
	}
}

static void
slots_that_will_not_do_are_refused(void **state)
{
	struct fix *x = *state;
	const struct virtio_mmio_config cfg = { .legacy = false };
	struct virtio_mmio *vm = NULL;
	struct fake_dev f;

	/* Too small for the configuration space; without an interrupt; none left. */
	fake_dev_init(&f, &x->ram.mem);
	assert_int_equal(virtio_mmio_new(&x->fb.bus, &f.dev, &cfg, &vm), -EINVAL);
	assert_int_equal(virtio_mmio_new(&x->fb.bus, &f.dev, &cfg, &vm), -EINVAL);
	assert_int_equal(virtio_mmio_new(&x->fb.bus, &f.dev, &cfg, &vm), -ENODEV);
	assert_null(vm);
	assert_null(f.dev.transport);
}

/* ---- version 1 ---- */

static void
legacy_drive(struct fix *x, unsigned size, unsigned align)
{
	uint64_t base = RING_GPA;

	/* As Linux does it: the page size comes before the reset. */
	wr(x, PAGE, 4096);
	wr(x, STATUS, 0);
	wr(x, STATUS, 1);
	wr(x, STATUS, 3);
	wr(x, GF, 1);
	wr(x, QSEL, 0);
	assert_int_equal(rd(x, QMAX), FAKE_QUEUE_SIZE);
	wr(x, QSIZE, size);
	wr(x, ALIGN, align);
	memset(ram_at(&x->ram, base), 0, 0x3000);
	x->ring[0] = (struct fake_ring){
		.ram = &x->ram,
		.at = { .size = (uint16_t)size,
			.desc = base,
			.driver = base + 16 * size,
			.device = align_up(base + 16 * size + 6 + 2 * size, align) },
	};
	wr(x, PFN, (uint32_t)(base >> 12));
	assert_int_equal(rd(x, PFN), base >> 12);
	wr(x, STATUS, 7);
	assert_int_equal(rd(x, STATUS), 7);
}

static void
version_1_is_driven_by_page_numbers(void **state)
{
	struct fix *x = *state;

	assert_int_equal(rd(x, VERSION), 1);
	assert_int_equal(rd(x, DF), 3u | 1u << 27 | 1u << 28 | 1u << 29);
	wr(x, DFSEL, 1);
	assert_int_equal(rd(x, DF), 0);
	legacy_drive(x, 16, 4096);
	offer(x, 0, 9);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 9);
	legacy_drive(x, 32, 64);
	offer(x, 0, 31);
	wr(x, NOTIFY, 0);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 31);
	wr(x, PFN, 0);
	assert_int_equal(rd(x, PFN), 0);
}

static void
version_1_without_a_page_size_needs_a_reset(void **state)
{
	struct fix *x = *state;

	wr(x, STATUS, 3);
	wr(x, PFN, 0x101);
	assert_int_equal(rd(x, PFN), 0);
	assert_int_equal(rd(x, STATUS), 3 | 64);
	legacy_drive(x, 16, 4096);
}

static void
version_1_takes_no_modern_driver(void **state)
{
	struct fix *x = *state;

	wr(x, STATUS, 3);
	wr(x, GFSEL, 1);
	wr(x, GF, 1);
	wr(x, STATUS, 11);
	/* FEATURES_OK is accepted only from who does not use this interface. */
	wr(x, READY, 1);
	assert_int_equal(rd(x, READY), 0);
	wr(x, STATUS, 0);
	legacy_drive(x, 16, 4096);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TL(name) cmocka_unit_test_setup_teardown(name, setup_legacy, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_registers_say_who_it_is),
		T(a_request_goes_round),
		T(registers_are_words),
		T(a_queue_does_not_change_after_driver_ok),
		T(queue_ready_0_stops_the_queue),
		T(a_queue_is_reset_and_made_ready_again),
		T(doorbells_and_queues_out_of_range_are_harmless),
		T(a_broken_ring_is_told_by_config_interrupt),
		T(a_configuration_change_moves_the_generation),
		T(doorbells_are_one_address_with_the_queue_as_value),
		T(slots_that_will_not_do_are_refused),
		TL(version_1_is_driven_by_page_numbers),
		TL(version_1_without_a_page_size_needs_a_reset),
		TL(version_1_takes_no_modern_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
