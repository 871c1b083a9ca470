/* SPDX-License-Identifier: ISC */
/* Invariant 6: what a peer may ask of sshd is one command, spelt one way. */
#include <errno.h>
#include <string.h>

#include "gate-command.h"
#include "greeting.h"
#include "unit.h"

#define T	"00112233445566778899aabbccddeeff"

static void
the_command_is_taken_apart(void)
{
	char transfer[GATE_TRANSFER_LEN + 1], command[GATE_COMMAND_MAX];
	unsigned int channel = 99;

	for (unsigned int i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL(gate_command_format(command, T, i), 0);
		CU_ASSERT_EQUAL(gate_command_parse(command, transfer,
		    &channel), 0);
		CU_ASSERT_STRING_EQUAL(transfer, T);
		CU_ASSERT_EQUAL(channel, i);
	}
	CU_ASSERT_STRING_EQUAL(command, "persona-stream " T " 15");
	CU_ASSERT_EQUAL(gate_command_format(command, T, 16), -EINVAL);
	CU_ASSERT_EQUAL(gate_command_format(command, "x", 1), -EINVAL);
}

static void
anything_else_is_refused(void)
{
	static const char *const bad[] = {
		"", " ", "sh", "sftp", "persona-stream", "persona-stream ",
		"persona-stream " T, "persona-stream " T " ",
		"persona-stream " T " 16", "persona-stream " T " 00",
		"persona-stream " T " 01", "persona-stream " T " -1",
		"persona-stream " T " +1", "persona-stream " T " 1 ",
		"persona-stream " T " 1\n", "persona-stream " T " 1;id",
		"persona-stream " T " 4294967297", "persona-stream " T "  1",
		" persona-stream " T " 1", "persona-stream  " T " 1",
		"Persona-stream " T " 1", "persona-stream\t" T " 1",
		"persona-stream 00112233445566778899AABBCCDDEEFF 1",
		"persona-stream 00112233445566778899aabbccddeef 1",
		"persona-stream 00112233445566778899aabbccddeefff 1",
		"persona-stream 00112233445566778899aabbccddeef/ 1",
		"persona-stream $(id)233445566778899aabbccddeeff 1",
	};
	char transfer[GATE_TRANSFER_LEN + 1];
	unsigned int channel;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(gate_command_parse(bad[i], transfer,
		    &channel), -EINVAL);
}

static void
a_greeting_names_an_account(void)
{
	char line[GREETING_LINE_MAX], user[GREETING_USER_MAX + 1];
	int n;

	n = greeting_format(line, "_persona-1.x");
	CU_ASSERT_STRING_EQUAL(line, "persona-user _persona-1.x\r\n");
	CU_ASSERT_EQUAL(greeting_parse(line, (size_t)n, user), 0);
	CU_ASSERT_STRING_EQUAL(user, "_persona-1.x");
	n = greeting_format(line, "abcdefghijklmnopqrstuvwxyz123456");
	CU_ASSERT_EQUAL(greeting_parse(line, (size_t)n, user), 0);
	CU_ASSERT_EQUAL(strlen(user), 32);
}

static void
a_greeting_names_nothing_else(void)
{
	static const char *const names[] = { "", "-x", "Root", "1a", "a b",
	    "a%h", "a*", "root@x", "abcdefghijklmnopqrstuvwxyz1234567",
	    "a\n" };
	static const char *const lines[] = { "", "\n", "\r\n", "root",
	    "persona-user", "persona-user ", "persona-user \r\n",
	    "persona-user a b\r\n", "persona-userroot\r\n",
	    "persona-user -oProxyCommand=x\r\n" };
	char line[GREETING_LINE_MAX], user[GREETING_USER_MAX + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CU_ASSERT_EQUAL(greeting_format(line, names[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CU_ASSERT_EQUAL(greeting_parse(lines[i], strlen(lines[i]),
		    user), -EPROTO);
	CU_ASSERT_EQUAL(greeting_parse("persona-user ro\0t", 17, user),
	    -EPROTO);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the command is taken apart", the_command_is_taken_apart },
		{ "anything else is refused", anything_else_is_refused },
		{ "a greeting names an account", a_greeting_names_an_account },
		{ "a greeting names nothing else",
		    a_greeting_names_nothing_else },
	};

	return unit_main("gate-command", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
