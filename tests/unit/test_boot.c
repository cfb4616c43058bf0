/* SPDX-License-Identifier: ISC */
/* boot_load(): files to guest memory, for both architectures on each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "boot.h"
#include "err.h"
#include "exit_status.h"
#include "image_make.h"
#include "memory.h"
#include "util.h"

struct fixture {
	char dir[64];
	char kernel[128];
	char initrd[128];
	struct memory m;
	struct boot_loaded bl;
	struct err e;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/test_boot.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->kernel, sizeof(f->kernel), "%s/vmlinuz", f->dir);
	snprintf(f->initrd, sizeof(f->initrd), "%s/initrd.img", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	memory_release(&f->m);
	if (unlink(f->kernel) < 0)
		rmdir(f->kernel);
	unlink(f->initrd);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
file_write(const char *path, const uint8_t *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static void
file_size(const char *path, uint64_t len)
{
	file_write(path, NULL, 0);
	assert_int_equal(truncate(path, (off_t)len), 0);
}

static void
ram(struct fixture *f, enum image_arch arch, uint64_t len)
{
	const struct memory_range range = {
		.gpa = arch == IMAGE_ARM64 ? ARM64_RAM_GPA : 0,
		.len = len,
	};

	memory_release(&f->m);
	assert_int_equal(memory_reserve(&f->m, &range, 1, &f->e), 0);
}

static int
load(struct fixture *f, enum image_arch arch, const char *initrd, int copy)
{
	const struct boot_source src = {
		.kernel = f->kernel,
		.kernel_where = "vm.ini:9",
		.initrd = initrd,
		.initrd_where = "vm.ini:10",
		.cmdline = "console=ttyS0",
		.copy = copy,
	};

	f->e.text[0] = '\0';
	return boot_load_arch(arch, &src, &f->m, &f->bl, &f->e);
}

static void
check_refused(struct fixture *f, int r, int want, const char *before, const char *file,
	      const char *after)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s%s", before, file, after);
	assert_string_equal(f->e.text, full);
	assert_int_equal(r, want);
	assert_int_equal(f->e.status, EXIT_STATUS_CONFIG);
}

/* Is all of [gpa, gpa + len) zero? */
static void
check_zero(struct fixture *f, uint64_t gpa, uint64_t len)
{
	const uint8_t *p = memory_ptr(&f->m, gpa, len);

	assert_true(p || len == 0);
	for (uint64_t i = 0; i < len; i++)
		if (p[i])
			fail_msg("0x%llx is 0x%02x", (unsigned long long)(gpa + i), p[i]);
}

static void
bzimage_and_initrd_lie_in_memory_byte_for_byte(void **state)
{
	/* Congruent and mapped, in both the page-aligned and the old layout; copied. */
	static const struct {
		unsigned sects;
		int copy;
	} cases[] = {
		{ 39, 0 },
		{ 30, 0 },
		{ 39, 1 },
		{ 30, 1 },
	};
	enum { PAYLOAD = 0x40000, INITRD = 0x51234 };
	struct fixture *f = *state;
	uint8_t *initrd = malloc(INITRD);

	image_fill(initrd, INITRD, 8);
	file_write(f->initrd, initrd, INITRD);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len, off = (cases[i].sects + 1) * 512;
		uint64_t gpa = 0x100000 + off % 4096;
		uint8_t *k = image_make_bzimage(cases[i].sects, PAYLOAD, &len);

		file_write(f->kernel, k, len);
		ram(f, IMAGE_X86_64, MiB(64));
		assert_int_equal(load(f, IMAGE_X86_64, f->initrd, cases[i].copy), 0);
		assert_memory_equal(memory_ptr(&f->m, gpa, PAYLOAD), k + off, PAYLOAD);
		check_zero(f, 0x100000, gpa - 0x100000);
		check_zero(f, gpa + PAYLOAD, 0x100000);

		/* The last page below the end of RAM. */
		assert_int_equal(f->bl.initrd_gpa, MiB(64) - 0x52000);
		assert_int_equal(f->bl.initrd_len, INITRD);
		assert_memory_equal(memory_ptr(&f->m, f->bl.initrd_gpa, INITRD), initrd,
				    INITRD);
		check_zero(f, f->bl.initrd_gpa + INITRD, 0x52000 - INITRD);
		assert_string_equal(f->bl.cmdline, "console=ttyS0");

		/* The setup header outlives the file. */
		assert_ptr_equal(f->bl.image.setup, memory_ptr(&f->m, 0x71f1, 1));
		assert_memory_equal(f->bl.image.setup, k + 0x1f1, f->bl.image.setup_len);
		free(k);
	}
	free(initrd);
}

static void
vmlinux_segments_and_their_bss_lie_in_memory(void **state)
{
	static const struct make_segment seg[] = {
		{ 0x1000000, 0x1000, 0x20000, 0x20000 },
		{ 0x1020000, 0x21000, 0x14567, 0x40000 }, /* mapped, bss behind */
		{ 0x1060010, 0x35600, 0x15678, 0x20000 }, /* not congruent */
	};
	struct fixture *f = *state;
	uint8_t note[64];
	size_t len, n = image_make_pvh_note(note, 0x1000040, 8);
	uint8_t *k = image_make_elf(seg, 3, note, n, &len);

	file_write(f->kernel, k, len);
	for (int copy = 0; copy < 2; copy++) {
		ram(f, IMAGE_X86_64, MiB(64));
		assert_int_equal(load(f, IMAGE_X86_64, NULL, copy), 0);
		for (unsigned i = 0; i < 3; i++) {
			assert_memory_equal(memory_ptr(&f->m, seg[i].paddr,
						       seg[i].file_len),
					    k + seg[i].off, seg[i].file_len);
			if (seg[i].mem_len > seg[i].file_len)
				check_zero(f, seg[i].paddr + seg[i].file_len,
					   seg[i].mem_len - seg[i].file_len);
		}
		assert_int_equal(f->bl.initrd_len, 0);
		assert_int_equal(f->bl.image.entry, 0x1000040);
	}
	free(k);
}

static void
arm64_image_lies_in_memory_plain_and_unpacked(void **state)
{
	enum { LEN = 0x54321, SIZE = 0x80000 };
	struct fixture *f = *state;
	uint8_t *k = image_make_arm64(LEN, SIZE, 0);
	size_t gz_len;
	uint8_t *gz = image_make_gzip(k, LEN, &gz_len);

	for (int packed = 0; packed < 2; packed++) {
		file_write(f->kernel, packed ? gz : k, packed ? gz_len : LEN);
		ram(f, IMAGE_ARM64, MiB(64));
		assert_int_equal(load(f, IMAGE_ARM64, NULL, 0), 0);
		assert_memory_equal(memory_ptr(&f->m, ARM64_RAM_GPA, LEN), k, LEN);
		check_zero(f, ARM64_RAM_GPA + LEN, MiB(1));
		assert_int_equal(f->bl.image.entry, ARM64_RAM_GPA);
		assert_null(f->bl.image.unpacked);
	}
	free(gz);
	free(k);
}

/* ---- where the initrd goes ---- */

static void
initrd_stays_below_what_the_header_allows(void **state)
{
	struct fixture *f = *state;
	size_t len;
	uint8_t *k = image_make_bzimage(39, 0x10000, &len);

	le32_put(k + 0x22c, 0x1ffffff);
	file_write(f->kernel, k, len);
	file_size(f->initrd, 0x3001);
	ram(f, IMAGE_X86_64, MiB(64));
	assert_int_equal(load(f, IMAGE_X86_64, f->initrd, 0), 0);
	assert_int_equal(f->bl.initrd_gpa, 0x2000000 - 0x4000);
	free(k);
}

static void
initrd_fits_exactly_between_kernel_and_end_of_ram(void **state)
{
	struct fixture *f = *state;
	uint64_t end = MAKE_PREF_ADDRESS + MAKE_INIT_SIZE;
	size_t len;
	uint8_t *k = image_make_bzimage(39, 0x10000, &len);

	file_write(f->kernel, k, len);
	ram(f, IMAGE_X86_64, MiB(32));
	file_size(f->initrd, MiB(32) - end);
	assert_int_equal(load(f, IMAGE_X86_64, f->initrd, 0), 0);
	assert_int_equal(f->bl.initrd_gpa, end);

	file_size(f->initrd, MiB(32) - end + 1);
	check_refused(f, load(f, IMAGE_X86_64, f->initrd, 0), -ENOMEM,
		      "vm.ini:10: initrd ", f->initrd,
		      " has 13313 KiB, but of 32 MiB RAM only "
		      "13312 KiB are left beside the kernel: raise memory.size");
	/* Lengths that make sums wrap. */
	file_size(f->initrd, GiB(1024));
	check_refused(f, load(f, IMAGE_X86_64, f->initrd, 0), -ENOMEM,
		      "vm.ini:10: initrd ", f->initrd,
		      " has 1073741824 KiB, but of 32 MiB RAM only "
		      "13312 KiB are left beside the kernel: raise memory.size");
	free(k);
}

static void
arm64_initrd_leaves_the_block_of_the_device_tree_free(void **state)
{
	enum { LEN = 0x10000, SIZE = 0x80000 };
	static const struct {
		uint64_t ram, initrd, at;
	} cases[] = {
		/* the tree has the last 2 MiB: below it */
		{ MiB(64), 0x5000, MiB(62) - 0x5000 },
		/* RAM that is no multiple of 2 MiB: some is left behind the tree */
		{ MiB(63), 0x5000, MiB(63) - 0x5000 },
		{ MiB(63), MiB(1) + 1, MiB(59) - 0x1000 },
		{ GiB(1), 0x5000, GiB(1) - MiB(2) - 0x5000 },
		/* above 1 GiB there is room behind it ... */
		{ GiB(2), 0x5000, GiB(2) - 0x5000 },
		/* ... but this one only fits before */
		{ GiB(1) + MiB(1), MiB(3), GiB(1) - MiB(2) - MiB(3) },
		/* "within a 1 GB aligned window of up to 32 GB" */
		{ GiB(40), 0x5000, GiB(32) - 0x5000 },
	};
	struct fixture *f = *state;
	uint8_t *k = image_make_arm64(LEN, SIZE, 0);

	file_write(f->kernel, k, LEN);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ram(f, IMAGE_ARM64, cases[i].ram);
		file_size(f->initrd, cases[i].initrd);
		assert_int_equal(load(f, IMAGE_ARM64, f->initrd, 0), 0);
		assert_int_equal(f->bl.initrd_gpa, ARM64_RAM_GPA + cases[i].at);
	}
	free(k);
}

static void
arm64_kernel_leaves_the_block_of_the_device_tree_free(void **state)
{
	struct fixture *f = *state;
	uint8_t *k = image_make_arm64(0x10000, MiB(62), 0);

	file_write(f->kernel, k, 0x10000);
	ram(f, IMAGE_ARM64, MiB(64));
	assert_int_equal(load(f, IMAGE_ARM64, NULL, 0), 0);
	ram(f, IMAGE_ARM64, MiB(62));
	check_refused(f, load(f, IMAGE_ARM64, NULL, 0), -ENOEXEC, "vm.ini:9: kernel ",
		      f->kernel,
		      " needs 62 MiB of RAM, the guest has 60 MiB for "
		      "it: raise memory.size");
	ram(f, IMAGE_ARM64, MiB(1));
	assert_int_equal(load(f, IMAGE_ARM64, NULL, 0), -ENOEXEC);
	free(k);
}

/* ---- refusals ---- */

static void
files_that_cannot_be_opened_are_named_with_their_place(void **state)
{
	struct fixture *f = *state;
	size_t len;
	uint8_t *k = image_make_bzimage(39, 0x10000, &len);

	ram(f, IMAGE_X86_64, MiB(64));
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -ENOENT, "vm.ini:9: kernel ",
		      f->kernel, ": No such file or directory");
	file_write(f->kernel, k, len);
	check_refused(f, load(f, IMAGE_X86_64, f->initrd, 0), -ENOENT,
		      "vm.ini:10: initrd ", f->initrd, ": No such file or directory");
	file_size(f->initrd, 0);
	check_refused(f, load(f, IMAGE_X86_64, f->initrd, 0), -ENOEXEC,
		      "vm.ini:10: initrd ", f->initrd, " is empty");
	file_size(f->kernel, 0);
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -ENOEXEC, "vm.ini:9: kernel ",
		      f->kernel, " is empty");
	free(k);
}

/* alarm(): an open() of a FIFO that blocks would end the test. */
static void
things_that_are_no_regular_files_are_named_and_never_waited_for(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	ram(f, IMAGE_X86_64, MiB(64));
	alarm(10);
	assert_int_equal(mkdir(f->kernel, 0700), 0);
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -EINVAL, "vm.ini:9: kernel ",
		      f->kernel, " is a directory, not a regular file");
	rmdir(f->kernel);
	assert_int_equal(mkfifo(f->kernel, 0600), 0);
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -EINVAL, "vm.ini:9: kernel ",
		      f->kernel, " is a FIFO, not a regular file");
	unlink(f->kernel);
	assert_int_equal(symlink("/dev/zero", f->kernel), 0);
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -EINVAL, "vm.ini:9: kernel ",
		      f->kernel, " is a character device, not a regular file");
	unlink(f->kernel);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(sa.sun_path, f->kernel);
	assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof(sa)), 0);
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -EINVAL, "vm.ini:9: kernel ",
		      f->kernel, " is a socket, not a regular file");
	close(s);
	alarm(0);
}

static void
what_the_parser_says_gets_place_and_path(void **state)
{
	struct fixture *f = *state;
	size_t len;
	uint8_t *k = image_make_bzimage(39, 0x10000, &len);

	file_write(f->kernel, k, len - 1);
	ram(f, IMAGE_X86_64, MiB(64));
	check_refused(f, load(f, IMAGE_X86_64, NULL, 0), -ENOEXEC, "vm.ini:9: kernel ",
		      f->kernel,
		      " is truncated: the header promises 86016 bytes, "
		      "the file has 86015");
	file_write(f->kernel, k, len);
	ram(f, IMAGE_ARM64, MiB(64));
	check_refused(f, load(f, IMAGE_ARM64, NULL, 0), -ENOEXEC, "vm.ini:9: kernel ",
		      f->kernel, " is an x86 bzImage, this host is arm64");
	free(k);
}

static void
no_file_is_left_open(void **state)
{
	struct fixture *f = *state;
	size_t len;
	uint8_t *k = image_make_bzimage(39, 0x40000, &len);
	int before = dup(0);

	close(before);
	file_write(f->kernel, k, len);
	file_size(f->initrd, 0x40000);
	ram(f, IMAGE_X86_64, MiB(64));
	assert_int_equal(load(f, IMAGE_X86_64, f->initrd, 0), 0);
	file_size(f->initrd, MiB(64));
	assert_int_equal(load(f, IMAGE_X86_64, f->initrd, 0), -ENOMEM);
	file_write(f->kernel, k, 1000);
	assert_int_equal(load(f, IMAGE_X86_64, NULL, 0), -ENOEXEC);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
	free(k);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(bzimage_and_initrd_lie_in_memory_byte_for_byte),
		TEST(vmlinux_segments_and_their_bss_lie_in_memory),
		TEST(arm64_image_lies_in_memory_plain_and_unpacked),
		TEST(initrd_stays_below_what_the_header_allows),
		TEST(initrd_fits_exactly_between_kernel_and_end_of_ram),
		TEST(arm64_initrd_leaves_the_block_of_the_device_tree_free),
		TEST(arm64_kernel_leaves_the_block_of_the_device_tree_free),
		TEST(files_that_cannot_be_opened_are_named_with_their_place),
		TEST(things_that_are_no_regular_files_are_named_and_never_waited_for),
		TEST(what_the_parser_says_gets_place_and_path),
		TEST(no_file_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
