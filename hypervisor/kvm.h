/* SPDX-License-Identifier: ISC */
/*
 * Every KVM ioctl we make. Calls return 0 or -errno. Tests put a fake behind the
 * same names by kvm_ops. Knows ioctls, not what a machine is.
 * Source: Documentation/virt/kvm/api.rst of Linux.
 */
#ifndef KVM_H
#define KVM_H

struct kvm;

#endif
