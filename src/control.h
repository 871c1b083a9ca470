/* SPDX-License-Identifier: ISC */
/*
 * The control socket: who may connect, one request at a time on a connection,
 * and the table of what is allowed in which state. Knows no command's inside;
 * those are in control-*.c.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"
#include "control.pb-c.h"

struct control;
struct control_request;
struct daemon;
struct persona;

/* Listen on <runtime-dir>/control.sock. 0 or -errno. */
int	control_open(struct control **cp, struct daemon *d);
void	control_close(struct control *c);

/* --- for the handlers: every request is answered to its `done` --------------------- */

/* Who asks. */
void	control_credentials(struct control_request *req, uid_t *uid,
	    gid_t *gid);

/*
 * A descriptor that came with the request, now the caller's; -1 when there is none.
 * Those that nobody takes are closed with the request.
 */
int	control_take_fd(struct control_request *req, size_t i);

/*
 * Send a reply. With reply->done the request is over and `req` is gone. A client
 * that has left or does not read is not an error: the work goes on without it.
 */
void	control_reply(struct control_request *req,
	    Persona__Control__Reply *reply, const int *fds, size_t n_fds);

/* The common last replies. The sentence is for a person. */
void	control_ok(struct control_request *req);
void	control_fail(struct control_request *req, int r, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/*
 * Tell me when the client leaves before `done`; the request is gone after the
 * call. Without this, a request lives on quietly until its handler ends it.
 */
void	control_on_gone(struct control_request *req, void (*gone)(void *arg),
	    void *arg);

/* --- the handlers --------------------------------------------------------------------- */

typedef void control_fn(struct daemon *d, struct control_request *req,
	    const Persona__Control__Request *what);
typedef void control_persona_fn(struct persona *p,
	    struct control_request *req,
	    const Persona__Control__Request *what);

/* control-personas.c */
control_fn		control_create, control_list;
control_persona_fn	control_show, control_start, control_stop,
			control_kill, control_pause, control_resume,
			control_console, control_delete;

/* control-vault.c */
control_persona_fn	control_lock, control_unlock;

/* control-policy.c */
control_persona_fn	control_policy_set;

/* control-images.c */
control_fn		control_images, control_image_remove;

/* control-files.c */
control_fn		control_import;
control_persona_fn	control_export;
/* control-net.c */
control_persona_fn	control_set_net;

/* control-saved.c */
control_persona_fn	control_checkpoint, control_checkpoints,
			control_restore, control_checkpoint_delete,
			control_suspend;

/* The disks of one persona in a reply. */
struct control_disks {
	Persona__Control__DiskInfo	info[DISKS_MAX], *list[DISKS_MAX];
};

/*
 * How a persona looks from outside; what it points to is in `p` and `disks`, the
 * rest is freed by control_info_free().
 */
void	control_info(struct persona *p, Persona__Control__PersonaInfo *info,
	    struct control_disks *disks);
void	control_info_free(Persona__Control__PersonaInfo *info);

#define CONTROL_CHUNK	16u	/* personas in one reply (IPC_MAX_MSG) */
typedef void control_chunk_fn(struct control_request *req,
	    struct persona **from, size_t n, bool done);

/* All personas by name, CONTROL_CHUNK at most at a time. */
void	control_in_chunks(struct daemon *d, struct control_request *req,
	    control_chunk_fn *send);

/* control-usage.c */
control_fn		control_top;
control_persona_fn	control_limit;

/* control-moves.c */
control_fn		control_status;
control_persona_fn	control_move, control_cancel;

/* control-peers.c */
control_fn		control_doctor, control_peers, control_pair,
			control_pair_wait, control_pair_answer,
			control_unpair;

/* A bit for each PersonaInfo.State. */
#define CONTROL_IN(state) \
	(1u << PERSONA__CONTROL__PERSONA_INFO__STATE__##state)

/* One row of the table. */
struct control_command {
	Persona__Control__Request__WhatCase what;
	const char		*name;
	control_fn		*run;		/* or, with a persona: */
	control_persona_fn	*run_persona;
	unsigned int		allowed_in;	/* CONTROL_IN bits */
};

/*
 * Run a request about a persona, as it is by now: for one that had to wait.
 */
void	control_run(struct daemon *d, struct control_request *req,
	    const Persona__Control__Request *what);

/*
 * The vault of this persona is closed: open it first, then run the request again,
 * or answer why not. False: nothing to open, go on. In control-vault.c.
 */
bool	control_open_first(struct persona *p, struct control_request *req,
	    const Persona__Control__Request *what);

/* The row for a request, or NULL for one this version does not know. */
const struct control_command *control_command(
	    const Persona__Control__Request *req);

/* Is it about what is stored of a persona, so that its vault must be open? */
bool	control_needs_image(const Persona__Control__Request *req);

/* The persona's name in a request that is about one. */
const char	*control_persona_name(const Persona__Control__Request *req);

#endif
