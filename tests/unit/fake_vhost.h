/* SPDX-License-Identifier: ISC */
/*
 * The kernel's /dev/vhost-net, as far as a test can tell: it keeps a list of the requests,
 * refuses what Linux refuses, and fails the n-th call if it is told to.
 */
#ifndef FAKE_VHOST_H
#define FAKE_VHOST_H

#include <assert.h>
#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vhost.h"

enum { FAKE_VHOST_FD = 1000, FAKE_VHOST_MAX = 4, FAKE_VHOST_LIST = 128 };

struct fake_vhost_dev {
	bool open, owned, has_memory;
	uint64_t features;
	struct vhost_memory memory;
	struct vhost_memory_region region[4];
	struct {
		unsigned num, base;
		struct vhost_vring_addr addr;
		int kick, call, err;
		int backend; /* 0: none */
	} ring[2];
};

/* One for each test: the table of calls takes no argument. */
struct fake_vhost {
	struct fake_vhost_dev dev[FAKE_VHOST_MAX];
	unsigned opens, closes;
	uint64_t features; /* what this kernel can */
	struct {
		unsigned dev;
		unsigned long request;
	} list[FAKE_VHOST_LIST];
	unsigned n;
	unsigned calls, fail_at; /* the n-th call, of any kind, fails */
	int fail_with;
};

static struct fake_vhost *fake_vhost;

static inline bool
fake_vhost_fails(void)
{
	return ++fake_vhost->calls == fake_vhost->fail_at;
}

static int
fake_vhost_open(const char *path)
{
	assert(strcmp(path, "/dev/vhost-net") == 0);
	if (fake_vhost_fails())
		return -fake_vhost->fail_with;
	assert(fake_vhost->opens < FAKE_VHOST_MAX);
	fake_vhost->dev[fake_vhost->opens] = (struct fake_vhost_dev){ .open = true };
	return FAKE_VHOST_FD + (int)fake_vhost->opens++;
}

static struct fake_vhost_dev *
fake_vhost_dev(int fd)
{
	unsigned i = (unsigned)(fd - FAKE_VHOST_FD);

	assert(i < FAKE_VHOST_MAX && fake_vhost->dev[i].open);
	return &fake_vhost->dev[i];
}

static void
fake_vhost_close(int fd)
{
	fake_vhost_dev(fd)->open = false;
	fake_vhost->closes++;
}

/* As vhost_vring_ioctl() of Linux has it: not while the ring runs. */
static inline int
fake_vhost_state(struct fake_vhost_dev *d, bool is_num, void *arg)
{
	const struct vhost_vring_state *s = arg;

	if (d->ring[s->index].backend)
		return -EBUSY;
	*(is_num ? &d->ring[s->index].num : &d->ring[s->index].base) = s->num;
	return 0;
}

static int
fake_vhost_ioctl(int fd, unsigned long request, void *arg)
{
	struct fake_vhost_dev *d = fake_vhost_dev(fd);
	const struct vhost_vring_file *file = arg;
	const struct vhost_vring_addr *addr = arg;
	struct vhost_vring_state *state = arg;

	assert(fake_vhost->n < FAKE_VHOST_LIST);
	fake_vhost->list[fake_vhost->n].dev = (unsigned)(fd - FAKE_VHOST_FD);
	fake_vhost->list[fake_vhost->n++].request = request;
	if (fake_vhost_fails())
		return -fake_vhost->fail_with;
	if (request == VHOST_SET_OWNER) {
		d->owned = true;
		return 0;
	}
	if (!d->owned)
		return -EPERM;
	switch (request) {
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = fake_vhost->features;
		return 0;
	case VHOST_SET_FEATURES:
		if (*(uint64_t *)arg & ~fake_vhost->features)
			return -EOPNOTSUPP;
		/* Linux would take them, and the rings be of two minds. */
		assert(!d->ring[0].backend && !d->ring[1].backend);
		d->features = *(uint64_t *)arg;
		return 0;
	case VHOST_SET_MEM_TABLE:
		memcpy(&d->memory, arg, sizeof(d->memory));
		memcpy(d->region, (struct vhost_memory *)arg + 1,
		       d->memory.nregions * sizeof(d->region[0]));
		d->has_memory = true;
		return 0;
	case VHOST_SET_VRING_NUM:
		return fake_vhost_state(d, true, arg);
	case VHOST_SET_VRING_BASE:
		return fake_vhost_state(d, false, arg);
	case VHOST_GET_VRING_BASE:
		state->num = d->ring[state->index].base;
		return 0;
	case VHOST_SET_VRING_ADDR:
		d->ring[addr->index].addr = *addr;
		return 0;
	case VHOST_SET_VRING_KICK:
		d->ring[file->index].kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		d->ring[file->index].call = file->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		d->ring[file->index].err = file->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		if (!d->has_memory || d->ring[file->index].addr.desc_user_addr == 0)
			return -EFAULT;
		d->ring[file->index].backend = file->fd < 0 ? 0 : file->fd;
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct vhost_sys fake_vhost_sys = {
	.open = fake_vhost_open,
	.ioctl = fake_vhost_ioctl,
	.close = fake_vhost_close,
};

static inline void
fake_vhost_init(struct fake_vhost *f)
{
	memset(f, 0, sizeof(*f));
	f->features = 1ull << VIRTIO_RING_F_INDIRECT_DESC |
		      1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 |
		      1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VHOST_F_LOG_ALL |
		      1ull << VHOST_NET_F_VIRTIO_NET_HDR;
	f->fail_with = EIO;
	fake_vhost = f;
}

#endif
