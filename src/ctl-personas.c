/* SPDX-License-Identifier: ISC */
/*
 * The commands about personas of this handset: create, list, show, start, stop,
 * kill, pause, resume, delete. Asks personad; knows no registry and no VMM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bounds.h"
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-net.h"
#include "ctl-parse.h"
#include "ctl-policy.h"
#include "ctl-table.h"
#include "ctl-text.h"
#include "ctl-vault.h"
#include "ctl.h"

#define DEFAULT_RAM_BYTES (512ULL << 20)

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

/* --- questions that name a persona and want only a yes ------------------ */

static int
call_and_say(struct ctl *ctl, const Persona__Control__Request *req)
{
	int status = ctl_call(ctl, req, NULL);

	return status == CTL_OK ? ctl_done(ctl) : status;
}

/*
 * Requests that are nothing but a Name share one shape: all of them are pointers
 * in the same union, told apart by the case.
 */
static int
name_request(struct ctl *ctl, int argc, char **argv,
    Persona__Control__Request__WhatCase what)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)arg;
	req.what_case = what;
	req.start = &name;
	return call_and_say(ctl, &req);
}

int
ctl_start(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg, *file = NULL;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		file = optarg;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK ||
	    (status = vault_open_first(ctl, arg, file)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_START;
	req.start = &name;
	return call_and_say(ctl, &req);
}

int
ctl_kill(struct ctl *ctl, int argc, char **argv)
{
	return name_request(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_KILL);
}

int
ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	return name_request(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_PAUSE);
}

int
ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	return name_request(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_RESUME);
}

int
ctl_stop(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Stop stop = PERSONA__CONTROL__STOP__INIT;
	const char *arg, *why;
	uint64_t timeout_s;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if (parse_number(optarg, 0, 3600, &timeout_s, &why) < 0)
			return ctl_usage(ctl, "--timeout %s: %s", optarg, why);
		stop.has_timeout_ms = true;
		stop.timeout_ms = (uint32_t)timeout_s * 1000;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	stop.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_STOP;
	req.stop = &stop;
	return call_and_say(ctl, &req);
}

int
ctl_delete(struct ctl *ctl, int argc, char **argv)
{
	static const struct option flag = { "yes", no_argument, NULL, 'y' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg;
	bool yes = false;
	int status;

	status = ctl_flag_option(ctl, argc, argv, &flag, &yes);
	if (status != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	if (!yes && !ctl_confirm("Delete persona %s and its image from this "
	    "handset?", arg))
		return ctl_fail(ctl, "%s was not deleted", arg);
	name.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_DELETE;
	req.delete_ = &name;
	return call_and_say(ctl, &req);
}

/* --- create ------------------------------------------------------------- */

enum { OPT_DISK_IMAGE = 256, OPT_IMAGE, OPT_ENCRYPT, OPT_PASSPHRASE };	/* no letter of its own */

struct create_args {
	Persona__Control__Create	msg;
	char				*kernel;	/* absolute; ours */
	char				*initrd;
	Persona__Control__NewDisk	disks[DISKS_MAX];
	Persona__Control__NewDisk	*disk_list[DISKS_MAX];
	char				*disk_files[DISKS_MAX];	/* ours */
	const char			*image;		/* a template, or NULL */
	struct net_args			*net;
	bool				has_net;
	bool				encrypt;
	const char			*how;		/* encrypted, or NULL */
	const char			*passphrase_file;
};

/* personad has another working directory than the person who types. */
static int
take_file(struct ctl *ctl, const char *path, char **absolute)
{
	free(*absolute);
	if ((*absolute = realpath(path, NULL)) == NULL)
		return ctl_fail(ctl, "%s: %s", path, strerror(errno));
	return CTL_OK;
}

/* The next disk, empty and of a size, or with the content of a file. */
static int
take_disk(struct ctl *ctl, const char *size, const char *file,
    struct create_args *a)
{
	size_t i = a->msg.n_disks;
	Persona__Control__NewDisk *disk = &a->disks[i];
	const char *why;
	int status;

	if (i == DISKS_MAX)
		return ctl_usage(ctl, "a persona has at most %u disks",
		    DISKS_MAX);
	persona__control__new_disk__init(disk);
	if (size != NULL) {
		disk->has_bytes = true;
		if (parse_disk(size, &disk->bytes, &why) < 0)
			return ctl_usage(ctl, "--disk %s: %s", size, why);
	} else {
		if ((status = take_file(ctl, file, &a->disk_files[i])) !=
		    CTL_OK)
			return status;
		disk->source = a->disk_files[i];
	}
	a->disk_list[i] = disk;
	a->msg.disks = a->disk_list;
	a->msg.n_disks = i + 1;
	return CTL_OK;
}

static int
take_create_option(struct ctl *ctl, int c, struct create_args *a)
{
	const char *why = NULL;
	uint64_t cpus;

	switch (c) {
	case 'k':
		return take_file(ctl, optarg, &a->kernel);
	case 'i':
		return take_file(ctl, optarg, &a->initrd);
	case 'a':
		a->msg.cmdline = optarg;
		if (strlen(optarg) > CMDLINE_MAX)
			return ctl_usage(ctl, "--append: a kernel command "
			    "line has at most %d bytes", CMDLINE_MAX);
		return CTL_OK;
	case 'm':
		if (parse_ram(optarg, &a->msg.ram_bytes, &why) < 0)
			return ctl_usage(ctl, "--memory %s: %s", optarg, why);
		return CTL_OK;
	case 'c':
		if (parse_number(optarg, 1, VCPUS_MAX, &cpus, &why) < 0)
			return ctl_usage(ctl, "--cpus %s: a persona has 1 to "
			    "%d processors", optarg, VCPUS_MAX);
		a->msg.vcpus = (uint32_t)cpus;
		return CTL_OK;
	case 'u':
		a->msg.cpu_baseline = optarg;
		return CTL_OK;
	case 'd':
		return take_disk(ctl, optarg, NULL, a);
	case OPT_IMAGE:
		a->image = optarg;
		return CTL_OK;
	case OPT_ENCRYPT:
		a->encrypt = true;
		a->how = optarg;
		return CTL_OK;
	case OPT_PASSPHRASE:
		a->passphrase_file = optarg;
		return CTL_OK;
	case OPT_DISK_IMAGE:
		return take_disk(ctl, NULL, optarg, a);
	case 's':
		a->msg.has_start = a->msg.start = true;
		return CTL_OK;
	case 'n':
		a->has_net = true;
		return CTL_OK;
	case 'f':
		a->has_net = true;
		return net_args_forward(ctl, a->net, optarg);
	default:
		return CTL_USAGE;
	}
}

/* A file that is there is opened here and handed over; else it is a name. */
static int
open_image(struct ctl *ctl, struct create_args *a, int *fd)
{
	*fd = open(a->image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		a->msg.has_image_file = a->msg.image_file = true;
	else if (errno != ENOENT || strchr(a->image, '/') != NULL)
		return ctl_fail(ctl, "%s: %s", a->image, strerror(errno));
	else
		a->msg.image = (char *)(uintptr_t)a->image;
	return CTL_OK;
}

static int
send_create(struct ctl *ctl, const Persona__Control__Request *req,
    const int *fds, size_t n)
{
	struct ctl_client *c;
	Persona__Control__Reply *reply;
	int r, status;

	if ((status = ctl_ask_with(ctl, req, fds, n, &c)) != CTL_OK)
		return status;
	if ((r = ctl_next_reply(c, true, &reply, NULL)) <= 0)
		status = ctl_lost(ctl, r);
	else {
		status = reply->error < 0 ? ctl_refused(ctl, reply) :
		    ctl_done(ctl);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	return status;
}

/* The template's file, then the passphrase: each where there is one. */
static int
create_with_fds(struct ctl *ctl, const Persona__Control__Request *req,
    struct create_args *a)
{
	int image = -1, secret = -1, fds[2], status = CTL_OK;
	size_t n = 0;

	if (a->image != NULL)
		status = open_image(ctl, a, &image);
	if (status == CTL_OK && a->encrypt)
		status = vault_take_encrypt(ctl, a->how, a->passphrase_file,
		    &a->msg, &secret);
	if (image >= 0)
		fds[n++] = image;
	if (secret >= 0)
		fds[n++] = secret;
	if (status == CTL_OK)
		status = send_create(ctl, req, fds, n);
	while (n > 0)
		close(fds[--n]);
	return status;
}

static int
create_from_options(struct ctl *ctl, int argc, char **argv,
    struct create_args *a)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'u' },
		{ "disk", required_argument, NULL, 'd' },
		{ "disk-image", required_argument, NULL,
		    OPT_DISK_IMAGE },
		{ "image", required_argument, NULL, OPT_IMAGE },
		{ "encrypt", optional_argument, NULL, OPT_ENCRYPT },
		{ "passphrase-file", required_argument, NULL,
		    OPT_PASSPHRASE },
		{ "start", no_argument, NULL, 's' },
		{ "net", no_argument, NULL, 'n' },
		{ "forward", required_argument, NULL, 'f' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	const char *name;
	int c, status;

	a->msg.vcpus = 1;
	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_create_option(ctl, c, a)) != CTL_OK)
			return status;
	if (a->msg.ram_bytes == 0 && a->image == NULL)
		a->msg.ram_bytes = DEFAULT_RAM_BYTES;
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	if (a->passphrase_file != NULL && !a->encrypt)
		return ctl_usage(ctl, "--passphrase-file goes with "
		    "--encrypt=passphrase");
	if (a->kernel == NULL && a->image == NULL)
		return ctl_usage(ctl, "--kernel or --image is missing: what "
		    "shall %s boot?", name);
	a->msg.name = (char *)(uintptr_t)name;
	a->msg.kernel = a->kernel != NULL ? a->kernel : (char *)"";
	a->msg.initrd = a->initrd;
	if (a->has_net)
		a->msg.net = net_args_wish(a->net);
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CREATE;
	req.create = &a->msg;
	return create_with_fds(ctl, &req, a);
}

int
ctl_create(struct ctl *ctl, int argc, char **argv)
{
	struct create_args a = { .msg = PERSONA__CONTROL__CREATE__INIT };
	int status;

	if ((a.net = net_args_new()) == NULL)
		return ctl_fail(ctl, "no memory");
	status = create_from_options(ctl, argc, argv, &a);
	net_args_free(a.net);
	free(a.kernel);
	free(a.initrd);
	for (size_t i = 0; i < DISKS_MAX; i++)
		free(a.disk_files[i]);
	return status;
}

/* --- list and show ------------------------------------------------------ */

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
			    "here");
		}
		r = table_print(t, stdout);
	}
	table_free(t);
	return r == 0 ? CTL_OK : CTL_FAILED;
}

int
ctl_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct option flag = { "names", no_argument, NULL, 'n' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__List list = PERSONA__CONTROL__LIST__INIT;
	Persona__Control__Reply *reply;
	bool names = false;
	int status;

	status = ctl_flag_option(ctl, argc, argv, &flag, &names);
	if (status != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 0, 0, NULL)) != CTL_OK)
		return status;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_LIST;
	req.list = &list;
	if ((status = ctl_call(ctl, &req, &reply)) != CTL_OK)
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
	char label[16], size[32], used[32], text[96];

	snprintf(label, sizeof(label), "disk %u", i);
	text_size(size, sizeof(size), disk->bytes);
	text_size(used, sizeof(used), disk->used_bytes);
	snprintf(text, sizeof(text), "%s%s%s%s%s", size,
	    disk->read_only ? ", read-only" : "",
	    disk->has_used_bytes ? ", takes " : "",
	    disk->has_used_bytes ? used : "",
	    disk->has_used_bytes ? " here" : "");
	show_line(label, text);
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
