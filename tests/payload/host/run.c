// SPDX-License-Identifier: ISC
/*
 * Runs the payloads under vmm and judges what they print, what vmm prints, and
 * how it ends.  Static and without dependencies, so that it runs in the lab, too.
 *
 * Each row of the table is one test: a guest, its command line, and a script of
 * what to do when it prints something.  What a script cannot say has a function.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#ifdef __x86_64__
#define ARCH "x86_64"
#define SUFFIX ".elf"
#else
#define ARCH "arm64"
#define SUFFIX ".img"
#endif

enum { X86 = 1, ARM = 2, ANY = X86 | ARM };
enum { OUT_MAX = 256 * 1024, ERR_MAX = 16 * 1024, ARGS_MAX = 64 };

/* What the guest's end must look like. */
enum {
	REPORTS = 1 << 0, /* ok lines and "done" */
	ENDS = 1 << 1
}; /* neither is asked for */

struct step {
	const char *wait; /* in what the guest printed since the last step */
	const char *send; /* to its serial port, */
	int signal;       /* or a signal to vmm */
};

struct test {
	const char *name;
	const char *payload;
	const char *cmdline;
	int arch;
	unsigned cpus;
	unsigned flags;
	const char *set[8]; /* more --set arguments */
	int status;
	const char *err[3]; /* must be in vmm's stderr */
	struct step step[4];
	int (*fn)(const struct test *t);
};

static struct {
	const char *vmm, *dir;
	unsigned cycles, timeout_s;
	bool retry, verbose;
	const char *set[16];
	unsigned nset;
} opt = { .vmm = "build/" ARCH "/vmm",
	  .dir = "build/payload/" ARCH,
	  .cycles = 1000,
	  .timeout_s = 20 };

/* One run of vmm. */
struct run {
	pid_t pid;
	int in, out, err; /* our ends, -1: closed */
	char *out_buf, *err_buf;
	size_t out_len, err_len;
	size_t seen; /* of out_buf, by steps */
	int status;  /* of wait4 */
	long rss_kib;
	double ms;
	bool hung;
	uint64_t start_ns;
};

static char why[512]; /* of the test that failed last */
static unsigned skips;

static int __attribute__((format(printf, 1, 2))) failed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return -1;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- start and end ---- */

static unsigned
build_args(const struct test *t, char **argv, char *text, size_t len)
{
	unsigned n = 0;
	size_t used = 0;
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "%s cpus=%u epoch=%llu", t->cmdline ? t->cmdline : "",
		 t->cpus, (unsigned long long)time(NULL));
	argv[n++] = (char *)(uintptr_t)opt.vmm;
	argv[n++] = (char *)(uintptr_t) "--config";
	argv[n++] = (char *)(uintptr_t) "tests/payload/payload.ini";
#define SET(...) \
	do { \
		argv[n++] = (char *)(uintptr_t) "--set"; \
		argv[n++] = text + used; \
		used += (size_t)snprintf(text + used, len - used, __VA_ARGS__) + 1; \
	} while (0)
	SET("boot.kernel=%s/%s%s", opt.dir, t->payload, SUFFIX);
	SET("boot.cmdline=%s", cmd);
	SET("cpu.count=%u", t->cpus);
	for (unsigned i = 0; i < ARRAY_SIZE(t->set) && t->set[i]; i++)
		SET("%s", t->set[i]);
	for (unsigned i = 0; i < opt.nset; i++)
		SET("%s", opt.set[i]);
#undef SET
	argv[n] = NULL;
	return n;
}

static int
start(const struct test *t, struct run *r)
{
	char *argv[ARGS_MAX], text[2048];
	int in[2], out[2], err[2];
	posix_spawn_file_actions_t fa;

	*r = (struct run){ .out_buf = malloc(OUT_MAX + 1),
			   .err_buf = malloc(ERR_MAX + 1) };
	build_args(t, argv, text, sizeof(text));
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return failed("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	posix_spawn_file_actions_adddup2(&fa, err[1], 2);
	r->start_ns = now_ns();
	int rc = posix_spawn(&r->pid, opt.vmm, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	r->in = in[1];
	r->out = out[0];
	r->err = err[0];
	fcntl(r->in, F_SETFL, O_NONBLOCK);
	fcntl(r->out, F_SETFL, O_NONBLOCK);
	fcntl(r->err, F_SETFL, O_NONBLOCK);
	return rc ? failed("%s: %s", opt.vmm, strerror(rc)) : 0;
}

static void
take(int *fd, char *buf, size_t *len, size_t max)
{
	char waste[4096];

	while (*fd >= 0) {
		bool full = *len >= max;
		ssize_t n = full ? read(*fd, waste, sizeof(waste))
				 : read(*fd, buf + *len, max - *len);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			close(*fd);
			*fd = -1;
		} else if (!full) {
			*len += (size_t)n;
		}
	}
	buf[*len] = 0;
}

/* Waits up to ms for output, and takes it. False: nothing more will come. */
static bool
pump(struct run *r, int ms)
{
	struct pollfd p[2] = { { r->out, POLLIN, 0 }, { r->err, POLLIN, 0 } };

	if (r->out < 0 && r->err < 0)
		return false;
	poll(p, 2, ms);
	take(&r->out, r->out_buf, &r->out_len, OUT_MAX);
	take(&r->err, r->err_buf, &r->err_len, ERR_MAX);
	return true;
}

/* True: text was printed since the last one that was waited for. */
static bool
wait_output(struct run *r, const char *text, unsigned timeout_ms)
{
	uint64_t end = now_ns() + timeout_ms * 1000000ull;

	for (;;) {
		const char *at = strstr(r->out_buf + r->seen, text);
		if (r->out_len && at) {
			r->seen = (size_t)(at - r->out_buf) + strlen(text);
			return true;
		}
		if (now_ns() > end || !pump(r, 50))
			return false;
	}
}

/* Waits for the end; a run that hangs is killed. */
static void
finish(struct run *r, unsigned timeout_ms)
{
	uint64_t end = r->start_ns + timeout_ms * 1000000ull;
	struct rusage ru;

	for (;;) {
		pid_t got = wait4(r->pid, &r->status, WNOHANG, &ru);
		if (got == r->pid)
			break;
		if (now_ns() > end && !r->hung) {
			r->hung = true;
			kill(r->pid, SIGKILL);
		}
		if (!pump(r, 5))
			usleep(500);
	}
	r->ms = (double)(now_ns() - r->start_ns) / 1e6;
	r->rss_kib = ru.ru_maxrss;
	pump(r, 0);
	if (r->in >= 0)
		close(r->in);
	if (r->out >= 0)
		close(r->out);
	if (r->err >= 0)
		close(r->err);
}

static void
release(struct run *r)
{
	free(r->out_buf);
	free(r->err_buf);
}

/* SIGTERM until it has gone: signals that come at once may be one. */
static void
terminate(struct run *r)
{
	siginfo_t si;

	for (unsigned n = 0; n < 200; n++) {
		kill(r->pid, SIGTERM);
		usleep(5000);
		si.si_pid = 0;
		if (waitid(P_PID, (id_t)r->pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    si.si_pid)
			return;
	}
}

/* ---- judging ---- */

/* As a shell has it. */
static int
exit_status(const struct run *r)
{
	return WIFSIGNALED(r->status) ? 1000 + WTERMSIG(r->status)
				      : WEXITSTATUS(r->status);
}

/* The first line of stderr, for messages. */
static const char *
err_line(struct run *r)
{
	char *nl = strchr(r->err_buf, '\n');

	if (nl)
		*nl = 0;
	return r->err_len ? r->err_buf : "nothing on stderr";
}

static int
judge_reports(const struct test *t, struct run *r)
{
	unsigned oks = 0;
	bool done = false;
	char *save;

	for (char *l = strtok_r(r->out_buf, "\r\n", &save); l;
	     l = strtok_r(NULL, "\r\n", &save)) {
		if (!strncmp(l, "FAIL ", 5))
			return failed("%s", l + 5);
		if (!strncmp(l, "ok ", 3))
			oks++;
		else if (!strncmp(l, "skip ", 5)) {
			skips++;
			printf("skip %s/%s\n", t->name, l + 5);
		} else if (!strcmp(l, "done"))
			done = true;
	}
	if (!done)
		return failed("no \"done\" after %u ok (%s)", oks, err_line(r));
	return oks ? 0 : failed("it reported nothing");
}

static int
judge(const struct test *t, struct run *r)
{
	if (r->hung)
		return failed("hangs; last output: ...%s",
			      r->out_buf + (r->out_len > 60 ? r->out_len - 60 : 0));
	if (exit_status(r) != t->status)
		return failed("exit status %d, not %d: %s", exit_status(r), t->status,
			      err_line(r));
	for (unsigned i = 0; i < ARRAY_SIZE(t->err) && t->err[i]; i++)
		if (!strcasestr(r->err_buf, t->err[i]))
			return failed("no \"%s\" on stderr: %s", t->err[i], err_line(r));
	if (strstr(r->err_buf, "WARNING: ThreadSanitizer") ||
	    strstr(r->err_buf, "ERROR: "))
		return failed("%s", r->err_buf);
	if (strstr(r->out_buf, "FAIL "))
		return judge_reports(t, r);
	return t->flags & REPORTS ? judge_reports(t, r) : 0;
}

static int
run_script(const struct test *t)
{
	struct run r;
	int rc = start(t, &r);

	for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(t->step) && t->step[i].wait; i++) {
		const struct step *s = &t->step[i];
		if (!wait_output(&r, s->wait, opt.timeout_s * 1000))
			break; /* judge() says what came instead */
		if (s->send && write(r.in, s->send, strlen(s->send)) < 0)
			rc = failed("write to vmm: %s", strerror(errno));
		if (s->signal && !s->wait[0])
			usleep(100000); /* two at once would be one */
		if (s->signal)
			kill(r.pid, s->signal);
	}
	finish(&r, opt.timeout_s * 1000);
	char *text = NULL; /* judge() cuts it up */
	if (asprintf(&text, "%s%s", r.out_buf, r.err_buf) < 0)
		text = NULL;
	if (rc == 0)
		rc = judge(t, &r);
	if (text && (opt.verbose || rc))
		fputs(text, stdout);
	free(text);
	if (rc && r.hung)
		rc = -2;
	release(&r);
	return rc;
}

/* ---- tests that are more than a script ---- */

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

/* Many resets in one process: nothing is left over from one. */
static int
test_many_resets(const struct test *t)
{
	struct run r;
	unsigned fds = 0, n;
	long threads = 0, rss = 0;
	int rc = 0;

	if (start(t, &r))
		return -1;
	for (n = 0; n < 50 && wait_output(&r, "up\n", 5000); n++) {
		if (n == 5) {
			fds = count_fds(r.pid);
			threads = proc_status(r.pid, "Threads");
			rss = proc_status(r.pid, "VmRSS");
		}
		if (n == 49)
			break;
		if (write(r.in, "a", 1) != 1)
			break;
	}
	if (n == 49) {
		unsigned fds_end = count_fds(r.pid);
		long threads_end = proc_status(r.pid, "Threads");
		long rss_end = proc_status(r.pid, "VmRSS");
		/* a sanitizer keeps what was freed */
		long slack = strstr(opt.vmm, "san/") ? 16384 : 256;
		if (fds_end != fds || threads_end != threads || rss_end > rss + slack)
			rc = failed(
				"fds %u -> %u, threads %ld -> %ld, RSS %ld -> %ld KiB",
				fds, fds_end, threads, threads_end, rss, rss_end);
		(void)!write(r.in, "p", 1);
	}
	finish(&r, (unsigned)((now_ns() - r.start_ns) / 1000000 + 5000));
	if (rc == 0)
		rc = n == 49 ? judge(t, &r)
			     : failed("ended after %u resets: %s", n, err_line(&r));
	release(&r);
	return rc;
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
/* Four lines on the bus: the fifth function shares the first one's. */
#define RNGS_5(transport) \
	RNGS_SET(transport), "rng.c.transport=" transport, "rng.d.transport=" transport, \
		"rng.e.transport=" transport

static const struct test tests[] = {
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
	{ T("ioapic-kernel-irqchip", "ioapic_x86_64", "spurious=1", X86, 2, REPORTS),
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
	{ T("interrupt-line", "interrupt_line", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_SET("pci")) },
	{ T("interrupt-line-kernel-irqchip", "interrupt_line", "transport=pci", X86, 1,
	    REPORTS),
	  RNGS(RNGS_SET("pci"), "irqchip.mode=kernel") },
	{ T("interrupt-line-legacy", "interrupt_line", "transport=legacy", ANY, 1,
	    REPORTS),
	  RNGS(RNGS_SET("transitional")) },
	{ T("pci-irq", "pci_irq", "transport=pci", ANY, 1, REPORTS),
	  RNGS(RNGS_5("pci")) },
	{ T("pci-irq-kernel-irqchip", "pci_irq", "transport=pci spurious=1", X86, 1,
	    REPORTS),
	  RNGS(RNGS_5("pci"), "irqchip.mode=kernel") },
	{ T("pci-irq-legacy", "pci_irq", "transport=legacy", ANY, 1, REPORTS),
	  RNGS(RNGS_5("transitional")) },

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

static bool
selected(const struct test *t, char **names, int n)
{
	if (!(t->arch & (strcmp(ARCH, "arm64") ? X86 : ARM)))
		return false;
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], t->name))
			return true;
	return n == 0;
}

/*
 * A VM with a vCPU that never runs.  The first and the last VM of a host make its
 * kernel patch its own code (static keys), which now and then kills a kernel that
 * runs under QEMU's TCG, as that of the lab does.
 */
static void
hold_vm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0)
		return;
	fcntl(vm, F_SETFD, FD_CLOEXEC);
#ifdef __x86_64__
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	ioctl(vm, KVM_ENABLE_CAP, &cap);
#endif
	int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (cpu >= 0)
		fcntl(cpu, F_SETFD, FD_CLOEXEC);
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: run [--vmm PATH] [--dir PAYLOADS] [--cycles N] [--timeout S]"
		" [--set KEY=VALUE]... [--retry-hangs] [--verbose] [NAME...]\n");
	return 2;
}

static int
options(int argc, char **argv)
{
	static const struct option table[] = {
		{ "vmm", 1, NULL, 'v' },     { "dir", 1, NULL, 'd' },
		{ "cycles", 1, NULL, 'c' },  { "timeout", 1, NULL, 't' },
		{ "set", 1, NULL, 's' },     { "retry-hangs", 0, NULL, 'r' },
		{ "verbose", 0, NULL, 'V' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'v':
			opt.vmm = optarg;
			break;
		case 'd':
			opt.dir = optarg;
			break;
		case 'c':
			opt.cycles = (unsigned)atoi(optarg);
			break;
		case 't':
			opt.timeout_s = (unsigned)atoi(optarg);
			break;
		case 'r':
			opt.retry = true;
			break;
		case 'V':
			opt.verbose = true;
			break;
		case 's':
			if (opt.nset == ARRAY_SIZE(opt.set))
				return -1;
			opt.set[opt.nset++] = optarg;
			break;
		default:
			return -1;
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, fails = 0, retried = 0, left_out = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (options(argc, argv))
		return usage();
	bool kvm = access("/dev/kvm", R_OK | W_OK) == 0;
	if (!kvm)
		printf("skip payload: no usable /dev/kvm here\n");
	else
		hold_vm();
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
		const struct test *t = &tests[i];
		if (!selected(t, argv + optind, argc - optind))
			continue;
		if (!kvm) {
			left_out++;
			continue;
		}
		uint64_t t0 = now_ns();
		int rc = t->fn ? t->fn(t) : run_script(t);
		if (rc == -2 && opt.retry) {
			printf("retried payload/%s %s\n", t->name, why);
			retried++;
			rc = run_script(t);
		}
		if (rc) {
			fails++;
			printf("FAIL payload/%s %s\n", t->name, why);
		} else {
			passed++;
			printf("ok payload/%s %.0f ms\n", t->name,
			       (double)(now_ns() - t0) / 1e6);
		}
	}
	printf("%u passed, %u failed", passed, fails);
	if (left_out + skips)
		printf(", %u skipped", left_out + skips);
	if (retried)
		printf(", %u retried after a hang", retried);
	printf("\n");
	return fails != 0;
}
