/* SPDX-License-Identifier: ISC */
/*
 * The backs that need shared libraries, and the executable that has them.
 *
 * vmm is static, so that it starts fast (doc/adr/0002-linkage.md).  vmm-full is made of
 * the same objects and those of src/full/, and is dynamic.  A configuration that asks for
 * one of its backs makes vmm exec it, before anything is opened; no other one pays for
 * this (doc/adr/0012-vmm-full.md).
 *
 * In the static vmm src/full_none.c stands in for src/full/.
 */
#ifndef VMM_FULL_H
#define VMM_FULL_H

struct config;
struct config_named;
struct err;
struct timing;

/* The first named section with a back that only vmm-full has; NULL: there is none. */
const struct config_named *full_needed_by(const struct config *cfg);

/*
 * Becomes vmm-full if cfg needs it and this is not it: then it does not return.
 * Otherwise 0; or -ENOENT and what exec said, if there is no vmm-full: it is looked for
 * beside this executable and then where `make install` puts it.
 */
int full_enter(const struct config *cfg, const struct timing *t, char **argv,
	       struct err *e);

#endif
