// SPDX-License-Identifier: ISC
/*
 * All CPUs that were asked for (cpus=) come up, each knows its own number, they
 * run at the same time, and they know about each other as the hardware says.
 */
#include "payload.h"
#ifdef __x86_64__
#include "x86_64.h"
#endif

static volatile unsigned seen[CPUS_MAX];
static volatile uint8_t topology_bad[CPUS_MAX];
static volatile unsigned together;
static volatile unsigned want;

#ifdef __x86_64__
/* CPUID as CPU id must see it (SDM 2, CPUID: leaves 1, 4, 0xb; AMD APM 3, E). */
static uint8_t
topology(unsigned id)
{
	struct cpuid l0 = cpuid(0, 0), l1 = cpuid(1, 0);

	if (l1.b >> 24 != (id & 0xff))
		return 1;
	/* HTT and the number of logical processors go together. */
	if (want > 1 && (!(l1.d & 1 << 28) || (l1.b >> 16 & 0xff) < want))
		return 2;
	if (l0.a < 0xb)
		return 0;
	struct cpuid smt = cpuid(0xb, 0), core = cpuid(0xb, 1);
	if (!smt.b)
		return 0; /* not implemented */
	if (smt.d != id || core.d != id)
		return 3;
	if ((smt.c >> 8 & 0xff) != 1 || (core.c >> 8 & 0xff) != 2)
		return 4;
	/* one thread a core, all cores in one package */
	if ((smt.b & 0xffff) != 1 || (core.b & 0xffff) != want)
		return 5;
	if ((smt.a & 0x1f) != 0 || 1u << (core.a & 0x1f) < want)
		return 6;
	return 0;
}
#else
static uint8_t
topology(unsigned id)
{
	(void)id;
	return 0;
}
#endif

static void
cpu(void *arg)
{
	unsigned id = cpu_id();

	(void)arg;
	if (id < CPUS_MAX) {
		seen[id]++;
		topology_bad[id] = topology(id);
	}
	__atomic_add_fetch(&together, 1, __ATOMIC_ACQ_REL);
	/* Everybody waits for everybody: all exist at one time. */
	while (__atomic_load_n(&together, __ATOMIC_ACQUIRE) < want)
		cpu_relax();
	__atomic_add_fetch(&together, 1, __ATOMIC_ACQ_REL);
}

void
payload_main(void)
{
	unsigned n = cpu_count(), asked = (unsigned)cmdline_num("cpus", 1);

	want = asked;
	if (!check(n == asked, "smp-firmware-lists-all", "asked for %u, listed %u", asked,
		   n))
		return;
	unsigned started = cpu_start_all(n, cpu, NULL);
	if (!check(started == n - 1, "smp-all-start", "%u of %u", started, n - 1))
		return;
	cpu(NULL);
	uint64_t t = deadline_ms(10000);
	while (together < 2 * n && !passed(t))
		cpu_relax();
	check(together == 2 * n, "smp-all-run-together", "%u of %u", together, 2 * n);
	unsigned once = 0;
	for (unsigned i = 0; i < n; i++)
		once += seen[i] == 1;
	check(once == n, "smp-ids", "%u of %u ids seen once", once, n);
	for (unsigned i = 0; i < n; i++)
		if (topology_bad[i]) {
			fail("smp-topology", "CPU %u: rule %u", i, topology_bad[i]);
			return;
		}
	ok("smp-topology");
}
