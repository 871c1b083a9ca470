/* SPDX-License-Identifier: ISC */
/*
 * Control requests about this handset and others: doctor, peers, pair, unpair.
 * Knows no connection and no key's meaning.
 */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "access.h"
#include "arrival.h"
#include "daemon.h"
#include "doctor.h"
#include "log.h"
#include "move.h"
#include "pairings.h"
#include "peers.h"
#include "registry.h"

void
control_doctor(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	doctor_examine(d, req);
}

void
control_peers(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	peers_list(d, req);
}

void
control_pair(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	pairings_offer(d, req, what->pair->peer);
}

void
control_pair_wait(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	pairings_wait(d, req, what->pair_wait->has_timeout_ms ?
	    what->pair_wait->timeout_ms : 0);
}

void
control_pair_answer(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	if (pairings_answer(d, what->pair_answer->pairing_id,
	    what->pair_answer->same) < 0)
		control_fail(req, -ESRCH, "that pairing is over");
	else
		control_ok(req);
}

void
control_unpair(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct peer_record p;
	int r;

	if ((r = registry_peer_get(d->registry, what->unpair->name, &p)) < 0) {
		control_fail(req, r, "no handset \"%.63s\" is paired",
		    what->unpair->name);
		return;
	}
	if ((r = registry_peer_delete(d->registry, p.fingerprint)) < 0 ||
	    (r = access_reload(d)) < 0) {
		control_fail(req, r, "%s: cannot be unpaired: %s", p.name,
		    strerror(-r));
		return;
	}
	moves_unpaired(d, p.fingerprint);
	arrivals_unpaired(d->arrivals, p.fingerprint);
	log_info("peer %s: unpaired, its key is not trusted any more", p.name);
	control_ok(req);
}
