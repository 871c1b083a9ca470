/* SPDX-License-Identifier: ISC */
/*
 * The one door to KVM: every ioctl of ours passes through here, so that a test
 * can put a fake behind it. Knows descriptors, memory slots and the dirty log;
 * deliberately knows no register, no processor kind and no machine.
 * Source: Documentation/virt/kvm/api.rst of Linux.
 */
#ifndef KVM_H
#define KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm;		/* one virtual machine */
struct kvm_cpu;		/* one of its vCPUs */

/* What stands behind the door: the kernel, or a test's fake. */
struct kvm_ops {
	/* A descriptor of /dev/kvm, or -errno. */
	int	(*open)(void *arg);
	/* As ioctl(2), but -errno on failure. */
	int	(*ioctl)(void *arg, int fd, unsigned long request,
		    uintptr_t param);
	/* Map a vCPU's run area, or NULL. */
	void	*(*map)(void *arg, int fd, size_t len);
	void	(*unmap)(void *arg, void *p, size_t len);
	void	(*close)(void *arg, int fd);
};

/*
 * Open /dev/kvm (ops NULL) or a fake, and check the API version. No machine yet.
 * 0, -ENOENT/-EACCES... of the device, or -EPROTO for another API version.
 */
int	kvm_open(struct kvm **kp, const struct kvm_ops *ops, void *arg);
void	kvm_close(struct kvm *k);

/* Create the machine itself; one at a time. 0 or -errno. */
int	kvm_create_vm(struct kvm *k);
/* End it, after its vCPUs were freed. */
void	kvm_destroy_vm(struct kvm *k);

/*
 * One ioctl on the system, the machine or a vCPU; `param` is what the request
 * wants: a pointer or a number cast to it. >= 0 as the ioctl says, or -errno.
 * EINTR is not retried.
 */
int	kvm_sys_ioctl(struct kvm *k, unsigned long request, void *param);
int	kvm_vm_ioctl(struct kvm *k, unsigned long request, void *param);
int	kvm_cpu_ioctl(struct kvm_cpu *c, unsigned long request,
	    void *param);

/* KVM_CHECK_EXTENSION: 0 when absent, else what the capability says. */
int	kvm_cap(struct kvm *k, unsigned int cap);

/*
 * Give the guest [gpa, gpa + len) backed by `host`, or take the slot away
 * (len 0). Calling it again with another log_dirty toggles logging only.
 */
int	kvm_slot_set(struct kvm *k, unsigned int slot, uint64_t gpa, void *host,
	    uint64_t len_bytes, bool log_dirty);

/* Copy the slot's dirty bits (one a page, whole uint64 words). 0 or -errno. */
int	kvm_dirty_get(struct kvm *k, unsigned int slot, uint64_t *bitmap);
/*
 * Write-protect again and forget the pages whose bits are set. first_page and
 * n_pages are multiples of 64 (n_pages may end at the slot's end instead);
 * `bitmap` starts at first_page. Needs manual protection. 0 or -errno.
 */
int	kvm_dirty_clear(struct kvm *k, unsigned int slot, uint64_t first_page,
	    uint32_t n_pages, uint64_t *bitmap);
/* Whether kvm_dirty_get leaves the bits for kvm_dirty_clear to clear. */
bool	kvm_dirty_manual(const struct kvm *k);

/* Set the level of an interrupt line of the in-kernel chips. Any thread. */
int	kvm_irq_line(struct kvm *k, unsigned int gsi, bool level);

/* Make vCPU `index` and map its run area. 0 or -errno. */
int	kvm_cpu_new(struct kvm_cpu **cp, struct kvm *k, unsigned int index);
void	kvm_cpu_free(struct kvm_cpu *c);

/* The area shared with the kernel; exit_reason and friends. Lives with `c`. */
struct kvm_run	*kvm_cpu_area(struct kvm_cpu *c);

/* Enter the guest. 0 with an exit in the area, -EINTR when kicked, or -errno. */
int	kvm_cpu_run(struct kvm_cpu *c);

#endif
