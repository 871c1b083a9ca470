/* SPDX-License-Identifier: ISC */
/*
 * Making the machine as Create (vmm.proto) asks: what it says is checked, the
 * descriptors that came with it find their places. Deliberately knows no path:
 * all it has was given to it open.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bell.h"
#include "boot.h"
#include "control-private.h"
#include "disk.h"
#include "log.h"

/* The descriptors of one Create, taken one after the other. */
struct given {
	struct ipc_msg	*msg;
	size_t		next;
};

static int
take(struct given *g)
{
	return ipc_take_fd(g->msg, g->next++);
}

static int
create_check(const Persona__Vmm__Create *q, int ram_fd, struct answer *a)
{
	struct stat st;
	const char *wrong = NULL;

	if (!hexid_ok(q->persona_id))
		wrong = "the persona id is not 32 hex digits";
	else if (q->name[0] == '\0' || strlen(q->name) > PERSONA_NAME_MAX)
		wrong = "the persona's name is empty or too long";
	else if (q->ram_bytes < RAM_MIN_BYTES || q->ram_bytes > RAM_MAX_BYTES ||
	    q->ram_bytes % PAGE_BYTES != 0)
		wrong = "guest memory must be 64 MB to 8 GB, in whole pages";
	else if (q->vcpus < 1 || q->vcpus > VCPUS_MAX)
		wrong = "a persona has 1 to 8 vCPUs";
	else if (q->cmdline != NULL && strlen(q->cmdline) > CMDLINE_MAX)
		wrong = "the kernel command line is too long";
	else if (q->net != NULL && (q->net->mac.len != 6 ||
	    (q->net->mac.data[0] & 1)))
		wrong = "the network card's address is not one of a card";
	else if (q->n_disks > DISKS_MAX)
		wrong = "a persona has at most two disks";
	else if (ram_fd < 0 || fstat(ram_fd, &st) < 0 ||
	    (uint64_t)st.st_size != q->ram_bytes)
		wrong = "the memory given is not of the size given";
	if (wrong == NULL)
		return 0;
	snprintf(a->why, sizeof(a->why), "%s", wrong);
	return -EINVAL;
}

static int
boot(struct control *c, const Persona__Vmm__Create *q, int kernel_fd,
    int initrd_fd, struct answer *a)
{
	const struct boot_config config = {
		.kernel_fd = kernel_fd,
		.initrd_fd = initrd_fd,
		.cmdline = q->cmdline != NULL ? q->cmdline : "",
		.vcpus = q->vcpus,
	};

	if (kernel_fd >= 0)
		return hv_boot(c->hv, &config, a->why);
	snprintf(a->why, sizeof(a->why), "no kernel was given");
	return -EINVAL;
}

/* From the thread that serves a disk. */
static void
disk_has_failed(void *arg)
{
	(void)bell_ring(arg);
}

static int
open_disk(struct control *c, unsigned int i, const Persona__Vmm__Create *q,
    struct given *given, struct answer *a)
{
	const Persona__Vmm__Disk *disk = q->disks[i];
	char name[PERSONA_NAME_MAX + 32];
	struct disk_config config = {
		.name = name,
		.bytes = disk->bytes,
		.read_only = disk->read_only,
		.map_fd = -1,
		.base_fd = -1,
		.failed = disk_has_failed,
		.failed_arg = c->disk_trouble,
	};
	int r;

	config.fd = take(given);
	if (disk->layered) {
		config.map_fd = take(given);
		config.base_fd = take(given);
	}
	snprintf(name, sizeof(name), "persona %s: disk%u", q->name, i);
	if (disk->layered && config.map_fd < 0) {
		snprintf(a->why, sizeof(a->why), "disk%u is layered, but no "
		    "map was given", i);
		if (config.fd >= 0)
			close(config.fd);
		return -EINVAL;
	}
	if ((r = disk_new(&c->disks[i], &config)) == -EINVAL)
		snprintf(a->why, sizeof(a->why), "the file of disk%u is not "
		    "of the size given, %" PRIu64 " bytes", i, disk->bytes);
	else if (r < 0)
		snprintf(a->why, sizeof(a->why), "disk%u cannot be used: %s",
		    i, strerror(-r));
	return r;
}

void
create_undo(struct control *c)
{
	hv_free(c->hv);
	c->hv = NULL;
	for (size_t i = 0; i < DISKS_MAX; i++) {
		disk_free(c->disks[i]);
		c->disks[i] = NULL;
	}
}

static void
guest_ended(void *arg)
{
	struct control *c = arg;
	const char *text;
	enum hv_end end = hv_end(c->hv, &text);

	log_info("persona %s: ended: %s", c->name, text);
	c->exit_status = end == HV_END_POWER_OFF || end == HV_END_STOPPED ?
	    0 : 1;
	control_tell_end(c);
}

static void
guest_stood_still(void *arg, const char *why)
{
	struct control *c = arg;

	log_warn("persona %s: stands still: %s", c->name, why);
	control_stood(c, why);
}

/* The machine with its disks; nothing in it runs yet. */
static int
make(struct control *c, const Persona__Vmm__Create *q, int ram_fd,
    struct given *given, struct answer *a)
{
	struct hv_config config = {
		.host = c->host,
		.ram_bytes = q->ram_bytes,
		.ram_fd = ram_fd,
		.vcpus = q->vcpus,
		.cpu_baseline = q->cpu_baseline,
		.net_mac = q->net != NULL ? q->net->mac.data : NULL,
		.base = c->base,
		.ended = guest_ended,
		.stood_still = guest_stood_still,
		.arg = c,
	};
	int r;

	for (unsigned int i = 0; i < q->n_disks; i++) {
		if ((r = open_disk(c, i, q, given, a)) < 0)
			return r;
		config.disks[i] = c->disks[i];
	}
	/* Nobody who holds it too may pull it from under the guest. A memory
	 * file, unlike a memfd, cannot be sealed; then we trust the owner. */
	(void)fcntl(ram_fd, F_ADD_SEALS, F_SEAL_SHRINK);
	if ((r = hv_new(&c->hv, &config, a->why)) < 0)
		return r;
	snprintf(c->persona_id, sizeof(c->persona_id), "%s", q->persona_id);
	snprintf(c->name, sizeof(c->name), "%s", q->name);
	c->ram_bytes = q->ram_bytes;
	return 0;
}

int
create_machine(struct control *c, const Persona__Vmm__Request *request,
    struct answer *a)
{
	const Persona__Vmm__Create *q = request->create;
	struct given given = { .msg = &c->in };
	int ram_fd = take(&given);
	int kernel_fd = q->boot ? take(&given) : -1;
	int initrd_fd = q->boot && q->initrd ? take(&given) : -1;
	int r;

	if ((r = create_check(q, ram_fd, a)) < 0 ||
	    (r = make(c, q, ram_fd, &given, a)) < 0)
		goto out;
	if (q->net != NULL && (r = request_plug(c, take(&given), a)) < 0)
		goto out;
	if (q->boot && (r = boot(c, q, kernel_fd, initrd_fd, a)) < 0)
		goto out;
	c->ram_fd = ram_fd;
	ram_fd = -1;
	log_info("persona %s: %" PRIu64 " MB, %u vCPUs, %s, disks: %zu",
	    c->name, c->ram_bytes >> 20, q->vcpus, q->cpu_baseline,
	    q->n_disks);
out:
	if (r < 0)
		create_undo(c);
	if (ram_fd >= 0)
		close(ram_fd);
	if (kernel_fd >= 0)
		close(kernel_fd);
	if (initrd_fd >= 0)
		close(initrd_fd);
	return r;
}
