/* SPDX-License-Identifier: ISC */
/*
 * What an image may say of itself, wherever its manifest comes from. Knows neither
 * half of the format.
 */
#include "personafile.h"

#include <errno.h>
#include <string.h>

#include "reason.h"
#include "sync-state.h"

bool
personafile_has_memory(Persona__Image__Manifest__Kind kind)
{
	return kind == PERSONA__IMAGE__MANIFEST__KIND__CHECKPOINT ||
	    kind == PERSONA__IMAGE__MANIFEST__KIND__SUSPENDED;
}

static bool
printable(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

int
personafile_check_manifest(const Persona__Image__Manifest *m, const char **why)
{
	const uint64_t state = m->has_state_bytes ? m->state_bytes : 0;

	if (m->version == 0 || m->version > IMAGE_VERSION) {
		*why = "the image was made by a newer version";
		return -ENOTSUP;
	}
	/* An unknown enum value decodes as itself. */
	if ((unsigned int)m->kind > PERSONA__IMAGE__MANIFEST__KIND__TEMPLATE)
		*why = "the image is of an unknown kind";
	else if (personafile_has_memory(m->kind) != (state > 0) ||
	    m->has_state_bytes != (state > 0))
		*why = "the image has memory without machine state, or the "
		    "other way round";
	else if (state > STATE_BLOB_MAX)
		*why = "the machine state is out of bounds";
	else if (m->label != NULL && !printable(m->label, LABEL_MAX))
		*why = "the label is out of bounds";
	else if (m->software != NULL && !printable(m->software, LABEL_MAX))
		*why = "the name of the writer is out of bounds";
	else if (m->has_root && m->root.len != 32)
		*why = "the root hash is out of bounds";
	else
		return sync_check_persona(m->persona, why) < 0 ? -EBADMSG : 0;
	return -EBADMSG;
}

uint32_t
personafile_reason(int r)
{
	switch (r) {
	case 0:
		return REASON_OK;
	case -EMEDIUMTYPE:
		return REASON_FILE_FOREIGN;
	case -ENOTSUP:
		return REASON_FILE_VERSION;
	case -ENOKEY:
		return REASON_FILE_LOCKED;
	case -EKEYREJECTED:
		return REASON_FILE_PASSPHRASE;
	case -EBADMSG:
		return REASON_FILE_DAMAGED;
	case -ENODATA:
		return REASON_FILE_CUT;
	case -E2BIG:
		return REASON_FILE_TRAILING;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return REASON_DISK_FULL;
	case -ENOMEM:
		return REASON_NO_MEMORY;
	default:
		return REASON_FILE_IO;
	}
}
