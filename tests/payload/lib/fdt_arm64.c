// SPDX-License-Identifier: ISC
/* Reads the device tree (Devicetree Specification 0.4, chapter 5). */
#include "arm64.h"

enum { FDT_BEGIN = 1, FDT_END = 2, FDT_PROP = 3, FDT_NOP = 4 };

static uint32_t
be32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static const uint32_t *
take_prop(const uint32_t *p, struct fdt_node *node)
{
	const struct {
		const char *name;
		struct fdt_prop *prop;
	} known[] = {
		{ "compatible", &node->compatible },
		{ "device_type", &node->device_type },
		{ "reg", &node->reg },
		{ "interrupts", &node->interrupts },
		{ "bootargs", &node->bootargs },
		{ "method", &node->method },
		{ "gpios", &node->gpios },
		{ "ranges", &node->ranges },
		{ "interrupt-map", &node->interrupt_map },
	};
	uint32_t len = be32(p);
	const char *name = (const char *)fdt + be32(fdt + 12) + be32(p + 1);

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].name, name))
			*known[i].prop =
				(struct fdt_prop){ (const uint8_t *)(p + 2), len };
	return p + 2 + (len + 3) / 4;
}

/* Properties come before children, so a node is complete at the next begin or end. */
bool
fdt_each(struct fdt_iter *it, struct fdt_node *ret)
{
	const uint32_t *p = it->next;
	bool inside = false;

	if (!p)
		p = (const uint32_t *)(fdt + be32(fdt + 8));
	memset(ret, 0, sizeof(*ret));
	for (;;) {
		switch (be32(p)) {
		case FDT_BEGIN:
			if (inside) {
				it->next = p;
				return true;
			}
			inside = true;
			ret->name = (const char *)(p + 1);
			p += 1 + (strlen(ret->name) + 4) / 4;
			break;
		case FDT_END:
			p++;
			if (inside) {
				it->next = p;
				return true;
			}
			break;
		case FDT_PROP:
			p = take_prop(p + 1, ret);
			break;
		case FDT_NOP:
			p++;
			break;
		default:
			return false;
		}
	}
}

bool
fdt_is(const struct fdt_prop *p, const char *word)
{
	size_t n = strlen(word) + 1;

	for (uint32_t i = 0; p->data && i + n <= p->len; i++)
		if ((i == 0 || p->data[i - 1] == 0) && !memcmp(p->data + i, word, n))
			return true;
	return false;
}

bool
fdt_find(const char *compatible, unsigned n, struct fdt_node *ret)
{
	struct fdt_iter it = { 0 };

	while (fdt_each(&it, ret))
		if (fdt_is(&ret->compatible, compatible) && n-- == 0)
			return true;
	return false;
}

uint64_t
fdt_cells(const struct fdt_prop *p, unsigned first, unsigned n)
{
	uint64_t v = 0;

	if (!p->data || (first + n) * 4 > p->len)
		return 0;
	for (unsigned i = first; i < first + n; i++)
		v = v << 32 | be32(p->data + 4 * i);
	return v;
}

uint64_t
fdt_reg(const struct fdt_node *node, unsigned n)
{
	return fdt_cells(&node->reg, 4 * n, 2);
}

/* <0 n flags>: an SPI; 1 and 2 are edges */
struct irq_source
fdt_irq(const struct fdt_node *node)
{
	return (struct irq_source){
		.gsi = (unsigned)fdt_cells(&node->interrupts, 1, 1),
		.level = fdt_cells(&node->interrupts, 2, 1) & 4,
	};
}
