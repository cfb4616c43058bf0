/* SPDX-License-Identifier: ISC */
/*
 * Interrupt lines, as a device sees them.
 *
 * A device gets its line from bus_attach() and from nowhere else, holds it as a
 * pointer to const and can only raise or lower it.  There is no call that takes
 * a line number from a device, let alone from guest memory: which interrupt a
 * device raises was decided at attach time and never changes.
 *
 * Lines may be shared.  Each sharer has its own bit in the interrupt controller;
 * the wire is the OR of them, so one sharer lowering its line does not lower it
 * for the others.
 *
 * Reactor thread only.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>

enum irq_trigger { IRQ_EDGE, IRQ_LEVEL };

struct irq_line;

/* Sets this sharer's level. Setting the level it already has does nothing. */
void irq_line_set(const struct irq_line *line, bool level);

/* For a device whose events are edges: raise and lower at once. */
void irq_line_pulse(const struct irq_line *line);

/* What the firmware tables need to say of a line; for table writers and dumps. */
unsigned irq_line_gsi(const struct irq_line *line);
enum irq_trigger irq_line_trigger(const struct irq_line *line);

#endif
