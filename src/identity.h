/* SPDX-License-Identifier: ISC */
/*
 * The handset's one ed25519 key: host key towards those who call us, user key
 * towards those we call. Made by ssh-keygen at the first start, kept
 * as <dir>/identity. Knows no peers and no trust.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

struct identity;

/*
 * Load the key of this state directory, making it first when there is none.
 * Runs ssh-keygen and waits for it (tens of milliseconds; call it at start-up,
 * before SIGCHLD has another reader). 0; -EPERM when the directory or the key
 * could be read or changed by others (the log says which); -EINVAL when the
 * file is no ed25519 key; else -errno.
 */
int	identity_open(struct identity **ip, const char *dir);

/* "ssh-ed25519 AAAA...", "SHA256:...", and the private key file's path. */
const char	*identity_key(const struct identity *id);
const char	*identity_fingerprint(const struct identity *id);
const char	*identity_path(const struct identity *id);

/* The private key file, open for reading and close-on-exec, or -errno. */
int	identity_private_fd(const struct identity *id);

/* NULL is fine. */
void	identity_free(struct identity *id);

#endif
