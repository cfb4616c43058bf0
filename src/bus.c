/* SPDX-License-Identifier: ISC */
/* Address spaces, the platform bus and the list of what is attached where. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "irqchip.h"
#include "util.h"

/* ---- address spaces ---- */

/* Index of the first region whose base lies above addr. */
static unsigned
region_above(const struct space *sp, uint64_t addr)
{
	unsigned lo = 0, hi = sp->nregion;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (sp->region[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int
space_add(struct space *sp, const struct region *rg)
{
	uint64_t end;

	if (rg->len == 0 || __builtin_add_overflow(rg->base, rg->len, &end))
		return -EINVAL;

	unsigned i = region_above(sp, rg->base);
	if (i > 0 && rg->base - sp->region[i - 1].base < sp->region[i - 1].len)
		return -EEXIST;
	if (i < sp->nregion && sp->region[i].base < end)
		return -EEXIST;
	if (sp->nregion == SPACE_REGIONS_MAX)
		return -ENOSPC;

	memmove(&sp->region[i + 1], &sp->region[i],
		(sp->nregion - i) * sizeof(sp->region[0]));
	sp->region[i] = *rg;
	sp->nregion++;
	return 0;
}

int
space_remove(struct space *sp, uint64_t base)
{
	unsigned i = region_above(sp, base);

	if (i == 0 || sp->region[i - 1].base != base)
		return -ENOENT;
	memmove(&sp->region[i - 1], &sp->region[i],
		(sp->nregion - i) * sizeof(sp->region[0]));
	sp->nregion--;
	return 0;
}

const struct region *
space_find(const struct space *sp, uint64_t addr)
{
	unsigned i = region_above(sp, addr);

	if (i == 0 || addr - sp->region[i - 1].base >= sp->region[i - 1].len)
		return NULL;
	return &sp->region[i - 1];
}

/* The region that all bytes of an access lie in, or NULL. */
static const struct region *
find_whole(const struct space *sp, uint64_t addr, unsigned len)
{
	const struct region *rg = space_find(sp, addr);

	if (!rg || !range_ok(addr - rg->base, len, rg->len))
		return NULL;
	return rg;
}

/*
 * Models see 1, 2, 4 and 8 bytes only.  KVM reports other lengths for the two
 * parts of an access across a page boundary; such a part is split into the
 * largest powers of two, lowest address first (7 is 4 + 2 + 1).  Nothing else is
 * split: an unaligned access and one wider than the register reach the model as
 * they are, for it knows what its chip does with them.
 */
static unsigned
piece(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

uint64_t
space_read(const struct space *sp, uint64_t addr, unsigned len)
{
	const struct region *rg = find_whole(sp, addr, len);
	uint64_t val = 0;

	assert(len >= 1 && len <= 8);
	if (!rg || !rg->ops->read)
		return ones(len);
	for (unsigned done = 0, n; done < len; done += n) {
		n = piece(len - done);
		uint64_t part = rg->ops->read(rg->dev, addr - rg->base + done, n);
		val |= (part & ones(n)) << (done * 8);
	}
	return val;
}

void
space_write(const struct space *sp, uint64_t addr, unsigned len, uint64_t val)
{
	const struct region *rg = find_whole(sp, addr, len);

	assert(len >= 1 && len <= 8);
	if (!rg || !rg->ops->write)
		return;
	for (unsigned done = 0, n; done < len; done += n) {
		n = piece(len - done);
		rg->ops->write(rg->dev, addr - rg->base + done, n,
			       (val >> (done * 8)) & ones(n));
	}
}

/* ---- slots ---- */

int
slot_list_init(struct slot_list *list)
{
	memset(list, 0, sizeof(*list));
	list->line = calloc(BUS_SLOTS_MAX, sizeof(*list->line));
	return list->line ? 0 : -ENOMEM;
}

void
slot_list_fini(struct slot_list *list)
{
	free(list->line);
	memset(list, 0, sizeof(*list));
}

const struct bus_slot *
slot_find(const struct slot_list *list, enum device_kind kind)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->slot[i].kind == kind)
			return &list->slot[i];
	return NULL;
}

/* ---- the platform bus ---- */

/* The first free row of a kind; nrow if there is none. */
static unsigned
row_free(const struct bus *bus, enum device_kind kind)
{
	unsigned i = 0;

	while (i < bus->nrow && (bus->row[i].kind != kind || bus->rows_taken >> i & 1))
		i++;
	return i;
}

static int
row_map(const struct bus *bus, const struct platform_row *row,
	const struct bus_device *dev)
{
	const struct region rg = {
		.base = row->base,
		.len = row->len,
		.ops = dev->ops,
		.dev = dev->dev,
		.name = dev->name,
		.flags = dev->flags,
	};

	return space_add(&bus->space[row->space], &rg);
}

int
bus_attach(struct bus *bus, const struct bus_device *dev, const struct bus_slot **ret)
{
	struct slot_list *list = bus->slots;
	unsigned i = row_free(bus, dev->kind);
	int err;

	assert(bus->nrow <= 64); /* bits in rows_taken */
	if (i == bus->nrow)
		return -ENODEV;
	if (list->n == BUS_SLOTS_MAX)
		return -ENOSPC;

	const struct platform_row *row = &bus->row[i];
	struct irq_line *line = row->gsi >= 0 ? &list->line[list->n] : NULL;

	/* The registers first: a share of a line cannot be given back. */
	err = row_map(bus, row, dev);
	if (err)
		return err;
	err = line ? irqchip_share(bus->chip, (unsigned)row->gsi, row->trigger, line) : 0;
	if (err)
		goto unmap;

	list->slot[list->n] = (struct bus_slot){
		.bus = bus->name,
		.name = dev->name,
		.kind = dev->kind,
		.space = row->space,
		.base = row->base,
		.len = row->len,
		.irq = line,
	};
	*ret = &list->slot[list->n++];
	bus->rows_taken |= 1ull << i;
	return 0;
unmap:
	space_remove(&bus->space[row->space], row->base);
	return err;
}
