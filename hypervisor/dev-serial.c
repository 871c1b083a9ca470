/* SPDX-License-Identifier: ISC */
/*
 * A 16550A serial port: what Linux's 8250 driver and a polling small guest see.
 * Deliberately knows no baud rate (the line is as fast as the guest) and nothing
 * of who reads it: that is console.c.
 * Source: National Semiconductor PC16550D data sheet, section 8.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "console.h"
#include "devices.h"

#define FIFO_BYTES	16u

/* Registers by offset; DLAB swaps the first two for the divisor. */
enum { R_DATA, R_IER, R_IIR_FCR, R_LCR, R_MCR, R_LSR, R_MSR, R_SCR, N_REGS };

#define IER_RDA		0x01u	/* received data available */
#define IER_THRE	0x02u	/* transmitter empty */
#define IER_MASK	0x0fu

#define IIR_NONE	0x01u
#define IIR_THRE	0x02u
#define IIR_RDA		0x04u
#define IIR_TIMEOUT	0x0cu	/* data below the trigger level */
#define IIR_FIFO	0xc0u

#define FCR_ENABLE	0x01u
#define FCR_CLEAR_RX	0x02u
#define FCR_KEPT	0xc9u	/* enable, DMA mode, trigger level */

#define LCR_DLAB	0x80u

#define MCR_DTR		0x01u
#define MCR_RTS		0x02u
#define MCR_OUT1	0x04u
#define MCR_OUT2	0x08u
#define MCR_LOOP	0x10u
#define MCR_MASK	0x1fu

#define LSR_DR		0x01u
#define LSR_THRE	0x20u
#define LSR_TEMT	0x40u

#define MSR_CTS		0x10u
#define MSR_DSR		0x20u
#define MSR_RI		0x40u
#define MSR_DCD		0x80u

struct dev {
	struct dev_env	env;
	unsigned int	gsi;
	struct console	*console;

	uint8_t		ier, fcr, lcr, mcr, scr;
	uint16_t	divisor;
	bool		thre_pending;
	uint8_t		rx[FIFO_BYTES];
	size_t		n_rx;

	bool		line;		/* the level we last set */
};

static size_t
rx_capacity(const struct dev *d)
{
	return d->fcr & FCR_ENABLE ? FIFO_BYTES : 1;
}

static size_t
rx_trigger(const struct dev *d)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return d->fcr & FCR_ENABLE ? level[d->fcr >> 6] : 1;
}

/*
 * The most urgent interrupt that is both pending and enabled. Characters below
 * the trigger level count as timed out at once: no one gains by waiting.
 */
static uint8_t
interrupt_id(const struct dev *d)
{
	if ((d->ier & IER_RDA) && d->n_rx > 0)
		return d->n_rx >= rx_trigger(d) ? IIR_RDA : IIR_TIMEOUT;
	if ((d->ier & IER_THRE) && d->thre_pending)
		return IIR_THRE;
	return IIR_NONE;
}

/* Most accesses change nothing, and telling KVM costs a system call. */
static void
update_irq(struct dev *d)
{
	bool level = interrupt_id(d) != IIR_NONE;

	if (level == d->line)
		return;
	d->line = level;
	d->env.irq_line(d->env.arg, d->gsi, level);
}

/* Move host input into the FIFO while there is room; the rest waits outside. */
static void
fill_rx(struct dev *d)
{
	if (d->mcr & MCR_LOOP)
		return;
	if (d->n_rx < rx_capacity(d))
		d->n_rx += console_read(d->console, d->rx + d->n_rx,
		    rx_capacity(d) - d->n_rx);
}

static void
input(void *arg)
{
	struct dev *d = arg;

	fill_rx(d);
	update_irq(d);
}

static uint8_t
read_data(struct dev *d)
{
	uint8_t value;

	if (d->n_rx == 0)
		return 0;
	value = d->rx[0];
	d->n_rx--;
	memmove(d->rx, d->rx + 1, d->n_rx);
	fill_rx(d);
	return value;
}

/* The wire takes a byte at once, so the holding register is empty again. */
static void
write_data(struct dev *d, uint8_t value)
{
	if (!(d->mcr & MCR_LOOP))
		console_write(d->console, &value, 1);
	else if (d->n_rx < rx_capacity(d))
		d->rx[d->n_rx++] = value;
	d->thre_pending = true;
}

static uint8_t
read_iir(struct dev *d)
{
	uint8_t id = interrupt_id(d);

	if (id == IIR_THRE)
		d->thre_pending = false;
	return id | (d->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

/* Turning the THRE interrupt on while the transmitter is empty raises it. */
static void
write_ier(struct dev *d, uint8_t value)
{
	value &= IER_MASK;
	if ((value & IER_THRE) && !(d->ier & IER_THRE))
		d->thre_pending = true;
	d->ier = value;
}

static void
write_fcr(struct dev *d, uint8_t value)
{
	/* Switching the FIFO on or off empties it. */
	if ((value & FCR_CLEAR_RX) || ((value ^ d->fcr) & FCR_ENABLE))
		d->n_rx = 0;
	d->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	fill_rx(d);
}

/* In loopback the modem outputs come back as inputs. */
static uint8_t
read_msr(const struct dev *d)
{
	uint8_t m = d->mcr;

	if (!(m & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((m & MCR_RTS ? MSR_CTS : 0) |
	    (m & MCR_DTR ? MSR_DSR : 0) |
	    (m & MCR_OUT1 ? MSR_RI : 0) |
	    (m & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t
read_reg(struct dev *d, unsigned int reg)
{
	bool dlab = d->lcr & LCR_DLAB;

	switch (reg) {
	case R_DATA:
		return dlab ? d->divisor & 0xff : read_data(d);
	case R_IER:
		return dlab ? d->divisor >> 8 : d->ier;
	case R_IIR_FCR:
		return read_iir(d);
	case R_LCR:
		return d->lcr;
	case R_MCR:
		return d->mcr;
	case R_LSR:
		return LSR_THRE | LSR_TEMT | (d->n_rx > 0 ? LSR_DR : 0);
	case R_MSR:
		return read_msr(d);
	default:
		return d->scr;
	}
}

static void
write_reg(struct dev *d, unsigned int reg, uint8_t value)
{
	bool dlab = d->lcr & LCR_DLAB;

	switch (reg) {
	case R_DATA:
		if (dlab)
			d->divisor = (d->divisor & 0xff00) | value;
		else
			write_data(d, value);
		break;
	case R_IER:
		if (dlab)
			d->divisor = (uint16_t)((d->divisor & 0x00ff) |
			    (unsigned int)value << 8);
		else
			write_ier(d, value);
		break;
	case R_IIR_FCR:
		write_fcr(d, value);
		break;
	case R_LCR:
		d->lcr = value;
		break;
	case R_MCR:
		d->mcr = value & MCR_MASK;
		fill_rx(d);
		break;
	case R_SCR:
		d->scr = value;
		break;
	default:	/* LSR and MSR are for reading */
		break;
	}
}

/* Wider accesses are byte accesses side by side, as the ISA bus makes them. */
static uint64_t
serial_read(void *arg, uint64_t offset, unsigned int len)
{
	struct dev *d = arg;
	uint64_t value = 0;

	for (unsigned int i = 0; i < len; i++)
		value |= (uint64_t)read_reg(d, (unsigned int)offset + i)
		    << (8 * i);
	update_irq(d);
	return value;
}

static void
serial_write(void *arg, uint64_t offset, unsigned int len, uint64_t value)
{
	struct dev *d = arg;

	for (unsigned int i = 0; i < len; i++)
		write_reg(d, (unsigned int)offset + i,
		    (uint8_t)(value >> (8 * i)));
	update_irq(d);
}

static const struct bus_region_ops serial_region_ops = {
	.read = serial_read,
	.write = serial_write,
};

static void
serial_free(struct dev *d)
{
	if (d == NULL)
		return;
	console_free(d->console);
	free(d);
}

static int
serial_create(struct dev **dp, const struct dev_env *env,
    const struct dev_place *place)
{
	struct dev *d;
	int r = -ENOMEM;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return -ENOMEM;
	d->env = *env;
	d->gsi = place->gsi;
	d->divisor = 1;		/* 115200 baud, should anyone ask */
	if ((r = console_new(&d->console, env, input, d)) < 0)
		goto out;
	if ((r = bus_add(env->bus, BUS_PIO, place->addr, N_REGS,
	    &serial_region_ops, d)) < 0)
		goto out;
	*dp = d;
	d = NULL;
out:
	serial_free(d);
	return r;
}

static int
serial_save(struct dev *d, Persona__State__DeviceState *out)
{
	Persona__State__Serial8250 *s;

	if ((s = malloc(sizeof(*s))) == NULL)
		return -ENOMEM;
	persona__state__serial8250__init(s);
	s->ier = d->ier;
	s->fcr = d->fcr;
	s->lcr = d->lcr;
	s->mcr = d->mcr;
	s->scr = d->scr;
	s->divisor = d->divisor;
	s->thre_pending = d->thre_pending;
	out->serial = s;
	out->kind_case = PERSONA__STATE__DEVICE_STATE__KIND_SERIAL;
	if (d->n_rx > 0) {
		if ((s->rx.data = malloc(d->n_rx)) == NULL)
			return -ENOMEM;
		memcpy(s->rx.data, d->rx, d->n_rx);
		s->rx.len = d->n_rx;
	}
	return 0;
}

static int
serial_check(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__Serial8250 *s = in->serial;

	(void)d;
	if (in->kind_case != PERSONA__STATE__DEVICE_STATE__KIND_SERIAL)
		return -EINVAL;
	if ((s->ier & ~IER_MASK) != 0 || (s->fcr & ~FCR_KEPT) != 0 ||
	    s->lcr > 0xff || (s->mcr & ~MCR_MASK) != 0 || s->scr > 0xff ||
	    s->divisor > 0xffff)
		return -EINVAL;
	if (s->rx.len > (s->fcr & FCR_ENABLE ? FIFO_BYTES : 1))
		return -EINVAL;
	return 0;
}

static void
serial_load(struct dev *d, const Persona__State__DeviceState *in)
{
	const Persona__State__Serial8250 *s = in->serial;

	d->ier = (uint8_t)s->ier;
	d->fcr = (uint8_t)s->fcr;
	d->lcr = (uint8_t)s->lcr;
	d->mcr = (uint8_t)s->mcr;
	d->scr = (uint8_t)s->scr;
	d->divisor = (uint16_t)s->divisor;
	d->thre_pending = s->thre_pending;
	d->n_rx = s->rx.len;
	if (d->n_rx > 0)
		memcpy(d->rx, s->rx.data, d->n_rx);
	update_irq(d);
}

static int
serial_attach(struct dev *d, int stream_fd)
{
	return console_attach(d->console, stream_fd);
}

static void
serial_start(struct dev *d)
{
	console_start(d->console);
}

static void
serial_stop(struct dev *d)
{
	console_stop(d->console);
}

const struct dev_ops dev_serial_ops = {
	.kind = "serial",
	.version = 1,
	.create = serial_create,
	.save = serial_save,
	.check = serial_check,
	.load = serial_load,
	.attach = serial_attach,
	.start = serial_start,
	.stop = serial_stop,
	.free = serial_free,
};
