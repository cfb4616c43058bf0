// SPDX-License-Identifier: ISC
/*
 * The init of the boot benchmark: says that it is there and ends the machine, by
 * bench=reboot on the kernel's command line for a VMM that has no power-off.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int
main(void)
{
	static const char text[] = "init is up\n";
	const char *how = getenv("bench");

	if (write(1, text, sizeof(text) - 1) < 0)
		return 1;
	reboot(how && !strcmp(how, "reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	return 1;
}
