/* SPDX-License-Identifier: ISC */
/* [disk "name"]: the image is opened, and a virtio-blk made of it. */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "disk.h"
#include "disk_open.h"
#include "err.h"
#include "log.h"
#include "machine_arch.h"
#include "virtio.h"
#include "virtio_dev.h"

static const enum disk_cache cache_of[] = {
	[CONFIG_CACHE_WRITEBACK] = DISK_CACHE_WRITEBACK,
	[CONFIG_CACHE_NONE] = DISK_CACHE_NONE,
	[CONFIG_CACHE_UNSAFE] = DISK_CACHE_UNSAFE,
};

static int
open_image(struct machine *m, const struct config_disk *cd, struct disk **ret,
	   struct err *e)
{
	char where[128];
	const struct disk_config dc = {
		.path = cd->path,
		.where = config_where(m->cfg, &cd->path, where, sizeof(where)),
		.cache = cache_of[cd->cache],
		.readonly = cd->readonly,
		.discard = cd->discard,
	};

	return disk_open(m->host.reactor, &dc, ret, e);
}

static unsigned
queues_of(const struct machine *m, const struct config_disk *cd)
{
	unsigned n = cd->queues ? cd->queues : m->cfg->cpu.count;

	return n < BLK_QUEUES_MAX ? n : BLK_QUEUES_MAX;
}

int
machine_disk_make(struct machine *m, struct machine_virtio *mv,
		  const struct config_named *named, struct err *e)
{
	const struct config_disk *cd = &m->cfg->disk[named->index];
	const struct blk_config bc = {
		.name = named->name,
		.queues = queues_of(m, cd),
		.serial = cd->serial ? cd->serial : named->name,
		.rate = { .rate = cd->rate,
			  .burst = cd->burst,
			  .rate_ops = cd->rate_ops,
			  .burst_ops = cd->burst_ops },
	};
	struct disk *disk;
	struct blk *blk;
	int rc = open_image(m, cd, &disk, e);

	if (rc)
		return rc;
	rc = blk_new(&m->memory, m->host.reactor, disk, &bc, &blk);
	if (rc) {
		disk->ops->free(disk);
		return rc;
	}
	mv->model = blk;
	mv->dev = blk_device(blk);
	return 0;
}

void
machine_disk_sync(struct machine_virtio *mv)
{
	int rc = blk_sync(mv->model);

	if (rc)
		log_warn("disk '%s': %s; what the guest wrote last may be lost", mv->name,
			 strerror(-rc));
}

void
machine_disk_free(void *model)
{
	blk_free(model);
}
