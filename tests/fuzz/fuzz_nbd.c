/* SPDX-License-Identifier: ISC */
/*
 * What an NBD server says: the handshake, or answers after one that was right.
 *
 * The input is the server's side of the conversation; nobody listens to ours.  libnbd
 * parses it, and our code gets the results: each request is answered once, and nothing is
 * written into guest memory once the disk is drained.
 *
 * The first byte says where the input begins.  Bit 0: after an old-style handshake, which
 * is made here.  The others say which flags the export has.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "disk.h"
#include "disk_open.h"
#include "err.h"
#include "fuzz.h"
#include "log.h"
#include "reactor.h"
#include "util.h"

#include "../../src/full/disk_nbd.h"

enum { REQUESTS = 40, BYTES = 8192, DISK_BYTES = 1 << 20, INPUT_MAX = 100000 };

struct asked {
	struct disk_request rq;
	struct iovec iov[3];
	uint8_t buf[BYTES];
	int calls;
};

static void
on_done(struct disk_request *rq, int err)
{
	struct asked *a = container_of(rq, struct asked, rq);

	assert(err <= 0);
	a->calls++;
}

static void
say(int fd, const void *buf, size_t len)
{
	(void)!write(fd, buf, len);
}

static void
old_handshake(int fd, uint8_t flags)
{
	uint8_t hello[152] = "NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53";
	uint64_t bytes = htobe64(DISK_BYTES);
	/* has flags; flush, FUA, trim, zeroes as the input has it; not readonly */
	uint32_t be = htobe32(1u | (uint32_t)(flags & 0x7c));

	memcpy(hello + 16, &bytes, sizeof(bytes));
	memcpy(hello + 24, &be, sizeof(be));
	say(fd, hello, sizeof(hello));
}

static void
ask_all(struct disk *d, struct asked *a)
{
	for (unsigned i = 0; i < REQUESTS; i++) {
		/* In one piece and in three. */
		a[i].iov[0] = (struct iovec){ a[i].buf, i % 2 ? BYTES : 1000 };
		a[i].iov[1] = (struct iovec){ a[i].buf + 1000, 3000 };
		a[i].iov[2] = (struct iovec){ a[i].buf + 4000, BYTES - 4000 };
		a[i].calls = 0;
		a[i].rq = (struct disk_request){
			.done = on_done,
			.op = (enum disk_op)(i % DISK_OPS),
			.off = i * (uint64_t)BYTES,
			.len = i % DISK_OPS == DISK_FLUSH ? 0 : BYTES,
			.iov = a[i].iov,
			.niov = i % 2 ? 1 : 3,
			.unmap = i % 3 == 0,
		};
		d->ops->submit(d, &a[i].rq);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct asked a[REQUESTS];
	struct reactor *r;
	struct disk *d;
	struct err e = { 0 };
	int fd[2];

	if (size < 1 || size > INPUT_MAX)
		return 0;
	log_set_level(LOG_ERROR);
	assert(reactor_new(&r) == 0);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) ==
	       0);
	if (data[0] & 1)
		old_handshake(fd[0], data[0]);
	say(fd[0], data + 1, size - 1);
	shutdown(fd[0], SHUT_WR);

	const struct disk_config cfg = {
		.path = "nbd://fuzz",
		.discard = true,
		.readonly = data[0] & 0x80,
	};
	if (disk_nbd_open_socket(r, &cfg, fd[1], &d, &e) == 0) {
		assert(d->info.size > 0 && d->info.size % d->info.block == 0);
		ask_all(d, a);
		d->ops->drain(d);
		for (unsigned i = 0; i < REQUESTS; i++)
			assert(a[i].calls == 1);
		d->ops->free(d);
	} else {
		assert(e.text[0] != '\0');
	}
	reactor_free(r);
	close(fd[0]);
	return 0;
}
