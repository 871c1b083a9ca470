/* SPDX-License-Identifier: ISC */
/*
 * Unwraps a persona file's envelope from bytes as they come. They may be anybody's:
 * lengths are checked before anything is kept, and nothing of a block is given out
 * before it has proven itself. Knows no file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "envelope-format.h"

enum state {
	HEAD,		/* the fixed part of the header */
	SLOTS,		/* its slots */
	LOCKED,		/* read, but nobody has brought a key */
	STREAM_HEAD,
	BLOCK_HEAD,
	BLOCK,
	ENDED,		/* the last block is out */
	PLAIN,		/* everything is payload */
};

struct envelope_reader {
	enum state		state;
	size_t			n;		/* bytes in buf, of the `want` */
	size_t			want;
	size_t			header_len;
	const uint8_t		*passphrase;	/* the slots' bodies in header */
	const uint8_t		*sealed[FILE_SLOTS_MAX];
	size_t			n_sealed;
	struct crypt_stream	*stream;
	uint8_t			key[CRYPT_KEY_BYTES];	/* of the blocks */
	uint8_t			header[ENVELOPE_HEADER_MAX];
	uint8_t			buf[ENVELOPE_SEALED_MAX];
	uint8_t			block[ENVELOPE_BLOCK_BYTES];
};

static void
expect(struct envelope_reader *r, enum state state, size_t bytes)
{
	r->state = state;
	r->n = 0;
	r->want = bytes;
}

int
envelope_reader_new(struct envelope_reader **rp)
{
	struct envelope_reader *r;
	int e;

	if ((e = crypt_init()) < 0)
		return e;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return -ENOMEM;
	expect(r, HEAD, ENVELOPE_HEAD_BYTES);
	*rp = r;
	return 0;
}

void
envelope_reader_free(struct envelope_reader *r)
{
	if (r == NULL)
		return;
	crypt_stream_free(r->stream);
	crypt_forget(r->key, sizeof(r->key));
	crypt_forget(r->block, sizeof(r->block));
	free(r);
}

/* --- the header ------------------------------------------------------------------- */

static int
take_head(struct envelope_reader *r)
{
	uint16_t version = le_get16(r->buf + 8);
	uint32_t bytes = le_get32(r->buf + 12);

	if (memcmp(r->buf, ENVELOPE_MAGIC, ENVELOPE_MAGIC_BYTES) != 0 ||
	    version == 0)
		return -EMEDIUMTYPE;
	if (version > FILE_VERSION)
		return -ENOTSUP;
	memcpy(r->header, r->buf, ENVELOPE_HEAD_BYTES);
	r->header_len = ENVELOPE_HEAD_BYTES;
	if (r->buf[10] == ENVELOPE_PLAIN) {
		if (r->buf[11] != 0 || bytes != 0)
			return -EBADMSG;
		expect(r, PLAIN, 0);
		return 0;
	}
	if (r->buf[10] != ENVELOPE_ENCRYPTED || r->buf[11] == 0 ||
	    r->buf[11] > FILE_SLOTS_MAX || bytes == 0 ||
	    bytes > ENVELOPE_SLOTS_BYTES_MAX)
		return -EBADMSG;
	expect(r, SLOTS, bytes);
	return 0;
}

/* A slot of a kind that we do not know is somebody else's way in. */
static int
take_slot(struct envelope_reader *r, uint8_t type, const uint8_t *body,
    size_t len)
{
	switch (type) {
	case ENVELOPE_PASSPHRASE:
		/* One: each costs a second of ours. */
		if (len != ENVELOPE_PASSPHRASE_BYTES || r->passphrase != NULL)
			return -EBADMSG;
		r->passphrase = body;
		return 0;
	case ENVELOPE_HANDSET:
		if (len != CRYPT_SEALED_BYTES)
			return -EBADMSG;
		r->sealed[r->n_sealed++] = body;
		return 0;
	default:
		return 0;
	}
}

static int
take_slots(struct envelope_reader *r)
{
	const uint8_t *p = r->header + ENVELOPE_HEAD_BYTES, *end = p + r->want;
	int e;

	memcpy(r->header + ENVELOPE_HEAD_BYTES, r->buf, r->want);
	r->header_len += r->want;
	for (unsigned int i = 0; i < r->header[11]; i++) {
		size_t len;

		if ((size_t)(end - p) < ENVELOPE_SLOT_HEAD_BYTES || p[1] != 0)
			return -EBADMSG;
		len = le_get16(p + 2);
		if (len > (size_t)(end - p) - ENVELOPE_SLOT_HEAD_BYTES)
			return -EBADMSG;
		if ((e = take_slot(r, p[0], p + ENVELOPE_SLOT_HEAD_BYTES,
		    len)) < 0)
			return e;
		p += ENVELOPE_SLOT_HEAD_BYTES + len;
	}
	if (p != end)
		return -EBADMSG;
	expect(r, LOCKED, 0);
	return 0;
}

bool
envelope_wants_passphrase(const struct envelope_reader *r)
{
	return r->state == LOCKED && r->passphrase != NULL;
}

int
envelope_unlock_passphrase(struct envelope_reader *r, const void *passphrase,
    size_t len)
{
	const uint8_t *p = r->passphrase;
	uint8_t key[CRYPT_KEY_BYTES], file_key[CRYPT_KEY_BYTES];
	struct crypt_cost cost;
	int e;

	if (!envelope_wants_passphrase(r))
		return -ENOENT;
	cost.passes = le_get32(p + CRYPT_SALT_BYTES);
	cost.memory_kib = le_get32(p + CRYPT_SALT_BYTES + 4);
	e = crypt_passphrase_key(key, passphrase, len, p, &cost);
	if (e == 0 && (e = crypt_unwrap(file_key, p + CRYPT_SALT_BYTES + 8,
	    key)) == 0)
		envelope_unlock_key(r, file_key);
	crypt_forget(key, sizeof(key));
	crypt_forget(file_key, sizeof(file_key));
	return e == -ERANGE ? -EBADMSG : e;
}

const uint8_t *
envelope_sealed(const struct envelope_reader *r, size_t i)
{
	return r->state == LOCKED && i < r->n_sealed ? r->sealed[i] : NULL;
}

void
envelope_unlock_key(struct envelope_reader *r,
    const uint8_t key[CRYPT_KEY_BYTES])
{
	if (r->state != LOCKED)
		return;
	envelope_stream_key(r->key, key, r->header, r->header_len);
	expect(r, STREAM_HEAD, CRYPT_STREAM_HEAD_BYTES);
}

/* --- blocks ----------------------------------------------------------------------- */

static int
take_stream_head(struct envelope_reader *r)
{
	int e = crypt_stream_read(&r->stream, r->key, r->buf);

	crypt_forget(r->key, sizeof(r->key));
	if (e == 0)
		expect(r, BLOCK_HEAD, ENVELOPE_BLOCK_HEAD_BYTES);
	return e;
}

static int
take_block_head(struct envelope_reader *r)
{
	uint32_t len = le_get32(r->buf);

	if (len < CRYPT_BLOCK_EXTRA || len > ENVELOPE_SEALED_MAX)
		return -EBADMSG;
	expect(r, BLOCK, len);
	return 0;
}

static int
take_block(struct envelope_reader *r, const uint8_t **piece, size_t *piece_len)
{
	size_t len = r->want - CRYPT_BLOCK_EXTRA;
	bool last;
	int e;

	e = crypt_stream_pull(r->stream, r->block, r->buf, r->want, &last);
	if (e < 0)
		return e;
	*piece = r->block;
	*piece_len = len;
	if (last)
		expect(r, ENDED, 0);
	else
		expect(r, BLOCK_HEAD, ENVELOPE_BLOCK_HEAD_BYTES);
	return 0;
}

/* What was waited for is in buf. */
static int
take(struct envelope_reader *r, const uint8_t **piece, size_t *piece_len)
{
	switch (r->state) {
	case HEAD:
		return take_head(r);
	case SLOTS:
		return take_slots(r);
	case STREAM_HEAD:
		return take_stream_head(r);
	case BLOCK_HEAD:
		return take_block_head(r);
	case BLOCK:
		return take_block(r, piece, piece_len);
	default:
		return -EBADMSG;
	}
}

int
envelope_read(struct envelope_reader *r, const uint8_t *data, size_t len,
    size_t *used, const uint8_t **piece, size_t *piece_len)
{
	int e;

	*used = 0;
	*piece_len = 0;
	for (;;) {
		size_t n = len - *used;

		if (r->state == LOCKED)
			return -ENOKEY;
		if (n == 0)
			return 0;
		if (r->state == ENDED)
			return -E2BIG;
		if (r->state == PLAIN) {
			*piece = data + *used;
			*piece_len = n;
			*used = len;
			return 0;
		}
		if (n > r->want - r->n)
			n = r->want - r->n;
		memcpy(r->buf + r->n, data + *used, n);
		r->n += n;
		*used += n;
		if (r->n < r->want)
			continue;
		if ((e = take(r, piece, piece_len)) < 0)
			return e;
		if (*piece_len > 0)
			return 0;
	}
}

int
envelope_end(const struct envelope_reader *r)
{
	switch (r->state) {
	case ENDED:
	case PLAIN:	/* the payload says itself where it ends */
		return 0;
	case HEAD:
		/* Too short to be told from any other short file. */
		return r->n < ENVELOPE_MAGIC_BYTES || memcmp(r->buf,
		    ENVELOPE_MAGIC, ENVELOPE_MAGIC_BYTES) != 0 ?
		    -EMEDIUMTYPE : -ENODATA;
	default:
		return -ENODATA;
	}
}
