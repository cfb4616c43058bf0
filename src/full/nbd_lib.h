/* SPDX-License-Identifier: ISC */
/* The functions of libnbd that disk_nbd.c uses, loaded when a disk asks for them
 * (doc/adr/0012-vmm-full.md). */
#ifndef VMM_NBD_LIB_H
#define VMM_NBD_LIB_H

#include <libnbd.h>

struct err;

#define NBD_FUNCTIONS(X) \
	X(create) \
	X(close) \
	X(get_error) \
	X(set_pread_initialize) \
	X(aio_connect_uri) \
	X(aio_connect_socket) \
	X(aio_is_ready) \
	X(aio_is_connecting) \
	X(aio_is_negotiating) \
	X(aio_is_dead) \
	X(aio_is_closed) \
	X(aio_get_fd) \
	X(aio_get_direction) \
	X(aio_notify_read) \
	X(aio_notify_write) \
	X(aio_pread) \
	X(aio_pwrite) \
	X(aio_flush) \
	X(aio_trim) \
	X(aio_zero) \
	X(aio_disconnect) \
	X(poll) \
	X(get_size) \
	X(get_block_size) \
	X(is_read_only) \
	X(can_flush) \
	X(can_trim) \
	X(can_zero)

struct nbd_lib {
#define NBD_MEMBER(name) __typeof__(nbd_##name) *(name);
	NBD_FUNCTIONS(NBD_MEMBER)
#undef NBD_MEMBER
};

/* -ENOENT: the host has no libnbd. Loaded once, for as long as the process lives. */
int nbd_lib_load(struct nbd_lib *lib, struct err *e);

#endif
