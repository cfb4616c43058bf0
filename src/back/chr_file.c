/* SPDX-License-Identifier: ISC */
/*
 * The end of a file as the back of a stream: chr_back.h.
 *
 * A write to the page cache sleeps when the host has too many dirty pages, so a thread
 * does it (reactor.h), one write at a time: what comes in meanwhile is collected, and is
 * the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "chr.h"
#include "chr_back.h"
#include "log.h"
#include "reactor.h"
#include "util.h"

enum { BUF_LEN = 64 * 1024 };

struct chr_file {
	struct chr chr;
	struct reactor *r;
	struct reactor_op op;
	struct iovec iov; /* what of one buffer is still to be written; or of no length */
	uint8_t *buf;     /* the other: BUF_LEN bytes, */
	size_t len;       /* so many of which are used */
	uint8_t *spare;   /* the one that is written */
	bool front_waits; /* for writable() */
	bool warned;
	char name[64];
};

static bool
is_writing(const struct chr_file *f)
{
	return f->iov.iov_len > 0;
}

/* Makes the buffer that was filled the one that is written. */
static void
write_next(struct chr_file *f)
{
	uint8_t *full = f->buf;

	if (f->len == 0)
		return;
	f->iov = (struct iovec){ .iov_base = full, .iov_len = f->len };
	f->buf = f->spare;
	f->spare = full;
	f->len = 0;
	reactor_submit(f->r, &f->op);
}

static void
written(struct reactor_op *op, int res)
{
	struct chr_file *f = container_of(op, struct chr_file, op);

	if (res <= 0 && !f->warned) {
		f->warned = true;
		log_warn("console '%s': %s; output is lost", f->name,
			 strerror(res < 0 ? -res : ENOSPC));
	}
	/* The rest, if any, or nothing of it. */
	size_t n = res > 0 ? (size_t)res : f->iov.iov_len;
	f->iov.iov_base = (uint8_t *)f->iov.iov_base + n;
	f->iov.iov_len -= n;
	if (is_writing(f))
		reactor_submit(f->r, &f->op);
	else
		write_next(f);
	if (f->front_waits && f->len < BUF_LEN) {
		f->front_waits = false;
		if (f->chr.front)
			f->chr.front->writable(f->chr.dev);
	}
}

static size_t
file_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct chr_file *f = container_of(c, struct chr_file, chr);
	size_t n = len < BUF_LEN - f->len ? len : BUF_LEN - f->len;

	memcpy(f->buf + f->len, buf, n);
	f->len += n;
	f->front_waits = n < len;
	if (!is_writing(f))
		write_next(f);
	return n;
}

static void
file_set_room(struct chr *c, size_t room)
{
	(void)c;
	(void)room;
}

static void
discard(struct chr_file *f)
{
	if (f->op.fd >= 0)
		close(f->op.fd);
	free(f->buf);
	free(f->spare);
	free(f);
}

static void
file_free(struct chr *c)
{
	struct chr_file *f = container_of(c, struct chr_file, chr);

	while (is_writing(f) && reactor_op_wait(f->r))
		;
	discard(f);
}

static const struct chr_back_ops file_ops = {
	.write = file_write,
	.set_room = file_set_room,
	.free = file_free,
};

/*
 * O_APPEND: a write at an offset goes to the end, too, on Linux.  O_NONBLOCK: for what
 * is no regular file and would make us wait.
 */
static int
file_open(const char *path)
{
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		      0600);
	struct stat st;

	if (fd < 0)
		return errno == ENXIO ? -ENOTSUP : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

int
chr_file_new(struct reactor *r, const char *name, const char *path, struct chr **ret)
{
	struct chr_file *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	if (!f)
		return -ENOMEM;
	f->op.fd = -1;
	f->buf = malloc(BUF_LEN);
	f->spare = malloc(BUF_LEN);
	if (!f->buf || !f->spare)
		goto discard;
	rc = file_open(path);
	if (rc < 0)
		goto discard;
	f->op = (struct reactor_op){
		.done = written,
		.code = REACTOR_WRITEV,
		.way = REACTOR_THREAD,
		.fd = rc,
		.iov = &f->iov,
		.niov = 1,
	};
	f->chr.back = &file_ops;
	f->r = r;
	strncpy(f->name, name, sizeof(f->name) - 1);
	*ret = &f->chr;
	return 0;
discard:
	discard(f);
	return rc;
}
