/* SPDX-License-Identifier: ISC */
/*
 * personad's end of one vmm.proto control connection: requests with answers,
 * deadlines and the guest's last words. Knows the messages, not the personas;
 * starts and ends no process.
 */
#ifndef VMM_CLIENT_H
#define VMM_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc.h"
#include "vmm.pb-c.h"

struct event_base;
struct vmm;

/*
 * The answer. r == 0: `reply` holds it and its descriptors may be taken from
 * `msg`. r < 0: refused or failed, why[] is a sentence; reply and msg may be
 * NULL. -ETIMEDOUT: no answer in time; -ESHUTDOWN: the connection ended.
 */
typedef void vmm_done_fn(void *arg, int r, const char *why,
	    const Persona__Vmm__Reply *reply, struct ipc_msg *msg);

struct vmm_events {
	/* The guest ended by its own account; the process follows. */
	void	(*exited)(void *arg, const Persona__Vmm__Exited *e);
	/* The guest stands still though nobody asked for it; NULL: it goes on. */
	void	(*stood)(void *arg, const char *why);
	/* Storage has failed requests of a disk (vmm.proto). */
	void	(*disk_failed)(void *arg, const Persona__Vmm__DiskFailed *f);
	/* The connection is gone; `vmm_free` may be called from here. */
	void	(*lost)(void *arg);
};

/* Takes the socket, also on failure. 0 or -errno. */
int	vmm_new(struct vmm **vp, struct event_base *base, int fd,
	    const struct vmm_events *events, void *arg);

/*
 * Whose end this is: while that process is at work, an answer may take up to twelve
 * times as long as is said below.
 */
void	vmm_is_process(struct vmm *v, pid_t pid);

/* Open requests are answered -ESHUTDOWN first. NULL is fine. */
void	vmm_free(struct vmm *v);

/*
 * Send a request whose `what` is filled in; the id is set here. Descriptors
 * stay the caller's. `done` (may be NULL) comes once, never from within this
 * call. 0, or -errno when it could not be sent (then `done` does not come).
 */
int	vmm_request(struct vmm *v, Persona__Vmm__Request *req,
	    const int *fds, size_t n_fds, uint32_t timeout_ms,
	    vmm_done_fn *done, void *arg);

/* The requests that are only a word. */
int	vmm_hello(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);
int	vmm_start(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);
int	vmm_pause(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);
/* Its clocks kept running; those of a loaded guest go on at its save. */
int	vmm_resume(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);
/* Its clocks go on by the time since it stopped, on this handset's clock.h. */
int	vmm_resume_since(struct vmm *v, uint64_t stopped_at_ns,
	    uint32_t timeout_ms, vmm_done_fn *done, void *arg);
/* Its clocks go on by so much, which may be longer than this handset is up. */
int	vmm_resume_after(struct vmm *v, uint64_t stopped_for_ns,
	    uint32_t timeout_ms, vmm_done_fn *done, void *arg);
int	vmm_save(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);
/*
 * The machine state out of vmm_save()'s answer: its memory file in *fd, now the
 * caller's, and its length. r, when the answer was an error already; -EPROTO with
 * *why when there is no state in it, and then *fd is -1.
 */
int	vmm_take_state(int r, const Persona__Vmm__Reply *reply,
	    struct ipc_msg *msg, int *fd, uint64_t *bytes, const char **why);
int	vmm_load(struct vmm *v, int state_fd, uint32_t timeout_ms,
	    vmm_done_fn *done, void *arg);
int	vmm_stop(struct vmm *v, uint32_t timeout_ms, vmm_done_fn *done,
	    void *arg);

#endif
