/* SPDX-License-Identifier: ISC */
/*
 * The dirty log of a guest, for a worker: a TRANSFER connection to its persona-vmm
 * and the bitmap that both share (vmm.proto). Knows no worker and no page.
 */
#ifndef DIRTY_LOG_H
#define DIRTY_LOG_H

#include "vmm-client.h"

/*
 * Ask for it: n_pages is the page space up to the last that can change. Both
 * descriptors are the caller's when 0 is returned, and of use once `done` has
 * come with 0. Else -errno, nothing is open and `done` does not come.
 */
int	dirty_log_open(struct vmm *v, uint64_t n_pages, int *transfer_fd,
	    int *dirty_fd, vmm_done_fn *done, void *arg);

#endif
