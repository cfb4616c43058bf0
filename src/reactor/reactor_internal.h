/* SPDX-License-Identifier: ISC */
/* Between reactor.c and uring.c. */
#ifndef VMM_REACTOR_INTERNAL_H
#define VMM_REACTOR_INTERNAL_H

struct ev_loop;
struct reactor_op;
struct uring;

int uring_new(struct ev_loop *loop, struct uring **ret);
void uring_free(struct uring *u);

/* -EAGAIN: no room before the next completion. */
int uring_queue(struct uring *u, struct reactor_op *op);

/* Hands what was queued to the kernel: once for each pass. NULL is allowed. */
void uring_submit(struct uring *u);

#endif
