/* SPDX-License-Identifier: ISC */
/* CPUID leaves of one vCPU: no trace of the host's topology is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpuid.h"
#include "util.h"

enum { MAX = 32 };

/* A host with 2 threads a core, 8 cores, as KVM lists it. */
static const struct cpuid_entry host[] = {
	{ .function = 0, .eax = 0x1f },
	{ .function = 1, .ebx = 0x0b100800, .ecx = 1 << 21, .edx = 1 << 28 },
	{ .function = 4,
	  .index = 0,
	  .flags = 1,
	  .eax = 0x1c004121 }, /* L1, shared by 2 */
	{ .function = 4,
	  .index = 3,
	  .flags = 1,
	  .eax = 0x1c03c163 }, /* L3, shared by 16 */
	{ .function = 4, .index = 4, .flags = 1, .eax = 0 },
	{ .function = 0xa, .eax = 0x07300802 },
	{ .function = 0xb,
	  .index = 0,
	  .flags = 1,
	  .eax = 1,
	  .ebx = 2,
	  .ecx = 0x100,
	  .edx = 11 },
	{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x400f },
	{ .function = 0x8000001d, .index = 3, .flags = 1, .eax = 0x3c163 },
	{ .function = 0x8000001e, .eax = 11, .ebx = 0x105, .ecx = 0x300 },
};

static const struct cpuid_entry *
find(const struct cpuid_entry *e, uint32_t n, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < n; i++)
		if (e[i].function == function && e[i].index == index)
			return &e[i];
	fail_msg("no leaf %x.%x", function, index);
	return NULL;
}

static uint32_t
make(struct cpuid_entry *e, unsigned id, unsigned ncpu, bool amd)
{
	struct cpuid_vcpu cv = { .id = id, .ncpu = ncpu, .tsc_deadline = true };
	uint32_t n = ARRAY_SIZE(host) - (amd ? 0 : 1);

	memcpy(e, host, n * sizeof(host[0]));
	return cpuid_for_vcpu(e, n, MAX, &cv);
}

static void
test_the_apic_id_is_the_vcpu_id_in_every_leaf(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 5, 6, true);

	(void)state;
	assert_int_equal(find(e, n, 1, 0)->ebx >> 24, 5);
	assert_int_equal(find(e, n, 0xb, 0)->edx, 5);
	assert_int_equal(find(e, n, 0xb, 1)->edx, 5);
	assert_int_equal(find(e, n, 0x8000001e, 0)->eax, 5);
	assert_int_equal(find(e, n, 0x8000001e, 0)->ebx, 5);
	assert_int_equal(find(e, n, 0x8000001e, 0)->ecx, 0);
}

static void
test_six_vcpus_are_six_cores_of_one_thread(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 0, 6, true);

	(void)state;
	assert_int_equal(find(e, n, 1, 0)->ebx >> 16 & 0xff, 8); /* ids, a power of 2 */
	assert_int_equal(find(e, n, 0xb, 0)->eax, 0); /* threads take no bit of the id */
	assert_int_equal(find(e, n, 0xb, 0)->ebx, 1);
	assert_int_equal(find(e, n, 0xb, 0)->ecx, 0x100);
	assert_int_equal(find(e, n, 0xb, 1)->eax, 3);
	assert_int_equal(find(e, n, 0xb, 1)->ebx, 6);
	assert_int_equal(find(e, n, 0xb, 1)->ecx, 0x201);
	assert_int_equal(find(e, n, 0xb, 2)->ecx, 2); /* level type 0: no more */
	assert_int_equal(find(e, n, 0x80000008, 0)->ecx, 3 << 12 | 5);
}

static void
test_caches_one_and_two_are_private_and_the_last_is_shared_by_all(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 0, 6, true);

	(void)state;
	assert_int_equal(find(e, n, 4, 0)->eax >> 14 & 0xfff, 0);
	assert_int_equal(find(e, n, 4, 3)->eax >> 14 & 0xfff, 7);
	assert_int_equal(find(e, n, 4, 0)->eax >> 26, 7);
	assert_int_equal(find(e, n, 4, 4)->eax, 0);
	assert_int_equal(find(e, n, 0x8000001d, 3)->eax >> 14 & 0xfff, 7);
}

static void
test_one_vcpu_does_not_claim_hyper_threading(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 0, 1, true);

	(void)state;
	assert_int_equal(find(e, n, 1, 0)->edx & 1 << 28, 0);
	assert_int_equal(find(e, n, 1, 0)->ebx >> 16 & 0xff, 1);
	assert_int_equal(find(e, n, 0x80000008, 0)->ecx & 0xf0ff, 0);
}

static void
test_the_guest_sees_a_hypervisor_a_tsc_deadline_timer_and_no_pmu(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 0, 2, true);

	(void)state;
	assert_true(find(e, n, 1, 0)->ecx & 1u << 31);
	assert_true(find(e, n, 1, 0)->ecx & 1u << 24);
	assert_true(find(e, n, 1, 0)->ecx & 1u << 21); /* what the host had stays */
	assert_int_equal(find(e, n, 0xa, 0)->eax, 0);
}

static void
test_on_intel_reserved_amd_fields_stay_as_they_were(void **state)
{
	struct cpuid_entry e[MAX];
	uint32_t n = make(e, 0, 6, false);

	(void)state;
	assert_int_equal(find(e, n, 0x80000008, 0)->ecx, 0x400f);
}

static void
test_a_full_table_is_not_overrun_by_added_subleaves(void **state)
{
	struct cpuid_entry e[ARRAY_SIZE(host) + 1];
	struct cpuid_vcpu cv = { .ncpu = 2 };

	(void)state;
	memcpy(e, host, sizeof(host));
	e[ARRAY_SIZE(host)].function = 0xdead;
	assert_int_equal(cpuid_for_vcpu(e, ARRAY_SIZE(host), ARRAY_SIZE(host), &cv),
			 ARRAY_SIZE(host));
	assert_int_equal(e[ARRAY_SIZE(host)].function, 0xdead);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_apic_id_is_the_vcpu_id_in_every_leaf),
		cmocka_unit_test(test_six_vcpus_are_six_cores_of_one_thread),
		cmocka_unit_test(
			test_caches_one_and_two_are_private_and_the_last_is_shared_by_all),
		cmocka_unit_test(test_one_vcpu_does_not_claim_hyper_threading),
		cmocka_unit_test(
			test_the_guest_sees_a_hypervisor_a_tsc_deadline_timer_and_no_pmu),
		cmocka_unit_test(test_on_intel_reserved_amd_fields_stay_as_they_were),
		cmocka_unit_test(test_a_full_table_is_not_overrun_by_added_subleaves),
	};

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
