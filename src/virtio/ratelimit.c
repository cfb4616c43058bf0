/* SPDX-License-Identifier: ISC */
#include "ratelimit.h"

#include "util.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t
cut(uint64_t n)
{
	return n < TOKEN_BUCKET_MAX ? n : TOKEN_BUCKET_MAX;
}

void
token_bucket_init(struct token_bucket *b, uint64_t rate, uint64_t burst, uint64_t now_ns)
{
	*b = (struct token_bucket){
		.rate = cut(rate),
		.burst = cut(burst ? burst : rate),
		.last_ns = now_ns,
	};
	b->tokens = (int64_t)b->burst;
}

static void
refill(struct token_bucket *b, uint64_t now_ns)
{
	int64_t missing = (int64_t)b->burst - b->tokens;
	/* A clock that went back gains nothing. */
	uint64_t ns = now_ns > b->last_ns ? now_ns - b->last_ns : 0;
	wide gained = (wide)ns * b->rate + b->part;

	b->last_ns = now_ns;
	if (gained / NSEC_PER_SEC >= (wide)missing) {
		b->tokens = (int64_t)b->burst;
		b->part = 0;
	} else {
		b->tokens += (int64_t)(gained / NSEC_PER_SEC);
		b->part = (uint32_t)(gained % NSEC_PER_SEC);
	}
}

uint64_t
token_bucket_avail(struct token_bucket *b, uint64_t now_ns)
{
	if (b->rate == 0)
		return UINT64_MAX;
	refill(b, now_ns);
	return b->tokens > 0 ? (uint64_t)b->tokens : 0;
}

/* What has to be there for a request of n. */
static int64_t
needed(const struct token_bucket *b, uint64_t n)
{
	return (int64_t)(n < b->burst ? n : b->burst);
}

bool
token_bucket_take(struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	if (b->rate == 0)
		return true;
	refill(b, now_ns);
	if (b->tokens < needed(b, n))
		return false;
	b->tokens -= (int64_t)cut(n);
	return true;
}

void
token_bucket_charge(struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	if (b->rate == 0)
		return;
	refill(b, now_ns);
	/* What is owed has a limit, too: nothing overflows. */
	if (b->tokens > -(int64_t)TOKEN_BUCKET_MAX)
		b->tokens -= (int64_t)cut(n);
}

uint64_t
token_bucket_ready_ns(struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	if (b->rate == 0)
		return now_ns;
	refill(b, now_ns);
	if (b->tokens >= needed(b, n))
		return now_ns;

	wide missing = (wide)(needed(b, n) - b->tokens) * NSEC_PER_SEC - b->part;
	return now_ns + (uint64_t)((missing + b->rate - 1) / b->rate);
}

/* ---- both at once ---- */

void
rate_limit_init(struct rate_limit *rl, const struct rate_limit_config *cfg,
		uint64_t now_ns)
{
	token_bucket_init(&rl->bytes, cfg->rate, cfg->burst, now_ns);
	token_bucket_init(&rl->ops, cfg->rate_ops, cfg->burst_ops, now_ns);
}

uint64_t
rate_limit_ready_ns(struct rate_limit *rl, uint64_t bytes, uint64_t ops, uint64_t now_ns)
{
	uint64_t a = token_bucket_ready_ns(&rl->bytes, bytes, now_ns);
	uint64_t b = token_bucket_ready_ns(&rl->ops, ops, now_ns);

	return a > b ? a : b;
}

bool
rate_limit_take(struct rate_limit *rl, uint64_t bytes, uint64_t ops, uint64_t now_ns)
{
	if (rate_limit_ready_ns(rl, bytes, ops, now_ns) > now_ns)
		return false;
	token_bucket_take(&rl->bytes, bytes, now_ns);
	token_bucket_take(&rl->ops, ops, now_ns);
	return true;
}

void
rate_limit_charge(struct rate_limit *rl, uint64_t bytes, uint64_t ops, uint64_t now_ns)
{
	token_bucket_charge(&rl->bytes, bytes, now_ns);
	token_bucket_charge(&rl->ops, ops, now_ns);
}
