/* SPDX-License-Identifier: ISC */
/*
 * Control requests about encrypted personas: lock, unlock, and opening the vault
 * for any other request that needs what is in it. Knows no key.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arrival.h"
#include "daemon.h"
#include "log.h"
#include "persona.h"
#include "saved.h"
#include "vault.h"

/* A request that waits for its vault. */
struct waiting {
	struct daemon		*daemon;
	struct control_request	*req;
	char			name[PERSONA_NAME_MAX + 1];
	uint8_t			*packed;	/* the request, or NULL: no more */
	size_t			len;
};

static void
waiting_free(struct waiting *w)
{
	free(w->packed);
	free(w);
}

static struct waiting *
waiting_new(struct persona *p, struct control_request *req)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return NULL;
	}
	w->daemon = p->daemon;
	w->req = req;
	snprintf(w->name, sizeof(w->name), "%s", p->rec.name);
	return w;
}

/* What could not be seen or done while it was locked. */
static void
settle(struct persona *p)
{
	arrival_settle_image(p->daemon, &p->rec);
	persona_refresh(p);
	if (p->guest == NULL && !p->suspended)
		p->suspended = saved_is(p->daemon, p->rec.id,
		    SAVED_SUSPENDED);
}

/* --- before another request ------------------------------------------------------------ */

static void
run_again(struct waiting *w)
{
	Persona__Control__Request *what =
	    persona__control__request__unpack(NULL, w->len, w->packed);

	if (what == NULL)
		control_fail(w->req, -ENOMEM, "no memory");
	else
		control_run(w->daemon, w->req, what);
	if (what != NULL)
		persona__control__request__free_unpacked(what, NULL);
}

static void
opened(void *arg, int r, const char *why)
{
	struct waiting *w = arg;
	struct persona *p = persona_by_name(w->daemon, w->name);

	if (r < 0)
		control_fail(w->req, r, "%s: %s", w->name, why);
	else if (p == NULL || vault_state(w->daemon, p->rec.id) !=
	    VAULT_OPENED)
		control_fail(w->req, -ENOENT, "%s: its vault is gone again",
		    w->name);
	else {
		settle(p);
		if (w->packed != NULL)
			run_again(w);
		else
			control_ok(w->req);
	}
	waiting_free(w);
}

static void
open_for(struct waiting *w, struct persona *p, int passphrase_fd)
{
	int r = vault_open(NULL, p->daemon, p->rec.id, passphrase_fd, opened,
	    w);

	if (r == 0)
		return;
	control_fail(w->req, r, "%s: %s", w->name, strerror(-r));
	waiting_free(w);
}

bool
control_open_first(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const enum vault_state state = vault_state(p->daemon, p->rec.id);
	struct waiting *w;

	if (state == VAULT_ABSENT && vault_is_wanted(&p->rec.spec) &&
	    p->rec.holding == HOLDING_OWNER) {
		control_fail(req, -ENOENT, "%s: it is encrypted, and its vault "
		    "is not on this handset", p->rec.name);
		return true;
	}
	if (state == VAULT_ABSENT || state == VAULT_OPENED)
		return false;
	/* What runs has its files open: they are gone with what decrypted them. */
	if (state == VAULT_LOST && p->guest != NULL) {
		control_fail(req, -EIO, "%s: what decrypts its image has died; "
		    "kill it and start it again", p->rec.name);
		return true;
	}
	if (vault_wants_passphrase(p->daemon, p->rec.id)) {
		control_fail(req, -ENOKEY, "%s: it is locked; \"personactl "
		    "unlock %s\" asks for its passphrase", p->rec.name,
		    p->rec.name);
		return true;
	}
	if ((w = waiting_new(p, req)) == NULL)
		return true;
	w->len = persona__control__request__get_packed_size(what);
	if ((w->packed = malloc(w->len)) == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		waiting_free(w);
		return true;
	}
	persona__control__request__pack(what, w->packed);
	open_for(w, p, -1);
	return true;
}

/* --- lock, unlock ------------------------------------------------------------------------ */

static bool
refuse_plain(struct persona *p, struct control_request *req)
{
	const bool plain = vault_state(p->daemon, p->rec.id) == VAULT_ABSENT;

	if (plain)
		control_fail(req, -EINVAL, "%s: it is not encrypted; "
		    "\"personactl create --encrypt\" makes one that is",
		    p->rec.name);
	return plain;
}

void
control_unlock(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const bool passphrase = what->unlock->passphrase;
	int fd = passphrase ? control_take_fd(req, 0) : -1;
	struct waiting *w;

	if (passphrase && fd < 0)
		control_fail(req, -EINVAL, "the request came without the "
		    "passphrase");
	else if (!refuse_plain(p, req) && (w = waiting_new(p, req)) != NULL)
		open_for(w, p, fd);
	if (fd >= 0)
		close(fd);
}

static void
locked(void *arg, int r, const char *why)
{
	struct waiting *w = arg;

	if (r < 0)
		control_fail(w->req, r, "%s: cannot be locked: %s", w->name,
		    why);
	else {
		log_info("persona %s: locked", w->name);
		control_ok(w->req);
	}
	waiting_free(w);
}

void
control_lock(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct waiting *w;
	int r;

	(void)what;
	if (refuse_plain(p, req))
		return;
	if (p->exports > 0 || p->guest != NULL) {
		control_fail(req, -EBUSY, "%s: its image is in use",
		    p->rec.name);
		return;
	}
	if ((w = waiting_new(p, req)) == NULL)
		return;
	r = vault_lock(NULL, p->daemon, p->rec.id, locked, w);
	if (r == 0)
		return;
	control_fail(req, r, "%s: %s", w->name, strerror(-r));
	waiting_free(w);
}
