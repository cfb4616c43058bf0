// SPDX-License-Identifier: ISC
/*
 * The configuration as text: --dump-config and the keyword part of --help.
 */
#include <stdio.h>
#include <string.h>

#include "config_priv.h"

struct dump {
	const struct config *cfg;
	const char *cwd;
	FILE *out;
};

static void
dump_origin(const struct dump *d, unsigned int row, const struct keyword *kw)
{
	int origin = d->cfg->origin[row][config_keyword_index(d->cfg, kw)];

	if (origin > 0)
		fprintf(d->out, "# %s:%d\n", d->cfg->file, origin);
	else
		fprintf(d->out, "# %s\n", origin == ORIGIN_SET ? "--set" : "default");
}

/*
 * What is not set has no spelling, so it becomes a comment. So does the empty
 * string, which only a default can be.
 */
static void
dump_string(const struct dump *d, const struct keyword *kw, const char *s)
{
	bool relative = kw->type == KEYWORD_PATH && d->cwd != NULL;

	if (s == NULL || s[0] == '\0')
		fprintf(d->out, "#%s =\n", kw->key);
	else if (relative && span_is_relative_path(span_of(s)))
		fprintf(d->out, "%s = %s/%s\n", kw->key, d->cwd, s);
	else
		fprintf(d->out, "%s = %s\n", kw->key, s);
}

static void
dump_number(const struct dump *d, unsigned int row, const struct keyword *kw)
{
	char buf[160];

	fprintf(d->out, "%s = %s\n", kw->key,
		value_format(kw, config_field_number(d->cfg, row, kw), buf, sizeof(buf)));
}

static void
dump_section(const struct dump *d, unsigned int row, const struct config_section *section)
{
	const struct config_schema *schema = d->cfg->schema;

	if (row > 0)
		fprintf(d->out, "[%s \"%s\"]\n", section->name,
			d->cfg->named[row - 1].name);
	else
		fprintf(d->out, "[%s]\n", section->name);
	for (size_t i = 0; i < schema->keyword_count; i++) {
		const struct keyword *kw = &schema->keywords[i];

		if (strcmp(kw->section, section->name) != 0 ||
		    (kw->arch & d->cfg->arch) == 0)
			continue;
		dump_origin(d, row, kw);
		if (keyword_is_string(kw))
			dump_string(d, kw, config_field_string(d->cfg, row, kw));
		else
			dump_number(d, row, kw);
	}
}

void
config_dump(const struct config *cfg, const char *cwd, FILE *out)
{
	struct dump d = { .cfg = cfg, .cwd = cwd, .out = out };
	const struct config_schema *schema = cfg->schema;
	const char *between = "";

	/* A directory whose name cannot be written in the file is left out. */
	if (cwd != NULL && text_bad_offset(span_of(cwd)) != strlen(cwd))
		d.cwd = NULL;
	for (size_t i = 0; i < schema->section_count; i++) {
		if (schema->sections[i].max > 0)
			continue;
		fputs(between, out);
		between = "\n";
		dump_section(&d, 0, &schema->sections[i]);
	}
	for (unsigned int i = 0; i < cfg->named_count; i++) {
		fputs(between, out);
		between = "\n";
		dump_section(&d, i + 1, cfg->named[i].section);
	}
}

static void
help_keyword(const struct keyword *kw, bool named, enum config_arch arch, FILE *out)
{
	const char *def = keyword_default(kw, arch);
	char arg[160], range[80], left[320];
	int width;

	snprintf(left, sizeof(left), "  %s%s.%s=%s", kw->section, named ? ".NAME" : "",
		 kw->key, keyword_arg(kw, arg, sizeof(arg)));
	width = fprintf(out, "%s", left);
	/* Too wide for its column: the sentence gets a line of its own. */
	fprintf(out, "%s%*s%s", width > 30 ? "\n" : "", width > 30 ? 32 : 32 - width, "",
		kw->help);
	if (keyword_range(kw, range, sizeof(range))[0] != '\0')
		fprintf(out, " %s.", range);
	if (kw->required)
		fputs(" Required.", out);
	else if (def != NULL && def[0] != '\0')
		fprintf(out, " Default: %s.", def);
	fputc('\n', out);
}

void
config_help(enum config_arch arch, const struct config_schema *schema, FILE *out)
{
	if (schema == NULL)
		schema = &config_schema_vmm;
	for (size_t s = 0; s < schema->section_count; s++) {
		const struct config_section *section = &schema->sections[s];

		for (size_t i = 0; i < schema->keyword_count; i++) {
			const struct keyword *kw = &schema->keywords[i];

			if (strcmp(kw->section, section->name) == 0 &&
			    (kw->arch & arch) != 0)
				help_keyword(kw, section->max > 0, arch, out);
		}
	}
}
