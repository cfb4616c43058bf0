/* SPDX-License-Identifier: ISC */
/*
 * The mailbox under real threads: run it under TSan (make thread).  What it proves
 * is in the names of the tests.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exits.h"
#include "reactor.h"
#include "util.h"

enum { VCPUS = 4, CALLS = 3000, CELLS = 1024 };

struct fixture {
	struct reactor *reactor;
	struct mailboxes *boxes;
	uint64_t cell[VCPUS]; /* what posts write and calls read; reactor only */
	uint64_t posts_seen;
	unsigned left; /* vCPUs that have not said good-bye */
	unsigned order_errors;
	pthread_t thread[VCPUS];
	_Atomic uint64_t shared; /* handed from vCPU to vCPU outside the mailbox */
};

struct vcpu_arg {
	struct fixture *fx;
	unsigned id;
	unsigned errors;
	int rc;
};

/* Writes must arrive in order: each cell only ever grows by one. */
static uint64_t
serve(void *arg, const struct exit *x)
{
	struct fixture *fx = arg;

	switch (x->kind) {
	case EXIT_PIO_WRITE:
		if (x->data != fx->cell[x->addr] + 1)
			fx->order_errors++;
		fx->cell[x->addr] = x->data;
		fx->posts_seen++;
		return 0;
	case EXIT_PIO_READ:
		return fx->cell[x->addr];
	case EXIT_POWEROFF:
		if (--fx->left == 0)
			reactor_stop(fx->reactor);
		return 0;
	default:
		return ones(8);
	}
}

static void
set_up(struct fixture *fx)
{
	struct exit_sink sink = { .serve = serve, .arg = fx };

	*fx = (struct fixture){ .left = VCPUS };
	assert_int_equal(reactor_new(&fx->reactor), 0);
	assert_int_equal(mailboxes_new(fx->reactor, VCPUS, &sink, &fx->boxes), 0);
}

static void
tear_down(struct fixture *fx)
{
	mailboxes_free(fx->boxes);
	reactor_free(fx->reactor);
}

static uint64_t
read_cell(struct vcpu_arg *a, unsigned cell)
{
	struct exit x = {
		.kind = EXIT_PIO_READ, .len = 8, .vcpu = (uint16_t)a->id, .addr = cell
	};
	uint64_t v = 0;

	if (mailbox_call(a->fx->boxes, &x, &v))
		a->errors++;
	return v;
}

static void
post_cell(struct vcpu_arg *a, unsigned cell, uint64_t v)
{
	struct exit x = { .kind = EXIT_PIO_WRITE,
			  .len = 8,
			  .vcpu = (uint16_t)a->id,
			  .addr = cell,
			  .data = v };

	if (mailbox_post(a->fx->boxes, &x))
		a->errors++;
}

static void
say_goodbye(struct vcpu_arg *a)
{
	struct exit x = { .kind = EXIT_POWEROFF, .vcpu = (uint16_t)a->id };
	uint64_t ignored;

	a->rc = mailbox_call(a->fx->boxes, &x, &ignored);
}

static void
run_vcpus(struct fixture *fx, void *(*body)(void *), struct vcpu_arg *arg)
{
	for (unsigned i = 0; i < VCPUS; i++) {
		arg[i] = (struct vcpu_arg){ .fx = fx, .id = i };
		assert_int_equal(pthread_create(&fx->thread[i], NULL, body, &arg[i]), 0);
	}
	reactor_run(fx->reactor);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(fx->thread[i], NULL);
}

/* Bursts longer than the ring, so that full rings are met as well. */
static void *
body_posts_then_reads(void *arg)
{
	struct vcpu_arg *a = arg;
	uint64_t v = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		unsigned burst = i % (MAILBOX_POSTED_MAX + 20);

		if (i % 10 == 0)
			for (unsigned b = 0; b < burst; b++)
				post_cell(a, a->id, ++v);
		if (read_cell(a, a->id) != v)
			a->errors++;
	}
	say_goodbye(a);
	return NULL;
}

static void
test_a_read_sees_all_earlier_posts_of_its_vcpu_in_order(void **state)
{
	struct fixture fx;
	struct vcpu_arg arg[VCPUS];

	(void)state;
	set_up(&fx);
	run_vcpus(&fx, body_posts_then_reads, arg);
	assert_int_equal(fx.order_errors, 0);
	assert_true(fx.posts_seen > 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		assert_int_equal(arg[i].errors, 0);
		assert_int_equal(arg[i].rc, 0);
	}
	tear_down(&fx);
}

/* A baton goes round outside the mailbox: post, hand over, the next one reads. */
static void *
body_baton(void *arg)
{
	struct vcpu_arg *a = arg;

	for (uint64_t turn = a->id; turn < CELLS; turn += VCPUS) {
		while (atomic_load_explicit(&a->fx->shared, memory_order_acquire) != turn)
			sched_yield();
		if (read_cell(a, 0) != turn)
			a->errors++;
		post_cell(a, 0, turn + 1);
		atomic_store_explicit(&a->fx->shared, turn + 1, memory_order_release);
	}
	say_goodbye(a);
	return NULL;
}

static void
test_a_read_sees_what_another_vcpu_posted_before_it(void **state)
{
	struct fixture fx;
	struct vcpu_arg arg[VCPUS];

	(void)state;
	set_up(&fx);
	run_vcpus(&fx, body_baton, arg);
	assert_int_equal(fx.cell[0], CELLS);
	assert_int_equal(fx.order_errors, 0);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(arg[i].errors, 0);
	tear_down(&fx);
}

/* Calls until it is told that nobody answers any more. */
static void *
body_until_cancelled(void *arg)
{
	struct vcpu_arg *a = arg;
	struct exit x = {
		.kind = EXIT_PIO_READ, .len = 8, .vcpu = (uint16_t)a->id, .addr = 0
	};
	uint64_t v;

	do
		a->rc = mailbox_call(a->fx->boxes, &x, &v);
	while (a->rc == 0);
	return NULL;
}

static void
test_stop_releases_every_vcpu_whatever_it_is_doing(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct fixture fx;
		struct vcpu_arg arg[VCPUS];

		set_up(&fx);
		for (unsigned i = 0; i < VCPUS; i++) {
			arg[i] = (struct vcpu_arg){ .fx = &fx, .id = i };
			assert_int_equal(pthread_create(&fx.thread[i], NULL,
							body_until_cancelled, &arg[i]),
					 0);
		}
		for (unsigned i = 0; i < round % 16; i++)
			reactor_run_once(fx.reactor, false);
		/* Nobody serves from here on, as in machine_run(). */
		for (unsigned i = 0; i < VCPUS; i++)
			mailbox_stop(fx.boxes, i);
		for (unsigned i = 0; i < VCPUS; i++) {
			pthread_join(fx.thread[i], NULL);
			assert_int_equal(arg[i].rc, -ECANCELED);
		}
		tear_down(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_read_sees_all_earlier_posts_of_its_vcpu_in_order),
		cmocka_unit_test(test_a_read_sees_what_another_vcpu_posted_before_it),
		cmocka_unit_test(test_stop_releases_every_vcpu_whatever_it_is_doing),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
