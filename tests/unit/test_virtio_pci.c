/* SPDX-License-Identifier: ISC */
/* A guest's view of virtio over PCI: only loads and stores. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_pci.h"
#include "fake_virtio.h"
#include "virtio_lent.h"
#include "virtio_transport.h"

enum {
	DB_MAX = 16,
	NO_VECTOR = 0xffff,
	/* Registers of the common configuration (virtio 1.2, 4.1.4.3) */
	DFSEL = 0x00,
	DF = 0x04,
	GFSEL = 0x08,
	GF = 0x0c,
	CVEC = 0x10,
	NQ = 0x12,
	STATUS = 0x14,
	GEN = 0x15,
	QSEL = 0x16,
	QSIZE = 0x18,
	QVEC = 0x1a,
	QEN = 0x1c,
	QOFF = 0x1e,
	QDESC = 0x20,
	QDRIVER = 0x28,
	QDEVICE = 0x30,
	QRESET = 0x3a,
	DEVCFG = 0x100,
	MSIX = 0x1000,
	/* Of the second BAR: where the tests see it, directly behind the first */
	EVENT = VIRTIO_PCI_IMAGE_LEN,
	ISR = EVENT,
	PBA = EVENT + 0x800,
	NOTIFY = EVENT + 0x1000,
};

struct fix {
	struct fake_pci p;
	struct fake_dev f;
	struct fake_ring ring[FAKE_QUEUES];
	struct virtio_pci *vp;
	unsigned devfn;
	const uint8_t *image; /* what the guest reads of the first BAR; NULL: it exits */
	struct virtio_doorbell db[DB_MAX];
	unsigned ndb, added, removed;
	unsigned told[FAKE_QUEUES]; /* that the message of a lent queue changed */
};

static bool
same_doorbell(const struct virtio_doorbell *a, const struct virtio_doorbell *b)
{
	return a->dev == b->dev && a->queue == b->queue && a->space == b->space &&
	       a->addr == b->addr && a->len == b->len && a->match == b->match &&
	       a->value == b->value;
}

static void
db_add(void *arg, const struct virtio_doorbell *db)
{
	struct fix *x = arg;

	for (unsigned i = 0; i < x->ndb; i++)
		assert_false(same_doorbell(&x->db[i], db));
	assert_true(x->ndb < DB_MAX);
	x->db[x->ndb++] = *db;
	x->added++;
}

static void
db_remove(void *arg, const struct virtio_doorbell *db)
{
	struct fix *x = arg;
	unsigned i = 0;

	while (i < x->ndb && !same_doorbell(&x->db[i], db))
		i++;
	assert_true(i < x->ndb);
	x->db[i] = x->db[--x->ndb];
	x->removed++;
}

static int
db_lend(void *arg, struct virtio_device *dev, unsigned queue, struct virtio_lent *ret)
{
	(void)arg;
	(void)dev;
	(void)queue;
	ret->kick = ret->call = -1;
	return 0;
}

static void
db_reclaim(void *arg, struct virtio_device *dev, unsigned queue)
{
	(void)arg;
	(void)dev;
	(void)queue;
}

static void
db_message_changed(void *arg, struct virtio_device *dev, unsigned queue)
{
	(void)dev;
	((struct fix *)arg)->told[queue]++;
}

static const struct virtio_doorbell_ops db_ops = {
	.add = db_add,
	.remove = db_remove,
	.lend = db_lend,
	.reclaim = db_reclaim,
	.message_changed = db_message_changed,
};

static int
make(void **state, bool transitional, bool image)
{
	struct fix *x = calloc(1, sizeof(*x));

	log_set_level(LOG_ERROR);
	fake_pci_init(&x->p, image);
	fake_dev_init(&x->f, &x->p.ram.mem);
	const struct virtio_pci_config cfg = {
		.transitional = transitional,
		.doorbell = &db_ops,
		.doorbell_arg = x,
	};
	assert_int_equal(virtio_pci_new(&x->p.bus, &x->f.dev, &cfg, &x->vp), 0);
	x->devfn = virtio_pci_slot(x->vp)->devfn;
	x->image = virtio_pci_slot(x->vp)->bar_image[virtio_pci_bar(x->vp)];
	assert_int_equal(image, x->image != NULL);
	cfg_write(&x->p, x->devfn, PCI_COMMAND, 2,
		  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	*state = x;
	return 0;
}

static int
setup(void **state)
{
	return make(state, false, false);
}

static int
setup_image(void **state)
{
	return make(state, false, true);
}

static int
setup_transitional(void **state)
{
	return make(state, true, false);
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	virtio_pci_free(x->vp);
	assert_int_equal(x->f.starts, x->f.stops);
	assert_int_equal(x->ndb, 0);
	assert_int_equal(x->p.space[SPACE_MMIO].nregion, 1); /* the ECAM */
	for (unsigned i = 0; i < IRQCHIP_GSI_MAX; i++)
		assert_false(x->p.level[i]);
	fake_pci_fini(&x->p);
	free(x);
	return 0;
}

/* ---- loads and stores of a driver ---- */

static uint64_t
bar_of(struct fix *x, unsigned bar)
{
	return cfg_read(&x->p, x->devfn, PCI_BAR0 + 4 * bar, 4) & ~15u;
}

/* Where a register is, in whichever BAR. */
static uint64_t
at(struct fix *x, uint64_t off)
{
	unsigned bar = virtio_pci_bar(x->vp);

	return off < EVENT ? bar_of(x, bar) + off : bar_of(x, bar + 1) + off - EVENT;
}

static uint64_t
rd(struct fix *x, uint64_t off, unsigned len)
{
	return space_read(&x->p.space[SPACE_MMIO], at(x, off), len);
}

static void
wr(struct fix *x, uint64_t off, unsigned len, uint64_t val)
{
	space_write(&x->p.space[SPACE_MMIO], at(x, off), len, val);
}

static void
negotiate(struct fix *x, uint64_t features)
{
	wr(x, STATUS, 1, 0);
	wr(x, STATUS, 1, 1);
	wr(x, STATUS, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		wr(x, GFSEL, 4, i);
		wr(x, GF, 4, (uint32_t)(features >> (32 * i)));
	}
	wr(x, STATUS, 1, 11);
	assert_int_equal(rd(x, STATUS, 1), 11);
}

static void
set_queue(struct fix *x, unsigned q, unsigned size)
{
	ring_init(&x->ring[q], &x->p.ram, q, size);
	wr(x, QSEL, 2, q);
	wr(x, QSIZE, 2, size);
	wr(x, QDESC, 4, (uint32_t)x->ring[q].at.desc);
	wr(x, QDESC + 4, 4, x->ring[q].at.desc >> 32);
	wr(x, QDRIVER, 8, x->ring[q].at.driver);
	wr(x, QDEVICE, 8, x->ring[q].at.device);
	wr(x, QVEC, 2, q + 1);
	wr(x, QEN, 2, 1);
	assert_int_equal(rd(x, QEN, 2), 1);
}

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)

static void
drive(struct fix *x)
{
	negotiate(x, FEATURES);
	set_queue(x, 0, 16);
	set_queue(x, 1, 16);
	wr(x, CVEC, 2, 0);
	wr(x, STATUS, 1, 15);
	assert_int_equal(rd(x, STATUS, 1), 15);
}

static void
offer(struct fix *x, unsigned q, unsigned head)
{
	ring_desc(&x->ring[q], head, DATA_GPA, 4, F_WRITE, 0);
	ring_offer(&x->ring[q], head);
}

static void
kick(struct fix *x, unsigned q)
{
	wr(x, NOTIFY + 4 * q, 2, q);
}

static void
msix_on(struct fix *x)
{
	unsigned cap = find_cap(&x->p, x->devfn, PCI_CAP_ID_MSIX, 0);

	for (unsigned v = 0; v <= FAKE_QUEUES; v++) {
		wr(x, MSIX + 16 * v, 8, 0xfee00000 + v * 0x1000);
		wr(x, MSIX + 16 * v + 8, 8, 0x40 + v);
	}
	cfg_write(&x->p, x->devfn, cap + 2, 2, 0x8000);
}

static bool
line(struct fix *x)
{
	return x->p.level[irq_line_gsi(virtio_pci_slot(x->vp)->irq)];
}

/* ---- discovery ---- */

static void
the_function_is_a_modern_virtio_device(void **state)
{
	struct fix *x = *state;

	assert_int_equal(cfg_read(&x->p, x->devfn, 0, 4),
			 (0x1040 + FAKE_ID) << 16 | 0x1af4);
	assert_true(cfg_read(&x->p, x->devfn, PCI_REVISION_ID, 1) >= 1);
	assert_true(cfg_read(&x->p, x->devfn, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(cfg_read(&x->p, x->devfn, PCI_CLASS_CODE, 2), 0xff00);
}

/* Type, BAR, offset and length of each structure, and that all lie in the BAR. */
static void
all_structures_are_there_and_within_the_bar(void **state)
{
	struct fix *x = *state;
	unsigned seen = 0, n = 0, off;

	while ((off = find_cap(&x->p, x->devfn, PCI_CAP_ID_VENDOR, n++)) != 0) {
		unsigned len = cfg_read(&x->p, x->devfn, off + 2, 1);
		unsigned type = cfg_read(&x->p, x->devfn, off + 3, 1);
		unsigned b = cfg_read(&x->p, x->devfn, off + 4, 1);
		uint32_t place = cfg_read(&x->p, x->devfn, off + 8, 4);
		uint32_t size = cfg_read(&x->p, x->devfn, off + 12, 4);

		seen |= 1u << type;
		assert_int_equal(len, type == 2 || type == 5 ? 20 : 16);
		assert_int_equal(off % 4, 0);
		if (type == 5)
			continue;
		bool event = type == 2 || type == 3;

		assert_int_equal(b, virtio_pci_bar(x->vp) + event);
		assert_true(
			range_ok(place, size,
				 event ? VIRTIO_PCI_EVENT_LEN : VIRTIO_PCI_IMAGE_LEN));
		assert_int_equal(place % 4, 0);
		if (type == 2)
			assert_int_equal(cfg_read(&x->p, x->devfn, off + 16, 4), 4);
		if (type == 4)
			assert_int_equal(size, FAKE_CONFIG_LEN);
	}
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5);
}

static void
common_configuration_starts_as_it_must(void **state)
{
	struct fix *x = *state;

	assert_int_equal(rd(x, STATUS, 1), 0);
	assert_int_equal(rd(x, NQ, 2), FAKE_QUEUES);
	assert_int_equal(rd(x, CVEC, 2), NO_VECTOR);
	wr(x, DFSEL, 4, 1);
	assert_int_equal(rd(x, DF, 4), 1 | 1 << 8);
	wr(x, DFSEL, 4, 2);
	assert_int_equal(rd(x, DF, 4), 0);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		wr(x, QSEL, 2, q);
		assert_int_equal(rd(x, QSIZE, 2), FAKE_QUEUE_SIZE);
		assert_int_equal(rd(x, QVEC, 2), NO_VECTOR);
		assert_int_equal(rd(x, QEN, 2), 0);
		assert_int_equal(rd(x, QOFF, 2), q);
		assert_int_equal(rd(x, QRESET, 2), 0);
	}
}

static void
registers_are_written_at_their_own_width_only(void **state)
{
	struct fix *x = *state;

	wr(x, STATUS, 1, 1);
	wr(x, STATUS, 2, 3);
	wr(x, STATUS, 4, 3);
	wr(x, STATUS - 2, 4, 0xffffffff);
	assert_int_equal(rd(x, STATUS, 1), 1);
	wr(x, DFSEL, 2, 1);
	wr(x, DFSEL + 1, 4, 1);
	assert_int_equal(rd(x, DFSEL, 4), 0);
	wr(x, QSEL, 4, 1);
	assert_int_equal(rd(x, QSEL, 2), 0);
	wr(x, QDESC + 2, 4, 1);
	wr(x, QDESC + 4, 8, UINT64_MAX);
	wr(x, QDESC, 2, 1);
	assert_int_equal(rd(x, QDESC, 8), 0);
	/* Read-only ones. */
	wr(x, DF, 4, 0xffffffff);
	wr(x, NQ, 2, 9);
	wr(x, GEN, 1, 9);
	wr(x, QOFF, 2, 9);
	assert_int_equal(rd(x, NQ, 2), FAKE_QUEUES);
	assert_int_equal(rd(x, QOFF, 2), 0);
	assert_int_equal(rd(x, GEN, 1), x->f.dev.generation);
}

/* ---- queues ---- */

static void
a_request_goes_round_by_intx(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 0, 3);
	assert_false(line(x));
	kick(x, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_true(line(x));
	assert_true(cfg_read(&x->p, x->devfn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(rd(x, ISR, 1), 1);
	assert_false(line(x));
	assert_int_equal(rd(x, ISR, 1), 0);
	assert_int_equal(x->p.nmsi, 0);
}

static void
a_request_goes_round_by_msix(void **state)
{
	struct fix *x = *state;

	msix_on(x);
	drive(x);
	offer(x, 0, 3);
	kick(x, 0);
	assert_int_equal(x->p.nmsi, 1);
	assert_int_equal(last_msi(&x->p)->addr, 0xfee01000);
	assert_int_equal(last_msi(&x->p)->data, 0x41);
	assert_int_equal(last_msi(&x->p)->devid, x->devfn);
	assert_false(line(x));
	assert_int_equal(rd(x, ISR, 1), 0);
}

static void
the_address_says_which_queue_and_others_are_ignored(void **state)
{
	struct fix *x = *state;

	drive(x);
	unsigned n0 = x->f.notified[0], n1 = x->f.notified[1];
	wr(x, NOTIFY + 4, 2, 0xdead);
	assert_int_equal(x->f.notified[1], n1 + 1);
	wr(x, NOTIFY, 4, 7);
	wr(x, NOTIFY, 1, 7);
	assert_int_equal(x->f.notified[0], n0 + 2);
	/* Queue 2 is not enabled, the others do not exist. */
	for (unsigned off = 8; off < 0x1000; off += 4)
		wr(x, NOTIFY + off, 2, off / 4);
	assert_int_equal(x->f.notified[0], n0 + 2);
	assert_int_equal(x->f.notified[1], n1 + 1);
	assert_int_equal(x->f.notified[2], 0);
	assert_int_equal(rd(x, NOTIFY, 4), 0);
}

static void
queue_select_out_of_range_shows_nothing_and_takes_nothing(void **state)
{
	static const uint32_t sel[] = { FAKE_QUEUES, 64, 0x7fff, 0x8000, 0xffff };
	struct fix *x = *state;

	negotiate(x, FEATURES);
	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++) {
		wr(x, QSEL, 2, sel[i]);
		for (unsigned off = QSIZE; off < 0x40; off += 2) {
			assert_int_equal(rd(x, off, 2), 0);
			wr(x, off, 2, 0xffff);
		}
		for (unsigned off = QDESC; off < 0x38; off += 4)
			wr(x, off, 4, 0x1000);
		wr(x, QEN, 2, 1);
		wr(x, QRESET, 2, 1);
		assert_int_equal(rd(x, QSEL, 2), sel[i]);
	}
	assert_int_equal(rd(x, STATUS, 1), 11);
}

static void
a_queue_does_not_change_after_driver_ok(void **state)
{
	struct fix *x = *state;

	drive(x);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		wr(x, QSEL, 2, q);
		uint64_t size = rd(x, QSIZE, 2), desc = rd(x, QDESC, 8);
		wr(x, QSIZE, 2, 8);
		wr(x, QDESC, 8, 0);
		wr(x, QDRIVER, 4, 0);
		wr(x, QEN, 2, 0);
		assert_int_equal(rd(x, QSIZE, 2), size);
		assert_int_equal(rd(x, QDESC, 8), desc);
		assert_int_equal(rd(x, QEN, 2), q < 2);
	}
	offer(x, 0, 15);
	kick(x, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
}

static void
bad_rings_end_in_needs_reset_told_by_config_interrupt(void **state)
{
	static const uint64_t bad[] = { 0, RAM_END, UINT64_MAX - 15, RAM_GPA - 16 };
	struct fix *x = *state;

	msix_on(x);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		negotiate(x, FEATURES);
		wr(x, CVEC, 2, 0);
		wr(x, QSEL, 2, 0);
		wr(x, QDESC, 8, bad[i]);
		wr(x, QDRIVER, 8, RAM_GPA);
		wr(x, QDEVICE, 8, RAM_GPA + 0x1000);
		wr(x, QEN, 2, 1);
		assert_int_equal(rd(x, QEN, 2), 0);
		assert_int_equal(rd(x, STATUS, 1), 11 | 64);
		wr(x, STATUS, 1, 15);
		assert_int_equal(rd(x, STATUS, 1), 15 | 64);
		assert_int_equal(x->p.nmsi, i + 1);
		assert_int_equal(last_msi(&x->p)->data, 0x40);
	}
	drive(x);
	offer(x, 0, 0);
	kick(x, 0);
	assert_int_equal(last_msi(&x->p)->data, 0x41);
}

static void
a_ring_that_breaks_sets_the_isr_and_the_line(void **state)
{
	struct fix *x = *state;

	drive(x);
	ring_offer(&x->ring[1], 0xffff);
	kick(x, 1);
	assert_int_equal(rd(x, STATUS, 1), 15 | 64);
	assert_true(line(x));
	assert_int_equal(rd(x, ISR, 1), 2);
	assert_false(line(x));
	wr(x, STATUS, 1, 0);
	assert_int_equal(rd(x, STATUS, 1), 0);
}

static void
a_queue_is_reset_and_enabled_again(void **state)
{
	struct fix *x = *state;

	drive(x);
	wr(x, QSEL, 2, 1);
	wr(x, QRESET, 2, 1);
	assert_int_equal(rd(x, QRESET, 2), 0);
	assert_int_equal(rd(x, QEN, 2), 0);
	assert_int_equal(rd(x, QSIZE, 2), FAKE_QUEUE_SIZE);
	assert_int_equal(rd(x, QVEC, 2), NO_VECTOR);
	set_queue(x, 1, 32);
	offer(x, 1, 31);
	kick(x, 1);
	assert_int_equal(x->f.head, 31);
}

/* ---- vectors ---- */

static void
vectors_out_of_range_are_no_vector(void **state)
{
	static const uint32_t bad[] = { FAKE_QUEUES + 1, 255,    256,   2047,
					0x7ffe,          0xfffe, 0xffff };
	struct fix *x = *state;

	msix_on(x);
	drive(x);
	wr(x, QSEL, 2, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(x, QVEC, 2, bad[i]);
		wr(x, CVEC, 2, bad[i]);
		assert_int_equal(rd(x, QVEC, 2), NO_VECTOR);
		assert_int_equal(rd(x, CVEC, 2), NO_VECTOR);
		offer(x, 0, i);
		kick(x, 0);
	}
	assert_int_equal(x->p.nmsi, 0);
	assert_false(line(x));
	assert_int_equal(ring_used_idx(&x->ring[0]), ARRAY_SIZE(bad));
	/* Nor is anything lost: the next vector works. */
	for (unsigned v = 0; v <= FAKE_QUEUES; v++) {
		wr(x, QVEC, 2, v);
		assert_int_equal(rd(x, QVEC, 2), v);
	}
	offer(x, 0, 9);
	kick(x, 0);
	assert_int_equal(last_msi(&x->p)->data, 0x40 + FAKE_QUEUES);
}

static void
a_hundred_thousand_vector_writes_are_nothing(void **state)
{
	struct fix *x = *state;

	msix_on(x);
	drive(x);
	for (unsigned i = 0; i < 100000; i++) {
		wr(x, QVEC, 2, i & 7);
		wr(x, MSIX + 16 * (i & 3) + 8, 4, i);
	}
	wr(x, QVEC, 2, 2);
	wr(x, MSIX + 16 * 2 + 8, 4, 0x99);
	wr(x, QSEL, 2, 1);
	offer(x, 1, 0);
	kick(x, 1);
	virtqueue_push(&x->f.queue[1].vq, 0, 0);
	virtio_publish(&x->f.dev, 1);
	assert_int_equal(last_msi(&x->p)->data, 0x99);
}

static void
masked_vectors_come_when_unmasked(void **state)
{
	struct fix *x = *state;

	msix_on(x);
	drive(x);
	wr(x, MSIX + 16 + 12, 4, 1);
	offer(x, 0, 0);
	kick(x, 0);
	assert_int_equal(x->p.nmsi, 0);
	assert_int_equal(rd(x, PBA, 4), 2);
	wr(x, PBA, 4, 0);
	wr(x, PBA, 8, UINT64_MAX);
	assert_int_equal(rd(x, PBA, 8), 2);
	wr(x, MSIX + 16 + 12, 4, 0);
	assert_int_equal(x->p.nmsi, 1);
	assert_int_equal(rd(x, PBA, 4), 0);
}

static void
reset_unmaps_all_vectors_and_lowers_the_line(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 0, 0);
	kick(x, 0);
	assert_true(line(x));
	wr(x, STATUS, 1, 0);
	assert_false(line(x));
	assert_int_equal(rd(x, ISR, 1), 0);
	assert_int_equal(rd(x, CVEC, 2), NO_VECTOR);
	wr(x, QSEL, 2, 0);
	assert_int_equal(rd(x, QVEC, 2), NO_VECTOR);
}

/* ---- device-specific configuration ---- */

static void
device_configuration_is_read_and_written(void **state)
{
	struct fix *x = *state;

	assert_int_equal(rd(x, DEVCFG, 1), 0xc0);
	assert_int_equal(rd(x, DEVCFG + 8, 4), 0xcbcac9c8);
	wr(x, DEVCFG + 4, 4, 0x11223344);
	assert_int_equal(rd(x, DEVCFG + 4, 4), 0x11223344);
	wr(x, DEVCFG + FAKE_CONFIG_LEN, 4, 1);
	wr(x, DEVCFG + 0xefc, 4, 1);
	assert_int_equal(rd(x, DEVCFG + FAKE_CONFIG_LEN, 4), 0);
	assert_int_equal(x->f.config_writes, 1);
}

static void
a_change_shows_with_another_generation(void **state)
{
	struct fix *x = *state;

	drive(x);
	uint64_t gen = rd(x, GEN, 1);
	virtio_config_change(&x->f.dev, 0, "\x42", 1);
	assert_int_not_equal(rd(x, GEN, 1), gen);
	assert_int_equal(rd(x, DEVCFG, 1), 0x42);
	assert_int_equal(rd(x, ISR, 1), 2);
}

/* ---- the page image ---- */

/* Reads that exit and reads of the page are the same, whatever was written. */
static void
expect_same(struct fix *x)
{
	for (unsigned off = 0; off < VIRTIO_PCI_IMAGE_LEN; off += 4)
		assert_int_equal(le32_get(x->image + off), rd(x, off, 4));
}

static void
the_page_follows_every_write(void **state)
{
	struct fix *x = *state;

	expect_same(x);
	assert_int_equal(x->image[STATUS], 0);
	wr(x, DFSEL, 4, 1);
	assert_int_equal(le32_get(x->image + DF), 1 | 1 << 8);
	wr(x, QSEL, 2, 2);
	assert_int_equal(le16_get(x->image + QOFF), 2);
	drive(x);
	assert_int_equal(x->image[STATUS], 15);
	msix_on(x);
	expect_same(x);
	/* Changes that the driver did not cause. */
	ring_offer(&x->ring[0], 0xffff);
	kick(x, 0);
	assert_int_equal(x->image[STATUS], 15 | 64);
	virtio_config_change(&x->f.dev, 3, "\x42", 1);
	assert_int_equal(x->image[DEVCFG + 3], 0x42);
	expect_same(x);
	wr(x, STATUS, 1, 0);
	assert_int_equal(x->image[STATUS], 0);
	expect_same(x);
}

static void
the_image_lies_where_the_bar_does(void **state)
{
	struct fix *x = *state;
	const struct pci_slot *slot = virtio_pci_slot(x->vp);

	assert_int_equal(slot->bar_base[0], IMAGES_GPA);
	assert_ptr_equal(slot->bar_image[0], x->p.images);
	assert_null(slot->bar_image[1]);
	assert_int_equal(slot->bar_base[1], MEM32_GPA);
}

static void
expect_hidden(struct fix *x)
{
	for (unsigned i = 0; i < VIRTIO_PCI_IMAGE_LEN; i++)
		assert_int_equal(x->image[i], 0xff);
}

/* Nobody lives where it was; at the new place exits know what went on. */
static void
the_image_of_a_bar_that_moved_away_is_all_ones(void **state)
{
	struct fix *x = *state;

	msix_on(x);
	cfg_write(&x->p, x->devfn, PCI_BAR0, 4, MEM32_GPA + 0x100000);
	expect_hidden(x);
	assert_int_equal(rd(x, STATUS, 1), 0);
	drive(x);
	assert_int_equal(rd(x, STATUS, 1), 15);
	msix_on(x);
	expect_hidden(x);
	assert_int_equal(x->p.covered, 0);
	cfg_write(&x->p, x->devfn, PCI_BAR0, 4, IMAGES_GPA);
	assert_int_equal(x->image[STATUS], 15);
	expect_same(x);
	assert_int_equal(x->p.covered, 0);
}

static void
the_image_is_all_ones_while_decoding_is_off(void **state)
{
	struct fix *x = *state;

	drive(x);
	cfg_write(&x->p, x->devfn, PCI_COMMAND, 2, 0);
	expect_hidden(x);
	/* Of the device's own accord, meanwhile. */
	virtio_config_change(&x->f.dev, 3, "\x42", 1);
	expect_hidden(x);
	cfg_write(&x->p, x->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(x->image[DEVCFG + 3], 0x42);
	assert_int_equal(x->image[STATUS], 15);
	expect_same(x);
}

/* ---- PCI configuration access capability ---- */

static unsigned
cfg_cap(struct fix *x)
{
	unsigned off = 0;

	for (unsigned n = 0; (off = find_cap(&x->p, x->devfn, PCI_CAP_ID_VENDOR, n)) != 0;
	     n++)
		if (cfg_read(&x->p, x->devfn, off + 3, 1) == 5)
			break;
	return off;
}

static void
window(struct fix *x, unsigned b, uint32_t off, uint32_t len)
{
	bool event = b == 0 && off >= EVENT && off < EVENT + VIRTIO_PCI_EVENT_LEN;

	cfg_write(&x->p, x->devfn, cfg_cap(x) + 4, 1, event ? 1 : b);
	cfg_write(&x->p, x->devfn, cfg_cap(x) + 8, 4, event ? off - EVENT : off);
	cfg_write(&x->p, x->devfn, cfg_cap(x) + 12, 4, len);
}

static uint32_t
data_read(struct fix *x)
{
	return cfg_read(&x->p, x->devfn, cfg_cap(x) + 16, 4);
}

static void
data_write(struct fix *x, uint32_t val)
{
	cfg_write(&x->p, x->devfn, cfg_cap(x) + 16, 4, val);
}

static void
the_device_can_be_driven_through_configuration_space(void **state)
{
	struct fix *x = *state;

	/* Without decoding: this is what it is for. */
	cfg_write(&x->p, x->devfn, PCI_COMMAND, 2, 0);
	window(x, 0, STATUS, 1);
	data_write(x, 1);
	assert_int_equal(data_read(x) & 0xff, 1);
	assert_int_equal(x->f.dev.status, 1);
	window(x, 0, QSEL, 2);
	data_write(x, 0xffff0002);
	window(x, 0, QOFF, 2);
	assert_int_equal(data_read(x) & 0xffff, 2);
	window(x, 0, DEVCFG + 8, 4);
	assert_int_equal(data_read(x), 0xcbcac9c8);
	cfg_write(&x->p, x->devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void
the_window_reads_the_isr_and_rings_the_bell(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 0, 0);
	window(x, 0, NOTIFY, 2);
	data_write(x, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_true(line(x));
	window(x, 0, ISR, 1);
	assert_true(line(x));
	assert_int_equal(data_read(x) & 0xff, 1);
	assert_false(line(x));
	assert_int_equal(data_read(x) & 0xff, 0);
}

static void
a_window_to_nowhere_is_harmless(void **state)
{
	static const struct {
		unsigned bar;
		uint32_t off, len;
	} bad[] = {
		{ 2, 0, 4 },
		{ 5, 0, 4 },
		{ 255, 0, 4 },
		{ 0, 0, 0 },
		{ 0, 0, 3 },
		{ 0, 0, 8 },
		{ 0, 0, UINT32_MAX },
		{ 1, VIRTIO_PCI_EVENT_LEN, 4 },
		{ 0, 2, 4 },
		{ 0, 0xfffffffc, 4 },
		{ 0, UINT32_MAX, 1 },
		{ 0, VIRTIO_PCI_IMAGE_LEN - 2, 4 },
		{ 1, UINT32_MAX - 3, 4 },
		{ 1, VIRTIO_PCI_EVENT_LEN - 2, 4 },
	};
	struct fix *x = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		window(x, bad[i].bar, bad[i].off, bad[i].len);
		data_write(x, 0xffffffff);
		data_read(x);
	}
	assert_int_equal(x->f.dev.status, 0);
}

static void
the_window_of_the_page_shows_the_value_without_a_read(void **state)
{
	struct fix *x = *state;
	const uint8_t *page = x->p.ecam + x->devfn * 4096u;
	unsigned data = cfg_cap(x) + 16;

	window(x, 0, STATUS, 1);
	assert_int_equal(page[data], 0);
	data_write(x, 1);
	assert_int_equal(page[data], 1);
	wr(x, STATUS, 1, 3);
	assert_int_equal(page[data], 3);
}

/* ---- queues that are lent ---- */

/* What the transport would send for a queue: its data, or 0. */
static uint32_t
message(struct fix *x, unsigned q)
{
	struct virtio_transport *t = x->f.dev.transport;
	struct msi_msg msg;

	return t->ops->queue_message(t, q, &msg) ? msg.data : 0;
}

/* Asked and answered since the last call. */
static bool
was_told(struct fix *x, unsigned q)
{
	bool told = x->told[q] > 0;

	x->told[q] = 0;
	return told;
}

static void
the_message_of_a_lent_queue_follows_all_that_changes_it(void **state)
{
	struct fix *x = *state;
	struct virtio_lent lent;
	unsigned cap = find_cap(&x->p, x->devfn, PCI_CAP_ID_MSIX, 0);

	msix_on(x);
	drive(x);
	assert_int_equal(virtio_queue_lend(&x->f.dev, 1, &lent), 0);
	assert_int_equal(message(x, 1), 0x42);
	wr(x, MSIX + 16 * 2 + 12, 4, 1); /* mask */
	assert_true(was_told(x, 1));
	assert_int_equal(message(x, 1), 0);
	wr(x, MSIX + 16 * 2 + 8, 4, 0x77);
	wr(x, MSIX + 16 * 2 + 12, 4, 0);
	assert_true(was_told(x, 1));
	assert_int_equal(message(x, 1), 0x77);
	wr(x, QSEL, 2, 1);
	wr(x, QVEC, 2, 3); /* another vector */
	assert_true(was_told(x, 1));
	assert_int_equal(message(x, 1), 0x43);
	wr(x, QVEC, 2, NO_VECTOR);
	assert_true(was_told(x, 1));
	assert_int_equal(message(x, 1), 0);
	wr(x, QVEC, 2, 3);
	cfg_write(&x->p, x->devfn, cap + 2, 2, 0xc000); /* the function mask */
	assert_true(was_told(x, 1));
	assert_int_equal(message(x, 1), 0);
	cfg_write(&x->p, x->devfn, cap + 2, 2, 0); /* lines */
	was_told(x, 1);
	assert_int_equal(message(x, 1), 0);
	/* Of others nobody hears. */
	assert_int_equal(x->told[0], 0);
	virtio_queue_reclaim(&x->f.dev, 1, 0);
}

static void
an_interrupt_of_a_lent_queue_is_pending_while_masked(void **state)
{
	struct fix *x = *state;
	struct virtio_lent lent;

	msix_on(x);
	drive(x);
	assert_int_equal(virtio_queue_lend(&x->f.dev, 1, &lent), 0);
	wr(x, MSIX + 16 * 2 + 12, 4, 1);
	virtio_forward(&x->f.dev, 1);
	assert_int_equal(x->p.nmsi, 0);
	assert_int_equal(rd(x, PBA, 4), 1 << 2);
	wr(x, MSIX + 16 * 2 + 12, 4, 0);
	assert_int_equal(x->p.nmsi, 1);
	assert_int_equal(last_msi(&x->p)->data, 0x42);
	assert_int_equal(rd(x, PBA, 4), 0);
	virtio_queue_reclaim(&x->f.dev, 1, 0);
}

/* ---- doorbells ---- */

static void
doorbells_are_added_once_at_driver_ok_and_kept(void **state)
{
	struct fix *x = *state;

	assert_int_equal(x->ndb, 0);
	for (unsigned i = 0; i < 200; i++)
		drive(x);
	assert_int_equal(x->ndb, FAKE_QUEUES);
	assert_int_equal(x->added, FAKE_QUEUES);
	assert_int_equal(x->removed, 0);
	for (unsigned q = 0; q < FAKE_QUEUES; q++) {
		assert_int_equal(x->db[q].queue, q);
		assert_int_equal(x->db[q].space, SPACE_MMIO);
		assert_int_equal(x->db[q].addr, at(x, NOTIFY + 4 * q));
		assert_int_equal(x->db[q].len, 0);
		assert_false(x->db[q].match);
		assert_ptr_equal(x->db[q].dev, &x->f.dev);
	}
}

static void
doorbells_follow_the_bar(void **state)
{
	struct fix *x = *state;

	drive(x);
	/* The doorbells are in the second BAR: the first is free to go. */
	cfg_write(&x->p, x->devfn, PCI_BAR0, 4, MEM32_GPA + 0x200000);
	assert_int_equal(x->removed, 0);
	cfg_write(&x->p, x->devfn, PCI_BAR0 + 4, 4, MEM32_GPA + 0x100000);
	assert_int_equal(x->ndb, FAKE_QUEUES);
	assert_int_equal(x->removed, FAKE_QUEUES);
	for (unsigned q = 0; q < FAKE_QUEUES; q++)
		assert_int_equal(x->db[q].addr,
				 MEM32_GPA + 0x100000 + NOTIFY - EVENT + 4 * q);
	offer(x, 0, 0);
	kick(x, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);

	/* Where it does not decode, there is nothing to ring. */
	cfg_write(&x->p, x->devfn, PCI_BAR0 + 4, 4, RAM_GPA);
	assert_int_equal(x->ndb, 0);
	cfg_write(&x->p, x->devfn, PCI_BAR0 + 4, 4, MEM32_GPA);
	assert_int_equal(x->ndb, FAKE_QUEUES);
}

/* ---- transitional ---- */

enum {
	L_DF = 0x00,
	L_GF = 0x04,
	L_PFN = 0x08,
	L_QSIZE = 0x0c,
	L_QSEL = 0x0e,
	L_NOTIFY = 0x10,
	L_STATUS = 0x12,
	L_ISR = 0x13,
	L_CVEC = 0x14,
	L_QVEC = 0x16,
};

static uint64_t
lrd(struct fix *x, unsigned off, unsigned len)
{
	uint64_t base = cfg_read(&x->p, x->devfn, PCI_BAR0, 4) & ~3u;

	return space_read(&x->p.space[SPACE_PIO], base + off, len);
}

static void
lwr(struct fix *x, unsigned off, unsigned len, uint64_t val)
{
	uint64_t base = cfg_read(&x->p, x->devfn, PCI_BAR0, 4) & ~3u;

	space_write(&x->p.space[SPACE_PIO], base + off, len, val);
}

static void
legacy_drive(struct fix *x)
{
	uint64_t base = RING_GPA;

	lwr(x, L_STATUS, 1, 0);
	lwr(x, L_STATUS, 1, 1);
	lwr(x, L_STATUS, 1, 3);
	lwr(x, L_GF, 4, 1);
	lwr(x, L_QSEL, 2, 0);
	assert_int_equal(lrd(x, L_QSIZE, 2), FAKE_QUEUE_SIZE);
	assert_int_equal(lrd(x, L_PFN, 4), 0);
	memset(ram_at(&x->p.ram, base), 0, 0x3000);
	x->ring[0] = (struct fake_ring){
		.ram = &x->p.ram,
		.at = { .size = FAKE_QUEUE_SIZE,
			.desc = base,
			.driver = base + 16 * FAKE_QUEUE_SIZE,
			.device = base + 0x1000 },
	};
	lwr(x, L_PFN, 4, base >> 12);
	assert_int_equal(lrd(x, L_PFN, 4), base >> 12);
	lwr(x, L_STATUS, 1, 7);
	assert_int_equal(lrd(x, L_STATUS, 1), 7);
}

static void
a_transitional_device_looks_like_one(void **state)
{
	struct fix *x = *state;

	assert_int_equal(cfg_read(&x->p, x->devfn, 0, 4), 0x1005u << 16 | 0x1af4);
	assert_int_equal(cfg_read(&x->p, x->devfn, PCI_REVISION_ID, 1), 0);
	assert_int_equal(cfg_read(&x->p, x->devfn, PCI_SUBSYSTEM_ID, 2), FAKE_ID);
	assert_int_equal(cfg_read(&x->p, x->devfn, PCI_BAR0, 4) & 1, 1);
	all_structures_are_there_and_within_the_bar(state);
}

static void
a_legacy_driver_drives_it(void **state)
{
	struct fix *x = *state;

	assert_int_equal(lrd(x, L_DF, 4), 3u | 1u << 27 | 1u << 28 | 1u << 29);
	legacy_drive(x);
	offer(x, 0, 40);
	lwr(x, L_NOTIFY, 2, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	assert_int_equal(ring_used_id(&x->ring[0], 0), 40);
	assert_true(line(x));
	assert_int_equal(lrd(x, L_ISR, 1), 1);
	assert_false(line(x));
	/* The doorbell of this interface only. */
	assert_int_equal(x->ndb, FAKE_QUEUES);
	assert_int_equal(x->db[2].space, SPACE_PIO);
	assert_int_equal(x->db[2].addr, IO_BASE + L_NOTIFY);
	assert_int_equal(x->db[2].len, 2);
	assert_true(x->db[2].match);
	assert_int_equal(x->db[2].value, 2);
}

static void
a_modern_driver_drives_a_transitional_device(void **state)
{
	struct fix *x = *state;

	drive(x);
	offer(x, 0, 3);
	kick(x, 0);
	assert_int_equal(ring_used_idx(&x->ring[0]), 1);
	wr(x, STATUS, 1, 0);
	legacy_drive(x);
	wr(x, STATUS, 1, 0);
	drive(x);
}

static void
legacy_fields_move_when_msix_is_enabled(void **state)
{
	struct fix *x = *state;

	assert_int_equal(lrd(x, 0x14, 1), 0xc0);
	assert_int_equal(lrd(x, 0x15, 4), 0xc4c3c2c1);
	msix_on(x);
	assert_int_equal(lrd(x, L_CVEC, 2), NO_VECTOR);
	assert_int_equal(lrd(x, 0x18, 1), 0xc0);
	legacy_drive(x);
	lwr(x, L_QVEC, 2, 1);
	assert_int_equal(lrd(x, L_QVEC, 2), 1);
	lwr(x, L_QVEC, 2, 0x7ffe);
	assert_int_equal(lrd(x, L_QVEC, 2), NO_VECTOR);
	lwr(x, L_QVEC, 2, 2);
	offer(x, 0, 0);
	lwr(x, L_NOTIFY, 2, 0);
	assert_int_equal(last_msi(&x->p)->data, 0x42);
}

static void
legacy_accesses_out_of_range_are_harmless(void **state)
{
	struct fix *x = *state;

	legacy_drive(x);
	lwr(x, L_NOTIFY, 2, 3);
	lwr(x, L_NOTIFY, 2, 0xffff);
	lwr(x, L_QSEL, 2, 0xffff);
	assert_int_equal(lrd(x, L_QSIZE, 2), 0);
	assert_int_equal(lrd(x, L_PFN, 4), 0);
	lwr(x, L_PFN, 4, 1);
	lwr(x, L_QVEC, 2, 1);
	for (unsigned len = 1; len <= 4; len *= 2)
		for (unsigned off = 0; off < 64; off++)
			lrd(x, off, len);
	for (unsigned len = 1; len <= 4; len *= 2)
		for (unsigned off = 0; off < 64; off++)
			lwr(x, off, len, 0x80);
	lwr(x, L_STATUS, 1, 0);
	legacy_drive(x);
}

static void
a_type_without_a_legacy_form_cannot_be_transitional(void **state)
{
	struct fix *x = *state;
	struct virtio_type type = fake_type;
	struct fake_dev f;
	struct virtio_pci *vp = NULL;
	const struct virtio_pci_config cfg = { .transitional = true };

	type.legacy_pci_id = 0;
	fake_dev_init(&f, &x->p.ram.mem);
	f.dev.type = &type;
	assert_int_equal(virtio_pci_new(&x->p.bus, &f.dev, &cfg, &vp), -ENOTSUP);
	assert_null(vp);
}

static void
an_attach_that_fails_leaves_the_device_unconnected(void **state)
{
	struct fix *x = *state;
	const struct virtio_pci_config cfg = { .doorbell = NULL };
	struct fake_dev f;
	struct virtio_pci *vp = NULL;

	fake_dev_init(&f, &x->p.ram.mem);
	x->p.bus.last = x->p.bus.first;
	assert_int_equal(virtio_pci_new(&x->p.bus, &f.dev, &cfg, &vp), -ENOSPC);
	assert_null(f.dev.transport);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TI(name) cmocka_unit_test_setup_teardown(name, setup_image, teardown)
#define TT(name) cmocka_unit_test_setup_teardown(name, setup_transitional, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_function_is_a_modern_virtio_device),
		T(all_structures_are_there_and_within_the_bar),
		T(common_configuration_starts_as_it_must),
		T(registers_are_written_at_their_own_width_only),
		T(a_request_goes_round_by_intx),
		T(a_request_goes_round_by_msix),
		T(the_address_says_which_queue_and_others_are_ignored),
		T(queue_select_out_of_range_shows_nothing_and_takes_nothing),
		T(a_queue_does_not_change_after_driver_ok),
		T(bad_rings_end_in_needs_reset_told_by_config_interrupt),
		T(a_ring_that_breaks_sets_the_isr_and_the_line),
		T(a_queue_is_reset_and_enabled_again),
		T(vectors_out_of_range_are_no_vector),
		T(a_hundred_thousand_vector_writes_are_nothing),
		T(masked_vectors_come_when_unmasked),
		T(reset_unmaps_all_vectors_and_lowers_the_line),
		T(device_configuration_is_read_and_written),
		T(a_change_shows_with_another_generation),
		TI(the_page_follows_every_write),
		TI(the_image_lies_where_the_bar_does),
		TI(the_image_of_a_bar_that_moved_away_is_all_ones),
		TI(the_image_is_all_ones_while_decoding_is_off),
		T(the_device_can_be_driven_through_configuration_space),
		T(the_window_reads_the_isr_and_rings_the_bell),
		T(a_window_to_nowhere_is_harmless),
		TI(the_window_of_the_page_shows_the_value_without_a_read),
		T(the_message_of_a_lent_queue_follows_all_that_changes_it),
		T(an_interrupt_of_a_lent_queue_is_pending_while_masked),
		T(doorbells_are_added_once_at_driver_ok_and_kept),
		T(doorbells_follow_the_bar),
		TT(a_transitional_device_looks_like_one),
		TT(a_legacy_driver_drives_it),
		TT(a_modern_driver_drives_a_transitional_device),
		TT(legacy_fields_move_when_msix_is_enabled),
		TT(legacy_accesses_out_of_range_are_harmless),
		T(a_type_without_a_legacy_form_cannot_be_transitional),
		T(an_attach_that_fails_leaves_the_device_unconnected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
