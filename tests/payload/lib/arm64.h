/* SPDX-License-Identifier: ISC */
/* What only arm64 payloads have. */
#ifndef PAYLOAD_ARM64_H
#define PAYLOAD_ARM64_H

#include "payload.h"

#define read_sysreg(name) \
	({ \
		uint64_t v_; \
		__asm__ volatile("mrs %0, " #name : "=r"(v_)::"memory"); \
		v_; \
	})
#define write_sysreg(name, val) \
	__asm__ volatile("msr " #name ", %0; isb" ::"r"((uint64_t)(val)) : "memory")

/* ---- PSCI (DEN0022), by HVC ---- */

enum {
	PSCI_VERSION = 0x84000000u,
	PSCI_SYSTEM_OFF = 0x84000008u,
	PSCI_SYSTEM_RESET = 0x84000009u
};
#define PSCI_CPU_ON 0xc4000003ul
#define PSCI_AFFINITY_INFO 0xc4000004ul

int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

/* ---- device tree ---- */

struct fdt_prop {
	const uint8_t *data; /* NULL: the node has no such property */
	uint32_t len;
};

struct fdt_node {
	const char *name;
	struct fdt_prop compatible, device_type, reg, interrupts, bootargs, method, gpios;
	struct fdt_prop ranges, interrupt_map;
};

struct fdt_iter {
	const uint32_t *next;
};

extern const uint8_t *fdt;
/* All nodes in order; start with { 0 }. */
bool fdt_each(struct fdt_iter *it, struct fdt_node *ret);
/* n-th node that is compatible. */
bool fdt_find(const char *compatible, unsigned n, struct fdt_node *ret);
uint64_t fdt_cells(const struct fdt_prop *p, unsigned first, unsigned n);
bool fdt_is(const struct fdt_prop *p, const char *word);
/* #address-cells and #size-cells are 2; n-th pair. */
uint64_t fdt_reg(const struct fdt_node *node, unsigned n);
struct irq_source fdt_irq(const struct fdt_node *node);

/* ---- CPUs ---- */

uint64_t cpu_mpidr(unsigned id);

/* ---- GIC ---- */

enum {
	INTID_TIMER = 27,
	INTID_SPI = 32,
	INTID_MAX = 256,
	INTID_NONE = 1020,
	INTID_LPI = 8192
};

/* 2 or 3; 0: the device tree names none. */
unsigned gic_version(void);
/* This CPU's interface on; the first call turns the distributor on, too. */
void gic_enable(void);
void gic_attach(unsigned intid, bool level, void (*handler)(void *), void *arg);
void gic_mask(unsigned intid, bool masked);
/* A software-generated interrupt to a CPU. */
void gic_send(unsigned id, unsigned sgi);
/* This CPU's redistributor of a GICv3. */
uint64_t gic_redistributor(void);

/*
 * The ITS: what device writes event to the address makes this CPU run handler(arg).
 * false: there is none, or no room.
 */
bool its_attach(unsigned device, unsigned event, void (*handler)(void *), void *arg,
		uint64_t *ret);
/* An LPI came. false: nobody's. */
bool its_deliver(unsigned intid);

#endif
