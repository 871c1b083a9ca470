/* SPDX-License-Identifier: ISC */
/*
 * Known values in the SSE registers, which nothing here computes with: a move that
 * loses or swaps FPU state changes them. Knows only the registers.
 */
#ifndef FPU_H
#define FPU_H

void	fpu_load(void);

/* 1 when xmm0-15 and MXCSR still are what fpu_load made them. */
int	fpu_intact(void);

#endif
