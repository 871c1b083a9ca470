/* SPDX-License-Identifier: ISC */
/*
 * The life of a role of the sync engine, from its states to its end. Decides
 * nothing.
 */
#include "sync-role.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle.h"
#include "log.h"
#include "reason.h"
#include "sync-say.h"

uint64_t
sync_role_now_ns(const struct sync_role *role)
{
	return role->owner.now_ns(role->owner.arg);
}

void
sync_role_again(struct sync_role *role)
{
	role->owner.again(role->owner.arg);
}

void
sync_role_enter(struct sync_role *role, enum sync_state state)
{
	log_debug("persona %s: %s: %s -> %s", role->name, role->ops->verb,
	    sync_state_name(role->state), sync_state_name(state));
	role->state = state;
}

void
sync_role_finish(struct sync_role *role, uint32_t reason, const char *text)
{
	if (role->ending)
		return;
	role->ending = true;
	role->ending_ns = sync_role_now_ns(role);
	role->reason = reason;
	sync_copy_text(role->text, sizeof(role->text), reason, text);
	sync_role_again(role);
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

bool
sync_role_run_ending(struct sync_role *role)
{
	if (!role->ending || role->state == SYNC_ENDED)
		return role->ending;
	if (!role->link_dead && !bundle_flushed(role->bundle) &&
	    sync_role_now_ns(role) - role->ending_ns < role->ops->goodbye_ns)
		return true;
	sync_role_enter(role, SYNC_ENDED);
	role->owner.ended(role->owner.arg, role->reason, role->text);
	return true;
}

int
sync_role_message(struct sync_role *role, const struct frame *f,
    const uint8_t *payload, sync_take_fn *take)
{
	Persona__Sync__SyncMessage *m;
	int r = -EPROTO;

	m = persona__sync__sync_message__unpack(NULL, f->length, payload);
	if (m == NULL)
		return -EPROTO;
	if (f->sequence != 0 || m->kind_case ==
	    PERSONA__SYNC__SYNC_MESSAGE__KIND_CANCEL)
		r = take(role->engine, m);
	persona__sync__sync_message__free_unpacked(m, NULL);
	return r;
}

bool
sync_role_same_version(struct sync_role *role,
    const Persona__Sync__Hello *hello)
{
	char text[96];

	if (hello->version == PROTOCOL_VERSION)
		return true;
	snprintf(text, sizeof(text), "this handset speaks version %u, the "
	    "other one %u", PROTOCOL_VERSION, hello->version);
	sync_role_give_up(role, REASON_VERSION, text);
	return false;
}

/* --- what the bundle says --------------------------------------------------- */

static uint64_t
now_ns_cb(void *arg)
{
	return sync_role_now_ns(arg);
}

static int
frame_cb(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct sync_role *role = arg;
	int r;

	if (role->ending)
		return 0;
	r = role->ops->frame(role->engine, f, payload);
	if (r == -EPROTO)
		sync_role_give_up(role, REASON_PROTOCOL, NULL);
	else if (r < 0 && !role->link_dead)
		role->ops->failed(role->engine, r);
	return 0;
}

static void
room_cb(void *arg)
{
	sync_role_again(arg);
}

static void
failed_cb(void *arg, int r, const char *why)
{
	struct sync_role *role = arg;

	role->link_dead = true;
	/* It runs there, and both know it: a link may go. */
	if (role->state == SYNC_RUNNING) {
		sync_role_finish(role, REASON_OK, NULL);
		return;
	}
	log_info("persona %s: %s: %s", role->name, why, strerror(-r));
	sync_role_finish(role, sync_link_reason(r), why);
}

/* --- life ------------------------------------------------------------------- */

int
sync_role_init(struct sync_role *role, const struct sync_role_ops *ops,
    void *engine, const struct sync_owner *owner, uint64_t attempt)
{
	static const struct bundle_ops bundle_ops = {
		.now_ns = now_ns_cb,
		.frame = frame_cb,
		.room = room_cb,
		.failed = failed_cb,
	};

	*role = (struct sync_role){ .ops = ops, .engine = engine,
	    .owner = *owner };
	return bundle_new(&role->bundle, &bundle_ops, role, attempt);
}

void
sync_role_fini(struct sync_role *role)
{
	bundle_free(role->bundle);
}
