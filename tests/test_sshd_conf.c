/* SPDX-License-Identifier: ISC */
/* Invariant 6: sshd's files name the gate for every key and nothing else. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "sshd-conf.h"
#include "unit.h"

#define KEY	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" \
	"IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRWX"
#define FP	"SHA256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4wMA"

static const struct sshd_conf good = {
	.dir = "/run/persona", .identity = "/var/lib/persona/identity",
	.gate = "/usr/libexec/persona/persona-gate",
	.gate_socket = "/run/persona/gate.sock", .user = "root",
};

static bool
has_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	return at != NULL && (at == text || at[-1] == '\n') &&
	    at[strlen(line)] == '\n';
}

static void
the_configuration_takes_everything_away(void)
{
	static const char *const must[] = {
		"HostKey /var/lib/persona/identity",
		"AuthorizedKeysFile /run/persona/authorized_keys",
		"AllowUsers root", "AuthenticationMethods publickey",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitTTY no", "DisableForwarding yes", "PermitUserRC no",
		"PermitUserEnvironment no", "UsePAM no", "Compression no",
		"PermitRootLogin forced-commands-only", "MaxSessions 16",
		"AuthorizedKeysCommand none", "TrustedUserCAKeys none",
		"SetEnv SHLVL=1",
	};
	char *text = NULL;

	CU_ASSERT_EQUAL_FATAL(sshd_conf_render(&good, &text), 0);
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		CU_ASSERT_TRUE(has_line(text, must[i]));
	CU_ASSERT_PTR_NULL(strstr(text, "Subsystem"));
	CU_ASSERT_PTR_NULL(strstr(text, "AcceptEnv"));
	CU_ASSERT_PTR_NULL(strstr(text, "Include"));
	CU_ASSERT_PTR_NULL(strstr(text, "etm"));
	CU_ASSERT_PTR_NULL(strstr(text, "chacha"));
	free(text);
}

static void
every_key_gets_the_gate_and_nothing_else(void)
{
	const char *const keys[] = { KEY, KEY };
	const char *line = "restrict,command=\"exec "
	    "/usr/libexec/persona/persona-gate --socket "
	    "/run/persona/gate.sock --fingerprint " FP "\" " KEY "\n";
	char *text = NULL;

	CU_ASSERT_EQUAL_FATAL(sshd_conf_render_keys(&good, keys, 2, &text),
	    0);
	CU_ASSERT_EQUAL(strncmp(text, line, strlen(line)), 0);
	CU_ASSERT_STRING_EQUAL(text + strlen(line), line);
	free(text);
	CU_ASSERT_EQUAL_FATAL(sshd_conf_render_keys(&good, NULL, 0, &text),
	    0);
	CU_ASSERT_STRING_EQUAL(text, "");
	free(text);
}

static void
texts_that_could_bend_a_line_are_refused(void)
{
	static const char *const paths[] = { "", "relative/x", "/a b", "/a\"b",
	    "/a\nb", "/a%h", "/a$b", "/a;b", "/a'b", "/a\\b", "/a#b", "/~" };
	const char *const bad_key[] = { KEY, KEY "\n" KEY };
	struct sshd_conf c;
	char *text = NULL;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		c = good;
		c.dir = paths[i];
		CU_ASSERT_EQUAL(sshd_conf_render(&c, &text), -EINVAL);
		c = good;
		c.identity = paths[i];
		CU_ASSERT_EQUAL(sshd_conf_render(&c, &text), -EINVAL);
		c = good;
		c.gate = paths[i];
		CU_ASSERT_EQUAL(sshd_conf_render_keys(&c, NULL, 0, &text),
		    -EINVAL);
		c = good;
		c.gate_socket = paths[i];
		CU_ASSERT_EQUAL(sshd_conf_render_keys(&c, NULL, 0, &text),
		    -EINVAL);
	}
	c = good;
	c.user = "root\nPermitTTY yes";
	CU_ASSERT_EQUAL(sshd_conf_render(&c, &text), -EINVAL);
	CU_ASSERT_EQUAL(sshd_conf_render_keys(&good, bad_key, 2, &text),
	    -EINVAL);
	CU_ASSERT_PTR_NULL(text);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the configuration takes everything away",
		    the_configuration_takes_everything_away },
		{ "every key gets the gate and nothing else",
		    every_key_gets_the_gate_and_nothing_else },
		{ "texts that could bend a line are refused",
		    texts_that_could_bend_a_line_are_refused },
	};

	return unit_main("sshd-conf", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
