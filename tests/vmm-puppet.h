/* SPDX-License-Identifier: ISC */
/*
 * One real persona-vmm on strings: started with its two sockets, asked through
 * vmm.proto, and heard on the guest's serial line. For programs that drive it; what
 * goes wrong with the machine itself ends them.
 */
#ifndef VMM_PUPPET_H
#define VMM_PUPPET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bounds.h"
#include "vmm.pb-c.h"

#define VMM_RAM_BYTES		(64ULL << 20)
#define VMM_BITMAP_BYTES	(VMM_RAM_BYTES / PAGE_BYTES / 8)
#define VMM_ID			"0123456789abcdef0123456789abcdef"
#define VMM_LINE_TIMEOUT_MS	20000

/* Where things are: the program, the small guest, a directory for sockets. */
struct vmm_site {
	const char	*vmm, *guest, *dir;
};

/* One persona-vmm process and what we hold of it. */
struct vmm {
	const struct vmm_site *site;
	pid_t	pid;
	int	ctl;		/* owner connection */
	int	console;
	int	ram_fd;
	char	listen_path[108];
	char	line[512];	/* last console line that matched */
	char	pending[4096];	/* console bytes not yet a line */
	size_t	n_pending;
};

/* A line that says so, and the end. */
void	vmm_die(const char *what);
void	vmm_sleep_ms(int ms);

/* --- processes ------------------------------------------------------------- */

void	vmm_spawn(struct vmm *v, const struct vmm_site *site);
/* Spawned, created from the small guest, started. */
void	vmm_boot(struct vmm *v, const struct vmm_site *site, uint32_t vcpus,
	    const char *cmdline);
/* Takes ram_fd. The reply's error. */
int	vmm_create(struct vmm *v, int ram_fd, bool boot, const char *baseline,
	    uint32_t vcpus, const char *cmdline);
int	vmm_ram_new(void);
int	vmm_connect(const char *path);
/* The process's exit status, -1 when it did not exit in time. */
int	vmm_wait(struct vmm *v);
/* Kill it if it is there, and forget it. */
void	vmm_end(struct vmm *v);

/* --- the protocol ---------------------------------------------------------- */

/* A request `q` with its body `q_body`. */
#define VMM_REQUEST(q, CASE, field, type, init) \
	Persona__Vmm__Request q = PERSONA__VMM__REQUEST__INIT; \
	Persona__Vmm__##type q##_body = PERSONA__VMM__##init##__INIT; \
	q.what_case = PERSONA__VMM__REQUEST__WHAT_##CASE; \
	q.field = &q##_body

/*
 * Ask and wait for the answer. The reply's error, or -EPIPE when there was none;
 * the whole message in *mp, its descriptor in *out_fd, when asked for.
 */
int	vmm_rpc(int fd, Persona__Vmm__Request *q, const int *fds, size_t n_fds,
	    Persona__Vmm__VmmMessage **mp, int *out_fd);
/* The next message, the caller's; NULL when none comes. */
Persona__Vmm__VmmMessage *vmm_receive(int fd, int *out_fd);

int	vmm_ask_start(int fd);
int	vmm_ask_pause(int fd);
int	vmm_ask_resume(int fd, uint64_t advance_ns);
int	vmm_ask_stop(int fd);
int	vmm_ask_throttle(int fd, uint32_t percent);
int	vmm_ask_harvest(int fd, Persona__Vmm__Harvest__Mode mode,
	    uint64_t *pages);
int	vmm_ask_save(int fd, int *state_fd);
int	vmm_ask_load(int fd, int state_fd);
int	vmm_ask_hello(int fd, Persona__Vmm__HelloResult__VcpuState *state,
	    int *ram_fd);
void	vmm_ask_stats(int fd, uint32_t *percent, uint64_t *run_ns);
/* Percent of the next second in which the one vCPU was let run. */
int	vmm_duty(int fd);

/* --- the guest's console --------------------------------------------------- */

/* Join it anew. */
void	vmm_console(struct vmm *v);
/* Wait for a line that begins so; it stays in v->line. */
bool	vmm_await(struct vmm *v, const char *begin, int timeout_ms);
/* The number behind " name=" in the last line, or -1. */
long long vmm_field(const struct vmm *v, const char *name);
/* A beat with nothing wrong in memory; _fresh: of after this call. */
bool	vmm_await_beat(struct vmm *v);
bool	vmm_await_fresh_beat(struct vmm *v);

#endif
