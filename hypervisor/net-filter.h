/* SPDX-License-Identifier: ISC */
/*
 * Which frames of a guest may go out at all. Knows no socket.
 */
#ifndef NET_FILTER_H
#define NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * False for a packet to an address that means "this very host" to whoever opens a
 * socket to it: 127/8, 0/8, ::, ::1, and IPv4 in IPv6's clothes. Opened on behalf
 * of the guest it would lead to the handset's own local services.
 */
bool	net_filter_passes(const uint8_t *frame, size_t len);

#endif
