/* SPDX-License-Identifier: ISC */
/* Replies about one persona file. Knows no process and no file. */
#include "file-reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "clock.h"
#include "reason.h"

void
file_reply_begin(struct file_reply *f, struct control_request *req)
{
	memset(f, 0, sizeof(*f));
	f->req = req;
	f->began_ms = clock_now_ms();
	persona__control__file_info__init(&f->info);
}

void
file_reply_progress(struct file_reply *f,
    const Persona__Transfer__FileProgress *p)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	f->info.pages_done = p->pages_done;
	f->info.pages_total = p->pages_total;
	f->info.bytes = p->bytes;
	f->info.has_rate = p->has_rate;
	f->info.rate = p->rate;
	f->info.has_eta_ms = p->has_eta_ms;
	f->info.eta_ms = p->eta_ms;
	f->info.has_elapsed_ms = true;
	f->info.elapsed_ms = clock_now_ms() - f->began_ms;
	reply.file = &f->info;
	control_reply(f->req, &reply, NULL, 0);
}

int
file_reply_root(struct file_reply *f, const Persona__Transfer__FileDone *done)
{
	if (done->root.len != sizeof(f->root))
		return -EPROTO;
	memcpy(f->root, done->root.data, sizeof(f->root));
	f->info.has_root = true;
	f->info.root.data = f->root;
	f->info.root.len = sizeof(f->root);
	return 0;
}

void
file_reply_ok(struct file_reply *f, const char *name, const char *id,
    const char *original)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;

	f->info.persona = (char *)(uintptr_t)name;
	f->info.id = (char *)(uintptr_t)id;
	f->info.original = (char *)(uintptr_t)original;
	f->info.has_elapsed_ms = true;
	f->info.elapsed_ms = clock_now_ms() - f->began_ms;
	reply.file = &f->info;
	reply.done = true;
	control_reply(f->req, &reply, NULL, 0);
	f->req = NULL;
}

static int
error_of(uint32_t reason)
{
	switch (reason) {
	case REASON_DISK_FULL:
		return -ENOSPC;
	case REASON_NO_MEMORY:
		return -ENOMEM;
	case REASON_NAME_TAKEN:
		return -EEXIST;
	case REASON_FILE_LOCKED:
	case REASON_FILE_PASSPHRASE:
	case REASON_FILE_RECIPIENT:
		return -EACCES;
	case REASON_FILE_VERSION:
		return -ENOTSUP;
	default:
		return -EIO;
	}
}

void
file_reply_fail(struct file_reply *f, uint32_t reason, const char *about,
    const char *text)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	char message[REASON_TEXT_MAX + 1];

	snprintf(message, sizeof(message), "%s: %s", about,
	    text != NULL && text[0] != '\0' ? text : reason_text(reason));
	reply.error = error_of(reason);
	reply.has_reason = true;
	reply.reason = reason;
	reply.message = message;
	reply.done = true;
	control_reply(f->req, &reply, NULL, 0);
	f->req = NULL;
}
