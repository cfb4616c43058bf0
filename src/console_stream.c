/* SPDX-License-Identifier: ISC */
#include "console_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_POLLED = 256 }; /* what a ready terminal surely takes */

/* A description of our own; opening a pty's master would make another pty. */
static int
reopen(int fd, int flags)
{
	char path[32];
	unsigned n;

	if (ioctl(fd, TIOCGPTN, &n) == 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

struct console_stream
console_stream_open(int fd, int flags)
{
	struct console_stream s = { .fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return s;
	if (S_ISSOCK(st.st_mode)) {
		s.how = CONSOLE_STREAM_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		int own = reopen(fd, flags);

		s.how = own >= 0 ? CONSOLE_STREAM_NONBLOCK : CONSOLE_STREAM_POLL;
		s.ours = own >= 0;
		s.fd = own >= 0 ? own : fd;
	} else {
		s.how = CONSOLE_STREAM_PLAIN;
	}
	return s;
}

void
console_stream_close(const struct console_stream *s)
{
	if (s->ours)
		close(s->fd);
}

static bool
poll_ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	return poll(&pfd, 1, 0) > 0;
}

ssize_t
console_stream_read(const struct console_stream *s, uint8_t *buf, size_t len)
{
	ssize_t n;

	if (s->how == CONSOLE_STREAM_POLL && !poll_ready(s->fd, POLLIN))
		return -EAGAIN;
	n = s->how == CONSOLE_STREAM_SOCKET ? recv(s->fd, buf, len, MSG_DONTWAIT)
					    : read(s->fd, buf, len);
	return n < 0 ? -errno : n;
}

ssize_t
console_stream_write(const struct console_stream *s, const uint8_t *buf, size_t len)
{
	ssize_t n;

	if (s->how == CONSOLE_STREAM_NONE)
		return (ssize_t)len;
	if (s->how == CONSOLE_STREAM_POLL) {
		if (!poll_ready(s->fd, POLLOUT))
			return -EAGAIN;
		len = len < CHUNK_POLLED ? len : CHUNK_POLLED;
	}
	n = s->how == CONSOLE_STREAM_SOCKET
		    ? send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
		    : write(s->fd, buf, len);
	return n < 0 ? -errno : n;
}
