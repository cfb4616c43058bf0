// SPDX-License-Identifier: ISC
/*
 * The guest of the disk benchmark: requests at a constant depth for a while, in the pattern
 * of disk_host.c.  op=read|write depth= block= seq=0|1 ms= span= (bytes of the disk).
 *
 * The driver runs in user mode (user.h), so that it costs nothing beside the device: it
 * polls the used ring, has no interrupts, and rings once for each batch that it finds
 * complete, if EVENT_IDX says that the device wants it.  It says "go" and waits for a byte
 * before it starts and before it ends, so that the host can read its counters then.
 */
#include "sample.h"
#include "user.h"
#include "virtio.h"

enum {
	T_IN = 0,
	T_OUT = 1,
	T_GET_ID = 8,
	SECTOR = 512,
	DEPTH_MAX = 64,
	HANG_S = 5,
	PENDING = 0xee
};
enum { ID_LEN = 20 };

struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
	uint8_t *data;
	uint64_t since;
};

struct bench {
	struct virtq q;
	uint32_t type, block, depth, seed;
	bool seq;
	uint64_t blocks, next;
	uint64_t hz, ms;
	struct request *rq;
	/* results */
	uint64_t ops, cycles, kicks, errors;
	uint32_t median, p99;
};

static struct virtio v;

static uint64_t
next_block(struct bench *b)
{
	if (b->seq)
		return b->next++ % b->blocks;
	b->seed = b->seed * 1664525 + 1013904223;
	return (b->seed >> 8) % b->blocks;
}

static void
submit(struct bench *b, struct request *r, uint64_t now)
{
	const struct vbuf header = { &r->header, 16 },
			  data = { r->data, b->type == T_GET_ID ? ID_LEN : b->block },
			  status = { (const void *)&r->status, 1 };
	const struct vbuf buf[] = { header, data, status };
	unsigned nread = b->type == T_OUT ? 2 : 1;

	r->header.type = b->type;
	r->header.sector = next_block(b) * (b->block / SECTOR);
	r->status = PENDING;
	r->since = now;
	(void)virtq_add(&b->q, buf, nread, 3 - nread, r);
}

static void
run(void *arg)
{
	struct bench *b = arg;
	uint64_t start = tsc(), now = start, end = start + b->hz / 1000 * b->ms;
	unsigned inflight = b->depth;
	void *token;

	b->ops = b->kicks = 0;
	for (unsigned i = 0; i < b->depth; i++)
		submit(b, &b->rq[i], now);
	b->kicks += virtq_kick(&b->q);
	while (inflight > 0 && now < end + HANG_S * b->hz) {
		bool any = false;

		now = tsc();
		while (virtq_take(&b->q, &token, NULL)) {
			struct request *r = token;

			b->errors += r->status != 0;
			sample[b->ops++ % SAMPLES_MAX] = (uint32_t)(now - r->since);
			if (now < end)
				submit(b, r, now);
			else
				inflight--;
			any = true;
		}
		if (any)
			b->kicks += virtq_kick(&b->q);
		else
			cpu_relax();
	}
	b->errors += inflight;
	b->cycles = now - start;
	unsigned n = b->ops < SAMPLES_MAX ? (unsigned)b->ops : SAMPLES_MAX;
	b->median = sample_select(n, n / 2);
	b->p99 = sample_select(n, n * 99 / 100);
}

static bool
start(struct bench *b)
{
	if (!virtio_find("pci", VIRTIO_ID_BLK, 0, &v) ||
	    !virtio_start(&v, VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX | 1ull << 9) ||
	    !virtq_setup(&b->q, &v, 0, VIRTQ_MAX))
		return false;
	virtq_interrupts(&b->q, false);
	virtio_ready(&v);
	return true;
}

static void
read_options(struct bench *b)
{
	char op[8] = "read";

	(void)cmdline_get("op", op, sizeof(op));
	b->type = op[0] == 'i' ? T_GET_ID : op[0] == 'w' ? T_OUT : T_IN;
	b->block = (uint32_t)cmdline_num("block", 4096);
	b->depth = (uint32_t)cmdline_num("depth", 1);
	if (b->depth > DEPTH_MAX)
		b->depth = DEPTH_MAX;
	b->seq = cmdline_num("seq", 0);
	b->blocks = cmdline_num("span", 64ul << 20) / b->block;
	b->hz = clock_hz();
	b->rq = ram_alloc(b->depth * sizeof(*b->rq), 64);
	for (unsigned i = 0; i < b->depth; i++)
		b->rq[i].data = ram_alloc(b->block, 4096);
}

void
payload_main(void)
{
	static struct bench b;

	read_options(&b);
	if (!start(&b)) {
		fail("blk", "no disk on pci");
		return;
	}
	b.ms = cmdline_num("warm", 30);
	user_run(run, &b);
	b.ms = cmdline_num("ms", 250);
	say("go");
	(void)uart_getc(10000);
	user_run(run, &b);
	uint64_t mhz = b.hz / 1000000;
	say("result ops %lu ns %lu median %lu p99 %lu kicks %lu errors %lu", b.ops,
	    b.cycles * 1000 / mhz, b.median * 1000ul / mhz, b.p99 * 1000ul / mhz, b.kicks,
	    b.errors);
	(void)uart_getc(10000);
}
