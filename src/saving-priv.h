/* SPDX-License-Identifier: ISC */
/*
 * The inside of a saving, for its two files: saving.c (the worker, the guest that
 * is parked and let go) and saving-kinds.c (what differs between checkpoint,
 * suspend and restore). Everybody else takes saving.h.
 */
#ifndef SAVING_PRIV_H
#define SAVING_PRIV_H

#include "bounds.h"
#include "image-files.h"
#include "image.pb-c.h"
#include "persona.h"
#include "saving.h"
#include "syncproc.h"

struct saving {
	struct persona_hook	hook;		/* first */
	struct persona		*persona;
	const struct saving_ops	*ops;
	struct saving_events	events;
	void			*arg;
	struct syncproc		*proc;
	Persona__Spec__Spec	*spec;
	struct image_files	from, to;
	int			transfer_fd, dirty_fd;	/* -1: no log */
	int			state_fd;
	uint64_t		state_bytes;
	unsigned int		number;		/* of the checkpoint */
	uint64_t		attempt;	/* of a restore's new image */
	uint64_t		serial;		/* tells questions apart */
	char			label[LABEL_MAX + 1];
	bool			parked;		/* by us, and still */
	uint64_t		parked_ns, pause_ns;
	uint64_t		saved_unix_ns;	/* the instant */
	Persona__Image__Manifest *manifest;	/* a restore's source */
};

struct saving_ops {
	const char	*doing;		/* "checkpoint" */
	bool		stop_first;
	bool		rooted;
	/* Open the source, make the target; *why is a sentence on failure. */
	int		(*open)(struct saving *s, const char **why);
	/* The instant is wanted: saving_stopped() or saving_fail() follows. */
	void		(*park)(struct saving *s);
	/* Copied, verified and synced: make it count. 0 or -errno. */
	int		(*finish)(struct saving *s, const uint8_t *root);
	/* What was made is to vanish. */
	void		(*undo)(struct saving *s);
};

extern const struct saving_ops *const saving_kinds[];

/* --- saving.c --------------------------------------------------------------------- */

/* Park the guest and save its state. */
void	saving_park(struct saving *s);

/* state_fd and state_bytes are set: the worker may copy the last. */
void	saving_stopped(struct saving *s);

/* It is over with this reason; `s` is gone. */
void	saving_fail(struct saving *s, uint32_t reason, const char *why);

#endif
