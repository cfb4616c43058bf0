/* SPDX-License-Identifier: ISC */
/*
 * The CPUID table of one vCPU, made from what KVM supports on this host.
 *
 * Pure.  One package, one core for each vCPU, no SMT; the host's own topology,
 * which KVM passes through, is replaced in every leaf that speaks of it (Intel
 * SDM 2A "CPUID", AMD APM 3 appendix E).
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <stdbool.h>
#include <stdint.h>

/* struct kvm_cpuid_entry2. */
struct cpuid_entry {
	uint32_t function;
	uint32_t index;
	uint32_t flags;
	uint32_t eax, ebx, ecx, edx;
	uint32_t padding[3];
};

struct cpuid_vcpu {
	unsigned id; /* = APIC id */
	unsigned ncpu;
	bool tsc_deadline; /* KVM emulates the deadline mode of the APIC timer */
	bool amd;          /* found by cpuid_for_vcpu() itself */
};

/* Rewrites n entries in place, with room for max; returns how many there are then. */
uint32_t cpuid_for_vcpu(struct cpuid_entry *entry, uint32_t n, uint32_t max,
			const struct cpuid_vcpu *cv);

#endif
