/* SPDX-License-Identifier: ISC */
/*
 * The templates of this handset: templates/<hash>/ with a manifest, boot
 * files and a disk that never change again, and the images that lie over them.
 * Knows no file format and no request; policy is judged elsewhere.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "image.pb-c.h"

#define TEMPLATE_ID_BYTES	32u	/* the digest of its manifest */
#define TEMPLATE_HEX_LEN	(2 * TEMPLATE_ID_BYTES)
#define TEMPLATE_MANIFEST	"manifest"	/* packed image.Manifest, with root */
/* One bit for each block of this size of a disk over a template (vmm.proto). */
#define TEMPLATE_BLOCK_BYTES	(64u << 10)
#define TEMPLATES_MAX		64u
#define TEMPLATE_PATH_MAX	(CONF_STATE_DIR_MAX + 128)

struct daemon;

struct template {
	char			hex[TEMPLATE_HEX_LEN + 1];
	uint8_t			id[TEMPLATE_ID_BYTES];
	Persona__Image__Manifest *manifest;
};

/* templates/<name> below the state directory; written to buf and returned. */
const char *template_path(const struct daemon *d, const char *name,
	    char buf[TEMPLATE_PATH_MAX]);

/*
 * Every template here, into list[TEMPLATES_MAX]; one that cannot be read is left
 * out, with a line in the log. How many. Each is freed by template_fini.
 */
size_t	templates_list(const struct daemon *d, struct template *list);
void	template_fini(struct template *t);

/*
 * The template of that name, the newest when there are several, or whose
 * hash begins so (8 hex digits at least). 0, -ENOENT, or -EEXIST when several
 * hashes begin so.
 */
int	template_find(const struct daemon *d, const char *what,
	    struct template *t);

/* How many personas of this handset lie over it. */
unsigned int template_users(const struct daemon *d, const struct template *t);

/* Remove it. -EBUSY while a persona lies over it. */
int	template_remove(const struct daemon *d, const struct template *t);

/*
 * Make images/<id> over it: boot files shared by hard links, an empty disk of
 * which no block is its own yet. Durable when 0 is returned; nothing is left
 * after -errno.
 */
int	template_make_image(const struct daemon *d, const struct template *t,
	    const char *id);

/* Remove what interrupted unpacking left behind; at start-up. */
void	templates_sweep(const struct daemon *d);

#endif
