/* SPDX-License-Identifier: ISC */
/*
 * Which regions a persona has and where each begins. Pure arithmetic; the pages
 * behind it are space.c's.
 */
#include "space.h"

#include <errno.h>
#include <string.h>

static uint64_t
limit_bytes(enum space_kind kind)
{
	switch (kind) {
	case SPACE_RAM:
		return RAM_MAX_BYTES;
	case SPACE_DISK:
		return DISK_MAX_BYTES;
	default:
		return BOOT_FILE_MAX_BYTES;
	}
}

int
space_plan_add(struct space_plan *plan, enum space_kind kind, uint64_t bytes)
{
	struct space_region *r;
	const bool whole = kind == SPACE_RAM || kind == SPACE_DISK;

	if (plan->n_regions == REGIONS_MAX)
		return -E2BIG;
	if (bytes == 0 || bytes > limit_bytes(kind) ||
	    (whole && bytes % PAGE_BYTES != 0))
		return -EINVAL;
	r = &plan->regions[plan->n_regions++];
	r->kind = kind;
	r->bytes = bytes;
	r->first = (plan->n_pages + SPACE_ALIGN_PAGES - 1) /
	    SPACE_ALIGN_PAGES * SPACE_ALIGN_PAGES;
	r->n_pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	plan->n_pages = r->first + r->n_pages;
	if (whole)
		plan->n_dirty = plan->n_pages;
	return 0;
}

int
space_plan(struct space_plan *plan, uint64_t ram_bytes,
    const Persona__Spec__Spec *spec)
{
	int r;

	memset(plan, 0, sizeof(*plan));
	r = space_plan_add(plan, SPACE_RAM, ram_bytes);
	for (size_t i = 0; r == 0 && spec != NULL && i < spec->n_disks; i++)
		r = space_plan_add(plan, SPACE_DISK, spec->disks[i]->bytes);
	if (r == 0 && spec != NULL && spec->kernel != NULL)
		r = space_plan_add(plan, SPACE_KERNEL, spec->kernel->bytes);
	if (r == 0 && spec != NULL && spec->initrd != NULL)
		r = space_plan_add(plan, SPACE_INITRD, spec->initrd->bytes);
	return r;
}

bool
space_plan_equal(const struct space_plan *a, const struct space_plan *b)
{
	if (a->n_regions != b->n_regions)
		return false;
	for (size_t i = 0; i < a->n_regions; i++)
		if (a->regions[i].kind != b->regions[i].kind ||
		    a->regions[i].bytes != b->regions[i].bytes)
			return false;
	return true;
}

int
space_plan_check(const struct space_plan *plan,
    Persona__Transfer__Region *const *regions, size_t n)
{
	if (n != plan->n_regions)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((int)regions[i]->kind != (int)plan->regions[i].kind ||
		    regions[i]->bytes != plan->regions[i].bytes)
			return -EINVAL;
	return 0;
}
