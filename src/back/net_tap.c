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
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "net.h"
#include "net_back.h"
#include "net_tap.h"
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
	struct net_vhost *vhost;   /* NULL: packets pass through here */
	struct net_tap_fds fds;
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
	for (unsigned i = 0; i < t->fds.n; i++)
		reactor_io_stop(t->r, &t->queue[i].io);
}

/* Somebody deleted the interface.  The front hears of it from the loop, not from here. */
static void
lost(struct tap *t)
{
	if (!t->back.info.link)
		return;
	log_warn("tap '%s' is gone; the guest's link is down", t->fds.name);
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

	for (unsigned i = 1; i < t->fds.n && b->info.link && !err; i++)
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

/*
 * Sending to an interface that is gone is an error of the ring to the kernel's vhost.  Once
 * the link is down the two cannot be told apart, and no ring leads anywhere.
 */
static void
tap_broken(void *arg)
{
	struct tap *t = arg;
	struct ifreq ifr;

	if (!t->back.info.link)
		return;
	if (ioctl(t->fds.fd[0], TUNGETIFF, &ifr) && errno == EBADFD)
		lost(t);
	else if (t->back.front)
		t->back.front->broken(t->back.dev);
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
	net_tap_close(&t->fds);
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

/* ---- making one ---- */

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

static void
set_up(struct tap *t)
{
	unsigned offloads = probe_offloads(t->fds.fd[0]);

	for (unsigned i = 0; i < t->fds.n; i++)
		t->queue[i] = (struct tap_queue){
			.io = { .cb = on_io, .fd = t->fds.fd[i] },
			.tap = t,
			.pair = i,
			.attached = true,
		};
	t->back.ops = &ops;
	t->back.info = (struct net_info){
		.pairs = t->fds.n,
		.rx_offloads = offloads,
		.tx_offloads = offloads,
		.mtu = t->fds.mtu,
		.link = true,
	};
}

static int
set_up_vhost(struct tap *t, const struct memory *mem, struct err *e)
{
	const struct net_vhost_config vc = {
		.name = t->fds.name,
		.broken = tap_broken,
		.arg = t,
		.mem = mem,
		.tap = t->fds.fd,
		.pairs = t->fds.n,
		.sys = &vhost_sys,
	};
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
	rc = net_tap_open(cfg, &t->fds, e);
	if (rc == 0) {
		set_up(t);
		rc = cfg->vhost ? set_up_vhost(t, cfg->mem, e) : 0;
	}
	if (rc) {
		tap_free(&t->back);
		return rc;
	}
	*ret = &t->back;
	return 0;
}
