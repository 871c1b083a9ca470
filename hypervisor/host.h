/* SPDX-License-Identifier: ISC */
/*
 * What the process takes from the host before it shuts itself in: /dev/kvm, and
 * what kind of KVM it is. Deliberately knows no machine.
 */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>

struct kvm;

struct hv_host {
	struct kvm	*kvm;		/* ours; NULL: see error */
	int		error;		/* -errno of /dev/kvm */
	bool		software;	/* no hardware behind this KVM */
};

/* Never fails: a host without KVM is refused, in words, by hv_host_kvm(). */
void	hv_host_open(struct hv_host *h);
/* Closes /dev/kvm, after the machine made with it; one without KVM is fine. */
void	hv_host_close(struct hv_host *h);

/*
 * Its KVM, which stays the host's. 0, or the -errno of /dev/kvm with a sentence in
 * why, of why_len bytes.
 */
int	hv_host_kvm(const struct hv_host *h, struct kvm **kp, char *why,
	    size_t why_len);

#endif
