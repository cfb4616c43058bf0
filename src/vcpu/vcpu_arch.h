/* SPDX-License-Identifier: ISC */
/*
 * A vCPU from the inside, and what differs between architectures:
 * vcpu_x86_64.c and vcpu_arm64.c implement the vcpu_arch_ functions.
 */
#ifndef VMM_VCPU_ARCH_H
#define VMM_VCPU_ARCH_H

#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "err.h"
#include "vcpu.h"

struct vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_len;
	struct kvm_coalesced_mmio_ring *ring; /* of the VM, by vCPU 0; NULL: none */
	uint32_t ring_n;
	unsigned id;
	struct vcpu_env *env;
	pthread_t thread;
	sem_t ready; /* the thread: vcpu_arch_init() is done */
	sem_t go;    /* the reactor: run */
	int init_rc; /* written before ready */
	struct err init_err;
	bool is_ready; /* the reactor's: ready was waited for, ... */
	bool running;  /* ... go was given, ... */
	bool joined;   /* ... the thread is gone */
	_Atomic bool stop;
	char *crash_text;
};

/* Once for a machine, before its first vCPU. */
int vcpu_arch_env_init(struct vcpu_env *env, struct err *e);
void vcpu_arch_env_fini(struct vcpu_env *env);

/* After KVM_CREATE_VCPU, on the vCPU's thread and beside others: everything but
 * where it starts. */
int vcpu_arch_init(struct vcpu *v, struct err *e);

/* The boot CPU: registers as the boot protocol wants them. */
int vcpu_arch_set_boot(struct vcpu *v, const struct vcpu_boot *boot, struct err *e);

/*
 * An exit that the common loop does not know.  0: handled, go on; -ECANCELED: the
 * vCPU is being stopped; -ENOSYS: unknown, which ends the guest.  On the vCPU's
 * thread.
 */
int vcpu_arch_exit(struct vcpu *v);

/* Registers for a person to read, several lines. On the vCPU's thread. */
void vcpu_arch_dump(struct vcpu *v, FILE *out);

/* Forwards to the reactor and waits; for vcpu_arch_exit(). */
int vcpu_forward(struct vcpu *v, unsigned kind, uint64_t addr);

/* Ends the guest: records a text (see vcpu_crash_text()) and tells the reactor. */
int vcpu_crash(struct vcpu *v, unsigned kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
