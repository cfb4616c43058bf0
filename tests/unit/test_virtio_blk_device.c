/* SPDX-License-Identifier: ISC */
/* virtio-blk, many requests: order, cache modes, stopping, queues, limits. */
#include "blk_driver.h"

#include <sys/mman.h>

static void
make_queues(struct fix *x, unsigned queues)
{
	const struct blk_config cfg = { .name = "disk0",
					.queues = queues,
					.serial = "abc" };

	make(x, &cfg);
}

static void
make_limited(struct fix *x, unsigned queues, const struct rate_limit_config *rate)
{
	const struct blk_config cfg = {
		.name = "disk0", .queues = queues, .serial = "abc", .rate = *rate
	};

	make(x, &cfg);
}

/* ---- order and interrupts ---- */

static void
answers_come_in_the_order_of_the_back(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	for (unsigned k = 0; k < 8; k++)
		put_request(x, 0, k, BLK_T_IN, k, 512);
	virtio_notify(x->dev, 0);
	assert_int_equal(x->disk.nheld, 8);
	for (unsigned k = 8; k-- > 0;)
		fake_disk_answer(&x->disk, k, 0);
	fake_reactor_deferred(&x->r);
	for (unsigned k = 0; k < 8; k++) {
		assert_int_equal(ring_used_id(&x->ring[0], k), 3 * (7 - k));
		assert_memory_equal(data(x, k), x->disk.buf + k * 512, 512);
	}
}

static void
one_interrupt_for_all_that_a_pass_completes(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	for (unsigned k = 0; k < 32; k++)
		put_request(x, 0, k, k % 4 ? BLK_T_IN : 99, k, 512);
	virtio_notify(x->dev, 0);
	assert_int_equal(used(x, 0), 0);
	fake_disk_answer_all(&x->disk);
	assert_int_equal(used(x, 0), 0);
	assert_int_equal(x->t.irqs[0], 0);
	fake_reactor_deferred(&x->r);
	assert_int_equal(used(x, 0), 32);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
put_table(struct fix *x, unsigned k, uint32_t type)
{
	uint8_t *t = data(x, 8 + k);

	put_header(x, k, type, 1);
	desc_put(t, header_at(k), 16, F_NEXT, 1);
	desc_put(t + 16, data_at(k), 512, F_NEXT | F_WRITE, 2);
	desc_put(t + 32, status_at(k), 1, F_WRITE, 0);
}

static void
a_full_queue_is_served_whole(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	/* All that can be in flight: a descriptor each, which refers to a table. */
	put_table(x, 0, BLK_T_IN);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < SIZE; i++) {
			ring_desc(&x->ring[0], i, data_at(8), 48, F_INDIRECT, 0);
			ring_put(&x->ring[0], i);
		}
		ring_show(&x->ring[0]);
		virtio_notify(x->dev, 0);
		assert_int_equal(x->disk.nheld, SIZE);
		settle(x);
		assert_int_equal(used(x, 0), (round + 1) * SIZE);
	}
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
}

/* The driver adds one more while the device looks. */
static void
add_one(struct fake_disk *f)
{
	struct fix *x = container_of(f, struct fix, disk);

	ring_offer(&x->ring[0], 1);
}

static void
a_pass_is_bounded_and_the_rest_follows(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	put_table(x, 0, BLK_T_IN);
	put_table(x, 1, 99);
	for (unsigned i = 0; i < SIZE; i++) {
		ring_desc(&x->ring[0], i, data_at(8 + (i > 0)), 48, F_INDIRECT, 0);
		ring_put(&x->ring[0], i);
	}
	ring_show(&x->ring[0]);
	x->disk.submitted = add_one;
	virtio_notify(x->dev, 0);
	settle(x);
	assert_int_equal(used(x, 0), SIZE);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	fake_reactor_advance(&x->r, 0);
	settle(x);
	assert_int_equal(used(x, 0), SIZE + 1);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	assert_int_equal(ring_used_flags(&x->ring[0]), 0);
}

static void
a_driver_that_rings_only_when_asked_is_served(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_with(x, VIRTIO_F_EVENT_IDX | BLK_F_FLUSH);
	for (unsigned i = 0; i < 1000; i++) {
		put_header(x, 0, BLK_T_IN, i % CAPACITY);
		ring_desc(&x->ring[0], 0, header_at(0), 16, F_NEXT, 1);
		ring_desc(&x->ring[0], 1, data_at(0), 512, F_NEXT | F_WRITE, 2);
		ring_desc(&x->ring[0], 2, status_at(0), 1, F_WRITE, 0);
		ring_set_used_event(&x->ring[0], i);
		assert_true(ring_offer_rings(&x->ring[0], 0, true));
		virtio_notify(x->dev, 0);
		settle(x);
		assert_int_equal(used(x, 0), i + 1);
		assert_int_equal(x->t.irqs[0], i + 1);
	}
}

static void
doorbells_are_asked_for_again_when_the_queue_is_empty(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	request(x, 0, BLK_T_IN, 0, 512);
	assert_int_equal(ring_used_flags(&x->ring[0]), 0);
	settle(x);
}

/* ---- cache modes (5.2.5, 5.2.6.2) ---- */

static void
set_writeback(struct fix *x, unsigned v)
{
	virtio_config_write(x->dev, offsetof(struct blk_space, writeback), 1, v);
}

static unsigned
writeback(struct fix *x)
{
	return (unsigned)virtio_config_read(x->dev, offsetof(struct blk_space, writeback),
					    1);
}

static void
with_a_cache_writes_are_not_flushed(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_FLUSH, 0, 0), BLK_S_OK);
	drive_with(x, BLK_F_FLUSH);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	assert_string_equal(x->disk.log, "wfw");
}

static void
a_write_is_flushed_before_it_is_answered_if_the_driver_cannot(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_with(x, BLK_F_WRITE_ZEROES);
	request(x, 0, BLK_T_OUT, 0, 512);
	fake_disk_answer_all(&x->disk);
	fake_reactor_deferred(&x->r);
	assert_int_equal(used(x, 0), 0);
	assert_int_equal(status(x, 0), PENDING);
	settle(x);
	assert_int_equal(status(x, 0), BLK_S_OK);
	put_range(x, 0, 0, 8, 8, 0);
	assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 16), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	assert_string_equal(x->disk.log, "wfzfr");
}

static void
a_write_whose_flush_fails_has_failed(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_with(x, 0);
	x->disk.fail_at = 2;
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_IOERR);
	assert_string_equal(x->disk.log, "wf");
}

static void
a_write_that_failed_is_not_flushed(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_with(x, 0);
	x->disk.fail_at = 1;
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_IOERR);
	assert_string_equal(x->disk.log, "w");
}

static void
the_driver_turns_the_cache_off_and_on(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(writeback(x), 1);
	set_writeback(x, 0);
	assert_int_equal(writeback(x), 0);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	set_writeback(x, 0xff);
	assert_int_equal(writeback(x), 1);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	assert_string_equal(x->disk.log, "wfw");
	set_writeback(x, 0);
	virtio_reset(x->dev);
	assert_int_equal(writeback(x), 1);
}

static void
only_the_cache_mode_can_be_written(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	for (unsigned off = 0; off < BLK_SPACE_LEN; off++) {
		uint64_t before = virtio_config_read(x->dev, off, 1);

		if (off == offsetof(struct blk_space, writeback))
			continue;
		virtio_config_write(x->dev, off, 1, ~before & 0xff);
		assert_int_equal(virtio_config_read(x->dev, off, 1), before);
	}
	/* As a part of a wider write it is the byte that it is. */
	virtio_config_write(x->dev, offsetof(struct blk_space, writeback), 4, 0xffffff00);
	assert_int_equal(writeback(x), 0);
	virtio_config_write(x->dev, offsetof(struct blk_space, writeback) - 4, 8,
			    UINT64_C(0xff00000000));
	assert_int_equal(writeback(x), 1);
}

static void
who_did_not_negotiate_the_mode_cannot_change_it(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_with(x, BLK_F_FLUSH);
	set_writeback(x, 0);
	assert_int_equal(writeback(x), 1);
	drive_with(x, 0);
	assert_int_equal(writeback(x), 0);
	set_writeback(x, 1);
	assert_int_equal(writeback(x), 0);
}

static void
who_can_change_the_mode_and_not_flush_begins_without_a_cache(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	negotiate(x, BLK_F_CONFIG_WCE);
	assert_int_equal(writeback(x), 0);
	negotiate(x, BLK_F_CONFIG_WCE | BLK_F_FLUSH);
	assert_int_equal(writeback(x), 1);
}

/* ---- the legacy interface ---- */

static void
drive_legacy(struct fix *x, uint32_t features)
{
	uint32_t base = RING_GPA, page = 4096;

	virtio_reset(x->dev);
	virtio_use_legacy(x->dev);
	virtio_set_status(x->dev, 3);
	virtio_features_accept(x->dev, 0, features);
	x->ring[0] = (struct fake_ring){
		.ram = &x->ram,
		.at = { .size = SIZE,
			.desc = base,
			.driver = base + 16 * SIZE,
			.device = align_up(base + 16 * SIZE + 6 + 2 * SIZE, page) },
	};
	memset(ram_at(&x->ram, base), 0, 4 * page);
	virtio_queue_set_pfn(x->dev, 0, base / page, page, page);
	virtio_set_status(x->dev, 7);
}

static void
a_driver_of_old_reads_and_writes(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_legacy(x, (uint32_t)BLK_F_FLUSH);
	memset(data(x, 0), 0x42, 512);
	assert_int_equal(ask(x, BLK_T_OUT, 9, 512), BLK_S_OK);
	assert_int_equal(x->disk.buf[9 * 512], 0x42);
	assert_int_equal(ask(x, BLK_T_FLUSH_OUT, 0, 0), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_IN, 3, 512), BLK_S_OK);
	assert_memory_equal(data(x, 0), x->disk.buf + 3 * 512, 512);
	assert_string_equal(x->disk.log, "wfr");
	assert_int_equal(x->dev->status, 7);
}

static void
a_driver_of_old_that_cannot_flush_has_no_cache(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	drive_legacy(x, 0);
	assert_int_equal(ask(x, BLK_T_OUT, 9, 512), BLK_S_OK);
	assert_string_equal(x->disk.log, "wf");
}

/* It knows no FEATURES_OK, and what it wrote stays (5.2.5.3). */
static void
a_driver_of_old_may_set_the_mode_early(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	virtio_reset(x->dev);
	virtio_use_legacy(x->dev);
	virtio_set_status(x->dev, 1);
	set_writeback(x, 0);
	assert_int_equal(writeback(x), 0);
	virtio_set_status(x->dev, 3);
	virtio_features_accept(x->dev, 0, (uint32_t)BLK_F_CONFIG_WCE);
	virtio_set_status(x->dev, 7);
	assert_int_equal(writeback(x), 0);
}

/* ---- stopping ---- */

static void
assert_untouched_from_now_on(struct fix *x)
{
	memset(x->ram.buf, 0x3c, RAM_LEN);
	assert_int_equal(x->disk.nheld, 0);
	fake_reactor_deferred(&x->r);
	fake_reactor_advance(&x->r, 10 * NSEC_PER_SEC);
	for (unsigned i = 0; i < RAM_LEN; i++)
		assert_int_equal(x->ram.buf[i], 0x3c);
}

static void
load(struct fix *x, unsigned q)
{
	for (unsigned k = 0; k < 40; k++) {
		put_range(x, k, 0, 8, 8, 0);
		put_range(x, k, 1, 16, 8, 0);
		put_request(x, q, k,
			    k % 4 == 3   ? BLK_T_DISCARD
			    : k % 4 == 2 ? BLK_T_FLUSH
			    : k % 4      ? BLK_T_OUT
					 : BLK_T_IN,
			    k,
			    k % 4 == 3   ? 32
			    : k % 4 == 2 ? 0
					 : 1024);
	}
	virtio_notify(x->dev, q);
}

static void
nothing_is_written_after_a_reset(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	load(x, 0);
	assert_true(x->disk.nheld > 0);
	virtio_set_status(x->dev, 0);
	assert_untouched_from_now_on(x);
	drive_with(x, usual_features(x));
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

static void
nothing_is_written_after_failed(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	load(x, 0);
	virtio_set_status(x->dev, 15 | VIRTIO_STATUS_FAILED);
	assert_untouched_from_now_on(x);
}

static void
the_reset_of_a_queue_leaves_the_others_alone(void **state)
{
	struct fix *x = *state;

	make_queues(x, 2);
	drive_with(x, usual_features(x));
	put_request(x, 1, 50, BLK_T_OUT, 7, 512);
	virtio_notify(x->dev, 1);
	load(x, 0);
	virtio_queue_reset(x->dev, 0);
	assert_int_equal(x->disk.nheld, 0);
	fake_reactor_deferred(&x->r);
	/* The back was drained: the other queue has its answer. */
	assert_int_equal(used(x, 1), 1);
	assert_int_equal(status(x, 50), BLK_S_OK);
	enable_queue(x, 0);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

/* Another queue's requests of several steps go on while this one is stopped. */
static void
the_reset_of_a_queue_does_not_cut_short_what_others_do(void **state)
{
	struct fix *x = *state;

	make_queues(x, 2);
	drive_with(x, usual_features(x));
	put_range(x, 50, 0, 8, 8, 0);
	put_range(x, 50, 1, 16, 8, 0);
	put_request(x, 1, 50, BLK_T_WRITE_ZEROES, 0, 32);
	virtio_notify(x->dev, 1);
	load(x, 0);
	virtio_queue_reset(x->dev, 0);
	settle(x);
	assert_int_equal(status(x, 50), BLK_S_OK);
	assert_int_equal(x->disk.buf[16 * 512], 0);
}

static void
a_request_of_many_steps_ends_when_the_device_stops(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	for (unsigned i = 0; i < 64; i++)
		put_range(x, 0, i, 8 * i, 8, 0);
	request(x, 0, BLK_T_DISCARD, 0, 64 * 16);
	virtio_reset(x->dev);
	assert_int_equal(x->disk.nops, 1);
	assert_int_equal(status(x, 0), BLK_S_IOERR);
}

static void
unbind_and_bind_under_load(void **state)
{
	struct fix *x = *state;

	make_queues(x, QUEUES);
	for (unsigned i = 0; i < 300; i++) {
		drive_with(x, usual_features(x) & (i % 3 ? ~UINT64_C(0) : ~BLK_F_FLUSH));
		for (unsigned q = 0; q < QUEUES; q++)
			load(x, q);
		/* Some were answered, some were not, some wait for their interrupt. */
		for (unsigned k = 0; k < i % 60; k++)
			fake_disk_answer(&x->disk, (k * 7) % x->disk.nheld, 0);
		if (i & 1)
			fake_reactor_deferred(&x->r);
	}
	drive_with(x, usual_features(x));
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	for (unsigned q = 0; q < QUEUES; q++)
		assert_int_equal(x->blk->bq[q].nspare, BLK_QUEUE_SIZE);
}

/* ---- several queues ---- */

static void
each_queue_has_its_own_ring_and_interrupt(void **state)
{
	struct fix *x = *state;

	make_queues(x, QUEUES);
	assert_true(x->dev->offered & BLK_F_MQ);
	assert_int_equal(virtio_config_read(x->dev,
					    offsetof(struct blk_space, num_queues), 2),
			 QUEUES);
	for (unsigned q = 0; q < QUEUES; q++) {
		put_request(x, q, q, BLK_T_IN, 10 + q, 512);
		virtio_notify(x->dev, q);
	}
	assert_int_equal(x->disk.nheld, QUEUES);
	fake_disk_answer(&x->disk, 1, 0);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->t.irqs[0], 0);
	assert_int_equal(x->t.irqs[1], 1);
	settle(x);
	for (unsigned q = 0; q < QUEUES; q++) {
		assert_int_equal(used(x, q), 1);
		assert_int_equal(x->t.irqs[q], 1);
		assert_memory_equal(data(x, q), x->disk.buf + (10 + q) * 512, 512);
	}
}

static void
many_queues_cost_no_memory_before_they_are_used(void **state)
{
	struct fix *x = *state;
	unsigned char in_core[4096];
	struct blk_queue *last;

	make_queues(x, QUEUES);
	last = &x->blk->bq[QUEUES - 1];
	request(x, 0, BLK_T_IN, 0, 512);
	settle(x);
	assert_int_equal(mincore(last->page, sizeof(union blk_page) * BLK_QUEUE_SIZE,
				 in_core),
			 0);
	for (unsigned i = 0; i < BLK_QUEUE_SIZE; i++)
		assert_int_equal(in_core[i] & 1, 0);
}

/* ---- limits ---- */

static void
a_request_waits_in_the_ring_until_there_are_tokens(void **state)
{
	const struct rate_limit_config rate = { .rate = 10240, .burst = 1024 };
	struct fix *x = *state;

	make_limited(x, 1, &rate);
	put_request(x, 0, 0, BLK_T_IN, 0, 1024);
	put_request(x, 0, 1, BLK_T_OUT, 0, 512);
	put_request(x, 0, 2, BLK_T_IN, 0, 512);
	virtio_notify(x->dev, 0);
	assert_int_equal(x->disk.nops, 1);
	/* Nobody rings for what has to wait, and nobody is served out of turn. */
	assert_int_equal(ring_used_flags(&x->ring[0]), 1);
	virtio_notify(x->dev, 0);
	fake_reactor_advance(&x->r, 49999999);
	assert_int_equal(x->disk.nops, 1);
	fake_reactor_advance(&x->r, 1);
	assert_int_equal(x->disk.nops, 2);
	fake_reactor_advance(&x->r, 49999999);
	assert_int_equal(x->disk.nops, 2);
	fake_reactor_advance(&x->r, 1);
	assert_string_equal(x->disk.log, "rwr");
	assert_int_equal(ring_used_flags(&x->ring[0]), 0);
	settle(x);
	assert_int_equal(used(x, 0), 3);
}

static void
operations_are_limited_as_well(void **state)
{
	const struct rate_limit_config rate = { .rate_ops = 100, .burst_ops = 4 };
	struct fix *x = *state;

	make_limited(x, 1, &rate);
	put_range(x, 0, 0, 0, 8, 0);
	put_range(x, 0, 1, 8, 8, 0);
	put_request(x, 0, 0, BLK_T_DISCARD, 0, 32); /* two */
	put_request(x, 0, 1, BLK_T_FLUSH, 0, 0);
	put_request(x, 0, 2, 99, 0, 0); /* errors are not free */
	put_request(x, 0, 3, BLK_T_GET_ID, 0, 20);
	virtio_notify(x->dev, 0);
	settle(x);
	assert_int_equal(used(x, 0), 3);
	fake_reactor_advance(&x->r, 9999999);
	settle(x);
	assert_int_equal(used(x, 0), 3);
	fake_reactor_advance(&x->r, 1);
	settle(x);
	assert_int_equal(used(x, 0), 4);
}

static void
the_rate_holds_over_time(void **state)
{
	const struct rate_limit_config rate = { .rate = 1000000, .burst = 4096 };
	struct fix *x = *state;

	make_limited(x, 1, &rate);
	for (unsigned ms = 0; ms < 4000; ms++) {
		if (used(x, 0) == x->ring[0].avail_idx)
			for (unsigned k = 0; k < 4; k++)
				put_request(x, 0, k, BLK_T_IN, k, 1024);
		virtio_notify(x->dev, 0);
		fake_reactor_advance(&x->r, 1000000);
		settle(x);
	}
	assert_in_range(x->blk->count.read_bytes, 4000000 - 8192, 4000000 + 4096);
}

static void
queues_share_a_limit_evenly(void **state)
{
	const struct rate_limit_config rate = { .rate = 512000, .burst = 512 };
	struct fix *x = *state;
	unsigned done[QUEUES];

	make_limited(x, QUEUES, &rate);
	for (unsigned ms = 0; ms < 900; ms++) {
		/* All three always have something to do, and the first rings most. */
		for (unsigned q = 0; q < QUEUES; q++) {
			unsigned k = x->ring[q].avail_idx % 20;

			if ((uint16_t)(x->ring[q].avail_idx - used(x, q)) < 4)
				put_request(x, q, q * 20 + k, BLK_T_IN, q, 512);
			virtio_notify(x->dev, 0);
			virtio_notify(x->dev, q);
		}
		fake_reactor_advance(&x->r, 1000000);
		settle(x);
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		done[q] = used(x, q);
		assert_in_range(done[q], 290, 310);
	}
}

static void
a_request_larger_than_the_burst_goes_through(void **state)
{
	const struct rate_limit_config rate = { .rate = 512, .burst = 512 };
	struct fix *x = *state;

	make_limited(x, 1, &rate);
	assert_int_equal(ask(x, BLK_T_IN, 0, 1024), BLK_S_OK);
	request(x, 1, BLK_T_IN, 0, 512);
	fake_reactor_advance(&x->r, 2 * NSEC_PER_SEC - 1);
	assert_int_equal(x->disk.nops, 1);
	fake_reactor_advance(&x->r, 1);
	settle(x);
	assert_int_equal(status(x, 1), BLK_S_OK);
}

static void
a_reset_ends_the_wait(void **state)
{
	const struct rate_limit_config rate = { .rate = 512, .burst = 512 };
	struct fix *x = *state;

	make_limited(x, 1, &rate);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	request(x, 1, BLK_T_IN, 0, 512);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	virtio_reset(x->dev);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	assert_untouched_from_now_on(x);
	drive_with(x, usual_features(x));
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

static void
the_queue_that_waits_may_be_reset(void **state)
{
	const struct rate_limit_config rate = { .rate = 512, .burst = 512 };
	struct fix *x = *state;

	make_limited(x, 2, &rate);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	request(x, 1, BLK_T_IN, 0, 512);
	put_request(x, 1, 2, BLK_T_IN, 0, 512);
	virtio_notify(x->dev, 1);
	virtio_queue_reset(x->dev, 0);
	fake_reactor_advance(&x->r, NSEC_PER_SEC);
	settle(x);
	assert_int_equal(used(x, 1), 1);
	assert_int_equal(status(x, 1), PENDING);
}

/* ---- the end of the machine, and what it has counted ---- */

static void
at_the_end_what_was_written_is_made_durable(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	request(x, 0, BLK_T_OUT, 1, 512);
	virtio_stop(x->dev);
	assert_int_equal(x->disk.nheld, 0);
	assert_int_equal(blk_sync(x->blk), 0);
	assert_string_equal(x->disk.log, "wwf");
	/* Once is enough. */
	assert_int_equal(blk_sync(x->blk), 0);
	assert_string_equal(x->disk.log, "wwf");
}

static void
at_the_end_nothing_is_done_if_nothing_was_written(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_FLUSH, 0, 0), BLK_S_OK);
	virtio_stop(x->dev);
	assert_int_equal(blk_sync(x->blk), 0);
	assert_string_equal(x->disk.log, "rwf");
}

/* A flush covers what was answered before it was submitted, and nothing later. */
static void
at_the_end_a_flush_that_came_too_early_does_not_count(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	put_request(x, 0, 0, BLK_T_OUT, 0, 512);
	put_request(x, 0, 1, BLK_T_FLUSH, 0, 0);
	virtio_notify(x->dev, 0);
	settle(x);
	virtio_stop(x->dev);
	assert_int_equal(blk_sync(x->blk), 0);
	assert_string_equal(x->disk.log, "wff");
}

static void
at_the_end_a_disk_that_cannot_be_synced_says_so(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	virtio_stop(x->dev);
	x->disk.fail_at = 2;
	assert_int_equal(blk_sync(x->blk), -EIO);
}

static void
what_was_done_is_counted(void **state)
{
	struct fix *x = *state;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_IN, 0, 1024), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_FLUSH, 0, 0), BLK_S_OK);
	put_range(x, 0, 0, 0, 8, 0);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 16), BLK_S_OK);
	assert_int_equal(ask(x, 99, 0, 0), BLK_S_UNSUPP);
	assert_int_equal(x->blk->count.reads, 2);
	assert_int_equal(x->blk->count.read_bytes, 1536);
	assert_int_equal(x->blk->count.writes, 1);
	assert_int_equal(x->blk->count.written_bytes, 512);
	assert_int_equal(x->blk->count.flushes, 1);
	assert_int_equal(x->blk->count.discards, 1);
	assert_int_equal(x->blk->count.zeroes, 1);
	assert_int_equal(x->blk->count.errors, 1);
}

static void
every_counter_has_a_name(void **state)
{
	struct fix *x = *state;
	const struct virtio_counter *c;
	unsigned n = 0;

	make_queues(x, 1);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_OK);
	for (c = x->dev->type->counter; c->name; c++, n++)
		if (strcmp(c->name, "written_bytes") == 0)
			assert_int_equal(*(uint64_t *)(void *)((uint8_t *)x->dev +
							       c->off),
					 512);
	assert_int_equal(n * sizeof(uint64_t), sizeof(x->blk->count));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers_come_in_the_order_of_the_back),
		T(one_interrupt_for_all_that_a_pass_completes),
		T(a_full_queue_is_served_whole),
		T(a_pass_is_bounded_and_the_rest_follows),
		T(a_driver_that_rings_only_when_asked_is_served),
		T(doorbells_are_asked_for_again_when_the_queue_is_empty),
		T(with_a_cache_writes_are_not_flushed),
		T(a_write_is_flushed_before_it_is_answered_if_the_driver_cannot),
		T(a_write_whose_flush_fails_has_failed),
		T(a_write_that_failed_is_not_flushed),
		T(the_driver_turns_the_cache_off_and_on),
		T(only_the_cache_mode_can_be_written),
		T(who_did_not_negotiate_the_mode_cannot_change_it),
		T(who_can_change_the_mode_and_not_flush_begins_without_a_cache),
		T(a_driver_of_old_reads_and_writes),
		T(a_driver_of_old_that_cannot_flush_has_no_cache),
		T(a_driver_of_old_may_set_the_mode_early),
		T(nothing_is_written_after_a_reset),
		T(nothing_is_written_after_failed),
		T(the_reset_of_a_queue_leaves_the_others_alone),
		T(the_reset_of_a_queue_does_not_cut_short_what_others_do),
		T(a_request_of_many_steps_ends_when_the_device_stops),
		T(unbind_and_bind_under_load),
		T(each_queue_has_its_own_ring_and_interrupt),
		T(many_queues_cost_no_memory_before_they_are_used),
		T(a_request_waits_in_the_ring_until_there_are_tokens),
		T(operations_are_limited_as_well),
		T(the_rate_holds_over_time),
		T(queues_share_a_limit_evenly),
		T(a_request_larger_than_the_burst_goes_through),
		T(a_reset_ends_the_wait),
		T(the_queue_that_waits_may_be_reset),
		T(at_the_end_what_was_written_is_made_durable),
		T(at_the_end_nothing_is_done_if_nothing_was_written),
		T(at_the_end_a_flush_that_came_too_early_does_not_count),
		T(at_the_end_a_disk_that_cannot_be_synced_says_so),
		T(what_was_done_is_counted),
		T(every_counter_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
