/* SPDX-License-Identifier: ISC */
/*
 * AML, byte by byte, with a sticky error instead of checks at every call.
 * Deliberately knows only the constructs that our tables use.
 * Source: ACPI 6.5, chapter 20 (AML) and section 6.4 (resources).
 */
#include "aml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

#define OP_NAME		0x08u
#define OP_BYTE		0x0au
#define OP_DWORD	0x0cu
#define OP_STRING	0x0du
#define OP_SCOPE	0x10u
#define OP_BUFFER	0x11u
#define OP_PACKAGE	0x12u
#define OP_METHOD	0x14u
#define OP_EXT		0x5bu
#define OP_EXT_DEVICE	0x82u
#define OP_NOTIFY	0x86u
#define METHOD_SERIAL	0x08u
#define DUAL_NAME	0x2eu
#define ROOT_CHAR	'\\'

/* Lengths are always written in two bytes (20.2.4): up to 4095. */
#define PKGLEN_BYTES	2u
#define PKGLEN_MAX	4095u
/* A resource buffer's size, always as one byte with its prefix. */
#define BUFSIZE_BYTES	2u

#define RES_IRQ		0x22u
#define RES_IO		0x47u
#define RES_END		0x79u
#define RES_MEMORY32	0x86u
#define RES_INTERRUPT	0x89u
#define INTERRUPT_CONSUMER 0x01u
#define INTERRUPT_EDGE	0x02u

void
aml_init(struct aml *a)
{
	memset(a, 0, sizeof(*a));
}

int
aml_finish(const struct aml *a)
{
	return a->error != 0 ? a->error : a->depth != 0 ? -EINVAL : 0;
}

static void
put(struct aml *a, const void *p, size_t len)
{
	if (a->error == 0 && len > AML_MAX_BYTES - a->len)
		a->error = -E2BIG;
	if (a->error != 0)
		return;
	memcpy(a->bytes + a->len, p, len);
	a->len += len;
}

static void
put8(struct aml *a, uint8_t v)
{
	put(a, &v, 1);
}

static void
put_name(struct aml *a, const char *name)
{
	if (strlen(name) != 4)
		a->error = -EINVAL;
	put(a, name, 4);
}

/* Leave room for a length that the closing bracket fills in. */
static void
open_length(struct aml *a)
{
	if (a->depth == AML_DEPTH_MAX)
		a->error = -E2BIG;
	if (a->error != 0)
		return;
	a->open[a->depth++] = a->len;
	put(a, "\0", PKGLEN_BYTES);
}

void
aml_close(struct aml *a)
{
	size_t at, len;

	if (a->error == 0 && a->depth == 0)
		a->error = -EINVAL;
	if (a->error != 0)
		return;
	at = a->open[--a->depth];
	len = a->len - at;	/* it counts itself */
	if (len > PKGLEN_MAX) {
		a->error = -E2BIG;
		return;
	}
	a->bytes[at] = (uint8_t)(0x40 | (len & 0x0f));
	a->bytes[at + 1] = (uint8_t)(len >> 4);
}

void
aml_scope_open(struct aml *a, const char *root_name)
{
	put8(a, OP_SCOPE);
	open_length(a);
	put8(a, ROOT_CHAR);
	put_name(a, root_name);
}

void
aml_device_open(struct aml *a, const char *name)
{
	put8(a, OP_EXT);
	put8(a, OP_EXT_DEVICE);
	open_length(a);
	put_name(a, name);
}

void
aml_method_open(struct aml *a, const char *name, uint8_t n_args)
{
	put8(a, OP_METHOD);
	open_length(a);
	put_name(a, name);
	put8(a, n_args | METHOD_SERIAL);
}

void
aml_notify(struct aml *a, const char *scope, const char *name, uint8_t value)
{
	put8(a, OP_NOTIFY);
	put8(a, ROOT_CHAR);
	put8(a, DUAL_NAME);
	put_name(a, scope);
	put_name(a, name);
	aml_integer(a, value);
}

void
aml_package_open(struct aml *a, uint8_t n_elements)
{
	put8(a, OP_PACKAGE);
	open_length(a);
	put8(a, n_elements);
}

void
aml_name(struct aml *a, const char *name)
{
	put8(a, OP_NAME);
	put_name(a, name);
}

void
aml_integer(struct aml *a, uint32_t value)
{
	uint8_t raw[4];

	if (value <= 1) {		/* ZeroOp, OneOp */
		put8(a, (uint8_t)value);
	} else if (value <= 0xff) {
		put8(a, OP_BYTE);
		put8(a, (uint8_t)value);
	} else {
		put8(a, OP_DWORD);
		le_put32(raw, value);
		put(a, raw, sizeof(raw));
	}
}

void
aml_string(struct aml *a, const char *s)
{
	put8(a, OP_STRING);
	put(a, s, strlen(s) + 1);
}

/* Three letters in five bits each, four hex digits, high byte first (6.1.5). */
void
aml_eisaid(struct aml *a, const char *id)
{
	uint8_t raw[4];
	unsigned int letters, digits;

	if (strlen(id) != 7) {
		a->error = -EINVAL;
		return;
	}
	letters = (unsigned int)(id[0] - 0x40) << 10 |
	    (unsigned int)(id[1] - 0x40) << 5 | (unsigned int)(id[2] - 0x40);
	digits = (unsigned int)strtoul(id + 3, NULL, 16);
	raw[0] = (uint8_t)(letters >> 8);
	raw[1] = (uint8_t)letters;
	raw[2] = (uint8_t)(digits >> 8);
	raw[3] = (uint8_t)digits;
	put8(a, OP_DWORD);
	put(a, raw, sizeof(raw));
}

void
aml_resources_open(struct aml *a)
{
	put8(a, OP_BUFFER);
	open_length(a);
	put8(a, OP_BYTE);
	put8(a, 0);		/* the buffer's size, known when closed */
}

void
aml_resources_close(struct aml *a)
{
	static const uint8_t end[] = { RES_END, 0 };	/* no checksum */
	size_t first;

	put(a, end, sizeof(end));
	if (a->error != 0 || a->depth == 0)
		return;
	first = a->open[a->depth - 1] + PKGLEN_BYTES + BUFSIZE_BYTES;
	if (a->len - first > 0xff)
		a->error = -E2BIG;
	else
		a->bytes[first - 1] = (uint8_t)(a->len - first);
	aml_close(a);
}

void
aml_memory32(struct aml *a, uint32_t addr, uint32_t len)
{
	uint8_t raw[12] = { RES_MEMORY32, 9, 0, 1 /* writable */ };

	le_put32(raw + 4, addr);
	le_put32(raw + 8, len);
	put(a, raw, sizeof(raw));
}

/* Active high, exclusive; one interrupt. */
static void
put_interrupt(struct aml *a, uint32_t gsi, uint8_t flags)
{
	uint8_t raw[9] = { RES_INTERRUPT, 6, 0, flags, 1 };

	le_put32(raw + 5, gsi);
	put(a, raw, sizeof(raw));
}

void
aml_interrupt_level_high(struct aml *a, uint32_t gsi)
{
	put_interrupt(a, gsi, INTERRUPT_CONSUMER);
}

void
aml_interrupt_edge_high(struct aml *a, uint32_t gsi)
{
	put_interrupt(a, gsi, INTERRUPT_CONSUMER | INTERRUPT_EDGE);
}

void
aml_isa_irq(struct aml *a, unsigned int irq)
{
	uint8_t raw[3] = { RES_IRQ };

	le_put16(raw + 1, (uint16_t)(1u << irq));
	put(a, raw, sizeof(raw));
}

void
aml_io(struct aml *a, uint16_t port, uint8_t len)
{
	uint8_t raw[8] = { RES_IO, 1 /* decodes 16 bits */ };

	le_put16(raw + 2, port);
	le_put16(raw + 4, port);
	raw[6] = 1;		/* alignment */
	raw[7] = len;
	put(a, raw, sizeof(raw));
}
