/* SPDX-License-Identifier: ISC */
/*
 * A tap interface as a network link: Documentation/networking/tuntap.rst of Linux.
 *
 * Packets have a virtio_net_hdr before them (IFF_VNET_HDR), so that checksums and
 * segmentation are the host's to do, or nobody's if they go on to another guest.  Each
 * pair of queues is a descriptor of the same interface.  vmm configures no addresses, and
 * an interface that it made goes with its last descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "net.h"
#include "net_back.h"
#include "net_vhost.h"
#include "reactor.h"
#include "util.h"
#include "vhost.h"
#include "virtio_lent.h"

/* Since Linux 6.2; Debian 12's headers are older. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	PIECES_MAX = 1024, /* UIO_MAXIOV */
	STALE_MAX = 4096,  /* more packets than a tap holds by default */
	/* Up to this a packet is copied once more: a vector costs the kernel more than that. */
	COPY_MAX = 4096,
};

struct tap;

struct tap_queue {
	struct reactor_io io;
	struct tap *tap;
	unsigned pair;
	bool attached;
};

struct tap {
	struct net_back back;
	struct reactor *r;
	struct reactor_defer gone; /* tells the front */
	char name[IFNAMSIZ];
	struct net_vhost *vhost; /* NULL: packets pass through here */
	unsigned n;              /* queues with a descriptor */
	struct tap_queue queue[NET_QUEUES_MAX];
};

static struct tap *
tap_of(struct net_back *b)
{
	return container_of(b, struct tap, back);
}

static unsigned
tun_offloads(unsigned offloads)
{
	static const struct {
		unsigned offload, flag;
	} table[] = {
		{ NET_OFFLOAD_CSUM, TUN_F_CSUM }, { NET_OFFLOAD_TSO4, TUN_F_TSO4 },
		{ NET_OFFLOAD_TSO6, TUN_F_TSO6 }, { NET_OFFLOAD_ECN, TUN_F_TSO_ECN },
		{ NET_OFFLOAD_USO4, TUN_F_USO4 }, { NET_OFFLOAD_USO6, TUN_F_USO6 },
	};
	unsigned flags = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (offloads & table[i].offload)
			flags |= table[i].flag;
	return flags;
}

/* ---- packets ---- */

static void
stop_watching(struct tap *t)
{
	for (unsigned i = 0; i < t->n; i++)
		reactor_io_stop(t->r, &t->queue[i].io);
}

/* Somebody deleted the interface.  The front hears of it from the loop, not from here. */
static void
lost(struct tap *t)
{
	if (!t->back.info.link)
		return;
	log_warn("tap '%s' is gone; the guest's link is down", t->name);
	t->back.info.link = false;
	stop_watching(t);
	reactor_defer(t->r, &t->gone);
}

static void
on_gone(struct reactor_defer *d)
{
	struct tap *t = container_of(d, struct tap, gone);

	if (t->back.front)
		t->back.front->link(t->back.dev);
}

static uint64_t
len_of(const struct iovec *iov, unsigned niov)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

static ssize_t
write_packet(int fd, const struct iovec *iov, unsigned niov)
{
	uint8_t buf[COPY_MAX], *p = buf;

	if (len_of(iov, niov) > sizeof(buf))
		return writev(fd, iov, (int)niov);
	for (unsigned i = 0; i < niov; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	return write(fd, buf, (size_t)(p - buf));
}

static int
tap_send(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct tap *t = tap_of(b);
	ssize_t n;

	if (!b->info.link)
		return -ENETDOWN;
	do
		n = write_packet(t->queue[pair].io.fd, iov, niov);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	int err = errno;
	if (err == EBADFD)
		lost(t);
	/* EIO: the interface is down, that may change. */
	return -err;
}

/* Up to len bytes, or len + 1 and nothing in the pieces. */
static ssize_t
read_copied(int fd, const struct iovec *iov, size_t len)
{
	uint8_t buf[COPY_MAX + 1];
	const uint8_t *p = buf;
	ssize_t n = read(fd, buf, len + 1);
	size_t left = n > 0 && (size_t)n <= len ? (size_t)n : 0;

	for (; left > 0; iov++) {
		size_t m = iov->iov_len < left ? iov->iov_len : left;

		memcpy(iov->iov_base, p, m);
		p += m;
		left -= m;
	}
	return n;
}

static ssize_t
read_pieces(int fd, const struct iovec *iov, unsigned niov)
{
	struct iovec more[PIECES_MAX];
	uint8_t byte;

	memcpy(more, iov, niov * sizeof(*iov));
	more[niov] = (struct iovec){ .iov_base = &byte, .iov_len = 1 };
	return readv(fd, more, (int)niov + 1);
}

/*
 * A packet that is longer than there is room is cut without a word: one byte more tells.
 * -EMSGSIZE then.
 */
static ssize_t
read_packet(int fd, const struct iovec *iov, unsigned niov)
{
	uint64_t len = len_of(iov, niov);
	ssize_t n;

	if (len >= NET_HDR_LEN + NET_PACKET_MAX || niov >= PIECES_MAX)
		return readv(fd, iov, (int)niov);
	n = len <= COPY_MAX ? read_copied(fd, iov, len) : read_pieces(fd, iov, niov);
	if (n >= 0 && (uint64_t)n > len) {
		errno = EMSGSIZE;
		return -1;
	}
	return n;
}

static ssize_t
tap_recv(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct tap *t = tap_of(b);
	ssize_t n;

	if (!b->info.link)
		return -EAGAIN;
	do
		n = read_packet(t->queue[pair].io.fd, iov, niov);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EMSGSIZE)
		return -EMSGSIZE;
	if (errno == EBADFD)
		lost(t);
	return -EAGAIN;
}

static void
tap_want(struct net_back *b, unsigned pair, bool rx, bool tx)
{
	struct tap *t = tap_of(b);
	unsigned events = (rx ? REACTOR_READ : 0) | (tx ? REACTOR_WRITE : 0);

	reactor_io_start(t->r, &t->queue[pair].io, b->info.link ? events : 0);
}

static void
on_io(struct reactor_io *io, unsigned events)
{
	struct tap_queue *q = container_of(io, struct tap_queue, io);
	struct net_back *b = &q->tap->back;

	if (events & REACTOR_READ)
		b->front->readable(b->dev, q->pair);
	if (events & REACTOR_WRITE)
		b->front->writable(b->dev, q->pair);
}

/* ---- offloads and queues ---- */

/* An interface that is gone is a link that is down, and takes whatever it is told. */
static int
tap_ioctl(struct tap *t, int fd, unsigned long request, unsigned long arg)
{
	if (!t->back.info.link || ioctl(fd, request, arg) == 0)
		return 0;
	if (errno != EBADFD)
		return -errno;
	lost(t);
	return 0;
}

static int
tap_set_rx_offloads(struct net_back *b, unsigned offloads)
{
	struct tap *t = tap_of(b);

	return tap_ioctl(t, t->queue[0].io.fd, TUNSETOFFLOAD, tun_offloads(offloads));
}

static int
set_attached(struct tap_queue *q, bool on)
{
	struct ifreq ifr = {
		.ifr_flags = (short)(on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE),
	};

	if (q->attached == on)
		return 0;
	if (ioctl(q->io.fd, TUNSETQUEUE, &ifr))
		return -errno;
	q->attached = on;
	return 0;
}

/* The host spreads packets over the queues that are attached. */
static int
tap_set_pairs(struct net_back *b, unsigned pairs)
{
	struct tap *t = tap_of(b);
	int err = 0;

	for (unsigned i = 1; i < t->n && b->info.link && !err; i++)
		err = set_attached(&t->queue[i], i < pairs);
	return err;
}

/* ---- rings, with vhost ---- */

/* What came before the guest was ready may be in segments that it does not take. */
static void
drop_stale(int fd)
{
	uint8_t buf[NET_HDR_LEN];
	unsigned left = STALE_MAX;

	while (left-- > 0 && (read(fd, buf, sizeof(buf)) >= 0 || errno == EINVAL))
		;
}

static int
tap_ring_start(struct net_back *b, unsigned pair, enum net_dir dir,
	       const struct virtio_lent *ring)
{
	struct tap *t = tap_of(b);
	int fd = t->queue[pair].io.fd;
	int len = (int)net_vhost_hdr_len(ring->features);
	/* The same for all queues, and the kernel's vhost does not set it. */
	int err = tap_ioctl(t, fd, TUNSETVNETHDRSZ, (uintptr_t)&len);

	if (err)
		return err;
	if (dir == NET_RX)
		drop_stale(fd);
	return net_vhost_start(t->vhost, pair, dir, ring);
}

static uint16_t
tap_ring_stop(struct net_back *b, unsigned pair, enum net_dir dir)
{
	return net_vhost_stop(tap_of(b)->vhost, pair, dir);
}

static void
tap_free(struct net_back *b)
{
	struct tap *t = tap_of(b);

	net_vhost_free(t->vhost);
	reactor_defer_cancel(t->r, &t->gone);
	stop_watching(t);
	for (unsigned i = 0; i < t->n; i++)
		close(t->queue[i].io.fd);
	free(t);
}

static const struct net_back_ops ops = {
	.send = tap_send,
	.recv = tap_recv,
	.want = tap_want,
	.set_rx_offloads = tap_set_rx_offloads,
	.set_pairs = tap_set_pairs,
	.ring_start = tap_ring_start,
	.ring_stop = tap_ring_stop,
	.free = tap_free,
};

/* ---- open ---- */

static void
add_queue(struct tap *t, int fd)
{
	struct tap_queue *q = &t->queue[t->n];

	*q = (struct tap_queue){
		.io = { .cb = on_io, .fd = fd },
		.tap = t,
		.pair = t->n,
		.attached = true,
	};
	t->n++;
}

static int
open_tun(const char *name, struct err *e)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int rc = errno;

	if (fd >= 0)
		return fd;
	return err_set(e, rc, "tap '%s': /dev/net/tun: %s%s", name, strerror(rc),
		       rc == ENOENT || rc == ENODEV || rc == ENXIO
			       ? "; load the kernel module 'tun'"
			       : "");
}

static int
refuse_interface(const char *name, int rc, bool multi, struct err *e)
{
	switch (rc) {
	case EPERM:
		return err_set(e, rc,
			       "tap '%s': not permitted; as root, run: ip tuntap add %s "
			       "mode tap vnet_hdr user NAME",
			       name, name);
	case EBUSY:
		return err_set(e, rc, "tap '%s' is used by another process", name);
	case EINVAL:
		return err_set(e, rc, "tap '%s' is no tap interface%s", name,
			       multi ? " with multi_queue, which more than one queue need"
				     : "");
	default:
		return err_set(e, rc, "tap '%s': %s", name, strerror(rc));
	}
}

/*
 * One queue of the interface.  Whether a persistent interface has several is decided by
 * who made it, and one queue can be had of either kind.
 */
static int
attach(int fd, const char *name, bool multi, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	int rc = errno;
	if (rc == EINVAL && !multi) {
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
		if (ioctl(fd, TUNSETIFF, &ifr) == 0)
			return 0;
	}
	return refuse_interface(name, rc, multi, e);
}

static int
open_queues(struct tap *t, const struct net_tap_config *cfg, struct err *e)
{
	int rc = 0;

	if (strlen(cfg->name) >= IFNAMSIZ)
		return err_set(e, EINVAL, "tap '%s': a name has at most %d bytes",
			       cfg->name, IFNAMSIZ - 1);
	while (rc == 0 && t->n < cfg->pairs) {
		int fd = open_tun(cfg->name, e);

		if (fd < 0)
			return fd;
		add_queue(t, fd);
		rc = attach(fd, cfg->name, cfg->pairs > 1, e);
	}
	return rc;
}

/* The caller's may be closed, and a second machine may be made of it after a reset. */
static int
take_fd(struct tap *t, int fd, struct err *e)
{
	const int need = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq ifr = { 0 };
	int mine;

	if (ioctl(fd, TUNGETIFF, &ifr))
		return err_set(e, EINVAL, "descriptor %d is no tap interface", fd);
	if ((ifr.ifr_flags & need) != need)
		return err_set(e, EINVAL,
			       "descriptor %d (tap '%.15s') was not opened with "
			       "IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			       fd, ifr.ifr_name);
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (mine < 0)
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	add_queue(t, mine);
	if (fcntl(mine, F_SETFL, fcntl(mine, F_GETFL) | O_NONBLOCK))
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	return 0;
}

/* Of the interface in our network namespace; 0 if a descriptor came from another. */
static uint16_t
mtu_of(const char *name)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		ifr.ifr_mtu = 0;
	close(fd);
	return ifr.ifr_mtu > 0 && ifr.ifr_mtu <= UINT16_MAX ? (uint16_t)ifr.ifr_mtu : 0;
}

/* What this kernel can do; none until the front asks for it. */
static unsigned
probe_offloads(int fd)
{
	static const unsigned tries[] = {
		NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN |
			NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6,
		NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN,
		NET_OFFLOAD_CSUM,
	};
	unsigned i = 0;

	while (i < ARRAY_SIZE(tries) &&
	       ioctl(fd, TUNSETOFFLOAD, (unsigned long)tun_offloads(tries[i])))
		i++;
	(void)ioctl(fd, TUNSETOFFLOAD, 0ul);
	return i < ARRAY_SIZE(tries) ? tries[i] : 0;
}

static int
set_up(struct tap *t, struct err *e)
{
	int len = NET_HDR_LEN;
	struct ifreq ifr = { 0 };

	for (unsigned i = 0; i < t->n; i++) {
		int fd = t->queue[i].io.fd;

		if (ioctl(fd, TUNSETVNETHDRSZ, &len) || ioctl(fd, TUNGETIFF, &ifr))
			return err_set(e, errno, "tap '%s': %s", t->name,
				       strerror(errno));
	}
	snprintf(t->name, sizeof(t->name), "%.15s", ifr.ifr_name);
	unsigned offloads = probe_offloads(t->queue[0].io.fd);
	t->back.ops = &ops;
	t->back.info = (struct net_info){
		.pairs = t->n,
		.rx_offloads = offloads,
		.tx_offloads = offloads,
		.mtu = mtu_of(t->name),
		.link = true,
	};
	return 0;
}

static int
set_up_vhost(struct tap *t, const struct net_tap_config *cfg, struct err *e)
{
	int fd[NET_QUEUES_MAX];
	const struct net_vhost_config vc = {
		.back = &t->back,
		.name = t->name,
		.mem = cfg->mem,
		.tap = fd,
		.pairs = t->n,
		.sys = &vhost_sys,
	};

	for (unsigned i = 0; i < t->n; i++)
		fd[i] = t->queue[i].io.fd;
	int rc = net_vhost_new(t->r, &vc, &t->vhost, e);
	if (rc)
		return rc;
	t->back.info.rings = true;
	t->back.info.rings_lack = net_vhost_lacks(t->vhost);
	return 0;
}

int
net_tap_new(struct reactor *r, const struct net_tap_config *cfg, struct net_back **ret,
	    struct err *e)
{
	struct tap *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return err_set(e, ENOMEM, "no memory for a tap");
	t->r = r;
	t->gone.cb = on_gone;
	rc = cfg->name ? open_queues(t, cfg, e) : take_fd(t, cfg->fd, e);
	if (rc == 0)
		rc = set_up(t, e);
	if (rc == 0 && cfg->vhost)
		rc = set_up_vhost(t, cfg, e);
	if (rc) {
		tap_free(&t->back);
		return rc;
	}
	*ret = &t->back;
	return 0;
}
