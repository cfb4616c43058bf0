// SPDX-License-Identifier: ISC
/* Unit tests of the configuration: grammar, values, messages, dump, manual. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/config_priv.h"
#include "err.h"
#include "exit_status.h"
#include "util.h"

#define GOOD "[boot]\nkernel = k\n"

/*
 * A table that does not exist yet: named sections of two kinds behind the
 * sections of vmm, to prove that adding a kind is adding rows.
 */
struct test_disk {
	const char *path;
	bool readonly;
	uint64_t rate;
};

struct test_net {
	unsigned int mtu;
	unsigned int backend;
};

struct test_config {
	struct config cfg;
	struct test_disk disk[3];
	struct test_net net[2];
};

#define DISK(member) \
	.offset = offsetof(struct test_disk, member), \
	.size = sizeof(((struct test_disk *)NULL)->member)
#define NET(member) \
	.offset = offsetof(struct test_net, member), \
	.size = sizeof(((struct test_net *)NULL)->member)

static const struct config_section test_sections[] = {
	{ .name = "vm" },
	{
		.name = "disk",
		.max = 3,
		.offset = offsetof(struct test_config, disk),
		.size = sizeof(struct test_disk),
	},
	{
		.name = "net",
		.max = 2,
		.offset = offsetof(struct test_config, net),
		.size = sizeof(struct test_net),
	},
};

static const char *const test_backends[] = { "user", "tap", NULL };

static const struct keyword test_keywords[] = {
	{
		.section = "vm",
		.key = "name",
		.type = KEYWORD_NAME,
		.arch = CONFIG_ARCH_ANY,
		.def = "vm",
		.max = 63,
		.offset = offsetof(struct config, vm.name),
		.size = sizeof(char *),
		.help = "Name.",
	},
	{
		.section = "disk",
		.key = "path",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.required = true,
		DISK(path),
		.help = "Path.",
	},
	{
		.section = "disk",
		.key = "readonly",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		DISK(readonly),
		.help = "Readonly.",
	},
	{
		.section = "disk",
		.key = "rate",
		.type = KEYWORD_SIZE,
		.arch = CONFIG_ARCH_ANY,
		DISK(rate),
		.help = "Rate.",
	},
	{
		.section = "net",
		.key = "mtu",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "1500",
		.min = 68,
		.max = 65535,
		NET(mtu),
		.help = "MTU.",
	},
	{
		.section = "net",
		.key = "backend",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "user",
		.names = test_backends,
		NET(backend),
		.help = "Backend.",
	},
};

static const struct config_schema test_schema = {
	.sections = test_sections,
	.section_count = ARRAY_SIZE(test_sections),
	.keywords = test_keywords,
	.keyword_count = ARRAY_SIZE(test_keywords),
};

static void
must_parse(struct config *cfg, const char *text, const char *file)
{
	struct err err = { 0 };

	if (config_parse(cfg, text, strlen(text), file, &err) != 0)
		fail_msg("refused: %s", err.text);
}

static void
must_set(struct config *cfg, const char *assignment)
{
	struct err err = { 0 };

	if (config_set(cfg, assignment, &err) != 0)
		fail_msg("refused: %s", err.text);
}

static char *
dump(const struct config *cfg, const char *cwd)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	config_dump(cfg, cwd, f);
	fclose(f);
	return text;
}

/* Remove the comment lines, which say where a value came from. */
static char *
without_comments(const char *text)
{
	char *ret = malloc(strlen(text) + 1), *to = ret;

	assert_non_null(ret);
	while (*text != '\0') {
		size_t n = strcspn(text, "\n") + 1;

		if (*text != '#') {
			memcpy(to, text, n);
			to += n;
		}
		text += n;
	}
	*to = '\0';
	return ret;
}

static void
every_row_of_the_table_is_consistent(void **state)
{
	const struct config_schema *s = &config_schema_vmm;

	(void)state;
	for (size_t i = 0; i < s->keyword_count; i++) {
		const struct keyword *kw = &s->keywords[i];
		struct why why;
		uint64_t value;

		assert_non_null(config_section_find(s, span_of(kw->section)));
		assert_ptr_equal(config_keyword_find(s, kw->section, span_of(kw->key)),
				 kw);
		assert_int_equal(kw->size, keyword_field_size(kw->type));
		assert_int_not_equal(kw->arch & CONFIG_ARCH_ANY, 0);
		assert_int_equal(kw->names != NULL, kw->type == KEYWORD_ENUM);
		assert_int_equal(kw->help[strlen(kw->help) - 1], '.');
		if (kw->required)
			assert_null(kw->def);
		if (kw->type == KEYWORD_UINT)
			assert_in_range(kw->max, 1, UINT32_MAX);
		if (!keyword_is_string(kw)) {
			assert_non_null(kw->def);
			assert_int_equal(value_parse(kw, span_of(kw->def), &why, &value),
					 0);
		}
	}
}

static void
an_empty_file_leaves_the_defaults(void **state)
{
	struct config cfg;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, "", "vm.ini");
	assert_string_equal(cfg.vm.name, "vm");
	assert_int_equal(cfg.vm.reboot, CONFIG_REBOOT_RESET);
	assert_int_equal(cfg.cpu.count, 1);
	assert_int_equal(cfg.memory.size, MiB(256));
	assert_null(cfg.boot.kernel);
	assert_null(cfg.boot.initrd);
	assert_string_equal(cfg.boot.cmdline, "");
	assert_false(cfg.boot.copy);
	assert_int_equal(cfg.irqchip.mode, CONFIG_IRQCHIP_SPLIT);
	assert_int_equal(cfg.irqchip.gic, CONFIG_GIC_AUTO);
	assert_int_equal(cfg.serial.backend, CONFIG_SERIAL_AUTO);
	assert_int_equal(config_serial(&cfg), CONFIG_SERIAL_STDIO);
	config_free(&cfg);
}

static void
every_keyword_reaches_its_field(void **state)
{
	struct config cfg;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg,
		   "\xef\xbb\xbf; comment\n"
		   "[vm]\r\nname = hello\r\n  reboot=exit  \n"
		   "[cpu]\n\tcount\t=\t2\t\n"
		   "# comment\n"
		   "[ memory ]\nsize = 1G\n\n"
		   "[boot]\nkernel = vmlinuz\ninitrd = /abs/initrd.img\n"
		   "cmdline = console=ttyS0 quiet\ncopy = on\n"
		   "[irqchip]\nmode = kernel\n"
		   "[serial]\nbackend = none",
		   "dir/vm.ini");
	assert_string_equal(cfg.vm.name, "hello");
	assert_int_equal(cfg.vm.reboot, CONFIG_REBOOT_EXIT);
	assert_int_equal(cfg.cpu.count, 2);
	assert_int_equal(cfg.memory.size, GiB(1));
	assert_string_equal(cfg.boot.kernel, "dir/vmlinuz");
	assert_string_equal(cfg.boot.initrd, "/abs/initrd.img");
	assert_string_equal(cfg.boot.cmdline, "console=ttyS0 quiet");
	assert_true(cfg.boot.copy);
	assert_int_equal(cfg.irqchip.mode, CONFIG_IRQCHIP_KERNEL);
	assert_int_equal(cfg.serial.backend, CONFIG_SERIAL_NONE);
	config_free(&cfg);

	config_init(&cfg, CONFIG_ARCH_ARM64, NULL);
	must_parse(&cfg, "[irqchip]\ngic = 3\n", "vm.ini");
	assert_int_equal(cfg.irqchip.gic, CONFIG_GIC_V3);
	config_free(&cfg);
}

static void
nothing_in_a_value_is_special(void **state)
{
	static const char *const values[] = {
		"console=ttyS0 root=\"x y\" # no",
		"\"quoted\"",
		"a;b",
		"[x]",
		"a = b",
		"\\n \\",
		"#x",
		"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7",
		"a\tb",
		"'",
		"%s%n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct config cfg;
		char text[128];

		config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
		snprintf(text, sizeof(text), "[boot]\ncmdline = \t%s \t\n", values[i]);
		must_parse(&cfg, text, "vm.ini");
		assert_string_equal(cfg.boot.cmdline, values[i]);
		snprintf(text, sizeof(text), "boot.cmdline=%s", values[i]);
		must_set(&cfg, text);
		assert_string_equal(cfg.boot.cmdline, values[i]);
		config_free(&cfg);
	}
}

static void
sizes_and_booleans_are_read_as_documented(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} sizes[] = {
		{ "16777216", MiB(16) }, { "16384K", MiB(16) }, { "20m", MiB(20) },
		{ "2G", GiB(2) },        { "4T", GiB(4096) },   { "0016M", MiB(16) },
	};
	static const struct {
		const char *text;
		bool value;
	} bools[] = {
		{ "yes", true }, { "on", true },   { "true", true },
		{ "no", false }, { "off", false }, { "false", false },
	};
	struct config cfg;
	char set[64];

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(set, sizeof(set), "memory.size=%s", sizes[i].text);
		must_set(&cfg, set);
		assert_int_equal(cfg.memory.size, sizes[i].value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++) {
		snprintf(set, sizeof(set), "boot.copy=%s", bools[i].text);
		must_set(&cfg, set);
		assert_int_equal(cfg.boot.copy, bools[i].value);
	}
	config_free(&cfg);
}

/* Text in which \0 stands for a NUL, and the message it deserves. */
static const struct {
	const char *text;
	size_t len;
	const char *msg;
} bad_files[] = {
#define BAD(text, msg) \
	{ \
		text, sizeof(text) - 1, msg \
	}
	BAD("[boot]\ncmdlin = x\n",
	    "vm.ini:2: unknown key 'cmdlin' in [boot]; did you mean 'cmdline'?"),
	BAD("[boot]\nxyzzy = x\n",
	    "vm.ini:2: unknown key 'xyzzy' in [boot]; valid are kernel, initrd, "
	    "cmdline, copy"),
	BAD("[vm]\nkernel = x\n",
	    "vm.ini:2: unknown key 'kernel' in [vm]; it belongs in [boot]"),
	BAD("[vm]\nanme = x\n",
	    "vm.ini:2: unknown key 'anme' in [vm]; did you mean 'name'?"),
	BAD("[Boot]\n", "vm.ini:1: unknown section 'Boot'; did you mean 'boot'?"),
	BAD("[videos]\n",
	    "vm.ini:1: unknown section 'videos'; valid are vm, cpu, memory, boot, "
	    "irqchip, pci, serial, disk, rng, net, console"),
	BAD("[vm]\nname = a\nname = a\n",
	    "vm.ini:3: [vm] name again; the first is in line 2"),
	BAD("[vm]\n[cpu]\n[vm]\n",
	    "vm.ini:3: section [vm] again; the first is in line 1"),
	BAD("[vm]\nname =  \n",
	    "vm.ini:2: [vm] name has no value; leave the line out for the "
	    "default"),
	BAD("[vm]\nname\n", "vm.ini:2: 'name' is neither a [section] nor key = value"),
	BAD("[vm]\n= x\n", "vm.ini:2: no key before '='"),
	BAD("\nname = x\n",
	    "vm.ini:2: 'name' before the first section; a key stands below its "
	    "[section]"),
	BAD("[vm\nname = x\n", "vm.ini:1: section header '[vm' has no ']'"),
	BAD("[vm] # x\n",
	    "vm.ini:1: text behind the ']' of a section header; comments stand "
	    "on lines of their own"),
	BAD("[]\n", "vm.ini:1: bad section header []; write [section] or "
		    "[kind \"name\"]"),
	BAD("[vm x]\n", "vm.ini:1: bad section header [vm x]; write [section] or "
			"[kind \"name\"]"),
	BAD("[vm \"x]\n", "vm.ini:1: bad section header [vm \"x]; write [section] "
			  "or [kind \"name\"]"),
	BAD("[vm \"x\"]\n", "vm.ini:1: section [vm] takes no name; write [vm]"),
	BAD("[vm]\nname = a b\n",
	    "vm.ini:2: [vm] name: bad name 'a b'; use letters, digits, '.', '_' "
	    "and '-'"),
	BAD("[vm]\nname = "
	    "0123456789012345678901234567890123456789012345678901234567890123\n",
	    "vm.ini:2: [vm] name: 64 bytes are too long; the most is 63"),
	BAD("[vm]\nreboot = rest\n",
	    "vm.ini:2: [vm] reboot: bad value 'rest'; valid are reset, exit"),
	BAD("[cpu]\ncount = 0\n",
	    "vm.ini:2: [cpu] count: 0 is out of range; valid is 1 to 255"),
	BAD("[cpu]\ncount = 256\n",
	    "vm.ini:2: [cpu] count: 256 is out of range; valid is 1 to 255"),
	BAD("[cpu]\ncount = 18446744073709551617\n",
	    "vm.ini:2: [cpu] count: 18446744073709551617 is out of range; valid "
	    "is 1 to 255"),
	BAD("[cpu]\ncount = -1\n",
	    "vm.ini:2: [cpu] count: bad number '-1'; write a whole number"),
	BAD("[cpu]\ncount = 2 # two\n",
	    "vm.ini:2: [cpu] count: bad number '2 # two'; write a whole number"),
	BAD("[memory]\nsize = 12Q\n",
	    "vm.ini:2: [memory] size: bad size '12Q'; write bytes, or a whole "
	    "number with K, M, G or T: 256M"),
	BAD("[memory]\nsize = 256MB\n",
	    "vm.ini:2: [memory] size: bad size '256MB'; write bytes, or a whole "
	    "number with K, M, G or T: 256M"),
	BAD("[memory]\nsize = M\n",
	    "vm.ini:2: [memory] size: bad size 'M'; write bytes, or a whole "
	    "number with K, M, G or T: 256M"),
	BAD("[memory]\nsize = 8M\n",
	    "vm.ini:2: [memory] size: 8M is out of range; valid is 16M to 4T"),
	BAD("[memory]\nsize = 16777216T\n",
	    "vm.ini:2: [memory] size: 16777216T is out of range; valid is 16M "
	    "to 4T"),
	BAD("[memory]\nsize = 20000000\n",
	    "vm.ini:2: [memory] size: 20000000 is not a multiple of 64K"),
	BAD("[boot]\ncopy = maybe\n",
	    "vm.ini:2: [boot] copy: bad boolean 'maybe'; write yes or no, on or "
	    "off, true or false"),
	BAD("[irqchip]\ngic = 3\n",
	    "vm.ini:2: [irqchip] gic is for arm64 and this is vmm for x86_64; "
	    "leave it out"),
	BAD("[vm]\nname = a\0b\n",
	    "vm.ini:2: control character 0x00 in column 9; only plain UTF-8 text "
	    "is valid"),
	BAD("[vm]\n# \x1b[31m\n",
	    "vm.ini:2: control character 0x1b in column 3; only plain UTF-8 text "
	    "is valid"),
	BAD("[vm]\nname = \xff\n",
	    "vm.ini:2: byte 0xff in column 8; only plain UTF-8 text is valid"),
	BAD("[vm]\n\xc3\n",
	    "vm.ini:2: byte 0xc3 in column 1; only plain UTF-8 text is valid"),
	BAD("[vm]\n\xed\xa0\x80\n",
	    "vm.ini:2: byte 0xed in column 1; only plain UTF-8 text is valid"),
	BAD("[vm]\n\xc2\x9b\n",
	    "vm.ini:2: byte 0xc2 in column 1; only plain UTF-8 text is valid"),
	BAD("[vm]\nname = a\rb\n",
	    "vm.ini:2: control character 0x0d in column 9; only plain UTF-8 text "
	    "is valid"),
#undef BAD
};

static void
every_bad_file_gets_its_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_files); i++) {
		struct config cfg;
		struct err err = { 0 };

		config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
		assert_int_equal(config_parse(&cfg, bad_files[i].text, bad_files[i].len,
					      "vm.ini", &err),
				 -EINVAL);
		assert_string_equal(err.text, bad_files[i].msg);
		assert_int_equal(err.status, EXIT_STATUS_CONFIG);
		config_free(&cfg);
	}
}

static void
a_quoted_excerpt_is_short_and_ends_at_a_character(void **state)
{
	struct config cfg;
	struct err err = { 0 };
	char text[400] = "[vm]\nx";

	(void)state;
	for (size_t i = 0; i < 100; i++)
		strcat(text, "\xc3\xa4");
	strcat(text, " = 1\n");
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_parse(&cfg, text, strlen(text), "vm.ini", &err), -EINVAL);
	assert_non_null(strstr(err.text, "\xc3\xa4...' in [vm]"));
	assert_int_equal(text_bad_offset(span_of(err.text)), strlen(err.text));
	assert_true(strlen(err.text) < 150);
	config_free(&cfg);
}

static void
lines_and_files_have_a_longest_length(void **state)
{
	static char text[CONFIG_FILE_MAX + 1];
	struct config cfg;
	struct err err = { 0 };

	(void)state;
	memset(text, ' ', CONFIG_LINE_MAX);
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_parse(&cfg, text, CONFIG_LINE_MAX, "vm.ini", &err), 0);
	config_free(&cfg);

	text[CONFIG_LINE_MAX] = ' ';
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_parse(&cfg, text, CONFIG_LINE_MAX + 1, "vm.ini", &err),
			 -EINVAL);
	assert_string_equal(err.text, "vm.ini:1: 8193 bytes are too long for a "
				      "line; the most is 8192");
	config_free(&cfg);

	err.text[0] = '\0';
	memset(text, '\n', sizeof(text));
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_parse(&cfg, text, CONFIG_FILE_MAX, "vm.ini", &err), 0);
	config_free(&cfg);
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_parse(&cfg, text, CONFIG_FILE_MAX + 1, "vm.ini", &err),
			 -EINVAL);
	assert_string_equal(err.text, "vm.ini: too large for a configuration; "
				      "the most is 65536 bytes");
	config_free(&cfg);
}

static void
set_wins_over_the_file_and_later_over_earlier(void **state)
{
	struct config cfg;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, GOOD "initrd = i\n[cpu]\ncount = 2\n", "dir/vm.ini");
	must_set(&cfg, "cpu.count=3");
	must_set(&cfg, " cpu.count = 4 ");
	must_set(&cfg, "boot.kernel=other");
	must_set(&cfg, "boot.initrd=");
	assert_int_equal(cfg.cpu.count, 4);
	assert_string_equal(cfg.boot.kernel, "other");
	assert_null(cfg.boot.initrd);
	config_free(&cfg);
}

static const struct {
	const char *set;
	const char *msg;
} bad_sets[] = {
	{ "cpu.count", "--set cpu.count: no '='; write SECTION.KEY=VALUE" },
	{ "count=1", "--set count: no section; write SECTION.KEY=VALUE or "
		     "KIND.NAME.KEY=VALUE" },
	{ "=1", "--set : no section; write SECTION.KEY=VALUE or "
		"KIND.NAME.KEY=VALUE" },
	{ "cpus.count=1",
	  "--set cpus.count: unknown section 'cpus'; did you mean 'cpu'?" },
	{ "cpu.cuont=1",
	  "--set cpu.cuont: unknown key 'cuont' in [cpu]; did you mean 'count'?" },
	{ "cpu.count=many", "--set cpu.count: bad number 'many'; write a whole number" },
	{ "cpu.0.count=1",
	  "--set cpu.0.count: section [cpu] takes no name; write cpu.KEY=VALUE" },
	{ "irqchip.gic=2", "--set irqchip.gic: [irqchip] gic is for arm64 and "
			   "this is vmm for x86_64; leave it out" },
	{ "boot.cmdline=a\nb", "--set argument: control character 0x0a in column "
			       "15; only plain UTF-8 text is valid" },
};

static void
every_bad_set_gets_its_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_sets); i++) {
		struct config cfg;
		struct err err = { 0 };

		config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
		assert_int_equal(config_set(&cfg, bad_sets[i].set, &err), -EINVAL);
		assert_string_equal(err.text, bad_sets[i].msg);
		assert_int_equal(err.status, EXIT_STATUS_CONFIG);
		config_free(&cfg);
	}
}

static void
check_wants_a_kernel(void **state)
{
	struct err err = { 0 };
	struct config cfg;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_string_equal(err.text, "no boot.kernel; use --config FILE or "
				      "--set boot.kernel=PATH");
	err.text[0] = '\0';
	must_parse(&cfg, "[vm]\nname = x\n", "vm.ini");
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_string_equal(err.text, "vm.ini: no section [boot]; add it with "
				      "'kernel = PATH'");
	config_free(&cfg);

	err.text[0] = '\0';
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, "\n[boot]\ncmdline = x\n", "vm.ini");
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_string_equal(err.text,
			    "vm.ini:2: [boot] has no kernel; add 'kernel = PATH'");
	must_set(&cfg, "boot.kernel=k");
	assert_int_equal(config_check(&cfg, &err), 0);
	must_set(&cfg, "boot.kernel=");
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	config_free(&cfg);
}

/* What config_check() says of the text, "" if it is good. */
static void
checks_as(const char *text, const char *want, enum config_serial serial)
{
	struct err err = { 0 };
	struct config cfg;

	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, text, "vm.ini");
	assert_int_equal(config_check(&cfg, &err), want[0] ? -EINVAL : 0);
	assert_string_equal(err.text, want);
	if (!want[0])
		assert_int_equal(config_serial(&cfg), serial);
	config_free(&cfg);
}

static void
stdio_goes_to_the_console_that_wants_it_or_to_the_serial_port(void **state)
{
	(void)state;
	checks_as(GOOD "[console \"a\"]\n", "", CONFIG_SERIAL_NONE);
	checks_as(GOOD "[console \"a\"]\nbackend = pty\n", "", CONFIG_SERIAL_STDIO);
	checks_as(GOOD "[console \"a\"]\n[serial]\nbackend = none\n", "",
		  CONFIG_SERIAL_NONE);
	checks_as(GOOD "[console \"a\"]\nbackend = null\n[serial]\nbackend = stdio\n", "",
		  CONFIG_SERIAL_STDIO);
}

static void
stdio_is_given_away_once(void **state)
{
	(void)state;
	checks_as(GOOD "[serial]\nbackend = stdio\n[console \"a\"]\nbackend = stdio\n",
		  "vm.ini:6: [console \"a\"] has backend = stdio, and so has [serial] "
		  "(vm.ini:4); give one of them another",
		  0);
	checks_as(GOOD "[console \"a\"]\n[console \"b\"]\ntype = port\n",
		  "vm.ini:4: [console \"b\"] has backend = stdio, and so has "
		  "[console \"a\"] (vm.ini:3); give one of them another",
		  0);
}

static void
consoles_have_a_path_where_it_means_something(void **state)
{
	(void)state;
	checks_as(GOOD "[console \"a\"]\nbackend = pty\npath = tty\n", "",
		  CONFIG_SERIAL_STDIO);
	checks_as(GOOD "[console \"a\"]\nbackend = socket\n",
		  "vm.ini:4: [console \"a\"] has a backend that needs a path; add "
		  "'path = PATH'",
		  0);
	checks_as(GOOD "[console \"a\"]\npath = x\n",
		  "vm.ini:4: [console \"a\"] has a backend that takes no path; backend = "
		  "socket, file or pty does",
		  0);
}

static void
check_limits_the_cpus_of_gicv2(void **state)
{
	struct err err = { 0 };
	struct config cfg;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_ARM64, NULL);
	must_parse(&cfg, GOOD "[irqchip]\ngic = 2\n[cpu]\ncount = 8\n", "vm.ini");
	assert_int_equal(config_check(&cfg, &err), 0);
	must_set(&cfg, "cpu.count=9");
	assert_int_equal(config_check(&cfg, &err), -EINVAL);
	assert_string_equal(err.text, "--set cpu.count: 9 CPUs are too many for "
				      "gic = 2; it serves 8, gic = 3 serves more");
	must_set(&cfg, "irqchip.gic=3");
	assert_int_equal(config_check(&cfg, &err), 0);
	config_free(&cfg);
}

static void
where_names_file_and_line_set_or_default(void **state)
{
	struct config cfg;
	char buf[128];

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, GOOD, "d/vm.ini");
	must_set(&cfg, "cpu.count=2");
	assert_string_equal(config_where(&cfg, &cfg.boot.kernel, buf, sizeof(buf)),
			    "d/vm.ini:2");
	assert_string_equal(config_where(&cfg, &cfg.cpu.count, buf, sizeof(buf)),
			    "--set cpu.count");
	assert_string_equal(config_where(&cfg, &cfg.memory.size, buf, sizeof(buf)),
			    "default of memory.size");
	config_free(&cfg);
}

static void
named_sections_keep_the_order_of_the_file(void **state)
{
	struct test_config tc = { 0 };
	struct config *cfg = &tc.cfg;
	struct err err = { 0 };
	char buf[128];

	(void)state;
	config_init(cfg, CONFIG_ARCH_X86_64, &test_schema);
	must_parse(cfg,
		   "[disk \"root\"]\npath = root.img\n"
		   "[net \"lan\"]\nbackend = tap\n"
		   "[ disk  \"data\" ]\nreadonly = yes\npath = /data\n",
		   "d/vm.ini");
	must_set(cfg, "net.wan.mtu=9000");
	must_set(cfg, "disk.root.rate=5M");
	assert_int_equal(cfg->named_count, 4);
	assert_string_equal(cfg->named[0].name, "root");
	assert_string_equal(cfg->named[1].name, "lan");
	assert_string_equal(cfg->named[2].name, "data");
	assert_string_equal(cfg->named[3].name, "wan");
	assert_string_equal(cfg->named[1].section->name, "net");
	assert_int_equal(cfg->named[2].index, 1);
	assert_int_equal(cfg->named[2].line, 5);
	assert_string_equal(tc.disk[0].path, "d/root.img");
	assert_int_equal(tc.disk[0].rate, MiB(5));
	assert_string_equal(tc.disk[1].path, "/data");
	assert_false(tc.disk[0].readonly);
	assert_true(tc.disk[1].readonly);
	assert_int_equal(tc.net[0].backend, 1);
	assert_int_equal(tc.net[0].mtu, 1500);
	assert_int_equal(tc.net[1].mtu, 9000);
	assert_int_equal(config_check(cfg, &err), 0);
	assert_string_equal(config_where(cfg, &tc.disk[1].path, buf, sizeof(buf)),
			    "d/vm.ini:7");
	assert_string_equal(config_where(cfg, &tc.net[1].mtu, buf, sizeof(buf)),
			    "--set net.wan.mtu");
	config_free(cfg);
}

static const struct {
	const char *text;
	const char *msg;
} bad_named[] = {
	{ "[disk]\n", "vm.ini:1: section [disk] needs a name; write [disk \"name\"]" },
	{ "[disk \"\"]\n", "vm.ini:1: bad name '' of a [disk]; use up to 32 "
			   "letters, digits, '_' and '-'" },
	{ "[disk \"a.b\"]\n", "vm.ini:1: bad name 'a.b' of a [disk]; use up to 32 "
			      "letters, digits, '_' and '-'" },
	{ "[disk \"012345678901234567890123456789012\"]\n",
	  "vm.ini:1: bad name '012345678901234567890123456789012' of a [disk]; "
	  "use up to 32 letters, digits, '_' and '-'" },
	{ "[disk \"a\"]\n[net \"a\"]\n[disk \"a\"]\n",
	  "vm.ini:3: section [disk \"a\"] again; the first is in line 1" },
	{ "[net \"a\"]\n[net \"b\"]\n[net \"c\"]\n",
	  "vm.ini:3: too many [net] sections; the most is 2" },
	{ "[disk \"a\"]\npath = x\n[disk \"b\"]\nmtu = 1\n",
	  "vm.ini:4: unknown key 'mtu' in [disk]; it belongs in [net]" },
	{ "[disk \"a\"]\nrate = 99999999999999999999\n",
	  "vm.ini:2: [disk] rate: 99999999999999999999 is out of range; valid is "
	  "what fits in 64 bits" },
};

static void
every_bad_named_section_gets_its_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_named); i++) {
		struct test_config tc = { 0 };
		struct err err = { 0 };

		config_init(&tc.cfg, CONFIG_ARCH_X86_64, &test_schema);
		assert_int_equal(config_parse(&tc.cfg, bad_named[i].text,
					      strlen(bad_named[i].text), "vm.ini", &err),
				 -EINVAL);
		assert_string_equal(err.text, bad_named[i].msg);
		config_free(&tc.cfg);
	}
}

static void
a_named_section_can_require_a_key(void **state)
{
	struct test_config tc = { 0 };
	struct err err = { 0 };

	(void)state;
	config_init(&tc.cfg, CONFIG_ARCH_X86_64, &test_schema);
	must_parse(&tc.cfg, "[disk \"a\"]\npath = x\n[disk \"b\"]\n", "vm.ini");
	assert_int_equal(config_check(&tc.cfg, &err), -EINVAL);
	assert_string_equal(err.text, "vm.ini:3: [disk \"b\"] has no path; add "
				      "'path = PATH'");
	config_free(&tc.cfg);

	err.text[0] = '\0';
	config_init(&tc.cfg, CONFIG_ARCH_X86_64, &test_schema);
	must_set(&tc.cfg, "disk.a.readonly=yes");
	assert_int_equal(config_check(&tc.cfg, &err), -EINVAL);
	assert_string_equal(err.text, "no disk.a.path; use --config FILE or "
				      "--set disk.a.path=PATH");
	assert_int_equal(config_set(&tc.cfg, "disk.path=x", &err), -EINVAL);
	config_free(&tc.cfg);
}

static void
check_round_trip(const struct config_schema *schema, enum config_arch arch,
		 struct config *cfg, struct config *again)
{
	char *first = dump(cfg, "/w"), *second, *third;
	char *first_values = without_comments(first), *second_values;

	config_init(again, arch, schema);
	must_parse(again, first, "else/where.ini");
	second = dump(again, "/x");
	second_values = without_comments(second);
	assert_string_equal(first_values, second_values);
	config_free(again);

	config_init(again, arch, schema);
	must_parse(again, second, "else/where.ini");
	third = dump(again, "/y");
	assert_string_equal(second, third);
	config_free(again);
	free(first);
	free(second);
	free(third);
	free(first_values);
	free(second_values);
}

static void
a_dump_parses_to_the_same_dump(void **state)
{
	struct config cfg, again;
	struct test_config tc = { 0 }, tc_again = { 0 };

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg,
		   GOOD "cmdline = # root=\"a b\"\ncopy = yes\n[memory]\n"
			"size = 16448K\n",
		   "d/vm.ini");
	must_set(&cfg, "boot.initrd=i");
	check_round_trip(NULL, CONFIG_ARCH_X86_64, &cfg, &again);
	config_free(&cfg);

	config_init(&cfg, CONFIG_ARCH_ARM64, NULL);
	must_parse(&cfg, "[irqchip]\ngic = 2\n", "vm.ini");
	check_round_trip(NULL, CONFIG_ARCH_ARM64, &cfg, &again);
	config_free(&cfg);

	config_init(&tc.cfg, CONFIG_ARCH_X86_64, &test_schema);
	must_parse(&tc.cfg, "[net \"b\"]\n[disk \"r\"]\npath = p\n[net \"a\"]\n",
		   "d/vm.ini");
	check_round_trip(&test_schema, CONFIG_ARCH_X86_64, &tc.cfg, &tc_again.cfg);
	config_free(&tc.cfg);
}

static void
a_dump_says_where_each_value_came_from(void **state)
{
	struct config cfg;
	char *text;

	(void)state;
	config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
	must_parse(&cfg, GOOD, "d/vm.ini");
	must_set(&cfg, "cpu.count=2");
	text = dump(&cfg, "/w");
	assert_non_null(strstr(text, "# d/vm.ini:2\nkernel = /w/d/k\n"));
	assert_non_null(strstr(text, "[cpu]\n# --set\ncount = 2\n"));
	assert_non_null(strstr(text, "# default\n#initrd =\n"));
	assert_non_null(strstr(text, "# default\nsize = 256M\n"));
	assert_null(strstr(text, "gic"));
	free(text);
	config_free(&cfg);
}

static void
help_names_every_keyword_of_the_architecture(void **state)
{
	const struct config_schema *s = &config_schema_vmm;
	char *text = NULL, name[64];
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	config_help(CONFIG_ARCH_ARM64, NULL, f);
	fclose(f);
	for (size_t i = 0; i < s->keyword_count; i++) {
		const struct keyword *kw = &s->keywords[i];

		bool named = config_section_find(s, span_of(kw->section))->max > 0;

		snprintf(name, sizeof(name), "  %s.%s%s=", kw->section,
			 named ? "NAME." : "", kw->key);
		assert_int_equal(strstr(text, name) != NULL,
				 (kw->arch & CONFIG_ARCH_ARM64) != 0);
	}
	free(text);
}

static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, CONFIG_FILE_MAX);

	if (f == NULL)
		fail_msg("%s: %s (tests run in the project's top folder)", path,
			 strerror(errno));
	assert_non_null(text);
	assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, f) > 0);
	fclose(f);
	return text;
}

/*
 * What vm.ini(5) must say about a keyword; prose may follow. The manual is
 * written by hand, so this holds it against the table.
 */
static void
print_manual(const struct keyword *kw, char *buf, size_t len)
{
	char arg[160], range[80], def[128] = "", arch[64] = "";

	keyword_arg(kw, arg, sizeof(arg));
	keyword_range(kw, range, sizeof(range));
	if (kw->type != KEYWORD_ENUM && kw->type != KEYWORD_BOOL)
		for (char *c = arg; *c != '\0'; c++)
			*c = (char)(*c + 'a' - 'A');
	for (char *c = arg; (c = strchr(c, '|')) != NULL;) {
		/* "a|b" is "a | b" in a manual page. */
		memmove(c + 3, c + 1, strlen(c + 1) + 1);
		memcpy(c, " | ", 3);
		c += 3;
	}
	if (kw->required)
		snprintf(def, sizeof(def), "Required.\n");
	else if (kw->def != NULL && kw->def[0] != '\0')
		snprintf(def, sizeof(def),
			 kw->def_arm64 == NULL
				 ? "Default:\n.Li %s .\n"
				 : "Default:\n.Li %s\n(on arm64\n.Li %s ) .\n",
			 kw->def, kw->def_arm64);
	if (kw->arch != CONFIG_ARCH_ANY)
		snprintf(arch, sizeof(arch), "Only on %s.\n", config_arch_name(kw->arch));
	snprintf(buf, len, ".It Ic %s No = Ar %s\n%s\n%s%s%s%s%s", kw->key, arg, kw->help,
		 arch, range[0] != '\0' ? "From " : "", range,
		 range[0] != '\0' ? ".\n" : "", def);
}

static void
the_manual_describes_exactly_the_keywords_of_the_table(void **state)
{
	const struct config_schema *s = &config_schema_vmm;
	char *text = read_file("man/vm.ini.5"), want[1024];
	const char *at = strstr(text, ".Sh SECTIONS AND KEYS\n");
	const char *end;
	size_t in_manual = 0;

	(void)state;
	assert_non_null(at);
	end = strstr(at + 1, ".Sh ");
	assert_non_null(end);
	for (const char *p = at; (p = strstr(p, "\n.It Ic ")) != NULL; p++)
		in_manual += p < end;
	assert_int_equal(in_manual, s->keyword_count);
	for (size_t i = 0; i < s->section_count; i++) {
		const struct config_section *section = &s->sections[i];

		snprintf(want, sizeof(want), "\n.Ss Section %s%s\n%s\n", section->name,
			 section->max > 0 ? " \\(dqname\\(dq" : "", section->help);
		at = strstr(at, want);
		if (at == NULL || at > end)
			fail_msg("man/vm.ini.5 lacks, at its place:%s", want);
		for (size_t k = 0; k < s->keyword_count; k++) {
			if (strcmp(s->keywords[k].section, section->name) != 0)
				continue;
			print_manual(&s->keywords[k], want, sizeof(want));
			at = strstr(at, want);
			if (at == NULL || at > end)
				fail_msg("man/vm.ini.5 lacks, below [%s]:\n%s",
					 section->name, want);
		}
	}
	free(text);
}

static void
the_examples_are_good_configurations(void **state)
{
	static const char *const files[] = { "examples/vm.ini", "examples/console.ini" };
	static const enum config_arch archs[] = { CONFIG_ARCH_X86_64, CONFIG_ARCH_ARM64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(archs) * ARRAY_SIZE(files); i++) {
		struct config cfg;
		struct err err = { 0 };

		config_init(&cfg, archs[i % 2], NULL);
		if (config_load(&cfg, files[i / 2], &err) != 0 ||
		    config_check(&cfg, &err) != 0)
			fail_msg("%s", err.text);
		assert_memory_equal(cfg.boot.kernel, "examples/", 9);
		config_free(&cfg);
	}
}

static void
a_uri_is_no_relative_path(void **state)
{
	static const struct {
		const char *path, *want;
	} row[] = {
		{ "root.img", "/etc/root.img" },
		{ "/dev/vg/root", "/dev/vg/root" },
		{ "nbd://host:10809/x", "nbd://host:10809/x" },
		{ "nbd+unix:///x?socket=/run/s", "nbd+unix:///x?socket=/run/s" },
		{ "a b://c", "/etc/a b://c" },
		{ "://c", "/etc/://c" },
		{ "nbd:/c", "/etc/nbd:/c" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct config cfg;
		char text[128], *out;

		snprintf(text, sizeof(text), GOOD "[disk \"a\"]\npath = %s\n",
			 row[i].path);
		config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
		must_parse(&cfg, text, "/etc/vm.ini");
		assert_string_equal(cfg.disk[0].path, row[i].want);
		out = dump(&cfg, "/cwd");
		snprintf(text, sizeof(text), "\npath = %s\n", row[i].want);
		assert_non_null(strstr(out, text));
		free(out);
		config_free(&cfg);
	}
}

static void
a_file_that_cannot_be_read_is_a_configuration_error(void **state)
{
	static const char *const files[] = { "/nonexistent/vm.ini", "/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct config cfg;
		struct err err = { 0 };

		config_init(&cfg, CONFIG_ARCH_X86_64, NULL);
		assert_true(config_load(&cfg, files[i], &err) < 0);
		assert_non_null(strstr(err.text, files[i]));
		assert_int_equal(err.status, EXIT_STATUS_CONFIG);
		config_free(&cfg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_table_is_consistent),
		cmocka_unit_test(an_empty_file_leaves_the_defaults),
		cmocka_unit_test(every_keyword_reaches_its_field),
		cmocka_unit_test(nothing_in_a_value_is_special),
		cmocka_unit_test(sizes_and_booleans_are_read_as_documented),
		cmocka_unit_test(every_bad_file_gets_its_one_line),
		cmocka_unit_test(a_quoted_excerpt_is_short_and_ends_at_a_character),
		cmocka_unit_test(lines_and_files_have_a_longest_length),
		cmocka_unit_test(set_wins_over_the_file_and_later_over_earlier),
		cmocka_unit_test(every_bad_set_gets_its_one_line),
		cmocka_unit_test(check_wants_a_kernel),
		cmocka_unit_test(
			stdio_goes_to_the_console_that_wants_it_or_to_the_serial_port),
		cmocka_unit_test(stdio_is_given_away_once),
		cmocka_unit_test(consoles_have_a_path_where_it_means_something),
		cmocka_unit_test(check_limits_the_cpus_of_gicv2),
		cmocka_unit_test(where_names_file_and_line_set_or_default),
		cmocka_unit_test(named_sections_keep_the_order_of_the_file),
		cmocka_unit_test(every_bad_named_section_gets_its_one_line),
		cmocka_unit_test(a_named_section_can_require_a_key),
		cmocka_unit_test(a_dump_parses_to_the_same_dump),
		cmocka_unit_test(a_dump_says_where_each_value_came_from),
		cmocka_unit_test(help_names_every_keyword_of_the_architecture),
		cmocka_unit_test(the_manual_describes_exactly_the_keywords_of_the_table),
		cmocka_unit_test(the_examples_are_good_configurations),
		cmocka_unit_test(a_uri_is_no_relative_path),
		cmocka_unit_test(a_file_that_cannot_be_read_is_a_configuration_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
