/* SPDX-License-Identifier: ISC */
/*
 * Simple devices: one file in src/dev/ each, named after the chip.
 *
 * A constructor takes the bus to attach to and what the device needs of the
 * host, attaches, and returns the device; x_free() undoes it (before the bus and
 * after the vCPUs are gone).  All of it on the reactor thread.  -ENOMEM, or what
 * bus_attach() says.
 */
#ifndef VMM_DEV_H
#define VMM_DEV_H

#include <stdbool.h>

struct bus;
struct chr;
struct reactor;

/* ---- 16550A UART (PC16550D data sheet), src/dev/uart16550.c ---- */

struct uart16550;

/*
 * The transmitter is always ready for a guest that polls; the THR-empty
 * *interrupt* waits while the back takes no bytes.  So a reader that stops
 * reading stalls no vCPU (printk polls) and loses nothing of what an
 * interrupt-driven tty writes; what a polling guest sends beyond the bounded
 * buffer is dropped and counted.
 */
int uart16550_new(struct bus *bus, const char *name, struct chr *back,
		  struct uart16550 **ret);
void uart16550_free(struct uart16550 *u);

/* Something was dropped since the last call: how many bytes; for the log. */
unsigned uart16550_dropped(struct uart16550 *u);

/* ---- MC146818 RTC, src/dev/rtc_cmos.c; ports 0x70 and 0x71 ---- */

struct rtc_cmos;

int rtc_cmos_new(struct bus *bus, struct reactor *r, struct rtc_cmos **ret);
void rtc_cmos_free(struct rtc_cmos *rtc);

/* ---- ARM PL031 RTC (DDI 0224), src/dev/pl031.c ---- */

struct pl031;

int pl031_new(struct bus *bus, struct reactor *r, struct pl031 **ret);
void pl031_free(struct pl031 *p);

/* ---- what leads to power-off and reset ---- */

/* Called from within a register write; must not free the device there. */
struct power_ops {
	void (*poweroff)(void *arg);
	void (*reset)(void *arg);
};

/* i8042, reset only: command 0xfe at port 0x64; src/dev/i8042.c */
struct i8042;

int i8042_new(struct bus *bus, const struct power_ops *ops, void *arg,
	      struct i8042 **ret);
void i8042_free(struct i8042 *k);

/* Sleep control, reset and generic event registers; src/dev/acpi_power.c */
struct acpi_power;

int acpi_power_new(struct bus *bus, const struct power_ops *ops, void *arg,
		   struct acpi_power **ret);
void acpi_power_press_button(struct acpi_power *p);
void acpi_power_free(struct acpi_power *p);

/* PL061 GPIO (DDI 0190), input 3 is the power button; src/dev/pl061.c */
struct pl061;

enum { PL061_POWER_BUTTON = 3 };

int pl061_new(struct bus *bus, struct reactor *r, struct pl061 **ret);
/* Presses the button and lets it go 100 ms later. */
void pl061_press_button(struct pl061 *p);
void pl061_free(struct pl061 *p);

#endif
