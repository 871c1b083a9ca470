/* SPDX-License-Identifier: ISC */
/*
 * The container "openssh-key-v1" (PROTOCOL.key of OpenSSH), for one unencrypted
 * ed25519 key; anything else is refused. Knows no identity.
 */
#include "privkey.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define BEGIN	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define END	"-----END OPENSSH PRIVATE KEY-----"
#define TEXT_MAX	4096u	/* ssh-keygen's have about 400 */
#define KEY_TYPE	"ssh-ed25519"

/* Strings with a length of 32 bits, most significant byte first. */
struct strings {
	const uint8_t	*at, *end;
	bool		bad;
};

static uint32_t
take32(struct strings *s)
{
	uint32_t v;

	if (s->bad || s->end - s->at < 4) {
		s->bad = true;
		return 0;
	}
	v = (uint32_t)s->at[0] << 24 | (uint32_t)s->at[1] << 16 |
	    (uint32_t)s->at[2] << 8 | s->at[3];
	s->at += 4;
	return v;
}

static const uint8_t *
take(struct strings *s, uint32_t *len)
{
	const uint8_t *p;

	*len = take32(s);
	if (s->bad || *len > (size_t)(s->end - s->at)) {
		s->bad = true;
		return NULL;
	}
	p = s->at;
	s->at += *len;
	return p;
}

/* The next string must be exactly this one. */
static void
expect(struct strings *s, const char *text)
{
	uint32_t len;
	const uint8_t *p = take(s, &len);

	if (p == NULL || len != strlen(text) || memcmp(p, text, len) != 0)
		s->bad = true;
}

/* check, check, type, public key, secret, comment, padding */
static int
parse_private(const uint8_t *p, size_t len,
    uint8_t secret[PRIVKEY_SECRET_BYTES])
{
	struct strings s = { .at = p, .end = p + len };
	uint32_t check = take32(&s), n, pub_len;
	const uint8_t *pub, *key;

	if (take32(&s) != check)
		return -EINVAL;
	expect(&s, KEY_TYPE);
	pub = take(&s, &pub_len);
	key = take(&s, &n);
	if (s.bad || n != PRIVKEY_SECRET_BYTES || pub_len != 32 ||
	    memcmp(key + 32, pub, 32) != 0)
		return -EINVAL;
	memcpy(secret, key, n);
	return 0;
}

static int
parse(const uint8_t *p, size_t len, uint8_t secret[PRIVKEY_SECRET_BYTES])
{
	static const char magic[] = "openssh-key-v1";	/* NUL included */
	struct strings s = { .at = p + sizeof(magic), .end = p + len };
	uint32_t n, priv_len;
	const uint8_t *priv;

	if (len < sizeof(magic) || memcmp(p, magic, sizeof(magic)) != 0)
		return -EINVAL;
	expect(&s, "none");	/* cipher */
	if (s.bad)
		return -ENOKEY;
	expect(&s, "none");	/* key derivation */
	expect(&s, "");
	if (take32(&s) != 1)
		return -EINVAL;
	(void)take(&s, &n);	/* the public key, which is inside too */
	priv = take(&s, &priv_len);
	if (s.bad)
		return -EINVAL;
	return parse_private(priv, priv_len, secret);
}

static int
decode(const char *text, size_t len, uint8_t secret[PRIVKEY_SECRET_BYTES])
{
	uint8_t blob[TEXT_MAX];
	const char *end;
	size_t n;
	int r = -EINVAL;

	if (len < strlen(BEGIN) || memcmp(text, BEGIN, strlen(BEGIN)) != 0)
		return -EINVAL;
	if (sodium_base642bin(blob, sizeof(blob), text + strlen(BEGIN),
	    len - strlen(BEGIN), "\n", &n, &end,
	    sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    (size_t)(text + len - end) >= strlen(END) &&
	    memcmp(end, END, strlen(END)) == 0)
		r = parse(blob, n, secret);
	sodium_memzero(blob, sizeof(blob));
	return r;
}

int
privkey_read(int fd, uint8_t secret[PRIVKEY_SECRET_BYTES])
{
	char text[TEXT_MAX];
	size_t len = 0;
	ssize_t n = 0;
	int r;

	while (len < sizeof(text) && (n = pread(fd, text + len,
	    sizeof(text) - len, (off_t)len)) > 0)
		len += (size_t)n;
	if (n < 0)
		r = -errno;
	else
		r = len == sizeof(text) ? -EINVAL : decode(text, len, secret);
	sodium_memzero(text, sizeof(text));
	return r;
}
