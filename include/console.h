/* SPDX-License-Identifier: ISC */
/*
 * The console: standard input and output as the back of a stream of bytes.
 *
 * Nothing here blocks, and no file description that others share is made
 * non-blocking: terminals and pipes are opened anew through /proc/self/fd.  Input
 * is read only while there is room for it.  Output waits in CONSOLE_OUT_MAX
 * bytes; when these are full, write() takes less and writable() comes once half
 * of it has gone.  When nobody reads any more (EPIPE, EIO), output is discarded
 * from then on with one warning; at the end of input the guest goes on.
 *
 * If the input is a terminal, it is in raw mode while we are in its foreground
 * process group, and Ctrl-A is the escape: x quits, b sends a break, Ctrl-A sends
 * Ctrl-A, ? prints the keys.  Up to CONSOLE_IN_MAX bytes are then read ahead, so
 * that the escape works with a guest that does not listen.
 *
 * Reactor thread only, but for console_restore().  main ignores SIGPIPE.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

struct chr;
struct console;
struct reactor;

enum {
	CONSOLE_OUT_MAX = 64 * 1024,
	CONSOLE_IN_MAX = 4096,
};

/* From within the reactor; must not free the console there. */
struct console_ops {
	void (*quit)(void *arg); /* Ctrl-A x */
	/* These bytes went out; may be NULL. */
	void (*output)(void *arg, const uint8_t *buf, size_t len);
};

/*
 * The descriptors stay the caller's and stay open until console_free().  One that
 * is closed or of no use is like /dev/null.  -ENOMEM.
 */
int console_new(struct reactor *r, int in_fd, int out_fd, const struct console_ops *ops,
		void *arg, struct console **ret);

/* The back, for a device's constructor. */
struct chr *console_chr(struct console *c);

/*
 * Waits for the reader to take what is left: until it has taken nothing for half a
 * second, and at most three seconds.
 */
void console_flush(struct console *c);

/* Restores the terminal; what was not written is lost. */
void console_free(struct console *c);

/*
 * Gives the terminal back as it was found, if it is in raw mode.  Any thread,
 * async-signal-safe, any number of times.
 */
void console_restore(void);

#endif
