/* SPDX-License-Identifier: ISC */
/*
 * An arm64 Image (Linux Documentation/arch/arm64/booting.rst): entered at EL1 with
 * the MMU off and x0 = device tree.  The page tables are data of the image: 1 GiB
 * blocks one to one, the two that RAM begins in cacheable, all others device memory.
 */
	.section .head, "ax"
	.globl image_start
image_start:
	b boot_cpu
	.long 0
	.quad 0				/* text_offset */
	.quad image_end - image_start	/* image_size */
	.quad 2				/* flags: little endian, 4K pages */
	.quad 0, 0, 0
	.ascii "ARM\x64"
	.long 0

	.text
boot_cpu:
	mov x19, x0
	adrp x0, stack_top
	add x0, x0, :lo12:stack_top
	bl mmu_on
	mov x0, x19
	bl payload_start
	b .

/* PSCI CPU_ON comes here; x0: top of the stack */
	.globl secondary_cpu
secondary_cpu:
	bl mmu_on
	bl ap_start
	b .

mmu_on:					/* x0: stack */
	mov sp, x0
	adrp x1, vectors
	add x1, x1, :lo12:vectors
	msr vbar_el1, x1
	mov x1, #0xff04			/* attribute 1: normal; 0: device nGnRE */
	msr mair_el1, x1
	/* T0SZ 25: 39 bits; walks and data write-back, inner shareable; no TTBR1;
	 * IPS 40 bits */
	ldr x1, =(25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32)
	msr tcr_el1, x1
	adrp x1, level1
	msr ttbr0_el1, x1
	isb
	tlbi vmalle1
	dsb nsh
	isb
	mrs x1, sctlr_el1
	mov x2, #0x1005			/* I, C, M */
	orr x1, x1, x2
	bic x1, x1, #2			/* A */
	msr sctlr_el1, x1
	isb
	ret

	.macro vector kind
	.balign 128
	sub sp, sp, #272
	stp x0, x1, [sp]
	mov x0, #\kind
	b trap_common
	.endm

	.balign 2048
vectors:
	.set i, 0
	.rept 16
	vector i
	.set i, i + 1
	.endr

trap_common:
	stp x2, x3, [sp, #16]
	stp x4, x5, [sp, #32]
	stp x6, x7, [sp, #48]
	stp x8, x9, [sp, #64]
	stp x10, x11, [sp, #80]
	stp x12, x13, [sp, #96]
	stp x14, x15, [sp, #112]
	stp x16, x17, [sp, #128]
	stp x18, x29, [sp, #144]
	mrs x1, elr_el1
	mrs x2, spsr_el1
	stp x30, x1, [sp, #160]
	str x2, [sp, #176]
	bl trap
	ldp x30, x1, [sp, #160]
	ldr x2, [sp, #176]
	msr elr_el1, x1
	msr spsr_el1, x2
	ldp x2, x3, [sp, #16]
	ldp x4, x5, [sp, #32]
	ldp x6, x7, [sp, #48]
	ldp x8, x9, [sp, #64]
	ldp x10, x11, [sp, #80]
	ldp x12, x13, [sp, #96]
	ldp x14, x15, [sp, #112]
	ldp x16, x17, [sp, #128]
	ldp x18, x29, [sp, #144]
	ldp x0, x1, [sp]
	add sp, sp, #272
	eret

	.section .pagetable, "aw"
	.balign 4096
level1:
	.quad 0x0060000000000401, 0x0060000040000401	/* device, execute never */
	.quad 0x0000000080000705, 0x00000000c0000705	/* normal, inner shareable */
	.set i, 4
	.rept 508
	.quad 0x0060000000000401 + i * 0x40000000
	.set i, i + 1
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", %progbits
