/* SPDX-License-Identifier: ISC */
/* A Unix socket as the back of a stream, for one client at a time: chr_back.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chr_back.h"
#include "chr_fd.h"
#include "util.h"

struct chr_socket {
	struct chr_fd f;
	struct reactor_io listener;
	struct reactor_timer retry;
	struct sockaddr_un at;
};

/* After an error that would come again at once: no descriptors left, no memory. */
static const uint64_t retry_ns = NSEC_PER_SEC;

static void
hangup(struct chr_fd *f)
{
	int fd = chr_fd_close(f);

	if (fd >= 0)
		close(fd);
}

/* Whose end is not seen because nothing is read from it now. */
static bool
is_dead(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) > 0;
}

static void
accept_cb(struct reactor_io *io, unsigned events)
{
	struct chr_socket *s = container_of(io, struct chr_socket, listener);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			reactor_io_stop(s->f.r, io);
			reactor_timer_set(s->f.r, &s->retry,
					  reactor_now_ns(s->f.r) + retry_ns);
		}
		return;
	}
	if (s->f.io.fd >= 0 && is_dead(s->f.io.fd))
		hangup(&s->f);
	if (s->f.io.fd >= 0)
		close(fd);
	else
		chr_fd_open(&s->f, fd);
}

static void
retry_cb(struct reactor_timer *t)
{
	struct chr_socket *s = container_of(t, struct chr_socket, retry);

	reactor_io_start(s->f.r, &s->listener, REACTOR_READ);
}

/* Left behind by a process that was killed: nobody would answer. */
static bool
is_stale(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int
bind_to(int fd, const struct sockaddr_un *at)
{
	const struct sockaddr *sa = (const struct sockaddr *)at;
	struct stat st;

	if (bind(fd, sa, sizeof(*at)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	/* Nothing but a socket is ever taken away. */
	if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode) || !is_stale(at) ||
	    unlink(at->sun_path) < 0)
		return -EADDRINUSE;
	return bind(fd, sa, sizeof(*at)) < 0 ? -errno : 0;
}

static int
listen_at(const struct sockaddr_un *at, int *ret)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	/* The file that bind() makes gets the mode of the socket: it is never open to
	 * others, not even for a moment. */
	rc = fchmod(fd, 0600) < 0 ? -errno : bind_to(fd, at);
	if (rc == 0 && listen(fd, 1) < 0) {
		rc = -errno;
		unlink(at->sun_path);
	}
	if (rc) {
		close(fd);
		return rc;
	}
	*ret = fd;
	return 0;
}

static void
socket_free(struct chr *c)
{
	struct chr_socket *s = container_of(c, struct chr_socket, f.chr);

	hangup(&s->f);
	reactor_io_stop(s->f.r, &s->listener);
	reactor_timer_cancel(s->f.r, &s->retry);
	close(s->listener.fd);
	unlink(s->at.sun_path);
	free(s);
}

static const struct chr_back_ops socket_ops = {
	.write = chr_fd_write,
	.set_room = chr_fd_set_room,
	.free = socket_free,
};

int
chr_socket_new(struct reactor *r, const char *name, const char *path, struct chr **ret)
{
	struct chr_socket *s = calloc(1, sizeof(*s));
	int rc;

	(void)name;
	if (!s)
		return -ENOMEM;
	if (strlen(path) >= sizeof(s->at.sun_path)) {
		free(s);
		return -ENAMETOOLONG;
	}
	chr_fd_init(&s->f, r, &socket_ops, hangup);
	s->at.sun_family = AF_UNIX;
	memcpy(s->at.sun_path, path, strlen(path) + 1);
	rc = listen_at(&s->at, &s->listener.fd);
	if (rc) {
		free(s);
		return rc;
	}
	s->listener.cb = accept_cb;
	s->retry.cb = retry_cb;
	reactor_io_start(r, &s->listener, REACTOR_READ);
	*ret = &s->f.chr;
	return 0;
}
