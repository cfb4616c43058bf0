/* SPDX-License-Identifier: ISC */
/* The vCPU thread: KVM_RUN, and exits to the mailbox. See vcpu.h. */
#include "vcpu.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "exit_status.h"
#include "exits.h"
#include "timing.h"
#include "util.h"
#include "vcpu_arch.h"
#include "vm.h"

/* Kicks a thread out of KVM_RUN; the handler does nothing. */
#define KICK_SIGNAL SIGUSR1

static void
kicked(int signum)
{
	(void)signum;
}

/* ---- forwarding ---- */

static bool
is_posted(const struct vcpu_env *env, bool mmio, uint64_t addr)
{
	for (unsigned i = 0; i < env->nposted; i++) {
		const struct posted_range *p = &env->posted[i];

		if (p->mmio == mmio && addr >= p->base && addr - p->base < p->len)
			return true;
	}
	return false;
}

static int
forward_access(struct vcpu *v, enum exit_kind kind, uint64_t addr, void *data,
	       unsigned len)
{
	struct exit x = {
		.kind = (uint8_t)kind,
		.len = (uint8_t)len,
		.vcpu = (uint16_t)v->id,
		.addr = addr,
	};
	bool write = kind == EXIT_PIO_WRITE || kind == EXIT_MMIO_WRITE;
	bool mmio = kind == EXIT_MMIO_READ || kind == EXIT_MMIO_WRITE;
	uint64_t result;
	int rc;

	if (write)
		memcpy(&x.data, data, len);
	if (write && is_posted(v->env, mmio, addr))
		return mailbox_post(v->env->mailboxes, &x);
	rc = mailbox_call(v->env->mailboxes, &x, &result);
	if (rc == 0 && !write)
		memcpy(data, &result, len);
	return rc;
}

int
vcpu_forward(struct vcpu *v, unsigned kind, uint64_t addr)
{
	struct exit x = { .kind = (uint8_t)kind, .vcpu = (uint16_t)v->id, .addr = addr };
	uint64_t ignored;

	return mailbox_call(v->env->mailboxes, &x, &ignored);
}

int
vcpu_crash(struct vcpu *v, unsigned kind, const char *fmt, ...)
{
	size_t len;
	FILE *out;
	va_list ap;

	free(v->crash_text);
	v->crash_text = NULL;
	out = open_memstream(&v->crash_text, &len);
	if (out) {
		va_start(ap, fmt);
		vfprintf(out, fmt, ap);
		va_end(ap);
		fputc('\n', out);
		vcpu_arch_dump(v, out);
		fclose(out);
	}
	vcpu_forward(v, kind, 0);
	return -ECANCELED; /* this vCPU is over, whatever the reactor does now */
}

/* ---- exits ---- */

static int
exit_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	enum exit_kind kind =
		run->io.direction == KVM_EXIT_IO_OUT ? EXIT_PIO_WRITE : EXIT_PIO_READ;

	/* A string instruction arrives as count accesses of one port. */
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		int rc = forward_access(v, kind, run->io.port, data, run->io.size);

		if (rc)
			return rc;
	}
	return 0;
}

static int
exit_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	return forward_access(v, run->mmio.is_write ? EXIT_MMIO_WRITE : EXIT_MMIO_READ,
			      run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static int
exit_intr(struct vcpu *v)
{
	(void)v; /* a signal; the loop looks at v->stop */
	return 0;
}

static int
exit_shutdown(struct vcpu *v)
{
	return vcpu_crash(v, EXIT_CRASH,
			  "vCPU %u: triple fault: the guest faulted while it handled a "
			  "fault, with no handler left",
			  v->id);
}

static int
exit_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return vcpu_forward(v, EXIT_POWEROFF, 0);
	case KVM_SYSTEM_EVENT_RESET:
		return vcpu_forward(v, EXIT_RESET, 0);
	default:
		return vcpu_crash(v, EXIT_CRASH,
				  "vCPU %u: the guest reports a crash (system "
				  "event %u)",
				  v->id, v->run->system_event.type);
	}
}

static int
exit_internal_error(struct vcpu *v)
{
	uint32_t sub = v->run->internal.suberror;

	if (sub == KVM_INTERNAL_ERROR_EMULATION)
		return vcpu_crash(
			v, EXIT_CRASH,
			"vCPU %u: KVM could not emulate an instruction: the guest "
			"jumped to where there is no memory, or this host's KVM has "
			"no hardware virtualisation and cannot run this kernel",
			v->id);
	return vcpu_crash(v, EXIT_CRASH,
			  "vCPU %u: KVM internal error %u: a bug in the host's "
			  "KVM, or a guest state that the CPU refuses",
			  v->id, sub);
}

static int
exit_fail_entry(struct vcpu *v)
{
	return vcpu_crash(v, EXIT_CRASH,
			  "vCPU %u: the CPU refuses to enter the guest (hardware reason "
			  "0x%llx): its state is not a legal one",
			  v->id,
			  (unsigned long long)
				  v->run->fail_entry.hardware_entry_failure_reason);
}

static int (*const exit_table[])(struct vcpu *) = {
	[KVM_EXIT_IO] = exit_io,
	[KVM_EXIT_MMIO] = exit_mmio,
	[KVM_EXIT_INTR] = exit_intr,
	[KVM_EXIT_SHUTDOWN] = exit_shutdown,
	[KVM_EXIT_SYSTEM_EVENT] = exit_system_event,
	[KVM_EXIT_INTERNAL_ERROR] = exit_internal_error,
	[KVM_EXIT_FAIL_ENTRY] = exit_fail_entry,
};

static int
handle_exit(struct vcpu *v)
{
	uint32_t reason = v->run->exit_reason;
	int rc;

	if (reason < ARRAY_SIZE(exit_table) && exit_table[reason])
		return exit_table[reason](v);
	rc = vcpu_arch_exit(v);
	if (rc == -ENOSYS)
		rc = vcpu_crash(v, EXIT_CRASH,
				"vCPU %u: KVM exit %u, which vmm does not know", v->id,
				reason);
	return rc;
}

static int
run_failed(struct vcpu *v, int errnum)
{
	if (errnum == EFAULT)
		return vcpu_crash(
			v, EXIT_HOST_ERROR,
			"vCPU %u: the memory behind a guest page is gone: was the kernel "
			"or initrd file truncated while it was mapped? (boot.copy = yes "
			"reads it instead)",
			v->id);
	return vcpu_crash(v, EXIT_HOST_ERROR, "vCPU %u: KVM_RUN: %s", v->id,
			  strerror(errnum));
}

/* A semaphore, and signals that interrupt the wait for it. */
static void
wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		assert(errno == EINTR);
}

static void *
vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	int rc;

	/* Most of a launch is here and in loading the kernel: side by side. */
	v->init_rc = vcpu_arch_init(v, &v->init_err);
	sem_post(&v->ready);
	wait_for(&v->go);
	rc = v->init_rc;
	if (v->id == 0)
		timing_mark(v->env->timing, TIMING_RUN);
	/*
	 * vcpu_stop() sets stop, then immediate_exit, then kicks: if the signal
	 * comes before KVM_RUN, immediate_exit makes that return at once, having
	 * completed the access of the last exit.
	 */
	while (rc == 0 && !atomic_load_explicit(&v->stop, memory_order_acquire)) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0)
			rc = handle_exit(v);
		else if (errno != EINTR && errno != EAGAIN)
			rc = run_failed(v, errno);
	}
	return NULL;
}

/* ---- writes that KVM holds back ---- */

/* The ring is a page of what is mapped as kvm_run, if this KVM has one. */
static void
find_ring(struct vcpu *v)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t off = (size_t)vm_check(v->env->vm, KVM_CAP_COALESCED_MMIO) * page;

	if (v->id != 0 || off == 0 || off + page > v->run_len)
		return;
	v->ring = (void *)((uint8_t *)v->run + off);
	v->ring_n = (uint32_t)((page - sizeof(*v->ring)) /
			       sizeof(v->ring->coalesced_mmio[0]));
}

bool
vcpu_coalesced(const struct vcpu *v, struct exit *ret)
{
	struct kvm_coalesced_mmio_ring *ring = v->ring;
	uint32_t first = ring ? ring->first : 0;

	/* KVM moves last, we move first; the entries between them are ours. */
	if (!ring || first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
		return false;

	const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[first];
	*ret = (struct exit){
		.kind = e->pio ? EXIT_PIO_WRITE : EXIT_MMIO_WRITE,
		.len = (uint8_t)e->len,
		.addr = e->phys_addr,
	};
	memcpy(&ret->data, e->data, sizeof(ret->data));
	ret->data &= ones(ret->len);
	__atomic_store_n(&ring->first, (first + 1) % v->ring_n, __ATOMIC_RELEASE);
	return true;
}

/* ---- life ---- */

int
vcpu_env_init(struct vcpu_env *env, struct err *e)
{
	struct sigaction sa = { .sa_handler = kicked };

	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
	return vcpu_arch_env_init(env, e);
}

void
vcpu_env_fini(struct vcpu_env *env)
{
	vcpu_arch_env_fini(env);
}

static int
start_thread(struct vcpu *v, struct err *e)
{
	pthread_attr_t attr;
	sigset_t set;
	int rc;

	/* Signals are for the reactor, but for the kick. */
	sigfillset(&set);
	sigdelset(&set, KICK_SIGNAL);
	pthread_attr_init(&attr);
	pthread_attr_setsigmask_np(&attr, &set);
	rc = pthread_create(&v->thread, &attr, vcpu_thread, v);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set_status(e, EXIT_STATUS_HOST, rc, "vCPU %u: no thread: %s",
				      v->id, strerror(rc));
	return 0;
}

int
vcpu_new(struct vcpu_env *env, unsigned id, struct vcpu **ret, struct err *e)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	int len, rc;

	if (!v)
		return err_set_status(e, EXIT_STATUS_HOST, ENOMEM, "out of memory");
	v->id = id;
	v->env = env;
	sem_init(&v->ready, 0, 0);
	sem_init(&v->go, 0, 0);
	v->fd = ioctl(vm_fd(env->vm), KVM_CREATE_VCPU, id);
	if (v->fd < 0) {
		rc = err_set_status(e, EXIT_STATUS_HOST, errno, "KVM_CREATE_VCPU %u: %s",
				    id, strerror(errno));
		goto free_vcpu;
	}
	len = ioctl(vm_kvm_fd(env->vm), KVM_GET_VCPU_MMAP_SIZE, 0);
	v->run_len = len > 0 ? (size_t)len : 0;
	v->run = mmap(NULL, v->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		rc = err_set_status(e, EXIT_STATUS_HOST, errno,
				    "vCPU %u: mmap of kvm_run: %s", id, strerror(errno));
		goto close_fd;
	}
	find_ring(v);
	rc = start_thread(v, e);
	if (rc)
		goto unmap;
	*ret = v;
	return 0;

unmap:
	munmap(v->run, v->run_len);
close_fd:
	close(v->fd);
free_vcpu:
	free(v);
	return rc;
}

int
vcpu_ready(struct vcpu *v, struct err *e)
{
	if (!v->is_ready) {
		wait_for(&v->ready);
		v->is_ready = true;
	}
	if (v->init_rc)
		return err_set_status(e, v->init_err.status, -v->init_rc, "%s",
				      v->init_err.text);
	return 0;
}

int
vcpu_set_boot(struct vcpu *v, const struct vcpu_boot *boot, struct err *e)
{
	assert(v->is_ready && !v->running);
	return vcpu_arch_set_boot(v, boot, e);
}

void
vcpu_run(struct vcpu *v)
{
	assert(v->is_ready && !v->running);
	v->running = true;
	sem_post(&v->go);
}

void
vcpu_stop(struct vcpu *v)
{
	atomic_store_explicit(&v->stop, true, memory_order_release);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELEASE);
	mailbox_stop(v->env->mailboxes, v->id);
	if (!v->joined)
		pthread_kill(v->thread, KICK_SIGNAL);
	if (!v->running)
		sem_post(&v->go);
}

void
vcpu_join(struct vcpu *v)
{
	assert(atomic_load(&v->stop));
	if (!v->joined)
		pthread_join(v->thread, NULL);
	v->joined = true;
}

void
vcpu_free(struct vcpu *v)
{
	if (!v)
		return;
	vcpu_stop(v);
	vcpu_join(v);
	sem_destroy(&v->ready);
	sem_destroy(&v->go);
	munmap(v->run, v->run_len);
	close(v->fd);
	free(v->crash_text);
	free(v);
}

const char *
vcpu_crash_text(const struct vcpu *v)
{
	return v->crash_text ? v->crash_text : "no memory for the registers";
}
