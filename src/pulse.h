/* SPDX-License-Identifier: ISC */
/*
 * Whether the peer is still there: when it was heard, when to let it hear from us,
 * and what silence means. Pure arithmetic on the time it is given, in nanoseconds;
 * sends nothing and asks no kernel.
 */
#ifndef PULSE_H
#define PULSE_H

#include <stdbool.h>
#include <stdint.h>

struct pulse {
	uint64_t	heard_ns;
	uint64_t	beat_ns;	/* our last */
	uint64_t	doubt_ns;	/* since when; 0: no doubt */
	unsigned int	beats;		/* of ours so far */
};

/* Begins as if the peer had just been heard. */
void	pulse_init(struct pulse *p, uint64_t now_ns);

/* Bytes came. */
void	pulse_heard(struct pulse *p, uint64_t now_ns);

/* Somebody says that the link is gone; said again, it changes nothing. */
void	pulse_doubt(struct pulse *p, uint64_t now_ns);

/* A heartbeat is due; and it has been sent. */
bool	pulse_beat_due(const struct pulse *p, uint64_t now_ns);
void	pulse_beaten(struct pulse *p, uint64_t now_ns);

/* Why the link counts as lost, or NULL as long as it does not. */
const char *pulse_lost(struct pulse *p, uint64_t now_ns);

/*
 * So long without a word that the kernel is to be asked whether what we sent has
 * been answered; a peer's kernel is never as busy as the peer. When it has not
 * been for longer than PULSE_UNANSWERED_NS, nothing gets through: TCP tries three
 * times in that, as it backs off.
 */
#define PULSE_UNANSWERED_NS	4000000000ULL
bool	pulse_faint(const struct pulse *p, uint64_t now_ns);

#endif
