/* SPDX-License-Identifier: ISC */
/*
 * Everything a peer can send, wrong: frames, page payloads and messages, damaged
 * at random from good ones. "make check" runs a fixed number of cases from a fixed
 * seed; with a file as argument, that file's bytes are one case (for a fuzzer).
 * Passing is not crashing: run it with the sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "digest.h"
#include "fakes/fake-space.h"
#include "fakes/stream-mem.h"
#include "frame.h"
#include "log.h"
#include "pagedecode.h"
#include "pageencode.h"
#include "random.h"
#include "sync-ask.h"
#include "sync-receive.h"
#include "sync-send.h"

#define PAGES	256u
#define CASES	4000
#define BIG	((size_t)192 << 10)

static uint64_t rnd = RANDOM_SEED;

static uint64_t
next_random(void)
{
	return random_next(&rnd);
}

static void
damage(uint8_t *data, size_t len)
{
	for (uint64_t n = next_random() % 6; len > 0 && n > 0; n--) {
		size_t at = next_random() % (len < 200 || n % 2 ? len : 200);

		switch (next_random() % 3) {
		case 0:
			data[at] ^= (uint8_t)(1 << next_random() % 8);
			break;
		case 1:
			data[at] = (uint8_t)next_random();
			break;
		default:
			data[at] = next_random() % 2 ? 0xff : 0;
		}
	}
}

/* --- page payloads ----------------------------------------------------------- */

static void
change_pages(struct space *s)
{
	for (int i = 0; i < 40; i++) {
		uint64_t v = next_random();
		uint8_t *page = fake_page(s, v % PAGES);

		if (v >> 20 & 1)
			memset(page, (int)(v >> 8 & 3), PAGE_BYTES / 2);
		else
			memcpy(page + (v >> 32) % 4000, &v, sizeof(v));
	}
}

static void
try_payload(const uint8_t *payload, size_t len, struct decoder *d)
{
	/* Exactly as long as said, so that one byte beyond is seen. */
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		exit(EXIT_FAILURE);
	memcpy(copy, payload, len);
	(void)decoder_apply(d, copy, len);
	free(copy);
}

static void
fuzz_payloads(int cases)
{
	struct digest_tree *tree, *tree2;
	static uint8_t bad[FRAME_PAYLOAD_MAX];
	struct space *ram = fake_ram(PAGES), *copy = fake_ram(PAGES);
	struct encoder *e;
	struct decoder *d;

	if (digest_tree_new(&tree, PAGES) < 0 ||
	    digest_tree_new(&tree2, PAGES) < 0 ||
	    encoder_new(&e, tree, PAGES, PAGES * PAGE_BYTES) < 0 ||
	    decoder_new(&d, copy, tree2) < 0)
		exit(EXIT_FAILURE);
	while (cases > 0) {
		const uint8_t *payload;
		size_t len;

		change_pages(ram);
		for (uint64_t pfn = 0; pfn < PAGES; pfn++)
			if (encoder_add(e, pfn, fake_page(ram, pfn)) < 0)
				break;
		len = encoder_take(e, true, &payload);
		for (int i = 0; i < 20; i++, cases--) {
			memcpy(bad, payload, len);
			damage(bad, len);
			try_payload(bad, next_random() % 8 ? len :
			    next_random() % (len + 1), d);
		}
		try_payload(payload, len, d);
	}
	encoder_free(e);
	decoder_free(d);
	digest_tree_free(tree);
	digest_tree_free(tree2);
	space_free(ram);
	space_free(copy);
}

/* --- frames and messages, into a real engine ---------------------------------- */

struct world {
	uint64_t	now_ns;
	bool		ended;
	struct sync_receive *receive;
};

static uint64_t
w_now(void *arg)
{
	return ((struct world *)arg)->now_ns += 1000000;
}

static void
w_again(void *arg)
{
	(void)arg;
}

static void
w_offered(void *arg, uint64_t attempt, const Persona__Transfer__Persona *p)
{
	(void)arg;
	(void)attempt;
	(void)p;
}

/* Answered at once, as if this handset had room. */
static void
w_asked(void *arg, uint64_t attempt, const Persona__Transfer__Persona *p)
{
	Persona__Transfer__Answer answer = PERSONA__TRANSFER__ANSWER__INIT;
	struct world *w = arg;

	(void)attempt;
	(void)p;
	sync_receive_answer(w->receive, &answer);
}

static void
w_verified(void *arg, const void *state, size_t len)
{
	(void)arg;
	(void)state;
	(void)len;
}

static void
w_released(void *arg, uint64_t tenure, uint64_t ns)
{
	(void)arg;
	(void)tenure;
	(void)ns;
}

static void
w_progress(void *arg, const struct sync_progress *p)
{
	(void)arg;
	(void)p;
}

static void
w_ended(void *arg, uint32_t reason, const char *text)
{
	(void)reason;
	(void)text;
	((struct world *)arg)->ended = true;
}

static size_t
put_frame(uint8_t *out, uint8_t kind, uint64_t sequence, const uint8_t *payload,
    size_t len)
{
	struct frame f = { .kind = kind, .sequence = sequence, .attempt = 7,
	    .length = (uint32_t)len };

	frame_header_encode(out, &f, payload);
	memcpy(out + FRAME_HEADER_BYTES, payload, len);
	return FRAME_HEADER_BYTES + len;
}

static size_t
pack(uint8_t *out, Persona__Sync__SyncMessage *m)
{
	return persona__sync__sync_message__pack(m, out);
}

/* A plausible talk: every kind of message, some in the wrong place. */
static size_t
make_talk(uint8_t *out)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Hello hello = PERSONA__SYNC__HELLO__INIT;
	Persona__Sync__Offer offer = PERSONA__SYNC__OFFER__INIT;
	Persona__Sync__Stop stop = PERSONA__SYNC__STOP__INIT;
	Persona__Sync__Release release = PERSONA__SYNC__RELEASE__INIT;
	Persona__Transfer__Persona persona = PERSONA__TRANSFER__PERSONA__INIT;
	uint8_t buf[2048];
	size_t len = 0, n;
	uint64_t seq = 1;

	hello.version = PROTOCOL_VERSION;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_HELLO;
	m.hello = &hello;
	n = pack(buf, &m);
	damage(buf, next_random() % 4 ? 0 : n);
	len += put_frame(out + len, FRAME_MESSAGE, seq++, buf, n);
	persona.id = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	persona.name = (char *)(uintptr_t)"work";
	persona.ram_bytes = RAM_MIN_BYTES;
	persona.vcpus = 1;
	persona.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	offer.persona = &persona;
	offer.has_question = offer.question = next_random() % 2;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_OFFER;
	m.offer = &offer;
	n = pack(buf, &m);
	damage(buf, next_random() % 2 ? 0 : n);
	len += put_frame(out + len, FRAME_MESSAGE, seq++, buf, n);
	stop.state_bytes = next_random();
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_STOP;
	m.stop = &stop;
	n = pack(buf, &m);
	len += put_frame(out + len, FRAME_MESSAGE, seq++, buf, n);
	release.tenure = next_random();
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_RELEASE;
	m.release = &release;
	n = pack(buf, &m);
	len += put_frame(out + len, (uint8_t)(1 + next_random() % FRAME_KIND_MAX),
	    next_random() % 5, buf, n);
	return len;
}

static void
one_talk(const uint8_t *data, size_t len)
{
	static const struct sync_receive_ops ops = {
		.now_ns = w_now, .again = w_again, .offered = w_offered,
		.asked = w_asked,
		.verified = w_verified, .released = w_released,
		.progress = w_progress, .ended = w_ended,
	};
	static const struct stream_mem_config cfg = { .capacity = BIG };
	struct world w = { .now_ns = 1000 };
	struct stream_mem *link;
	struct sync_receive *r;
	struct stream *ends[2];

	if (stream_mem_open(&link, ends, &cfg) < 0 ||
	    sync_receive_new(&r, &ops, &w) < 0 ||
	    sync_receive_add_stream(r, ends[0]) < 0)
		exit(EXIT_FAILURE);
	w.receive = r;
	(void)stream_write(ends[1], data, len);
	for (int i = 0; i < 3; i++) {
		(void)stream_mem_step(link);
		sync_receive_tick(r);
	}
	sync_receive_free(r);
	stream_close(ends[1]);
	stream_mem_free(link);
}

static void
fuzz_talks(int cases)
{
	static uint8_t talk[16384];

	for (; cases > 0; cases--) {
		size_t len = make_talk(talk);

		if (next_random() % 3 == 0)
			damage(talk, len);
		one_talk(talk, len);
	}
}

/* --- answers of a peer, as they are shown to a person ------------------------- */

static void
one_answer(const uint8_t *data, size_t len)
{
	Persona__Transfer__Answer *a;

	a = persona__transfer__answer__unpack(NULL, len, data);
	if (a == NULL)
		return;
	if (sync_ask_check_answer(a) == 0) {
		if (a->n_objections > OBJECTIONS_MAX)
			abort();
		for (size_t i = 0; i < a->n_objections; i++)
			if (strlen(a->objections[i]->message) > REASON_TEXT_MAX)
				abort();
	}
	persona__transfer__answer__free_unpacked(a, NULL);
}

static void
fuzz_answers(int cases)
{
	Persona__Transfer__Objection o = PERSONA__TRANSFER__OBJECTION__INIT;
	Persona__Transfer__Objection *list[OBJECTIONS_MAX + 4];
	Persona__Transfer__Answer a = PERSONA__TRANSFER__ANSWER__INIT;
	static uint8_t packed[8192];
	size_t len;

	o.reason = 8;
	o.message = (char *)(uintptr_t)"no room";
	for (size_t i = 0; i < OBJECTIONS_MAX + 4; i++)
		list[i] = &o;
	a.objections = list;
	a.cpu_highest = (char *)(uintptr_t)"x86-64-v3";
	a.has_battery_percent = true;
	for (; cases > 0; cases--) {
		a.n_objections = next_random() % (OBJECTIONS_MAX + 4);
		a.battery_percent = (uint32_t)next_random();
		len = persona__transfer__answer__pack(&a, packed);
		damage(packed, len);
		one_answer(packed, len);
	}
}

static int
one_file(const char *path)
{
	static uint8_t data[BIG];
	struct digest_tree *tree;
	struct space *copy = fake_ram(PAGES);
	struct decoder *d;
	FILE *f = fopen(path, "rb");
	size_t len;

	if (f == NULL)
		return EXIT_FAILURE;
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	if (digest_tree_new(&tree, PAGES) < 0 ||
	    decoder_new(&d, copy, tree) < 0)
		return EXIT_FAILURE;
	try_payload(data, len, d);
	decoder_free(d);
	digest_tree_free(tree);
	space_free(copy);
	one_talk(data, len);
	one_answer(data, len);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	log_init("fuzz-sync", LOG_ERR);
	if (argc > 1)
		return one_file(argv[1]);
	fuzz_payloads(CASES);
	fuzz_talks(CASES);
	fuzz_answers(CASES);
	puts("fuzz-sync: nothing broke");
	return EXIT_SUCCESS;
}
