// SPDX-License-Identifier: ISC
/*
 * Polls until it is killed, as the CPU of a guest does that waits for a device: what a plain
 * program gets beside it is what is left where CPUs share a core, a clock or an interrupt.
 */
#include <stdatomic.h>

int
main(void)
{
	static _Atomic int word;

	while (atomic_load_explicit(&word, memory_order_relaxed) == 0)
#if defined(__x86_64__)
		__builtin_ia32_pause();
#else
		__asm__ volatile("yield" ::: "memory");
#endif
	return 0;
}
