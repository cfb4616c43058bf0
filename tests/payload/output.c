// SPDX-License-Identifier: ISC
/*
 * Writes bytes= bytes of numbered lines to the serial port.  The runner checks the
 * order, or does not read them at all: the guest has to come to its end.
 */
#include "payload.h"

void
payload_main(void)
{
	unsigned long bytes = cmdline_num("bytes", 4096), sent = 0;

	for (unsigned long n = 0; sent < bytes; n++, sent += 16)
		say("line %010lu", n);
}
