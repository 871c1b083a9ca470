/* SPDX-License-Identifier: ISC */
/*
 * What each type of virtio block request does. All that the guest says is copied
 * before it is looked at, and checked against the disk. Deliberately knows no
 * queue and no thread. Source: VIRTIO 1.2, section 5.2.6.
 */
#include "blk-request.h"

#include <errno.h>
#include <string.h>

#include "disk.h"
#include "gmem.h"
#include "le.h"

#define HEADER_BYTES	16u	/* type le32, reserved le32, sector le64 */
#define RANGE_BYTES	16u	/* sector le64, sectors le32, flags le32 */

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11,
	T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define S_NO_ROOM	0xffu	/* ours: never told */

#define RANGE_F_UNMAP	1u

/* Copy `len` bytes at `skip` out of the first n buffers. How many there were. */
static uint32_t
gather(const struct virtq_buf *bufs, unsigned int n, uint64_t skip,
    uint8_t *out, uint32_t len)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		uint32_t have;

		if (skip >= bufs[i].len) {
			skip -= bufs[i].len;
			continue;
		}
		have = bufs[i].len - (uint32_t)skip;
		if (have > len - done)
			have = len - done;
		memcpy(out + done, bufs[i].ptr + skip, have);
		done += have;
		skip = 0;
	}
	return done;
}

/* The vector of bytes [skip, skip + len) of some buffers. */
static void
make_vector(struct blk_request *q, const struct virtq_buf *bufs,
    unsigned int n, uint64_t skip, uint64_t len)
{
	q->data_bytes = len;
	q->n_data = 0;
	for (unsigned int i = 0; i < n && len > 0; i++) {
		uint64_t have;

		if (skip >= bufs[i].len) {
			skip -= bufs[i].len;
			continue;
		}
		have = bufs[i].len - skip;
		if (have > len)
			have = len;
		q->data[q->n_data++] = (struct iovec){ bufs[i].ptr + skip,
		    (size_t)have };
		len -= have;
		skip = 0;
	}
}

static uint8_t *
last_byte(const struct virtq_chain *c)
{
	for (unsigned int i = c->n_read + c->n_write; i-- > c->n_read;)
		if (c->bufs[i].len > 0)
			return c->bufs[i].ptr + c->bufs[i].len - 1;
	return NULL;
}

int
blk_request_parse(struct blk_request *q, const struct virtq_chain *c)
{
	uint8_t header[HEADER_BYTES];

	if ((q->status = last_byte(c)) == NULL ||
	    gather(c->bufs, c->n_read, 0, header, HEADER_BYTES) < HEADER_BYTES)
		return -EPROTO;
	q->chain = c;
	q->type = le_get32(header);
	q->sector = le_get64(header + 8);
	/* A driver may cut a chain into buffers as it likes (2.7.4.3). */
	if (q->type == T_IN || q->type == T_GET_ID)
		make_vector(q, c->bufs + c->n_read, c->n_write, 0,
		    c->write_bytes - 1);
	else
		make_vector(q, c->bufs, c->n_read, HEADER_BYTES,
		    c->read_bytes - HEADER_BYTES);
	return 0;
}

static uint8_t
status_of(int r)
{
	return r == 0 ? S_OK : r == -ENOSPC || r == -EDQUOT ? S_NO_ROOM :
	    S_IOERR;
}

/* Where sector n begins, or beyond every disk. */
static uint64_t
sector_at(uint64_t sector)
{
	return sector > UINT64_MAX / BLK_SECTOR_BYTES ? UINT64_MAX :
	    sector * BLK_SECTOR_BYTES;
}

static uint8_t
do_transfer(const struct blk_request *q, struct disk *disk)
{
	uint64_t at = sector_at(q->sector);

	if (q->data_bytes % BLK_SECTOR_BYTES != 0)
		return S_IOERR;
	return status_of(q->type == T_IN ?
	    disk_read(disk, q->data, q->n_data, at) :
	    disk_write(disk, q->data, q->n_data, at));
}

static uint8_t
do_get_id(const struct blk_request *q, const char *id)
{
	char padded[BLK_ID_BYTES] = "";
	size_t done = 0;

	if (q->data_bytes < BLK_ID_BYTES)
		return S_IOERR;
	memcpy(padded, id, strnlen(id, sizeof(padded)));
	for (unsigned int i = 0; i < q->n_data && done < sizeof(padded); i++) {
		size_t n = q->data[i].iov_len;

		if (n > sizeof(padded) - done)
			n = sizeof(padded) - done;
		memcpy(q->data[i].iov_base, padded + done, n);
		done += n;
	}
	return S_OK;
}

static uint8_t
do_range(const struct blk_request *q, struct disk *disk, const uint8_t *range)
{
	uint64_t sector = le_get64(range);
	uint32_t n = le_get32(range + 8), flags = le_get32(range + 12);
	bool discard = q->type == T_DISCARD;

	if (flags & ~(discard ? 0 : RANGE_F_UNMAP))
		return S_UNSUPP;
	if (n > (discard ? BLK_DISCARD_SECTORS : BLK_ZEROES_SECTORS))
		return S_IOERR;
	return status_of(disk_zero(disk, sector_at(sector),
	    (uint64_t)n * BLK_SECTOR_BYTES, discard || flags != 0));
}

/* Discard and write zeroes: the data is a list of ranges. */
static uint8_t
do_ranges(const struct blk_request *q, struct disk *disk)
{
	uint64_t n = q->data_bytes / RANGE_BYTES;
	uint8_t status = S_OK;

	if (q->data_bytes % RANGE_BYTES != 0 || n == 0 ||
	    n > (q->type == T_DISCARD ? BLK_DISCARD_RANGES : 1u))
		return S_IOERR;
	for (uint64_t i = 0; i < n && status == S_OK; i++) {
		uint8_t range[RANGE_BYTES];

		gather(q->chain->bufs, q->chain->n_read,
		    HEADER_BYTES + i * RANGE_BYTES, range, RANGE_BYTES);
		status = do_range(q, disk, range);
	}
	return status;
}

/* A failed one is lost for ever (disk.h): there is nothing to do again. */
static uint8_t
flush(struct disk *disk)
{
	return disk_flush(disk) == 0 ? S_OK : S_IOERR;
}

static uint8_t
perform(const struct blk_request *q, struct disk *disk, const char *id,
    bool write_through)
{
	uint8_t status;

	switch (q->type) {
	case T_IN:
		return do_transfer(q, disk);
	case T_GET_ID:
		return do_get_id(q, id);
	case T_FLUSH:
		return flush(disk);
	case T_OUT:
		status = do_transfer(q, disk);
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		status = do_ranges(q, disk);
		break;
	default:
		return S_UNSUPP;
	}
	if (status == S_OK && write_through)
		status = flush(disk);
	return status;
}

int
blk_request_run(const struct blk_request *q, struct disk *disk,
    struct gmem *gmem, const char *id, bool write_through, uint32_t *written)
{
	const struct virtq_chain *c = q->chain;
	bool fills = q->type == T_IN || q->type == T_GET_ID;

	uint8_t status = perform(q, disk, id, write_through);

	if (status == S_NO_ROOM)
		return -ENOSPC;
	*q->status = status;
	/* Marked after it is written: until then there is nothing to see. */
	for (unsigned int i = c->n_read; i < c->n_read + c->n_write; i++)
		gmem_mark_dirty(gmem, c->bufs[i].gpa, c->bufs[i].len);
	*written = fills ? c->write_bytes : 1;
	return 0;
}
