/* SPDX-License-Identifier: ISC */
/*
 * Exit statuses of vmm(1), a promise to scripts: never renumber.
 */
#ifndef VMM_EXIT_STATUS_H
#define VMM_EXIT_STATUS_H

enum exit_status {
	EXIT_STATUS_POWEROFF = 0,    /* the guest powered itself off */
	EXIT_STATUS_INTERNAL = 1,    /* our own bug, short of an abort */
	EXIT_STATUS_CONFIG = 2,      /* usage or configuration, named files */
	EXIT_STATUS_HOST = 3,        /* host refuses: no /dev/kvm, no memory */
	EXIT_STATUS_GUEST_RESET = 4, /* guest reset under vm.reboot = exit */
	EXIT_STATUS_GUEST_CRASH = 5, /* triple fault, KVM internal error */
	EXIT_STATUS_QUIT = 6,        /* Ctrl-A x on the console */
	EXIT_STATUS_SIGNAL = 128,    /* plus the number of the signal */
};

#endif
