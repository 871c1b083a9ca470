/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a persona file, whoever made it. It may be refused in any way, but
 * nothing crashes and nothing is written outside its regions. Seeds are a plain and
 * an encrypted file, and the plain one without its end, whose records are judged
 * one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "fakes/file-bed.h"
#include "fuzz/fuzz.h"

#define PASSPHRASE	"fuzz"
#define END_BYTES	88u	/* the last record */

void
fuzz_one(const uint8_t *data, size_t len)
{
	static const struct bed_key key = { .passphrase = PASSPHRASE };
	struct bed_result r;

	/* The first byte says in which pieces it comes. */
	if (len == 0)
		return;
	(void)bed_read(data + 1, len - 1, data[0], &key, &r);
	bed_result_fini(&r);
}

struct seed {
	uint8_t	*data;		/* made once */
	size_t	len;
};

/* What is cut off leaves records that are judged one by one. */
static void
make_seed(struct seed *s, const struct envelope_lock *lock, size_t cut)
{
	struct bed_file f = { .data = NULL };
	struct bed_persona p;

	bed_persona_init(&p, PERSONA__IMAGE__MANIFEST__KIND__STOPPED);
	if (bed_file_out(&f, "", 1) < 0 || bed_write(&f, &p, lock, NULL) < 0)
		abort();
	bed_persona_fini(&p);
	s->data = f.data;
	s->len = f.len - cut;
}

size_t
fuzz_seed(unsigned int i, uint8_t *buf, size_t max)
{
	static const struct envelope_lock plain;
	/* The cheapest there is: each try costs the passphrase. */
	static const struct envelope_lock locked = { .passphrase = PASSPHRASE,
	    .passphrase_len = sizeof(PASSPHRASE) - 1,
	    .cost = { .passes = 1, .memory_kib = CRYPT_COST_MEMORY_KIB_MIN } };
	static struct seed seeds[3];

	if (i >= 3)
		return 0;
	if (seeds[i].data == NULL)
		make_seed(&seeds[i], i == 2 ? &locked : &plain,
		    i == 1 ? END_BYTES : 0);
	if (seeds[i].len > max)
		abort();
	memcpy(buf, seeds[i].data, seeds[i].len);
	return seeds[i].len;
}
