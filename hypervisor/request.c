/* SPDX-License-Identifier: ISC */
/*
 * What each request of vmm.proto does: a row of one table says who may ask it, in
 * which states, and the function that does it. Deliberately knows no KVM and
 * decides nothing about a persona: its owner does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "control-private.h"

/* hv_state as bits, and one for "no machine yet". */
#define IN(state)	(1u << (state))
#define IN_NONE		(1u << 16)
#define IN_ALIVE	(IN(HV_FRESH) | IN(HV_PAUSED) | IN(HV_RUNNING))
#define IN_ANY		(IN_NONE | IN_ALIVE | IN(HV_ENDED) | IN(HV_BROKEN))

struct request_row {
	Persona__Vmm__Request__WhatCase what;
	const char	*name;
	unsigned int	roles, states;
	int		(*run)(struct control *c,
			    const Persona__Vmm__Request *q, struct answer *a);
};

static Persona__Vmm__HelloResult__VcpuState
vcpu_state(const struct control *c)
{
	if (c->hv == NULL)
		return PERSONA__VMM__HELLO_RESULT__VCPU_STATE__NONE;
	switch (hv_state(c->hv)) {
	case HV_RUNNING:
		return PERSONA__VMM__HELLO_RESULT__VCPU_STATE__RUNNING;
	case HV_ENDED:
	case HV_BROKEN:
		return PERSONA__VMM__HELLO_RESULT__VCPU_STATE__ENDED;
	default:
		return PERSONA__VMM__HELLO_RESULT__VCPU_STATE__PAUSED;
	}
}

/* --- the owner's requests ------------------------------------------------ */

static int
do_hello(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	(void)q;
	persona__vmm__hello_result__init(&a->hello);
	a->hello.has_vcpus = true;
	a->hello.vcpus = vcpu_state(c);
	if (c->hv != NULL) {
		a->hello.persona_id = c->persona_id;
		a->hello.has_ram_bytes = true;
		a->hello.ram_bytes = c->ram_bytes;
		a->fd = c->ram_fd;
	}
	if (c->stood[0] != '\0')
		a->hello.stood = c->stood;
	a->hello.disks_failed = a->disk_list;
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		Persona__Vmm__DiskFailed *disk = &a->disks[i];

		if (control_disk_failed(c, i, disk))
			a->disk_list[a->hello.n_disks_failed++] = disk;
	}
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_HELLO;
	a->reply.hello = &a->hello;
	return 0;
}

static bool
is_seqpacket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET;
}

int
request_plug(struct control *c, int fd, struct answer *a)
{
	int r = -EINVAL;

	if (fd < 0 || !is_seqpacket(fd)) {
		snprintf(a->why, sizeof(a->why), "a network card needs a "
		    "SOCK_SEQPACKET socket");
		if (fd >= 0)
			close(fd);
		return r;
	}
	if ((r = hv_attach(c->hv, "net0", fd)) == -ENODEV)
		snprintf(a->why, sizeof(a->why), "the persona has no network "
		    "card");
	return r;
}

static int
do_start(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	int r = hv_resume(c->hv, false, 0);

	(void)q;
	(void)a;
	if (r == 0)
		control_stood(c, NULL);
	return r;
}

static int
do_resume(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	const Persona__Vmm__Resume *resume = q->resume;
	uint64_t now = clock_now_ns(), on = resume->advance_clock_ns;
	bool moves_on = resume->has_advance_clock_ns;
	int r;

	if (resume->has_stopped_at_ns && resume->stopped_at_ns <= now) {
		moves_on = true;
		on = now - resume->stopped_at_ns;
	}
	moves_on &= hv_state(c->hv) == HV_PAUSED;
	if ((r = hv_resume(c->hv, moves_on, on)) < 0)
		return r;
	persona__vmm__resume_result__init(&a->resume);
	a->resume.has_guest_gap_ns = moves_on;
	a->resume.guest_gap_ns = on + hv_held_ns(c->hv);
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_RESUME;
	a->reply.resume = &a->resume;
	control_stood(c, NULL);
	return 0;
}

static int
do_pause(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	int r = hv_pause(c->hv);

	(void)q;
	if (r == -ESHUTDOWN)
		snprintf(a->why, sizeof(a->why), "the guest has ended");
	persona__vmm__pause_result__init(&a->pause);
	a->pause.stopped_at_ns = hv_stopped_at_ns(c->hv);
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_PAUSE;
	a->reply.pause = &a->pause;
	return r;
}

static int
do_save(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	uint64_t len_bytes;
	int r;

	(void)q;
	if ((r = hv_save(c->hv, &a->fd, &len_bytes)) < 0)
		return r;
	a->close_fd = true;
	persona__vmm__save_result__init(&a->save);
	a->save.bytes = len_bytes;
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_SAVE;
	a->reply.save = &a->save;
	return 0;
}

/* Copied, not mapped: whoever holds the descriptor may still shrink it. */
static int
read_state(int fd, uint8_t **bytes, size_t *len)
{
	struct stat st;
	uint8_t *p;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -EBADF;
	if (st.st_size <= 0 || st.st_size > (off_t)STATE_BLOB_MAX)
		return -E2BIG;
	if ((p = malloc((size_t)st.st_size)) == NULL)
		return -ENOMEM;
	while (at < (size_t)st.st_size) {
		ssize_t n = pread(fd, p + at, (size_t)st.st_size - at,
		    (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(p);
			return -EIO;
		}
		at += (size_t)n;
	}
	*bytes = p;
	*len = at;
	return 0;
}

static int
do_load(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	int fd = ipc_take_fd(&c->in, 0);
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r;

	if ((r = read_state(fd, &bytes, &len)) < 0)
		snprintf(a->why, sizeof(a->why), "no readable state was given");
	else
		r = hv_load(c->hv, bytes, len, q->load->second_life, a->why);
	free(bytes);
	if (fd >= 0)
		close(fd);
	return r;
}

static int
do_console(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	int fd = ipc_take_fd(&c->in, 0);

	if (fd < 0) {
		snprintf(a->why, sizeof(a->why), "no console stream was given");
		return -EINVAL;
	}
	return hv_attach(c->hv, q->console->port ==
	    PERSONA__VMM__CONSOLE_ATTACH__PORT__VIRTIO ? "hvc0" : "serial0",
	    fd);
}

static int
do_net(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	(void)q;
	return request_plug(c, ipc_take_fd(&c->in, 0), a);
}

static int
do_stop(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	(void)q;
	(void)a;
	if (c->hv != NULL && hv_state(c->hv) != HV_ENDED) {
		hv_stop(c->hv);
		return 0;
	}
	c->exit_status = c->hv == NULL ? 0 : c->exit_status;
	control_tell_end(c);
	return 0;
}

/* --- requests of either -------------------------------------------------- */

static int
do_harvest(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	uint64_t n_pages = 0;
	int r;

	if (c->bitmap == NULL) {
		snprintf(a->why, sizeof(a->why), "there is no dirty bitmap; "
		    "TransferAttach brings it");
		return -ENODEV;
	}
	switch (q->harvest->mode) {
	case PERSONA__VMM__HARVEST__MODE__START:
		r = hv_dirty_start(c->hv);
		break;
	case PERSONA__VMM__HARVEST__MODE__STOP:
		r = hv_dirty_stop(c->hv);
		break;
	default:
		r = hv_dirty_harvest(c->hv, c->bitmap, &n_pages);
		if (r == -EINVAL)	/* the first one turns logging on */
			r = hv_dirty_start(c->hv);
		break;
	}
	persona__vmm__harvest_result__init(&a->harvest);
	a->harvest.dirty_pages = n_pages;
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_HARVEST;
	a->reply.harvest = &a->harvest;
	return r;
}

static int
do_throttle(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	int r = hv_throttle(c->hv, q->throttle->percent);

	if (r == -EINVAL)
		snprintf(a->why, sizeof(a->why),
		    "a throttle is 0 to 99 percent");
	return r;
}

static int
do_balloon(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	(void)a;
	hv_balloon(c->hv, q->balloon->target_bytes);
	return 0;
}

static int
do_stats(struct control *c, const Persona__Vmm__Request *q, struct answer *a)
{
	Persona__Vmm__StatsResult *out = &a->stats;
	struct hv_stats s;

	(void)q;
	hv_stats(c->hv, &s);
	persona__vmm__stats_result__init(out);
	out->has_run_ns = out->has_exits = out->has_throttle_percent = true;
	out->has_vcpus = out->has_dirty_pages_total = true;
	out->run_ns = s.run_ns;
	out->exits = s.exits;
	out->throttle_percent = s.throttle_percent;
	out->has_discarded_bytes = out->has_balloon_bytes = true;
	out->discarded_bytes = s.discarded_bytes;
	out->balloon_bytes = s.balloon_bytes;
	out->has_guest_total_bytes = s.guest_total_bytes > 0;
	out->guest_total_bytes = s.guest_total_bytes;
	out->has_guest_available_bytes = s.guest_total_bytes > 0;
	out->guest_available_bytes = s.guest_available_bytes;
	out->vcpus = vcpu_state(c);
	out->dirty_pages_total = s.dirty_pages;
	a->reply.result_case = PERSONA__VMM__REPLY__RESULT_STATS;
	a->reply.stats = out;
	return 0;
}

/* --- the transfer connection --------------------------------------------- */

static void
bitmap_unmap(struct control *c)
{
	if (c->bitmap != NULL)
		munmap(c->bitmap, c->bitmap_len);
	c->bitmap = NULL;
}

/*
 * Map the bitmap we share with the transfer process. It must be sealed against
 * shrinking: a truncated mapping would kill us, and the guest with us.
 */
static int
bitmap_map(struct control *c, int fd)
{
	size_t len = (size_t)((hv_pages(c->hv) + 63) / 64 * 8);
	struct stat st;
	void *p;
	int seals;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)len)
		return -EINVAL;
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	bitmap_unmap(c);
	c->bitmap = p;
	c->bitmap_len = len;
	return 0;
}

void
request_transfer_over(struct control *c)
{
	bitmap_unmap(c);
	if (c->hv == NULL)
		return;
	(void)hv_throttle(c->hv, 0);
	(void)hv_dirty_stop(c->hv);
}

static int
do_transfer(struct control *c, const Persona__Vmm__Request *q,
    struct answer *a)
{
	int fd = ipc_take_fd(&c->in, 0);
	int bitmap_fd = ipc_take_fd(&c->in, 1);
	int r = -EINVAL;

	(void)q;
	if (fd < 0 || bitmap_fd < 0 || !is_seqpacket(fd)) {
		snprintf(a->why, sizeof(a->why), "a transfer needs a "
		    "SOCK_SEQPACKET socket and a bitmap");
		goto out;
	}
	control_drop(&c->transfer);
	if ((r = bitmap_map(c, bitmap_fd)) < 0) {
		snprintf(a->why, sizeof(a->why), "the dirty bitmap is too "
		    "small or not a sealable memfd");
		goto out;
	}
	r = control_open(c, &c->transfer, fd);
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	if (bitmap_fd >= 0)
		close(bitmap_fd);
	return r;
}

/* --- the table ----------------------------------------------------------- */

#define ROW(case_, name_, roles_, states_, run_) \
	{ .what = PERSONA__VMM__REQUEST__WHAT_##case_, .name = (name_), \
	  .roles = (roles_), .states = (states_), .run = (run_) }

static const struct request_row rows[] = {
	ROW(HELLO, "hello", ROLE_OWNER, IN_ANY, do_hello),
	ROW(CREATE, "create", ROLE_OWNER, IN_NONE, create_machine),
	ROW(START, "start", ROLE_OWNER, IN(HV_PAUSED) | IN(HV_RUNNING),
	    do_start),
	ROW(RESUME, "resume", ROLE_OWNER, IN(HV_PAUSED) | IN(HV_RUNNING),
	    do_resume),
	ROW(PAUSE, "pause", ROLE_OWNER, IN_ALIVE, do_pause),
	ROW(SAVE, "save", ROLE_OWNER, IN(HV_PAUSED), do_save),
	ROW(LOAD, "load", ROLE_OWNER, IN(HV_FRESH), do_load),
	ROW(CONSOLE, "console attach", ROLE_OWNER,
	    IN_ALIVE | IN(HV_ENDED), do_console),
	ROW(NET, "network attach", ROLE_OWNER, IN_ALIVE, do_net),
	ROW(STOP, "stop", ROLE_OWNER, IN_ANY, do_stop),
	ROW(BALLOON, "balloon", ROLE_OWNER, IN(HV_PAUSED) | IN(HV_RUNNING),
	    do_balloon),
	ROW(TRANSFER, "transfer attach", ROLE_OWNER, IN_ALIVE, do_transfer),
	ROW(HARVEST, "harvest", ROLE_OWNER | ROLE_TRANSFER,
	    IN(HV_PAUSED) | IN(HV_RUNNING), do_harvest),
	ROW(THROTTLE, "throttle", ROLE_OWNER | ROLE_TRANSFER,
	    IN(HV_PAUSED) | IN(HV_RUNNING), do_throttle),
	ROW(STATS, "stats", ROLE_OWNER | ROLE_TRANSFER,
	    IN_ALIVE | IN(HV_ENDED), do_stats),
};

static const char *
state_sentence(const struct control *c)
{
	if (c->hv == NULL)
		return "there is no machine yet";
	switch (hv_state(c->hv)) {
	case HV_FRESH:
		return "the machine has nothing to run yet";
	case HV_PAUSED:
		return "the guest is paused";
	case HV_RUNNING:
		return "the guest is running";
	case HV_ENDED:
		return "the guest has ended";
	default:
		return "a load failed half way";
	}
}

static const struct request_row *
row_of(Persona__Vmm__Request__WhatCase what)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].what == what)
			return &rows[i];
	return NULL;
}

int
request_run(struct conn *conn, const Persona__Vmm__Request *q,
    struct answer *a)
{
	struct control *c = conn->control;
	const struct request_row *row = row_of(q->what_case);
	unsigned int state = c->hv == NULL ? IN_NONE : IN(hv_state(c->hv));

	if (row == NULL) {
		snprintf(a->why, sizeof(a->why), "unknown request");
		return -EOPNOTSUPP;
	}
	if (!(row->roles & conn->role)) {
		snprintf(a->why, sizeof(a->why), "a transfer may not ask for "
		    "%s", row->name);
		return -EPERM;
	}
	if (!(row->states & state)) {
		snprintf(a->why, sizeof(a->why), "no %s now: %s", row->name,
		    state_sentence(c));
		return state == IN(HV_ENDED) ? -ESHUTDOWN : -EBUSY;
	}
	return row->run(c, q, a);
}
