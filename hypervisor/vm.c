/* SPDX-License-Identifier: ISC */
/*
 * One machine: the order in which its parts are made, started, stopped, saved and
 * loaded. Deliberately knows no register, no device kind and no protocol, nor how
 * its processors stop or which of its pages were written (cpus.c, pages.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "bell.h"
#include "boot.h"
#include "bounds.h"
#include "bus.h"
#include "cpus.h"
#include "ending.h"
#include "gmem.h"
#include "host.h"
#include "hv.h"
#include "kvm.h"
#include "machine.h"
#include "pages.h"
#include "state.h"

struct hv {
	struct hv_config config;
	char		baseline[32];
	struct kvm	*kvm;
	struct bus	*bus;
	struct gmem	*gmem;
	struct pages	*pages;
	struct cpus	*cpus;
	struct machine	*machine;
	struct ending	*ending;
	struct bell	*no_room;
	enum hv_state	state;		/* main thread only */
	bool		unsettled;	/* paused without room to settle the disks */
};

/* --- the end ------------------------------------------------------------- */

static void
crew_ended(void *arg, enum crew_end end, const char *text)
{
	struct hv *hv = arg;
	char longer[256];

	if (end == CREW_CANNOT_EMULATE && hv->config.host->software) {
		snprintf(longer, sizeof(longer), "%.160s; a KVM without "
		    "hardware behind it cannot run most kernels", text);
		text = longer;
	}
	ending_note(hv->ending, end == CREW_POWER_OFF ? HV_END_POWER_OFF :
	    end == CREW_RESET ? HV_END_RESET : HV_END_CRASHED, text);
}

static const struct crew_ops crew_ops = { .ended = crew_ended };

/* From a device; of an end on a vCPU thread with the bus locked. */
static void
device_request(void *arg, enum machine_request what)
{
	struct hv *hv = arg;

	if (what == MACHINE_NO_ROOM) {
		(void)bell_ring(hv->no_room);
		return;
	}
	if (what == MACHINE_POWER_OFF)
		ending_note(hv->ending, HV_END_POWER_OFF, "the guest powered off");
	else
		ending_note(hv->ending, HV_END_RESET, "the guest asked for a reset");
	cpus_end(hv->cpus);
}

static void
device_irq(void *arg, unsigned int gsi, bool level)
{
	struct hv *hv = arg;

	(void)kvm_irq_line(hv->kvm, gsi, level);
}

/* From the loop, once. */
static void
wind_down(void *arg)
{
	struct hv *hv = arg;

	cpus_end_wait(hv->cpus);
	machine_stop(hv->machine);
	hv->state = HV_ENDED;
	hv->config.ended(hv->config.arg);
}

/* --- making -------------------------------------------------------------- */

static void stand_still(void *arg);

static int
kvm_init(struct hv *hv, char *why)
{
	const struct hv_host *host = hv->config.host;
	int r;

	if ((r = hv_host_kvm(host, &hv->kvm, why, HV_WHY_MAX)) < 0)
		return r;
	r = arch_baseline_check(hv->kvm, hv->baseline, host->software, why,
	    HV_WHY_MAX);
	if (r < 0)
		return r;
	if ((r = kvm_create_vm(hv->kvm)) < 0 || (r = arch_vm_init(hv->kvm)) < 0)
		snprintf(why, HV_WHY_MAX, "KVM makes no machine: %s",
		    strerror(-r));
	return r;
}

static int
memory_init(struct hv *hv, char *why)
{
	const struct hv_config *c = &hv->config;
	int r;

	if ((r = gmem_new(&hv->gmem, hv->kvm, c->ram_fd, c->ram_bytes)) < 0) {
		snprintf(why, HV_WHY_MAX, "guest memory cannot be set up: %s",
		    strerror(-r));
		return r;
	}
	return pages_new(&hv->pages, hv->gmem, c->disks);
}

static int
cpus_init(struct hv *hv, char *why)
{
	const struct cpus_config c = {
		.kvm = hv->kvm,
		.bus = hv->bus,
		.baseline = hv->baseline,
		.vcpus = hv->config.vcpus,
		.ops = &crew_ops,
		.arg = hv,
	};

	return cpus_new(&hv->cpus, &c, why, HV_WHY_MAX);
}

static int
devices_init(struct hv *hv)
{
	const uint8_t *mac = hv->config.net_mac;
	struct dev_net net = { { 0 } };
	struct dev_env env = {
		.bus = hv->bus,
		.gmem = hv->gmem,
		.base = hv->config.base,
		.irq_line = device_irq,
		.request = device_request,
		.arg = hv,
		.net = mac != NULL ? &net : NULL,
	};

	if (mac != NULL)
		memcpy(net.mac, mac, sizeof(net.mac));
	memcpy(env.disks, hv->config.disks, sizeof(env.disks));
	return machine_new(&hv->machine, &env);
}

int
hv_new(struct hv **hp, const struct hv_config *c, char *why)
{
	struct hv *hv;
	int r = -ENOMEM;

	why[0] = '\0';
	if ((hv = calloc(1, sizeof(*hv))) == NULL)
		goto out;
	hv->config = *c;
	snprintf(hv->baseline, sizeof(hv->baseline), "%s", c->cpu_baseline);
	if ((r = ending_new(&hv->ending, c->base, wind_down, hv)) < 0 ||
	    (r = bell_new(&hv->no_room, c->base, stand_still, hv)) < 0 ||
	    (r = kvm_init(hv, why)) < 0 ||
	    (r = memory_init(hv, why)) < 0 || (r = bus_new(&hv->bus)) < 0 ||
	    (r = cpus_init(hv, why)) < 0 || (r = devices_init(hv)) < 0)
		goto out;
	*hp = hv;
	return 0;
out:
	if (why[0] == '\0')
		snprintf(why, HV_WHY_MAX, "the machine cannot be made: %s",
		    strerror(-r));
	hv_free(hv);
	return r;
}

void
hv_free(struct hv *hv)
{
	if (hv == NULL)
		return;
	cpus_free(hv->cpus);
	if (hv->machine != NULL)
		machine_stop(hv->machine);
	machine_free(hv->machine);
	bus_free(hv->bus);
	pages_free(hv->pages);
	gmem_free(hv->gmem);
	if (hv->kvm != NULL)
		kvm_destroy_vm(hv->kvm);
	bell_free(hv->no_room);
	ending_free(hv->ending);
	free(hv);
}

enum hv_state
hv_state(const struct hv *hv)
{
	return hv->state;
}

enum hv_end
hv_end(struct hv *hv, const char **text)
{
	return ending_get(hv->ending, text);
}

int
hv_boot(struct hv *hv, const struct boot_config *c, char *why)
{
	struct boot_entry entry = { 0 };
	const char *sentence = "the kernel cannot be loaded";
	int r;

	if (hv->state != HV_FRESH) {
		snprintf(why, HV_WHY_MAX, "the machine has been booted");
		return -EBUSY;
	}
	if ((r = boot_load(hv->gmem, c, &entry, &sentence)) < 0) {
		snprintf(why, HV_WHY_MAX, "%s", sentence);
		return r;
	}
	if ((r = cpus_boot(hv->cpus, &entry)) < 0) {
		snprintf(why, HV_WHY_MAX, "KVM refused the start state: %s",
		    strerror(-r));
		return r;
	}
	hv->state = HV_PAUSED;
	return 0;
}

/* --- running ------------------------------------------------------------- */

int
hv_resume(struct hv *hv, bool has_advance, uint64_t advance_ns)
{
	int r;

	switch (hv->state) {
	case HV_RUNNING:
		return 0;
	case HV_PAUSED:
		break;
	case HV_FRESH:
		return -EINVAL;
	default:
		return -ESHUTDOWN;
	}
	if ((r = cpus_set_clocks(hv->cpus, has_advance, advance_ns)) < 0)
		return r;
	machine_start(hv->machine);
	hv->unsettled = false;
	hv->state = HV_RUNNING;
	cpus_unpark(hv->cpus);
	return 0;
}

/* Of a machine that runs: vCPUs parked, devices still. */
static int
park(struct hv *hv)
{
	int r = cpus_park(hv->cpus);

	if (r == 0)
		machine_stop(hv->machine);
	return r;
}

static int
now_paused(struct hv *hv)
{
	const char *text;

	hv->state = HV_PAUSED;
	/* It may have ended just before it parked: its end is on its way. */
	return hv_end(hv, &text) != HV_END_NONE ? -ESHUTDOWN : 0;
}

static int
settle_late(struct hv *hv)
{
	int r = hv->unsettled ? pages_settle(hv->pages) : 0;

	hv->unsettled = r < 0;
	return r;
}

int
hv_pause(struct hv *hv)
{
	const char *text;
	int r;

	if (hv->state == HV_FRESH || hv->state == HV_PAUSED)
		return settle_late(hv);
	if (hv->state != HV_RUNNING || hv_end(hv, &text) != HV_END_NONE)
		return -ESHUTDOWN;
	if ((r = park(hv)) < 0)
		return r;
	if ((r = pages_settle(hv->pages)) < 0) {
		machine_start(hv->machine);
		cpus_unpark(hv->cpus);
		return r;
	}
	return now_paused(hv);
}

uint64_t
hv_stopped_at_ns(const struct hv *hv)
{
	return cpus_parked_at_ns(hv->cpus);
}

uint64_t
hv_held_ns(const struct hv *hv)
{
	return cpus_held_ns(hv->cpus);
}

/* From the loop: a device found no room to write what the guest gave it. */
static void
stand_still(void *arg)
{
	struct hv *hv = arg;

	if (hv->state != HV_RUNNING)
		return;
	if (park(hv) < 0) {
		/* It tries again, and we are called again. */
		machine_stop(hv->machine);
		machine_start(hv->machine);
		return;
	}
	hv->unsettled = true;
	if (now_paused(hv) == 0)
		hv->config.stood_still(hv->config.arg, "the storage of this "
		    "handset is full; the guest waits with what it has to "
		    "write, and nothing is lost. Make room, then resume it");
}

void
hv_stop(struct hv *hv)
{
	ending_note(hv->ending, HV_END_STOPPED, "stopped by its owner");
	cpus_end(hv->cpus);
}

int
hv_throttle(struct hv *hv, unsigned int percent)
{
	return cpus_throttle(hv->cpus, percent);
}

/* --- dirty pages --------------------------------------------------------- */

uint64_t
hv_pages(const struct hv *hv)
{
	return pages_count(hv->pages);
}

int
hv_dirty_start(struct hv *hv)
{
	int r = pages_dirty_start(hv->pages);

	if (r == 0)
		machine_hint_memory(hv->machine, true);
	return r;
}

int
hv_dirty_stop(struct hv *hv)
{
	machine_hint_memory(hv->machine, false);
	return pages_dirty_stop(hv->pages);
}

int
hv_dirty_harvest(struct hv *hv, uint64_t *bitmap, uint64_t *n_pages)
{
	return pages_dirty_harvest(hv->pages, bitmap, n_pages);
}

void
hv_balloon(struct hv *hv, uint64_t bytes)
{
	machine_balloon(hv->machine, bytes);
}

/* --- state --------------------------------------------------------------- */

static struct state_identity
identity_of(const struct hv *hv)
{
	return (struct state_identity){
		.arch = arch_name,
		.cpu_baseline = hv->baseline,
		.ram_bytes = hv->config.ram_bytes,
		.vcpus = hv->config.vcpus,
	};
}

int
hv_save(struct hv *hv, int *fd, uint64_t *len_bytes)
{
	struct state_identity id = identity_of(hv);
	Persona__State__MachineState *s;
	int r;

	if (hv->state != HV_PAUSED)
		return -EBUSY;
	if ((s = state_new(&id)) == NULL)
		return -ENOMEM;
	if ((r = cpus_save(hv->cpus, s)) == 0 &&
	    (r = machine_save(hv->machine, s)) == 0)
		r = state_pack(s, fd, len_bytes);
	state_free(s);
	return r;
}

static int
apply(struct hv *hv, const Persona__State__MachineState *s, bool second_life,
    char *why)
{
	const char *sentence = "a device's state cannot be loaded";
	int r;

	if ((r = cpus_check(hv->cpus, s, why, HV_WHY_MAX)) < 0)
		return r;
	if ((r = machine_load(hv->machine, s, &sentence)) < 0) {
		snprintf(why, HV_WHY_MAX, "%s", sentence);
		return r;
	}
	/* From here a failure leaves half a guest: it must never run. */
	hv->state = HV_BROKEN;
	if ((r = cpus_load(hv->cpus, s, why, HV_WHY_MAX)) < 0 ||
	    (second_life && (r = machine_renew(hv->machine)) < 0))
		return r;
	hv->state = HV_PAUSED;
	return 0;
}

int
hv_load(struct hv *hv, const uint8_t *state, size_t len_bytes,
    bool second_life, char *why)
{
	struct state_identity id = identity_of(hv);
	Persona__State__MachineState *s;
	int r;

	why[0] = '\0';
	if (hv->state != HV_FRESH) {
		snprintf(why, HV_WHY_MAX, "the machine already has a guest");
		return -EBUSY;
	}
	r = state_unpack(&s, state, len_bytes, &id, why, HV_WHY_MAX);
	if (r < 0)
		return r;
	r = apply(hv, s, second_life, why);
	state_free(s);
	if (r < 0 && why[0] == '\0')
		snprintf(why, HV_WHY_MAX, "the state cannot be loaded: %s",
		    strerror(-r));
	return r;
}

int
hv_attach(struct hv *hv, const char *row, int stream_fd)
{
	return machine_attach(hv->machine, row, stream_fd);
}

void
hv_stats(struct hv *hv, struct hv_stats *s)
{
	struct dev_guest_memory m;

	machine_look_memory(hv->machine, &m);
	s->discarded_bytes = gmem_discarded(hv->gmem);
	s->balloon_bytes = m.balloon_bytes;
	s->guest_total_bytes = m.stats[DEV_GUEST_TOTAL];
	s->guest_available_bytes = m.stats[DEV_GUEST_AVAILABLE];
	cpus_stats(hv->cpus, &s->run_ns, &s->exits);
	s->throttle_percent = cpus_throttled(hv->cpus);
	s->dirty_pages = pages_reported(hv->pages);
}
