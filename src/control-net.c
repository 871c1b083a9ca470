/* SPDX-License-Identifier: ISC */
/*
 * What a person asks of a persona's network card: that there is one, which ports
 * lead in, how it fares. Knows no connection and no frame.
 */
#include "control-net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bounds.h"
#include "control.h"
#include "daemon.h"
#include "guest-net.h"
#include "guest.h"
#include "persona.h"

/* --- making one ------------------------------------------------------------------- */

static const char *
wrong_forwards(const Persona__Control__NetWish *wish)
{
	if (wish->n_forwards > FORWARDS_MAX)
		return "a persona has at most 32 forwarded ports";
	for (size_t i = 0; i < wish->n_forwards; i++) {
		const Persona__Spec__Forward *f = wish->forwards[i];
		struct in_addr addr;

		if (f->host_port < 1 || f->host_port > UINT16_MAX ||
		    f->guest_port < 1 || f->guest_port > UINT16_MAX)
			return "a forward's ports are 1 to 65535";
		if (f->host != NULL && inet_pton(AF_INET, f->host, &addr) != 1)
			return "a forward's address is a numeric IPv4 one";
	}
	return NULL;
}

/* A copy of the wish's forwards, into n. 0 or -ENOMEM. */
static int
copy_forwards(const Persona__Control__NetWish *wish, Persona__Spec__Net *n)
{
	n->forwards = calloc(wish->n_forwards + 1, sizeof(n->forwards[0]));
	if (n->forwards == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < wish->n_forwards; i++) {
		Persona__Spec__Forward *f = malloc(sizeof(*f));

		if (f == NULL)
			return -ENOMEM;
		*f = *wish->forwards[i];
		n->forwards[n->n_forwards++] = f;
		if (f->host != NULL && (f->host = strdup(f->host)) == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
new_mac(ProtobufCBinaryData *mac)
{
	if ((mac->data = malloc(NET_MAC_BYTES)) == NULL)
		return -ENOMEM;
	mac->len = NET_MAC_BYTES;
	if (getrandom(mac->data, mac->len, 0) != (ssize_t)mac->len)
		return -EIO;
	/* Locally administered, one card's (IEEE 802-2014, 8.2). */
	mac->data[0] = (uint8_t)((mac->data[0] & ~3u) | 2u);
	return 0;
}

int
control_net_make(const Persona__Control__NetWish *wish, Persona__Spec__Spec *s,
    const char **why)
{
	Persona__Spec__Net *n;
	int r;

	if ((*why = wrong_forwards(wish)) != NULL)
		return -EINVAL;
	*why = "no memory";
	if ((n = malloc(sizeof(*n))) == NULL)
		return -ENOMEM;
	persona__spec__net__init(n);
	s->net = n;
	if ((r = new_mac(&n->mac)) == 0)
		r = copy_forwards(wish, n);
	if (r < 0)
		control_net_free(s);
	return r;
}

void
control_net_free(Persona__Spec__Spec *s)
{
	if (s->net != NULL)
		persona__spec__net__free_unpacked(s->net, NULL);
	s->net = NULL;
}

/* --- telling about it --------------------------------------------------------------- */

/* Only the forwards' message is made here; what it points to is the spec's. */
static int
tell_forwards(struct persona *p, Persona__Spec__Net *n,
    Persona__Control__NetInfo *info)
{
	const struct guest_net *net = guest_network(p->guest);

	info->forwards = calloc(n->n_forwards + 1, sizeof(info->forwards[0]));
	if (info->forwards == NULL)
		return -ENOMEM;
	while (info->n_forwards < n->n_forwards) {
		size_t i = info->n_forwards;
		Persona__Control__ForwardInfo *f = malloc(sizeof(*f));

		if (f == NULL)
			return -ENOMEM;
		persona__control__forward_info__init(f);
		f->forward = n->forwards[i];
		n->forwards[i] = NULL;
		f->error = guest_net_error(net, i);
		f->has_error = f->error < 0;
		info->forwards[info->n_forwards++] = f;
	}
	n->n_forwards = 0;	/* they are info's now */
	return 0;
}

Persona__Control__NetInfo *
control_net_info(struct persona *p)
{
	Persona__Control__NetInfo *info = NULL;
	Persona__Spec__Spec *s;
	pid_t pid = guest_net_pid(guest_network(p->guest));

	if (spec_unpack(&p->rec.spec, &s) < 0)
		return NULL;
	if (s->net == NULL || (info = malloc(sizeof(*info))) == NULL)
		goto out;
	persona__control__net_info__init(info);
	info->mac = s->net->mac;
	s->net->mac = (ProtobufCBinaryData){ 0 };
	info->has_net_pid = pid > 0;
	info->net_pid = pid;
	if (tell_forwards(p, s->net, info) < 0) {
		control_net_info_free(info);
		info = NULL;
	}
out:
	persona__spec__spec__free_unpacked(s, NULL);
	return info;
}

void
control_net_info_free(Persona__Control__NetInfo *info)
{
	if (info != NULL)
		persona__control__net_info__free_unpacked(info, NULL);
}

/* --- changing it -------------------------------------------------------------------- */

static int
set_forwards(struct persona *p, Persona__Spec__Spec *s,
    const Persona__Control__NetWish *wish, const char **why)
{
	ProtobufCBinaryData mac = s->net->mac;
	struct packed_spec packed;
	int r;

	s->net->mac = (ProtobufCBinaryData){ 0 };
	control_net_free(s);
	if ((r = control_net_make(wish, s, why)) < 0) {
		free(mac.data);
		return r;
	}
	free(s->net->mac.data);
	s->net->mac = mac;
	*why = "its record cannot be changed";
	if ((r = spec_pack(s, &packed, why)) < 0 ||
	    (r = registry_persona_set_spec(p->daemon->registry, p->rec.id,
	    &packed)) < 0)
		return r;
	persona_refresh(p);
	/* Not there now: it is told when it is. */
	if (guest_network(p->guest) != NULL)
		(void)guest_net_configure(guest_network(p->guest), s->net);
	return 0;
}

void
control_set_net(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	const char *why = "its record cannot be read";
	Persona__Spec__Spec *s = NULL;
	int r;

	if ((r = spec_unpack(&p->rec.spec, &s)) < 0)
		goto out;
	r = -ENODEV;
	why = "it was made without a network card";
	if (s->net != NULL)
		r = set_forwards(p, s, what->set_net->net, &why);
out:
	if (s != NULL)
		persona__spec__spec__free_unpacked(s, NULL);
	if (r < 0)
		control_fail(req, r, "%s: %s", p->rec.name,
		    why != NULL ? why : strerror(-r));
	else
		control_ok(req);
}
