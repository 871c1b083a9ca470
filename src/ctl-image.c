/* SPDX-License-Identifier: ISC */
/*
 * personactl image: templates of this handset, and making a template file. Asks
 * personad for all but the making.
 */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-image.h"
#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "ctl.h"

/* --- list, remove -------------------------------------------------------------------- */

static int
list_json(const Persona__Control__Reply *reply)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_array(&j, "images");
	for (size_t i = 0; i < reply->n_images; i++) {
		const Persona__Control__ImageInfo *m = reply->images[i];

		json_object(&j, NULL);
		json_string(&j, "name", m->name);
		json_string(&j, "hash", m->hash);
		json_u64(&j, "disk_bytes", m->disk_bytes);
		json_u64(&j, "used_bytes", m->used_bytes);
		json_u64(&j, "personas", m->personas);
		if (m->has_created_unix_s)
			json_u64(&j, "created_unix_s", m->created_unix_s);
		if (m->issuer != NULL)
			json_string(&j, "issuer", m->issuer);
		json_end(&j);
	}
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

static int
list_table(const Persona__Control__Reply *reply)
{
	static const char *const headings[] = { "NAME", "HASH", "DISK",
	    "TAKES", "PERSONAS", "POLICY" };
	struct table *t;
	char size[32];
	int r = -1;

	if (reply->n_images == 0) {
		puts("No templates here; 'personactl create --image FILE' "
		    "brings one.");
		return CTL_OK;
	}
	if ((t = table_new(headings, 6)) != NULL) {
		for (size_t i = 0; i < reply->n_images; i++) {
			const Persona__Control__ImageInfo *m =
			    reply->images[i];

			table_cell(t, m->name);
			table_cellf(t, "%.12s", m->hash);
			text_size(size, sizeof(size), m->disk_bytes);
			table_cell(t, size);
			text_size(size, sizeof(size), m->used_bytes);
			table_cell(t, size);
			table_cellf(t, "%u", m->personas);
			table_cell(t, m->issuer != NULL ? m->issuer : "-");
		}
		r = table_print(t, stdout);
	}
	table_free(t);
	return r == 0 ? CTL_OK : CTL_FAILED;
}

static int
image_list(struct ctl *ctl)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Images images = PERSONA__CONTROL__IMAGES__INIT;
	Persona__Control__Reply *reply;
	int status;

	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_IMAGES;
	req.images = &images;
	if ((status = ctl_call(ctl, &req, &reply)) != CTL_OK)
		return status;
	status = ctl->json ? list_json(reply) : list_table(reply);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

static int
image_remove(struct ctl *ctl, const char *name)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name what = PERSONA__CONTROL__NAME__INIT;
	int status;

	what.name = (char *)(uintptr_t)name;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_IMAGE_REMOVE;
	req.image_remove = &what;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

/* --- pack ----------------------------------------------------------------------------- */

static int
take_arch(struct ctl *ctl, const char *text, const char **arch)
{
	if (strcmp(text, "amd64") == 0 || strcmp(text, "x86-64") == 0)
		*arch = "x86-64";
	else if (strcmp(text, "arm64") == 0)
		*arch = "arm64";
	else
		return ctl_usage(ctl, "--arch %s: amd64 or arm64", text);
	return CTL_OK;
}

static int
take_option(struct ctl *ctl, int c, struct image_pack_options *o)
{
	const char *why;

	switch (c) {
	case 'k':
		o->kernel = optarg;
		return CTL_OK;
	case 'i':
		o->initrd = optarg;
		return CTL_OK;
	case 'd':
		o->disk = optarg;
		return CTL_OK;
	case 'c':
		o->cmdline = optarg;
		return strlen(optarg) <= CMDLINE_MAX ? CTL_OK : ctl_usage(ctl,
		    "--cmdline: has at most %d bytes", CMDLINE_MAX);
	case 'n':
		o->name = optarg;
		return ctl_check_persona(ctl, optarg);
	case 'l':
		o->label = optarg;
		return strlen(optarg) <= LABEL_MAX ? CTL_OK : ctl_usage(ctl,
		    "--label: has at most %u bytes", LABEL_MAX);
	case 'A':
		return take_arch(ctl, optarg, &o->arch);
	case 'p':
		o->policy = optarg;
		return CTL_OK;
	case 'm':
		return parse_ram(optarg, &o->ram_bytes, &why) == 0 ? CTL_OK :
		    ctl_usage(ctl, "--memory %s: %s", optarg, why);
	default:
		return CTL_USAGE;
	}
}

int
ctl_image(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "disk", required_argument, NULL, 'd' },
		{ "cmdline", required_argument, NULL, 'c' },
		{ "name", required_argument, NULL, 'n' },
		{ "label", required_argument, NULL, 'l' },
		{ "arch", required_argument, NULL, 'A' },
		{ "memory", required_argument, NULL, 'm' },
		{ "policy", required_argument, NULL, 'p' },
		{ 0 }
	};
	struct image_pack_options o = { .name = "persona" };
	const char *pos[2];
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_option(ctl, c, &o)) != CTL_OK)
			return status;
	if ((status = ctl_arguments(ctl, argc, argv, 1, 2, pos)) != CTL_OK)
		return status;
	if (strcmp(pos[0], "list") == 0 && pos[1] == NULL)
		return image_list(ctl);
	if (strcmp(pos[0], "remove") == 0 && pos[1] != NULL)
		return image_remove(ctl, pos[1]);
	if (strcmp(pos[0], "pack") != 0 || pos[1] == NULL)
		return ctl_usage(ctl, "image list | remove IMAGE | pack "
		    "--kernel FILE [options] FILE");
	if (o.kernel == NULL)
		return ctl_usage(ctl, "--kernel is missing: what shall it "
		    "boot?");
	o.out = pos[1];
	return ctl_image_pack(ctl, &o);
}
