/* SPDX-License-Identifier: ISC */
/*
 * What `persona-vmm --probe` says of this handset, for personad never opens
 * /dev/kvm itself. Knows no persona and judges nothing.
 */
#ifndef VMM_PROBE_H
#define VMM_PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct vmm_probe;

/* All it printed, "" when it gave no answer in time. The probe is gone after it. */
typedef void vmm_probe_fn(void *arg, const char *out);

/* Run it. 0, or -errno; then nothing comes. */
int	vmm_probe_start(struct vmm_probe **pp, struct daemon *d,
	    vmm_probe_fn *done, void *arg);

/* Do not wait for it any longer. NULL is fine. */
void	vmm_probe_free(struct vmm_probe *p);

/* What follows `label` on its line, cut to size; NULL when there is none. */
const char *vmm_probe_line(const char *out, const char *label, char *buf,
	    size_t size);

/*
 * Is this one of the CPU baselines in its output? *highest[size] becomes the last
 * of them, "" when there is none.
 */
bool	vmm_probe_has_baseline(const char *out, const char *baseline,
	    char *highest, size_t size);

#endif
