/* SPDX-License-Identifier: ISC */
/*
 * Exits, by value: what a vCPU thread tells the reactor, and the mailbox that
 * carries it.
 *
 * Each vCPU has one mailbox: a ring of posted writes that nobody waits for, and
 * one slot for the exit that the vCPU waits for.  Order is kept for each vCPU,
 * and a waited-for exit of any vCPU sees the effect of every write posted before
 * it by any vCPU.
 *
 * mailbox_call() and mailbox_post() belong to the vCPU thread, mailbox_stop() to
 * any thread, the rest to the reactor.
 */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include <stdbool.h>
#include <stdint.h>

struct reactor;

enum exit_kind {
	EXIT_PIO_READ,
	EXIT_PIO_WRITE,
	EXIT_MMIO_READ,
	EXIT_MMIO_WRITE,
	EXIT_IOAPIC_EOI, /* addr: vector */
	EXIT_RESET,      /* the guest asked for it: PSCI */
	EXIT_POWEROFF,
	EXIT_CRASH,      /* this vCPU cannot go on; vcpu_crash_text() says why */
	EXIT_HOST_ERROR, /* KVM_RUN failed; the same text */
	EXIT_KINDS
};

struct exit {
	uint8_t kind;
	uint8_t len; /* of an access: 1, 2, 4 or 8 */
	uint16_t vcpu;
	uint64_t addr;
	uint64_t data;
};

struct mailboxes;

/* Serves one exit on the reactor; the result of a read is the return value. */
struct exit_sink {
	uint64_t (*serve)(void *arg, const struct exit *x);
	void *arg;
};

enum { MAILBOX_POSTED_MAX = 64, MAILBOX_VCPUS_MAX = 256 };

/* n mailboxes, served by the reactor as a poll source. */
int mailboxes_new(struct reactor *r, unsigned n, const struct exit_sink *sink,
		  struct mailboxes **ret);
void mailboxes_free(struct mailboxes *m);

/* Hands the exit over and waits. 0, or -ECANCELED when mailbox_stop() was called
 * before it was served; data is untouched then. */
int mailbox_call(struct mailboxes *m, const struct exit *x, uint64_t *ret_data);

/* Hands the write over and goes on; waits like mailbox_call() if the ring is full. */
int mailbox_post(struct mailboxes *m, const struct exit *x);

/* From now on nothing waits in this mailbox. */
void mailbox_stop(struct mailboxes *m, unsigned vcpu);

/* Counters for --stats: what a vCPU waited for, and what it did not. */
struct mailbox_stats {
	uint64_t served[EXIT_KINDS];
	uint64_t posted[EXIT_KINDS];
};
void mailboxes_stats(const struct mailboxes *m, struct mailbox_stats *ret);

#endif
