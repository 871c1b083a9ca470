/* SPDX-License-Identifier: ISC */
/*
 * The outside of a persona file: magic, version, and for an encrypted one the key
 * slots and the blocks (persona-file(5), THE ENVELOPE). Bytes go in at one side and
 * come out at the other, in one pass. Knows no persona, no descriptor and not what
 * the payload means.
 *
 * Every file is encrypted with a random key of its own; each slot holds that key,
 * hidden by a passphrase or sealed to a handset.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "crypt.h"

#define ENVELOPE_BLOCK_BYTES	(64u << 10)

/* --- writing --------------------------------------------------------------------- */

/* Who may open the file; with neither passphrase nor points it is plain. */
struct envelope_lock {
	const void		*passphrase;	/* NULL: none */
	size_t			passphrase_len;	/* 1..PASSPHRASE_MAX */
	struct crypt_cost	cost;
	uint8_t			points[FILE_SLOTS_MAX][CRYPT_POINT_BYTES];
	size_t			n_points;	/* handsets */
};

/* Where bytes of the file go. 0 or -errno, which ends the writing. */
typedef int envelope_out_fn(void *arg, const void *data, size_t len);

struct envelope_writer;

/*
 * Begin a file; its header is written. `lock` is not kept. 0; -EINVAL for a lock
 * that cannot be (no such key, too many); else -errno, also `out`'s.
 */
int	envelope_writer_new(struct envelope_writer **wp,
	    const struct envelope_lock *lock, envelope_out_fn *out, void *arg);
void	envelope_writer_free(struct envelope_writer *w);

/* More of the payload. 0, or -errno also of `out`; then the file is of no use. */
int	envelope_write(struct envelope_writer *w, const void *data, size_t len);

/* The payload is complete. Nothing may be written after. As envelope_write(). */
int	envelope_finish(struct envelope_writer *w);

/* Bytes of the file so far. */
uint64_t envelope_written(const struct envelope_writer *w);

/* --- reading --------------------------------------------------------------------- */

struct envelope_reader;

/* 0 or -ENOMEM. What it holds is bounded whatever it is fed. */
int	envelope_reader_new(struct envelope_reader **rp);
void	envelope_reader_free(struct envelope_reader *r);

/*
 * Take bytes of the file (*used of them) and give the next piece of the payload,
 * valid until the next call. An empty piece: more bytes are needed. 0;
 *	-EMEDIUMTYPE	no persona file
 *	-ENOTSUP	of a newer version
 *	-ENOKEY		encrypted: unlock it, then call again
 *	-EBADMSG	damaged, or changed by somebody
 *	-E2BIG		goes on after its end
 */
int	envelope_read(struct envelope_reader *r, const uint8_t *data,
	    size_t len, size_t *used, const uint8_t **piece, size_t *piece_len);

/* No more bytes come: 0 when the file is whole, else -ENODATA or -EMEDIUMTYPE. */
int	envelope_end(const struct envelope_reader *r);

/*
 * Ways to open a file that wants a key. A passphrase: 0; -EKEYREJECTED; -ENOENT
 * when there is no slot for one; -ENOMEM; -EBADMSG.
 */
bool	envelope_wants_passphrase(const struct envelope_reader *r);
int	envelope_unlock_passphrase(struct envelope_reader *r,
	    const void *passphrase, size_t len);

/* The i-th key sealed to some handset, or NULL after the last. */
const uint8_t *envelope_sealed(const struct envelope_reader *r, size_t i);

/* With the file's own key, from unsealing. Wrong ones show as -EBADMSG. */
void	envelope_unlock_key(struct envelope_reader *r,
	    const uint8_t key[CRYPT_KEY_BYTES]);

#endif
