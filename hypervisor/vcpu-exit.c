/* SPDX-License-Identifier: ISC */
/*
 * Carries out the exits of KVM_RUN (Documentation/virt/kvm/api.rst, 5). What KVM
 * reports about a guest is the guest's doing: none of it may harm us.
 */
#include "vcpu-exit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "kvm.h"

/* Little-endian bytes <-> the bus's number. */
static uint64_t
get_le(const uint8_t *p, unsigned int len)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void
put_le(uint8_t *p, unsigned int len, uint64_t v)
{
	for (unsigned int i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* One access; KVM may report odd lengths at page ends: those go bytewise. */
static void
access_bus(struct bus *bus, enum bus_space space, uint64_t addr,
    uint8_t *data, unsigned int len, bool write)
{
	unsigned int step = len;

	if (len != 1 && len != 2 && len != 4 && len != 8)
		step = 1;
	for (unsigned int at = 0; at < len; at += step) {
		if (write)
			bus_write(bus, space, addr + at, step,
			    get_le(data + at, step));
		else
			put_le(data + at, step,
			    bus_read(bus, space, addr + at, step));
	}
}

static void
do_io(struct bus *bus, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	/* A string instruction: the same port again and again. */
	for (uint32_t i = 0; i < run->io.count; i++)
		access_bus(bus, BUS_PIO, run->io.port,
		    data + i * run->io.size, run->io.size,
		    run->io.direction == KVM_EXIT_IO_OUT);
}

static void
do_mmio(struct bus *bus, struct kvm_run *run)
{
	if (run->mmio.len > sizeof(run->mmio.data))
		return;
	access_bus(bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data,
	    run->mmio.len, run->mmio.is_write);
}

/* Always false, for the caller to return. */
static bool __attribute__((format(printf, 3, 4)))
ended(struct exit_end *end, enum crew_end how, const char *fmt, ...)
{
	va_list ap;

	end->how = how;
	va_start(ap, fmt);
	vsnprintf(end->text, sizeof(end->text), fmt, ap);
	va_end(ap);
	return false;
}

static bool
do_system_event(const struct kvm_run *run, struct exit_end *end)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return ended(end, CREW_POWER_OFF, "the guest powered off");
	case KVM_SYSTEM_EVENT_RESET:
		return ended(end, CREW_RESET, "the guest asked for a reset");
	default:
		return ended(end, CREW_CRASH, "the guest reported a crash");
	}
}

static bool
do_internal_error(const struct kvm_run *run, struct exit_end *end)
{
	/* data[] may hold the guest's instruction bytes: not for the log. */
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		return ended(end, CREW_CANNOT_EMULATE,
		    "KVM cannot emulate the instruction");
	return ended(end, CREW_CRASH, "KVM gave up: internal error %u",
	    run->internal.suberror);
}

bool
exit_carry_out(struct bus *bus, struct kvm_run *run, struct exit_end *end)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		do_io(bus, run);
		return true;
	case KVM_EXIT_MMIO:
		do_mmio(bus, run);
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		return ended(end, CREW_CRASH, "triple fault");
	case KVM_EXIT_SYSTEM_EVENT:
		return do_system_event(run, end);
	case KVM_EXIT_INTERNAL_ERROR:
		return do_internal_error(run, end);
	case KVM_EXIT_FAIL_ENTRY:
		return ended(end, CREW_CRASH, "the CPU refused its state, "
		    "reason 0x%" PRIx64, (uint64_t)run->fail_entry.
		    hardware_entry_failure_reason);
	default:
		return ended(end, CREW_CRASH, "unexpected KVM exit %u",
		    run->exit_reason);
	}
}
