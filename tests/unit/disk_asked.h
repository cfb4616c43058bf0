/* SPDX-License-Identifier: ISC */
/* A request to a disk that a test has opened, and how it ended. */
#ifndef DISK_ASKED_H
#define DISK_ASKED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "disk.h"
#include "reactor.h"
#include "util.h"

struct asked {
	struct disk_request rq;
	int err, calls;
};

static inline void
asked_done(struct disk_request *rq, int err)
{
	struct asked *a = container_of(rq, struct asked, rq);

	a->err = err;
	a->calls++;
}

static inline void
asked_submit(struct disk *d, struct asked *a)
{
	a->rq.done = asked_done;
	d->ops->submit(d, &a->rq);
	assert_int_equal(a->calls, 0); /* never from within submit */
}

/* As disk_ops.drain() waits. */
static inline int
asked_drained(struct disk *d, struct asked *a)
{
	asked_submit(d, a);
	d->ops->drain(d);
	assert_int_equal(a->calls, 1);
	return a->err;
}

/* As the loop brings it. */
static inline int
asked_awaited(struct disk *d, struct reactor *r, struct asked *a)
{
	asked_submit(d, a);
	while (a->calls == 0)
		reactor_run_once(r, true);
	assert_int_equal(a->calls, 1);
	return a->err;
}

#endif
