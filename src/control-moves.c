/* SPDX-License-Identifier: ISC */
/* Control requests about moves: move, status, cancel. Knows no transfer's inside. */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "arrival.h"
#include "daemon.h"
#include "identity.h"
#include "move.h"
#include "persona.h"
#include "policy-check.h"
#include "registry.h"
#include "report.h"
#include "saving.h"

#define BUDGET_MAX_MS	60000

void
control_status(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	reports_status(d, req, what->status->name, what->status->follow);
}

static void
fail_unpaired(struct daemon *d, struct control_request *req, int r,
    const char *peer)
{
	if (strcmp(peer, d->conf.name) == 0 ||
	    strcmp(peer, identity_fingerprint(d->identity)) == 0)
		control_fail(req, -EINVAL, "%.63s is this handset; move wants "
		    "another one", peer);
	else
		control_fail(req, r, "no handset \"%.63s\" is paired; "
		    "\"personactl pair\" makes it so", peer);
}

void
control_move(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Move *m = what->move;
	struct daemon *d = p->daemon;
	struct move_options options = {
		.blackout_budget_ms = m->has_blackout_budget_ms ?
		    m->blackout_budget_ms : d->conf.blackout_budget_ms,
		.bandwidth_limit = m->has_bandwidth_limit ?
		    m->bandwidth_limit : d->conf.bandwidth_limit,
		.question = m->dry_run,
	};
	struct peer_record peer;
	char forbidden[POLICY_WHY_MAX];
	struct report *report = NULL;
	const char *why = "";
	int r;

	if (options.blackout_budget_ms < 1 ||
	    options.blackout_budget_ms > BUDGET_MAX_MS) {
		control_fail(req, -EINVAL, "the blackout budget must be 1 to "
		    "%d ms", BUDGET_MAX_MS);
		return;
	}
	if ((r = registry_peer_get(d->registry, m->peer, &peer)) < 0) {
		fail_unpaired(d, req, r, m->peer);
		return;
	}
	if (p->paused) {
		control_fail(req, -EBUSY, "%s: move is not possible while it "
		    "is paused; it arrives running, so resume it first",
		    p->rec.name);
		return;
	}
	if ((r = policy_check(d, &p->rec.spec, POLICY_MOVE, peer.fingerprint,
	    forbidden)) < 0)
		control_fail(req, r, "%s: cannot be moved: %s", p->rec.name,
		    forbidden);
	else if ((r = move_start(p, &peer, &options, &report, &why)) < 0)
		control_fail(req, r, "%s: cannot be moved: %s (%s)",
		    p->rec.name, why, strerror(-r));
	else if (m->detach && !m->dry_run)
		control_ok(req);
	else
		report_follow(report, req);
}

void
control_cancel(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	int r;

	(void)what;
	if (p->hook != NULL && p->hook->saving) {
		saving_cancel(p->hook);
		control_ok(req);
		return;
	}
	r = p->hook != NULL && p->hook->incoming ? arrival_cancel(p) :
	    move_cancel(p);
	if (r == -EALREADY)
		control_fail(req, r, "too late: the persona has been handed "
		    "over");
	else if (r < 0)
		control_fail(req, r, "nothing is being moved");
	else
		control_ok(req);
}
