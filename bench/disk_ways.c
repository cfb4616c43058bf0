// SPDX-License-Identifier: ISC
/*
 * The three ways of a file operation (include/reactor.h), on each kind of file: what
 * disk_file_open() chooses between. doc/adr/0014-disk-files.md has the figures.
 *
 *	disk_ways FILE [ROUNDS]		a file of 64 MiB is made there and removed
 *
 * Random operations of 4 KiB at each depth, the ways interleaved; for each the median of
 * the rounds, in microseconds an operation, and the CPU time of all threads, those that
 * the kernel makes for io_uring included.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "reactor.h"
#include "util.h"

enum { FILE_BYTES = 64 << 20, BLOCK = 4096, DEPTH_MAX = 32, ROUNDS_MAX = 101 };
enum { ROUND_NS = 20000000 };

static const char *const way_name[] = { "ring", "thread", "inline" };

struct bench {
	struct reactor *r;
	int fd;
	enum reactor_op_code code;
	enum reactor_way way;
	uint64_t end_ns, done;
	unsigned inflight;
	uint32_t seed;
};

struct slot {
	struct reactor_op op;
	struct iovec iov;
	struct bench *b;
};

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t
cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NSEC_PER_SEC +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void
start(struct slot *s)
{
	struct bench *b = s->b;

	b->seed = b->seed * 1664525 + 1013904223;
	s->op.off = (uint64_t)(b->seed >> 8) % (FILE_BYTES / BLOCK) * BLOCK;
	s->op.code = b->code;
	s->op.way = b->way;
	s->op.fd = b->fd;
	s->op.iov = &s->iov;
	s->op.niov = 1;
	b->inflight++;
	reactor_submit(b->r, &s->op);
}

static void
on_done(struct reactor_op *op, int res)
{
	struct slot *s = container_of(op, struct slot, op);

	if (res != BLOCK && op->code != REACTOR_FDATASYNC) {
		fprintf(stderr, "disk_ways: %s\n", res < 0 ? strerror(-res) : "short");
		exit(1);
	}
	s->b->inflight--;
	s->b->done++;
	if (clock_ns(CLOCK_MONOTONIC) < s->b->end_ns)
		start(s);
	else if (s->b->inflight == 0)
		reactor_stop(s->b->r);
}

struct result {
	double us, cpu_us;
};

static struct result
measure(struct bench *b, struct slot *slot, unsigned depth)
{
	uint64_t t0 = clock_ns(CLOCK_MONOTONIC), c0 = cpu_ns();

	b->done = 0;
	b->end_ns = t0 + ROUND_NS;
	for (unsigned i = 0; i < depth; i++)
		start(&slot[i]);
	reactor_run(b->r);
	return (struct result){
		.us = (double)(clock_ns(CLOCK_MONOTONIC) - t0) / 1000 / (double)b->done,
		.cpu_us = (double)(cpu_ns() - c0) / 1000 / (double)b->done,
	};
}

static int
by_time(const void *a, const void *b)
{
	double x = ((const struct result *)a)->us, y = ((const struct result *)b)->us;

	return x < y ? -1 : x > y;
}

static void
row(struct bench *b, struct slot *slot, const char *what, unsigned depth, unsigned rounds)
{
	static struct result res[3][ROUNDS_MAX];

	for (unsigned i = 0; i < rounds; i++)
		for (unsigned w = 0; w < 3; w++) {
			b->way = (enum reactor_way)w;
			res[w][i] = measure(b, slot, depth);
		}
	printf("%-16s %5u", what, depth);
	for (unsigned w = 0; w < 3; w++) {
		qsort(res[w], rounds, sizeof(res[w][0]), by_time);
		printf("  %s %7.1f (%5.1f)", way_name[w], res[w][rounds / 2].us,
		       res[w][rounds / 2].cpu_us);
	}
	printf("\n");
	fflush(stdout);
}

static int
make_file(const char *path)
{
	static uint8_t block[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	memset(block, 1, sizeof(block));
	for (unsigned i = 0; fd >= 0 && i < FILE_BYTES / sizeof(block); i++)
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
			unlink(path);
			return -1;
		}
	if (fd >= 0)
		fsync(fd);
	return fd;
}

static void
rows(struct bench *b, struct slot *slot, const char *mode, unsigned rounds)
{
	static const struct {
		const char *name;
		enum reactor_op_code code;
	} ops[] = { { "read", REACTOR_READV }, { "write", REACTOR_WRITEV } };
	static const unsigned depths[] = { 1, 8, 32 };
	char what[32];

	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(depths); j++) {
			b->code = ops[i].code;
			snprintf(what, sizeof(what), "%s %s", mode, ops[i].name);
			row(b, slot, what, depths[j], rounds);
		}
}

int
main(int argc, char **argv)
{
	static struct slot slot[DEPTH_MAX];
	static _Alignas(4096) uint8_t buf[DEPTH_MAX][BLOCK];
	const char *path = argc > 1 ? argv[1] : "disk_ways.tmp";
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 9;
	struct bench b = { .fd = make_file(path) };

	if (b.fd < 0 || rounds < 1 || rounds > ROUNDS_MAX || reactor_new(&b.r)) {
		fprintf(stderr, "disk_ways: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		slot[i] = (struct slot){ .b = &b,
					 .op.done = on_done,
					 .iov = { buf[i], BLOCK } };
	reactor_file_add(b.r, b.fd);
	rows(&b, slot, "buffered", rounds);
	int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct >= 0) {
		b.fd = direct;
		reactor_file_add(b.r, direct);
		rows(&b, slot, "direct", rounds);
	}
	unlink(path);
	return 0;
}
