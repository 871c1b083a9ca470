/* SPDX-License-Identifier: ISC */
/* Judges, packs and unpacks a Spec. Decides nothing from what it says. */
#include "config.h"

#include "spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

#define MAC_BYTES	6u
#define ROOT_BYTES	32u
#define ARCH_MAX	15u
#define PORT_MAX	65535u
#define CPU_PERCENT_MAX	(100u * 1024)
#define ADDRESS_MAX	63u

static bool
word_ok(const char *s, size_t max)
{
	size_t n = strnlen(s, max + 1);

	if (n == 0 || n > max)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

bool
spec_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > PERSONA_NAME_MAX || name[0] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static const char *
wrong_disk(const Persona__Spec__Disk *d)
{
	if (d->bytes < DISK_MIN_BYTES || d->bytes > DISK_MAX_BYTES)
		return "a disk has 4 KiB to 256 GiB";
	if (d->bytes % PAGE_BYTES != 0)
		return "a disk's size is not a multiple of 4096";
	if (d->has_template_root && d->template_root.len != ROOT_BYTES)
		return "a disk's template is not named by a root hash";
	return NULL;
}

static const char *
wrong_forward(const Persona__Spec__Forward *f)
{
	if (f->host_port < 1 || f->host_port > PORT_MAX ||
	    f->guest_port < 1 || f->guest_port > PORT_MAX)
		return "a forwarded port is not 1 to 65535";
	if (f->host != NULL && !word_ok(f->host, ADDRESS_MAX))
		return "a forward's address is not an address";
	return NULL;
}

static const char *
wrong_net(const Persona__Spec__Net *n)
{
	const char *why = NULL;

	/* Locally administered and not a group's (IEEE 802-2014, 8.2). */
	if (n->mac.len != MAC_BYTES || (n->mac.data[0] & 3) != 2)
		return "the network card's address is not a private one";
	if (n->n_forwards > FORWARDS_MAX)
		return "there are more than 32 forwarded ports";
	for (size_t i = 0; i < n->n_forwards && why == NULL; i++)
		why = wrong_forward(n->forwards[i]);
	return why;
}

static bool
boot_ok(const Persona__Spec__Boot *b)
{
	return b == NULL || (b->bytes >= 1 && b->bytes <= BOOT_FILE_MAX_BYTES);
}

static const char *
wrong_spec(const Persona__Spec__Spec *s)
{
	const char *why = NULL;

	if (s->n_disks > DISKS_MAX)
		return "there are more than 2 disks";
	for (size_t i = 0; i < s->n_disks && why == NULL; i++)
		why = wrong_disk(s->disks[i]);
	if (why == NULL && s->net != NULL)
		why = wrong_net(s->net);
	if (why != NULL)
		return why;
	if (s->limits != NULL && s->limits->has_cpu_percent &&
	    (s->limits->cpu_percent < 1 ||
	    s->limits->cpu_percent > CPU_PERCENT_MAX))
		return "the processor limit is out of bounds";
	if (s->limits != NULL && s->limits->has_memory_bytes &&
	    (s->limits->memory_bytes < LIMIT_MEMORY_MIN_BYTES ||
	    s->limits->memory_bytes > RAM_MAX_BYTES))
		return "a persona may have 8 MiB to 8 GiB beside its own memory";
	if (s->arch != NULL && !word_ok(s->arch, ARCH_MAX))
		return "the processor architecture is not a name";
	if (!boot_ok(s->kernel) || !boot_ok(s->initrd) ||
	    (s->initrd != NULL && s->kernel == NULL))
		return "the boot files' sizes are out of bounds";
	return NULL;
}

int
spec_check(const Persona__Spec__Spec *s, const char **why)
{
	*why = wrong_spec(s);
	return *why == NULL ? 0 : -EPROTO;
}

int
spec_pack(const Persona__Spec__Spec *s, struct packed_spec *out,
    const char **why)
{
	size_t len;
	int r;

	*why = NULL;
	out->len = 0;
	if (s == NULL)
		return 0;
	if ((r = spec_check(s, why)) < 0)
		return r;
	len = persona__spec__spec__get_packed_size(s);
	if (len > sizeof(out->bytes)) {
		*why = "what the persona is made of takes more than 8 KiB";
		return -EMSGSIZE;
	}
	out->len = persona__spec__spec__pack(s, out->bytes);
	return 0;
}

int
spec_unpack(const struct packed_spec *in, Persona__Spec__Spec **sp)
{
	Persona__Spec__Spec *s;
	const char *why;
	int r;

	*sp = NULL;
	if (in->len > sizeof(in->bytes))
		return -EPROTO;
	s = persona__spec__spec__unpack(NULL, in->len, in->bytes);
	if (s == NULL)
		return -EPROTO;
	if ((r = spec_check(s, &why)) < 0) {
		persona__spec__spec__free_unpacked(s, NULL);
		return r;
	}
	*sp = s;
	return 0;
}

const char *
spec_host_arch(void)
{
	return HOST_ARCH;
}

int
spec_check_host(const Persona__Spec__Spec *s, char *why, size_t size)
{
	if (s == NULL || s->arch == NULL || strcmp(s->arch, HOST_ARCH) == 0)
		return 0;
	snprintf(why, size, "it is made for %s; this handset is %s", s->arch,
	    HOST_ARCH);
	return -ENOEXEC;
}

/* The levels of the psABI, and Arm's editions as compilers spell them. */
static const struct family {
	const char	*arch;
	const char	*prefix;
	const char	*usual;
} families[] = {
	{ "x86-64", "x86-64-v", "x86-64-v2" },
	{ "arm64", "armv", "armv8-a" },
};

static const struct family *
family_of(const char *arch)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strcmp(families[i].arch, arch) == 0)
			return &families[i];
	return NULL;
}

const char *
spec_usual_baseline(const char *arch)
{
	const struct family *f = family_of(arch);

	return f != NULL ? f->usual : NULL;
}

bool
spec_baseline_fits(const Persona__Spec__Spec *s, const char *baseline)
{
	const struct family *f = s != NULL && s->arch != NULL ?
	    family_of(s->arch) : NULL;

	return f == NULL ||
	    strncmp(baseline, f->prefix, strlen(f->prefix)) == 0;
}

void
spec_drop_boot(Persona__Spec__Spec *s)
{
	if (s->kernel != NULL)
		persona__spec__boot__free_unpacked(s->kernel, NULL);
	if (s->initrd != NULL)
		persona__spec__boot__free_unpacked(s->initrd, NULL);
	s->kernel = NULL;
	s->initrd = NULL;
}

void
spec_drop_templates(Persona__Spec__Spec *s)
{
	for (size_t i = 0; i < s->n_disks; i++) {
		free(s->disks[i]->template_root.data);
		s->disks[i]->template_root.data = NULL;
		s->disks[i]->template_root.len = 0;
		s->disks[i]->has_template_root = 0;
	}
}

int
spec_take_templates(Persona__Spec__Spec *s, const Persona__Spec__Spec *from)
{
	spec_drop_templates(s);
	for (size_t i = 0; from != NULL && i < s->n_disks &&
	    i < from->n_disks; i++) {
		const Persona__Spec__Disk *base = from->disks[i];
		Persona__Spec__Disk *disk = s->disks[i];

		if (!base->has_template_root || base->template_root.len == 0)
			continue;
		disk->template_root.data = malloc(base->template_root.len);
		if (disk->template_root.data == NULL)
			return -ENOMEM;
		memcpy(disk->template_root.data, base->template_root.data,
		    base->template_root.len);
		disk->template_root.len = base->template_root.len;
		disk->has_template_root = 1;
	}
	return 0;
}
