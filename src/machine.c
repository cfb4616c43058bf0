/* SPDX-License-Identifier: ISC */
/* One microVM: made in the order that KVM likes, run by the reactor. See machine.h. */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "err.h"
#include "exit_status.h"
#include "irqchip.h"
#include "log.h"
#include "machine_arch.h"
#include "reactor.h"
#include "timing.h"
#include "util.h"
#include "vm.h"

/* ---- exits ---- */

static uint64_t
serve_access(struct machine *m, const struct exit *x)
{
	switch (x->kind) {
	case EXIT_PIO_READ:
		return space_read(&m->space[SPACE_PIO], x->addr, x->len);
	case EXIT_MMIO_READ:
		return space_read(&m->space[SPACE_MMIO], x->addr, x->len);
	case EXIT_PIO_WRITE:
		space_write(&m->space[SPACE_PIO], x->addr, x->len, x->data);
		break;
	default:
		space_write(&m->space[SPACE_MMIO], x->addr, x->len, x->data);
		break;
	}
	machine_index_written(m, x);
	return 0;
}

static uint64_t
serve(void *arg, const struct exit *x)
{
	struct machine *m = arg;

	machine_index_drain(m);
	switch (x->kind) {
	case EXIT_IOAPIC_EOI:
		if (m->irqchip->ops->eoi)
			m->irqchip->ops->eoi(m->irqchip, (unsigned)x->addr);
		return 0;
	case EXIT_RESET:
		machine_end(m, MACHINE_RESET);
		return 0;
	case EXIT_POWEROFF:
		machine_end(m, MACHINE_POWEROFF);
		return 0;
	case EXIT_CRASH:
	case EXIT_HOST_ERROR:
		if (m->end == MACHINE_RUNNING)
			m->crashed = m->vcpu[x->vcpu];
		machine_end(m,
			    x->kind == EXIT_CRASH ? MACHINE_CRASH : MACHINE_HOST_ERROR);
		return 0;
	default:
		return serve_access(m, x);
	}
}

void
machine_end(struct machine *m, enum machine_end end)
{
	if (m->end != MACHINE_RUNNING) /* the first reason counts */
		return;
	m->end = end;
	reactor_stop(m->host.reactor);
}

static void
power_off(void *arg)
{
	machine_end(arg, MACHINE_POWEROFF);
}

static void
power_reset(void *arg)
{
	machine_end(arg, MACHINE_RESET);
}

const struct power_ops machine_power_ops = { .poweroff = power_off,
					     .reset = power_reset };

void
machine_press_button(struct machine *m)
{
	machine_arch_press_button(m);
}

const char *
machine_end_text(const struct machine *m)
{
	return m->crashed ? vcpu_crash_text(m->crashed) : "";
}

/* ---- making one, in the order of doc/design.md ---- */

static int
make_memory(struct machine *m, struct err *e)
{
	struct memory_range range[MEMORY_RANGES_MAX];
	unsigned n;
	int rc;

	rc = machine_arch_ram(m, range, &n, e);
	if (rc == 0)
		rc = memory_reserve(&m->memory, range, n, e);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = vm_map(m->vm, m->memory.range[i].gpa, m->memory.range[i].hva,
			    m->memory.range[i].len, 0, e);
	if (rc == 0 && machine_virtio_images(m->cfg) > 0)
		rc = machine_pages_new(m, e);
	return rc;
}

/* Addresses whose writes the vCPU threads post: found once, const from then on. */
static void
collect_posted(struct machine *m)
{
	unsigned n = 0;

	for (unsigned k = 0; k < SPACE_KINDS; k++)
		for (unsigned i = 0; i < m->space[k].nregion; i++) {
			const struct region *rg = &m->space[k].region[i];

			if (!(rg->flags & REGION_POSTED_WRITE) || n == MACHINE_POSTED_MAX)
				continue;
			m->posted[n++] = (struct posted_range){
				.base = rg->base,
				.len = rg->len,
				.mmio = k == SPACE_MMIO,
			};
		}
	m->vcpu_env.posted = m->posted;
	m->vcpu_env.nposted = n; /* the threads wait for vcpu_run() until then */
}

static int
make_devices(struct machine *m, struct err *e)
{
	int rc = slot_list_init(&m->slots);

	m->platform = (struct bus){
		.name = "platform",
		.row = machine_platform_row,
		.nrow = machine_platform_rows,
		.chip = m->irqchip,
		.space = m->space,
		.slots = &m->slots,
	};
	if (rc == 0)
		rc = machine_arch_devices(m);
	if (rc)
		return err_set(e, -rc, "platform devices: %s", strerror(-rc));
	rc = machine_virtio_new(m, e);
	collect_posted(m);
	return rc;
}

static int
make_vcpus(struct machine *m, struct err *e)
{
	unsigned ncpu = m->cfg->cpu.count, max = vm_max_vcpus(m->vm);
	struct exit_sink sink = { .serve = serve, .arg = m };
	char where[128];
	int rc;

	if (ncpu > max)
		return err_set_status(e, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: cpu.count = %u, but this host's KVM allows %u",
				      config_where(m->cfg, &m->cfg->cpu.count, where,
						   sizeof(where)),
				      ncpu, max);
	rc = mailboxes_new(m->host.reactor, ncpu, &sink, &m->mailboxes);
	m->vcpu = calloc(ncpu, sizeof(struct vcpu *));
	if (rc || !m->vcpu)
		return err_set(e, ENOMEM, "out of memory");
	m->vcpu_env.vm = m->vm;
	m->vcpu_env.mailboxes = m->mailboxes;
	m->vcpu_env.ncpu = ncpu;
	m->vcpu_env.timing = m->host.timing;
	rc = vcpu_env_init(&m->vcpu_env, e);
	for (unsigned i = 0; rc == 0 && i < ncpu; i++)
		rc = vcpu_new(&m->vcpu_env, i, &m->vcpu[i], e);
	return rc;
}

static int
wait_for_vcpus(struct machine *m, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < m->cfg->cpu.count; i++)
		rc = vcpu_ready(m->vcpu[i], e);
	return rc;
}

static int
load(struct machine *m, struct err *e)
{
	const struct config *cfg = m->cfg;
	char kernel_where[128], initrd_where[128], cmdline_where[128];
	struct boot_source src = {
		.kernel = cfg->boot.kernel,
		.kernel_where = config_where(cfg, &cfg->boot.kernel, kernel_where,
					     sizeof(kernel_where)),
		.initrd = cfg->boot.initrd,
		.initrd_where = config_where(cfg, &cfg->boot.initrd, initrd_where,
					     sizeof(initrd_where)),
		.cmdline = cfg->boot.cmdline,
		.cmdline_where = config_where(cfg, &cfg->boot.cmdline, cmdline_where,
					      sizeof(cmdline_where)),
		.copy = cfg->boot.copy,
	};

	return boot_load(&src, &m->memory, &m->loaded, e);
}

static int
set_boot(struct machine *m, struct err *e)
{
	struct vcpu_boot boot = { 0 };
	uint64_t tables;
	int rc;

	rc = machine_arch_tables(m, &tables, e);
	if (rc == 0)
		rc = boot_arch_finish(&m->memory, &m->loaded, tables, &boot, e);
	if (rc == 0)
		rc = vcpu_set_boot(m->vcpu[0], &boot, e);
	return rc;
}

int
machine_new(const struct config *cfg, const struct machine_host *host,
	    struct machine **ret, struct err *e)
{
	static int (*const step[])(struct machine *, struct err *) = {
		make_memory, /* every slot before the irqchip: doc/design.md */
		machine_arch_irqchip,
		make_vcpus, /* their threads set them up while we load */
		load,
		make_devices,
		wait_for_vcpus,
		machine_arch_finalize,
		set_boot,
	};
	struct machine *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	m->cfg = cfg;
	m->host = *host;
	rc = vm_new(&m->vm, e);
	timing_mark(host->timing, TIMING_VM);
	for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(step); i++)
		rc = step[i](m, e);
	if (rc) {
		machine_free(m);
		return rc;
	}
	timing_mark(host->timing, TIMING_LOADED);
	*ret = m;
	return 0;
}

/* ---- running ---- */

enum machine_end
machine_run(struct machine *m)
{
	unsigned dropped;

	/* The boot CPU last: the others wait for its INIT/SIPI or CPU_ON. */
	for (unsigned i = m->cfg->cpu.count; i-- > 0;)
		vcpu_run(m->vcpu[i]);
	reactor_run(m->host.reactor);
	timing_mark(m->host.timing, TIMING_STOPPED);
	machine_virtio_stop(m);
	dropped = uart16550_dropped(m->serial);
	if (dropped > 0)
		log_warn("serial0: %u bytes were lost to a reader that did not read",
			 dropped);
	return m->end;
}

void
machine_write_stats(const struct machine *m, FILE *out)
{
	struct mailbox_stats s;

	mailboxes_stats(m->mailboxes, &s);
	const struct {
		const char *name;
		uint64_t n;
	} row[] = {
		/* What it cost, */
		{ "posted", s.posted[EXIT_PIO_WRITE] + s.posted[EXIT_MMIO_WRITE] },
		{ "forwarded_read", s.served[EXIT_PIO_READ] + s.served[EXIT_MMIO_READ] },
		{ "forwarded_write",
		  s.served[EXIT_PIO_WRITE] + s.served[EXIT_MMIO_WRITE] },
		{ "ioapic_eoi", s.served[EXIT_IOAPIC_EOI] },
		/* (these did not exit to user space at all) */
		{ "ioeventfd", m->notifiers.rung },
		{ "coalesced", m->coalesced },
		/* and the first three again, by address space. */
		{ "pio_posted", s.posted[EXIT_PIO_WRITE] },
		{ "pio_read", s.served[EXIT_PIO_READ] },
		{ "pio_write", s.served[EXIT_PIO_WRITE] },
		{ "mmio_posted", s.posted[EXIT_MMIO_WRITE] },
		{ "mmio_read", s.served[EXIT_MMIO_READ] },
		{ "mmio_write", s.served[EXIT_MMIO_WRITE] },
	};

	fprintf(out, "{\"exits\": {");
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		fprintf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", row[i].name,
			row[i].n);
	fprintf(out, "}, \"devices\": {");
	machine_virtio_write_stats(m, out);
	fprintf(out, "}}\n");
}

static void
free_vcpus(struct machine *m)
{
	unsigned n = m->vcpu ? m->cfg->cpu.count : 0;

	/* All are asked before the first is waited for. */
	for (unsigned i = 0; i < n; i++)
		if (m->vcpu[i])
			vcpu_stop(m->vcpu[i]);
	for (unsigned i = 0; i < n; i++)
		vcpu_free(m->vcpu[i]);
}

void
machine_free(struct machine *m)
{
	if (!m)
		return;
	free_vcpus(m);
	free(m->vcpu);
	vcpu_env_fini(&m->vcpu_env);
	mailboxes_free(m->mailboxes);
	machine_virtio_free(m);
	uart16550_free(m->serial);
	rtc_cmos_free(m->rtc_cmos);
	i8042_free(m->i8042);
	acpi_power_free(m->acpi_power);
	pl031_free(m->pl031);
	pl061_free(m->pl061);
	if (m->irqchip)
		m->irqchip->ops->free(m->irqchip);
	slot_list_fini(&m->slots);
	image_fini(&m->loaded.image);
	vm_free(m->vm);
	memory_release(&m->memory);
	free(m);
}
