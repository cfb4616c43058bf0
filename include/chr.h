/* SPDX-License-Identifier: ISC */
/*
 * A stream of bytes between a device model (the front: a UART, later a virtio
 * console port) and the host (the back: the terminal, a file, a test).
 *
 * The back never calls input() with more than the room that the front announced,
 * so neither side buffers without bound: what is not wanted stays in the host's
 * pipe.  The front offers bytes with write(); what the back does not take the
 * front keeps or drops, and writable() says when to try again.
 *
 * Reactor thread only.
 */
#ifndef VMM_CHR_H
#define VMM_CHR_H

#include <stddef.h>
#include <stdint.h>

struct chr;

struct chr_back_ops {
	/* Returns how many of the len bytes were taken, possibly 0. Never blocks. */
	size_t (*write)(struct chr *c, const uint8_t *buf, size_t len);
	/* The front can take room bytes of input now; 0 stops the flow. */
	void (*set_room)(struct chr *c, size_t room);
};

struct chr_front_ops {
	/* len is at most the room last announced, which this uses up: the front
	 * announces anew when it has room again. */
	void (*input)(void *dev, const uint8_t *buf, size_t len);
	/* After write() took less than it was offered. */
	void (*writable)(void *dev);
	/* A break condition arrived; may be NULL. */
	void (*line_break)(void *dev);
};

/* Embedded by the back; front and dev are set by the front when it is made. */
struct chr {
	const struct chr_back_ops *back;
	const struct chr_front_ops *front; /* NULL: nobody listens yet */
	void *dev;
};

/* A back that takes everything, shows it to nobody and has no input. */
void chr_null_init(struct chr *c);

#endif
