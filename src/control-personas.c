/* SPDX-License-Identifier: ISC */
/*
 * Control requests about personas of this handset: create, list, show, start,
 * stop, kill, pause, resume, console, delete. Knows no connection and no move.
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
#include "daemon.h"
#include "guest.h"
#include "image.h"
#include "log.h"
#include "persona.h"
#include "transfer-id.h"

#define STOP_TIMEOUT_MS		5000
#define STOP_TIMEOUT_MAX_MS	600000
#define CONSOLE_TIMEOUT_MS	3000
#define LIST_CHUNK		16	/* personas in one reply (IPC_MAX_MSG) */
#define DEFAULT_BASELINE	"x86-64-v2"

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
	info->has_throttle_percent = p->hook != NULL && p->guest != NULL;
	if (info->has_throttle_percent)
		info->throttle_percent = p->hook->throttle_percent;
	if (p->rec.last_end[0] != '\0')
		info->last_end = p->rec.last_end;
	if (p->rec.holding != HOLDING_OWNER)
		info->moved_to = p->rec.peer_name;
}

static void
send_chunk(struct control_request *req, struct persona **from, size_t n,
    bool done)
{
	Persona__Control__PersonaInfo info[LIST_CHUNK], *list[LIST_CHUNK];
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	for (size_t i = 0; i < n; i++) {
		persona_info(from[i], &info[i]);
		list[i] = &info[i];
	}
	reply.n_personas = n;
	reply.personas = list;
	reply.done = done;
	control_reply(req, &reply, NULL, 0);
}

static int
by_name(const void *a, const void *b)
{
	const struct persona *const *pa = a, *const *pb = b;

	return strcmp((*pa)->rec.name, (*pb)->rec.name);
}

void
control_list(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	struct persona *all[2 * PERSONAS_MAX], *p;
	size_t n = 0, at = 0;

	(void)what;
	TAILQ_FOREACH(p, &d->personas, entry)
		if (n < sizeof(all) / sizeof(all[0]))
			all[n++] = p;
	qsort(all, n, sizeof(all[0]), by_name);
	for (; n - at > LIST_CHUNK; at += LIST_CHUNK)
		send_chunk(req, all + at, LIST_CHUNK, false);
	send_chunk(req, all + at, n - at, true);
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

void
control_start(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
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

/* --- create --------------------------------------------------------------------------- */

/* A create under way: the name is ours once the registry has taken it. */
struct creation {
	struct daemon		*daemon;
	struct control_request	*req;
	struct persona_record	rec;
	bool			start;
};

static int
check_create(const Persona__Control__Create *c, const char **why)
{
	*why = NULL;
	if (!persona_name_ok(c->name))
		*why = "a name has 1 to 63 of a-z, 0-9 and -, and does not "
		    "begin with -";
	else if (c->ram_bytes < RAM_MIN_BYTES || c->ram_bytes > RAM_MAX_BYTES)
		*why = "memory must be 64 MiB to 8 GiB";
	else if (c->ram_bytes % (1u << 20) != 0)
		*why = "memory must be a whole number of MiB";
	else if (c->vcpus < 1 || c->vcpus > VCPUS_MAX)
		*why = "a persona has 1 to 8 processors";
	else if (c->cmdline != NULL && strlen(c->cmdline) > CMDLINE_MAX)
		*why = "the kernel command line is longer than 2047 bytes";
	else if (c->cpu_baseline != NULL && (strncmp(c->cpu_baseline,
	    "x86-64-v", 8) != 0 || strlen(c->cpu_baseline) != 9 ||
	    c->cpu_baseline[8] < '1' || c->cpu_baseline[8] > '4'))
		*why = "the CPU baseline is one of x86-64-v1 to x86-64-v4";
	return *why == NULL ? 0 : -EINVAL;
}

static void
image_made(void *arg, int r)
{
	struct creation *c = arg;
	struct control_request *req = c->req;
	struct daemon *d = c->daemon;
	struct persona *p = NULL;

	if (r == 0 && (r = registry_persona_add(d->registry, &c->rec)) == 0 &&
	    (p = persona_new(d, &c->rec)) == NULL)
		r = -ENOMEM;
	if (r < 0) {
		image_remove(d, c->rec.id);
		if (r == -EEXIST)
			control_fail(req, r, "%s: there is a persona of that "
			    "name already", c->rec.name);
		else
			control_fail(req, r, "%s: cannot be created: %s",
			    c->rec.name, strerror(-r));
	} else {
		log_info("persona %s: created", c->rec.name);
		if (c->start)
			persona_start(p, answer, req);
		else
			control_ok(req);
	}
	free(c);
}

static int
open_sources(struct control_request *req, const Persona__Control__Create *c,
    int *kernel, int *initrd)
{
	uid_t uid;
	gid_t gid;
	int r;

	control_credentials(req, &uid, &gid);
	*kernel = *initrd = -1;
	if ((r = image_open_source(c->kernel, uid, gid, kernel)) < 0) {
		control_fail(req, r, "kernel %.200s: %s", c->kernel,
		    r == -EINVAL ? "not a file, empty, or not an absolute path"
		    : strerror(-r));
		return r;
	}
	if (c->initrd == NULL || c->initrd[0] == '\0')
		return 0;
	if ((r = image_open_source(c->initrd, uid, gid, initrd)) < 0) {
		close(*kernel);
		control_fail(req, r, "initrd %.200s: %s", c->initrd,
		    strerror(-r));
	}
	return r;
}

static int
fill_spec(struct packed_spec *spec, int kernel, int initrd)
{
	Persona__Spec__Spec s = PERSONA__SPEC__SPEC__INIT;
	Persona__Spec__Boot boot[2] = {
		PERSONA__SPEC__BOOT__INIT, PERSONA__SPEC__BOOT__INIT
	};
	struct stat st;
	const char *why;

	if (fstat(kernel, &st) < 0)
		return -errno;
	boot[0].bytes = (uint64_t)st.st_size;
	s.kernel = &boot[0];
	if (initrd >= 0) {
		if (fstat(initrd, &st) < 0)
			return -errno;
		boot[1].bytes = (uint64_t)st.st_size;
		s.initrd = &boot[1];
	}
	return spec_pack(&s, spec, &why);
}

static int
fill_record(struct persona_record *rec, const Persona__Control__Create *c)
{
	snprintf(rec->name, sizeof(rec->name), "%s", c->name);
	snprintf(rec->cpu_baseline, sizeof(rec->cpu_baseline), "%s",
	    c->cpu_baseline != NULL ? c->cpu_baseline : DEFAULT_BASELINE);
	snprintf(rec->cmdline, sizeof(rec->cmdline), "%s",
	    c->cmdline != NULL ? c->cmdline : "");
	rec->ram_bytes = c->ram_bytes;
	rec->vcpus = c->vcpus;
	rec->has_boot = true;
	rec->tenure = 1;
	rec->created_unix_s = (uint64_t)time(NULL);
	return transfer_id_new(rec->id);
}

static void
begin_create(struct daemon *d, struct control_request *req,
    const Persona__Control__Create *c, int kernel, int initrd)
{
	struct creation *creation = calloc(1, sizeof(*creation));
	struct image_copy *copy;
	int r = -ENOMEM;

	if (creation == NULL || (r = fill_record(&creation->rec, c)) < 0 ||
	    (r = fill_spec(&creation->rec.spec, kernel, initrd)) < 0) {
		close(kernel);
		if (initrd >= 0)
			close(initrd);
		goto fail;
	}
	creation->daemon = d;
	creation->req = req;
	creation->start = c->start;
	r = image_create(&copy, d, creation->rec.id, kernel, initrd,
	    image_made, creation);
	if (r == 0)
		return;
fail:
	free(creation);
	control_fail(req, r, "%s: cannot be created: %s", c->name,
	    strerror(-r));
}

void
control_create(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Create *c = what->create;
	int kernel, initrd;
	const char *why;
	size_t n = 0;
	struct persona *p;

	TAILQ_FOREACH(p, &d->personas, entry)
		n++;
	if (check_create(c, &why) < 0)
		control_fail(req, -EINVAL, "%s", why);
	else if (n >= PERSONAS_MAX)
		control_fail(req, -ENOSPC, "there are %zu personas already", n);
	else if (persona_by_name(d, c->name) != NULL)
		control_fail(req, -EEXIST, "%s: there is a persona of that "
		    "name already", c->name);
	else if (open_sources(req, c, &kernel, &initrd) == 0)
		begin_create(d, req, c, kernel, initrd);
}
