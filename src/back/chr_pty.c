/* SPDX-License-Identifier: ISC */
/*
 * A pseudo-terminal as the back of a stream: chr_back.h.
 *
 * The master says that the slave is closed (POLLHUP, EIO), but not that it was opened:
 * that comes by inotify, so that an idle machine does not wake up to look.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include "chr_back.h"
#include "chr_fd.h"
#include "log.h"
#include "util.h"

/* Where inotify is not to be had: a user has only so many. */
static const uint64_t look_ns = NSEC_PER_SEC;

static const char pts_dir[] = "/dev/pts/";

struct chr_pty {
	struct chr_fd f;
	int master;
	struct reactor_io opened; /* inotify; fd -1: there is none */
	struct reactor_timer look_timer;
	char slave[32];
	char *link; /* or NULL */
};

/* Has a program opened it meanwhile? */
static void
look(struct chr_pty *p)
{
	struct pollfd pfd = { .fd = p->master };

	if (!p->f.chr.closed)
		return;
	if (poll(&pfd, 1, 0) == 0)
		chr_fd_open(&p->f, p->master);
	else if (p->opened.fd < 0)
		reactor_timer_set(p->f.r, &p->look_timer,
				  reactor_now_ns(p->f.r) + look_ns);
}

static void
look_cb(struct reactor_timer *t)
{
	look(container_of(t, struct chr_pty, look_timer));
}

static void
opened_cb(struct reactor_io *io, unsigned events)
{
	uint8_t buf[4096];

	(void)events;
	while (read(io->fd, buf, sizeof(buf)) > 0)
		;
	look(container_of(io, struct chr_pty, opened));
}

static void
hangup(struct chr_fd *f)
{
	chr_fd_close(f);
	look(container_of(f, struct chr_pty, f));
}

/* ---- making one ---- */

/* A master knows that its slave is closed only after it has been open. */
static int
set_up_slave(const char *slave)
{
	int fd = open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	close(fd);
	return 0;
}

static int
open_master(struct chr_pty *p)
{
	int rc;

	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->master < 0)
		return -errno;
	if (grantpt(p->master) < 0 || unlockpt(p->master) < 0)
		return -errno;
	rc = ptsname_r(p->master, p->slave, sizeof(p->slave));
	return rc ? -rc : set_up_slave(p->slave);
}

static bool
is_our_kind(const char *link)
{
	char to[sizeof(pts_dir)] = "";

	return readlink(link, to, sizeof(to) - 1) > 0 && strcmp(to, pts_dir) == 0;
}

/* A link that a killed process has left is replaced. */
static int
make_link(struct chr_pty *p, const char *link)
{
	if (is_our_kind(link))
		unlink(link);
	if (symlink(p->slave, link) < 0)
		return -errno;
	p->link = strdup(link);
	if (p->link)
		return 0;
	unlink(link);
	return -ENOMEM;
}

static void
watch_slave(struct chr_pty *p)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd >= 0 && inotify_add_watch(fd, p->slave, IN_OPEN) < 0) {
		close(fd);
		fd = -1;
	}
	p->opened.cb = opened_cb;
	p->opened.fd = fd;
	if (fd >= 0)
		reactor_io_start(p->f.r, &p->opened, REACTOR_READ);
}

static void
pty_free(struct chr *c)
{
	struct chr_pty *p = container_of(c, struct chr_pty, f.chr);

	chr_fd_close(&p->f);
	reactor_timer_cancel(p->f.r, &p->look_timer);
	if (p->opened.fd >= 0) {
		reactor_io_stop(p->f.r, &p->opened);
		close(p->opened.fd);
	}
	if (p->link)
		unlink(p->link);
	if (p->master >= 0)
		close(p->master);
	free(p->link);
	free(p);
}

static const struct chr_back_ops pty_ops = {
	.write = chr_fd_write,
	.set_room = chr_fd_set_room,
	.free = pty_free,
};

int
chr_pty_new(struct reactor *r, const char *name, const char *link, struct chr **ret)
{
	struct chr_pty *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	chr_fd_init(&p->f, r, &pty_ops, hangup);
	p->look_timer.cb = look_cb;
	p->opened.fd = -1;
	rc = open_master(p);
	if (rc == 0 && link)
		rc = make_link(p, link);
	if (rc) {
		pty_free(&p->f.chr);
		return rc;
	}
	watch_slave(p);
	look(p);
	/* Without a link there is no other way to know. */
	log_msg(link ? LOG_INFO : LOG_WARN, "console '%s' is on %s", name, p->slave);
	*ret = &p->f.chr;
	return 0;
}
