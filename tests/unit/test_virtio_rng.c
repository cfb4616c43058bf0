/* SPDX-License-Identifier: ISC */
/* The model, with a driver, a source of bytes and a clock made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_driver.h"
#include "fake_reactor.h"
#include "fake_ring.h"
#include "virtio_dev.h"

enum { SIZE = 64 };

struct fix {
	struct fake_ram ram;
	struct fake_reactor r;
	struct fake_ring ring;
	struct rng *rng;
	struct virtio_device *dev;
	struct fake_transport t;
	struct rng_backend back;
	uint64_t filled;
	unsigned calls;
	ssize_t fail_after; /* bytes; -1: never */
};

static ssize_t
fill(void *arg, void *buf, size_t len)
{
	struct fix *x = arg;

	x->calls++;
	if (x->fail_after >= 0 && (uint64_t)x->fail_after < x->filled + len) {
		len = (size_t)x->fail_after - x->filled;
		if (len == 0)
			return -5;
	}
	memset(buf, 0x5a, len);
	x->filled += len;
	return (ssize_t)len;
}

static void
drive_with(struct fix *x, uint64_t features)
{
	driver_negotiate(x->dev, features);
	ring_init(&x->ring, &x->ram, 0, SIZE);
	driver_enable_queue(x->dev, 0, &x->ring.at);
	virtio_set_status(x->dev, DRIVER_OK);
	assert_int_equal(x->dev->status, DRIVER_OK);
}

static void
drive(struct fix *x)
{
	drive_with(x, 0);
}

static void
make(struct fix *x, uint64_t rate, uint64_t burst)
{
	const struct rng_config cfg = { .name = "rng0", .rate = rate, .burst = burst };

	x->back = (struct rng_backend){ .fill = fill, .arg = x };
	assert_int_equal(rng_new(&x->ram.mem, fake_reactor(&x->r), &x->back, &cfg,
				 &x->rng),
			 0);
	x->dev = rng_device(x->rng);
	fake_transport_connect(&x->t, x->dev);
	drive(x);
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	ram_init(&x->ram);
	x->r.now_ns = 1000000000;
	x->fail_after = -1;
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->rng) {
		virtio_disconnect(x->dev);
		rng_free(x->rng);
	}
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	ram_fini(&x->ram);
	free(x);
	return 0;
}

static void
ask(struct fix *x, unsigned head, uint32_t len)
{
	ring_desc(&x->ring, head, DATA_GPA, len, F_WRITE, 0);
	ring_offer(&x->ring, head);
	virtio_notify(x->dev, 0);
}

static void
a_buffer_is_filled(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	ask(x, 9, 64);
	assert_int_equal(ring_used_idx(&x->ring), 1);
	assert_int_equal(ring_used_id(&x->ring, 0), 9);
	assert_int_equal(ring_used_len(&x->ring, 0), 64);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA + 63), 0x5a);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA + 64), 0);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
pieces_are_filled_in_order_and_readable_ones_left_alone(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	ring_desc(&x->ring, 0, DATA_GPA, 16, F_NEXT, 1);
	ring_desc(&x->ring, 1, DATA_GPA + 0x100, 3, F_WRITE | F_NEXT, 2);
	ring_desc(&x->ring, 2, DATA_GPA + 0x200, 5, F_WRITE, 0);
	ring_offer(&x->ring, 0);
	virtio_notify(x->dev, 0);
	assert_int_equal(ring_used_len(&x->ring, 0), 8);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA), 0);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA + 0x102), 0x5a);
	assert_int_equal(*ram_at(&x->ram, DATA_GPA + 0x204), 0x5a);
}

static void
a_huge_request_gets_a_bounded_answer(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	ask(x, 0, 0x20000);
	assert_int_equal(ring_used_len(&x->ring, 0), 4096);
	assert_int_equal(x->filled, 4096);
}

static void
one_pass_is_bounded_and_the_rest_follows(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	for (unsigned i = 0; i < SIZE; i++) {
		ring_desc(&x->ring, i, DATA_GPA, 0x1000, F_WRITE, 0);
		ring_put(&x->ring, i);
	}
	ring_show(&x->ring);
	virtio_notify(x->dev, 0);
	assert_int_equal(ring_used_idx(&x->ring), 16);
	assert_int_equal(x->t.irqs[0], 1);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	fake_reactor_advance(&x->r, 0);
	assert_int_equal(ring_used_idx(&x->ring), SIZE);
	assert_int_equal(x->t.irqs[0], 4);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
}

static void
a_request_waits_until_the_bucket_has_enough(void **state)
{
	struct fix *x = *state;

	make(x, 1000, 100);
	ask(x, 0, 100);
	assert_int_equal(ring_used_len(&x->ring, 0), 100);
	ask(x, 1, 100);
	assert_int_equal(ring_used_idx(&x->ring), 1);
	fake_reactor_advance(&x->r, 63999999);
	assert_int_equal(ring_used_idx(&x->ring), 1);
	fake_reactor_advance(&x->r, 1);
	assert_int_equal(ring_used_idx(&x->ring), 2);
	assert_int_equal(ring_used_len(&x->ring, 1), 64);
	assert_int_equal(x->t.irqs[0], 2);
}

static void
the_rate_holds_over_time(void **state)
{
	struct fix *x = *state;

	make(x, 10000, 256);
	for (unsigned i = 0; i < 20000; i++) {
		if (ring_used_idx(&x->ring) == x->ring.avail_idx)
			ask(x, i % SIZE, 4096);
		fake_reactor_advance(&x->r, 1000000);
	}
	/* 20 s at 10000 bytes/s, and the burst */
	assert_in_range(x->filled, 199900, 200256);
}

static void
a_backend_that_fails_is_asked_again(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	x->fail_after = 0;
	ask(x, 0, 32);
	assert_int_equal(ring_used_idx(&x->ring), 0);
	assert_int_equal(x->dev->status, 15);
	fake_reactor_advance(&x->r, 100000000);
	assert_int_equal(x->calls, 2);
	x->fail_after = -1;
	fake_reactor_advance(&x->r, 100000000);
	assert_int_equal(ring_used_len(&x->ring, 0), 32);
}

static void
a_short_fill_is_a_short_answer(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	x->fail_after = 20;
	ask(x, 0, 32);
	assert_int_equal(ring_used_len(&x->ring, 0), 20);
}

static void
a_request_without_room_is_given_back(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	ring_desc(&x->ring, 3, DATA_GPA, 16, 0, 0);
	ring_offer(&x->ring, 3);
	virtio_notify(x->dev, 0);
	assert_int_equal(ring_used_idx(&x->ring), 1);
	assert_int_equal(ring_used_len(&x->ring, 0), 0);
	assert_int_equal(x->calls, 0);
}

static void
a_broken_ring_needs_a_reset_and_recovers(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	ring_offer(&x->ring, SIZE);
	virtio_notify(x->dev, 0);
	assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(x->t.config_irqs, 1);
	drive(x);
	ask(x, 0, 8);
	assert_int_equal(ring_used_idx(&x->ring), 1);
}

static void
nothing_is_written_after_a_reset(void **state)
{
	struct fix *x = *state;

	make(x, 1000, 100);
	ask(x, 0, 100);
	ask(x, 1, 100);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	virtio_set_status(x->dev, 0);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	memset(x->ram.buf, 0, RAM_LEN);
	fake_reactor_advance(&x->r, 10000000000);
	for (unsigned i = 0; i < RAM_LEN; i++)
		assert_int_equal(x->ram.buf[i], 0);
}

static void
nothing_is_written_after_a_queue_reset(void **state)
{
	struct fix *x = *state;

	make(x, 1000, 100);
	ask(x, 0, 100);
	ask(x, 1, 100);
	virtio_queue_reset(x->dev, 0);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	fake_reactor_advance(&x->r, 10000000000);
	assert_int_equal(ring_used_idx(&x->ring), 1);
}

static void
a_driver_that_rings_only_when_asked_is_served(void **state)
{
	struct fix *x = *state;

	make(x, 0, 0);
	drive_with(x, (uint32_t)VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 1000; i++) {
		ring_desc(&x->ring, 0, DATA_GPA, 8, F_WRITE, 0);
		ring_set_used_event(&x->ring, i);
		assert_true(ring_offer_rings(&x->ring, 0, true));
		virtio_notify(x->dev, 0);
		assert_int_equal(ring_used_idx(&x->ring), i + 1);
		assert_int_equal(x->t.irqs[0], i + 1);
	}
}

static void
getrandom_gives_bytes(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	assert_int_equal(rng_backend_getrandom.fill(NULL, a, sizeof(a)), sizeof(a));
	assert_int_equal(rng_backend_getrandom.fill(NULL, b, sizeof(b)), sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_buffer_is_filled),
		T(pieces_are_filled_in_order_and_readable_ones_left_alone),
		T(a_huge_request_gets_a_bounded_answer),
		T(one_pass_is_bounded_and_the_rest_follows),
		T(a_request_waits_until_the_bucket_has_enough),
		T(the_rate_holds_over_time),
		T(a_backend_that_fails_is_asked_again),
		T(a_short_fill_is_a_short_answer),
		T(a_request_without_room_is_given_back),
		T(a_broken_ring_needs_a_reset_and_recovers),
		T(nothing_is_written_after_a_reset),
		T(nothing_is_written_after_a_queue_reset),
		T(a_driver_that_rings_only_when_asked_is_served),
		T(getrandom_gives_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
