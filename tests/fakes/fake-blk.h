/* SPDX-License-Identifier: ISC */
/*
 * A block device in fake surroundings with a disk behind it and a driver before it,
 * which asks one thing at a time and waits for the answer. Knows the layout of a
 * request; deliberately not what a right answer is.
 */
#ifndef FAKE_BLK_H
#define FAKE_BLK_H

#include "disk.h"
#include "fakes/fake-driver.h"

#define FBLK_BYTES	(2u << 20)	/* of its disk */
#define FBLK_SECTOR	512u
#define FBLK_F_FLUSH	(1ULL << 9)
#define FBLK_F_ALL	(FBLK_F_FLUSH | 1ULL << 13 | 1ULL << 14 | 1ULL << 28)

/* Where fblk_offer() lays out a request in guest memory. */
#define FBLK_HEADER	DRV_DATA
#define FBLK_STATUS	(DRV_DATA + 0x100u)
#define FBLK_DATA	(DRV_DATA + 0x1000u)

/* Types of requests; statuses, and what stands there before one is written. */
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NONE = 0xff };

struct fake_blk {
	struct fake_env	f;
	struct fake_driver drv;
	struct dev	*dev;
	struct disk	*disk;		/* NULL: an empty slot */
	struct disk_io_ops io;		/* of every disk made here */
	unsigned int	syncs;		/* of those */
	bool		full;		/* storage takes no more; atomic */
};

/*
 * A device on a disk of zeroes, started, and a driver that has negotiated these
 * features. Aborts when it cannot be had, as all here.
 */
void	fblk_init(struct fake_blk *b, bool read_only, uint64_t features);
/* A device without a disk, started; no driver yet. */
void	fblk_init_empty(struct fake_blk *b);
void	fblk_fini(struct fake_blk *b);

/* Another disk of zeroes, and another device on one (NULL: none); the caller's. */
struct disk *fblk_new_disk(struct fake_blk *b, bool read_only);
struct dev *fblk_new_device(struct fake_blk *b, struct disk *on);
/* Take the device out of the bus, for another one to be made; it stays. */
void	fblk_clear_bus(struct fake_blk *b);

/* The device as the machine starts and stops it. */
void	fblk_start(struct fake_blk *b);
void	fblk_stop(struct fake_blk *b);

/* Offer a request of len bytes of data in descriptors 0..2, and kick. */
void	fblk_offer(struct fake_blk *b, uint32_t type, uint64_t sector,
	    uint32_t len);
/* Offer one and wait. Its status, or -1 after ten seconds. */
int	fblk_ask(struct fake_blk *b, uint32_t type, uint64_t sector,
	    uint32_t len);

/* The device has answered exactly so many; false also after ten seconds. */
bool	fblk_answered(struct fake_blk *b, unsigned int n);
/* It has asked, once, that the machine stands still; likewise. */
bool	fblk_asked_for_room(struct fake_blk *b);
/* The status that the latest request has now. */
int	fblk_status(struct fake_blk *b);

/* A request's header; len bytes of data that are c; range i of a discard. */
void	fblk_put_header(struct fake_blk *b, uint32_t type, uint64_t sector);
void	fblk_fill(struct fake_blk *b, int c, size_t len);
void	fblk_put_range(struct fake_blk *b, unsigned int i, uint64_t sector,
	    uint32_t n, uint32_t flags);

/* The byte at this offset of the data, and of the disk. */
int	fblk_data_at(struct fake_blk *b, uint64_t offset);
int	fblk_stored_at(struct fake_blk *b, uint64_t at);

#endif
