/* SPDX-License-Identifier: ISC */
/*
 * What this handset's KVM is good for: none, software or hardware, which CPU
 * baselines it can show, whether a Linux kernel will run, and what a person could
 * do about it. Deliberately knows no machine of ours.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stdio.h>

enum probe_kvm { PROBE_NONE, PROBE_SOFTWARE, PROBE_HARDWARE };

struct probe {
	enum probe_kvm	kvm;
	int		api_version;	/* 0 with PROBE_NONE */
	int		max_vcpus;	/* ours and KVM's */
	bool		small_guests;	/* freestanding guests in ring 3 run */
	bool		linux_boots;	/* kernel-mode self-test passed */
	const char	*baselines[5];	/* NULL-terminated, lowest first */
	char		reason[256];	/* one sentence: why not more */
	char		advice[256];	/* what to install or enable, or "" */
};

/* Look. Always fills *p; never fails. */
void	probe_kvm(struct probe *p);

/* Print it for a person, or as one JSON object. */
void	probe_print(const struct probe *p, bool json, FILE *f);

#endif
