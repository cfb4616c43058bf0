// SPDX-License-Identifier: ISC
/*
 * The text of vm.ini(5) and of --set into fields. The grammar, a line at a
 * time:
 *
 *	blank | # comment | ; comment | [section] | [kind "name"] | key = value
 *
 * A value is everything behind the first '=', without the blanks around it.
 * Nothing in it is special: no quotes, no escapes, no comment behind it.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_priv.h"
#include "err.h"
#include "exit_status.h"
#include "util.h"

struct parser {
	struct config *cfg;
	struct err *err;
	struct span dir;                      /* "examples/" of "examples/vm.ini" */
	int line;                             /* 0: a --set */
	struct span set;                      /* the part of --set before '=' */
	const struct config_section *section; /* NULL before the first */
	unsigned int row;
};

static int refuse(struct parser *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int
refuse(struct parser *p, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p->line == 0)
		return err_set_status(p->err, EXIT_STATUS_CONFIG, EINVAL, "--set %s: %s",
				      span_excerpt(p->set).s, text);
	return err_set_status(p->err, EXIT_STATUS_CONFIG, EINVAL, "%s:%d: %s",
			      p->cfg->file, p->line, text);
}

static int
refuse_nomem(struct err *err)
{
	return err_set_status(err, EXIT_STATUS_HOST, ENOMEM,
			      "configuration: out of memory");
}

/* Everything below may quote the text in messages once this has passed. */
static int
check_text(struct parser *p, struct span sp)
{
	size_t off = text_bad_offset(sp);

	if (off == sp.len)
		return 0;

	unsigned int c = (unsigned char)sp.s[off];

	return refuse(p,
		      "%s 0x%02x in column %zu; only plain UTF-8 text is "
		      "valid",
		      c < 0x20 || c == 0x7f ? "control character" : "byte", c, off + 1);
}

/* "; did you mean 'boot'?", or all there are if none is near. */
static const char *
advise_section(const struct parser *p, struct span name, char *buf, size_t len)
{
	const struct config_schema *schema = p->cfg->schema;
	struct guess guess;
	size_t off = 0;

	guess_init(&guess, name);
	for (size_t i = 0; i < schema->section_count; i++)
		guess_try(&guess, schema->sections[i].name);
	if (guess.best != NULL) {
		snprintf(buf, len, "did you mean '%s'?", guess.best);
		return buf;
	}
	for (size_t i = 0; i < schema->section_count && off < len; i++)
		off += (size_t)snprintf(buf + off, len - off, "%s%s",
					i > 0 ? ", " : "valid are ",
					schema->sections[i].name);
	return buf;
}

static const char *
advise_key(const struct parser *p, struct span key, char *buf, size_t len)
{
	const struct config_schema *schema = p->cfg->schema;
	const char *elsewhere = NULL;
	struct guess guess;
	size_t off = 0;

	guess_init(&guess, key);
	buf[0] = '\0';
	for (size_t i = 0; i < schema->keyword_count; i++) {
		const struct keyword *kw = &schema->keywords[i];

		if ((kw->arch & p->cfg->arch) == 0)
			continue;
		if (strcmp(kw->section, p->section->name) != 0) {
			if (span_is(key, kw->key))
				elsewhere = kw->section;
			continue;
		}
		guess_try(&guess, kw->key);
		if (off < len)
			off += (size_t)snprintf(buf + off, len - off, "%s%s",
						off > 0 ? ", " : "valid are ", kw->key);
	}
	if (elsewhere != NULL)
		snprintf(buf, len, "it belongs in [%s]", elsewhere);
	else if (guess.best != NULL)
		snprintf(buf, len, "did you mean '%s'?", guess.best);
	return buf;
}

static bool
is_word(struct span sp)
{
	for (size_t i = 0; i < sp.len; i++) {
		char c = sp.s[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
		    (c < '0' || c > '9') && c != '_' && c != '-')
			return false;
	}
	return sp.len > 0;
}

static int
find_section(struct parser *p, struct span name, const struct config_section **ret)
{
	const struct config_section *section = config_section_find(p->cfg->schema, name);
	char advice[256];

	if (section == NULL)
		return refuse(p, "unknown section '%s'; %s", span_excerpt(name).s,
			      advise_section(p, name, advice, sizeof(advice)));
	*ret = section;
	return 0;
}

/* Row of a named section, 0 if there is none. */
static unsigned int
find_row(const struct config *cfg, const struct config_section *section, struct span name)
{
	for (unsigned int i = 0; i < cfg->named_count; i++)
		if (cfg->named[i].section == section && span_is(name, cfg->named[i].name))
			return i + 1;
	return 0;
}

static int
add_row(struct parser *p, const struct config_section *section, struct span name,
	unsigned int *ret)
{
	unsigned int same = 0;

	if (!is_word(name) || name.len > CONFIG_NAME_MAX)
		return refuse(p,
			      "bad name '%s' of a [%s]; use up to %d "
			      "letters, digits, '_' and '-'",
			      span_excerpt(name).s, section->name, CONFIG_NAME_MAX);
	for (unsigned int i = 0; i < p->cfg->named_count; i++)
		same += p->cfg->named[i].section == section;
	if (same == section->max)
		return refuse(p, "too many [%s] sections; the most is %u", section->name,
			      section->max);
	if (p->cfg->named_count == CONFIG_NAMED_MAX)
		return refuse(p, "too many named sections; the most is %d",
			      CONFIG_NAMED_MAX);
	*ret = config_named_add(p->cfg, section, name, p->line);
	return 0;
}

static int
open_named(struct parser *p, const struct config_section *section, struct span name)
{
	unsigned int row = find_row(p->cfg, section, name);

	if (row > 0)
		return refuse(p,
			      "section [%s \"%s\"] again; the first is in "
			      "line %d",
			      section->name, span_excerpt(name).s,
			      p->cfg->named[row - 1].line);
	return add_row(p, section, name, &p->row);
}

static int
open_plain(struct parser *p, const struct config_section *section)
{
	int *line = &p->cfg->section_line[section - p->cfg->schema->sections];

	if (*line > 0)
		return refuse(p, "section [%s] again; the first is in line %d",
			      section->name, *line);
	*line = p->line;
	p->row = 0;
	return 0;
}

/* Cut the first word off sp; the rest is trimmed. */
static struct span
take_word(struct span *sp)
{
	struct span word = *sp;
	size_t n = 0;

	while (n < sp->len && is_word((struct span){ sp->s + n, 1 }))
		n++;
	word.len = n;
	sp->s += n;
	sp->len -= n;
	*sp = span_trim(*sp);
	return word;
}

/* Split what is between the brackets: kind "name". */
static int
split_header(struct parser *p, struct span in, struct span *kind, struct span *name,
	     bool *named)
{
	struct span rest = span_trim(in);

	*kind = take_word(&rest);
	*named = rest.len > 0;
	*name = (struct span){ "", 0 };
	if (kind->len == 0)
		return refuse(p,
			      "bad section header [%s]; write [section] or "
			      "[kind \"name\"]",
			      span_excerpt(in).s);
	if (!*named)
		return 0;
	if (rest.len < 2 || rest.s[0] != '"' || rest.s[rest.len - 1] != '"')
		return refuse(p,
			      "bad section header [%s]; write [section] or "
			      "[kind \"name\"]",
			      span_excerpt(in).s);
	*name = (struct span){ rest.s + 1, rest.len - 2 };
	return 0;
}

static int
parse_header(struct parser *p, struct span line)
{
	const char *end = memchr(line.s, ']', line.len);
	struct span kind, name;
	bool named;

	if (end == NULL)
		return refuse(p, "section header '%s' has no ']'", span_excerpt(line).s);
	if (end + 1 < line.s + line.len)
		return refuse(p, "text behind the ']' of a section header; "
				 "comments stand on lines of their own");

	struct span in = { line.s + 1, line.len - 2 };
	int rc = split_header(p, in, &kind, &name, &named);

	if (rc == 0)
		rc = find_section(p, kind, &p->section);
	if (rc < 0)
		return rc;
	if (p->section->max == 0 && named)
		return refuse(p, "section [%s] takes no name; write [%s]",
			      p->section->name, p->section->name);
	if (p->section->max > 0 && !named)
		return refuse(p,
			      "section [%s] needs a name; write "
			      "[%s \"name\"]",
			      p->section->name, p->section->name);
	return named ? open_named(p, p->section, name) : open_plain(p, p->section);
}

static int
find_keyword(struct parser *p, struct span key, const struct keyword **ret)
{
	const struct keyword *kw =
		config_keyword_find(p->cfg->schema, p->section->name, key);
	char advice[256];

	if (kw == NULL)
		return refuse(p, "unknown key '%s' in [%s]; %s", span_excerpt(key).s,
			      p->section->name,
			      advise_key(p, key, advice, sizeof(advice)));
	if ((kw->arch & p->cfg->arch) == 0)
		return refuse(p,
			      "[%s] %s is for %s and this is vmm for %s; "
			      "leave it out",
			      kw->section, kw->key, config_arch_name(kw->arch),
			      config_arch_name(p->cfg->arch));
	*ret = kw;
	return 0;
}

static int
store(struct parser *p, const struct keyword *kw, struct span value, int origin)
{
	uint64_t number = 0;
	struct why why;

	if (value_parse(kw, value, &why, &number) < 0) {
		if (p->line == 0)
			return refuse(p, "%s", why.s);
		return refuse(p, "[%s] %s: %s", kw->section, kw->key, why.s);
	}
	if (config_field_store(p->cfg, p->row, kw, p->dir, value, number, origin) < 0)
		return refuse_nomem(p->err);
	return 0;
}

static int
parse_assignment(struct parser *p, struct span line)
{
	const char *eq = memchr(line.s, '=', line.len);
	const struct keyword *kw = NULL;

	if (eq == NULL)
		return refuse(p, "'%s' is neither a [section] nor key = value",
			      span_excerpt(line).s);

	struct span key = span_trim((struct span){ line.s, (size_t)(eq - line.s) });
	struct span value =
		span_trim((struct span){ eq + 1, (size_t)(line.s + line.len - eq - 1) });

	if (p->section == NULL)
		return refuse(p,
			      "'%s' before the first section; a key stands "
			      "below its [section]",
			      span_excerpt(key).s);
	if (key.len == 0)
		return refuse(p, "no key before '='");

	int rc = find_keyword(p, key, &kw);

	if (rc < 0)
		return rc;
	assert(kw);

	int first = p->cfg->origin[p->row][config_keyword_index(p->cfg, kw)];

	if (first > 0)
		return refuse(p, "[%s] %s again; the first is in line %d", kw->section,
			      kw->key, first);
	if (value.len == 0)
		return refuse(p,
			      "[%s] %s has no value; leave the line out for "
			      "the default",
			      kw->section, kw->key);
	return store(p, kw, value, p->line);
}

static int
parse_line(struct parser *p, struct span line)
{
	if (line.len > CONFIG_LINE_MAX)
		return refuse(p,
			      "%zu bytes are too long for a line; the most "
			      "is %d",
			      line.len, CONFIG_LINE_MAX);

	int rc = check_text(p, line);

	if (rc < 0)
		return rc;
	line = span_trim(line);
	if (line.len == 0 || line.s[0] == '#' || line.s[0] == ';')
		return 0;
	return line.s[0] == '[' ? parse_header(p, line) : parse_assignment(p, line);
}

/* The next line without its "\n" or "\r\n". */
static struct span
take_line(struct span *rest)
{
	const char *nl = memchr(rest->s, '\n', rest->len);
	struct span line = *rest;

	if (nl != NULL)
		line.len = (size_t)(nl - rest->s);
	rest->s += line.len + (nl != NULL);
	rest->len -= line.len + (nl != NULL);
	if (nl != NULL && line.len > 0 && line.s[line.len - 1] == '\r')
		line.len--;
	return line;
}

int
config_parse(struct config *cfg, const char *text, size_t len, const char *file,
	     struct err *err)
{
	const char *slash = strrchr(file, '/');
	struct span rest = { text, len };
	struct parser p = {
		.cfg = cfg,
		.err = err,
		.dir = { file, slash != NULL ? (size_t)(slash + 1 - file) : 0 },
	};

	cfg->file = strdup(file);
	if (cfg->file == NULL)
		return refuse_nomem(err);
	if (len > CONFIG_FILE_MAX)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: too large for a configuration; the "
				      "most is %d bytes",
				      file, CONFIG_FILE_MAX);
	/* A byte order mark is how some editors say "UTF-8". */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		rest.s += 3;
		rest.len -= 3;
	}
	while (rest.len > 0) {
		p.line++;

		int rc = parse_line(&p, take_line(&rest));

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Split "section.key" or "kind.name.key"; the latter creates its section. */
static int
find_set_target(struct parser *p, struct span *key)
{
	struct span parts[3];
	struct span rest = p->set;
	size_t n = 0;

	for (const char *dot = rest.s; n < 3 && dot != NULL; n++) {
		dot = memchr(rest.s, '.', rest.len);
		parts[n] = rest;
		if (dot == NULL || n == 2)
			continue;
		parts[n].len = (size_t)(dot - rest.s);
		rest.len -= parts[n].len + 1;
		rest.s = dot + 1;
	}
	if (n < 2)
		return refuse(p, "no section; write SECTION.KEY=VALUE or "
				 "KIND.NAME.KEY=VALUE");

	int rc = find_section(p, parts[0], &p->section);

	if (rc < 0)
		return rc;
	if (p->section->max == 0 && n == 3)
		return refuse(p, "section [%s] takes no name; write %s.KEY=VALUE",
			      p->section->name, p->section->name);
	if (p->section->max > 0 && n == 2)
		return refuse(p,
			      "section [%s] needs a name; write "
			      "%s.NAME.KEY=VALUE",
			      p->section->name, p->section->name);
	*key = parts[n - 1];
	if (n == 2)
		return 0;
	p->row = find_row(p->cfg, p->section, parts[1]);
	return p->row > 0 ? 0 : add_row(p, p->section, parts[1], &p->row);
}

int
config_set(struct config *cfg, const char *assignment, struct err *err)
{
	struct span all = span_of(assignment);
	const char *eq = strchr(assignment, '=');
	struct parser p = {
		.cfg = cfg,
		.err = err,
		.dir = { "", 0 },
		.set = { "argument", strlen("argument") },
	};
	const struct keyword *kw = NULL;
	struct span key = { NULL, 0 };
	int rc = check_text(&p, all);

	if (rc < 0)
		return rc;
	p.set = all;
	if (eq == NULL)
		return refuse(&p, "no '='; write SECTION.KEY=VALUE");
	p.set.len = (size_t)(eq - assignment);
	p.set = span_trim(p.set);
	rc = find_set_target(&p, &key);
	if (rc == 0)
		rc = find_keyword(&p, key, &kw);
	if (rc < 0)
		return rc;
	assert(kw);

	struct span value = span_trim(span_of(eq + 1));

	if (value.len == 0) {
		config_field_reset(cfg, p.row, kw);
		return 0;
	}
	return store(&p, kw, value, ORIGIN_SET);
}
