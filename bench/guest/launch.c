// SPDX-License-Identifier: ISC
/*
 * The guest of the launch benchmark: one byte to the serial port and off, or, with
 * "h" on the command line, one byte and a halt.  Padded to 10 MiB by pad.S, so that
 * a VMM which reads its kernel pays for that.
 */
#include "x86_64.h"

void
payload_main(void)
{
	outb(0x3f8, '!');
	if (cmdline()[0] == 'h')
		cpu_stop();
	power_off();
}
