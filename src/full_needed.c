/* SPDX-License-Identifier: ISC */
/* Which configurations need vmm-full. See full.h. */
#include "full.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "config.h"
#include "disk_open.h"

static bool
net_needs(const struct config *cfg, unsigned index)
{
	return cfg->net[index].backend == CONFIG_NET_USER;
}

static bool
disk_needs(const struct config *cfg, unsigned index)
{
	return disk_is_nbd(cfg->disk[index].path);
}

/* A row for each kind of section that has backs in src/full/. */
static const struct full_kind {
	const char *section;
	bool (*needs)(const struct config *cfg, unsigned index);
} kind_table[] = {
	{ "disk", disk_needs },
	{ "net", net_needs },
	{ NULL, NULL },
};

const struct config_named *
full_needed_by(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->named_count; i++) {
		const struct config_named *named = &cfg->named[i];

		for (const struct full_kind *k = kind_table; k->section; k++)
			if (strcmp(k->section, named->section->name) == 0 &&
			    k->needs(cfg, named->index))
				return named;
	}
	return NULL;
}
