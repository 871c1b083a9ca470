/* SPDX-License-Identifier: ISC */
/* Control requests about peers. Knows no peers yet: every answer is "not yet". */
#include "control.h"

#include <errno.h>

void
control_doctor(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_peers(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_pair(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_pair_wait(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_pair_answer(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_unpair(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}
