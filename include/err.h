/* SPDX-License-Identifier: ISC */
/*
 * One error, carried up to main.
 *
 * Functions that can be refused by the host or by a bad file at start return
 * 0 or -errno and fill a struct err with the one line that the user will see.
 * They print nothing.  The first error wins: err_set() on a struct that already
 * holds a text leaves it, so an outer layer cannot blur what an inner one knew.
 * Any thread; the struct belongs to the caller.
 */
#ifndef VMM_ERR_H
#define VMM_ERR_H

struct err {
	int status;     /* enum exit_status of exit_status.h; 0: host error */
	char text[512]; /* "" or one line, no newline, no "vmm: " prefix */
};

/* Records the text and returns -errnum; errnum is positive. */
int err_set(struct err *e, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with the exit status that main shall leave with. */
int err_set_status(struct err *e, int status, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
