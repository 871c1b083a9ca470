/* SPDX-License-Identifier: ISC */
/*
 * One machine: the order in which its parts are made, started, stopped, saved and
 * loaded. Deliberately knows no register, no device kind and no protocol.
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
#include "clock.h"
#include "disk.h"
#include "ending.h"
#include "gmem.h"
#include "hv.h"
#include "kvm.h"
#include "machine.h"
#include "state.h"
#include "throttle.h"
#include "vcpu.h"

/* vCPUs park within microseconds; a host that swaps may need longer. */
#define PARK_TIMEOUT_MS	5000u

struct hv {
	uint64_t	stopped_at_ns;	/* hv_stopped_at_ns() */
	uint64_t	moved_on_at_ns;	/* hv_moved_on_at_ns() */
	struct hv_config config;
	char		baseline[32];
	struct kvm	*kvm;
	struct bus	*bus;
	struct gmem	*gmem;
	struct arch_model *model;
	struct crew	*crew;
	struct throttle	*throttle;
	struct arch_clock *clock;
	struct machine	*machine;
	struct ending	*ending;
	struct bell	*no_room;
	enum hv_state	state;		/* main thread only */
	bool		clock_is_loaded; /* not yet run since a load */
	bool		unsettled;	/* paused without room to settle the disks */
	uint64_t	dirty_pages;
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
	crew_hold(hv->crew, CREW_HOLD_END);
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

	(void)crew_hold_wait(hv->crew, CREW_HOLD_END, PARK_TIMEOUT_MS);
	(void)throttle_set(hv->throttle, 0);
	machine_stop(hv->machine);
	hv->state = HV_ENDED;
	hv->config.ended(hv->config.arg);
}

/* --- making -------------------------------------------------------------- */

static void stand_still(void *arg);

static const char *
explain_open(int r)
{
	switch (r) {
	case -ENOENT:
		return "there is no /dev/kvm here";
	case -EACCES:
	case -EPERM:
		return "no permission to open /dev/kvm";
	default:
		return "/dev/kvm cannot be used";
	}
}

void
hv_host_open(struct hv_host *h)
{
	h->kvm = NULL;
	h->error = kvm_open(&h->kvm, NULL, NULL);
	h->software = !arch_kvm_is_hardware();
}

void
hv_host_close(struct hv_host *h)
{
	kvm_close(h->kvm);
	h->kvm = NULL;
}

static int
kvm_init(struct hv *hv, char *why)
{
	const struct hv_host *host = hv->config.host;
	int r;

	if (host->kvm == NULL) {
		snprintf(why, HV_WHY_MAX, "%s (%s); personactl doctor says "
		    "what to do", explain_open(host->error),
		    strerror(-host->error));
		return host->error;
	}
	hv->kvm = host->kvm;
	r = arch_baseline_check(hv->kvm, hv->baseline, host->software, why,
	    HV_WHY_MAX);
	if (r < 0)
		return r;
	if ((r = kvm_create_vm(hv->kvm)) < 0 ||
	    (r = arch_vm_init(hv->kvm)) < 0 ||
	    (r = arch_model_new(&hv->model, hv->kvm, hv->baseline,
	    hv->config.vcpus)) < 0)
		snprintf(why, HV_WHY_MAX, "KVM makes no machine: %s",
		    strerror(-r));
	return r;
}

static int
vcpus_init(struct hv *hv)
{
	struct kvm_cpu *const *cpus;
	int r;

	r = crew_new(&hv->crew, hv->kvm, hv->bus, hv->config.vcpus, &crew_ops,
	    hv);
	if (r < 0)
		return r;
	cpus = crew_cpus(hv->crew);
	for (unsigned int i = 0; i < hv->config.vcpus; i++)
		if ((r = arch_model_apply(hv->model, cpus[i], i)) < 0)
			return r;
	if ((r = arch_clock_new(&hv->clock, hv->config.vcpus)) < 0)
		return r;
	return throttle_new(&hv->throttle, hv->crew);
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
	    (r = kvm_init(hv, why)) < 0)
		goto out;
	if ((r = gmem_new(&hv->gmem, hv->kvm, c->ram_fd, c->ram_bytes)) < 0) {
		snprintf(why, HV_WHY_MAX, "guest memory cannot be set up: %s",
		    strerror(-r));
		goto out;
	}
	if ((r = bus_new(&hv->bus)) < 0 || (r = vcpus_init(hv)) < 0 ||
	    (r = devices_init(hv)) < 0)
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
	throttle_free(hv->throttle);
	crew_free(hv->crew);
	if (hv->machine != NULL)
		machine_stop(hv->machine);
	machine_free(hv->machine);
	bus_free(hv->bus);
	gmem_free(hv->gmem);
	arch_clock_free(hv->clock);
	arch_model_free(hv->model);
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
	if ((r = arch_boot(crew_cpus(hv->crew)[0], &entry)) < 0) {
		snprintf(why, HV_WHY_MAX, "KVM refused the start state: %s",
		    strerror(-r));
		return r;
	}
	hv->state = HV_PAUSED;
	return 0;
}

/* --- running ------------------------------------------------------------- */

static int
set_clocks(struct hv *hv, bool has_advance, uint64_t advance_ns)
{
	struct kvm_cpu *const *cpus = crew_cpus(hv->crew);
	int r = 0;

	if (has_advance || hv->clock_is_loaded)
		r = arch_clock_thaw(hv->clock, hv->kvm, cpus, advance_ns);
	if (has_advance)
		hv->moved_on_at_ns = clock_now_ns();
	hv->clock_is_loaded = false;
	for (unsigned int i = 0; i < hv->config.vcpus; i++)
		arch_clock_was_paused(cpus[i]);
	return r;
}

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
	if ((r = set_clocks(hv, has_advance, advance_ns)) < 0)
		return r;
	machine_start(hv->machine);
	hv->unsettled = false;
	hv->state = HV_RUNNING;
	crew_release(hv->crew, CREW_HOLD_PAUSE);
	return 0;
}

/* From now on the files are the disks, for whoever else reads them. */
static int
settle_disks(struct hv *hv)
{
	int r = 0;

	for (size_t i = 0; i < DISKS_MAX && r == 0; i++)
		if (hv->config.disks[i] != NULL)
			r = disk_settle(hv->config.disks[i]);
	return r;
}

/* Of a machine that runs: vCPUs parked, devices still. */
static int
park(struct hv *hv)
{
	int r;

	/* The clocks at once: for the guest, its last instruction was now. */
	if ((r = crew_hold_wait(hv->crew, CREW_HOLD_PAUSE,
	    PARK_TIMEOUT_MS)) < 0 || (r = arch_clock_freeze(hv->clock, hv->kvm,
	    crew_cpus(hv->crew))) < 0) {
		crew_release(hv->crew, CREW_HOLD_PAUSE);
		return r;
	}
	hv->stopped_at_ns = clock_now_ns();
	machine_stop(hv->machine);
	return 0;
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
	int r = hv->unsettled ? settle_disks(hv) : 0;

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
	if ((r = settle_disks(hv)) < 0) {
		machine_start(hv->machine);
		crew_release(hv->crew, CREW_HOLD_PAUSE);
		return r;
	}
	return now_paused(hv);
}

uint64_t
hv_stopped_at_ns(const struct hv *hv)
{
	return hv->stopped_at_ns;
}

uint64_t
hv_moved_on_at_ns(const struct hv *hv)
{
	return hv->moved_on_at_ns;
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
	crew_hold(hv->crew, CREW_HOLD_END);
}

int
hv_throttle(struct hv *hv, unsigned int percent)
{
	return throttle_set(hv->throttle, percent);
}

/* --- dirty pages --------------------------------------------------------- */

/* Where the region after one that ends at this page begins. */
static uint64_t
next_region(uint64_t end)
{
	return (end + SPACE_ALIGN_PAGES - 1) / SPACE_ALIGN_PAGES *
	    SPACE_ALIGN_PAGES;
}

uint64_t
hv_pages(const struct hv *hv)
{
	uint64_t n = hv->config.ram_bytes / PAGE_BYTES;

	for (size_t i = 0; i < DISKS_MAX && hv->config.disks[i] != NULL; i++)
		n = next_region(n) +
		    disk_bytes(hv->config.disks[i]) / PAGE_BYTES;
	return n;
}

int
hv_dirty_start(struct hv *hv)
{
	int r = gmem_dirty_start(hv->gmem);

	for (size_t i = 0; r == 0 && i < DISKS_MAX &&
	    hv->config.disks[i] != NULL; i++)
		r = disk_dirty_start(hv->config.disks[i]);
	if (r == 0)
		machine_hint_memory(hv->machine, true);
	return r;
}

int
hv_dirty_stop(struct hv *hv)
{
	for (size_t i = 0; i < DISKS_MAX && hv->config.disks[i] != NULL; i++)
		disk_dirty_stop(hv->config.disks[i]);
	machine_hint_memory(hv->machine, false);
	return gmem_dirty_stop(hv->gmem);
}

void
hv_balloon(struct hv *hv, uint64_t bytes)
{
	machine_balloon(hv->machine, bytes);
}

/* The disks' part of a harvest. Their bits begin at whole words: see bounds.h. */
static int
harvest_disks(struct hv *hv, uint64_t *bitmap, uint64_t *n_pages)
{
	uint64_t first = next_region(hv->config.ram_bytes / PAGE_BYTES);
	int r;

	for (size_t i = 0; i < DISKS_MAX && hv->config.disks[i] != NULL; i++) {
		struct disk *d = hv->config.disks[i];

		*n_pages += disk_dirty_harvest(d, bitmap + first / 64);
		if ((r = disk_settle(d)) < 0)
			return r;
		first = next_region(first + disk_bytes(d) / PAGE_BYTES);
	}
	return 0;
}

int
hv_dirty_harvest(struct hv *hv, uint64_t *bitmap, uint64_t *n_pages)
{
	int r = gmem_dirty_harvest(hv->gmem, bitmap, n_pages);

	if (r == 0)
		r = harvest_disks(hv, bitmap, n_pages);
	if (r == 0)
		hv->dirty_pages += *n_pages;
	return r;
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
	if ((r = arch_save(hv->clock, hv->kvm, hv->model, crew_cpus(hv->crew),
	    hv->config.vcpus, s)) == 0 &&
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

	r = arch_check(hv->kvm, hv->model, hv->config.vcpus, s, why,
	    HV_WHY_MAX);
	if (r < 0)
		return r;
	if ((r = machine_load(hv->machine, s, &sentence)) < 0) {
		snprintf(why, HV_WHY_MAX, "%s", sentence);
		return r;
	}
	/* From here a failure leaves half a guest: it must never run. */
	hv->state = HV_BROKEN;
	r = arch_load(hv->clock, hv->kvm, hv->model, crew_cpus(hv->crew),
	    hv->config.vcpus, s, why, HV_WHY_MAX);
	if (r < 0 || (second_life && (r = machine_renew(hv->machine)) < 0))
		return r;
	hv->clock_is_loaded = true;
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
	crew_stats(hv->crew, &s->run_ns, &s->exits);
	s->throttle_percent = throttle_get(hv->throttle);
	s->dirty_pages = hv->dirty_pages;
}
