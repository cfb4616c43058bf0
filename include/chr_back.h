/* SPDX-License-Identifier: ISC */
/*
 * Backs of a stream of bytes beside the terminal (console.h), a file in src/back/ each.
 *
 * All return 0 or -errno, and then nothing has been left on the host; chr_free() takes
 * away what they made there, but for the file.  The name is for messages and copied.
 * None blocks, and none buffers but the file: what the host does not take stays with the
 * front.
 *
 * Reactor thread only; main ignores SIGPIPE.
 */
#ifndef VMM_CHR_BACK_H
#define VMM_CHR_BACK_H

struct chr;
struct reactor;

/*
 * A pseudo-terminal in raw mode, closed while no program has it open.  What it is called
 * is logged; link, if not NULL, is a symbolic link to it.  -EEXIST: there is something by
 * that name that is no link to a pseudo-terminal.
 */
int chr_pty_new(struct reactor *r, const char *name, const char *link, struct chr **ret);

/*
 * A Unix socket that listens, for its owner only, and is closed while it has no client.
 * While it has one, others are hung up on.  A socket that nobody listens to any more is
 * replaced; -EADDRINUSE: somebody does.
 */
int chr_socket_new(struct reactor *r, const char *name, const char *path,
		   struct chr **ret);

/*
 * Output goes to the end of a file, made with mode 0600; there is no input.  Up to 128 KiB
 * wait for the file system; chr_free() waits for it.  What it does not take is lost, with
 * one warning.  -ENOTSUP: no regular file.
 */
int chr_file_new(struct reactor *r, const char *name, const char *path, struct chr **ret);

#endif
