/* SPDX-License-Identifier: ISC */
/*
 * The network card: options that wish for one, the command `set` that changes it,
 * and how it is shown. Asks personad; knows no frame and no persona-net.
 */
#include "ctl-net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "ctl-client.h"
#include "ctl.h"
#include "forward.h"

struct net_args {
	Persona__Control__NetWish wish;
	Persona__Spec__Forward	forwards[FORWARDS_MAX];
	Persona__Spec__Forward	*list[FORWARDS_MAX];
	char			hosts[FORWARDS_MAX][INET_ADDRSTRLEN];
	struct forward		parsed[FORWARDS_MAX];
};

struct net_args *
net_args_new(void)
{
	struct net_args *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	persona__control__net_wish__init(&a->wish);
	a->wish.forwards = a->list;
	return a;
}

void
net_args_free(struct net_args *a)
{
	free(a);
}

int
net_args_forward(struct ctl *ctl, struct net_args *a, const char *text)
{
	size_t n = a->wish.n_forwards;
	struct forward *f = &a->parsed[n];
	const char *why;

	if (n == FORWARDS_MAX)
		return ctl_usage(ctl, "--forward: at most %u", FORWARDS_MAX);
	if (forward_parse(text, f, &why) < 0)
		return ctl_usage(ctl, "--forward %s: %s", text, why);
	for (size_t i = 0; i < n; i++)
		if (forward_same_host(&a->parsed[i], f))
			return ctl_usage(ctl, "--forward %s: that port leads "
			    "in already", text);
	persona__spec__forward__init(&a->forwards[n]);
	(void)inet_ntop(AF_INET, &f->host, a->hosts[n], sizeof(a->hosts[n]));
	a->forwards[n].has_udp = f->udp;
	a->forwards[n].udp = f->udp;
	a->forwards[n].host = a->hosts[n];
	a->forwards[n].host_port = f->host_port;
	a->forwards[n].guest_port = f->guest_port;
	a->list[n] = &a->forwards[n];
	a->wish.n_forwards++;
	return CTL_OK;
}

Persona__Control__NetWish *
net_args_wish(struct net_args *a)
{
	return &a->wish;
}

/* --- set ------------------------------------------------------------------------ */

static int
send_set(struct ctl *ctl, const char *name, struct net_args *a)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__SetNet set = PERSONA__CONTROL__SET_NET__INIT;
	int status;

	set.name = (char *)(uintptr_t)name;
	set.net = &a->wish;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_SET_NET;
	req.set_net = &set;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

static int
set_from_options(struct ctl *ctl, int argc, char **argv, struct net_args *a)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "forward", required_argument, NULL, 'f' },
		{ "no-forwards", no_argument, NULL, 'F' },
		{ 0 }
	};
	bool none = false;
	const char *name;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == 'F')
			none = true;
		else if (c != 'f')
			return CTL_USAGE;
		else if ((status = net_args_forward(ctl, a, optarg)) != CTL_OK)
			return status;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	if (none == (a->wish.n_forwards > 0))
		return ctl_usage(ctl, none ? "--forward or --no-forwards, not "
		    "both" : "what shall be set? --forward or --no-forwards");
	return send_set(ctl, name, a);
}

int
ctl_set(struct ctl *ctl, int argc, char **argv)
{
	struct net_args *a = net_args_new();
	int status;

	if (a == NULL)
		return ctl_fail(ctl, "no memory");
	status = set_from_options(ctl, argc, argv, a);
	net_args_free(a);
	return status;
}

/* --- show ----------------------------------------------------------------------- */

static const char *
mac_text(const Persona__Control__NetInfo *net, char text[18])
{
	text[0] = '\0';
	for (size_t i = 0; i < net->mac.len && i < 6; i++)
		snprintf(text + 3 * i - (i > 0), 4, i > 0 ? ":%02x" : "%02x",
		    net->mac.data[i]);
	return text;
}

static void
forward_text(const Persona__Spec__Forward *f, char *text, size_t size)
{
	snprintf(text, size, "%s%.45s:%u:%u", f->udp ? "udp:" : "",
	    f->host != NULL ? f->host : "127.0.0.1", f->host_port,
	    f->guest_port);
}

void
net_json(struct json *j, const Persona__Control__NetInfo *net)
{
	char text[80];

	json_object(j, "net");
	json_string(j, "mac", mac_text(net, text));
	if (net->has_net_pid)
		json_i64(j, "pid", net->net_pid);
	json_array(j, "forwards");
	for (size_t i = 0; i < net->n_forwards; i++) {
		const Persona__Control__ForwardInfo *f = net->forwards[i];

		json_object(j, NULL);
		forward_text(f->forward, text, sizeof(text));
		json_string(j, "forward", text);
		if (f->has_error)
			json_string(j, "error", strerror(-f->error));
		json_end(j);
	}
	json_end(j);
	json_end(j);
}

void
net_text(const Persona__Control__NetInfo *net)
{
	char text[80];

	printf("%-14s %s", "network card", mac_text(net, text));
	if (net->has_net_pid)
		printf(", persona-net %d", net->net_pid);
	putchar('\n');
	for (size_t i = 0; i < net->n_forwards; i++) {
		const Persona__Control__ForwardInfo *f = net->forwards[i];

		forward_text(f->forward, text, sizeof(text));
		printf("%-14s %s", "forward", text);
		if (f->has_error)
			printf("  WARNING: not open: %s; tried again and again",
			    strerror(-f->error));
		putchar('\n');
	}
}
