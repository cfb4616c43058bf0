/* SPDX-License-Identifier: ISC */
/*
 * A stream of bytes between a device model (the front: a UART, a port of a virtio
 * console) and the host (the back: the terminal, a pty, a socket, a file, a test).
 *
 * The back never calls input() with more than the room that the front announced,
 * so neither side buffers without bound: what is not wanted stays in the host's
 * pipe.  The front offers bytes with write(); what the back does not take the
 * front keeps or drops, and writable() says when to try again.
 *
 * A back may have nobody at its other end for a time (a socket without a client): it
 * is closed then, takes everything and has no input.
 *
 * No function of a back calls one of its front: what there is to say comes later.  A
 * front may call its back from within its own.
 *
 * Reactor thread only.
 */
#ifndef VMM_CHR_H
#define VMM_CHR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chr;

struct chr_back_ops {
	/* Returns how many of the len bytes were taken, possibly 0. Never blocks. */
	size_t (*write)(struct chr *c, const uint8_t *buf, size_t len);
	/* The front can take room bytes of input now; 0 stops the flow. */
	void (*set_room)(struct chr *c, size_t room);
	/* See chr_free(); NULL: somebody else's. */
	void (*free)(struct chr *c);
};

struct chr_front_ops {
	/* len is at most the room last announced, which this uses up: the front
	 * announces anew when it has room again. */
	void (*input)(void *dev, const uint8_t *buf, size_t len);
	/* After write() took less than it was offered. */
	void (*writable)(void *dev);
	/* A break condition arrived; may be NULL. */
	void (*line_break)(void *dev);
	/* closed, cols or rows changed; may be NULL. */
	void (*changed)(void *dev);
};

/* Embedded by the back; front and dev are set by the front when it is made. */
struct chr {
	const struct chr_back_ops *back;
	const struct chr_front_ops *front; /* NULL: nobody listens yet */
	void *dev;
	bool closed;         /* nobody is at the other end */
	uint16_t cols, rows; /* of a terminal there; 0: not known */
};

/* For the front: it listens no more, and another one may be made. */
void chr_release(struct chr *c);

/* For who made the back, after the front is gone. */
void chr_free(struct chr *c);

/* A back that takes everything, shows it to nobody and has no input. */
void chr_null_init(struct chr *c);

#endif
