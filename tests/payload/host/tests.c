// SPDX-License-Identifier: ISC
/* The tests: a table, and what a script of prompts and answers cannot say. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

static long
proc_status(pid_t pid, const char *key)
{
	char path[64], line[256];
	long v = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			v = atol(line + strlen(key) + 1);
	if (f)
		fclose(f);
	return v;
}

/* What the guest does not read must not pile up in vmm. */
static int
test_input_flood(const struct test *t)
{
	struct run r;
	char buf[4096];
	size_t sent = 0;

	memset(buf, 'x', sizeof(buf));
	if (start(t, &r))
		return -1;
	bool up = wait_output(&r, "going hang", opt.timeout_s * 1000);
	long before = proc_status(r.pid, "VmRSS");
	for (uint64_t end = now_ns() + 1000000000; now_ns() < end && sent < 64 << 20;) {
		ssize_t n = write(r.in, buf, sizeof(buf));
		if (n > 0)
			sent += (size_t)n;
		else
			usleep(1000);
	}
	long after = proc_status(r.pid, "VmRSS");
	terminate(&r);
	finish(&r, opt.timeout_s * 1000);
	int rc = up ? judge(t, &r) : failed("the guest did not start: %s", err_line(&r));
	if (rc == 0 && (before < 0 || after - before > 512))
		rc = failed("%ld KiB before, %ld after %zu bytes", before, after, sent);
	release(&r);
	return rc;
}

/* A reader that does not read: the guest comes to its end and vmm to its own. */
static int
test_stalled_reader(const struct test *t)
{
	struct run r;

	if (start(t, &r))
		return -1;
	fcntl(r.out, F_SETPIPE_SZ, 4096);
	int out = r.out;
	r.out = -1;
	finish(&r, opt.timeout_s * 1000);
	r.out = out;
	pump(&r, 0);
	int rc = judge(t, &r);
	close(out);
	if (rc == 0 && r.rss_kib > 32 * 1024)
		rc = failed("%ld KiB", r.rss_kib);
	if (rc == 0 && strncmp(r.out_buf, "line 0000000000\n", 16))
		rc = failed("what was there does not begin with line 0: %.40s",
			    r.out_buf);
	release(&r);
	return rc;
}

/* A reader that reads gets everything, in order. */
static int
test_output_order(const struct test *t)
{
	struct run r;
	unsigned lines = 0;
	char want[32];

	if (start(t, &r))
		return -1;
	finish(&r, opt.timeout_s * 1000);
	int rc = judge(t, &r);
	for (char *p = r.out_buf; rc == 0 && !strncmp(p, "line ", 5); p += 16, lines++) {
		snprintf(want, sizeof(want), "line %010u\n", lines);
		if (strncmp(p, want, 16))
			rc = failed("line %u is %.15s", lines, p);
	}
	if (rc == 0 && (lines != 1024 || strcmp(r.out_buf + lines * 16, "done\n")))
		rc = failed("%u lines, then %.20s", lines, r.out_buf + lines * 16);
	release(&r);
	return rc;
}

static unsigned
count_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;

	for (int fd = 0; fd < 512; fd++) {
		struct stat st;
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		n += lstat(path, &st) == 0;
	}
	return n;
}

struct use {
	unsigned fds;
	long threads, rss;
};

static struct use
use_of(pid_t pid)
{
	return (struct use){ count_fds(pid), proc_status(pid, "Threads"),
			     proc_status(pid, "VmRSS") };
}

/* 0, or what there is more of now. */
static int
compare_use(const struct use *was, const struct use *is)
{
	/* a sanitizer keeps what was freed */
	long slack = strstr(opt.vmm, "san/") ? 16384 : 256;

	if (is->fds == was->fds && is->threads == was->threads &&
	    is->rss <= was->rss + slack)
		return 0;
	return failed("fds %u -> %u, threads %ld -> %ld, RSS %ld -> %ld KiB", was->fds,
		      is->fds, was->threads, is->threads, was->rss, is->rss);
}

/* The guest does the same rounds times, when it is told to: nothing is left over. */
static int
test_rounds(const struct test *t, const char *prompt, unsigned rounds, const char *end)
{
	struct use was = { 0 }, is;
	struct run r;
	unsigned n;
	int rc = 0;

	if (start(t, &r))
		return -1;
	for (n = 1; wait_output(&r, prompt, opt.timeout_s * 1000); n++) {
		is = use_of(r.pid);
		if (n == rounds / 8 + 1)
			was = is;
		if (n == rounds) {
			rc = compare_use(&was, &is);
			(void)!write(r.in, end, 1);
			break;
		}
		if (write(r.in, "a", 1) != 1)
			break;
	}
	finish(&r, (unsigned)((now_ns() - r.start_ns) / 1000000 + 5000));
	if (rc == 0)
		rc = n == rounds ? judge(t, &r)
				 : failed("ended after %u rounds: %s", n, err_line(&r));
	release(&r);
	return rc;
}

/* Many resets in one process. */
static int
test_many_resets(const struct test *t)
{
	return test_rounds(t, "up\n", 50, "p");
}

/* The same of a device. */
static int
test_again(const struct test *t)
{
	return test_rounds(t, "round\n", 3, "p");
}

/* vmm with several vCPUs in exits, ended by one of them, again and again. */
static int
test_cycles(const struct test *t)
{
	double worst = 0, sum = 0;
	int rc = 0;

	for (unsigned i = 0; i < opt.cycles && rc == 0; i++) {
		struct run r;
		rc = start(t, &r);
		finish(&r, opt.timeout_s * 1000);
		if (rc == 0 && (rc = judge(t, &r)) != 0) {
			char text[sizeof(why)];
			memcpy(text, why, sizeof(text));
			failed("cycle %u: %.480s", i, text);
		}
		worst = r.ms > worst ? r.ms : worst;
		sum += r.ms;
		release(&r);
	}
	if (rc == 0)
		printf("  %u cycles, mean %.1f ms, longest %.1f ms\n", opt.cycles,
		       sum / opt.cycles, worst);
	return rc;
}

/* Killed at any moment of its life, vmm leaves at once. */
static int
test_kill_any_time(const struct test *t)
{
	unsigned runs = opt.cycles < 100 ? opt.cycles : 100;
	int rc = 0;

	for (unsigned i = 0; i < runs && rc == 0; i++) {
		struct run r;
		if (start(t, &r))
			return -1;
		usleep(i * 200);
		terminate(&r);
		finish(&r, 5000);
		/* before main has set its handlers the default action applies */
		if (r.hung)
			rc = failed("hangs when it is killed after %u us", i * 200);
		else if (exit_status(&r) != 128 + SIGTERM &&
			 exit_status(&r) != 1000 + SIGTERM)
			rc = failed("after %u us: exit status %d: %s", i * 200,
				    exit_status(&r), err_line(&r));
		release(&r);
	}
	return rc;
}

/* Block n of the disk begins with n + 1 (disk.c). */
static int
look_at_image(int fd)
{
	for (uint32_t n = 0, mark = 0; n < 64; n++)
		if (pread(fd, &mark, sizeof(mark), n * 4096) != sizeof(mark) ||
		    mark != n + 1)
			return failed("block %u of the image begins with %u", n, mark);
	return 0;
}

/* With an image of its own, which outlives the guest. */
static int
with_disk(const struct test *t)
{
	char path[] = "/tmp/vmm-disk-XXXXXX", set[64];
	struct test own = *t;
	struct run r;
	int fd = mkstemp(path), rc;

	if (fd < 0 || ftruncate(fd, 4 << 20) != 0)
		return failed("%s: no image", path);
	snprintf(set, sizeof(set), "disk.a.path=%s", path);
	own.set[ARRAY_SIZE(own.set) - 1] = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(own.set); i++)
		if (!own.set[i]) {
			own.set[i] = set;
			break;
		}
	rc = start(&own, &r);
	if (rc == 0) {
		finish(&r, 60000);
		rc = judge(&own, &r);
		release(&r);
	}
	if (rc == 0)
		rc = look_at_image(fd);
	unlink(path);
	close(fd);
	return rc;
}

/* ---- the table ---- */

#define T(name_, payload_, cmdline_, arch_, cpus_, flags_) \
	.name = name_, .payload = payload_, .cmdline = cmdline_, .arch = arch_, \
	.cpus = cpus_, .flags = flags_
#define KERNEL_CHIP .set = { "irqchip.mode=kernel" }
#define RESET .set = { "vm.reboot=reset" }
#define TERMINATED (128 + SIGTERM)
/* Devices for the guest to drive. */
#define RNGS_SET(transport) "rng.a.transport=" transport, "rng.b.transport=" transport
#define RNGS(...) .set = { __VA_ARGS__ }
#define DISK(transport) .fn = with_disk, .set = { "disk.a.transport=" transport }
/* One that vmm makes, and that is down. */
#define TAP(vhost, ...) \
	.needs = { "/dev/net/tun", vhost[0] == 'y' ? "/dev/vhost-net" : NULL }, \
	.set = { "net.a.backend=tap", "net.a.tap=payload", "net.a.vhost=" vhost, \
		 ##__VA_ARGS__ }
/* Four lines on the bus: the fifth function shares the first one's. */
#define RNGS_5(transport) \
	RNGS_SET(transport), "rng.c.transport=" transport, "rng.d.transport=" transport, \
		"rng.e.transport=" transport

const struct test tests[] = {
	{ T("hello", "hello", NULL, ANY, 1, REPORTS) },
	{ T("hello-copied", "hello", NULL, ANY, 1, REPORTS), .set = { "boot.copy=yes" } },
	{ T("serial", "serial", "input=1", ANY, 1, REPORTS),
	  .step = { { "send\n", "input", 0 } } },
	{ T("serial-kernel-irqchip", "serial", "input=1", X86, 1, REPORTS), KERNEL_CHIP,
	  .step = { { "send\n", "input", 0 } } },
	{ T("posted-1cpu", "posted", NULL, ANY, 1, REPORTS) },
	{ T("posted", "posted", NULL, ANY, 2, REPORTS) },
	{ T("nowhere", "nowhere_x86_64", NULL, X86, 1, REPORTS) },
	{ T("smp-1", "smp", NULL, ANY, 1, REPORTS) },
	{ T("smp-2", "smp", NULL, ANY, 2, REPORTS) },
	{ T("smp-3", "smp", NULL, ANY, 3, REPORTS) },
	{ T("smp-4", "smp", NULL, ANY, 4, REPORTS) },
	{ T("smp-8", "smp", NULL, ANY, 8, REPORTS) },
	{ T("smp-32", "smp", NULL, X86, 32, REPORTS) },
	{ T("smp-8-kernel-irqchip", "smp", NULL, X86, 8, REPORTS), KERNEL_CHIP },
	{ T("ioapic", "ioapic_x86_64", NULL, X86, 2, REPORTS) },
	{ T("ioapic-kernel-irqchip", "ioapic_x86_64", "in-kernel=1", X86, 2, REPORTS),
	  KERNEL_CHIP },
	{ T("time", "time_x86_64", NULL, X86, 1, REPORTS) },
	{ T("time-kernel-irqchip", "time_x86_64", NULL, X86, 1, REPORTS), KERNEL_CHIP },
	{ T("acpi-1", "acpi_x86_64", NULL, X86, 1, REPORTS) },
	{ T("acpi-8", "acpi_x86_64", NULL, X86, 8, REPORTS) },
	{ T("fdt", "fdt_arm64", NULL, ARM, 2, REPORTS) },
	{ T("gic", "gic_arm64", NULL, ARM, 2, REPORTS) },
	{ T("time", "time_arm64", NULL, ARM, 1, REPORTS) },

	{ T("virtio-pci", "virtio", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("virtio-transitional", "virtio", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("virtio-legacy", "virtio", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("virtio-mmio", "virtio", "transport=mmio", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio")) },
	{ T("virtio-mmio-legacy", "virtio", "transport=mmio-legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio-legacy")) },
	{ T("disk-pci", "disk", "transport=pci", ANY, 1, REPORTS), DISK("pci") },
	{ T("disk-pci-2cpu", "disk", "transport=pci", ANY, 2, REPORTS), DISK("pci") },
	{ T("disk-cache-unsafe", "disk", "transport=pci", ANY, 1, REPORTS),
	  .fn = with_disk, .set = { "disk.a.cache=unsafe" } },
	{ T("disk-limited", "disk", "transport=pci", ANY, 1, REPORTS), .fn = with_disk,
	  .set = { "disk.a.rate=64M", "disk.a.burst=64K", "disk.a.rate-ops=20000" } },
	{ T("disk-legacy", "disk", "transport=legacy", ANY, 1, REPORTS),
	  DISK("transitional") },
	{ T("disk-mmio", "disk", "transport=mmio", ANY, 1, REPORTS), DISK("mmio") },
	{ T("disk-mmio-legacy", "disk", "transport=mmio-legacy", ANY, 1, REPORTS),
	  DISK("mmio-legacy") },
	{ T("net-send-tap", "net_send", NULL, ANY, 1, REPORTS), TAP("no") },
	{ T("net-send-vhost", "net_send", NULL, ANY, 1, REPORTS), TAP("yes") },
	{ T("net-send-vhost-2cpu", "net_send", NULL, ANY, 2, REPORTS), TAP("yes") },
	{ T("net-send-vhost-kernel-irqchip", "net_send", NULL, X86, 1, REPORTS),
	  TAP("yes", "irqchip.mode=kernel") },
	{ T("interrupt-line", "interrupt_line", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("interrupt-line-no-pages", "interrupt_line", "transport=pci", ANY, 1,
	    REPORTS),
	  RNGS(RNGS_SET("pci"), "pci.pages=no") },
	{ T("interrupt-line-kernel-irqchip", "interrupt_line", "transport=pci", X86, 1,
	    REPORTS),
	  RNGS(RNGS_SET("pci"), "irqchip.mode=kernel") },
	{ T("interrupt-line-legacy", "interrupt_line", "transport=legacy", ANY, 1,
	    REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("pci-irq", "pci_irq", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_5("pci")) },
	{ T("pci-irq-kernel-irqchip", "pci_irq", "transport=pci", X86, 1, REPORTS),
	  RNGS(RNGS_5("pci"), "irqchip.mode=kernel") },
	{ T("pci-irq-legacy", "pci_irq", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_5("transitional")) },

	{ T("hostile-ring-pci", "hostile_ring", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("hostile-ring-legacy", "hostile_ring", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("hostile-ring-mmio", "hostile_ring", "transport=mmio", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio")) },
	{ T("hostile-ring-mmio-legacy", "hostile_ring", "transport=mmio-legacy", ANY, 1,
	    REPORTS),
	  RNGS(RNGS_SET("mmio-legacy")) },
	{ T("hostile-virtio-pci", "hostile_virtio", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("hostile-virtio-legacy", "hostile_virtio", "transport=legacy", ANY, 1,
	    REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("hostile-virtio-mmio", "hostile_virtio", "transport=mmio", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio")) },
	{ T("hostile-virtio-mmio-legacy", "hostile_virtio", "transport=mmio-legacy", ANY,
	    1, REPORTS),
	  RNGS(RNGS_SET("mmio-legacy")) },
	{ T("hostile-pci", "hostile_pci", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("hostile-pci-no-pages", "hostile_pci", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci"), "pci.pages=no") },
	{ T("hostile-pci-kernel-irqchip", "hostile_pci", "transport=pci", X86, 1,
	    REPORTS),
	  RNGS(RNGS_SET("pci"), "irqchip.mode=kernel") },
	{ T("hostile-pci-legacy", "hostile_pci", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("hostile-million-rewrites", "hostile_pci",
	    "transport=pci only=msix-rewrites rewrites=1000000", ANY, 1, REPORTS | SLOW),
	  RNGS(RNGS_SET("pci")) },
	{ T("again-pci", "again", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")), .fn = test_again },
	{ T("again-legacy", "again", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("transitional")), .fn = test_again },
	{ T("again-mmio", "again", "transport=mmio", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio")), .fn = test_again },
	{ T("again-mmio-legacy", "again", "transport=mmio-legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("mmio-legacy")), .fn = test_again },

	{ T("poweroff", "end", "how=poweroff", ANY, 1, ENDS) },
	{ T("poweroff-by-cpu1", "end", "how=poweroff on=1", ANY, 2, ENDS) },
	{ T("reset-i8042-exits", "end", "how=i8042", X86, 1, ENDS), .status = 4 },
	{ T("reset-acpi-exits", "end", "how=acpi", X86, 1, ENDS), .status = 4 },
	{ T("reset-psci-exits", "end", "how=psci", ARM, 1, ENDS), .status = 4 },
	{ T("reset-by-cpu1-exits", "end", "how=acpi on=1", X86, 2, ENDS), .status = 4 },
	{ T("reset-boots-again", "end", "how=ask", ANY, 1, ENDS), RESET,
	  .step = { { "up\n", "a", 0 }, { "up\n", "a", 0 }, { "up\n", "p", 0 } } },
	{ T("reset-i8042-boots-again", "end", "how=ask", X86, 2, ENDS), RESET,
	  .step = { { "up\n", "i", 0 }, { "up\n", "p", 0 } } },
	{ T("many-resets", "end", "how=ask", ANY, 2, ENDS), RESET,
	  .fn = test_many_resets },

	{ T("triple-fault", "end", "how=triple", X86, 1, ENDS), .status = 5,
	  .err = { "triple fault", "rip" } },
	{ T("triple-fault-of-cpu1", "end", "how=triple on=1", X86, 2, ENDS), .status = 5,
	  .err = { "triple fault", "rip" } },
	{ T("triple-fault-no-reset", "end", "how=triple", X86, 1, ENDS), RESET,
	  .status = 5, .err = { "triple fault" } },
	{ T("jump-into-mmio", "end", "how=jump", X86, 1, ENDS), .status = 5,
	  .err = { "emulat", "rip" } },

	{ T("button", "button_x86_64", NULL, X86, 1, REPORTS),
	  .step = { { "ready\n", NULL, SIGTERM } } },
	{ T("button-kernel-irqchip", "button_x86_64", NULL, X86, 1, REPORTS), KERNEL_CHIP,
	  .step = { { "ready\n", NULL, SIGTERM } } },
	{ T("button", "button_arm64", NULL, ARM, 1, REPORTS),
	  .step = { { "ready\n", NULL, SIGTERM } } },
	{ T("sigterm-twice", "end", "how=hang", ANY, 2, ENDS), .status = TERMINATED,
	  .step = { { "going hang\n", NULL, SIGTERM }, { "", NULL, SIGTERM } } },
	{ T("kill-any-time", "end", "how=hang", ANY, 2, ENDS), .fn = test_kill_any_time },

	{ T("output-order", "output", "bytes=16384", ANY, 1, ENDS),
	  .fn = test_output_order },
	{ T("stalled-reader", "output", "bytes=16384", ANY, 1, ENDS),
	  .fn = test_stalled_reader },
	{ T("input-flood", "end", "how=hang", ANY, 1, ENDS), .status = TERMINATED,
	  .fn = test_input_flood },
	{ T("start-stop-cycles", "cycle", NULL, ANY, 4, ENDS), .fn = test_cycles },
	{ T("start-stop-cycles-kernel-irqchip", "cycle", NULL, X86, 4, ENDS), KERNEL_CHIP,
	  .fn = test_cycles },
};

const unsigned ntests = ARRAY_SIZE(tests);
