/* SPDX-License-Identifier: ISC */
/*
 * persona-vmm: options, then one of three lives: under personad's control, alone
 * on a terminal, or a look at KVM. Keeps /dev/kvm, guest memory and the control
 * connection, because a guest needs them; gives up everything else before the
 * first byte that a guest or a peer could have written.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch.h"
#include "bounds.h"
#include "confine.h"
#include "control.h"
#include "host.h"
#include "hv.h"
#include "log.h"
#include "probe.h"
#include "program.h"
#include "run.h"
#include "sandbox.h"

#define DEFAULT_RAM_BYTES	(128ULL << 20)

struct options {
	int		control_fd, listen_fd;
	bool		probe, json, sandbox;
	uid_t		user;		/* to become; 0: nobody else */
	enum log_level	level;
	const char	*kernel, *initrd;
	struct run_config run;
};

enum { OPT_CONTROL = 256, OPT_LISTEN, OPT_PROBE, OPT_JSON, OPT_KERNEL,
    OPT_INITRD, OPT_APPEND, OPT_MEMORY, OPT_CPUS, OPT_CPU, OPT_NO_SANDBOX,
    OPT_USER };

static const struct option long_options[] = {
	{ "control-fd", required_argument, NULL, OPT_CONTROL },
	{ "listen-fd", required_argument, NULL, OPT_LISTEN },
	{ "probe", no_argument, NULL, OPT_PROBE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "user", required_argument, NULL, OPT_USER },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
    "persona-vmm - run one guest on KVM\n"
    "\n"
    "  persona-vmm --control-fd N [--listen-fd M]   under personad\n"
    "  persona-vmm --kernel FILE [options]          on this terminal\n"
    "  persona-vmm --probe [--json]                 judge this KVM\n"
    "\n"
    "  --user N          become this user number, when started by root\n"
    "  --kernel FILE     ELF (multiboot, PVH, vmlinux) or bzImage\n"
    "  --initrd FILE     initramfs\n"
    "  --append TEXT     kernel command line\n"
    "  --memory SIZE     64M to 8G (default 128M)\n"
    "  --cpus N          1 to 8 (default 1)\n"
    "  --cpu BASELINE    x86-64-v1 to x86-64-v4 (default: the best up\n"
    "                    to x86-64-v2)\n"
    "  --no-sandbox      without the system call filter, to debug\n"
    "  -v, --verbose     log more\n"
    "  -h, --help        this text\n"
    "  -V, --version     the version\n";

/* "512M", "2G"; plain numbers are megabytes. */
static int
parse_memory(const char *s, uint64_t *bytes)
{
	unsigned long long n;
	unsigned int shift = 20;
	char *end;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno != 0 || end == s || *s == '-')
		return -EINVAL;
	if (*end == 'G' || *end == 'g')
		shift = 30;
	if (strchr("MmGg", *end) != NULL && *end != '\0')
		end++;
	if (*end != '\0' || n > RAM_MAX_BYTES >> shift)
		return -EINVAL;
	*bytes = (uint64_t)n << shift;
	return *bytes < RAM_MIN_BYTES ? -EINVAL : 0;
}

static int
parse_one(const struct program *p, void *arg, int opt, const char *value)
{
	struct options *o = arg;
	uint64_t n = 0;
	int r;

	switch (opt) {
	case OPT_CONTROL:
		return program_fd(p, "--control-fd", value, &o->control_fd);
	case OPT_LISTEN:
		return program_fd(p, "--listen-fd", value, &o->listen_fd);
	case OPT_PROBE:
		o->probe = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_KERNEL:
		o->kernel = value;
		return 0;
	case OPT_INITRD:
		o->initrd = value;
		return 0;
	case OPT_APPEND:
		if (strlen(value) > CMDLINE_MAX)
			return program_refuse(p, "--append", "(too long)");
		o->run.cmdline = value;
		return 0;
	case OPT_MEMORY:
		return parse_memory(value, &o->run.ram_bytes) < 0 ?
		    program_refuse(p, "--memory", value) : 0;
	case OPT_CPUS:
		r = program_number(p, "--cpus", value, 1, VCPUS_MAX, &n);
		o->run.vcpus = (unsigned int)n;
		return r;
	case OPT_CPU:
		o->run.cpu_baseline = value;
		return 0;
	case OPT_USER:
		r = program_number(p, "--user", value, 1, INT32_MAX, &n);
		o->user = (uid_t)n;
		return r;
	case OPT_NO_SANDBOX:
		o->sandbox = false;
		return 0;
	case 'v':
		o->level = LOG_DEBUG;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The best baseline of this host that most other handsets have too. */
static const char *
usual_baseline(struct hv_host *host)
{
	const char *best = arch_baseline(0);
	char why[HV_WHY_MAX];

	if (host->kvm == NULL)
		return best;
	for (size_t i = 0; i < 2; i++)
		if (arch_baseline_check(host->kvm, arch_baseline(i),
		    host->software, why, sizeof(why)) == 0)
			best = arch_baseline(i);
	return best;
}

/* epoll only: select(2) and poll(2) state would be one more thing to allow. */
static struct event_base *
loop_new(void)
{
	struct event_config *c = event_config_new();
	struct event_base *base = NULL;

	if (c != NULL) {
		event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK);
		base = event_base_new_with_config(c);
		event_config_free(c);
	}
	return base;
}

static int
enter_sandbox(const struct options *o)
{
	const struct confine around = { .uid = o->user };
	int r;

	if (!o->sandbox) {
		log_warn("running without the sandbox");
		return 0;
	}
	if ((r = confine_enter(&around)) < 0)
		return r;
	if ((r = sandbox_enter()) < 0)
		log_err("the sandbox cannot be entered: %s", strerror(-r));
	return r;
}

static int
controlled(struct options *o, struct event_base *base, struct hv_host *host)
{
	uid_t owner = geteuid();	/* we may become somebody else */
	struct control *c;
	int status;

	if (enter_sandbox(o) < 0)
		return 1;
	if (control_new(&c, base, host, owner, o->control_fd,
	    o->listen_fd) < 0) {
		log_err("the control connection cannot be served");
		return 1;
	}
	event_base_dispatch(base);
	status = control_exit_status(c);
	control_free(c);
	return status;
}

static int
standalone(struct options *o, struct event_base *base, struct hv_host *host)
{
	o->run.kernel_fd = open(o->kernel, O_RDONLY | O_CLOEXEC);
	if (o->run.kernel_fd < 0) {
		log_err("%s: %s", o->kernel, strerror(errno));
		return 1;
	}
	if (o->initrd != NULL &&
	    (o->run.initrd_fd = open(o->initrd, O_RDONLY | O_CLOEXEC)) < 0) {
		log_err("%s: %s", o->initrd, strerror(errno));
		return 1;
	}
	if (o->run.cpu_baseline == NULL)
		o->run.cpu_baseline = usual_baseline(host);
	if (enter_sandbox(o) < 0)
		return 1;
	return run_guest(base, host, &o->run);
}

static int
run_options(struct options *o)
{
	struct event_base *base;
	struct hv_host host;
	struct probe probe;
	int status;

	if (o->probe) {
		probe_kvm(&probe);
		probe_print(&probe, o->json, stdout);
		return probe.kvm == PROBE_NONE ? 1 : 0;
	}
	if (o->control_fd < 0 && o->listen_fd < 0 && o->kernel == NULL) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if ((base = loop_new()) == NULL) {
		log_err("no event loop");
		return 1;
	}
	hv_host_open(&host);
	status = o->kernel != NULL ? standalone(o, base, &host) :
	    controlled(o, base, &host);
	hv_host_close(&host);
	event_base_free(base);
	return status;
}

static const struct program program = {
	.name = "persona-vmm",
	.usage = usage,
	.options = long_options,
	.take = parse_one,
};

int
main(int argc, char **argv)
{
	struct options o = {
		.control_fd = -1,
		.listen_fd = -1,
		.sandbox = true,
		.level = LOG_INFO,
		.run = { .kernel_fd = -1, .initrd_fd = -1, .cmdline = "",
		    .ram_bytes = DEFAULT_RAM_BYTES, .vcpus = 1 },
	};
	int status = program_options(&program, &o, argc, argv);

	if (status >= 0)
		return status;
	log_init(program.name, o.level);
	return run_options(&o);
}
