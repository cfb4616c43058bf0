// SPDX-License-Identifier: ISC
/*
 * virtio-rng on one transport (transport=), as a driver that breaks no rule: polled, many
 * requests at once, chains, indirect tables, EVENT_IDX, a queue reset.
 */
#include "rng.h"

static struct rng rng;

/* Many at once, more often than the ring is long. */
static void
test_depth(const char *name, uint64_t features)
{
	bool good = rng_start(&rng, features);
	unsigned depth = rng.q.size / 2;

	for (unsigned round = 0; good && round < 3; round++) {
		for (unsigned i = 0; i < depth; i++)
			good &= rng_ask(&rng);
		virtq_kick(&rng.q);
		good = good && rng_take(&rng, depth);
	}
	check(good, name, "status %x used %u of %u", virtio_status(&rng.v),
	      rng.q.used->idx, rng.q.added);
}

/* One request in several pieces: all of them are filled, in order. */
static void
test_pieces(const char *name, uint64_t features)
{
	bool good = rng_start(&rng, features);
	uint8_t *p = rng.buf;
	const struct vbuf b[3] = { { p, 8 }, { p + 16, 8 }, { p + 32, 8 } };
	uint64_t t = deadline_ms(5000);
	uint32_t len = 0;

	memset(p, 0, RNG_BUF);
	good = good && virtq_add(&rng.q, b, 0, 3, p);
	virtq_kick(&rng.q);
	while (good && !virtq_take(&rng.q, NULL, &len) && !passed(t))
		cpu_relax();
	good = good && len == 24;
	for (unsigned i = 0; i < 48; i += 8) {
		bool zero = *(volatile uint64_t *)(p + i) == 0;
		good = good && zero == (i / 8 % 2 == 1);
	}
	check(good, name, "len %u status %x", len, virtio_status(&rng.v));
}

/* A driver that was asked for no doorbell rings none, and is served all the same. */
static void
test_event_idx(void)
{
	bool good = rng_start(&rng, VIRTIO_F_EVENT_IDX);
	unsigned rings = 0;

	if (!(rng.v.features & VIRTIO_F_EVENT_IDX)) {
		skip("virtio-event-idx", "not offered");
		return;
	}
	for (unsigned i = 0; good && i < 20; i++) {
		good = rng_ask(&rng);
		rings += virtq_kick(&rng.q);
		good = good && rng_take(&rng, 1);
	}
	check(good && rings > 0, "virtio-event-idx", "%u rings, status %x", rings,
	      virtio_status(&rng.v));
}

static void
test_resets(void)
{
	bool good = true;

	for (unsigned i = 0; good && i < 8; i++)
		good = rng_start(&rng, i & 1 ? VIRTIO_F_INDIRECT : 0) && rng_read(&rng);
	virtio_reset(&rng.v);
	check(good && virtio_status(&rng.v) == 0, "virtio-reset-and-again", "status %x",
	      virtio_status(&rng.v));
}

void
payload_main(void)
{
	char transport[16] = "pci";

	(void)cmdline_get("transport", transport, sizeof(transport));
	if (!check(rng_find(&rng, transport, 0), "virtio-found", "no rng on %s",
		   transport))
		return;
	test_depth("virtio-depth", 0);
	test_depth("virtio-depth-event-idx", VIRTIO_F_EVENT_IDX);
	test_pieces("virtio-pieces", 0);
	test_pieces("virtio-pieces-indirect", VIRTIO_F_INDIRECT);
	test_event_idx();
	test_resets();
}
