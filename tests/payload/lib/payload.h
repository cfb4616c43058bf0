/* SPDX-License-Identifier: ISC */
/*
 * The guest library: what a payload, a bare-metal program that tests one thing
 * about the machine, may use.
 *
 * A payload defines payload_main().  It reports each test by one line, "ok NAME",
 * "FAIL NAME why" or "skip NAME why"; when payload_main() returns, "done" is
 * printed and the machine powered off.  The runner takes a missing "done" for a
 * failure.
 *
 * Nothing here touches the machine before it is asked to: a payload that prints
 * nothing makes no exit.  The code has no FPU, no red zone and no popcnt, BMI or
 * cmpxchg16b, and page tables and IDT are part of the image: KVM without hardware
 * virtualisation interprets guest kernel code, at about 3 M instructions a second.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void payload_main(void);

/* ---- reports; any CPU ---- */

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ok(const char *name);
void fail(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *name, const char *why);
/* ok or FAIL; the text is for the failure. Returns good. */
bool check(bool good, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- command line: "key=value key2=value2" ---- */

const char *cmdline(void);
/* Copies the value of key; false: not there. */
bool cmdline_get(const char *key, char *buf, size_t len);
unsigned long cmdline_num(const char *key, unsigned long def);

/* ---- UART: 16550 registers, whatever they are reached by ---- */

enum {
	UART_RBR = 0,
	UART_THR = 0,
	UART_IER = 1,
	UART_IIR = 2,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7
};
enum { UART_LSR_DR = 1, UART_LSR_OE = 2, UART_LSR_THRE = 0x20, UART_LSR_TEMT = 0x40 };
enum { UART_IER_RX = 1, UART_IER_THRE = 2 };
enum {
	UART_MCR_DTR = 1,
	UART_MCR_RTS = 2,
	UART_MCR_OUT1 = 4,
	UART_MCR_OUT2 = 8,
	UART_MCR_LOOP = 0x10
};

uint8_t uart_read(unsigned reg);
void uart_write(unsigned reg, uint8_t val);
void uart_puts(const char *s, size_t len);
/* Waits up to ms for a byte of input; -1: none came. */
int uart_getc(unsigned ms);

/* ---- time ---- */

uint64_t clock_cycles(void); /* tsc or cntvct */
uint64_t clock_hz(void);     /* of clock_cycles() */
uint64_t clock_ns(void);
/* For loops that wait: `uint64_t t = deadline_ms(100); while (!x && !passed(t))` */
uint64_t deadline_ms(unsigned ms);
bool passed(uint64_t deadline);

/* ---- CPUs ---- */

enum { CPUS_MAX = 64 };

/* This CPU, by the machine's own numbering: APIC id, index in the FDT. */
unsigned cpu_id(void);
/* How many the firmware tables promise. */
unsigned cpu_count(void);
/* Starts CPU id in fn(arg) with its own stack; false: it did not come up. */
bool cpu_start(unsigned id, void (*fn)(void *), void *arg);
/* How many of 1..n-1 started. */
unsigned cpu_start_all(unsigned n, void (*fn)(void *), void *arg);

void irq_on(void);
void irq_off(void);
/* Interrupts on, sleep until one came, off again. No wake-up is lost. */
void irq_wait(void);
void cpu_relax(void);
void cpu_stop(void) __attribute__((noreturn)); /* interrupts off, for ever */

/* ---- interrupts ---- */

struct irq_source {
	unsigned gsi; /* I/O APIC input, or SPI number */
	bool level;
};

/* Runs handler(arg) on this CPU when the line is raised. */
void irq_attach(const struct irq_source *src, void (*handler)(void *), void *arg);
void irq_mask(const struct irq_source *src, bool masked);
/*
 * For a handler: its interrupt has not been ended, so the line may stay up until the
 * handler has lowered it.  False under KVM without hardware virtualisation (kvm_pvm with
 * Linux 6.18), which writes the EOI itself when it injects: its trace has apic_write
 * APIC_EOI and kvm_eoi of the vector before the handler's first instruction, and at the
 * guest's own EOI nothing to end, with KVM's own I/O APIC as with ours.
 */
bool irq_in_service(const struct irq_source *src);
extern const struct irq_source *irq_of_uart(void);

/* ---- the end ---- */

void power_off(void) __attribute__((noreturn));
/* Prints "done" first. */
void done(void) __attribute__((noreturn));

/* ---- memory ---- */

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
/* RAM behind the image, zero, for ever: there is no free(). */
void *ram_alloc(size_t len, size_t align);
/* The first address behind RAM (below 4 GiB). */
uint64_t ram_end(void);
/* Registers of the interrupt controller. */
uint64_t irqchip_base(void);
int strcmp(const char *a, const char *b);

/*
 * Registers.  An arm64 host is told what an access was only if the instruction is a plain
 * load or store of one register: a compiler also makes pairs, and pointers that move along.
 */
#ifdef __aarch64__
#define MMIO_LOAD(insn, reg, a, v) \
	__asm__ volatile(insn " %" reg "0, [%1]" : "=r"(v) : "r"(a) : "memory")
#define MMIO_STORE(insn, reg, a, v) \
	__asm__ volatile(insn " %" reg "0, [%1]" ::"r"(v), "r"(a) : "memory")
#else
#define MMIO_LOAD(insn, reg, a, v) ((v) = *(volatile __typeof__(v) *)(a))
#define MMIO_STORE(insn, reg, a, v) (*(volatile __typeof__(v) *)(a) = (v))
#endif
#define MMIO(bits, type, load, store, reg) \
	static inline type mmio_r##bits(uint64_t a) \
	{ \
		type v; \
\
		MMIO_LOAD(load, reg, a, v); \
		return v; \
	} \
	static inline void mmio_w##bits(uint64_t a, type v) \
	{ \
		MMIO_STORE(store, reg, a, v); \
	}

MMIO(8, uint8_t, "ldrb", "strb", "w")
MMIO(16, uint16_t, "ldrh", "strh", "w")
MMIO(32, uint32_t, "ldr", "str", "w")
MMIO(64, uint64_t, "ldr", "str", "x")

#endif
