/* SPDX-License-Identifier: ISC */
/* What only x86-64 payloads have. */
#ifndef PAYLOAD_X86_64_H
#define PAYLOAD_X86_64_H

#include "payload.h"

static inline void
outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline void
outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline void
outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline uint8_t
inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t
inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t
inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint64_t
rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void
wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr)
			 : "memory");
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid
cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

/* ---- traps ---- */

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* For vectors 0..255; ack by lapic_eoi() is the handler's. */
void trap_attach(unsigned vector, void (*handler)(struct trap_frame *f, void *arg),
		 void *arg);
/* true: #GP instead. */
bool rdmsr_safe(uint32_t msr, uint64_t *ret);
bool wrmsr_safe(uint32_t msr, uint64_t v);

/* ---- local APIC ---- */

enum {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_IRR = 0x200,
	LAPIC_ICR = 0x300,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_CUR = 0x390,
	LAPIC_TIMER_DIV = 0x3e0
};

uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t val);
void lapic_send(uint32_t dest, uint32_t icr);
/* This CPU's LAPIC on, x2APIC if there is one. */
void lapic_enable(void);
void lapic_eoi(void);
/* For its handler: see irq_in_service(). */
bool lapic_in_service(unsigned vector);
/* CPUID leaf 1 or 0xb: without touching the LAPIC. */
uint32_t cpuid_apic_id(void);

/* ---- I/O APIC: addresses and inputs from the MADT, else the usual ---- */

uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t val);
enum { IOAPIC_MASKED = 1 << 16, IOAPIC_LEVEL = 1 << 15, IOAPIC_RIRR = 1 << 14 };
/* Redirection entry to this CPU. */
void ioapic_route(unsigned pin, unsigned vector, uint32_t flags);

/* ---- ACPI ---- */

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct acpi_gas {
	uint8_t space, width, offset, access;
	uint64_t addr;
} __attribute__((packed));

const uint8_t *acpi_rsdp(void); /* from the PVH start info; or NULL */
/* n-th table with that signature; NULL: no such. */
const struct acpi_header *acpi_find(const char *signature, unsigned n);
enum {
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256
};
/* Of the FADT; false: not there. */
bool acpi_fadt_gas(unsigned off, struct acpi_gas *ret);
void gas_write(const struct acpi_gas *gas, uint8_t val);
uint8_t gas_read(const struct acpi_gas *gas);

/* hvm_start_info at entry */
struct pvh_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
extern const struct pvh_info *pvh_info;

#endif
