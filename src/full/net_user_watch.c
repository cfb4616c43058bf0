/* SPDX-License-Identifier: ISC */
/* The sockets of libslirp in the reactor. See net_user_priv.h. */
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net_user_priv.h"

enum { LOOK_MAX = 64 }; /* in one pass; the others are still ready in the next */

/* The entry of a descriptor, NULL: no memory for it; or it is -1, of a socket() that
 * failed: libslirp passes that on, too. */
static struct user_fd *
entry(struct user_watch *w, int fd)
{
	unsigned want = (unsigned)fd + 1;

	if (fd < 0)
		return NULL;
	if (w->nfd < want) {
		unsigned n = want + 64;
		struct user_fd *p = realloc(w->fd, n * sizeof(*p));

		if (!p)
			return NULL;
		memset(p + w->nfd, 0, (n - w->nfd) * sizeof(*p));
		w->fd = p;
		w->nfd = n;
	}
	return &w->fd[fd];
}

static bool
list_add(struct user_watch *w, int fd)
{
	if (w->nlist == w->list_max) {
		unsigned n = w->list_max * 2 + 16;
		int *p = realloc(w->list, n * sizeof(*p));

		if (!p)
			return false;
		w->list = p;
		w->list_max = n;
	}
	w->list[w->nlist++] = fd;
	return true;
}

/* What may be looked at now. */
static uint32_t
allowed(const struct user_watch *w, const struct user_fd *f)
{
	if (f->listener && user_watch_full(w))
		return 0;
	return w->paused ? f->wanted & SLIRP_POLL_OUT : f->wanted;
}

static void
tell_epoll(struct user_watch *w, int fd, uint32_t events)
{
	struct user_fd *f = &w->fd[fd];
	struct epoll_event ev = { .events = events, .data.fd = fd };
	int op = f->kernel == 0 ? EPOLL_CTL_ADD
		 : events == 0  ? EPOLL_CTL_DEL
				: EPOLL_CTL_MOD;

	if (events == f->kernel)
		return;
	/* One that cannot be watched is as one that is never ready. */
	f->kernel = epoll_ctl(w->io.fd, op, fd, &ev) == 0 ? events : 0;
}

static uint32_t
to_epoll(uint32_t events)
{
	/* Errors and hang-ups always come.  Urgent data is in line with the other. */
	return (events & SLIRP_POLL_IN ? (uint32_t)EPOLLIN : 0) |
	       (events & SLIRP_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
}

void
user_watch_begin(struct user_watch *w)
{
	w->fill++;
}

int
user_watch_want(struct user_watch *w, int fd, int events)
{
	struct user_fd *f = entry(w, fd);

	if (!f || (!f->listed && !list_add(w, fd)))
		return -1;
	f->listed = true;
	f->wanted = (uint32_t)events;
	f->fill = w->fill;
	return fd;
}

void
user_watch_end(struct user_watch *w)
{
	for (unsigned i = 0; i < w->nlist;) {
		int fd = w->list[i];
		struct user_fd *f = &w->fd[fd];

		if (f->fill != w->fill)
			f->wanted = 0;
		tell_epoll(w, fd, to_epoll(allowed(w, f)));
		f->ready = 0;
		f->listed = f->fill == w->fill;
		if (f->listed)
			i++;
		else
			w->list[i] = w->list[--w->nlist];
	}
}

void
user_watch_look(struct user_watch *w)
{
	struct epoll_event ev[LOOK_MAX];
	int n = epoll_wait(w->io.fd, ev, LOOK_MAX, 0);

	for (int i = 0; i < n; i++)
		w->fd[ev[i].data.fd].ready = ev[i].events;
}

/*
 * libslirp reads whatever comes with an error, and asserts that there is room to read
 * into: so it hears of errors as of something to write unless it wants to read.
 */
int
user_watch_take(struct user_watch *w, int fd)
{
	struct user_fd *f = &w->fd[fd];
	uint32_t may = allowed(w, f), ready = f->ready;
	int ret = 0;

	f->ready = 0;
	if (may & SLIRP_POLL_IN) {
		ret |= ready & EPOLLIN ? SLIRP_POLL_IN : 0;
		ret |= ready & EPOLLHUP ? SLIRP_POLL_HUP : 0;
		ret |= ready & EPOLLERR ? SLIRP_POLL_ERR : 0;
		ret |= ready & EPOLLOUT ? SLIRP_POLL_OUT : 0;
	} else if (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
		ret = SLIRP_POLL_OUT;
	}
	return ret & (int)(may | SLIRP_POLL_HUP | SLIRP_POLL_ERR);
}

void
user_watch_open(struct user_watch *w, int fd)
{
	struct user_fd *f = entry(w, fd);

	if (!f || f->counted)
		return;
	f->counted = true;
	w->nsocket++;
}

void
user_watch_close(struct user_watch *w, int fd)
{
	struct user_fd *f = fd >= 0 && (unsigned)fd < w->nfd ? &w->fd[fd] : NULL;

	if (!f)
		return;
	f->wanted = 0;
	f->ready = 0;
	f->listener = false;
	tell_epoll(w, fd, 0);
	w->nsocket -= f->counted;
	f->counted = false;
}

void
user_watch_mark_listeners(struct user_watch *w)
{
	for (unsigned i = 0; i < w->nlist; i++) {
		struct user_fd *f = &w->fd[w->list[i]];

		/* Newer versions of libslirp call these, too, sockets that they made. */
		w->nsocket -= f->counted;
		f->counted = false;
		f->listener = true;
	}
}

int
user_watch_init(struct user_watch *w, struct reactor *r)
{
	w->r = r;
	w->io.fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->io.fd < 0)
		return -errno;
	reactor_io_start(r, &w->io, REACTOR_READ);
	return 0;
}

void
user_watch_fini(struct user_watch *w)
{
	reactor_io_stop(w->r, &w->io);
	close(w->io.fd);
	free(w->list);
	free(w->fd);
}
