// SPDX-License-Identifier: ISC
/*
 * Text to value and back, one row of a table for each type of keyword. Knows
 * neither files nor sections.
 */
#include <errno.h>
#include <stdio.h>

#include "config_priv.h"
#include "util.h"

struct span
span_of(const char *s)
{
	return (struct span){ .s = s, .len = strlen(s) };
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span
span_trim(struct span sp)
{
	while (sp.len > 0 && is_blank(sp.s[0])) {
		sp.s++;
		sp.len--;
	}
	while (sp.len > 0 && is_blank(sp.s[sp.len - 1]))
		sp.len--;
	return sp;
}

bool
span_is(struct span sp, const char *s)
{
	return strlen(s) == sp.len && memcmp(s, sp.s, sp.len) == 0;
}

static bool
is_scheme(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

bool
span_is_relative_path(struct span sp)
{
	size_t n = 0;

	while (n < sp.len && is_scheme(sp.s[n]))
		n++;
	/* "nbd+unix://..." */
	if (n > 0 && sp.len - n >= 3 && memcmp(sp.s + n, "://", 3) == 0)
		return false;
	return sp.len > 0 && sp.s[0] != '/';
}

/* Never ends within a character: the text is UTF-8 by now. */
struct excerpt
span_excerpt(struct span sp)
{
	struct excerpt ret;
	size_t len = sp.len;

	if (len > EXCERPT_MAX - 4) {
		len = EXCERPT_MAX - 4;
		while (len > 0 && ((unsigned char)sp.s[len] & 0xc0) == 0x80)
			len--;
	}
	snprintf(ret.s, sizeof(ret.s), "%.*s%s", (int)len, sp.s,
		 len < sp.len ? "..." : "");
	return ret;
}

/* Length of the character at p (Unicode 15, table 3-7), 0 if there is none. */
static size_t
utf8_len(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char first, last; /* leading byte */
		unsigned char low, high;   /* second byte */
		size_t len;
	} forms[] = {
		{ 0x20, 0x7e, 0, 0, 1 },       { '\t', '\t', 0, 0, 1 },
		{ 0xc2, 0xc2, 0xa0, 0xbf, 2 }, /* no C1 controls */
		{ 0xc3, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t f = 0;

	while (f < ARRAY_SIZE(forms) && (p[0] < forms[f].first || p[0] > forms[f].last))
		f++;
	if (f == ARRAY_SIZE(forms) || n < forms[f].len)
		return 0;
	if (forms[f].len > 1 && (p[1] < forms[f].low || p[1] > forms[f].high))
		return 0;
	for (size_t i = 2; i < forms[f].len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return forms[f].len;
}

size_t
text_bad_offset(struct span sp)
{
	size_t off = 0;

	while (off < sp.len) {
		size_t n = utf8_len((const unsigned char *)sp.s + off, sp.len - off);

		if (n == 0)
			break;
		off += n;
	}
	return off;
}

/*
 * Optimal string alignment distance: insertions, deletions, substitutions and
 * swaps of neighbours, which are what typing errors are made of.
 */
#define GUESS_MAX 32

static unsigned int
least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static unsigned int
distance(struct span a, struct span b)
{
	unsigned int d[GUESS_MAX + 1][GUESS_MAX + 1];

	for (unsigned int i = 0; i <= a.len; i++)
		d[i][0] = i;
	for (unsigned int j = 0; j <= b.len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		for (size_t j = 1; j <= b.len; j++) {
			bool same = a.s[i - 1] == b.s[j - 1];

			d[i][j] = least(d[i - 1][j - 1] + !same,
					least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a.s[i - 1] == b.s[j - 2] &&
			    a.s[i - 2] == b.s[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a.len][b.len];
}

void
guess_init(struct guess *g, struct span sp)
{
	/* Half of a short word may be wrong, a third of a long one. */
	unsigned int len = (unsigned int)least((unsigned int)sp.len, GUESS_MAX);

	*g = (struct guess){
		.sp = sp,
		.distance = (len < 5 ? len / 2 : len / 3 + 1) + 1,
	};
}

void
guess_try(struct guess *g, const char *name)
{
	struct span sp = span_of(name);

	if (g->sp.len == 0 || g->sp.len > GUESS_MAX || sp.len > GUESS_MAX)
		return;

	unsigned int d = distance(g->sp, sp);

	if (d < g->distance) {
		g->distance = d;
		g->best = name;
	}
}

/*
 * Types.
 */
static int
parse_digits(struct span *text, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i = 0;
	int rc = 0;

	for (; i < text->len && text->s[i] >= '0' && text->s[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text->s[i] - '0'), &n))
			rc = -ERANGE;
	if (i == 0)
		return -EINVAL;
	text->s += i;
	text->len -= i;
	*ret = n;
	return rc;
}

static int
parse_uint(const struct keyword *kw, struct span text, uint64_t *ret)
{
	int rc = parse_digits(&text, ret);

	(void)kw;
	return text.len > 0 ? -EINVAL : rc;
}

static const char size_letters[] = "KMGT";

static int
parse_size(const struct keyword *kw, struct span text, uint64_t *ret)
{
	int rc = parse_digits(&text, ret);

	(void)kw;
	if (rc == -EINVAL || text.len > 1)
		return -EINVAL;
	if (text.len == 1) {
		/* Only ASCII letters have a lower case at this distance. */
		char c = text.s[0];
		const char *unit = c < 'a' ? strchr(size_letters, c)
					   : strchr(size_letters, c - 'a' + 'A');

		if (unit == NULL || *unit == '\0')
			return -EINVAL;
		if (__builtin_mul_overflow(*ret, 1ull << (10 * (unit - size_letters + 1)),
					   ret))
			return -ERANGE;
	}
	return rc;
}

static int
parse_bool(const struct keyword *kw, struct span text, uint64_t *ret)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true" };

	(void)kw;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (span_is(text, words[i])) {
			*ret = i & 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int
parse_enum(const struct keyword *kw, struct span text, uint64_t *ret)
{
	for (size_t i = 0; kw->names[i] != NULL; i++) {
		if (span_is(text, kw->names[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int
parse_string(const struct keyword *kw, struct span text, uint64_t *ret)
{
	(void)kw;
	(void)text;
	*ret = 0;
	return 0;
}

static int
parse_name(const struct keyword *kw, struct span text, uint64_t *ret)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789._-";

	(void)kw;
	*ret = 0;
	for (size_t i = 0; i < text.len; i++)
		if (strchr(ok, text.s[i]) == NULL)
			return -EINVAL;
	return 0;
}

static void
format_uint(const struct keyword *kw, uint64_t value, char *buf, size_t len)
{
	(void)kw;
	snprintf(buf, len, "%llu", (unsigned long long)value);
}

static void
format_size(const struct keyword *kw, uint64_t value, char *buf, size_t len)
{
	size_t unit = 0;

	(void)kw;
	while (value != 0 && value % 1024 == 0 && size_letters[unit] != '\0') {
		value /= 1024;
		unit++;
	}
	snprintf(buf, len, "%llu%.*s", (unsigned long long)value, unit > 0,
		 unit > 0 ? &size_letters[unit - 1] : "");
}

static void
format_bool(const struct keyword *kw, uint64_t value, char *buf, size_t len)
{
	(void)kw;
	snprintf(buf, len, "%s", value != 0 ? "yes" : "no");
}

static void
format_enum(const struct keyword *kw, uint64_t value, char *buf, size_t len)
{
	snprintf(buf, len, "%s", kw->names[value]);
}

static const struct {
	const char *arg;  /* in --help */
	const char *what; /* a bad ... */
	const char *advice;
	size_t field_size;
	int (*parse)(const struct keyword *, struct span, uint64_t *);
	void (*format)(const struct keyword *, uint64_t, char *, size_t);
} types[] = {
	[KEYWORD_STRING] = {
		"STRING", "string", "", sizeof(char *), parse_string, NULL,
	},
	[KEYWORD_NAME] = {
		"NAME", "name", "use letters, digits, '.', '_' and '-'",
		sizeof(char *), parse_name, NULL,
	},
	[KEYWORD_PATH] = {
		"PATH", "path", "", sizeof(char *), parse_string, NULL,
	},
	[KEYWORD_SIZE] = {
		"SIZE", "size",
		"write bytes, or a whole number with K, M, G or T: 256M",
		sizeof(uint64_t), parse_size, format_size,
	},
	[KEYWORD_UINT] = {
		"NUMBER", "number", "write a whole number",
		sizeof(unsigned int), parse_uint, format_uint,
	},
	[KEYWORD_BOOL] = {
		"yes|no", "boolean", "write yes or no, on or off, true or false",
		sizeof(bool), parse_bool, format_bool,
	},
	[KEYWORD_ENUM] = {
		NULL, "value", NULL,
		sizeof(unsigned int), parse_enum, format_enum,
	},
};

bool
keyword_is_string(const struct keyword *kw)
{
	return types[kw->type].format == NULL;
}

size_t
keyword_field_size(enum keyword_type type)
{
	return types[type].field_size;
}

static const char *
names_join(const struct keyword *kw, const char *between, char *buf, size_t len)
{
	size_t off = 0;

	buf[0] = '\0';
	for (size_t i = 0; kw->names[i] != NULL && off < len; i++)
		off += (size_t)snprintf(buf + off, len - off, "%s%s",
					i > 0 ? between : "", kw->names[i]);
	return buf;
}

const char *
keyword_arg(const struct keyword *kw, char *buf, size_t len)
{
	if (kw->type == KEYWORD_ENUM)
		return names_join(kw, "|", buf, len);
	snprintf(buf, len, "%s", types[kw->type].arg);
	return buf;
}

const char *
value_format(const struct keyword *kw, uint64_t value, char *buf, size_t len)
{
	types[kw->type].format(kw, value, buf, len);
	return buf;
}

const char *
keyword_range(const struct keyword *kw, char *buf, size_t len)
{
	char min[32], max[32];

	buf[0] = '\0';
	if ((kw->type == KEYWORD_UINT || kw->type == KEYWORD_SIZE) && kw->max > 0)
		snprintf(buf, len, "%s to %s",
			 value_format(kw, kw->min, min, sizeof(min)),
			 value_format(kw, kw->max, max, sizeof(max)));
	return buf;
}

static int
refuse_text(const struct keyword *kw, struct span text, struct why *why)
{
	char names[160];

	if (kw->type == KEYWORD_ENUM)
		snprintf(why->s, sizeof(why->s), "bad value '%s'; valid are %s",
			 span_excerpt(text).s,
			 names_join(kw, ", ", names, sizeof(names)));
	else
		snprintf(why->s, sizeof(why->s), "bad %s '%s'; %s", types[kw->type].what,
			 span_excerpt(text).s, types[kw->type].advice);
	return -EINVAL;
}

static int
check_range(const struct keyword *kw, struct span text, int rc, uint64_t value,
	    struct why *why)
{
	char range[80], step[32];

	keyword_range(kw, range, sizeof(range));
	if (rc == -ERANGE || (range[0] != '\0' && (value < kw->min || value > kw->max))) {
		snprintf(why->s, sizeof(why->s),
			 "%s is out of range; valid is "
			 "%s",
			 span_excerpt(text).s,
			 range[0] != '\0' ? range : "what fits in 64 bits");
		return -EINVAL;
	}
	if (kw->step > 1 && value % kw->step != 0) {
		snprintf(why->s, sizeof(why->s), "%s is not a multiple of %s",
			 span_excerpt(text).s,
			 value_format(kw, kw->step, step, sizeof(step)));
		return -EINVAL;
	}
	return 0;
}

int
value_parse(const struct keyword *kw, struct span text, struct why *why, uint64_t *ret)
{
	uint64_t value = 0;
	int rc = types[kw->type].parse(kw, text, &value);

	if (rc == -EINVAL)
		return refuse_text(kw, text, why);
	if (!keyword_is_string(kw)) {
		rc = check_range(kw, text, rc, value, why);
	} else if (kw->max > 0 && text.len > kw->max) {
		snprintf(why->s, sizeof(why->s),
			 "%zu bytes are too long; the "
			 "most is %llu",
			 text.len, (unsigned long long)kw->max);
		rc = -EINVAL;
	}
	if (rc == 0)
		*ret = value;
	return rc;
}
