/* SPDX-License-Identifier: ISC */
/* The back of a stream socket, with a peer at the other end of a socketpair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "fake_reactor.h"
#include "log.h"
#include "net.h"
#include "net_stream.h"
#include "util.h"

enum { FRAME_MAX = NET_PACKET_MAX - NET_HDR_LEN };

struct fix {
	struct fake_reactor fr;
	struct net_back *back;
	int peer;
	unsigned readable, writable, link;
	uint8_t got[NET_PACKET_MAX + 1];
	char path[64];
};

static void
on_readable(void *dev, unsigned pair)
{
	struct fix *x = dev;

	assert_int_equal(pair, 0);
	x->readable++;
	x->back->ops->want(x->back, 0, false, false);
}

static void
on_writable(void *dev, unsigned pair)
{
	struct fix *x = dev;

	assert_int_equal(pair, 0);
	x->writable++;
	x->back->ops->want(x->back, 0, false, false);
}

static void
on_link(void *dev)
{
	((struct fix *)dev)->link++;
}

static const struct net_front_ops front = { .readable = on_readable,
					    .writable = on_writable,
					    .link = on_link };

static void
make(struct fix *x, const struct net_stream_config *cfg)
{
	struct err e = { 0 };

	assert_int_equal(net_stream_new(fake_reactor(&x->fr), cfg, &x->back, &e), 0);
	x->back->front = &front;
	x->back->dev = x;
	fake_reactor_deferred(&x->fr);
	x->link = 0;
}

static void
make_pair(struct fix *x)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	x->peer = fd[1];
	make(x, &(struct net_stream_config){ .name = "net0", .fd = fd[0] });
	assert_true(x->back->info.link);
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	x->fr.now_ns = NSEC_PER_SEC;
	x->peer = -1;
	snprintf(x->path, sizeof(x->path), "/tmp/vmm-stream-%d", getpid());
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->back)
		x->back->ops->free(x->back);
	if (x->peer >= 0)
		close(x->peer);
	assert_int_equal(fake_reactor_ntimers(&x->fr), 0);
	unlink(x->path);
	free(x);
	return 0;
}

static void
turn(struct fix *x)
{
	fake_reactor_io(&x->fr, 0);
	fake_reactor_deferred(&x->fr);
}

static void
want(struct fix *x, bool rx, bool tx)
{
	x->back->ops->want(x->back, 0, rx, tx);
}

static ssize_t
take(struct fix *x)
{
	struct iovec iov = { x->got, sizeof(x->got) };

	return x->back->ops->recv(x->back, 0, &iov, 1);
}

static int
put(struct fix *x, uint8_t with, size_t len)
{
	static uint8_t b[NET_PACKET_MAX];
	struct iovec iov = { b, NET_HDR_LEN + len };

	memset(b, 0xee, NET_HDR_LEN);
	memset(b + NET_HDR_LEN, with, len);
	return x->back->ops->send(x->back, 0, &iov, 1);
}

static void
peer_writes(struct fix *x, const void *p, size_t len)
{
	assert_int_equal(write(x->peer, p, len), len);
}

/* The length and that many bytes; where the next one goes. */
static uint8_t *
frame(uint8_t *p, uint8_t with, uint32_t len)
{
	uint32_t be = htonl(len);

	memcpy(p, &be, 4);
	memset(p + 4, with, len);
	return p + 4 + len;
}

static void
expect(struct fix *x, uint8_t with, size_t len)
{
	memset(x->got, 0xee, sizeof(x->got));
	assert_int_equal(take(x), NET_HDR_LEN + len);
	for (size_t i = 0; i < NET_HDR_LEN; i++)
		assert_int_equal(x->got[i], 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(x->got[NET_HDR_LEN + i], with);
	assert_int_equal(x->got[NET_HDR_LEN + len], 0xee);
}

/* ---- from the peer ---- */

static void
frames_come_whole_however_the_stream_is_cut(void **state)
{
	static const uint32_t len[] = { 60, 1, 90 };
	struct fix *x = *state;
	uint8_t s[200], *end = s;

	make_pair(x);
	for (unsigned i = 0; i < 3; i++)
		end = frame(end, (uint8_t)(i + 1), len[i]);
	size_t all = (size_t)(end - s);
	for (size_t a = 0; a <= all; a++) {
		for (size_t b = a; b <= all; b += 7) {
			const size_t cut[] = { 0, a, b, all };
			size_t known = 0;
			unsigned n = 0;

			for (unsigned c = 0; c < 3; c++) {
				peer_writes(x, s + cut[c], cut[c + 1] - cut[c]);
				for (; n < 3 && known + 4 + len[n] <= cut[c + 1]; n++) {
					expect(x, (uint8_t)(n + 1), len[n]);
					known += 4 + len[n];
				}
				assert_int_equal(take(x), -EAGAIN);
			}
			assert_int_equal(n, 3);
		}
	}
	assert_true(x->back->info.link);
}

static void
the_longest_frame_comes_and_a_longer_one_ends_the_link(void **state)
{
	struct fix *x = *state;
	uint8_t *s = malloc(FRAME_MAX + 4);
	const uint32_t too_long = htonl(FRAME_MAX + 1);
	int size = 1 << 20;

	make_pair(x);
	setsockopt(x->peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	frame(s, 9, FRAME_MAX);
	peer_writes(x, s, FRAME_MAX + 4);
	expect(x, 9, FRAME_MAX);
	frame(s, 9, 10);
	peer_writes(x, s, 14);
	peer_writes(x, &too_long, 4);
	expect(x, 9, 10);
	assert_int_equal(take(x), -EAGAIN);
	assert_false(x->back->info.link);
	fake_reactor_deferred(&x->fr);
	assert_int_equal(x->link, 1);
	free(s);
}

static void
lengths_that_no_frame_has_end_the_link(void **state)
{
	static const uint32_t bad[] = { 0, FRAME_MAX + 1, 0x7fffffff, 0x80000000,
					0xffffffff };
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t be = htonl(bad[i]);

		make_pair(x);
		want(x, true, false);
		peer_writes(x, &be, 4);
		turn(x);
		assert_int_equal(take(x), -EAGAIN);
		assert_false(x->back->info.link);
		assert_int_equal(take(x), -EAGAIN);
		assert_int_equal(put(x, 1, 60), 0);
		x->back->ops->free(x->back);
		x->back = NULL;
		close(x->peer);
	}
	x->peer = -1;
}

/* One read brings many; no event of the socket tells of the second. */
static void
the_front_hears_of_every_frame(void **state)
{
	struct fix *x = *state;
	uint8_t s[400], *end = s;

	make_pair(x);
	for (unsigned i = 0; i < 5; i++)
		end = frame(end, 1, 60);
	peer_writes(x, s, (size_t)(end - s));
	for (unsigned i = 0; i < 5; i++) {
		want(x, true, false);
		turn(x);
		assert_int_equal(x->readable, i + 1);
		expect(x, 1, 60);
	}
	want(x, true, false);
	turn(x);
	assert_int_equal(x->readable, 5);
}

static void
the_front_hears_nothing_that_it_does_not_want(void **state)
{
	struct fix *x = *state;
	uint8_t s[100];

	make_pair(x);
	peer_writes(x, s, (size_t)(frame(s, 1, 60) - s));
	turn(x);
	turn(x);
	assert_int_equal(x->readable, 0);
	assert_int_equal(x->writable, 0);
}

static void
a_frame_that_does_not_fit_is_dropped(void **state)
{
	struct fix *x = *state;
	struct iovec iov[2] = { { x->got, 40 }, { x->got + 40, 31 } };
	uint8_t s[300], *end = frame(s, 1, 60);

	make_pair(x);
	end = frame(end, 2, 59);
	end = frame(end, 3, 60);
	peer_writes(x, s, (size_t)(end - s));
	assert_int_equal(x->back->ops->recv(x->back, 0, iov, 2), -EMSGSIZE);
	assert_int_equal(x->back->ops->recv(x->back, 0, iov, 2), 71);
	assert_int_equal(x->got[70], 2);
	assert_int_equal(x->back->ops->recv(x->back, 0, iov, 0), -EMSGSIZE);
	assert_int_equal(x->back->ops->recv(x->back, 0, iov, 2), -EAGAIN);
}

/* ---- to the peer ---- */

static void
frames_go_with_their_length_and_without_the_header(void **state)
{
	struct fix *x = *state;
	uint8_t b[NET_HDR_LEN + 10], got[64], should[14];

	make_pair(x);
	memset(b, 0xee, NET_HDR_LEN);
	memset(b + NET_HDR_LEN, 7, 10);
	frame(should, 7, 10);
	for (size_t at = 0; at <= sizeof(b); at++) {
		struct iovec iov[3] = { { b, at }, { b, 0 }, { b + at, sizeof(b) - at } };

		assert_int_equal(x->back->ops->send(x->back, 0, iov, 3), 0);
		assert_int_equal(read(x->peer, got, sizeof(got)), 14);
		assert_memory_equal(got, should, 14);
	}
}

static void
packets_that_cannot_be_are_dropped(void **state)
{
	struct fix *x = *state;
	static uint8_t b[NET_PACKET_MAX + 100];
	struct iovec iov[2] = { { b, NET_PACKET_MAX }, { b, 1 } };

	make_pair(x);
	assert_int_equal(put(x, 1, 0), 0);
	assert_int_equal(x->back->ops->send(x->back, 0, iov, 0), 0);
	assert_int_equal(x->back->ops->send(x->back, 0, iov, 2), 0);
	assert_int_equal(recv(x->peer, b, 1, MSG_DONTWAIT), -1);
	assert_true(x->back->info.link);
}

/* Reads all that there is and checks that it is a whole number of frames. */
static unsigned
drain(struct fix *x, size_t len)
{
	static uint8_t b[1 << 20];
	static size_t have;
	unsigned n = 0;
	ssize_t got = recv(x->peer, b + have, sizeof(b) - have, MSG_DONTWAIT);

	have += got > 0 ? (size_t)got : 0;
	for (; have >= 4 + len; n++) {
		uint32_t be;

		memcpy(&be, b, 4);
		assert_int_equal(ntohl(be), len);
		have -= 4 + len;
		memmove(b, b + 4 + len, have);
	}
	return n;
}

static void
a_peer_that_does_not_read_stops_only_the_sending(void **state)
{
	enum { LEN = 1500 };
	struct fix *x = *state;
	unsigned sent = 0, arrived = 0;
	uint8_t s[100];

	make_pair(x);
	while (put(x, 5, LEN) == 0)
		sent++;
	assert_in_range(sent, 10, 2000);
	assert_int_equal(put(x, 5, LEN), -EAGAIN);
	/* The other direction goes on. */
	peer_writes(x, s, (size_t)(frame(s, 1, 60) - s));
	expect(x, 1, 60);
	want(x, false, true);
	turn(x);
	assert_int_equal(x->writable, 0);
	/* The rest follows, wanted or not. */
	want(x, false, false);
	for (unsigned i = 0; i < 100; i++) {
		arrived += drain(x, LEN);
		turn(x);
	}
	assert_int_equal(arrived, sent);
	want(x, false, true);
	turn(x);
	assert_int_equal(x->writable, 1);
	assert_int_equal(put(x, 5, LEN), 0);
}

/* ---- the peer goes and comes ---- */

static void
a_peer_that_hangs_up_takes_the_link_down(void **state)
{
	struct fix *x = *state;
	uint8_t s[100];

	make_pair(x);
	peer_writes(x, s, (size_t)(frame(s, 1, 60) - s));
	close(x->peer);
	x->peer = -1;
	expect(x, 1, 60);
	want(x, true, false);
	turn(x);
	assert_int_equal(take(x), -EAGAIN);
	turn(x);
	assert_false(x->back->info.link);
	assert_int_equal(x->link, 1);
	want(x, false, true);
	turn(x);
	assert_int_equal(x->writable, 1);
	assert_int_equal(put(x, 1, 60), 0);
	assert_int_equal(fake_reactor_ntimers(&x->fr), 0);
}

static void
who_sends_to_a_peer_that_is_gone_hears_of_the_link(void **state)
{
	struct fix *x = *state;

	make_pair(x);
	close(x->peer);
	x->peer = -1;
	assert_int_equal(put(x, 1, 60), 0);
	assert_int_equal(x->link, 0);
	turn(x);
	assert_int_equal(x->link, 1);
	assert_false(x->back->info.link);
}

static int
peer_connects(struct fix *x)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(un.sun_path, x->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
a_server_takes_one_peer_after_the_other(void **state)
{
	struct fix *x = *state;
	uint8_t s[100];
	struct stat st;

	make(x, &(struct net_stream_config){
			.name = "net0", .path = x->path, .listen = true });
	assert_false(x->back->info.link);
	assert_int_equal(put(x, 1, 60), 0);
	x->peer = peer_connects(x);
	int second = peer_connects(x);
	turn(x);
	assert_true(x->back->info.link);
	assert_int_equal(x->link, 1);
	/* Half a frame of the first is no frame of the second. */
	frame(s, 1, 60);
	peer_writes(x, s, 40);
	assert_int_equal(take(x), -EAGAIN);
	close(x->peer);
	assert_int_equal(take(x), -EAGAIN);
	turn(x);
	turn(x);
	x->peer = second;
	assert_true(x->back->info.link);
	peer_writes(x, s, 64);
	expect(x, 1, 60);
	x->back->ops->free(x->back);
	x->back = NULL;
	assert_int_equal(stat(x->path, &st), -1);
}

static void
a_client_connects_again(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct fix *x = *state;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, x->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	make(x, &(struct net_stream_config){
			.name = "net0", .path = x->path, .reconnect_s = 2 });
	assert_true(x->back->info.link);
	close(accept(fd, NULL, NULL));
	close(fd);
	assert_int_equal(take(x), -EAGAIN);
	turn(x);
	assert_false(x->back->info.link);
	fake_reactor_advance(&x->fr, 2 * NSEC_PER_SEC);
	turn(x);
	assert_false(x->back->info.link);
	unlink(x->path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 1), 0);
	fake_reactor_advance(&x->fr, 2 * NSEC_PER_SEC);
	turn(x);
	assert_true(x->back->info.link);
	assert_int_equal(x->link, 2);
	assert_int_equal(fake_reactor_ntimers(&x->fr), 0);
	close(fd);
}

static void
what_cannot_be_opened_is_said_so(void **state)
{
	struct fix *x = *state;
	struct net_stream_config cfg = { .name = "net0", .path = x->path };
	char want_text[128], longer[200];
	struct err e = { 0 };

	assert_int_equal(net_stream_new(fake_reactor(&x->fr), &cfg, &x->back, &e),
			 -ENOENT);
	snprintf(want_text, sizeof(want_text), "%s: No such file or directory", x->path);
	assert_string_equal(e.text, want_text);
	memset(longer, 'a', sizeof(longer));
	longer[199] = '\0';
	cfg.path = longer;
	e = (struct err){ 0 };
	assert_int_equal(net_stream_new(fake_reactor(&x->fr), &cfg, &x->back, &e),
			 -ENAMETOOLONG);
	assert_null(x->back);
}

static void
a_socket_left_behind_is_taken_over_and_a_live_one_is_not(void **state)
{
	struct fix *x = *state;
	const struct net_stream_config cfg = { .name = "net0",
					       .path = x->path,
					       .listen = true };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct net_back *other = NULL;
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, x->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	make(x, &cfg);
	assert_int_equal(net_stream_new(fake_reactor(&x->fr), &cfg, &other, &e),
			 -EADDRINUSE);
	assert_null(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(frames_come_whole_however_the_stream_is_cut),
		T(the_longest_frame_comes_and_a_longer_one_ends_the_link),
		T(lengths_that_no_frame_has_end_the_link),
		T(the_front_hears_of_every_frame),
		T(the_front_hears_nothing_that_it_does_not_want),
		T(a_frame_that_does_not_fit_is_dropped),
		T(frames_go_with_their_length_and_without_the_header),
		T(packets_that_cannot_be_are_dropped),
		T(a_peer_that_does_not_read_stops_only_the_sending),
		T(a_peer_that_hangs_up_takes_the_link_down),
		T(who_sends_to_a_peer_that_is_gone_hears_of_the_link),
		T(a_server_takes_one_peer_after_the_other),
		T(a_client_connects_again),
		T(what_cannot_be_opened_is_said_so),
		T(a_socket_left_behind_is_taken_over_and_a_live_one_is_not),
	};

	return cmocka_run_group_tests_name("net_stream", tests, NULL, NULL);
}
