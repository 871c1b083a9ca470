/* SPDX-License-Identifier: ISC */
/*
 * Wraps a payload into a persona file's envelope, plain or encrypted. Knows no
 * file: bytes leave through a function.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "envelope-format.h"

struct envelope_writer {
	envelope_out_fn		*out;
	void			*arg;
	uint64_t		written;
	struct crypt_stream	*stream;	/* NULL: plain */
	size_t			n;		/* bytes waiting in block */
	uint8_t			block[ENVELOPE_BLOCK_BYTES];
	uint8_t			sealed[ENVELOPE_BLOCK_HEAD_BYTES +
				    ENVELOPE_SEALED_MAX];
};

static int
emit(struct envelope_writer *w, const void *data, size_t len)
{
	w->written += len;
	return w->out(w->arg, data, len);
}

/* --- the header ------------------------------------------------------------------- */

static uint8_t *
put_slot(uint8_t *p, enum envelope_slot type, uint16_t len)
{
	p[0] = (uint8_t)type;
	p[1] = 0;
	le_put16(p + 2, len);
	return p + ENVELOPE_SLOT_HEAD_BYTES;
}

static int
put_passphrase(uint8_t **pp, const struct envelope_lock *lock,
    const uint8_t file_key[CRYPT_KEY_BYTES])
{
	uint8_t key[CRYPT_KEY_BYTES];
	uint8_t *p = put_slot(*pp, ENVELOPE_PASSPHRASE,
	    ENVELOPE_PASSPHRASE_BYTES);
	int r;

	crypt_random(p, CRYPT_SALT_BYTES);
	r = crypt_passphrase_key(key, lock->passphrase, lock->passphrase_len,
	    p, &lock->cost);
	if (r < 0)
		return r;
	p += CRYPT_SALT_BYTES;
	le_put32(p, lock->cost.passes);
	le_put32(p + 4, lock->cost.memory_kib);
	crypt_wrap(p + 8, file_key, key);
	crypt_forget(key, sizeof(key));
	*pp = p + 8 + CRYPT_WRAPPED_BYTES;
	return 0;
}

/* One slot for each who may open it; *end is where they end. */
static int
put_slots(uint8_t *p, const struct envelope_lock *lock,
    const uint8_t file_key[CRYPT_KEY_BYTES], uint8_t **end)
{
	int r = 0;

	if (lock->passphrase != NULL)
		r = put_passphrase(&p, lock, file_key);
	for (size_t i = 0; i < lock->n_points && r == 0; i++) {
		p = put_slot(p, ENVELOPE_HANDSET, CRYPT_SEALED_BYTES);
		r = crypt_seal(p, file_key, lock->points[i]);
		p += CRYPT_SEALED_BYTES;
	}
	*end = p;
	return r;
}

static void
put_head(uint8_t head[ENVELOPE_HEAD_BYTES], enum envelope_form form,
    size_t n_slots, size_t slot_bytes)
{
	memcpy(head, ENVELOPE_MAGIC, ENVELOPE_MAGIC_BYTES);
	le_put16(head + 8, FILE_VERSION);
	head[10] = (uint8_t)form;
	head[11] = (uint8_t)n_slots;
	le_put32(head + 12, (uint32_t)slot_bytes);
}

static int
begin_encrypted(struct envelope_writer *w, const struct envelope_lock *lock)
{
	uint8_t header[ENVELOPE_HEADER_MAX], *slots, *end;
	uint8_t file_key[CRYPT_KEY_BYTES], key[CRYPT_KEY_BYTES];
	uint8_t head[CRYPT_STREAM_HEAD_BYTES];
	size_t n_slots = lock->n_points + (lock->passphrase != NULL);
	int r;

	slots = header + ENVELOPE_HEAD_BYTES;
	crypt_random(file_key, sizeof(file_key));
	if ((r = put_slots(slots, lock, file_key, &end)) < 0)
		goto out;
	put_head(header, ENVELOPE_ENCRYPTED, n_slots, (size_t)(end - slots));
	envelope_stream_key(key, file_key, header, (size_t)(end - header));
	if ((r = crypt_stream_write(&w->stream, key, head)) < 0 ||
	    (r = emit(w, header, (size_t)(end - header))) < 0)
		goto out;
	r = emit(w, head, sizeof(head));
out:
	crypt_forget(file_key, sizeof(file_key));
	crypt_forget(key, sizeof(key));
	return r;
}

static int
begin_plain(struct envelope_writer *w)
{
	uint8_t head[ENVELOPE_HEAD_BYTES];

	put_head(head, ENVELOPE_PLAIN, 0, 0);
	return emit(w, head, sizeof(head));
}

int
envelope_writer_new(struct envelope_writer **wp,
    const struct envelope_lock *lock, envelope_out_fn *out, void *arg)
{
	bool locked = lock->passphrase != NULL || lock->n_points > 0;
	struct envelope_writer *w;
	int r;

	if (lock->n_points + (lock->passphrase != NULL) > FILE_SLOTS_MAX)
		return -EINVAL;
	if (lock->passphrase != NULL && (lock->passphrase_len == 0 ||
	    lock->passphrase_len > PASSPHRASE_MAX))
		return -EINVAL;
	if ((r = crypt_init()) < 0)
		return r;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->out = out;
	w->arg = arg;
	if ((r = locked ? begin_encrypted(w, lock) : begin_plain(w)) < 0) {
		envelope_writer_free(w);
		return r;
	}
	*wp = w;
	return 0;
}

void
envelope_writer_free(struct envelope_writer *w)
{
	if (w == NULL)
		return;
	crypt_stream_free(w->stream);
	crypt_forget(w->block, sizeof(w->block));
	free(w);
}

uint64_t
envelope_written(const struct envelope_writer *w)
{
	return w->written;
}

/* --- the payload ------------------------------------------------------------------- */

static int
flush_block(struct envelope_writer *w, bool last)
{
	size_t len = w->n + CRYPT_BLOCK_EXTRA;

	le_put32(w->sealed, (uint32_t)len);
	crypt_stream_push(w->stream, w->sealed + ENVELOPE_BLOCK_HEAD_BYTES,
	    w->block, w->n, last);
	w->n = 0;
	return emit(w, w->sealed, ENVELOPE_BLOCK_HEAD_BYTES + len);
}

int
envelope_write(struct envelope_writer *w, const void *data, size_t len)
{
	const uint8_t *p = data;
	int r;

	if (w->stream == NULL)
		return emit(w, data, len);
	while (len > 0) {
		size_t n = sizeof(w->block) - w->n;

		/* A full block waits, as it might be the last. */
		if (n == 0) {
			if ((r = flush_block(w, false)) < 0)
				return r;
			continue;
		}
		if (n > len)
			n = len;
		memcpy(w->block + w->n, p, n);
		w->n += n;
		p += n;
		len -= n;
	}
	return 0;
}

int
envelope_finish(struct envelope_writer *w)
{
	return w->stream == NULL ? 0 : flush_block(w, true);
}
