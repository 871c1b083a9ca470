/* SPDX-License-Identifier: ISC */
/*
 * Drives a real persona-vmm with the small guest through vmm.proto, story by
 * story, and prints one line for each thing that must be true. Run by it_vmm.sh;
 * needs /dev/kvm. Deliberately knows no personad.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc.h"
#include "state.pb-c.h"
#include "vmm-puppet.h"

#define GUEST_ARGS	"beat=100 hot=4M rate=2M mix=zero:40,text:20,repeat:20,random:20"

static int n_failed;

static void
check(bool ok, const char *what)
{
	printf("%s - %s\n", ok ? "ok" : "NOT OK", what);
	fflush(stdout);
	n_failed += !ok;
}

static void
story_boot_pause_resume(const struct vmm_site *site)
{
	Persona__Vmm__HelloResult__VcpuState state = 0;
	struct vmm v;
	long long t0;

	vmm_boot(&v, site, 1, GUEST_ARGS);
	check(vmm_await(&v, "ready", VMM_LINE_TIMEOUT_MS), "the guest gets ready");
	check(vmm_await_beat(&v), "its heart beats, nothing wrong in memory");
	check(vmm_ask_pause(v.ctl) == 0, "it can be paused");
	check(vmm_ask_pause(v.ctl) == 0, "and paused again");
	check(vmm_ask_hello(v.ctl, &state, NULL) == 0 && state ==
	    PERSONA__VMM__HELLO_RESULT__VCPU_STATE__PAUSED,
	    "hello says that it is paused");
	while (vmm_await(&v, "beat ", 300))
		;
	check(!vmm_await(&v, "beat ", 500), "a paused guest is silent");
	check(vmm_ask_resume(v.ctl, 0) == 0 && vmm_await_beat(&v),
	    "resumed, its heart beats on");
	t0 = vmm_field(&v, "t_ms");
	check(vmm_ask_pause(v.ctl) == 0 && vmm_ask_resume(v.ctl, 5000000000u) == 0 &&
	    vmm_await_fresh_beat(&v), "resumed with its clock moved on");
	check(vmm_field(&v, "t_ms") - t0 >= 4500, "its clock moved on by 5 s");
	check(write(v.console, "v\n", 2) == 2 &&
	    vmm_await(&v, "verify ok", VMM_LINE_TIMEOUT_MS), "its memory verifies");
	vmm_end(&v);
}

static void
transfer_attach(struct vmm *v, int *conn, uint64_t **bitmap)
{
	int sv[2], fds[2];

	VMM_REQUEST(q, TRANSFER, transfer, TransferAttach, TRANSFER_ATTACH);
	if (ipc_pair(sv) < 0)
		vmm_die("socketpair");
	fds[0] = sv[1];
	fds[1] = memfd_create("bitmap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fds[1] < 0 || ftruncate(fds[1], VMM_BITMAP_BYTES) < 0)
		vmm_die("bitmap");
	*bitmap = mmap(NULL, VMM_BITMAP_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fds[1], 0);
	check(vmm_rpc(v->ctl, &q, fds, 2, NULL, NULL) == 0,
	    "a transfer connection is taken");
	close(fds[0]);
	close(fds[1]);
	*conn = sv[0];
}

static uint64_t
count_bits(const uint64_t *bitmap)
{
	uint64_t n = 0;

	for (size_t i = 0; i < VMM_BITMAP_BYTES / 8; i++)
		n += (uint64_t)__builtin_popcountll(bitmap[i]);
	return n;
}

static void
story_transfer(const struct vmm_site *site)
{
	uint64_t pages = 0, run_ns, *bitmap;
	uint32_t percent;
	struct vmm v;
	int conn, duty, fd = -1;

	vmm_boot(&v, site, 1, GUEST_ARGS);
	check(vmm_await(&v, "ready", VMM_LINE_TIMEOUT_MS), "a guest to be copied");
	transfer_attach(&v, &conn, &bitmap);
	check(vmm_ask_harvest(conn, 1, &pages) == 0, "dirty logging starts");
	vmm_sleep_ms(500);
	check(vmm_ask_harvest(conn, 0, &pages) == 0 && pages > 50 &&
	    pages < 3000, "half a second dirties what its rate says");
	printf("# %" PRIu64 " pages\n", pages);
	check(count_bits(bitmap) == pages, "the bitmap has just as many bits");

	memset(bitmap, 0, VMM_BITMAP_BYTES);
	check(vmm_ask_pause(v.ctl) == 0 && vmm_ask_harvest(conn, 0, &pages) == 0,
	    "a paused guest is harvested to the end");
	memset(bitmap, 0, VMM_BITMAP_BYTES);
	check(vmm_ask_harvest(conn, 0, &pages) == 0 && pages == 0,
	    "then nothing is left");
	check(vmm_ask_resume(conn, 0) == -EPERM, "a transfer may not resume");
	check(vmm_ask_pause(conn) == -EPERM, "a transfer may not pause");
	check(vmm_ask_save(conn, &fd) == -EPERM && fd < 0,
	    "a transfer may not save");
	check(vmm_ask_stop(conn) == -EPERM, "a transfer may not stop");
	check(vmm_ask_resume(v.ctl, 0) == 0, "its owner may resume");

	check(vmm_ask_throttle(conn, 80) == 0, "a transfer may throttle");
	vmm_ask_stats(v.ctl, &percent, &run_ns);
	check(percent == 80, "stats tell the throttle");
	/* Where others want the processors, too, its edges come late at times. */
	for (int tries = 0; tries < 10; tries++) {
		duty = vmm_duty(v.ctl);
		printf("# let run %d%% of the time\n", duty);
		if (duty <= 50)
			break;
	}
	check(duty >= 5 && duty <= 50,
	    "throttled by 80 it runs about a fifth of the time");
	check(vmm_ask_throttle(conn, 100) == -EINVAL, "100 percent is refused");
	close(conn);
	vmm_sleep_ms(100);
	vmm_ask_stats(v.ctl, &percent, &run_ns);
	check(percent == 0,
	    "the end of a transfer takes its throttle away");
	check(vmm_duty(v.ctl) >= 80, "it runs all the time again");
	check(vmm_await_beat(&v), "and harms nothing");
	munmap(bitmap, VMM_BITMAP_BYTES);
	vmm_end(&v);
}

/* A copy of the state, changed by `change`, as a new memfd. */
static int
state_variant(int state_fd, void (*change)(Persona__State__MachineState *))
{
	off_t len = lseek(state_fd, 0, SEEK_END);
	Persona__State__MachineState *s;
	uint8_t *bytes = malloc((size_t)len), *out;
	size_t n;
	int fd;

	if (bytes == NULL || pread(state_fd, bytes, (size_t)len, 0) != len)
		vmm_die("read state");
	s = persona__state__machine_state__unpack(NULL, (size_t)len, bytes);
	if (s == NULL)
		vmm_die("unpack state");
	change(s);
	out = malloc(persona__state__machine_state__get_packed_size(s));
	n = persona__state__machine_state__pack(s, out);
	fd = memfd_create("variant", MFD_CLOEXEC);
	if (write(fd, out, n) != (ssize_t)n)
		vmm_die("write state");
	persona__state__machine_state__free_unpacked(s, NULL);
	free(bytes);
	free(out);
	return fd;
}

static void
change_version(Persona__State__MachineState *s)
{
	s->version++;
}

static void
change_baseline(Persona__State__MachineState *s)
{
	s->cpu_baseline[strlen(s->cpu_baseline) - 1]++;
}

static void
change_ram(Persona__State__MachineState *s)
{
	s->ram_bytes *= 2;
}

static void
change_device(Persona__State__MachineState *s)
{
	s->devices[0]->name[0]++;
}

static void
drop_device(Persona__State__MachineState *s)
{
	persona__state__device_state__free_unpacked(
	    s->devices[--s->n_devices], NULL);
}

static void
change_cpuid(Persona__State__MachineState *s)
{
	s->vcpus[0]->cpuid[1]->ecx ^= 1u << 9;
}

static void
drop_lapic(Persona__State__MachineState *s)
{
	s->vcpus[0]->n_lapic--;
}

static void
drop_vcpu(Persona__State__MachineState *s)
{
	persona__state__vcpu_x86__free_unpacked(s->vcpus[--s->n_vcpus], NULL);
}

static void
add_msr(Persona__State__MachineState *s)
{
	s->vcpus[0]->msrs[0]->index = 0x10a;
	s->vcpus[0]->msrs[0]->value = 1;
}

static void
refuse(struct vmm *v, int state_fd, int error, const char *what,
    void (*change)(Persona__State__MachineState *))
{
	int fd = state_variant(state_fd, change);

	check(vmm_ask_load(v->ctl, fd) == error, what);
	close(fd);
}

/* Of each kind one; all but the last are a true state with one thing changed. */
static void
wrong_states(struct vmm *b, int state_fd)
{
	int short_fd;

	refuse(b, state_fd, -EPROTO, "another version is refused",
	    change_version);
	refuse(b, state_fd, -EINVAL, "another baseline is refused",
	    change_baseline);
	refuse(b, state_fd, -EINVAL, "another memory size is refused",
	    change_ram);
	refuse(b, state_fd, -EPROTO, "another device is refused",
	    change_device);
	refuse(b, state_fd, -EPROTO, "a missing device is refused",
	    drop_device);
	refuse(b, state_fd, -ENOTSUP, "another CPU is refused",
	    change_cpuid);
	refuse(b, state_fd, -EINVAL, "half an APIC is refused", drop_lapic);
	refuse(b, state_fd, -EINVAL, "a missing vCPU is refused", drop_vcpu);
	refuse(b, state_fd, -ENOTSUP, "an MSR of the host's is refused",
	    add_msr);
	short_fd = memfd_create("short", MFD_CLOEXEC);
	check(write(short_fd, "\010\001\022", 3) == 3 &&
	    vmm_ask_load(b->ctl, short_fd) == -EBADMSG, "rubbish is refused");
	close(short_fd);
}

static void
story_save_load(const struct vmm_site *site)
{
	Persona__Vmm__HelloResult__VcpuState vcpus = 0;
	struct vmm a, b;
	long long n_before;
	int state_fd = -1;

	vmm_boot(&a, site, 2, GUEST_ARGS);
	check(vmm_await(&a, "ready", VMM_LINE_TIMEOUT_MS) && vmm_await_beat(&a),
	    "a guest to be saved");
	check(vmm_ask_save(a.ctl, &state_fd) == -EBUSY,
	    "a running guest is not saved");
	check(vmm_ask_pause(a.ctl) == 0 && vmm_ask_save(a.ctl, &state_fd) == 0 &&
	    state_fd >= 0, "paused, it is saved");
	check(fcntl(state_fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL), "its state is sealed");
	n_before = vmm_field(&a, "n");

	vmm_spawn(&b, site);
	check(vmm_create(&b, dup(a.ram_fd), false, "x86-64-v1", 2, NULL) == 0,
	    "a second process waits on the same memory");
	vmm_console(&b);
	check(vmm_ask_start(b.ctl) == -EBUSY, "it has nothing to start yet");
	wrong_states(&b, state_fd);
	check(vmm_ask_load(b.ctl, state_fd) == 0,
	    "after all that, the true state is taken");
	check(vmm_ask_hello(b.ctl, &vcpus, NULL) == 0 && vcpus ==
	    PERSONA__VMM__HELLO_RESULT__VCPU_STATE__PAUSED,
	    "loaded, it is paused");
	check(vmm_ask_resume(b.ctl, 1000000) == 0 && vmm_await_beat(&b),
	    "it goes on in the other process");
	check(vmm_field(&b, "n") > n_before, "where it was");
	check(write(b.console, "v\n", 2) == 2 &&
	    vmm_await(&b, "verify ok", VMM_LINE_TIMEOUT_MS), "its memory verifies");
	vmm_end(&a);
	vmm_end(&b);
	close(state_fd);
}

static void
story_baseline(const struct vmm_site *site)
{
	struct vmm v;
	int r;

	vmm_spawn(&v, site);
	r = vmm_create(&v, vmm_ram_new(), true, "x86-64-v9", 1, "");
	check(r == -EINVAL, "an unknown baseline is refused");
	r = vmm_create(&v, dup(v.ram_fd), true, "x86-64-v4", 1, "");
	check(r == 0 || r == -ENOTSUP,
	    "x86-64-v4 is made or refused in words");
	vmm_end(&v);
}

static void
story_reattach(const struct vmm_site *site)
{
	Persona__Vmm__HelloResult__VcpuState vcpus = 0;
	int ram_fd = -1, second;
	struct vmm v;
	char c;

	vmm_boot(&v, site, 1, GUEST_ARGS);
	check(vmm_await(&v, "ready", VMM_LINE_TIMEOUT_MS), "a guest with an owner");
	second = vmm_connect(v.listen_path);
	check(poll(&(struct pollfd){ .fd = second, .events = POLLIN }, 1,
	    2000) == 1 && recv(second, &c, 1, 0) == 0,
	    "a second owner is refused");
	close(second);
	close(v.ctl);
	vmm_sleep_ms(200);
	v.ctl = vmm_connect(v.listen_path);
	check(vmm_ask_hello(v.ctl, &vcpus, &ram_fd) == 0 && ram_fd >= 0 &&
	    vcpus == PERSONA__VMM__HELLO_RESULT__VCPU_STATE__RUNNING,
	    "after the owner's end a new one finds it running");
	if (ram_fd >= 0)
		close(ram_fd);
	vmm_console(&v);
	check(vmm_await_beat(&v), "and hears its heart");
	vmm_end(&v);
}

/* The Exited event's reason, or -1. */
static int
await_exited(int fd)
{
	Persona__Vmm__VmmMessage *m = vmm_receive(fd, NULL);
	int reason = -1;

	if (m != NULL && m->kind_case ==
	    PERSONA__VMM__VMM_MESSAGE__KIND_EVENT)
		reason = (int)m->event->exited->reason;
	if (m != NULL)
		persona__vmm__vmm_message__free_unpacked(m, NULL);
	return reason;
}

static void
story_ends(const struct vmm_site *site)
{
	struct vmm v;

	vmm_boot(&v, site, 1, GUEST_ARGS);
	check(vmm_await(&v, "ready", VMM_LINE_TIMEOUT_MS) &&
	    write(v.console, "q", 1) == 1, "a guest is told to power off");
	check(await_exited(v.ctl) ==
	    PERSONA__VMM__EXITED__REASON__POWER_OFF, "the owner learns why");
	check(vmm_wait(&v) == 0, "the process exits with 0");
	vmm_end(&v);

	vmm_boot(&v, site, 1, GUEST_ARGS);
	check(vmm_ask_stop(v.ctl) == 0 && await_exited(v.ctl) ==
	    PERSONA__VMM__EXITED__REASON__STOPPED, "a stop is a stop");
	check(vmm_wait(&v) == 0, "and exits with 0");
	vmm_end(&v);

	vmm_spawn(&v, site);
	close(v.ctl);
	v.ctl = -1;
	check(vmm_wait(&v) >= 0, "without owner and guest it leaves");
	vmm_end(&v);
}

int
main(int argc, char **argv)
{
	struct vmm_site site;

	if (argc != 4) {
		fprintf(stderr, "usage: vmmdrive PERSONA-VMM GUEST DIR\n");
		return 2;
	}
	site = (struct vmm_site){ argv[1], argv[2], argv[3] };
	story_boot_pause_resume(&site);
	story_transfer(&site);
	story_save_load(&site);
	story_baseline(&site);
	story_reattach(&site);
	story_ends(&site);
	printf("# %d failed\n", n_failed);
	return n_failed == 0 ? 0 : 1;
}
