/* SPDX-License-Identifier: ISC */
/* 128 random bits as text. Knows nothing of what they will name. */
#include "transfer-id.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

int
transfer_id_new(char id[TRANSFER_ID_LEN + 1])
{
	unsigned char bytes[TRANSFER_ID_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}
