/* SPDX-License-Identifier: ISC */
	.section .pad, "a"
	.fill 10 * 1024 * 1024 / 8, 8, 0x5a5a5a5a5a5a5a5a
	.section .note.GNU-stack, "", %progbits
