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
#include <fnmatch.h>
#include <getopt.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

struct run_options opt = {
	.vmm = "build/" ARCH "/vmm",
	.dir = "build/payload/" ARCH,
	.cycles = 1000,
	.timeout_s = 20,
};

char why[512];
static unsigned skips;

int
failed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return -1;
}

uint64_t
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

	snprintf(cmd, sizeof(cmd), "%s cpus=%u cycles=%u epoch=%llu",
		 t->cmdline ? t->cmdline : "", t->cpus, opt.cycles,
		 (unsigned long long)time(NULL));
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

int
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
bool
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
bool
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
void
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

void
release(struct run *r)
{
	free(r->out_buf);
	free(r->err_buf);
}

/* SIGTERM until it has gone: signals that come at once may be one. */
void
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
int
exit_status(const struct run *r)
{
	return WIFSIGNALED(r->status) ? 1000 + WTERMSIG(r->status)
				      : WEXITSTATUS(r->status);
}

/* The first line of stderr, for messages. */
const char *
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

int
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

/* A slow one has ten times the time. */
static unsigned
timeout_ms(const struct test *t)
{
	return opt.timeout_s * (t->flags & SLOW ? 10000 : 1000);
}

static int
run_script(const struct test *t)
{
	struct run r;
	int rc = start(t, &r);

	for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(t->step) && t->step[i].wait; i++) {
		const struct step *s = &t->step[i];
		if (!wait_output(&r, s->wait, timeout_ms(t)))
			break; /* judge() says what came instead */
		if (s->send && write(r.in, s->send, strlen(s->send)) < 0)
			rc = failed("write to vmm: %s", strerror(errno));
		if (s->signal && !s->wait[0])
			usleep(100000); /* two at once would be one */
		if (s->signal)
			kill(r.pid, s->signal);
	}
	finish(&r, timeout_ms(t));
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

static bool
selected(const struct test *t, char **names, int n)
{
	if (!(t->arch & (strcmp(ARCH, "arm64") ? X86 : ARM)))
		return false;
	for (unsigned i = 0; i < opt.nleft_out; i++)
		if (!fnmatch(opt.left_out[i], t->name, 0))
			return false;
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], t->name) ||
		    (!fnmatch(names[i], t->name, 0) && !(t->flags & SLOW)))
			return true;
	return n == 0 && (opt.slow || !(t->flags & SLOW));
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

/* What the host lacks of it; NULL: nothing. */
static const char *
lacking(const struct test *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->needs); i++)
		if (t->needs[i] && access(t->needs[i], R_OK | W_OK))
			return t->needs[i];
	return NULL;
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: run [--vmm PATH] [--dir PAYLOADS] [--cycles N] [--timeout S]"
		" [--set KEY=VALUE]... [--retry-hangs] [--slow] [--verbose] [--not "
		"PATTERN]... [PATTERN...]\n");
	return 2;
}

static int
options(int argc, char **argv)
{
	static const struct option table[] = {
		{ "vmm", 1, NULL, 'v' },     { "dir", 1, NULL, 'd' },
		{ "cycles", 1, NULL, 'c' },  { "timeout", 1, NULL, 't' },
		{ "set", 1, NULL, 's' },     { "retry-hangs", 0, NULL, 'r' },
		{ "not", 1, NULL, 'n' },     { "slow", 0, NULL, 'S' },
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
		case 'n':
			if (opt.nleft_out == ARRAY_SIZE(opt.left_out))
				return -1;
			opt.left_out[opt.nleft_out++] = optarg;
			break;
		case 'S':
			opt.slow = true;
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
	for (unsigned i = 0; i < ntests; i++) {
		const struct test *t = &tests[i];
		if (!selected(t, argv + optind, argc - optind))
			continue;
		const char *none = kvm ? lacking(t) : NULL;
		if (none)
			printf("skip payload/%s: no usable %s here\n", t->name, none);
		if (!kvm || none) {
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
