/* SPDX-License-Identifier: ISC */
/*
 * What an exit of KVM_RUN asks for, carried out on the bus. Knows exits; knows no
 * thread, no register and nobody who should be told.
 */
#ifndef VCPU_EXIT_H
#define VCPU_EXIT_H

#include <stdbool.h>

#include "vcpu.h"

struct bus;
struct kvm_run;

/* How an exit ended the machine. */
struct exit_end {
	enum crew_end	how;
	char		text[96];	/* one clause, for a person */
};

/*
 * Carry it out; the result of a read is left in `run` for the next KVM_RUN. Whether
 * the guest goes on; if not, *end says why.
 */
bool	exit_carry_out(struct bus *bus, struct kvm_run *run,
	    struct exit_end *end);

#endif
