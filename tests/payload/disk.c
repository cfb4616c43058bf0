// SPDX-License-Identifier: ISC
/*
 * virtio-blk on one transport (transport=), as a driver that breaks no rule: the serial
 * number, many requests at once, errors, a reset in the middle of it.  What is left on
 * the disk, the runner looks at: block n begins with n + 1.
 */
#include "virtio.h"

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, SECTOR = 512, BLOCK = 4096 };
/* A mark in each sector: every instruction costs. */
enum { DEPTH = 32, BLOCKS = 64, PENDING = 0xee, STRIDE = SECTOR - 4 };
#define F_FLUSH (1ull << 9)

struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
};

static struct virtio v;
static struct virtq q;
static struct request *rq; /* DEPTH of them */
static uint8_t *data;      /* a block for each */

static bool
start(uint64_t features)
{
	if (!virtio_start(&v, features) || !virtq_setup(&q, &v, 0, VIRTQ_MAX))
		return false;
	virtq_interrupts(&q, false);
	virtio_ready(&v);
	return true;
}

static bool
submit(unsigned i, uint32_t type, uint64_t sector, uint32_t len)
{
	struct request *r = &rq[i];
	const struct vbuf in = { data + i * BLOCK, len }, header = { &r->header, 16 },
			  status = { (const void *)&r->status, 1 };
	const struct vbuf out[] = { header, in, status }, read[] = { header, in, status },
			  none[] = { header, status };

	r->header.type = type;
	r->header.sector = sector;
	r->status = PENDING;
	if (len == 0)
		return virtq_add(&q, none, 1, 1, r);
	return type == T_OUT ? virtq_add(&q, out, 2, 1, r) : virtq_add(&q, read, 1, 2, r);
}

/* n answers, all with this status. */
static bool
take(unsigned n, uint8_t status)
{
	uint64_t t = deadline_ms(5000);
	void *token;
	uint32_t len;
	bool good = true;

	while (n > 0 && !passed(t)) {
		if (!virtq_take(&q, &token, &len)) {
			cpu_relax();
			continue;
		}
		good &= ((struct request *)token)->status == status;
		n--;
	}
	return good && n == 0;
}

static bool
ask(uint32_t type, uint64_t sector, uint32_t len, uint8_t status)
{
	if (!submit(0, type, sector, len))
		return false;
	virtq_kick(&q);
	return take(1, status);
}

static void
put_mark(unsigned i, uint32_t mark)
{
	for (unsigned k = 0; k < BLOCK; k += STRIDE)
		*(volatile uint32_t *)(data + i * BLOCK + k) = mark + k;
}

static bool
has_mark(unsigned i, uint32_t mark)
{
	bool good = true;

	for (unsigned k = 0; k < BLOCK; k += STRIDE)
		good &= *(volatile uint32_t *)(data + i * BLOCK + k) == mark + k;
	return good;
}

static bool
each_block(uint32_t type)
{
	bool good = true;

	for (unsigned b = 0; good && b < BLOCKS; b += DEPTH) {
		for (unsigned i = 0; i < DEPTH; i++) {
			put_mark(i, type == T_OUT ? b + i + 1 : 0);
			good &= submit(i, type, (uint64_t)(b + i) * (BLOCK / SECTOR),
				       BLOCK);
		}
		virtq_kick(&q);
		good = good && take(DEPTH, 0);
		for (unsigned i = 0; good && type == T_IN && i < DEPTH; i++)
			good = has_mark(i, b + i + 1);
	}
	return good;
}

static void
test_data(const char *name, uint64_t features)
{
	bool good = start(features) && each_block(T_OUT);

	good = good && (!(v.features & F_FLUSH) || ask(T_FLUSH, 0, 0, 0));
	good = good && each_block(T_IN);
	check(good, name, "status %x used %u of %u, answer %u", virtio_status(&v),
	      q.used->idx, q.added, rq[0].status);
}

static void
test_errors(void)
{
	bool good = start(F_FLUSH);
	uint64_t end = v.ops->config(&v, 0, 4);

	good = good && ask(T_IN, end, SECTOR, 1) && ask(T_OUT, end - 1, 2 * SECTOR, 1) &&
	       ask(T_IN, 0, 100, 1) && ask(99, 0, SECTOR, 2) && ask(T_IN, 0, SECTOR, 0);
	check(good, "disk-errors", "status %x answer %u", virtio_status(&v),
	      rq[0].status);
}

/* Nothing of what was under way comes to memory that is somebody else's by now. */
static void
test_resets(void)
{
	bool good = true;

	for (unsigned round = 0; good && round < 6; round++) {
		good = start(F_FLUSH);
		for (unsigned i = 0; good && i < DEPTH; i++)
			good = submit(i, T_IN, i * (BLOCK / SECTOR), BLOCK);
		virtq_kick(&q);
		virtio_reset(&v);
		for (unsigned i = 0; i < DEPTH; i++)
			put_mark(i, 77);
		for (unsigned i = 0; good && i < DEPTH; i++)
			good = has_mark(i, 77);
	}
	good = good && start(F_FLUSH) && each_block(T_IN);
	check(good, "disk-resets", "status %x", virtio_status(&v));
}

void
payload_main(void)
{
	char transport[16] = "pci";

	(void)cmdline_get("transport", transport, sizeof(transport));
	if (!check(virtio_find(transport, VIRTIO_ID_BLK, 0, &v), "disk-found",
		   "no disk on %s", transport))
		return;
	rq = ram_alloc(DEPTH * sizeof(*rq), 64);
	data = ram_alloc(DEPTH * BLOCK, BLOCK);
	check(start(F_FLUSH) && ask(T_GET_ID, 0, 20, 0) && memcmp(data, "a", 2) == 0,
	      "disk-serial", "answer %u, %x", rq[0].status, data[0]);
	test_data("disk-data", F_FLUSH);
	test_data("disk-data-indirect-event-idx",
		  F_FLUSH | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX);
	test_data("disk-data-write-through", 0);
	test_errors();
	test_resets();
}
