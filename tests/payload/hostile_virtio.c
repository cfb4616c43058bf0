// SPDX-License-Identifier: ISC
/*
 * Registers of virtio used as they must not be: queues that cannot be, selectors and
 * doorbells out of range, features not offered, a status out of order, queues changed while
 * they are used (virtio 1.2, 2.1, 2.2, 3.1, 4.1.4.3, 4.2.2).
 */
#include "attack.h"

#define NOWHERE (1ull << 39)

static void
status(unsigned val)
{
	victim.v.ops->set_status(&victim.v, (uint8_t)val);
}

static const struct virtio_ops *
ops(void)
{
	return victim.v.ops;
}

/* ---- out of range ---- */

static const uint32_t no_queue[] = { 1, 2, 63, 64, 255, 0x7fff, 0xffff, 0x10001, ~0u };

static void
attack_doorbells(const struct attack *a)
{
	(void)a;
	for (unsigned i = 0; i < ARRAY_SIZE(no_queue); i++) {
		/* on PCI it is an address, and the window is for so many queues */
		if (victim.v.notify_multiplier && no_queue[i] > 255)
			break;
		ops()->notify(&victim.v, no_queue[i]);
	}
}

static void
attack_selectors(const struct attack *a)
{
	const struct virtio *v = &victim.v;

	(void)a;
	for (unsigned i = 0; i < ARRAY_SIZE(no_queue); i++) {
		/* 16 bits of it are the register on PCI: that may be a queue */
		if ((uint16_t)no_queue[i] <= 1 && !v->mmio && i)
			continue;
		ops()->select(v, no_queue[i]);
		if (ops()->size(v) != 0)
			attack_failed("a queue that there is not has a size");
		if (ops()->set_size)
			ops()->set_size(v, 8);
		ops()->set_addr(v, (uint64_t)victim.q.desc, (uint64_t)victim.q.avail,
				(uint64_t)victim.q.used);
		if (ops()->enable)
			ops()->enable(v);
		if (ops()->enabled(v))
			attack_failed("a queue that there is not is enabled");
	}
	if (ops()->set_vector)
		(void)ops()->set_vector(v, 0x7fff, 0);
	ops()->select(v, 0);
}

/* ---- queues that cannot be ---- */

static void
configure(uint32_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
	const struct virtio *v = &victim.v;

	(void)virtio_start(&victim.v, 0);
	ops()->select(v, 0);
	if (ops()->set_size)
		ops()->set_size(v, size);
	ops()->set_addr(v, desc, avail, used);
	if (ops()->enable)
		ops()->enable(v);
	virtio_ready(&victim.v);
}

static void
attack_size(const struct attack *a)
{
	configure((uint32_t)a->num, (uint64_t)victim.q.desc, (uint64_t)victim.q.avail,
		  (uint64_t)victim.q.used);
}

/* One part of the ring, num2, is at num. */
static void
attack_addr(const struct attack *a)
{
	uint64_t at[3] = { (uint64_t)victim.q.desc, (uint64_t)victim.q.avail,
			   (uint64_t)victim.q.used };

	at[a->num2] = a->num;
	configure(victim.q.size, at[0], at[1], at[2]);
}

static void
attack_end_of_ram(const struct attack *a)
{
	configure(victim.q.size, a->num2 == 0 ? ram_end() - 16 : (uint64_t)victim.q.desc,
		  a->num2 == 1 ? ram_end() - 4 : (uint64_t)victim.q.avail,
		  a->num2 == 2 ? ram_end() - 4 : (uint64_t)victim.q.used);
}

/* The ring of old, as one page number: in the last page there is not enough of it. */
static void
attack_last_page(const struct attack *a)
{
	uint64_t page = ram_end() - 4096;

	(void)a;
	configure(victim.q.size, page, page, page);
}

/* Page size and alignment of MMIO version 1. */
static void
attack_pages(const struct attack *a)
{
	uint64_t base = victim.v.mmio;

	(void)virtio_start(&victim.v, 0);
	mmio_w32(base + 0x28, (uint32_t)a->num);
	mmio_w32(base + 0x30, 0);
	mmio_w32(base + 0x38, victim.q.size);
	mmio_w32(base + 0x3c, (uint32_t)a->num2);
	mmio_w32(base + 0x40, (uint32_t)((uint64_t)victim.q.desc / 4096));
	virtio_ready(&victim.v);
}

/* ---- at the wrong time ---- */

static void
attack_live_queue(const struct attack *a)
{
	const struct virtio *v = &victim.v;

	(void)a;
	ops()->select(v, 0);
	if (ops()->set_size)
		ops()->set_size(v, 8);
	ops()->set_addr(v, NOWHERE, NOWHERE, NOWHERE);
	if (ops()->enable)
		ops()->enable(v);
	if (!ops()->enabled(v))
		attack_failed("the queue is not enabled any more");
}

/* No driver may, but nothing is used up by it: 200 times what one may do once. */
static void
attack_enable_again(const struct attack *a)
{
	const struct virtio *v = &victim.v;

	ops()->select(v, 0);
	for (unsigned i = 0; i < a->num; i++)
		if (ops()->enable)
			ops()->enable(v);
		else
			ops()->set_addr(v, (uint64_t)victim.q.desc, 0, 0);
}

static void
attack_features_live(const struct attack *a)
{
	(void)a;
	ops()->set_features(&victim.v, 0, ~0u);
	if (!ops()->legacy)
		ops()->set_features(&victim.v, 1, ~0u);
}

static void
attack_features(const struct attack *a)
{
	virtio_reset(&victim.v);
	status(VIRTIO_ACKNOWLEDGE);
	status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	ops()->set_features(&victim.v, 0, (uint32_t)a->num2);
	ops()->set_features(&victim.v, 1, (uint32_t)(a->num2 >> 32));
	if (a->arg) /* words that there are not */
		ops()->set_features(&victim.v, 2, 1);
	status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

/* A legacy driver has no way to be told: what it was not offered, it does not have. */
static void
attack_features_old(const struct attack *a)
{
	(void)a;
	(void)virtio_start(&victim.v, 0);
	ops()->set_features(&victim.v, 0, ~0u);
	victim.v.features = ops()->features(&victim.v, 0);
	(void)virtq_setup(&victim.q, &victim.v, 0, VIRTQ_MAX);
	virtio_ready(&victim.v);
}

static void
attack_status(const struct attack *a)
{
	virtio_reset(&victim.v);
	status((unsigned)a->num2);
}

static void
attack_status_back(const struct attack *a)
{
	(void)a;
	status(VIRTIO_ACKNOWLEDGE);
	status(VIRTIO_DRIVER_OK);
	status(VIRTIO_NEEDS_RESET);
}

/* Accesses that no register has: of a byte in its middle, or of twice its width. */
static void
attack_widths(const struct attack *a)
{
	uint64_t base = victim.v.mmio ? victim.v.mmio : victim.v.common;
	unsigned len = victim.v.mmio ? 0x100 : 0x40;

	(void)a;
	for (unsigned off = 0; off < len; off += 8) {
		(void)mmio_r8(base + off + 3);
		(void)mmio_r16(base + off + 2);
		(void)mmio_r64(base + off);
		mmio_w8(base + off + 3, 0);
		if (victim.v.mmio)
			mmio_w64(base + off, 0);
	}
}

#define ADDR(name_, part_, addr_) \
	{ \
		.name = "ring-" name_, .on = ON_MODERN, .want = BREAKS, \
		.fn = attack_addr, .num = addr_, .num2 = part_ \
	}
#define SIZE(name_, size_) \
	{ \
		.name = "queue-size-" name_, .on = ON_ANY & ~(unsigned)ON_LEGACY, \
		.want = BREAKS, .fn = attack_size, .num = size_ \
	}
#define OFFERED_NOT(name_, features_) \
	{ \
		.name = "features-" name_, .on = ON_MODERN, .want = REFUSED, \
		.fn = attack_features, .num = VIRTIO_FEATURES_OK, .num2 = features_ \
	}
#define PAGES(name_, page_, align_) \
	{ \
		.name = "ring-" name_, .on = ON_MMIO_LEGACY, .want = BREAKS, \
		.fn = attack_pages, .num = page_, .num2 = align_ \
	}

static const struct attack attacks[] = {
	{ .name = "doorbell-out-of-range",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_doorbells },
	{ .name = "queue-select-out-of-range",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_selectors },
	SIZE("0", 0),
	SIZE("odd", 3),
	SIZE("too-large", 0x8000),
	{ .name = "queue-size-of-more-than-16-bits",
	  .on = ON_MMIO | ON_MMIO_LEGACY,
	  .want = BREAKS,
	  .fn = attack_size,
	  .num = 0x10008 },
	ADDR("desc-outside-ram", 0, NOWHERE),
	ADDR("avail-outside-ram", 1, NOWHERE),
	ADDR("used-outside-ram", 2, NOWHERE),
	ADDR("desc-wraps", 0, -64ull),
	ADDR("avail-wraps", 1, -4ull),
	ADDR("used-wraps", 2, -4ull),
	{ .name = "ring-desc-over-end-of-ram",
	  .on = ON_MODERN,
	  .want = BREAKS,
	  .fn = attack_end_of_ram,
	  .num2 = 0 },
	{ .name = "ring-avail-over-end-of-ram",
	  .on = ON_MODERN,
	  .want = BREAKS,
	  .fn = attack_end_of_ram,
	  .num2 = 1 },
	{ .name = "ring-used-over-end-of-ram",
	  .on = ON_MODERN,
	  .want = BREAKS,
	  .fn = attack_end_of_ram,
	  .num2 = 2 },
	{ .name = "ring-in-last-page",
	  .on = ON_OLD,
	  .want = BREAKS,
	  .fn = attack_last_page },
	{ .name = "ring-page-outside-ram",
	  .on = ON_OLD,
	  .want = BREAKS,
	  .fn = attack_addr,
	  .num = 0xffffffff000ull },
	PAGES("page-size-0", 0, 4096),
	PAGES("page-size-odd", 3, 4096),
	PAGES("page-size-huge", 0x80000000u, 4096),
	PAGES("align-0", 4096, 0),
	PAGES("align-odd", 4096, 4095),
	PAGES("align-huge", 4096, 0x80000000u),
	{ .name = "queue-changed-while-live",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_live_queue },
	{ .name = "queue-enabled-200-times",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_enable_again,
	  .num = 200 },
	{ .name = "features-while-live",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_features_live },
	OFFERED_NOT("of-the-device", 1 | VIRTIO_F_VERSION_1),
	OFFERED_NOT("reserved", 1ull << 63 | VIRTIO_F_VERSION_1),
	OFFERED_NOT("all", ~0ull),
	OFFERED_NOT("without-version-1", 0),
	{ .name = "features-of-no-word",
	  .on = ON_MODERN,
	  .want = REFUSED,
	  .fn = attack_features,
	  .num = VIRTIO_FEATURES_OK,
	  .num2 = VIRTIO_F_VERSION_1,
	  .arg = "" },
	{ .name = "features-not-offered",
	  .on = ON_OLD,
	  .want = SURVIVES,
	  .fn = attack_features_old },
	{ .name = "status-driver-ok-at-once",
	  .on = ON_ANY,
	  .want = REFUSED,
	  .fn = attack_status,
	  .num = VIRTIO_DRIVER_OK,
	  .num2 = VIRTIO_DRIVER_OK },
	{ .name = "status-driver-ok-without-features-ok",
	  .on = ON_MODERN,
	  .want = REFUSED,
	  .fn = attack_status,
	  .num = VIRTIO_DRIVER_OK,
	  .num2 = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK },
	{ .name = "status-all-ones",
	  .on = ON_ANY,
	  .want = REFUSED,
	  .fn = attack_status,
	  .num = VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET,
	  .num2 = 0xff },
	{ .name = "status-goes-back",
	  .on = ON_ANY,
	  .want = SURVIVES,
	  .fn = attack_status_back },
	{ .name = "register-widths",
	  .on = ON_MODERN | ON_MMIO_LEGACY,
	  .want = SURVIVES,
	  .fn = attack_widths },
	{ 0 },
};

void
payload_main(void)
{
	if (attack_begin())
		attack_all(attacks);
}
