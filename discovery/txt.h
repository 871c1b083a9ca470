/* SPDX-License-Identifier: ISC */
/*
 * The TXT record of a _persona._tcp service: "v=", "name=", "fp=" (RFC 6763,
 * section 6). Knows no Avahi; its bytes come from any stranger on the link.
 */
#ifndef TXT_H
#define TXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discovery.h"

/* One item is at most this long on the wire (a DNS character-string). */
#define TXT_ITEM_MAX	255

struct txt {
	uint32_t	version;
	char		name[HINT_NAME_MAX + 1];
	char		fingerprint[HINT_FINGERPRINT_MAX + 1];
	unsigned int	seen;		/* which keys came; txt.c */
	bool		bad;		/* a key of ours had a value that cannot be */
};

/* Before the first item. Nothing of it needs to be freed. */
void	txt_init(struct txt *t);

/*
 * Take one item, "key=value", len bytes, not NUL-terminated. Unknown keys are
 * skipped; of a key that comes twice the first counts (RFC 6763, 6.4).
 */
void	txt_item(struct txt *t, const uint8_t *item, size_t len);

/* Whether all three keys came and each was what it may be. */
bool	txt_complete(const struct txt *t);

#endif
