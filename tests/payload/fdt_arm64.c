// SPDX-License-Identifier: ISC
/* The device tree says what an OS needs, and what the command line says. */
#include "arm64.h"

static unsigned
count(const char *device_type)
{
	struct fdt_iter it = { 0 };
	struct fdt_node node;
	unsigned n = 0;

	while (fdt_each(&it, &node))
		n += fdt_is(&node.device_type, device_type);
	return n;
}

static void
test_devices(void)
{
	static const char *const kinds[] = { "ns16550a", "arm,pl031", "arm,pl061" };
	struct fdt_node node;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool found = fdt_find(kinds[i], 0, &node);
		check(found && fdt_reg(&node, 0) && node.interrupts.len == 12,
		      "fdt-device", "%s: %s", kinds[i],
		      found ? "no registers or no interrupt" : "not there");
	}
}

void
payload_main(void)
{
	struct fdt_node node;

	check(((uint64_t)fdt & 7) == 0, "fdt-aligned", "at %p", (const void *)fdt);
	check(count("cpu") == cmdline_num("cpus", 1), "fdt-cpus", "%u", count("cpu"));
	check(cpu_mpidr(0) == (read_sysreg(mpidr_el1) & 0xff00ffffff), "fdt-boot-cpu",
	      "%lx, is %lx", cpu_mpidr(0), read_sysreg(mpidr_el1));
	check(count("memory") == 1, "fdt-memory", "%u nodes", count("memory"));
	check(fdt_find("arm,psci-1.0", 0, &node) && fdt_is(&node.method, "hvc"),
	      "fdt-psci", "no such node, or not by hvc");
	check((psci(PSCI_VERSION, 0, 0, 0) & 0x7fff0000) == 0x10000, "psci-version",
	      "%lx", (unsigned long)psci(PSCI_VERSION, 0, 0, 0));
	check(fdt_find("arm,armv8-timer", 0, &node) && node.interrupts.len >= 48,
	      "fdt-timer", "no such node");
	check(gic_version() != 0, "fdt-gic", "no such node");
	test_devices();
	say("GICv%u", gic_version());
}
