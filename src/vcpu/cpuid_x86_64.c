/* SPDX-License-Identifier: ISC */
/* CPUID leaves that are the VMM's to say. See cpuid.h. */
#include "cpuid.h"

#include <stddef.h>
#include <string.h>

#include "util.h"

enum {
	CPUID_SIGNIFICANT_INDEX = 1, /* KVM_CPUID_FLAG_SIGNIFCANT_INDEX */
	LEAF1_ECX_TSC_DEADLINE = 1 << 24,
	LEAF1_ECX_HYPERVISOR = 1u << 31,
	LEAF1_EDX_HTT = 1 << 28,
	LEVEL_SMT = 1 << 8,
	LEVEL_CORE = 2 << 8,
};

/* Bits of an APIC id that tell apart n cores. */
static uint32_t
id_bits(unsigned n)
{
	uint32_t bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static void
leaf_1(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	uint32_t count = 1u << id_bits(cv->ncpu);

	if (count > 255)
		count = 255;
	c->ebx = (c->ebx & 0xffff) | count << 16 | (cv->id & 0xff) << 24;
	c->ecx |= LEAF1_ECX_HYPERVISOR;
	if (cv->tsc_deadline)
		c->ecx |= LEAF1_ECX_TSC_DEADLINE;
	if (cv->ncpu > 1)
		c->edx |= LEAF1_EDX_HTT;
	else
		c->edx &= ~(uint32_t)LEAF1_EDX_HTT;
}

/* Cache levels 1 and 2 belong to a core, the last to the package. */
static uint32_t
cache_sharing(const struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	uint32_t level = c->eax >> 5 & 7;

	return level >= 3 ? (1u << id_bits(cv->ncpu)) - 1 : 0;
}

/* Intel: deterministic cache parameters, and cores in the package. */
static void
leaf_4(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	uint32_t cores = (1u << id_bits(cv->ncpu)) - 1;

	if ((c->eax & 0x1f) == 0)
		return; /* no more caches */
	c->eax = (c->eax & 0x3fff) | cache_sharing(c, cv) << 14 |
		 (cores > 63 ? 63 : cores) << 26;
}

/* Extended topology, leaves 0xb and 0x1f: subleaf 0 threads, 1 cores, then none. */
static void
leaf_topology(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	c->eax = c->ebx = 0;
	c->ecx = c->index & 0xff;
	c->edx = cv->id;
	if (c->index == 0) {
		c->ebx = 1;
		c->ecx |= LEVEL_SMT;
	} else if (c->index == 1) {
		c->eax = id_bits(cv->ncpu);
		c->ebx = cv->ncpu;
		c->ecx |= LEVEL_CORE;
	}
}

/* AMD: number of cores and width of the core id. Intel has nothing there. */
static void
leaf_80000008(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	if (cv->amd)
		c->ecx = (c->ecx & ~0xf0ffu) | ((cv->ncpu - 1) & 0xff) |
			 id_bits(cv->ncpu) << 12;
}

/* AMD: deterministic cache parameters. */
static void
leaf_8000001d(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	if ((c->eax & 0x1f) != 0)
		c->eax = (c->eax & 0x3fff) | cache_sharing(c, cv) << 14;
}

/* AMD: this thread's place. */
static void
leaf_8000001e(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	c->eax = cv->id;
	c->ebx = cv->id & 0xff; /* core id; 1 thread in each core */
	c->ecx = 0;             /* node 0 of 1 */
}

static void
leaf_zero(struct cpuid_entry *c, const struct cpuid_vcpu *cv)
{
	(void)cv;
	c->eax = c->ebx = c->ecx = c->edx = 0;
}

static const struct {
	uint32_t function;
	void (*rewrite)(struct cpuid_entry *c, const struct cpuid_vcpu *cv);
} leaf_table[] = {
	{ 0x1, leaf_1 },
	{ 0x4, leaf_4 },
	{ 0xa, leaf_zero }, /* no PMU: its counters are the host's */
	{ 0xb, leaf_topology },
	{ 0x1f, leaf_topology },
	{ 0x80000008, leaf_80000008 },
	{ 0x8000001d, leaf_8000001d },
	{ 0x8000001e, leaf_8000001e },
	{ 0x80000026, leaf_zero }, /* AMD's later topology leaf: 0xb says it all */
};

static bool
has(const struct cpuid_entry *entry, uint32_t n, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < n; i++)
		if (entry[i].function == function && entry[i].index == index)
			return true;
	return false;
}

/* KVM lists the topology leaf with as many subleaves as the host has: often 1. */
static uint32_t
add_topology_subleaves(struct cpuid_entry *entry, uint32_t n, uint32_t max)
{
	static const uint32_t function[] = { 0xb, 0x1f };

	for (unsigned f = 0; f < ARRAY_SIZE(function); f++)
		for (uint32_t index = 0; index < 3 && has(entry, n, function[f], 0);
		     index++)
			if (!has(entry, n, function[f], index) && n < max)
				entry[n++] = (struct cpuid_entry){
					.function = function[f],
					.index = index,
					.flags = CPUID_SIGNIFICANT_INDEX,
				};
	return n;
}

uint32_t
cpuid_for_vcpu(struct cpuid_entry *entry, uint32_t n, uint32_t max,
	       const struct cpuid_vcpu *cv)
{
	struct cpuid_vcpu mine = *cv;

	mine.amd = has(entry, n, 0x8000001e, 0);
	n = add_topology_subleaves(entry, n, max);
	for (uint32_t i = 0; i < n; i++)
		for (unsigned l = 0; l < ARRAY_SIZE(leaf_table); l++)
			if (entry[i].function == leaf_table[l].function)
				leaf_table[l].rewrite(&entry[i], &mine);
	return n;
}
