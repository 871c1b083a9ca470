/* SPDX-License-Identifier: ISC */
/*
 * personad.conf: lines of `key value`, # comments, one table of keys. Knows no
 * module that the settings are for.
 */
#include "conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "number.h"
#include "pubkey.h"
#include "text.h"

#define LINE_MAX_BYTES		1024
#define DEFAULT_PORT		7275
/* Above what distributions, containers and systemd give away by themselves. */
#define DEFAULT_FIRST_UID	0x70500000
#define BUDGET_MAX_MS		60000

static int __attribute__((format(printf, 2, 3)))
complain(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, CONF_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int
conf_parse_rate(const char *text, uint64_t *bytes_s)
{
	static const struct {
		const char	*unit;
		uint64_t	times, over;
	} units[] = {
		{ "", 1, 1 }, { "k", 1000, 1 }, { "M", 1000000, 1 },
		{ "G", 1000000000, 1 }, { "kbit", 1000, 8 },
		{ "Mbit", 1000000, 8 }, { "Gbit", 1000000000, 8 },
	};
	uint64_t n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || n > 1000000000000ULL)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (n > UINT64_MAX / units[i].times)
			return -EINVAL;
		*bytes_s = n * units[i].times / units[i].over;
		return 0;
	}
	return -EINVAL;
}

static int
set_text(char *to, size_t size, const char *value, const char *what, char *err)
{
	size_t len = strlen(value);

	if (len == 0 || len >= size)
		return complain(err, "%s must have 1 to %zu bytes", what,
		    size - 1);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return complain(err, "%s holds a control character",
			    what);
	memcpy(to, value, len + 1);
	return 0;
}

static int
set_dir(char *to, size_t size, const char *value, const char *what, char *err)
{
	if (value[0] != '/')
		return complain(err, "%s must be an absolute path", what);
	return set_text(to, size, value, what, err);
}

static int
set_name(struct conf *c, const char *value, char *err)
{
	if (!text_is_line(value, strlen(value), HANDSET_NAME_MAX))
		return complain(err, "name must be 1 to %d bytes of UTF-8 "
		    "without control characters", HANDSET_NAME_MAX);
	strcpy(c->name, value);
	return 0;
}

static int
set_port(struct conf *c, const char *value, char *err)
{
	uint64_t n;

	if (number_parse(value, 0, UINT16_MAX, &n) < 0)
		return complain(err, "port must be a number from 0 (any free "
		    "port) to 65535");
	c->port = (uint16_t)n;
	return 0;
}

static int
set_listen(struct conf *c, const char *value, char *err)
{
	int r;

	if (c->n_listen == CONF_LISTEN_MAX)
		return complain(err, "more than %d listen addresses",
		    CONF_LISTEN_MAX);
	if (strchr(value, ' ') != NULL)
		return complain(err, "listen takes one numeric address");
	r = set_text(c->listen[c->n_listen], sizeof(c->listen[0]), value,
	    "listen", err);
	if (r == 0)
		c->n_listen++;
	return r;
}

static int
set_state_dir(struct conf *c, const char *value, char *err)
{
	return set_dir(c->state_dir, sizeof(c->state_dir), value, "state-dir",
	    err);
}

static int
set_runtime_dir(struct conf *c, const char *value, char *err)
{
	return set_dir(c->runtime_dir, sizeof(c->runtime_dir), value,
	    "runtime-dir", err);
}

static int
set_libexec_dir(struct conf *c, const char *value, char *err)
{
	return set_dir(c->libexec_dir, sizeof(c->libexec_dir), value,
	    "libexec-dir", err);
}

static int
set_group(struct conf *c, const char *value, char *err)
{
	return set_text(c->group, sizeof(c->group), value, "group", err);
}

/* peer NAME HOST PORT: three words, so a static name holds no blanks. */
static int
set_peer(struct conf *c, const char *value, char *err)
{
	struct conf_peer *p;
	char name[HANDSET_NAME_MAX + 1], host[CONF_ADDRESS_MAX + 1];
	char port[8], extra;
	uint64_t n;

	if (c->n_peers == CONF_PEERS_MAX)
		return complain(err, "more than %d peers", CONF_PEERS_MAX);
	if (sscanf(value, "%63s %127s %7s %c", name, host, port,
	    &extra) != 3 || number_parse(port, 1, UINT16_MAX, &n) < 0)
		return complain(err, "peer wants: NAME HOST PORT");
	p = &c->peers[c->n_peers++];
	memcpy(p->name, name, sizeof(name));
	memcpy(p->host, host, sizeof(host));
	p->port = (uint16_t)n;
	return 0;
}

/* issuer ssh-ed25519 AAAA... [comment]: as in the issuer's .pub file. */
static int
set_issuer(struct conf *c, const char *value, char *err)
{
	char key[PUBKEY_TEXT_LEN + 1];
	size_t len = strlen(value);

	if (c->n_issuers == CONF_ISSUERS_MAX)
		return complain(err, "more than %d issuers", CONF_ISSUERS_MAX);
	if (len > PUBKEY_TEXT_LEN && value[PUBKEY_TEXT_LEN] == ' ')
		len = PUBKEY_TEXT_LEN;
	if (len > PUBKEY_TEXT_LEN)
		return complain(err, "issuer wants: ssh-ed25519 KEY");
	memcpy(key, value, len);
	key[len] = '\0';
	if (pubkey_to_point(key, c->issuers[c->n_issuers]) < 0)
		return complain(err, "issuer wants: ssh-ed25519 KEY");
	c->n_issuers++;
	return 0;
}

static int
set_budget(struct conf *c, const char *value, char *err)
{
	uint64_t n;

	if (number_parse(value, 1, BUDGET_MAX_MS, &n) < 0)
		return complain(err, "blackout-budget must be 1 to %d "
		    "milliseconds", BUDGET_MAX_MS);
	c->blackout_budget_ms = (uint32_t)n;
	return 0;
}

static int
set_bandwidth(struct conf *c, const char *value, char *err)
{
	if (conf_parse_rate(value, &c->bandwidth_limit) < 0)
		return complain(err, "bandwidth-limit must be a rate such as "
		    "20M (bytes a second), 160Mbit, or 0 for none");
	return 0;
}

static int
set_channels(struct conf *c, const char *value, char *err)
{
	uint64_t n;

	if (number_parse(value, 1, STREAMS_MAX, &n) < 0)
		return complain(err, "channels must be 1 to %u", STREAMS_MAX);
	c->channels = (uint32_t)n;
	return 0;
}

static int
set_host_loopback(struct conf *c, const char *value, char *err)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return complain(err, "host-loopback must be yes or no");
	c->host_loopback = value[0] == 'y';
	return 0;
}

static int
set_discovery(struct conf *c, const char *value, char *err)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return complain(err, "discovery must be yes or no");
	c->discovery = value[0] == 'y';
	return 0;
}

static int
set_first_uid(struct conf *c, const char *value, char *err)
{
	uint64_t n;

	if (number_parse(value, 1, INT32_MAX - CONF_UIDS, &n) < 0)
		return complain(err, "persona-uids must be the first of %u user "
		    "numbers that nobody else has", CONF_UIDS);
	c->first_uid = (uint32_t)n;
	return 0;
}

static const struct {
	const char	*key;
	int		(*set)(struct conf *c, const char *value, char *err);
} settings[] = {
	{ "name", set_name },
	{ "port", set_port },
	{ "listen", set_listen },
	{ "state-dir", set_state_dir },
	{ "runtime-dir", set_runtime_dir },
	{ "libexec-dir", set_libexec_dir },
	{ "group", set_group },
	{ "peer", set_peer },
	{ "issuer", set_issuer },
	{ "blackout-budget", set_budget },
	{ "bandwidth-limit", set_bandwidth },
	{ "channels", set_channels },
	{ "discovery", set_discovery },
	{ "persona-uids", set_first_uid },
	{ "host-loopback", set_host_loopback },
};

void
conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	if (gethostname(c->name, sizeof(c->name) - 1) < 0 ||
	    c->name[0] == '\0')
		strcpy(c->name, "handset");
	strcpy(c->state_dir, PERSONA_STATEDIR);
	strcpy(c->runtime_dir, PERSONA_RUNTIMEDIR);
	strcpy(c->libexec_dir, PERSONA_LIBEXECDIR);
	c->port = DEFAULT_PORT;
	c->blackout_budget_ms = 100;
	c->channels = 4;
	c->discovery = true;
	c->first_uid = DEFAULT_FIRST_UID;
}

int
conf_set(struct conf *c, const char *key, const char *value, char *err)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].key, key) == 0)
			return settings[i].set(c, value, err);
	return complain(err, "there is no setting \"%.40s\"", key);
}

/* Cut blanks at both ends, in place. */
static char *
trim(char *s)
{
	size_t len;

	s += strspn(s, " \t\r\n");
	len = strlen(s);
	while (len > 0 && strchr(" \t\r\n", s[len - 1]) != NULL)
		s[--len] = '\0';
	return s;
}

static int
set_line(struct conf *c, char *line, char *err)
{
	char *key = trim(line), *value;

	if (key[0] == '\0' || key[0] == '#')
		return 0;
	value = key + strcspn(key, " \t");
	if (*value != '\0')
		*value++ = '\0';
	return conf_set(c, key, trim(value), err);
}

int
conf_load(struct conf *c, const char *path, char *err)
{
	char line[LINE_MAX_BYTES], why[CONF_ERROR_MAX];
	unsigned int n = 0;
	FILE *f;
	int r = 0;

	if ((f = fopen(path, "re")) == NULL) {
		r = -errno;
		complain(err, "%s: %s", path, strerror(-r));
		return r;
	}
	while (r == 0 && fgets(line, sizeof(line), f) != NULL) {
		n++;
		if (strchr(line, '\n') == NULL && !feof(f))
			r = complain(why, "longer than %d bytes",
			    LINE_MAX_BYTES - 2);
		else
			r = set_line(c, line, why);
		if (r < 0)
			complain(err, "%.120s: line %u: %.100s", path, n, why);
	}
	if (r == 0 && ferror(f)) {
		r = -EIO;
		complain(err, "%s: cannot be read", path);
	}
	fclose(f);
	return r;
}
