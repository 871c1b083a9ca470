/* SPDX-License-Identifier: ISC */
/*
 * Wrapping and unwrapping with crypt.h; files are read whole, of a size that is
 * known. Deliberately knows nobody who may ask for a key.
 */
#include "vault-key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"

static const char purpose[] = "persona vault 1";

/* --- the handset's key --------------------------------------------------------------- */

static int
read_whole(int fd, void *buf, size_t size, size_t *len)
{
	ssize_t n = 0;

	*len = 0;
	while (*len < size && (n = read(fd, (uint8_t *)buf + *len,
	    size - *len)) != 0) {
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int
read_handset_key(const char *path, uint8_t key[CRYPT_KEY_BYTES])
{
	uint8_t buf[CRYPT_KEY_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;
	struct stat st;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EUCLEAN;
	else if ((st.st_mode & 077) != 0)
		r = -EPERM;
	else
		r = read_whole(fd, buf, sizeof(buf), &len);
	close(fd);
	if (r == 0 && len != CRYPT_KEY_BYTES)
		r = -EUCLEAN;
	if (r == 0)
		memcpy(key, buf, CRYPT_KEY_BYTES);
	crypt_forget(buf, sizeof(buf));
	return r;
}

static int
write_synced(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		return errno != 0 ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

static int
sync_parent(const char *path)
{
	char dir[CONF_STATE_DIR_MAX + 64];
	const char *slash = strrchr(path, '/');
	int fd, r = 0;

	if (slash == NULL || slash == path)
		return -EINVAL;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Beside it, then linked: of two that make one at once, one wins and both use it. */
static int
make_handset_key(const char *path)
{
	char made[CONF_STATE_DIR_MAX + 96];
	uint8_t key[CRYPT_KEY_BYTES];
	int fd, r;

	snprintf(made, sizeof(made), "%s.%d", path, (int)getpid());
	(void)unlink(made);
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	crypt_random(key, sizeof(key));
	r = write_synced(fd, key, sizeof(key));
	crypt_forget(key, sizeof(key));
	close(fd);
	if (r == 0 && link(made, path) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlink(made);
	/* A key that a power cut takes away takes every vault with it. */
	return r == 0 ? sync_parent(path) : r;
}

int
vault_handset_key(const char *path, uint8_t key[CRYPT_KEY_BYTES])
{
	int r = read_handset_key(path, key);

	if (r == -ENOENT && (r = make_handset_key(path)) == 0)
		r = read_handset_key(path, key);
	return r;
}

/* --- one persona's key --------------------------------------------------------------- */

static int
wrapping_key(uint8_t with[CRYPT_KEY_BYTES], const struct vault_secret *secret,
    const uint8_t salt[CRYPT_SALT_BYTES], const struct crypt_cost *cost)
{
	if (secret->method == VAULT_PASSPHRASE)
		return crypt_passphrase_key(with, secret->bytes, secret->len,
		    salt, cost);
	if (secret->len != CRYPT_KEY_BYTES)
		return -EINVAL;
	crypt_derive(with, secret->bytes, purpose, sizeof(purpose) - 1);
	return 0;
}

int
vault_key_pack(uint8_t *out, size_t *len, const uint8_t key[CRYPT_KEY_BYTES],
    const char *backend, const struct vault_secret *secret,
    const struct crypt_cost *cost)
{
	Persona__Vault__VaultKey k = PERSONA__VAULT__VAULT_KEY__INIT;
	uint8_t salt[CRYPT_SALT_BYTES], with[CRYPT_KEY_BYTES];
	uint8_t wrapped[CRYPT_WRAPPED_BYTES];
	int r;

	crypt_random(salt, sizeof(salt));
	if ((r = wrapping_key(with, secret, salt, cost)) < 0)
		return r;
	crypt_wrap(wrapped, key, with);
	crypt_forget(with, sizeof(with));
	k.version = VAULT_VERSION;
	k.backend = (char *)(uintptr_t)backend;
	k.method = (Persona__Vault__VaultKey__Method)secret->method;
	k.wrapped.data = wrapped;
	k.wrapped.len = sizeof(wrapped);
	if (secret->method == VAULT_PASSPHRASE) {
		k.has_salt = k.has_passes = k.has_memory_kib = true;
		k.salt.data = salt;
		k.salt.len = sizeof(salt);
		k.passes = cost->passes;
		k.memory_kib = cost->memory_kib;
	}
	*len = persona__vault__vault_key__get_packed_size(&k);
	if (*len > VAULT_KEY_FILE_MAX)
		return -EMSGSIZE;
	persona__vault__vault_key__pack(&k, out);
	return 0;
}

static int
check(const Persona__Vault__VaultKey *k)
{
	if (k->version > VAULT_VERSION)
		return -ENOTSUP;
	if (k->version < 1 || k->wrapped.len != CRYPT_WRAPPED_BYTES ||
	    (k->method != PERSONA__VAULT__VAULT_KEY__METHOD__HANDSET &&
	    k->method != PERSONA__VAULT__VAULT_KEY__METHOD__PASSPHRASE))
		return -EUCLEAN;
	if (k->method == PERSONA__VAULT__VAULT_KEY__METHOD__PASSPHRASE &&
	    (!k->has_salt || k->salt.len != CRYPT_SALT_BYTES ||
	    !k->has_passes || !k->has_memory_kib))
		return -EUCLEAN;
	return 0;
}

int
vault_key_open(uint8_t key[CRYPT_KEY_BYTES],
    const Persona__Vault__VaultKey *k, const struct vault_secret *secret)
{
	const struct crypt_cost cost = { k->passes, k->memory_kib };
	uint8_t with[CRYPT_KEY_BYTES];
	int r;

	if ((int)k->method != (int)secret->method)
		return -ENOKEY;
	if ((r = wrapping_key(with, secret, k->salt.data, &cost)) == 0)
		r = crypt_unwrap(key, k->wrapped.data, with);
	crypt_forget(with, sizeof(with));
	return r == -ERANGE ? -EUCLEAN : r;
}

int
vault_key_parse(const void *packed, size_t len, Persona__Vault__VaultKey **kp)
{
	int r = -EUCLEAN;

	*kp = len > VAULT_KEY_FILE_MAX ? NULL :
	    persona__vault__vault_key__unpack(NULL, len, packed);
	if (*kp != NULL && (r = check(*kp)) < 0) {
		persona__vault__vault_key__free_unpacked(*kp, NULL);
		*kp = NULL;
	}
	return r;
}

int
vault_key_read(const char *dir, Persona__Vault__VaultKey **kp)
{
	char path[CONF_STATE_DIR_MAX + 96];
	uint8_t packed[VAULT_KEY_FILE_MAX + 1];
	size_t len;
	int fd, r;

	snprintf(path, sizeof(path), "%s/" VAULT_KEY_NAME, dir);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return -errno;
	r = read_whole(fd, packed, sizeof(packed), &len);
	close(fd);
	if (r == 0)
		r = vault_key_parse(packed, len, kp);
	return r;
}
