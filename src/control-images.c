/* SPDX-License-Identifier: ISC */
/*
 * Control requests about templates: list, remove, and making a persona over one,
 * which is unpacked first when it comes as a file. Knows no format; what a create
 * without a template does stands in control-create.c.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control-create.h"
#include "control-net.h"
#include "daemon.h"
#include "imagedir.h"
#include "log.h"
#include "persona.h"
#include "policy-check.h"
#include "spec.h"
#include "template.h"
#include "template-load.h"

/* --- list, remove ---------------------------------------------------------------------- */

/* Storage that a template takes here, whoever shares it. */
static uint64_t
used_bytes(const struct daemon *d, const struct template *t)
{
	static const char *const files[] = {
		"kernel", "initrd", "disk0.img", "disk1.img",
	};
	char name[TEMPLATE_HEX_LEN + 16], path[TEMPLATE_PATH_MAX];
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", t->hex, files[i]);
		if (stat(template_path(d, name, path), &st) == 0)
			sum += (uint64_t)st.st_blocks * 512;
	}
	return sum;
}

/* The issuer's name, or NULL; *v keeps it. */
static const char *
issuer_of(const struct daemon *d, const struct template *t,
    struct policy_view *v)
{
	struct packed_spec *packed = malloc(sizeof(*packed));
	const char *why, *issuer = NULL;

	if (packed != NULL &&
	    spec_pack(t->manifest->persona->spec, packed, &why) == 0 &&
	    policy_view(d, packed, v) == 0 && v->present)
		issuer = v->policy.issuer;
	free(packed);
	return issuer;
}

struct image_row {
	Persona__Control__ImageInfo	info;
	struct policy_view		view;
};

static void
fill_row(const struct daemon *d, const struct template *t,
    struct image_row *row)
{
	const Persona__Spec__Spec *s = t->manifest->persona->spec;

	persona__control__image_info__init(&row->info);
	row->info.name = t->manifest->persona->name;
	row->info.hash = (char *)(uintptr_t)t->hex;
	for (size_t i = 0; s != NULL && i < s->n_disks; i++)
		row->info.disk_bytes += s->disks[i]->bytes;
	row->info.used_bytes = used_bytes(d, t);
	row->info.personas = template_users(d, t);
	row->info.has_created_unix_s = t->manifest->has_created_unix_s;
	row->info.created_unix_s = t->manifest->created_unix_s;
	row->info.issuer = (char *)(uintptr_t)issuer_of(d, t, &row->view);
}

void
control_images(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct template *all = calloc(TEMPLATES_MAX, sizeof(*all));
	struct image_row *rows = calloc(TEMPLATES_MAX, sizeof(*rows));
	Persona__Control__ImageInfo *list[TEMPLATES_MAX];
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	size_t n = 0;

	(void)what;
	if (all != NULL && rows != NULL)
		n = templates_list(d, all);
	for (size_t i = 0; i < n; i++) {
		fill_row(d, &all[i], &rows[i]);
		list[i] = &rows[i].info;
	}
	reply.n_images = n;
	reply.images = list;
	reply.done = true;
	control_reply(req, &reply, NULL, 0);
	for (size_t i = 0; i < n; i++)
		template_fini(&all[i]);
	free(rows);
	free(all);
}

static int
find(struct daemon *d, struct control_request *req, const char *what,
    struct template *t)
{
	int r = template_find(d, what, t);

	if (r == -EEXIST)
		control_fail(req, r, "%.80s: several templates begin so; say "
		    "more of the hash", what);
	else if (r < 0)
		control_fail(req, r, "there is no template %.80s; 'personactl "
		    "image list' says which there are", what);
	return r;
}

void
control_image_remove(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct template t = { .manifest = NULL };
	int r;

	if (find(d, req, what->image_remove->name, &t) < 0)
		return;
	if ((r = template_remove(d, &t)) == -EBUSY)
		control_fail(req, r, "%.80s: %u persona(s) lie over it; delete "
		    "them first", what->image_remove->name,
		    template_users(d, &t));
	else if (r < 0)
		control_fail(req, r, "%.80s: cannot be removed: %s",
		    what->image_remove->name, strerror(-r));
	else {
		log_info("template %.16s: removed", t.hex);
		control_ok(req);
	}
	template_fini(&t);
}

/* --- a persona over one --------------------------------------------------------------- */

/* While the file is unpacked; `rec` holds what the person asked for. */
struct wish {
	struct daemon		*daemon;
	struct control_request	*req;
	struct template_load	*load;
	struct persona_record	rec;
	bool			start;
	struct create_encrypt	encrypt;
	char			hex[TEMPLATE_HEX_LEN + 1]; /* while its vault is made */
};

/* What a template proposes and the person has not said otherwise. */
static int
complete_record(struct wish *w, const struct template *t)
{
	Persona__Transfer__Persona *p = t->manifest->persona;
	struct persona_record *rec = &w->rec;
	char own[CMDLINE_MAX + 1];

	if (rec->ram_bytes == 0)
		rec->ram_bytes = p->ram_bytes;
	memcpy(own, rec->cmdline, sizeof(own));
	if (snprintf(rec->cmdline, sizeof(rec->cmdline), "%s%s%s",
	    p->cmdline != NULL ? p->cmdline : "",
	    own[0] != '\0' && p->cmdline != NULL ? " " : "", own) >
	    CMDLINE_MAX)
		return -E2BIG;
	return 0;
}

/*
 * A network card, wished for or not: what a template holds is a whole system. And
 * limits. Until complete_spec they are all there is in the record's spec.
 */
static int
wish_spec(struct wish *w, const Persona__Control__Create *c, const char **why)
{
	Persona__Control__NetWish plain = PERSONA__CONTROL__NET_WISH__INIT;
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	int r;

	r = control_net_make(c->net != NULL ? c->net : &plain, &s, why);
	if (r < 0)
		return r;
	s.limits = c->limits;
	r = spec_pack(&s, &w->rec.spec, why);
	control_net_free(&s);
	return r;
}

/*
 * The template's spec, with disks that lie over the template's, the persona's own
 * network card, and the limits that were asked for, if any were.
 */
static int
complete_spec(struct wish *w, const struct template *t)
{
	Persona__Spec__Spec *s = t->manifest->persona->spec, *wished;
	Persona__Spec__Net *net = s->net;
	Persona__Spec__Limits *limits = s->limits;
	ProtobufCBinaryData id = {
		.data = (uint8_t *)(uintptr_t)t->id, .len = sizeof(t->id),
	};
	const char *why;
	int r;

	if ((r = spec_unpack(&w->rec.spec, &wished)) < 0)
		return r;
	s->net = wished->net;
	if (wished->limits != NULL)
		s->limits = wished->limits;
	for (size_t i = 0; i < s->n_disks; i++) {
		s->disks[i]->has_template_root = true;
		s->disks[i]->template_root = id;
	}
	r = spec_pack(s, &w->rec.spec, &why);
	for (size_t i = 0; i < s->n_disks; i++) {
		s->disks[i]->has_template_root = false;
		s->disks[i]->template_root.data = NULL;
		s->disks[i]->template_root.len = 0;
	}
	s->net = net;
	s->limits = limits;
	persona__spec__spec__free_unpacked(wished, NULL);
	return r;
}

/* Takes the wish. */
static void
lay_over(struct wish *w, const struct template *t)
{
	int r = template_make_image(w->daemon, t, w->rec.id);

	if (r == 0)
		create_enlist(w->daemon, w->req, &w->rec, w->start);
	else {
		control_fail(w->req, r, "%s: cannot be made of this template: "
		    "%s", w->rec.name, strerror(-r));
		vault_remove(w->daemon, w->rec.id);
	}
	free(w);
}

static void
vault_made(void *arg, int r, const char *why)
{
	struct wish *w = arg;
	struct template t = { .manifest = NULL };

	if (r == 0 && (r = template_find(w->daemon, w->hex, &t)) < 0)
		why = "the template is not there any more";
	if (r == 0) {
		lay_over(w, &t);
		template_fini(&t);
		return;
	}
	create_not_encrypted(w->req, w->rec.name, r, why);
	vault_remove(w->daemon, w->rec.id);	/* it may be half made */
	free(w);
}

static void
lay_over_in_vault(struct wish *w, const struct template *t)
{
	int r;

	memcpy(w->hex, t->hex, sizeof(w->hex));
	r = create_vault(w->daemon, w->req, &w->rec, &w->encrypt, vault_made,
	    w);
	if (r == 0)
		return;
	create_not_encrypted(w->req, w->rec.name, r, strerror(-r));
	free(w);
}

/* Takes the wish. */
static void
make_over(struct wish *w, const struct template *t)
{
	char why[POLICY_WHY_MAX];
	int r;

	if ((r = spec_check_host(t->manifest->persona->spec, why,
	    sizeof(why))) < 0) {
		control_fail(w->req, r, "%s: cannot be made here: %s",
		    w->rec.name, why);
		free(w);
		return;
	}
	r = complete_record(w, t);
	if (r == 0 && (r = complete_spec(w, t)) == 0 &&
	    policy_demands_vault(w->daemon, &w->rec.spec))
		w->encrypt.wanted = true;
	if (r == 0 && w->encrypt.wanted)
		r = vault_mark(&w->rec.spec);
	if (r < 0)
		control_fail(w->req, r, "%s: cannot be made of this template: "
		    "%s", w->rec.name, strerror(-r));
	else if ((r = policy_check(w->daemon, &w->rec.spec, POLICY_KEEP, NULL,
	    why)) < 0)
		control_fail(w->req, r, "%s: cannot be made here: %s",
		    w->rec.name, why);
	else {
		/* Both have the wish now. */
		if (w->encrypt.wanted)
			lay_over_in_vault(w, t);
		else
			lay_over(w, t);
		return;
	}
	free(w);
}

static void
loaded(void *arg, int r, const char *why, const char *hex)
{
	struct wish *w = arg;
	struct template t = { .manifest = NULL };

	w->load = NULL;
	/* From here on it goes on without the client, and the wish has an owner. */
	control_on_gone(w->req, NULL, NULL);
	if (r == 0 && (r = template_find(w->daemon, hex, &t)) < 0)
		why = "it is not there any more";
	if (r < 0) {
		control_fail(w->req, r, "%s: the template cannot be used: %s",
		    w->rec.name, why);
		free(w);
		return;
	}
	make_over(w, &t);
	template_fini(&t);
}

static void
client_gone(void *arg)
{
	struct wish *w = arg;

	template_load_abandon(w->load);
	free(w);
}

/* The template is a file that came with the request. */
static void
load_first(struct wish *w)
{
	int fd = control_take_fd(w->req, 0), r = -EINVAL;

	if (fd >= 0) {
		r = template_load_start(&w->load, w->daemon, fd, loaded, w);
		close(fd);
	}
	if (r == 0) {
		control_on_gone(w->req, client_gone, w);
		return;
	}
	control_fail(w->req, r, "%s: the template's file cannot be read: %s",
	    w->rec.name, strerror(-r));
	free(w);
}

void
control_create_over(struct daemon *d, struct control_request *req,
    const Persona__Control__Create *c)
{
	struct wish *w = calloc(1, sizeof(*w));
	struct template t = { .manifest = NULL };
	const char *why = NULL;
	int r = -ENOMEM;

	if (w == NULL || (r = create_record(&w->rec, c)) < 0 ||
	    (r = wish_spec(w, c, &why)) < 0) {
		control_fail(req, r, "%s: cannot be created: %s", c->name,
		    why != NULL ? why : strerror(-r));
		free(w);
		return;
	}
	w->daemon = d;
	w->req = req;
	w->start = c->start;
	create_wants(c, &w->encrypt);
	if (c->image_file)
		load_first(w);
	else if (find(d, req, c->image, &t) < 0)
		free(w);
	else {
		make_over(w, &t);
		template_fini(&t);
	}
}
