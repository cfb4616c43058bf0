// SPDX-License-Identifier: ISC
/*
 * GICv2, GICv3 and the ITS as KVM devices (Linux: Documentation/virt/kvm/devices/
 * arm-vgic.rst, arm-vgic-v3.rst, arm-vgic-its.rst).
 *
 * Which version a host can give depends on its own controller: a GICv3 serves
 * GICv2 guests only with the compatibility interface, a GICv2 never serves GICv3
 * guests.  So nothing is probed: the preferred version is made, and if that is
 * refused the next.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "err.h"
#include "exit_status.h"
#include "gic.h"
#include "irqchip.h"
#include "util.h"
#include "vm.h"

enum {
	PRIVATE_INTIDS = 32, /* SGIs and PPIs, before the first SPI */
	ITS_LEN = 0x20000,   /* registers, and a page with the doorbell */
};

struct gic_version;

struct gic {
	struct irqchip chip;
	struct vm *vm;
	const struct gic_version *version;
	unsigned ncpu;
	int fd;     /* the KVM device */
	int its_fd; /* -1: none */
};

struct frame {
	uint64_t attr; /* KVM_VGIC_V[23]_ADDR_TYPE_x */
	uint64_t base;
};

struct gic_version {
	unsigned number;
	uint32_t type; /* KVM_DEV_TYPE_x */
	unsigned ncpu_max;
	struct frame dist, cpu;
	uint64_t dist_len;
	uint64_t cpu_len; /* of a CPU if per_cpu, else of all */
	bool per_cpu;
	bool its;
	const char *lacking; /* what a host that refuses it is like */
	const char *remedy;
};

/* In the order of preference. */
static const struct gic_version versions[] = {
	{
		.number = 3,
		.type = KVM_DEV_TYPE_ARM_VGIC_V3,
		.ncpu_max = GIC_V3_CPUS_MAX,
		.dist = { KVM_VGIC_V3_ADDR_TYPE_DIST, GIC_DIST_GPA },
		.dist_len = 0x10000,
		.cpu = { KVM_VGIC_V3_ADDR_TYPE_REDIST, GIC_REDIST_GPA },
		.cpu_len = 0x20000,
		.per_cpu = true,
		.its = true,
		.lacking = "its own controller is a GICv2",
		.remedy = "set irqchip.gic = 2 or auto",
	},
	{
		.number = 2,
		.type = KVM_DEV_TYPE_ARM_VGIC_V2,
		.ncpu_max = GIC_V2_CPUS_MAX,
		.dist = { KVM_VGIC_V2_ADDR_TYPE_DIST, GIC_DIST_GPA },
		.dist_len = 0x1000,
		.cpu = { KVM_VGIC_V2_ADDR_TYPE_CPU, GIC_V2_CPU_GPA },
		.cpu_len = 0x2000,
		.lacking = "its own controller is a GICv3 without the GICv2 interface",
		.remedy = "set irqchip.gic = 3 or auto",
	},
};

static struct gic *
gic_of(const struct irqchip *chip)
{
	return container_of(chip, struct gic, chip);
}

/* ---- irqchip_ops ---- */

static void
set_level(struct irqchip *chip, unsigned gsi, bool level)
{
	uint32_t intid = PRIVATE_INTIDS + gsi;

	vm_irq_line(gic_of(chip)->vm,
		    (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid,
		    level);
}

/* Only an ITS takes messages, and it tells the senders apart by their device ID. */
static int
signal_msi(struct irqchip *chip, const struct msi_msg *msg)
{
	struct gic *g = gic_of(chip);

	if (g->its_fd < 0)
		return -ENXIO;
	return vm_signal_msi(g->vm, msg, true);
}

/* The inputs stay wired as KVM wires them by default. */
static int
routes_commit(struct irqchip *chip)
{
	struct vm_route spi[GIC_SPIS];

	for (unsigned i = 0; i < GIC_SPIS; i++)
		spi[i] = (struct vm_route){ .gsi = i, .chip = 0, .pin = i };
	return vm_set_all_routes(gic_of(chip)->vm, spi, GIC_SPIS, &chip->routes, true);
}

static void
free_gic(struct irqchip *chip)
{
	struct gic *g = gic_of(chip);

	irqchip_fini(chip);

	if (g->its_fd >= 0)
		close(g->its_fd);
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}

static const struct irqchip_ops ops = {
	.name = "gic",
	.set_level = set_level,
	.signal_msi = signal_msi,
	.free = free_gic,
};

static const struct irqchip_ops ops_its = {
	.name = "gic",
	.set_level = set_level,
	.signal_msi = signal_msi,
	.routes_commit = routes_commit,
	.free = free_gic,
};

/* ---- KVM devices ---- */

/* The device's descriptor, or -errno. */
static int
create_device(const struct vm *vm, uint32_t type)
{
	struct kvm_create_device cd = { .type = type };

	return ioctl(vm_fd(vm), KVM_CREATE_DEVICE, &cd) < 0 ? -errno : (int)cd.fd;
}

static int
set_attr(int fd, uint32_t group, uint64_t attr, const void *val)
{
	struct kvm_device_attr da = {
		.group = group,
		.attr = attr,
		.addr = (uint64_t)(uintptr_t)val,
	};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &da) < 0 ? -errno : 0;
}

static int
set_frame(int fd, const struct frame *f, const char *what, struct err *e)
{
	int r = set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, f->attr, &f->base);

	if (r < 0)
		return err_set(e, -r, "cannot place the GIC's %s at 0x%jx: %s", what,
			       (uintmax_t)f->base, strerror(-r));
	return 0;
}

static int
init_device(int fd, const char *what, struct err *e)
{
	int r = set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

	if (r < 0)
		return err_set(e, -r, "cannot initialise the %s: %s", what, strerror(-r));
	return 0;
}

/* A host without an ITS of its own, or with an old kernel, goes without. */
static int
create_its(struct gic *g, struct err *e)
{
	static const struct frame its = { KVM_VGIC_ITS_ADDR_TYPE, GIC_ITS_GPA };
	int fd = create_device(g->vm, KVM_DEV_TYPE_ARM_VGIC_ITS);

	if (fd == -ENODEV)
		return 0;
	if (fd < 0)
		return err_set(e, -fd, "cannot make the GIC's ITS: %s", strerror(-fd));
	g->its_fd = fd;
	g->chip.ops = &ops_its;
	return set_frame(fd, &its, "ITS", e);
}

static int
configure(struct gic *g, struct err *e)
{
	const struct gic_version *v = g->version;
	uint32_t intids = PRIVATE_INTIDS + GIC_SPIS;
	int r;

	r = set_attr(g->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &intids);
	if (r < 0)
		return err_set(e, -r, "cannot give the GIC %u interrupts: %s", intids,
			       strerror(-r));
	r = set_frame(g->fd, &v->dist, "distributor", e);
	if (r == 0)
		r = set_frame(g->fd, &v->cpu,
			      v->per_cpu ? "redistributors" : "CPU interface", e);
	if (r == 0 && v->its)
		r = create_its(g, e);
	return r;
}

/* ---- which version ---- */

static int
check_cpus(const struct gic *g, unsigned wanted, struct err *e)
{
	const struct gic_version *v = g->version;

	if (g->ncpu <= v->ncpu_max)
		return 0;
	return err_set_status(e, wanted != 0 ? EXIT_STATUS_CONFIG : EXIT_STATUS_HOST,
			      EINVAL, "cpu.count = %u: a GICv%u has at most %u CPUs; %s",
			      g->ncpu, v->number, v->ncpu_max,
			      wanted != 0 ? v->remedy
					  : "this host's KVM has no newer GIC");
}

/* v: the version that was asked for, NULL: any. */
static int
refused(int r, const struct gic_version *v, struct err *e)
{
	if (r != -ENODEV)
		return err_set(e, -r, "cannot make a GIC: %s", strerror(-r));
	if (v == NULL)
		return err_set(e, ENODEV, "this host's KVM has neither GICv3 nor GICv2");
	return err_set(e, ENODEV,
		       "irqchip.gic = %u: this host's KVM has no GICv%u (%s); %s",
		       v->number, v->number, v->lacking, v->remedy);
}

/* Makes the first version that is wanted and that the host has. */
static int
create_gic(struct gic *g, unsigned wanted, struct err *e)
{
	const struct gic_version *v = NULL;
	int fd = -ENODEV;

	for (size_t i = 0; i < ARRAY_SIZE(versions) && fd == -ENODEV; i++) {
		if (wanted != 0 && versions[i].number != wanted)
			continue;
		v = &versions[i];
		fd = create_device(g->vm, v->type);
	}
	if (fd < 0)
		return refused(fd, wanted != 0 ? v : NULL, e);
	g->fd = fd;
	g->version = v;
	return check_cpus(g, wanted, e);
}

int
gic_new(struct vm *vm, unsigned version, unsigned ncpu, struct irqchip **ret,
	struct err *e)
{
	assert(version == 0 || version == 2 || version == 3);

	struct gic *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return err_set(e, ENOMEM, "no memory for the GIC");
	irqchip_init(&g->chip, &ops, GIC_SPIS);
	g->vm = vm;
	g->ncpu = ncpu;
	g->fd = g->its_fd = -1;

	int r = create_gic(g, version, e);

	if (r == 0)
		r = configure(g, e);
	if (r < 0) {
		free_gic(&g->chip);
		return r;
	}
	*ret = &g->chip;
	return 0;
}

/* The number of CPUs is final now, so KVM can make the redistributors. */
int
gic_finalize(struct irqchip *chip, struct err *e)
{
	struct gic *g = gic_of(chip);
	int r = init_device(g->fd, "GIC", e);

	if (r == 0 && g->its_fd >= 0)
		r = init_device(g->its_fd, "GIC's ITS", e);
	return r;
}

void
gic_describe(const struct irqchip *chip, struct devtree_gic *ret)
{
	const struct gic *g = gic_of(chip);
	const struct gic_version *v = g->version;

	*ret = (struct devtree_gic){
		.version = v->number,
		.dist_base = v->dist.base,
		.dist_len = v->dist_len,
		.cpu_base = v->cpu.base,
		.cpu_len = v->per_cpu ? g->ncpu * v->cpu_len : v->cpu_len,
		.its_base = g->its_fd >= 0 ? GIC_ITS_GPA : 0,
		.its_len = g->its_fd >= 0 ? ITS_LEN : 0,
	};
}
