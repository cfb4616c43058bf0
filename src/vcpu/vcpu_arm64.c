/* SPDX-License-Identifier: ISC */
/*
 * The arm64 half of a vCPU: KVM_ARM_VCPU_INIT, boot registers, register dump.
 * Architecture references are to the Arm ARM (DDI 0487).
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

#include "err.h"
#include "exit_status.h"
#include "util.h"
#include "vcpu_arch.h"
#include "vm.h"

/* KVM_GET_ONE_REG names of the core registers, which are all 64 bits wide. */
#define CORE_REG(member) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 (uint64_t)KVM_REG_ARM_CORE_REG(member))

#define REG_X(n) (CORE_REG(regs.regs[0]) + 2 * (uint64_t)(n))
#define REG_SP_EL0 CORE_REG(regs.sp)
#define REG_PC CORE_REG(regs.pc)
#define REG_PSTATE CORE_REG(regs.pstate)
#define REG_SP_EL1 CORE_REG(sp_el1)
#define REG_ELR_EL1 CORE_REG(elr_el1)
#define REG_SPSR_EL1 CORE_REG(spsr[0])
/* D17.2: op0, op1, CRn, CRm, op2 */
#define REG_MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REG_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define REG_TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define REG_ESR_EL1 ARM64_SYS_REG(3, 0, 5, 2, 0)
#define REG_FAR_EL1 ARM64_SYS_REG(3, 0, 6, 0, 0)
#define REG_VBAR_EL1 ARM64_SYS_REG(3, 0, 12, 0, 0)

#define MPIDR_AFFINITY 0xff00ffffffull
/* What KVM puts into registers whose reset value is unknown. */
#define RESET_UNKNOWN 0x1de7ec7edbadc0deull

enum {
	PSTATE_EL1H = 5,
	PSTATE_DAIF = 0xf << 6, /* debug, SError, IRQ, FIQ masked */
};

/* What all vCPUs are made with: behind vcpu_env.arch. */
struct arch_env {
	struct kvm_vcpu_init init;
	bool sve;
	bool external_abort; /* KVM can inject one */
};

static int
get_reg(const struct vcpu *v, uint64_t id, uint64_t *ret)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)ret };

	return ioctl(v->fd, KVM_GET_ONE_REG, &reg) < 0 ? -errno : 0;
}

static int
set_reg(const struct vcpu *v, uint64_t id, uint64_t val)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&val };

	return ioctl(v->fd, KVM_SET_ONE_REG, &reg) < 0 ? -errno : 0;
}

/* ---- life ---- */

static void
feature_set(struct kvm_vcpu_init *init, unsigned bit)
{
	init->features[bit / 32] |= 1u << bit % 32;
}

/*
 * What the host's CPU can do and costs nothing to offer.  KVM wants both kinds of
 * pointer authentication or none (Documentation/virt/kvm/api.rst, 4.82).
 */
static void
choose_features(struct vm *vm, struct arch_env *ae)
{
	feature_set(&ae->init, KVM_ARM_VCPU_PSCI_0_2);
	if (vm_check(vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) != 0 &&
	    vm_check(vm, KVM_CAP_ARM_PTRAUTH_GENERIC) != 0) {
		feature_set(&ae->init, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		feature_set(&ae->init, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	ae->sve = vm_check(vm, KVM_CAP_ARM_SVE) != 0;
	if (ae->sve)
		feature_set(&ae->init, KVM_ARM_VCPU_SVE);
}

int
vcpu_arch_env_init(struct vcpu_env *env, struct err *e)
{
	struct arch_env *ae = calloc(1, sizeof(*ae));
	struct kvm_enable_cap nisv = { .cap = KVM_CAP_ARM_NISV_TO_USER };

	if (ae == NULL)
		return err_set(e, ENOMEM, "out of memory");
	if (ioctl(vm_fd(env->vm), KVM_ARM_PREFERRED_TARGET, &ae->init) < 0) {
		int rc = err_set_status(e, EXIT_STATUS_HOST, errno,
					"KVM has no vCPU for this host's CPU: %s",
					strerror(errno));

		free(ae);
		return rc;
	}
	choose_features(env->vm, ae);
	/* Without it KVM_RUN fails where vcpu_arch_exit() could answer. */
	ae->external_abort = vm_check(env->vm, KVM_CAP_ARM_INJECT_EXT_DABT) != 0 &&
			     ioctl(vm_fd(env->vm), KVM_ENABLE_CAP, &nisv) == 0;
	env->arch = ae;
	return 0;
}

void
vcpu_arch_env_fini(struct vcpu_env *env)
{
	free(env->arch);
	env->arch = NULL;
}

int
vcpu_arch_init(struct vcpu *v, struct err *e)
{
	const struct arch_env *ae = v->env->arch;
	struct kvm_vcpu_init init = ae->init;
	int sve = KVM_ARM_VCPU_SVE;

	/* The others sleep until PSCI CPU_ON. */
	if (v->id != 0)
		feature_set(&init, KVM_ARM_VCPU_POWER_OFF);
	if (ioctl(v->fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return err_set_status(e, EXIT_STATUS_HOST, errno,
				      "vCPU %u: KVM_ARM_VCPU_INIT: %s", v->id,
				      strerror(errno));
	if (ae->sve && ioctl(v->fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0)
		return err_set_status(e, EXIT_STATUS_HOST, errno,
				      "vCPU %u: KVM_ARM_VCPU_FINALIZE: %s", v->id,
				      strerror(errno));
	return 0;
}

/*
 * Documentation/arch/arm64/booting.rst, 4: x0 the device tree, x1 to x3 zero as
 * KVM_ARM_VCPU_INIT left them, EL1 with everything masked, MMU off.
 */
int
vcpu_arch_set_boot(struct vcpu *v, const struct vcpu_boot *boot, struct err *e)
{
	const struct {
		uint64_t id, val;
	} regs[] = {
		{ REG_PC, boot->entry },
		{ REG_X(0), boot->arg },
		{ REG_PSTATE, PSTATE_EL1H | PSTATE_DAIF },
	};

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		int rc = set_reg(v, regs[i].id, regs[i].val);

		if (rc < 0)
			return err_set_status(e, EXIT_STATUS_HOST, -rc,
					      "vCPU %u: cannot set its registers: %s",
					      v->id, strerror(-rc));
	}
	return 0;
}

uint64_t
vcpu_mpidr(const struct vcpu *v)
{
	uint64_t mpidr = 0;
	int rc = get_reg(v, REG_MPIDR_EL1, &mpidr);

	assert(rc == 0); /* every initialised vCPU has one */
	return mpidr & MPIDR_AFFINITY;
}

/* ---- exits ---- */

/*
 * The guest accessed a device with an instruction that leaves no syndrome (a
 * pair, a vector, a write-back): nobody but the guest can say what it meant.
 * It gets what a bus that refuses an access gives: an external abort.
 */
static int
exit_nisv(struct vcpu *v)
{
	struct kvm_vcpu_events events;

	memset(&events, 0, sizeof(events));
	events.exception.ext_dabt_pending = 1;
	return ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events) < 0 ? -ENOSYS : 0;
}

int
vcpu_arch_exit(struct vcpu *v)
{
	const struct arch_env *ae = v->env->arch;

	if (v->run->exit_reason == KVM_EXIT_ARM_NISV && ae->external_abort)
		return exit_nisv(v);
	return -ENOSYS;
}

/* ---- the dump ---- */

struct named_reg {
	const char *name;
	uint64_t id;
};

static void
dump_reg(const struct vcpu *v, FILE *out, const char *name, uint64_t id, char end)
{
	uint64_t val;

	if (get_reg(v, id, &val) < 0)
		fprintf(out, "  %-8s ?               %c", name, end);
	else
		fprintf(out, "  %-8s %016" PRIx64 "%c", name, val, end);
}

/* The exception classes that a person who debugs a kernel meets (D17.2.37). */
static const char *
exception_name(uint64_t esr)
{
	static const struct {
		uint8_t ec;
		const char *name;
	} names[] = {
		{ 0x00, "an undefined instruction" },
		{ 0x07, "a trapped floating-point instruction" },
		{ 0x0e, "an illegal execution state" },
		{ 0x15, "a system call" },
		{ 0x18, "a trapped system register" },
		{ 0x20, "an instruction abort at EL0" },
		{ 0x21, "an instruction abort at EL1" },
		{ 0x22, "a misaligned pc" },
		{ 0x24, "a data abort at EL0" },
		{ 0x25, "a data abort at EL1" },
		{ 0x26, "a misaligned sp" },
		{ 0x2f, "an SError" },
		{ 0x3c, "a BRK instruction" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].ec == (esr >> 26 & 0x3f))
			return names[i].name;
	return "an exception of another class";
}

static void
explain(const struct vcpu *v, FILE *out)
{
	uint64_t esr, elr, far, pstate;

	if (get_reg(v, REG_ESR_EL1, &esr) < 0 || get_reg(v, REG_ELR_EL1, &elr) < 0 ||
	    get_reg(v, REG_FAR_EL1, &far) < 0 || get_reg(v, REG_PSTATE, &pstate) < 0)
		return;
	fprintf(out, "  It runs at EL%u", (unsigned)(pstate >> 2 & 3));
	if (esr == RESET_UNKNOWN || (esr == 0 && elr == 0)) {
		fprintf(out, " and has taken no synchronous exception yet.\n");
		return;
	}
	fprintf(out,
		"; the last synchronous exception it took to EL1 was %s (ESR_EL1), "
		"coming from 0x%" PRIx64 " (ELR_EL1), fault address 0x%" PRIx64
		" (FAR_EL1).\n",
		exception_name(esr), elr, far);
}

void
vcpu_arch_dump(struct vcpu *v, FILE *out)
{
	static const struct named_reg special[] = {
		{ "pc", REG_PC },
		{ "pstate", REG_PSTATE },
		{ "sp_el0", REG_SP_EL0 },
		{ "sp_el1", REG_SP_EL1 },
		{ "elr_el1", REG_ELR_EL1 },
		{ "spsr_el1", REG_SPSR_EL1 },
		{ "esr_el1", REG_ESR_EL1 },
		{ "far_el1", REG_FAR_EL1 },
		{ "vbar_el1", REG_VBAR_EL1 },
		{ "sctlr", REG_SCTLR_EL1 },
		{ "ttbr0", REG_TTBR0_EL1 },
		{ "ttbr1", REG_TTBR1_EL1 },
	};

	for (unsigned i = 0; i < 31; i++) {
		char name[8];

		snprintf(name, sizeof(name), "x%u", i);
		dump_reg(v, out, name, REG_X(i), i % 3 == 2 || i == 30 ? '\n' : ' ');
	}
	for (unsigned i = 0; i < ARRAY_SIZE(special); i++)
		dump_reg(v, out, special[i].name, special[i].id, i % 3 == 2 ? '\n' : ' ');
	explain(v, out);
}
