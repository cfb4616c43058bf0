/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "image_make.h"
#include "memory.h"
#include "util.h"

enum { PAGE = 4096 };

/* Two ranges that touch each other, one far above. */
static const struct memory_range three[] = {
	{ .gpa = 0x10000, .len = 0x4000 },
	{ .gpa = 0x14000, .len = 0x4000 },
	{ .gpa = GiB(4), .len = MiB(4) },
};

static struct memory
reserve(const struct memory_range *range, unsigned n)
{
	struct memory m;
	struct err e = { .status = 0 };

	assert_int_equal(memory_reserve(&m, range, n, &e), 0);
	return m;
}

static void
reserved_ram_is_zero_and_writable_to_its_last_byte(void **state)
{
	struct memory m = reserve(three, 3);

	(void)state;
	assert_int_equal(memory_size(&m), 0x8000 + MiB(4));
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *p = memory_ptr(&m, three[i].gpa, three[i].len);

		assert_non_null(p);
		assert_int_equal(p[0] | p[three[i].len - 1], 0);
		p[0] = p[three[i].len - 1] = 0xaa;
	}
	memory_release(&m);
	assert_null(memory_ptr(&m, 0x10000, 1));
}

static void
reserved_ranges_agree_with_their_gpa_modulo_2m(void **state)
{
	struct memory m = reserve(three, 3);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal((uintptr_t)m.range[i].hva % MiB(2),
				 three[i].gpa % MiB(2));
	memory_release(&m);
}

/* write() answers EFAULT where we would get SIGSEGV. */
static bool
accessible(const void *p)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	bool ok = write(fd[1], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return ok;
}

static void
check_guards(const struct memory_range *range, unsigned n)
{
	struct memory m = reserve(range, n);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = m.range[i].hva;

		assert_true(accessible(p));
		assert_true(accessible(p + m.range[i].len - 1));
		assert_false(accessible(p - 1));
		assert_false(accessible(p - PAGE));
		assert_false(accessible(p + m.range[i].len));
		assert_false(accessible(p + m.range[i].len + PAGE));
	}
	memory_release(&m);
}

static void
reserved_ranges_have_guards_on_both_sides(void **state)
{
	/* No rounding to 2 MiB makes a gap between these. */
	static const struct memory_range aligned[] = {
		{ .gpa = 0, .len = MiB(2) },
		{ .gpa = MiB(2), .len = MiB(4) },
	};

	(void)state;
	check_guards(three, 3);
	check_guards(aligned, 2);
}

static void
ram_larger_than_the_address_space_is_refused_with_a_text(void **state)
{
	const struct memory_range huge = { .gpa = 0, .len = 1ull << 60 };
	const struct memory_range overflow[] = {
		{ .gpa = 0, .len = 1ull << 63 },
		{ .gpa = 1ull << 63, .len = (1ull << 63) - PAGE },
	};
	struct memory m = { .n = 77 };
	struct err e = { .status = 0 };

	(void)state;
	assert_int_equal(memory_reserve(&m, &huge, 1, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "cannot reserve 1099511627776 MiB of guest RAM"));
	assert_int_equal(m.n, 77);
	e.text[0] = '\0';
	assert_int_equal(memory_reserve(&m, overflow, 2, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "memory.size"));
}

static void
ptr_answers_null_unless_all_bytes_are_in_one_range(void **state)
{
	struct memory m = reserve(three, 3);
	static const struct {
		uint64_t gpa, len;
		bool ok;
	} cases[] = {
		{ 0x10000, 0x4000, true },
		{ 0x10000, 0x4001, false }, /* into the range that touches it */
		{ 0x13fff, 1, true },
		{ 0x13fff, 2, false },
		{ 0x14000, 0x4000, true },
		{ 0x17fff, 1, true },
		{ 0x18000, 1, false },
		{ 0xffff, 1, false },
		{ 0xffff, 2, false },
		{ 0, 1, false },
		{ 0x10000, 0, false }, /* len 0 */
		{ GiB(4), MiB(4), true },
		{ GiB(4) + 1, MiB(4), false },
		{ GiB(4) - 1, 1, false },
		{ GiB(4) + MiB(4), 1, false },
		/* wraps of the address, of the length, of their sum */
		{ UINT64_MAX, 1, false },
		{ UINT64_MAX, UINT64_MAX, false },
		{ 0x10000, UINT64_MAX, false },
		{ 0x10000, UINT64_MAX - 0x10000 + 1, false },
		{ 0x12000, -0x2000ull, false },
		{ GiB(4), UINT64_MAX - GiB(4) + 2, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *p = memory_ptr(&m, cases[i].gpa, cases[i].len);

		if (!!p != cases[i].ok)
			fail_msg("0x%llx + 0x%llx", (unsigned long long)cases[i].gpa,
				 (unsigned long long)cases[i].len);
	}
	assert_ptr_equal(memory_ptr(&m, 0x13fff, 1), m.range[0].hva + 0x3fff);
	assert_ptr_equal(memory_ptr(&m, GiB(4) + 5, 1), m.range[2].hva + 5);
	memory_release(&m);
}

static void
ranges_up_to_the_end_of_the_address_space_do_not_wrap(void **state)
{
	uint8_t buf[16], out[16] = { 0 };
	struct memory m;

	(void)state;
	memory_from_buffer(&m, UINT64_MAX - 16, buf, sizeof(buf));
	assert_non_null(memory_ptr(&m, UINT64_MAX - 1, 1));
	assert_null(memory_ptr(&m, UINT64_MAX - 1, 2));
	assert_null(memory_ptr(&m, UINT64_MAX, 1));
	assert_null(memory_ptr(&m, 0, 1));
	assert_int_equal(memory_write(&m, UINT64_MAX - 2, out, 3), -EFAULT);
	assert_int_equal(memory_write(&m, UINT64_MAX - 2, out, 2), 0);
}

static void
copies_cross_ranges_that_touch(void **state)
{
	struct memory m = reserve(three, 3);
	uint8_t in[0x2000], out[0x2000];

	(void)state;
	image_fill(in, sizeof(in), 1);
	assert_int_equal(memory_write(&m, 0x13000, in, sizeof(in)), 0);
	assert_int_equal(memory_read(&m, 0x13000, out, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_memory_equal(memory_ptr(&m, 0x13000, 0x1000), in, 0x1000);
	assert_memory_equal(memory_ptr(&m, 0x14000, 0x1000), in + 0x1000, 0x1000);
	memory_release(&m);
}

static void
copies_that_leave_ram_copy_nothing(void **state)
{
	struct memory m = reserve(three, 3);
	uint8_t buf[0x2000];

	(void)state;
	memset(buf, 0x55, sizeof(buf));
	assert_int_equal(memory_write(&m, 0x17000, buf, 0x1001), -EFAULT);
	assert_int_equal(*(uint8_t *)memory_ptr(&m, 0x17000, 1), 0);
	assert_int_equal(memory_write(&m, 0xffff, buf, 2), -EFAULT);
	assert_int_equal(*(uint8_t *)memory_ptr(&m, 0x10000, 1), 0);
	assert_int_equal(memory_read(&m, 0x17000, buf, 0x1001), -EFAULT);
	assert_int_equal(buf[0], 0x55);
	assert_int_equal(memory_write(&m, 5, buf, 0), 0);
	memory_release(&m);
}

/* ---- files ---- */

static int
file_of(const uint8_t *data, size_t len)
{
	char path[] = "/tmp/test_memory.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

/* Is the page at p of a file? Asked of the kernel's own list. */
static bool
is_mapped_file(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long lo, hi, inode;
	bool found = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &lo, &hi, &inode) == 3 &&
		    (uintptr_t)p >= lo && (uintptr_t)p < hi)
			found = inode != 0;
	fclose(f);
	return found;
}

static const struct memory_range ram = { .gpa = 0, .len = MiB(4) };

struct load {
	uint64_t gpa, off, len;
	int copy;
	bool mapped;
};

static void
check_load(const struct load *l)
{
	enum { FILE_LEN = 1024 * 1024 + 123 };
	struct memory m = reserve(&ram, 1);
	uint8_t *data = malloc(FILE_LEN);
	uint8_t *want = calloc(1, ram.len);

	image_fill(data, FILE_LEN, 9);
	int fd = file_of(data, FILE_LEN);
	memcpy(want + l->gpa, data + l->off, l->len);
	assert_int_equal(memory_load_file(&m, l->gpa, fd, l->off, l->len, l->copy), 0);
	close(fd);

	/* All of RAM: not a byte beside the range may have changed. */
	assert_memory_equal(memory_ptr(&m, 0, ram.len), want, ram.len);
	assert_int_equal(is_mapped_file(m.range[0].hva + l->gpa + l->len / 2), l->mapped);
	/* Private: the guest writes what it likes. */
	memset(memory_ptr(&m, l->gpa, l->len), 0xee, l->len);
	memory_release(&m);
	free(data);
	free(want);
}

static void
files_appear_in_ram_mapped_where_offsets_agree_and_read_elsewhere(void **state)
{
	enum { LEN = 1024 * 1024 + 123 };
	static const struct load cases[] = {
		{ 0x100000, 0, LEN, 0, true },  /* ends within a page of the file's */
		{ 0x100000, 0, LEN, 1, false }, /* copy */
		{ 0x100200, 0x200, LEN - 0x200, 0, true }, /* head and tail read */
		{ 0x100200, 0x1200, 0x80000, 0, true },    /* the file goes on behind */
		{ 0x100200, 0, 0x80000, 0, false },        /* not congruent */
		{ 0x100001, 0, 0x80000, 0, false },
		{ 0x100fff, 0xfff, 0x20002, 0, true },
		{ 0x100000, 0, 100, 0, false }, /* too small to be worth it */
		{ 0, 0, LEN, 0, true },
		{ MiB(4) - 0x80000, 0, 0x80000, 0, true }, /* to the end of RAM */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_load(&cases[i]);
}

static void
files_shorter_than_asked_for_are_an_error_and_not_a_sigbus(void **state)
{
	struct memory m = reserve(&ram, 1);
	uint8_t *data = calloc(1, 0x20000);
	int fd = file_of(data, 0x20000);

	(void)state;
	for (int copy = 0; copy < 2; copy++) {
		assert_int_equal(memory_load_file(&m, 0, fd, 0, 0x20001, copy), -EIO);
		assert_int_equal(memory_load_file(&m, 0, fd, 0x20000, 1, copy), -EIO);
		assert_int_equal(memory_load_file(&m, 0, fd, UINT64_MAX, 2, copy), -EIO);
		assert_int_equal(memory_load_file(&m, 0, fd, 0, 0x20000, copy), 0);
	}
	close(fd);
	free(data);
	memory_release(&m);
}

static void
files_that_do_not_fit_into_ram_are_efault(void **state)
{
	struct memory m = reserve(&ram, 1);
	uint8_t *data = calloc(1, 0x20000);
	int fd = file_of(data, 0x20000);

	(void)state;
	assert_int_equal(memory_load_file(&m, MiB(4) - 0x1ffff, fd, 0, 0x20000, 0),
			 -EFAULT);
	assert_int_equal(memory_load_file(&m, MiB(4), fd, 0, 1, 0), -EFAULT);
	assert_int_equal(memory_load_file(&m, UINT64_MAX, fd, 0, 2, 0), -EFAULT);
	assert_int_equal(memory_load_file(&m, 0, fd, 0, 0, 0), 0);
	assert_int_equal(memory_load_file(&m, 0, -1, 0, 1, 0), -EBADF);
	close(fd);
	free(data);
	memory_release(&m);
}

/* RAM of a test is nobody's to map over. */
static void
files_are_read_into_ram_that_is_a_buffer(void **state)
{
	uint8_t *buf = aligned_alloc(PAGE, 0x20000), *data = malloc(0x20000);
	struct memory m;

	(void)state;
	image_fill(data, 0x20000, 4);
	memory_from_buffer(&m, 0, buf, 0x20000);
	int fd = file_of(data, 0x20000);
	assert_int_equal(memory_load_file(&m, 0, fd, 0, 0x20000, 0), 0);
	close(fd);
	assert_memory_equal(buf, data, 0x20000);
	assert_false(is_mapped_file(buf + 0x10000));
	memory_release(&m);
	free(buf);
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserved_ram_is_zero_and_writable_to_its_last_byte),
		cmocka_unit_test(reserved_ranges_agree_with_their_gpa_modulo_2m),
		cmocka_unit_test(reserved_ranges_have_guards_on_both_sides),
		cmocka_unit_test(
			ram_larger_than_the_address_space_is_refused_with_a_text),
		cmocka_unit_test(ptr_answers_null_unless_all_bytes_are_in_one_range),
		cmocka_unit_test(ranges_up_to_the_end_of_the_address_space_do_not_wrap),
		cmocka_unit_test(copies_cross_ranges_that_touch),
		cmocka_unit_test(copies_that_leave_ram_copy_nothing),
		cmocka_unit_test(
			files_appear_in_ram_mapped_where_offsets_agree_and_read_elsewhere),
		cmocka_unit_test(
			files_shorter_than_asked_for_are_an_error_and_not_a_sigbus),
		cmocka_unit_test(files_that_do_not_fit_into_ram_are_efault),
		cmocka_unit_test(files_are_read_into_ram_that_is_a_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
