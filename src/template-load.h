/* SPDX-License-Identifier: ISC */
/*
 * A template file on its way into templates/: persona-sync import reads and
 * verifies it, personad judges what it says of itself. Knows no format and no
 * request.
 */
#ifndef TEMPLATE_LOAD_H
#define TEMPLATE_LOAD_H

struct daemon;
struct template_load;

/*
 * It is in place (0, `hex` its hash), or why not: a sentence. Comes once,
 * unless it was abandoned; never from within template_load_start.
 */
typedef void template_loaded_fn(void *arg, int r, const char *why,
	    const char *hex);

/* Begin reading from in_fd, which stays the caller's. 0 or -errno. */
int	template_load_start(struct template_load **lp, struct daemon *d,
	    int in_fd, template_loaded_fn *done, void *arg);

/* Give it up; nothing of it remains. NULL is fine. */
void	template_load_abandon(struct template_load *l);

#endif
