// SPDX-License-Identifier: ISC
/* Start, traps, time, ports and the other CPUs. */
#include "x86_64.h"

const struct pvh_info *pvh_info;

void payload_start(const struct pvh_info *info);
void ap_start(void);
void trap(struct trap_frame *f);

void
payload_start(const struct pvh_info *info)
{
	pvh_info = info;
	payload_main();
	done();
}

const char *
cmdline(void)
{
	return pvh_info->cmdline ? (const char *)pvh_info->cmdline : "";
}

/* hvm_memmap_table_entry */
uint64_t
ram_end(void)
{
	const struct {
		uint64_t addr, len;
		uint32_t type, reserved;
	} *e = (const void *)pvh_info->memmap;
	uint64_t end = 0;

	for (unsigned i = 0; i < pvh_info->memmap_entries; i++)
		if (e[i].type == 1 && e[i].addr < 1ull << 32)
			end = e[i].addr + e[i].len;
	return end;
}

uint8_t
uart_read(unsigned reg)
{
	return inb((uint16_t)(0x3f8 + reg));
}

void
uart_write(unsigned reg, uint8_t val)
{
	outb((uint16_t)(0x3f8 + reg), val);
}

/* ---- time ---- */

uint64_t
clock_cycles(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

/* struct pvclock_vcpu_time_info */
static volatile struct {
	uint32_t version, pad;
	uint64_t tsc, system;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} pvclock __attribute__((aligned(64)));

/* From kvm-clock: ns = (tsc << shift) * mul >> 32. A guess where there is none. */
static uint64_t
pvclock_hz(void)
{
	struct cpuid sig = cpuid(0x40000000, 0);

	if (sig.b != 0x4b4d564b || !(cpuid(0x40000001, 0).a & 1 << 3))
		return 0;
	wrmsr(0x4b564d01, (uint64_t)&pvclock | 1);
	if (!pvclock.mul)
		return 0;
	/* 2^32 * 10^9 overflows 64 bits by little: two steps. */
	uint64_t hz = (1000000000ull << 32 >> 8) / pvclock.mul << 8;
	wrmsr(0x4b564d01, 0);
	return pvclock.shift < 0 ? hz << -pvclock.shift : hz >> pvclock.shift;
}

uint64_t
clock_hz(void)
{
	static uint64_t hz;

	if (!hz) {
		uint64_t found = pvclock_hz();
		hz = found ? found : 2500000000;
	}
	return hz;
}

/* ---- traps ---- */

static struct {
	void (*handler)(struct trap_frame *f, void *arg);
	void *arg;
} handlers[256];

extern const char msr_fault_r[], msr_fault_w[], msr_fixup[];
int rdmsr_try(uint32_t msr, uint64_t *ret);
int wrmsr_try(uint32_t msr, uint64_t v);

bool
rdmsr_safe(uint32_t msr, uint64_t *ret)
{
	return rdmsr_try(msr, ret);
}

bool
wrmsr_safe(uint32_t msr, uint64_t v)
{
	return wrmsr_try(msr, v);
}

void
trap_attach(unsigned vector, void (*handler)(struct trap_frame *f, void *arg), void *arg)
{
	handlers[vector].arg = arg;
	handlers[vector].handler = handler;
}

void
trap(struct trap_frame *f)
{
	uint64_t cr2;

	if (handlers[f->vector].handler) {
		handlers[f->vector].handler(f, handlers[f->vector].arg);
		return;
	}
	if (f->vector == 13 &&
	    (f->rip == (uint64_t)msr_fault_r || f->rip == (uint64_t)msr_fault_w)) {
		f->rip = (uint64_t)msr_fixup;
		return;
	}
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	fail("exception", "vector %lu error %lx rip %lx cr2 %lx cpu %u", f->vector,
	     f->error, f->rip, cr2, cpuid_apic_id());
	power_off();
}

/* ---- CPUs ---- */

void
irq_on(void)
{
	__asm__ volatile("sti" ::: "memory");
}

void
irq_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}

void
irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

void
cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

void
cpu_stop(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

unsigned
cpu_id(void)
{
	return cpuid_apic_id();
}

/* Enabled and online-capable LAPIC and x2APIC entries. */
unsigned
cpu_count(void)
{
	const struct acpi_header *madt = acpi_find("APIC", 0);
	unsigned n = 0;

	if (!madt)
		return 1;
	const uint8_t *p = (const uint8_t *)madt + 44,
		      *end = (const uint8_t *)madt + madt->length;
	for (; p + 2 <= end && p[1] >= 2; p += p[1])
		n += (p[0] == 0 && (p[4] & 1)) || (p[0] == 9 && (p[8] & 1));
	return n;
}

enum { TRAMPOLINE = 0x10000, AP_STACK = 4096 };

extern const uint8_t trampoline[], trampoline_end[];
uint32_t ap_stack;
static uint8_t stacks[CPUS_MAX][AP_STACK] __attribute__((aligned(16)));
static void (*volatile ap_fn)(void *);
static void *volatile ap_arg;
static volatile bool ap_up;

void
ap_start(void)
{
	void (*fn)(void *) = ap_fn;
	void *arg = ap_arg;

	__atomic_store_n(&ap_up, true, __ATOMIC_RELEASE);
	fn(arg);
	cpu_stop();
}

bool
cpu_start(unsigned id, void (*fn)(void *), void *arg)
{
	if (id >= CPUS_MAX)
		return false;
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	ap_stack = (uint32_t)(uint64_t)(stacks[id] + AP_STACK);
	ap_fn = fn;
	ap_arg = arg;
	ap_up = false;
	lapic_enable();
	/* INIT, start-up, and once more for those that lost the first (SDM 3, 9.4.4) */
	lapic_send(id, 0x4500);
	for (unsigned try = 0; try < 2; try++) {
		lapic_send(id, 0x4600 | TRAMPOLINE >> 12);
		uint64_t t = deadline_ms(1000);
		while (!__atomic_load_n(&ap_up, __ATOMIC_ACQUIRE) && !passed(t))
			cpu_relax();
		if (ap_up)
			return true;
	}
	return false;
}
