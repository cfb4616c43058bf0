/* SPDX-License-Identifier: ISC */
/*
 * What pty and socket have in common: a descriptor with O_NONBLOCK that comes and goes.
 * Without one the stream is closed.  A hang-up while nothing is read or written is not
 * seen until something is.
 */
#ifndef CHR_FD_H
#define CHR_FD_H

#include "chr.h"
#include "reactor.h"

struct chr_fd {
	struct chr chr;
	struct reactor *r;
	struct reactor_io io; /* fd -1: closed */
	struct reactor_defer later;
	/* The other end went: calls chr_fd_close(), at the latest in the end. */
	void (*hangup)(struct chr_fd *f);
	size_t room;  /* of the front */
	bool stalled; /* the front waits for writable() */
	bool gone;    /* hangup() is due */
};

void chr_fd_init(struct chr_fd *f, struct reactor *r, const struct chr_back_ops *ops,
		 void (*hangup)(struct chr_fd *f));

/* The stream opens; the descriptor stays the caller's. */
void chr_fd_open(struct chr_fd *f, int fd);

/* The stream closes, if it is open; returns the descriptor, or -1. */
int chr_fd_close(struct chr_fd *f);

/* For the table of the back. */
size_t chr_fd_write(struct chr *c, const uint8_t *buf, size_t len);
void chr_fd_set_room(struct chr *c, size_t room);

#endif
