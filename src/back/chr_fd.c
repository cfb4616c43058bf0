/* SPDX-License-Identifier: ISC */
/* A stream on a descriptor: chr_fd.h. */
#include "chr_fd.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "util.h"

enum {
	READ_LEN = 4096, /* the size of a buffer of Linux' virtio console */
	READS_PASS = 16,
};

static bool
is_open(const struct chr_fd *f)
{
	return f->io.fd >= 0;
}

static void
watch(struct chr_fd *f)
{
	unsigned events = 0;

	if (!is_open(f))
		return;
	if (f->room > 0 && !f->gone)
		events |= REACTOR_READ;
	if (f->stalled && !f->gone)
		events |= REACTOR_WRITE;
	reactor_io_start(f->r, &f->io, events);
}

/* Once for each time: after what is going on now. */
static void
hang_up(struct chr_fd *f)
{
	f->gone = true;
	watch(f);
	reactor_defer(f->r, &f->later);
}

static void
later_cb(struct reactor_defer *d)
{
	struct chr_fd *f = container_of(d, struct chr_fd, later);

	f->hangup(f);
}

/* Says whether there may be more. */
static bool
read_some(struct chr_fd *f)
{
	uint8_t buf[READ_LEN];
	size_t want = f->room < sizeof(buf) ? f->room : sizeof(buf);
	ssize_t n = read(f->io.fd, buf, want);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		hang_up(f);
		return false;
	}
	f->room -= (size_t)n;
	f->chr.front->input(f->chr.dev, buf, (size_t)n);
	return (size_t)n == want;
}

static bool
hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 0) > 0;
}

static void
io_cb(struct reactor_io *io, unsigned events)
{
	struct chr_fd *f = container_of(io, struct chr_fd, io);

	if (events & REACTOR_READ)
		for (unsigned i = 0; i < READS_PASS && f->room > 0 && !f->gone; i++)
			if (!f->chr.front || !read_some(f))
				break;
	if ((events & REACTOR_WRITE) && f->stalled) {
		/* A hang-up counts as writable, too. */
		if (hung_up(f->io.fd)) {
			hang_up(f);
			return;
		}
		f->stalled = false;
		if (f->chr.front)
			f->chr.front->writable(f->chr.dev);
	}
	watch(f);
}

size_t
chr_fd_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct chr_fd *f = container_of(c, struct chr_fd, chr);
	ssize_t n;

	if (!is_open(f) || f->gone)
		return len;
	do
		n = write(f->io.fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		hang_up(f);
		return len;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n < len) {
		f->stalled = true;
		watch(f);
	}
	return (size_t)n;
}

void
chr_fd_set_room(struct chr *c, size_t room)
{
	struct chr_fd *f = container_of(c, struct chr_fd, chr);

	f->room = room;
	watch(f);
}

void
chr_fd_init(struct chr_fd *f, struct reactor *r, const struct chr_back_ops *ops,
	    void (*hangup)(struct chr_fd *f))
{
	f->chr = (struct chr){ .back = ops, .closed = true };
	f->r = r;
	f->io.cb = io_cb;
	f->io.fd = -1;
	f->later.cb = later_cb;
	f->hangup = hangup;
}

static void
say_changed(struct chr_fd *f, bool closed)
{
	f->chr.closed = closed;
	if (f->chr.front && f->chr.front->changed)
		f->chr.front->changed(f->chr.dev);
}

void
chr_fd_open(struct chr_fd *f, int fd)
{
	f->io.fd = fd;
	f->gone = false;
	watch(f);
	say_changed(f, false);
}

int
chr_fd_close(struct chr_fd *f)
{
	int fd = f->io.fd;
	bool stalled = f->stalled;

	if (fd < 0)
		return -1;
	reactor_defer_cancel(f->r, &f->later);
	reactor_io_stop(f->r, &f->io);
	f->io.fd = -1;
	f->stalled = false;
	say_changed(f, true);
	/* What the front held back for us can go where all output goes now. */
	if (stalled && f->chr.front)
		f->chr.front->writable(f->chr.dev);
	return fd;
}
