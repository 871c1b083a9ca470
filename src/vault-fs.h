/* SPDX-License-Identifier: ISC */
/*
 * Encrypted directories as others make them well: what persona-vault needs of
 * each kind, and the table of kinds. Knows no persona and no passphrase: a key is
 * 32 random bytes.
 */
#ifndef VAULT_FS_H
#define VAULT_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "crypt.h"

#define VAULT_CIPHER	"cipher"	/* what is stored */
#define VAULT_OPEN	"open"		/* where it is mounted while it is open */
#define VAULT_WHY_MAX	256		/* a sentence for a person, bytes */

struct vault_fs {
	const char	*name;		/* as vault.proto's backend */

	/* Can it be used on this machine? 0, or -errno with what is missing. */
	int	(*usable)(char why[VAULT_WHY_MAX]);

	/* Make <dir>/cipher, which must not be there, for this key. */
	int	(*make)(const char *dir, const uint8_t key[CRYPT_KEY_BYTES],
		    char why[VAULT_WHY_MAX]);

	/*
	 * Mount it at <dir>/open. What serves it lives on after us, and keeps the
	 * descriptors that are not close-on-exec.
	 */
	int	(*open)(const char *dir, const uint8_t key[CRYPT_KEY_BYTES],
		    char why[VAULT_WHY_MAX]);
};

extern const struct vault_fs vault_fs_gocryptfs;

/* The best one that works here; NULL with why. */
const struct vault_fs *vault_fs_best(char why[VAULT_WHY_MAX]);

/* By name; NULL: this version does not know it. */
const struct vault_fs *vault_fs_named(const char *name);

enum vault_mount {
	VAULT_MOUNT_NONE,
	VAULT_MOUNT_ALIVE,
	VAULT_MOUNT_DEAD,	/* mounted, and nobody serves it any more */
};

/* What is at <dir>/open now. */
enum vault_mount vault_mount_of(const char *dir);

/*
 * Take it away; nothing there is fine. `by_force` also while files are open.
 * 0, -EBUSY, else -errno.
 */
int	vault_unmount(const char *dir, bool by_force);

#endif
