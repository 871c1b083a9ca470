/* SPDX-License-Identifier: ISC */
/*
 * KVM's descriptors and ioctls. Knows nothing of what a machine is made of:
 * the callers bring the structures, this file brings the kernel.
 */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct kvm {
	const struct kvm_ops *ops;
	void	*arg;		/* for ops */
	int	sys_fd;		/* /dev/kvm */
	int	vm_fd;		/* -1 until kvm_create_vm */
	bool	dirty_manual;	/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is on */
};

struct kvm_cpu {
	struct kvm *kvm;	/* outlives the vCPU */
	int	fd;
	struct kvm_run *area;
	size_t	area_len;
};

static int
host_open(void *arg)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	(void)arg;
	return fd < 0 ? -errno : fd;
}

static int
host_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	int r = ioctl(fd, request, param);

	(void)arg;
	return r < 0 ? -errno : r;
}

static void *
host_map(void *arg, int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)arg;
	return p == MAP_FAILED ? NULL : p;
}

static void
host_unmap(void *arg, void *p, size_t len)
{
	(void)arg;
	munmap(p, len);
}

static void
host_close(void *arg, int fd)
{
	(void)arg;
	close(fd);
}

static const struct kvm_ops host_ops = {
	.open = host_open,
	.ioctl = host_ioctl,
	.map = host_map,
	.unmap = host_unmap,
	.close = host_close,
};

int
kvm_open(struct kvm **kp, const struct kvm_ops *ops, void *arg)
{
	struct kvm *k;
	int r;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return -ENOMEM;
	k->ops = ops != NULL ? ops : &host_ops;
	k->arg = arg;
	k->vm_fd = -1;
	if ((k->sys_fd = r = k->ops->open(arg)) < 0)
		goto out;
	if ((r = kvm_sys_ioctl(k, KVM_GET_API_VERSION, NULL)) < 0)
		goto out;
	if (r != KVM_API_VERSION) {
		r = -EPROTO;
		goto out;
	}
	*kp = k;
	return 0;
out:
	kvm_close(k);
	return r;
}

void
kvm_close(struct kvm *k)
{
	if (k == NULL)
		return;
	kvm_destroy_vm(k);
	if (k->sys_fd >= 0)
		k->ops->close(k->arg, k->sys_fd);
	free(k);
}

static int
enable_cap(struct kvm *k, unsigned int cap, uint64_t value)
{
	struct kvm_enable_cap e = { .cap = cap, .args = { value } };
	int r = kvm_vm_ioctl(k, KVM_ENABLE_CAP, &e);

	return r < 0 ? r : 0;
}

/*
 * Dirty pages are cleared by us, range by range, instead of all at once inside
 * the get: no long hold of the MMU lock. With "initially set" the kernel write
 * protects nothing at the start either; gmem_dirty_start then clears in ranges.
 */
static void
ask_for_manual_dirty_log(struct kvm *k)
{
	int has = kvm_cap(k, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	uint64_t want = (uint64_t)has & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
	    KVM_DIRTY_LOG_INITIALLY_SET);

	if (want & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		k->dirty_manual = enable_cap(k,
		    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, want) == 0;
}

int
kvm_create_vm(struct kvm *k)
{
	int r;

	if (k->vm_fd >= 0)
		return -EEXIST;
	/* The kernel may be interrupted while it makes the machine. */
	do
		r = kvm_sys_ioctl(k, KVM_CREATE_VM, NULL);
	while (r == -EINTR);
	if (r < 0)
		return r;
	k->vm_fd = r;
	ask_for_manual_dirty_log(k);
	return 0;
}

void
kvm_destroy_vm(struct kvm *k)
{
	if (k->vm_fd >= 0)
		k->ops->close(k->arg, k->vm_fd);
	k->vm_fd = -1;
	k->dirty_manual = false;
}

int
kvm_sys_ioctl(struct kvm *k, unsigned long request, void *param)
{
	return k->ops->ioctl(k->arg, k->sys_fd, request, (uintptr_t)param);
}

int
kvm_vm_ioctl(struct kvm *k, unsigned long request, void *param)
{
	return k->ops->ioctl(k->arg, k->vm_fd, request, (uintptr_t)param);
}

int
kvm_cpu_ioctl(struct kvm_cpu *c, unsigned long request, void *param)
{
	return c->kvm->ops->ioctl(c->kvm->arg, c->fd, request,
	    (uintptr_t)param);
}

int
kvm_cap(struct kvm *k, unsigned int cap)
{
	int fd = k->vm_fd >= 0 ? k->vm_fd : k->sys_fd;
	int r = k->ops->ioctl(k->arg, fd, KVM_CHECK_EXTENSION, cap);

	return r < 0 ? 0 : r;
}

int
kvm_slot_set(struct kvm *k, unsigned int slot, uint64_t gpa, void *host,
    uint64_t len_bytes, bool log_dirty)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = gpa,
		.memory_size = len_bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return kvm_vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, &region);
}

int
kvm_dirty_get(struct kvm *k, unsigned int slot, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot };

	log.dirty_bitmap = bitmap;
	return kvm_vm_ioctl(k, KVM_GET_DIRTY_LOG, &log);
}

int
kvm_dirty_clear(struct kvm *k, unsigned int slot, uint64_t first_page,
    uint32_t n_pages, uint64_t *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot,
		.first_page = first_page,
		.num_pages = n_pages,
	};

	log.dirty_bitmap = bitmap;
	return kvm_vm_ioctl(k, KVM_CLEAR_DIRTY_LOG, &log);
}

bool
kvm_dirty_manual(const struct kvm *k)
{
	return k->dirty_manual;
}

int
kvm_irq_line(struct kvm *k, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	return kvm_vm_ioctl(k, KVM_IRQ_LINE, &line);
}

int
kvm_cpu_new(struct kvm_cpu **cp, struct kvm *k, unsigned int index)
{
	struct kvm_cpu *c;
	int r;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -ENOMEM;
	c->kvm = k;
	c->fd = -1;
	if ((r = kvm_sys_ioctl(k, KVM_GET_VCPU_MMAP_SIZE, NULL)) < 0)
		goto out;
	c->area_len = (size_t)r;
	r = k->ops->ioctl(k->arg, k->vm_fd, KVM_CREATE_VCPU, index);
	if (r < 0)
		goto out;
	c->fd = r;
	c->area = k->ops->map(k->arg, c->fd, c->area_len);
	if (c->area == NULL) {
		r = -ENOMEM;
		goto out;
	}
	*cp = c;
	return 0;
out:
	kvm_cpu_free(c);
	return r;
}

void
kvm_cpu_free(struct kvm_cpu *c)
{
	if (c == NULL)
		return;
	if (c->area != NULL)
		c->kvm->ops->unmap(c->kvm->arg, c->area, c->area_len);
	if (c->fd >= 0)
		c->kvm->ops->close(c->kvm->arg, c->fd);
	free(c);
}

struct kvm_run *
kvm_cpu_area(struct kvm_cpu *c)
{
	return c->area;
}

int
kvm_cpu_run(struct kvm_cpu *c)
{
	int r = kvm_cpu_ioctl(c, KVM_RUN, NULL);

	return r < 0 ? r : 0;
}
