/* SPDX-License-Identifier: ISC */
/*
 * A device of the kernel's that serves virtqueues: a descriptor of /dev/vhost-net,
 * /dev/vhost-vsock (Linux: include/uapi/linux/vhost.h).  This is what all of them have in
 * common; how rings are started and stopped is each one's own.
 *
 * The kernel checks what it finds in the rings itself; it reads and writes no memory but the
 * guest's RAM.  It was told of that at the beginning, and of nothing else.
 *
 * Reactor thread only.  src/back/vhost.c.
 */
#ifndef VMM_VHOST_H
#define VMM_VHOST_H

#include <stdint.h>

struct err;
struct memory;
struct virtio_lent;

/* System calls, or a test's. */
struct vhost_sys {
	int (*open)(const char *path);                          /* or -errno */
	int (*ioctl)(int fd, unsigned long request, void *arg); /* 0 or -errno */
	void (*close)(int fd);
};

extern const struct vhost_sys vhost_sys;

struct vhost {
	const struct vhost_sys *sys;
	int fd;            /* -1: none */
	uint64_t features; /* what this kernel can */
};

/*
 * Opens it, becomes its owner and gives it the guest's RAM.  -errno, with a text that begins
 * with who.  A worker thread of the kernel's lives from then until vhost_close().
 */
int vhost_open(struct vhost *v, const struct vhost_sys *sys, const char *path,
	       const struct memory *mem, const char *who, struct err *e);

/* Waits until the kernel touches no memory of the guest any more. */
void vhost_close(struct vhost *v);

/* A request of this kind of device. -EBADF: it was closed. */
int vhost_request(const struct vhost *v, unsigned long request, void *arg);

/* Those of the features that it knows.  While no ring runs. */
int vhost_set_features(const struct vhost *v, uint64_t features);

/* Where a ring is that is to be started, and its eventfds; broken is signalled if the
 * ring cannot be right. */
int vhost_set_ring(const struct vhost *v, unsigned index, const struct virtio_lent *ring,
		   int broken);

/* Where a ring has stopped. */
int vhost_get_next(const struct vhost *v, unsigned index, uint16_t *ret);

#endif
