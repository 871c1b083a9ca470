/* SPDX-License-Identifier: ISC */
/*
 * peers and unpair: the handsets around and those we trust. Knows no discovery;
 * what it prints of a peer that is not paired is a hint and is shown as one.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-plain.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "ctl.h"

static int
peers_json(const Persona__Control__Reply *reply)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_array(&j, "peers");
	for (size_t i = 0; i < reply->n_peers; i++) {
		const Persona__Control__PeerInfo *p = reply->peers[i];

		json_object(&j, NULL);
		json_string(&j, "name", p->name);
		json_string(&j, "fingerprint", p->fingerprint);
		json_bool(&j, "paired", p->paired);
		json_bool(&j, "present", p->present);
		json_array(&j, "addresses");
		for (size_t a = 0; a < p->n_addresses; a++)
			json_string(&j, NULL, p->addresses[a]);
		json_end(&j);
		if (p->has_protocol_version)
			json_u64(&j, "protocol_version", p->protocol_version);
		if (p->warning != NULL)
			json_string(&j, "warning", p->warning);
		json_end(&j);
	}
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

static void
print_warnings(const Persona__Control__Reply *reply)
{
	for (size_t i = 0; i < reply->n_peers; i++) {
		const Persona__Control__PeerInfo *p = reply->peers[i];
		char *name, *warning;

		if (p->warning == NULL)
			continue;
		name = text_printable(p->name);
		warning = text_printable(p->warning);
		printf("\nWARNING: %s: %s\n", name != NULL ? name : "?",
		    warning != NULL ? warning : "?");
		free(name);
		free(warning);
	}
}

static int
peers_table(const Persona__Control__Reply *reply)
{
	static const char *const headings[] = { "NAME", "PAIRED", "HERE NOW",
	    "ADDRESS", "KEY" };
	struct table *t;
	int r = -ENOMEM;

	if (reply->n_peers == 0) {
		puts("No other handset is paired or in sight.");
		return CTL_OK;
	}
	if ((t = table_new(headings, 5)) != NULL) {
		for (size_t i = 0; i < reply->n_peers; i++) {
			const Persona__Control__PeerInfo *p = reply->peers[i];

			table_cell(t, p->name);
			table_cell(t, p->paired ? "yes" : "no");
			table_cell(t, p->present ? "yes" : "no");
			if (p->n_addresses > 1)
				table_cellf(t, "%s +%zu", p->addresses[0],
				    p->n_addresses - 1);
			else
				table_cell(t, p->n_addresses == 1 ?
				    p->addresses[0] : "-");
			table_cell(t, p->fingerprint);
		}
		r = table_print(t, stdout);
	}
	table_free(t);
	print_warnings(reply);
	return r == 0 ? CTL_OK : CTL_FAILED;
}

static void
peers_names(const Persona__Control__Reply *reply)
{
	for (size_t i = 0; i < reply->n_peers; i++) {
		char *name = text_printable(reply->peers[i]->name);

		if (name != NULL)
			puts(name);
		free(name);
	}
}

int
ctl_peers(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Peers peers = PERSONA__CONTROL__PEERS__INIT;
	Persona__Control__Reply *reply;
	bool names;
	int status;

	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_PEERS;
	req.peers = &peers;
	status = ctl_call_list(ctl, argc, argv, &req, &names, &reply);
	if (status != CTL_OK)
		return status;
	if (ctl->json)
		status = peers_json(reply);
	else if (names)
		peers_names(reply);
	else
		status = peers_table(reply);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

int
ctl_unpair(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *peer;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 1, 1, &peer)) != CTL_OK ||
	    (status = ctl_check_peer(ctl, peer)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)peer;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_UNPAIR;
	req.unpair = &name;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}
