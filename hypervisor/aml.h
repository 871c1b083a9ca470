/* SPDX-License-Identifier: ISC */
/*
 * Writes the little ACPI Machine Language that describes our devices: names,
 * numbers, packages, resources. Knows no table and no device.
 * Source: ACPI 6.5, chapter 20 (AML) and section 6.4 (resources).
 */
#ifndef AML_H
#define AML_H

#include <stddef.h>
#include <stdint.h>

#define AML_MAX_BYTES	8192u
#define AML_DEPTH_MAX	8u

/*
 * A text of AML being written. Things that have a length (scopes, devices,
 * packages, resources) are opened and closed like brackets. What does not fit
 * makes the text bad for good: ask aml_finish.
 */
struct aml {
	uint8_t		bytes[AML_MAX_BYTES];
	size_t		len;
	size_t		open[AML_DEPTH_MAX];	/* where each length goes */
	unsigned int	depth;
	int		error;
};

/* An empty text. Nothing of it needs to be freed. */
void	aml_init(struct aml *a);

/* 0, or -E2BIG/-EINVAL when it did not fit or a bracket was left open. */
int	aml_finish(const struct aml *a);

/* Names have exactly four characters ("COM1", "_SB_"). */
void	aml_scope_open(struct aml *a, const char *root_name);	/* \NAME */
void	aml_device_open(struct aml *a, const char *name);
/* A method of `n_args` arguments that no two processors run at once. */
void	aml_method_open(struct aml *a, const char *name, uint8_t n_args);
void	aml_package_open(struct aml *a, uint8_t n_elements);
void	aml_close(struct aml *a);

/* Name (NAME, ...): the value follows by one of the calls below. */
void	aml_name(struct aml *a, const char *name);
void	aml_integer(struct aml *a, uint32_t value);
void	aml_string(struct aml *a, const char *s);
void	aml_eisaid(struct aml *a, const char *id);	/* "PNP0501" */

/* Notify (\SCOPE.NAME, value), in a method. */
void	aml_notify(struct aml *a, const char *scope, const char *name,
	    uint8_t value);

/* A resource template, closed by its own call. */
void	aml_resources_open(struct aml *a);
void	aml_memory32(struct aml *a, uint32_t addr, uint32_t len);
void	aml_interrupt_level_high(struct aml *a, uint32_t gsi);
void	aml_interrupt_edge_high(struct aml *a, uint32_t gsi);
void	aml_isa_irq(struct aml *a, unsigned int irq);
void	aml_io(struct aml *a, uint16_t port, uint8_t len);
void	aml_resources_close(struct aml *a);

#endif
