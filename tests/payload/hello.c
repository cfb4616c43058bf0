// SPDX-License-Identifier: ISC
/* The smallest one: it starts, it prints, it powers off. */
#include "payload.h"

void
payload_main(void)
{
	say("hello from the guest");
	ok("hello");
}
