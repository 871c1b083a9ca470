/* SPDX-License-Identifier: ISC */
/*
 * Page spaces of memory files for tests, with what the tests put into them. Knows
 * no test. Ends the program where the machine does not play along.
 */
#ifndef FAKE_SPACE_H
#define FAKE_SPACE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "space.h"

static inline void
fake_need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake-space: %s failed\n", what);
	exit(EXIT_FAILURE);
}

/* An empty memory file of this size. */
static inline int
fake_file(uint64_t bytes)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	fake_need(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "memfd");
	return fd;
}

/* All of the plan, behind each region an empty file that can be written. */
static inline struct space *
fake_space(const struct space_plan *plan)
{
	struct space *s;

	fake_need(space_new(&s, plan) == 0, "space_new");
	for (size_t i = 0; i < plan->n_regions; i++) {
		int fd = fake_file(plan->regions[i].bytes);

		fake_need(space_back(s, i, &fd, 1, true) == 0, "space_back");
	}
	return s;
}

/* Memory of so many pages and nothing else. */
static inline struct space *
fake_ram(uint64_t n_pages)
{
	struct space_plan plan;

	memset(&plan, 0, sizeof(plan));
	fake_need(space_plan_add(&plan, SPACE_RAM, n_pages * PAGE_BYTES) == 0,
	    "space_plan_add");
	return fake_space(&plan);
}

static inline uint8_t *
fake_page(const struct space *s, uint64_t pfn)
{
	return space_memory(s) + pfn * PAGE_BYTES;
}

/* A page of any region is now this. */
static inline void
fake_put(struct space *s, uint64_t pfn, const uint8_t *page)
{
	fake_need(space_write(s, pfn, page, 1) == 0, "space_write");
}

/* Every page of both is the same. */
static inline bool
fake_same(struct space *a, struct space *b)
{
	const struct space_plan *plan = space_regions(a);
	uint8_t copy[PAGE_BYTES];
	const uint8_t *page;

	space_changed(a);
	space_changed(b);
	for (uint64_t pfn = 0; pfn < plan->n_pages; pfn++) {
		if (!space_has(a, pfn, 1))
			continue;
		fake_need(space_page(a, pfn, &page) == 0, "space_page");
		memcpy(copy, page, PAGE_BYTES);
		fake_need(space_page(b, pfn, &page) == 0, "space_page");
		if (memcmp(copy, page, PAGE_BYTES) != 0)
			return false;
	}
	return true;
}

#endif
