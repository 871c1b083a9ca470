/* SPDX-License-Identifier: ISC */
/*
 * What persona-sync's roles share: whole reads and writes of descriptors that
 * block; and of export and import the passphrase, and what personad is told. Knows no
 * format.
 */
#ifndef FILE_IO_H
#define FILE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"
#include "personafile.h"
#include "sync-worker.h"

/* A file is one transfer and its process: the number in every message. */
#define FILE_ATTEMPT	1u

/*
 * The client's descriptors may be pipes, and may be non-blocking; both are waited
 * for. 0 or -errno; -ENODATA when the file is shorter than len.
 */
int	file_write_all(int fd, const void *data, size_t len);
int	file_read_all(int fd, void *data, size_t len);

/*
 * A file's bytes from its beginning, wherever its offset is: at most `size`, and how
 * many they are in *len. 0 or -errno.
 */
int	file_read_start(int fd, void *data, size_t size, size_t *len);

/* What is there, at most len bytes; 0 at the end. The number, or -errno. */
ssize_t	file_read_some(int fd, void *data, size_t len);

/* On stable storage, where the descriptor is a thing that can be. 0 or -errno. */
int	file_sync(int fd);

struct file_passphrase {
	size_t	len;
	char	text[PASSPHRASE_MAX];
};

/* All of a file as a passphrase. 0, or -EINVAL when it is empty or too long. */
int	file_passphrase_read(struct file_passphrase *p, int fd);

/* A sentence for what cannot be written, NULL for the reason's own. Static. */
const char *file_write_text(int r);

/* --- what personad is told ----------------------------------------------------------- */

/* When figures were told, and since when they count. */
struct file_pace {
	uint64_t	began_ns;
	uint64_t	told_ns;
};

/* The work begins (clock.h). */
void	file_pace_begin(struct file_pace *p, uint64_t now_ns);

/* Figures, a few times a second; `now`: in any case. */
void	file_tell_progress(struct worker *w, struct file_pace *pace,
	    const struct personafile_figures *f, uint64_t bytes, bool now);

/* It is complete, with this root hash. */
void	file_tell_done(struct worker *w, const struct digest *root);

#endif
