/* SPDX-License-Identifier: ISC */
/* A network link over a stream socket. See net_stream.h. */
#include "net_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "net.h"
#include "reactor.h"
#include "util.h"

enum {
	LENGTH_LEN = 4,
	FRAME_MAX = NET_PACKET_MAX - NET_HDR_LEN,
	ONE = LENGTH_LEN + FRAME_MAX,
	READ_MAX = 2 * ONE, /* room for many small ones at once */
};

struct net_stream {
	struct net_back back;
	struct reactor *r;
	struct net_stream_config cfg;
	struct reactor_io io;     /* fd -1: the link is down */
	unsigned events;          /* that it is watched for */
	struct reactor_io listen; /* fd -1: does not */
	struct reactor_timer again;
	struct reactor_defer later;
	bool want_rx, want_tx;
	bool link_said; /* what the front has been told */
	size_t rx_at, rx_end;
	size_t tx_at, tx_end;
	uint8_t rx[READ_MAX];
	uint8_t tx[ONE];
};

static struct net_stream *
of_back(struct net_back *b)
{
	return container_of(b, struct net_stream, back);
}

/* ---- the link goes up and down ---- */

static void
watch(struct net_stream *s)
{
	bool pending = s->tx_at < s->tx_end;
	unsigned events = (s->want_rx ? (unsigned)REACTOR_READ : 0) |
			  (s->want_tx || pending ? (unsigned)REACTOR_WRITE : 0);

	if (s->io.fd < 0 || events == s->events)
		return;
	s->events = events;
	reactor_io_start(s->r, &s->io, events);
}

static void
link_up(struct net_stream *s, int fd)
{
	s->io.fd = fd;
	s->rx_at = s->rx_end = s->tx_at = s->tx_end = 0;
	s->back.info.link = true;
	s->events = 0;
	watch(s);
	reactor_defer(s->r, &s->later);
}

static void
try_later(struct net_stream *s)
{
	if (s->cfg.listen)
		reactor_io_start(s->r, &s->listen, REACTOR_READ);
	else if (s->cfg.path && s->cfg.reconnect_s > 0)
		reactor_timer_set(s->r, &s->again,
				  reactor_now_ns(s->r) +
					  s->cfg.reconnect_s * NSEC_PER_SEC);
}

static void
link_down(struct net_stream *s, const char *why)
{
	log_warn("%s: %s; the link is down", s->cfg.name, why);
	reactor_io_stop(s->r, &s->io);
	close(s->io.fd);
	s->io.fd = -1;
	s->back.info.link = false;
	reactor_defer(s->r, &s->later);
	try_later(s);
}

/* ---- from the peer ---- */

/* How long the frame is that begins the buffer; 0: not known yet. */
static uint32_t
frame_len(const struct net_stream *s)
{
	uint32_t be;

	if (s->rx_end - s->rx_at < LENGTH_LEN)
		return 0;
	memcpy(&be, s->rx + s->rx_at, sizeof(be));
	return ntohl(be);
}

static bool
frame_is_bad(const struct net_stream *s)
{
	uint32_t len = frame_len(s);

	return s->rx_end - s->rx_at >= LENGTH_LEN && (len == 0 || len > FRAME_MAX);
}

/* Is there something to be done before the socket is asked for more? */
static bool
is_ready(const struct net_stream *s)
{
	return frame_is_bad(s) || (s->rx_end - s->rx_at > LENGTH_LEN &&
				   s->rx_end - s->rx_at - LENGTH_LEN >= frame_len(s));
}

/* False: nothing more has come, or the link is down now. */
static bool
fill(struct net_stream *s)
{
	ssize_t n;

	memmove(s->rx, s->rx + s->rx_at, s->rx_end - s->rx_at);
	s->rx_end -= s->rx_at;
	s->rx_at = 0;
	do
		n = recv(s->io.fd, s->rx + s->rx_end, sizeof(s->rx) - s->rx_end,
			 MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		link_down(s, n < 0 ? strerror(errno) : "the peer hung up");
		return false;
	}
	s->rx_end += (size_t)n;
	return true;
}

/* The header, all zero, and the frame; false: it does not fit. */
static bool
scatter(const uint8_t *frame, size_t len, const struct iovec *iov, unsigned niov)
{
	static const uint8_t zero[NET_HDR_LEN];
	const uint8_t *from = zero;
	size_t left = NET_HDR_LEN, off = 0;
	unsigned i = 0;

	/* The header, then the frame. */
	for (unsigned part = 0; part < 2; part++) {
		while (left > 0 && i < niov) {
			size_t n =
				iov[i].iov_len - off < left ? iov[i].iov_len - off : left;

			memcpy((uint8_t *)iov[i].iov_base + off, from, n);
			from += n;
			left -= n;
			off += n;
			if (off == iov[i].iov_len) {
				off = 0;
				i++;
			}
		}
		if (left > 0)
			return false;
		from = frame;
		left = part == 0 ? len : 0;
	}
	return true;
}

static ssize_t
stream_recv(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct net_stream *s = of_back(b);

	(void)pair;
	if (s->io.fd < 0)
		return -EAGAIN;
	while (!is_ready(s))
		if (!fill(s))
			return -EAGAIN;
	if (frame_is_bad(s)) {
		link_down(s, "the peer sent a length that no frame has");
		return -EAGAIN;
	}

	uint32_t len = frame_len(s);
	bool fits = scatter(s->rx + s->rx_at + LENGTH_LEN, len, iov, niov);

	s->rx_at += LENGTH_LEN + len;
	/* No event of the socket tells of what has been read already. */
	if (s->rx_at < s->rx_end)
		reactor_defer(s->r, &s->later);
	return fits ? (ssize_t)(NET_HDR_LEN + len) : -EMSGSIZE;
}

/* ---- to the peer ---- */

static void
flush(struct net_stream *s)
{
	ssize_t n;

	do
		n = send(s->io.fd, s->tx + s->tx_at, s->tx_end - s->tx_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		link_down(s, strerror(errno));
	else if (n > 0)
		s->tx_at += (size_t)n;
	watch(s);
}

/* The length and the frame, without the header before it; false: none of that size. */
static bool
gather(struct net_stream *s, const struct iovec *iov, unsigned niov)
{
	size_t skip = NET_HDR_LEN, len = 0;

	for (unsigned i = 0; i < niov; i++) {
		size_t off = iov[i].iov_len < skip ? iov[i].iov_len : skip;
		size_t n = iov[i].iov_len - off;

		skip -= off;
		if (n > FRAME_MAX - len)
			return false;
		memcpy(s->tx + LENGTH_LEN + len, (uint8_t *)iov[i].iov_base + off, n);
		len += n;
	}
	uint32_t be = htonl((uint32_t)len);
	memcpy(s->tx, &be, sizeof(be));
	s->tx_at = 0;
	s->tx_end = len > 0 ? LENGTH_LEN + len : 0;
	return len > 0;
}

static int
stream_send(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct net_stream *s = of_back(b);

	(void)pair;
	if (s->io.fd >= 0 && s->tx_at < s->tx_end)
		flush(s);
	if (s->io.fd < 0)
		return 0; /* as with a cable that is not plugged in */
	if (s->tx_at < s->tx_end)
		return -EAGAIN;
	if (gather(s, iov, niov))
		flush(s);
	return 0;
}

/* ---- events ---- */

static void
on_io(struct reactor_io *io, unsigned events)
{
	struct net_stream *s = container_of(io, struct net_stream, io);

	if ((events & REACTOR_WRITE) && s->tx_at < s->tx_end)
		flush(s);
	if ((events & REACTOR_WRITE) && s->want_tx && s->tx_at == s->tx_end)
		s->back.front->writable(s->back.dev, 0);
	if ((events & REACTOR_READ) && s->want_rx)
		s->back.front->readable(s->back.dev, 0);
}

static void
on_later(struct reactor_defer *d)
{
	struct net_stream *s = container_of(d, struct net_stream, later);

	if (!s->back.front)
		return;
	if (s->link_said != s->back.info.link) {
		s->link_said = s->back.info.link;
		s->back.front->link(s->back.dev);
	}
	/* Who waits for room waits no longer when all is lost. */
	if (s->io.fd < 0 && s->want_tx)
		s->back.front->writable(s->back.dev, 0);
	if (s->io.fd >= 0 && s->want_rx && is_ready(s)) {
		s->back.front->readable(s->back.dev, 0);
		if (s->want_rx && s->io.fd >= 0 && is_ready(s))
			reactor_defer(s->r, &s->later);
	}
}

static void
stream_want(struct net_back *b, unsigned pair, bool rx, bool tx)
{
	struct net_stream *s = of_back(b);

	(void)pair;
	s->want_rx = rx;
	s->want_tx = tx;
	watch(s);
	if ((s->io.fd >= 0 && rx && is_ready(s)) || (s->io.fd < 0 && tx))
		reactor_defer(s->r, &s->later);
}

/* ---- sockets ---- */

static int
unix_addr(const char *path, struct sockaddr_un *ret)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* A socket, connected to path or, if it is a server, bound to it. */
static int
open_socket(const char *path, bool server)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	int rc = unix_addr(path, &un);

	if (fd < 0)
		return -errno;
	if (rc == 0 && server)
		rc = bind(fd, (struct sockaddr *)&un, sizeof(un)) || listen(fd, 1)
			     ? -errno
			     : 0;
	else if (rc == 0)
		rc = connect(fd, (struct sockaddr *)&un, sizeof(un)) ? -errno : 0;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int
open_server(const char *path)
{
	int fd = open_socket(path, true), probe;

	if (fd != -EADDRINUSE)
		return fd;
	/* Left behind by a server that has died: nobody answers. */
	probe = open_socket(path, false);
	if (probe >= 0)
		close(probe);
	if (probe != -ECONNREFUSED || unlink(path))
		return -EADDRINUSE;
	return open_socket(path, true);
}

static void
on_listen(struct reactor_io *io, unsigned events)
{
	struct net_stream *s = container_of(io, struct net_stream, listen);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	/* The next one waits until this one has gone. */
	reactor_io_stop(s->r, io);
	link_up(s, fd);
}

static void
on_again(struct reactor_timer *t)
{
	struct net_stream *s = container_of(t, struct net_stream, again);
	int fd = open_socket(s->cfg.path, false);

	if (fd < 0)
		try_later(s);
	else
		link_up(s, fd);
}

/* ---- life ---- */

static void
stream_free(struct net_back *b)
{
	struct net_stream *s = of_back(b);

	reactor_io_stop(s->r, &s->io);
	reactor_io_stop(s->r, &s->listen);
	reactor_timer_cancel(s->r, &s->again);
	reactor_defer_cancel(s->r, &s->later);
	if (s->io.fd >= 0)
		close(s->io.fd);
	if (s->listen.fd >= 0) {
		close(s->listen.fd);
		unlink(s->cfg.path);
	}
	free(s);
}

static const struct net_back_ops stream_ops = {
	.send = stream_send,
	.recv = stream_recv,
	.want = stream_want,
	.free = stream_free,
};

int
net_stream_new(struct reactor *r, const struct net_stream_config *cfg,
	       struct net_back **ret, struct err *e)
{
	struct net_stream *s = calloc(1, sizeof(*s));
	int fd = cfg->fd;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	if (cfg->path)
		fd = cfg->listen ? open_server(cfg->path) : open_socket(cfg->path, false);
	if (fd < 0) {
		free(s);
		return err_set(e, -fd, "%s: %s", cfg->path, strerror(-fd));
	}
	s->back.ops = &stream_ops;
	s->back.info = (struct net_info){ .pairs = 1 };
	s->r = r;
	s->cfg = *cfg;
	s->io = (struct reactor_io){ .cb = on_io, .fd = -1 };
	s->listen = (struct reactor_io){ .cb = on_listen, .fd = -1 };
	s->again.cb = on_again;
	s->later.cb = on_later;
	if (cfg->listen) {
		s->listen.fd = fd;
		try_later(s);
	} else {
		link_up(s, fd);
		/* The front starts with what it finds. */
		s->link_said = true;
	}
	*ret = &s->back;
	return 0;
}
