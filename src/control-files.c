/* SPDX-License-Identifier: ISC */
/*
 * Control requests about persona files: export and import. Judges what is asked;
 * knows no format and no process.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "export.h"
#include "import.h"
#include "persona.h"
#include "policy-check.h"
#include "pubkey.h"
#include "registry.h"
#include "saved.h"
#include "spec.h"
#include "vault.h"

/* The client's file, and the passphrase when it says that there is one. */
static int
take_fds(struct control_request *req, bool passphrase, int *file_fd,
    int *passphrase_fd)
{
	*file_fd = control_take_fd(req, 0);
	*passphrase_fd = passphrase ? control_take_fd(req, 1) : -1;
	if (*file_fd >= 0 && (!passphrase || *passphrase_fd >= 0))
		return 0;
	if (*file_fd >= 0)
		close(*file_fd);
	control_fail(req, -EINVAL, "the request came without its file");
	return -EINVAL;
}

/* The keys of paired handsets; a failure has been answered. */
static int
take_recipients(struct persona *p, struct control_request *req,
    const Persona__Control__Export *m, struct export_source *s)
{
	struct peer_record peer;
	int r;

	if (m->n_recipients > FILE_SLOTS_MAX - 1) {
		control_fail(req, -E2BIG, "a file can be made for %u handsets "
		    "at most", FILE_SLOTS_MAX - 1);
		return -E2BIG;
	}
	for (size_t i = 0; i < m->n_recipients; i++) {
		r = registry_peer_get(p->daemon->registry, m->recipients[i],
		    &peer);
		if (r == 0)
			r = pubkey_to_point(peer.key, s->recipients[i]);
		if (r < 0) {
			control_fail(req, r, "no handset \"%.63s\" is paired; "
			    "\"personactl pair\" makes it so",
			    m->recipients[i]);
			return r;
		}
	}
	s->n_recipients = m->n_recipients;
	return 0;
}

/* The persona's own directory, while it is switched off. A failure is answered. */
static int
check_stopped(struct persona *p, struct control_request *req)
{
	const Persona__Control__PersonaInfo__State state = persona_state(p);

	if (state != PERSONA__CONTROL__PERSONA_INFO__STATE__STOPPED &&
	    state != PERSONA__CONTROL__PERSONA_INFO__STATE__CRASHED)
		control_fail(req, -EBUSY, "%s: it is %s; stop it to export it, "
		    "or export a checkpoint of it", p->rec.name,
		    persona_state_word(state));
	else
		return 0;
	return -EBUSY;
}

/* A checkpoint is whole by itself, whatever the persona does meanwhile. */
static void
export_checkpoint(struct persona *p, struct control_request *req,
    const Persona__Control__Export *m, struct export_source *s)
{
	Persona__Image__Manifest *manifest;
	int out_fd, passphrase_fd, r;
	char dir[SAVED_PATH_MAX];

	saved_dir(p->daemon, p->rec.id, m->checkpoint, false, dir);
	if (m->checkpoint < 1 || (r = saved_manifest(dir, &manifest)) < 0) {
		control_fail(req, -ENOENT, "%s: it has no checkpoint %u",
		    p->rec.name, m->checkpoint);
		return;
	}
	if (take_fds(req, m->passphrase, &out_fd, &passphrase_fd) == 0) {
		s->dir = dir;
		s->kind = PERSONA__IMAGE__MANIFEST__KIND__CHECKPOINT;
		s->persona = manifest->persona;
		s->state_bytes = manifest->state_bytes;
		s->created_unix_s = manifest->created_unix_s;
		if (s->label == NULL)
			s->label = manifest->label;
		export_start(p, req, s, out_fd, passphrase_fd);
	}
	persona__image__manifest__free_unpacked(manifest, NULL);
}

static void
begin_export(struct persona *p, struct control_request *req,
    const Persona__Control__Export *m, struct export_source *s)
{
	char dir[CONF_STATE_DIR_MAX + 96], home[IMAGE_HOME_MAX];
	Persona__Transfer__Persona persona;
	Persona__Spec__Spec *spec;
	int out_fd, passphrase_fd, r;

	if ((r = spec_unpack(&p->rec.spec, &spec)) < 0) {
		control_fail(req, r, "%s: its record makes no sense: %s",
		    p->rec.name, strerror(-r));
		return;
	}
	if (take_fds(req, m->passphrase, &out_fd, &passphrase_fd) == 0) {
		persona_describe(&p->rec, spec, &persona);
		persona.has_state_version = false;	/* there is none */
		snprintf(dir, sizeof(dir), "%s/%s/%s",
		    p->daemon->conf.state_dir,
		    image_home(p->daemon, p->rec.id, home), p->rec.id);
		s->dir = dir;
		s->persona = &persona;
		export_start(p, req, s, out_fd, passphrase_fd);
	}
	persona__spec__spec__free_unpacked(spec, NULL);
}

void
control_export(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Export *m = what->export_file;
	struct export_source s = {
		.kind = PERSONA__IMAGE__MANIFEST__KIND__STOPPED,
		.label = m->label,
		.created_unix_s = (uint64_t)time(NULL),
	};

	char why[POLICY_WHY_MAX];

	if (m->label != NULL && strlen(m->label) > LABEL_MAX)
		control_fail(req, -EINVAL, "a label has at most %u bytes",
		    LABEL_MAX);
	else if (policy_check_export(p->daemon, &p->rec.spec, m->passphrase ||
	    m->n_recipients > 0, why) < 0)
		control_fail(req, -EPERM, "%s: not exported: %s", p->rec.name,
		    why);
	else if ((m->has_checkpoint || check_stopped(p, req) == 0) &&
	    take_recipients(p, req, m, &s) == 0) {
		if (m->has_checkpoint)
			export_checkpoint(p, req, m, &s);
		else
			begin_export(p, req, m, &s);
	}
}

void
control_import(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Import *m = what->import_file;
	int in_fd, passphrase_fd;

	if (m->name != NULL && !spec_name_ok(m->name))
		control_fail(req, -EINVAL, "a name has 1 to 63 of a-z, 0-9 "
		    "and -, and does not begin with -");
	else if (m->name != NULL && persona_by_name(d, m->name) != NULL)
		control_fail(req, -EEXIST, "%s: there is a persona of that "
		    "name already", m->name);
	else if (take_fds(req, m->passphrase, &in_fd, &passphrase_fd) == 0)
		import_start(d, req, m->name, in_fd, passphrase_fd);
}
