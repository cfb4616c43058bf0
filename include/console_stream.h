/* SPDX-License-Identifier: ISC */
/*
 * One end of the console: a descriptor that somebody gave us, whatever it is, read and
 * written without blocking and without a change to a file description that others share.
 *
 * For console.c.
 */
#ifndef VMM_CONSOLE_STREAM_H
#define VMM_CONSOLE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How to read or write a descriptor without blocking. */
enum console_stream_how {
	CONSOLE_STREAM_NONE,     /* not at all */
	CONSOLE_STREAM_NONBLOCK, /* our own description, O_NONBLOCK */
	CONSOLE_STREAM_SOCKET,   /* MSG_DONTWAIT */
	CONSOLE_STREAM_PLAIN,    /* does not block: a file, /dev/null */
	CONSOLE_STREAM_POLL,     /* ask before, and write little */
};

struct console_stream {
	int fd;
	bool ours;
	enum console_stream_how how;
};

/* flags: O_RDONLY or O_WRONLY.  A descriptor that is closed is like /dev/null. */
struct console_stream console_stream_open(int fd, int flags);
/* The descriptor that was given stays open. */
void console_stream_close(const struct console_stream *s);

/* As read() and write(), but -errno; -EAGAIN instead of waiting. */
ssize_t console_stream_read(const struct console_stream *s, uint8_t *buf, size_t len);
ssize_t console_stream_write(const struct console_stream *s, const uint8_t *buf,
			     size_t len);

#endif
