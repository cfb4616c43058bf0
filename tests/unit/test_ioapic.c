/* SPDX-License-Identifier: ISC */
/* I/O APIC model: 82093AA plus the EOI register of version 0x20. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ioapic.h"
#include "irqchip.h"
#include "util.h"

#define LEVEL 0x8000u
#define LOW_ACTIVE 0x2000u
#define LOGICAL 0x800u
#define MASKED 0x10000u
#define REMOTE_IRR 0x4000u
#define MODE(n) ((uint32_t)(n) << 8)

struct rig {
	struct ioapic io;
	unsigned delivered;
	struct msi_msg last;
	unsigned route_changes;
	unsigned route_changes_at_delivery;
};

static void
note_delivery(void *arg, const struct msi_msg *msg)
{
	struct rig *r = arg;

	r->delivered++;
	r->last = *msg;
	r->route_changes_at_delivery = r->route_changes;
}

static void
note_routes(void *arg)
{
	((struct rig *)arg)->route_changes++;
}

static const struct ioapic_ops ops = { note_delivery, note_routes };

static int
set_up(void **state)
{
	struct rig *r = test_calloc(1, sizeof(*r));

	ioapic_init(&r->io, &ops, r);
	*state = r;
	return 0;
}

static int
tear_down(void **state)
{
	test_free(*state);
	return 0;
}

static uint32_t
get(struct rig *r, unsigned idx)
{
	ioapic_write(&r->io, 0x00, 4, idx);
	return (uint32_t)ioapic_read(&r->io, 0x10, 4);
}

static void
put(struct rig *r, unsigned idx, uint32_t val)
{
	ioapic_write(&r->io, 0x00, 4, idx);
	ioapic_write(&r->io, 0x10, 4, val);
}

static uint32_t
get_low(struct rig *r, unsigned pin)
{
	return get(r, 0x10 + 2 * pin);
}

static void
put_low(struct rig *r, unsigned pin, uint32_t val)
{
	put(r, 0x10 + 2 * pin, val);
}

static void
put_dest(struct rig *r, unsigned pin, uint32_t dest)
{
	put(r, 0x11 + 2 * pin, dest << 24);
}

/* ---- registers ---- */

static void
reset_state_is_all_masked_and_silent(void **state)
{
	struct rig *r = *state;

	assert_int_equal(get(r, 0), 0);
	assert_int_equal(get(r, 1), 0x00170020);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(get_low(r, pin), MASKED);
		assert_int_equal(get(r, 0x11 + 2 * pin), 0);
		ioapic_set_pin(&r->io, pin, true);
	}
	assert_int_equal(r->delivered, 0);
	assert_int_equal(r->route_changes, 0);
}

static void
pins_that_are_not_there_read_ones_and_take_nothing(void **state)
{
	struct rig *r = *state;

	ioapic_set_pins(&r->io, 10);
	assert_int_equal(get(r, 1), 0x00090020);
	put(r, 0x10 + 2 * 9, 0x51);
	assert_int_equal(get_low(r, 9), 0x51);
	for (unsigned pin = 10; pin < IOAPIC_PINS; pin++) {
		put(r, 0x10 + 2 * pin, 0x51);
		put(r, 0x11 + 2 * pin, 0);
		assert_int_equal(get_low(r, pin), 0xffffffff);
		assert_int_equal(get(r, 0x11 + 2 * pin), 0xffffffff);
	}
	ioapic_set_pins(&r->io, IOAPIC_PINS);
	assert_int_equal(get_low(r, 10), MASKED);
}

static void
only_the_id_bits_of_the_id_register_are_kept(void **state)
{
	struct rig *r = *state;

	put(r, 0, 0xffffffff);
	assert_int_equal(get(r, 0), 0x0f000000);
	assert_int_equal(get(r, 2), 0x0f000000); /* arbitration ID follows */
	put(r, 1, 0);
	put(r, 2, 0);
	assert_int_equal(get(r, 1), 0x00170020);
	assert_int_equal(get(r, 2), 0x0f000000);
}

static void
reserved_and_read_only_bits_are_not_stored(void **state)
{
	struct rig *r = *state;

	put_low(r, 5, 0xffffffff);
	assert_int_equal(get_low(r, 5), 0x1afff);
	put(r, 0x11 + 2 * 5, 0xffffffff);
	assert_int_equal(get(r, 0x11 + 2 * 5), 0xff000000);
	put_low(r, 5, MASKED | LEVEL | REMOTE_IRR);
	assert_int_equal(get_low(r, 5), MASKED | LEVEL);
}

static void
index_out_of_range_reads_ones_and_ignores_writes(void **state)
{
	struct rig *r = *state;
	struct ioapic before;

	for (unsigned idx = 0; idx < 0x100; idx++) {
		if (idx <= 2 || (idx >= 0x10 && idx < 0x40))
			continue;
		assert_int_equal(get(r, idx), 0xffffffff);
		before = r->io;
		put(r, idx, 0);
		assert_memory_equal(&before, &r->io, sizeof(before));
	}
}

static void
select_is_an_8_bit_register_of_any_width(void **state)
{
	struct rig *r = *state;

	ioapic_write(&r->io, 0x00, 4, 0xffffff01);
	assert_int_equal(ioapic_read(&r->io, 0x00, 4), 1);
	ioapic_write(&r->io, 0x00, 1, 0x10);
	assert_int_equal(ioapic_read(&r->io, 0x10, 4), MASKED);
}

static void
other_widths_and_offsets_do_nothing(void **state)
{
	static const unsigned widths[] = { 1, 2, 8 };
	struct rig *r = *state;
	struct ioapic before;

	put_low(r, 3, 0x33);
	before = r->io;
	for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
		assert_int_equal(ioapic_read(&r->io, 0x10, widths[i]), 0);
		ioapic_write(&r->io, 0x10, widths[i], 0x1);
		ioapic_write(&r->io, 0x40, widths[i], 0x33);
	}
	for (uint64_t off = 1; off < IOAPIC_LEN; off++) {
		if (off == 0x10 || off == 0x40)
			continue;
		assert_int_equal(ioapic_read(&r->io, off, 4), 0);
		ioapic_write(&r->io, off, 4, 0x1);
	}
	assert_memory_equal(&before, &r->io, sizeof(before));
}

/* ---- messages: SDM 3A, 11.11 ---- */

static void
message_carries_destination_mode_and_vector(void **state)
{
	struct rig *r = *state;

	put_dest(r, 4, 0x5a);
	put_low(r, 4, 0x34);
	ioapic_set_pin(&r->io, 4, true);
	assert_int_equal(r->last.addr, 0xfee5a000);
	assert_int_equal(r->last.data, 0x34);

	put_low(r, 5, LEVEL | LOGICAL | MODE(1) | LOW_ACTIVE | 0x41);
	ioapic_set_pin(&r->io, 5, true);
	assert_int_equal(r->last.addr, 0xfee0000c); /* hint, logical */
	assert_int_equal(r->last.data, 0xc141);     /* level, assert, lowest priority */
	assert_int_equal(r->delivered, 2);
}

static void
smi_nmi_and_init_are_edges_even_when_marked_level(void **state)
{
	static const unsigned modes[] = { 2, 4, 5 };
	struct rig *r = *state;
	struct msi_msg msg;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		put_low(r, i, LEVEL | MODE(modes[i]));
		ioapic_set_pin(&r->io, i, true);
		assert_int_equal(r->delivered, i + 1);
		assert_int_equal(r->last.data, MODE(modes[i]));
		assert_int_equal(get_low(r, i), LEVEL | MODE(modes[i]));
		assert_false(ioapic_route(&r->io, i, &msg));
	}
	assert_int_equal(r->route_changes, 0);
}

static void
extint_and_reserved_modes_send_nothing(void **state)
{
	static const unsigned modes[] = { 3, 6, 7 };
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		put_low(r, i, MODE(modes[i]) | 0x40);
		put_low(r, 10 + i, LEVEL | MODE(modes[i]) | 0x40);
		ioapic_set_pin(&r->io, i, true);
		ioapic_set_pin(&r->io, 10 + i, true);
	}
	assert_int_equal(r->delivered, 0);
}

/* ---- edge ---- */

static void
edge_sends_once_on_each_rise(void **state)
{
	struct rig *r = *state;

	put_low(r, 4, 0x34);
	ioapic_set_pin(&r->io, 4, true);
	ioapic_set_pin(&r->io, 4, true);
	ioapic_set_pin(&r->io, 4, false);
	assert_int_equal(r->delivered, 1);
	ioapic_set_pin(&r->io, 4, true);
	assert_int_equal(r->delivered, 2);
	assert_int_equal(get_low(r, 4), 0x34); /* no remote IRR */
}

static void
edge_on_a_masked_pin_is_lost(void **state)
{
	struct rig *r = *state;

	put_low(r, 4, MASKED | 0x34);
	ioapic_set_pin(&r->io, 4, true);
	put_low(r, 4, 0x34);
	ioapic_set_pin(&r->io, 4, false);
	assert_int_equal(r->delivered, 0);
	ioapic_set_pin(&r->io, 4, true);
	assert_int_equal(r->delivered, 1);
}

/* ---- level ---- */

static void
level_waits_for_eoi_and_comes_again_while_asserted(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	assert_int_equal(get_low(r, 10), LEVEL | REMOTE_IRR | 0x51);
	ioapic_set_pin(&r->io, 10, false);
	ioapic_set_pin(&r->io, 10, true);
	assert_int_equal(r->delivered, 1);
	ioapic_eoi(&r->io, 0x51);
	assert_int_equal(r->delivered, 2);
	ioapic_set_pin(&r->io, 10, false);
	ioapic_eoi(&r->io, 0x51);
	assert_int_equal(r->delivered, 2);
	assert_int_equal(get_low(r, 10), LEVEL | 0x51);
}

static void
unmasking_an_asserted_level_pin_sends(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, MASKED | LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	assert_int_equal(r->delivered, 0);
	put_low(r, 10, LEVEL | 0x51);
	assert_int_equal(r->delivered, 1);
}

static void
unmasking_after_the_line_fell_sends_nothing(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, MASKED | LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	ioapic_set_pin(&r->io, 10, false);
	put_low(r, 10, LEVEL | 0x51);
	assert_int_equal(r->delivered, 0);
}

static void
eoi_register_is_an_eoi(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	ioapic_write(&r->io, 0x40, 4, 0x51);
	assert_int_equal(r->delivered, 2);
}

static void
eoi_ends_every_pin_of_the_vector_and_no_other(void **state)
{
	struct rig *r = *state;

	put_low(r, 1, LEVEL | 0x51);
	put_low(r, 2, LEVEL | 0x51);
	put_low(r, 3, LEVEL | 0x52);
	for (unsigned pin = 1; pin <= 3; pin++) {
		ioapic_set_pin(&r->io, pin, true);
		ioapic_set_pin(&r->io, pin, false);
	}
	ioapic_eoi(&r->io, 0x51);
	assert_int_equal(get_low(r, 1), LEVEL | 0x51);
	assert_int_equal(get_low(r, 2), LEVEL | 0x51);
	assert_int_equal(get_low(r, 3), LEVEL | REMOTE_IRR | 0x52);
}

static void
eoi_of_anything_at_any_time_is_harmless(void **state)
{
	struct rig *r = *state;
	struct ioapic before;

	ioapic_set_pin(&r->io, 10, true);
	put_low(r, 11, LEVEL | 0x51);
	before = r->io;
	for (unsigned vector = 0; vector < 0x1000; vector++)
		ioapic_eoi(&r->io, vector);
	ioapic_eoi(&r->io, ~0u);
	assert_memory_equal(&before, &r->io, sizeof(before));
	assert_int_equal(r->delivered, 0);
}

/* Linux masks before EOI when it moves an interrupt or runs a threaded handler. */
static void
eoi_while_masked_counts_and_unmasking_sends_again(void **state)
{
	struct rig *r = *state;
	struct msi_msg msg;

	put_low(r, 10, LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	put_low(r, 10, MASKED | LEVEL | 0x51);
	assert_int_equal(get_low(r, 10), MASKED | LEVEL | REMOTE_IRR | 0x51);
	assert_true(ioapic_route(&r->io, 10, &msg)); /* or its EOI is lost */
	ioapic_eoi(&r->io, 0x51);
	assert_false(ioapic_route(&r->io, 10, &msg));
	assert_int_equal(r->delivered, 1);
	put_low(r, 10, LEVEL | 0x51);
	assert_int_equal(r->delivered, 2);
}

/* Linux, __eoi_ioapic_pin(): mask and switch to edge, then write back. */
static void
switching_to_edge_and_back_clears_remote_irr(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	put_low(r, 10, MASKED | 0x51);
	assert_int_equal(get_low(r, 10), MASKED | 0x51);
	put_low(r, 10, LEVEL | 0x51);
	assert_int_equal(r->delivered, 2);
	assert_int_equal(get_low(r, 10), LEVEL | REMOTE_IRR | 0x51);
}

static void
switching_an_asserted_pin_to_level_sends(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, 0x51);
	ioapic_set_pin(&r->io, 10, true);
	put_low(r, 10, LEVEL | 0x51);
	assert_int_equal(r->delivered, 2);
}

static void
rewriting_an_entry_in_service_sends_nothing(void **state)
{
	struct rig *r = *state;

	put_low(r, 10, LEVEL | 0x51);
	ioapic_set_pin(&r->io, 10, true);
	put_low(r, 10, LEVEL | 0x61);
	put_dest(r, 10, 2);
	assert_int_equal(r->delivered, 1);
	assert_int_equal(get_low(r, 10), LEVEL | REMOTE_IRR | 0x61);
}

/* ---- routes ---- */

static void
only_unmasked_level_pins_have_a_route(void **state)
{
	struct rig *r = *state;
	struct msi_msg msg = { 0 };

	put_low(r, 1, 0x31);
	put_low(r, 2, MASKED | LEVEL | 0x32);
	put_low(r, 3, LEVEL | 0x33);
	assert_false(ioapic_route(&r->io, 1, &msg));
	assert_false(ioapic_route(&r->io, 2, &msg));
	assert_true(ioapic_route(&r->io, 3, &msg));
	assert_int_equal(msg.addr, 0xfee00000);
	assert_int_equal(msg.data, 0xc033);
}

static void
routes_are_reported_when_they_change_and_only_then(void **state)
{
	struct rig *r = *state;

	put_low(r, 3, 0x33);
	put_low(r, 3, MASKED | LEVEL | 0x33);
	put_dest(r, 3, 1);
	assert_int_equal(r->route_changes, 0);
	put_low(r, 3, LEVEL | 0x33);
	assert_int_equal(r->route_changes, 1);
	put_low(r, 3, LEVEL | 0x33);
	put_low(r, 3, LEVEL | LOW_ACTIVE | 0x33);
	put_dest(r, 3, 1);
	assert_int_equal(r->route_changes, 1);
	put_dest(r, 3, 2);
	assert_int_equal(r->route_changes, 2);
	put_low(r, 3, LEVEL | 0x34);
	assert_int_equal(r->route_changes, 3);
	ioapic_set_pin(&r->io, 3, true);
	ioapic_set_pin(&r->io, 3, false);
	ioapic_eoi(&r->io, 0x34);
	assert_int_equal(r->route_changes, 3);
	put_low(r, 3, MASKED | LEVEL | 0x34);
	assert_int_equal(r->route_changes, 4);
}

static void
route_is_reported_before_its_first_message(void **state)
{
	struct rig *r = *state;

	ioapic_set_pin(&r->io, 3, true);
	put_low(r, 3, LEVEL | 0x33);
	assert_int_equal(r->delivered, 1);
	assert_int_equal(r->route_changes_at_delivery, 1);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(reset_state_is_all_masked_and_silent),
		TEST(pins_that_are_not_there_read_ones_and_take_nothing),
		TEST(only_the_id_bits_of_the_id_register_are_kept),
		TEST(reserved_and_read_only_bits_are_not_stored),
		TEST(index_out_of_range_reads_ones_and_ignores_writes),
		TEST(select_is_an_8_bit_register_of_any_width),
		TEST(other_widths_and_offsets_do_nothing),
		TEST(message_carries_destination_mode_and_vector),
		TEST(smi_nmi_and_init_are_edges_even_when_marked_level),
		TEST(extint_and_reserved_modes_send_nothing),
		TEST(edge_sends_once_on_each_rise),
		TEST(edge_on_a_masked_pin_is_lost),
		TEST(level_waits_for_eoi_and_comes_again_while_asserted),
		TEST(unmasking_an_asserted_level_pin_sends),
		TEST(unmasking_after_the_line_fell_sends_nothing),
		TEST(eoi_register_is_an_eoi),
		TEST(eoi_ends_every_pin_of_the_vector_and_no_other),
		TEST(eoi_of_anything_at_any_time_is_harmless),
		TEST(eoi_while_masked_counts_and_unmasking_sends_again),
		TEST(switching_to_edge_and_back_clears_remote_irr),
		TEST(switching_an_asserted_pin_to_level_sends),
		TEST(rewriting_an_entry_in_service_sends_nothing),
		TEST(only_unmasked_level_pins_have_a_route),
		TEST(routes_are_reported_when_they_change_and_only_then),
		TEST(route_is_reported_before_its_first_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
