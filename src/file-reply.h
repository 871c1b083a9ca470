/* SPDX-License-Identifier: ISC */
/*
 * What a client hears while its persona file is written or read. For export.c and
 * import.c; knows neither.
 */
#ifndef FILE_REPLY_H
#define FILE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "control.h"
#include "transfer.pb-c.h"

/* What is said of one export or import, and who hears it. */
struct file_reply {
	struct control_request	*req;
	uint64_t		began_ms;
	Persona__Control__FileInfo info;
	uint8_t			root[32];
};

/* Who asked; `req` stays the control's and is answered by the last word. */
void	file_reply_begin(struct file_reply *f, struct control_request *req);

/* How far it is. */
void	file_reply_progress(struct file_reply *f,
	    const Persona__Transfer__FileProgress *p);

/* The root hash that the worker tells. -EPROTO when it is none. */
int	file_reply_root(struct file_reply *f,
	    const Persona__Transfer__FileDone *done);

/* The last word: it is `name` with this id. `original` may be NULL. */
void	file_reply_ok(struct file_reply *f, const char *name, const char *id,
	    const char *original);

/*
 * The other last word: a reason (reason.h) and a sentence, NULL for the reason's
 * own. `about` is what the sentence is about.
 */
void	file_reply_fail(struct file_reply *f, uint32_t reason,
	    const char *about, const char *text);

#endif
