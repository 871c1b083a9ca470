/* SPDX-License-Identifier: ISC */
/*
 * What persona-mdns keeps before a stranger's announcement is read: the descriptors
 * it has, and Unix sockets, to call the bus again when that has gone.
 */
#ifndef MDNS_SANDBOX_H
#define MDNS_SANDBOX_H

/* The status of a process that has made a call it may not make. */
#define EXIT_MDNS_SANDBOX	3

/*
 * Give up the rest for good, when all libraries are loaded. A call outside the list
 * ends the process with a line that names it; a file that is opened is not there
 * (ENOENT), as libdbus can do without the ones it tries. 0 or -errno.
 */
int	mdns_sandbox_enter(void);

#endif
