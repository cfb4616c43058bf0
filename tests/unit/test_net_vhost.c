/* SPDX-License-Identifier: ISC */
/* The rings of a tap in the kernel's hands: what it is told, in which order, and what
 * happens when it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/back/net_vhost.h"
#include "err.h"
#include "fake_reactor.h"
#include "fake_vhost.h"
#include "log.h"
#include "memory.h"
#include "util.h"
#include "virtio_lent.h"

enum { TAP = 50, PAIRS = 2, START_CALLS = 8, STOP_CALLS = 2 };

#define BIT(n) (1ull << (n))
#define V1 BIT(VIRTIO_F_VERSION_1)
#define MRG BIT(VIRTIO_NET_F_MRG_RXBUF)
#define EVENT_IDX BIT(VIRTIO_RING_F_EVENT_IDX)

struct fix {
	struct fake_reactor r;
	struct fake_vhost kernel;
	struct memory mem;
	struct net_vhost *nv;
	struct virtio_lent ring[NET_DIRS];
	unsigned broken;
	uint8_t ram[4][4096];
};

static void
on_broken(void *arg)
{
	((struct fix *)arg)->broken++;
}

static int
try(struct fix *x, struct err *e)
{
	static const int tap[PAIRS] = { TAP, TAP + 1 };
	const struct net_vhost_config cfg = {
		.name = "tap0",
		.broken = on_broken,
		.arg = x,
		.mem = &x->mem,
		.tap = tap,
		.pairs = PAIRS,
		.sys = &fake_vhost_sys,
	};

	return net_vhost_new(fake_reactor(&x->r), &cfg, &x->nv, e);
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	fake_vhost_init(&x->kernel);
	x->mem.n = 2;
	x->mem.range[0] =
		(struct memory_range){ .gpa = 0, .len = 8192, .hva = x->ram[0] };
	x->mem.range[1] =
		(struct memory_range){ .gpa = GiB(4), .len = 4096, .hva = x->ram[2] };
	for (unsigned i = 0; i < NET_DIRS; i++)
		x->ring[i] = (struct virtio_lent){
			.features = V1 | MRG | EVENT_IDX,
			.desc = x->ram[0] + 2048 * i,
			.avail = x->ram[1],
			.used = x->ram[2],
			.size = 256,
			.next = (uint16_t)(7 + i),
			.kick = eventfd(0, EFD_NONBLOCK),
			.call = eventfd(0, EFD_NONBLOCK),
		};
	*state = x;
	return 0;
}

static int
setup_open(void **state)
{
	struct err e = { 0 };

	setup(state);
	struct fix *x = *state;
	assert_int_equal(try(x, &e), 0);
	x->kernel.n = 0;
	x->kernel.calls = 0;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	net_vhost_free(x->nv);
	assert_int_equal(x->kernel.opens, x->kernel.closes);
	for (unsigned i = 0; i < NET_DIRS; i++) {
		close(x->ring[i].kick);
		close(x->ring[i].call);
	}
	free(x);
	return 0;
}

/* The requests since the last look are these, all to this device. */
static void
assert_requests(struct fix *x, unsigned dev, const unsigned long *list, unsigned n)
{
	assert_int_equal(x->kernel.n, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(x->kernel.list[i].dev, dev);
		assert_int_equal(x->kernel.list[i].request, list[i]);
	}
	x->kernel.n = 0;
}

static int
start(struct fix *x, unsigned pair, enum net_dir dir)
{
	return net_vhost_start(x->nv, pair, dir, &x->ring[dir]);
}

static bool
runs(const struct fix *x, unsigned pair, enum net_dir dir)
{
	return x->kernel.dev[pair].open && x->kernel.dev[pair].ring[dir].backend != 0;
}

/* ---- open ---- */

static void
the_kernel_is_told_who_and_of_which_memory(void **state)
{
	static const unsigned long list[] = { VHOST_SET_OWNER, VHOST_GET_FEATURES,
					      VHOST_SET_MEM_TABLE };
	struct fix *x = *state;
	struct err e = { 0 };

	assert_int_equal(try(x, &e), 0);
	assert_int_equal(x->kernel.opens, PAIRS);
	assert_int_equal(x->kernel.n, 2 * ARRAY_SIZE(list));
	x->kernel.n = ARRAY_SIZE(list);
	assert_requests(x, 0, list, ARRAY_SIZE(list));
	for (unsigned i = 0; i < PAIRS; i++) {
		const struct fake_vhost_dev *d = &x->kernel.dev[i];

		assert_int_equal(d->memory.nregions, 2);
		assert_int_equal(d->region[0].guest_phys_addr, 0);
		assert_int_equal(d->region[0].memory_size, 8192);
		assert_int_equal(d->region[0].userspace_addr, (uintptr_t)x->ram[0]);
		assert_int_equal(d->region[1].guest_phys_addr, GiB(4));
	}
}

static void
every_call_that_fails_ends_the_opening_and_leaves_nothing(void **state)
{
	struct fix *x = *state;
	unsigned n = 1;

	for (;; n++) {
		struct err e = { 0 };

		fake_vhost_init(&x->kernel);
		x->kernel.fail_at = n;
		if (try(x, &e) == 0)
			break;
		assert_non_null(strstr(e.text, "tap 'tap0': /dev/vhost-net"));
		assert_int_equal(x->kernel.opens, x->kernel.closes);
		assert_null(x->nv);
	}
	assert_int_equal(n, PAIRS * 4 + 1);
}

static void
what_is_missing_is_said_in_one_line(void **state)
{
	static const struct {
		int errnum;
		const char *text;
	} table[] = {
		{ ENOENT, "tap 'tap0': /dev/vhost-net: No such file or directory; load "
			  "its kernel module" },
		{ EACCES, "tap 'tap0': /dev/vhost-net: Permission denied; join the group "
			  "that owns it" },
	};
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = { 0 };

		fake_vhost_init(&x->kernel);
		x->kernel.fail_at = 1;
		x->kernel.fail_with = table[i].errnum;
		assert_int_equal(try(x, &e), -table[i].errnum);
		assert_string_equal(e.text, table[i].text);
	}
}

static void
features_that_it_lacks_are_told(void **state)
{
	struct fix *x = *state;
	struct err e = { 0 };

	x->kernel.features &= ~EVENT_IDX;
	assert_int_equal(try(x, &e), 0);
	assert_int_equal(net_vhost_lacks(x->nv), EVENT_IDX);
}

static void
the_header_is_as_long_as_the_kernel_takes_it_to_be(void **state)
{
	(void)state;
	assert_int_equal(net_vhost_hdr_len(0), 10);
	assert_int_equal(net_vhost_hdr_len(EVENT_IDX), 10);
	assert_int_equal(net_vhost_hdr_len(MRG), 12);
	assert_int_equal(net_vhost_hdr_len(V1), 12);
}

/* ---- start ---- */

static const unsigned long start_first[START_CALLS] = {
	VHOST_SET_FEATURES,   VHOST_SET_VRING_NUM,   VHOST_SET_VRING_BASE,
	VHOST_SET_VRING_ADDR, VHOST_SET_VRING_CALL,  VHOST_SET_VRING_ERR,
	VHOST_SET_VRING_KICK, VHOST_NET_SET_BACKEND,
};

static void
a_ring_is_described_before_it_has_its_tap(void **state)
{
	struct fix *x = *state;

	assert_int_equal(start(x, 1, NET_TX), 0);
	assert_requests(x, 1, start_first, START_CALLS);
	const struct fake_vhost_dev *d = &x->kernel.dev[1];
	assert_int_equal(d->features, V1 | MRG | EVENT_IDX);
	assert_int_equal(d->ring[NET_TX].num, 256);
	assert_int_equal(d->ring[NET_TX].base, 8);
	assert_int_equal(d->ring[NET_TX].addr.desc_user_addr,
			 (uintptr_t)x->ring[NET_TX].desc);
	assert_int_equal(d->ring[NET_TX].addr.avail_user_addr,
			 (uintptr_t)x->ring[NET_TX].avail);
	assert_int_equal(d->ring[NET_TX].addr.used_user_addr,
			 (uintptr_t)x->ring[NET_TX].used);
	assert_int_equal(d->ring[NET_TX].addr.flags, 0);
	assert_int_equal(d->ring[NET_TX].kick, x->ring[NET_TX].kick);
	assert_int_equal(d->ring[NET_TX].call, x->ring[NET_TX].call);
	assert_int_equal(d->ring[NET_TX].backend, TAP + 1);
	assert_false(runs(x, 1, NET_RX));

	/* What was there before the first doorbell is looked at. */
	eventfd_t count = 0;
	assert_int_equal(eventfd_read(x->ring[NET_TX].kick, &count), 0);
	net_vhost_stop(x->nv, 1, NET_TX);
}

static void
features_are_set_once_for_both_rings_and_only_those_it_knows(void **state)
{
	struct fix *x = *state;

	x->ring[NET_RX].features |= BIT(0) | BIT(16) | BIT(40);
	assert_int_equal(start(x, 0, NET_RX), 0);
	assert_requests(x, 0, start_first, START_CALLS);
	assert_int_equal(x->kernel.dev[0].features, V1 | MRG | EVENT_IDX);
	assert_int_equal(start(x, 0, NET_TX), 0);
	assert_requests(x, 0, start_first + 1, START_CALLS - 1);
	net_vhost_stop(x->nv, 0, NET_TX);
	x->kernel.n = 0;
	/* One of them still runs. */
	assert_int_equal(start(x, 0, NET_TX), 0);
	assert_requests(x, 0, start_first + 1, START_CALLS - 1);
	net_vhost_stop(x->nv, 0, NET_TX);
	net_vhost_stop(x->nv, 0, NET_RX);
	x->kernel.n = 0;
	assert_int_equal(start(x, 0, NET_TX), 0);
	assert_requests(x, 0, start_first, START_CALLS);
	net_vhost_stop(x->nv, 0, NET_TX);
}

static void
every_call_that_fails_ends_the_start_and_no_other_ring(void **state)
{
	struct fix *x = *state;

	assert_int_equal(start(x, 1, NET_TX), 0);
	for (unsigned n = 1; n <= START_CALLS; n++) {
		x->kernel.n = 0;
		x->kernel.calls = 0;
		x->kernel.fail_at = n;
		assert_int_equal(start(x, 0, NET_RX), -EIO);
		assert_false(runs(x, 0, NET_RX));
		assert_true(runs(x, 1, NET_TX));
		/* And does no harm to the next try. */
		x->kernel.fail_at = 0;
		assert_int_equal(start(x, 0, NET_RX), 0);
		net_vhost_stop(x->nv, 0, NET_RX);
	}
	net_vhost_stop(x->nv, 1, NET_TX);
}

/* ---- stop ---- */

static void
a_ring_that_stops_tells_where(void **state)
{
	static const unsigned long list[STOP_CALLS] = { VHOST_NET_SET_BACKEND,
							VHOST_GET_VRING_BASE };
	struct fix *x = *state;

	start(x, 0, NET_RX);
	start(x, 0, NET_TX);
	x->kernel.n = 0;
	x->kernel.dev[0].ring[NET_RX].base = 4711;
	assert_int_equal(net_vhost_stop(x->nv, 0, NET_RX), 4711);
	assert_requests(x, 0, list, STOP_CALLS);
	assert_false(runs(x, 0, NET_RX));
	assert_true(runs(x, 0, NET_TX));
	net_vhost_stop(x->nv, 0, NET_TX);
	assert_false(runs(x, 0, NET_TX));
}

static void
a_ring_that_does_not_stop_is_stopped_by_closing(void **state)
{
	for (unsigned n = 1; n <= STOP_CALLS; n++) {
		struct fix *x;

		setup_open(state);
		x = *state;
		start(x, 0, NET_RX);
		start(x, 0, NET_TX);
		start(x, 1, NET_RX);
		x->kernel.calls = 0;
		x->kernel.fail_at = n;
		net_vhost_stop(x->nv, 0, NET_RX);
		assert_false(runs(x, 0, NET_RX));
		assert_int_equal(x->kernel.closes, 1);
		/* The other one with it, and for good; not the other pair. */
		net_vhost_stop(x->nv, 0, NET_TX);
		assert_int_equal(start(x, 0, NET_TX), -EBADF);
		assert_int_equal(x->kernel.closes, 1);
		assert_true(runs(x, 1, NET_RX));
		net_vhost_stop(x->nv, 1, NET_RX);
		teardown(state);
	}
}

static void
starting_and_stopping_goes_on_for_ever(void **state)
{
	struct fix *x = *state;

	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < 2 * PAIRS; k++)
			assert_int_equal(start(x, k / 2, k % 2), 0);
		for (unsigned k = 0; k < 2 * PAIRS; k++)
			net_vhost_stop(x->nv, k / 2, k % 2);
		x->kernel.n = 0;
	}
	assert_int_equal(x->kernel.opens, PAIRS);
	assert_int_equal(x->kernel.closes, 0);
}

/* ---- rings that cannot be right ---- */

static void
a_ring_that_is_broken_is_told(void **state)
{
	struct fix *x = *state;

	start(x, 0, NET_RX);
	eventfd_write(x->kernel.dev[0].ring[NET_RX].err, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 1);
	assert_int_equal(x->broken, 1);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
	net_vhost_stop(x->nv, 0, NET_RX);
}

static void
a_ring_that_was_broken_is_not_held_against_the_next(void **state)
{
	struct fix *x = *state;

	start(x, 0, NET_RX);
	start(x, 1, NET_RX);
	eventfd_write(x->kernel.dev[0].ring[NET_RX].err, 1);
	net_vhost_stop(x->nv, 0, NET_RX);
	net_vhost_stop(x->nv, 1, NET_RX);
	start(x, 0, NET_RX);
	assert_int_equal(fake_reactor_io(&x->r, 0), 0);
	assert_int_equal(x->broken, 0);
	net_vhost_stop(x->nv, 0, NET_RX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_OPEN(f) cmocka_unit_test_setup_teardown(f, setup_open, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_kernel_is_told_who_and_of_which_memory),
		TEST(every_call_that_fails_ends_the_opening_and_leaves_nothing),
		TEST(what_is_missing_is_said_in_one_line),
		TEST(features_that_it_lacks_are_told),
		TEST(the_header_is_as_long_as_the_kernel_takes_it_to_be),
		TEST_OPEN(a_ring_is_described_before_it_has_its_tap),
		TEST_OPEN(features_are_set_once_for_both_rings_and_only_those_it_knows),
		TEST_OPEN(every_call_that_fails_ends_the_start_and_no_other_ring),
		TEST_OPEN(a_ring_that_stops_tells_where),
		cmocka_unit_test(a_ring_that_does_not_stop_is_stopped_by_closing),
		TEST_OPEN(starting_and_stopping_goes_on_for_ever),
		TEST_OPEN(a_ring_that_is_broken_is_told),
		TEST_OPEN(a_ring_that_was_broken_is_not_held_against_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
