/* SPDX-License-Identifier: ISC */
/*
 * personactl image pack: a kernel, an initramfs and a disk become one template
 * file. Works without personad, where images are built. Knows no format; the
 * writer of persona files does.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl-image.h"
#include "ctl-outfile.h"
#include "ctl-policy.h"
#include "ctl.h"
#include "envelope.h"
#include "image.pb-c.h"
#include "personafile.h"
#include "space.h"
#include "spec.h"

#define STEP_PAGES	256u
#define DEFAULT_RAM_BYTES (512ULL << 20)
/* A template has no id: each persona made from it gets one. */
#define NO_ID		"00000000000000000000000000000000"

enum { KERNEL, INITRD, DISK, N_FILES };

struct pack {
	struct ctl	*ctl;
	const char	*paths[N_FILES];
	int		fds[N_FILES];
	uint64_t	bytes[N_FILES];
	const char	*name, *cmdline, *label, *policy_path, *out;
	const char	*arch, *baseline;
	uint64_t	ram_bytes;
	uint8_t		policy[POLICY_SIGNED_MAX + 1];
	size_t		policy_len;
};

/* --- what goes in ---------------------------------------------------------------------- */

static int
open_file(struct pack *p, size_t i, uint64_t max_bytes)
{
	struct stat st;

	if (p->paths[i] == NULL)
		return CTL_OK;
	p->fds[i] = open(p->paths[i], O_RDONLY | O_CLOEXEC);
	if (p->fds[i] < 0 || fstat(p->fds[i], &st) < 0)
		return ctl_fail(p->ctl, "%s: %s", p->paths[i],
		    strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < 1 ||
	    (uint64_t)st.st_size > max_bytes)
		return ctl_fail(p->ctl, "%s: is no file, empty, or larger "
		    "than %llu bytes", p->paths[i],
		    (unsigned long long)max_bytes);
	p->bytes[i] = (uint64_t)st.st_size;
	return CTL_OK;
}

static int
open_files(struct pack *p)
{
	int status;

	if ((status = open_file(p, KERNEL, BOOT_FILE_MAX_BYTES)) != CTL_OK ||
	    (status = open_file(p, INITRD, BOOT_FILE_MAX_BYTES)) != CTL_OK ||
	    (status = open_file(p, DISK, DISK_MAX_BYTES)) != CTL_OK)
		return status;
	if (p->bytes[DISK] % PAGE_BYTES != 0)
		return ctl_fail(p->ctl, "%s: a disk is a multiple of 4096 "
		    "bytes ('truncate -s %%4096' makes it so)",
		    p->paths[DISK]);
	return CTL_OK;
}

/* The messages of a manifest, all in one place; nothing is on the heap. */
struct manifest {
	Persona__Image__Manifest	image;
	Persona__Transfer__Persona	persona;
	Persona__Spec__Spec		spec;
	Persona__Spec__Boot		kernel, initrd;
	Persona__Spec__Disk		disk, *disks[1];
};

static void
describe(const struct pack *p, struct manifest *m)
{
	persona__image__manifest__init(&m->image);
	persona__transfer__persona__init(&m->persona);
	persona__spec__spec__init(&m->spec);
	persona__spec__boot__init(&m->kernel);
	persona__spec__boot__init(&m->initrd);
	persona__spec__disk__init(&m->disk);
	m->kernel.bytes = p->bytes[KERNEL];
	m->initrd.bytes = p->bytes[INITRD];
	m->disk.bytes = p->bytes[DISK];
	m->disks[0] = &m->disk;
	m->spec.kernel = &m->kernel;
	m->spec.initrd = p->fds[INITRD] >= 0 ? &m->initrd : NULL;
	m->spec.n_disks = p->fds[DISK] >= 0 ? 1 : 0;
	m->spec.disks = m->disks;
	m->spec.arch = (char *)(uintptr_t)p->arch;
	m->spec.has_fresh = m->spec.fresh = true;
	m->spec.has_policy = p->policy_len > 0;
	m->spec.policy.data = (uint8_t *)(uintptr_t)p->policy;
	m->spec.policy.len = p->policy_len;
	m->persona.id = (char *)(uintptr_t)NO_ID;
	m->persona.name = (char *)(uintptr_t)p->name;
	m->persona.ram_bytes = p->ram_bytes;
	m->persona.vcpus = 1;
	m->persona.cpu_baseline = (char *)(uintptr_t)p->baseline;
	m->persona.tenure = 1;
	m->persona.cmdline = (char *)(uintptr_t)p->cmdline;
	m->persona.spec = &m->spec;
	m->image.version = IMAGE_VERSION;
	m->image.kind = PERSONA__IMAGE__MANIFEST__KIND__TEMPLATE;
	m->image.persona = &m->persona;
	m->image.has_created_unix_s = true;
	m->image.created_unix_s = (uint64_t)time(NULL);
	m->image.label = (char *)(uintptr_t)p->label;
	m->image.software = (char *)(uintptr_t)PACKAGE_STRING;
}

/* --- writing ---------------------------------------------------------------------------- */

static int
out_bytes(void *arg, const void *data, size_t len)
{
	const int *fd = arg;
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = write(*fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Put each file behind its region; they are the space's from here on. */
static int
back_space(struct pack *p, struct space *s)
{
	const struct space_plan *plan = space_regions(s);
	int r = 0;

	for (size_t i = 0; i < plan->n_regions && r == 0; i++) {
		int *fd = plan->regions[i].kind == SPACE_DISK ? &p->fds[DISK] :
		    plan->regions[i].kind == SPACE_KERNEL ? &p->fds[KERNEL] :
		    plan->regions[i].kind == SPACE_INITRD ? &p->fds[INITRD] :
		    NULL;

		if (fd == NULL)
			continue;
		r = space_back(s, i, fd, 1, false);
		*fd = -1;
	}
	return r;
}

static int
write_all(struct pack *p, struct manifest *m, int out_fd)
{
	const struct envelope_lock open_to_all = { .passphrase = NULL };
	struct personafile_writer *w = NULL;
	struct envelope_writer *e = NULL;
	struct space *s = NULL;
	struct space_plan plan;
	int r;

	if ((r = space_plan(&plan, p->ram_bytes, &m->spec)) < 0 ||
	    (r = space_new(&s, &plan)) < 0 || (r = back_space(p, s)) < 0 ||
	    (r = envelope_writer_new(&e, &open_to_all, out_bytes,
	    &out_fd)) < 0 ||
	    (r = personafile_writer_new(&w, e, s, &m->image, NULL)) < 0)
		goto out;
	while ((r = personafile_write(w, STEP_PAGES)) == 0)
		;
	if (r == 1 && (r = envelope_finish(e)) == 0 && fsync(out_fd) < 0 &&
	    errno != EINVAL && errno != EROFS)
		r = -errno;
out:
	personafile_writer_free(w);
	envelope_writer_free(e);
	space_free(s);
	return r;
}

static int
pack_to(struct pack *p)
{
	struct manifest m;
	struct outfile o;
	const char *why;
	int r, status;

	describe(p, &m);
	if (spec_check(&m.spec, &why) < 0)
		return ctl_fail(p->ctl, "%s: %s", p->out, why);
	if ((status = outfile_open(p->ctl, &o, p->out)) != CTL_OK)
		return status;
	if ((r = write_all(p, &m, o.fd)) < 0)
		status = ctl_fail(p->ctl, "%s: %s", p->out, strerror(-r));
	else
		status = outfile_publish(p->ctl, &o);
	outfile_close(&o);
	return status == CTL_OK ? ctl_done(p->ctl) : status;
}

/* --- the command -------------------------------------------------------------------------- */

static int
take_policy(struct pack *p)
{
	uint8_t key[POLICY_KEY_BYTES];
	struct policy rules;

	return p->policy_path == NULL ? CTL_OK : ctl_policy_read(p->ctl,
	    p->policy_path, p->policy, &p->policy_len, &rules, key);
}

int
ctl_image_pack(struct ctl *ctl, const struct image_pack_options *o)
{
	struct pack p = {
		.ctl = ctl,
		.paths = { o->kernel, o->initrd, o->disk },
		.fds = { -1, -1, -1 },
		.name = o->name, .cmdline = o->cmdline, .label = o->label,
		.arch = o->arch != NULL ? o->arch : spec_host_arch(),
		.policy_path = o->policy, .out = o->out,
		.ram_bytes = o->ram_bytes > 0 ? o->ram_bytes :
		    DEFAULT_RAM_BYTES,
	};
	int status;

	if ((p.baseline = spec_usual_baseline(p.arch)) == NULL)
		return ctl_fail(ctl, "no CPU baseline is known of %s; say "
		    "--arch", p.arch);
	if ((status = open_files(&p)) == CTL_OK &&
	    (status = take_policy(&p)) == CTL_OK)
		status = pack_to(&p);
	for (size_t i = 0; i < N_FILES; i++)
		if (p.fds[i] >= 0)
			close(p.fds[i]);
	return status;
}
