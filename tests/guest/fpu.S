/* SPDX-License-Identifier: ISC */
/*
 * Load and compare xmm0-15 and MXCSR. Knows nothing else.
 */
	.text
	.globl	fpu_load
fpu_load:
	ldmxcsr	mxcsr_value
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqa	patterns + 16 * \n, %xmm\n
	.endr
	ret

	.globl	fpu_intact
fpu_intact:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%xmm\n, %rax
	cmpq	patterns + 16 * \n, %rax
	jne	1f
	movdqa	%xmm\n, -24(%rsp)
	movq	-16(%rsp), %rax
	cmpq	patterns + 16 * \n + 8, %rax
	jne	1f
	.endr
	stmxcsr	-8(%rsp)
	movl	-8(%rsp), %eax
	cmpl	mxcsr_value, %eax
	jne	1f
	movl	$1, %eax
	ret
1:	xorl	%eax, %eax
	ret

	.section .rodata
	.balign	16
patterns:
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
	.quad	0x5bd1e9955bd1e995 * \n
	.quad	0x9e3779b97f4a7c15 * \n
	.endr
mxcsr_value:
	.long	0x3f80			/* all masked, round down: not the default */

	.section .note.GNU-stack, "", @progbits
