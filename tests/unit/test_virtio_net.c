/* SPDX-License-Identifier: ISC */
/* Packets of the model, both ways, with a driver and a back made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_net_driver.h"

static int
setup(void **state)
{
	struct net_fix *x = malloc(sizeof(*x));

	log_set_level(LOG_ERROR);
	net_fix_init(x);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	net_fix_fini(*state);
	free(*state);
	return 0;
}

static void
make(struct net_fix *x)
{
	net_fix_make(x, 1, ALL_OFFLOADS, NULL, false);
}

/* Data byte i of the packet that was put into the back as number n. */
static uint8_t
data_byte(struct net_fix *x, unsigned n, unsigned i)
{
	return i < 18 ? x->back.rx[n].start[i] : (uint8_t)(x->back.rx[n].fill + i);
}

/* ---- to the guest ---- */

static void
a_packet_arrives_behind_its_header(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffer(x, 0, 9, NET_DATA, 1600);
	unsigned n = fake_net_put(&x->back, net_mac, 100);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 9);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 112);
	assert_int_equal(le16_get(ram_at(&x->ram, NET_DATA + 10)), 1);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 12 + i), data_byte(x, n, i));
	assert_int_equal(*ram_at(&x->ram, NET_DATA + 112), 0);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
a_large_packet_spans_buffers_and_says_how_many(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 2, NET_RING);
	net_buffers(x, 60, 1536);
	unsigned n = fake_net_put(&x->back, net_mac, 40000);
	x->back.rx[n].hdr[0] = 1; /* needs a checksum */
	x->back.rx[n].hdr[1] = 1; /* TCPv4 */
	assert_true(fake_net_readable(&x->back));
	/* 12 + 40000 = 26 * 1536 + 76 */
	assert_int_equal(ring_used_idx(&x->ring[0]), 27);
	for (unsigned i = 0; i < 27; i++) {
		assert_int_equal(ring_used_id(&x->ring[0], i), i);
		assert_int_equal(ring_used_len(&x->ring[0], i), i < 26 ? 1536 : 76);
	}
	assert_int_equal(*ram_at(&x->ram, NET_DATA + 1), 1);
	assert_int_equal(le16_get(ram_at(&x->ram, NET_DATA + 10)), 27);
	for (unsigned i = 0; i < 40000; i++)
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 12 + i), data_byte(x, n, i));
	assert_int_equal(x->t.irqs[0], 1);
}

static void
a_batch_of_packets_is_one_interrupt(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 20, 2048);
	for (unsigned i = 0; i < 20; i++)
		fake_net_put(&x->back, net_mac, 1514);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 20);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
one_pass_is_bounded(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, 256);
	net_buffers(x, 256, 128);
	for (unsigned i = 0; i < 100; i++)
		fake_net_put(&x->back, net_mac, 60);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 64);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 100);
}

static void
a_header_in_pieces_is_put_together(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[0];

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	for (unsigned round = 0; round < 2; round++) {
		unsigned n = fake_net_put(&x->back, net_mac, 60);

		x->back.rx[n].hdr[4] = 0x77;
		ring_desc(ring, 0, NET_DATA, 5, F_WRITE | F_NEXT, 1);
		ring_desc(ring, 1, NET_DATA + 0x100, 4, F_WRITE | F_NEXT, 2);
		ring_desc(ring, 2, NET_DATA + 0x200, 10, F_WRITE | F_NEXT, 3);
		ring_desc(ring, 3, NET_DATA + 0x300, 1600, F_WRITE, 0);
		net_offer(x, 0, 0);
		fake_net_readable(&x->back);
		assert_int_equal(ring_used_len(ring, round), 72);
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 4), 0x77);
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 5), 0);
		/* num_buffers is bytes 1 and 2 of the third piece. */
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 0x201), 1);
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 0x202), 0);
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(*ram_at(&x->ram, NET_DATA + 0x203 + i),
					 data_byte(x, n, i));
		for (unsigned i = 7; i < 60; i++)
			assert_int_equal(*ram_at(&x->ram, NET_DATA + 0x300 + i - 7),
					 data_byte(x, n, i));
	}
}

static void
tiny_buffers_are_merged(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, 256);
	/* Enough for 1500 bytes and the header: 256 * 12. The first has no data. */
	net_buffers(x, 256, 12);
	unsigned n = fake_net_put(&x->back, net_mac, 600);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 51);
	assert_int_equal(le16_get(ram_at(&x->ram, NET_DATA + 10)), 51);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 12 + i), data_byte(x, n, i));
}

static void
a_buffer_without_room_for_the_header_comes_back_empty(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffer(x, 0, 1, NET_DATA, 11);
	ring_desc(&x->ring[0], 2, NET_DATA, 64, 0, 0); /* readable */
	net_offer(x, 0, 2);
	assert_int_equal(ring_used_idx(&x->ring[0]), 2);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 0);
	assert_int_equal(ring_used_len(&x->ring[0], 1), 0);
	assert_int_equal(x->dev->status, 15);
	net_buffer(x, 0, 3, NET_DATA, 1600);
	fake_net_put(&x->back, net_mac, 60);
	fake_net_readable(&x->back);
	assert_int_equal(ring_used_len(&x->ring[0], 2), 72);
}

static void
without_merging_a_packet_has_one_chain_or_is_dropped(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, 0, 2, NET_RING);
	net_buffers(x, 4, 300);
	fake_net_put(&x->back, net_mac, 289);
	fake_net_put(&x->back, net_mac, 288);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 300);
	/* 5.1.6.4.1: it is set all the same. */
	assert_int_equal(le16_get(ram_at(&x->ram, NET_DATA + 10)), 1);
}

static void
the_legacy_header_has_ten_bytes(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive_legacy(x, (uint32_t)F_MAC);
	assert_int_equal(x->dev->status, 7);
	net_buffer(x, 0, 0, NET_DATA, 1524);
	unsigned n = fake_net_put(&x->back, net_mac, 1514);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_len(&x->ring[0], 0), 1524);
	for (unsigned i = 0; i < 1514; i++)
		assert_int_equal(*ram_at(&x->ram, NET_DATA + 10 + i), data_byte(x, n, i));

	net_send(x, 1, 0, NULL, 10, 60);
	assert_int_equal(x->back.ntx, 1);
	assert_int_equal(x->back.tx[0].len, 72);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(x->back.tx[0].start[12 + i], i);
}

static void
the_legacy_header_has_twelve_bytes_with_merging(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive_legacy(x, (uint32_t)F_MRG);
	net_buffer(x, 0, 0, NET_DATA, 2000);
	fake_net_put(&x->back, net_mac, 60);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_len(&x->ring[0], 0), 72);
	assert_int_equal(le16_get(ram_at(&x->ram, NET_DATA + 10)), 1);
}

static void
what_the_guest_did_not_negotiate_does_not_reach_it(void **state)
{
	struct net_fix *x = *state;
	unsigned n;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 8, 2048);
	n = fake_net_put(&x->back, net_mac, 60);
	x->back.rx[n].hdr[0] = 1; /* needs a checksum: from before */
	n = fake_net_put(&x->back, net_mac, 60);
	x->back.rx[n].hdr[1] = 1; /* a TCP segment */
	n = fake_net_put(&x->back, net_mac, 60);
	x->back.rx[n].hdr[1] = 0x7e; /* nothing that there is */
	n = fake_net_put(&x->back, net_mac, 60);
	x->back.rx[n].hdr[0] = 2; /* the checksum is good: not for this guest */
	fake_net_put(&x->back, net_mac, 13);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(*ram_at(&x->ram, NET_DATA), 0);
	assert_int_equal(x->back.offloads, 0);
}

/* ---- too few buffers ---- */

static void
without_buffers_nothing_is_asked_for_and_nothing_is_lost(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	fake_net_put(&x->back, net_mac, 60);
	assert_false(x->back.want_rx[0]);
	assert_int_equal(x->back.recvs, 0);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	net_buffer(x, 0, 0, NET_DATA, 2048);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	/* Used up: nobody asks again until there is more. */
	fake_net_put(&x->back, net_mac, 60);
	assert_false(fake_net_readable(&x->back));
}

/* "net RX frozen when tap and ring are both full": no edge, no second chance. */
static void
a_full_ring_and_a_full_back_do_not_freeze_each_other(void **state)
{
	struct net_fix *x = *state;
	unsigned got = 0;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	for (unsigned i = 0; i < FAKE_NET_LIST; i++)
		fake_net_put(&x->back, net_mac, 1000);
	net_buffers(x, NET_RING, 1600);
	while (fake_net_readable(&x->back))
		;
	assert_int_equal(ring_used_idx(&x->ring[0]), NET_RING);
	assert_false(x->back.want_rx[0]);
	/* The other way goes on. */
	net_send(x, 1, 0, NULL, 12, 60);
	assert_int_equal(x->back.ntx, 1);
	/* The driver gives one buffer back at a time. */
	for (got = NET_RING; got < FAKE_NET_LIST; got++) {
		net_buffer(x, 0, got % NET_RING, NET_DATA, 1600);
		while (fake_net_readable(&x->back))
			;
		assert_int_equal(ring_used_idx(&x->ring[0]), got + 1);
	}
	assert_int_equal(x->back.rx_first, FAKE_NET_LIST);
}

static void
a_large_packet_waits_for_enough_buffers(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 2, NET_RING);
	unsigned n = fake_net_put(&x->back, net_mac, 60000);
	x->back.rx[n].hdr[0] = 1;
	x->back.rx[n].hdr[1] = 1;
	net_buffers(x, 20, 1600);
	assert_false(x->back.want_rx[0]);
	assert_int_equal(x->back.recvs, 0);
	for (unsigned i = 20; i < 42; i++)
		net_buffer(x, 0, i, NET_DATA + 1600 * i, 1600);
	/* 42 * 1600 is enough for every packet. */
	assert_int_equal(ring_used_idx(&x->ring[0]), 38);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
}

static void
a_guest_that_never_has_enough_buffers_gets_what_fits(void **state)
{
	struct net_fix *x = *state;
	unsigned head = 4;

	make(x);
	net_drive(x, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 2, NET_RING);
	net_buffers(x, 4, 1600);
	unsigned n = fake_net_put(&x->back, net_mac, 60000);
	x->back.rx[n].hdr[0] = 1;
	x->back.rx[n].hdr[1] = 1;
	fake_net_put(&x->back, net_mac, 1000);
	assert_int_equal(x->back.recvs, 0);
	fake_reactor_advance(&x->r, 10000000);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 1012);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	/* It need not wait each time. */
	for (unsigned i = 0; i < 100; i++) {
		fake_net_put(&x->back, net_mac, 1000);
		net_buffer(x, 0, head, NET_DATA, 1600);
		head = (head + 1) % NET_RING;
		fake_net_readable(&x->back);
		assert_int_equal(ring_used_idx(&x->ring[0]), i + 2);
	}
	/* Once it has enough, large packets are waited for again. */
	for (unsigned i = 0; i < 60; i++) {
		net_buffer(x, 0, head, NET_DATA, 1600);
		head = (head + 1) % NET_RING;
	}
	assert_true(x->back.last_room > NET_PACKET_MAX);
}

/* ---- from the guest ---- */

static void
a_packet_is_sent_from_all_its_pieces(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[1];

	make(x);
	net_drive(x, 0, 2, NET_RING);
	for (unsigned i = 0; i < 0x400; i++)
		*ram_at(&x->ram, NET_DATA + i) = (uint8_t)(i < 12 ? 0 : i);
	ring_desc(ring, 0, NET_DATA, 7, F_NEXT, 1);
	ring_desc(ring, 1, NET_DATA + 7, 5, F_NEXT, 2);
	ring_desc(ring, 2, NET_DATA + 12, 1, F_NEXT, 3);
	ring_desc(ring, 3, NET_DATA + 13, 500, F_NEXT, 4);
	ring_desc(ring, 4, NET_DATA, 64, F_WRITE, 0); /* nonsense, but harmless */
	net_offer(x, 1, 0);
	assert_int_equal(x->back.ntx, 1);
	assert_int_equal(x->back.tx[0].len, 513);
	for (unsigned i = 0; i < 513; i++)
		assert_int_equal(x->back.tx[0].start[i], (uint8_t)(i < 12 ? 0 : i));
	assert_int_equal(ring_used_idx(ring), 1);
	assert_int_equal(ring_used_len(ring, 0), 0);
}

static void
a_header_is_checked_against_what_was_negotiated(void **state)
{
	static const struct {
		uint64_t features;
		uint8_t flags, gso;
		bool sent;
	} rows[] = {
		{ 0, 1, 0, false },
		{ F_CSUM, 1, 0, true },
		{ F_CSUM, 1, 1, false },
		{ F_CSUM | F_HOST_TSO4, 1, 1, true },
		{ F_CSUM | F_HOST_TSO4, 1, 0x81, false },
		{ F_CSUM | F_HOST_TSO4 | F(13), 1, 0x81, true },
		{ F_CSUM | F_HOST_TSO4, 1, 4, false },
		{ F_CSUM | F_HOST_TSO6, 1, 4, true },
		{ F_CSUM | F_HOST_TSO6, 1, 5, false },
		{ F_CSUM | F(56), 1, 5, true },
		{ F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F(56), 1, 3, false },
		{ F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F(56), 1, 0x7f, false },
	};
	struct net_fix *x = *state;

	make(x);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint8_t hdr[12] = {
			rows[i].flags, rows[i].gso, 54, 0, 0xb4, 5, 34, 0, 16, 0,
			0xff,          0xff
		};
		unsigned before = x->back.ntx;

		net_drive(x, rows[i].features, 2, NET_RING);
		assert_int_equal(x->dev->status, 15);
		net_send(x, 1, 0, hdr, 12, 200);
		assert_int_equal(x->back.ntx - before, rows[i].sent);
		assert_int_equal(ring_used_idx(&x->ring[1]), 1);
		if (rows[i].sent) {
			assert_memory_equal(x->back.tx[before].start, hdr, 10);
			/* num_buffers is not the guest's to say here. */
			assert_int_equal(le16_get(x->back.tx[before].start + 10), 0);
		}
	}
}

static void
a_header_that_asks_for_nothing_is_all_zeroes(void **state)
{
	static const uint8_t hdr[12] = { 0xfe, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 };
	static const uint8_t zero[12];
	struct net_fix *x = *state;

	net_fix_make(x, 1, 0, NULL, false);
	net_drive(x, 0, 2, NET_RING);
	net_send(x, 1, 0, hdr, 12, 60);
	assert_int_equal(x->back.ntx, 1);
	assert_memory_equal(x->back.tx[0].start, zero, 12);
}

static void
what_is_no_packet_is_dropped(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[1];
	static const uint32_t lens[] = { 0, 1, 11, 12, 25, NET_PACKET_MAX + 13, 0x1c000 };

	make(x);
	net_drive(x, 0, 2, NET_RING);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		ring_desc(ring, i, NET_DATA, lens[i], 0, 0);
		net_offer(x, 1, i);
		assert_int_equal(ring_used_idx(ring), i + 1);
	}
	assert_int_equal(x->back.sends, 0);
	ring_desc(ring, 20, NET_DATA, NET_PACKET_MAX + 12, 0, 0);
	net_offer(x, 1, 20);
	ring_desc(ring, 21, NET_DATA, 26, 0, 0);
	net_offer(x, 1, 21);
	assert_int_equal(x->back.ntx, 2);
}

static void
a_full_back_keeps_the_order_and_the_other_way_goes_on(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 8, 2048);
	x->back.tx_room = 3;
	for (unsigned i = 0; i < 10; i++) {
		ring_desc(&x->ring[1], i, NET_DATA + 0x4000, 12 + 60 + i, 0, 0);
		ring_put(&x->ring[1], i);
	}
	ring_show(&x->ring[1]);
	virtio_notify(x->dev, 1);
	assert_int_equal(ring_used_idx(&x->ring[1]), 3);
	assert_true(x->back.want_tx[0]);
	unsigned sends = x->back.sends;
	fake_net_put(&x->back, net_mac, 60);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(x->back.sends, sends);
	/* Nobody rings, nobody asks. */
	assert_false(fake_net_writable(&x->back, 0));
	x->back.tx_room = 100;
	assert_true(fake_net_writable(&x->back, 0));
	assert_int_equal(ring_used_idx(&x->ring[1]), 10);
	assert_false(x->back.want_tx[0]);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(x->back.tx[i].len, 72 + i);
}

static void
one_pass_of_sending_is_bounded_and_the_rest_follows(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, 0, 2, 256);
	for (unsigned i = 0; i < 150; i++) {
		ring_desc(&x->ring[1], i, NET_DATA, 72, 0, 0);
		ring_put(&x->ring[1], i);
	}
	ring_show(&x->ring[1]);
	virtio_notify(x->dev, 1);
	assert_int_equal(x->back.ntx, 64);
	assert_int_equal(fake_reactor_deferred(&x->r), 2);
	assert_int_equal(x->back.ntx, 150);
	assert_int_equal(x->t.irqs[1], 3);
}

static void
a_driver_that_rings_only_when_asked_is_served(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG | VIRTIO_F_EVENT_IDX, 2, NET_RING);
	for (unsigned i = 0; i < 1000; i++) {
		ring_set_used_event(&x->ring[0], i);
		ring_set_used_event(&x->ring[1], i);
		fake_net_put(&x->back, net_mac, 60);
		net_buffer(x, 0, i % NET_RING, NET_DATA, 1600);
		fake_net_readable(&x->back);
		assert_int_equal(ring_used_idx(&x->ring[0]), i + 1);
		net_send(x, 1, i % NET_RING, NULL, 12, 60);
		assert_int_equal(ring_used_idx(&x->ring[1]), i + 1);
		assert_int_equal(x->t.irqs[0], i + 1);
		assert_int_equal(x->t.irqs[1], i + 1);
	}
}

/* ---- failures, resets ---- */

/* Both ways and the start; what was not lost arrives. */
static void
scenario(struct net_fix *x)
{
	net_drive(x, F_MRG | F_CTRL | F_MQ, 5, NET_RING);
	if (x->dev->status != 15)
		return;
	for (unsigned i = 0; i < 20; i++) {
		fake_net_put(&x->back, net_mac, 100 + i);
		net_buffer(x, 0, i, NET_DATA + 2048 * (i % 8), 2048);
		net_send(x, 1, i, NULL, 12, 100 + i);
		fake_net_readable(&x->back);
		fake_net_writable(&x->back, 0);
	}
	net_command(x, 4, "\4\0\2\0", 4);
	fake_reactor_deferred(&x->r);
}

static void
every_operation_of_the_back_may_fail(void **state)
{
	static const int fails[] = { -EIO, -EAGAIN, -ENOBUFS, -EMSGSIZE };
	struct net_fix *x = *state;

	net_fix_make(x, 2, ALL_OFFLOADS, NULL, false);
	scenario(x);
	unsigned all = x->back.ops;
	assert_true(all > 40);
	for (unsigned n = 1; n <= all; n++) {
		x->back.ops = 0;
		x->back.rx_first = x->back.rx_last;
		x->back.fail_at = n;
		x->back.fail_with = fails[n % ARRAY_SIZE(fails)];
		unsigned sent = x->back.ntx;
		scenario(x);
		/* The one that failed may be lost, or the device could not start. */
		if (x->dev->status == 15) {
			assert_true(x->back.ntx - sent >= 19);
			assert_true(ring_used_idx(&x->ring[0]) >= 19);
			assert_int_equal(ring_used_idx(&x->ring[1]), 20);
		} else {
			assert_true(n <= 2);
		}
		x->back.fail_at = 0;
		scenario(x);
		assert_int_equal(x->dev->status, 15);
		assert_int_equal(ring_used_idx(&x->ring[1]), 20);
	}
}

static void
a_broken_ring_needs_a_reset_and_asks_for_nothing(void **state)
{
	struct net_fix *x = *state;

	make(x);
	for (unsigned q = 0; q < 2; q++) {
		net_drive(x, F_MRG, 2, NET_RING);
		net_buffers(x, 8, 2048);
		ring_offer(&x->ring[q], NET_RING);
		/* The receive queue is looked at when the buffers are used up. */
		for (unsigned i = 0; i < 9; i++)
			fake_net_put(&x->back, net_mac, 60);
		while (fake_net_readable(&x->back))
			;
		virtio_notify(x->dev, q);
		assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
		assert_false(x->back.want_rx[0]);
		assert_false(x->back.want_tx[0]);
		x->back.rx_first = x->back.rx_last;
	}
	net_drive(x, 0, 2, NET_RING);
	net_send(x, 1, 0, NULL, 12, 60);
	assert_int_equal(x->back.ntx, 1);
}

static void
nothing_is_written_after_a_reset(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG | F_GUEST_CSUM | F_GUEST_TSO4, 2, NET_RING);
	net_buffers(x, 10, 1600);
	x->back.tx_room = 0;
	net_send(x, 1, 0, NULL, 12, 60);
	fake_net_put(&x->back, net_mac, 60);
	assert_true(x->back.want_tx[0]);
	assert_int_equal(fake_reactor_ntimers(&x->r), 1);
	virtio_set_status(x->dev, 0);
	assert_int_equal(fake_reactor_ntimers(&x->r), 0);
	assert_false(x->back.want_rx[0]);
	assert_false(x->back.want_tx[0]);
	memset(x->ram.buf, 0, RAM_LEN);
	x->back.tx_room = 10;
	x->back.back.front->readable(x->net, 0);
	x->back.back.front->writable(x->net, 0);
	fake_reactor_advance(&x->r, 10000000000);
	for (unsigned i = 0; i < RAM_LEN; i++)
		assert_int_equal(x->ram.buf[i], 0);
	assert_int_equal(x->back.ntx, 0);
}

static void
a_queue_that_is_reset_starts_anew(void **state)
{
	struct net_fix *x = *state;

	make(x);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 10, 1600);
	virtio_queue_reset(x->dev, 0);
	assert_false(x->back.want_rx[0]);
	memset(ram_at(&x->ram, NET_DATA), 0, 16000);
	fake_net_put(&x->back, net_mac, 60);
	x->back.back.front->readable(x->net, 0);
	/* The other way goes on. */
	net_send(x, 1, 8, NULL, 12, 60);
	assert_int_equal(x->back.ntx, 1);
	assert_int_equal(*ram_at(&x->ram, NET_DATA + 12), 0);
	net_ring(x, 0, 16);
	net_buffer(x, 0, 3, NET_DATA, 1600);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 3);
}

/* ---- limits ---- */

static void
each_direction_has_its_limit(void **state)
{
	const struct rate_limit_config limit = { .rate_ops = 10, .burst_ops = 2 };
	struct net_fix *x = *state;

	net_fix_make(x, 1, 0, &limit, false);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 30, 1600);
	for (unsigned i = 0; i < 30; i++)
		fake_net_put(&x->back, net_mac, 60);
	while (fake_net_readable(&x->back))
		;
	for (unsigned i = 0; i < 20; i++)
		net_send(x, 1, i, NULL, 12, 60);
	assert_int_equal(ring_used_idx(&x->ring[0]), 2);
	assert_int_equal(x->back.ntx, 2);
	/* Who waits for tokens asks for nothing. */
	assert_false(x->back.want_rx[0]);
	assert_false(x->back.want_tx[0]);
	for (unsigned i = 0; i < 10; i++) {
		fake_reactor_advance(&x->r, 100000000);
		while (fake_net_readable(&x->back))
			;
	}
	assert_int_equal(ring_used_idx(&x->ring[0]), 12);
	assert_int_equal(x->back.ntx, 12);
}

static void
a_shared_limit_is_for_both_directions(void **state)
{
	const struct rate_limit_config limit = { .rate = 10000, .burst = 1000 };
	struct net_fix *x = *state;

	net_fix_make(x, 1, 0, &limit, true);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 30, 1600);
	fake_net_put(&x->back, net_mac, 600);
	fake_net_readable(&x->back);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	net_send(x, 1, 0, NULL, 12, 600);
	assert_int_equal(x->back.ntx, 0);
	fake_reactor_advance(&x->r, 19999999);
	assert_int_equal(x->back.ntx, 0);
	fake_reactor_advance(&x->r, 1);
	assert_int_equal(x->back.ntx, 1);
}

static void
a_received_packet_larger_than_the_tokens_is_owed(void **state)
{
	const struct rate_limit_config limit = { .rate = 1000, .burst = 100 };
	struct net_fix *x = *state;

	net_fix_make(x, 1, 0, &limit, false);
	net_drive(x, F_MRG, 2, NET_RING);
	net_buffers(x, 30, 1600);
	for (unsigned i = 0; i < 10; i++)
		fake_net_put(&x->back, net_mac, 1000);
	for (unsigned i = 0; i < 9000; i++) {
		fake_reactor_advance(&x->r, 1000000);
		fake_net_readable(&x->back);
	}
	/* Nine seconds at 1000 bytes a second, and the first for the burst. */
	assert_in_range(ring_used_idx(&x->ring[0]), 9, 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_packet_arrives_behind_its_header),
		T(a_large_packet_spans_buffers_and_says_how_many),
		T(a_batch_of_packets_is_one_interrupt),
		T(one_pass_is_bounded),
		T(a_header_in_pieces_is_put_together),
		T(tiny_buffers_are_merged),
		T(a_buffer_without_room_for_the_header_comes_back_empty),
		T(without_merging_a_packet_has_one_chain_or_is_dropped),
		T(the_legacy_header_has_ten_bytes),
		T(the_legacy_header_has_twelve_bytes_with_merging),
		T(what_the_guest_did_not_negotiate_does_not_reach_it),
		T(without_buffers_nothing_is_asked_for_and_nothing_is_lost),
		T(a_full_ring_and_a_full_back_do_not_freeze_each_other),
		T(a_large_packet_waits_for_enough_buffers),
		T(a_guest_that_never_has_enough_buffers_gets_what_fits),
		T(a_packet_is_sent_from_all_its_pieces),
		T(a_header_is_checked_against_what_was_negotiated),
		T(a_header_that_asks_for_nothing_is_all_zeroes),
		T(what_is_no_packet_is_dropped),
		T(a_full_back_keeps_the_order_and_the_other_way_goes_on),
		T(one_pass_of_sending_is_bounded_and_the_rest_follows),
		T(a_driver_that_rings_only_when_asked_is_served),
		T(every_operation_of_the_back_may_fail),
		T(a_broken_ring_needs_a_reset_and_asks_for_nothing),
		T(nothing_is_written_after_a_reset),
		T(a_queue_that_is_reset_starts_anew),
		T(each_direction_has_its_limit),
		T(a_shared_limit_is_for_both_directions),
		T(a_received_packet_larger_than_the_tokens_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
