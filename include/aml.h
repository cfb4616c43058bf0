/* SPDX-License-Identifier: ISC */
/*
 * A writer of ACPI Machine Language (ACPI 6.5, chapter 20): enough for a DSDT
 * that describes devices.
 *
 * Calls come in the order of the ASL they stand for. What ASL puts in braces or
 * parentheses of unknown length is begun by a call that returns a mark and ended
 * by aml_end() with that mark:
 *
 *	size_t dev = aml_device(a, "COM1");
 *	aml_name(a, "_UID");
 *	aml_int(a, 0);
 *	aml_end(a, dev);
 *
 * Pure; writes into the caller's buffer. Running out of room is remembered, not
 * reported: nothing more is written, and the caller looks at `full` once at the end.
 */
#ifndef VMM_AML_H
#define VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool full;
};

void aml_init(struct aml *a, uint8_t *buf, size_t cap);

/* ---- what has a length ---- */

size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
size_t aml_method(struct aml *a, const char *name, unsigned nargs);
/* The predicate follows as the first term inside. */
size_t aml_if(struct aml *a);
size_t aml_package(struct aml *a, unsigned nelements);
void aml_end(struct aml *a, size_t mark);

/* ---- terms ---- */

/* Name (name, X); X follows. */
void aml_name(struct aml *a, const char *name);
/* A reference to a named object: "EVNT", "\\_SB_.PWRB", "^^PWRB". */
void aml_path(struct aml *a, const char *path);
void aml_int(struct aml *a, uint64_t val);
void aml_string(struct aml *a, const char *s);
/* Buffer (len) { ... } */
void aml_buffer(struct aml *a, const void *p, size_t len);
/* A hardware id: "PNP0501" becomes an EISA id, others ("ACPI0013") a string. */
void aml_hid(struct aml *a, const char *id);
void aml_local(struct aml *a, unsigned n);
/* Store (X, target): X, then the target follow. */
void aml_store(struct aml *a);
void aml_arg(struct aml *a, unsigned n);
/* Return (X); X follows. */
void aml_return(struct aml *a);
/* And (Local<n>, mask) */
void aml_and_local(struct aml *a, unsigned n, uint64_t mask);
/* LEqual (X, Y); both follow. */
void aml_equal(struct aml *a);
/* Or (DerefOf (Index (Arg<n>, off)), bits, Index (Arg<n>, off)): of a buffer's byte. */
void aml_or_arg_byte(struct aml *a, unsigned n, unsigned off, uint8_t bits);
/* Notify (object, value); both follow. */
void aml_notify(struct aml *a);

/* ---- registers ---- */

enum aml_space { AML_SYSTEM_MEMORY = 0, AML_SYSTEM_IO = 1 };

void aml_region(struct aml *a, const char *name, enum aml_space space, uint64_t base,
		uint64_t len);
/* Field (region, ByteAcc, NoLock, Preserve) { Offset (off), name, 8 } */
void aml_byte_field(struct aml *a, const char *region, unsigned off, const char *name);

/* ---- resource templates (ACPI 6.5, 6.4): the value of _CRS ---- */

size_t aml_resources(struct aml *a);
void aml_resources_end(struct aml *a, size_t mark);
void aml_res_io(struct aml *a, uint16_t base, uint8_t len);
void aml_res_memory(struct aml *a, uint64_t base, uint64_t len);
/* What a bridge passes on: resources that it produces for those behind it. */
void aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *a, uint16_t base, uint32_t len);
void aml_res_memory_window(struct aml *a, uint64_t base, uint64_t len, bool prefetch);
/* Active high. */
void aml_res_interrupt(struct aml *a, uint32_t gsi, bool level, bool shared);

#endif
