/* SPDX-License-Identifier: ISC */
/*
 * What the commands share: options, arguments, and the one way to report. Knows
 * neither the table of commands nor personad.
 */
#include "ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl-json.h"
#include "ctl-parse.h"
#include "ctl-text.h"
#include "reason.h"

static void
print_command_help(const struct ctl_command *c)
{
	printf("usage: personactl %s%s%s [OPTIONS]\n%c%s.\n", c->name,
	    *c->args != '\0' ? " " : "", c->args,
	    c->summary[0] - 'a' + 'A', c->summary + 1);
	if (c->more != NULL)
		printf("%s\n", c->more);
	printf("\n%s" CTL_COMMON_HELP, c->options != NULL ? c->options : "");
}

int
ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	ctl_report(ctl, CTL_USAGE, -EINVAL, 0, n < 0 ? "wrong usage" : text);
	if (n >= 0)
		free(text);
	if (!ctl->json)
		fprintf(stderr, "'personactl%s%s --help' says how.\n",
		    ctl->command != NULL ? " " : "",
		    ctl->command != NULL ? ctl->command->name : "");
	return CTL_USAGE;
}

int
ctl_fail(const struct ctl *ctl, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	ctl_report(ctl, CTL_FAILED, 0, 0, n < 0 ? "out of memory" : text);
	if (n >= 0)
		free(text);
	return CTL_FAILED;
}

int
ctl_report(const struct ctl *ctl, enum ctl_exit status, int error,
    uint32_t reason, const char *message)
{
	char *text;

	if (ctl->json) {
		struct json j;

		json_begin(&j, stdout);
		json_bool(&j, "ok", false);
		json_string(&j, "message", message);
		if (error != 0)
			json_string(&j, "error", strerrorname_np(-error));
		if (reason != 0)
			json_string(&j, "reason", reason_word(reason));
		(void)json_finish(&j);
		return status;
	}
	text = text_printable(message);
	fprintf(stderr, "personactl: %s\n", text != NULL ? text : "failed");
	free(text);
	return status;
}

int
ctl_done(const struct ctl *ctl)
{
	struct json j;

	if (!ctl->json)
		return CTL_OK;
	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

bool
ctl_confirm(const char *fmt, ...)
{
	char line[16] = "";
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" [y/N] ", stderr);
	fflush(stderr);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	line[strcspn(line, "\r\n")] = '\0';
	return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

int
ctl_set_socket(struct ctl *ctl, const char *path)
{
	if (*path == '\0')
		return ctl_usage(ctl, "--socket wants a path");
	ctl->socket_path = path;
	return CTL_OK;
}

int
ctl_option(struct ctl *ctl, int argc, char **argv, const struct option *own)
{
	char letters[64] = ":S:jh";
	size_t n = strlen(letters);

	for (const struct option *o = own; o->name != NULL; o++)
		if (o->val < 128 && strchr("Sjh", o->val) == NULL) {
			letters[n++] = (char)o->val;
			if (o->has_arg == required_argument)
				letters[n++] = ':';
		}
	letters[n] = '\0';
	for (;;) {
		int c = getopt_long(argc, argv, letters, own, NULL);

		switch (c) {
		case 'S':
			if (ctl_set_socket(ctl, optarg) != CTL_OK)
				return '?';
			break;
		case 'j':
			ctl->json = true;
			break;
		case 'h':
			print_command_help(ctl->command);
			exit(CTL_OK);
		case ':':
			ctl_usage(ctl, "option '%s' wants a value",
			    argv[optind - 1]);
			return '?';
		case '?':
			if (optopt != 0 && optopt < 128)
				ctl_usage(ctl, "'-%c' is not an option of '%s'",
				    optopt, ctl->command->name);
			else
				ctl_usage(ctl, "'%s' is not an option of '%s'",
				    argv[optind - 1], ctl->command->name);
			return '?';
		default:
			return c;
		}
	}
}

int
ctl_no_options(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = { CTL_COMMON_OPTIONS, { 0 } };

	return ctl_option(ctl, argc, argv, own) == -1 ? CTL_OK : CTL_USAGE;
}

int
ctl_flag_option(struct ctl *ctl, int argc, char **argv,
    const struct option *flag_row, bool *flag)
{
	const struct option own[] = { CTL_COMMON_OPTIONS, *flag_row, { 0 } };
	int c;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		*flag = true;
	}
	return CTL_OK;
}

int
ctl_arguments(struct ctl *ctl, int argc, char **argv, int min, int max,
    const char **pos)
{
	int n = argc - optind;

	for (int i = 0; i < max; i++)
		pos[i] = i < n ? argv[optind + i] : NULL;
	if (n < min)
		return ctl_usage(ctl, "'%s' wants %s", ctl->command->name,
		    ctl->command->args);
	if (n > max)
		return ctl_usage(ctl, "'%s' is one argument too many",
		    argv[optind + max]);
	return CTL_OK;
}

int
ctl_check_persona(const struct ctl *ctl, const char *name)
{
	const char *why;

	if (parse_persona_name(name, &why) < 0)
		return ctl_usage(ctl, "'%s' cannot be a persona: %s", name,
		    why);
	return CTL_OK;
}

int
ctl_check_peer(const struct ctl *ctl, const char *name)
{
	const char *why;

	if (parse_peer(name, &why) < 0)
		return ctl_usage(ctl, "'%s' cannot be a peer: %s", name, why);
	return CTL_OK;
}

int
ctl_persona_argument(struct ctl *ctl, int argc, char **argv, const char **name)
{
	int status;

	if ((status = ctl_arguments(ctl, argc, argv, 1, 1, name)) != CTL_OK)
		return status;
	return ctl_check_persona(ctl, *name);
}
