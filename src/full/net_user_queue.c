/* SPDX-License-Identifier: ISC */
/* Packets on their way to the guest. See net_user_priv.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "net_user_priv.h"

struct user_packet {
	struct user_packet *next;
	size_t len;
	uint8_t data[];
};

void
user_queue_init(struct user_queue *q)
{
	*q = (struct user_queue){ .last = &q->first };
}

void
user_queue_push(struct user_queue *q, const void *frame, size_t len)
{
	struct user_packet *p =
		q->count < USER_QUEUE_MAX ? malloc(sizeof(*p) + len) : NULL;

	if (!p)
		return;
	p->next = NULL;
	p->len = len;
	memcpy(p->data, frame, len);
	*q->last = p;
	q->last = &p->next;
	q->count++;
}

static struct user_packet *
take_first(struct user_queue *q)
{
	struct user_packet *p = q->first;

	q->first = p->next;
	if (!q->first)
		q->last = &q->first;
	q->count--;
	return p;
}

static size_t
room(const struct iovec *iov, unsigned niov)
{
	size_t len = 0;

	for (unsigned i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

/* The header, all zero, and the frame. */
static void
scatter(const struct user_packet *p, const struct iovec *iov)
{
	size_t at = 0, end = NET_HDR_LEN + p->len;

	for (; at < end; iov++) {
		uint8_t *to = iov->iov_base;
		size_t n = iov->iov_len < end - at ? iov->iov_len : end - at;
		size_t zero = at < NET_HDR_LEN ? NET_HDR_LEN - at : 0;

		zero = zero < n ? zero : n;
		memset(to, 0, zero);
		if (n > zero)
			memcpy(to + zero, p->data + at + zero - NET_HDR_LEN, n - zero);
		at += n;
	}
}

ssize_t
user_queue_pop(struct user_queue *q, const struct iovec *iov, unsigned niov)
{
	ssize_t ret = -EMSGSIZE;

	if (!q->first)
		return -EAGAIN;
	struct user_packet *p = take_first(q);
	if (p->len + NET_HDR_LEN <= room(iov, niov)) {
		scatter(p, iov);
		ret = (ssize_t)(p->len + NET_HDR_LEN);
	}
	free(p);
	return ret;
}

void
user_queue_fini(struct user_queue *q)
{
	while (q->first)
		free(take_first(q));
}
