/* SPDX-License-Identifier: ISC */
/*
 * Guest memory: one memfd seen by the guest as one or two KVM slots around the
 * hole below 4 GiB. Every access a device makes on the guest's word goes through
 * here and is checked. Knows no device and no vCPU.
 */
#ifndef GMEM_H
#define GMEM_H

#include <stddef.h>
#include <stdint.h>

struct gmem;
struct kvm;

/* RAM below this address is one slot, the rest starts at 4 GiB. */
#define GMEM_HOLE_START	0xc0000000ULL
#define GMEM_HOLE_END	0x100000000ULL

/*
 * Map `size_bytes` of the memfd and give it to the guest. The descriptor stays
 * the caller's. 0, -EINVAL for a bad size, or -errno of mmap or KVM.
 */
int	gmem_new(struct gmem **gp, struct kvm *kvm, int ram_fd,
	    uint64_t size_bytes);
void	gmem_free(struct gmem *g);

uint64_t	gmem_size(const struct gmem *g);

/*
 * A host pointer to [gpa, gpa + len), valid while g lives, or NULL unless all of
 * it is guest RAM. The guest may change the bytes at any time: copy, then check.
 * A device that writes through it must call gmem_mark_dirty afterwards.
 */
void	*gmem_ptr(struct gmem *g, uint64_t gpa, uint64_t len);

/* Checked copies; write marks dirty. 0, or -EFAULT when it is not all RAM. */
int	gmem_read(struct gmem *g, uint64_t gpa, void *buf, size_t len);
int	gmem_write(struct gmem *g, uint64_t gpa, const void *buf, size_t len);

/* Count the pages of [gpa, gpa + len) as written by a device. Thread-safe. */
void	gmem_mark_dirty(struct gmem *g, uint64_t gpa, uint64_t len);

/*
 * The guest does not need what is in [gpa, gpa + len) any more: the whole pages
 * in it become holes of the memfd, which read as zero, cost no memory and are
 * passed over by a move. Those that held something count as written. Of memory
 * that is a file on a disk nothing is given back: it has to keep its room. It is a
 * service to the host: 0 or -errno, -EFAULT when it is not all RAM, and after an
 * error the bytes are either still there or zero. Thread-safe.
 */
int	gmem_discard(struct gmem *g, uint64_t gpa, uint64_t len);

/* Bytes that discards have given back so far. */
uint64_t	gmem_discarded(const struct gmem *g);

/*
 * Dirty logging. The bitmap is indexed by page offset in the memfd (not by guest
 * address), so that it means the same to the transfer process. start: everything
 * is clean from now. harvest: OR what was written since into `bitmap` (which has
 * at least size/4096 bits), say how many bits were new in this harvest.
 * 0 or -errno.
 */
int	gmem_dirty_start(struct gmem *g);
int	gmem_dirty_stop(struct gmem *g);
int	gmem_dirty_harvest(struct gmem *g, uint64_t *bitmap,
	    uint64_t *n_pages);

#endif
