// SPDX-License-Identifier: ISC
#include "user.h"
#include "x86_64.h"

enum {
	GP = 13,
	HLT = 0xf4,
	CODE = 8,
	DATA = 0x10,
	USER_CODE = 0x33,
	TSS = 0x38,
	PTE_USER = 4
};
enum { TSS_LEN = 104, PAGE_ENTRIES = 512 };

extern uint64_t pdpt[];
void user_enter(void (*fn)(void *), void *arg, void *stack);
extern const char user_back[];
uint64_t user_sp; /* of the kernel, while it is away */

static uint8_t user_stack[8192] __attribute__((aligned(16)));
static uint8_t trap_stack[8192] __attribute__((aligned(16)));

/* Selectors of the kernel as start_x86_64.S has them. */
static uint64_t gdt[] = {
	0,
	0x00af9b000000ffff, /* code */
	0x00cf93000000ffff, /* data */
	0x00cf9b000000ffff, /* 32-bit code */
	0,
	0x00cff3000000ffff, /* user data */
	0x00affb000000ffff, /* user code */
	0,
	0, /* TSS */
};

static struct {
	uint32_t reserved;
	uint64_t rsp0;
	uint8_t rest[TSS_LEN - 12];
} __attribute__((packed)) tss;

/* The HLT behind the function, which is for the kernel only, is its return. */
__asm__("	.text\n"
	"	.globl user_enter, user_back\n"
	"user_enter:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, user_sp(%rip)\n"
	"	pushq $0x2b\n"
	"	pushq %rdx\n"
	"	pushq $2\n"
	"	pushq $0x33\n"
	"	pushq $1f\n"
	"	iretq\n"
	"1:	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	xorl %ebp, %ebp\n"
	"	call *%rax\n"
	"	hlt\n"
	"user_back:\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n");

static void
on_gp(struct trap_frame *f, void *arg)
{
	(void)arg;
	if (f->cs != USER_CODE || *(const uint8_t *)f->rip != HLT) {
		fail("user", "general protection fault at %lx", f->rip);
		power_off();
	}
	f->cs = CODE;
	f->ss = DATA;
	f->rsp = user_sp;
	f->rip = (uint64_t)user_back;
}

/* RAM, and where the windows of PCI are; no more, as each instruction counts here. */
static void
open_pages(void)
{
	static const unsigned gib[] = { 0, 3 };
	uint64_t cr3;

	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	*(uint64_t *)cr3 |= PTE_USER;
	for (unsigned i = 0; i < ARRAY_SIZE(gib); i++) {
		uint64_t *pd = (uint64_t *)(pdpt[gib[i]] & ~0xfffull);

		pdpt[gib[i]] |= PTE_USER;
		for (unsigned k = 0; k < PAGE_ENTRIES; k++)
			pd[k] |= PTE_USER;
	}
	__asm__ volatile("movq %0, %%cr3" ::"r"(cr3) : "memory");
}

static void
set_up(void)
{
	const struct {
		uint16_t len;
		uint64_t addr;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, (uint64_t)gdt };
	uint64_t base = (uint64_t)&tss;

	tss.rsp0 = (uint64_t)(trap_stack + sizeof(trap_stack));
	/* an available 64-bit TSS (SDM 3, 8.2.3) */
	gdt[TSS / 8] = (TSS_LEN - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
		       (base >> 24 & 0xff) << 56;
	gdt[TSS / 8 + 1] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %w1" ::"m"(pointer), "r"(TSS) : "memory");
	open_pages();
}

void
user_run(void (*fn)(void *arg), void *arg)
{
	if (!gdt[TSS / 8])
		set_up();
	trap_attach(GP, on_gp, NULL);
	user_enter(fn, arg, user_stack + sizeof(user_stack));
	trap_attach(GP, NULL, NULL);
}
