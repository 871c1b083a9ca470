/* SPDX-License-Identifier: ISC */
/*
 * Checks with a finding and advice each. KVM is judged by `persona-vmm --probe`,
 * for personad never opens /dev/kvm itself. Knows no persona.
 */
#include "doctor.h"

#include <errno.h>
#include <pwd.h>
#include <shadow.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "arrival-check.h"
#include "control.h"
#include "daemon.h"
#include "discovery.h"
#include "identity.h"
#include "listen.h"
#include "peers.h"
#include "vault-fs.h"
#include "vmm-probe.h"

#define CHECKS_MAX		17
#define TEXT_MAX		256
#define PROBE_OUTPUT_MAX	4096
#define DISK_LOW_BYTES		(64ULL << 20)
#define MEMORY_LOW_BYTES	(256ULL << 20)
#define VERDICT(name) PERSONA__CONTROL__DOCTOR_RESULT__CHECK__VERDICT__##name

struct examination {
	struct daemon		*daemon;
	struct control_request	*req;
	char			out[PROBE_OUTPUT_MAX];	/* the probe's */
	Persona__Control__DoctorResult__Check checks[CHECKS_MAX];
	Persona__Control__DoctorResult__Check *list[CHECKS_MAX];
	char			findings[CHECKS_MAX][TEXT_MAX];
	char			advices[CHECKS_MAX][TEXT_MAX];
	size_t			n;
};

static void __attribute__((format(printf, 5, 6)))
check(struct examination *x, const char *name, int verdict,
    const char *advice, const char *fmt, ...)
{
	Persona__Control__DoctorResult__Check *c = &x->checks[x->n];
	va_list ap;

	if (x->n == CHECKS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(x->findings[x->n], TEXT_MAX, fmt, ap);
	va_end(ap);
	persona__control__doctor_result__check__init(c);
	c->name = (char *)(uintptr_t)name;
	c->verdict = (Persona__Control__DoctorResult__Check__Verdict)verdict;
	c->finding = x->findings[x->n];
	if (advice != NULL && advice[0] != '\0') {
		snprintf(x->advices[x->n], TEXT_MAX, "%s", advice);
		c->advice = x->advices[x->n];
	}
	x->list[x->n] = c;
	x->n++;
}

/* --- the checks ---------------------------------------------------------------------- */

/* The sentence stands alone: the last line that is no "Label: value". */
static const char *
probe_sentence(struct examination *x, char buf[TEXT_MAX])
{
	char *copy = strdup(x->out), *save = NULL, *line;

	buf[0] = '\0';
	for (line = copy != NULL ? strtok_r(copy, "\n", &save) : NULL;
	    line != NULL; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "Advice: ", 8) != 0)
			snprintf(buf, TEXT_MAX, "%s", line);
	free(copy);
	return buf;
}

static void
check_kvm(struct examination *x)
{
	char kind[TEXT_MAX], sentence[TEXT_MAX], advice[TEXT_MAX];
	char baselines[TEXT_MAX];
	int verdict = VERDICT(OK);

	if (vmm_probe_line(x->out, "KVM: ", kind, sizeof(kind)) == NULL) {
		check(x, "kvm", VERDICT(FAILED), "is persona installed whole?",
		    "persona-vmm --probe gave no answer");
		return;
	}
	if (strncmp(kind, "none", 4) == 0)
		verdict = VERDICT(FAILED);
	else if (strncmp(kind, "hardware", 8) != 0)
		verdict = VERDICT(WARNING);
	check(x, "kvm", verdict, vmm_probe_line(x->out, "Advice: ", advice,
	    sizeof(advice)), "%s: %s", kind, probe_sentence(x, sentence));
	if (vmm_probe_line(x->out, "CPU baselines: ", baselines,
	    sizeof(baselines)) != NULL)
		check(x, "cpu", VERDICT(OK), NULL, "can run personas made for "
		    "%s", baselines);
}

static void
check_memory(struct examination *x)
{
	uint64_t bytes = memory_available();

	check(x, "memory", bytes < MEMORY_LOW_BYTES ? VERDICT(WARNING) :
	    VERDICT(OK), bytes < MEMORY_LOW_BYTES ? "stop other programs or "
	    "personas" : NULL, "%llu MiB free for personas",
	    (unsigned long long)(bytes >> 20));
}

static void
check_limits(struct examination *x)
{
	const char *lack = x->daemon->limits_lack;

	if (lack[0] == '\0')
		check(x, "limits", VERDICT(OK), NULL, "one persona cannot take "
		    "memory and processors from the others");
	else
		check(x, "limits", VERDICT(WARNING), "boot with cgroup v2 "
		    "(systemd.unified_cgroup_hierarchy=1) and run personad as "
		    "root or as a service with Delegate=yes", "%s", lack);
}

static void
check_disk(struct examination *x)
{
	const char *dir = x->daemon->conf.state_dir;
	unsigned long long bytes;
	struct statvfs st;

	if (statvfs(dir, &st) < 0) {
		check(x, "disk", VERDICT(FAILED), NULL, "%.100s: %s", dir,
		    strerror(errno));
		return;
	}
	bytes = (unsigned long long)st.f_bavail * st.f_frsize;
	check(x, "disk", bytes < DISK_LOW_BYTES ? VERDICT(WARNING) :
	    VERDICT(OK), bytes < DISK_LOW_BYTES ? "make room: a record that "
	    "cannot be written stops a move" : NULL,
	    "%llu MiB free in %.100s", bytes >> 20, dir);
}

static void
check_program(struct examination *x, const char *name, const char *path,
    const char *advice)
{
	if (access(path, X_OK) == 0)
		check(x, name, VERDICT(OK), NULL, "%.200s", path);
	else
		check(x, name, VERDICT(FAILED), advice, "%.150s: %s", path,
		    strerror(errno));
}

/*
 * sshd without PAM turns away an account whose password field begins with "!",
 * whatever key is shown; "*" is as closed to passwords and open to keys.
 */
static void
check_account(struct examination *x)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct spwd *sp = pw != NULL ? getspnam(pw->pw_name) : NULL;

	if (pw == NULL)
		check(x, "account", VERDICT(FAILED), "run personad as an "
		    "account of this system", "uid %u has no account, so "
		    "nothing can be received", (unsigned int)geteuid());
	else if (sp != NULL && sp->sp_pwdp[0] == '!')
		check(x, "account", VERDICT(FAILED), "usermod -p '*' it: keys "
		    "are taken then, passwords still are not", "%.64s is "
		    "locked, so sshd lets no handset in", pw->pw_name);
	else
		check(x, "account", VERDICT(OK), NULL, "handsets come in as "
		    "%.64s, by key only", pw->pw_name);
}

static void
check_key(struct examination *x)
{
	const char *path = identity_path(x->daemon->identity);
	struct stat st;

	if (stat(path, &st) < 0)
		check(x, "key", VERDICT(FAILED), "restart personad",
		    "%.150s: %s", path, strerror(errno));
	else if ((st.st_mode & 077) != 0)
		check(x, "key", VERDICT(FAILED), "chmod 600 it; if others "
		    "could have read it, make a new one and pair again",
		    "%.150s can be read by others", path);
	else
		check(x, "key", VERDICT(OK), NULL, "%s",
		    identity_fingerprint(x->daemon->identity));
}

/* Without it only encrypted personas are missing: a warning. */
static void
check_vaults(struct examination *x)
{
	char why[VAULT_WHY_MAX];
	const struct vault_fs *fs = vault_fs_best(why);

	if (fs != NULL)
		check(x, "encryption", VERDICT(OK), NULL, "personas can be "
		    "kept encrypted, by %s", fs->name);
	else
		check(x, "encryption", VERDICT(WARNING), "apt-get install "
		    "gocryptfs fuse3, and /dev/fuse", "no persona can be kept "
		    "encrypted: %s", why);
}

static void
check_reach(struct examination *x)
{
	const char *why;

	check(x, "port", VERDICT(OK), NULL, "other handsets reach us at port "
	    "%u", (unsigned int)listener_port(x->daemon->listener));
	if (peers_mdns_ok(x->daemon->peers, &why))
		check(x, "avahi", VERDICT(OK), NULL, "%s", why);
	else
		check(x, "avahi", VERDICT(WARNING), "install and start "
		    "avahi-daemon, or name peers in personad.conf", "%s", why);
}

/* --- running the probe ------------------------------------------------------------------ */

static void
finish(struct examination *x)
{
	Persona__Control__Reply reply = PERSONA__CONTROL__REPLY__INIT;
	Persona__Control__DoctorResult result =
	    PERSONA__CONTROL__DOCTOR_RESULT__INIT;

	check_kvm(x);
	check_memory(x);
	check_limits(x);
	check_disk(x);
	check_program(x, "sshd", PERSONA_SSHD, "apt-get install "
	    "openssh-server");
	check_program(x, "ssh-keygen", PERSONA_SSH_KEYGEN, "apt-get install "
	    "openssh-client");
	check_account(x);
	check_key(x);
	check_vaults(x);
	check_reach(x);
	result.n_checks = x->n;
	result.checks = x->list;
	reply.doctor = &result;
	reply.done = true;
	control_reply(x->req, &reply, NULL, 0);
	free(x);
}

static void
probed(void *arg, const char *out)
{
	struct examination *x = arg;

	snprintf(x->out, sizeof(x->out), "%s", out);
	finish(x);
}

void
doctor_examine(struct daemon *d, struct control_request *req)
{
	struct examination *x = calloc(1, sizeof(*x));
	struct vmm_probe *probe;

	if (x == NULL) {
		control_fail(req, -ENOMEM, "no memory");
		return;
	}
	x->daemon = d;
	x->req = req;
	if (vmm_probe_start(&probe, d, probed, x) < 0)
		finish(x);
}
