/* SPDX-License-Identifier: ISC */
/* The x86-64 half of a vCPU: CPUID, MSRs, boot registers, EOI exits, the dump. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cpuid.h"
#include "err.h"
#include "exit_status.h"
#include "exits.h"
#include "util.h"
#include "vcpu_arch.h"
#include "vm.h"

enum {
	CPUID_ENTRIES_MAX = 256,
	MSR_IA32_MISC_ENABLE = 0x1a0,
	MSR_IA32_MTRR_DEF_TYPE = 0x2ff,
	MSR_K7_HWCR = 0xc0010015,
	HWCR_TSC_FREQ_SEL = 1 << 24,
	MISC_ENABLE_FAST_STRING = 1 << 0,
	MTRR_ENABLE_WB = 1 << 11 | 6,
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR0_NE = 1 << 5,
	CR0_PG = 1u << 31,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	RFLAGS_FIXED = 1 << 1,
};

_Static_assert(sizeof(struct cpuid_entry) == sizeof(struct kvm_cpuid_entry2),
	       "cpuid.h has KVM's layout without its header");

/* What all vCPUs have in common. The first thread that needs the table asks KVM. */
struct cpuid_table {
	pthread_mutex_t lock;
	struct kvm_cpuid2 *host; /* NULL: not asked yet */
};

int
vcpu_arch_env_init(struct vcpu_env *env, struct err *e)
{
	struct cpuid_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set_status(e, EXIT_STATUS_HOST, ENOMEM, "out of memory");
	pthread_mutex_init(&t->lock, NULL);
	env->arch = t;
	return 0;
}

void
vcpu_arch_env_fini(struct vcpu_env *env)
{
	struct cpuid_table *t = env->arch;

	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->host);
	free(t);
	env->arch = NULL;
}

static size_t
table_len(void)
{
	return sizeof(struct kvm_cpuid2) +
	       CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2);
}

static int
ask_host(struct vcpu *v, struct kvm_cpuid2 **ret, struct err *e)
{
	struct kvm_cpuid2 *host = calloc(1, table_len());

	if (!host)
		return err_set_status(e, EXIT_STATUS_HOST, ENOMEM, "out of memory");
	host->nent = CPUID_ENTRIES_MAX;
	if (ioctl(vm_kvm_fd(v->env->vm), KVM_GET_SUPPORTED_CPUID, host) < 0) {
		int rc = err_set_status(e, EXIT_STATUS_HOST, errno,
					"KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));

		free(host);
		return rc;
	}
	*ret = host;
	return 0;
}

static int
host_cpuid(struct vcpu *v, const struct kvm_cpuid2 **ret, struct err *e)
{
	struct cpuid_table *t = v->env->arch;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->host)
		rc = ask_host(v, &t->host, e);
	*ret = t->host;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int
set_cpuid(struct vcpu *v, struct err *e)
{
	const struct kvm_cpuid2 *host;
	struct kvm_cpuid2 *mine;
	struct cpuid_vcpu cv = {
		.id = v->id,
		.ncpu = v->env->ncpu,
		.tsc_deadline = vm_check(v->env->vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
	};
	int rc = host_cpuid(v, &host, e);

	if (rc)
		return rc;
	mine = malloc(table_len());
	if (!mine)
		return err_set_status(e, EXIT_STATUS_HOST, ENOMEM, "out of memory");
	memcpy(mine, host, sizeof(*host) + host->nent * sizeof(host->entries[0]));
	mine->nent = cpuid_for_vcpu((struct cpuid_entry *)(void *)mine->entries,
				    mine->nent, CPUID_ENTRIES_MAX, &cv);
	if (ioctl(v->fd, KVM_SET_CPUID2, mine) < 0)
		rc = err_set_status(e, EXIT_STATUS_HOST, errno,
				    "vCPU %u: KVM_SET_CPUID2: %s", v->id,
				    strerror(errno));
	free(mine);
	return rc;
}

/*
 * What firmware would have set: fast string operations, without which Linux on
 * Intel gives up `rep movsb`, and MTRRs on with write-back as the default,
 * without which it gives up PAT, and on AMD that the TSC counts at the P0 frequency,
 * without which it complains.  KVM stops at the first that it refuses (the last one,
 * before Linux 6.7): no loss.
 */
static void
set_msrs(struct vcpu *v)
{
	static const struct kvm_msr_entry entry[] = {
		{ .index = MSR_IA32_MTRR_DEF_TYPE, .data = MTRR_ENABLE_WB },
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_K7_HWCR, .data = HWCR_TSC_FREQ_SEL },
	};
	_Alignas(struct kvm_msrs) uint8_t buf[sizeof(struct kvm_msrs) + sizeof(entry)];
	struct kvm_msrs *msrs = (struct kvm_msrs *)(void *)buf;

	*msrs = (struct kvm_msrs){ .nmsrs = ARRAY_SIZE(entry) };
	memcpy(msrs->entries, entry, sizeof(entry));
	(void)ioctl(v->fd, KVM_SET_MSRS, msrs);
}

int
vcpu_arch_init(struct vcpu *v, struct err *e)
{
	int rc = set_cpuid(v, e);

	if (rc == 0)
		set_msrs(v);
	return rc;
}

static struct kvm_segment
flat_segment(uint16_t selector, bool code, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = code ? 11 : 3, /* accessed; execute-read or read-write */
		.present = 1,
		.db = !(code && long_mode),
		.s = 1,
		.l = code && long_mode,
		.g = 1,
	};
}

int
vcpu_arch_set_boot(struct vcpu *v, const struct vcpu_boot *boot, struct err *e)
{
	struct kvm_regs regs = { .rip = boot->entry, .rflags = RFLAGS_FIXED };
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		goto failed;
	s.cs = flat_segment(0x10, true, boot->long_mode);
	s.ds = flat_segment(0x18, false, boot->long_mode);
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.gdt = (struct kvm_dtable){ .base = boot->gdt, .limit = boot->gdt_limit };
	s.idt = (struct kvm_dtable){ 0 }; /* no exception is survived before Linux
						 * has its own */
	/* The task register must look busy for VM entry. */
	s.tr = (struct kvm_segment){ .type = 11, .present = 1, .limit = 0x67 };
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	if (boot->long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = boot->cr3;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
		regs.rsi = boot->arg;
	} else {
		regs.rbx = boot->arg;
	}
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		goto failed;
	return 0;

failed:
	return err_set_status(e, EXIT_STATUS_HOST, errno, "vCPU %u: boot registers: %s",
			      v->id, strerror(errno));
}

int
vcpu_arch_exit(struct vcpu *v)
{
	if (v->run->exit_reason == KVM_EXIT_IOAPIC_EOI)
		return vcpu_forward(v, EXIT_IOAPIC_EOI, v->run->eoi.vector);
	return -ENOSYS;
}

static void
dump_segment(FILE *out, const char *name, const struct kvm_segment *s)
{
	fprintf(out, "  %s  %04x base %016llx limit %08x%s%s\n", name, s->selector,
		(unsigned long long)s->base, s->limit, s->l ? " 64-bit" : "",
		s->present ? "" : " not present");
}

void
vcpu_arch_dump(struct vcpu *v, FILE *out)
{
	static const char *const row[][4] = {
		{ "rax", "rbx", "rcx", "rdx" },
		{ "rsi", "rdi", "rsp", "rbp" },
		{ "r8 ", "r9 ", "r10", "r11" },
		{ "r12", "r13", "r14", "r15" },
	};
	struct kvm_regs regs = { 0 };
	struct kvm_sregs s;
	const unsigned long long *r = (const unsigned long long *)(const void *)&regs;

	if (ioctl(v->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(v->fd, KVM_GET_SREGS, &s) < 0) {
		fprintf(out, "  registers: %s\n", strerror(errno));
		return;
	}
	/* struct kvm_regs has them in this very order. */
	for (unsigned i = 0; i < 16; i++)
		fprintf(out, "%s%s %016llx%s", i % 4 ? " " : "  ", row[i / 4][i % 4],
			r[i], i % 4 == 3 ? "\n" : "");
	fprintf(out, "  rip %016llx rfl %016llx\n", regs.rip, regs.rflags);
	fprintf(out, "  cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n", s.cr0, s.cr2,
		s.cr3, s.cr4);
	fprintf(out, "  efer %llx  gdt %llx/%x  idt %llx/%x\n", s.efer, s.gdt.base,
		s.gdt.limit, s.idt.base, s.idt.limit);
	dump_segment(out, "cs", &s.cs);
	dump_segment(out, "ss", &s.ss);
}

uint64_t
vcpu_mpidr(const struct vcpu *v)
{
	return v->id; /* the APIC id; asked for on arm64 only */
}
