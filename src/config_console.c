// SPDX-License-Identifier: ISC
/*
 * What the sections of consoles and the serial port have to do with each other: who has
 * standard input and output, and who needs a path.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_priv.h"
#include "err.h"
#include "exit_status.h"

/* Who has standard input and output; CONFIG_CONSOLE_MAX: no console. */
static unsigned int
stdio_console(const struct config *cfg, unsigned int from)
{
	for (unsigned int i = 0; i < cfg->named_count; i++) {
		const struct config_named *named = &cfg->named[i];

		if (strcmp(named->section->name, "console") == 0 &&
		    named->index >= from &&
		    cfg->console[named->index].backend == CONFIG_CONSOLE_STDIO)
			return named->index;
	}
	return CONFIG_CONSOLE_MAX;
}

enum config_serial
config_serial(const struct config *cfg)
{
	if (cfg->serial.backend != CONFIG_SERIAL_AUTO)
		return cfg->serial.backend;
	return stdio_console(cfg, 0) < CONFIG_CONSOLE_MAX ? CONFIG_SERIAL_NONE
							  : CONFIG_SERIAL_STDIO;
}

const struct config_named *
config_console_named(const struct config *cfg, unsigned int index)
{
	const struct config_named *named = cfg->named;

	while (strcmp(named->section->name, "console") != 0 || named->index != index) {
		named++;
		assert(named < cfg->named + cfg->named_count);
	}
	return named;
}

/* The line that says which backend it is; for one that says nothing, its section. */
static const char *
where_backend(const struct config *cfg, unsigned int index, char *buf, size_t len)
{
	const struct config_named *named = config_console_named(cfg, index);
	const struct keyword *kw =
		config_keyword_find(cfg->schema, "console", span_of("backend"));
	size_t row = 1 + (size_t)(named - cfg->named);

	if (named->line == 0 || cfg->origin[row][config_keyword_index(cfg, kw)] != 0)
		return config_where(cfg, &cfg->console[index].backend, buf, len);
	snprintf(buf, len, "%s:%d", cfg->file, named->line);
	return buf;
}

/* Standard input and output can be given away once. */
static int
refuse_stdio(const struct config *cfg, unsigned int index, const char *who,
	     const char *where_who, struct err *err)
{
	char where[512];

	return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
			      "%s: [console \"%s\"] has backend = stdio, and so has %s "
			      "(%s); give one of them another",
			      where_backend(cfg, index, where, sizeof(where)),
			      config_console_named(cfg, index)->name, who, where_who);
}

static int
check_stdio(const struct config *cfg, struct err *err)
{
	unsigned int first = stdio_console(cfg, 0), second;
	char who[CONFIG_NAME_MAX + 16], where[512];

	if (first == CONFIG_CONSOLE_MAX)
		return 0;
	if (cfg->serial.backend == CONFIG_SERIAL_STDIO)
		return refuse_stdio(cfg, first, "[serial]",
				    config_where(cfg, &cfg->serial.backend, where,
						 sizeof(where)),
				    err);
	second = stdio_console(cfg, first + 1);
	if (second == CONFIG_CONSOLE_MAX)
		return 0;
	snprintf(who, sizeof(who), "[console \"%s\"]",
		 config_console_named(cfg, first)->name);
	return refuse_stdio(cfg, second, who,
			    where_backend(cfg, first, where, sizeof(where)), err);
}

static int
check_console(const struct config *cfg, const struct config_named *named, struct err *err)
{
	const struct config_console *con = &cfg->console[named->index];
	bool wants = con->backend == CONFIG_CONSOLE_SOCKET ||
		     con->backend == CONFIG_CONSOLE_FILE;
	bool may = wants || con->backend == CONFIG_CONSOLE_PTY;
	char where[512];

	if (wants && con->path == NULL)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [console \"%s\"] has a backend that needs a "
				      "path; add 'path = PATH'",
				      config_where(cfg, &con->backend, where,
						   sizeof(where)),
				      named->name);
	if (!may && con->path != NULL)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [console \"%s\"] has a backend that takes no "
				      "path; backend = socket, file or pty does",
				      config_where(cfg, &con->path, where, sizeof(where)),
				      named->name);
	return 0;
}

int
config_check_consoles(const struct config *cfg, struct err *err)
{
	for (unsigned int i = 0; i < cfg->named_count; i++) {
		int rc = 0;

		if (strcmp(cfg->named[i].section->name, "console") == 0)
			rc = check_console(cfg, &cfg->named[i], err);
		if (rc < 0)
			return rc;
	}
	return check_stdio(cfg, err);
}
