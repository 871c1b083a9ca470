/* SPDX-License-Identifier: ISC */
/*
 * Control requests about policies: how one looks from outside, and giving a
 * persona a newer one. Knows no rule; policy-check.h judges.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control.h"
#include "control-policy.h"
#include "daemon.h"
#include "log.h"
#include "persona.h"
#include "policy-check.h"
#include "pubkey.h"
#include "registry.h"

struct policy_info {
	Persona__Control__PolicyInfo	msg;
	struct policy_view		view;
	char	key[PUBKEY_TEXT_LEN + 1];
	char	forbids[POLICY_WHY_MAX];
	char	notice[POLICY_WHY_MAX];
	char	*handsets[POLICY_HANDSETS_MAX];
};

/* A policy that nobody may rely on is shown too: it explains why nothing works. */
static void
fill(struct policy_info *i, struct persona *p, int verdict)
{
	static const Persona__Control__PolicyInfo empty =
	    PERSONA__CONTROL__POLICY_INFO__INIT;
	struct policy *rules = &i->view.policy;

	i->msg = empty;
	i->msg.issuer = verdict < 0 ? (char *)"unknown" : rules->issuer;
	pubkey_from_point(i->view.key, i->key);
	i->msg.issuer_key = i->key;
	i->msg.trusted = verdict == 0 && i->view.trusted;
	i->msg.serial = rules->serial;
	i->msg.move_to = (uint32_t)rules->move_to;
	for (size_t n = 0; n < rules->n_handsets; n++)
		i->handsets[n] = rules->handsets[n];
	i->msg.n_handsets = rules->n_handsets;
	i->msg.handsets = i->handsets;
	i->msg.may_export = rules->may_export;
	i->msg.may_standby = rules->may_standby;
	i->msg.must_encrypt = rules->must_encrypt;
	i->msg.expires_unix_s = rules->expires_unix_s;
	i->msg.expired = rules->expires_unix_s != 0 &&
	    (uint64_t)time(NULL) >= rules->expires_unix_s;
	if (policy_check(p->daemon, &p->rec.spec, POLICY_START, NULL,
	    i->forbids) < 0)
		i->msg.forbids = i->forbids;
	if (verdict == 0 && policy_notice(rules, (uint64_t)time(NULL),
	    i->notice))
		i->msg.notice = i->notice;
}

struct policy_info *
control_policy_info(struct persona *p, Persona__Control__PolicyInfo **msg)
{
	struct policy_info *i = calloc(1, sizeof(*i));
	int verdict;

	*msg = NULL;
	if (i == NULL)
		return NULL;
	verdict = policy_view(p->daemon, &p->rec.spec, &i->view);
	if (!i->view.present) {
		free(i);
		return NULL;
	}
	fill(i, p, verdict);
	*msg = &i->msg;
	return i;
}

void
control_policy_set(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__PolicySet *set = what->policy_set;
	struct packed_spec spec = p->rec.spec;
	char why[POLICY_WHY_MAX];
	int r;

	r = policy_replace(p->daemon, &spec, set->policy.data,
	    set->policy.len, why);
	if (r < 0) {
		control_fail(req, r, "%s: %s", p->rec.name, why);
		return;
	}
	r = registry_persona_set_spec(p->daemon->registry, p->rec.id, &spec);
	if (r < 0) {
		control_fail(req, r, "%s: the policy cannot be recorded: %s",
		    p->rec.name, strerror(-r));
		return;
	}
	persona_refresh(p);
	log_info("persona %s: has a newer policy", p->rec.name);
	daemon_policies_look(p->daemon);
	control_ok(req);
}
