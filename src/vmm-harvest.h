/* SPDX-License-Identifier: ISC */
/*
 * The TRANSFER connection to persona-vmm: harvest dirty pages into the bitmap that is
 * shared with it, hold the guest back. Cannot stop, resume or save it: that is its
 * owner's. Reads no page.
 */
#ifndef VMM_HARVEST_H
#define VMM_HARVEST_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct vmm_harvest;

struct vmm_harvest_ops {
	void	(*harvested)(void *arg);
	/* persona-vmm is gone or refused; nothing comes after this. */
	void	(*failed)(void *arg, const char *why);
};

/*
 * A connection and the bitmap of so many pages; takes both descriptors, also on
 * failure. 0; -EINVAL when one is missing or the bitmap too small; or -errno.
 */
int	vmm_harvest_open(struct vmm_harvest **hp, struct event_base *base,
	    int fd, int bitmap_fd, uint64_t n_pages,
	    const struct vmm_harvest_ops *ops, void *arg);

/* Its words, little-endian; persona-vmm sets bits at any time. Ours until _close. */
uint64_t *vmm_harvest_bitmap(struct vmm_harvest *h);

/* Closing ends dirty logging and the throttle. NULL is fine. */
void	vmm_harvest_close(struct vmm_harvest *h);

/* Collect dirty pages into the shared bitmap; `start` turns logging on. */
void	vmm_harvest_ask(struct vmm_harvest *h, bool start);

/* Hold every vCPU back for this share of the time, in percent. */
void	vmm_harvest_throttle(struct vmm_harvest *h, unsigned int percent);

#endif
