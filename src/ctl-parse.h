/* SPDX-License-Identifier: ISC */
/*
 * What a person types, read strictly: sizes, rates, times, names. Says what is
 * wrong in one sentence. Knows no options and no commands.
 */
#ifndef CTL_PARSE_H
#define CTL_PARSE_H

#include <stdint.h>

/*
 * Each gives 0 with *out filled, or -EINVAL (not the form), -ERANGE (outside
 * the limits) with *why a static sentence without a full stop.
 */

/* "512M", "1G", "65536K", "67108864": binary units; whole pages in bounds. */
int	parse_ram(const char *s, uint64_t *out_bytes, const char **why);

/* A disk's: as above, whole pages in DISK_MIN_BYTES..DISK_MAX_BYTES. */
int	parse_disk(const char *s, uint64_t *out_bytes, const char **why);

/* An amount of memory that is given or taken: the same, 1M to 8G. */
int	parse_allowance(const char *s, uint64_t *out_bytes, const char **why);

/* "200Mbit", "25M", "3000000": bytes a second; units of 1000; bits end in "bit". */
int	parse_rate(const char *s, uint64_t *out_bytes_per_s, const char **why);

/* A plain decimal number in min..max, both inclusive. */
int	parse_number(const char *s, uint64_t min, uint64_t max, uint64_t *out,
	    const char **why);

/* A persona's name: [a-z0-9][a-z0-9-]*, 1..PERSONA_NAME_MAX bytes. */
int	parse_persona_name(const char *s, const char **why);

/*
 * A peer as typed: a handset's name, a fingerprint or "host:port". Only length
 * and printable characters are checked here; personad knows which exist.
 */
int	parse_peer(const char *s, const char **why);

#endif
