/* SPDX-License-Identifier: ISC */
/*
 * User mode.  KVM without hardware virtualisation interprets what runs in kernel mode, and
 * gives user mode to the processor: a loop is some thousand times faster there.
 */
#ifndef PAYLOAD_USER_H
#define PAYLOAD_USER_H

/*
 * fn(arg) in user mode, with interrupts off, and back.  It reaches all memory and all
 * registers in memory, but no I/O ports: it cannot report.  One CPU only.
 */
void user_run(void (*fn)(void *arg), void *arg);

#endif
