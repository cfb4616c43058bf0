/* SPDX-License-Identifier: ISC */
/* Features, configuration, commands and filters of the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_net_driver.h"

enum { OK = 0, ERR = 1 };

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

#define ALL_CTRL (F_CTRL | F_CTRL_RX | F_CTRL_RX_EXTRA | F_CTRL_VLAN | F_CTRL_MAC)

/* One pair, its control queue is number 2. */
static void
make(struct net_fix *x, uint64_t features)
{
	net_fix_make(x, 1, ALL_OFFLOADS, NULL, false);
	net_drive(x, features | F_MRG, 3, NET_RING);
	assert_int_equal(x->dev->status, 15);
}

/* ---- features and configuration ---- */

static void
what_is_offered_follows_the_back(void **state)
{
	const uint64_t own = F_MAC | F_STATUS | F_MRG | ALL_CTRL | F_ANNOUNCE;
	struct net_fix *x = *state;

	net_fix_make(x, 1, 0, NULL, false);
	assert_int_equal(x->dev->offered & ~VIRTIO_F_CORE, own | F_MTU);
	virtio_disconnect(x->dev);
	net_free(x->net);
	net_fix_make(x, 4, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4, NULL, false);
	assert_int_equal(x->dev->offered & ~VIRTIO_F_CORE,
			 own | F_MTU | F_MQ | F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 |
				 F_HOST_TSO4 | F_GUEST_OFFLOADS);
	virtio_disconnect(x->dev);
	net_free(x->net);
	/* HOST_USO is both or nothing. */
	net_fix_make(x, 1, NET_OFFLOAD_CSUM | NET_OFFLOAD_USO4, NULL, false);
	assert_int_equal(x->dev->offered & F(56), 0);
	assert_int_equal(x->dev->offered & F(54), F(54));
}

static void
features_that_lack_what_they_need_are_refused(void **state)
{
	static const uint64_t bad[] = {
		F_GUEST_TSO4,
		F_GUEST_TSO6,
		F(9) | F_GUEST_CSUM,
		F(54),
		F(55),
		F_HOST_TSO4,
		F_HOST_TSO6,
		F(13) | F_CSUM,
		F(56),
		F_CTRL_RX,
		F_CTRL_RX_EXTRA,
		F_CTRL_VLAN,
		F_CTRL_MAC,
		F_ANNOUNCE,
		F_MQ,
		F_GUEST_OFFLOADS,
	};
	struct net_fix *x = *state;

	net_fix_make(x, 2, ALL_OFFLOADS, NULL, false);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		net_drive(x, bad[i], 0, NET_RING);
		assert_int_equal(x->dev->status & VIRTIO_STATUS_FEATURES_OK, 0);
	}
}

static void
the_configuration_shows_mac_status_pairs_and_mtu(void **state)
{
	struct net_fix *x = *state;

	net_fix_make(x, 3, 0, NULL, false);
	assert_int_equal(virtio_config_read(x->dev, 0, 8), 0x0001010000000002);
	assert_int_equal(virtio_config_read(x->dev, 8, 2), 3);
	assert_int_equal(virtio_config_read(x->dev, 10, 2), 1500);
}

static void
only_the_legacy_interface_writes_the_address_and_a_reset_brings_it_back(void **state)
{
	struct net_fix *x = *state;

	make(x, 0);
	virtio_config_write(x->dev, 0, 4, 0xffffffff);
	assert_int_equal(virtio_config_read(x->dev, 0, 4), 0x00000002);
	net_drive_legacy(x, 0);
	for (unsigned i = 0; i < 6; i++)
		virtio_config_write(x->dev, i, 1, 0x10 + i);
	virtio_config_write(x->dev, 6, 2, 0xffff);
	virtio_config_write(x->dev, 4, 4, 0xffffffff);
	assert_int_equal(virtio_config_read(x->dev, 0, 8), 0x0001151413121110);
	virtio_reset(x->dev);
	assert_int_equal(virtio_config_read(x->dev, 0, 4), 0x00000002);
}

static void
the_link_is_told_and_announced(void **state)
{
	struct net_fix *x = *state;

	make(x, F_CTRL | F_STATUS | F_ANNOUNCE);
	x->back.back.info.link = false;
	x->back.back.front->link(x->net);
	assert_int_equal(virtio_config_read(x->dev, 6, 2), 0);
	assert_int_equal(x->t.config_irqs, 1);
	x->back.back.info.link = true;
	x->back.back.front->link(x->net);
	assert_int_equal(virtio_config_read(x->dev, 6, 2), 3);
	assert_int_equal(x->t.config_irqs, 2);
	assert_int_equal(net_command(x, 2, "\3\0", 2), OK);
	assert_int_equal(virtio_config_read(x->dev, 6, 2), 1);
	/* A driver that does not know how is not asked to announce. */
	net_drive(x, F_STATUS, 2, NET_RING);
	x->back.back.front->link(x->net);
	assert_int_equal(virtio_config_read(x->dev, 6, 2), 1);
}

/* ---- commands ---- */

static void
every_malformed_command_is_refused_and_changes_nothing(void **state)
{
	static const struct {
		const char *bytes;
		uint32_t len;
	} bad[] = {
		{ "", 0 },                           /* nothing at all */
		{ "\0", 1 },                         /* no command */
		{ "\0\0", 2 },                       /* no data */
		{ "\0\6\1", 3 },                     /* no such command */
		{ "\7\0\1", 3 },                     /* no such class */
		{ "\377\377\1\1\1\1", 6 },           /* neither */
		{ "\1\0", 2 },                       /* no table */
		{ "\1\0\0\0\0", 5 },                 /* half a count */
		{ "\1\0\0\0\0\0", 6 },               /* one table of two */
		{ "\1\0\1\0\0\0aaaaa\0\0\0\0", 15 }, /* counts do not fit */
		{ "\1\0\377\377\377\377aaaaaa\0\0\0\0", 16 },
		{ "\1\0\0\0\0\0\1\0\0\0aaaaa", 15 }, /* the last byte is missing */
		{ "\1\1aaaaa", 7 },                  /* five bytes of an address */
		{ "\2\0\1", 3 },                     /* half a VLAN */
		{ "\2\0\0\20", 4 },                  /* VLAN 4096 */
		{ "\2\1\377\377", 4 },
		{ "\3\1", 2 },                  /* announce: no such command */
		{ "\4\0\1\0", 4 },              /* MQ was not negotiated */
		{ "\5\0\0\0\0\0\0\0\0\0", 10 }, /* nor this */
	};
	struct net_fix *x = *state;

	make(x, ALL_CTRL | F_ANNOUNCE);
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		if (net_command(x, 2, bad[i].bytes, bad[i].len) != ERR)
			fail_msg("command %u was not refused", i);
	assert_int_equal(x->dev->status, 15);
	assert_int_equal(virtio_config_read(x->dev, 0, 4), 0x00000002);
	/* Still only our own address passes. */
	net_buffers(x, 8, 2048);
	fake_net_put(&x->back, (const uint8_t *)"aaaaaa", 60);
	fake_net_put(&x->back, net_mac, 60);
	fake_net_readable(&x->back);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
}

static void
a_command_without_room_for_the_answer_is_not_carried_out(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[2];

	make(x, ALL_CTRL);
	memcpy(ram_at(&x->ram, CTRL_GPA), "\1\1\2\3\4\5\6\7", 8);
	ring_desc(ring, 0, CTRL_GPA, 8, 0, 0);
	ring_offer(ring, 0);
	virtio_notify(x->dev, 2);
	assert_int_equal(ring_used_idx(ring), 1);
	assert_int_equal(ring_used_len(ring, 0), 0);
	assert_int_equal(virtio_config_read(x->dev, 0, 4), 0x00000002);
}

static void
a_command_in_single_bytes_is_understood(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[2];

	make(x, ALL_CTRL);
	memcpy(ram_at(&x->ram, CTRL_GPA), "\1\1\2\3\4\5\6\7", 8);
	for (unsigned i = 0; i < 8; i++)
		ring_desc(ring, i, CTRL_GPA + i, 1, F_NEXT, i + 1);
	ring_desc(ring, 8, CTRL_GPA + 0x100, 2, F_WRITE, 0);
	*ram_at(&x->ram, CTRL_GPA + 0x101) = 0xee;
	ring_offer(ring, 0);
	virtio_notify(x->dev, 2);
	assert_int_equal(ring_used_len(ring, 0), 1);
	assert_int_equal(*ram_at(&x->ram, CTRL_GPA + 0x100), OK);
	assert_int_equal(*ram_at(&x->ram, CTRL_GPA + 0x101), 0xee);
	assert_int_equal(virtio_config_read(x->dev, 0, 8), 0x0001070605040302);
}

static void
one_pass_of_commands_is_bounded(void **state)
{
	struct net_fix *x = *state;
	struct fake_ring *ring = &x->ring[2];

	make(x, ALL_CTRL);
	for (unsigned i = 0; i < 40; i++) {
		ring_desc(ring, i, CTRL_GPA, 2, 0, 0);
		ring_put(ring, i);
	}
	ring_show(ring);
	virtio_notify(x->dev, 2);
	assert_int_equal(ring_used_idx(ring), 16);
	assert_int_equal(fake_reactor_deferred(&x->r), 2);
	assert_int_equal(ring_used_idx(ring), 40);
}

static void
a_broken_control_ring_needs_a_reset(void **state)
{
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	ring_offer(&x->ring[2], NET_RING);
	virtio_notify(x->dev, 2);
	assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
}

/* ---- filters ---- */

/* Does a packet to this address get through? */
static bool
passes(struct net_fix *x, const uint8_t *mac)
{
	uint16_t before = ring_used_idx(&x->ring[0]);

	net_buffer(x, 0, before % NET_RING, NET_DATA, 1600);
	fake_net_put(&x->back, mac, 60);
	fake_net_readable(&x->back);
	if (ring_used_idx(&x->ring[0]) != before)
		return true;
	/* Its buffer serves the next one. */
	fake_net_put(&x->back, net_mac, 60);
	fake_net_readable(&x->back);
	return false;
}

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t multi[6] = { 0x33, 0x33, 0, 0, 0, 1 };

static void
everything_passes_until_the_driver_says_otherwise(void **state)
{
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	assert_true(passes(x, other_mac));
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	assert_false(passes(x, other_mac));
	assert_false(passes(x, multi));
	assert_true(passes(x, net_mac));
	assert_true(passes(x, broadcast));
	assert_int_equal(net_command(x, 2, "\0\0\1", 3), OK);
	assert_true(passes(x, other_mac));
	/* A reset forgets it. */
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	net_drive(x, ALL_CTRL | F_MRG, 3, NET_RING);
	assert_true(passes(x, other_mac));
}

static void
classes_of_addresses_are_switched(void **state)
{
	static const struct {
		const char *on, *off;
		const uint8_t *mac;
		bool with;
	} rows[] = {
		{ "\0\1\1", "\0\1\0", multi, true },
		{ "\0\2\1", "\0\2\0", other_mac, true },
		{ "\0\5\1", "\0\5\0", broadcast, false },
	};
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(passes(x, rows[i].mac), !rows[i].with);
		assert_int_equal(net_command(x, 2, rows[i].on, 3), OK);
		assert_int_equal(passes(x, rows[i].mac), rows[i].with);
		assert_int_equal(net_command(x, 2, rows[i].off, 3), OK);
		assert_int_equal(passes(x, rows[i].mac), !rows[i].with);
	}
	/* No multicast wins over all multicast. */
	assert_int_equal(net_command(x, 2, "\0\1\1", 3), OK);
	assert_int_equal(net_command(x, 2, "\0\3\1", 3), OK);
	assert_false(passes(x, multi));
}

/* A table command with n addresses of each kind; the last byte counts from 1. */
static int
set_tables(struct net_fix *x, unsigned nuni, unsigned nmulti)
{
	uint8_t cmd[2 + 4 + 100 * 6 + 4 + 100 * 6] = { 1, 0 }, *p = cmd + 2;

	le32_put(p, nuni);
	p += 4;
	for (unsigned i = 0; i < nuni; i++, p += 6)
		memcpy(p, (uint8_t[]){ 2, 0, 0, 0, 9, (uint8_t)(i + 1) }, 6);
	le32_put(p, nmulti);
	p += 4;
	for (unsigned i = 0; i < nmulti; i++, p += 6)
		memcpy(p, (uint8_t[]){ 1, 0, 0, 0, 9, (uint8_t)(i + 1) }, 6);
	return net_command(x, 2, cmd, (uint32_t)(p - cmd));
}

static void
tables_of_addresses_are_bounded_and_overflow_lets_all_pass(void **state)
{
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	assert_int_equal(set_tables(x, 3, 64), OK);
	assert_true(passes(x, (uint8_t[]){ 2, 0, 0, 0, 9, 3 }));
	assert_false(passes(x, (uint8_t[]){ 2, 0, 0, 0, 9, 4 }));
	assert_true(passes(x, (uint8_t[]){ 1, 0, 0, 0, 9, 64 }));
	assert_false(passes(x, (uint8_t[]){ 1, 0, 0, 0, 9, 65 }));
	assert_int_equal(set_tables(x, 65, 64), OK);
	assert_true(passes(x, other_mac));
	assert_false(passes(x, multi));
	assert_int_equal(set_tables(x, 64, 65), OK);
	assert_false(passes(x, other_mac));
	assert_true(passes(x, multi));
	assert_int_equal(set_tables(x, 0, 0), OK);
	assert_false(passes(x, (uint8_t[]){ 2, 0, 0, 0, 9, 3 }));
	assert_false(passes(x, multi));
}

static void
a_new_address_is_shown_and_filtered_by(void **state)
{
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	assert_int_equal(net_command(x, 2, "\1\1\2\0\0\0\0\2", 8), OK);
	assert_int_equal(virtio_config_read(x->dev, 0, 8), 0x0001020000000002);
	assert_true(passes(x, other_mac));
	virtio_reset(x->dev);
	assert_int_equal(virtio_config_read(x->dev, 0, 8), 0x0001010000000002);
}

/* Does a packet of this VLAN get through? */
static bool
vlan_passes(struct net_fix *x, unsigned id)
{
	uint16_t before = ring_used_idx(&x->ring[0]);

	net_buffer(x, 0, before % NET_RING, NET_DATA, 1600);
	unsigned n = fake_net_put(&x->back, net_mac, 60);
	x->back.rx[n].start[12] = 0x81;
	x->back.rx[n].start[13] = 0x00;
	x->back.rx[n].start[14] = (uint8_t)(0x60 | id >> 8); /* with a priority */
	x->back.rx[n].start[15] = (uint8_t)id;
	fake_net_readable(&x->back);
	if (ring_used_idx(&x->ring[0]) != before)
		return true;
	fake_net_put(&x->back, net_mac, 60);
	fake_net_readable(&x->back);
	return false;
}

static void
vlans_are_filtered_if_that_was_negotiated(void **state)
{
	struct net_fix *x = *state;

	make(x, ALL_CTRL);
	assert_false(vlan_passes(x, 5));
	assert_int_equal(net_command(x, 2, "\2\0\5\0", 4), OK);
	assert_int_equal(net_command(x, 2, "\2\0\377\17", 4), OK);
	assert_true(vlan_passes(x, 5));
	assert_true(vlan_passes(x, 4095));
	assert_false(vlan_passes(x, 6));
	assert_int_equal(net_command(x, 2, "\2\1\5\0", 4), OK);
	assert_false(vlan_passes(x, 5));
	net_drive(x, F_CTRL | F_MRG, 3, NET_RING);
	assert_true(vlan_passes(x, 5));
}

/* ---- offloads and pairs ---- */

static void
guest_offloads_change_while_it_runs(void **state)
{
	const uint64_t all = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6;
	uint8_t cmd[10] = { 5, 0 };
	struct net_fix *x = *state;

	make(x, F_CTRL | F_GUEST_OFFLOADS | all);
	assert_int_equal(x->back.offloads,
			 NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
	le64_put(cmd + 2, F_GUEST_CSUM);
	assert_int_equal(net_command(x, 2, cmd, 10), OK);
	assert_int_equal(x->back.offloads, NET_OFFLOAD_CSUM);
	/* A segment that was under way is not given to it. */
	net_buffers(x, 60, 1700);
	unsigned n = fake_net_put(&x->back, net_mac, 3000);
	x->back.rx[n].hdr[0] = 1;
	x->back.rx[n].hdr[1] = 1;
	fake_net_readable(&x->back);
	assert_int_equal(ring_used_idx(&x->ring[0]), 0);
	/* Not more than was negotiated. */
	le64_put(cmd + 2, F_GUEST_CSUM | F(54));
	assert_int_equal(net_command(x, 2, cmd, 10), ERR);
	assert_int_equal(x->back.offloads, NET_OFFLOAD_CSUM);
	/* And what the back refuses is refused. */
	le64_put(cmd + 2, all);
	x->back.fail_at = x->back.ops + 1;
	x->back.fail_with = -EINVAL;
	assert_int_equal(net_command(x, 2, cmd, 10), ERR);
	assert_int_equal(net_command(x, 2, cmd, 10), OK);
}

static void
the_control_queue_is_behind_the_pairs_only_with_mq(void **state)
{
	struct net_fix *x = *state;

	net_fix_make(x, 2, 0, NULL, false);
	net_drive(x, F_CTRL | F_CTRL_RX | F_MRG, 3, NET_RING);
	assert_int_equal(net_command(x, 2, "\0\0\0", 3), OK);
	net_drive(x, F_CTRL | F_CTRL_RX | F_MRG | F_MQ, 5, NET_RING);
	assert_int_equal(net_command(x, 4, "\0\0\0", 3), OK);
}

static void
pairs_carry_packets_when_they_are_switched_on(void **state)
{
	struct net_fix *x = *state;

	net_fix_make(x, 2, 0, NULL, false);
	net_drive(x, F_CTRL | F_MRG | F_MQ, 5, NET_RING);
	assert_int_equal(x->back.pairs, 1);
	net_buffer(x, 2, 0, NET_DATA, 1600);
	net_send(x, 3, 0, NULL, 12, 60);
	assert_int_equal(x->back.ntx, 0);
	assert_false(x->back.want_rx[1]);

	assert_int_equal(net_command(x, 4, "\4\0\0\0", 4), ERR);
	assert_int_equal(net_command(x, 4, "\4\0\3\0", 4), ERR);
	assert_int_equal(net_command(x, 4, "\4\0\2\0", 4), OK);
	assert_int_equal(x->back.pairs, 2);
	fake_reactor_deferred(&x->r);
	assert_int_equal(x->back.ntx, 1);
	assert_int_equal(x->back.tx[0].pair, 1);
	x->back.rx_pair = 1;
	fake_net_put(&x->back, net_mac, 60);
	assert_true(fake_net_readable(&x->back));
	assert_int_equal(ring_used_idx(&x->ring[2]), 1);
	assert_int_equal(x->t.irqs[2], 1);

	net_buffer(x, 2, 1, NET_DATA, 1600);
	assert_int_equal(net_command(x, 4, "\4\0\1\0", 4), OK);
	assert_false(x->back.want_rx[1]);
	fake_net_put(&x->back, net_mac, 60);
	x->back.back.front->readable(x->net, 1);
	assert_int_equal(ring_used_idx(&x->ring[2]), 1);
	/* And where it was, it goes on. */
	assert_int_equal(net_command(x, 4, "\4\0\2\0", 4), OK);
	fake_reactor_deferred(&x->r);
	fake_net_readable(&x->back);
	assert_int_equal(ring_used_idx(&x->ring[2]), 2);
	assert_int_equal(ring_used_id(&x->ring[2], 1), 1);
}

static void
pairs_share_a_limit_evenly(void **state)
{
	const struct rate_limit_config limit = { .rate_ops = 10, .burst_ops = 1 };
	struct net_fix *x = *state;
	unsigned of[2] = { 0 };

	net_fix_make(x, 2, 0, &limit, false);
	net_drive(x, F_CTRL | F_MRG | F_MQ, 5, NET_RING);
	assert_int_equal(net_command(x, 4, "\4\0\2\0", 4), OK);
	for (unsigned i = 0; i < 20; i++) {
		net_send(x, 1, i, NULL, 12, 60);
		net_send(x, 3, i, NULL, 12, 60);
	}
	fake_reactor_advance(&x->r, 2000000000);
	fake_reactor_deferred(&x->r);
	for (unsigned i = 0; i < x->back.ntx; i++)
		of[x->back.tx[i].pair]++;
	assert_in_range(of[0] + of[1], 20, 21);
	assert_in_range(of[0], 9, 12);
}

static void
a_back_that_refuses_pairs_keeps_what_there_was(void **state)
{
	struct net_fix *x = *state;

	net_fix_make(x, 2, 0, NULL, false);
	net_drive(x, F_CTRL | F_MRG | F_MQ, 5, NET_RING);
	x->back.fail_at = x->back.ops + 1;
	x->back.fail_with = -EBADFD;
	assert_int_equal(net_command(x, 4, "\4\0\2\0", 4), ERR);
	net_send(x, 1, 0, NULL, 12, 60);
	assert_int_equal(x->back.ntx, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_offered_follows_the_back),
		T(features_that_lack_what_they_need_are_refused),
		T(the_configuration_shows_mac_status_pairs_and_mtu),
		T(only_the_legacy_interface_writes_the_address_and_a_reset_brings_it_back),
		T(the_link_is_told_and_announced),
		T(every_malformed_command_is_refused_and_changes_nothing),
		T(a_command_without_room_for_the_answer_is_not_carried_out),
		T(a_command_in_single_bytes_is_understood),
		T(one_pass_of_commands_is_bounded),
		T(a_broken_control_ring_needs_a_reset),
		T(everything_passes_until_the_driver_says_otherwise),
		T(classes_of_addresses_are_switched),
		T(tables_of_addresses_are_bounded_and_overflow_lets_all_pass),
		T(a_new_address_is_shown_and_filtered_by),
		T(vlans_are_filtered_if_that_was_negotiated),
		T(guest_offloads_change_while_it_runs),
		T(the_control_queue_is_behind_the_pairs_only_with_mq),
		T(pairs_carry_packets_when_they_are_switched_on),
		T(pairs_share_a_limit_evenly),
		T(a_back_that_refuses_pairs_keeps_what_there_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
