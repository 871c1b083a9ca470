/* SPDX-License-Identifier: ISC */
/*
 * By which interface this handset reaches an address. Knows no peer and sends
 * nothing.
 */
#ifndef OUTLET_H
#define OUTLET_H

/*
 * The index of the interface by which a packet would leave now for a numeric
 * address, "%scope" allowed; a space and whatever follows it does not count. 0 when
 * there is none or it cannot be told.
 */
unsigned int	outlet_towards(const char *address);

#endif
