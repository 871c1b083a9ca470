/* SPDX-License-Identifier: ISC */
/*
 * The commands list and show: what personad says of its personas, for people and
 * for programs. Changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-net.h"
#include "ctl-plain.h"
#include "ctl-policy.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "ctl-vault.h"
#include "ctl.h"

/* In the order of the numbers in control.proto. */
static const struct {
	const char	*word;		/* for programs */
	const char	*text;		/* for people */
} states[] = {
	{ "stopped", "stopped" },
	{ "running", "running" },
	{ "paused", "paused" },
	{ "sending", "running, being moved away" },
	{ "receiving", "arriving" },
	{ "released", "given away, not yet confirmed" },
	{ "crashed", "crashed" },
	{ "moved", "moved away" },
	{ "suspended", "suspended" },
	{ "saving", "being saved" },
};

#define N_STATES (sizeof(states) / sizeof(states[0]))

static const char *
state_word(int state)
{
	return (size_t)state < N_STATES ? states[state].word : "unknown";
}

static const char *
state_text(int state)
{
	return (size_t)state < N_STATES ? states[state].text : "unknown";
}

static void
disks_json(struct json *j, const Persona__Control__PersonaInfo *p)
{
	json_array(j, "disks");
	for (size_t i = 0; i < p->n_disks; i++) {
		const Persona__Control__DiskInfo *disk = p->disks[i];

		json_object(j, NULL);
		json_u64(j, "bytes", disk->bytes);
		if (disk->has_used_bytes)
			json_u64(j, "used_bytes", disk->used_bytes);
		json_bool(j, "read_only", disk->read_only);
		if (disk->has_errors)
			json_u64(j, "errors", disk->errors);
		if (disk->last_error != NULL)
			json_string(j, "last_error", disk->last_error);
		json_end(j);
	}
	json_end(j);
}

static void
policy_json(struct json *j, const Persona__Control__PolicyInfo *p)
{
	json_object(j, "policy");
	json_string(j, "issuer", p->issuer);
	json_string(j, "issuer_key", p->issuer_key);
	json_bool(j, "trusted", p->trusted);
	json_u64(j, "serial", p->serial);
	json_string(j, "move_to", ctl_policy_move_word((int)p->move_to));
	json_array(j, "handsets");
	for (size_t i = 0; i < p->n_handsets; i++)
		json_string(j, NULL, p->handsets[i]);
	json_end(j);
	json_bool(j, "may_export", p->may_export);
	json_bool(j, "may_standby", p->may_standby);
	json_bool(j, "must_encrypt", p->must_encrypt);
	json_u64(j, "expires_unix_s", p->expires_unix_s);
	json_bool(j, "expired", p->expired);
	if (p->forbids != NULL)
		json_string(j, "forbids", p->forbids);
	if (p->notice != NULL)
		json_string(j, "notice", p->notice);
	json_end(j);
}

static void
persona_json(struct json *j, const char *key,
    const Persona__Control__PersonaInfo *p)
{
	json_object(j, key);
	json_string(j, "name", p->name);
	json_string(j, "id", p->id);
	json_string(j, "state", state_word((int)p->state));
	json_u64(j, "ram_bytes", p->ram_bytes);
	json_u64(j, "vcpus", p->vcpus);
	json_string(j, "cpu_baseline", p->cpu_baseline);
	json_u64(j, "tenure", p->tenure);
	if (p->cmdline != NULL)
		json_string(j, "cmdline", p->cmdline);
	if (p->has_vmm_pid)
		json_i64(j, "vmm_pid", p->vmm_pid);
	if (p->stands_still != NULL)
		json_string(j, "stands_still", p->stands_still);
	if (p->last_end != NULL)
		json_string(j, "last_end", p->last_end);
	if (p->moved_to != NULL)
		json_string(j, "moved_to", p->moved_to);
	if (p->has_throttle_percent)
		json_u64(j, "throttle_percent", p->throttle_percent);
	if (p->has_limit_cpu_percent)
		json_u64(j, "limit_cpu_percent", p->limit_cpu_percent);
	if (p->has_limit_memory_bytes)
		json_u64(j, "limit_memory_bytes", p->limit_memory_bytes);
	if (p->has_created_unix_s)
		json_u64(j, "created_unix_s", p->created_unix_s);
	if (p->n_disks > 0)
		disks_json(j, p);
	json_bool(j, "encrypted", p->encrypted);
	if (p->has_vault) {
		json_string(j, "vault", p->vault ==
		    PERSONA__CONTROL__PERSONA_INFO__VAULT__OPEN ? "open" :
		    p->vault == PERSONA__CONTROL__PERSONA_INFO__VAULT__LOST ?
		    "lost" : "locked");
		json_bool(j, "vault_passphrase", p->vault_passphrase);
	}
	if (p->policy != NULL)
		policy_json(j, p->policy);
	if (p->net != NULL)
		net_json(j, p->net);
	json_end(j);
}

static int
list_json(const Persona__Control__Reply *reply)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_array(&j, "personas");
	for (size_t i = 0; i < reply->n_personas; i++)
		persona_json(&j, NULL, reply->personas[i]);
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

/* What their owner should know unasked, below the table. */
static void
list_notice(const char *name, const char *text)
{
	char *printable = text != NULL ? text_printable(text) : NULL;

	if (printable != NULL)
		printf("\n%s: %s\n", name, printable);
	free(printable);
}

static void
list_notices(const Persona__Control__Reply *reply)
{
	for (size_t i = 0; i < reply->n_personas; i++) {
		const Persona__Control__PersonaInfo *p = reply->personas[i];

		list_notice(p->name, p->stands_still);
		list_notice(p->name, p->policy != NULL ? p->policy->notice :
		    NULL);
	}
}

static int
list_table(const Persona__Control__Reply *reply)
{
	static const char *const headings[] = { "NAME", "STATE", "MEMORY",
	    "CPUS", "WHERE" };
	struct table *t;
	char size[32];
	int r = -ENOMEM;

	if (reply->n_personas == 0) {
		puts("No personas here yet; 'personactl create --help' says "
		    "how to make one.");
		return CTL_OK;
	}
	if ((t = table_new(headings, 5)) != NULL) {
		for (size_t i = 0; i < reply->n_personas; i++) {
			const Persona__Control__PersonaInfo *p =
			    reply->personas[i];

			text_size(size, sizeof(size), p->ram_bytes);
			table_cell(t, p->name);
			table_cell(t, state_text((int)p->state));
			table_cell(t, size);
			table_cellf(t, "%u", p->vcpus);
			table_cell(t, p->moved_to != NULL ? p->moved_to :
			    vault_where(p));
		}
		r = table_print(t, stdout);
		list_notices(reply);
	}
	table_free(t);
	return r == 0 ? CTL_OK : CTL_FAILED;
}

int
ctl_list(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__List list = PERSONA__CONTROL__LIST__INIT;
	Persona__Control__Reply *reply;
	bool names;
	int status;

	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_LIST;
	req.list = &list;
	status = ctl_call_list(ctl, argc, argv, &req, &names, &reply);
	if (status != CTL_OK)
		return status;
	if (ctl->json)
		status = list_json(reply);
	else if (!names)
		status = list_table(reply);
	else
		for (size_t i = 0; i < reply->n_personas; i++)
			puts(reply->personas[i]->name);
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}

static void
show_line(const char *label, const char *text)
{
	char *printable = text_printable(text);

	printf("%-14s %s\n", label, printable != NULL ? printable : "?");
	free(printable);
}

/* One line a rule; a person reads what is forbidden first. */
static void
show_policy(const Persona__Control__PolicyInfo *p)
{
	char text[64];

	show_line("policy of", p->issuer);
	show_line("  its key", p->issuer_key);
	show_line("  trusted", p->trusted ? "yes" :
	    "no: not one of personad.conf's issuers; it binds all the same");
	if (p->forbids != NULL)
		show_line("  FORBIDS", p->forbids);
	if (p->notice != NULL)
		show_line("  NOTICE", p->notice);
	show_line("  may move", p->move_to == 0 ? "to every paired handset" :
	    p->move_to == 1 ? "to listed handsets" : "no");
	for (size_t i = 0; i < p->n_handsets; i++)
		show_line("    to", p->handsets[i]);
	show_line("  export", p->may_export ? "yes" : "no");
	show_line("  standby", p->may_standby ? "yes" : "no");
	show_line("  must encrypt", p->must_encrypt ? "yes" : "no");
	show_line("  expires", ctl_policy_date(p->expires_unix_s, text,
	    sizeof(text)));
}

static void
show_disk(unsigned int i, const Persona__Control__DiskInfo *disk)
{
	char label[16], size[32], used[32], text[128];

	snprintf(label, sizeof(label), "disk %u", i);
	text_size(size, sizeof(size), disk->bytes);
	text_size(used, sizeof(used), disk->used_bytes);
	snprintf(text, sizeof(text), "%s%s%s%s%s", size,
	    disk->read_only ? ", read-only" : "",
	    disk->has_used_bytes ? ", takes " : "",
	    disk->has_used_bytes ? used : "",
	    disk->has_used_bytes ? " here" : "");
	show_line(label, text);
	if (!disk->has_errors)
		return;
	snprintf(text, sizeof(text), "%llu of its requests, which the guest "
	    "was told; last: %.40s", (unsigned long long)disk->errors,
	    disk->last_error != NULL ? disk->last_error : "unknown");
	show_line("STORAGE FAILS", text);
}

static void
show_text(const Persona__Control__PersonaInfo *p)
{
	char text[64];

	show_line("persona", p->name);
	show_line("id", p->id);
	show_line("state", state_text((int)p->state));
	if (p->moved_to != NULL)
		show_line("moved to", p->moved_to);
	text_size(text, sizeof(text), p->ram_bytes);
	show_line("memory", text);
	printf("%-14s %u, %s\n", "processors", p->vcpus, p->cpu_baseline);
	for (unsigned int i = 0; i < p->n_disks; i++)
		show_disk(i, p->disks[i]);
	if (p->encrypted)
		show_line("encrypted", vault_text(p));
	printf("%-14s %llu\n", "tenure", (unsigned long long)p->tenure);
	if (p->cmdline != NULL && *p->cmdline != '\0')
		show_line("command line", p->cmdline);
	if (p->has_vmm_pid)
		printf("%-14s %d\n", "persona-vmm", p->vmm_pid);
	if (p->net != NULL)
		net_text(p->net);
	if (p->has_throttle_percent && p->throttle_percent > 0)
		printf("%-14s by %u %%, so that its move can finish\n",
		    "slowed", (unsigned int)p->throttle_percent);
	if (p->has_limit_cpu_percent)
		printf("%-14s %u %% of a processor\n", "limit",
		    p->limit_cpu_percent);
	if (p->has_limit_memory_bytes) {
		text_size(text, sizeof(text), p->limit_memory_bytes);
		printf("%-14s %s beside its own memory\n", "limit", text);
	}
	if (p->stands_still != NULL)
		show_line("STANDS STILL", p->stands_still);
	if (p->last_end != NULL)
		show_line("last ended", p->last_end);
	if (p->has_created_unix_s) {
		time_t t = (time_t)p->created_unix_s;
		struct tm tm;

		if (localtime_r(&t, &tm) != NULL && strftime(text,
		    sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
			show_line("created", text);
	}
	if (p->policy != NULL)
		show_policy(p->policy);
}

int
ctl_show(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	Persona__Control__Reply *reply;
	const char *arg;
	struct json j;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SHOW;
	req.show = &name;
	if ((status = ctl_call(ctl, &req, &reply)) != CTL_OK)
		return status;
	if (reply->n_personas == 0) {
		status = ctl_fail(ctl, "there is no persona '%s' here", arg);
	} else if (ctl->json) {
		json_begin(&j, stdout);
		json_bool(&j, "ok", true);
		persona_json(&j, "persona", reply->personas[0]);
		status = json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
	} else {
		show_text(reply->personas[0]);
	}
	persona__control__reply__free_unpacked(reply, NULL);
	return status;
}
