/* SPDX-License-Identifier: ISC */
/*
 * Guest memory for unit tests: plain zeroed memory behind gmem.h, with the same
 * hole below 4 GiB. Knows no memfd and no KVM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gmem.h"

struct gmem {
	uint64_t	size;
	uint64_t	marked_bytes;
	uint64_t	discarded_bytes;
	uint8_t		*ram;
};

int
gmem_new(struct gmem **gp, struct kvm *kvm, int ram_fd, uint64_t size_bytes)
{
	struct gmem *g;

	(void)kvm;
	(void)ram_fd;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return -ENOMEM;
	g->size = size_bytes;
	if ((g->ram = calloc(1, size_bytes)) == NULL) {
		free(g);
		return -ENOMEM;
	}
	*gp = g;
	return 0;
}

void
gmem_free(struct gmem *g)
{
	if (g == NULL)
		return;
	free(g->ram);
	free(g);
}

uint64_t
gmem_size(const struct gmem *g)
{
	return g->size;
}

void *
gmem_ptr(struct gmem *g, uint64_t gpa, uint64_t len)
{
	uint64_t low = g->size < GMEM_HOLE_START ? g->size : GMEM_HOLE_START;

	if (gpa <= low && len <= low - gpa)
		return g->ram + gpa;
	if (gpa < GMEM_HOLE_END || gpa - GMEM_HOLE_END > g->size - low ||
	    len > g->size - low - (gpa - GMEM_HOLE_END))
		return NULL;
	return g->ram + low + (gpa - GMEM_HOLE_END);
}

int
gmem_read(struct gmem *g, uint64_t gpa, void *buf, size_t len)
{
	void *p = gmem_ptr(g, gpa, len);

	if (p == NULL)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int
gmem_write(struct gmem *g, uint64_t gpa, const void *buf, size_t len)
{
	void *p = gmem_ptr(g, gpa, len);

	if (p == NULL)
		return -EFAULT;
	memcpy(p, buf, len);
	gmem_mark_dirty(g, gpa, len);
	return 0;
}

void
gmem_mark_dirty(struct gmem *g, uint64_t gpa, uint64_t len)
{
	(void)gpa;
	g->marked_bytes += len;
}

int
gmem_discard(struct gmem *g, uint64_t gpa, uint64_t len)
{
	void *p = gmem_ptr(g, gpa, len);

	if (p == NULL)
		return -EFAULT;
	memset(p, 0, len);
	g->discarded_bytes += len;
	return 0;
}

uint64_t
gmem_discarded(const struct gmem *g)
{
	return g->discarded_bytes;
}
