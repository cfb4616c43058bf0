/* SPDX-License-Identifier: ISC */
/*
 * The stream socket of a network link under a hostile peer, while the front sends,
 * receives into iovecs of any shape and changes its mind.  A second reader of the stream
 * says what must come out.
 *
 *	steps: operation, argument; operation 0 takes argument bytes of what follows
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "fuzz.h"
#include "log.h"
#include "net.h"
#include "net_stream.h"
#include "util.h"

#include "../unit/fake_reactor.c"

enum { STREAM_MAX = 1 << 16, FRAME_MAX = NET_PACKET_MAX - NET_HDR_LEN };

struct run {
	struct fake_reactor fr;
	struct net_back *back;
	int peer;
	/* What the peer sent, and how far it has been received. */
	size_t sent, received;
	unsigned links;
};

static uint8_t stream[STREAM_MAX];

static void
on_link(void *dev)
{
	((struct run *)dev)->links++;
}

/* What recv() must give now: the length of a whole frame, or 0. */
static uint32_t
expected(const struct run *x)
{
	uint32_t be;

	if (x->sent - x->received < 4)
		return 0;
	memcpy(&be, stream + x->received, 4);
	uint32_t len = ntohl(be);
	return len <= FRAME_MAX && x->sent - x->received - 4 >= len ? len : 0;
}

static void
receive(struct run *x, uint8_t arg)
{
	static uint8_t buf[NET_PACKET_MAX];
	size_t cut = arg & 15, room = arg & 0x80 ? arg : sizeof(buf);
	struct iovec iov[3] = { { buf, cut }, { buf, 0 }, { buf + cut, room - cut } };
	bool up = x->back->info.link;
	uint32_t len = up ? expected(x) : 0;
	ssize_t n = x->back->ops->recv(x->back, 0, iov, 3);

	if (len == 0) {
		CHECK(n == -EAGAIN);
	} else if (len + NET_HDR_LEN > room) {
		CHECK(n == -EMSGSIZE);
		x->received += 4 + len;
	} else {
		CHECK(n == (ssize_t)(NET_HDR_LEN + len));
		CHECK(memcmp(buf + NET_HDR_LEN, stream + x->received + 4, len) == 0);
		x->received += 4 + len;
	}
}

static void
readable(void *dev, unsigned pair)
{
	(void)pair;
	receive(dev, 0);
}

static void
writable(void *dev, unsigned pair)
{
	struct run *x = dev;

	(void)pair;
	x->back->ops->want(x->back, 0, true, false);
}

static void
send_frame(struct run *x, uint8_t arg)
{
	static uint8_t buf[NET_PACKET_MAX + 300];
	size_t len = arg & 1 ? arg * 300u : arg;
	struct iovec iov[2] = { { buf, arg & 7 }, { buf + (arg & 7), len } };
	int rc = x->back->ops->send(x->back, 0, iov, 2);

	CHECK(rc == 0 || rc == -EAGAIN);
	CHECK(rc == 0 || x->back->info.link);
}

static void
step(struct run *x, uint8_t op, uint8_t arg)
{
	uint8_t buf[4096];

	switch (op % 8) {
	case 1:
		receive(x, arg);
		break;
	case 2:
		send_frame(x, arg);
		break;
	case 3:
		x->back->ops->want(x->back, 0, arg & 1, arg & 2);
		break;
	case 4:
		(void)!recv(x->peer, buf, sizeof(buf), MSG_DONTWAIT);
		break;
	case 5:
		if (arg == 0)
			shutdown(x->peer, SHUT_RDWR);
		break;
	default:
		fake_reactor_io(&x->fr, 0);
		fake_reactor_deferred(&x->fr);
		break;
	}
}

/* As much as argument says of the rest of the input. */
static size_t
peer_sends(struct run *x, uint8_t arg, const uint8_t *data, size_t size)
{
	size_t len = arg < size ? arg : size;
	ssize_t n;

	if (len > STREAM_MAX - x->sent)
		return len;
	n = send(x->peer, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		memcpy(stream + x->sent, data, (size_t)n);
		x->sent += (size_t)n;
	}
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct net_front_ops front = { .readable = readable,
						    .writable = writable,
						    .link = on_link };
	struct run x = { .fr = { .now_ns = NSEC_PER_SEC } };
	struct err e = { 0 };
	int fd[2];

	log_set_level(LOG_ERROR);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	x.peer = fd[1];
	CHECK(net_stream_new(fake_reactor(&x.fr),
			     &(struct net_stream_config){ .name = "net0", .fd = fd[0] },
			     &x.back, &e) == 0);
	x.back->front = &front;
	x.back->dev = &x;
	while (size >= 2) {
		uint8_t op = data[0], arg = data[1];

		data += 2;
		size -= 2;
		if (op % 8 == 0) {
			size_t n = peer_sends(&x, arg, data, size);

			data += n;
			size -= n;
		} else {
			step(&x, op, arg);
		}
	}
	CHECK(x.links <= 2); /* up, and down for good */
	x.back->ops->free(x.back);
	CHECK(fake_reactor_ntimers(&x.fr) == 0 && fake_reactor_deferred(&x.fr) == 0);
	close(x.peer);
	return 0;
}
