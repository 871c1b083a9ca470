/* SPDX-License-Identifier: ISC */
/*
 * personad: options, directories, one event loop, and the order in which its
 * rooms open and close. Knows no request, no message and no state machine.
 */
#include "daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access.h"
#include "arrival.h"
#include "control.h"
#include "guest.h"
#include "image.h"
#include "launcher.h"
#include "listen.h"
#include "log.h"
#include "move.h"
#include "pairings.h"
#include "peers.h"
#include "persona.h"
#include "policy-watch.h"
#include "registry.h"
#include "template.h"
#include "vault.h"
#include "report.h"
#include "saving.h"
#include "config.h"

#define TIDY_S	60	/* between quiet moments for the registry */

/* --- options ---------------------------------------------------------------------- */

static const char usage[] =
    "usage: personad [options]\n"
    "  -c, --config FILE      settings (" PERSONA_SYSCONFDIR
    "/personad.conf when it is there)\n"
    "  -o, --option KEY=VALUE one setting, as in personad.conf(5)\n"
    "      --state-dir DIR    registry, identity key, images\n"
    "      --runtime-dir DIR  sockets and what must not survive a reboot\n"
    "      --name NAME        what this handset is called\n"
    "      --port PORT        where other handsets reach us\n"
    "  -d, --debug            log more\n"
    "  -h, --help             this text\n"
    "  -V, --version\n";

struct options {
	const char	*config;
	bool		debug;
	/* Settings given as options, applied over the file's. */
	const char	*keys[32], *values[32];
	size_t		n;
};

static void
add_setting(struct options *o, const char *key, const char *value)
{
	if (o->n == sizeof(o->keys) / sizeof(o->keys[0]))
		fatal("too many options");
	o->keys[o->n] = key;
	o->values[o->n++] = value;
}

static void
add_pair(struct options *o, char *text)
{
	char *value = strchr(text, '=');

	if (value == NULL)
		fatal("--option wants KEY=VALUE, not \"%s\"", text);
	*value++ = '\0';
	add_setting(o, text, value);
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "option", required_argument, NULL, 'o' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "runtime-dir", required_argument, NULL, 'r' },
		{ "name", required_argument, NULL, 'n' },
		{ "port", required_argument, NULL, 'p' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:o:dhV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'o':
			add_pair(o, optarg);
			break;
		case 's':
			add_setting(o, "state-dir", optarg);
			break;
		case 'r':
			add_setting(o, "runtime-dir", optarg);
			break;
		case 'n':
			add_setting(o, "name", optarg);
			break;
		case 'p':
			add_setting(o, "port", optarg);
			break;
		case 'd':
			o->debug = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		case 'V':
			puts("personad " PACKAGE_VERSION);
			exit(EXIT_SUCCESS);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "personad: unexpected \"%s\"\n%s",
		    argv[optind], usage);
		exit(2);
	}
}

static void
read_config(struct conf *c, const struct options *o)
{
	const char *path = o->config != NULL ? o->config :
	    PERSONA_SYSCONFDIR "/personad.conf";
	char err[CONF_ERROR_MAX];
	int r;

	conf_defaults(c);
	r = conf_load(c, path, err);
	if (r < 0 && (r != -ENOENT || o->config != NULL))
		fatal("%s", err);
	for (size_t i = 0; i < o->n; i++)
		if (conf_set(c, o->keys[i], o->values[i], err) < 0)
			fatal("option %s: %s", o->keys[i], err);
}

/* --- directories ------------------------------------------------------------------ */

static void
make_dir(mode_t mode, const char *dir, const char *below)
{
	char path[CONF_STATE_DIR_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", dir, below);
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		fatal("%s cannot be made: %s", path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		fatal("%s is not a directory", path);
	/* Keys and sockets live here: nobody else may put files in. */
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		fatal("%s must belong to uid %u and be writable by nobody "
		    "else", path, (unsigned int)geteuid());
}

/* One personad a state directory; the lock ends with the process. */
static void
lock_state(const char *state_dir)
{
	char path[CONF_STATE_DIR_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", state_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		fatal("%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		fatal("another personad uses %s", state_dir);
}

/* SQLite follows no symbolic link, and mounts are known by their real place. */
static void
resolve_dir(char *dir, size_t size)
{
	char *real = realpath(dir, NULL);

	if (real == NULL)
		fatal("%s: %s", dir, strerror(errno));
	if (strlen(real) >= size)
		fatal("%s is %s, which is too long", dir, real);
	memcpy(dir, real, strlen(real) + 1);
	free(real);
}

static void
prepare_dirs(struct conf *c)
{
	make_dir(0700, c->state_dir, "");
	resolve_dir(c->state_dir, sizeof(c->state_dir));
	make_dir(0700, c->state_dir, "/images");
	make_dir(0700, c->state_dir, "/vaults");
	make_dir(0700, c->state_dir, "/sshd");
	make_dir(0755, c->runtime_dir, "");
	make_dir(0700, c->runtime_dir, "/vmm");
	lock_state(c->state_dir);
}

static const char *
registry_hint(int r)
{
	switch (r) {
	case -EUCLEAN:
		return "it is damaged or not a registry; restore it from a "
		    "copy, do not delete it while personas run";
	case -ENOTSUP:
		return "it was written by a newer personad";
	default:
		return strerror(-r);
	}
}

/* --- the loop --------------------------------------------------------------------- */

static void
leave_cb(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	log_info("personad: leaving (signal %d); running personas run on",
	    (int)sig);
	event_base_loopbreak(d->base);
}

static void
tidy_cb(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	registry_tidy(d->registry);
}

/* Of those that are still arriving, too. */
static bool
is_somebody(struct daemon *d, const char *id)
{
	return persona_by_id(d, id) != NULL;
}

/* What earlier guests mean is settled; from here on we may be asked things. */
static void
serve(struct daemon *d)
{
	int r;

	guest_sweep(d);
	vaults_sweep(d, is_somebody);
	if ((r = access_open(d)) < 0 || (r = peers_open(d)) < 0)
		fatal("other handsets cannot reach us: %s", strerror(-r));
	if ((r = control_open(&d->control, d)) < 0)
		fatal("the control socket in %s cannot be opened: %s",
		    d->conf.runtime_dir, strerror(-r));
	log_info("personad " PACKAGE_VERSION ": handset %s, port %u, control "
	    "socket %s/control.sock", d->conf.name,
	    (unsigned int)listener_port(d->listener), d->conf.runtime_dir);
}

static void
find_arrivals(struct daemon *d)
{
	arrivals_restore(d->arrivals, serve);
}

static void
open_rooms(struct daemon *d)
{
	char path[CONF_STATE_DIR_MAX + 32];
	int r;

	snprintf(path, sizeof(path), "%s/registry.db", d->conf.state_dir);
	if ((r = registry_open(&d->registry, path)) < 0)
		fatal("%s: %s", path, registry_hint(r));
	if ((d->base = event_base_new()) == NULL ||
	    launcher_new(&d->launcher, d->base) < 0 ||
	    reports_new(&d->reports) < 0 ||
	    arrivals_new(&d->arrivals, d) < 0 ||
	    policy_watch_open(d) < 0 ||
	    pairings_new(&d->pairings, d) < 0)
		fatal("the event loop cannot be made");
	if ((r = access_identity(d)) < 0)
		fatal("the identity key in %s cannot be used: %s",
		    d->conf.state_dir, strerror(-r));
	if ((r = personas_load(d)) < 0)
		fatal("the personas cannot be read: %s", strerror(-r));
	image_sweep(d);
	templates_sweep(d);
	arrivals_settle_images(d);
	(void)cgroups_new(&d->cgroups, d->limits_lack);
	if (d->limits_lack[0] != '\0')
		log_info("%s", d->limits_lack);
}

static void
run(struct daemon *d)
{
	const struct timeval tidy_every = { .tv_sec = TIDY_S };
	struct event *term, *intr, *tidy;

	term = evsignal_new(d->base, SIGTERM, leave_cb, d);
	intr = evsignal_new(d->base, SIGINT, leave_cb, d);
	tidy = event_new(d->base, -1, EV_PERSIST, tidy_cb, d);
	if (term == NULL || intr == NULL || tidy == NULL)
		fatal("the event loop cannot be made");
	evsignal_add(term, NULL);
	evsignal_add(intr, NULL);
	event_add(tidy, &tidy_every);
	personas_find_guests(d, find_arrivals);
	event_base_dispatch(d->base);
	event_free(term);
	event_free(intr);
	event_free(tidy);
}

static void
close_rooms(struct daemon *d)
{
	struct persona *p;

	control_close(d->control);
	policy_watch_close(d);
	/* What is not handed over runs on here; what is, waits for a restart. */
	TAILQ_FOREACH(p, &d->personas, entry)
		if (p->hook != NULL && p->hook->saving)
			saving_abandon(p->hook);
		else
			move_abandon(p);
	arrivals_free(d->arrivals);
	pairings_free(d->pairings);
	peers_close(d);
	access_close(d);
	personas_free(d);
	vaults_free(d);
	reports_free(d->reports);
	cgroups_free(d->cgroups);
	launcher_free(d->launcher);
	registry_close(d->registry);
	event_base_free(d->base);
}

int
main(int argc, char **argv)
{
	static struct daemon daemon;
	struct options options = { .debug = false };

	log_init("personad", LOG_INFO);
	parse_options(&options, argc, argv);
	daemon.debug = options.debug;
	if (options.debug)
		log_init("personad", LOG_DEBUG);
	read_config(&daemon.conf, &options);
	TAILQ_INIT(&daemon.personas);
	LIST_INIT(&daemon.callers);
	TAILQ_INIT(&daemon.vault_jobs);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	prepare_dirs(&daemon.conf);
	open_rooms(&daemon);
	run(&daemon);
	close_rooms(&daemon);
	return EXIT_SUCCESS;
}
