/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "irqchip.h"
#include "msix.h"
#include "util.h"

enum { NVEC = 70 };

struct fix {
	struct msix m;
	struct msi_sink sink;
	uint8_t *table; /* to the byte */
	struct msi_msg last;
	unsigned sent, changes;
};

static int
on_signal(void *arg, const struct msi_msg *msg)
{
	struct fix *x = arg;

	x->last = *msg;
	x->sent++;
	return 0;
}

static void
on_change(struct msix *m, unsigned vec)
{
	assert_true(vec < NVEC);
	container_of(m, struct fix, m)->changes++;
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	x->table = aligned_alloc(16, NVEC * MSIX_ENTRY_LEN);
	msix_init(&x->m, x->table, NVEC);
	x->sink = (struct msi_sink){ .signal = on_signal, .arg = x };
	x->m.sink = &x->sink;
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	free(x->table);
	free(x);
	return 0;
}

static void
set_vector(struct fix *x, unsigned vec, uint64_t addr, uint32_t data, bool masked)
{
	msix_table_write(&x->m, vec * 16, 8, addr);
	msix_table_write(&x->m, vec * 16 + 8, 4, data);
	msix_table_write(&x->m, vec * 16 + 12, 4, masked);
}

static void
vectors_start_masked_and_zero(void **state)
{
	struct fix *x = *state;

	for (unsigned i = 0; i < NVEC; i++) {
		assert_int_equal(msix_table_read(&x->m, i * 16, 8), 0);
		assert_int_equal(msix_table_read(&x->m, i * 16 + 8, 8), 1ull << 32);
	}
}

static void
a_vector_sends_its_message(void **state)
{
	struct fix *x = *state;

	x->m.devid = 0x28;
	msix_set_control(&x->m, true, false);
	set_vector(x, 69, 0x1fee00000, 0x4021, false);
	msix_raise(&x->m, 69);
	assert_int_equal(x->sent, 1);
	assert_int_equal(x->last.addr, 0x1fee00000);
	assert_int_equal(x->last.data, 0x4021);
	assert_int_equal(x->last.devid, 0x28);
}

static void
nothing_is_sent_or_kept_while_disabled(void **state)
{
	struct fix *x = *state;

	set_vector(x, 0, 0xfee00000, 1, false);
	msix_raise(&x->m, 0);
	msix_set_control(&x->m, true, false);
	assert_int_equal(x->sent, 0);
	assert_int_equal(msix_pba_read(&x->m, 0, 8), 0);
}

static void
vectors_out_of_range_are_harmless(void **state)
{
	static const unsigned bad[] = {
		NVEC, 255, 256, 2048, 0x7ffe, 0xffff, 0xffffffff
	};
	struct fix *x = *state;

	msix_set_control(&x->m, true, false);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct msi_msg msg;

		msix_raise(&x->m, bad[i]);
		assert_false(msix_message(&x->m, bad[i], &msg));
	}
	assert_int_equal(x->sent, 0);
	assert_int_equal(msix_pba_read(&x->m, 0, 8) | msix_pba_read(&x->m, 8, 8), 0);
}

static void
a_masked_vector_is_pending_until_it_is_unmasked(void **state)
{
	struct fix *x = *state;

	msix_set_control(&x->m, true, false);
	set_vector(x, 65, 0xfee00000, 7, true);
	msix_raise(&x->m, 65);
	msix_raise(&x->m, 65);
	assert_int_equal(x->sent, 0);
	assert_int_equal(msix_pba_read(&x->m, 8, 8), 2);
	/* With what is in the table by then, and once. */
	msix_table_write(&x->m, 65 * 16 + 8, 4, 8);
	assert_int_equal(x->sent, 0);
	msix_table_write(&x->m, 65 * 16 + 12, 4, 0);
	assert_int_equal(x->sent, 1);
	assert_int_equal(x->last.data, 8);
	assert_int_equal(msix_pba_read(&x->m, 8, 8), 0);
	msix_table_write(&x->m, 65 * 16 + 12, 4, 1);
	msix_table_write(&x->m, 65 * 16 + 12, 4, 0);
	assert_int_equal(x->sent, 1);
}

static void
the_function_mask_holds_all_vectors(void **state)
{
	struct fix *x = *state;

	msix_set_control(&x->m, true, true);
	for (unsigned i = 0; i < NVEC; i++) {
		set_vector(x, i, 0xfee00000, i, i == 3);
		msix_raise(&x->m, i);
	}
	assert_int_equal(x->sent, 0);
	assert_int_equal(msix_pba_read(&x->m, 0, 8), UINT64_MAX);
	msix_set_control(&x->m, true, false);
	assert_int_equal(x->sent, NVEC - 1);
	assert_int_equal(msix_pba_read(&x->m, 0, 8), 8);
	msix_table_write(&x->m, 3 * 16 + 12, 4, 0);
	assert_int_equal(x->sent, NVEC);
}

static void
disabling_forgets_what_was_pending(void **state)
{
	struct fix *x = *state;

	msix_set_control(&x->m, true, false);
	msix_raise(&x->m, 0);
	msix_set_control(&x->m, false, false);
	msix_set_control(&x->m, true, false);
	msix_table_write(&x->m, 12, 4, 0);
	assert_int_equal(x->sent, 0);
}

static void
reserved_bits_of_the_table_read_0(void **state)
{
	struct fix *x = *state;

	msix_table_write(&x->m, 0, 8, UINT64_MAX);
	msix_table_write(&x->m, 8, 8, UINT64_MAX);
	assert_int_equal(msix_table_read(&x->m, 0, 8), UINT64_MAX - 3);
	assert_int_equal(msix_table_read(&x->m, 8, 8), 0x1ffffffff);
}

static void
writes_of_any_width_change_their_bytes_only(void **state)
{
	struct fix *x = *state;

	for (unsigned len = 1; len <= 8; len++) {
		for (unsigned off = 0; off < 32; off++) {
			uint8_t want[48];

			memset(x->table, 0, 48);
			memset(want, 0, 48);
			msix_table_write(&x->m, off, len, 0xf8f4fcf8f4fcf8f4);
			for (unsigned i = 0; i < len; i++) {
				uint8_t b = (uint8_t)(0xf8f4fcf8f4fcf8f4 >> (8 * i));
				unsigned in = (off + i) % 16;

				want[off + i] = in < 12 ? b : in == 12 ? b & 1 : 0;
			}
			for (unsigned i = 0; i < 48; i += 16)
				want[i] &= 0xfc;
			assert_memory_equal(x->table, want, 48);
			for (unsigned i = 0; i < len; i++)
				assert_int_equal(msix_table_read(&x->m, off, len) >>
								 (8 * i) &
							 0xff,
						 want[off + i]);
		}
	}
}

static void
accesses_outside_table_and_array_are_harmless(void **state)
{
	static const uint64_t bad[] = { NVEC * 16, NVEC * 16 - 4, NVEC * 16 + 4096,
					UINT64_MAX - 3, UINT64_MAX };
	struct fix *x = *state;
	uint8_t before[NVEC * 16];

	memcpy(before, x->table, sizeof(before));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		msix_table_write(&x->m, bad[i], 8, 0);
		assert_int_equal(msix_table_read(&x->m, bad[i], 8), 0);
		assert_int_equal(msix_pba_read(&x->m, bad[i], 8), 0);
	}
	assert_int_equal(msix_pba_read(&x->m, 16, 1), 0);
	assert_int_equal(msix_pba_read(&x->m, 12, 8), 0);
	assert_memory_equal(before, x->table, sizeof(before));
}

static void
a_million_rewrites_change_nothing_but_the_message(void **state)
{
	struct fix *x = *state;

	x->m.changed = on_change;
	msix_set_control(&x->m, true, false);
	x->changes = 0;
	for (unsigned i = 0; i < 1000000; i++)
		msix_table_write(&x->m, (i % NVEC) * 16 + 8, 4, i);
	assert_int_equal(x->changes, 1000000);
	assert_int_equal(x->sent, 0);
	msix_table_write(&x->m, 12, 4, 0);
	msix_raise(&x->m, 0);
	assert_int_equal(x->last.data, 999999 / NVEC * NVEC);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(vectors_start_masked_and_zero),
		T(a_vector_sends_its_message),
		T(nothing_is_sent_or_kept_while_disabled),
		T(vectors_out_of_range_are_harmless),
		T(a_masked_vector_is_pending_until_it_is_unmasked),
		T(the_function_mask_holds_all_vectors),
		T(disabling_forgets_what_was_pending),
		T(reserved_bits_of_the_table_read_0),
		T(writes_of_any_width_change_their_bytes_only),
		T(accesses_outside_table_and_array_are_harmless),
		T(a_million_rewrites_change_nothing_but_the_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
