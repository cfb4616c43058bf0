/* SPDX-License-Identifier: ISC */
/*
 * virtio-rng (virtio 1.2, section 5.4): the driver offers buffers, the device fills
 * them with random bytes, or as much of them as it likes.
 *
 * Bytes go straight into guest memory: nothing is allocated, whatever the guest asks
 * for.  One request gets at most CHUNK_MAX bytes, one pass over the queue at most
 * PASS_MAX; what is left is served in the next pass of the loop, so that other devices
 * have their turn.  A request waits in the ring while the bucket is empty.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "ratelimit.h"
#include "reactor.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"

enum {
	RNG_ID = 4,
	RNG_LEGACY_PCI_ID = 0x1005,
	RNG_PCI_CLASS = 0x00ff00, /* unclassified */
	QUEUE_SIZE = 64,
	CHUNK_MIN = 64, /* what the bucket has to hold before a request is served */
	CHUNK_MAX = 4096,
	PASS_MAX = 16 * CHUNK_MAX,
	RETRY_NS = 100000000, /* after the backend had nothing */
};

struct rng {
	struct virtio_device dev;
	struct virtio_queue queue;
	struct reactor *r;
	const struct rng_backend *back;
	struct token_bucket bucket;
	struct reactor_timer timer;
	struct iovec iov[QUEUE_SIZE];
};

static struct rng *
of_device(struct virtio_device *dev)
{
	return container_of(dev, struct rng, dev);
}

/* Fills the beginning of the writable part; how many bytes there are then. */
static uint32_t
fill(struct rng *rng, const struct vq_chain *c, uint64_t len)
{
	const struct iovec *iov = c->iov + c->nread;
	uint64_t done = 0;

	for (unsigned i = 0; i < c->nwrite && done < len; i++) {
		uint64_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;
		ssize_t got = rng->back->fill(rng->back->arg, iov[i].iov_base, (size_t)n);

		if (got > 0)
			done += (uint64_t)got < n ? (uint64_t)got : n;
		if (got < 0 || (uint64_t)got < n)
			break;
	}
	return (uint32_t)done;
}

static void
wait_until(struct rng *rng, uint64_t deadline_ns)
{
	reactor_timer_set(rng->r, &rng->timer, deadline_ns);
}

/* What is left of one pass over the queue. */
struct pass {
	uint64_t bytes;
	unsigned requests; /* buffers of no length cost no bytes */
};

/* May the next request be served now?  Sets the timer if not. */
static bool
is_due(struct rng *rng, const struct pass *left, uint64_t now)
{
	uint64_t at = token_bucket_ready_ns(&rng->bucket, CHUNK_MIN, now);

	if (at <= now && left->bytes > 0 && left->requests > 0)
		return true;
	wait_until(rng, at);
	return false;
}

/* One request. False: there is none, or it has to wait. */
static bool
serve_one(struct rng *rng, struct pass *left)
{
	struct vq_chain c = { .iov = rng->iov, .iov_max = QUEUE_SIZE };
	struct virtqueue *vq = &rng->queue.vq;
	uint64_t now = reactor_now_ns(rng->r);

	if (!virtqueue_pending(vq) && !vq->broken)
		return false;
	if (!is_due(rng, left, now))
		return false;
	int n = virtqueue_pop(vq, &c);
	if (n <= 0) {
		if (n < 0)
			virtio_fail(&rng->dev, "the ring is broken");
		return false;
	}

	uint64_t most = token_bucket_avail(&rng->bucket, now);
	most = most < CHUNK_MAX ? most : CHUNK_MAX;
	uint32_t got = fill(rng, &c, most < left->bytes ? most : left->bytes);
	if (got == 0 && c.write_len > 0) {
		/* At least one byte (5.4.6.2): no answer is better than an empty one. */
		virtqueue_unpop(vq, &c);
		wait_until(rng, now + RETRY_NS);
		return false;
	}
	token_bucket_take(&rng->bucket, got, now);
	left->bytes -= got;
	left->requests--;
	virtqueue_push(vq, c.head, got);
	return true;
}

static void
serve(struct rng *rng)
{
	struct pass left = { .bytes = PASS_MAX, .requests = QUEUE_SIZE };

	while (serve_one(rng, &left))
		;
	virtio_publish(&rng->dev, 0);
}

static void
queue_notify(struct virtio_device *dev, unsigned queue)
{
	(void)queue;
	serve(of_device(dev));
}

static void
on_timer(struct reactor_timer *t)
{
	struct rng *rng = container_of(t, struct rng, timer);

	/* As if the bell had rung: the device may have been reset meanwhile. */
	if (rng->dev.live && rng->queue.enabled)
		serve(rng);
}

/* Requests are served within one call: nothing is ever in flight. */
static void
stop(struct virtio_device *dev)
{
	reactor_timer_cancel(of_device(dev)->r, &of_device(dev)->timer);
}

static void
queue_stop(struct virtio_device *dev, unsigned queue)
{
	(void)queue;
	stop(dev);
}

static const struct virtio_type rng_type = {
	.name = "rng",
	.id = RNG_ID,
	.legacy_pci_id = RNG_LEGACY_PCI_ID,
	.pci_class = RNG_PCI_CLASS,
	.stop = stop,
	.queue_stop = queue_stop,
	.queue_notify = queue_notify,
};

int
rng_new(const struct memory *mem, struct reactor *r, const struct rng_backend *back,
	const struct rng_config *cfg, struct rng **ret)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	rng->r = r;
	rng->back = back;
	rng->timer.cb = on_timer;
	rng->queue.size_max = QUEUE_SIZE;
	token_bucket_init(&rng->bucket, cfg->rate, cfg->burst, reactor_now_ns(r));

	const struct virtio_desc desc = {
		.type = &rng_type,
		.name = cfg->name,
		.mem = mem,
		.queue = &rng->queue,
		.nqueue = 1,
	};
	virtio_device_init(&rng->dev, &desc);
	*ret = rng;
	return 0;
}

struct virtio_device *
rng_device(struct rng *rng)
{
	return &rng->dev;
}

void
rng_free(struct rng *rng)
{
	if (!rng)
		return;
	reactor_timer_cancel(rng->r, &rng->timer);
	free(rng);
}

/* ---- getrandom(2) ---- */

static ssize_t
fill_getrandom(void *arg, void *buf, size_t len)
{
	ssize_t n;

	(void)arg;
	/* GRND_NONBLOCK: a host that has no entropy yet must not stop the reactor. */
	do
		n = getrandom(buf, len, GRND_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

const struct rng_backend rng_backend_getrandom = { .fill = fill_getrandom };
