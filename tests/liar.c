/* SPDX-License-Identifier: ISC */
/*
 * A paired handset that lies: speaks to persona-sync receive through the real sshd
 * and gate, well up to a point, and then as told. Knows no story: what must have
 * become of the target is the caller's to see.
 *
 *   liar LIE COMMAND...	COMMAND's standard input and output are the stream
 *
 * Prints what the target said last; exits 0 when it closed the stream, 1 when it
 * has not within LIFE_S seconds.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounds.h"
#include "digest.h"
#include "frame.h"
#include "pagecodec.h"
#include "sync.pb-c.h"

#define LIFE_S		30
#define RAM_BYTES	(64u << 20)
#define KIND(k)		PERSONA__SYNC__SYNC_MESSAGE__KIND_##k

struct liar {
	int		in, out;
	uint64_t	sequence;
	struct frame_parser parser;
};

static void
say_bytes(struct liar *l, const void *data, size_t len)
{
	if (write(l->out, data, len) != (ssize_t)len)
		printf("liar: the stream takes no more\n");
}

static void
say(struct liar *l, uint8_t kind, const void *payload, size_t len)
{
	struct frame f = { .kind = kind, .length = (uint32_t)len,
	    .sequence = ++l->sequence, .attempt = 1 };
	uint8_t header[FRAME_HEADER_BYTES];

	frame_header_encode(header, &f, payload);
	say_bytes(l, header, sizeof(header));
	say_bytes(l, payload, len);
}

static void
say_message(struct liar *l, const Persona__Sync__SyncMessage *m)
{
	uint8_t buf[4096];

	say(l, FRAME_MESSAGE, buf, persona__sync__sync_message__pack(m, buf));
}

static void
say_hello(struct liar *l)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Hello hello = PERSONA__SYNC__HELLO__INIT;

	hello.version = PROTOCOL_VERSION;
	m.kind_case = KIND(HELLO);
	m.hello = &hello;
	say_message(l, &m);
}

static void
say_offer(struct liar *l, const char *name, uint64_t ram_bytes)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Offer offer = PERSONA__SYNC__OFFER__INIT;
	Persona__Transfer__Persona p = PERSONA__TRANSFER__PERSONA__INIT;

	p.id = (char *)(uintptr_t)"00112233445566778899aabbccddeeff";
	p.name = (char *)(uintptr_t)name;
	p.ram_bytes = ram_bytes;
	p.vcpus = 1;
	p.cpu_baseline = (char *)(uintptr_t)"x86-64-v1";
	p.tenure = 1;
	offer.persona = &p;
	m.kind_case = KIND(OFFER);
	m.offer = &offer;
	say_message(l, &m);
}

static void
say_stop(struct liar *l, const char *state, uint64_t claimed)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Stop stop = PERSONA__SYNC__STOP__INIT;

	stop.state_bytes = claimed;
	m.kind_case = KIND(STOP);
	m.stop = &stop;
	say_message(l, &m);
	say(l, FRAME_STATE, state, strlen(state));
}

/* The true root of memory that is all zero, with this state; or not. */
static void
say_root(struct liar *l, const char *state, uint8_t wrong)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Root root = PERSONA__SYNC__ROOT__INIT;
	struct digest_tree *tree;
	struct digest d, all;

	if (digest_tree_new(&tree, RAM_BYTES / PAGE_BYTES) < 0)
		exit(2);
	digest_bytes(&d, state, strlen(state));
	digest_tree_root(tree, &d, &all);
	digest_tree_free(tree);
	all.b[0] ^= wrong;
	root.root.data = all.b;
	root.root.len = sizeof(all.b);
	m.kind_case = KIND(ROOT);
	m.root = &root;
	say_message(l, &m);
}

static void
say_release(struct liar *l)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Release release = PERSONA__SYNC__RELEASE__INIT;

	release.tenure = 2;
	m.kind_case = KIND(RELEASE);
	m.release = &release;
	say_message(l, &m);
}

/* --- listening ---------------------------------------------------------------- */

/* What a frame of the target is, or 0 for a heartbeat and the like. */
static int
heard(const struct frame *f, const uint8_t *payload)
{
	Persona__Sync__SyncMessage *m;
	int kind = 0;

	if (f->kind != FRAME_MESSAGE || (m = persona__sync__sync_message__unpack(
	    NULL, f->length, payload)) == NULL)
		return 0;
	kind = (int)m->kind_case;
	if (m->kind_case == KIND(CANCEL))
		printf("cancel %u %s\n", m->cancel->reason,
		    m->cancel->message != NULL ? m->cancel->message : "");
	else if (m->kind_case == KIND(REFUSE))
		printf("refuse %u %s\n", m->refuse->reason, m->refuse->message);
	persona__sync__sync_message__free_unpacked(m, NULL);
	return kind;
}

/* Until such a message has come: 1; 0 when the stream has ended. */
static int
listen_for(struct liar *l, int kind)
{
	const uint8_t *payload;
	struct frame f;
	uint8_t *space;
	size_t room;
	ssize_t n;

	for (;;) {
		while (frame_parser_next(&l->parser, &f, &payload) == 1)
			if (heard(&f, payload) == kind)
				return 1;
		space = frame_parser_space(&l->parser, &room);
		n = read(l->in, space, room);
		if (n <= 0)
			return 0;
		frame_parser_filled(&l->parser, (size_t)n);
	}
}

static void
until_accepted(struct liar *l)
{
	say_hello(l);
	say_offer(l, "liar", RAM_BYTES);
	if (!listen_for(l, KIND(ACCEPT)))
		printf("liar: not accepted\n");
}

/* --- the lies ------------------------------------------------------------------ */

static void
lie_nothing(struct liar *l)
{
	(void)l;
}

static void
lie_garbage(struct liar *l)
{
	uint8_t noise[8192];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761u >> 13);
	say_bytes(l, noise, sizeof(noise));
}

/* A header that claims four gigabytes. */
static void
lie_length(struct liar *l)
{
	uint8_t header[FRAME_HEADER_BYTES];
	struct frame f = { .kind = FRAME_PAGES, .sequence = 1, .attempt = 1 };

	frame_header_encode(header, &f, "");
	memset(header + 4, 0xff, 4);
	say_bytes(l, header, sizeof(header));
}

static void
lie_name(struct liar *l)
{
	say_hello(l);
	say_offer(l, "../../etc", RAM_BYTES);
}

static void
lie_memory(struct liar *l)
{
	say_hello(l);
	say_offer(l, "liar", UINT64_MAX - 4095);
}

static void
lie_early_pages(struct liar *l)
{
	static const uint8_t zeros[] = { PAGE_ZERO, 0, 1 };

	say_hello(l);
	say(l, FRAME_PAGES, zeros, sizeof(zeros));
}

/* The page behind the last one, and 2^63 of them. */
static void
lie_page(struct liar *l)
{
	static const uint8_t record[] = { PAGE_ZERO, 0x80, 0x80, 0x01,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };

	until_accepted(l);
	say(l, FRAME_PAGES, record, sizeof(record));
}

static void
lie_packed(struct liar *l)
{
	uint8_t record[300] = { PAGE_LZ4, 32 };

	until_accepted(l);
	memset(record + 34, 0xff, sizeof(record) - 34);
	say(l, FRAME_PAGES, record, sizeof(record));
}

static void
lie_root(struct liar *l)
{
	until_accepted(l);
	say_stop(l, "state", 5);
	say_root(l, "state", 1);
}

/* Everything is as promised, but no machine ever had such a state. */
static void
lie_state(struct liar *l)
{
	static const char state[] = "\x0a\xff\xff\xff\xff\x0f no state at all";

	until_accepted(l);
	say_stop(l, state, strlen(state));
	say_root(l, state, 0);
}

static void
lie_state_bytes(struct liar *l)
{
	until_accepted(l);
	say_stop(l, "state", UINT64_MAX);
}

/* "It is yours", for something that was never complete. */
static void
lie_release(struct liar *l)
{
	until_accepted(l);
	say_release(l);
}

static void
lie_stall(struct liar *l)
{
	until_accepted(l);
}

static const struct {
	const char	*name;
	void		(*tell)(struct liar *l);
} lies[] = {
	{ "nothing", lie_nothing },
	{ "garbage", lie_garbage },
	{ "length", lie_length },
	{ "name", lie_name },
	{ "memory", lie_memory },
	{ "early-pages", lie_early_pages },
	{ "page", lie_page },
	{ "packed", lie_packed },
	{ "root", lie_root },
	{ "state", lie_state },
	{ "state-bytes", lie_state_bytes },
	{ "release", lie_release },
	{ "stall", lie_stall },
};

/* --- the program ---------------------------------------------------------------- */

static void
start(struct liar *l, char **argv)
{
	int to[2], from[2];

	if (pipe(to) < 0 || pipe(from) < 0)
		exit(2);
	switch (fork()) {
	case -1:
		exit(2);
	case 0:
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[1]);
		close(from[0]);
		execvp(argv[0], argv);
		_exit(127);
	default:
		close(to[0]);
		close(from[1]);
		l->out = to[1];
		l->in = from[0];
	}
}

int
main(int argc, char **argv)
{
	struct liar l = { .in = -1 };

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		if (strcmp(argv[1], lies[i].name) != 0)
			continue;
		start(&l, argv + 2);
		if (frame_parser_init(&l.parser) < 0)
			return 2;
		alarm(LIFE_S);
		lies[i].tell(&l);
		(void)listen_for(&l, -1);
		printf("closed\n");
		close(l.out);
		return 0;
	}
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		printf("%s\n", lies[i].name);
	return 2;
}
