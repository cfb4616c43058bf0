/* SPDX-License-Identifier: ISC */
/*
 * From the PVH entry (32 bits, paging off, ebx: hvm_start_info) to payload_start()
 * in long mode, and from a start-up IPI to ap_start() likewise.  Page tables, GDT
 * and IDT are data of the image; see payload.h.
 */
#define STUB_BASE 0x100000	/* x86_64.ld puts .stubs there */
#define TRAMPOLINE 0x10000

	.section .note.pvh, "a", @note
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start32

	.section .stubs, "ax"
	.globl trap_stubs
trap_stubs:
	.set i, 0
	.rept 256
	.balign 16
	.if (i == 8) || (i == 10) || (i == 11) || (i == 12) || (i == 13) || (i == 14) || (i == 17) || (i == 21)
	.else
	pushq $0
	.endif
	pushq $i
	jmp trap_common
	.set i, i + 1
	.endr

	.text
	.code32
	.globl start32
start32:
	cli
	movl %ebx, %edi
	movl $stack_top, %esp
	xorl %ebp, %ebp
/* edi: argument; esp: stack; ebp: 0 for the boot CPU */
long_mode:
	lgdt gdt_pointer
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax		/* PG, PE */
	andl $~0x60000000, %eax		/* CD, NW: they are set after INIT */
	movl %eax, %cr0
	ljmp $8, $start64

	.code64
start64:
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	lidt idt_pointer(%rip)
	movl %edi, %edi
	testl %ebp, %ebp
	jnz 1f
	call payload_start
1:	xorl %ebp, %ebp
	call ap_start
	ud2

trap_common:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $~15, %rsp
	cld
	call trap
	movq %rbp, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

/* Instructions that may fault: a #GP at msr_fault resumes at msr_fixup. */
	.globl rdmsr_try, wrmsr_try, msr_fault_r, msr_fault_w, msr_fixup
rdmsr_try:				/* edi: msr, rsi: where; 0 or 1 */
	movl %edi, %ecx
msr_fault_r:
	rdmsr
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, (%rsi)
	xorl %eax, %eax
	ret
wrmsr_try:				/* edi: msr, rsi: value */
	movl %edi, %ecx
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
msr_fault_w:
	wrmsr
	xorl %eax, %eax
	ret
msr_fixup:
	movl $1, %eax
	ret

/* Copied to TRAMPOLINE; runs in real mode at CS = TRAMPOLINE >> 4. */
	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl gdt_pointer16 - trampoline
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $24, $ap32
	.balign 4
gdt_pointer16:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.text
	.code32
ap32:
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl ap_stack, %esp
	xorl %edi, %edi
	movl $1, %ebp
	jmp long_mode

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
	.quad 0x00cf9b000000ffff	/* 0x18: 32-bit code */
gdt_end:
	.balign 4
	.word 0
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.balign 16
	.globl idt
idt:
	.set i, 0
	.rept 256
	.word (STUB_BASE + 16 * i) & 0xffff, 8, 0x8e00, (STUB_BASE + 16 * i) >> 16
	.quad 0
	.set i, i + 1
	.endr
	.balign 4
	.word 0
	.globl idt_pointer
idt_pointer:
	.word 4095
	.quad idt

/* The first 4 GiB, one to one, in pages of 2 MiB. */
	.section .pagetable, "aw"
	.balign 4096
pml4:
	.quad pdpt + 3
	.fill 511, 8, 0
	.globl pdpt
pdpt:
	.quad pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003
	.fill 508, 8, 0
pd:
	.set i, 0
	.rept 2048
	.quad i * 0x200000 + 0xe3
	.set i, i + 1
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
