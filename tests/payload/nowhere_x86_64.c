// SPDX-License-Identifier: ISC
/*
 * Where nobody lives: reads give all-ones in every width, writes vanish.  And
 * string port I/O, which KVM hands over as one exit with many elements.
 */
#include "x86_64.h"

enum { NOWHERE_PORT = 0x1230, NOWHERE_MMIO = 0xc8000000u, COM1_SCR = 0x3ff };

static void
test_pio(void)
{
	unsigned a = inb(NOWHERE_PORT), b = inw(NOWHERE_PORT), c = inl(NOWHERE_PORT);

	check(a == 0xff && b == 0xffff && c == 0xffffffff, "nowhere-pio-reads-ones",
	      "%x %x %x", a, b, c);
	outb(NOWHERE_PORT, 1);
	outw(NOWHERE_PORT, 2);
	outl(NOWHERE_PORT, 3);
	a = inb(NOWHERE_PORT);
	check(a == 0xff, "nowhere-pio-write", "%x", a);
	c = inl(0xfffc);
	check(c == 0xffffffff, "nowhere-pio-last-port", "%x", c);
}

static void
test_mmio(void)
{
	uint64_t a = mmio_r8(NOWHERE_MMIO + 1), b = mmio_r16(NOWHERE_MMIO + 2),
		 c = mmio_r32(NOWHERE_MMIO + 4), d = mmio_r64(NOWHERE_MMIO + 8);

	check(a == 0xff && b == 0xffff && c == 0xffffffff && d == ~0ul,
	      "nowhere-mmio-reads-ones", "%lx %lx %lx %lx", a, b, c, d);
	mmio_w8(NOWHERE_MMIO, 0);
	mmio_w16(NOWHERE_MMIO, 0);
	mmio_w32(NOWHERE_MMIO, 0);
	mmio_w64(NOWHERE_MMIO, 0);
	d = mmio_r64(NOWHERE_MMIO);
	check(d == ~0ul, "nowhere-mmio-write", "%lx", d);
	/* unaligned, and over the end of a page: KVM splits it */
	c = mmio_r32(NOWHERE_MMIO + 0xffe);
	check(c == 0xffffffff, "nowhere-mmio-over-page", "%lx", c);
}

/* A read that begins in the UART and ends behind it; nothing is served. */
static void
test_over_the_end(void)
{
	outb(COM1_SCR, 0x11);
	unsigned w = inw(COM1_SCR), l = inl(COM1_SCR - 1);
	outw(COM1_SCR, 0x2222);
	unsigned scr = inb(COM1_SCR);
	check(w == 0xffff && l == 0xffffffff && scr == 0x11, "access-over-the-end",
	      "%x %x scr %x", w, l, scr);
}

static void
test_string(void)
{
	uint8_t in[64], out[64];
	const void *src = out;
	void *dst = in;
	uint64_t n = 64;

	for (unsigned i = 0; i < 64; i++)
		out[i] = (uint8_t)(i * 3);
	memset(in, 0, sizeof(in));
	/* 64 writes to one register: the last stays. */
	__asm__ volatile("rep outsb" : "+S"(src), "+c"(n) : "d"(COM1_SCR) : "memory");
	unsigned scr = inb(COM1_SCR);
	check(n == 0 && scr == out[63], "string-pio-out", "left %lu scr %x", n, scr);
	n = 64;
	__asm__ volatile("rep insb" : "+D"(dst), "+c"(n) : "d"(COM1_SCR) : "memory");
	unsigned bad = 0;
	for (unsigned i = 0; i < 64; i++)
		bad += in[i] != out[63];
	check(!n && !bad, "string-pio-in", "left %lu wrong %u first %x", n, bad, in[0]);
	/* downwards, and wider */
	uint32_t w[16];
	dst = &w[15];
	n = 16;
	memset(w, 0, sizeof(w));
	__asm__ volatile("std; rep insl; cld"
			 : "+D"(dst), "+c"(n)
			 : "d"(NOWHERE_PORT)
			 : "memory");
	bad = 0;
	for (unsigned i = 0; i < 16; i++)
		bad += w[i] != 0xffffffff;
	check(!n && !bad && (uint64_t)dst == (uint64_t)w - 4, "string-pio-down",
	      "left %lu wrong %u", n, bad);
}

void
payload_main(void)
{
	test_pio();
	test_mmio();
	test_over_the_end();
	test_string();
}
