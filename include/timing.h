/* SPDX-License-Identifier: ISC */
/*
 * When each stage of a launch was reached, for --timing: one line of JSON, times in
 * microseconds since main(), null for a stage that was not reached.
 *
 * A stage keeps its first time.  Any thread, each stage from one thread only.
 */
#ifndef VMM_TIMING_H
#define VMM_TIMING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum timing_stage {
	TIMING_EXEC, /* the process started: proc(5), coarse */
	TIMING_MAIN,
	TIMING_CONFIG,  /* configuration parsed */
	TIMING_VM,      /* VM created */
	TIMING_LOADED,  /* kernel, initrd, tables in place */
	TIMING_RUN,     /* first KVM_RUN */
	TIMING_CONSOLE, /* first console byte */
	TIMING_READY,   /* the guest wrote serial.ready: vm.ini(5) */
	TIMING_STOPPED, /* the guest stopped */
	TIMING_EXIT,
	TIMING_STAGES
};

struct timing {
	_Atomic uint64_t ns[TIMING_STAGES]; /* CLOCK_MONOTONIC; 0: not reached */
};

enum { TIMING_READY_MAX = 64 };

/* Looks for a text in a stream that comes in pieces. text NULL: finds nothing. */
struct timing_watch {
	const char *text;
	size_t len;
	char last[TIMING_READY_MAX]; /* the last len bytes of the stream */
};

void timing_watch_init(struct timing_watch *w, const char *text);

/* Is the text in the stream up to here, for the first time? */
bool timing_watch_feed(struct timing_watch *w, const uint8_t *buf, size_t len);

void timing_mark(struct timing *t, enum timing_stage stage);

/* Hands the time of main() to the program that this one becomes by exec, by its environment;
 * import takes it, so that a launch by way of two programs is measured from its start. */
void timing_export(const struct timing *t);
void timing_import(struct timing *t);

/* Writes the JSON line with its newline; 0 or -errno. */
int timing_write(const struct timing *t, const char *path);

#endif
