/* SPDX-License-Identifier: ISC */
/*
 * What a policy says of a persona that runs already: notice before it expires, and
 * its suspend once it may not run here any more. Knows the clock and the policies;
 * knows no request.
 */
#ifndef POLICY_WATCH_H
#define POLICY_WATCH_H

struct daemon;

/*
 * It looks for the first time once the event loop runs, then when something is due
 * or daemon_policies_look asks for it. 0 or -errno.
 */
int	policy_watch_open(struct daemon *d);
void	policy_watch_close(struct daemon *d);

#endif
