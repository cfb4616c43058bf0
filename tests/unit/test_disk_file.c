/* SPDX-License-Identifier: ISC */
/* Disks on real files, through the real reactor. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk_asked.h"
#include "disk_open.h"
#include "err.h"
#include "log.h"
#include "reactor.h"
#include "util.h"

/* Where the files are: on a file system with a device, where the machine has one, and in
 * memory. */
static const char *const folders[] = { "/var/tmp", "/dev/shm" };
static const enum disk_cache caches[] = { DISK_CACHE_WRITEBACK, DISK_CACHE_NONE,
					  DISK_CACHE_UNSAFE };

struct fixture {
	char path[64];
	struct reactor *r;
	struct disk *d;
};

static void
make_file(struct fixture *f, const char *folder, off_t size)
{
	int fd;

	snprintf(f->path, sizeof(f->path), "%s/vmm-disk-XXXXXX", folder);
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	assert_int_equal(reactor_new(&f->r), 0);
}

static int
open_as(struct fixture *f, const struct disk_config *cfg, struct err *e)
{
	struct disk_config c = *cfg;

	c.path = f->path;
	*e = (struct err){ 0 };
	return disk_open(f->r, &c, &f->d, e);
}

static void
open_ok(struct fixture *f, const struct disk_config *cfg)
{
	struct err e;

	if (open_as(f, cfg, &e))
		fail_msg("%s", e.text);
}

static void
close_all(struct fixture *f)
{
	if (f->d)
		f->d->ops->free(f->d);
	reactor_free(f->r);
	unlink(f->path);
}

/* ---- one request ---- */

static int
move(struct fixture *f, enum disk_op op, uint64_t off, void *buf, size_t len)
{
	struct iovec v = { buf, len };
	struct asked a = {
		.rq = { .op = op, .off = off, .len = len, .iov = &v, .niov = 1 },
	};

	return asked_awaited(f->d, f->r, &a);
}

static int
range(struct fixture *f, enum disk_op op, uint64_t off, uint64_t len, bool unmap)
{
	struct asked a = {
		.rq = { .op = op, .off = off, .len = len, .unmap = unmap },
	};

	return asked_awaited(f->d, f->r, &a);
}

static void
fill(uint8_t *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed * 31 + i * 7 + i / 251);
}

/* ---- reading and writing ---- */

static void
try_write_and_read(const char *folder, enum disk_cache cache)
{
	static _Alignas(4096) uint8_t out[3 * 65536], in[3 * 65536];
	struct fixture f = { .d = NULL };
	static const struct {
		uint64_t off;
		size_t at, len; /* in the buffer: also where O_DIRECT would not have it */
	} cases[] = {
		{ 0, 0, 512 },
		{ 512, 1, 512 },
		{ 4096, 0, 4096 },
		{ MiB(8) - 512, 0, 512 },
		{ 1024, 3, 65536 },
		{ MiB(1), 0, 3 * 65536 },
		{ MiB(3) + 512, 0, 4096 },
	};

	make_file(&f, folder, (off_t)MiB(8));
	open_ok(&f, &(struct disk_config){ .cache = cache });
	assert_int_equal(f.d->info.size, MiB(8));
	assert_int_equal(f.d->info.block, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = cases[i].len, at = cases[i].at;

		fill(out, sizeof(out), i);
		memset(in, 0xee, sizeof(in));
		len = at + len > sizeof(out) ? sizeof(out) - at : len;
		len -= len % 512;
		assert_int_equal(move(&f, DISK_WRITE, cases[i].off, out + at, len), 0);
		assert_int_equal(range(&f, DISK_FLUSH, 0, 0, false), 0);
		assert_int_equal(move(&f, DISK_READ, cases[i].off, in + at, len), 0);
		assert_memory_equal(in + at, out + at, len);
	}
	close_all(&f);
}

static void
test_what_was_written_is_read_in_every_mode_and_alignment(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(folders); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(caches); j++)
			try_write_and_read(folders[i], caches[j]);
}

static void
test_more_pieces_than_a_system_call_takes(void **state)
{
	enum { PIECES = IOV_MAX * 2 + 100 };
	static _Alignas(4096) uint8_t out[PIECES * 512], in[PIECES * 512];
	static struct iovec v[PIECES];

	(void)state;
	fill(out, sizeof(out), 9);
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		struct fixture f = { .d = NULL };
		struct asked a = { .rq = { .op = DISK_WRITE,
					   .off = 512,
					   .len = sizeof(out),
					   .iov = v,
					   .niov = PIECES } };

		make_file(&f, folders[0], (off_t)MiB(4));
		open_ok(&f, &(struct disk_config){ .cache = caches[c] });
		for (unsigned i = 0; i < PIECES; i++)
			v[i] = (struct iovec){ out + i * 512, 512 };
		assert_int_equal(asked_awaited(f.d, f.r, &a), 0);
		for (unsigned i = 0; i < PIECES; i++)
			v[i] = (struct iovec){ in + i * 512, 512 };
		a = (struct asked){ .rq = a.rq };
		a.rq.op = DISK_READ;
		memset(in, 0, sizeof(in));
		assert_int_equal(asked_awaited(f.d, f.r, &a), 0);
		assert_memory_equal(in, out, sizeof(in));
		close_all(&f);
	}
}

static void
test_offsets_beyond_4_gib_in_a_sparse_file(void **state)
{
	_Alignas(4096) uint8_t out[4096], in[4096], zero[4096] = { 0 };
	const uint64_t far = GiB(5) + MiB(1);

	(void)state;
	fill(out, sizeof(out), 3);
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		struct fixture f = { .d = NULL };

		make_file(&f, folders[0], (off_t)GiB(6));
		open_ok(&f, &(struct disk_config){ .cache = caches[c] });
		assert_int_equal(f.d->info.size, GiB(6));
		assert_int_equal(move(&f, DISK_WRITE, far, out, sizeof(out)), 0);
		assert_int_equal(move(&f, DISK_READ, far, in, sizeof(in)), 0);
		assert_memory_equal(in, out, sizeof(in));
		assert_int_equal(move(&f, DISK_READ, far - GiB(4), in, sizeof(in)), 0);
		assert_memory_equal(in, zero, sizeof(in));
		close_all(&f);
	}
}

static void
test_many_requests_at_once_are_each_answered_once(void **state)
{
	enum { MANY = 1000 };
	static uint8_t buf[MANY][512];
	static struct asked a[MANY];
	static struct iovec v[MANY];

	(void)state;
	for (unsigned t = 0; t < ARRAY_SIZE(folders) * ARRAY_SIZE(caches); t++) {
		struct fixture f = { .d = NULL };

		make_file(&f, folders[t / ARRAY_SIZE(caches)], (off_t)MiB(1));
		open_ok(&f,
			&(struct disk_config){ .cache = caches[t % ARRAY_SIZE(caches)] });
		for (unsigned round = 0; round < 2; round++) {
			for (unsigned i = 0; i < MANY; i++) {
				memset(buf[i], round == 0 ? (int)i : 0, 512);
				v[i] = (struct iovec){ buf[i], 512 };
				a[i] = (struct asked){
					.rq = { .op = round == 0 ? DISK_WRITE : DISK_READ,
						.off = i * 512ull,
						.len = 512,
						.iov = &v[i],
						.niov = 1 }
				};
				asked_submit(f.d, &a[i]);
			}
			f.d->ops->drain(f.d);
			for (unsigned i = 0; i < MANY; i++) {
				assert_int_equal(a[i].calls, 1);
				assert_int_equal(a[i].err, 0);
				assert_int_equal(buf[i][511], (uint8_t)i);
			}
		}
		close_all(&f);
	}
}

/* ---- discard and zeroes ---- */

static uint64_t
allocated(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void
test_discard_gives_space_back_only_if_it_may(void **state)
{
	static uint8_t buf[MiB(1)];

	(void)state;
	for (unsigned t = 0; t < 4; t++) {
		struct fixture f = { .d = NULL };
		bool may = t & 1;

		make_file(&f, folders[t / 2], (off_t)MiB(2));
		open_ok(&f, &(struct disk_config){ .discard = may });
		assert_int_equal(f.d->info.discard, may);
		memset(buf, 1, sizeof(buf));
		assert_int_equal(move(&f, DISK_WRITE, 0, buf, sizeof(buf)), 0);
		assert_int_equal(range(&f, DISK_FLUSH, 0, 0, false), 0);
		assert_true(allocated(&f) >= MiB(1));
		assert_int_equal(range(&f, DISK_DISCARD, 0, MiB(1), false), 0);
		assert_int_equal(range(&f, DISK_DISCARD, 0, 0, false), 0);
		assert_int_equal(allocated(&f) < MiB(1), may);
		close_all(&f);
	}
}

static void
test_zeroes_are_zeroes_by_whatever_way(void **state)
{
	static uint8_t buf[MiB(3)], in[MiB(3)];

	(void)state;
	for (unsigned t = 0; t < 16; t++) {
		struct fixture f = { .d = NULL };
		/* tmpfs has no ZERO_RANGE: there they are written. */
		const char *folder = folders[t & 1];
		bool unmap = t & 2, discard = t & 4;
		const uint64_t off = 512 * 3, len = MiB(2) + 512 * 5;

		make_file(&f, folder, (off_t)MiB(3));
		open_ok(&f,
			&(struct disk_config){ .discard = discard,
					       .cache = t & 8 ? DISK_CACHE_NONE
							      : DISK_CACHE_WRITEBACK });
		memset(buf, 0xaa, sizeof(buf));
		assert_int_equal(move(&f, DISK_WRITE, 0, buf, sizeof(buf)), 0);
		assert_int_equal(range(&f, DISK_WRITE_ZEROES, off, len, unmap), 0);
		assert_int_equal(range(&f, DISK_WRITE_ZEROES, 0, 0, unmap), 0);
		memset(buf + off, 0, len);
		assert_int_equal(move(&f, DISK_READ, 0, in, sizeof(in)), 0);
		assert_memory_equal(in, buf, sizeof(in));
		if (unmap && discard)
			assert_true(allocated(&f) < MiB(2));
		close_all(&f);
	}
}

/* ---- files that are no good ---- */

static void
test_a_file_truncated_under_us_is_an_error_and_never_a_wrong_success(void **state)
{
	_Alignas(4096) uint8_t buf[8192];

	(void)state;
	for (unsigned t = 0; t < ARRAY_SIZE(folders) * ARRAY_SIZE(caches); t++) {
		struct fixture f = { .d = NULL };

		make_file(&f, folders[t / ARRAY_SIZE(caches)], (off_t)MiB(1));
		open_ok(&f,
			&(struct disk_config){ .cache = caches[t % ARRAY_SIZE(caches)] });
		assert_int_equal(truncate(f.path, 4096), 0);
		assert_int_equal(move(&f, DISK_READ, 0, buf, 4096), 0);
		assert_int_equal(move(&f, DISK_READ, 0, buf, 8192), -EIO);
		assert_int_equal(move(&f, DISK_READ, 65536, buf, 8192), -EIO);
		close_all(&f);
	}
}

static void
test_an_odd_length_is_refused_for_writing_and_ends_in_zeroes_for_reading(void **state)
{
	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(caches); c++) {
		struct fixture f = { .d = NULL };
		struct err e;
		_Alignas(4096) uint8_t buf[1024];
		int fd;

		make_file(&f, folders[0], 0);
		fd = open(f.path, O_WRONLY | O_CLOEXEC);
		memset(buf, 7, sizeof(buf));
		assert_int_equal(write(fd, buf, 700), 700);
		close(fd);
		assert_int_equal(open_as(&f, &(struct disk_config){ .cache = caches[c] },
					 &e),
				 -EINVAL);
		assert_non_null(strstr(e.text, "truncate -s 1024"));
		assert_null(f.d);
		open_ok(&f,
			&(struct disk_config){ .cache = caches[c], .readonly = true });
		assert_int_equal(f.d->info.size, 1024);
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(move(&f, DISK_READ, 0, buf, 1024), 0);
		assert_int_equal(buf[699], 7);
		assert_int_equal(buf[700], 0);
		assert_int_equal(buf[1023], 0);
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(move(&f, DISK_READ, 512, buf, 512), 0);
		assert_int_equal(buf[187], 7);
		assert_int_equal(buf[188], 0);
		assert_int_equal(buf[511], 0);
		assert_int_equal(truncate(f.path, 600), 0);
		assert_int_equal(move(&f, DISK_READ, 512, buf, 512), -EIO);
		close_all(&f);
	}
}

static void
test_what_is_no_disk_is_named(void **state)
{
	static const struct {
		const char *path, *says;
		int rc;
	} cases[] = {
		{ "/nonexistent/disk.img", "No such file", -ENOENT },
		{ "/tmp", "is a directory", -EINVAL },
		{ "/dev/null", "character device", -EINVAL },
		{ "/dev/full", "character device", -EINVAL },
	};
	struct fixture f = { .d = NULL };
	struct err e;

	(void)state;
	make_file(&f, folders[0], 0);
	assert_int_equal(open_as(&f, &(struct disk_config){ 0 }, &e), -EINVAL);
	assert_non_null(strstr(e.text, "is empty"));
	unlink(f.path);
	assert_int_equal(mkfifo(f.path, 0600), 0);
	assert_int_equal(open_as(&f, &(struct disk_config){ 0 }, &e), -EINVAL);
	assert_non_null(strstr(e.text, "FIFO"));
	unlink(f.path);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(f.path, sizeof(f.path), "%s", cases[i].path);
		assert_int_equal(open_as(&f, &(struct disk_config){ 0 }, &e),
				 cases[i].rc);
		if (!strstr(e.text, cases[i].says))
			fail_msg("%s", e.text);
		assert_null(f.d);
	}
	reactor_free(f.r);
}

/* The host's limit is as good as a full disk. */
static void
test_a_write_that_the_host_refuses_is_an_error(void **state)
{
	_Alignas(4096) uint8_t buf[8192] = { 1 };
	const struct rlimit small = { 65536, RLIM_INFINITY };
	struct rlimit old;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (unsigned t = 0; t < ARRAY_SIZE(folders) * ARRAY_SIZE(caches); t++) {
		struct fixture f = { .d = NULL };

		make_file(&f, folders[t / ARRAY_SIZE(caches)], (off_t)MiB(1));
		open_ok(&f,
			&(struct disk_config){ .cache = caches[t % ARRAY_SIZE(caches)] });
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(move(&f, DISK_WRITE, 65536 - 4096, buf, 4096), 0);
		assert_int_equal(move(&f, DISK_WRITE, 65536, buf, 4096), -EFBIG);
		/* Half of it can be written, which is no success. */
		assert_int_equal(move(&f, DISK_WRITE, 65536 - 4096, buf, 8192), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		close_all(&f);
	}
}

/* ---- one writer or many readers ---- */

static void
test_a_second_writer_is_refused_and_readers_share(void **state)
{
	const struct disk_config rw = { 0 }, ro = { .readonly = true };
	struct fixture f = { .d = NULL };
	struct disk *first;
	struct err e;

	(void)state;
	make_file(&f, folders[0], 4096);
	open_ok(&f, &rw);
	first = f.d;
	assert_int_equal(open_as(&f, &rw, &e), -EBUSY);
	assert_non_null(strstr(e.text, "in use"));
	assert_int_equal(open_as(&f, &ro, &e), -EBUSY);
	first->ops->free(first);

	open_ok(&f, &ro);
	first = f.d;
	open_ok(&f, &ro);
	f.d->ops->free(f.d);
	f.d = NULL;
	assert_int_equal(open_as(&f, &rw, &e), -EBUSY);
	first->ops->free(first);

	open_ok(&f, &rw); /* the lock went with the disk */
	close_all(&f);
}

static void
lock_as_qemu_does(const char *path, off_t byte, int *ret)
{
	struct flock l = { .l_type = F_RDLCK, .l_start = byte, .l_len = 1 };

	*ret = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(*ret, F_OFD_SETLK, &l), 0);
}

static void
test_a_qemu_that_writes_keeps_readers_out(void **state)
{
	const struct disk_config rw = { 0 }, ro = { .readonly = true };
	struct fixture f = { .d = NULL };
	struct err e;
	int fd;

	(void)state;
	make_file(&f, folders[0], 4096);
	lock_as_qemu_does(f.path, 101, &fd); /* "I write" */
	assert_int_equal(open_as(&f, &ro, &e), -EBUSY);
	assert_int_equal(open_as(&f, &rw, &e), -EBUSY);
	close(fd);
	lock_as_qemu_does(f.path, 100, &fd); /* "I read" */
	assert_int_equal(open_as(&f, &rw, &e), -EBUSY);
	open_ok(&f, &ro);
	close(fd);
	close_all(&f);
}

/* ---- durability ---- */

/* What a child says it has flushed is in the file after SIGKILL.  (It would be without
 * the flush, for a file survives its writer; that the flush is asked for is seen by the
 * tests of the fake reactor.) */
static void
write_until_killed(struct fixture *f, int fd, enum disk_cache cache)
{
	_Alignas(4096) uint8_t buf[4096];

	assert_int_equal(reactor_new(&f->r), 0);
	open_ok(f, &(struct disk_config){ .cache = cache });
	for (uint32_t n = 1;; n++) {
		memset(buf, 0, sizeof(buf));
		le32_put(buf, n);
		assert_int_equal(move(f, DISK_WRITE, (n % 64) * 4096ull, buf,
				      sizeof(buf)),
				 0);
		assert_int_equal(range(f, DISK_FLUSH, 0, 0, false), 0);
		assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
	}
}

static void
try_kill(enum disk_cache cache, useconds_t after)
{
	struct fixture f = { .d = NULL };
	uint32_t n, last = 0, found = 0;
	uint8_t buf[4096];
	int fd[2], status;
	pid_t pid;

	make_file(&f, folders[0], 64 * 4096);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		write_until_killed(&f, fd[1], cache);
		_exit(1);
	}
	close(fd[1]);
	usleep(after);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(fd[0], &n, sizeof(n)) == sizeof(n))
		last = n;
	close(fd[0]);

	/* The lock is gone with it, at once. */
	open_ok(&f, &(struct disk_config){ .cache = cache });
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(move(&f, DISK_READ, i * 4096ull, buf, sizeof(buf)), 0);
		n = le32_get(buf);
		found = n > found ? n : found;
	}
	assert_true(found >= last);
	close_all(&f);
}

static void
test_sigkill_loses_nothing_that_was_flushed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		try_kill(i & 1 ? DISK_CACHE_NONE : DISK_CACHE_WRITEBACK,
			 20000 + i * 7001);
}

/* ---- without io_uring ---- */

/* As a container's filter does it, or kernel.io_uring_disabled = 2. */
static void
forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	assert_int_equal(syscall(SYS_io_uring_setup, 1, NULL), -1);
	assert_int_equal(errno, EPERM);
}

/* In a child, for there is no way back. */
static void
test_without_io_uring_threads_do_it_all(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		forbid_io_uring();
		test_what_was_written_is_read_in_every_mode_and_alignment(state);
		test_more_pieces_than_a_system_call_takes(state);
		test_many_requests_at_once_are_each_answered_once(state);
		test_zeroes_are_zeroes_by_whatever_way(state);
		test_a_file_truncated_under_us_is_an_error_and_never_a_wrong_success(
			state);
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_what_was_written_is_read_in_every_mode_and_alignment),
		cmocka_unit_test(test_more_pieces_than_a_system_call_takes),
		cmocka_unit_test(test_offsets_beyond_4_gib_in_a_sparse_file),
		cmocka_unit_test(test_many_requests_at_once_are_each_answered_once),
		cmocka_unit_test(test_discard_gives_space_back_only_if_it_may),
		cmocka_unit_test(test_zeroes_are_zeroes_by_whatever_way),
		cmocka_unit_test(
			test_a_file_truncated_under_us_is_an_error_and_never_a_wrong_success),
		cmocka_unit_test(
			test_an_odd_length_is_refused_for_writing_and_ends_in_zeroes_for_reading),
		cmocka_unit_test(test_what_is_no_disk_is_named),
		cmocka_unit_test(test_a_write_that_the_host_refuses_is_an_error),
		cmocka_unit_test(test_a_second_writer_is_refused_and_readers_share),
		cmocka_unit_test(test_a_qemu_that_writes_keeps_readers_out),
		cmocka_unit_test(test_sigkill_loses_nothing_that_was_flushed),
		cmocka_unit_test(test_without_io_uring_threads_do_it_all),
	};

	log_set_level(LOG_ERROR); /* failed requests warn */
	return cmocka_run_group_tests_name("disk_file", tests, NULL, NULL);
}
