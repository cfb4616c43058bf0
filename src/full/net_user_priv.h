/* SPDX-License-Identifier: ISC */
/*
 * User networking from the inside: net_user.c (the back), net_user_watch.c (the sockets
 * of libslirp in the reactor), net_user_queue.c (packets on their way to the guest) and
 * net_user_filter.c (what of the guest's frames libslirp gets to see).
 */
#ifndef VMM_FULL_NET_USER_H
#define VMM_FULL_NET_USER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "net_user.h"
#include "reactor.h"

enum {
	USER_FRAME_MAX = NET_USER_MTU + 14,
	/* Of the host, for one link: what is left is for the other devices. */
	USER_SOCKETS_MAX = 256,
};

/* ---- net_user_filter.c: pure ---- */

/* May libslirp see this frame of the guest? */
bool user_filter_pass(const uint8_t *frame, size_t len);

/* ---- net_user_queue.c: pure ---- */

/*
 * Packets on their way to the guest.  Above USER_QUEUE_HIGH nothing is read from the host's
 * sockets, which stops their senders, until there are USER_QUEUE_LOW; the rest up to
 * USER_QUEUE_MAX is for what is on its way already.  Beyond, packets are lost.
 */
enum { USER_QUEUE_LOW = 64, USER_QUEUE_HIGH = 256, USER_QUEUE_MAX = 1024 };

struct user_packet;

struct user_queue {
	struct user_packet *first, **last;
	unsigned count;
};

void user_queue_init(struct user_queue *q);
void user_queue_fini(struct user_queue *q);
void user_queue_push(struct user_queue *q, const void *frame, size_t len);
/* As recv() of net.h, with the header of a packet that needs nothing. */
ssize_t user_queue_pop(struct user_queue *q, const struct iovec *iov, unsigned niov);

/* ---- net_user_watch.c ---- */

/* A descriptor of libslirp; the table is indexed by it. */
struct user_fd {
	uint32_t wanted; /* by libslirp at the last fill: SLIRP_POLL_ */
	uint32_t kernel; /* what epoll has been told */
	uint32_t ready;  /* what epoll said */
	unsigned fill;   /* number of the last fill that had it */
	bool listed;
	bool counted;  /* one of nsocket */
	bool listener; /* of a forward: makes new sockets */
};

/*
 * An epoll instance within that of the reactor: libslirp says anew in each pass what it
 * wants of each socket, and only changes cost a system call.
 */
struct user_watch {
	struct reactor *r;
	struct reactor_io io; /* the epoll descriptor; the owner sets its cb */
	struct user_fd *fd;
	unsigned nfd; /* in the table */
	int *list;    /* the descriptors that epoll may know */
	unsigned nlist, list_max;
	unsigned fill;
	unsigned nsocket;
	bool paused; /* nothing is read from the host */
};

int user_watch_init(struct user_watch *w, struct reactor *r);
void user_watch_fini(struct user_watch *w);

/* Between begin and end libslirp names what it wants, by want; then epoll is told. */
void user_watch_begin(struct user_watch *w);
int user_watch_want(struct user_watch *w, int fd, int events);
void user_watch_end(struct user_watch *w);

/* Asks epoll what is ready. */
void user_watch_look(struct user_watch *w);
/* What libslirp is told of it, once. */
int user_watch_take(struct user_watch *w, int fd);

/* A socket was made, or is about to be closed. */
void user_watch_open(struct user_watch *w, int fd);
void user_watch_close(struct user_watch *w, int fd);
/* Those that there are now belong to forwards. */
void user_watch_mark_listeners(struct user_watch *w);

static inline bool
user_watch_full(const struct user_watch *w)
{
	return w->nsocket >= USER_SOCKETS_MAX;
}

#endif
