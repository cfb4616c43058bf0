/* SPDX-License-Identifier: ISC */
/* The end of a file as the back of a stream: chr_back.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chr.h"
#include "chr_back.h"
#include "log.h"
#include "util.h"

struct chr_file {
	struct chr chr;
	int fd;
	bool warned;
	char name[64];
};

static size_t
file_write(struct chr *c, const uint8_t *buf, size_t len)
{
	struct chr_file *f = container_of(c, struct chr_file, chr);
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(f->fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done < len && !f->warned) {
		f->warned = true;
		log_warn("console '%s': %s; output is lost", f->name, strerror(errno));
	}
	return len;
}

static void
file_set_room(struct chr *c, size_t room)
{
	(void)c;
	(void)room;
}

static void
file_free(struct chr *c)
{
	struct chr_file *f = container_of(c, struct chr_file, chr);

	close(f->fd);
	free(f);
}

static const struct chr_back_ops file_ops = {
	.write = file_write,
	.set_room = file_set_room,
	.free = file_free,
};

/* O_NONBLOCK: for what is no regular file and would make us wait. */
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
chr_file_new(const char *name, const char *path, struct chr **ret)
{
	struct chr_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->fd = file_open(path);
	if (f->fd < 0) {
		int rc = f->fd;

		free(f);
		return rc;
	}
	f->chr.back = &file_ops;
	strncpy(f->name, name, sizeof(f->name) - 1);
	*ret = &f->chr;
	return 0;
}
