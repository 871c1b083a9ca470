/* SPDX-License-Identifier: ISC */
/*
 * Sleeping: the PIT interrupts so many times a second, the guest halts in between.
 * A machine that was restored without its PIT, PIC or local APIC never wakes it.
 */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

#define TIMER_HZ_MIN	19u	/* what the PIT's 16 bits allow */
#define TIMER_HZ_MAX	1000u

/* From here on timer_sleep may be called. */
void	timer_start(uint32_t hz);

/* Until the next interrupt; returns at once when one has come meanwhile. */
void	timer_sleep(void);

#endif
