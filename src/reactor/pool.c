/* SPDX-License-Identifier: ISC */
/*
 * Threads for file operations that io_uring cannot do, or only by a thread of its own.
 *
 * A thread is made when an operation comes and none is idle, up to POOL_THREADS.  Writes to
 * one file are done by one thread after the other: file systems lock a file for a write, and
 * threads that wait for each other are no faster.  What is done goes to a stack that the
 * reactor empties as a poll source: while the reactor is awake no system call is needed to
 * tell it, and a reactor that sleeps is not woken for each of many small ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reactor.h"
#include "reactor_internal.h"
#include "util.h"

enum {
	POOL_THREADS = 4,
	STACK_BYTES = 128 << 10, /* system calls and nothing else */
	TELL_BYTES =
		32 << 10, /* read or written and not told of, while there is more to do */
};

struct pool {
	struct reactor *r;
	struct reactor_poll poll;
	unsigned inflight;     /* the reactor's: queued, done() not called */
	struct op_queue ready; /* the reactor's: done() is next */

	pthread_mutex_t lock;
	pthread_cond_t work; /* there is an operation, or the end */
	pthread_cond_t idle; /* something was done */
	struct op_queue todo;
	unsigned nidle, ncalled; /* of the idle, those that were called */
	bool ended;
	pthread_t thread[POOL_THREADS];
	unsigned nthread;
	int writing[POOL_THREADS]; /* what the first nwriting of them write to */
	unsigned nwriting;

	_Atomic(struct reactor_op *) done; /* last in, first out */
};

/* ---- in a thread ---- */

static ssize_t
perform_once(const struct reactor_op *op)
{
	uint64_t range[2] = { op->off, op->len };

	switch (op->code) {
	case REACTOR_READV:
		return preadv(op->fd, op->iov, (int)op->niov, (off_t)op->off);
	case REACTOR_WRITEV:
		return pwritev(op->fd, op->iov, (int)op->niov, (off_t)op->off);
	case REACTOR_FDATASYNC:
		return fdatasync(op->fd);
	case REACTOR_FALLOCATE:
		return fallocate(op->fd, op->mode, (off_t)op->off, (off_t)op->len);
	case REACTOR_BLKDISCARD:
		return ioctl(op->fd, BLKDISCARD, range);
	}
	errno = EINVAL;
	return -1;
}

int
pool_perform(const struct reactor_op *op)
{
	ssize_t n;

	do
		n = perform_once(op);
	while (n < 0 && errno == EINTR);
	/* The kernel moves less than 2 GiB at a time. */
	return n < 0 ? -errno : (int)n;
}

static void
hand_back(struct pool *p, struct reactor_op *op)
{
	op->next = atomic_load_explicit(&p->done, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&p->done, &op->next, op,
						      memory_order_release,
						      memory_order_relaxed))
		;
}

/* Called with the lock held, as the next three. */
static bool
is_written(const struct pool *p, int fd)
{
	unsigned i = 0;

	while (i < p->nwriting && p->writing[i] != fd)
		i++;
	return i < p->nwriting;
}

/* The first operation that need not wait for a write to the same file; NULL: none. */
static struct reactor_op *
take_todo(struct pool *p)
{
	struct reactor_op *before = NULL, *op = p->todo.first;

	while (op && op->code == REACTOR_WRITEV && is_written(p, op->fd)) {
		before = op;
		op = op->next;
	}
	if (!op)
		return NULL;
	*(before ? &before->next : &p->todo.first) = op->next;
	if (!op->next)
		p->todo.last = before;
	if (op->code == REACTOR_WRITEV)
		p->writing[p->nwriting++] = op->fd;
	return op;
}

static void
end_write(struct pool *p, int fd)
{
	unsigned i = 0;

	while (p->writing[i] != fd)
		i++;
	p->writing[i] = p->writing[--p->nwriting];
}

/*
 * Does it, and says so to who waits; the reactor is not woken for it yet.  How much there is
 * to tell, in bytes: what moved none is worth a word by itself.
 */
static unsigned
perform(struct pool *p, struct reactor_op *op)
{
	/* It is the reactor's once it is handed back. */
	const int fd = op->code == REACTOR_WRITEV ? op->fd : -1;
	int res;

	pthread_mutex_unlock(&p->lock);
	res = op->res = pool_perform(op);
	hand_back(p, op);
	pthread_mutex_lock(&p->lock);
	if (fd >= 0)
		end_write(p, fd);
	pthread_cond_signal(&p->idle);
	return res > 0 && res < TELL_BYTES ? (unsigned)res : TELL_BYTES;
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	struct reactor_op *op;
	unsigned untold = 0;

	pthread_mutex_lock(&p->lock);
	while ((op = take_todo(p)) || untold > 0 || !p->ended) {
		if (op)
			untold += perform(p, op);
		if (untold >= TELL_BYTES || (!op && untold > 0)) {
			untold = 0;
			pthread_mutex_unlock(&p->lock);
			reactor_kick(p->r);
			pthread_mutex_lock(&p->lock);
		} else if (!op) {
			p->nidle++;
			pthread_cond_wait(&p->work, &p->lock);
			p->nidle--;
			p->ncalled -= p->ncalled > 0;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- in the reactor ---- */

/* Called with the lock held. */
static int
add_thread(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&p->thread[p->nthread], &attr, work, p);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		p->nthread++;
	return -rc;
}

/* A thread will come to what is queued next, if it is a write to this file. */
static bool
has_writer(const struct pool *p, int fd)
{
	const struct reactor_op *last = p->todo.first ? p->todo.last : NULL;

	return is_written(p, fd) ||
	       (last && last->code == REACTOR_WRITEV && last->fd == fd);
}

void
pool_queue(struct pool *p, struct reactor_op *op)
{
	p->inflight++;
	pthread_mutex_lock(&p->lock);
	/* Who has it in hand looks for the next when it is done. */
	bool taken = op->code == REACTOR_WRITEV && has_writer(p, op->fd);

	op_queue_put(&p->todo, op);
	if (!taken && p->nidle > p->ncalled) {
		p->ncalled++;
		pthread_cond_signal(&p->work);
	} else if (!taken && p->nthread < POOL_THREADS) {
		/* One that cannot be made is no loss while there is another. */
		(void)add_thread(p);
	}
	pthread_mutex_unlock(&p->lock);
}

/* Moves what is done to ready, in the order in which it was done. */
static void
take_done(struct pool *p)
{
	struct reactor_op *op, *next, *first = NULL;

	if (!atomic_load_explicit(&p->done, memory_order_relaxed))
		return;
	op = atomic_exchange_explicit(&p->done, NULL, memory_order_acquire);
	for (; op; op = next) {
		next = op->next;
		op->next = first;
		first = op;
	}
	for (op = first; op; op = next) {
		next = op->next;
		op_queue_put(&p->ready, op);
	}
}

static bool
pool_poll(struct reactor_poll *poll)
{
	struct pool *p = container_of(poll, struct pool, poll);
	bool worked = false;

	take_done(p);
	/* One at a time from the queue: done() may wait for the others. */
	for (struct reactor_op *op; (op = op_queue_take(&p->ready)); worked = true) {
		p->inflight--;
		op->done(op, op->res);
	}
	return worked;
}

bool
pool_wait(struct pool *p)
{
	if (p->inflight == 0)
		return false;
	pthread_mutex_lock(&p->lock);
	while (!p->ready.first && !atomic_load_explicit(&p->done, memory_order_relaxed))
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return pool_poll(&p->poll);
}

int
pool_new(struct reactor *r, struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->r = r;
	p->poll.poll = pool_poll;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	pthread_mutex_lock(&p->lock);
	rc = add_thread(p); /* with one it works */
	pthread_mutex_unlock(&p->lock);
	if (rc) {
		free(p);
		return rc;
	}
	reactor_poll_start(r, &p->poll);
	*ret = p;
	return 0;
}

void
pool_free(struct pool *p)
{
	if (!p)
		return;
	while (pool_wait(p))
		;
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nthread; i++)
		pthread_join(p->thread[i], NULL);
	reactor_poll_stop(p->r, &p->poll);
	free(p);
}
