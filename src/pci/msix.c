/* SPDX-License-Identifier: ISC */
#include "msix.h"

#include <assert.h>
#include <string.h>

#include "irqchip.h"
#include "page.h"
#include "util.h"

/* A table entry (PCI 3.0, 6.8.2.6 to 6.8.2.9). */
enum {
	ENTRY_ADDR = 0,
	ENTRY_DATA = 8,
	ENTRY_CTRL = 12,
	CTRL_MASK = 1,
};

/* What the guest may set in each word of an entry; the rest reads as 0. */
static const uint32_t word_mask[MSIX_ENTRY_LEN / 4] = {
	0xfffffffc,
	0xffffffff,
	0xffffffff,
	CTRL_MASK,
};

static uint32_t
word_get(const struct msix *m, unsigned off)
{
	return page_load32(m->table + off);
}

static bool
is_masked(const struct msix *m, unsigned vec)
{
	return m->masked || (word_get(m, vec * MSIX_ENTRY_LEN + ENTRY_CTRL) & CTRL_MASK);
}

static bool
is_pending(const struct msix *m, unsigned vec)
{
	return m->pending[vec / 64] >> (vec % 64) & 1;
}

static void
set_pending(struct msix *m, unsigned vec, bool on)
{
	uint64_t bit = 1ull << (vec % 64);

	m->pending[vec / 64] =
		on ? m->pending[vec / 64] | bit : m->pending[vec / 64] & ~bit;
}

static void
table_clear(struct msix *m)
{
	for (unsigned off = 0; off < m->n * MSIX_ENTRY_LEN; off += 4)
		page_store32(m->table + off,
			     off % MSIX_ENTRY_LEN == ENTRY_CTRL ? CTRL_MASK : 0);
	page_publish(m->table, m->n * MSIX_ENTRY_LEN);
}

void
msix_init(struct msix *m, uint8_t *table, unsigned n)
{
	assert(n >= 1 && n <= MSIX_VECTORS_MAX);
	*m = (struct msix){ .table = table, .n = n };
	table_clear(m);
}

void
msix_reset(struct msix *m)
{
	table_clear(m);
	msix_set_control(m, false, false);
}

bool
msix_message(const struct msix *m, unsigned vec, struct msi_msg *ret)
{
	if (!m->enabled || vec >= m->n || is_masked(m, vec))
		return false;

	unsigned off = vec * MSIX_ENTRY_LEN;
	*ret = (struct msi_msg){
		.addr = word_get(m, off + ENTRY_ADDR) |
			(uint64_t)word_get(m, off + ENTRY_ADDR + 4) << 32,
		.data = word_get(m, off + ENTRY_DATA),
		.devid = m->devid,
	};
	return true;
}

void
msix_raise(struct msix *m, unsigned vec)
{
	struct msi_msg msg;

	if (!m->enabled || vec >= m->n)
		return;
	if (!msix_message(m, vec, &msg)) {
		set_pending(m, vec, true);
		return;
	}
	/* A message to nowhere is the guest's own doing, and its own loss. */
	if (m->sink)
		(void)m->sink->signal(m->sink->arg, &msg);
}

/* Something about a vector changed: what was held back may be due. */
static void
vector_changed(struct msix *m, unsigned vec)
{
	if (m->changed)
		m->changed(m, vec);
	if (m->enabled && is_pending(m, vec) && !is_masked(m, vec)) {
		set_pending(m, vec, false);
		msix_raise(m, vec);
	}
}

void
msix_set_control(struct msix *m, bool enabled, bool masked)
{
	if (m->enabled == enabled && m->masked == masked)
		return;
	m->enabled = enabled;
	m->masked = masked;
	if (!enabled)
		memset(m->pending, 0, sizeof(m->pending));
	for (unsigned i = 0; i < m->n; i++)
		vector_changed(m, i);
}

static bool
in_table(const struct msix *m, uint64_t off, unsigned len)
{
	return range_ok(off, len, (uint64_t)m->n * MSIX_ENTRY_LEN);
}

uint64_t
msix_table_read(const struct msix *m, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	if (!in_table(m, off, len))
		return 0;
	memcpy(&val, m->table + off, len);
	return val;
}

/*
 * The specification knows aligned writes of 4 and 8 bytes (6.8.2); others change just
 * the bytes that they cover.
 */
void
msix_table_write(struct msix *m, uint64_t off, unsigned len, uint64_t val)
{
	if (!in_table(m, off, len))
		return;
	for (unsigned done = 0, n; done < len; done += n) {
		unsigned at = (unsigned)off + done;
		unsigned word = at & ~3u, shift = (at & 3) * 8;

		n = 4 - (at & 3);
		if (n > len - done)
			n = len - done;
		uint32_t mask = (uint32_t)ones(n) << shift;
		uint32_t bits = (uint32_t)(val >> (done * 8)) << shift;

		bits = (word_get(m, word) & ~mask) | (bits & mask);
		page_store32(m->table + word,
			     bits & word_mask[word % MSIX_ENTRY_LEN / 4]);
	}
	page_publish(m->table + off, len);
	/* An access may touch two entries, if it is not aligned. */
	unsigned first = (unsigned)off / MSIX_ENTRY_LEN;
	unsigned last = ((unsigned)off + len - 1) / MSIX_ENTRY_LEN;

	vector_changed(m, first);
	if (last != first)
		vector_changed(m, last);
}

uint64_t
msix_pba_read(const struct msix *m, uint64_t off, unsigned len)
{
	uint64_t val = 0;

	if (!range_ok(off, len, align_up(m->n, 64) / 8))
		return 0;
	memcpy(&val, (const uint8_t *)m->pending + off, len);
	return val;
}
