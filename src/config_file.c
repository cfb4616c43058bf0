// SPDX-License-Identifier: ISC
/*
 * The one function of the configuration that opens a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "err.h"
#include "exit_status.h"

/* Pipes and /dev/stdin have no size to ask for: read until the end. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int
refuse(struct err *err, const char *file, int errnum)
{
	return err_set_status(err, EXIT_STATUS_CONFIG, errnum,
			      "configuration '%s': %s; --config takes a file "
			      "as in vm.ini(5)",
			      file, strerror(errnum));
}

int
config_load(struct config *cfg, const char *file, struct err *err)
{
	size_t size = CONFIG_FILE_MAX + 1; /* one more: seen to be too large */
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t len;
	char *text;
	int rc;

	if (fd < 0)
		return refuse(err, file, errno);
	text = malloc(size);
	len = text != NULL ? read_all(fd, text, size) : -ENOMEM;
	close(fd);
	if (len < 0)
		rc = refuse(err, file, (int)-len);
	else
		rc = config_parse(cfg, text, (size_t)len, file, err);
	free(text);
	return rc;
}
