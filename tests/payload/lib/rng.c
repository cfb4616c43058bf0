// SPDX-License-Identifier: ISC
#include "rng.h"

bool
rng_find(struct rng *r, const char *transport, unsigned n)
{
	return virtio_find(transport, VIRTIO_ID_RNG, n, &r->v);
}

bool
rng_start(struct rng *r, uint64_t features)
{
	if (!virtio_start(&r->v, features) || !virtq_setup(&r->q, &r->v, 0, VIRTQ_MAX))
		return false;
	if (!r->buf)
		r->buf = ram_alloc((size_t)r->q.size * RNG_BUF, RNG_BUF);
	virtq_interrupts(&r->q, false);
	virtio_ready(&r->v);
	return true;
}

bool
rng_ask(struct rng *r)
{
	uint8_t *p = r->buf + r->q.free * RNG_BUF;
	struct vbuf b = { p, RNG_BUF };

	if (r->q.nfree == 0)
		return false;
	memset(p, 0, RNG_BUF);
	return virtq_add(&r->q, &b, 0, 1, p);
}

/* 64 random bytes are not all zero. */
static bool
is_random(const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len && i < RNG_BUF; i++)
		if (p[i])
			return len <= RNG_BUF;
	return false;
}

bool
rng_take(struct rng *r, unsigned n)
{
	uint64_t t = deadline_ms(5000);
	void *p;
	uint32_t len;

	while (n > 0) {
		if (virtq_take(&r->q, &p, &len)) {
			if (!is_random(p, len))
				return false;
			n--;
		} else if (passed(t)) {
			return false;
		}
	}
	return true;
}

bool
rng_read(struct rng *r)
{
	if (!rng_ask(r))
		return false;
	virtq_kick(&r->q);
	return rng_take(r, 1);
}
