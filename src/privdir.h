/* SPDX-License-Identifier: ISC */
/*
 * A directory that only we (and root) can change, and files that are changed whole
 * or not at all. Knows nothing of what is kept there.
 */
#ifndef PRIVDIR_H
#define PRIVDIR_H

/*
 * The directory is ours and writable by nobody else, and nobody else can rename
 * it away: each parent is root's or ours, and writable by others only if sticky.
 * Symbolic links are followed first. 0, -EPERM (logged with the directory at
 * fault), else -errno.
 */
int	privdir_check(const char *path);

/*
 * Replace <dir>/<name> by this text: written beside it, renamed over it, so that
 * a reader sees the old one or the new one; one that is so already is left alone.
 * mode as for open(2). 0 or -errno.
 */
int	privdir_write(const char *dir, const char *name, const char *text,
	    unsigned int mode);

/*
 * When it returns 0, the content of this file, or the names in this directory,
 * outlive a power cut. Else -errno.
 */
int	privdir_sync(const char *path);

/* The same for the directory that holds this file or directory. */
int	privdir_sync_parent(const char *path);

/*
 * Remove a directory of ours with all that is in it, following no symbolic link.
 * 0, -ENOENT, or -errno with part of it left.
 */
int	privdir_remove(const char *path);

#endif
