/* SPDX-License-Identifier: ISC */
/*
 * How a source begins, whether it sends or only asks. Decides nothing.
 */
#include "sync-offer.h"

#include <errno.h>
#include <stdlib.h>

#include "bundle.h"

static int
pack(struct sync_offer *o, const Persona__Transfer__Persona *persona,
    bool question)
{
	Persona__Sync__SyncMessage m = PERSONA__SYNC__SYNC_MESSAGE__INIT;
	Persona__Sync__Offer offer = PERSONA__SYNC__OFFER__INIT;

	offer.persona = (Persona__Transfer__Persona *)(uintptr_t)persona;
	offer.has_question = offer.question = question;
	m.kind_case = PERSONA__SYNC__SYNC_MESSAGE__KIND_OFFER;
	m.offer = &offer;
	o->len = persona__sync__sync_message__get_packed_size(&m);
	if ((o->message = malloc(o->len)) == NULL)
		return -ENOMEM;
	persona__sync__sync_message__pack(&m, o->message);
	return 0;
}

int
sync_offer_init(struct sync_offer *o,
    const Persona__Transfer__Persona *persona, bool question)
{
	const char *why;
	int r;

	if (sync_check_persona(persona, &why) < 0)
		return -EINVAL;
	if ((r = space_plan(&o->plan, persona->ram_bytes, persona->spec)) < 0)
		return r;
	return pack(o, persona, question);
}

void
sync_offer_fini(struct sync_offer *o)
{
	free(o->message);
}

bool
sync_offer_fits(const struct sync_offer *o, const struct space *space)
{
	return space_plan_equal(space_regions(space), &o->plan);
}

int
sync_offer_send(const struct sync_offer *o, struct sync_role *role,
    const Persona__Sync__Hello *hello)
{
	if (!sync_role_same_version(role, hello))
		return 0;
	sync_role_enter(role, SYNC_OFFER);
	return bundle_send(role->bundle, FRAME_MESSAGE, 0, o->message,
	    o->len);
}
