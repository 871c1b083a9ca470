/* SPDX-License-Identifier: ISC */
/*
 * How a guest begins: its memory, a persona-vmm on it, and what that is told to make.
 * Knows the order of descriptors in vmm.proto; not what becomes of the guest
 * (guest.c).
 */
#include "guest-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmdline.h"
#include "daemon.h"
#include "guest-files.h"
#include "guest-net.h"
#include "launcher.h"

/* A large kernel is read and laid out in guest memory, perhaps from slow storage. */
#define CREATE_TIMEOUT_MS	60000

static int
make_memory(const char *name, uint64_t bytes, int *fdp)
{
	char label[PERSONA_NAME_MAX + 16];
	int fd, r;

	snprintf(label, sizeof(label), "persona-%s", name);
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* Nobody who maps it may be made to fault by a later truncation. */
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

/* --- the process ---------------------------------------------------------------- */

static int
spawn_vmm(struct guest *g, int *control_fd)
{
	char control[16], heirs[16], user[16];
	char *argv[] = { (char *)"persona-vmm", (char *)"--control-fd",
	    control, (char *)"--listen-fd", heirs, NULL, user, NULL };
	struct launch_spec spec = { .argv = argv, .n_fds = 2 };
	char program[DAEMON_PROGRAM_MAX];
	int sv[2] = { -1, -1 }, listen_fd = -1, r;

	spec.path = daemon_program(g->daemon, "persona-vmm", program);
	snprintf(control, sizeof(control), "%d", LAUNCH_FD_BASE);
	snprintf(heirs, sizeof(heirs), "%d", LAUNCH_FD_BASE + 1);
	if (geteuid() == 0) {
		spec.uid = launcher_free_uid(g->daemon->launcher,
		    g->daemon->conf.first_uid, CONF_UIDS);
		if (spec.uid == 0)
			return -EUSERS;
		snprintf(user, sizeof(user), "%u", (unsigned int)spec.uid);
		argv[5] = (char *)"--user";
	}
	if ((r = ipc_pair(sv)) < 0)
		goto out;
	if ((r = guest_trace_listen(g->daemon, g->id, TRACE_VMM,
	    &listen_fd)) < 0)
		goto out;
	spec.fds[0] = sv[1];
	spec.fds[1] = listen_fd;
	if ((r = launcher_spawn(g->daemon->launcher, &spec,
	    guest_process_ended, g, &g->child)) < 0)
		goto out;
	*control_fd = sv[0];
	sv[0] = -1;
	r = guest_trace_write(g->daemon, g->id, TRACE_VMM,
	    child_pid(g->child));
out:
	if (sv[0] >= 0)
		close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	if (listen_fd >= 0)
		close(listen_fd);
	return r;
}

/* --- what it is to make ---------------------------------------------------------- */

/* One Create, all that it points to, and its descriptors in vmm.proto's order. */
struct creation {
	Persona__Vmm__Create msg;
	char		cmdline[CMDLINE_MAX + 1];
	Persona__Vmm__Disk disks[DISKS_MAX], *list[DISKS_MAX];
	Persona__Vmm__Net net;
	int		fds[IPC_MAX_FDS];
	size_t		n_fds;
};

static void
hand(struct creation *c, int fd)
{
	if (fd >= 0)
		c->fds[c->n_fds++] = fd;
}

static int
put_machine(struct creation *c, const struct guest *g,
    const struct persona_record *rec)
{
	int r = cmdline_expand(rec->cmdline, rec->id, rec->name, c->cmdline,
	    sizeof(c->cmdline));

	if (r < 0)
		return r;
	c->msg.persona_id = (char *)(uintptr_t)g->id;
	c->msg.name = (char *)(uintptr_t)g->name;
	c->msg.ram_bytes = rec->ram_bytes;
	c->msg.vcpus = rec->vcpus;
	c->msg.cpu_baseline = (char *)(uintptr_t)rec->cpu_baseline;
	c->msg.cmdline = c->cmdline;
	hand(c, g->ram_fd);
	return 0;
}

static void
put_boot(struct creation *c, const struct guest_files *files)
{
	c->msg.boot = files->kernel_fd >= 0;
	hand(c, files->kernel_fd);
	c->msg.has_initrd = c->msg.initrd = c->msg.boot &&
	    files->initrd_fd >= 0;
	if (c->msg.initrd)
		hand(c, files->initrd_fd);
}

static void
put_disks(struct creation *c, const struct guest_files *files)
{
	for (size_t i = 0; i < files->n_disks; i++) {
		const struct guest_disk *disk = &files->disks[i];
		Persona__Vmm__Disk *d = &c->disks[i];

		persona__vmm__disk__init(d);
		c->list[i] = d;
		d->bytes = disk->bytes;
		d->has_read_only = d->has_layered = true;
		d->read_only = disk->read_only;
		d->layered = disk->map_fd >= 0;
		hand(c, disk->fd);
		hand(c, disk->map_fd);
		hand(c, disk->base_fd);
	}
	c->msg.n_disks = files->n_disks;
	c->msg.disks = c->list;
}

/* Begins persona-net; its cable, the last descriptor, is the caller's to close. */
static int
put_net(struct creation *c, struct guest *g, int *cable_fd)
{
	int r;

	if ((r = guest_net_start(g->net, cable_fd)) < 0)
		return r;
	guest_group_add(g, guest_net_pid(g->net));
	persona__vmm__net__init(&c->net);
	c->net.mac.data = (uint8_t *)(uintptr_t)guest_net_mac(g->net);
	c->net.mac.len = NET_MAC_BYTES;
	c->msg.net = &c->net;
	hand(c, *cable_fd);
	return 0;
}

static void
created(void *arg, int r, const char *why, const Persona__Vmm__Reply *reply,
    struct ipc_msg *msg)
{
	struct guest *g = arg;

	(void)reply;
	(void)msg;
	guest_tell_ready(g, r, why);
}

static int
send_create(struct guest *g, const struct persona_record *rec,
    const struct guest_files *files)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	struct creation c = { .msg = PERSONA__VMM__CREATE__INIT };
	int cable_fd = -1, r;

	if ((r = put_machine(&c, g, rec)) < 0)
		return r;
	put_boot(&c, files);
	put_disks(&c, files);
	if (g->net != NULL && (r = put_net(&c, g, &cable_fd)) < 0)
		return r;
	req.what_case = PERSONA__VMM__REQUEST__WHAT_CREATE;
	req.create = &c.msg;
	r = vmm_request(g->vmm, &req, c.fds, c.n_fds, CREATE_TIMEOUT_MS,
	    created, g);
	if (cable_fd >= 0)
		close(cable_fd);
	return r;
}

/* --- the whole ------------------------------------------------------------------ */

int
guest_start(struct guest **gp, struct daemon *d,
    const struct persona_record *rec, const struct guest_files *files,
    const struct guest_events *events, void *arg)
{
	struct guest *g = NULL;
	int control_fd = -1, r;

	if ((r = guest_new(&g, d, rec, events, arg)) < 0)
		return r;
	if (files->ram_fd >= 0)
		r = (g->ram_fd = fcntl(files->ram_fd, F_DUPFD_CLOEXEC, 0)) < 0 ?
		    -errno : 0;
	else
		r = make_memory(rec->name, rec->ram_bytes, &g->ram_fd);
	if (r < 0)
		goto fail;
	r = spawn_vmm(g, &control_fd);
	if (control_fd < 0)
		goto fail;
	if (r < 0) {
		close(control_fd);
		goto fail;
	}
	guest_group_enter(g, rec);
	if ((r = guest_control(g, control_fd)) < 0 ||
	    (r = send_create(g, rec, files)) < 0)
		goto fail;
	*gp = g;
	return 0;
fail:
	guest_discard(g);
	return r;
}
