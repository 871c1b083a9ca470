/* SPDX-License-Identifier: ISC */
/* Makes both ends and hands one to persona-vmm. */
#include "dirty-log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ATTACH_TIMEOUT_MS	5000

/* Sealed at its size: whoever maps it is safe from the other side. */
static int
make_bitmap(uint64_t n_pages, int *fdp)
{
	uint64_t words = (n_pages + 63) / 64;
	int fd = memfd_create("persona-dirty", MFD_CLOEXEC |
	    MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(words * 8)) < 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*fdp = fd;
	return 0;
}

int
dirty_log_open(struct vmm *v, uint64_t n_pages, int *transfer_fd,
    int *dirty_fd, vmm_done_fn *done, void *arg)
{
	Persona__Vmm__Request req = PERSONA__VMM__REQUEST__INIT;
	Persona__Vmm__TransferAttach attach =
	    PERSONA__VMM__TRANSFER_ATTACH__INIT;
	int sv[2] = { -1, -1 }, dirty = -1, fds[2], r;

	if (v == NULL)
		return -ESHUTDOWN;
	if ((r = make_bitmap(n_pages, &dirty)) < 0)
		return r;
	if ((r = ipc_pair(sv)) == 0) {
		fds[0] = sv[1];
		fds[1] = dirty;
		req.what_case = PERSONA__VMM__REQUEST__WHAT_TRANSFER;
		req.transfer = &attach;
		r = vmm_request(v, &req, fds, 2, ATTACH_TIMEOUT_MS, done, arg);
		close(sv[1]);
	}
	if (r < 0) {
		if (sv[0] >= 0)
			close(sv[0]);
		close(dirty);
		return r;
	}
	*transfer_fd = sv[0];
	*dirty_fd = dirty;
	return 0;
}
