/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the first byte says who we are and how the person answers, the
 * rest is what a stranger sends during a pairing. Whatever it is, it may end
 * the pairing, but never pair: nobody can forge the other person's verdict.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "pairing.h"

enum {
	INITIATOR = 1 << 0,
	ANSWERS = 1 << 1,
	SAYS_SAME = 1 << 2,
	PIECEMEAL = 1 << 3,
};

static struct pairing *
begin(bool initiator)
{
	/* Two keys, or the seeds would end at the mirror's refusal. */
	const uint8_t point[PUBKEY_POINT_BYTES] = { initiator ? 7 : 8 };
	struct pairing_handset own = { .name = "phone", .port = 1 };
	struct pairing *p;

	pubkey_from_point(point, own.key);
	if (pairing_new(&p, initiator ? PAIRING_INITIATOR : PAIRING_RESPONDER,
	    &own, 1000, 0) < 0)
		abort();
	return p;
}

void
fuzz_one(const uint8_t *data, size_t len)
{
	const uint8_t mode = len > 0 ? data[0] : 0;
	const size_t step = mode & PIECEMEAL ? 3 : FUZZ_MAX_BYTES;
	struct pairing *p = begin(mode & INITIATOR);
	size_t out;

	for (size_t at = 1; at < len; at += step) {
		pairing_input(p, data + at, len - at < step ? len - at : step,
		    at);
		if (mode & ANSWERS)
			pairing_answer(p, mode & SAYS_SAME);
	}
	if (pairing_peer(p) != NULL &&
	    strlen(pairing_digits(p)) != PAIRING_DIGITS)
		abort();
	pairing_input_end(p);
	(void)pairing_output(p, &out);
	if (pairing_state(p) == PAIRING_PAIRED || pairing_message(p) == NULL ||
	    !pairing_ended(pairing_state(p)))
		abort();
	pairing_free(p);
}

/* What the two sides of a true pairing send, up to the digits. */
static size_t
speech(bool of_initiator, uint8_t *buf, size_t max)
{
	struct pairing *a = begin(true), *b = begin(false);
	size_t n = 0, len;
	const void *data;

	for (int turn = 0; turn < 3; turn++) {
		struct pairing *from = turn == 1 ? b : a;
		struct pairing *to = turn == 1 ? a : b;

		data = pairing_output(from, &len);
		if ((turn != 1) == of_initiator && len <= max - n) {
			memcpy(buf + n, data, len);
			n += len;
		}
		pairing_input(to, data, len, 0);
		pairing_output_done(from, len);
	}
	pairing_free(a);
	pairing_free(b);
	return n;
}

size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	if (i >= 16)
		return 0;
	buf[0] = (uint8_t)i;
	return 1 + speech(!(i & INITIATOR), buf + 1, max - 1);
}
