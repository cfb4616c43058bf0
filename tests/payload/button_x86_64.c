// SPDX-License-Identifier: ISC
/*
 * The power button: the generic event device raises GSI 9, its register says what
 * was pressed and forgets it.
 */
#include "x86_64.h"

enum { EVENT_PORT = 0x604, GSI = 9, BUTTON = 1 };

static volatile unsigned interrupts;

static void
on_ged(void *arg)
{
	(void)arg;
	interrupts++;
}

void
payload_main(void)
{
	static const struct irq_source ged = { .gsi = GSI };

	irq_attach(&ged, on_ged, NULL);
	check(inb(EVENT_PORT) == 0, "button-not-pressed", "event register not 0");
	say("ready");
	for (unsigned presses = 1; presses <= cmdline_num("presses", 1); presses++) {
		while (interrupts < presses)
			irq_wait();
		unsigned ev = inb(EVENT_PORT), again = inb(EVENT_PORT);
		check(ev == BUTTON && again == 0, "button-pressed", "event %x then %x",
		      ev, again);
	}
	check(interrupts == cmdline_num("presses", 1), "button-once", "%u interrupts",
	      interrupts);
}
