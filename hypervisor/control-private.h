/* SPDX-License-Identifier: ISC */
/*
 * What control.c (connections, the end), request.c (what each request does) and
 * create.c (the largest of them) share, and nobody else.
 */
#ifndef CONTROL_PRIVATE_H
#define CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounds.h"
#include "hexid.h"
#include "hv.h"
#include "ipc.h"
#include "vmm.pb-c.h"

struct acceptor;
struct disk;
struct event;
struct event_base;

#define PERSONA_ID_LEN		HEXID_LEN

enum role {
	ROLE_OWNER = 1 << 0,
	ROLE_TRANSFER = 1 << 1,
};

struct conn {
	struct control	*control;
	enum role	role;
	int		fd;
	struct event	*ev;
};

struct control {
	struct event_base *base;
	struct hv_host	*host;
	struct conn	owner, transfer;	/* fd -1: nobody there */
	uid_t		owner_uid;		/* who may be the next owner */
	int		listen_fd;
	struct acceptor	*acceptor;
	struct hv	*hv;			/* NULL until Create */
	char		persona_id[PERSONA_ID_LEN + 1];
	char		name[PERSONA_NAME_MAX + 1];
	int		ram_fd;			/* handed to every new owner */
	uint64_t	ram_bytes;
	struct disk	*disks[DISKS_MAX];	/* the machine's; outlive it */
	struct bell	*disk_trouble;		/* rung when one of them fails */
	uint64_t	*bitmap;		/* shared with the transfer */
	size_t		bitmap_len;
	char		stood[HV_WHY_MAX];	/* why it stands still; "": it does not */
	struct event	*exit_ev;
	unsigned int	exit_waited_ms;
	bool		exit_told;
	int		exit_status;
	struct ipc_msg	in;			/* one datagram at a time */
};

/* What a handler gives back beside its error. */
struct answer {
	Persona__Vmm__Reply	reply;
	Persona__Vmm__HelloResult hello;
	Persona__Vmm__DiskFailed disks[DISKS_MAX], *disk_list[DISKS_MAX];
	Persona__Vmm__HarvestResult harvest;
	Persona__Vmm__SaveResult save;
	Persona__Vmm__StatsResult stats;
	Persona__Vmm__PauseResult pause;
	Persona__Vmm__ResumeResult resume;
	int	fd;			/* -1: none */
	bool	close_fd;		/* after sending */
	char	why[HV_WHY_MAX];	/* with an error */
};

/*
 * Do what is asked, if this connection may ask it now. 0 with the result in *a,
 * or -errno with a sentence in a->why (or "" when strerror says enough).
 */
int	request_run(struct conn *conn, const Persona__Vmm__Request *q,
	    struct answer *a);

/* Create: make the machine, or nothing of it. As request_run. */
int	create_machine(struct control *c, const Persona__Vmm__Request *q,
	    struct answer *a);
/* Free the machine and its disks. */
void	create_undo(struct control *c);

/* Plug the network card's cable in; takes the descriptor. As request_run. */
int	request_plug(struct control *c, int fd, struct answer *a);

/* A transfer is over: what it turned on is turned off, its bitmap unmapped. */
void	request_transfer_over(struct control *c);

/* Serve `fd` (taken, also on failure) as this connection. 0 or -ENOMEM. */
int	control_open(struct control *c, struct conn *conn, int fd);
/* Close it, if it is open, and do what its end means. */
void	control_drop(struct conn *conn);
/* Tell the owner that it stands still and why; NULL: it goes on, if it did. */
void	control_stood(struct control *c, const char *why);
/* What there is to say of disk i; false: storage has never failed it. */
bool	control_disk_failed(const struct control *c, unsigned int i,
	    Persona__Vmm__DiskFailed *out);
/* Tell the owner how the guest ended, now or when one comes; leave soon after. */
void	control_tell_end(struct control *c);

#endif
