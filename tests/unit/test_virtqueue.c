/* SPDX-License-Identifier: ISC */
/* The rules of virtio 1.2, section 2.7, one test each. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_ring.h"
#include "virtio.h"

enum { SIZE = 8 };

struct fix {
	struct fake_ram ram;
	struct fake_ring ring;
	struct virtqueue vq;
	struct iovec iov[VIRTQUEUE_SIZE_MAX];
	struct vq_chain c;
};

static void
start(struct fix *f, unsigned size, uint64_t features)
{
	ring_init(&f->ring, &f->ram, 0, size);
	assert_int_equal(virtqueue_start(&f->vq, &f->ram.mem, &f->ring.at), 0);
	virtqueue_set_features(&f->vq, features);
	f->c = (struct vq_chain){ .iov = f->iov, .iov_max = VIRTQUEUE_SIZE_MAX };
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	ram_init(&f->ram);
	start(f, SIZE, VIRTIO_F_INDIRECT_DESC);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	ram_fini(&f->ram);
	free(f);
	return 0;
}

static int
pop(struct fix *f)
{
	return virtqueue_pop(&f->vq, &f->c);
}

/* Offers the chain at head and expects that the queue breaks, for good. */
static void
expect_broken(struct fix *f, unsigned head)
{
	struct vq_chain before = f->c;

	ring_offer(&f->ring, head);
	assert_int_equal(pop(f), -EPROTO);
	assert_memory_equal(&before, &f->c, sizeof(before));
	ring_desc(&f->ring, 0, DATA_GPA, 1, 0, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), -EPROTO);
	assert_false(virtqueue_pending(&f->vq));
	virtqueue_push(&f->vq, 0, 1);
	assert_false(virtqueue_publish(&f->vq));
	assert_int_equal(ring_used_idx(&f->ring), 0);
}

/* ---- layout ---- */

static int
start_at(struct fix *f, unsigned size, uint64_t desc, uint64_t driver, uint64_t device)
{
	const struct virtqueue_layout at = {
		.size = (uint16_t)size,
		.desc = desc,
		.driver = driver,
		.device = device,
	};

	return virtqueue_start(&f->vq, &f->ram.mem, &at);
}

static void
sizes_are_powers_of_two_up_to_the_maximum(void **state)
{
	static const unsigned good[] = { 1, 2, 4, 256, 1024 };
	static const unsigned bad[] = { 0,   3,    5,    6,    7,     255,
					257, 1000, 1025, 2048, 32768, 65535 };
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(start_at(f, good[i], RAM_GPA, RAM_GPA + 0x8000,
					  RAM_GPA + 0x10000),
				 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(start_at(f, bad[i], RAM_GPA, RAM_GPA + 0x8000,
					  RAM_GPA + 0x10000),
				 -EINVAL);
		assert_int_equal(f->vq.size, 0);
	}
}

static void
parts_are_aligned_to_16_2_and_4(void **state)
{
	struct fix *f = *state;
	uint64_t d = RAM_GPA, a = RAM_GPA + 0x1000, u = RAM_GPA + 0x2000;

	assert_int_equal(start_at(f, SIZE, d + 16, a + 2, u + 4), 0);
	for (unsigned i = 1; i < 16; i++)
		assert_int_equal(start_at(f, SIZE, d + i, a, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, d, a + 1, u), -EINVAL);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(start_at(f, SIZE, d, a, u + i), -EINVAL);
}

static void
parts_lie_in_ram_to_their_last_byte(void **state)
{
	struct fix *f = *state;
	uint64_t d = RAM_GPA, a = RAM_GPA + 0x1000, u = RAM_GPA + 0x2000;

	assert_int_equal(start_at(f, SIZE, RAM_END - 16 * SIZE, a, u), 0);
	assert_int_equal(start_at(f, SIZE, RAM_END - 16 * SIZE + 16, a, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, d, RAM_END - 6 - 2 * SIZE, u), 0);
	assert_int_equal(start_at(f, SIZE, d, RAM_END - 4 - 2 * SIZE, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, d, a, RAM_END - 8 - 8 * SIZE), 0);
	assert_int_equal(start_at(f, SIZE, d, a, RAM_END - 4 - 8 * SIZE), -EINVAL);
	assert_int_equal(start_at(f, SIZE, RAM_GPA - 16, a, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, 0, 0, 0), -EINVAL);
}

static void
parts_that_wrap_around_are_refused(void **state)
{
	struct fix *f = *state;
	uint64_t d = RAM_GPA, a = RAM_GPA + 0x1000, u = RAM_GPA + 0x2000;

	assert_int_equal(start_at(f, SIZE, -(uint64_t)16, a, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, d, -(uint64_t)2, u), -EINVAL);
	assert_int_equal(start_at(f, SIZE, d, a, -(uint64_t)4), -EINVAL);
}

static void
start_writes_nothing_to_the_guest(void **state)
{
	struct fix *f = *state;
	uint8_t *before = malloc(RAM_LEN);

	memset(f->ram.buf, 0xa5, RAM_LEN);
	memcpy(before, f->ram.buf, RAM_LEN);
	assert_int_equal(virtqueue_start(&f->vq, &f->ram.mem, &f->ring.at), 0);
	assert_memory_equal(before, f->ram.buf, RAM_LEN);
	free(before);
}

static void
a_stopped_queue_does_nothing(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 4, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	virtqueue_stop(&f->vq);
	assert_int_equal(pop(f), 0);
	assert_false(virtqueue_pending(&f->vq));
	virtqueue_push(&f->vq, 0, 4);
	assert_false(virtqueue_publish(&f->vq));
	assert_false(virtqueue_enable_notify(&f->vq));
	virtqueue_disable_notify(&f->vq);
	assert_int_equal(ring_used_idx(&f->ring), 0);
	assert_int_equal(ring_used_flags(&f->ring), 0);
}

static void
a_queue_started_again_begins_at_entry_0_and_is_whole(void **state)
{
	struct fix *f = *state;

	expect_broken(f, SIZE);
	start(f, SIZE, 0);
	assert_int_equal(pop(f), 0);
	ring_desc(&f->ring, 5, DATA_GPA, 4, 0, 0);
	ring_offer(&f->ring, 5);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.head, 5);
}

/* ---- chains ---- */

static void
an_empty_ring_gives_nothing(void **state)
{
	assert_int_equal(pop(*state), 0);
}

static void
a_chain_is_readable_pieces_then_writable_ones(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 3, DATA_GPA, 16, F_NEXT, 1);
	ring_desc(&f->ring, 1, DATA_GPA + 0x100, 32, F_NEXT, 6);
	ring_desc(&f->ring, 6, DATA_GPA + 0x200, 512, F_NEXT | F_WRITE, 0);
	ring_desc(&f->ring, 0, DATA_GPA + 0x400, 1, F_WRITE, 7);
	ring_offer(&f->ring, 3);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.head, 3);
	assert_int_equal(f->c.nread, 2);
	assert_int_equal(f->c.nwrite, 2);
	assert_int_equal(f->c.read_len, 48);
	assert_int_equal(f->c.write_len, 513);
	assert_ptr_equal(f->iov[0].iov_base, ram_at(&f->ram, DATA_GPA));
	assert_int_equal(f->iov[0].iov_len, 16);
	assert_ptr_equal(f->iov[1].iov_base, ram_at(&f->ram, DATA_GPA + 0x100));
	assert_ptr_equal(f->iov[2].iov_base, ram_at(&f->ram, DATA_GPA + 0x200));
	assert_int_equal(f->iov[2].iov_len, 512);
	assert_ptr_equal(f->iov[3].iov_base, ram_at(&f->ram, DATA_GPA + 0x400));
	assert_int_equal(pop(f), 0);
}

static void
what_was_not_shown_is_not_taken(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 4, 0, 0);
	ring_put(&f->ring, 0);
	assert_int_equal(pop(f), 0);
	ring_show(&f->ring);
	assert_int_equal(pop(f), 1);
}

static void
unknown_flags_are_ignored(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 4, 0xfff8, 0xffff);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, 1);
}

static void
readable_after_writable_breaks(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 4, F_WRITE | F_NEXT, 1);
	ring_desc(&f->ring, 1, DATA_GPA, 4, 0, 0);
	expect_broken(f, 0);
}

static void
a_piece_of_no_length_is_left_out(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 4, F_NEXT, 1);
	ring_desc(&f->ring, 1, UINT64_MAX, 0, F_NEXT, 2);
	ring_desc(&f->ring, 2, DATA_GPA, 8, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, 1);
	assert_int_equal(f->c.nwrite, 1);
	assert_int_equal(f->c.write_len, 8);
}

static void
a_chain_of_nothing_is_a_chain(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 2, 0, 0, 0, 0);
	ring_offer(&f->ring, 2);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread + f->c.nwrite, 0);
	virtqueue_push(&f->vq, 2, 0);
	virtqueue_publish(&f->vq);
	assert_int_equal(ring_used_id(&f->ring, 0), 2);
}

static void
a_piece_reaches_to_the_last_byte_of_ram_and_no_further(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, RAM_END - 8, 8, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	memset(f->iov[0].iov_base, 1, f->iov[0].iov_len);

	ring_desc(&f->ring, 1, RAM_END - 8, 9, F_WRITE, 0);
	ring_offer(&f->ring, 1);
	assert_int_equal(pop(f), -EPROTO);
}

static void
pieces_outside_ram_break(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ 0, 1 },
		{ 0, UINT32_MAX },
		{ RAM_GPA - 1, 1 },
		{ RAM_GPA - 1, 2 },
		{ RAM_END, 1 },
		{ RAM_GPA, RAM_LEN + 1 },
		{ RAM_GPA, UINT32_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },
		{ UINT64_MAX - 15, 32 },
		{ -(uint64_t)RAM_GPA, 2 * RAM_GPA + 16 },
	};
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f, SIZE, 0);
		ring_desc(&f->ring, 0, bad[i].addr, bad[i].len, F_WRITE, 0);
		expect_broken(f, 0);
	}
}

static void
a_head_out_of_range_breaks(void **state)
{
	static const unsigned bad[] = { SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff };
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f, SIZE, 0);
		expect_broken(f, bad[i]);
	}
}

static void
a_next_out_of_range_breaks(void **state)
{
	static const unsigned bad[] = { SIZE, SIZE + 1, 0x8000, 0xffff };
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f, SIZE, 0);
		ring_desc(&f->ring, 0, DATA_GPA, 1, F_NEXT, bad[i]);
		expect_broken(f, 0);
	}
}

static void
loops_break(void **state)
{
	struct fix *f = *state;

	/* of one, of two, and one that the head is not part of */
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_NEXT, 0);
	expect_broken(f, 0);

	start(f, SIZE, 0);
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_NEXT, 1);
	ring_desc(&f->ring, 1, DATA_GPA, 1, F_NEXT, 0);
	expect_broken(f, 0);

	start(f, SIZE, 0);
	ring_desc(&f->ring, 0, DATA_GPA, 0, F_NEXT, 1);
	ring_desc(&f->ring, 1, DATA_GPA, 0, F_NEXT, 1);
	expect_broken(f, 0);
}

static void
a_chain_may_be_as_long_as_the_queue(void **state)
{
	struct fix *f = *state;

	start(f, VIRTQUEUE_SIZE_MAX, 0);
	for (unsigned i = 0; i < VIRTQUEUE_SIZE_MAX; i++)
		ring_desc(&f->ring, i, DATA_GPA + i, 1,
			  i + 1 < VIRTQUEUE_SIZE_MAX ? F_NEXT : 0, i + 1);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, VIRTQUEUE_SIZE_MAX);
}

static void
more_pieces_than_the_device_takes_break(void **state)
{
	struct fix *f = *state;

	f->c.iov_max = 3;
	for (unsigned i = 0; i < 4; i++)
		ring_desc(&f->ring, i, DATA_GPA, 1, i < 2 ? F_NEXT : 0, i + 1);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, 3);

	start(f, SIZE, 0);
	f->c.iov_max = 3;
	for (unsigned i = 0; i < 4; i++)
		ring_desc(&f->ring, i, DATA_GPA, 1, i < 3 ? F_NEXT : 0, i + 1);
	expect_broken(f, 0);
}

static void
a_chain_of_more_than_4_gib_breaks(void **state)
{
	/* Ranges may overlap, so a small RAM reserved as a large one will do. */
	struct fix *f = *state;
	struct memory big = {
		.n = 2,
		.range = {
			{ RAM_GPA, RAM_LEN, f->ram.buf },
			{ GiB(4), GiB(3), f->ram.buf },	/* never touched */
		},
	};

	assert_int_equal(virtqueue_start(&f->vq, &big, &f->ring.at), 0);
	ring_desc(&f->ring, 0, GiB(4), 0x80000000u, F_NEXT, 1);
	ring_desc(&f->ring, 1, GiB(4), 0x80000000u, 0, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.read_len, GiB(4));

	ring_desc(&f->ring, 2, GiB(4), 0x80000000u, F_NEXT, 3);
	ring_desc(&f->ring, 3, GiB(4), 0x80000000u, F_NEXT, 4);
	ring_desc(&f->ring, 4, GiB(4), 1, F_WRITE, 0);
	ring_offer(&f->ring, 2);
	assert_int_equal(pop(f), -EPROTO);
}

static void
descriptors_are_copied_before_they_are_checked(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 16, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	/* What the driver does to it later changes nothing. */
	ring_desc(&f->ring, 0, 0, UINT32_MAX, 0, 0);
	assert_ptr_equal(f->iov[0].iov_base, ram_at(&f->ram, DATA_GPA));
	assert_int_equal(f->iov[0].iov_len, 16);
	assert_int_equal(f->c.nwrite, 1);
}

/* ---- the available index ---- */

static void
an_index_that_is_too_far_ahead_breaks(void **state)
{
	static const unsigned bad[] = { SIZE + 1, SIZE + 2, 0x8000, 0xffff };
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f, SIZE, 0);
		f->ring.avail_idx = (uint16_t)bad[i];
		ring_show(&f->ring);
		assert_int_equal(pop(f), -EPROTO);
		assert_true(f->vq.broken);
	}
}

static void
an_index_that_goes_back_breaks(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 1, 0, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	f->ring.avail_idx = 0;
	ring_show(&f->ring);
	assert_int_equal(pop(f), -EPROTO);
}

static void
a_full_ring_is_taken_whole(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < SIZE; i++) {
		ring_desc(&f->ring, i, DATA_GPA + i, 1, 0, 0);
		ring_put(&f->ring, SIZE - 1 - i);
	}
	ring_show(&f->ring);
	for (unsigned i = 0; i < SIZE; i++) {
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->c.head, SIZE - 1 - i);
	}
	assert_int_equal(pop(f), 0);
}

static void
indices_wrap_at_65536(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 1, DATA_GPA, 1, F_WRITE, 0);
	for (unsigned i = 0; i < 70000; i++) {
		ring_offer(&f->ring, 1);
		assert_int_equal(pop(f), 1);
		virtqueue_push(&f->vq, 1, i);
		virtqueue_publish(&f->vq);
		assert_int_equal(ring_used_idx(&f->ring), (uint16_t)(i + 1));
		assert_int_equal(ring_used_len(&f->ring, i), i);
	}
	assert_int_equal(pop(f), 0);
}

static void
a_head_in_flight_cannot_be_offered_again(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 4, DATA_GPA, 1, 0, 0);
	ring_offer(&f->ring, 4);
	assert_int_equal(pop(f), 1);
	ring_offer(&f->ring, 4);
	assert_int_equal(pop(f), -EPROTO);
}

static void
a_chain_put_back_is_the_next_again(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 4, DATA_GPA, 1, 0, 0);
	ring_desc(&f->ring, 2, DATA_GPA, 2, 0, 0);
	ring_offer(&f->ring, 4);
	ring_offer(&f->ring, 2);
	assert_int_equal(pop(f), 1);
	virtqueue_unpop(&f->vq, &f->c);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.head, 4);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.head, 2);
	virtqueue_unpop(&f->vq, &f->c);
	assert_true(virtqueue_pending(&f->vq));
	assert_int_equal(f->vq.ninflight, 1);
}

/* ---- indirect tables ---- */

enum { TABLE_GPA = DATA_GPA + 0x4000 };

static void
table_desc(struct fix *f, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
	   unsigned next)
{
	desc_put(ram_at(&f->ram, TABLE_GPA + 16 * i), addr, len, flags, next);
}

static void
an_indirect_table_starts_at_0_and_may_jump(void **state)
{
	struct fix *f = *state;

	table_desc(f, 0, DATA_GPA, 1, F_NEXT, 2);
	table_desc(f, 2, DATA_GPA, 2, F_NEXT, 1);
	table_desc(f, 1, DATA_GPA, 4, F_WRITE, 0);
	/* The write flag of the descriptor that refers to it means nothing. */
	ring_desc(&f->ring, 5, TABLE_GPA, 48, F_INDIRECT | F_WRITE, 0);
	ring_offer(&f->ring, 5);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.head, 5);
	assert_int_equal(f->c.nread, 2);
	assert_int_equal(f->c.read_len, 3);
	assert_int_equal(f->c.write_len, 4);
}

static void
an_indirect_table_may_follow_direct_descriptors(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 16, F_NEXT, 3);
	ring_desc(&f->ring, 3, TABLE_GPA, 16, F_INDIRECT, 0);
	table_desc(f, 0, DATA_GPA, 4, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, 1);
	assert_int_equal(f->c.nwrite, 1);
}

static void
an_indirect_table_needs_no_alignment(void **state)
{
	struct fix *f = *state;

	desc_put(ram_at(&f->ram, TABLE_GPA + 1), DATA_GPA, 7, 0, 0);
	ring_desc(&f->ring, 0, TABLE_GPA + 1, 16, F_INDIRECT, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.read_len, 7);
}

static void
an_indirect_chain_may_be_as_long_as_the_queue(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < SIZE; i++)
		table_desc(f, i, DATA_GPA, 1, i + 1 < SIZE ? F_NEXT : 0, i + 1);
	ring_desc(&f->ring, 0, TABLE_GPA, 16 * SIZE, F_INDIRECT, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->c.nread, SIZE);
}

static void
an_indirect_chain_longer_than_the_queue_breaks(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i <= SIZE; i++)
		table_desc(f, i, DATA_GPA, 1, i < SIZE ? F_NEXT : 0, i + 1);
	ring_desc(&f->ring, 0, TABLE_GPA, 16 * (SIZE + 1), F_INDIRECT, 0);
	expect_broken(f, 0);
}

static void
direct_and_indirect_descriptors_count_together(void **state)
{
	struct fix *f = *state;

	ring_desc(&f->ring, 0, DATA_GPA, 1, F_NEXT, 1);
	ring_desc(&f->ring, 1, TABLE_GPA, 16 * SIZE, F_INDIRECT, 0);
	for (unsigned i = 0; i < SIZE; i++)
		table_desc(f, i, DATA_GPA, 1, i + 1 < SIZE ? F_NEXT : 0, i + 1);
	expect_broken(f, 0);
}

static void
a_loop_in_an_indirect_table_breaks(void **state)
{
	struct fix *f = *state;

	table_desc(f, 0, DATA_GPA, 1, F_NEXT, 0);
	ring_desc(&f->ring, 0, TABLE_GPA, 16, F_INDIRECT, 0);
	expect_broken(f, 0);
}

static void
an_indirect_next_out_of_the_table_breaks(void **state)
{
	struct fix *f = *state;

	/* Within the ring's size, but not within the table's. */
	table_desc(f, 0, DATA_GPA, 1, F_NEXT, 2);
	table_desc(f, 2, DATA_GPA, 1, 0, 0);
	ring_desc(&f->ring, 0, TABLE_GPA, 32, F_INDIRECT, 0);
	expect_broken(f, 0);
}

static void
an_indirect_table_within_another_breaks(void **state)
{
	struct fix *f = *state;

	table_desc(f, 0, TABLE_GPA + 0x100, 16, F_INDIRECT, 0);
	table_desc(f, 16, DATA_GPA, 1, 0, 0);
	ring_desc(&f->ring, 0, TABLE_GPA, 16, F_INDIRECT, 0);
	expect_broken(f, 0);
}

static void
an_indirect_table_with_a_next_breaks(void **state)
{
	struct fix *f = *state;

	table_desc(f, 0, DATA_GPA, 1, 0, 0);
	ring_desc(&f->ring, 0, TABLE_GPA, 16, F_INDIRECT | F_NEXT, 1);
	expect_broken(f, 0);
}

static void
an_indirect_table_that_was_not_negotiated_breaks(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, 0);
	table_desc(f, 0, DATA_GPA, 1, 0, 0);
	ring_desc(&f->ring, 0, TABLE_GPA, 16, F_INDIRECT, 0);
	expect_broken(f, 0);
}

static void
indirect_tables_of_bad_length_or_place_break(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ TABLE_GPA, 0 },          { TABLE_GPA, 1 },
		{ TABLE_GPA, 15 },         { TABLE_GPA, 17 },
		{ TABLE_GPA, UINT32_MAX }, { TABLE_GPA, 0xfffffff0 },
		{ RAM_END - 8, 16 },       { 0, 16 },
		{ UINT64_MAX - 15, 16 },   { UINT64_MAX - 7, 32 },
	};
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f, SIZE, VIRTIO_F_INDIRECT_DESC);
		ring_desc(&f->ring, 0, bad[i].addr, bad[i].len, F_INDIRECT, 0);
		expect_broken(f, 0);
	}
}

/* ---- the used ring ---- */

/* Offers heads 0 to n - 1 and takes them. */
static void
take(struct fix *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ring_desc(&f->ring, i, DATA_GPA, 4, F_WRITE, 0);
		ring_put(&f->ring, i);
	}
	ring_show(&f->ring);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pop(f), 1);
}

static void
what_is_pushed_becomes_visible_when_published(void **state)
{
	struct fix *f = *state;

	take(f, 3);
	virtqueue_push(&f->vq, 2, 100);
	virtqueue_push(&f->vq, 0, 200);
	assert_int_equal(ring_used_idx(&f->ring), 0);
	assert_true(virtqueue_publish(&f->vq));
	assert_int_equal(ring_used_idx(&f->ring), 2);
	assert_int_equal(ring_used_id(&f->ring, 0), 2);
	assert_int_equal(ring_used_len(&f->ring, 0), 100);
	assert_int_equal(ring_used_id(&f->ring, 1), 0);
	assert_int_equal(ring_used_len(&f->ring, 1), 200);
	assert_false(virtqueue_publish(&f->vq)); /* nothing new */
}

static void
no_descriptor_and_no_available_entry_is_written(void **state)
{
	struct fix *f = *state;
	size_t len = f->ring.at.device - f->ring.at.desc;
	uint8_t *before = malloc(len);

	take(f, SIZE);
	memcpy(before, ram_at(&f->ram, f->ring.at.desc), len);
	for (unsigned i = 0; i < SIZE; i++)
		virtqueue_push(&f->vq, (uint16_t)i, 4);
	virtqueue_publish(&f->vq);
	virtqueue_disable_notify(&f->vq);
	virtqueue_enable_notify(&f->vq);
	assert_memory_equal(before, ram_at(&f->ram, f->ring.at.desc), len);
	free(before);
}

static void
the_driver_can_switch_interrupts_off_by_flag(void **state)
{
	struct fix *f = *state;

	ring_set_avail_flags(&f->ring, 1);
	take(f, 2);
	virtqueue_push(&f->vq, 0, 4);
	assert_false(virtqueue_publish(&f->vq));
	assert_int_equal(ring_used_idx(&f->ring), 1);
	/* used_event is not looked at without EVENT_IDX */
	ring_set_used_event(&f->ring, 1);
	virtqueue_push(&f->vq, 1, 4);
	assert_false(virtqueue_publish(&f->vq));
}

static void
with_event_idx_the_flag_means_nothing(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	ring_set_avail_flags(&f->ring, 1);
	take(f, 1);
	virtqueue_push(&f->vq, 0, 4);
	assert_true(virtqueue_publish(&f->vq));
}

static void
with_event_idx_an_interrupt_comes_when_the_event_is_passed(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	ring_set_used_event(&f->ring, 2);
	take(f, 8);
	for (unsigned i = 0; i < 8; i++) {
		virtqueue_push(&f->vq, (uint16_t)i, 4);
		assert_int_equal(virtqueue_publish(&f->vq), i == 2);
	}
}

static void
a_batch_over_the_event_is_one_interrupt(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	ring_set_used_event(&f->ring, 2);
	take(f, 8);
	for (unsigned i = 0; i < 5; i++)
		virtqueue_push(&f->vq, (uint16_t)i, 4);
	assert_true(virtqueue_publish(&f->vq));
	for (unsigned i = 5; i < 8; i++)
		virtqueue_push(&f->vq, (uint16_t)i, 4);
	assert_false(virtqueue_publish(&f->vq));
}

static void
the_event_wraps_at_65536(void **state)
{
	struct fix *f = *state;
	unsigned interrupts = 0;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
	ring_set_used_event(&f->ring, 0xffff);
	for (unsigned i = 0; i < 0x20000; i++) {
		ring_offer(&f->ring, 0);
		assert_int_equal(pop(f), 1);
		virtqueue_push(&f->vq, 0, 1);
		if (virtqueue_publish(&f->vq)) {
			assert_int_equal(i & 0xffff, 0xffff);
			interrupts++;
		}
	}
	assert_int_equal(interrupts, 2);
}

/* ---- doorbells ---- */

static void
doorbells_go_off_and_on_by_flag(void **state)
{
	struct fix *f = *state;

	virtqueue_disable_notify(&f->vq);
	assert_int_equal(ring_used_flags(&f->ring), 1);
	assert_false(virtqueue_enable_notify(&f->vq));
	assert_int_equal(ring_used_flags(&f->ring), 0);
}

static void
doorbells_go_off_and_on_by_event(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	take(f, 3);
	virtqueue_disable_notify(&f->vq);
	assert_int_equal(ring_used_flags(&f->ring), 0);
	assert_int_equal(ring_avail_event(&f->ring), 0);
	assert_false(virtqueue_enable_notify(&f->vq));
	assert_int_equal(ring_avail_event(&f->ring), 3);
}

static void
enabling_overwrites_what_memory_held(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	le16_put(ram_at(&f->ram, f->ring.at.device), 1);
	le16_put(ram_at(&f->ram, f->ring.at.device + 4 + 8 * SIZE), 0x1234);
	virtqueue_enable_notify(&f->vq);
	assert_int_equal(ring_used_flags(&f->ring), 0);
	assert_int_equal(ring_avail_event(&f->ring), 0);
}

static void
enabling_tells_of_what_came_meanwhile(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		start(f, SIZE, i ? VIRTIO_F_EVENT_IDX : 0);
		virtqueue_disable_notify(&f->vq);
		ring_desc(&f->ring, 0, DATA_GPA, 1, 0, 0);
		ring_offer(&f->ring, 0);
		assert_true(virtqueue_enable_notify(&f->vq));
		assert_int_equal(pop(f), 1);
		assert_false(virtqueue_enable_notify(&f->vq));
	}
}

static void
who_finds_the_queue_empty_is_rung_for(void **state)
{
	struct fix *f = *state;

	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		start(f, SIZE, event_idx ? VIRTIO_F_EVENT_IDX : 0);
		virtqueue_enable_notify(&f->vq);
		/* Long enough for the indices to wrap. */
		for (unsigned i = 0; i < 70000; i++) {
			ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
			assert_true(ring_offer_rings(&f->ring, 0, event_idx));
			assert_int_equal(pop(f), 1);
			virtqueue_push(&f->vq, 0, 1);
			virtqueue_publish(&f->vq);
			assert_int_equal(i & 1 ? pop(f) : virtqueue_pending(&f->vq), 0);
		}
	}
}

static void
who_polls_is_not_rung_for(void **state)
{
	struct fix *f = *state;

	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		unsigned rings = 0;

		start(f, SIZE, event_idx ? VIRTIO_F_EVENT_IDX : 0);
		virtqueue_enable_notify(&f->vq);
		virtqueue_disable_notify(&f->vq);
		for (unsigned i = 0; i < 1000; i++) {
			ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
			rings += ring_offer_rings(&f->ring, 0, event_idx);
			assert_int_equal(pop(f), 1);
			virtqueue_push(&f->vq, 0, 1);
			assert_int_equal(pop(f), 0);
		}
		assert_true(rings <= event_idx);
		assert_false(virtqueue_enable_notify(&f->vq));
		assert_true(ring_offer_rings(&f->ring, 0, event_idx));
	}
}

static void
who_waits_for_more_than_there_is_is_rung_for_it(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_enable_notify(&f->vq);
	for (unsigned i = 0; i < 3; i++)
		ring_desc(&f->ring, i, DATA_GPA, 1, F_WRITE, 0);
	assert_true(ring_offer_rings(&f->ring, 0, true));
	assert_int_equal(pop(f), 1);
	virtqueue_unpop(&f->vq, &f->c);
	assert_false(virtqueue_enable_notify(&f->vq));
	assert_true(ring_offer_rings(&f->ring, 1, true));
	assert_true(virtqueue_enable_notify(&f->vq));
	assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 1);
}

static void
a_queue_that_is_watched_is_not_rung_for_and_loses_nothing(void **state)
{
	struct fix *f = *state;
	unsigned rings = 0;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_enable_notify(&f->vq);
	virtqueue_watch(&f->vq);
	for (unsigned i = 0; i < 70000; i++) {
		ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
		assert_false(virtqueue_rang(&f->vq));
		rings += ring_offer_rings(&f->ring, 0, true);
		assert_true(virtqueue_rang(&f->vq));
		virtqueue_disable_notify(&f->vq);
		assert_false(virtqueue_rang(&f->vq)); /* it is being served */
		assert_int_equal(pop(f), 1);
		virtqueue_push(&f->vq, 0, 1);
		assert_int_equal(pop(f), 0);
		assert_false(virtqueue_enable_notify(&f->vq));
	}
	/* the one that was asked for before, each time the index comes around */
	assert_true(rings <= 2);
	assert_false(virtqueue_unwatch(&f->vq));
	assert_true(ring_offer_rings(&f->ring, 0, true));
}

static void
what_came_before_the_end_of_a_watch_is_told_at_its_end(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_watch(&f->vq);
	virtqueue_enable_notify(&f->vq);
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_true(virtqueue_unwatch(&f->vq));
	assert_false(virtqueue_unwatch(&f->vq));
	assert_int_equal(pop(f), 1);
}

/* A device that may not serve now (its rate, a port that nobody reads) would be told for ever. */
static void
what_nobody_takes_is_told_once(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_enable_notify(&f->vq);
	virtqueue_watch(&f->vq);
	for (uint16_t i = 0; i < 3; i++) {
		ring_desc(&f->ring, i, DATA_GPA, 1, F_WRITE, 0);
		ring_offer(&f->ring, i);
		assert_true(virtqueue_rang(&f->vq));
		assert_false(virtqueue_rang(&f->vq));
	}
	assert_int_equal(pop(f), 1);
}

static void
a_watch_asks_for_no_bell_that_the_device_does_not_want(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_enable_notify(&f->vq);
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
	assert_true(ring_offer_rings(&f->ring, 0, true));
	virtqueue_watch(&f->vq);
	virtqueue_disable_notify(&f->vq);
	assert_false(virtqueue_unwatch(&f->vq));
	assert_int_equal(ring_avail_event(&f->ring), 0);
	assert_true(virtqueue_enable_notify(&f->vq));
}

static void
without_event_idx_a_watch_changes_nothing(void **state)
{
	struct fix *f = *state;

	virtqueue_watch(&f->vq);
	virtqueue_disable_notify(&f->vq);
	assert_int_equal(ring_used_flags(&f->ring), 1);
	assert_false(virtqueue_enable_notify(&f->vq));
	assert_int_equal(ring_used_flags(&f->ring), 0);
	ring_desc(&f->ring, 0, DATA_GPA, 1, F_WRITE, 0);
	assert_true(ring_offer_rings(&f->ring, 0, false));
	assert_false(virtqueue_rang(&f->vq));
	assert_false(virtqueue_unwatch(&f->vq));
}

static void
an_index_that_cannot_be_ends_a_watch(void **state)
{
	struct fix *f = *state;

	start(f, SIZE, VIRTIO_F_EVENT_IDX);
	virtqueue_watch(&f->vq);
	virtqueue_enable_notify(&f->vq);
	le16_put(ram_at(&f->ram, f->ring.at.driver + 2), SIZE + 1);
	assert_true(virtqueue_rang(&f->vq));
	assert_int_equal(pop(f), -EPROTO);
	assert_false(virtqueue_rang(&f->vq));
	assert_false(virtqueue_unwatch(&f->vq));
	virtqueue_stop(&f->vq);
	virtqueue_watch(&f->vq);
	assert_false(virtqueue_rang(&f->vq));
	assert_false(virtqueue_unwatch(&f->vq));
}

/* ---- bytes ---- */

static void
bytes_are_copied_across_pieces(void **state)
{
	struct fix *f = *state;
	uint8_t buf[64];

	memcpy(ram_at(&f->ram, DATA_GPA), "abcdefgh", 8);
	ring_desc(&f->ring, 0, DATA_GPA, 3, F_NEXT, 1);
	ring_desc(&f->ring, 1, DATA_GPA + 3, 5, F_NEXT, 2);
	ring_desc(&f->ring, 2, DATA_GPA + 0x100, 2, F_NEXT | F_WRITE, 3);
	ring_desc(&f->ring, 3, DATA_GPA + 0x200, 4, F_WRITE, 0);
	ring_offer(&f->ring, 0);
	assert_int_equal(pop(f), 1);

	assert_int_equal(vq_chain_read(&f->c, 0, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "abcdefgh", 8);
	assert_int_equal(vq_chain_read(&f->c, 2, buf, 3), 3);
	assert_memory_equal(buf, "cde", 3);
	assert_int_equal(vq_chain_read(&f->c, 3, buf, 5), 5);
	assert_memory_equal(buf, "defgh", 5);
	assert_int_equal(vq_chain_read(&f->c, 8, buf, 1), 0);
	assert_int_equal(vq_chain_read(&f->c, UINT64_MAX, buf, 1), 0);

	assert_int_equal(vq_chain_write(&f->c, 1, "XYZ", 3), 3);
	assert_memory_equal(ram_at(&f->ram, DATA_GPA + 0x100), "\0X", 2);
	assert_memory_equal(ram_at(&f->ram, DATA_GPA + 0x200), "YZ\0\0", 4);
	assert_int_equal(vq_chain_write(&f->c, 4, "0123456789", 10), 2);
	assert_memory_equal(ram_at(&f->ram, DATA_GPA + 0x200), "YZ01\0", 5);
	/* A readable piece is never written. */
	assert_memory_equal(ram_at(&f->ram, DATA_GPA), "abcdefgh", 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(sizes_are_powers_of_two_up_to_the_maximum),
		T(parts_are_aligned_to_16_2_and_4),
		T(parts_lie_in_ram_to_their_last_byte),
		T(parts_that_wrap_around_are_refused),
		T(start_writes_nothing_to_the_guest),
		T(a_stopped_queue_does_nothing),
		T(a_queue_started_again_begins_at_entry_0_and_is_whole),
		T(an_empty_ring_gives_nothing),
		T(a_chain_is_readable_pieces_then_writable_ones),
		T(what_was_not_shown_is_not_taken),
		T(unknown_flags_are_ignored),
		T(readable_after_writable_breaks),
		T(a_piece_of_no_length_is_left_out),
		T(a_chain_of_nothing_is_a_chain),
		T(a_piece_reaches_to_the_last_byte_of_ram_and_no_further),
		T(pieces_outside_ram_break),
		T(a_head_out_of_range_breaks),
		T(a_next_out_of_range_breaks),
		T(loops_break),
		T(a_chain_may_be_as_long_as_the_queue),
		T(more_pieces_than_the_device_takes_break),
		T(a_chain_of_more_than_4_gib_breaks),
		T(descriptors_are_copied_before_they_are_checked),
		T(an_index_that_is_too_far_ahead_breaks),
		T(an_index_that_goes_back_breaks),
		T(a_full_ring_is_taken_whole),
		T(indices_wrap_at_65536),
		T(a_head_in_flight_cannot_be_offered_again),
		T(a_chain_put_back_is_the_next_again),
		T(an_indirect_table_starts_at_0_and_may_jump),
		T(an_indirect_table_may_follow_direct_descriptors),
		T(an_indirect_table_needs_no_alignment),
		T(an_indirect_chain_may_be_as_long_as_the_queue),
		T(an_indirect_chain_longer_than_the_queue_breaks),
		T(direct_and_indirect_descriptors_count_together),
		T(a_loop_in_an_indirect_table_breaks),
		T(an_indirect_next_out_of_the_table_breaks),
		T(an_indirect_table_within_another_breaks),
		T(an_indirect_table_with_a_next_breaks),
		T(an_indirect_table_that_was_not_negotiated_breaks),
		T(indirect_tables_of_bad_length_or_place_break),
		T(what_is_pushed_becomes_visible_when_published),
		T(no_descriptor_and_no_available_entry_is_written),
		T(the_driver_can_switch_interrupts_off_by_flag),
		T(with_event_idx_the_flag_means_nothing),
		T(with_event_idx_an_interrupt_comes_when_the_event_is_passed),
		T(a_batch_over_the_event_is_one_interrupt),
		T(the_event_wraps_at_65536),
		T(doorbells_go_off_and_on_by_flag),
		T(doorbells_go_off_and_on_by_event),
		T(enabling_overwrites_what_memory_held),
		T(enabling_tells_of_what_came_meanwhile),
		T(who_finds_the_queue_empty_is_rung_for),
		T(who_polls_is_not_rung_for),
		T(who_waits_for_more_than_there_is_is_rung_for_it),
		T(a_queue_that_is_watched_is_not_rung_for_and_loses_nothing),
		T(what_came_before_the_end_of_a_watch_is_told_at_its_end),
		T(what_nobody_takes_is_told_once),
		T(a_watch_asks_for_no_bell_that_the_device_does_not_want),
		T(without_event_idx_a_watch_changes_nothing),
		T(an_index_that_cannot_be_ends_a_watch),
		T(bytes_are_copied_across_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
