/* SPDX-License-Identifier: ISC */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "chr.h"
#include "console_stream.h"
#include "log.h"
#include "reactor.h"
#include "util.h"

enum {
	ESCAPE = 1, /* Ctrl-A */
	STALL_MS = 500,
};

static const uint64_t stall_max_ns = 3 * NSEC_PER_SEC;

/*
 * Output goes out at once after a pause, and then at most once in this time: the
 * guest writes single bytes, the reader shall get lines.
 */
static const uint64_t batch_ns = NSEC_PER_SEC / 1000;

/* How often to look whether the shell has put us into the foreground: nothing
 * tells a job that was running in the background all the time. */
static const uint64_t foreground_ns = NSEC_PER_SEC;

struct ring {
	uint8_t *buf;
	size_t size, head, len;
};

struct console {
	struct chr chr;
	struct reactor *r;
	const struct console_ops *ops;
	void *arg;

	struct console_stream in, out;
	struct reactor_io in_io, out_io;
	struct reactor_timer flush_timer, deliver_timer, foreground_timer;
	bool in_watched, out_watched, flush_set;

	bool tty;        /* the input is one */
	bool background; /* hands off the terminal */
	bool escape;     /* the byte before was Ctrl-A */
	bool eof;
	bool have_saved;
	struct termios saved;
	struct reactor_signal tstp, cont, winch;

	size_t room;      /* of the front */
	bool front_waits; /* for writable() */
	bool dead;        /* nobody reads */
	uint64_t flushed_ns;

	struct ring in_ring, out_ring;
	uint8_t in_buf[CONSOLE_IN_MAX];
	uint8_t out_buf[CONSOLE_OUT_MAX];
};

/*
 * The console whose terminal is raw.  A terminal belongs to the process and not
 * to a machine, and a fatal signal's handler is given nothing: this is the one
 * place where it can find what it has to undo.
 */
static _Atomic(struct console *) raw_console;

/* ---- rings ---- */

static size_t
ring_space(const struct ring *g)
{
	return g->size - g->len;
}

/* len is at most the space. */
static void
ring_put(struct ring *g, const uint8_t *buf, size_t len)
{
	size_t tail = (g->head + g->len) % g->size;
	size_t n = len < g->size - tail ? len : g->size - tail;

	memcpy(g->buf + tail, buf, n);
	memcpy(g->buf, buf + n, len - n);
	g->len += len;
}

/* What can be taken in one piece. */
static size_t
ring_run(const struct ring *g)
{
	return g->len < g->size - g->head ? g->len : g->size - g->head;
}

static void
ring_drop(struct ring *g, size_t len)
{
	g->head = (g->head + len) % g->size;
	g->len -= len;
}

/* ---- output ---- */

static void
out_watch(struct console *c, bool on)
{
	if (on == c->out_watched)
		return;
	c->out_watched = on;
	reactor_io_start(c->r, &c->out_io, on ? REACTOR_WRITE : 0);
}

static void
out_die(struct console *c, int err)
{
	c->dead = true;
	ring_drop(&c->out_ring, c->out_ring.len);
	log_warn("console: standard output: %s; output is dropped from here on",
		 strerror(err));
}

static void
went_out(struct console *c, const uint8_t *buf, size_t len)
{
	if (c->ops->output != NULL)
		c->ops->output(c->arg, buf, len);
	ring_drop(&c->out_ring, len);
}

/* Writes what the reader takes now. */
static void
out_flush(struct console *c)
{
	struct ring *g = &c->out_ring;
	bool full = false;

	while (g->len != 0 && !full) {
		ssize_t n = console_stream_write(&c->out, g->buf + g->head, ring_run(g));

		if (n > 0)
			went_out(c, g->buf + g->head, (size_t)n);
		else if (n == 0 || n == -EAGAIN)
			full = true;
		else if (n != -EINTR)
			out_die(c, (int)-n);
	}
	out_watch(c, full);
	c->flushed_ns = reactor_now_ns(c->r);
	if (c->front_waits && g->len <= g->size / 2) {
		c->front_waits = false;
		if (c->chr.front != NULL)
			c->chr.front->writable(c->chr.dev);
	}
}

static void
out_cb(struct reactor_io *io, unsigned events)
{
	(void)events;
	out_flush(container_of(io, struct console, out_io));
}

static void
flush_cb(struct reactor_timer *t)
{
	struct console *c = container_of(t, struct console, flush_timer);

	c->flush_set = false;
	if (!c->out_watched)
		out_flush(c);
}

static size_t
out_put(struct console *c, const uint8_t *buf, size_t len)
{
	size_t space = ring_space(&c->out_ring);
	size_t n = len < space ? len : space;

	if (c->dead)
		return len;
	ring_put(&c->out_ring, buf, n);
	if (!c->flush_set && !c->out_watched && n != 0) {
		c->flush_set = true;
		reactor_timer_set(c->r, &c->flush_timer, c->flushed_ns + batch_ns);
	}
	return n;
}

static size_t
back_write(struct chr *chr, const uint8_t *buf, size_t len)
{
	struct console *c = container_of(chr, struct console, chr);
	size_t n = out_put(c, buf, len);

	if (n < len)
		c->front_waits = true;
	return n;
}

void
console_flush(struct console *c)
{
	uint64_t end = reactor_now_ns(c->r) + stall_max_ns;
	struct pollfd pfd = { .fd = c->out.fd, .events = POLLOUT };

	do
		out_flush(c);
	while (c->out_ring.len != 0 && reactor_now_ns(c->r) < end &&
	       poll(&pfd, 1, STALL_MS) > 0);
}

/* ---- the terminal ---- */

/* A terminal that is not our controlling one knows no foreground. */
static bool
in_foreground(int fd)
{
	pid_t pgrp = tcgetpgrp(fd);

	return pgrp < 0 || pgrp == getpgrp();
}

/* What to come back to is how the terminal was found first: after a stop it may
 * have been left as we had it. */
static void
raw_enter(struct console *c)
{
	struct console *owner = NULL;
	struct termios raw;

	if (!c->have_saved && tcgetattr(c->in.fd, &c->saved) < 0)
		return;
	c->have_saved = true;
	if (!atomic_compare_exchange_strong(&raw_console, &owner, c) && owner != c)
		return;
	raw = c->saved;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(c->in.fd, TCSANOW, &raw);
	log_set_crlf(1);
}

void
console_restore(void)
{
	struct console *c = atomic_exchange(&raw_console, NULL);
	int saved_errno = errno;

	if (c == NULL)
		return;
	log_set_crlf(0);
	/* From the background this would stop us (SIGTTOU), and the shell has set
	 * the terminal as it likes already. */
	if (in_foreground(c->in.fd))
		tcsetattr(c->in.fd, TCSANOW, &c->saved);
	errno = saved_errno;
}

/* ---- input ---- */

static void
in_watch(struct console *c)
{
	bool want = c->in.how != CONSOLE_STREAM_NONE && !c->eof && !c->background;

	if (c->tty)
		want = want && ring_space(&c->in_ring) != 0;
	else
		want = want && c->in_ring.len == 0 && c->room != 0;
	if (want == c->in_watched)
		return;
	c->in_watched = want;
	reactor_io_start(c->r, &c->in_io, want ? REACTOR_READ : 0);
}

static void
deliver(struct console *c)
{
	struct ring *g = &c->in_ring;

	while (g->len != 0 && c->room != 0 && c->chr.front != NULL) {
		size_t n = ring_run(g) < c->room ? ring_run(g) : c->room;
		const uint8_t *buf = g->buf + g->head;

		c->room -= n;
		ring_drop(g, n);
		c->chr.front->input(c->chr.dev, buf, n);
	}
	in_watch(c);
}

static void
deliver_cb(struct reactor_timer *t)
{
	deliver(container_of(t, struct console, deliver_timer));
}

/* The front may be in the middle of a register: what waits comes a pass later. */
static void
back_set_room(struct chr *chr, size_t room)
{
	struct console *c = container_of(chr, struct console, chr);

	c->room = room;
	if (c->in_ring.len != 0 && room != 0)
		reactor_timer_set(c->r, &c->deliver_timer, 0);
	else
		in_watch(c);
}

static void
help(struct console *c)
{
	static const char text[] = "\r\nCtrl-A x  quit: stops the guest at once\r\n"
				   "Ctrl-A b  send a break\r\n"
				   "Ctrl-A Ctrl-A  send Ctrl-A\r\n"
				   "Ctrl-A ?  this text\r\n";

	out_put(c, (const uint8_t *)text, sizeof(text) - 1);
}

/* The byte after Ctrl-A. Others are swallowed: they were not for the guest. */
static void
command(struct console *c, uint8_t byte)
{
	switch (byte) {
	case 'x':
		c->ops->quit(c->arg);
		break;
	case 'b':
		if (c->chr.front != NULL && c->chr.front->line_break != NULL)
			c->chr.front->line_break(c->chr.dev);
		break;
	case '?':
	case 'h':
		help(c);
		break;
	case ESCAPE:
		ring_put(&c->in_ring, &byte, 1);
		break;
	default:
		break;
	}
}

static void
typed(struct console *c, uint8_t byte)
{
	if (c->escape) {
		c->escape = false;
		/* A break comes after what was typed before it, if that fits. */
		deliver(c);
		command(c, byte);
	} else if (byte == ESCAPE) {
		c->escape = true;
	} else {
		ring_put(&c->in_ring, &byte, 1);
	}
}

/* ---- job control ---- */

/* Out of the terminal's foreground: reading would stop us (SIGTTIN). */
static void
go_background(struct console *c)
{
	c->background = true;
	reactor_timer_set(c->r, &c->foreground_timer,
			  reactor_now_ns(c->r) + foreground_ns);
	in_watch(c);
}

/* Of the window, which may also have changed while we were stopped. */
static void
look_at_size(struct console *c)
{
	struct chr *chr = &c->chr;
	struct winsize ws;

	if (ioctl(c->in.fd, TIOCGWINSZ, &ws) < 0 ||
	    (ws.ws_col == chr->cols && ws.ws_row == chr->rows))
		return;
	chr->cols = ws.ws_col;
	chr->rows = ws.ws_row;
	if (chr->front != NULL && chr->front->changed != NULL)
		chr->front->changed(chr->dev);
}

static void
winch_cb(struct reactor_signal *s, int signum)
{
	(void)signum;
	look_at_size(container_of(s, struct console, winch));
}

static void
resume(struct console *c)
{
	look_at_size(c);
	if (!in_foreground(c->in.fd)) {
		if (atomic_load(&raw_console) == c)
			console_restore();
		go_background(c);
		return;
	}
	c->background = false;
	reactor_timer_cancel(c->r, &c->foreground_timer);
	raw_enter(c);
	in_watch(c);
}

static void
in_cb(struct reactor_io *io, unsigned events)
{
	struct console *c = container_of(io, struct console, in_io);
	uint8_t buf[CONSOLE_IN_MAX];
	size_t max = c->tty ? ring_space(&c->in_ring) : c->room;
	ssize_t n;

	(void)events;
	if (c->tty && !in_foreground(c->in.fd)) {
		resume(c);
		return;
	}
	if (max == 0)
		return;
	n = console_stream_read(&c->in, buf, max < sizeof(buf) ? max : sizeof(buf));
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		c->eof = true;
	} else if (c->tty) {
		for (ssize_t i = 0; i < n; i++)
			typed(c, buf[i]);
	} else {
		ring_put(&c->in_ring, buf, (size_t)n);
	}
	deliver(c);
}

static void
foreground_cb(struct reactor_timer *t)
{
	resume(container_of(t, struct console, foreground_timer));
}

/* In raw mode no key sends it, but a kill can. */
static void
tstp_cb(struct reactor_signal *s, int signum)
{
	(void)s;
	(void)signum;
	console_restore();
	kill(getpid(), SIGSTOP);
}

static void
cont_cb(struct reactor_signal *s, int signum)
{
	struct console *c = container_of(s, struct console, cont);

	(void)signum;
	resume(c);
}

static void
terminal_start(struct console *c)
{
	c->tstp.cb = tstp_cb;
	c->cont.cb = cont_cb;
	c->winch.cb = winch_cb;
	reactor_signal_start(c->r, &c->tstp, SIGTSTP);
	reactor_signal_start(c->r, &c->cont, SIGCONT);
	reactor_signal_start(c->r, &c->winch, SIGWINCH);
	resume(c);
}

/* ---- life ---- */

static const struct chr_back_ops back_ops = {
	.write = back_write,
	.set_room = back_set_room,
};

int
console_new(struct reactor *r, int in_fd, int out_fd, const struct console_ops *ops,
	    void *arg, struct console **ret)
{
	/* Not cleared: 64 KiB of it may never be touched. */
	struct console *c = malloc(sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	memset(c, 0, offsetof(struct console, in_buf));
	c->chr.back = &back_ops;
	c->r = r;
	c->ops = ops;
	c->arg = arg;
	c->in = console_stream_open(in_fd, O_RDONLY);
	c->out = console_stream_open(out_fd, O_WRONLY);
	c->in_ring = (struct ring){ .buf = c->in_buf, .size = sizeof(c->in_buf) };
	c->out_ring = (struct ring){ .buf = c->out_buf, .size = sizeof(c->out_buf) };
	c->in_io.cb = in_cb;
	c->in_io.fd = c->in.fd;
	c->out_io.cb = out_cb;
	c->out_io.fd = c->out.fd;
	c->flush_timer.cb = flush_cb;
	c->deliver_timer.cb = deliver_cb;
	c->foreground_timer.cb = foreground_cb;
	c->tty = c->in.how != CONSOLE_STREAM_NONE && isatty(c->in.fd);
	if (c->tty)
		terminal_start(c);
	*ret = c;
	return 0;
}

struct chr *
console_chr(struct console *c)
{
	return &c->chr;
}

void
console_free(struct console *c)
{
	if (c == NULL)
		return;
	if (atomic_load(&raw_console) == c)
		console_restore();
	reactor_io_stop(c->r, &c->in_io);
	reactor_io_stop(c->r, &c->out_io);
	reactor_timer_cancel(c->r, &c->flush_timer);
	reactor_timer_cancel(c->r, &c->deliver_timer);
	reactor_timer_cancel(c->r, &c->foreground_timer);
	if (c->tty) {
		reactor_signal_stop(c->r, &c->tstp);
		reactor_signal_stop(c->r, &c->cont);
		reactor_signal_stop(c->r, &c->winch);
	}
	console_stream_close(&c->in);
	console_stream_close(&c->out);
	free(c);
}
