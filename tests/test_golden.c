/* SPDX-License-Identifier: ISC */
/*
 * What two handsets say to each other is what it was when version 1 was released:
 * every frame of tests/data/wire-1.golden is what we write today, byte for byte, and
 * what we read gives back what went in. A change of format that nobody meant ends
 * here; one that is meant needs another PROTOCOL_VERSION and another file.
 */
#include "bytes.h"
#include "digest.h"
#include "fakes/fake-space.h"
#include "frame.h"
#include "golden.h"
#include "pagecodec.h"
#include "pagedecode.h"
#include "sync.pb-c.h"
#include "unit.h"

#define FILE_NAME	"wire-1.golden"
#define ATTEMPT		0x0102030405060708ULL
#define PAGES		64u
#define MAX		65536u

static uint8_t bytes[MAX], golden[MAX];

/* --- messages --------------------------------------------------------------- */

/* Every field of what they are about has a value of its own. */
struct things {
	Persona__Spec__Disk	disk[2], *disks[2];
	Persona__Spec__Forward	forward, *forwards[1];
	Persona__Spec__Net	net;
	Persona__Spec__Limits	limits;
	Persona__Spec__Boot	kernel, initrd;
	Persona__Spec__Spec	spec;
	Persona__Transfer__Persona persona;
	Persona__Transfer__Objection objection, *objections[1];
	Persona__Transfer__Answer answer;
	uint8_t			root[32], mac[6];
};

#define SET(m, field, value)	((m).has_##field = 1, (m).field = (value))

static void
make_spec(struct things *t)
{
	for (int i = 0; i < 2; i++) {
		persona__spec__disk__init(&t->disk[i]);
		t->disk[i].bytes = (uint64_t)(i + 1) << 30;
		t->disks[i] = &t->disk[i];
	}
	SET(t->disk[1], read_only, 1);
	t->disk[1].has_template_root = 1;
	t->disk[1].template_root = (ProtobufCBinaryData){ 32, t->root };
	persona__spec__forward__init(&t->forward);
	SET(t->forward, udp, 1);
	t->forward.host = (char *)(uintptr_t)"127.0.0.1";
	t->forward.host_port = 2222;
	t->forward.guest_port = 22;
	t->forwards[0] = &t->forward;
	persona__spec__net__init(&t->net);
	t->net.mac = (ProtobufCBinaryData){ 6, t->mac };
	t->net.n_forwards = 1;
	t->net.forwards = t->forwards;
	persona__spec__limits__init(&t->limits);
	SET(t->limits, memory_bytes, 64 << 20);
	SET(t->limits, cpu_percent, 150);
	persona__spec__boot__init(&t->kernel);
	t->kernel.bytes = 7654321;
	persona__spec__boot__init(&t->initrd);
	t->initrd.bytes = 1234567;
	persona__spec__spec__init(&t->spec);
	t->spec.n_disks = 2;
	t->spec.disks = t->disks;
	t->spec.net = &t->net;
	t->spec.limits = &t->limits;
	t->spec.has_policy = 1;
	t->spec.policy = (ProtobufCBinaryData){ 6, t->mac };
	SET(t->spec, encrypted, 1);
	t->spec.arch = (char *)(uintptr_t)"x86-64";
	t->spec.kernel = &t->kernel;
	t->spec.initrd = &t->initrd;
	SET(t->spec, fresh, 1);
}

static void
make_answer(struct things *t)
{
	persona__transfer__objection__init(&t->objection);
	t->objection.reason = 9;
	t->objection.message = (char *)(uintptr_t)"there is one here";
	t->objections[0] = &t->objection;
	persona__transfer__answer__init(&t->answer);
	t->answer.n_objections = 1;
	t->answer.objections = t->objections;
	SET(t->answer, memory_needed, 100 << 20);
	SET(t->answer, memory_free, 200 << 20);
	SET(t->answer, disk_needed, 300 << 20);
	SET(t->answer, disk_free, 400 << 20);
	t->answer.cpu_highest = (char *)(uintptr_t)"x86-64-v3";
	t->answer.version = (char *)(uintptr_t)"0.1.0";
	SET(t->answer, battery_percent, 77);
	SET(t->answer, battery_charging, 1);
	t->answer.cpu_needed = (char *)(uintptr_t)"x86-64-v2";
}

static void
make_things(struct things *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned int i = 0; i < sizeof(t->root); i++)
		t->root[i] = (uint8_t)(i * 5 + 1);
	memcpy(t->mac, "\x02\x10\x20\x30\x40\x50", 6);
	make_spec(t);
	make_answer(t);
	persona__transfer__persona__init(&t->persona);
	t->persona.id = (char *)(uintptr_t)"00112233445566778899aabbccddeeff";
	t->persona.name = (char *)(uintptr_t)"work";
	t->persona.ram_bytes = 512 << 20;
	t->persona.vcpus = 2;
	t->persona.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	t->persona.tenure = 41;
	t->persona.cmdline = (char *)(uintptr_t)"console=ttyS0 quiet";
	SET(t->persona, state_version, 3);
	t->persona.spec = &t->spec;
	SET(t->persona, stored_bytes, 123456789);
}

typedef void message_fn(Persona__Sync__SyncMessage *m, struct things *t);

/* One oneof of a SyncMessage: its own message is set up by the lines between. */
#define MESSAGE(name, Name, NAME, ...) \
static void \
make_##name(Persona__Sync__SyncMessage *m, struct things *t) \
{ \
	static Persona__Sync__##Name body; \
	(void)t; \
	persona__sync__##name##__init(&body); \
	__VA_ARGS__ \
	m->kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_##NAME; \
	m->name = &body; \
}

MESSAGE(hello, Hello, HELLO, body.version = PROTOCOL_VERSION;)
MESSAGE(offer, Offer, OFFER, body.persona = &t->persona;
    SET(body, question, 1);)
MESSAGE(accept, Accept, ACCEPT, )
MESSAGE(refuse, Refuse, REFUSE, body.reason = 9;
    body.message = (char *)(uintptr_t)"there is one here";)
MESSAGE(round, Round, ROUND, body.round = 3; body.pages = 131072;
    SET(body, rate, 25000000); SET(body, eta_ms, 1500);)
MESSAGE(stop, Stop, STOP, body.state_bytes = 24000;)
MESSAGE(root, Root, ROOT,
    body.root = (ProtobufCBinaryData){ 32, t->root };)
MESSAGE(prepared, Prepared, PREPARED, body.tenure = 42;)
MESSAGE(release, Release, RELEASE, body.tenure = 42;
    body.stopped_for_ns = 33000000;)
MESSAGE(running, Running, RUNNING, body.tenure = 42;
    SET(body, blackout_ns, 44000000); SET(body, by_guest, 1);)
MESSAGE(cancel, Cancel, CANCEL, body.reason = 1;
    body.message = (char *)(uintptr_t)"called off";)

static void
make_question_answer(Persona__Sync__SyncMessage *m, struct things *t)
{
	m->kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_ANSWER;
	m->answer = &t->answer;
}

static const struct {
	const char	*name;
	message_fn	*make;
} messages[] = {
	{ "hello", make_hello }, { "offer", make_offer },
	{ "accept", make_accept }, { "refuse", make_refuse },
	{ "round", make_round }, { "stop", make_stop },
	{ "root", make_root }, { "prepared", make_prepared },
	{ "release", make_release }, { "running", make_running },
	{ "cancel", make_cancel }, { "answer", make_question_answer },
};
#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

static size_t
frame_it(uint8_t kind, uint64_t sequence, const uint8_t *payload, size_t len)
{
	const struct frame f = { .kind = kind, .length = (uint32_t)len,
	    .sequence = sequence, .attempt = ATTEMPT };

	memmove(bytes + FRAME_HEADER_BYTES, payload, len);
	frame_header_encode(bytes, &f, bytes + FRAME_HEADER_BYTES);
	return FRAME_HEADER_BYTES + len;
}

/* The frame of message i, into `bytes`. */
static size_t
make_message(size_t i)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	uint8_t payload[4096];
	struct things t;

	make_things(&t);
	messages[i].make(&m, &t);
	return frame_it(FRAME_MESSAGE, i + 1, payload,
	    persona__sync__sync_message__pack(&m, payload));
}

static size_t
make_link(void)
{
	Persona__Sync__LinkMessage m = PERSONA__SYNC__LINK_MESSAGE__INIT;
	uint8_t payload[64];

	SET(m, ack, 1000);
	SET(m, beat, 123456789012ULL);
	SET(m, echo, 98765432109ULL);
	return frame_it(FRAME_LINK, 0, payload,
	    persona__sync__link_message__pack(&m, payload));
}

static size_t
make_state(void)
{
	return frame_it(FRAME_STATE, 77, (const uint8_t *)"machine state", 13);
}

/* Of the golden file, checked as a peer's. */
static size_t
read_frame(const char *name, struct frame *f)
{
	static struct frame_parser in;
	size_t len = golden_read(FILE_NAME, name, golden, sizeof(golden));
	const uint8_t *payload;
	size_t room;

	CU_ASSERT_FATAL(len > FRAME_HEADER_BYTES - 1 && len < sizeof(golden));
	CU_ASSERT_EQUAL_FATAL(frame_parser_init(&in), 0);
	memcpy(frame_parser_space(&in, &room), golden, len);
	frame_parser_filled(&in, len);
	CU_ASSERT_EQUAL_FATAL(frame_parser_next(&in, f, &payload), 1);
	CU_ASSERT_EQUAL(f->length, len - FRAME_HEADER_BYTES);
	CU_ASSERT_EQUAL(f->attempt, ATTEMPT);
	frame_parser_fini(&in);
	return len;
}

static void
same_as_golden(size_t len, size_t golden_len)
{
	CU_ASSERT_EQUAL_FATAL(len, golden_len);
	CU_ASSERT_EQUAL(memcmp(bytes, golden, len), 0);
}

static void
messages_are_what_they_were(void)
{
	Persona__Sync__SyncMessage *m;
	uint8_t again[4096];
	struct frame f;

	for (size_t i = 0; i < N_MESSAGES; i++) {
		size_t len = read_frame(messages[i].name, &f);

		CU_ASSERT_EQUAL(f.kind, FRAME_MESSAGE);
		CU_ASSERT_EQUAL(f.sequence, i + 1);
		same_as_golden(make_message(i), len);
		m = persona__sync__sync_message__unpack(NULL, f.length,
		    golden + FRAME_HEADER_BYTES);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(m->base.n_unknown_fields, 0);
		CU_ASSERT_EQUAL_FATAL(persona__sync__sync_message__pack(m,
		    again), f.length);
		CU_ASSERT_EQUAL(memcmp(again, golden + FRAME_HEADER_BYTES,
		    f.length), 0);
		persona__sync__sync_message__free_unpacked(m, NULL);
	}
}

static void
other_frames_are_what_they_were(void)
{
	struct frame f;
	size_t len;

	len = read_frame("link", &f);
	CU_ASSERT_EQUAL(f.kind, FRAME_LINK);
	CU_ASSERT_EQUAL(f.sequence, 0);
	same_as_golden(make_link(), len);
	len = read_frame("state", &f);
	CU_ASSERT_EQUAL(f.kind, FRAME_STATE);
	CU_ASSERT_EQUAL(f.sequence, 77);
	same_as_golden(make_state(), len);
}

/* --- pages ------------------------------------------------------------------ */

/* What each page of the golden payload is. */
static void
make_page(unsigned int pfn, uint8_t *page)
{
	memset(page, 0, PAGE_BYTES);
	if (pfn == 3 || pfn == 4)		/* RAW, and KNOWN of it */
		for (unsigned int i = 0; i < PAGE_BYTES; i++)
			page[i] = (uint8_t)(i * 7 + i / 256);
	else if (pfn == 5)			/* DELTA over RAW of page 3 */
		for (unsigned int i = 0; i < PAGE_BYTES; i++)
			page[i] = i >= 100 && i < 110 ? 0xee :
			    (uint8_t)(i * 7 + i / 256);
	else if (pfn >= 10 && pfn < 13)		/* LZ4 */
		memset(page, (int)pfn, PAGE_BYTES);
	else if (pfn == 20 || pfn == 30)	/* ZSTD, not neighbours */
		memset(page, (int)pfn + 0x40, PAGE_BYTES);
}

struct out {
	uint8_t	*at;
};

static void
put(struct out *o, uint32_t v)
{
	o->at += bytes_put_varint(o->at, v);
}

static void
put_bytes(struct out *o, const void *p, size_t len)
{
	memcpy(o->at, p, len);
	o->at += len;
}

static void
put_packed(struct out *o, enum page_form form, const unsigned int *pfns,
    size_t n, const uint8_t *packed, size_t len)
{
	unsigned int next = 0;

	*o->at++ = (uint8_t)form;
	put(o, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put(o, pfns[i] - next);
		next = pfns[i] + 1;
	}
	put(o, (uint32_t)len);
	put_bytes(o, packed, len);
}

static const unsigned int lz4_pfns[] = { 10, 11, 12 }, zstd_pfns[] = { 20, 30 };

static size_t
pack_pages(int effort, const unsigned int *pfns, size_t n, uint8_t *out,
    size_t room)
{
	struct page_packer *p = NULL;
	uint8_t pages[4 * PAGE_BYTES];
	size_t len;

	fake_need(page_packer_new(&p) == 0, "page_packer_new");
	for (size_t i = 0; i < n; i++)
		make_page(pfns[i], pages + i * PAGE_BYTES);
	len = page_pack(p, effort, pages, n, out, room);
	page_packer_free(p);
	return len;
}

/*
 * One record of each form. The packed ones are given: another release of LZ4 or
 * zstd may pack better, which changes no format.
 */
static size_t
put_records(uint8_t *out, const uint8_t *lz4, size_t lz4_len,
    const uint8_t *zstd, size_t zstd_len)
{
	uint8_t raw[PAGE_BYTES], page[PAGE_BYTES], body[PAGE_DELTA_MAX];
	struct out o = { out };
	struct digest base;
	size_t len;

	*o.at++ = PAGE_ZERO;
	put(&o, 40);
	put(&o, 24);
	make_page(3, raw);
	*o.at++ = PAGE_RAW;
	put(&o, 3);
	put(&o, 1);
	put_bytes(&o, raw, PAGE_BYTES);
	*o.at++ = PAGE_KNOWN;
	put(&o, 4);
	put(&o, 3);
	*o.at++ = PAGE_KNOWN;	/* then changed: */
	put(&o, 5);
	put(&o, 3);
	make_page(5, page);
	len = page_delta_encode(raw, page, body, sizeof(body));
	digest_page(&base, raw);
	*o.at++ = PAGE_DELTA;
	put(&o, 5);
	put_bytes(&o, base.b, PAGE_BASE_BYTES);
	put(&o, (uint32_t)len);
	put_bytes(&o, body, len);
	put_packed(&o, PAGE_LZ4, lz4_pfns, 3, lz4, lz4_len);
	put_packed(&o, PAGE_ZSTD, zstd_pfns, 2, zstd, zstd_len);
	return (size_t)(o.at - out);
}

static void
pages_are_what_they_were(void)
{
	static uint8_t lz4[4096], zstd[4096], payload[MAX], want[PAGE_BYTES];
	size_t lz4_len = golden_read(FILE_NAME, "lz4", lz4, sizeof(lz4));
	size_t zstd_len = golden_read(FILE_NAME, "zstd", zstd, sizeof(zstd));
	struct space *space = fake_ram(PAGES);
	struct digest_tree *tree = NULL;
	struct decoder *d = NULL;
	struct digest root, state, again;
	struct frame f;
	size_t len;

	CU_ASSERT_FATAL(lz4_len > 0 && zstd_len > 0);
	len = read_frame("pages", &f);
	CU_ASSERT_EQUAL(f.kind, FRAME_PAGES);
	same_as_golden(frame_it(FRAME_PAGES, 50, payload,
	    put_records(payload, lz4, lz4_len, zstd, zstd_len)), len);

	CU_ASSERT_EQUAL_FATAL(digest_tree_new(&tree, PAGES), 0);
	CU_ASSERT_EQUAL_FATAL(decoder_new(&d, space, tree), 0);
	memset(fake_page(space, 41), 0xaa, 8);	/* ZERO has work to do */
	digest_page(&root, fake_page(space, 41));
	digest_tree_set(tree, 41, &root);
	CU_ASSERT_EQUAL(decoder_apply(d, golden + FRAME_HEADER_BYTES,
	    f.length), 0);
	for (unsigned int i = 0; i < PAGES; i++) {
		make_page(i, want);
		CU_ASSERT_EQUAL(memcmp(fake_page(space, i), want,
		    PAGE_BYTES), 0);
	}
	/* And all of it has the root hash that it had. */
	digest_bytes(&state, "machine state", 13);
	digest_tree_root(tree, &state, &root);
	CU_ASSERT_EQUAL(golden_read(FILE_NAME, "root-hash", again.b,
	    sizeof(again.b)), DIGEST_BYTES);
	CU_ASSERT_TRUE(digest_equal(&root, &again));
	decoder_free(d);
	digest_tree_free(tree);
	space_free(space);
}

/* --- how the file was made -------------------------------------------------- */

static int
make_file(const char *path)
{
	static uint8_t lz4[4 * PAGE_BYTES], zstd[4 * PAGE_BYTES], payload[MAX];
	size_t lz4_len = pack_pages(PAGE_EFFORT_FAST, lz4_pfns, 3, lz4,
	    sizeof(lz4));
	size_t zstd_len = pack_pages(PAGE_EFFORT_MORE, zstd_pfns, 2, zstd,
	    sizeof(zstd));
	struct digest_tree *tree = NULL;
	struct digest d, state;
	uint8_t page[PAGE_BYTES];
	FILE *f = fopen(path, "wx");

	if (f == NULL || digest_tree_new(&tree, PAGES) < 0)
		return EXIT_FAILURE;
	fputs("# Protocol version 1. Each frame with its header.\n", f);
	for (size_t i = 0; i < N_MESSAGES; i++)
		golden_write(f, messages[i].name, bytes, make_message(i));
	golden_write(f, "link", bytes, make_link());
	golden_write(f, "state", bytes, make_state());
	golden_write(f, "lz4", lz4, lz4_len);
	golden_write(f, "zstd", zstd, zstd_len);
	golden_write(f, "pages", bytes, frame_it(FRAME_PAGES, 50, payload,
	    put_records(payload, lz4, lz4_len, zstd, zstd_len)));
	for (unsigned int i = 0; i < PAGES; i++) {
		make_page(i, page);
		digest_page(&d, page);
		digest_tree_set(tree, i, &d);
	}
	digest_bytes(&state, "machine state", 13);
	digest_tree_root(tree, &state, &d);
	golden_write(f, "root-hash", d.b, DIGEST_BYTES);
	digest_tree_free(tree);
	return fclose(f) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "messages are what they were", messages_are_what_they_were },
		{ "other frames are what they were",
		    other_frames_are_what_they_were },
		{ "pages and their root hash are what they were",
		    pages_are_what_they_were },
	};

	if (argc == 3 && strcmp(argv[1], "--make") == 0)
		return make_file(argv[2]);
	return unit_main("golden", tests, sizeof(tests) / sizeof(tests[0]));
}
