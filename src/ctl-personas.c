/* SPDX-License-Identifier: ISC */
/*
 * The commands that say what a persona of this handset shall do: start, stop, kill,
 * pause, resume, delete. Asks personad; knows no registry and no VMM.
 */
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-parse.h"
#include "ctl-plain.h"
#include "ctl-vault.h"
#include "ctl.h"

static int
call_and_say(struct ctl *ctl, const Persona__Control__Request *req)
{
	int status = ctl_call(ctl, req, NULL);

	return status == CTL_OK ? ctl_done(ctl) : status;
}

int
ctl_start(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg, *file = NULL;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		file = optarg;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK ||
	    (status = vault_open_first(ctl, arg, file)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_START;
	req.start = &name;
	return call_and_say(ctl, &req);
}

int
ctl_kill(struct ctl *ctl, int argc, char **argv)
{
	return ctl_call_named(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_KILL);
}

int
ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	return ctl_call_named(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_PAUSE);
}

int
ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	return ctl_call_named(ctl, argc, argv,
	    PERSONA__CONTROL__REQUEST__WHAT_RESUME);
}

int
ctl_stop(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Stop stop = PERSONA__CONTROL__STOP__INIT;
	const char *arg, *why;
	uint64_t timeout_s;
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		if (parse_number(optarg, 0, 3600, &timeout_s, &why) < 0)
			return ctl_usage(ctl, "--timeout %s: %s", optarg, why);
		stop.has_timeout_ms = true;
		stop.timeout_ms = (uint32_t)timeout_s * 1000;
	}
	if ((status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	stop.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_STOP;
	req.stop = &stop;
	return call_and_say(ctl, &req);
}

int
ctl_delete(struct ctl *ctl, int argc, char **argv)
{
	static const struct option flag = { "yes", no_argument, NULL, 'y' };
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg;
	bool yes = false;
	int status;

	status = ctl_flag_option(ctl, argc, argv, &flag, &yes);
	if (status != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	if (!yes && !ctl_confirm("Delete persona %s and its image from this "
	    "handset?", arg))
		return ctl_fail(ctl, "%s was not deleted", arg);
	name.name = (char *)(uintptr_t)arg;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_DELETE;
	req.delete_ = &name;
	return call_and_say(ctl, &req);
}
