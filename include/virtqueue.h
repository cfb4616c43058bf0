/* SPDX-License-Identifier: ISC */
/*
 * Virtqueues, the device's side (virtio 1.2, section 2.7: split rings).
 *
 * This is the only code that reads descriptors.  Each is copied once and only the
 * copy is looked at, so a guest that changes it meanwhile changes nothing.  What
 * comes out is a chain: readable memory first, then writable, each piece checked
 * to lie in RAM.  A chain is never longer than the queue, indirect table included.
 *
 *	while (virtqueue_pop(vq, &chain) == 1) {
 *		... chain.iov ...
 *		virtqueue_push(vq, chain.head, bytes_written);
 *	}
 *	if (virtqueue_publish(vq))
 *		... interrupt ...
 *
 * Nothing the guest writes into a ring makes a call here block, loop without bound,
 * or touch memory that is not RAM.  A ring that cannot be right makes pop() say
 * -EPROTO, then and ever after until the queue is started again; what is pushed to
 * such a queue is dropped.
 *
 * Reactor thread only; the guest's CPUs run at the same time.
 */
#ifndef VMM_VIRTQUEUE_H
#define VMM_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct memory;

enum { VIRTQUEUE_SIZE_MAX = 1024 };

/* Where the three parts of a ring are: guest physical addresses. */
struct virtqueue_layout {
	uint16_t size;   /* descriptors, a power of two */
	uint64_t desc;   /* descriptor area, 16 * size bytes */
	uint64_t driver; /* available ring, 6 + 2 * size bytes */
	uint64_t device; /* used ring, 6 + 8 * size bytes */
};

struct virtqueue {
	const struct memory *mem;
	/* Guest memory, all of it checked at start; NULL while stopped. */
	const uint8_t *desc;
	const uint8_t *avail;
	uint8_t *used;
	uint16_t size; /* 0: stopped */
	bool broken;
	bool quiet;          /* nobody waits for the doorbell */
	bool watched;        /* somebody looks at idx: the doorbell need not ring */
	bool indirect;       /* VIRTIO_F_INDIRECT_DESC was negotiated */
	bool event_idx;      /* VIRTIO_F_EVENT_IDX was negotiated */
	uint16_t rang_avail; /* idx when virtqueue_rang() last told of it */
	uint16_t next_avail; /* the next entry to pop */
	uint16_t seen_avail; /* avail->idx when it was last looked at */
	uint16_t next_used;  /* the next entry to fill, not yet visible */
	uint16_t published;  /* used->idx as the guest sees it */
	uint16_t ninflight;  /* popped and not yet pushed */
	uint64_t inflight[VIRTQUEUE_SIZE_MAX / 64]; /* bit for each head */
};

/*
 * One request.  The caller provides iov and iov_max before the first pop; a chain
 * of more pieces breaks the queue, so iov_max is what the device told the driver
 * it takes, or the queue size.  Pieces of no length are left out.
 */
struct vq_chain {
	struct iovec *iov; /* nread readable pieces, then nwrite writable ones */
	unsigned iov_max;
	unsigned nread;
	unsigned nwrite;
	uint64_t read_len;  /* bytes */
	uint64_t write_len; /* bytes; read_len + write_len <= 2^32 (2.7.5.1) */
	uint16_t head;      /* the request's name: below the queue's size */
};

/*
 * Checks the layout (power of two, alignment, inside RAM, no wrap), keeps pointers
 * and starts at entry 0.  Writes nothing to the guest.  -EINVAL, and the queue is
 * stopped then.
 */
int virtqueue_start(struct virtqueue *vq, const struct memory *mem,
		    const struct virtqueue_layout *at);

/* Forgets the ring. The queue is empty and unbroken then. */
void virtqueue_stop(struct virtqueue *vq);

/*
 * Somebody else has served the ring up to this entry, and used all before it; for a
 * queue with nothing in flight.
 */
void virtqueue_resume(struct virtqueue *vq, uint16_t next);

/* What was negotiated (VIRTIO_F_* of virtio.h); before the first pop. */
void virtqueue_set_features(struct virtqueue *vq, uint64_t features);

/* From now on pop() says -EPROTO and push() does nothing. */
void virtqueue_break(struct virtqueue *vq);

/*
 * The next chain that the driver made available: 1; 0: there is none; -EPROTO:
 * the ring cannot be right (2.7.5, 2.7.5.3, 2.7.6).  ret->iov is valid until the
 * chain is pushed, the queue stopped, or the iovec reused.
 */
int virtqueue_pop(struct virtqueue *vq, struct vq_chain *ret);

/* Puts the chain popped last back; it will be popped again. */
void virtqueue_unpop(struct virtqueue *vq, const struct vq_chain *chain);

/*
 * Is there a chain to pop?  Looks at the guest's index only if it has to.  Like a pop()
 * that returns 0, false is a promise: the driver will ring for the next chain, or who
 * watches the queue will tell.
 */
bool virtqueue_pending(struct virtqueue *vq);

/*
 * Gives a chain back with the number of bytes written to its beginning (2.7.8).
 * In any order; not visible to the driver before virtqueue_publish().
 */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/*
 * Makes everything pushed visible to the driver at once, and says whether it wants
 * to be interrupted for it (2.7.7).
 */
bool virtqueue_publish(struct virtqueue *vq);

/*
 * Doorbells (2.7.10).  After disable the driver need not ring for what it adds, as
 * long as the reactor polls.  Enable is for the end of that, and for who leaves chains
 * in the queue (a packet needs more than there are): from then on the driver rings for
 * what it adds to those that were seen.  True: it has added some already, and the
 * caller goes on as if the bell had rung.
 */
void virtqueue_disable_notify(struct virtqueue *vq);
bool virtqueue_enable_notify(struct virtqueue *vq);

/*
 * Who watches a queue stands for its doorbell, from the outside: while it is watched nobody
 * asks the driver to ring, and virtqueue_rang() says whether it would have: once for what it
 * added, whether somebody takes it or not.  Only with EVENT_IDX; else it changes nothing.  After unwatch the driver rings again; true: it has
 * added something already, as if the bell had rung.
 */
void virtqueue_watch(struct virtqueue *vq);
bool virtqueue_rang(struct virtqueue *vq);
bool virtqueue_unwatch(struct virtqueue *vq);

/* ---- the bytes of a chain ---- */

/*
 * Copies between the readable or writable part and a buffer, from byte off of that
 * part.  Returns how many bytes there were, at most len.
 */
size_t vq_chain_read(const struct vq_chain *chain, uint64_t off, void *buf, size_t len);
size_t vq_chain_write(const struct vq_chain *chain, uint64_t off, const void *buf,
		      size_t len);

#endif
