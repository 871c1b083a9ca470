/* SPDX-License-Identifier: ISC */
/* Control requests about moves. Knows no transfer yet: every answer is "not yet". */
#include "control.h"

#include <errno.h>

void
control_status(struct daemon *d, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)d;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_move(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)p;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}

void
control_cancel(struct persona *p, struct control_request *req,
    const Persona__Control__Request *what)
{
	(void)p;
	(void)what;
	control_fail(req, -ENOSYS, "not yet");
}
