/* SPDX-License-Identifier: ISC */
/* The TRANSFER role of vmm.proto. Reads no page and knows no peer. */
#include "vmm-harvest.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc.h"
#include "log.h"
#include "vmm.pb-c.h"

#define ASK_TIMEOUT_MS 1000

struct vmm_harvest {
	const struct vmm_harvest_ops *ops;
	void		*arg;
	int		fd;
	struct event	*event;
	uint64_t	*bitmap;
	size_t		bitmap_bytes;
	uint64_t	next_id, harvest_id;	/* harvest_id 0: none asked */
	bool		failed;
	struct ipc_msg	in;
};

static void
fail(struct vmm_harvest *h, const char *why)
{
	if (h->failed)
		return;
	h->failed = true;
	event_del(h->event);
	h->ops->failed(h->arg, why);
}

static void
take_reply(struct vmm_harvest *h, const Persona__Vmm__Reply *reply)
{
	if (reply->error != 0) {
		log_warn_r(reply->error, "persona-vmm refused: %s",
		    reply->message != NULL ? reply->message : "no reason");
		fail(h, "the virtual machine did not report its changed memory");
		return;
	}
	if (h->harvest_id != 0 && reply->id == h->harvest_id) {
		h->harvest_id = 0;
		h->ops->harvested(h->arg);
	}
}

static void
readable_cb(evutil_socket_t fd, short what, void *arg)
{
	struct vmm_harvest *h = arg;
	int r = 1;

	(void)what;
	while (!h->failed && (r = ipc_recv(fd, &h->in)) > 0) {
		Persona__Vmm__VmmMessage *m;

		m = persona__vmm__vmm_message__unpack(NULL, h->in.len,
		    h->in.data);
		ipc_msg_fini(&h->in);
		if (m != NULL && m->kind_case ==
		    PERSONA__VMM__VMM_MESSAGE__KIND_REPLY)
			take_reply(h, m->reply);
		if (m != NULL)
			persona__vmm__vmm_message__free_unpacked(m, NULL);
	}
	if (!h->failed && r != -EAGAIN && r != -EMSGSIZE)
		fail(h, "the virtual machine has ended");
}

static uint64_t
ask(struct vmm_harvest *h, Persona__Vmm__Request *request)
{
	Persona__Vmm__VmmMessage m = PERSONA__VMM__VMM_MESSAGE__INIT;

	if (h->failed)
		return 0;
	request->id = ++h->next_id;
	m.kind_case = PERSONA__VMM__VMM_MESSAGE__KIND_REQUEST;
	m.request = request;
	if (ipc_send(h->fd, &m.base, NULL, 0, ASK_TIMEOUT_MS) < 0)
		fail(h, "the virtual machine does not listen");
	return request->id;
}

void
vmm_harvest_ask(struct vmm_harvest *h, bool start)
{
	Persona__Vmm__Request request = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Harvest harvest = PERSONA__VMM__HARVEST__INIT;

	harvest.has_mode = 1;
	harvest.mode = start ? PERSONA__VMM__HARVEST__MODE__START :
	    PERSONA__VMM__HARVEST__MODE__NORMAL;
	request.what_case = PERSONA__VMM__REQUEST__WHAT_HARVEST;
	request.harvest = &harvest;
	h->harvest_id = ask(h, &request);
}

void
vmm_harvest_throttle(struct vmm_harvest *h, unsigned int percent)
{
	Persona__Vmm__Request request = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__Throttle throttle = PERSONA__VMM__THROTTLE__INIT;

	throttle.percent = percent;
	request.what_case = PERSONA__VMM__REQUEST__WHAT_THROTTLE;
	request.throttle = &throttle;
	(void)ask(h, &request);
}

uint64_t *
vmm_harvest_bitmap(struct vmm_harvest *h)
{
	return h->bitmap;
}

static int
map_bitmap(struct vmm_harvest *h, int fd, uint64_t n_pages)
{
	size_t bytes = (n_pages + 63) / 64 * sizeof(uint64_t);
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < bytes)
		return -EINVAL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	h->bitmap = p;
	h->bitmap_bytes = bytes;
	return 0;
}

static int
listen_to(struct vmm_harvest *h, struct event_base *base)
{
	h->event = event_new(base, h->fd, EV_READ | EV_PERSIST, readable_cb, h);
	return h->event != NULL && event_add(h->event, NULL) == 0 ?
	    0 : -ENOMEM;
}

int
vmm_harvest_open(struct vmm_harvest **hp, struct event_base *base, int fd,
    int bitmap_fd, uint64_t n_pages, const struct vmm_harvest_ops *ops,
    void *arg)
{
	struct vmm_harvest *h = NULL;
	int r = -EINVAL;

	if (fd < 0 || bitmap_fd < 0)
		goto out;
	r = -ENOMEM;
	if ((h = calloc(1, sizeof(*h))) == NULL)
		goto out;
	h->ops = ops;
	h->arg = arg;
	h->fd = fd;
	fd = -1;
	if ((r = map_bitmap(h, bitmap_fd, n_pages)) < 0 ||
	    (r = listen_to(h, base)) < 0)
		goto out;
	*hp = h;
	h = NULL;
out:
	vmm_harvest_close(h);
	if (bitmap_fd >= 0)
		close(bitmap_fd);
	if (fd >= 0)
		close(fd);
	return r;
}

void
vmm_harvest_close(struct vmm_harvest *h)
{
	if (h == NULL)
		return;
	if (h->event != NULL)
		event_free(h->event);
	if (h->bitmap != NULL)
		munmap(h->bitmap, h->bitmap_bytes);
	close(h->fd);
	free(h);
}
