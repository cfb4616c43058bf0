/* SPDX-License-Identifier: ISC */
/*
 * Index registers.  A write to one has no effect until its data register is accessed,
 * and that exits.  So KVM may keep such writes in a ring (coalesced MMIO and PIO), and
 * the reactor takes them out before it serves anything: the guest cannot tell.  Two
 * CPUs that share an index keep it and the data together by a lock of theirs; what the
 * first wrote was taken out when its access of the data was served.
 *
 * KVM is told of a register when it turns out to be used: on Linux 6.18 and later the
 * call makes a process that ends within milliseconds wait (doc/design.md, Launch).
 */
#include "exits.h"
#include "machine_arch.h"
#include "vm.h"

enum { EXITS_BEFORE = 4 }; /* writes that exit first */

static const struct machine_index_row *
row_at(bool mmio, uint64_t addr, unsigned len)
{
	for (unsigned i = 0; i < machine_index_rows; i++) {
		const struct machine_index_row *r = &machine_index_row[i];

		if (r->mmio == mmio && addr >= r->addr && addr + len <= r->addr + r->len)
			return r;
	}
	return NULL;
}

void
machine_index_written(struct machine *m, const struct exit *x)
{
	bool mmio = x->kind == EXIT_MMIO_WRITE;
	const struct machine_index_row *r = row_at(mmio, x->addr, x->len);

	if (!r || ++m->index_writes[r - machine_index_row] != EXITS_BEFORE)
		return;
	/* Without, every write exits, as before. */
	if (vm_coalesce(m->vm, !mmio, r->addr, r->len) == 0)
		m->coalescing = true;
}

void
machine_index_drain(struct machine *m)
{
	struct exit x;

	while (m->coalescing && vcpu_coalesced(m->vcpu[0], &x)) {
		bool mmio = x.kind == EXIT_MMIO_WRITE;

		m->coalesced++;
		space_write(&m->space[mmio ? SPACE_MMIO : SPACE_PIO], x.addr, x.len,
			    x.data);
	}
}
