// SPDX-License-Identifier: ISC
/*
 * The floor: the least that a KVM program can do to run the payloads of bench/.
 * vmm is measured against it, built with the same libc and linkage.
 *
 *	floor PAYLOAD.elf [MEMORY-MIB [CMDLINE]]
 *
 * One vCPU on the main thread, full CPUID, the order of KVM calls that costs
 * least, the kernel mapped over guest RAM.  COM1 output goes to stdout byte by
 * byte, its scratch register and BENCH_MMIO's register are read back inline.
 * It ends on a write to the power-off port.  Nothing is checked for an enemy.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, HUGE = 2 * MIB };
enum { INFO_GPA = 0x6000, CMDLINE_GPA = 0x20000 };
enum { COM1 = 0x3f8, LSR = 5, SCR = 7, LSR_IDLE = 0x60, POWER_PORT = 0x600 };
enum { CPUID_MAX = 256 };

static uint8_t *ram;
static size_t ram_len;
static uint32_t entry;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "floor: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static int
call(int fd, unsigned long request, const void *arg, const char *name)
{
	int rc = ioctl(fd, request, arg);

	if (rc < 0)
		die("%s", name);
	return rc;
}

static void
reserve_ram(void)
{
	uint8_t *p = mmap(NULL, ram_len + HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	ram = (uint8_t *)(((uintptr_t)p + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	madvise(ram, ram_len, MADV_HUGEPAGE);
}

/* The whole pages of a segment are mapped, its last part is read. */
static void
load_segment(int fd, const Elf64_Phdr *ph)
{
	size_t whole = ph->p_filesz & ~4095ul;
	uint8_t *at = ram + ph->p_paddr;

	if (ph->p_paddr % 4096 || ph->p_offset % 4096 ||
	    ph->p_paddr + ph->p_memsz > ram_len)
		die("segment at %#lx", (unsigned long)ph->p_paddr);
	if (whole && mmap(at, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
			  (off_t)ph->p_offset) == MAP_FAILED)
		die("mmap of the kernel");
	if (pread(fd, at + whole, ph->p_filesz - whole, (off_t)(ph->p_offset + whole)) <
	    0)
		die("read of the kernel");
}

static uint32_t
pvh_entry(const uint8_t *note, size_t len)
{
	for (size_t off = 0; off + sizeof(Elf64_Nhdr) <= len;) {
		const Elf64_Nhdr *n = (const void *)(note + off);
		size_t desc = off + sizeof(*n) + ((n->n_namesz + 3) & ~3u);
		uint32_t v;

		if (n->n_type == 18) {
			memcpy(&v, note + desc, 4);
			return v;
		}
		off = desc + ((n->n_descsz + 3) & ~3u);
	}
	die("no PVH note");
}

static void
load(const char *path)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || eh.e_phnum > 8)
		die("%s", path);
	if (pread(fd, ph, eh.e_phnum * sizeof(ph[0]), (off_t)eh.e_phoff) < 0)
		die("%s", path);
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			load_segment(fd, &ph[i]);
		else if (ph[i].p_type == PT_NOTE)
			entry = pvh_entry(ram + ph[i].p_paddr, ph[i].p_filesz);
	}
	close(fd);
}

static void
write_info(const char *cmdline)
{
	/* struct hvm_start_info, version 0 */
	uint32_t info[10] = { 0x336ec578 };
	uint64_t gpa = CMDLINE_GPA;

	memcpy(ram + CMDLINE_GPA, cmdline, strlen(cmdline) + 1);
	memcpy(&info[6], &gpa, 8);
	memcpy(ram + INFO_GPA, info, sizeof(info));
}

static void
set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) + CPUID_MAX * sizeof(t->entries[0]));

	if (!t)
		die("calloc");
	t->nent = CPUID_MAX;
	call(kvm, KVM_GET_SUPPORTED_CPUID, t, "KVM_GET_SUPPORTED_CPUID");
	call(vcpu, KVM_SET_CPUID2, t, "KVM_SET_CPUID2");
	free(t);
}

static void
set_registers(int vcpu)
{
	struct kvm_segment code = { .limit = 0xffffffff,
				    .selector = 0x10,
				    .type = 11,
				    .present = 1,
				    .db = 1,
				    .s = 1,
				    .g = 1 };
	struct kvm_segment data = code;
	struct kvm_regs regs = { .rip = entry, .rbx = INFO_GPA, .rflags = 2 };
	struct kvm_sregs s;

	data.type = 3;
	data.selector = 0x18;
	call(vcpu, KVM_GET_SREGS, &s, "KVM_GET_SREGS");
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = (struct kvm_segment){ .type = 11, .present = 1, .limit = 0x67 };
	s.cr0 = 1 << 0 | 1 << 4 | 1 << 5;
	call(vcpu, KVM_SET_SREGS, &s, "KVM_SET_SREGS");
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static uint8_t scratch;

/* One element of port I/O. */
static void
port(uint16_t addr, int out, uint8_t *data, unsigned size)
{
	if (out) {
		if (addr == COM1 && write(1, data, 1) != 1)
			die("stdout");
		if (addr == COM1 + SCR)
			scratch = *data;
		if (addr == POWER_PORT)
			_exit(0);
		return;
	}
	memset(data, 0xff, size);
	if (addr == COM1 + LSR)
		*data = LSR_IDLE;
	else if (addr == COM1 + SCR)
		*data = scratch;
}

static void
run(int vcpu, struct kvm_run *kr)
{
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0)
			die("KVM_RUN");
		switch (kr->exit_reason) {
		case KVM_EXIT_IO:
			for (unsigned i = 0; i < kr->io.count; i++)
				port(kr->io.port, kr->io.direction == KVM_EXIT_IO_OUT,
				     (uint8_t *)kr + kr->io.data_offset + i * kr->io.size,
				     kr->io.size);
			break;
		case KVM_EXIT_MMIO:
			if (!kr->mmio.is_write)
				memset(kr->mmio.data, 0xff, 8);
			break;
		default:
			die("exit reason %u", kr->exit_reason);
		}
	}
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: floor PAYLOAD.elf [MEMORY-MIB [CMDLINE]]");
	ram_len = (size_t)(argc > 2 ? atoi(argv[2]) : 128) * MIB;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	int vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	reserve_ram();
	struct kvm_userspace_memory_region slot = {
		.memory_size = ram_len,
		.userspace_addr = (uintptr_t)ram,
	};
	call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	load(argv[1]);
	write_info(argc > 3 ? argv[3] : "");
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	call(vm, KVM_ENABLE_CAP, &cap, "KVM_CAP_SPLIT_IRQCHIP");
	int vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	int size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_run *kr =
		mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (kr == MAP_FAILED)
		die("mmap of the vCPU");
	set_cpuid(kvm, vcpu);
	set_registers(vcpu);
	run(vcpu, kr);
}
