/* SPDX-License-Identifier: ISC */
/*
 * An image directory as a whole: given its name when all of it is there, and
 * removed. What is in one is image-files.h's; whose it is and who may use it is
 * decided elsewhere.
 *
 *	kernel, initrd		boot files
 *	disk0.img, disk1.img	sparse, raw; with diskN.map over a template
 *	memory, state		of a checkpoint here, of a persona in suspended/
 */
#ifndef IMAGEDIR_H
#define IMAGEDIR_H

#include <stddef.h>

#define IMAGEDIR_SUSPENDED	"suspended"

/*
 * Give a directory that was made its name, for good: what is in it has been
 * synced. -EEXIST when that name is taken; then nothing has changed.
 */
int	imagedir_publish(const char *made, const char *dir);

/* Write a small file of such a directory, synced. 0 or -errno. */
int	imagedir_put(const char *dir, const char *name, const void *data,
	    size_t len);

/* Remove it with all that is in it. Nothing there is fine; a failure is logged. */
void	imagedir_remove(const char *dir);

#endif
