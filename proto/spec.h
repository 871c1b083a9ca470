/* SPDX-License-Identifier: ISC */
/*
 * What a persona is made of (spec.proto), as it is stored and carried: packed,
 * and judged before anybody relies on it. Knows no registry and no peer.
 */
#ifndef SPEC_H
#define SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "spec.pb-c.h"

/* A packed spec.Spec; len 0 is the empty one. */
struct packed_spec {
	size_t	len;
	uint8_t	bytes[SPEC_MAX];
};

/*
 * May a persona have this name? One to PERSONA_NAME_MAX small letters, digits and
 * hyphens, none first.
 */
bool	spec_name_ok(const char *name);

/*
 * Is everything in it within its bounds? It may come from a peer or a file.
 * 0, or -EPROTO with *why a sentence (static).
 */
int	spec_check(const Persona__Spec__Spec *s, const char **why);

/*
 * Pack a spec (NULL: the empty one) after spec_check. 0; -EPROTO, -EMSGSIZE
 * when it is larger than SPEC_MAX. *out is empty after a failure.
 */
int	spec_pack(const Persona__Spec__Spec *s, struct packed_spec *out,
	    const char **why);

/*
 * The spec again; never NULL on success. The caller frees it with
 * persona__spec__spec__free_unpacked(s, NULL). 0, -EPROTO or -ENOMEM.
 */
int	spec_unpack(const struct packed_spec *in, Persona__Spec__Spec **sp);

/* The architecture of this handset's processors, in the words of Spec.arch. */
const char *spec_host_arch(void);

/*
 * Can this handset's processors run it? Whoever does not say for which it is made
 * is taken. 0, or -ENOEXEC with a sentence in `why`.
 */
int	spec_check_host(const Persona__Spec__Spec *s, char *why, size_t size);

/* The CPU baseline that most handsets of an architecture have; NULL: not known. */
const char *spec_usual_baseline(const char *arch);

/*
 * Is the baseline one of the architecture that the spec (NULL: the empty one)
 * names? Whoever does not say for which it is made may have any; whether a handset
 * has it is persona-vmm's to know.
 */
bool	spec_baseline_fits(const Persona__Spec__Spec *s, const char *baseline);

/* It has no boot files here. */
void	spec_drop_boot(Persona__Spec__Spec *s);

/* Its disks are whole: they share nothing with a template of this handset. */
void	spec_drop_templates(Persona__Spec__Spec *s);

/* Its disks lie over the templates of `from`'s, or none. 0 or -ENOMEM. */
int	spec_take_templates(Persona__Spec__Spec *s,
	    const Persona__Spec__Spec *from);

#endif
