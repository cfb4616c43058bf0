/* SPDX-License-Identifier: ISC */
/* virtio-blk, one request at a time: what comes in, what goes out, what is refused. */
#include "blk_driver.h"

static uint64_t
config_get(struct fix *x, size_t off, unsigned len)
{
	return virtio_config_read(x->dev, off, len);
}

#define SPACE(x, member) \
	config_get(x, offsetof(struct blk_space, member), \
		   sizeof(((struct blk_space *)NULL)->member))

/* ---- what it says of itself ---- */

static void
configuration_says_what_the_disk_is(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	assert_int_equal(x->dev->config_len, 60);
	assert_int_equal(SPACE(x, capacity), CAPACITY);
	assert_int_equal(SPACE(x, seg_max), 254);
	assert_int_equal(SPACE(x, blk_size), 512);
	assert_int_equal(SPACE(x, physical_block_exp), 3);
	assert_int_equal(SPACE(x, min_io_size), 8);
	assert_int_equal(SPACE(x, writeback), 1);
	assert_int_equal(SPACE(x, num_queues), 1);
	assert_int_equal(SPACE(x, max_discard_sectors), 2097152);
	assert_int_equal(SPACE(x, max_discard_seg), 64);
	assert_int_equal(SPACE(x, discard_sector_alignment), 8);
	assert_int_equal(SPACE(x, max_write_zeroes_sectors), 262144);
	assert_int_equal(SPACE(x, write_zeroes_may_unmap), 1);
}

static uint64_t
own_features(const struct fix *x)
{
	return x->dev->offered & 0xffffff;
}

static void
features_follow_the_disk(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	assert_int_equal(own_features(x), BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
						  BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE |
						  BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
}

static void
a_read_only_disk_says_so_and_offers_no_way_to_change_it(void **state)
{
	struct fix *x = *state;

	x->disk.disk.info.readonly = true;
	make_usual(x);
	assert_int_equal(own_features(x), BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
						  BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE |
						  BLK_F_RO);
}

static void
discard_is_offered_only_if_the_back_has_it(void **state)
{
	struct fix *x = *state;

	x->disk.disk.info.discard = false;
	make_usual(x);
	assert_int_equal(own_features(x) & (BLK_F_DISCARD | BLK_F_WRITE_ZEROES),
			 BLK_F_WRITE_ZEROES);
	assert_int_equal(SPACE(x, write_zeroes_may_unmap), 0);
	put_range(x, 0, 0, 0, 8, 0);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_UNSUPP);
	assert_int_equal(x->disk.nops, 0);
}

/* ---- reading and writing ---- */

static void
a_read_reaches_guest_memory(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	request(x, 0, BLK_T_IN, 3, 1024);
	assert_int_equal(used(x, 0), 0);
	assert_int_equal(status(x, 0), PENDING);
	settle(x);
	assert_int_equal(used(x, 0), 1);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 1025);
	assert_int_equal(status(x, 0), BLK_S_OK);
	assert_memory_equal(data(x, 0), x->disk.buf + 3 * 512, 1024);
	assert_int_equal(x->t.irqs[0], 1);
}

static void
a_write_reaches_the_disk(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	memset(data(x, 0), 0x77, 1024);
	assert_int_equal(ask(x, BLK_T_OUT, CAPACITY - 2, 1024), BLK_S_OK);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 1);
	assert_memory_equal(data(x, 0), x->disk.buf + (CAPACITY - 2) * 512, 1024);
	assert_string_equal(x->disk.log, "w");
}

static void
no_data_is_no_work(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	assert_int_equal(ask(x, BLK_T_IN, 5, 0), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_OUT, CAPACITY, 0), BLK_S_OK);
	assert_int_equal(ask(x, BLK_T_IN, CAPACITY + 1, 0), BLK_S_IOERR);
	assert_int_equal(x->disk.nops, 0);
}

/* ---- framing: bytes count, pieces do not (2.7.4) ---- */

/* The header, n times so much data, the status: cut after the given number of bytes. */
static void
put_cut(struct fix *x, uint32_t type, uint32_t len, unsigned cut)
{
	struct fake_ring *ring = &x->ring[0];
	bool out = is_out(type);
	/* In a row in memory, so that any two pieces can be one. */
	uint64_t base = data_at(0);
	uint32_t readable = 16 + (out ? len : 0), writable = 1 + (out ? 0 : len);
	unsigned d = 0;

	put_header(x, 0, type, 4);
	memcpy(ram_at(&x->ram, base), ram_at(&x->ram, header_at(0)), 16);
	*ram_at(&x->ram, base + readable + writable - 1) = PENDING;
	for (uint32_t at = 0; at < readable + writable;) {
		uint32_t end = at < readable ? readable : readable + writable;

		if (cut > at && cut < end)
			end = cut;
		bool last = end == readable + writable;
		ring_desc(ring, d, base + at, end - at,
			  (at < readable ? 0 : F_WRITE) | (last ? 0 : F_NEXT), d + 1);
		d++;
		at = end;
	}
	ring_offer(ring, 0);
	virtio_notify(x->dev, 0);
}

static void
header_data_and_status_may_be_cut_anywhere(void **state)
{
	struct fix *x = *state;
	const uint8_t *p;

	make_usual(x);
	for (unsigned cut = 0; cut <= 16 + 512 + 1; cut++) {
		put_cut(x, BLK_T_IN, 512, cut);
		settle(x);
		p = ram_at(&x->ram, data_at(0));
		assert_int_equal(p[16 + 512], BLK_S_OK);
		assert_memory_equal(p + 16, x->disk.buf + 4 * 512, 512);
		assert_int_equal(ring_used_len(&x->ring[0], used(x, 0) - 1), 513);

		memset(data(x, 0) + 16, (int)cut, 512);
		put_cut(x, BLK_T_OUT, 512, cut);
		settle(x);
		assert_int_equal(p[16 + 512], BLK_S_OK);
		assert_memory_equal(p + 16, x->disk.buf + 4 * 512, 512);
	}
	assert_int_equal(x->dev->status, 15);
}

/* As many pieces as a chain can have, of lengths that fit nothing. */
static void
pieces_of_any_number_and_length(void **state)
{
	struct fix *x = *state;
	struct fake_ring *ring;

	make_usual(x);
	ring = &x->ring[0];
	for (unsigned n = 1; n <= SIZE - 2; n++) {
		uint32_t len = 8 * 512, at = 0;

		put_header(x, 0, BLK_T_IN, 1);
		ring_desc(ring, 0, header_at(0), 16, F_NEXT, 1);
		for (unsigned i = 0; i < n; i++) {
			uint32_t m = i == n - 1 ? len - at : 1 + i % 13;

			ring_desc(ring, 1 + i, data_at(0) + at, m, F_NEXT | F_WRITE,
				  2 + i);
			at += m;
		}
		ring_desc(ring, 1 + n, status_at(0), 1, F_WRITE, 0);
		memset(data(x, 0), 0, len);
		ring_offer(ring, 0);
		virtio_notify(x->dev, 0);
		settle(x);
		assert_int_equal(status(x, 0), BLK_S_OK);
		assert_memory_equal(data(x, 0), x->disk.buf + 512, len);
	}
}

static void
an_indirect_table_is_as_good(void **state)
{
	struct fix *x = *state;
	uint8_t *t;

	make_usual(x);
	put_header(x, 0, BLK_T_IN, 7);
	t = ram_at(&x->ram, data_at(8));
	desc_put(t, header_at(0), 16, F_NEXT, 1);
	desc_put(t + 16, data_at(0), 512, F_NEXT | F_WRITE, 2);
	desc_put(t + 32, status_at(0), 1, F_WRITE, 0);
	ring_desc(&x->ring[0], 5, data_at(8), 48, F_INDIRECT, 0);
	ring_offer(&x->ring[0], 5);
	virtio_notify(x->dev, 0);
	settle(x);
	assert_int_equal(status(x, 0), BLK_S_OK);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 5);
	assert_memory_equal(data(x, 0), x->disk.buf + 7 * 512, 512);
}

/* ---- the serial number ---- */

static void
the_serial_number_is_padded_and_cut(void **state)
{
	struct fix *x = *state;
	const struct blk_config cfg = { .name = "disk0",
					.queues = 1,
					.serial = "0123456789abcdefghijklm" };
	uint8_t want[21] = "0123456789abcdefghij";

	make(x, &cfg);
	memset(data(x, 0), 0xcc, 64);
	assert_int_equal(ask(x, BLK_T_GET_ID, 0, 20), BLK_S_OK);
	assert_memory_equal(data(x, 0), want, 20);
	assert_int_equal(ring_used_len(&x->ring[0], 0), 21);
	/* Less room, more room, none. */
	memset(data(x, 0), 0xcc, 64);
	assert_int_equal(ask(x, BLK_T_GET_ID, 0, 4), BLK_S_OK);
	assert_memory_equal(data(x, 0), "0123\xcc", 5);
	assert_int_equal(ring_used_len(&x->ring[0], 1), 5);
	assert_int_equal(ask(x, BLK_T_GET_ID, 0, 40), BLK_S_OK);
	assert_int_equal(data(x, 0)[20], 0xcc);
	assert_int_equal(ring_used_len(&x->ring[0], 2), 20);
	assert_int_equal(ask(x, BLK_T_GET_ID, 0, 0), BLK_S_OK);
	assert_int_equal(x->disk.nops, 0);
}

static void
a_short_serial_number_ends_with_nul(void **state)
{
	struct fix *x = *state;
	uint8_t want[20] = "abc";

	make_usual(x);
	memset(data(x, 0), 0xcc, 64);
	assert_int_equal(ask(x, BLK_T_GET_ID, 0, 20), BLK_S_OK);
	assert_memory_equal(data(x, 0), want, 20);
}

/* ---- what is refused ---- */

static void
an_unknown_type_is_unsupported(void **state)
{
	static const uint32_t type[] = { 2,   3,          6,          7,         9,
					 10,  12,         14,         15,        16,
					 255, 0x80000000, 0x80000001, UINT32_MAX };
	struct fix *x = *state;

	make_usual(x);
	for (unsigned i = 0; i < ARRAY_SIZE(type); i++)
		assert_int_equal(ask(x, type[i], 0, 512), BLK_S_UNSUPP);
	assert_int_equal(x->disk.nops, 0);
	assert_int_equal(x->dev->status, 15);
}

static void
nothing_reaches_past_the_capacity(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ CAPACITY, 512 },
		{ CAPACITY - 1, 1024 },
		{ CAPACITY + 1, 512 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX - 1, 1024 },
		{ UINT64_C(1) << 55, 512 },
		{ (UINT64_C(1) << 55) - 1, 1024 },
		{ INT64_MAX, 512 },
		{ UINT64_C(1) << 63, 512 },
		{ (UINT64_MAX >> 9) + 1, 512 },
	};
	struct fix *x = *state;

	make_usual(x);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ask(x, BLK_T_IN, bad[i].sector, bad[i].len),
				 BLK_S_IOERR);
		/* Of the data, nothing was written. */
		assert_int_equal(ring_used_len(&x->ring[0], used(x, 0) - 1), 0);
		assert_int_equal(ask(x, BLK_T_OUT, bad[i].sector, bad[i].len),
				 BLK_S_IOERR);
	}
	assert_int_equal(x->disk.nops, 0);
	assert_int_equal(ask(x, BLK_T_IN, CAPACITY - 1, 512), BLK_S_OK);
}

static void
what_is_no_whole_block_is_refused(void **state)
{
	static const uint32_t len[] = { 1, 511, 513, 1023 };
	struct fix *x = *state;

	make_usual(x);
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		assert_int_equal(ask(x, BLK_T_IN, 0, len[i]), BLK_S_IOERR);
		assert_int_equal(ask(x, BLK_T_OUT, 0, len[i]), BLK_S_IOERR);
	}
	assert_int_equal(x->disk.nops, 0);
}

static void
a_disk_with_large_blocks_takes_no_small_ones(void **state)
{
	struct fix *x = *state;

	x->disk.disk.info.block = 4096;
	make_usual(x);
	assert_int_equal(SPACE(x, blk_size), 4096);
	assert_int_equal(SPACE(x, physical_block_exp), 0);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_IN, 1, 4096), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_IN, 8, 4096), BLK_S_OK);
	put_range(x, 0, 0, 8, 4, 0);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_IOERR);
	assert_string_equal(x->disk.log, "r");
}

static void
a_short_header_is_an_error(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	for (uint32_t len = 0; len < 16; len++) {
		put_header(x, 0, BLK_T_IN, 0);
		ring_desc(&x->ring[0], 0, header_at(0), len, F_NEXT, 1);
		ring_desc(&x->ring[0], 1, status_at(0), 1, F_WRITE, 0);
		ring_offer(&x->ring[0], 0);
		virtio_notify(x->dev, 0);
		settle(x);
		assert_int_equal(status(x, 0), BLK_S_IOERR);
		assert_int_equal(ring_used_len(&x->ring[0], len), 1);
	}
	assert_int_equal(x->disk.nops, 0);
	assert_int_equal(x->dev->status, 15);
}

static void
no_room_for_the_status_needs_a_reset(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	put_header(x, 0, BLK_T_OUT, 0);
	ring_desc(&x->ring[0], 0, header_at(0), 16, F_NEXT, 1);
	ring_desc(&x->ring[0], 1, data_at(0), 512, 0, 0);
	ring_offer(&x->ring[0], 0);
	virtio_notify(x->dev, 0);
	settle(x);
	assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(x->t.config_irqs, 1);
	assert_int_equal(x->disk.nops, 0);
	drive_with(x, usual_features(x));
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

static void
a_broken_ring_needs_a_reset(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	request(x, 1, BLK_T_IN, 0, 512);
	ring_offer(&x->ring[0], SIZE);
	virtio_notify(x->dev, 0);
	assert_int_equal(x->dev->status, 15 | VIRTIO_STATUS_NEEDS_RESET);
	/* What was in flight ends, and is not pushed into a ring that is no ring. */
	settle(x);
	assert_int_equal(used(x, 0), 0);
	drive_with(x, usual_features(x));
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

static void
a_read_only_disk_is_not_written(void **state)
{
	struct fix *x = *state;

	x->disk.disk.info.readonly = true;
	make_usual(x);
	assert_int_equal(ask(x, BLK_T_OUT, 0, 512), BLK_S_IOERR);
	put_range(x, 0, 0, 0, 8, 0);
	assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 16), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_IN, CAPACITY, 512), BLK_S_IOERR);
	assert_int_equal(x->disk.nops, 0);
	assert_int_equal(ask(x, BLK_T_IN, 0, 512), BLK_S_OK);
}

/* ---- the back fails ---- */

static void
errors_of_the_host_are_seen(void **state)
{
	static const struct {
		int err;
		unsigned status;
	} row[] = {
		{ -EIO, BLK_S_IOERR },         { -ENOSPC, BLK_S_IOERR },
		{ -EDQUOT, BLK_S_IOERR },      { -EROFS, BLK_S_IOERR },
		{ -EOPNOTSUPP, BLK_S_UNSUPP },
	};
	static const uint32_t type[] = { BLK_T_IN, BLK_T_OUT, BLK_T_DISCARD,
					 BLK_T_WRITE_ZEROES };
	struct fix *x = *state;

	make_usual(x);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(type); k++) {
			bool ranges = type[k] >= BLK_T_DISCARD;

			put_range(x, 0, 0, 0, 8, 0);
			x->disk.fail_at = x->disk.nops + 1;
			x->disk.fail_err = row[i].err;
			assert_int_equal(ask(x, type[k], 0, ranges ? 16 : 512),
					 row[i].status);
		}
	x->disk.fail_at = x->disk.nops + 1;
	x->disk.fail_err = -EIO;
	assert_int_equal(ask(x, BLK_T_FLUSH, 0, 0), BLK_S_IOERR);
}

/* A bit of everything, in write-through mode, so that writes have two steps. */
static unsigned
mixed_load(struct fix *x)
{
	static const uint32_t type[] = { BLK_T_OUT,          BLK_T_IN,     BLK_T_FLUSH,
					 BLK_T_WRITE_ZEROES, BLK_T_OUT,    BLK_T_DISCARD,
					 BLK_T_IN,           BLK_T_GET_ID, BLK_T_FLUSH };

	for (unsigned i = 0; i < ARRAY_SIZE(type); i++) {
		put_range(x, i, 0, 8 * i, 8, 0);
		put_range(x, i, 1, 100 + 8 * i, 8, 0);
		put_request(x, 0, i, type[i], i,
			    type[i] == BLK_T_FLUSH     ? 0
			    : type[i] == BLK_T_GET_ID  ? 20
			    : type[i] >= BLK_T_DISCARD ? 32
						       : 512);
	}
	virtio_notify(x->dev, 0);
	settle(x);
	return ARRAY_SIZE(type);
}

static void
whichever_operation_fails_its_request_fails_and_no_other(void **state)
{
	struct fix *x = *state;
	unsigned steps, n;

	make_usual(x);
	drive_with(x, BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
	n = mixed_load(x);
	steps = x->disk.nops;
	assert_string_equal(x->disk.log, "wrfzwdrffzfdff");
	for (unsigned i = 1; i <= steps + 1; i++) {
		unsigned failed = 0;

		drive_with(x, BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
		x->disk.nops = 0;
		x->disk.fail_at = i;
		mixed_load(x);
		assert_int_equal(used(x, 0), n);
		for (unsigned k = 0; k < n; k++) {
			assert_in_range(status(x, k), BLK_S_OK, BLK_S_IOERR);
			failed += status(x, k) != BLK_S_OK;
		}
		assert_int_equal(failed, i <= steps);
	}
}

/* ---- discard and write zeroes (5.2.6.2) ---- */

static void
several_ranges_are_done_one_after_the_other(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	memset(x->disk.buf, 0x11, CAPACITY * 512);
	put_range(x, 0, 0, 8, 8, 0);
	put_range(x, 0, 1, 100, 0, 0);
	put_range(x, 0, 2, CAPACITY - 1, 1, BLK_RANGE_UNMAP);
	request(x, 0, BLK_T_WRITE_ZEROES, 0, 48);
	assert_int_equal(x->disk.nheld, 1);
	fake_disk_answer(&x->disk, 0, 0);
	assert_int_equal(status(x, 0), PENDING);
	settle(x);
	assert_int_equal(status(x, 0), BLK_S_OK);
	assert_string_equal(x->disk.log, "zu");
	assert_int_equal(x->disk.buf[8 * 512 - 1], 0x11);
	assert_int_equal(x->disk.buf[8 * 512], 0);
	assert_int_equal(x->disk.buf[16 * 512 - 1], 0);
	assert_int_equal(x->disk.buf[16 * 512], 0x11);
	assert_int_equal(x->disk.buf[CAPACITY * 512 - 1], 0);
}

static void
as_many_ranges_as_were_promised_and_no_more(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	for (unsigned n = 0; n <= 64; n++) {
		for (unsigned i = 0; i < n; i++)
			put_range(x, 0, i, 8 * i, 8, 0);
		x->disk.nops = 0;
		assert_int_equal(ask(x, BLK_T_DISCARD, 0, n * 16),
				 n == 0 ? BLK_S_IOERR : BLK_S_OK);
		assert_int_equal(x->disk.nops, n);
	}
	/* One more: its data goes on into the next slot's. */
	put_range(x, 0, 64, 0, 8, 0);
	x->disk.nops = 0;
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 65 * 16), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 15), BLK_S_IOERR);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 17), BLK_S_IOERR);
	assert_int_equal(x->disk.nops, 0);
}

static void
unknown_flags_are_unsupported(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	for (unsigned bit = 0; bit < 32; bit++) {
		put_range(x, 0, 0, 0, 8, 0);
		put_range(x, 0, 1, 0, 8, 1u << bit);
		assert_int_equal(ask(x, BLK_T_DISCARD, 0, 32), BLK_S_UNSUPP);
		assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 32),
				 bit == 0 ? BLK_S_OK : BLK_S_UNSUPP);
	}
	/* Only the good ones got through, whole. */
	assert_string_equal(x->disk.log, "zu");
}

static void
a_bad_range_spares_the_good_ones(void **state)
{
	static const struct blk_range bad[] = {
		{ CAPACITY, 1, 0 },   { CAPACITY - 1, 2, 0 },
		{ UINT64_MAX, 1, 0 }, { UINT64_C(1) << 55, 1, 0 },
		{ 0, UINT32_MAX, 0 }, { CAPACITY + 1, 0, 0 },
	};
	struct fix *x = *state;

	make_usual(x);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		put_range(x, 0, 0, 0, 8, 0);
		put_range(x, 0, 1, bad[i].sector, bad[i].num_sectors, 0);
		assert_int_equal(ask(x, BLK_T_DISCARD, 0, 32), BLK_S_IOERR);
		assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 32), BLK_S_IOERR);
	}
	assert_int_equal(x->disk.nops, 0);
}

static void
a_range_larger_than_promised_is_refused(void **state)
{
	struct fix *x = *state;

	/* Nobody looks at the bytes of a range that large. */
	x->disk.disk.info.size = GiB(4);
	make_usual(x);
	put_range(x, 0, 0, 0, 262145, 0);
	assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 16), BLK_S_IOERR);
	put_range(x, 0, 0, 0, 2097153, 0);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_IOERR);
	assert_int_equal(x->disk.nops, 0);
}

static void
ranges_that_change_after_the_check_change_nothing(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	memset(x->disk.buf, 0x11, CAPACITY * 512);
	put_range(x, 0, 0, 8, 8, 0);
	put_range(x, 0, 1, 32, 8, 0);
	request(x, 0, BLK_T_WRITE_ZEROES, 0, 32);
	put_range(x, 0, 1, UINT64_MAX, UINT32_MAX, UINT32_MAX);
	settle(x);
	assert_int_equal(status(x, 0), BLK_S_OK);
	assert_int_equal(x->disk.buf[32 * 512], 0);
}

static void
what_was_not_negotiated_is_unsupported(void **state)
{
	struct fix *x = *state;

	make_usual(x);
	drive_with(x, BLK_F_FLUSH);
	put_range(x, 0, 0, 0, 8, 0);
	assert_int_equal(ask(x, BLK_T_DISCARD, 0, 16), BLK_S_UNSUPP);
	assert_int_equal(ask(x, BLK_T_WRITE_ZEROES, 0, 16), BLK_S_UNSUPP);
	assert_int_equal(x->disk.nops, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(configuration_says_what_the_disk_is),
		T(features_follow_the_disk),
		T(a_read_only_disk_says_so_and_offers_no_way_to_change_it),
		T(discard_is_offered_only_if_the_back_has_it),
		T(a_read_reaches_guest_memory),
		T(a_write_reaches_the_disk),
		T(no_data_is_no_work),
		T(header_data_and_status_may_be_cut_anywhere),
		T(pieces_of_any_number_and_length),
		T(an_indirect_table_is_as_good),
		T(the_serial_number_is_padded_and_cut),
		T(a_short_serial_number_ends_with_nul),
		T(an_unknown_type_is_unsupported),
		T(nothing_reaches_past_the_capacity),
		T(what_is_no_whole_block_is_refused),
		T(a_disk_with_large_blocks_takes_no_small_ones),
		T(a_short_header_is_an_error),
		T(no_room_for_the_status_needs_a_reset),
		T(a_broken_ring_needs_a_reset),
		T(a_read_only_disk_is_not_written),
		T(errors_of_the_host_are_seen),
		T(whichever_operation_fails_its_request_fails_and_no_other),
		T(several_ranges_are_done_one_after_the_other),
		T(as_many_ranges_as_were_promised_and_no_more),
		T(unknown_flags_are_unsupported),
		T(a_bad_range_spares_the_good_ones),
		T(a_range_larger_than_promised_is_refused),
		T(ranges_that_change_after_the_check_change_nothing),
		T(what_was_not_negotiated_is_unsupported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
