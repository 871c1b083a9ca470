/* SPDX-License-Identifier: ISC */
/* Opens the doors of personad and gives sshd the list of keys. Knows no peer. */
#include "access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrival.h"
#include "daemon.h"
#include "gate-server.h"
#include "greeting.h"
#include "identity.h"
#include "launcher.h"
#include "link-loss.h"
#include "listen.h"
#include "log.h"
#include "pairings.h"
#include "registry.h"
#include "sshd-conf.h"

#define PATH_BYTES	(CONF_STATE_DIR_MAX + 32)

int
access_identity(struct daemon *d)
{
	return identity_open(&d->identity, d->conf.state_dir);
}

struct key_list {
	char		*keys[PEERS_MAX];
	size_t		n;
	bool		failed;
};

static void
add_key(const struct peer_record *p, void *arg)
{
	struct key_list *l = arg;

	if (l->n == PEERS_MAX || (l->keys[l->n] = strdup(p->key)) == NULL)
		l->failed = true;
	else
		l->n++;
}

/* sshd's files live with the sockets: made anew at each start. */
int
access_reload(struct daemon *d)
{
	char dir[PATH_BYTES], gate[DAEMON_PROGRAM_MAX], socket[PATH_BYTES];
	char user[GREETING_USER_MAX + 1];
	struct key_list list = { .n = 0 };
	struct sshd_conf c = { .dir = dir, .gate = gate,
	    .gate_socket = socket, .user = user };
	int r;

	snprintf(dir, sizeof(dir), "%s/sshd", d->conf.state_dir);
	snprintf(socket, sizeof(socket), "%s/gate.sock", d->conf.runtime_dir);
	daemon_program(d, "persona-gate", gate);
	c.identity = identity_path(d->identity);
	if ((r = sshd_conf_user(user, sizeof(user))) < 0 ||
	    (r = registry_peer_each(d->registry, add_key, &list)) < 0)
		goto out;
	r = list.failed ? -ENOMEM : sshd_conf_write(&c,
	    (const char *const *)list.keys, list.n);
out:
	for (size_t i = 0; i < list.n; i++)
		free(list.keys[i]);
	return r;
}

/* --- the port ----------------------------------------------------------------------- */

/* An sshd of ours; the listener knows it by its pid. */
struct caller {
	LIST_ENTRY(caller) entry;
	struct daemon	*daemon;
	struct child	*child;
	pid_t		pid;
};

static void
sshd_ended(void *arg, int status)
{
	struct caller *c = arg;

	(void)status;
	listener_child_ended(c->daemon->listener, c->pid);
	LIST_REMOVE(c, entry);
	free(c);
}

static void
sshd_spawned(void *arg, pid_t pid)
{
	struct caller *c = calloc(1, sizeof(*c));
	struct daemon *d = arg;
	int r = -ENOMEM;

	if (c != NULL) {
		c->daemon = d;
		c->pid = pid;
		r = launcher_take(d->launcher, pid, sshd_ended, c, &c->child);
	}
	if (r < 0) {
		log_warn_r(r, "sshd[%d] cannot be watched", (int)pid);
		free(c);
		return;
	}
	LIST_INSERT_HEAD(&d->callers, c, entry);
}

static int
open_port(struct daemon *d)
{
	const char *hosts[CONF_LISTEN_MAX];
	char path[PATH_BYTES], user[GREETING_USER_MAX + 1];
	struct listener_config lc = {
		.hosts = hosts,
		.n_hosts = d->conf.n_listen,
		.port = d->conf.port,
		.sshd_config = path,
		.user = user,
		.spawned = sshd_spawned,
		.pair = pairings_caller,
		.arg = d,
	};
	int r;

	for (size_t i = 0; i < d->conf.n_listen; i++)
		hosts[i] = d->conf.listen[i];
	snprintf(path, sizeof(path), "%s/sshd/%s", d->conf.state_dir,
	    SSHD_CONF_NAME);
	if ((r = sshd_conf_user(user, sizeof(user))) < 0)
		return r;
	link_loss_prepare();
	return listener_open(&d->listener, d->base, &lc);
}

int
access_open(struct daemon *d)
{
	char path[PATH_BYTES];
	int r;

	snprintf(path, sizeof(path), "%s/gate.sock", d->conf.runtime_dir);
	if ((r = gate_server_open(&d->gate, d->base, path, arrivals_stream,
	    d->arrivals)) < 0) {
		log_err("the gate's socket %s cannot be opened: %s", path,
		    strerror(-r));
		return r;
	}
	if ((r = access_reload(d)) < 0) {
		log_err("sshd's files cannot be written: %s", strerror(-r));
		return r;
	}
	if ((r = open_port(d)) < 0)
		log_err("port %u cannot be opened: %s",
		    (unsigned int)d->conf.port, strerror(-r));
	return r;
}

void
access_close(struct daemon *d)
{
	struct caller *c;

	while ((c = LIST_FIRST(&d->callers)) != NULL) {
		child_forget(c->child);
		LIST_REMOVE(c, entry);
		free(c);
	}
	listener_close(d->listener);
	gate_server_close(d->gate);
	identity_free(d->identity);
	d->listener = NULL;
	d->gate = NULL;
	d->identity = NULL;
}
