/* SPDX-License-Identifier: ISC */
/*
 * The host's /dev/kvm: opened once, or refused in words. Knows no machine, and not
 * what a person can do about a host without it (probe.c).
 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch.h"
#include "kvm.h"

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

int
hv_host_kvm(const struct hv_host *h, struct kvm **kp, char *why, size_t why_len)
{
	if (h->kvm == NULL) {
		snprintf(why, why_len, "%s (%s); personactl doctor says "
		    "what to do", explain_open(h->error), strerror(-h->error));
		return h->error;
	}
	*kp = h->kvm;
	return 0;
}
