/* SPDX-License-Identifier: ISC */
/*
 * Pages that the guest reads while we write them (doc/adr/0010-virtio-pci-pages.md).
 *
 * A guest never sees half a word, and sees all of what a write of its own changed when
 * that write completes.  On arm64 it maps such pages as Device memory and reads past
 * the caches, unless the host combines attributes in favour of ours (FEAT_S2FWB); so
 * what was stored is cleaned to the point of coherency.
 */
#ifndef VMM_PAGE_H
#define VMM_PAGE_H

#include <stddef.h>
#include <stdint.h>

/* at is aligned. */
static inline uint32_t
page_load32(const uint8_t *at)
{
	return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);
}

static inline void
page_store32(uint8_t *at, uint32_t val)
{
	__atomic_store_n((uint32_t *)(void *)at, val, __ATOMIC_RELAXED);
}

/*
 * After the stores, before the guest goes on.  Linux lets user space clean lines
 * (SCTLR_EL1.UCI) and read how long they are (SCTLR_EL1.UCT), or does it for us.
 */
static inline void
page_publish(const uint8_t *at, size_t len)
{
#ifdef __aarch64__
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	uintptr_t line = (uintptr_t)4 << (ctr >> 16 & 0xf); /* DminLine, in words */

	for (uintptr_t p = (uintptr_t)at & ~(line - 1); p < (uintptr_t)at + len;
	     p += line)
		__asm__ volatile("dc cvac, %0" : : "r"(p) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
#else
	(void)at;
	(void)len;
#endif
}

#endif
