/* SPDX-License-Identifier: ISC */
/*
 * personactl doctor: personad's own checks, or without personad what
 * persona-vmm --probe finds. Judges nothing itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-text.h"
#include "ctl.h"

#define PROBE_OUTPUT_MAX (64u << 10)	/* bytes */

static const char *const verdicts[] = { "ok", "warning", "failed" };

static const char *
verdict_word(int verdict)
{
	return verdict >= 0 && verdict < 3 ? verdicts[verdict] : "unknown";
}

static int
print_checks_json(const Persona__Control__DoctorResult *d, bool ok)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", ok);
	json_array(&j, "checks");
	for (size_t i = 0; i < d->n_checks; i++) {
		const Persona__Control__DoctorResult__Check *c = d->checks[i];

		json_object(&j, NULL);
		json_string(&j, "name", c->name);
		json_string(&j, "verdict", verdict_word((int)c->verdict));
		json_string(&j, "finding", c->finding);
		if (c->advice != NULL)
			json_string(&j, "advice", c->advice);
		json_end(&j);
	}
	json_end(&j);
	return json_finish(&j);
}

static void
print_check(const Persona__Control__DoctorResult__Check *c)
{
	char *finding = text_printable(c->finding);
	char *advice = text_printable(c->advice);

	printf("%-8s %-10s %s\n", verdict_word((int)c->verdict), c->name,
	    finding != NULL ? finding : "?");
	if (advice != NULL && *advice != '\0')
		printf("%-8s %-10s -> %s\n", "", "", advice);
	free(finding);
	free(advice);
}

static int
print_checks(struct ctl *ctl, const Persona__Control__DoctorResult *d)
{
	bool ok = true;

	for (size_t i = 0; i < d->n_checks; i++)
		if (d->checks[i]->verdict ==
		    PERSONA__CONTROL__DOCTOR_RESULT__CHECK__VERDICT__FAILED)
			ok = false;
	if (ctl->json) {
		if (print_checks_json(d, ok) < 0)
			return CTL_FAILED;
	} else {
		for (size_t i = 0; i < d->n_checks; i++)
			print_check(d->checks[i]);
		puts(ok ? "\nThis handset can run personas." :
		    "\nSomething must be mended first: see what failed.");
	}
	return ok ? CTL_OK : CTL_FAILED;
}

/* --- without personad --------------------------------------------------- */

/* Installed, or beside personactl in a build tree. 0 or -ENOENT. */
static int
find_vmm(char *path, size_t size)
{
	char self[PATH_MAX] = "";
	const char *dir = getenv("PERSONA_LIBEXEC");
	ssize_t n;

	snprintf(path, size, "%s/persona-vmm",
	    dir != NULL ? dir : PERSONA_LIBEXECDIR);
	if (access(path, X_OK) == 0)
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (dir != NULL || n < 0)
		return -ENOENT;
	self[n] = '\0';
	snprintf(path, size, "%s/persona-vmm", dirname(self));
	return access(path, X_OK) == 0 ? 0 : -ENOENT;
}

static void
exec_probe(const char *path, bool json, int to)
{
	const char *argv[] = { path, "--probe", json ? "--json" : NULL, NULL };

	dup2(to, STDOUT_FILENO);
	execv(path, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Run the probe; its output in out (a string), its exit status or -errno. */
static int
run_probe(const char *path, bool json, char *out, size_t size)
{
	size_t len = 0;
	int p[2], status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	if ((pid = fork()) == 0)
		exec_probe(path, json, p[1]);
	close(p[1]);
	while (pid > 0 && len < size - 1) {
		ssize_t n = read(p[0], out + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(p[0]);
	out[len] = '\0';
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int
print_probe_json(const struct ctl *ctl, const char *why, char *probe, int r)
{
	struct json j;

	json_begin(&j, stdout);
	json_bool(&j, "ok", false);
	json_string(&j, "message", why);
	json_string(&j, "socket", ctl->socket_path);
	json_bool(&j, "vmm_probe_ok", r == 0);
	probe[strcspn(probe, "\n")] = '\0';
	if (probe[0] == '{')
		json_raw(&j, "vmm_probe", probe);
	return json_finish(&j);
}

/*
 * The exit status is that of a missing personad however good the probe is: a
 * handset without it cannot run personas.
 */
static int
probe_without_daemon(struct ctl *ctl, const char *why)
{
	char path[PATH_MAX + 16], *out;
	int r;

	if ((out = calloc(1, PROBE_OUTPUT_MAX)) == NULL)
		return ctl_fail(ctl, "out of memory");
	if ((r = find_vmm(path, sizeof(path))) == 0)
		r = run_probe(path, ctl->json, out, PROBE_OUTPUT_MAX);
	if (ctl->json) {
		(void)print_probe_json(ctl, why, out, r);
	} else {
		printf("failed   personad   no answer at %s\n%-8s %-10s "
		    "-> %s\nWithout it, only this can be seen:\n\n",
		    ctl->socket_path, "", "", why);
		fflush(stdout);
		if (r == -ENOENT)
			puts("persona-vmm was not found; is persona installed "
			    "whole?");
		else if (r < 0 || out[0] == '\0')
			printf("%s --probe failed.\n", path);
		else
			fputs(out, stdout);
	}
	free(out);
	return CTL_UNREACHABLE;
}

int
ctl_doctor(struct ctl *ctl, int argc, char **argv)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__Doctor doctor = PERSONA__CONTROL__DOCTOR__INIT;
	Persona__Control__Reply *reply = NULL;
	struct ctl_client *c = NULL;
	int r, status;

	if ((status = ctl_no_options(ctl, argc, argv)) != CTL_OK ||
	    (status = ctl_arguments(ctl, argc, argv, 0, 0, NULL)) != CTL_OK)
		return status;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_DOCTOR;
	req.doctor = &doctor;
	if ((r = ctl_ask_quietly(ctl, &req, &c)) < 0)
		return probe_without_daemon(ctl, ctl_unreachable_text(r));
	if ((r = ctl_next_reply(c, true, &reply, NULL)) <= 0)
		status = ctl_lost(ctl, r);
	else if (reply->error != 0 || reply->doctor == NULL)
		status = ctl_refused(ctl, reply);
	else
		status = print_checks(ctl, reply->doctor);
	if (reply != NULL)
		persona__control__reply__free_unpacked(reply, NULL);
	ctl_client_close(c);
	return status;
}
