/* SPDX-License-Identifier: ISC */
/*
 * The name of one transfer: 32 lower-case hex digits, random, so that streams of
 * different transfers never meet. Also a persona's id, which looks the same.
 */
#ifndef TRANSFER_ID_H
#define TRANSFER_ID_H

#include "hexid.h"

#define TRANSFER_ID_LEN	HEXID_LEN

/* 0, or -EIO when the kernel has no random bytes. */
int	transfer_id_new(char id[TRANSFER_ID_LEN + 1]);

#endif
