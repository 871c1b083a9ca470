/* SPDX-License-Identifier: ISC */
/*
 * Control requests about personas of this handset: list, show, start, stop, kill,
 * pause, resume, console, delete. Knows no connection and no move; how one is made
 * stands in control-create.c.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "arrival.h"
#include "control-net.h"
#include "control-policy.h"
#include "daemon.h"
#include "guest.h"
#include "guest-files.h"
#include "image.h"
#include "log.h"
#include "persona.h"
#include "vault.h"

#define STOP_TIMEOUT_MS		5000
#define STOP_TIMEOUT_MAX_MS	600000
#define CONSOLE_TIMEOUT_MS	3000

/* --- list, show --------------------------------------------------------------------- */

/* How a persona looks from outside; the texts point into `p`. */
static void
persona_info(struct persona *p, Persona__Control__PersonaInfo *info)
{
	persona__control__persona_info__init(info);
	info->name = p->rec.name;
	info->id = p->rec.id;
	info->state = persona_state(p);
	info->ram_bytes = p->rec.ram_bytes;
	info->vcpus = p->rec.vcpus;
	info->cpu_baseline = p->rec.cpu_baseline;
	info->tenure = p->rec.tenure;
	info->cmdline = p->rec.cmdline;
	info->has_created_unix_s = p->rec.created_unix_s > 0;
	info->created_unix_s = p->rec.created_unix_s;
	if (p->guest != NULL) {
		info->has_vmm_pid = true;
		info->vmm_pid = guest_pid(p->guest);
	}
	info->has_throttle_percent = p->hook != NULL && !p->hook->asking &&
	    p->guest != NULL;
	if (info->has_throttle_percent)
		info->throttle_percent = p->hook->throttle_percent;
	info->stands_still = (char *)(uintptr_t)guest_stands_still(p->guest);
	if (p->rec.last_end[0] != '\0')
		info->last_end = p->rec.last_end;
	if (p->rec.holding != HOLDING_OWNER)
		info->moved_to = p->rec.peer_name;
	info->net = control_net_info(p);
}

static void
limits_info(const Persona__Spec__Limits *l,
    Persona__Control__PersonaInfo *info)
{
	if (l == NULL)
		return;
	info->has_limit_cpu_percent = l->has_cpu_percent;
	info->limit_cpu_percent = l->cpu_percent;
	info->has_limit_memory_bytes = l->has_memory_bytes;
	info->limit_memory_bytes = l->memory_bytes;
}

static void
vault_info(struct persona *p, Persona__Control__PersonaInfo *info)
{
	const enum vault_state state = vault_state(p->daemon, p->rec.id);

	info->has_encrypted = true;
	info->encrypted = state != VAULT_ABSENT ||
	    vault_is_wanted(&p->rec.spec);
	info->has_vault = state != VAULT_ABSENT;
	info->vault = state == VAULT_OPENED ?
	    PERSONA__CONTROL__PERSONA_INFO__VAULT__OPEN :
	    state == VAULT_LOST ? PERSONA__CONTROL__PERSONA_INFO__VAULT__LOST :
	    PERSONA__CONTROL__PERSONA_INFO__VAULT__LOCKED;
	info->has_vault_passphrase = info->has_vault;
	info->vault_passphrase = vault_wants_passphrase(p->daemon, p->rec.id);
}

static void
spec_info(struct persona *p, struct control_disks *l,
    Persona__Control__PersonaInfo *info)
{
	Persona__Spec__Spec *spec;
	int error = 0;

	if (spec_unpack(&p->rec.spec, &spec) < 0)
		return;
	for (unsigned int i = 0; i < spec->n_disks; i++) {
		Persona__Control__DiskInfo *disk = &l->info[i];

		persona__control__disk_info__init(disk);
		l->list[i] = disk;
		disk->bytes = spec->disks[i]->bytes;
		disk->has_read_only = spec->disks[i]->has_read_only;
		disk->read_only = spec->disks[i]->read_only;
		disk->has_used_bytes = p->rec.holding != HOLDING_AWAY;
		disk->used_bytes = guest_files_disk_used(p->daemon,
		    p->rec.id, i);
		disk->errors = guest_disk_errors(p->guest, i, &error);
		disk->has_errors = disk->errors > 0;
		if (disk->has_errors)
			disk->last_error = strerror(-error);
	}
	info->n_disks = spec->n_disks;
	info->disks = l->list;
	limits_info(spec->limits, info);
	persona__spec__spec__free_unpacked(spec, NULL);
}

void
control_info(struct persona *p, Persona__Control__PersonaInfo *info,
    struct control_disks *disks)
{
	persona_info(p, info);
	spec_info(p, disks, info);
}

void
control_info_free(Persona__Control__PersonaInfo *info)
{
	control_net_info_free(info->net);
}

static void
send_chunk(struct control_request *req, struct persona **from, size_t n,
    bool done)
{
	Persona__Control__PersonaInfo info[CONTROL_CHUNK], *list[CONTROL_CHUNK];
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	struct policy_info *policies[CONTROL_CHUNK];
	struct control_disks disks[CONTROL_CHUNK];

	for (size_t i = 0; i < n; i++) {
		control_info(from[i], &info[i], &disks[i]);
		vault_info(from[i], &info[i]);
		policies[i] = control_policy_info(from[i], &info[i].policy);
		list[i] = &info[i];
	}
	reply.n_personas = n;
	reply.personas = list;
	reply.done = done;
	control_reply(req, &reply, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		free(policies[i]);
		control_info_free(&info[i]);
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct persona *const *pa = a, *const *pb = b;

	return strcmp((*pa)->rec.name, (*pb)->rec.name);
}

void
control_in_chunks(struct daemon *d, struct control_request *req,
    control_chunk_fn *send)
{
	struct persona *all[2 * PERSONAS_MAX], *p;
	size_t n = 0, at = 0;

	TAILQ_FOREACH(p, &d->personas, entry)
		if (n < sizeof(all) / sizeof(all[0]))
			all[n++] = p;
	qsort(all, n, sizeof(all[0]), by_name);
	for (; n - at > CONTROL_CHUNK; at += CONTROL_CHUNK)
		send(req, all + at, CONTROL_CHUNK, false);
	send(req, all + at, n - at, true);
}

void
control_list(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	control_in_chunks(d, req, send_chunk);
}

void
control_show(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	send_chunk(req, &p, 1, true);
}

/* --- start, stop, kill, pause, resume ------------------------------------------------- */

static void
answer(void *arg, int r, const char *why)
{
	struct control_request *req = arg;

	if (r < 0)
		control_fail(req, r, "%s", why);
	else
		control_ok(req);
}

/* Its image is being read: it must stay as it is. */
static bool
refuse_exported(struct persona *p, struct control_request *req)
{
	if (p->exports > 0)
		control_fail(req, -EBUSY, "%s: it is being exported; wait for "
		    "the end, or interrupt the export", p->rec.name);
	return p->exports > 0;
}

void
control_start(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	if (!refuse_exported(p, req))
		persona_start(p, answer, req);
}

void
control_stop(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	uint32_t timeout_ms = what->stop->has_timeout_ms ?
	    what->stop->timeout_ms : STOP_TIMEOUT_MS;

	if (timeout_ms > STOP_TIMEOUT_MAX_MS)
		timeout_ms = STOP_TIMEOUT_MAX_MS;
	if (p->suspended && p->guest == NULL) {
		persona_forget_suspended(p);
		control_ok(req);
		return;
	}
	persona_stop(p, timeout_ms, answer, req);
}

void
control_kill(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	persona_kill(p, answer, req);
}

void
control_pause(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	persona_pause(p, answer, req);
}

void
control_resume(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	if (p->guest == NULL)
		persona_start(p, answer, req);	/* from what was suspended */
	else
		persona_resume(p, answer, req);
}

/* --- console -------------------------------------------------------------------------- */

struct console_wait {
	struct control_request	*req;
	int			client_fd;
};

static void
console_attached(void *arg, int r, const char *why,
    const Persona__Vmm__Reply *vmm_reply, struct ipc_msg *msg)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	struct console_wait *w = arg;

	(void)vmm_reply;
	(void)msg;
	if (r < 0)
		control_fail(w->req, r, "the console is not to be had: %s",
		    why);
	else {
		reply.done = true;
		control_reply(w->req, &reply, &w->client_fd, 1);
	}
	close(w->client_fd);
	free(w);
}

void
control_console(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	Persona__Vmm__Request vreq = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__ConsoleAttach c = PERSONA__VMM__CONSOLE_ATTACH__INIT;
	struct vmm *v = guest_vmm(p->ready ? p->guest : arrival_guest(p));
	struct console_wait *w = NULL;
	int sv[2] = { -1, -1 }, r = -ESRCH;

	if (v == NULL)
		goto fail;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
		r = -errno;
		goto fail;
	}
	r = -ENOMEM;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		goto fail;
	w->req = req;
	w->client_fd = sv[0];
	c.has_port = true;
	c.port = what->console->virtio ?
	    PERSONA__VMM__CONSOLE_ATTACH__PORT__VIRTIO :
	    PERSONA__VMM__CONSOLE_ATTACH__PORT__SERIAL;
	vreq.what_case = PERSONA__VMM__REQUEST__WHAT_CONSOLE;
	vreq.console = &c;
	if ((r = vmm_request(v, &vreq, &sv[1], 1, CONSOLE_TIMEOUT_MS,
	    console_attached, w)) < 0)
		goto fail;
	close(sv[1]);
	return;
fail:
	if (sv[0] >= 0)
		close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	free(w);
	control_fail(req, r, "%s: the console is not to be had: %s",
	    p->rec.name, strerror(-r));
}

/* --- delete --------------------------------------------------------------------------- */

void
control_delete(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct daemon *d = p->daemon;
	int r;

	(void)what;
	if (refuse_exported(p, req))
		return;
	if ((r = registry_persona_delete(d->registry, p->rec.id)) < 0) {
		control_fail(req, r, "%s: cannot be deleted: %s", p->rec.name,
		    strerror(-r));
		return;
	}
	image_remove(d, p->rec.id);
	log_info("persona %s: deleted", p->rec.name);
	persona_free(p);
	control_ok(req);
}
