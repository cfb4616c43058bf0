/* SPDX-License-Identifier: ISC */
/* Connects to an NBD server and asks what it has. See disk_nbd.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk_back.h"
#include "disk_nbd.h"
#include "disk_open.h"
#include "err.h"
#include "util.h"

enum {
	CONNECT_STEP_MS = 100,
	CONNECT_STEPS = 100,
	SECTOR = 512,
	PAGE = 4096,
};

static int
refused(const struct nbd_lib *lib, const char *path, struct err *e)
{
	const char *why = lib->get_error();

	return err_set(e, ECONNREFUSED, "%s: %s", path, why ? why : "no connection");
}

/* The handshake goes on until the handle is ready. */
static int
negotiate(const struct nbd_lib *lib, struct nbd_handle *h, const char *path,
	  struct err *e)
{
	for (unsigned i = 0; i < CONNECT_STEPS;) {
		if (lib->aio_is_ready(h) > 0)
			return 0;
		if (lib->aio_is_dead(h) > 0 || lib->aio_is_closed(h) > 0)
			return refused(lib, path, e);
		int rc = lib->poll(h, CONNECT_STEP_MS);

		if (rc < 0)
			return refused(lib, path, e);
		i += rc == 0;
	}
	return err_set(e, ETIMEDOUT, "%s: the server says nothing", path);
}

static int
fill_info(struct disk_nbd *d, const struct disk_config *cfg, struct err *e)
{
	struct disk_info *info = &d->disk.info;
	int64_t size = d->lib.get_size(d->h);
	int64_t min = d->lib.get_block_size(d->h, LIBNBD_SIZE_MINIMUM);
	int64_t best = d->lib.get_block_size(d->h, LIBNBD_SIZE_PREFERRED);
	int64_t max = d->lib.get_block_size(d->h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return refused(&d->lib, d->name, e);
	if (min > PAGE)
		return err_set(e, EINVAL,
			       "%s has blocks of %" PRId64
			       " bytes: a guest can use 512 or 4096",
			       d->name, min);
	info->block = min > SECTOR ? PAGE : SECTOR;
	info->size = (uint64_t)size;
	if (size == 0 || size % info->block != 0)
		return err_set(e, EINVAL,
			       "%s has %" PRId64 " bytes, which is no multiple of %u",
			       d->name, size, info->block);
	info->physical_block =
		best >= info->block && best <= (int64_t)MiB(1) ? (uint32_t)best : PAGE;
	if (info->physical_block & (info->physical_block - 1))
		info->physical_block = PAGE;
	info->readonly = cfg->readonly;
	if (!cfg->readonly && d->lib.is_read_only(d->h) > 0)
		return err_set(e, EROFS, "%s is offered for reading only: readonly = yes",
			       d->name);
	info->discard = !cfg->readonly && cfg->discard && d->lib.can_trim(d->h) > 0;
	info->discard_align = info->physical_block;
	d->zeroes = d->lib.can_zero(d->h) > 0;
	d->flushes = !cfg->readonly && cfg->cache != DISK_CACHE_UNSAFE &&
		     d->lib.can_flush(d->h) > 0;
	d->chunk_max = NBD_CHUNK_MAX;
	d->direct_max = NBD_DIRECT_MAX;
	if (max >= PAGE && max < NBD_DIRECT_MAX)
		d->direct_max = (size_t)align_down((uint64_t)max, PAGE);
	if (d->direct_max < d->chunk_max)
		d->chunk_max = d->direct_max;
	return 0;
}

int
disk_nbd_start(struct reactor *r, const struct disk_config *cfg,
	       const struct nbd_lib *lib, struct nbd_handle *h, struct disk **ret,
	       struct err *e)
{
	struct disk_nbd *d = calloc(1, sizeof(*d));
	char *name = strdup(cfg->path);
	int rc;

	if (!d || !name) {
		free(d);
		free(name);
		lib->close(h);
		return err_set(e, ENOMEM, "%s: %s", cfg->path, strerror(ENOMEM));
	}
	disk_nbd_init(d);
	d->r = r;
	d->lib = *lib;
	d->h = h;
	d->name = name;
	rc = negotiate(lib, h, cfg->path, e);
	if (rc == 0)
		rc = fill_info(d, cfg, e);
	if (rc) {
		d->flushes = false;
		disk_nbd_ops.free(&d->disk);
		return rc;
	}
	d->io.fd = lib->aio_get_fd(h);
	disk_nbd_watch(d);
	*ret = &d->disk;
	return 0;
}

static int
make_handle(struct nbd_lib *lib, struct nbd_handle **ret, struct err *e)
{
	int rc = nbd_lib_load(lib, e);

	if (rc)
		return rc;
	*ret = lib->create();
	if (!*ret)
		return err_set(e, ENOMEM, "libnbd: %s", strerror(ENOMEM));
	/* It would clear guest memory before each read; an error is an error here. */
	lib->set_pread_initialize(*ret, false);
	return 0;
}

int
disk_nbd_open(struct reactor *r, const struct disk_config *cfg, struct disk **ret,
	      struct err *e)
{
	struct nbd_lib lib;
	struct nbd_handle *h;
	int rc = make_handle(&lib, &h, e);

	if (rc)
		return rc;
	if (lib.aio_connect_uri(h, cfg->path) < 0) {
		rc = refused(&lib, cfg->path, e);
		lib.close(h);
		return rc;
	}
	return disk_nbd_start(r, cfg, &lib, h, ret, e);
}

int
disk_nbd_open_socket(struct reactor *r, const struct disk_config *cfg, int sock,
		     struct disk **ret, struct err *e)
{
	struct nbd_lib lib;
	struct nbd_handle *h;
	int rc = make_handle(&lib, &h, e);

	if (rc) {
		close(sock);
		return rc;
	}
	if (lib.aio_connect_socket(h, sock) < 0) {
		rc = refused(&lib, cfg->path, e);
		lib.close(h);
		return rc;
	}
	return disk_nbd_start(r, cfg, &lib, h, ret, e);
}
