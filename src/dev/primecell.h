/* SPDX-License-Identifier: ISC */
/*
 * What all ARM PrimeCells have in common: 32-bit registers in a 4 KiB block with
 * the identification at its end, by which Linux' AMBA bus finds the driver.
 */
#ifndef VMM_PRIMECELL_H
#define VMM_PRIMECELL_H

#include <stdbool.h>
#include <stdint.h>

enum { PRIMECELL_ID = 0xfe0, PRIMECELL_ID_END = 0x1000 };

/* PeriphID0..3, then PCellID0..3, one byte in each word; off is one of theirs. */
static inline uint32_t
primecell_id(uint32_t periphid, uint64_t off)
{
	const uint64_t id = 0xb105f00dull << 32 | periphid;

	return (uint8_t)(id >> ((off - PRIMECELL_ID) / 4 * 8));
}

/*
 * The APB has no byte lanes: an access of any width at a word's address is one to
 * the register (gpio-pl061 uses bytes), and elsewhere there is nothing.
 */
static inline bool
primecell_aligned(uint64_t off)
{
	return off % 4 == 0;
}

#endif
