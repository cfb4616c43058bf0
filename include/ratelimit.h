/* SPDX-License-Identifier: ISC */
/*
 * Token buckets: how fast a device may go.
 *
 * A bucket holds up to burst tokens and gains rate of them each second, without
 * drift: the fraction of a token that a look at the clock finds is not lost.  A
 * request larger than the burst may be taken from a full bucket; the bucket then
 * owes the difference, so that no request is too large to ever be served.
 *
 * There is no tick.  Who finds the bucket short asks when it will do and sets a
 * timer to that time (reactor_timer_set).
 *
 * Times are nanoseconds of one clock that does not go back (it does no harm if it
 * does).  Any thread; the bucket belongs to its caller.
 */
#ifndef VMM_RATELIMIT_H
#define VMM_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
	uint64_t rate;    /* tokens a second; 0: no limit */
	uint64_t burst;   /* at least 1 if there is a limit */
	int64_t tokens;   /* negative: owed */
	uint64_t last_ns; /* what was gained until then is in tokens and part */
	uint32_t part;    /* billionths of a token */
};

/* Limits to which rate and burst are cut. */
#define TOKEN_BUCKET_MAX (UINT64_C(1) << 40)

/* A full bucket. burst 0 means as much as rate. */
void token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t burst,
		       uint64_t now_ns);

/* How many tokens can be taken now; UINT64_MAX without a limit. */
uint64_t token_bucket_avail(struct token_bucket *b, uint64_t now_ns);

/* Takes n if there are n, or if the bucket is full. */
bool token_bucket_take(struct token_bucket *b, uint64_t n, uint64_t now_ns);

/* Takes n whether they are there or not; what is missing is owed. */
void token_bucket_charge(struct token_bucket *b, uint64_t n, uint64_t now_ns);

/* When token_bucket_take(b, n) will succeed; now_ns if it would already. */
uint64_t token_bucket_ready_ns(struct token_bucket *b, uint64_t n, uint64_t now_ns);

/* ---- a limit of bytes and one of operations, as disks and networks have it ---- */

/* Numbers a second; 0: no limit.  A burst of 0 is a second's worth. */
struct rate_limit_config {
	uint64_t rate, burst;         /* bytes */
	uint64_t rate_ops, burst_ops; /* requests, packets */
};

struct rate_limit {
	struct token_bucket bytes, ops;
};

void rate_limit_init(struct rate_limit *rl, const struct rate_limit_config *cfg,
		     uint64_t now_ns);

/* Is there any limit?  Without one nobody need look at the clock. */
static inline bool
rate_limit_is_on(const struct rate_limit *rl)
{
	return rl->bytes.rate != 0 || rl->ops.rate != 0;
}

/* Takes from both, or from none. */
bool rate_limit_take(struct rate_limit *rl, uint64_t bytes, uint64_t ops,
		     uint64_t now_ns);

/* Takes what has been used already, if need be on credit. */
void rate_limit_charge(struct rate_limit *rl, uint64_t bytes, uint64_t ops,
		       uint64_t now_ns);

/* When rate_limit_take() of the same will succeed; now_ns if it would already. */
uint64_t rate_limit_ready_ns(struct rate_limit *rl, uint64_t bytes, uint64_t ops,
			     uint64_t now_ns);

#endif
