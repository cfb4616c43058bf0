/* SPDX-License-Identifier: ISC */
/*
 * Threads for file operations that io_uring cannot do, or only by a thread of its own.
 *
 * A thread is made when an operation comes and none is idle, up to POOL_THREADS.  What
 * is done goes to a stack that the reactor empties as a poll source: while the reactor
 * is awake no system call is needed to tell it.
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
	unsigned ntodo, nidle;
	bool ended;
	pthread_t thread[POOL_THREADS];
	unsigned nthread;

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
	reactor_kick(p->r);
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	struct reactor_op *op;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!(op = op_queue_take(&p->todo)) && !p->ended) {
			p->nidle++;
			pthread_cond_wait(&p->work, &p->lock);
			p->nidle--;
		}
		if (!op)
			break;
		p->ntodo--;
		pthread_mutex_unlock(&p->lock);
		op->res = pool_perform(op);
		hand_back(p, op);
		pthread_mutex_lock(&p->lock);
		pthread_cond_signal(&p->idle);
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

void
pool_queue(struct pool *p, struct reactor_op *op)
{
	p->inflight++;
	pthread_mutex_lock(&p->lock);
	op_queue_put(&p->todo, op);
	/* One that cannot be made is no loss while there is another. */
	if (++p->ntodo > p->nidle && p->nthread < POOL_THREADS)
		(void)add_thread(p);
	if (p->nidle > 0)
		pthread_cond_signal(&p->work);
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
