// SPDX-License-Identifier: ISC
/*
 * The fields behind the table: defaults, stores, origins, and the checks that
 * need more than one keyword.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_priv.h"
#include "err.h"
#include "exit_status.h"

const char *
config_arch_name(enum config_arch arch)
{
	return arch == CONFIG_ARCH_ARM64 ? "arm64" : "x86_64";
}

unsigned int
config_keyword_index(const struct config *cfg, const struct keyword *kw)
{
	return (unsigned int)(kw - cfg->schema->keywords);
}

const struct keyword *
config_keyword_find(const struct config_schema *schema, const char *section,
		    struct span key)
{
	for (size_t i = 0; i < schema->keyword_count; i++) {
		const struct keyword *kw = &schema->keywords[i];

		if (strcmp(kw->section, section) == 0 && span_is(key, kw->key))
			return kw;
	}
	return NULL;
}

const struct config_section *
config_section_find(const struct config_schema *schema, struct span name)
{
	for (size_t i = 0; i < schema->section_count; i++)
		if (span_is(name, schema->sections[i].name))
			return &schema->sections[i];
	return NULL;
}

void *
config_field(const struct config *cfg, unsigned int row, const struct keyword *kw)
{
	char *base = (char *)(uintptr_t)cfg;

	if (row > 0) {
		const struct config_named *named = &cfg->named[row - 1];

		base += named->section->offset + named->index * named->section->size;
	}
	return base + kw->offset;
}

enum config_transport
config_transport(const struct config *cfg, const struct config_named *named)
{
	return *(const enum config_transport
			 *)(const void *)((const char *)cfg + named->section->offset +
					  named->index * named->section->size);
}

const char *
config_field_string(const struct config *cfg, unsigned int row, const struct keyword *kw)
{
	const char *s;

	memcpy(&s, config_field(cfg, row, kw), sizeof(s));
	return s;
}

uint64_t
config_field_number(const struct config *cfg, unsigned int row, const struct keyword *kw)
{
	const void *field = config_field(cfg, row, kw);
	uint64_t u64;
	unsigned int u;
	bool b;

	switch (kw->type) {
	case KEYWORD_SIZE:
		memcpy(&u64, field, sizeof(u64));
		return u64;
	case KEYWORD_BOOL:
		memcpy(&b, field, sizeof(b));
		return b;
	default:
		memcpy(&u, field, sizeof(u));
		return u;
	}
}

static void
store_number(struct config *cfg, unsigned int row, const struct keyword *kw,
	     uint64_t value)
{
	void *field = config_field(cfg, row, kw);
	unsigned int u = (unsigned int)value;
	bool b = value != 0;

	switch (kw->type) {
	case KEYWORD_SIZE:
		memcpy(field, &value, sizeof(value));
		break;
	case KEYWORD_BOOL:
		memcpy(field, &b, sizeof(b));
		break;
	default:
		assert(u == value);
		memcpy(field, &u, sizeof(u));
		break;
	}
}

/* Strings from the table belong to the table, all others to the heap. */
static void
store_string(struct config *cfg, unsigned int row, const struct keyword *kw,
	     const char *s)
{
	unsigned int i = config_keyword_index(cfg, kw);

	if (cfg->origin[row][i] != ORIGIN_DEFAULT)
		free((void *)(uintptr_t)config_field_string(cfg, row, kw));
	memcpy(config_field(cfg, row, kw), &s, sizeof(s));
}

const char *
keyword_default(const struct keyword *kw, enum config_arch arch)
{
	return arch == CONFIG_ARCH_ARM64 && kw->def_arm64 != NULL ? kw->def_arm64
								  : kw->def;
}

void
config_field_reset(struct config *cfg, unsigned int row, const struct keyword *kw)
{
	const char *def = keyword_default(kw, cfg->arch);

	if (keyword_is_string(kw)) {
		store_string(cfg, row, kw, def);
	} else {
		uint64_t value = 0;
		struct why why;

		int rc = def == NULL ? 0 : value_parse(kw, span_of(def), &why, &value);

		assert(rc == 0); /* the table is wrong */
		store_number(cfg, row, kw, value);
	}
	cfg->origin[row][config_keyword_index(cfg, kw)] = ORIGIN_DEFAULT;
}

int
config_field_store(struct config *cfg, unsigned int row, const struct keyword *kw,
		   struct span dir, struct span text, uint64_t number, int origin)
{
	if (keyword_is_string(kw)) {
		size_t prefix = 0;
		char *s;

		if (kw->type == KEYWORD_PATH && span_is_relative_path(text))
			prefix = dir.len;
		s = malloc(prefix + text.len + 1);
		if (s == NULL)
			return -ENOMEM;
		memcpy(s, dir.s, prefix);
		memcpy(s + prefix, text.s, text.len);
		s[prefix + text.len] = '\0';
		store_string(cfg, row, kw, s);
	} else {
		store_number(cfg, row, kw, number);
	}
	cfg->origin[row][config_keyword_index(cfg, kw)] = origin;
	return 0;
}

static void
reset_section(struct config *cfg, unsigned int row, const char *section)
{
	for (size_t i = 0; i < cfg->schema->keyword_count; i++)
		if (strcmp(cfg->schema->keywords[i].section, section) == 0)
			config_field_reset(cfg, row, &cfg->schema->keywords[i]);
}

unsigned int
config_named_add(struct config *cfg, const struct config_section *section,
		 struct span name, int line)
{
	struct config_named *named = &cfg->named[cfg->named_count];

	assert(cfg->named_count < CONFIG_NAMED_MAX);
	assert(name.len <= CONFIG_NAME_MAX);
	*named = (struct config_named){ .section = section, .line = line };
	memcpy(named->name, name.s, name.len);
	for (unsigned int i = 0; i < cfg->named_count; i++)
		named->index += cfg->named[i].section == section;
	assert(named->index < section->max);
	cfg->named_count++;
	reset_section(cfg, cfg->named_count, section->name);
	return cfg->named_count;
}

void
config_init(struct config *cfg, enum config_arch arch, const struct config_schema *schema)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->schema = schema != NULL ? schema : &config_schema_vmm;
	cfg->arch = arch;
	assert(cfg->schema->keyword_count <= CONFIG_KEYWORDS_MAX);
	assert(cfg->schema->section_count <= CONFIG_SECTIONS_MAX);
	for (size_t i = 0; i < cfg->schema->section_count; i++)
		if (cfg->schema->sections[i].max == 0)
			reset_section(cfg, 0, cfg->schema->sections[i].name);
}

static bool
in_row(const struct config *cfg, unsigned int row, const struct keyword *kw)
{
	const struct config_section *section;

	if (row > 0)
		section = cfg->named[row - 1].section;
	else
		section = config_section_find(cfg->schema, span_of(kw->section));
	return strcmp(section->name, kw->section) == 0 && (row > 0) == (section->max > 0);
}

void
config_free(struct config *cfg)
{
	for (unsigned int row = 0; row <= cfg->named_count; row++) {
		for (size_t i = 0; i < cfg->schema->keyword_count; i++) {
			const struct keyword *kw = &cfg->schema->keywords[i];

			if (keyword_is_string(kw) && in_row(cfg, row, kw))
				store_string(cfg, row, kw, NULL);
		}
	}
	free(cfg->file);
	memset(cfg->origin, 0, sizeof(cfg->origin));
	cfg->file = NULL;
	cfg->named_count = 0;
}

/* "boot.kernel" or "disk.root.path" */
static void
print_key(const struct config *cfg, unsigned int row, const struct keyword *kw, char *buf,
	  size_t len)
{
	snprintf(buf, len, "%s%s%s.%s", kw->section, row > 0 ? "." : "",
		 row > 0 ? cfg->named[row - 1].name : "", kw->key);
}

static void
print_where(const struct config *cfg, unsigned int row, const struct keyword *kw,
	    char *buf, size_t len)
{
	int origin = cfg->origin[row][config_keyword_index(cfg, kw)];
	char key[CONFIG_NAME_MAX + 128];

	print_key(cfg, row, kw, key, sizeof(key));
	if (origin > 0)
		snprintf(buf, len, "%s:%d", cfg->file, origin);
	else if (origin == ORIGIN_SET)
		snprintf(buf, len, "--set %s", key);
	else
		snprintf(buf, len, "default of %s", key);
}

const char *
config_where(const struct config *cfg, const void *field, char *buf, size_t len)
{
	for (unsigned int row = 0; row <= cfg->named_count; row++) {
		for (size_t i = 0; i < cfg->schema->keyword_count; i++) {
			const struct keyword *kw = &cfg->schema->keywords[i];

			if (!in_row(cfg, row, kw) || config_field(cfg, row, kw) != field)
				continue;
			print_where(cfg, row, kw, buf, len);
			return buf;
		}
	}
	assert(false); /* not a field of the configuration */
	return buf;
}

/* A section may be absent, so may the file: say what to write where. */
static int
refuse_missing(const struct config *cfg, unsigned int row, const struct keyword *kw,
	       struct err *err)
{
	const struct config_section *section =
		config_section_find(cfg->schema, span_of(kw->section));
	int line = row > 0 ? cfg->named[row - 1].line
			   : cfg->section_line[section - cfg->schema->sections];
	char key[CONFIG_NAME_MAX + 128], arg[160];

	print_key(cfg, row, kw, key, sizeof(key));
	keyword_arg(kw, arg, sizeof(arg));
	if (cfg->file == NULL || (row > 0 && line == 0))
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "no %s; use --config FILE or --set "
				      "%s=%s",
				      key, key, arg);
	if (line == 0)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: no section [%s]; add it with "
				      "'%s = %s'",
				      cfg->file, kw->section, kw->key, arg);
	return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
			      "%s:%d: [%s%s%s%s] has no %s; add '%s = %s'", cfg->file,
			      line, kw->section, row > 0 ? " \"" : "",
			      row > 0 ? cfg->named[row - 1].name : "",
			      row > 0 ? "\"" : "", kw->key, kw->key, arg);
}

static int
check_required(const struct config *cfg, unsigned int row, struct err *err)
{
	for (size_t i = 0; i < cfg->schema->keyword_count; i++) {
		const struct keyword *kw = &cfg->schema->keywords[i];

		if (kw->required && (kw->arch & cfg->arch) != 0 && in_row(cfg, row, kw) &&
		    cfg->origin[row][i] == ORIGIN_DEFAULT)
			return refuse_missing(cfg, row, kw, err);
	}
	return 0;
}

/* GICv2 addresses CPUs by a bit in a byte (IHI 0048B, 4.3.12). */
#define GICV2_CPUS 8

int
config_check(const struct config *cfg, struct err *err)
{
	char where[512];

	for (unsigned int row = 0; row <= cfg->named_count; row++) {
		int rc = check_required(cfg, row, err);

		if (rc < 0)
			return rc;
	}
	if (cfg->arch == CONFIG_ARCH_ARM64 && cfg->irqchip.gic == CONFIG_GIC_V2 &&
	    cfg->cpu.count > GICV2_CPUS)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: %u CPUs are too many for gic = 2; "
				      "it serves %d, gic = 3 serves more",
				      config_where(cfg, &cfg->cpu.count, where,
						   sizeof(where)),
				      cfg->cpu.count, GICV2_CPUS);
	int rc = config_net_check(cfg, err);

	return rc < 0 ? rc : config_check_consoles(cfg, err);
}
