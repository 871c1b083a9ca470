/* SPDX-License-Identifier: ISC */
/*
 * The numbers of persona-file(5), THE ENVELOPE, for the two halves of envelope.h
 * and nobody else.
 */
#ifndef ENVELOPE_FORMAT_H
#define ENVELOPE_FORMAT_H

#include "envelope.h"
#include "le.h"

/*
 * 0 magic   8 u16 version   10 u8 form   11 u8 slots   12 u32 bytes of all slots
 * A byte that is no ASCII and both kinds of line end: a transfer as text shows.
 */
#define ENVELOPE_MAGIC		"\x89" "PRSN" "\r\n\x1a"
#define ENVELOPE_MAGIC_BYTES	8u
#define ENVELOPE_HEAD_BYTES	16u

enum envelope_form {
	ENVELOPE_PLAIN = 0,
	ENVELOPE_ENCRYPTED = 1,
};

/* A slot: u8 type, u8 zero, u16 bytes of its body, body. */
#define ENVELOPE_SLOT_HEAD_BYTES	4u

enum envelope_slot {
	ENVELOPE_PASSPHRASE = 1,	/* salt, u32 passes, u32 KiB, wrapped key */
	ENVELOPE_HANDSET = 2,		/* sealed key */
};

#define ENVELOPE_PASSPHRASE_BYTES \
	(CRYPT_SALT_BYTES + 8u + CRYPT_WRAPPED_BYTES)
#define ENVELOPE_SLOT_BODY_MAX	ENVELOPE_PASSPHRASE_BYTES
#define ENVELOPE_SLOTS_BYTES_MAX \
	(FILE_SLOTS_MAX * (ENVELOPE_SLOT_HEAD_BYTES + ENVELOPE_SLOT_BODY_MAX))
#define ENVELOPE_HEADER_MAX	(ENVELOPE_HEAD_BYTES + ENVELOPE_SLOTS_BYTES_MAX)

/* A block: u32 bytes that follow, sealed. */
#define ENVELOPE_BLOCK_HEAD_BYTES	4u
#define ENVELOPE_SEALED_MAX	(ENVELOPE_BLOCK_BYTES + CRYPT_BLOCK_EXTRA)

/* The key of the blocks, which no other header could have. */
static inline void
envelope_stream_key(uint8_t out[CRYPT_KEY_BYTES],
    const uint8_t file_key[CRYPT_KEY_BYTES], const uint8_t *header,
    size_t header_len)
{
	static const char purpose[] = "persona file";
	uint8_t text[sizeof(purpose) + ENVELOPE_HEADER_MAX];

	memcpy(text, purpose, sizeof(purpose));
	memcpy(text + sizeof(purpose), header, header_len);
	crypt_derive(out, file_key, text, sizeof(purpose) + header_len);
}

#endif
