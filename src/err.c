/* SPDX-License-Identifier: ISC */
#include "err.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 4, 0))) static int
set(struct err *e, int status, int errnum, const char *fmt, va_list ap)
{
	if (e->text[0] != '\0')
		return -errnum;

	e->status = status;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	/* A file name may hold anything, the promise of one line stands. */
	for (char *p = e->text; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return -errnum;
}

int
err_set(struct err *e, int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = set(e, 0, errnum, fmt, ap);
	va_end(ap);
	return rc;
}

int
err_set_status(struct err *e, int status, int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = set(e, status, errnum, fmt, ap);
	va_end(ap);
	return rc;
}
