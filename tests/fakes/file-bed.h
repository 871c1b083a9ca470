/* SPDX-License-Identifier: ISC */
/*
 * A small persona in memory files, and persona files in memory: what the tests of
 * the format need on both sides of it. Knows no test.
 */
#ifndef FILE_BED_H
#define FILE_BED_H

#include <stddef.h>
#include <stdint.h>

#include "envelope.h"
#include "personafile.h"
#include "space.h"

/* The persona: 64 MiB of memory, a disk, a kernel that ends within a page. */
#define BED_RAM_BYTES		RAM_MIN_BYTES
#define BED_DISK_BYTES		((uint64_t)256 << 10)
#define BED_KERNEL_BYTES	5000u
#define BED_STATE_BYTES		70000u

struct bed_persona {
	Persona__Image__Manifest	manifest;
	Persona__Transfer__Persona	persona;
	Persona__Spec__Spec		spec;
	Persona__Spec__Disk		disk, *disks[1];
	Persona__Spec__Boot		kernel;
	struct space			*space;
	uint8_t				state[BED_STATE_BYTES];
};

/* With memory and state, or switched off. Its content is the same in every run. */
void	bed_persona_init(struct bed_persona *p,
	    Persona__Image__Manifest__Kind kind);
void	bed_persona_fini(struct bed_persona *p);

/* An empty space for such a persona to be read into. */
struct space *bed_space(const Persona__Transfer__Persona *persona,
	    bool memory);

/* A file in memory. */
struct bed_file {
	uint8_t	*data;
	size_t	len, room;
	size_t	limit;		/* no room beyond; 0: none */
};

int	bed_file_out(void *arg, const void *data, size_t len);
void	bed_file_fini(struct bed_file *f);

/* Write the persona into it. 0 or -errno. */
int	bed_write(struct bed_file *f, struct bed_persona *p,
	    const struct envelope_lock *lock, struct digest *root);

/* How to open one. */
struct bed_key {
	const char	*passphrase;		/* NULL: none */
	const uint8_t	*secret;		/* of a handset, or NULL */
};

struct bed_result {
	struct space	*space;		/* NULL when it got no further */
	struct digest	root;
	uint8_t		*state;
	size_t		state_len;
	struct personafile_figures figures;
};

/*
 * Read a file in pieces of `step` bytes (0: at once) and to its end. 0, or the
 * -errno of whatever refused it.
 */
int	bed_read(const uint8_t *data, size_t len, size_t step,
	    const struct bed_key *key, struct bed_result *out);
void	bed_result_fini(struct bed_result *r);

#endif
