/* SPDX-License-Identifier: ISC */
/* See nbd_lib.h. */
#include "nbd_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "err.h"
#include "util.h"

#define LIBRARY "libnbd.so.0"

static const struct {
	const char *name;
	size_t off; /* in struct nbd_lib */
} functions[] = {
#define NBD_ROW(name) { "nbd_" #name, offsetof(struct nbd_lib, name) },
	NBD_FUNCTIONS(NBD_ROW)
#undef NBD_ROW
};

int
nbd_lib_load(struct nbd_lib *lib, struct err *e)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_set(e, ENOENT,
			       "nbd disks need " LIBRARY " (package libnbd0): %s",
			       dlerror());
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		void *f = dlsym(handle, functions[i].name);

		if (!f)
			return err_set(e, ENOENT, LIBRARY " is too old: no %s",
				       functions[i].name);
		memcpy((char *)lib + functions[i].off, &f, sizeof(f));
	}
	return 0;
}
