/* SPDX-License-Identifier: ISC */
/*
 * Pairing as personad sees it: at most one at a time, always with a person of ours
 * waiting for it, carried by a persona-pair process. Pins the key when both
 * persons have said yes. Knows no digits' making; that is pairing.c, elsewhere.
 */
#ifndef PAIRINGS_H
#define PAIRINGS_H

#include <stdbool.h>
#include <stdint.h>

struct control_request;
struct daemon;
struct pairings;

/* No pairing runs. 0 or -ENOMEM; freeing ends those that do. */
int	pairings_new(struct pairings **pp, struct daemon *d);
void	pairings_free(struct pairings *p);

/* A caller whose first bytes are "PAIR"; `arg` is the daemon. Takes fd. */
void	pairings_caller(void *arg, int fd, const char *address);

/* Our person begins, or waits to be called. Answered to `done`. */
void	pairings_offer(struct daemon *d, struct control_request *req,
	    const char *peer);
void	pairings_wait(struct daemon *d, struct control_request *req,
	    uint32_t timeout_ms);

/* Our person has compared. 0, or -ESRCH when that pairing is over. */
int	pairings_answer(struct daemon *d, uint64_t pairing_id, bool same);

#endif
