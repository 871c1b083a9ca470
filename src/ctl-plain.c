/* SPDX-License-Identifier: ISC */
/*
 * From a command line without much on it to the request and its answer. What a
 * list looks like is its command's matter.
 */
#include "ctl-plain.h"

#include "ctl-client.h"
#include "ctl.h"

int
ctl_call_named(struct ctl *ctl, int argc, char **argv,
    Persona__Control__Request__WhatCase what)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Name name = PERSONA__CONTROL__NAME__INIT;
	const char *arg;
	int status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_persona_argument(ctl, argc, argv, &arg)) != CTL_OK)
		return status;
	name.name = (char *)(uintptr_t)arg;
	/* All of these are pointers in the same union, told apart by the case. */
	req.what_case = what;
	req.start = &name;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

int
ctl_call_list(struct ctl *ctl, int argc, char **argv,
    const Persona__Control__Request *req, bool *names,
    Persona__Control__Reply **reply)
{
	static const struct option flag = { "names", no_argument, NULL, 'n' };
	int status;

	*names = false;
	if ((status = ctl_flag_option(ctl, argc, argv, &flag,
	    names)) != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 0, 0, NULL)) != CTL_OK)
		return status;
	return ctl_call(ctl, req, reply);
}
