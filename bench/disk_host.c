// SPDX-License-Identifier: ISC
/*
 * What a plain program gets from the file that bench/guest/blk.c has as a disk:
 *
 *	disk_host FILE ring|sync read|write DEPTH BLOCK SPAN rand|seq direct|cached MS
 *
 * ring: io_uring as its manual recommends it for one thread; sync: pread and pwrite, which
 * have a depth of 1.  The same blocks in the same order as the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, SAMPLES_MAX = 20000, WARM_MS = 30, HUGE = 2 << 20 };

struct bench {
	struct io_uring ring;
	int fd;
	bool write, seq;
	unsigned depth;
	uint32_t block, seed;
	uint64_t blocks, next, ops;
	uint8_t *buf[DEPTH_MAX];
	uint64_t since[DEPTH_MAX];
	uint32_t sample[SAMPLES_MAX];
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "disk_host: ");
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

/* Of all threads, those that the kernel makes for io_uring included. */
static uint64_t
cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static uint64_t
next_off(struct bench *b)
{
	if (b->seq)
		return b->next++ % b->blocks * b->block;
	b->seed = b->seed * 1664525 + 1013904223;
	return (b->seed >> 8) % b->blocks * b->block;
}

static void
note(struct bench *b, unsigned slot, int res, uint64_t now)
{
	if (res != (int)b->block)
		die("%s", res < 0 ? strerror(-res) : "short");
	b->sample[b->ops++ % SAMPLES_MAX] = (uint32_t)(now - b->since[slot]);
}

static void
queue(struct bench *b, unsigned slot, uint64_t now)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

	if (b->write)
		io_uring_prep_write(sqe, 0, b->buf[slot], b->block, next_off(b));
	else
		io_uring_prep_read(sqe, 0, b->buf[slot], b->block, next_off(b));
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = slot;
	b->since[slot] = now;
}

static void
run_ring(struct bench *b, uint64_t end)
{
	unsigned inflight = b->depth;
	struct io_uring_cqe *cqe;

	for (unsigned i = 0; i < b->depth; i++)
		queue(b, i, now_ns());
	while (inflight > 0) {
		unsigned head, n = 0;
		int rc = io_uring_submit_and_wait(&b->ring, 1);

		if (rc < 0 && rc != -EINTR)
			die("io_uring: %s", strerror(-rc));
		uint64_t now = now_ns();
		io_uring_for_each_cqe(&b->ring, head, cqe)
		{
			note(b, (unsigned)cqe->user_data, cqe->res, now);
			if (now < end)
				queue(b, (unsigned)cqe->user_data, now);
			else
				inflight--;
			n++;
		}
		io_uring_cq_advance(&b->ring, n);
	}
}

static void
run_sync(struct bench *b, uint64_t end)
{
	do {
		off_t off = (off_t)next_off(b);

		b->since[0] = now_ns();
		ssize_t n = b->write ? pwrite(b->fd, b->buf[0], b->block, off)
				     : pread(b->fd, b->buf[0], b->block, off);
		note(b, 0, n < 0 ? -errno : (int)n, now_ns());
	} while (now_ns() < end);
}

static void
set_up_ring(struct bench *b)
{
	int rc = io_uring_queue_init(DEPTH_MAX, &b->ring,
				     IORING_SETUP_SINGLE_ISSUER |
					     IORING_SETUP_DEFER_TASKRUN);

	if (rc < 0)
		rc = io_uring_queue_init(DEPTH_MAX, &b->ring, 0);
	if (rc < 0)
		die("io_uring: %s", strerror(-rc));
	rc = io_uring_register_files(&b->ring, &b->fd, 1);
	if (rc < 0)
		die("io_uring: files: %s", strerror(-rc));
}

/* In huge pages, as the RAM of a guest is. */
static void
make_buffers(struct bench *b)
{
	size_t len = ((size_t)b->depth * b->block + HUGE - 1) / HUGE * HUGE;
	uint8_t *p = aligned_alloc(HUGE, len);

	if (!p)
		die("no memory");
	madvise(p, len, MADV_HUGEPAGE);
	memset(p, 1, len);
	for (unsigned i = 0; i < b->depth; i++)
		b->buf[i] = p + (size_t)i * b->block;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	static struct bench b;

	if (argc != 10) {
		fprintf(stderr, "usage: see disk_host.c\n");
		return 2;
	}
	bool ring = !strcmp(argv[2], "ring");
	b.write = !strcmp(argv[3], "write");
	b.depth = (unsigned)atoi(argv[4]);
	b.block = (uint32_t)atoi(argv[5]);
	b.blocks = strtoull(argv[6], NULL, 10) / b.block;
	b.seq = !strcmp(argv[7], "seq");
	b.fd = open(argv[1],
		    O_RDWR | O_CLOEXEC | (strcmp(argv[8], "direct") ? 0 : O_DIRECT));
	if (b.fd < 0 || b.depth > DEPTH_MAX || b.blocks == 0)
		die("%s: %s", argv[1], strerror(errno));
	make_buffers(&b);
	if (ring)
		set_up_ring(&b);
	void (*run)(struct bench *, uint64_t) = ring ? run_ring : run_sync;
	run(&b, now_ns() + WARM_MS * 1000000ull);

	b.ops = 0;
	uint64_t c0 = cpu_ns(), t0 = now_ns();
	run(&b, t0 + strtoull(argv[9], NULL, 10) * 1000000);
	uint64_t ns = now_ns() - t0, cpu = cpu_ns() - c0;
	unsigned n = b.ops < SAMPLES_MAX ? (unsigned)b.ops : SAMPLES_MAX;
	qsort(b.sample, n, sizeof(b.sample[0]), by_value);
	printf("result ops %llu ns %llu median %u p99 %u cpu %llu\n",
	       (unsigned long long)b.ops, (unsigned long long)ns, b.sample[n / 2],
	       b.sample[n * 99ull / 100], (unsigned long long)cpu);
	return 0;
}
