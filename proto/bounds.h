/* SPDX-License-Identifier: ISC */
/*
 * Every named maximum of what is parsed, stored or sent. A length that comes
 * from outside is compared with one of these before anything is allocated.
 * Knows no module; a limit lives here so that both sides refuse the same things.
 */
#ifndef BOUNDS_H
#define BOUNDS_H

/* The version of everything two handsets say to each other; see sync.proto. */
#define PROTOCOL_VERSION	1
/* The version of saved machine state; see state.proto. */
#define STATE_VERSION		1

/* Memory */
#define PAGE_BYTES		4096u
#define RAM_MIN_BYTES		(64ULL << 20)
#define RAM_MAX_BYTES		(8ULL << 30)
#define RAM_MAX_PAGES		(RAM_MAX_BYTES / PAGE_BYTES)
#define VCPUS_MAX		8
/* Beside the guest's memory; with less persona-vmm itself may not fit. */
#define LIMIT_MEMORY_MIN_BYTES	(8ULL << 20)

/* Names and texts */
#define PERSONA_NAME_MAX	63	/* [a-z0-9][a-z0-9-]*, bytes without NUL */
#define HANDSET_NAME_MAX	63	/* UTF-8, bytes without NUL */
#define CMDLINE_MAX		2047	/* guest kernel command line, bytes */
#define REASON_TEXT_MAX		511	/* a sentence for a person, bytes */
#define FINGERPRINT_MAX		63	/* "SHA256:" and base64, bytes */
#define BOOT_FILE_MAX_BYTES	(512ULL << 20)	/* kernel or initramfs */
#define SPEC_MAX		(8u << 10)	/* a packed spec.Spec, bytes */

/* Policies; see policy.proto */
#define POLICY_VERSION		1
#define POLICY_MAX		(4u << 10)	/* a packed policy.Policy, bytes */
#define POLICY_SIGNED_MAX	(POLICY_MAX + 128u)	/* and with signature and key */
#define POLICY_ISSUER_MAX	127	/* UTF-8, bytes without NUL */
#define POLICY_HANDSETS_MAX	64u	/* that one policy lists */

/* Disks and the network */
#define DISKS_MAX		2u
#define DISK_MIN_BYTES		4096u
#define DISK_MAX_BYTES		(256ULL << 30)
#define FORWARDS_MAX		32u
#define NET_FRAME_MAX		(64u << 10)	/* an Ethernet frame, bytes */
#define NET_FLOWS_MAX		256u		/* TCP connections told of a move */

/*
 * The page space: everything of a persona that moves page by page, under one
 * numbering. RAM comes first, then its disks, kernel and initramfs; each region
 * begins at a multiple of this many pages, a group of the digest tree.
 */
#define SPACE_ALIGN_PAGES	512u
#define REGIONS_MAX		(1u + DISKS_MAX + 2u)
/* With each region filled up to the next multiple. */
#define SPACE_MAX_PAGES		(RAM_MAX_PAGES + \
	    DISKS_MAX * (DISK_MAX_BYTES / PAGE_BYTES) + \
	    2 * (BOOT_FILE_MAX_BYTES / PAGE_BYTES) + \
	    REGIONS_MAX * SPACE_ALIGN_PAGES)

/* Devices of a guest */
#define CONSOLE_RING_BYTES	(64u << 10)	/* output kept for a late reader */
#define VIRTQ_NUM_MAX		256u		/* descriptors in one virtqueue */

/* Messages between processes of one handset (ipc.h) */
#define IPC_MAX_MSG		(96u << 10)	/* bytes of one datagram */
#define IPC_MAX_FDS		20u

/* Frames between handsets (frame.h) */
#define FRAME_PAYLOAD_MAX	(256u << 10)	/* bytes */
#define STATE_BLOB_MAX		(4u << 20)	/* saved machine state, bytes */
#define STREAMS_MAX		16u		/* channels of one transfer */
#define OBJECTIONS_MAX		16u		/* reasons in one Answer */
#define PROBE_MAX_BYTES		(8u << 20)	/* of PROBE frames, in all */

/* Images and persona files (image.proto, persona-file(5)) */
#define IMAGE_VERSION		1	/* of the manifest */
#define MANIFEST_MAX		(64u << 10)	/* packed, bytes */
#define LABEL_MAX		255u	/* UTF-8, bytes without NUL */
#define FILE_VERSION		1	/* of the .persona format */
#define FILE_CHUNK_PAGES	16u
#define FILE_SLOTS_MAX		16u	/* ways to open one file */
#define PASSPHRASE_MAX		1024u	/* bytes */

/* Peers */
#define PEERS_MAX		256u
#define PERSONAS_MAX		64u

#endif
