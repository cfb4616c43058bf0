// SPDX-License-Identifier: ISC
/*
 * Keeps two virtual machines open on the emulated host for as long as it runs.
 *
 * KVM flips static keys when the first machine comes and the last one goes, when the first
 * local APIC is enabled and for the first vCPU without one. Each flip rewrites kernel code
 * by way of int3 while the other CPU executes it, which multi-threaded emulation gets wrong
 * now and then ("Oops: int3" in the host). With these two around the keys never change.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int
main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int with_apic = ioctl(kvm, KVM_CREATE_VM, 0);
	int without_apic = ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	if (ioctl(with_apic, KVM_ENABLE_CAP, &split) < 0 ||
	    ioctl(with_apic, KVM_CREATE_VCPU, 0) < 0 ||
	    ioctl(without_apic, KVM_CREATE_VCPU, 0) < 0)
		puts("failed");
	else
		puts("held");
	fflush(stdout);
	for (;;)
		pause();
}
