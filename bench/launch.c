// SPDX-License-Identifier: ISC
/*
 * Launches commands and takes the time, for bench/report, which makes sense of it:
 *
 *	launch latency RUNS COMMAND... [-- COMMAND...]...
 *		each command in turn, RUNS times; a line for each launch:
 *		index of the command, ns to the first byte on stdout, ns to the exit
 *	launch rate SECONDS CONCURRENCY COMMAND...
 *		launches in that time
 *	launch memory RAM-MIB KERNEL COMMAND...
 *		a guest that prints a byte and halts: KiB of PSS without guest RAM,
 *		KiB of all PSS, threads
 *
 * C, because a script takes longer to start a process than vmm takes to run a guest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 16, CONCURRENCY_MAX = 64, GIVE_UP_S = 30 };

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "launch: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* stdin: /dev/null; stdout: fd; the child gets no other descriptor of ours. */
static pid_t
spawn(char **argv, int fd)
{
	posix_spawn_file_actions_t fa;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, fd, 1);
	int rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (rc)
		die("%s: %s", argv[0], strerror(rc));
	return pid;
}

static void
expect_exit_0(pid_t pid, const char *name)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("%s: wait status %#x", name, status);
}

static void
launch_once(unsigned index, char **argv)
{
	int out[2];
	char byte, rest[4096];

	if (pipe2(out, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	alarm(GIVE_UP_S);
	uint64_t t0 = now_ns();
	pid_t pid = spawn(argv, out[1]);
	close(out[1]);
	if (read(out[0], &byte, 1) != 1)
		die("%s: no output", argv[0]);
	uint64_t first = now_ns();
	while (read(out[0], rest, sizeof(rest)) > 0)
		;
	expect_exit_0(pid, argv[0]);
	uint64_t end = now_ns();
	alarm(0);
	close(out[0]);
	printf("%u %llu %llu\n", index, (unsigned long long)(first - t0),
	       (unsigned long long)(end - t0));
}

static int
latency(int argc, char **argv)
{
	char **cmd[COMMANDS_MAX];
	unsigned n = 0, runs = (unsigned)atoi(argv[0]);

	cmd[n++] = argv + 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--") && n < COMMANDS_MAX) {
			argv[i] = NULL;
			cmd[n++] = &argv[i + 1];
		}
	for (unsigned run = 0; run < runs; run++)
		for (unsigned i = 0; i < n; i++) {
			/* at all phases of a 250 Hz tick */
			usleep(run % 4 * 1000);
			launch_once(i, cmd[i]);
		}
	return 0;
}

static int
rate(char **argv)
{
	double seconds = atof(argv[0]);
	unsigned concurrency = (unsigned)atoi(argv[1]), running = 0;
	unsigned long launches = 0;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t t0 = now_ns(), end = t0 + (uint64_t)(seconds * 1e9);

	alarm((unsigned)seconds + GIVE_UP_S);
	for (;;) {
		int status;
		while (now_ns() < end && running < concurrency) {
			spawn(argv + 2, null);
			running++;
		}
		if (running == 0)
			break;
		if (wait(&status) < 0 || status)
			die("%s: wait status %#x", argv[2], status);
		running--;
		launches++;
	}
	printf("%.3f\n", (double)launches * 1e9 / (double)(now_ns() - t0));
	return 0;
}

/* ---- memory ---- */

struct vma {
	unsigned long start, end, pss;
	bool kernel, anonymous;
};

static unsigned
read_smaps(pid_t pid, const char *kernel, struct vma *v, unsigned max)
{
	char path[64], line[4096], name[4096];
	unsigned n = 0;
	unsigned long start, end;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		name[0] = 0;
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %4095s", &start, &end, name) >=
		    2) {
			if (n == max)
				die("too many mappings");
			v[n++] =
				(struct vma){ start, end, 0, strstr(name, kernel) != NULL,
					      name[0] == 0 };
		} else if (n && !strncmp(line, "Pss:", 4)) {
			v[n - 1].pss = strtoul(line + 4, NULL, 10);
		}
	}
	fclose(f);
	return n;
}

/*
 * Guest RAM is one large anonymous mapping, or, where the kernel is mapped into it,
 * that with the kernel's file in the middle and a small piece before.
 */
static bool
is_ram(const struct vma *v, unsigned n, unsigned i, unsigned long ram)
{
	if (v[i].kernel)
		return true;
	if (v[i].anonymous && v[i].end - v[i].start >= ram / 2)
		return true;
	return v[i].anonymous && i + 1 < n && v[i + 1].kernel &&
	       v[i].end == v[i + 1].start;
}

/* Without the one that Linux >= 6.14 puts into every process with a VM. */
static unsigned
threads_of(pid_t pid)
{
	char path[64 + sizeof(((struct dirent *)NULL)->d_name)], name[64];
	unsigned n = 0;
	const struct dirent *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, d->d_name);
		FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		n += fgets(name, sizeof(name), f) &&
		     strncmp(name, "kvm-nx-lpage", 12) != 0;
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return n;
}

static int
memory(char **argv)
{
	static struct vma v[4096];
	unsigned long ram = strtoul(argv[0], NULL, 10) << 20, beyond = 0, all = 0;
	int out[2], status;
	char byte;

	if (pipe2(out, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	alarm(GIVE_UP_S);
	pid_t pid = spawn(argv + 2, out[1]);
	close(out[1]);
	if (read(out[0], &byte, 1) != 1)
		die("%s: no output", argv[2]);
	usleep(200000);
	unsigned n = read_smaps(pid, argv[1], v, sizeof(v) / sizeof(v[0]));
	for (unsigned i = 0; i < n; i++) {
		all += v[i].pss;
		if (!is_ram(v, n, i, ram))
			beyond += v[i].pss;
	}
	printf("%lu %lu %u\n", beyond, all, threads_of(pid));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return 0;
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 4 && !strcmp(argv[1], "latency"))
		return latency(argc - 2, argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "rate"))
		return rate(argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "memory"))
		return memory(argv + 2);
	fprintf(stderr, "usage: launch latency|rate|memory ...: see launch.c\n");
	return 2;
}
