/* SPDX-License-Identifier: ISC */
/*
 * Writing sshd's configuration and key list. Every line here takes something
 * away; what is left is: prove a paired key, be given to persona-gate. Knows no
 * registry and starts nothing.
 */
#include "sshd-conf.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greeting.h"
#include "privdir.h"
#include "pubkey.h"

/*
 * The same for everyone. On algorithms: what libssh2 1.10 and later have that is
 * not bent by prefix truncation (CVE-2023-48795), so neither ChaCha20-Poly1305
 * nor any encrypt-then-MAC. On sessions: each stream is one.
 * A bash that sshd starts reads its user's .bashrc, which takes its time and may
 * print into our stream, unless it is told that it is not the first shell (SHLVL).
 * StrictModes is off because privdir_check() has looked, and forgives /tmp.
 */
static const char fixed_part[] =
    "AuthenticationMethods publickey\n"
    "PubkeyAuthentication yes\n"
    "PasswordAuthentication no\n"
    "PermitEmptyPasswords no\n"
    "KbdInteractiveAuthentication no\n"
    "HostbasedAuthentication no\n"
    "KerberosAuthentication no\n"
    "GSSAPIAuthentication no\n"
    "UsePAM no\n"
    "PermitRootLogin forced-commands-only\n"
    "StrictModes no\n"
    "AuthorizedKeysCommand none\n"
    "AuthorizedPrincipalsFile none\n"
    "TrustedUserCAKeys none\n"
    "PermitTTY no\n"
    "PermitUserRC no\n"
    "PermitUserEnvironment no\n"
    "DisableForwarding yes\n"
    "AllowTcpForwarding no\n"
    "AllowStreamLocalForwarding no\n"
    "AllowAgentForwarding no\n"
    "X11Forwarding no\n"
    "PermitTunnel no\n"
    "PermitOpen none\n"
    "PermitListen none\n"
    "GatewayPorts no\n"
    "HostKeyAlgorithms ssh-ed25519\n"
    "PubkeyAcceptedAlgorithms ssh-ed25519\n"
    "KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org\n"
    "Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
    "aes128-ctr,aes256-ctr\n"
    "MACs hmac-sha2-256,hmac-sha2-512\n"
    "Compression no\n"
    "SetEnv SHLVL=1\n"
    "UseDNS no\n"
    "IPQoS none\n"
    "LoginGraceTime 10\n"
    "MaxAuthTries 3\n"
    "MaxSessions 16\n"
    "ClientAliveInterval 4\n"
    "ClientAliveCountMax 3\n"
    "TCPKeepAlive yes\n"
    "PrintMotd no\n"
    "PrintLastLog no\n"
    "Banner none\n"
    "VersionAddendum none\n"
    "PidFile none\n"
    "LogLevel INFO\n";

/* A path that neither sshd's quoting, its %-tokens nor a shell can bend. */
static bool
path_is_plain(const char *path)
{
	return path[0] == '/' && path[strspn(path, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-")] == '\0';
}

int
sshd_conf_render(const struct sshd_conf *c, char **textp)
{
	int n;

	if (!path_is_plain(c->dir) || !path_is_plain(c->identity) ||
	    !greeting_user_valid(c->user))
		return -EINVAL;
	n = asprintf(textp,
	    "# Written by personad; changes will be lost.\n"
	    "HostKey %s\n"
	    "AuthorizedKeysFile %s/" SSHD_KEYS_NAME "\n"
	    "AllowUsers %s\n"
	    "%s", c->identity, c->dir, c->user, fixed_part);
	return n < 0 ? -ENOMEM : 0;
}

/*
 * `restrict` takes away what sshd has besides exec, the forced command takes exec
 * (and subsystems, which run through it too).
 */
static int
render_key(FILE *f, const struct sshd_conf *c, const char *key)
{
	char fingerprint[FINGERPRINT_MAX + 1];

	if (pubkey_fingerprint(key, fingerprint) < 0)
		return -EINVAL;
	fprintf(f, "restrict,command=\"exec %s --socket %s "
	    "--fingerprint %s\" %s\n", c->gate, c->gate_socket, fingerprint,
	    key);
	return 0;
}

int
sshd_conf_render_keys(const struct sshd_conf *c, const char *const *keys,
    size_t n_keys, char **textp)
{
	char *text = NULL;
	size_t len;
	FILE *f;
	int r = 0;

	if (!path_is_plain(c->gate) || !path_is_plain(c->gate_socket))
		return -EINVAL;
	if ((f = open_memstream(&text, &len)) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_keys && r == 0; i++)
		r = render_key(f, c, keys[i]);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0) {
		free(text);
		return r;
	}
	*textp = text;
	return 0;
}

int
sshd_conf_write(const struct sshd_conf *c, const char *const *keys,
    size_t n_keys)
{
	char *conf = NULL, *list = NULL;
	int r;

	if ((r = sshd_conf_render(c, &conf)) < 0)
		goto out;
	if ((r = sshd_conf_render_keys(c, keys, n_keys, &list)) < 0)
		goto out;
	if ((r = privdir_check(c->dir)) < 0)
		goto out;
	if ((r = privdir_write(c->dir, SSHD_KEYS_NAME, list, 0600)) < 0)
		goto out;
	r = privdir_write(c->dir, SSHD_CONF_NAME, conf, 0600);
out:
	free(conf);
	free(list);
	return r;
}

int
sshd_conf_user(char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char room[4096];

	if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &found) != 0 ||
	    found == NULL)
		return -ENOENT;
	if (!greeting_user_valid(pw.pw_name) || strlen(pw.pw_name) >= size)
		return -EINVAL;
	strcpy(buf, pw.pw_name);
	return 0;
}
