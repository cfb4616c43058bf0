/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk from the inside: blk.c is the device (features, queues, who is served when),
 * blk_request.c one request from its chain to its status byte.
 */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"
#include "ratelimit.h"
#include "reactor.h"
#include "util.h"
#include "virtio.h"
#include "virtio_dev.h"

/* 5.2.3 */
#define BLK_F_SEG_MAX (UINT64_C(1) << 2)
#define BLK_F_RO (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE (UINT64_C(1) << 6)
#define BLK_F_FLUSH (UINT64_C(1) << 9)
#define BLK_F_TOPOLOGY (UINT64_C(1) << 10)
#define BLK_F_CONFIG_WCE (UINT64_C(1) << 11)
#define BLK_F_MQ (UINT64_C(1) << 12)
#define BLK_F_DISCARD (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

/* Configuration space (5.2.4), as far as the features above need it. */
struct blk_space {
	uint64_t capacity; /* in sectors, like all that is called so */
	uint32_t size_max;
	uint32_t seg_max;
	uint32_t geometry;
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};

enum { BLK_SPACE_LEN = 60 };

/* Requests (5.2.6). */
struct blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct blk_header) == 16, "as in memory");

enum blk_type {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_FLUSH_OUT = 5, /* what FLUSH was called as well (5.2.6.4) */
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};

enum blk_status { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP };

/* The data of DISCARD and WRITE_ZEROES: one or several of these. */
struct blk_range {
	uint64_t sector;
	uint32_t num_sectors;
	uint32_t flags; /* BLK_RANGE_UNMAP */
};
_Static_assert(sizeof(struct blk_range) == 16, "as in memory");

enum {
	BLK_RANGE_UNMAP = 1,
	BLK_SECTOR = 512,     /* the unit of the protocol, whatever the block is */
	BLK_QUEUE_SIZE = 256, /* as many requests as Linux would keep in flight */
	/* A header and a status byte beside the data, each in a piece of its own. */
	BLK_SEG_MAX = BLK_QUEUE_SIZE - 2,
	BLK_RANGES_MAX = 64, /* of one request */
	BLK_FEW = 8,         /* pieces or ranges that need no page */
};

/* Bytes of one range: what keeps a back busy for a moment, and not for minutes. */
#define BLK_DISCARD_MAX GiB(1)
#define BLK_ZEROES_MAX MiB(128)

struct blk_queue;

/*
 * A request that was popped.  There are as many as the queue can have in flight, so none
 * is ever missing.  Most have few pieces; for the others there is a page each, which
 * takes no memory before it is first used.
 */
struct blk_request {
	struct disk_request disk;
	struct blk_queue *q;
	const struct blk_kind *kind;
	uint8_t *status; /* in guest memory: the last byte of the writable part */
	uint32_t
		used_good; /* bytes of the writable part that are written: all goes well */
	uint32_t used_bad;
	uint16_t head;
	uint16_t range, nranges;
	bool flushing;  /* the last step of a write in write-through mode */
	uint64_t bytes; /* what it costs */
	uint64_t ops;
	uint64_t mark; /* blk.written when the flush was submitted */
	union {
		struct iovec iov[BLK_FEW];
		struct blk_range range[BLK_FEW];
	} few;
};

/* Data, or ranges: copied before they are checked. */
union blk_page {
	struct iovec iov[BLK_QUEUE_SIZE];
	struct blk_range range[BLK_RANGES_MAX];
};

struct blk_queue {
	struct blk *blk;
	unsigned index;
	struct virtqueue *vq;
	struct blk_request *request; /* BLK_QUEUE_SIZE of them */
	union blk_page *page;        /* of each */
	/* Those not in use: the last one used is the next one. */
	uint16_t spare[BLK_QUEUE_SIZE];
	unsigned nspare;
	bool stopping; /* no more steps */
	struct reactor_defer publish;
};

struct blk {
	struct virtio_device dev; /* first: counters are at offsets from it */
	struct reactor *r;
	struct disk *disk;
	char id[BLK_SERIAL_MAX]; /* padded with NUL */
	struct blk_space space;
	struct rate_limit limit;
	bool limited;

	bool waiting;  /* for the timer: until then no queue is served */
	unsigned turn; /* the queue that is served first then */
	unsigned left; /* requests in this pass */
	struct reactor_timer timer;

	/* How many writes were done, and how many of these are known to be durable. */
	uint64_t written, durable;
	struct disk_request sync;
	int sync_err;

	struct {
		uint64_t reads, writes, flushes, discards, zeroes, errors;
		uint64_t read_bytes, written_bytes;
	} count;

	unsigned nqueue;
	struct virtio_queue *queue;
	struct blk_queue *bq;
	void *pool; /* requests and pages of all queues */
	size_t pool_len;
	struct iovec iov[BLK_QUEUE_SIZE]; /* of the chain popped last */
};

/* Does a write have to be durable before it is answered? (5.2.6.2) */
static inline bool
blk_is_writethrough(const struct blk *blk)
{
	return blk->space.writeback == 0;
}

/*
 * What a chain asks for, and what it costs; nothing is done yet, and it may be put back.
 * Returns a status: BLK_S_OK, or how to answer it.  NULL: it cannot be answered.
 */
struct blk_request *blk_request_get(struct blk_queue *q, const struct vq_chain *c,
				    enum blk_status *ret_status);
void blk_request_put(struct blk_request *rq);

/* Starts it. The chain is that of blk_request_get(), and not needed any more then. */
void blk_request_start(struct blk_request *rq, const struct vq_chain *c);

/* Answers and puts it. */
void blk_request_answer(struct blk_request *rq, enum blk_status status);

#endif
