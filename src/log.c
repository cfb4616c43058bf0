/* SPDX-License-Identifier: ISC */
#include "log.h"

#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

enum {
	LINE_MAX_LEN = 1024,
	ERROR_WAIT_MS = 1000, /* how long an error waits for a full pipe */
};

static _Atomic int max_level = LOG_WARN;
static _Atomic int crlf; /* the other half of it: how a line ends */

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

void
log_set_crlf(int on)
{
	atomic_store_explicit(&crlf, on, memory_order_relaxed);
}

/* Names and texts of others may be in a line: no control character gets out. */
static void
clean(char *p)
{
	for (; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			*p = '?';
}

/*
 * One write() for each line, so that lines of several threads do not mix.  The
 * reactor must not hang on a reader that stopped reading: POLLOUT promises room
 * for PIPE_BUF bytes of a pipe, and a line that finds none is lost, but for an
 * error, which waits a moment: it is often the last line there is.
 */
static void
put(enum log_level level, const char *prefix, const char *text)
{
	/* A raw terminal does not return the carriage; a file must not hold CRs. */
	int cr = atomic_load_explicit(&crlf, memory_order_relaxed) &&
		 isatty(STDERR_FILENO);
	char line[LINE_MAX_LEN];
	int n = snprintf(line, sizeof(line) - 2, "vmm: %s%s", prefix, text);

	if (n < 0)
		return;
	size_t len = (size_t)n < sizeof(line) - 2 ? (size_t)n : sizeof(line) - 3;
	line[len] = '\0';
	clean(line);
	if (cr)
		line[len++] = '\r';
	line[len++] = '\n';

	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	if (poll(&pfd, 1, level == LOG_ERROR ? ERROR_WAIT_MS : 0) <= 0)
		return;
	ssize_t rc = write(STDERR_FILENO, line, len);
	(void)rc; /* there is nobody left to tell */
}

static int
silent(enum log_level level)
{
	return (int)level > atomic_load_explicit(&max_level, memory_order_relaxed);
}

void
log_msg(enum log_level level, const char *fmt, ...)
{
	if (silent(level))
		return;

	char text[LINE_MAX_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(level, level == LOG_WARN ? "warning: " : "", text);
}

void
log_lines(enum log_level level, const char *text)
{
	while (*text != '\0') {
		int len = (int)strcspn(text, "\n");

		log_msg(level, "%.*s", len, text);
		text += len;
		text += *text == '\n';
	}
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* May a line go?  If so, ret is how many did not since the last one. */
static int
ratelimit_pass(struct ratelimit *rl, uint64_t now, uint32_t *ret)
{
	if (rl->said >= LOG_GUEST_BURST && now < rl->next_ns) {
		if (rl->dropped < UINT32_MAX)
			rl->dropped++;
		return 0;
	}
	if (rl->said < LOG_GUEST_BURST)
		rl->said++;
	rl->next_ns = now + NSEC_PER_SEC;
	*ret = rl->dropped;
	rl->dropped = 0;
	return 1;
}

void
log_guest(struct ratelimit *rl, const char *device, const char *fmt, ...)
{
	uint32_t left_out;

	if (silent(LOG_WARN) || !ratelimit_pass(rl, now_ns(), &left_out))
		return;

	char text[LINE_MAX_LEN / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	char line[LINE_MAX_LEN];
	if (left_out != 0)
		snprintf(line, sizeof(line), "%s: %s (%u more like this left out)",
			 device, text, (unsigned)left_out);
	else
		snprintf(line, sizeof(line), "%s: %s", device, text);
	put(LOG_WARN, "guest: ", line);
}
