/* SPDX-License-Identifier: ISC */
/* What run.c, which runs vmm and judges it, and tests.c, the table of tests, share. */
#ifndef PAYLOAD_RUN_H
#define PAYLOAD_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	ENDS = 1 << 1,    /* neither is asked for */
	SLOW = 1 << 2,    /* runs when it is named, or with --slow; takes minutes */
};

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
	const char *set[8];   /* more --set arguments */
	const char *needs[2]; /* devices of the host; left out where one is not usable */
	int status;
	const char *err[3]; /* must be in vmm's stderr */
	struct step step[4];
	int (*fn)(const struct test *t);
};

extern const struct test tests[];
extern const unsigned ntests;

extern struct run_options {
	const char *vmm, *dir;
	unsigned cycles, timeout_s;
	bool retry, verbose, slow;
	const char *set[16];
	unsigned nset;
	const char *left_out[8];
	unsigned nleft_out;
} opt;

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

/* Keeps why the test failed; -1. */
int failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the last one kept. */
extern char why[512];

uint64_t now_ns(void);

/* 0 or failed(). */
int start(const struct test *t, struct run *r);
/* True: text was printed since the last one that was waited for. */
bool wait_output(struct run *r, const char *text, unsigned timeout_ms);
/* Waits up to ms for output, and takes it. False: nothing more will come. */
bool pump(struct run *r, int ms);
/* Waits for the end; a run that hangs is killed. */
void finish(struct run *r, unsigned timeout_ms);
void release(struct run *r);
/* SIGTERM until it has gone: signals that come at once may be one. */
void terminate(struct run *r);

/* As a shell has it; 1000 + n: killed by signal n. */
int exit_status(const struct run *r);
/* The first line of stderr, for messages. */
const char *err_line(struct run *r);
/* 0 or failed(): its end is as the test says. */
int judge(const struct test *t, struct run *r);

#endif
