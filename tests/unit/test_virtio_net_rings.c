/* SPDX-License-Identifier: ISC */
/* The model with a back that serves the rings of packets: which of them it has, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_net_driver.h"
#include "virtio_transport.h"

enum { CTRL = 4, MQ_PAIRS = 2 };

#define F_RINGS (F_MRG | F_CTRL | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

/* Descriptors of queue q, and what was lent last. */
struct fix {
	struct net_fix n;
	int kick[2 * NET_QUEUES_MAX + 1];
	bool lent[2 * NET_QUEUES_MAX + 1];
	int refuse; /* what lending returns */
};

static struct fix *
fix_of(void *arg)
{
	return arg;
}

static int
lend(void *arg, struct virtio_device *dev, unsigned q, struct virtio_lent *ret)
{
	struct fix *x = fix_of(arg);

	(void)dev;
	if (x->refuse)
		return x->refuse;
	assert_false(x->lent[q]);
	x->lent[q] = true;
	ret->kick = x->kick[q];
	ret->call = 100 + (int)q;
	return 0;
}

static void
reclaim(void *arg, struct virtio_device *dev, unsigned q)
{
	struct fix *x = fix_of(arg);

	(void)dev;
	/* Not before the back has let go of it. */
	assert_true(x->lent[q]);
	assert_false(x->n.back.ring_on[q / 2][q % 2]);
	x->lent[q] = false;
}

static const struct virtio_doorbell_ops doorbell_ops = { .lend = lend,
							 .reclaim = reclaim };

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	net_fix_init(&x->n);
	for (unsigned q = 0; q < 2 * MQ_PAIRS; q++)
		x->kick[q] = eventfd(0, EFD_NONBLOCK);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	net_fix_fini(&x->n);
	/* It never had a packet in its hands. */
	assert_int_equal(x->n.back.sends + x->n.back.recvs, 0);
	assert_int_equal(x->n.back.ring_starts, x->n.back.ring_stops);
	for (unsigned q = 0; q < 2 * MQ_PAIRS; q++)
		close(x->kick[q]);
	free(x);
	return 0;
}

static void
make(struct fix *x, unsigned pairs)
{
	struct net_config cfg = { .name = "net0" };

	fake_net_init(&x->n.back, pairs, ALL_OFFLOADS);
	x->n.back.back.info.rings = true;
	net_fix_connect(&x->n, &cfg);
	x->n.t.t.doorbell = &doorbell_ops;
	x->n.t.t.doorbell_arg = x;
}

/* With this many pairs the control queue is behind them. */
static void
drive(struct fix *x, uint64_t features)
{
	net_drive(&x->n, features, NET_RINGS, NET_RING);
}

/* The back has exactly the rings with a bit in the mask. */
static void
assert_lent(struct fix *x, unsigned mask)
{
	for (unsigned q = 0; q < 2 * MQ_PAIRS; q++) {
		assert_int_equal(x->n.back.ring_on[q / 2][q % 2], mask >> q & 1);
		assert_int_equal(x->lent[q], mask >> q & 1);
		assert_false(x->n.back.want_rx[q / 2] || x->n.back.want_tx[q / 2]);
	}
}

static int
set_pairs(struct fix *x, unsigned n)
{
	const uint8_t cmd[] = { 4, 0, (uint8_t)n, 0 };

	return net_command(&x->n, CTRL, cmd, sizeof(cmd));
}

static bool
was_kicked(struct fix *x, unsigned q)
{
	eventfd_t count;

	return eventfd_read(x->kick[q], &count) == 0;
}

static void
the_back_has_the_rings_while_the_driver_is_ready(void **state)
{
	struct fix *x = *state;

	make(x, 1);
	assert_lent(x, 0);
	net_drive(&x->n, F_RINGS, 3, NET_RING);
	assert_lent(x, 3);
	const struct virtio_lent *ring = &x->n.back.ring[0][NET_TX];
	assert_int_equal(ring->features,
			 F_RINGS | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET);
	assert_int_equal(ring->size, NET_RING);
	assert_int_equal(ring->next, 0);
	assert_ptr_equal(ring->desc, ram_at(&x->n.ram, x->n.ring[1].at.desc));
	assert_ptr_equal(ring->avail, ram_at(&x->n.ram, x->n.ring[1].at.driver));
	assert_ptr_equal(ring->used, ram_at(&x->n.ram, x->n.ring[1].at.device));
	assert_int_equal(ring->kick, x->kick[1]);
	assert_int_equal(ring->call, 101);
	virtio_reset(x->n.dev);
	assert_lent(x, 0);
}

static void
the_driver_s_doorbells_go_to_the_back(void **state)
{
	struct fix *x = *state;

	make(x, 1);
	net_drive(&x->n, F_RINGS, 3, NET_RING);
	/* What was made available before DRIVER_OK came without one. */
	assert_true(was_kicked(x, 0));
	assert_true(was_kicked(x, 1));
	net_buffer(&x->n, 0, 0, NET_DATA, 1600);
	virtio_notify(x->n.dev, 0);
	assert_true(was_kicked(x, 0));
	assert_false(was_kicked(x, 1));
}

static void
what_the_back_cannot_serve_is_not_offered(void **state)
{
	struct fix *x = *state;
	struct net_config cfg = { .name = "net0" };

	fake_net_init(&x->n.back, 1, ALL_OFFLOADS);
	x->n.back.back.info.rings = true;
	x->n.back.back.info.rings_lack = VIRTIO_F_EVENT_IDX | F_MRG;
	net_fix_connect(&x->n, &cfg);
	uint32_t low = virtio_features_offered(x->n.dev, 0);
	assert_int_equal(low & (uint32_t)(VIRTIO_F_EVENT_IDX | F_MRG), 0);
	assert_true(low & (uint32_t)VIRTIO_F_INDIRECT_DESC);
	assert_true(low & F_CSUM);
}

static void
only_pairs_that_carry_packets_are_the_back_s(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	drive(x, F_RINGS | F_MQ);
	assert_lent(x, 3);
	assert_int_equal(set_pairs(x, 2), 0);
	assert_lent(x, 15);
	x->n.back.ring_next[1][NET_RX] = 17;
	assert_int_equal(set_pairs(x, 1), 0);
	assert_lent(x, 3);
	/* It goes on where it was. */
	assert_int_equal(set_pairs(x, 2), 0);
	assert_lent(x, 15);
	assert_int_equal(x->n.back.ring[1][NET_RX].next, 17);
}

static void
a_queue_that_is_reset_comes_back_from_the_start(void **state)
{
	struct fix *x = *state;

	make(x, 1);
	net_drive(&x->n, F_RINGS, 3, NET_RING);
	x->n.back.ring_next[0][NET_TX] = 99;
	virtio_queue_reset(x->n.dev, 1);
	assert_lent(x, 1);
	net_ring(&x->n, 1, 32);
	assert_lent(x, 3);
	assert_int_equal(x->n.back.ring[0][NET_TX].next, 0);
	assert_int_equal(x->n.back.ring[0][NET_TX].size, 32);
}

static void
a_queue_that_is_not_enabled_is_not_lent(void **state)
{
	struct fix *x = *state;

	make(x, 1);
	net_drive(&x->n, F_RINGS, 1, NET_RING);
	assert_lent(x, 1);
}

static void
a_broken_ring_takes_all_from_the_back(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	drive(x, F_RINGS | F_MQ);
	set_pairs(x, 2);
	assert_lent(x, 15);
	x->n.back.back.front->broken(x->n.back.back.dev);
	assert_lent(x, 0);
	assert_true(x->n.dev->status & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(x->n.t.config_irqs, 1);
	/* And a reset helps. */
	drive(x, F_RINGS | F_MQ);
	assert_lent(x, 3);
}

static void
so_does_any_other_failure_of_the_device(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	drive(x, F_RINGS | F_MQ);
	/* A head that cannot be, on the control queue. */
	ring_offer(&x->n.ring[CTRL], NET_RING + 1);
	virtio_notify(x->n.dev, CTRL);
	assert_true(x->n.dev->status & VIRTIO_STATUS_NEEDS_RESET);
	assert_lent(x, 0);
}

/* Calls that the back is asked for when one pair starts: offloads, pairs, two rings. */
enum { START_OPS = 4 };

static void
a_start_that_fails_anywhere_leaves_nothing_lent(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	for (unsigned n = 1; n <= START_OPS; n++) {
		x->n.back.ops = 0;
		x->n.back.fail_at = n;
		x->n.back.fail_with = -EIO;
		drive(x, F_RINGS | F_MQ);
		assert_true(x->n.dev->status & VIRTIO_STATUS_NEEDS_RESET);
		assert_lent(x, 0);
		x->n.back.fail_at = 0;
		drive(x, F_RINGS | F_MQ);
		assert_lent(x, 3);
	}
	x->refuse = -EMFILE;
	drive(x, F_RINGS | F_MQ);
	assert_true(x->n.dev->status & VIRTIO_STATUS_NEEDS_RESET);
	assert_lent(x, 0);
}

static void
more_pairs_that_fail_anywhere_leave_those_there_were(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	drive(x, F_RINGS | F_MQ);
	for (unsigned n = 1; n <= 3; n++) {
		x->n.back.ops = 0;
		x->n.back.fail_at = n;
		x->n.back.fail_with = -EIO;
		assert_int_equal(set_pairs(x, 2), 1);
		assert_lent(x, 3);
		assert_int_equal(x->n.back.pairs, 1);
	}
	x->n.back.fail_at = 0;
	assert_int_equal(set_pairs(x, 2), 0);
	assert_lent(x, 15);
}

static void
a_queue_that_cannot_start_again_needs_a_reset(void **state)
{
	struct fix *x = *state;

	make(x, 1);
	net_drive(&x->n, F_RINGS, 3, NET_RING);
	virtio_queue_reset(x->n.dev, 1);
	x->n.back.ops = 0;
	x->n.back.fail_at = 1;
	x->n.back.fail_with = -EIO;
	net_ring(&x->n, 1, 32);
	assert_true(x->n.dev->status & VIRTIO_STATUS_NEEDS_RESET);
	assert_lent(x, 0);
}

static void
it_comes_and_goes_for_ever_and_is_counted(void **state)
{
	struct fix *x = *state;

	make(x, MQ_PAIRS);
	for (unsigned i = 0; i < 200; i++) {
		drive(x, F_RINGS | F_MQ);
		set_pairs(x, 2);
		assert_lent(x, 15);
		virtio_reset(x->n.dev);
		assert_lent(x, 0);
	}
	assert_int_equal(x->n.dev->stat.lent, 800);
	assert_int_equal(x->n.dev->stat.reclaimed, 800);
	/* Packets are shown as what nobody counted. */
	const struct virtio_counter *c = x->n.dev->counter;
	assert_string_equal(c[0].name, "rx_packets");
	assert_true(c[0].off == VIRTIO_UNCOUNTED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_back_has_the_rings_while_the_driver_is_ready),
		TEST(the_driver_s_doorbells_go_to_the_back),
		TEST(what_the_back_cannot_serve_is_not_offered),
		TEST(only_pairs_that_carry_packets_are_the_back_s),
		TEST(a_queue_that_is_reset_comes_back_from_the_start),
		TEST(a_queue_that_is_not_enabled_is_not_lent),
		TEST(a_broken_ring_takes_all_from_the_back),
		TEST(so_does_any_other_failure_of_the_device),
		TEST(a_start_that_fails_anywhere_leaves_nothing_lent),
		TEST(more_pairs_that_fail_anywhere_leave_those_there_were),
		TEST(a_queue_that_cannot_start_again_needs_a_reset),
		TEST(it_comes_and_goes_for_ever_and_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
