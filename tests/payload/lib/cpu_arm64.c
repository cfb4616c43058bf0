// SPDX-License-Identifier: ISC
/* Start, traps, time, the UART and the other CPUs. */
#include "arm64.h"

const uint8_t *fdt;

void payload_start(const uint8_t *tree);
void ap_start(void);
void trap(unsigned kind);
void gic_irq(void);

void
payload_start(const uint8_t *tree)
{
	fdt = tree;
	payload_main();
	done();
}

const char *
cmdline(void)
{
	static const char *line;
	struct fdt_iter it = { 0 };
	struct fdt_node node;

	while (!line && fdt_each(&it, &node))
		if (!strcmp(node.name, "chosen") && node.bootargs.data)
			line = (const char *)node.bootargs.data;
	return line ? line : "";
}

uint64_t
ram_end(void)
{
	struct fdt_iter it = { 0 };
	struct fdt_node node;

	while (fdt_each(&it, &node))
		if (fdt_is(&node.device_type, "memory"))
			return fdt_reg(&node, 0) + fdt_cells(&node.reg, 2, 2);
	return 0;
}

static uint64_t
uart_base(void)
{
	static uint64_t base;
	struct fdt_node node;

	if (!base)
		base = fdt_find("ns16550a", 0, &node) ? fdt_reg(&node, 0) : 0x09000000;
	return base;
}

uint8_t
uart_read(unsigned reg)
{
	return mmio_r8(uart_base() + reg);
}

void
uart_write(unsigned reg, uint8_t val)
{
	mmio_w8(uart_base() + reg, val);
}

/* ---- time ---- */

uint64_t
clock_cycles(void)
{
	__asm__ volatile("isb" ::: "memory");
	return read_sysreg(cntvct_el0);
}

uint64_t
clock_hz(void)
{
	return read_sysreg(cntfrq_el0);
}

/* ---- traps ---- */

void
trap(unsigned kind)
{
	if (kind == 5) { /* IRQ of the current EL, with its own stack */
		gic_irq();
		return;
	}
	fail("exception", "vector %u esr %lx elr %lx far %lx cpu %u", kind,
	     read_sysreg(esr_el1), read_sysreg(elr_el1), read_sysreg(far_el1), cpu_id());
	power_off();
}

void
irq_on(void)
{
	__asm__ volatile("msr daifclr, #2" ::: "memory");
}

void
irq_off(void)
{
	__asm__ volatile("msr daifset, #2" ::: "memory");
}

/* A masked interrupt ends WFI, too. */
void
irq_wait(void)
{
	__asm__ volatile("wfi; msr daifclr, #2; isb; msr daifset, #2" ::: "memory");
}

void
cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

void
cpu_stop(void)
{
	irq_off();
	for (;;)
		__asm__ volatile("wfi");
}

/* ---- CPUs ---- */

static struct {
	uint64_t mpidr[CPUS_MAX];
	unsigned n;
} cpus;

static void
find_cpus(void)
{
	struct fdt_iter it = { 0 };
	struct fdt_node node;

	for (unsigned n = 0; fdt_each(&it, &node);)
		if (fdt_is(&node.device_type, "cpu") && n < CPUS_MAX) {
			cpus.mpidr[n++] = node.reg.len == 8 ? fdt_cells(&node.reg, 0, 2)
							    : fdt_cells(&node.reg, 0, 1);
			cpus.n = n;
		}
}

unsigned
cpu_count(void)
{
	if (!cpus.n)
		find_cpus();
	return cpus.n;
}

uint64_t
cpu_mpidr(unsigned id)
{
	return id < cpu_count() ? cpus.mpidr[id] : ~0ull;
}

unsigned
cpu_id(void)
{
	uint64_t mine = read_sysreg(mpidr_el1) & 0xff00ffffff;

	for (unsigned i = 0; i < cpu_count(); i++)
		if (cpus.mpidr[i] == mine)
			return i;
	return CPUS_MAX;
}

int64_t
psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"x4", "x5", "x6", "x7",
			   "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
			   "x17", "memory");
	return (int64_t)x0;
}

void
power_off(void)
{
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	cpu_stop();
}

enum { STACK = 4096 };

extern const char secondary_cpu[];
static uint8_t stacks[CPUS_MAX][STACK] __attribute__((aligned(16)));
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
	if (id >= cpu_count() || id >= CPUS_MAX)
		return false;
	ap_fn = fn;
	ap_arg = arg;
	ap_up = false;
	__asm__ volatile("dsb sy" ::: "memory");
	if (psci(PSCI_CPU_ON, cpu_mpidr(id), (uint64_t)secondary_cpu,
		 (uint64_t)(stacks[id] + STACK)))
		return false;
	uint64_t t = deadline_ms(2000);
	while (!__atomic_load_n(&ap_up, __ATOMIC_ACQUIRE) && !passed(t))
		cpu_relax();
	return ap_up;
}
