/* SPDX-License-Identifier: ISC */
/*
 * A vCPU: one thread that does nothing but KVM_RUN and forward exits.
 *
 * All functions on the reactor thread.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct exit;
struct mailboxes;
struct posted_range;
struct vcpu;
struct vm;

/* A range of the guest's addresses whose writes are posted. */
struct posted_range {
	uint64_t base;
	uint64_t len;
	bool mmio;
};

/* What all vCPUs of a machine share; const once the first one runs. */
struct vcpu_env {
	struct vm *vm;
	struct mailboxes *mailboxes;
	const struct posted_range *posted;
	unsigned nposted;
	unsigned ncpu;
	struct timing *timing;
	void *arch; /* x86-64: the CPUID table; see vcpu_env_init() */
};

/* Once for a machine, before its first vcpu_new(): what is the same for all vCPUs. */
int vcpu_env_init(struct vcpu_env *env, struct err *e);
void vcpu_env_fini(struct vcpu_env *env);

/* Where the boot CPU starts. The others wait for INIT/SIPI or PSCI CPU_ON. */
struct vcpu_boot {
	uint64_t entry; /* guest-physical = virtual */
	uint64_t arg;   /* x86-64: rsi (bzImage) or rbx (PVH); arm64: x0 */
	bool long_mode; /* x86-64: 64-bit entry; else 32-bit, paging off */
	uint64_t cr3;   /* x86-64 long mode: identity-mapping page table */
	uint64_t gdt;   /* x86-64: GDT: entry 2 (0x10) code, 3 (0x18) data */
	uint16_t gdt_limit;
};

/*
 * Makes the vCPU and its thread, which sets it up (CPUID and so on) while the
 * caller goes on, and then waits.  env must be complete but for posted.
 */
int vcpu_new(struct vcpu_env *env, unsigned id, struct vcpu **ret, struct err *e);
/* Waits until it is set up; what went wrong there is said here. */
int vcpu_ready(struct vcpu *v, struct err *e);
/* After vcpu_ready(). */
int vcpu_set_boot(struct vcpu *v, const struct vcpu_boot *boot, struct err *e);
/* After vcpu_ready(): off it goes. */
void vcpu_run(struct vcpu *v);

/* Asks the thread to leave and kicks it out of KVM_RUN; returns at once. At any
 * time, any number of times. */
void vcpu_stop(struct vcpu *v);
/* Waits until it has left. After vcpu_stop(). */
void vcpu_join(struct vcpu *v);
/* Stops and joins if that was not done. */
void vcpu_free(struct vcpu *v);

/*
 * Takes the oldest write out of the ring of vm_coalesce(), which all vCPUs of a machine
 * share: an EXIT_PIO_WRITE or EXIT_MMIO_WRITE.  False: it is empty.
 */
bool vcpu_coalesced(const struct vcpu *v, struct exit *ret);

/* After EXIT_CRASH or EXIT_HOST_ERROR: registers and what it means, several
 * lines. Valid until vcpu_free(). */
const char *vcpu_crash_text(const struct vcpu *v);

/* For src/gic: the affinity register of a vCPU (arm64 MPIDR_EL1 & 0xff00ffffff). */
uint64_t vcpu_mpidr(const struct vcpu *v);

#endif
