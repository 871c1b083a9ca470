/* SPDX-License-Identifier: ISC */
/*
 * The inside of a persona file: manifest, chunks of pages, machine state, end
 * (persona-file(5), THE PAYLOAD). Written from a page space and read into one, in
 * one pass and a step at a time. Knows no descriptor of the file and no encryption:
 * those are the envelope's.
 */
#ifndef PERSONAFILE_H
#define PERSONAFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "digest.h"
#include "image.pb-c.h"

struct envelope_writer;
struct space;

/* How far it is; pages are those that hold something. */
struct personafile_figures {
	uint64_t	pages_done;
	uint64_t	pages_total;	/* an estimate */
	uint64_t	chunks;		/* written out or read */
	uint64_t	same;		/* chunks that were seen before */
};

/*
 * The limits of a manifest, whoever wrote it: versions, a persona within bounds,
 * a label that can be shown. 0; -ENOTSUP for a newer one; -EBADMSG with *why.
 */
int	personafile_check_manifest(const Persona__Image__Manifest *m,
	    const char **why);

/* Why an export or import ends (reason.h) when one of these calls, or of the
 * envelope's, gave r. */
uint32_t personafile_reason(int r);

/* Does an image of this kind hold memory and machine state? */
bool	personafile_has_memory(Persona__Image__Manifest__Kind kind);

/* --- writing --------------------------------------------------------------------- */

struct personafile_writer;

/*
 * Begin with the manifest, whose data_pages is filled in. `state` (state_bytes of
 * the manifest) is kept until the end; so are `out` and `space`. 0; -EINVAL when
 * the manifest is not within bounds; else -errno.
 */
int	personafile_writer_new(struct personafile_writer **wp,
	    struct envelope_writer *out, struct space *space,
	    Persona__Image__Manifest *manifest, const void *state);
void	personafile_writer_free(struct personafile_writer *w);

/*
 * Write about so many pages more. 0; 1 when the payload is complete and the
 * envelope may be finished; -errno of reading pages or of writing the file.
 */
int	personafile_write(struct personafile_writer *w, uint64_t pages);

/* The root hash, once it is complete. */
const struct digest *personafile_written_root(
	    const struct personafile_writer *w);
void	personafile_write_figures(const struct personafile_writer *w,
	    struct personafile_figures *f);

/* --- reading --------------------------------------------------------------------- */

struct personafile_reader;

/* 0 or -ENOMEM. */
int	personafile_reader_new(struct personafile_reader **rp);
void	personafile_reader_free(struct personafile_reader *r);

/*
 * Take payload, *used bytes of it. 0: all is taken. 1, once: the manifest is whole
 * and nothing more is taken before personafile_read_into(). -ENOTSUP: of a newer
 * version. -EBADMSG: damaged, or nonsense. -E2BIG: goes on after its end.
 * -ENOMEM. Other -errno: what was read could not be kept (-ENOSPC).
 */
int	personafile_read(struct personafile_reader *r, const uint8_t *data,
	    size_t len, size_t *used);

/* What it says it is; valid as long as the reader. NULL before. */
const Persona__Image__Manifest *personafile_manifest(
	    const struct personafile_reader *r);

/* A fresh, empty space of the manifest's persona, kept until the end. */
int	personafile_read_into(struct personafile_reader *r,
	    struct space *space);

/*
 * No more comes. 0 when all was there and its root hash is that of what has been
 * written to the space; -ENODATA when it ended too early.
 */
int	personafile_read_end(const struct personafile_reader *r);

/* After a good end. The state is `*len` bytes, 0 without. */
const void *personafile_state(const struct personafile_reader *r,
	    size_t *len);
const struct digest *personafile_read_root(const struct personafile_reader *r);
void	personafile_read_figures(const struct personafile_reader *r,
	    struct personafile_figures *f);

#endif
