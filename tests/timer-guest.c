/* SPDX-License-Identifier: ISC */
/*
 * The guest's memory, its one writer, and the answers to its harvests. What is sent
 * of it, and where to, is the program's matter.
 */
#include "timer-guest.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounds.h"
#include "log.h"
#include "random.h"
#include "vmm.pb-c.h"

#define HOT_PAGES	2048u

void *
timer_guest_memory(int *fd, uint64_t bytes)
{
	void *p;

	*fd = memfd_create("timer-guest", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)bytes) < 0)
		fatal("memory: %s", strerror(errno));
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		fatal("memory: %s", strerror(errno));
	return p;
}

/* Lines of text: what packs well. */
static void
fill_text(struct timer_guest *g, uint64_t at)
{
	for (uint64_t i = 0; i < PAGE_BYTES; i += 64)
		snprintf((char *)g->ram + at + i, 64,
		    "line %llu of a text that goes on, %llx",
		    (unsigned long long)(at + i),
		    (unsigned long long)random_next(&g->random) % 999);
}

/* What does not. */
static void
fill_noise(struct timer_guest *g, uint64_t at)
{
	for (uint64_t i = 0; i < PAGE_BYTES; i += 8) {
		uint64_t v = random_next(&g->random);

		memcpy(g->ram + at + i, &v, 8);
	}
}

/* Runs of 16 pages of each kind: zero, one byte, text, noise. */
static void
fill(struct timer_guest *g)
{
	for (uint64_t at = 0; at < g->ram_bytes; at += PAGE_BYTES)
		switch (at / PAGE_BYTES / 16 % 4) {
		case 0:
			break;
		case 1:
			memset(g->ram + at, (int)(at / PAGE_BYTES % 9),
			    PAGE_BYTES);
			break;
		case 2:
			fill_text(g, at);
			break;
		default:
			fill_noise(g, at);
		}
}

/* A few words of the hot pages, each time. */
static void
write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timer_guest *g = arg;

	(void)fd;
	(void)what;
	for (int i = 0; g->runs && i < 3; i++) {
		uint64_t v = random_next(&g->random), pfn = v % HOT_PAGES;

		memcpy(g->ram + pfn * PAGE_BYTES + v / 8191 % 500 * 8, &v, 8);
		g->log[pfn / 64] |= (uint64_t)1 << pfn % 64;
	}
}

/* Whatever is asked is done; of a harvest something comes. */
static void
vmm_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timer_guest *g = arg;
	Persona__Vmm__VmmMessage *m, out = PERSONA__VMM__VMM_MESSAGE__INIT;
	Persona__Vmm__Reply reply = PERSONA__VMM__REPLY__INIT;

	(void)what;
	if (ipc_recv(fd, &g->in) <= 0)
		return;
	m = persona__vmm__vmm_message__unpack(NULL, g->in.len, g->in.data);
	if (m == NULL)
		fatal("the sender sent nonsense to the vmm");
	for (uint64_t i = 0; m->request->what_case ==
	    PERSONA__VMM__REQUEST__WHAT_HARVEST &&
	    i < g->ram_bytes / PAGE_BYTES / 64; i++) {
		g->dirty[i] |= g->log[i];
		g->log[i] = 0;
	}
	reply.id = m->request->id;
	out.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_REPLY;
	out.reply = &reply;
	(void)ipc_send(fd, &out.base, NULL, 0, 1000);
	persona__vmm__vmm_message__free_unpacked(m, NULL);
}

static void
watch(struct event_base *base, int fd, event_callback_fn cb,
    struct timer_guest *g, const struct timeval *every)
{
	struct event *e = event_new(base, fd,
	    fd >= 0 ? EV_READ | EV_PERSIST : EV_PERSIST, cb, g);

	if (e == NULL || event_add(e, every) < 0)
		fatal("no event");
}

void
timer_guest_start(struct timer_guest *g, struct event_base *base,
    uint64_t ram_bytes)
{
	static const struct timeval tick = { .tv_usec = 1000 };
	int sv[2];

	g->ram_bytes = ram_bytes;
	g->random = RANDOM_SEED;
	g->ram = timer_guest_memory(&g->ram_fd, ram_bytes);
	g->dirty = timer_guest_memory(&g->dirty_fd,
	    ram_bytes / PAGE_BYTES / 8);
	g->log = calloc(ram_bytes / PAGE_BYTES / 64, 8);
	if (g->log == NULL || ipc_pair(sv) < 0)
		fatal("no memory or socket");
	fill(g);
	g->transfer_fd = sv[1];
	watch(base, sv[0], vmm_cb, g, NULL);
	watch(base, -1, write_cb, g, &tick);
	g->runs = true;
}
