// SPDX-License-Identifier: ISC
/*
 * Arbitrary bytes as a configuration file. What parses must survive its own
 * dump: the values are the same when the dump is parsed, and from there on
 * the dump is a fixed point. The bytes behind the first NUL, if any, are tried
 * as a --set argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/config_priv.h"
#include "err.h"
#include "fuzz.h"

static char *
dump(const struct config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		abort();
	config_dump(cfg, "/w", f);
	fclose(f);
	return text;
}

static char *
without_comments(const char *text)
{
	char *ret = malloc(strlen(text) + 1), *to = ret;

	if (ret == NULL)
		abort();
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

/* NULL is a string that was not set. */
static bool
same_string(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Paths are left out: the dump has made them absolute. */
static void
field_must_be_equal(const struct config *a, const struct config *b, unsigned int row,
		    const struct keyword *kw)
{
	bool same = kw->type == KEYWORD_PATH;

	if (!same && keyword_is_string(kw))
		same = same_string(config_field_string(a, row, kw),
				   config_field_string(b, row, kw));
	else if (!same)
		same = config_field_number(a, row, kw) == config_field_number(b, row, kw);
	if (!same) {
		fprintf(stderr, "%s.%s differs\n", kw->section, kw->key);
		abort();
	}
}

static bool
is_named(const struct config_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->section_count; i++)
		if (strcmp(schema->sections[i].name, name) == 0)
			return schema->sections[i].max > 0;
	abort();
}

/* Row 0 has the plain sections, row 1 + n the n-th named one. */
static void
fields_must_be_equal(const struct config *a, const struct config *b)
{
	const struct config_schema *schema = a->schema;

	if (a->named_count != b->named_count)
		abort();
	for (unsigned int row = 0; row <= a->named_count; row++) {
		const struct config_named *named = row > 0 ? &a->named[row - 1] : NULL;

		if (named && strcmp(named->name, b->named[row - 1].name) != 0)
			abort();
		for (size_t i = 0; i < schema->keyword_count; i++) {
			const struct keyword *kw = &schema->keywords[i];

			if (named ? strcmp(kw->section, named->section->name) == 0
				  : !is_named(schema, kw->section))
				field_must_be_equal(a, b, row, kw);
		}
	}
}

static char *
dump_again(const struct config *from, const char *text, enum config_arch arch)
{
	struct config cfg;
	struct err err = { 0 };
	char *ret;

	config_init(&cfg, arch, NULL);
	if (config_parse(&cfg, text, strlen(text), "again/vm.ini", &err) != 0) {
		fprintf(stderr, "a dump does not parse: %s\n%s", err.text, text);
		abort();
	}
	fields_must_be_equal(from, &cfg);
	ret = dump(&cfg);
	config_free(&cfg);
	return ret;
}

static void
must_be_equal(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return;
	fprintf(stderr, "a dump differs:\n%s----\n%s", a, b);
	abort();
}

static void
round_trip(const struct config *cfg, enum config_arch arch)
{
	char *first = dump(cfg);
	char *second = dump_again(cfg, first, arch);
	char *third = dump_again(cfg, second, arch);
	char *first_values = without_comments(first);
	char *second_values = without_comments(second);

	must_be_equal(first_values, second_values);
	must_be_equal(second, third);
	free(first);
	free(second);
	free(third);
	free(first_values);
	free(second_values);
}

/* A message is one line of text, whatever the input was. */
static void
check_message(const struct err *err)
{
	if (err->text[0] == '\0' || err->status == 0 ||
	    strpbrk(err->text, "\n\r\x1b") != NULL)
		abort();
}

static int
set(struct config *cfg, const uint8_t *data, size_t size, struct err *err)
{
	char *text = strndup((const char *)data, size);
	int rc;

	if (text == NULL)
		abort();
	rc = config_set(cfg, text, err);
	free(text);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t len = nul != NULL ? (size_t)(nul - data) : size;
	enum config_arch arch = len % 2 == 0 ? CONFIG_ARCH_X86_64 : CONFIG_ARCH_ARM64;
	struct err err = { 0 };
	struct config cfg;
	int rc;

	config_init(&cfg, arch, NULL);
	rc = config_parse(&cfg, (const char *)data, len, "dir/vm.ini", &err);
	if (rc == 0 && nul != NULL)
		rc = set(&cfg, nul + 1, size - len - 1, &err);
	if (rc == 0)
		round_trip(&cfg, arch);
	else
		check_message(&err);

	/* The whole input, NUL bytes and all, is a file too. */
	if (nul != NULL) {
		config_free(&cfg);
		config_init(&cfg, arch, NULL);
		err.text[0] = '\0';
		if (config_parse(&cfg, (const char *)data, size, "vm.ini", &err) == 0)
			abort();
		check_message(&err);
	}
	if (rc == 0 && config_check(&cfg, &err) != 0)
		check_message(&err);
	config_free(&cfg);
	return 0;
}
