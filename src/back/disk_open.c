/* SPDX-License-Identifier: ISC */
/* Which back a path means. */
#include <errno.h>
#include <string.h>

#include "disk_back.h"
#include "disk.h"
#include "disk_open.h"
#include "err.h"
#include "util.h"

static const char *const nbd_schemes[] = {
	"nbd://",       "nbds://",      "nbd+unix://",
	"nbds+unix://", "nbd+vsock://", "nbds+vsock://",
};

bool
disk_is_nbd(const char *path)
{
	for (unsigned i = 0; i < ARRAY_SIZE(nbd_schemes); i++)
		if (strncmp(path, nbd_schemes[i], strlen(nbd_schemes[i])) == 0)
			return true;
	return false;
}

int
disk_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	  struct err *e)
{
	struct err inner = { 0 };
	int rc = disk_is_nbd(cfg->path) ? disk_nbd_open(r, cfg, ret, &inner)
					: disk_file_open(r, cfg, ret, &inner);

	if (rc && cfg->where)
		err_set(e, -rc, "%s: %s", cfg->where, inner.text);
	else if (rc)
		err_set(e, -rc, "%s", inner.text);
	return rc;
}
