/* SPDX-License-Identifier: ISC */
/*
 * Control requests about what personas take of the handset: top, limit. Knows no
 * connection and no way to count.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "guest.h"
#include "log.h"
#include "persona.h"

#define BALLOON_TIMEOUT_MS	3000

/* --- top ---------------------------------------------------------------------- */

static void
persona_usage(struct persona *p, Persona__Control__PersonaInfo *info,
    struct control_disks *disks, Persona__Control__Usage *out)
{
	struct guest_usage u;

	control_info(p, info, disks);
	if (p->guest == NULL)
		return;
	guest_usage(p->guest, &u);
	persona__control__usage__init(out);
	out->at_ns = u.at_ns;
	out->cpu_ns = u.cpu_ns;
	out->resident_bytes = u.resident_bytes;
	out->private_bytes = u.private_bytes;
	out->has_group_bytes = out->has_oom_kills = u.group_bytes > 0;
	out->group_bytes = u.group_bytes;
	out->oom_kills = u.oom_kills;
	out->has_net_in_bytes = out->has_net_out_bytes = u.has_net;
	out->net_in_bytes = u.net_in_bytes;
	out->net_out_bytes = u.net_out_bytes;
	info->usage = out;
}

static void
send_chunk(struct control_request *req, struct persona **from, size_t n,
    bool done)
{
	Persona__Control__PersonaInfo info[CONTROL_CHUNK], *list[CONTROL_CHUNK];
	Persona__Control__Usage usage[CONTROL_CHUNK];
	struct control_disks disks[CONTROL_CHUNK];
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	for (size_t i = 0; i < n; i++) {
		persona_usage(from[i], &info[i], &disks[i], &usage[i]);
		list[i] = &info[i];
	}
	reply.n_personas = n;
	reply.personas = list;
	reply.done = done;
	control_reply(req, &reply, NULL, 0);
	for (size_t i = 0; i < n; i++)
		control_info_free(&info[i]);
}

void
control_top(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)what;
	control_in_chunks(d, req, send_chunk);
}

/* --- limit -------------------------------------------------------------------- */

static void
change_limits(Persona__Spec__Limits *l, const Persona__Control__Limit *q)
{
	if (q->has_cpu_percent) {
		l->has_cpu_percent = q->cpu_percent > 0;
		l->cpu_percent = q->cpu_percent;
	}
	if (q->has_memory_bytes) {
		l->has_memory_bytes = q->memory_bytes > 0;
		l->memory_bytes = q->memory_bytes;
	}
}

/* The spec with these limits, packed. 0 or -errno and *why. */
static int
repack(const struct persona *p, const Persona__Control__Limit *q,
    struct packed_spec *out, const char **why)
{
	Persona__Spec__Spec *spec = NULL;
	int r;

	*why = "what it is made of cannot be read";
	if ((r = spec_unpack(&p->rec.spec, &spec)) < 0)
		return r;
	if (spec->limits == NULL) {
		if ((spec->limits = malloc(sizeof(*spec->limits))) == NULL) {
			r = -ENOMEM;
			goto out;
		}
		persona__spec__limits__init(spec->limits);
	}
	change_limits(spec->limits, q);
	r = spec_pack(spec, out, why);
out:
	persona__spec__spec__free_unpacked(spec, NULL);
	return r;
}

static int
store_limits(struct persona *p, const Persona__Control__Limit *q,
    const char **why)
{
	struct packed_spec packed;
	int r;

	if ((r = repack(p, q, &packed, why)) < 0)
		return r;
	r = registry_persona_set_spec(p->daemon->registry, p->rec.id, &packed);
	if (r < 0) {
		*why = strerror(-r);
		return r;
	}
	persona_refresh(p);
	if (p->guest != NULL && (r = guest_limit(p->guest, &p->rec)) < 0 &&
	    r != -ENOTSUP)
		log_warn_r(r, "persona %s: the new limits are not in force",
		    p->rec.name);
	return 0;
}

static void
balloon_told(void *arg, int r, const char *why,
    const Persona__Vmm__Reply *vmm_reply, struct ipc_msg *msg)
{
	struct control_request *req = arg;

	(void)vmm_reply;
	(void)msg;
	if (r < 0)
		control_fail(req, r, "the guest was not asked: %s", why);
	else
		control_ok(req);
}

static int
ask_guest(struct persona *p, struct control_request *req, uint64_t bytes)
{
	Persona__Vmm__Request vreq = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Balloon balloon = PERSONA__VMM__BALLOON__INIT;
	struct vmm *v = p->ready ? guest_vmm(p->guest) : NULL;

	if (v == NULL)
		return -ESRCH;
	balloon.target_bytes = bytes;
	vreq.what_case = PERSONA__VMM__REQUEST__WHAT_BALLOON;
	vreq.balloon = &balloon;
	return vmm_request(v, &vreq, NULL, 0, BALLOON_TIMEOUT_MS,
	    balloon_told, req);
}

void
control_limit(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const Persona__Control__Limit *q = what->limit;
	const char *why = "";
	int r = 0;

	if ((q->has_cpu_percent || q->has_memory_bytes) &&
	    (r = store_limits(p, q, &why)) < 0) {
		control_fail(req, r, "%s: not limited: %s", p->rec.name, why);
		return;
	}
	if (!q->has_balloon_bytes)
		control_ok(req);
	else if ((r = ask_guest(p, req, q->balloon_bytes)) < 0)
		control_fail(req, r, "%s: its memory cannot be asked back: %s",
		    p->rec.name, r == -ESRCH ? "it does not run" :
		    strerror(-r));
}
