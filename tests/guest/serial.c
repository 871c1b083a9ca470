/* SPDX-License-Identifier: ISC */
/*
 * Polled serial port (16550A data sheet) and number printing. Calls clock_tick for
 * every few bytes, because a pause may fall into printing as into anything else.
 */
#include "clock.h"
#include "ports.h"
#include "serial.h"

#define UART		0x3f8
#define UART_DATA	(UART + 0)
#define UART_IER	(UART + 1)
#define UART_IIR	(UART + 2)	/* FCR when written */
#define UART_LCR	(UART + 3)
#define UART_MCR	(UART + 4)
#define UART_LSR	(UART + 5)
#define LSR_DATA	0x01
#define LSR_THRE	0x20
#define FIFO_BYTES	16
#define STUCK_NS	50000000u	/* patience with a full port */

static struct {
	unsigned int	burst;		/* bytes the port takes once empty */
	unsigned int	room;		/* of them left now */
	int		stuck;
	uint64_t	dropped;
} port;

void
serial_init(void)
{
	port_out8(UART_IER, 0);
	port_out8(UART_LCR, 0x83);	/* 8N1, divisor 1: 115200 */
	port_out8(UART_DATA, 1);
	port_out8(UART_IER, 0);
	port_out8(UART_LCR, 0x03);
	port_out8(UART_IIR, 0x07);	/* FIFOs on and empty */
	port_out8(UART_MCR, 0x03);
	port.burst = (port_in8(UART_IIR) & 0xc0) == 0xc0 ? FIFO_BYTES : 1;
	port.room = 0;
}

int
serial_get(void)
{
	uint8_t lsr = port_in8(UART_LSR);

	/* 0xff: there is no port at all. */
	if (!(lsr & LSR_DATA) || lsr == 0xff)
		return -1;
	return port_in8(UART_DATA);
}

/* Wait for the port to be empty; 0 when it is not in time. */
static int
wait_empty(void)
{
	uint64_t start;

	if (port_in8(UART_LSR) & LSR_THRE)
		return 1;
	if (port.stuck)
		return 0;
	start = clock_tick();
	while (clock_tick() - start < STUCK_NS)
		if (port_in8(UART_LSR) & LSR_THRE)
			return 1;
	return 0;
}

void
say_char(char c)
{
	if (port.room == 0) {
		clock_tick();
		if (!wait_empty()) {
			port.stuck = 1;
			port.dropped++;
			return;
		}
		port.stuck = 0;
		port.room = port.burst;
	}
	port_out8(UART_DATA, (uint8_t)c);
	port.room--;
}

void
say_bytes(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		say_char(s[i]);
}

void
say(const char *s)
{
	while (*s != '\0')
		say_char(*s++);
}

void
say_dec(uint64_t v)
{
	char digits[20];
	unsigned int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	while (n > 0)
		say_char(digits[--n]);
}

void
say_hex(uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		say_char("0123456789abcdef"[v >> shift & 15]);
}

void
say_field(const char *name, uint64_t v)
{
	say_char(' ');
	say(name);
	say_char('=');
	say_dec(v);
}

void
say_field_hex(const char *name, uint64_t v)
{
	say_char(' ');
	say(name);
	say_char('=');
	say_hex(v);
}

void
say_end(void)
{
	say("\r\n");
	clock_tick();
}

uint64_t
serial_dropped(void)
{
	return port.dropped;
}
