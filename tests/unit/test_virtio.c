/* SPDX-License-Identifier: ISC */
/* The state machine, without a real transport: virtio 1.2, chapters 2 and 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_driver.h"
#include "fake_virtio.h"

enum {
	ACK = VIRTIO_STATUS_ACKNOWLEDGE,
	DRV = VIRTIO_STATUS_DRIVER,
	FOK = VIRTIO_STATUS_FEATURES_OK,
	DOK = VIRTIO_STATUS_DRIVER_OK,
	BAD = VIRTIO_STATUS_FAILED,
	NEEDS = VIRTIO_STATUS_NEEDS_RESET,
};

struct fix {
	struct fake_ram ram;
	struct fake_ring ring[FAKE_QUEUES];
	struct fake_dev f;
	struct fake_transport t;
};

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	fake_dev_init(&x->f, &x->ram.mem);
	fake_transport_connect(&x->t, &x->f.dev);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	virtio_disconnect(&x->f.dev);
	assert_int_equal(x->f.starts, x->f.stops);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

/* Status as the driver sees it after writing val on top of what is there. */
static unsigned
status(struct fix *x, unsigned val)
{
	virtio_set_status(&x->f.dev, (uint8_t)val);
	return x->f.dev.status;
}

static void
negotiate(struct fix *x, uint64_t features)
{
	virtio_reset(&x->f.dev);
	status(x, ACK);
	status(x, ACK | DRV);
	virtio_features_accept(&x->f.dev, 0, (uint32_t)features);
	virtio_features_accept(&x->f.dev, 1, (uint32_t)(features >> 32));
	status(x, ACK | DRV | FOK);
}

static void
enable(struct fix *x, unsigned q, unsigned size)
{
	ring_init(&x->ring[q], &x->ram, q, size);
	driver_set_queue(&x->f.dev, q, &x->ring[q].at);
	virtio_queue_enable(&x->f.dev, q);
}

#define ALL (VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET | VIRTIO_F_INDIRECT_DESC)

/* A driver that does everything right, with queues 0 and 1. */
static void
drive(struct fix *x)
{
	negotiate(x, ALL);
	enable(x, 0, 16);
	enable(x, 1, 16);
	assert_true(x->f.queue[0].enabled && x->f.queue[1].enabled);
	assert_int_equal(status(x, ACK | DRV | FOK | DOK), ACK | DRV | FOK | DOK);
	assert_true(x->f.dev.live);
}

static void
offer(struct fix *x, unsigned q, unsigned head)
{
	ring_desc(&x->ring[q], head, DATA_GPA, 4, F_WRITE, 0);
	ring_offer(&x->ring[q], head);
}

/* ---- status ---- */

static void
a_driver_walks_through_the_states(void **state)
{
	struct fix *x = *state;

	assert_int_equal(x->f.dev.status, 0);
	assert_int_equal(status(x, ACK), ACK);
	assert_int_equal(status(x, ACK | DRV), ACK | DRV);
	virtio_features_accept(&x->f.dev, 1, 1);
	assert_int_equal(status(x, ACK | DRV | FOK), ACK | DRV | FOK);
	assert_int_equal(status(x, ACK | DRV | FOK | DOK), ACK | DRV | FOK | DOK);
	assert_int_equal(x->f.starts, 1);
	assert_int_equal(x->t.lives, 1);
	assert_int_equal(status(x, 0), 0);
	assert_int_equal(x->f.stops, 1);
}

static void
every_illegal_step_has_no_effect(void **state)
{
	/* from: 0, ACK, ACK|DRV, +FOK, +DOK, by the value written */
	static const uint8_t path[] = { 0, ACK, ACK | DRV, ACK | DRV | FOK,
					ACK | DRV | FOK | DOK };
	struct fix *x = *state;

	for (unsigned from = 0; from < ARRAY_SIZE(path); from++) {
		for (unsigned val = 1; val < 256; val++) {
			virtio_reset(&x->f.dev);
			for (unsigned i = 1; i <= from; i++) {
				if (i == 3)
					virtio_features_accept(&x->f.dev, 1, 1);
				assert_int_equal(status(x, path[i]), path[i]);
			}
			unsigned now = status(x, val);
			/* It never loses a bit, never gets one out of order. */
			assert_int_equal(now & path[from], path[from]);
			assert_int_equal(now & NEEDS, 0);
			if (now & DRV)
				assert_true(now & ACK);
			if (now & FOK)
				assert_true(now & DRV);
			if (now & DOK)
				assert_true(now & FOK);
			assert_int_equal(now & ~(val | path[from]), 0);
			if ((path[from] & ~val) != 0)
				assert_int_equal(now, path[from]);
			assert_int_equal(x->f.dev.live, (now & DOK) && !(now & BAD));
		}
	}
}

static void
driver_ok_needs_features_ok(void **state)
{
	struct fix *x = *state;

	status(x, ACK | DRV);
	assert_int_equal(status(x, ACK | DRV | DOK), ACK | DRV);
	assert_int_equal(x->f.starts, 0);
}

static void
failed_stops_the_device_and_only_reset_helps(void **state)
{
	struct fix *x = *state;

	drive(x);
	assert_int_equal(status(x, ACK | DRV | FOK | DOK | BAD),
			 ACK | DRV | FOK | DOK | BAD);
	assert_int_equal(x->f.stops, 1);
	offer(x, 0, 0);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
	drive(x);
	offer(x, 0, 0);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
}

static void
failed_keeps_a_device_from_starting(void **state)
{
	struct fix *x = *state;

	negotiate(x, ALL);
	status(x, ACK | DRV | FOK | BAD);
	assert_int_equal(status(x, ACK | DRV | FOK | BAD | DOK), ACK | DRV | FOK | BAD);
	assert_int_equal(x->f.starts, 0);
}

static void
a_type_that_cannot_start_needs_a_reset(void **state)
{
	struct fix *x = *state;

	x->f.start_err = -EIO;
	negotiate(x, ALL);
	assert_int_equal(status(x, ACK | DRV | FOK | DOK), ACK | DRV | FOK | DOK | NEEDS);
	assert_int_equal(x->t.config_irqs, 1);
	x->f.start_err = 0;
	x->f.starts = 0;
	drive(x);
}

/* ---- features ---- */

static void
features_are_offered_by_word(void **state)
{
	struct fix *x = *state;

	assert_int_equal(virtio_features_offered(&x->f.dev, 0), 3u | 1u << 28 | 1u << 29);
	assert_int_equal(virtio_features_offered(&x->f.dev, 1), 1u | 1u << 8);
	assert_int_equal(virtio_features_offered(&x->f.dev, 2), 0);
	assert_int_equal(virtio_features_offered(&x->f.dev, UINT32_MAX), 0);
}

static void
features_not_offered_are_refused(void **state)
{
	struct fix *x = *state;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t f = UINT64_C(1) << bit;

		negotiate(x, VIRTIO_F_VERSION_1 | f);
		bool ok = (f & x->f.dev.offered) && f != FAKE_F_TWO;
		assert_int_equal(x->f.dev.status, ok ? (ACK | DRV | FOK) : (ACK | DRV));
	}
}

static void
feature_words_that_nobody_has_are_refused(void **state)
{
	struct fix *x = *state;

	status(x, ACK | DRV);
	virtio_features_accept(&x->f.dev, 1, 1);
	virtio_features_accept(&x->f.dev, 2, 0);
	virtio_features_accept(&x->f.dev, 3, 1);
	assert_int_equal(status(x, ACK | DRV | FOK), ACK | DRV);
	virtio_reset(&x->f.dev);
	status(x, ACK | DRV);
	virtio_features_accept(&x->f.dev, 1, 1);
	virtio_features_accept(&x->f.dev, 2, 0);
	assert_int_equal(status(x, ACK | DRV | FOK), ACK | DRV | FOK);
}

static void
without_version_1_a_modern_driver_is_refused(void **state)
{
	struct fix *x = *state;

	negotiate(x, FAKE_F_ONE);
	assert_int_equal(x->f.dev.status, ACK | DRV);
}

static void
a_type_refuses_a_feature_without_what_it_needs(void **state)
{
	struct fix *x = *state;

	negotiate(x, VIRTIO_F_VERSION_1 | FAKE_F_TWO);
	assert_int_equal(x->f.dev.status, ACK | DRV);
	negotiate(x, VIRTIO_F_VERSION_1 | FAKE_F_TWO | FAKE_F_ONE);
	assert_int_equal(x->f.dev.status, ACK | DRV | FOK);
}

static void
features_are_settled_at_features_ok(void **state)
{
	struct fix *x = *state;

	negotiate(x, ALL);
	virtio_features_accept(&x->f.dev, 0, FAKE_F_ONE);
	assert_int_equal(virtio_features_accepted(&x->f.dev, 0),
			 (uint32_t)VIRTIO_F_INDIRECT_DESC);
	drive(x);
	virtio_features_accept(&x->f.dev, 0, 0);
	assert_true(virtio_has(&x->f.dev, VIRTIO_F_INDIRECT_DESC));
}

/* ---- queue configuration ---- */

static void
a_queue_cannot_be_enabled_before_features_ok(void **state)
{
	struct fix *x = *state;

	status(x, ACK | DRV);
	enable(x, 0, 16);
	assert_false(x->f.queue[0].enabled);
}

static void
bad_queue_sizes_read_as_0_and_cannot_be_enabled(void **state)
{
	static const uint32_t bad[] = { 0,    3,      15,      65,      128,
					1024, 0x8000, 0x10000, 0x10010, UINT32_MAX };
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		negotiate(x, ALL);
		ring_init(&x->ring[0], &x->ram, 0, 16);
		driver_set_queue(&x->f.dev, 0, &x->ring[0].at);
		virtio_queue_set_size(&x->f.dev, 0, bad[i]);
		assert_int_equal(x->f.queue[0].at.size, 0);
		virtio_queue_enable(&x->f.dev, 0);
		assert_false(x->f.queue[0].enabled);
		assert_int_equal(x->f.dev.status, ACK | DRV | FOK | NEEDS);
		/* It cannot be told before DRIVER_OK, and is told then. */
		assert_int_equal(x->t.config_irqs, i);
		status(x, ACK | DRV | FOK | DOK);
		assert_int_equal(x->t.config_irqs, i + 1);
		assert_int_equal(x->f.starts, 0);
	}
	drive(x);
}

static void
rings_outside_ram_or_wrapping_need_a_reset(void **state)
{
	static const uint64_t bad[] = { 0,          RAM_GPA - 0x1000, RAM_END - 16,
					RAM_END,    UINT64_MAX - 15,  1ull << 63,
					RAM_GPA + 1 };
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		for (unsigned area = 0; area < 3; area++) {
			negotiate(x, ALL);
			ring_init(&x->ring[0], &x->ram, 0, 16);
			driver_set_queue(&x->f.dev, 0, &x->ring[0].at);
			virtio_queue_set_addr(&x->f.dev, 0, area, false,
					      (uint32_t)bad[i]);
			virtio_queue_set_addr(&x->f.dev, 0, area, true,
					      (uint32_t)(bad[i] >> 32));
			virtio_queue_enable(&x->f.dev, 0);
			assert_false(x->f.queue[0].enabled);
			assert_true(x->f.dev.status & NEEDS);
		}
	}
	drive(x);
}

static void
a_queue_is_frozen_while_enabled_and_from_driver_ok_on(void **state)
{
	const struct virtqueue_layout other = { .size = 8,
						.desc = RAM_GPA + 0x10000,
						.driver = RAM_GPA + 0x11000,
						.device = RAM_GPA + 0x12000 };
	struct fix *x = *state;
	struct virtqueue_layout before;

	negotiate(x, ALL);
	enable(x, 0, 16);
	before = x->f.queue[0].at;
	driver_set_queue(&x->f.dev, 0, &other);
	assert_memory_equal(&before, &x->f.queue[0].at, sizeof(before));

	status(x, ACK | DRV | FOK | DOK);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		before = x->f.queue[q].at;
		driver_set_queue(&x->f.dev, q, &other);
		virtio_queue_enable(&x->f.dev, q);
		virtio_queue_set_pfn(&x->f.dev, q, RAM_GPA >> 12, 4096, 4096);
		assert_memory_equal(&before, &x->f.queue[q].at, sizeof(before));
		assert_int_equal(x->f.queue[q].enabled, q == 0);
	}
	assert_int_equal(x->f.queue[0].vq.size, 16);
}

static void
queues_that_there_are_not_are_harmless(void **state)
{
	static const uint32_t sel[] = { FAKE_QUEUES, 0x7ffe, 0xffff, UINT32_MAX };
	struct fix *x = *state;

	negotiate(x, ALL);
	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++) {
		assert_null(virtio_queue(&x->f.dev, sel[i]));
		virtio_queue_set_size(&x->f.dev, sel[i], 16);
		virtio_queue_set_addr(&x->f.dev, sel[i], VIRTIO_AREA_DESC, true, 1);
		virtio_queue_enable(&x->f.dev, sel[i]);
		virtio_queue_reset(&x->f.dev, sel[i]);
		virtio_queue_disable(&x->f.dev, sel[i]);
		virtio_queue_set_pfn(&x->f.dev, sel[i], 1, 4096, 4096);
		virtio_notify(&x->f.dev, sel[i]);
	}
	assert_int_equal(x->f.dev.status, ACK | DRV | FOK);
	assert_int_equal(x->f.dev.stat.notified, 0);
}

static void
two_hundred_enables_leave_no_trace(void **state)
{
	struct fix *x = *state;

	for (unsigned i = 0; i < 200; i++)
		drive(x);
	assert_int_equal(x->f.starts, 200);
	assert_int_equal(x->f.stops, 199);
	offer(x, 0, 3);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(x->t.irqs[0], 1);
}

/* ---- reset of one queue (2.6) ---- */

static void
a_queue_reset_thaws_that_queue_only(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 1, 2);
	virtio_notify(&x->f.dev, 1);
	virtio_queue_reset(&x->f.dev, 1);
	assert_int_equal(x->f.queue_stops[1], 1);
	assert_int_equal(x->t.queue_resets, 1);
	assert_false(x->f.queue[1].enabled);
	assert_int_equal(x->f.queue[1].at.size, FAKE_QUEUE_SIZE);
	assert_int_equal(x->f.queue[1].at.desc, 0);
	virtio_notify(&x->f.dev, 1);
	assert_int_equal(x->f.notified[1], 2); /* one of them at DRIVER_OK */

	/* With another size; what is in the ring by then is seen. */
	ring_init(&x->ring[1], &x->ram, 1, 32);
	offer(x, 1, 31);
	driver_set_queue(&x->f.dev, 1, &x->ring[1].at);
	virtio_queue_enable(&x->f.dev, 1);
	assert_true(x->f.queue[1].enabled);
	assert_int_equal(x->f.queue_starts[1], 1);
	assert_int_equal(x->f.head, 31);
	/* And frozen again. */
	virtio_queue_set_size(&x->f.dev, 1, 8);
	assert_int_equal(x->f.queue[1].at.size, 32);
	assert_int_equal(x->f.queue[0].at.size, 16);
}

static void
a_queue_reset_that_was_not_negotiated_is_ignored(void **state)
{
	struct fix *x = *state;

	negotiate(x, VIRTIO_F_VERSION_1);
	enable(x, 0, 16);
	status(x, ACK | DRV | FOK | DOK);
	virtio_queue_reset(&x->f.dev, 0);
	assert_true(x->f.queue[0].enabled);
	assert_int_equal(x->f.queue_stops[0], 0);
}

static void
a_disabled_queue_stays_frozen(void **state)
{
	struct fix *x = *state;

	drive(x);
	virtio_queue_disable(&x->f.dev, 0);
	assert_int_equal(x->f.queue_stops[0], 1);
	offer(x, 0, 0);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
	virtio_queue_enable(&x->f.dev, 0);
	assert_false(x->f.queue[0].enabled);
}

/* ---- operation ---- */

static void
a_doorbell_before_driver_ok_is_ignored_and_made_up_for(void **state)
{
	struct fix *x = *state;

	negotiate(x, ALL);
	enable(x, 0, 16);
	offer(x, 0, 5);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(x->f.notified[0], 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
	status(x, ACK | DRV | FOK | DOK);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
a_broken_ring_sets_needs_reset_and_tells_by_config_interrupt(void **state)
{
	struct fix *x = *state;

	drive(x);
	ring_offer(&x->ring[0], 16); /* out of range */
	virtio_notify(&x->f.dev, 0);
	assert_true(x->f.dev.status & NEEDS);
	assert_int_equal(x->t.config_irqs, 1);
	assert_int_equal(x->t.irqs[0], 0);
	assert_true(x->t.refreshes > 0);

	/* Neither queue is looked at any more, and it is said only once. */
	offer(x, 1, 0);
	virtio_notify(&x->f.dev, 1);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(x->t.config_irqs, 1);
	assert_int_equal(x->f.dev.stat.failures, 1);

	/* The status cannot be talked away, but for a reset. */
	assert_int_equal(status(x, ACK | DRV | FOK | DOK), ACK | DRV | FOK | DOK | NEEDS);
	drive(x);
	offer(x, 0, 1);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
a_completion_after_the_failure_is_swallowed(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 1, 7);
	virtio_notify(&x->f.dev, 1);
	assert_int_equal(x->f.held, 1);
	virtio_fail(&x->f.dev, "test");
	virtqueue_push(&x->f.queue[1].vq, 7, 4);
	virtio_publish(&x->f.dev, 1);
	assert_int_equal(ring_used_idx(&x->ring[1]), 0);
	assert_int_equal(x->t.irqs[1], 0);
}

static void
reset_waits_for_what_is_in_flight_and_clears_everything(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 1, 7);
	virtio_notify(&x->f.dev, 1);
	status(x, 0);
	assert_int_equal(x->f.held, 0);
	assert_int_equal(x->f.resets, 2); /* one of them in drive() */
	assert_int_equal(x->f.dev.features, 0);
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		assert_false(x->f.queue[i].enabled);
		assert_int_equal(x->f.queue[i].at.size, FAKE_QUEUE_SIZE);
		assert_int_equal(x->f.queue[i].at.desc, 0);
		assert_int_equal(x->f.queue[i].vq.size, 0);
	}
	offer(x, 0, 0);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
}

/* ---- configuration space ---- */

static void
config_space_is_read_at_any_width_and_ends(void **state)
{
	struct fix *x = *state;

	assert_int_equal(virtio_config_read(&x->f.dev, 0, 1), 0xc0);
	assert_int_equal(virtio_config_read(&x->f.dev, 1, 2), 0xc2c1);
	assert_int_equal(virtio_config_read(&x->f.dev, 4, 4), 0xc7c6c5c4);
	assert_int_equal(virtio_config_read(&x->f.dev, 10, 4), 0xcbca);
	assert_int_equal(virtio_config_read(&x->f.dev, 12, 8), 0);
	assert_int_equal(virtio_config_read(&x->f.dev, UINT64_MAX, 8), 0);
}

static void
config_writes_stay_within_it(void **state)
{
	struct fix *x = *state;

	virtio_config_write(&x->f.dev, 4, 8, 0x1122334455667788);
	assert_int_equal(x->f.config_writes, 2);
	assert_int_equal(virtio_config_read(&x->f.dev, 4, 8), 0x1122334455667788);
	virtio_config_write(&x->f.dev, 10, 4, 0);
	virtio_config_write(&x->f.dev, 12, 1, 0);
	virtio_config_write(&x->f.dev, UINT64_MAX, 1, 0);
	virtio_config_write(&x->f.dev, UINT64_MAX - 3, 8, 0);
	assert_int_equal(x->f.config_writes, 2);
}

static void
a_change_moves_the_generation_and_interrupts(void **state)
{
	struct fix *x = *state;
	uint8_t gen = x->f.dev.generation;

	virtio_config_change(&x->f.dev, 0, "\1\2", 2);
	assert_int_not_equal(x->f.dev.generation, gen);
	assert_int_equal(x->t.config_irqs, 0); /* nobody listens before DRIVER_OK */
	drive(x);
	gen = x->f.dev.generation;
	virtio_config_change(&x->f.dev, 0, "\3\4", 2);
	assert_int_not_equal(x->f.dev.generation, gen);
	assert_int_equal(x->t.config_irqs, 1);
	assert_int_equal(virtio_config_read(&x->f.dev, 0, 2), 0x0403);
}

/* ---- the legacy interface ---- */

static void
legacy_features_are_32_bits_with_any_layout(void **state)
{
	struct fix *x = *state;

	virtio_use_legacy(&x->f.dev);
	assert_int_equal(virtio_features_offered(&x->f.dev, 0),
			 3u | 1u << 27 | 1u << 28 | 1u << 29);
	assert_int_equal(virtio_features_offered(&x->f.dev, 1), 0);
}

/* A legacy ring at page pfn; the used ring begins at the next page. */
static void
legacy_ring(struct fix *x, unsigned q, unsigned size)
{
	uint64_t base = RING_GPA + q * RING_STEP;

	x->ring[q] = (struct fake_ring){
		.ram = &x->ram,
		.at = { .size = (uint16_t)size,
			.desc = base,
			.driver = base + 16 * size,
			.device = align_up(base + 16 * size + 6 + 2 * size, 4096) },
	};
}

static void
a_legacy_driver_gets_by_without_features_ok(void **state)
{
	struct fix *x = *state;

	virtio_use_legacy(&x->f.dev);
	status(x, ACK | DRV);
	virtio_features_accept(&x->f.dev, 0, FAKE_F_ONE | 1u << 5);
	legacy_ring(x, 0, FAKE_QUEUE_SIZE);
	virtio_queue_set_pfn(&x->f.dev, 0, RING_GPA >> 12, 4096, 4096);
	assert_true(x->f.queue[0].enabled);
	assert_int_equal(x->f.queue[0].pfn, RING_GPA >> 12);
	assert_int_equal(x->f.queue[0].at.device, x->ring[0].at.device);
	assert_int_equal(status(x, ACK | DRV | DOK), ACK | DRV | DOK);
	/* What was not offered is dropped: there is no way to say no. */
	assert_int_equal(x->f.dev.features, FAKE_F_ONE);
	offer(x, 0, 63);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 63);
}

static void
a_legacy_driver_may_use_the_device_before_driver_ok(void **state)
{
	struct fix *x = *state;

	virtio_use_legacy(&x->f.dev);
	status(x, ACK | DRV);
	legacy_ring(x, 0, FAKE_QUEUE_SIZE);
	virtio_queue_set_pfn(&x->f.dev, 0, RING_GPA >> 12, 4096, 4096);
	offer(x, 0, 1);
	virtio_notify(&x->f.dev, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	status(x, ACK | DRV | DOK);
	assert_int_equal(x->f.starts, 1);
}

static void
bad_legacy_rings_need_a_reset(void **state)
{
	static const struct {
		uint32_t pfn, page, align;
	} bad[] = {
		{ UINT32_MAX, 4096, 4096 },       { 1, 4096, 4096 },
		{ RAM_END >> 12, 4096, 4096 },    { RING_GPA >> 12, 0, 4096 },
		{ RING_GPA >> 12, 4096, 0 },      { RING_GPA >> 12, 4095, 4096 },
		{ RING_GPA >> 12, 4096, 4097 },   { RING_GPA >> 12, 4096, 0x80000000 },
		{ UINT32_MAX, 0x80000000, 4096 },
	};
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		virtio_reset(&x->f.dev);
		virtio_use_legacy(&x->f.dev);
		status(x, ACK | DRV);
		virtio_queue_set_pfn(&x->f.dev, 0, bad[i].pfn, bad[i].page, bad[i].align);
		assert_false(x->f.queue[0].enabled);
		assert_int_equal(x->f.queue[0].pfn, 0);
		assert_true(x->f.dev.status & NEEDS);
	}
}

static void
legacy_page_0_disables(void **state)
{
	struct fix *x = *state;

	virtio_use_legacy(&x->f.dev);
	status(x, ACK | DRV);
	virtio_queue_set_pfn(&x->f.dev, 0, RING_GPA >> 12, 4096, 4096);
	status(x, ACK | DRV | DOK);
	virtio_queue_set_pfn(&x->f.dev, 0, 0, 4096, 4096);
	assert_false(x->f.queue[0].enabled);
	assert_int_equal(x->f.queue_stops[0], 1);
	assert_int_equal(x->f.dev.status, ACK | DRV | DOK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_driver_walks_through_the_states),
		T(every_illegal_step_has_no_effect),
		T(driver_ok_needs_features_ok),
		T(failed_stops_the_device_and_only_reset_helps),
		T(failed_keeps_a_device_from_starting),
		T(a_type_that_cannot_start_needs_a_reset),
		T(features_are_offered_by_word),
		T(features_not_offered_are_refused),
		T(feature_words_that_nobody_has_are_refused),
		T(without_version_1_a_modern_driver_is_refused),
		T(a_type_refuses_a_feature_without_what_it_needs),
		T(features_are_settled_at_features_ok),
		T(a_queue_cannot_be_enabled_before_features_ok),
		T(bad_queue_sizes_read_as_0_and_cannot_be_enabled),
		T(rings_outside_ram_or_wrapping_need_a_reset),
		T(a_queue_is_frozen_while_enabled_and_from_driver_ok_on),
		T(queues_that_there_are_not_are_harmless),
		T(two_hundred_enables_leave_no_trace),
		T(a_queue_reset_thaws_that_queue_only),
		T(a_queue_reset_that_was_not_negotiated_is_ignored),
		T(a_disabled_queue_stays_frozen),
		T(a_doorbell_before_driver_ok_is_ignored_and_made_up_for),
		T(a_broken_ring_sets_needs_reset_and_tells_by_config_interrupt),
		T(a_completion_after_the_failure_is_swallowed),
		T(reset_waits_for_what_is_in_flight_and_clears_everything),
		T(config_space_is_read_at_any_width_and_ends),
		T(config_writes_stay_within_it),
		T(a_change_moves_the_generation_and_interrupts),
		T(legacy_features_are_32_bits_with_any_layout),
		T(a_legacy_driver_gets_by_without_features_ok),
		T(a_legacy_driver_may_use_the_device_before_driver_ok),
		T(bad_legacy_rings_need_a_reset),
		T(legacy_page_0_disables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
