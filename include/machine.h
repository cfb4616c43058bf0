/* SPDX-License-Identifier: ISC */
/*
 * One microVM: from a configuration to the way it ended.
 *
 * A reset of the guest is a new machine: main frees this one and makes another
 * from the same configuration, so that nothing of the old guest, in KVM or in a
 * model, can survive (doc/adr/0003-reset.md).  What belongs to the host side -
 * the reactor, the console - outlives the machine.
 *
 * Reactor thread only.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdio.h>

#include "config.h"

struct chr;
struct err;
struct machine;
struct reactor;
struct timing;

enum machine_end {
	MACHINE_RUNNING,
	MACHINE_POWEROFF,
	MACHINE_RESET,
	MACHINE_CRASH,      /* the guest cannot go on: text in machine_end_text() */
	MACHINE_HOST_ERROR, /* the host cannot: likewise */
	MACHINE_QUIT,       /* asked for by the console */
	MACHINE_KILLED,     /* by a signal */
};

/*
 * The backs of the sections [console "name"], by their index.  The caller fills in stdio
 * and null, and the rest is for open and close.
 */
struct machine_consoles {
	struct chr *stdio;
	struct chr *null;
	struct chr *chr[CONFIG_CONSOLE_MAX];
};

/* What the configuration names is made on the host, and taken away again. */
int machine_consoles_open(const struct config *cfg, struct reactor *r,
			  struct machine_consoles *all, struct err *e);
void machine_consoles_close(struct machine_consoles *all);

/* What a machine is given by the host side; all of it outlives the machine. */
struct machine_host {
	struct reactor *reactor;
	struct chr *serial; /* back of the serial port */
	const struct machine_consoles *consoles;
	struct timing *timing;
};

/* Everything up to, not including, the first KVM_RUN. */
int machine_new(const struct config *cfg, const struct machine_host *host,
		struct machine **ret, struct err *e);

/*
 * Runs the reactor until the machine ends.  Nothing that the guest does is served from
 * then on; its vCPU threads are stopped by machine_free(), or by the end of the process.
 */
enum machine_end machine_run(struct machine *m);

/* Ends it from outside, from within a reactor callback. */
void machine_end(struct machine *m, enum machine_end end);

/* Presses the power button. */
void machine_press_button(struct machine *m);

/* After MACHINE_CRASH and MACHINE_HOST_ERROR: several lines, valid until
 * machine_free(). */
const char *machine_end_text(const struct machine *m);

/* Counters for --stats as one JSON object. */
void machine_write_stats(const struct machine *m, FILE *out);

void machine_free(struct machine *m);

#endif
