/* SPDX-License-Identifier: ISC */
/*
 * I/O APIC: Intel 82093AA data sheet (290566-001), with version 0x20's EOI
 * register at offset 0x40.
 *
 * How it differs from the chip, on purpose:
 * - Polarity is stored and ignored. A pin here is "asserted" or not; whether a
 *   wire would be high or low then is between the firmware tables and the guest.
 *   The KVM and QEMU models do the same.
 * - Delivery is done when the register write or the pin change that caused it
 *   returns, so the delivery status bit always reads 0 (idle).
 *
 * What a hostile guest gets from an entry is a message that it could also send
 * with its local APIC's ICR; nothing here depends on a message having arrived.
 */
#include <assert.h>
#include <string.h>

#include "ioapic.h"
#include "irqchip.h"

enum { REG_SELECT = 0x00, REG_WINDOW = 0x10, REG_EOI = 0x40 };

enum { IDX_ID = 0, IDX_VERSION = 1, IDX_ARBITRATION = 2, IDX_REDIR = 0x10 };

enum { VERSION = 0x20 }; /* the last pin is in bits 16 to 23 */

/* Redirection table entry, 82093AA 3.2.4. */
#define RTE_VECTOR 0xffull
#define RTE_MODE_SHIFT 8
#define RTE_MODE (7ull << RTE_MODE_SHIFT)
#define RTE_LOGICAL (1ull << 11)
#define RTE_POLARITY (1ull << 13)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_DEST_SHIFT 56

/* What the guest may write; delivery status and remote IRR are read-only. */
#define RTE_WRITABLE \
	(RTE_VECTOR | RTE_MODE | RTE_LOGICAL | RTE_POLARITY | RTE_LEVEL | RTE_MASKED | \
	 0xffull << RTE_DEST_SHIFT)

enum mode {
	MODE_FIXED,
	MODE_LOWEST,
	MODE_SMI,
	MODE_RESERVED3,
	MODE_NMI,
	MODE_INIT,
	MODE_RESERVED6,
	MODE_EXTINT,
};

/*
 * ExtINT asks a PIC for the vector and there is none; the reserved modes mean
 * start-up IPI or nothing to a local APIC. SMI, NMI and INIT are passed on.
 */
#define MODES_DROPPED (1u << MODE_EXTINT | 1u << MODE_RESERVED3 | 1u << MODE_RESERVED6)

static unsigned
mode(uint64_t rte)
{
	return (unsigned)((rte & RTE_MODE) >> RTE_MODE_SHIFT);
}

/*
 * Only fixed and lowest-priority interrupts are ever ended, so only they can be
 * level-triggered; the chip treats the others as edges whatever bit 15 says.
 */
static bool
is_level(uint64_t rte)
{
	return (rte & RTE_LEVEL) && mode(rte) <= MODE_LOWEST;
}

/* Intel SDM 3A, 11.11 "Message Signalled Interrupts". */
static struct msi_msg
message(uint64_t rte)
{
	uint32_t dest = (uint32_t)(rte >> RTE_DEST_SHIFT);
	uint32_t hint = mode(rte) == MODE_LOWEST;
	uint32_t logical = (rte & RTE_LOGICAL) != 0;
	uint32_t level = is_level(rte);

	return (struct msi_msg){
		.addr = 0xfee00000u | dest << 12 | hint << 3 | logical << 2,
		.data = (uint32_t)(rte & (RTE_VECTOR | RTE_MODE)) | level << 14 |
			level << 15,
	};
}

/*
 * While a masked pin is in service its EOI is still to come, and must be seen or
 * remote IRR would stay set for ever: Linux masks before EOI for a threaded
 * handler and for a change of affinity.
 */
static bool
route(uint64_t rte, struct msi_msg *ret)
{
	if (!is_level(rte) || ((rte & RTE_MASKED) && !(rte & RTE_REMOTE_IRR)))
		return false;
	*ret = message(rte);
	return true;
}

bool
ioapic_route(const struct ioapic *io, unsigned pin, struct msi_msg *ret)
{
	assert(pin < IOAPIC_PINS);
	return route(io->redir[pin], ret);
}

static bool
same_route(uint64_t a, uint64_t b)
{
	struct msi_msg ma = { 0 }, mb = { 0 };

	return route(a, &ma) == route(b, &mb) && ma.addr == mb.addr && ma.data == mb.data;
}

static void
deliver(struct ioapic *io, uint64_t rte)
{
	struct msi_msg msg = message(rte);

	if (!(MODES_DROPPED >> mode(rte) & 1))
		io->ops->deliver(io->arg, &msg);
}

/* Sends the level interrupt of a pin if it is due. */
static void
service_level(struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->redir[pin];

	if (!is_level(rte) || !(io->wire >> pin & 1) ||
	    (rte & (RTE_MASKED | RTE_REMOTE_IRR)))
		return;
	/* Before delivery, which may lead to an EOI at once. */
	io->redir[pin] |= RTE_REMOTE_IRR;
	deliver(io, rte);
}

/* The EOI of a vector must be known as wanted before the vector is delivered. */
static void
set_entry(struct ioapic *io, unsigned pin, uint64_t rte)
{
	uint64_t was = io->redir[pin];

	io->redir[pin] = rte;
	if (!same_route(was, rte))
		io->ops->routes_changed(io->arg);
	service_level(io, pin);
}

void
ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *arg)
{
	memset(io, 0, sizeof(*io));
	io->ops = ops;
	io->arg = arg;
	io->pins = IOAPIC_PINS;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = RTE_MASKED;
}

void
ioapic_set_pins(struct ioapic *io, unsigned n)
{
	assert(n >= 1 && n <= IOAPIC_PINS);
	io->pins = n;
}

/*
 * An edge on a masked pin is neither delivered nor held pending (82093AA, 3.2.4,
 * interrupt mask); KVM and QEMU do not send it late either. So there is no state
 * of a pin but the level of its wire and remote IRR.
 */
void
ioapic_set_pin(struct ioapic *io, unsigned pin, bool level)
{
	assert(pin < IOAPIC_PINS);

	uint32_t bit = 1u << pin;
	bool rising = level && !(io->wire & bit);

	io->wire = level ? io->wire | bit : io->wire & ~bit;
	if (is_level(io->redir[pin]))
		service_level(io, pin);
	else if (rising && !(io->redir[pin] & RTE_MASKED))
		deliver(io, io->redir[pin]);
}

/*
 * Any vector may come, also one that no pin has and one that is not in service:
 * KVM reports what it finds in its routes, which may be older than our table.
 * Pins that share a vector are all ended, as on the chip.
 */
void
ioapic_eoi(struct ioapic *io, unsigned vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t rte = io->redir[pin];

		if ((rte & RTE_REMOTE_IRR) && (rte & RTE_VECTOR) == vector)
			set_entry(io, pin, rte & ~RTE_REMOTE_IRR);
	}
}

/* ---- registers ---- */

static void
redir_write(struct ioapic *io, unsigned pin, bool high, uint32_t val)
{
	uint64_t half = high ? 0xffffffffull << 32 : 0xffffffffull;
	uint64_t writable = RTE_WRITABLE & half;
	uint64_t rte = io->redir[pin];

	rte = (rte & ~writable) | ((high ? (uint64_t)val << 32 : val) & writable);
	/*
	 * Edge entries have no remote IRR. Linux counts on it: where it has to end
	 * an interrupt by force, it switches the entry to edge and back
	 * (__eoi_ioapic_pin()).
	 */
	if (!is_level(rte))
		rte &= ~RTE_REMOTE_IRR;
	set_entry(io, pin, rte);
}

static uint32_t
window_read(const struct ioapic *io)
{
	unsigned redir = io->select - (unsigned)IDX_REDIR;

	switch (io->select) {
	case IDX_ID:
	case IDX_ARBITRATION:
		return (uint32_t)io->id << 24;
	case IDX_VERSION:
		return VERSION | (io->pins - 1) << 16;
	}
	if (redir / 2 >= io->pins) /* wraps to a large number below IDX_REDIR */
		return UINT32_MAX;
	return (uint32_t)(io->redir[redir / 2] >> (redir % 2 * 32));
}

static void
window_write(struct ioapic *io, uint32_t val)
{
	unsigned redir = io->select - (unsigned)IDX_REDIR;

	if (io->select == IDX_ID)
		io->id = val >> 24 & 0xf;
	else if (redir / 2 < io->pins)
		redir_write(io, redir / 2, redir % 2, val);
}

/*
 * The registers are 32 bits wide and to be accessed so (82093AA, 3.0). The select
 * register has only 8 that matter and takes any width; the others read as 0 and
 * ignore writes at any other width, as in QEMU.
 */
uint64_t
ioapic_read(void *dev, uint64_t off, unsigned len)
{
	const struct ioapic *io = dev;

	if (off == REG_SELECT)
		return io->select;
	if (off == REG_WINDOW && len == 4)
		return window_read(io);
	return 0;
}

void
ioapic_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct ioapic *io = dev;

	if (off == REG_SELECT)
		io->select = (uint8_t)val;
	else if (off == REG_WINDOW && len == 4)
		window_write(io, (uint32_t)val);
	else if (off == REG_EOI && len == 4)
		ioapic_eoi(io, (uint8_t)val);
}
