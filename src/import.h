/* SPDX-License-Identifier: ISC */
/*
 * A persona file on its way to becoming a persona here: persona-sync import reads
 * it into a directory of its own, which gets its place and its record when all of
 * it has been verified. Knows no format.
 *
 * What is imported is a new persona, with an id of its own and tenure 1: a file
 * cannot say whether the persona it was made from lives on somewhere, so it must
 * never become a second copy of it (invariant 1).
 */
#ifndef IMPORT_H
#define IMPORT_H

struct control_request;
struct daemon;

/*
 * Begin; the request is answered in any case, and its end by the client is ours:
 * then nothing remains. `name` may be NULL for the one in the file. Takes both
 * descriptors, also on failure; passphrase_fd may be -1.
 */
void	import_start(struct daemon *d, struct control_request *req,
	    const char *name, int in_fd, int passphrase_fd);

#endif
