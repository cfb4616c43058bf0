/* SPDX-License-Identifier: ISC */
/* Which back a path means. */
#include <errno.h>
#include <string.h>

#include "disk_back.h"
#include "disk.h"
#include "disk_open.h"
#include "err.h"

int
disk_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	  struct err *e)
{
	struct err inner = { 0 };
	int rc = disk_file_open(r, cfg, ret, &inner);

	if (rc && cfg->where)
		err_set(e, -rc, "%s: %s", cfg->where, inner.text);
	else if (rc)
		err_set(e, -rc, "%s", inner.text);
	return rc;
}
