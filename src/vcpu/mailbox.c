/* SPDX-License-Identifier: ISC */
/* Exits, by value, from vCPU threads to the reactor and back. See exits.h. */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exits.h"
#include "reactor.h"
#include "spin.h"
#include "util.h"

enum { SPIN_ROUND = 32 }; /* looks at the state between two looks at the clock */

/*
 * The word that both sides meet in, and that the vCPU sleeps on.  STOP is in the
 * same word so that a futex wait cannot miss it.
 */
enum mailbox_state {
	MB_REQUEST = 1 << 0, /* the slot is full; the vCPU waits */
	MB_DONE = 1 << 1,    /* the result is there */
	MB_ASLEEP = 1 << 2,  /* the vCPU waits in futex() */
	MB_STOP = 1 << 3,    /* nothing waits here any more */
};

struct mailbox {
	/* The vCPU writes, the reactor reads. */
	_Alignas(64) _Atomic uint32_t state;
	struct exit slot;
	uint64_t result;
	struct spin spin; /* the vCPU's */
	/* Posted writes: the vCPU owns head, the reactor owns tail; both only grow. */
	_Alignas(64) _Atomic uint32_t head;
	struct exit ring[MAILBOX_POSTED_MAX];
	_Alignas(64) _Atomic uint32_t tail;
};

enum { PENDING_WORDS = MAILBOX_VCPUS_MAX / 64 };

/* For each vCPU (w * 64 + bit) that is in the set. */
#define for_each_bit(m, set, w, bit) \
	for (unsigned w = 0; w < (m)->nwords; w++) \
		for (uint64_t w##_left = (set)[w], bit = 0; \
		     w##_left != 0 && (bit = (uint64_t)__builtin_ctzll(w##_left), true); \
		     w##_left &= w##_left - 1)

struct mailboxes {
	/* A bit for each vCPU that has something for the reactor. */
	_Alignas(64) _Atomic uint64_t pending[PENDING_WORDS];
	struct reactor_poll poll;
	struct reactor *reactor;
	struct exit_sink sink;
	struct mailbox_stats stats;
	unsigned n, nwords;
	struct mailbox box[];
};

static long
futex(_Atomic uint32_t *word, int op, uint32_t val)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

/* ---- the vCPU's side ---- */

static void
announce(struct mailboxes *m, unsigned vcpu)
{
	atomic_fetch_or_explicit(&m->pending[vcpu / 64], 1ull << (vcpu % 64),
				 memory_order_release);
	reactor_kick(m->reactor);
}

static bool
spin_for_reply(struct mailbox *mb)
{
	uint32_t budget = spin_budget(&mb->spin);
	uint64_t end;
	bool met = false;

	if (budget == 0)
		return false;
	end = spin_now_ns() + budget;
	do {
		for (unsigned i = 0; i < SPIN_ROUND && !met; i++) {
			met = atomic_load_explicit(&mb->state, memory_order_acquire) &
			      (MB_DONE | MB_STOP);
			spin_pause();
		}
	} while (!met && spin_now_ns() < end);
	spin_result(&mb->spin, met);
	return met;
}

static void
sleep_for_reply(struct mailbox *mb)
{
	uint64_t begin = spin_now_ns();
	uint32_t state =
		atomic_fetch_or_explicit(&mb->state, MB_ASLEEP, memory_order_acquire) |
		MB_ASLEEP;

	while (!(state & (MB_DONE | MB_STOP))) {
		futex(&mb->state, FUTEX_WAIT, state);
		state = atomic_load_explicit(&mb->state, memory_order_acquire);
	}
	spin_measured(&mb->spin, spin_now_ns() - begin);
}

int
mailbox_call(struct mailboxes *m, const struct exit *x, uint64_t *ret_data)
{
	struct mailbox *mb = &m->box[x->vcpu];
	uint32_t state;

	mb->slot = *x;
	state = atomic_fetch_or_explicit(&mb->state, MB_REQUEST, memory_order_release);
	if (state & MB_STOP)
		return -ECANCELED;
	assert(state == 0); /* one exit at a time */
	announce(m, x->vcpu);
	if (!spin_for_reply(mb))
		sleep_for_reply(mb);
	state = atomic_load_explicit(&mb->state, memory_order_acquire);
	if (!(state & MB_DONE))
		return -ECANCELED;
	*ret_data = mb->result;
	atomic_fetch_and_explicit(&mb->state, (uint32_t)MB_STOP, memory_order_relaxed);
	return 0;
}

int
mailbox_post(struct mailboxes *m, const struct exit *x)
{
	struct mailbox *mb = &m->box[x->vcpu];
	uint32_t head = atomic_load_explicit(&mb->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&mb->tail, memory_order_acquire);
	uint64_t ignored;

	if (head - tail == MAILBOX_POSTED_MAX) /* serving the slot drains the ring */
		return mailbox_call(m, x, &ignored);
	mb->ring[head % MAILBOX_POSTED_MAX] = *x;
	atomic_store_explicit(&mb->head, head + 1, memory_order_release);
	announce(m, x->vcpu);
	return 0;
}

void
mailbox_stop(struct mailboxes *m, unsigned vcpu)
{
	struct mailbox *mb = &m->box[vcpu];

	atomic_fetch_or_explicit(&mb->state, MB_STOP, memory_order_release);
	futex(&mb->state, FUTEX_WAKE, 1);
}

/* ---- the reactor's side ---- */

static void
drain_posted(struct mailboxes *m, struct mailbox *mb)
{
	uint32_t tail = atomic_load_explicit(&mb->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&mb->head, memory_order_acquire);

	for (; tail != head; tail++) {
		struct exit x = mb->ring[tail % MAILBOX_POSTED_MAX];

		atomic_store_explicit(&mb->tail, tail + 1, memory_order_release);
		m->stats.posted[x.kind]++;
		m->sink.serve(m->sink.arg, &x);
	}
}

static void
serve_slot(struct mailboxes *m, struct mailbox *mb)
{
	uint32_t state;

	assert(mb->slot.kind < EXIT_KINDS);
	m->stats.served[mb->slot.kind]++;
	mb->result = m->sink.serve(m->sink.arg, &mb->slot);
	state = atomic_fetch_or_explicit(&mb->state, MB_DONE, memory_order_acq_rel);
	if (state & MB_ASLEEP)
		futex(&mb->state, FUTEX_WAKE, 1);
}

static bool
collect(struct mailboxes *m, uint64_t *set)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < m->nwords; w++) {
		/* The load keeps the line shared while there is nothing to take. */
		if (atomic_load_explicit(&m->pending[w], memory_order_relaxed) != 0)
			set[w] |= atomic_exchange_explicit(&m->pending[w], 0,
							   memory_order_acquire);
		any |= set[w];
	}
	return any != 0;
}

static bool
has_request(const struct mailbox *mb)
{
	uint32_t state = atomic_load_explicit(&mb->state, memory_order_acquire);

	return (state & (MB_REQUEST | MB_DONE)) == MB_REQUEST;
}

/*
 * A waited-for exit of one vCPU must see what any vCPU posted before it.  So:
 * first look which slots are full, then collect once more - whatever was posted
 * before one of those requests is visible by now - and drain, then serve just
 * those slots.  A request that came in between waits for the next round.
 */
static bool
mailboxes_poll(struct reactor_poll *p)
{
	struct mailboxes *m = container_of(p, struct mailboxes, poll);
	uint64_t set[PENDING_WORDS] = { 0 }, ready[PENDING_WORDS] = { 0 };

	if (!collect(m, set))
		return false;
	for_each_bit (m, set, w, bit)
		if (has_request(&m->box[w * 64 + bit]))
			ready[w] |= 1ull << bit;
	collect(m, set);
	for_each_bit (m, set, w, bit)
		drain_posted(m, &m->box[w * 64 + bit]);
	for_each_bit (m, set, w, bit) {
		struct mailbox *mb = &m->box[w * 64 + bit];

		if (ready[w] & 1ull << bit)
			serve_slot(m, mb);
		else if (has_request(mb))
			atomic_fetch_or_explicit(&m->pending[w], 1ull << bit,
						 memory_order_relaxed);
	}
	return true;
}

void
mailboxes_stats(const struct mailboxes *m, struct mailbox_stats *ret)
{
	*ret = m->stats;
}

int
mailboxes_new(struct reactor *r, unsigned n, const struct exit_sink *sink,
	      struct mailboxes **ret)
{
	struct mailboxes *m;
	size_t len = sizeof(*m) + n * sizeof(m->box[0]);

	assert(n >= 1 && n <= MAILBOX_VCPUS_MAX);
	m = aligned_alloc(_Alignof(struct mailboxes),
			  align_up(len, _Alignof(struct mailboxes)));
	if (!m)
		return -ENOMEM;
	memset(m, 0, len);
	m->reactor = r;
	m->sink = *sink;
	m->n = n;
	m->nwords = (n + 63) / 64;
	m->poll.poll = mailboxes_poll;
	for (unsigned i = 0; i < n; i++)
		spin_init(&m->box[i].spin, spin_is_futile());
	reactor_poll_start(r, &m->poll);
	*ret = m;
	return 0;
}

void
mailboxes_free(struct mailboxes *m)
{
	if (!m)
		return;
	reactor_poll_stop(m->reactor, &m->poll);
	free(m);
}
