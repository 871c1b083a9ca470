/* SPDX-License-Identifier: ISC */
/*
 * One request of a virtio block device, from a descriptor chain to its answer.
 * Knows no queue and no thread. Source: VIRTIO 1.2, section 5.2.6.
 */
#ifndef BLK_REQUEST_H
#define BLK_REQUEST_H

#include <stdint.h>
#include <sys/uio.h>

#include "virtio.h"

struct disk;

#define BLK_SECTOR_BYTES	512u
/* Bounds told to the driver: segments of data in a request, bytes in one. */
#define BLK_SEGMENTS_MAX	126u
#define BLK_SEGMENT_BYTES	(128u << 10)
/* Header, data, status: no honest chain is longer. */
#define BLK_CHAIN_MAX		(16u + BLK_SEGMENTS_MAX * BLK_SEGMENT_BYTES + 1u)
/* Discard: sectors in a range, ranges in a request; write zeroes: one range. */
#define BLK_DISCARD_SECTORS	(1u << 21)
#define BLK_DISCARD_RANGES	16u
#define BLK_ZEROES_SECTORS	(1u << 15)
#define BLK_ID_BYTES		20u

/* A request as the chain has it; `chain` must outlive it. */
struct blk_request {
	const struct virtq_chain *chain;
	uint32_t	type;
	uint64_t	sector;
	uint64_t	data_bytes;
	unsigned int	n_data;
	struct iovec	data[VIRTQ_NUM_MAX];	/* what it moves, in guest memory */
	uint8_t		*status;		/* its last writable byte */
};

/*
 * Take a chain apart. 0, or -EPROTO when it has no header or no place for the
 * status: then nobody can be told, and the device is broken.
 */
int	blk_request_parse(struct blk_request *q, const struct virtq_chain *c);

/*
 * Do what it asks on the disk and put the status in its place; `id` is the
 * disk's name for GET_ID. Guest memory that was written is marked dirty. With
 * `write_through` (the driver knows no flush) a change is durable when this
 * returns. 0 with how many bytes of the chain were written, for the used ring;
 * -ENOSPC when the host's storage is full: the guest has not been told, and the
 * request can be done again as a whole.
 */
int	blk_request_run(const struct blk_request *q, struct disk *disk,
	    struct gmem *gmem, const char *id, bool write_through,
	    uint32_t *written);

#endif
