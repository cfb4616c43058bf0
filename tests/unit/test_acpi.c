/* SPDX-License-Identifier: ISC */
/*
 * ACPI tables: walked as an OS would, and the DSDT through iasl, which is to
 * disassemble it and to compile the result again without a warning.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "acpi.h"
#include "aml.h"
#include "bus.h"
#include "fake_pci.h"
#include "irqchip.h"
#include "util.h"

enum { GPA = 0xe0000, BUF_LEN = 65536 };

struct rig {
	struct irqchip chip;
	struct space space[SPACE_KINDS];
	struct slot_list slots;
	struct bus bus;
	struct acpi_machine am;
	struct fake_pci pci;
	struct pci_function fn[PCI_DEVICES];
	uint8_t buf[BUF_LEN];
	size_t len;
};

static void
ignore_level(struct irqchip *chip, unsigned gsi, bool level)
{
	(void)chip, (void)gsi, (void)level;
}

static const struct platform_row rows[] = {
	{ DEVICE_UART16550, SPACE_PIO, 0x3f8, 8, 4, IRQ_EDGE },
	{ DEVICE_UART16550, SPACE_PIO, 0x2f8, 8, 3, IRQ_EDGE },
	{ DEVICE_RTC_CMOS, SPACE_PIO, 0x70, 2, 8, IRQ_EDGE },
	{ DEVICE_I8042, SPACE_PIO, 0x60, 5, -1, IRQ_EDGE },
	{ DEVICE_POWER_ACPI, SPACE_PIO, 0x600, ACPI_POWER_LEN, 9, IRQ_EDGE },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0xd0000000, 0x200, 5, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0xd0000200, 0x200, 5, IRQ_LEVEL },
	{ DEVICE_VIRTIO_MMIO, SPACE_MMIO, 0x4000000000, 0x200, 20, IRQ_LEVEL },
};

static int
set_up(void **state)
{
	static const struct irqchip_ops ops = { .name = "fake",
						.set_level = ignore_level };
	struct rig *r = test_calloc(1, sizeof(*r));

	irqchip_init(&r->chip, &ops, 24);
	if (slot_list_init(&r->slots))
		return -1;
	r->bus = (struct bus){
		.name = "platform",
		.row = rows,
		.nrow = ARRAY_SIZE(rows),
		.chip = &r->chip,
		.space = r->space,
		.slots = &r->slots,
	};
	r->am = (struct acpi_machine){
		.ncpu = 2,
		.lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000,
		.ioapic_id = 0,
		.slots = &r->slots,
	};
	*state = r;
	return 0;
}

static int
tear_down(void **state)
{
	struct rig *r = *state;

	slot_list_fini(&r->slots);
	if (r->am.pci)
		fake_pci_fini(&r->pci);
	test_free(r);
	return 0;
}

static void
attach(struct rig *r, enum device_kind kind)
{
	static const struct region_ops no_ops;
	const struct bus_device dev = { .kind = kind, .name = "dev", .ops = &no_ops };
	const struct bus_slot *slot;

	assert_int_equal(bus_attach(&r->bus, &dev, &slot), 0);
}

/* One of each row. */
static void
attach_all(struct rig *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		attach(r, rows[i].kind);
}

static void
add_pci(struct rig *r)
{
	fake_pci_init(&r->pci, false);
	r->am.pci = &r->pci.seg;
}

static void
attach_pci(struct rig *r, unsigned pin)
{
	static const struct pci_ids ids = { .vendor = 0x1af4, .device = 0x1044 };
	struct pci_function *fn = &r->fn[r->pci.seg.nslot];
	const struct pci_slot *slot;

	pci_function_init(fn, "fn", DEVICE_VIRTIO_PCI, &ids, pin, NULL);
	assert_int_equal(pci_attach(&r->pci.bus, fn, &slot), 0);
}

static void
build(struct rig *r)
{
	memset(r->buf, 0xa5, sizeof(r->buf));
	assert_int_equal(acpi_build(&r->am, GPA, r->buf, sizeof(r->buf), &r->len), 0);
}

/* ---- an OS's walk ---- */

static uint8_t
sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table at a guest address, checked. */
static const uint8_t *
table_at(const struct rig *r, uint64_t gpa, const char *signature)
{
	assert_true(gpa >= GPA && range_ok(gpa - GPA, 36, r->len));
	const uint8_t *t = r->buf + (gpa - GPA);
	uint32_t len = le32_get(t + 4);

	assert_true(len >= 36 && range_ok(gpa - GPA, len, r->len));
	assert_int_equal(sum(t, len), 0);
	if (signature)
		assert_memory_equal(t, signature, 4);
	return t;
}

static const uint8_t *
find_table(const struct rig *r, const char *signature)
{
	const uint8_t *xsdt = table_at(r, le64_get(r->buf + 24), "XSDT");
	uint32_t len = le32_get(xsdt + 4);

	assert_int_equal((len - 36) % 8, 0);
	for (uint32_t off = 36; off < len; off += 8) {
		const uint8_t *t = table_at(r, le64_get(xsdt + off), NULL);

		if (memcmp(t, signature, 4) == 0)
			return t;
	}
	return NULL;
}

static const uint8_t *
find_dsdt(const struct rig *r)
{
	const uint8_t *fadt = find_table(r, "FACP");

	assert_non_null(fadt);
	return table_at(r, le64_get(fadt + 140), "DSDT");
}

static void
rsdp_leads_to_every_table(void **state)
{
	struct rig *r = *state;

	attach_all(r);
	build(r);
	assert_memory_equal(r->buf, "RSD PTR ", 8);
	assert_int_equal(r->buf[15], 2);
	assert_int_equal(le32_get(r->buf + 16), 0); /* no RSDT */
	assert_int_equal(le32_get(r->buf + 20), 36);
	assert_int_equal(sum(r->buf, 20), 0);
	assert_int_equal(sum(r->buf, 36), 0);
	assert_non_null(find_table(r, "FACP"));
	assert_non_null(find_table(r, "APIC"));
	assert_int_equal(find_dsdt(r)[8], 2);
	for (size_t i = r->len; i < sizeof(r->buf); i++)
		assert_int_equal(r->buf[i], 0xa5);
}

/* ---- FADT ---- */

static void
assert_io_byte(const uint8_t *gas, uint64_t port)
{
	static const uint8_t io_byte[4] = { 1, 8, 0, 1 };

	assert_memory_equal(gas, io_byte, 4);
	assert_int_equal(le64_get(gas + 4), port);
}

static void
fadt_describes_a_reduced_machine_with_the_slots_registers(void **state)
{
	struct rig *r = *state;

	attach_all(r);
	build(r);
	const uint8_t *fadt = find_table(r, "FACP");

	assert_int_equal(le32_get(fadt + 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(fadt[131], 5);
	/* reduced, reset, no fixed buttons, no fixed RTC, C1, WBINVD */
	assert_int_equal(le32_get(fadt + 112), 0x100475);
	assert_io_byte(fadt + 116, 0x602);
	assert_int_equal(fadt[128], 0x42);
	assert_io_byte(fadt + 244, 0x600);
	assert_io_byte(fadt + 256, 0x601);
	assert_int_equal(fadt[108], 0x32);
	assert_int_equal(le16_get(fadt + 109), 0x0014); /* RTC, no VGA, no 8042 */
	/* what a reduced machine does not have: 4.1.2 */
	assert_int_equal(le32_get(fadt + 36), 0); /* FACS */
	assert_int_equal(le16_get(fadt + 46), 0); /* SCI */
	for (unsigned off = 48; off < 108; off++)
		assert_int_equal(fadt[off], 0);
	for (unsigned off = 148; off < 244; off++)
		assert_int_equal(fadt[off], 0);
}

static void
fadt_promises_nothing_of_devices_that_are_not_there(void **state)
{
	struct rig *r = *state;

	build(r);
	const uint8_t *fadt = find_table(r, "FACP");

	assert_int_equal(le32_get(fadt + 112) & 1 << 10, 0);
	assert_true(le16_get(fadt + 109) & 1 << 5);
	assert_int_equal(fadt[108], 0);
	assert_int_equal(fadt[128], 0);
	assert_int_equal(le64_get(fadt + 120), 0);
	assert_int_equal(le64_get(fadt + 248), 0);
	const uint8_t *dsdt = find_dsdt(r);
	assert_null(memmem(dsdt, le32_get(dsdt + 4), "_S5_", 4));
	assert_null(memmem(dsdt, le32_get(dsdt + 4), "PWRB", 4));
}

/* ---- MADT ---- */

/* The next entry of a type behind prev (NULL: from the start), or NULL. */
static const uint8_t *
madt_next(const struct rig *r, const uint8_t *prev, uint8_t type)
{
	const uint8_t *madt = find_table(r, "APIC");
	const uint8_t *end = madt + le32_get(madt + 4);
	const uint8_t *p = prev ? prev + prev[1] : madt + 44;

	for (; p < end; p += p[1]) {
		assert_true(end - p >= 2 && p[1] >= 2 && p[1] <= end - p);
		if (p[0] == type)
			return p;
	}
	assert_ptr_equal(p, end);
	return NULL;
}

static unsigned
madt_count(const struct rig *r, uint8_t type)
{
	unsigned n = 0;

	for (const uint8_t *p = NULL; (p = madt_next(r, p, type));)
		n++;
	return n;
}

static void
madt_has_every_cpu_enabled(void **state)
{
	static const unsigned counts[] = { 1, 2, 32, 255 };
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		const uint8_t *p = NULL;

		r->am.ncpu = counts[i];
		build(r);
		for (unsigned id = 0; id < counts[i]; id++) {
			p = madt_next(r, p, 0);
			assert_non_null(p);
			assert_int_equal(p[1], 8);
			assert_int_equal(p[2], id);
			assert_int_equal(p[3], id);
			assert_int_equal(le32_get(p + 4), 1);
		}
		assert_null(madt_next(r, p, 0));
		assert_int_equal(madt_count(r, 9), 0);
		assert_int_equal(madt_count(r, 10), 0);
	}
}

static void
madt_has_x2apic_entries_from_id_255_on(void **state)
{
	struct rig *r = *state;
	const uint8_t *p = NULL;

	r->am.ncpu = 300;
	build(r);
	assert_int_equal(madt_count(r, 0), 255);
	for (unsigned id = 255; id < 300; id++) {
		p = madt_next(r, p, 9);
		assert_non_null(p);
		assert_int_equal(p[1], 16);
		assert_int_equal(le32_get(p + 4), id);
		assert_int_equal(le32_get(p + 8), 1);
		assert_int_equal(le32_get(p + 12), id);
	}
	assert_null(madt_next(r, p, 9));
	assert_int_equal(madt_count(r, 10), 1);
}

static void
madt_has_one_ioapic_and_nmi_on_lint1(void **state)
{
	struct rig *r = *state;
	const uint8_t *madt, *p;

	r->am.ioapic_id = 7;
	build(r);
	madt = find_table(r, "APIC");
	assert_int_equal(le32_get(madt + 36), 0xfee00000);
	assert_int_equal(le32_get(madt + 40), 0); /* no 8259 */
	p = madt_next(r, NULL, 1);
	assert_int_equal(p[1], 12);
	assert_int_equal(p[2], 7);
	assert_int_equal(le32_get(p + 4), 0xfec00000);
	assert_int_equal(le32_get(p + 8), 0);
	assert_null(madt_next(r, p, 1));

	static const uint8_t lint1[6] = { 4, 6, 0xff, 0, 0, 1 };
	assert_memory_equal(madt_next(r, NULL, 4), lint1, 6);
}

static void
madt_overrides_only_isa_interrupts_that_are_level_triggered(void **state)
{
	static const uint8_t irq5[10] = { 2, 10, 0, 5, 5, 0, 0, 0, 0x0d, 0 };
	struct rig *r = *state;

	attach(r, DEVICE_UART16550);
	attach(r, DEVICE_POWER_ACPI);
	build(r);
	assert_int_equal(madt_count(r, 2), 0);
	/* two share GSI 5, one has GSI 20 */
	attach(r, DEVICE_VIRTIO_MMIO);
	attach(r, DEVICE_VIRTIO_MMIO);
	attach(r, DEVICE_VIRTIO_MMIO);
	build(r);
	assert_int_equal(madt_count(r, 2), 1);
	assert_memory_equal(madt_next(r, NULL, 2), irq5, 10);
}

/* ---- MCFG ---- */

static void
mcfg_has_the_ecam_of_one_bus(void **state)
{
	struct rig *r = *state;

	add_pci(r);
	build(r);
	const uint8_t *mcfg = find_table(r, "MCFG");

	assert_non_null(mcfg);
	assert_int_equal(le32_get(mcfg + 4), 36 + 8 + 16);
	assert_int_equal(mcfg[8], 1);
	assert_int_equal(le64_get(mcfg + 36), 0);
	assert_int_equal(le64_get(mcfg + 44), ECAM_GPA);
	assert_int_equal(le16_get(mcfg + 52), 0); /* segment */
	assert_int_equal(mcfg[54], 0);            /* first bus */
	assert_int_equal(mcfg[55], 0);            /* last bus */
	assert_int_equal(le32_get(mcfg + 56), 0);
	/* the other tables are where they were */
	assert_non_null(find_table(r, "FACP"));
	assert_non_null(find_table(r, "APIC"));
	/* MSI is not forbidden, ASPM is: 5.2.9.3 */
	assert_int_equal(le16_get(find_table(r, "FACP") + 109) & (1 << 3 | 1 << 4),
			 1 << 4);
}

static void
nothing_is_said_of_pci_where_there_is_none(void **state)
{
	struct rig *r = *state;

	attach_all(r);
	build(r);
	const uint8_t *dsdt = find_dsdt(r);

	assert_null(find_table(r, "MCFG"));
	assert_null(memmem(dsdt, le32_get(dsdt + 4), "PCI0", 4));
	assert_null(memmem(dsdt, le32_get(dsdt + 4), "ECAM", 4));
}

/* ---- room ---- */

static void
every_buffer_that_is_too_small_is_refused(void **state)
{
	struct rig *r = *state;

	attach_all(r);
	add_pci(r);
	attach_pci(r, PCI_PIN_A);
	build(r);
	for (size_t cap = 0; cap <= r->len; cap++) {
		uint8_t *buf = malloc(cap ? cap : 1); /* the sanitizer guards its end */
		size_t len = 99;

		assert_non_null(buf);
		int err = acpi_build(&r->am, GPA, buf, cap, &len);
		assert_int_equal(err, cap < r->len ? -ENOSPC : 0);
		assert_int_equal(len, cap < r->len ? 99 : r->len);
		free(buf);
	}
}

static void
sixty_four_kib_hold_255_cpus_and_all_slots(void **state)
{
	static struct platform_row many[BUS_SLOTS_MAX];
	struct rig *r = *state;

	for (unsigned i = 0; i < BUS_SLOTS_MAX; i++)
		many[i] = (struct platform_row){ DEVICE_VIRTIO_MMIO,
						 SPACE_MMIO,
						 0x5000000000 + i * 0x200,
						 0x200,
						 20,
						 IRQ_LEVEL };
	r->bus.row = many;
	r->bus.nrow = BUS_SLOTS_MAX;
	for (unsigned i = 0; i < BUS_SLOTS_MAX; i++)
		attach(r, DEVICE_VIRTIO_MMIO);
	add_pci(r);
	r->pci.bus.last = PCI_DEVICES - 1;
	for (unsigned i = 1; i < PCI_DEVICES; i++)
		attach_pci(r, PCI_PIN_A);
	r->am.ncpu = 255;
	build(r);
	assert_true(r->len < BUF_LEN / 2);
	assert_non_null(find_dsdt(r));
}

/* ---- byte code ---- */

static void
aml_package_length_is_right_at_its_boundaries(void **state)
{
	static const struct {
		unsigned body; /* with the 4 bytes of the name */
		uint8_t want[4];
		unsigned n;
	} row[] = {
		{ 4, { 0x05 }, 1 },
		{ 62, { 0x3f }, 1 },
		{ 63, { 0x41, 0x04 }, 2 },
		{ 0xffd, { 0x4f, 0xff }, 2 },
		{ 0xffe, { 0x81, 0x00, 0x01 }, 3 },
		{ 0xffffc, { 0x8f, 0xff, 0xff }, 3 },
		{ 0xffffd, { 0xc1, 0x00, 0x00, 0x01 }, 4 },
	};
	size_t cap = 0x100100;
	uint8_t *buf = malloc(cap);
	struct aml a;

	(void)state;
	assert_non_null(buf);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		aml_init(&a, buf, cap);
		size_t mark = aml_scope(&a, "ABCD");
		for (unsigned n = 4; n < row[i].body; n++)
			aml_int(&a, 1);
		aml_end(&a, mark);
		assert_false(a.full);
		assert_int_equal(a.len, 1 + row[i].n + row[i].body);
		assert_memory_equal(buf + 1, row[i].want, row[i].n);
		assert_memory_equal(buf + 1 + row[i].n, "ABCD", 4);
		assert_int_equal(buf[a.len - 1], row[i].body > 4 ? 1 : 'D');
	}
	free(buf);
}

static void
assert_aml(const struct aml *a, const char *want, size_t n)
{
	assert_false(a->full);
	assert_int_equal(a->len, n);
	assert_memory_equal(a->buf, want, n);
}

static void
aml_names_and_integers_have_their_forms(void **state)
{
	uint8_t buf[64];
	struct aml a;

	(void)state;
	aml_init(&a, buf, sizeof(buf));
	aml_path(&a, "\\_S5");
	aml_path(&a, "^^PWRB");
	aml_path(&a, "_SB.GED");
	aml_path(&a, "\\A.B.C");
	assert_aml(&a,
		   "\\_S5_"
		   "^^PWRB"
		   "\x2e_SB_GED_"
		   "\\\x2f\x03"
		   "A___B___C___",
		   35);

	aml_init(&a, buf, sizeof(buf));
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 2);
	aml_int(&a, 0x100);
	aml_int(&a, 0x10000);
	aml_int(&a, 0x100000000);
	assert_aml(&a,
		   "\0\x01\x0a\x02\x0b\x00\x01\x0c\x00\x00\x01\x00"
		   "\x0e\x00\x00\x00\x00\x01\x00\x00\x00",
		   21);

	aml_init(&a, buf, sizeof(buf));
	aml_hid(&a, "PNP0C0C");
	aml_hid(&a, "ACPI0013");
	assert_aml(&a,
		   "\x0c\x41\xd0\x0c\x0c"
		   "\x0d"
		   "ACPI0013",
		   15);
}

static void
aml_windows_have_the_width_they_need(void **state)
{
	/* tag, length, kind, flags; then granularity, first, last, translation, length */
	static const char bus[] = "\x88\x0d\0\x02\x0c\0"
				  "\0\0"
				  "\0\0"
				  "\x0f\0"
				  "\0\0"
				  "\x10\0";
	static const char io[] = "\x88\x0d\0\x01\x0c\x03"
				 "\0\0"
				 "\0\x10"
				 "\xff\xff"
				 "\0\0"
				 "\0\xf0";
	static const char all_io[] = "\x87\x17\0\x01\x0c\x03"
				     "\0\0\0\0"
				     "\0\0\0\0"
				     "\xff\xff\0\0"
				     "\0\0\0\0"
				     "\0\0\x01\0";
	static const char mem[] = "\x87\x17\0\0\x0c\x01"
				  "\0\0\0\0"
				  "\0\0\0\xf0"
				  "\xff\xff\xff\xff"
				  "\0\0\0\0"
				  "\0\0\0\x10";
	static const char high[] = "\x8a\x2b\0\0\x0c\x07"
				   "\0\0\0\0\0\0\0\0"
				   "\0\0\0\xf0\0\0\0\0"
				   "\0\0\0\0\x01\0\0\0"
				   "\0\0\0\0\0\0\0\0"
				   "\x01\0\0\x10\0\0\0\0";
	uint8_t buf[64];
	struct aml a;

	(void)state;
#define EXPECT(call, want) \
	do { \
		aml_init(&a, buf, sizeof(buf)); \
		call; \
		assert_aml(&a, want, sizeof(want) - 1); \
	} while (0)
	EXPECT(aml_res_bus_window(&a, 0, 15), bus);
	EXPECT(aml_res_io_window(&a, 0x1000, 0xf000), io);
	EXPECT(aml_res_io_window(&a, 0, 0x10000), all_io);
	EXPECT(aml_res_memory_window(&a, 0xf0000000, 0x10000000, false), mem);
	EXPECT(aml_res_memory_window(&a, 0xf0000000, 0x10000001, true), high);
#undef EXPECT
}

static void
s5_package_has_the_sleep_type(void **state)
{
	static const char s5[] = "\x08\\_S5_\x12\x07\x04\x0a\x05\x00\x00\x00";
	struct rig *r = *state;

	attach(r, DEVICE_POWER_ACPI);
	build(r);
	const uint8_t *dsdt = find_dsdt(r);
	assert_memory_equal(dsdt + 36, s5, sizeof(s5) - 1);
}

/* ---- iasl, the reference implementation's compiler ---- */

struct iasl {
	char dir[64];
	char text[BUF_LEN]; /* output of the last command, or a file */
};

static void
read_all(FILE *f, char *text, size_t cap)
{
	size_t n = fread(text, 1, cap - 1, f);

	text[n] = '\0';
}

/* Runs a command in the folder; its output is in text. Returns its status. */
static int
run(struct iasl *x, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && %s 2>&1", x->dir, command);
	FILE *f = popen(line, "r");
	assert_non_null(f);
	read_all(f, x->text, sizeof(x->text));
	return pclose(f);
}

static void
save(struct iasl *x, const char *name, const uint8_t *table)
{
	char path[128];

	snprintf(path, sizeof(path), "%.63s/%.8s.dat", x->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(table, 1, le32_get(table + 4), f), le32_get(table + 4));
	assert_int_equal(fclose(f), 0);
}

static void
iasl_start(struct iasl *x)
{
	const char *tmp = getenv("TMPDIR");

	if (system("command -v iasl >/dev/null") != 0) {
		print_message("no iasl (package acpica-tools): not checked\n");
		skip();
	}
	snprintf(x->dir, sizeof(x->dir), "%s/test_acpi.XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(x->dir));
}

static void
iasl_end(struct iasl *x)
{
	assert_int_equal(run(x, "rm -f *.dat *.dsl *.aml"), 0);
	assert_int_equal(rmdir(x->dir), 0);
}

/* Disassembles a table, compiles what comes out, and leaves the source in text. */
static void
assert_round_trip(struct iasl *x, const char *name, const uint8_t *table)
{
	char command[128];

	save(x, name, table);
	snprintf(command, sizeof(command), "iasl -d %s.dat", name);
	int status = run(x, command);
	if (status != 0 || strcasestr(x->text, "error") || strcasestr(x->text, "warning"))
		fail_msg("iasl -d %s: status %d:\n%s", name, status, x->text);

	snprintf(command, sizeof(command), "iasl -p again %s.dsl", name);
	status = run(x, command);
	if (status != 0 || !strstr(x->text, " 0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("iasl %s: status %d:\n%s", name, status, x->text);

	snprintf(command, sizeof(command), "cat %s.dsl", name);
	assert_int_equal(run(x, command), 0);
}

/* All of the lines, in this order, each somewhere behind the one before. */
static void
assert_in_order(const char *text, const char *const *want, size_t n)
{
	const char *p = text;

	for (size_t i = 0; i < n; i++) {
		const char *at = strstr(p, want[i]);

		if (!at)
			fail_msg("not there, or not in its place: %s\n%s", want[i], text);
		p = at + strlen(want[i]);
	}
}

static void
dsdt_says_what_the_slots_say(void **state)
{
	static const char *const want[] = {
		"Name (\\_S5, Package (0x04)",
		"0x05,",
		"Device (CO00)",
		"EisaId (\"PNP0501\")",
		"Name (_UID, Zero)",
		"IO (Decode16,",
		"0x03F8,",
		"0x03F8,",
		"0x08,",
		"Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive",
		"0x00000004,",
		"Device (CO01)",
		"Name (_UID, One)",
		"0x02F8,",
		"0x00000003,",
		"Device (RT00)",
		"EisaId (\"PNP0B00\")",
		"0x0070,",
		"0x02,",
		"0x00000008,",
		"Device (PWRB)",
		"EisaId (\"PNP0C0C\")",
		"Device (GE00)",
		"\"ACPI0013\"",
		"Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive",
		"0x00000009,",
		"OperationRegion (REGS, SystemIO, 0x0600, 0x08)",
		"Field (REGS, ByteAcc, NoLock, Preserve)",
		"Offset (0x04)",
		"EVNT,   8",
		"Method (_EVT, 1, NotSerialized)",
		"Local0 = EVNT",
		"If ((Local0 & One))",
		"Notify (PWRB, 0x80)",
		"Device (VR00)",
		"\"LNRO0005\"",
		"Memory32Fixed (ReadWrite,",
		"0xD0000000,",
		"0x00000200,",
		"Interrupt (ResourceConsumer, Level, ActiveHigh, Shared",
		"0x00000005,",
		"Device (VR01)",
		"0xD0000200,",
		"0x00000005,",
		"Device (VR02)",
		"QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed",
		"0x0000004000000000,",
		"0x00000040000001FF,",
		"0x0000000000000200,",
		"0x00000014,",
	};
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	attach_all(r);
	build(r);
	assert_round_trip(&x, "dsdt", find_dsdt(r));
	assert_in_order(x.text, want, ARRAY_SIZE(want));
	assert_null(strstr(x.text, "0x0060,")); /* no i8042 */
	iasl_end(&x);
}

/* Device 2 has no pin, so that only 1 and 3 are wired. */
static void
dsdt_describes_the_host_bridge(void **state)
{
	static const char *const want[] = {
		"Scope (\\_SB)",
		"Device (PCI0)",
		"_HID, EisaId (\"PNP0A08\")",
		"Name (_UID, Zero)",
		"_CID, EisaId (\"PNP0A03\")",
		"Name (_SEG, Zero)",
		"Name (_BBN, Zero)",
		"Name (_CCA, One)",
		"Name (_CRS,",
		"WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,",
		"0x0000,",
		"0x0000,",
		"0x0000,",
		"0x0000,",
		"0x0001,",
		"WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,",
		"0x0000,",
		"0x1000,",
		"0x1FFF,",
		"0x0000,",
		"0x1000,",
		"DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, "
		"NonCacheable, ReadWrite,",
		"0x00000000,",
		"0x78000000,",
		"0x78FFFFFF,",
		"0x00000000,",
		"0x01000000,",
		"QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, "
		"NonCacheable, ReadWrite,",
		"0x0000000000000000,",
		"0x0000008000000000,",
		"0x0000008FFFFFFFFF,",
		"0x0000000000000000,",
		"0x0000001000000000,",
		"QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, "
		"Prefetchable, ReadWrite,",
		"0x0000000000000000,",
		"0x000000A000000000,",
		"0x000000AFFFFFFFFF,",
		"0x0000000000000000,",
		"0x0000001000000000,",
		"Name (_PRT, Package (0x02)",
		"Package (0x04)",
		"0x0001FFFF,",
		"Zero,",
		"Zero,",
		"0x10",
		"Package (0x04)",
		"0x0003FFFF,",
		"Zero,",
		"Zero,",
		"0x12",
		"Method (_OSC, 4, NotSerialized)",
		"If ((Arg0 == ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\")",
		"Return (Arg3)",
		"Arg3 [Zero] = (DerefOf (Arg3 [Zero]) | 0x04)",
		"Return (Arg3)",
		"Device (ECAM)",
		"_HID, EisaId (\"PNP0C02\")",
		"Memory32Fixed (ReadWrite,",
		"0x70000000,",
		"0x00100000,",
	};
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	add_pci(r);
	attach_pci(r, PCI_PIN_A);
	attach_pci(r, PCI_PIN_NONE);
	attach_pci(r, PCI_PIN_A);
	build(r);
	assert_round_trip(&x, "dsdt", find_dsdt(r));
	assert_in_order(x.text, want, ARRAY_SIZE(want));
	assert_null(strstr(x.text, "0x0CF8,"));
	assert_round_trip(&x, "mcfg", find_table(r, "MCFG"));
	assert_in_order(x.text,
			(const char *const[]){ "Base Address : 0000000070000000" }, 1);
	iasl_end(&x);
}

static void
bridge_claims_the_old_ports_only_if_they_answer(void **state)
{
	static const char *const want[] = {
		"Device (PCI0)",
		"IO (Decode16,",
		"0x0CF8,",
		"0x0CF8,",
		"0x01,",
		"0x08,",
		"WordIO (ResourceProducer",
	};
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	add_pci(r);
	r->am.pci_legacy_config = true;
	build(r);
	assert_round_trip(&x, "dsdt", find_dsdt(r));
	assert_in_order(x.text, want, ARRAY_SIZE(want));
	iasl_end(&x);
}

/* Windows may be missing, and the ECAM may be high. */
static void
bridge_has_no_window_of_no_length(void **state)
{
	static const char *const high_ecam[] = {
		"Device (ECAM)",
		"QWordMemory (ResourceConsumer,",
		"0x0000006000000000,",
		"0x00000060000FFFFF,",
	};
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	add_pci(r);
	for (unsigned k = 0; k < PCI_WINDOWS; k++)
		if (k != PCI_WINDOW_MEM32)
			r->pci.seg.window[k].len = 0;
	r->pci.seg.ecam_base = 0x6000000000;
	build(r);
	assert_round_trip(&x, "dsdt", find_dsdt(r));
	assert_null(strstr(x.text, "WordIO ("));
	assert_null(strstr(x.text, "QWordMemory (ResourceProducer"));
	assert_non_null(strstr(x.text, "DWordMemory (ResourceProducer"));
	assert_in_order(x.text, high_ecam, ARRAY_SIZE(high_ecam));
	iasl_end(&x);
}

static void
dsdt_of_a_machine_without_devices_compiles(void **state)
{
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	build(r);
	assert_round_trip(&x, "dsdt", find_dsdt(r));
	assert_null(strstr(x.text, "Device ("));
	iasl_end(&x);
}

static void
fadt_and_madt_are_understood_by_iasl(void **state)
{
	static const char *const fadt[] = {
		"Reset Register Supported (V2) : 1",
		"Hardware Reduced (V5) : 1",
		"Value to cause reset : 42",
		"Sleep Control Register",
		"0000000000000600",
		"Sleep Status Register",
		"0000000000000601",
	};
	static const char *const madt[] = {
		"Local Apic ID : 01",        "I/O Apic ID : 00", "Address : FEC00000",
		"Interrupt Source Override", "Source : 05",      "Trigger Mode : 3",
		"Interrupt Input LINT : 01",
	};
	struct rig *r = *state;
	struct iasl x;

	iasl_start(&x);
	attach_all(r);
	build(r);
	assert_round_trip(&x, "facp", find_table(r, "FACP"));
	assert_in_order(x.text, fadt, ARRAY_SIZE(fadt));
	assert_round_trip(&x, "apic", find_table(r, "APIC"));
	assert_in_order(x.text, madt, ARRAY_SIZE(madt));
	iasl_end(&x);
}

int
main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(rsdp_leads_to_every_table),
		TEST(fadt_describes_a_reduced_machine_with_the_slots_registers),
		TEST(fadt_promises_nothing_of_devices_that_are_not_there),
		TEST(madt_has_every_cpu_enabled),
		TEST(madt_has_x2apic_entries_from_id_255_on),
		TEST(madt_has_one_ioapic_and_nmi_on_lint1),
		TEST(madt_overrides_only_isa_interrupts_that_are_level_triggered),
		TEST(mcfg_has_the_ecam_of_one_bus),
		TEST(nothing_is_said_of_pci_where_there_is_none),
		TEST(every_buffer_that_is_too_small_is_refused),
		TEST(sixty_four_kib_hold_255_cpus_and_all_slots),
		cmocka_unit_test(aml_package_length_is_right_at_its_boundaries),
		cmocka_unit_test(aml_names_and_integers_have_their_forms),
		cmocka_unit_test(aml_windows_have_the_width_they_need),
		TEST(s5_package_has_the_sleep_type),
		TEST(dsdt_says_what_the_slots_say),
		TEST(dsdt_describes_the_host_bridge),
		TEST(bridge_claims_the_old_ports_only_if_they_answer),
		TEST(bridge_has_no_window_of_no_length),
		TEST(dsdt_of_a_machine_without_devices_compiles),
		TEST(fadt_and_madt_are_understood_by_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
