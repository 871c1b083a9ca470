/* SPDX-License-Identifier: ISC */
/*
 * The commands lock and unlock, and how a passphrase finds its way to personad for
 * others. Asks personad; knows no key and no mount.
 */
#include "ctl-vault.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "ctl-client.h"
#include "ctl-secret.h"

/* Ask with one descriptor beside the request, -1 for none; says nothing if it is done. */
static int
ask(struct ctl *ctl, const Persona__Control__Request *req, int fd)
{
	Persona__Control__Reply *reply;
	struct ctl_client *c;
	int r, status;

	if ((status = ctl_ask_with(ctl, req, &fd, fd >= 0, &c)) != CTL_OK)
		return status;
	if ((r = ctl_next_reply(c, true, &reply, NULL)) <= 0)
		status = ctl_lost(ctl, r);
	else {
		status = reply->error < 0 ? ctl_refused(ctl, reply) : CTL_OK;
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	return status;
}

static int
unlock(struct ctl *ctl, const char *name, int fd)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Unlock m = PERSONA__CONTROL__UNLOCK__INIT;

	m.name = (char *)(uintptr_t)name;
	m.has_passphrase = m.passphrase = fd >= 0;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_UNLOCK;
	req.unlock = &m;
	return ask(ctl, &req, fd);
}

/*
 * Is it locked, with a passphrase? Where that cannot be told, no: the request that
 * follows hears why, and says so.
 */
static bool
needs_passphrase(struct ctl *ctl, const char *name)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name m = PERSONA__CONTROL__NAME__INIT;
	Persona__Control__Reply *reply;
	struct ctl_client *c;
	bool needs = false;

	m.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SHOW;
	req.show = &m;
	if (ctl_ask_quietly(ctl, &req, &c) < 0)
		return false;
	if (ctl_next_reply(c, true, &reply, NULL) > 0) {
		needs = reply->n_personas == 1 &&
		    reply->personas[0]->has_vault &&
		    reply->personas[0]->vault !=
		    PERSONA__CONTROL__PERSONA_INFO__VAULT__OPEN &&
		    reply->personas[0]->vault_passphrase;
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	return needs;
}

int
vault_open_first(struct ctl *ctl, const char *name, const char *file)
{
	int fd = -1, status;

	if (!needs_passphrase(ctl, name))
		return CTL_OK;
	if (file != NULL)
		status = secret_from_file(ctl, file, &fd);
	else
		status = secret_ask(ctl, "Passphrase: ", false, &fd);
	if (status == CTL_OK)
		status = unlock(ctl, name, fd);
	if (fd >= 0)
		close(fd);
	return status;
}

int
vault_take_encrypt(struct ctl *ctl, const char *how, const char *file,
    Persona__Control__Create *create, int *fd)
{
	*fd = -1;
	create->has_encrypt = true;
	create->encrypt = PERSONA__CONTROL__CREATE__ENCRYPT__HANDSET;
	if (how == NULL || strcmp(how, "handset") == 0)
		return file == NULL ? CTL_OK : ctl_usage(ctl,
		    "--passphrase-file goes with --encrypt=passphrase");
	if (strcmp(how, "passphrase") != 0)
		return ctl_usage(ctl, "--encrypt=%s: it is handset or "
		    "passphrase", how);
	create->encrypt = PERSONA__CONTROL__CREATE__ENCRYPT__PASSPHRASE;
	return file != NULL ? secret_from_file(ctl, file, fd) :
	    secret_ask(ctl, "Passphrase for it: ", true, fd);
}

const char *
vault_text(const Persona__Control__PersonaInfo *p)
{
	if (!p->has_vault)
		return "yes";
	switch (p->vault) {
	case PERSONA__CONTROL__PERSONA_INFO__VAULT__OPEN:
		return p->vault_passphrase ? "by a passphrase, open now" :
		    "by the handset's key, open now";
	case PERSONA__CONTROL__PERSONA_INFO__VAULT__LOCKED:
		return p->vault_passphrase ? "by a passphrase, locked" :
		    "by the handset's key, locked";
	default:
		return "yes, and what decrypted it has died";
	}
}

const char *
vault_where(const Persona__Control__PersonaInfo *p)
{
	if (!p->has_vault)
		return "here";
	switch (p->vault) {
	case PERSONA__CONTROL__PERSONA_INFO__VAULT__OPEN:
		return "here, encrypted";
	case PERSONA__CONTROL__PERSONA_INFO__VAULT__LOCKED:
		return "here, locked";
	default:
		return "here, lost";
	}
}

/* --- the commands ------------------------------------------------------------ */

int
ctl_unlock(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ 0 }
	};
	const char *name, *file = NULL;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		file = optarg;
	}
	status = ctl_persona_argument(ctl, argc, argv, &name);
	if (status != CTL_OK)
		return status;
	status = needs_passphrase(ctl, name) ?
	    vault_open_first(ctl, name, file) : unlock(ctl, name, -1);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

int
ctl_lock(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name m = PERSONA__CONTROL__NAME__INIT;
	const char *name;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	m.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_LOCK;
	req.lock = &m;
	status = ask(ctl, &req, -1);
	return status == CTL_OK ? ctl_done(ctl) : status;
}
