/* SPDX-License-Identifier: ISC */
/* What all devices of /dev/vhost-* have in common: vhost.h. */
#include "vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "err.h"
#include "memory.h"
#include "util.h"
#include "virtio_lent.h"

static int
sys_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
sys_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static void
sys_close(int fd)
{
	close(fd);
}

const struct vhost_sys vhost_sys = {
	.open = sys_open,
	.ioctl = sys_ioctl,
	.close = sys_close,
};

int
vhost_request(const struct vhost *v, unsigned long request, void *arg)
{
	return v->fd < 0 ? -EBADF : v->sys->ioctl(v->fd, request, arg);
}

/* ---- open ---- */

static int
refuse_open(const char *path, const char *who, int errnum, struct err *e)
{
	const char *hint = errnum == ENOENT || errnum == ENODEV || errnum == ENXIO
				   ? "; load its kernel module"
			   : errnum == EACCES || errnum == EPERM
				   ? "; join the group that owns it"
				   : "";

	return err_set(e, errnum, "%s: %s: %s%s", who, path, strerror(errnum), hint);
}

static int
set_memory(const struct vhost *v, const struct memory *mem)
{
	union {
		struct vhost_memory table;
		uint8_t room[sizeof(struct vhost_memory) +
			     MEMORY_RANGES_MAX * sizeof(struct vhost_memory_region)];
	} u = { .table = { .nregions = mem->n } };

	for (unsigned i = 0; i < mem->n; i++)
		u.table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->range[i].gpa,
			.memory_size = mem->range[i].len,
			.userspace_addr = (uintptr_t)mem->range[i].hva,
		};
	return vhost_request(v, VHOST_SET_MEM_TABLE, &u.table);
}

int
vhost_open(struct vhost *v, const struct vhost_sys *sys, const char *path,
	   const struct memory *mem, const char *who, struct err *e)
{
	int fd = sys->open(path);
	int rc;

	if (fd < 0)
		return refuse_open(path, who, -fd, e);
	*v = (struct vhost){ .sys = sys, .fd = fd };
	rc = vhost_request(v, VHOST_SET_OWNER, NULL);
	if (rc == 0)
		rc = vhost_request(v, VHOST_GET_FEATURES, &v->features);
	if (rc == 0)
		rc = set_memory(v, mem);
	if (rc) {
		vhost_close(v);
		return err_set(e, -rc, "%s: %s refuses this guest: %s", who, path,
			       strerror(-rc));
	}
	return 0;
}

void
vhost_close(struct vhost *v)
{
	if (v->fd >= 0)
		v->sys->close(v->fd);
	v->fd = -1;
}

/* ---- rings ---- */

int
vhost_set_features(const struct vhost *v, uint64_t features)
{
	features &= v->features;
	return vhost_request(v, VHOST_SET_FEATURES, &features);
}

int
vhost_set_ring(const struct vhost *v, unsigned index, const struct virtio_lent *ring,
	       int broken)
{
	struct vhost_vring_state size = { .index = index, .num = ring->size };
	struct vhost_vring_state base = { .index = index, .num = ring->next };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};
	struct vhost_vring_file kick = { .index = index, .fd = ring->kick };
	struct vhost_vring_file call = { .index = index, .fd = ring->call };
	struct vhost_vring_file err = { .index = index, .fd = broken };
	const struct {
		unsigned long request;
		void *arg;
	} step[] = {
		{ VHOST_SET_VRING_NUM, &size },  { VHOST_SET_VRING_BASE, &base },
		{ VHOST_SET_VRING_ADDR, &addr }, { VHOST_SET_VRING_CALL, &call },
		{ VHOST_SET_VRING_ERR, &err },   { VHOST_SET_VRING_KICK, &kick },
	};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(step); i++)
		rc = vhost_request(v, step[i].request, step[i].arg);
	return rc;
}

int
vhost_get_next(const struct vhost *v, unsigned index, uint16_t *ret)
{
	struct vhost_vring_state base = { .index = index };
	int rc = vhost_request(v, VHOST_GET_VRING_BASE, &base);

	if (rc == 0)
		*ret = (uint16_t)base.num;
	return rc;
}
