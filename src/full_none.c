/* SPDX-License-Identifier: ISC */
/*
 * What the static vmm has in place of src/full/: the way to vmm-full, and functions that
 * are never reached. See full.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "disk_back.h"
#include "disk_open.h"
#include "err.h"
#include "full.h"
#include "net_user.h"
#include "timing.h"

#define INSTALLED VMM_LIBEXEC "/vmm-full"

/* The file beside this executable; "" if it is not known. */
static void
beside(char *buf, size_t len)
{
	static const char name[] = "vmm-full";
	ssize_t n = readlink("/proc/self/exe", buf, len);
	char *slash;

	buf[n > 0 && (size_t)n < len ? n : 0] = '\0';
	slash = strrchr(buf, '/');
	if (slash && (size_t)(slash + 1 - buf) + sizeof(name) <= len)
		memcpy(slash + 1, name, sizeof(name));
	else
		buf[0] = '\0';
}

int
full_enter(const struct config *cfg, const struct timing *t, char **argv, struct err *e)
{
	const struct config_named *named = full_needed_by(cfg);
	char path[PATH_MAX];
	const char *last = path;

	if (!named)
		return 0;
	timing_export(t);
	beside(path, sizeof(path));
	execv(path, argv);
	if (errno == ENOENT) {
		last = INSTALLED;
		execv(last, argv);
	}
	if (errno == ENOENT)
		return err_set(e, ENOENT,
			       "[%s \"%s\"] needs vmm-full, which is neither %s nor %s",
			       named->section->name, named->name, path, INSTALLED);
	return err_set(e, errno, "[%s \"%s\"] needs vmm-full: %s: %s",
		       named->section->name, named->name, last, strerror(errno));
}

/* ---- never reached ---- */

int
net_user_new(struct reactor *r, const struct net_user_config *cfg, struct net_back **ret,
	     struct err *e)
{
	(void)r;
	(void)cfg;
	(void)ret;
	return err_set(e, ENOSYS, "user networking is in vmm-full");
}

int
disk_nbd_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	      struct err *e)
{
	(void)r;
	(void)ret;
	return err_set(e, ENOSYS, "%s: NBD is in vmm-full", cfg->path);
}
