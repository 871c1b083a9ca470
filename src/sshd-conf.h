/* SPDX-License-Identifier: ISC */
/*
 * What the accepting side's sshd may do, written as files: a configuration that
 * allows nothing but keys, and one line per paired key that allows nothing but
 * persona-gate (invariant 6). Knows no registry and starts nothing.
 */
#ifndef SSHD_CONF_H
#define SSHD_CONF_H

#include <stddef.h>

#define SSHD_CONF_NAME		"sshd_config"
#define SSHD_KEYS_NAME		"authorized_keys"

struct sshd_conf {
	const char	*dir;		/* where the files go; ours alone */
	const char	*identity;	/* the private key file */
	const char	*gate;		/* the program persona-gate */
	const char	*gate_socket;	/* where it finds personad */
	const char	*user;		/* the account personad runs as */
};

/*
 * Write <dir>/sshd_config and <dir>/authorized_keys for these keys (as in
 * pubkey.h), each replaced whole; the next connection sees them, one that is
 * already in does not. Paths must be absolute and plain: letters, digits and
 * "/._+-" (they pass through sshd and a shell). 0, -EINVAL for a key, name or
 * path that is not so, -EPERM when others could change the directory, -errno.
 */
int	sshd_conf_write(const struct sshd_conf *c, const char *const *keys,
	    size_t n_keys);

/*
 * The account name of our effective uid, which the peer has to log in as: an
 * sshd that is not root's serves no other. 0, -ENOENT when this uid has no
 * account, -EINVAL when the name is not one that greeting_user_valid() takes.
 */
int	sshd_conf_user(char *buf, size_t size);

/* The texts themselves, allocated; for sshd_conf_write and tests. 0 or -errno. */
int	sshd_conf_render(const struct sshd_conf *c, char **textp);
int	sshd_conf_render_keys(const struct sshd_conf *c,
	    const char *const *keys, size_t n_keys, char **textp);

#endif
