/* SPDX-License-Identifier: ISC */
/*
 * The back of user networking: libslirp in the reactor. See net_user.h.
 *
 * What the guest sends goes straight into libslirp.  What libslirp sends is pushed and
 * the front pulls, so there is a queue between them.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "err.h"
#include "log.h"
#include "net.h"
#include "net_user.h"
#include "net_user_priv.h"
#include "util.h"

enum { TIMEOUT_IDLE_MS = 1000 }; /* what libslirp says when it waits for nothing */

struct user_timer {
	struct reactor_timer t;
	struct net_user *u;
	SlirpTimerId id;
	void *cb_opaque;
};

struct net_user {
	struct net_back back;
	struct reactor *r;
	Slirp *slirp;
	const char *name;
	struct ratelimit said;
	struct user_watch watch;
	struct reactor_timer timer; /* of libslirp's TCP */
	struct reactor_defer turn;
	bool look; /* a socket is ready */
	bool want_rx, want_tx;
	struct user_queue queue;       /* to the guest */
	uint8_t frame[NET_PACKET_MAX]; /* of the guest, in one piece */
};

static struct net_user *
of_back(struct net_back *b)
{
	return container_of(b, struct net_user, back);
}

/* ---- what libslirp asks for ---- */

static ssize_t
cb_send_packet(const void *buf, size_t len, void *opaque)
{
	struct net_user *u = opaque;

	/* What does not fit any more is lost. */
	user_queue_push(&u->queue, buf, len);
	if (u->queue.count >= USER_QUEUE_HIGH)
		u->watch.paused = true;
	reactor_defer(u->r, &u->turn);
	return (ssize_t)len;
}

static void
cb_guest_error(const char *msg, void *opaque)
{
	struct net_user *u = opaque;

	log_guest(&u->said, u->name, "%s", msg);
}

static int64_t
cb_clock_get_ns(void *opaque)
{
	struct net_user *u = opaque;

	return (int64_t)reactor_now_ns(u->r);
}

static void
on_slirp_timer(struct reactor_timer *t)
{
	struct user_timer *ut = container_of(t, struct user_timer, t);

	slirp_handle_timer(ut->u->slirp, ut->id, ut->cb_opaque);
}

static void *
cb_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	struct user_timer *ut = calloc(1, sizeof(*ut));

	if (!ut)
		return NULL;
	ut->t.cb = on_slirp_timer;
	ut->u = opaque;
	ut->id = id;
	ut->cb_opaque = cb_opaque;
	return ut;
}

static void
cb_timer_free(void *timer, void *opaque)
{
	struct net_user *u = opaque;
	struct user_timer *ut = timer;

	if (!ut)
		return;
	reactor_timer_cancel(u->r, &ut->t);
	free(ut);
}

static void
cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct net_user *u = opaque;
	struct user_timer *ut = timer;

	if (ut)
		reactor_timer_set(u->r, &ut->t, (uint64_t)expire_ms * 1000000);
}

static void
cb_register(int fd, void *opaque)
{
	struct net_user *u = opaque;

	user_watch_open(&u->watch, fd);
}

static void
cb_unregister(int fd, void *opaque)
{
	struct net_user *u = opaque;

	user_watch_close(&u->watch, fd);
}

static void
cb_notify(void *opaque)
{
	struct net_user *u = opaque;

	reactor_defer(u->r, &u->turn);
}

/* The timer of router advertisements is made while there is no Slirp * to be had yet. */
static void
cb_init_completed(Slirp *slirp, void *opaque)
{
	struct net_user *u = opaque;

	u->slirp = slirp;
}

static const SlirpCb slirp_cb = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock_get_ns,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register,
	.unregister_poll_fd = cb_unregister,
	.notify = cb_notify,
	.init_completed = cb_init_completed,
	.timer_new_opaque = cb_timer_new,
};

/* ---- a turn of libslirp: once for all that happened in a pass ---- */

static int
add_poll(int fd, int events, void *opaque)
{
	return user_watch_want(opaque, fd, events);
}

static int
get_revents(int fd, void *opaque)
{
	return user_watch_take(opaque, fd);
}

/* Asks libslirp what it waits for. */
static void
fill(struct net_user *u)
{
	uint32_t timeout_ms = UINT32_MAX;

	user_watch_begin(&u->watch);
	slirp_pollfds_fill(u->slirp, &timeout_ms, add_poll, &u->watch);
	user_watch_end(&u->watch);
	if (timeout_ms < TIMEOUT_IDLE_MS)
		reactor_timer_set(u->r, &u->timer,
				  reactor_now_ns(u->r) + timeout_ms * 1000000ull);
	else
		reactor_timer_cancel(u->r, &u->timer);
}

/*
 * Each slirp_pollfds_poll() is followed by a fill before the next: libslirp asserts that
 * what it is told to read was wanted.
 */
static void
on_turn(struct reactor_defer *d)
{
	struct net_user *u = container_of(d, struct net_user, turn);

	if (u->look)
		user_watch_look(&u->watch);
	u->look = false;
	slirp_pollfds_poll(u->slirp, 0, get_revents, &u->watch);
	fill(u);
	if (u->want_tx && u->back.front)
		u->back.front->writable(u->back.dev, 0);
	if (u->want_rx && u->queue.first && u->back.front) {
		u->back.front->readable(u->back.dev, 0);
		/* It may have had enough for now. */
		if (u->want_rx && u->queue.first)
			reactor_defer(u->r, &u->turn);
	}
}

static void
on_ready(struct reactor_io *io, unsigned events)
{
	struct net_user *u = container_of(io, struct net_user, watch.io);

	(void)events;
	u->look = true;
	reactor_defer(u->r, &u->turn);
}

static void
on_timer(struct reactor_timer *t)
{
	struct net_user *u = container_of(t, struct net_user, timer);

	reactor_defer(u->r, &u->turn);
}

/* ---- the back ---- */

/*
 * The guest makes a socket of the host by sending a packet from a new port.  When it has
 * all that it may have, socket() fails as if the process had no more, which libslirp
 * answers to the guest as unreachable.  No other thread opens descriptors.
 */
static void
input_without_sockets(struct net_user *u, size_t len)
{
	struct rlimit old, none;

	if (getrlimit(RLIMIT_NOFILE, &old))
		return;
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &none))
		return;
	slirp_input(u->slirp, u->frame, (int)len);
	int rc = setrlimit(RLIMIT_NOFILE, &old);
	assert(rc == 0); /* it is what it was */
}

static int
user_send(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct net_user *u = of_back(b);
	size_t len = 0, skip = NET_HDR_LEN;

	(void)pair;
	for (unsigned i = 0; i < niov; i++) {
		size_t off = iov[i].iov_len < skip ? iov[i].iov_len : skip;
		size_t n = iov[i].iov_len - off;

		skip -= off;
		if (n > sizeof(u->frame) - len)
			return 0;
		memcpy(u->frame + len, (const uint8_t *)iov[i].iov_base + off, n);
		len += n;
	}
	if (!user_filter_pass(u->frame, len))
		return 0;
	if (user_watch_full(&u->watch))
		input_without_sockets(u, len);
	else
		slirp_input(u->slirp, u->frame, (int)len);
	reactor_defer(u->r, &u->turn);
	return 0;
}

static ssize_t
user_recv(struct net_back *b, unsigned pair, const struct iovec *iov, unsigned niov)
{
	struct net_user *u = of_back(b);

	(void)pair;
	ssize_t ret = user_queue_pop(&u->queue, iov, niov);
	if (u->watch.paused && u->queue.count <= USER_QUEUE_LOW) {
		u->watch.paused = false;
		reactor_defer(u->r, &u->turn);
	}
	return ret;
}

static void
user_want(struct net_back *b, unsigned pair, bool rx, bool tx)
{
	struct net_user *u = of_back(b);

	(void)pair;
	u->want_rx = rx;
	u->want_tx = tx;
	if ((rx && u->queue.first) || tx)
		reactor_defer(u->r, &u->turn);
}

static void
user_free(struct net_back *b)
{
	struct net_user *u = of_back(b);

	if (u->slirp)
		slirp_cleanup(u->slirp);
	user_queue_fini(&u->queue);
	user_watch_fini(&u->watch);
	reactor_timer_cancel(u->r, &u->timer);
	reactor_defer_cancel(u->r, &u->turn);
	free(u);
}

static const struct net_back_ops user_ops = {
	.send = user_send,
	.recv = user_recv,
	.want = user_want,
	.free = user_free,
};

/* ---- making it ---- */

static socklen_t
addr_len(const union net_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static int
add_forwards(struct net_user *u, const struct net_user_config *cfg, bool udp,
	     struct err *e)
{
	for (unsigned i = 0; i < cfg->nforward; i++) {
		const struct net_forward *f = &cfg->forward[i];
		bool v6 = f->host.sa.sa_family == AF_INET6;
		int flags =
			(udp ? SLIRP_HOSTFWD_UDP : 0) | (v6 ? SLIRP_HOSTFWD_V6ONLY : 0);
		char text[INET6_ADDRSTRLEN] = "";
		int errnum;

		if (f->udp != udp)
			continue;
		errno = 0;
		if (slirp_add_hostxfwd(u->slirp, &f->host.sa, addr_len(&f->host),
				       &f->guest.sa, addr_len(&f->guest), flags) == 0)
			continue;
		errnum = errno ? errno : EADDRINUSE;
		inet_ntop(f->host.sa.sa_family,
			  v6 ? (const void *)&f->host.in6.sin6_addr
			     : (const void *)&f->host.in.sin_addr,
			  text, sizeof(text));
		return err_set(e, errnum, "cannot listen on %s port %u: %s", text,
			       ntohs(v6 ? f->host.in6.sin6_port : f->host.in.sin_port),
			       strerror(errnum));
	}
	return 0;
}

static int
start(struct net_user *u, const struct net_user_config *cfg, struct err *e)
{
	SlirpConfig sc = {
		.version = 4,
		.restricted = cfg->restricted,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = 64,
		.if_mtu = NET_USER_MTU,
		.if_mru = NET_USER_MTU,
		.disable_host_loopback = !cfg->host_loopback,
	};

	inet_pton(AF_INET, "10.0.2.0", &sc.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &sc.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &sc.vhost);
	inet_pton(AF_INET, "10.0.2.3", &sc.vnameserver);
	inet_pton(AF_INET, "10.0.2.15", &sc.vdhcp_start);
	inet_pton(AF_INET6, "fec0::", &sc.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &sc.vhost6);
	inet_pton(AF_INET6, "fec0::3", &sc.vnameserver6);
	u->slirp = slirp_new(&sc, &slirp_cb, u);
	if (!u->slirp)
		return err_set(e, ENOMEM, "user network: out of memory");

	int rc = add_forwards(u, cfg, false, e);

	if (rc)
		return rc;
	fill(u);
	user_watch_mark_listeners(&u->watch);
	return add_forwards(u, cfg, true, e);
}

int
net_user_new(struct reactor *r, const struct net_user_config *cfg, struct net_back **ret,
	     struct err *e)
{
	struct net_user *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ENOMEM, "user network: out of memory");
	u->back.ops = &user_ops;
	u->back.info = (struct net_info){ .pairs = 1, .mtu = NET_USER_MTU, .link = true };
	u->r = r;
	u->name = cfg->name;
	user_queue_init(&u->queue);
	u->timer.cb = on_timer;
	u->turn.cb = on_turn;
	u->watch.io.cb = on_ready;
	rc = user_watch_init(&u->watch, r);
	if (rc) {
		free(u);
		return err_set(e, -rc, "user network: %s", strerror(-rc));
	}
	rc = start(u, cfg, e);
	if (rc) {
		user_free(&u->back);
		return rc;
	}
	reactor_defer(r, &u->turn);
	*ret = &u->back;
	return 0;
}
