/* SPDX-License-Identifier: ISC */
/* Shared by the config*.c files only; the contract is in config.h. */
#ifndef VMM_CONFIG_PRIV_H
#define VMM_CONFIG_PRIV_H

#include "config.h"

/* Values of config.origin[][]; a positive one is a line of the file. */
enum {
	ORIGIN_SET = -1,
	ORIGIN_DEFAULT = 0,
};

/* A slice of the text that is being read. */
struct span {
	const char *s;
	size_t len;
};

/* Room for an excerpt of a span with "..." behind it. */
#define EXCERPT_MAX 64

struct excerpt {
	char s[EXCERPT_MAX];
};

/* Why a value is refused: "bad size '12Q'; ..." */
struct why {
	char s[320];
};

/*
 * config_value.c: text to value and back, knows neither files nor sections.
 */
struct span span_of(const char *s);
struct span span_trim(struct span sp);
bool span_is(struct span sp, const char *s);
struct excerpt span_excerpt(struct span sp);
/* Does a KEYWORD_PATH begin at some directory?  Not if it is absolute or a URI. */
bool span_is_relative_path(struct span sp);

/*
 * Offset of the first byte that may not be in a configuration: a control
 * character other than tab, or what is not UTF-8. len if there is none.
 */
size_t text_bad_offset(struct span sp);

/* The nearest of names to sp, or NULL if none is near. */
struct guess {
	struct span sp;
	const char *best;
	unsigned int distance;
};
void guess_init(struct guess *g, struct span sp);
void guess_try(struct guess *g, const char *name);

/* What it is where nobody says anything. */
const char *keyword_default(const struct keyword *kw, enum config_arch arch);
bool keyword_is_string(const struct keyword *kw);
size_t keyword_field_size(enum keyword_type type);
/* "SIZE", or the alternatives of an enum: "reset|exit". Returns buf. */
const char *keyword_arg(const struct keyword *kw, char *buf, size_t len);
/* "16M to 4T", or "" where every value of the type will do. Returns buf. */
const char *keyword_range(const struct keyword *kw, char *buf, size_t len);

/* 0 and *ret, or -EINVAL and *why. Strings only have their text checked. */
int value_parse(const struct keyword *kw, struct span text, struct why *why,
		uint64_t *ret);
/* Numbers, sizes, booleans and enums as one would write them. Returns buf. */
const char *value_format(const struct keyword *kw, uint64_t value, char *buf, size_t len);

/*
 * config.c: the fields.
 */
unsigned int config_keyword_index(const struct config *cfg, const struct keyword *kw);
const struct keyword *config_keyword_find(const struct config_schema *schema,
					  const char *section, struct span key);
const struct config_section *config_section_find(const struct config_schema *schema,
						 struct span name);

/* Row 0 has the plain sections, row 1 + n is named[n]. */
void *config_field(const struct config *cfg, unsigned int row, const struct keyword *kw);
uint64_t config_field_number(const struct config *cfg, unsigned int row,
			     const struct keyword *kw);
const char *config_field_string(const struct config *cfg, unsigned int row,
				const struct keyword *kw);

/* Appends a named section with its defaults; the caller checked the bounds. */
unsigned int config_named_add(struct config *cfg, const struct config_section *section,
			      struct span name, int line);

/* Set a field to its default or to a parsed value; -ENOMEM. */
void config_field_reset(struct config *cfg, unsigned int row, const struct keyword *kw);
int config_field_store(struct config *cfg, unsigned int row, const struct keyword *kw,
		       struct span dir, struct span text, uint64_t number, int origin);

/* config_net.c: the part of config_check() for [net "name"]. */
int config_net_check(const struct config *cfg, struct err *err);

/* config_console.c: the same for [console "name"] and the serial port. */
int config_check_consoles(const struct config *cfg, struct err *err);

const char *config_arch_name(enum config_arch arch);

#endif
