/* SPDX-License-Identifier: ISC */
/* The bar tells the truth, fits the terminal and never runs backwards. */
#include <stdlib.h>
#include <string.h>

#include "ctl-progress.h"
#include "ctl-text.h"
#include "json-valid.h"
#include "reason.h"
#include "unit.h"

struct fixture {
	Persona__Control__MoveInfo	move;
	Persona__Transfer__Progress	progress;
	Persona__Transfer__Savings	savings;
	struct progress			shown;
};

/* Round 2 of a move that has taken 4 s and has 6 s to go. */
static void
set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	persona__control__move_info__init(&f->move);
	persona__transfer__progress__init(&f->progress);
	persona__transfer__savings__init(&f->savings);
	f->move.progress = &f->progress;
	f->move.persona = (char *)(uintptr_t)"work";
	f->move.peer = (char *)(uintptr_t)"bob";
	f->move.outgoing = true;
	f->move.has_elapsed_ms = true;
	f->move.elapsed_ms = 4000;
	f->progress.has_phase = true;
	f->progress.phase = PERSONA__TRANSFER__PROGRESS__PHASE__COPYING;
	f->progress.has_round = true;
	f->progress.round = 2;
	f->progress.has_rate = true;
	f->progress.rate = 25000000;
	f->progress.has_bytes_sent = true;
	f->progress.bytes_sent = 100ULL << 20;
	f->progress.has_eta_ms = true;
	f->progress.eta_ms = 6000;
}

static void
a_wide_terminal_sees_everything(void)
{
	char out[PROGRESS_LINE_MAX];
	struct fixture f;

	set_up(&f);
	f.progress.throttle_percent = 20;
	progress_bar(out, &f.shown, &f.move, 120);
	CU_ASSERT_STRING_EQUAL(out, "work -> bob  "
	    "[============>                 ]  40%  6 s left  200 Mbit/s  "
	    "round 2  100 MiB  slowed 20%");
}

static void
no_rate_is_not_a_rate_of_nothing(void)
{
	char out[PROGRESS_LINE_MAX];
	struct fixture f;

	set_up(&f);
	f.progress.rate = 0;
	progress_bar(out, &f.shown, &f.move, 120);
	CU_ASSERT_PTR_NULL(strstr(out, "bit/s"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "6 s left  round 2"));
}

static void
every_width_is_kept(void)
{
	char out[PROGRESS_LINE_MAX];
	struct fixture f;

	set_up(&f);
	f.progress.throttle_percent = 99;
	f.move.peer = (char *)(uintptr_t)"Gr\xc3\xbc\xc3\x9f \xe6\x9d\xb1";
	for (unsigned int columns = 4; columns < 200; columns++) {
		progress_bar(out, &f.shown, &f.move, columns);
		CU_ASSERT_TRUE(text_columns(out) <= columns);
		CU_ASSERT_PTR_NOT_NULL(strstr(out, "40%"));
	}
}

static void
a_hostile_peer_name_stays_a_name(void)
{
	char out[PROGRESS_LINE_MAX], name[3000];
	struct fixture f;

	set_up(&f);
	memset(name, 'x', sizeof(name));
	name[0] = '\033';
	name[sizeof(name) - 1] = '\0';
	f.move.peer = name;
	progress_line(out, &f.shown, &f.move);
	CU_ASSERT_PTR_NULL(strchr(out, '\033'));
	CU_ASSERT_TRUE(strlen(out) < PROGRESS_LINE_MAX);
	progress_bar(out, &f.shown, &f.move, 80);
	CU_ASSERT_TRUE(text_columns(out) <= 80);
}

static void
the_bar_never_goes_back(void)
{
	struct fixture f;

	set_up(&f);
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 40);
	f.progress.eta_ms = 60000;	/* the estimate got worse */
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 40);
	f.progress.eta_ms = 1000;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 80);
}

static void
a_hundred_means_done(void)
{
	struct fixture f;

	set_up(&f);
	f.progress.eta_ms = 0;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 99);
	f.move.ended = true;
	f.move.reason = REASON_LINK_LOST;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 99);
	f.move.reason = REASON_OK;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 100);
}

static void
without_an_estimate_pages_count_a_little(void)
{
	struct fixture f;

	set_up(&f);
	f.progress.has_eta_ms = false;
	f.progress.round = 1;
	f.progress.pages_total = 1000;
	f.progress.pages_left = 500;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 5);
	/* nonsense from a broken worker is no progress and no crash */
	f.progress.pages_left = 5000;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 5);
	f.progress.pages_total = 0;
	f.progress.pages_left = 0;
	CU_ASSERT_EQUAL(progress_percent(&f.shown, &f.move), 5);
}

static void
the_summary_says_what_happened(void)
{
	char out[PROGRESS_LINE_MAX];
	struct fixture f;

	set_up(&f);
	f.move.elapsed_ms = 6400;
	f.move.has_blackout_ns = true;
	f.move.blackout_ns = 42600000;
	f.move.has_ram_bytes = true;
	f.move.ram_bytes = 512ULL << 20;
	f.progress.savings = &f.savings;
	f.savings.zero_pages = 40;
	f.savings.known_pages = 10;
	f.savings.lz4_pages = 30;
	f.savings.raw_pages = 20;
	f.savings.unchanged_pages = 0;
	progress_summary(out, &f.move);
	CU_ASSERT_PTR_NULL(strstr(out, "unchanged"));
	f.savings.zero_pages = 4000;
	f.savings.raw_pages = 1;
	progress_summary(out, &f.move);
	CU_ASSERT_PTR_NULL(strstr(out, "as they are"));
	f.savings.zero_pages = 40;
	f.savings.raw_pages = 20;
	progress_summary(out, &f.move);
	CU_ASSERT_STRING_EQUAL(out, "work now runs on bob: 6.4 s in all, stood "
	    "still for 43 ms, 100 MiB sent for 512 MiB of memory; of the pages "
	    "zero 40%, already there 10%, compressed 30%, as they are 20%");
	f.move.has_blackout_by_guest = f.move.blackout_by_guest = true;
	progress_summary(out, &f.move);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "stood still for 43 ms by its own "
	    "clock, 100 MiB"));
	f.move.outgoing = false;
	progress_summary(out, &f.move);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "runs on this handset"));
}

static void
a_summary_without_numbers_invents_none(void)
{
	char out[PROGRESS_LINE_MAX];
	struct fixture f;

	set_up(&f);
	f.move.has_elapsed_ms = false;
	f.progress.has_bytes_sent = false;
	progress_summary(out, &f.move);
	CU_ASSERT_STRING_EQUAL(out, "work now runs on bob");
}

static void
moves_are_json_too(void)
{
	struct fixture f;
	struct json j;
	char *text = NULL;
	size_t len;
	FILE *m = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	set_up(&f);
	f.progress.savings = &f.savings;
	f.move.has_reason = true;
	f.move.reason = 9999;
	f.move.message = (char *)(uintptr_t)"a \"peer\" said\n\xff";
	json_begin(&j, m);
	progress_json(&j, "move", &f.move);
	CU_ASSERT_EQUAL(json_finish(&j), 0);
	fclose(m);
	CU_ASSERT_TRUE(json_valid(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"reason\":\"unknown\""));
	free(text);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a wide terminal sees everything",
		    a_wide_terminal_sees_everything },
		{ "no rate is not a rate of nothing",
		    no_rate_is_not_a_rate_of_nothing },
		{ "every width is kept", every_width_is_kept },
		{ "a hostile peer name stays a name",
		    a_hostile_peer_name_stays_a_name },
		{ "the bar never goes back", the_bar_never_goes_back },
		{ "a hundred means done", a_hundred_means_done },
		{ "without an estimate pages count",
		    without_an_estimate_pages_count_a_little },
		{ "the summary says what happened",
		    the_summary_says_what_happened },
		{ "a summary without numbers invents none",
		    a_summary_without_numbers_invents_none },
		{ "moves are JSON too", moves_are_json_too },
	};

	return unit_main("ctl progress", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
