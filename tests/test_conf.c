/* SPDX-License-Identifier: ISC */
/* personad.conf is read as written, and what cannot be meant is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "unit.h"

/* 31 zero bytes and 0xa0 */
#define ISSUER	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACg"

static struct conf c;
static char err[CONF_ERROR_MAX];

static int
load(const char *text)
{
	char path[] = "/tmp/test_conf.XXXXXX";
	int fd = mkstemp(path), r;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	conf_defaults(&c);
	err[0] = '\0';
	r = conf_load(&c, path, err);
	unlink(path);
	return r;
}

static void
settings_are_read(void)
{
	CU_ASSERT_EQUAL(load("# a comment\n\n"
	    "name  Ada's phone \n"
	    "port 9000\n"
	    "\tlisten 192.0.2.1\n"
	    "listen fe80::1%eth0\n"
	    "state-dir /var/lib/p\n"
	    "peer bench 192.0.2.7 7275\n"
	    "issuer " ISSUER " policy issuer\n"
	    "issuer " ISSUER "\n"
	    "blackout-budget 60\n"
	    "bandwidth-limit 160Mbit\n"
	    "channels 8\n"
	    "host-loopback yes\n"
	    "discovery no"), 0);
	CU_ASSERT_STRING_EQUAL(c.name, "Ada's phone");
	CU_ASSERT_EQUAL(c.port, 9000);
	CU_ASSERT_EQUAL(c.n_listen, 2);
	CU_ASSERT_STRING_EQUAL(c.listen[1], "fe80::1%eth0");
	CU_ASSERT_STRING_EQUAL(c.state_dir, "/var/lib/p");
	CU_ASSERT_EQUAL(c.n_peers, 1);
	CU_ASSERT_STRING_EQUAL(c.peers[0].name, "bench");
	CU_ASSERT_EQUAL(c.peers[0].port, 7275);
	CU_ASSERT_EQUAL(c.n_issuers, 2);
	CU_ASSERT_EQUAL(c.issuers[1][31], 0xa0);
	CU_ASSERT_EQUAL(c.blackout_budget_ms, 60);
	CU_ASSERT_EQUAL(c.bandwidth_limit, 20000000);
	CU_ASSERT_EQUAL(c.channels, 8);
	CU_ASSERT_FALSE(c.discovery);
	CU_ASSERT(c.host_loopback);
	CU_ASSERT_EQUAL(load("issuer " ISSUER "x\n"), -EINVAL);
	CU_ASSERT_EQUAL(load("issuer Example Corp\n"), -EINVAL);
}

static void
errors_name_the_line(void)
{
	static const struct {
		const char	*text;
		const char	*said;
	} bad[] = {
		{ "port 1\ncolour red\n", "line 2: there is no setting" },
		{ "port\n", "line 1: port" },
		{ "port 70000\n", "line 1: port" },
		{ "port -1\n", "line 1: port" },
		{ "port 0x50\n", "line 1: port" },
		{ "name\n", "line 1: name" },
		{ "name a\x01z\n", "control character" },
		{ "name a\xffz\n", "UTF-8" },
		{ "state-dir var/lib\n", "absolute" },
		{ "blackout-budget 0\n", "blackout-budget" },
		{ "bandwidth-limit 20Q\n", "bandwidth-limit" },
		{ "bandwidth-limit 99999999999999999999\n",
		    "bandwidth-limit" },
		{ "channels 17\n", "channels" },
		{ "peer a 192.0.2.1\n", "peer" },
		{ "peer a 192.0.2.1 0\n", "peer" },
		{ "peer a 192.0.2.1 80 x\n", "peer" },
		{ "discovery maybe\n", "discovery" },
		{ "persona-uids 0\n", "persona-uids" },
		{ "persona-uids 2147483000\n", "persona-uids" },
		{ "host-loopback 1\n", "host-loopback" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(load(bad[i].text), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i].said));
	}
}

static void
overlong_values_are_refused(void)
{
	char text[4096];

	memset(text, 'a', sizeof(text));
	memcpy(text, "name ", 5);
	strcpy(text + 100, "\n");
	CU_ASSERT_EQUAL(load(text), -EINVAL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "name ", 5);
	strcpy(text + 3000, "\n");
	CU_ASSERT_EQUAL(load(text), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "longer than"));
	memset(text, 'a', sizeof(text));
	memcpy(text, "runtime-dir /", 13);
	strcpy(text + 100, "\n");
	CU_ASSERT_EQUAL(load(text), -EINVAL);
}

static void
missing_file_is_told_apart(void)
{
	conf_defaults(&c);
	CU_ASSERT_EQUAL(conf_load(&c, "/nonexistent/personad.conf", err),
	    -ENOENT);
	CU_ASSERT_TRUE(c.name[0] != '\0');
}

static void
rates_are_exact(void)
{
	uint64_t n;

	CU_ASSERT_EQUAL(conf_parse_rate("0", &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(conf_parse_rate("20M", &n), 0);
	CU_ASSERT_EQUAL(n, 20000000);
	CU_ASSERT_EQUAL(conf_parse_rate("1Gbit", &n), 0);
	CU_ASSERT_EQUAL(n, 125000000);
	CU_ASSERT_EQUAL(conf_parse_rate("", &n), -EINVAL);
	CU_ASSERT_EQUAL(conf_parse_rate("M", &n), -EINVAL);
	CU_ASSERT_EQUAL(conf_parse_rate("-5", &n), -EINVAL);
	CU_ASSERT_EQUAL(conf_parse_rate("5 M", &n), -EINVAL);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "settings are read", settings_are_read },
		{ "errors name the line", errors_name_the_line },
		{ "overlong values are refused", overlong_values_are_refused },
		{ "a missing file is told apart", missing_file_is_told_apart },
		{ "rates are exact", rates_are_exact },
	};

	return unit_main("conf", tests, sizeof(tests) / sizeof(tests[0]));
}
