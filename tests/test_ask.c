/* SPDX-License-Identifier: ISC */
/*
 * A question against the engine that receives it, over streams in memory: what is
 * answered, what is measured, and what a peer that lies or stays silent can do.
 */
#include <string.h>

#include "fakes/fake-space.h"
#include "fakes/stream-mem.h"
#include "log.h"
#include "reason.h"
#include "sync-ask.h"
#include "sync-receive.h"
#include "unit.h"

#define MS		1000000ULL
#define PAGES		(RAM_MIN_BYTES / PAGE_BYTES)
#define FILLED		1000u
#define HOT		50u	/* pages, dirtied in each window */
#define STEP_BYTES	2500u	/* a millisecond: 20 Mbit/s */

struct bed {
	uint64_t		now_ns;
	struct stream_mem	*link;
	struct sync_ask		*ask;
	struct sync_receive	*receive;
	struct space		*space;
	uint64_t		dirty[PAGES / 64];
	Persona__Transfer__Answer answer;	/* what will be said */
	bool			silent, harvest_due;
	bool			offered, answered, ask_ended, receive_ended;
	uint32_t		ask_reason, receive_reason;
	size_t			n_objections;
	char			objection[600], cpu[80];
	Persona__Transfer__Estimate estimate;
	bool			estimated;
};

static uint64_t
bed_now(void *arg)
{
	return ((struct bed *)arg)->now_ns;
}

static void
bed_again(void *arg)
{
	(void)arg;	/* every step asks anyway */
}

static void
bed_harvest(void *arg, bool start)
{
	(void)start;
	((struct bed *)arg)->harvest_due = true;
}

static void
bed_answered(void *arg, Persona__Transfer__Preflight *p)
{
	struct bed *b = arg;

	CU_ASSERT(!b->answered);
	b->answered = true;
	b->n_objections = p->answer->n_objections;
	if (b->n_objections > 0)
		snprintf(b->objection, sizeof(b->objection), "%s",
		    p->answer->objections[0]->message);
	snprintf(b->cpu, sizeof(b->cpu), "%s", p->answer->cpu_highest != NULL ?
	    p->answer->cpu_highest : "(none)");
	b->estimated = p->estimate != NULL;
	if (b->estimated)
		b->estimate = *p->estimate;
}

static void
bed_ask_ended(void *arg, uint32_t reason, const char *text)
{
	struct bed *b = arg;

	(void)text;
	b->ask_ended = true;
	b->ask_reason = reason;
}

static void
bed_offered(void *arg, uint64_t attempt, const Persona__Transfer__Persona *p)
{
	(void)attempt;
	(void)p;
	((struct bed *)arg)->offered = true;
}

static void
bed_asked(void *arg, uint64_t attempt, const Persona__Transfer__Persona *p)
{
	struct bed *b = arg;

	CU_ASSERT_EQUAL(attempt, 7);
	CU_ASSERT_STRING_EQUAL(p->name, "work");
	if (!b->silent)
		sync_receive_answer(b->receive, &b->answer);
}

static void
bed_progress(void *arg, const struct sync_progress *p)
{
	(void)arg;
	(void)p;
}

static void
bed_receive_ended(void *arg, uint32_t reason, const char *text)
{
	struct bed *b = arg;

	(void)text;
	b->receive_ended = true;
	b->receive_reason = reason;
}

static void
bed_open(struct bed *b)
{
	static const struct sync_ask_ops ask_ops = {
		.now_ns = bed_now, .again = bed_again, .harvest = bed_harvest,
		.answered = bed_answered, .ended = bed_ask_ended,
	};
	static const struct sync_receive_ops receive_ops = {
		.now_ns = bed_now, .again = bed_again, .offered = bed_offered,
		.asked = bed_asked, .progress = bed_progress,
		.ended = bed_receive_ended,
	};
	static const struct stream_mem_config link = {
		.capacity = 1 << 20, .step_bytes = STEP_BYTES,
		.delay_steps = 1,
	};
	Persona__Transfer__Persona p = PERSONA__TRANSFER__PERSONA__INIT;
	struct sync_send_config cfg = { .persona = &p, .attempt = 7,
	    .blackout_budget_ms = 100, .allow_throttle = true };
	struct stream *ends[2];

	memset(b, 0, sizeof(*b));
	persona__transfer__answer__init(&b->answer);
	b->now_ns = 1000 * MS;
	p.id = (char *)(uintptr_t)"0123456789abcdef0123456789abcdef";
	p.name = (char *)(uintptr_t)"work";
	p.ram_bytes = RAM_MIN_BYTES;
	p.vcpus = 1;
	p.cpu_baseline = (char *)(uintptr_t)"x86-64-v2";
	b->space = fake_ram(PAGES);
	for (uint64_t i = 0; i < FILLED; i++)
		memset(fake_page(b->space, i), (int)i | 1, PAGE_BYTES / 2 + i);
	CU_ASSERT_EQUAL_FATAL(stream_mem_open(&b->link, ends, &link), 0);
	CU_ASSERT_EQUAL_FATAL(sync_ask_new(&b->ask, &cfg, &ask_ops, b), 0);
	CU_ASSERT_EQUAL_FATAL(sync_receive_new(&b->receive, &receive_ops, b),
	    0);
	CU_ASSERT_EQUAL(sync_ask_add_stream(b->ask, ends[0]), 0);
	CU_ASSERT_EQUAL(sync_receive_add_stream(b->receive, ends[1]), 0);
	CU_ASSERT_EQUAL(sync_ask_start(b->ask, b->space, b->dirty), 0);
}

static void
bed_close(struct bed *b)
{
	sync_ask_free(b->ask);
	sync_receive_free(b->receive);
	stream_mem_free(b->link);
	space_free(b->space);
}

/* The guest dirties the same pages in each window. */
static void
bed_run(struct bed *b, unsigned int steps)
{
	while (steps-- > 0 && !(b->ask_ended && b->receive_ended)) {
		b->now_ns += MS;
		if (b->harvest_due) {
			b->harvest_due = false;
			for (uint64_t i = 0; i < HOT; i++) {
				fake_page(b->space, i)[9]++;
				b->dirty[i / 64] |= (uint64_t)1 << (i % 64);
			}
			sync_ask_harvested(b->ask);
		}
		(void)stream_mem_step(b->link);
		sync_ask_tick(b->ask);
		sync_receive_tick(b->receive);
	}
}

static void
yes_comes_with_an_estimate(void)
{
	struct bed b;

	bed_open(&b);
	b.answer.cpu_highest = (char *)(uintptr_t)"x86-64-v3";
	bed_run(&b, 8000);
	CU_ASSERT(b.ask_ended && b.receive_ended && b.answered);
	CU_ASSERT_EQUAL(b.ask_reason, REASON_OK);
	CU_ASSERT_EQUAL(b.receive_reason, REASON_OK);
	CU_ASSERT(!b.offered);
	CU_ASSERT_EQUAL(b.n_objections, 0);
	CU_ASSERT_STRING_EQUAL(b.cpu, "x86-64-v3");
	CU_ASSERT_FATAL(b.estimated);
	CU_ASSERT(b.estimate.ends);
	CU_ASSERT_EQUAL(b.estimate.pages, FILLED);
	CU_ASSERT(b.estimate.rate > 2000000 && b.estimate.rate < 3000000);
	/* 50 pages each 100 ms. */
	CU_ASSERT(b.estimate.dirty_rate > 300);
	CU_ASSERT(b.estimate.dirty_rate < 700);
	CU_ASSERT(b.estimate.time_low_ms <= b.estimate.time_ms);
	CU_ASSERT(b.estimate.time_ms <= b.estimate.time_high_ms);
	bed_close(&b);
}

static void
no_comes_with_its_reasons_and_without_noise(void)
{
	Persona__Transfer__Objection o = PERSONA__TRANSFER__OBJECTION__INIT;
	Persona__Transfer__Objection *list[] = { &o };
	struct bed b;

	bed_open(&b);
	o.reason = REASON_NO_MEMORY;
	o.message = (char *)(uintptr_t)"work needs more than there is";
	b.answer.n_objections = 1;
	b.answer.objections = list;
	bed_run(&b, 1000);
	CU_ASSERT(b.ask_ended && b.receive_ended);
	CU_ASSERT_EQUAL(b.ask_reason, REASON_OK);
	CU_ASSERT_EQUAL(b.n_objections, 1);
	CU_ASSERT_STRING_EQUAL(b.objection, "work needs more than there is");
	CU_ASSERT(!b.estimated);
	bed_close(&b);
}

static void
lies_are_made_fit_to_be_shown(void)
{
	Persona__Transfer__Objection o = PERSONA__TRANSFER__OBJECTION__INIT;
	Persona__Transfer__Objection *list[OBJECTIONS_MAX + 1];
	char cpu[300];
	struct bed b;

	memset(cpu, 'x', sizeof(cpu) - 1);
	cpu[sizeof(cpu) - 1] = '\0';
	o.reason = REASON_OK;	/* which is none */
	o.message = (char *)(uintptr_t)"\033[2J";
	for (size_t i = 0; i <= OBJECTIONS_MAX; i++)
		list[i] = &o;
	bed_open(&b);
	b.answer.objections = list;
	b.answer.n_objections = 1;
	b.answer.cpu_highest = cpu;
	bed_run(&b, 1000);
	CU_ASSERT_EQUAL(b.n_objections, 1);
	CU_ASSERT_STRING_EQUAL(b.objection, reason_text(REASON_TARGET_FAILED));
	CU_ASSERT_STRING_EQUAL(b.cpu, "(none)");
	bed_close(&b);

	bed_open(&b);
	b.answer.objections = list;
	b.answer.n_objections = OBJECTIONS_MAX + 1;
	bed_run(&b, 1000);
	CU_ASSERT(b.ask_ended && !b.answered);
	CU_ASSERT_EQUAL(b.ask_reason, REASON_PROTOCOL);
	bed_close(&b);
}

static void
silence_ends_it(void)
{
	struct bed b;

	bed_open(&b);
	b.silent = true;
	bed_run(&b, 12000);
	CU_ASSERT(b.ask_ended && !b.answered);
	CU_ASSERT_EQUAL(b.ask_reason, REASON_UNREACHABLE);
	bed_close(&b);
}

static void
cut_link_ends_it(void)
{
	struct bed b;

	bed_open(&b);
	bed_run(&b, 300);
	CU_ASSERT(!b.ask_ended);
	stream_mem_cut(b.link);
	bed_run(&b, 2000);
	CU_ASSERT(b.ask_ended && b.receive_ended && !b.answered);
	CU_ASSERT_EQUAL(b.ask_reason, REASON_LINK_LOST);
	bed_close(&b);
}

static void
asker_may_leave_at_any_time(void)
{
	for (unsigned int at = 1; at < 1000; at += 141) {
		struct bed b;

		bed_open(&b);
		bed_run(&b, at);
		sync_ask_cancel(b.ask, REASON_CANCELLED, NULL);
		bed_run(&b, 2000);
		CU_ASSERT(b.ask_ended);
		CU_ASSERT_EQUAL(b.ask_reason, REASON_CANCELLED);
		CU_ASSERT(!b.offered && !b.answered);
		bed_close(&b);
	}
}

static const struct unit_test tests[] = {
	{ "a yes comes with an estimate", yes_comes_with_an_estimate },
	{ "a no comes with its reasons and nothing is measured",
	    no_comes_with_its_reasons_and_without_noise },
	{ "what a peer answers is made fit to be shown",
	    lies_are_made_fit_to_be_shown },
	{ "silence ends it", silence_ends_it },
	{ "a cut link ends it", cut_link_ends_it },
	{ "the asker may leave at any time", asker_may_leave_at_any_time },
};

int
main(void)
{
	log_init("test_ask", LOG_ERR);
	return unit_main("ask", tests, sizeof(tests) / sizeof(tests[0]));
}
