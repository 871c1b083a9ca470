/* SPDX-License-Identifier: ISC */
/*
 * The command create: what a new persona is made of, from options or a template.
 * Asks personad; knows no registry and no image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-net.h"
#include "ctl-parse.h"
#include "ctl-vault.h"
#include "ctl.h"

#define DEFAULT_RAM_BYTES (512ULL << 20)

/* Options without a letter of their own. */
/* What has no letter of its own. */
enum { OPT_DISK_IMAGE = 256, OPT_IMAGE, OPT_ENCRYPT, OPT_PASSPHRASE,
    OPT_LIMIT_CPU, OPT_LIMIT_MEMORY };

struct create_args {
	Persona__Control__Create	msg;
	char				*kernel;	/* absolute; ours */
	char				*initrd;
	Persona__Control__NewDisk	disks[DISKS_MAX];
	Persona__Control__NewDisk	*disk_list[DISKS_MAX];
	char				*disk_files[DISKS_MAX];	/* ours */
	const char			*image;		/* a template, or NULL */
	Persona__Spec__Limits		limits;
	struct net_args			*net;
	bool				has_net;
	bool				encrypt;
	const char			*how;		/* encrypted, or NULL */
	const char			*passphrase_file;
};

/* personad has another working directory than the person who types. */
static int
take_file(struct ctl *ctl, const char *path, char **absolute)
{
	free(*absolute);
	if ((*absolute = realpath(path, NULL)) == NULL)
		return ctl_fail(ctl, "%s: %s", path, strerror(errno));
	return CTL_OK;
}

/* The next disk, empty and of a size, or with the content of a file. */
static int
take_disk(struct ctl *ctl, const char *size, const char *file,
    struct create_args *a)
{
	size_t i = a->msg.n_disks;
	Persona__Control__NewDisk *disk = &a->disks[i];
	const char *why;
	int status;

	if (i == DISKS_MAX)
		return ctl_usage(ctl, "a persona has at most %u disks",
		    DISKS_MAX);
	persona__control__new_disk__init(disk);
	if (size != NULL) {
		disk->has_bytes = true;
		if (parse_disk(size, &disk->bytes, &why) < 0)
			return ctl_usage(ctl, "--disk %s: %s", size, why);
	} else {
		if ((status = take_file(ctl, file, &a->disk_files[i])) !=
		    CTL_OK)
			return status;
		disk->source = a->disk_files[i];
	}
	a->disk_list[i] = disk;
	a->msg.disks = a->disk_list;
	a->msg.n_disks = i + 1;
	return CTL_OK;
}

static int
take_limit(struct ctl *ctl, int c, struct create_args *a)
{
	const char *why;
	uint64_t n;

	a->msg.limits = &a->limits;
	if (c == OPT_LIMIT_CPU) {
		if (parse_number(optarg, 1, VCPUS_MAX * 100, &n, &why) < 0)
			return ctl_usage(ctl, "--limit-cpu %s: %s", optarg,
			    why);
		a->limits.has_cpu_percent = true;
		a->limits.cpu_percent = (uint32_t)n;
		return CTL_OK;
	}
	a->limits.has_memory_bytes = true;
	if (parse_allowance(optarg, &a->limits.memory_bytes, &why) < 0)
		return ctl_usage(ctl, "--limit-memory %s: %s", optarg, why);
	return CTL_OK;
}

static int
take_create_option(struct ctl *ctl, int c, struct create_args *a)
{
	const char *why = NULL;
	uint64_t cpus;

	switch (c) {
	case 'k':
		return take_file(ctl, optarg, &a->kernel);
	case 'i':
		return take_file(ctl, optarg, &a->initrd);
	case 'a':
		a->msg.cmdline = optarg;
		if (strlen(optarg) > CMDLINE_MAX)
			return ctl_usage(ctl, "--append: a kernel command "
			    "line has at most %d bytes", CMDLINE_MAX);
		return CTL_OK;
	case 'm':
		if (parse_ram(optarg, &a->msg.ram_bytes, &why) < 0)
			return ctl_usage(ctl, "--memory %s: %s", optarg, why);
		return CTL_OK;
	case 'c':
		if (parse_number(optarg, 1, VCPUS_MAX, &cpus, &why) < 0)
			return ctl_usage(ctl, "--cpus %s: a persona has 1 to "
			    "%d processors", optarg, VCPUS_MAX);
		a->msg.vcpus = (uint32_t)cpus;
		return CTL_OK;
	case 'u':
		a->msg.cpu_baseline = optarg;
		return CTL_OK;
	case 'd':
		return take_disk(ctl, optarg, NULL, a);
	case OPT_IMAGE:
		a->image = optarg;
		return CTL_OK;
	case OPT_ENCRYPT:
		a->encrypt = true;
		a->how = optarg;
		return CTL_OK;
	case OPT_PASSPHRASE:
		a->passphrase_file = optarg;
		return CTL_OK;
	case OPT_DISK_IMAGE:
		return take_disk(ctl, NULL, optarg, a);
	case OPT_LIMIT_CPU:
	case OPT_LIMIT_MEMORY:
		return take_limit(ctl, c, a);
	case 's':
		a->msg.has_start = a->msg.start = true;
		return CTL_OK;
	case 'n':
		a->has_net = true;
		return CTL_OK;
	case 'f':
		a->has_net = true;
		return net_args_forward(ctl, a->net, optarg);
	default:
		return CTL_USAGE;
	}
}

/* A file that is there is opened here and handed over; else it is a name. */
static int
open_image(struct ctl *ctl, struct create_args *a, int *fd)
{
	*fd = open(a->image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		a->msg.has_image_file = a->msg.image_file = true;
	else if (errno != ENOENT || strchr(a->image, '/') != NULL)
		return ctl_fail(ctl, "%s: %s", a->image, strerror(errno));
	else
		a->msg.image = (char *)(uintptr_t)a->image;
	return CTL_OK;
}

static int
send_create(struct ctl *ctl, const Persona__Control__Request *req,
    const int *fds, size_t n)
{
	struct ctl_client *c;
	Persona__Control__Reply *reply;
	int r, status;

	if ((status = ctl_ask_with(ctl, req, fds, n, &c)) != CTL_OK)
		return status;
	if ((r = ctl_next_reply(c, true, &reply, NULL)) <= 0)
		status = ctl_lost(ctl, r);
	else {
		status = reply->error < 0 ? ctl_refused(ctl, reply) :
		    ctl_done(ctl);
		persona__control__reply__free_unpacked(reply, NULL);
	}
	ctl_client_close(c);
	return status;
}

/* The template's file, then the passphrase: each where there is one. */
static int
create_with_fds(struct ctl *ctl, const Persona__Control__Request *req,
    struct create_args *a)
{
	int image = -1, secret = -1, fds[2], status = CTL_OK;
	size_t n = 0;

	if (a->image != NULL)
		status = open_image(ctl, a, &image);
	if (status == CTL_OK && a->encrypt)
		status = vault_take_encrypt(ctl, a->how, a->passphrase_file,
		    &a->msg, &secret);
	if (image >= 0)
		fds[n++] = image;
	if (secret >= 0)
		fds[n++] = secret;
	if (status == CTL_OK)
		status = send_create(ctl, req, fds, n);
	while (n > 0)
		close(fds[--n]);
	return status;
}

static int
create_from_options(struct ctl *ctl, int argc, char **argv,
    struct create_args *a)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'u' },
		{ "disk", required_argument, NULL, 'd' },
		{ "disk-image", required_argument, NULL,
		    OPT_DISK_IMAGE },
		{ "image", required_argument, NULL, OPT_IMAGE },
		{ "encrypt", optional_argument, NULL, OPT_ENCRYPT },
		{ "passphrase-file", required_argument, NULL,
		    OPT_PASSPHRASE },
		{ "start", no_argument, NULL, 's' },
		{ "net", no_argument, NULL, 'n' },
		{ "forward", required_argument, NULL, 'f' },
		{ "limit-cpu", required_argument, NULL, OPT_LIMIT_CPU },
		{ "limit-memory", required_argument, NULL,
		    OPT_LIMIT_MEMORY },
		{ 0 }
	};
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	const char *name;
	int c, status;

	a->msg.vcpus = 1;
	while ((c = ctl_option(ctl, argc, argv, own)) != -1)
		if ((status = take_create_option(ctl, c, a)) != CTL_OK)
			return status;
	if (a->msg.ram_bytes == 0 && a->image == NULL)
		a->msg.ram_bytes = DEFAULT_RAM_BYTES;
	if ((status = ctl_persona_argument(ctl, argc, argv, &name)) != CTL_OK)
		return status;
	if (a->passphrase_file != NULL && !a->encrypt)
		return ctl_usage(ctl, "--passphrase-file goes with "
		    "--encrypt=passphrase");
	if (a->kernel == NULL && a->image == NULL)
		return ctl_usage(ctl, "--kernel or --image is missing: what "
		    "shall %s boot?", name);
	a->msg.name = (char *)(uintptr_t)name;
	a->msg.kernel = a->kernel != NULL ? a->kernel : (char *)"";
	a->msg.initrd = a->initrd;
	if (a->has_net)
		a->msg.net = net_args_wish(a->net);
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_CREATE;
	req.create = &a->msg;
	return create_with_fds(ctl, &req, a);
}

int
ctl_create(struct ctl *ctl, int argc, char **argv)
{
	struct create_args a = { .msg = PERSONA__CONTROL__CREATE__INIT,
	    .limits = PERSONA__SPEC__LIMITS__INIT };
	int status;

	if ((a.net = net_args_new()) == NULL)
		return ctl_fail(ctl, "no memory");
	status = create_from_options(ctl, argc, argv, &a);
	net_args_free(a.net);
	free(a.kernel);
	free(a.initrd);
	for (size_t i = 0; i < DISKS_MAX; i++)
		free(a.disk_files[i]);
	return status;
}
