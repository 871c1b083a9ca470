/* SPDX-License-Identifier: ISC */
/*
 * PIC (8259A) and PIT (8254) set up from ring 3. The PIC acknowledges by itself, so
 * that waking up costs no instruction. Knows nothing of what the guest does awake.
 */
#include "ports.h"
#include "timer.h"

#define PIC1_COMMAND	0x20
#define PIC1_DATA	0x21
#define PIC2_COMMAND	0xa0
#define PIC2_DATA	0xa1
#define PIT_HZ		1193182u
#define PIT_COUNT0	0x40
#define PIT_MODE	0x43

extern void cpu_halt(void);	/* start.S */

void
timer_start(uint32_t hz)
{
	uint32_t count = PIT_HZ / hz;

	port_out8(PIC1_COMMAND, 0x11);	/* ICW1: edge, cascade, ICW4 */
	port_out8(PIC1_DATA, 32);	/* ICW2: vectors from 32 on */
	port_out8(PIC1_DATA, 0x04);
	port_out8(PIC1_DATA, 0x03);	/* ICW4: automatic end of interrupt */
	port_out8(PIC2_COMMAND, 0x11);
	port_out8(PIC2_DATA, 40);
	port_out8(PIC2_DATA, 0x02);
	port_out8(PIC2_DATA, 0x03);
	port_out8(PIC1_DATA, 0xfe);	/* nothing but the PIT */
	port_out8(PIC2_DATA, 0xff);
	port_out8(PIT_MODE, 0x34);	/* counter 0, rate generator */
	port_out8(PIT_COUNT0, (uint8_t)count);
	port_out8(PIT_COUNT0, (uint8_t)(count >> 8));
}

void
timer_sleep(void)
{
	cpu_halt();
}
