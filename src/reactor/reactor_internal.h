/* SPDX-License-Identifier: ISC */
/* Between reactor.c, ops.c, uring.c and pool.c: file operations. */
#ifndef VMM_REACTOR_INTERNAL_H
#define VMM_REACTOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor.h"

struct ev_loop;
struct pool;
struct uring;

/* First in, first out; linked through reactor_op.next. */
struct op_queue {
	struct reactor_op *first, *last;
};

static inline void
op_queue_put(struct op_queue *q, struct reactor_op *op)
{
	op->next = NULL;
	if (q->first)
		q->last->next = op;
	else
		q->first = op;
	q->last = op;
}

static inline struct reactor_op *
op_queue_take(struct op_queue *q)
{
	struct reactor_op *op = q->first;

	if (op)
		q->first = op->next;
	return op;
}

/* ---- ops.c: who does an operation ---- */

enum { OPS_FILES_MAX = 64 };

struct ops {
	struct reactor *r;
	struct ev_loop *loop;
	struct uring *uring;
	struct pool *pool;
	bool no_uring;           /* this host has none; said so */
	struct op_queue settled; /* res is known, done() is next */
	struct reactor_defer settle;
	uint64_t inline_left;    /* bytes, in this pass */
	int file[OPS_FILES_MAX]; /* known before there was a ring */
	unsigned nfile;
};

void ops_init(struct ops *o, struct reactor *r, struct ev_loop *loop);
void ops_free(struct ops *o);
void ops_submit(struct ops *o, struct reactor_op *op);
bool ops_wait(struct ops *o);
void ops_file(struct ops *o, int fd, bool add);

/* Hands what was queued to the kernel and answers what is complete. */
enum { OPS_ANSWERED = 1, OPS_STUCK = 2 /* the kernel did not take all */ };
unsigned ops_push(struct ops *o);

/* ---- uring.c ---- */

int uring_new(struct ev_loop *loop, struct uring **ret);
/* Waits for what is in flight. NULL is allowed. */
void uring_free(struct uring *u);
/* False: no form in io_uring. */
bool uring_queue(struct uring *u, struct reactor_op *op);
unsigned uring_push(struct uring *u);
bool uring_wait(struct uring *u);
void uring_file(struct uring *u, int fd, bool add);

/* ---- pool.c ---- */

int pool_new(struct reactor *r, struct pool **ret);
void pool_free(struct pool *p);
void pool_queue(struct pool *p, struct reactor_op *op);
/* The system call itself, in any thread. */
int pool_perform(const struct reactor_op *op);
bool pool_wait(struct pool *p);

#endif
