/* SPDX-License-Identifier: ISC */
/*
 * Envelope of saved machine state: version, identity, sealing. Deliberately knows
 * no field of a vCPU or device.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounds.h"

Persona__State__MachineState *
state_new(const struct state_identity *id)
{
	Persona__State__MachineState *s = malloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	persona__state__machine_state__init(s);
	s->version = STATE_VERSION;
	s->ram_bytes = id->ram_bytes;
	s->arch = strdup(id->arch);
	s->cpu_baseline = strdup(id->cpu_baseline);
	if (s->arch == NULL || s->cpu_baseline == NULL) {
		state_free(s);
		return NULL;
	}
	return s;
}

void
state_free(Persona__State__MachineState *s)
{
	if (s != NULL)
		persona__state__machine_state__free_unpacked(s, NULL);
}

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
state_pack(const Persona__State__MachineState *s, int *fd,
    uint64_t *len_bytes)
{
	size_t len = persona__state__machine_state__get_packed_size(s);
	uint8_t *bytes = NULL;
	int r = -ENOMEM, m = -1;

	if (len > STATE_BLOB_MAX)
		return -E2BIG;
	if ((bytes = malloc(len)) == NULL)
		goto out;
	persona__state__machine_state__pack(s, bytes);
	m = memfd_create("persona-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m < 0) {
		r = -errno;
		goto out;
	}
	if ((r = write_all(m, bytes, len)) < 0)
		goto out;
	if (fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
	    F_SEAL_SEAL) < 0) {
		r = -errno;
		goto out;
	}
	*fd = m;
	*len_bytes = len;
	m = -1;
	r = 0;
out:
	if (m >= 0)
		close(m);
	free(bytes);
	return r;
}

static int
identity_check(const Persona__State__MachineState *s,
    const struct state_identity *id, char *why, size_t why_len)
{
	if (s->version != STATE_VERSION) {
		snprintf(why, why_len, "the machine state is of version "
		    "%" PRIu32 ", this handset reads version %u", s->version,
		    STATE_VERSION);
		return -EPROTO;
	}
	if (strcmp(s->arch, id->arch) != 0) {
		snprintf(why, why_len, "the machine state is of a %.32s "
		    "processor, this one is %s", s->arch, id->arch);
		return -EINVAL;
	}
	if (strcmp(s->cpu_baseline, id->cpu_baseline) != 0) {
		snprintf(why, why_len, "the machine state is of CPU baseline "
		    "%.32s, this machine has %s", s->cpu_baseline,
		    id->cpu_baseline);
		return -EINVAL;
	}
	if (s->ram_bytes != id->ram_bytes) {
		snprintf(why, why_len, "the machine state is of a guest with "
		    "%" PRIu64 " bytes of memory, this one has %" PRIu64,
		    s->ram_bytes, id->ram_bytes);
		return -EINVAL;
	}
	return 0;
}

int
state_unpack(Persona__State__MachineState **sp, const uint8_t *bytes,
    size_t len_bytes, const struct state_identity *id, char *why,
    size_t why_len)
{
	Persona__State__MachineState *s = NULL;
	int r;

	if (len_bytes > 0 && len_bytes <= STATE_BLOB_MAX)
		s = persona__state__machine_state__unpack(NULL, len_bytes,
		    bytes);
	if (s == NULL) {
		snprintf(why, why_len, "the machine state is damaged");
		return -EBADMSG;
	}
	if ((r = identity_check(s, id, why, why_len)) < 0) {
		state_free(s);
		return r;
	}
	*sp = s;
	return 0;
}
