/* SPDX-License-Identifier: ISC */
/*
 * The life of a role of the sync engine, from its states to its end. Decides
 * nothing.
 */
#include "sync-role.h"

#include <errno.h>
#include <string.h>

#include "bundle.h"
#include "log.h"
#include "reason.h"

void
sync_role_enter(struct sync_role *role, enum sync_state state)
{
	log_debug("persona %s: %s: %s -> %s", role->name, role->verb,
	    sync_state_name(role->state), sync_state_name(state));
	role->state = state;
}

void
sync_role_finish(struct sync_role *role, uint32_t reason, const char *text)
{
	if (role->ending)
		return;
	role->ending = true;
	role->ending_ns = role->now_ns(role->arg);
	role->reason = reason;
	sync_copy_text(role->text, sizeof(role->text), reason, text);
	role->again(role->arg);
}

void
sync_role_give_up(struct sync_role *role, uint32_t reason, const char *text)
{
	if (role->ending)
		return;
	if (!role->link_dead)
		(void)sync_say_cancel(role->bundle, reason, text);
	sync_role_finish(role, reason, text);
}

void
sync_role_told(struct sync_role *role, uint32_t reason, const char *text)
{
	sync_role_finish(role, reason != REASON_OK ? reason : REASON_PROTOCOL,
	    text);
}

void
sync_role_link_failed(struct sync_role *role, int r, const char *why)
{
	role->link_dead = true;
	log_info("persona %s: %s: %s", role->name, why, strerror(-r));
	sync_role_finish(role, sync_link_reason(r), why);
}

bool
sync_role_run_ending(struct sync_role *role)
{
	if (!role->ending || role->state == SYNC_ENDED)
		return role->ending;
	if (!role->link_dead && !bundle_flushed(role->bundle) &&
	    role->now_ns(role->arg) - role->ending_ns < role->goodbye_ns)
		return true;
	sync_role_enter(role, SYNC_ENDED);
	role->ended(role->arg, role->reason, role->text);
	return true;
}

int
sync_role_message(const struct frame *f, const uint8_t *payload,
    sync_take_fn *take, void *arg)
{
	Persona__Sync__SyncMessage *m;
	int r = -EPROTO;

	m = persona__sync__sync_message__unpack(NULL, f->length, payload);
	if (m == NULL)
		return -EPROTO;
	if (f->sequence != 0 || m->kind_case ==
	    PERSONA__SYNC__SYNC_MESSAGE__KIND_CANCEL)
		r = take(arg, m);
	persona__sync__sync_message__free_unpacked(m, NULL);
	return r;
}
