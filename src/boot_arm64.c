/* SPDX-License-Identifier: ISC */
/*
 * arm64: x0 holds the address of the device tree, which the machine has written by
 * then; MMU off (Linux Documentation/arch/arm64/booting.rst, section 4).
 */
#include <errno.h>
#include <string.h>

#include "boot.h"
#include "err.h"
#include "exit_status.h"
#include "vcpu.h"

/* arch/arm64: COMMAND_LINE_SIZE is 2048, and Linux cuts off the rest in silence. */
enum { CMDLINE_LEN_MAX = 2047 };

int
boot_arch_finish(struct memory *m, const struct boot_loaded *bl, uint64_t tables,
		 struct vcpu_boot *ret, struct err *e)
{
	(void)m;
	if (strlen(bl->cmdline) > CMDLINE_LEN_MAX)
		return err_set_status(e, EXIT_STATUS_CONFIG, E2BIG,
				      "%s: the command line has "
				      "%zu characters, arm64 kernels take %d",
				      bl->cmdline_where, strlen(bl->cmdline),
				      CMDLINE_LEN_MAX);
	*ret = (struct vcpu_boot){ .entry = bl->image.entry, .arg = tables };
	return 0;
}
