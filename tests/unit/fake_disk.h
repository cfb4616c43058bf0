/* SPDX-License-Identifier: ISC */
/*
 * A disk in memory that answers when the test says so, in the order it says, and fails
 * where it says.  It holds its front to the contract of disk.h.
 */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "util.h"

enum { FAKE_DISK_HELD = 4096, FAKE_DISK_LOG = 65536 };

struct fake_disk {
	struct disk disk;
	uint8_t *buf;
	struct disk_request *held[FAKE_DISK_HELD];
	unsigned nheld;
	unsigned nops;    /* submitted so far */
	unsigned fail_at; /* this one fails, counted from 1; 0: none */
	int fail_err;
	unsigned drains;
	void (*submitted)(struct fake_disk *f); /* from within submit(); may be NULL */
	bool freed;
	char log[FAKE_DISK_LOG]; /* an operation each: r w f d z, and u with unmap */
};

static inline struct fake_disk *
fake_disk_of(struct disk *d)
{
	return container_of(d, struct fake_disk, disk);
}

static inline void
fake_disk_check(const struct fake_disk *f, const struct disk_request *rq)
{
	const struct disk_info *info = &f->disk.info;
	uint64_t sum = 0;

	if (rq->op == DISK_FLUSH)
		return;
	assert(range_ok(rq->off, rq->len, info->size));
	assert(rq->off % info->block == 0 && rq->len % info->block == 0);
	assert(rq->len > 0);
	assert(rq->op == DISK_READ || !info->readonly);
	if (rq->op != DISK_READ && rq->op != DISK_WRITE)
		return;
	for (unsigned i = 0; i < rq->niov; i++)
		sum += rq->iov[i].iov_len;
	assert(sum == rq->len);
}

static inline void
fake_disk_submit(struct disk *d, struct disk_request *rq)
{
	struct fake_disk *f = fake_disk_of(d);
	char c = "rwfdz"[rq->op];

	assert(!f->freed && rq->done && f->nheld < FAKE_DISK_HELD);
	fake_disk_check(f, rq);
	if (rq->op == DISK_WRITE_ZEROES && rq->unmap)
		c = 'u';
	f->log[f->nops++ % (FAKE_DISK_LOG - 1)] = c;
	/* What is the back's, it may use. */
	memset(rq->priv, 0x5a, sizeof(rq->priv));
	rq->priv[0] = f->nops;
	f->held[f->nheld++] = rq;
	if (f->submitted)
		f->submitted(f);
}

static inline void
fake_disk_do(struct fake_disk *f, struct disk_request *rq)
{
	uint8_t *p = f->buf + rq->off;

	switch (rq->op) {
	case DISK_READ:
		for (unsigned i = 0; i < rq->niov; p += rq->iov[i].iov_len, i++)
			memcpy(rq->iov[i].iov_base, p, rq->iov[i].iov_len);
		break;
	case DISK_WRITE:
		for (unsigned i = 0; i < rq->niov; p += rq->iov[i].iov_len, i++)
			memcpy(p, rq->iov[i].iov_base, rq->iov[i].iov_len);
		break;
	case DISK_DISCARD:
		memset(p, 0xdd, rq->len);
		break;
	case DISK_WRITE_ZEROES:
		memset(p, 0, rq->len);
		break;
	default:
		break;
	}
}

/* Answers the i-th that is held: as it went, or with an error. */
static inline void
fake_disk_answer(struct fake_disk *f, unsigned i, int err)
{
	struct disk_request *rq = f->held[i];

	assert(i < f->nheld);
	memmove(&f->held[i], &f->held[i + 1], (f->nheld - i - 1) * sizeof(f->held[0]));
	f->nheld--;
	if (err == 0 && rq->priv[0] == f->fail_at)
		err = f->fail_err;
	if (err == 0)
		fake_disk_do(f, rq);
	/* The back may change it. */
	if (rq->op == DISK_READ || rq->op == DISK_WRITE)
		memset(rq->iov, 0xa5, rq->niov * sizeof(rq->iov[0]));
	rq->done(rq, err);
}

/* Answers what is held now, and nothing that this brings. */
static inline void
fake_disk_answer_all(struct fake_disk *f)
{
	for (unsigned n = f->nheld; n > 0; n--)
		fake_disk_answer(f, 0, 0);
}

static inline void
fake_disk_drain(struct disk *d)
{
	struct fake_disk *f = fake_disk_of(d);

	f->drains++;
	while (f->nheld > 0)
		fake_disk_answer(f, 0, 0);
}

static inline void
fake_disk_free(struct disk *d)
{
	struct fake_disk *f = fake_disk_of(d);

	assert(f->nheld == 0 && !f->freed);
	f->freed = true;
	free(f->buf);
	f->buf = NULL;
}

static inline void
fake_disk_init(struct fake_disk *f, uint64_t size, uint32_t block)
{
	static const struct disk_ops ops = {
		.submit = fake_disk_submit,
		.drain = fake_disk_drain,
		.free = fake_disk_free,
	};

	memset(f, 0, sizeof(*f));
	f->disk = (struct disk){
		.ops = &ops,
		.info = { .size = size,
			  .block = block,
			  .physical_block = 4096,
			  .discard = true,
			  .discard_align = 4096 },
	};
	f->fail_err = -EIO;
	f->buf = malloc(size);
	assert(f->buf);
	for (uint64_t i = 0; i < size; i++)
		f->buf[i] = (uint8_t)(i / 512 + i);
}

#endif
