/* SPDX-License-Identifier: ISC */
/*
 * personactl policy: make an issuer's key, sign a policy, look into one, and give
 * a persona a newer one. Only the last talks to personad.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control.pb-c.h"
#include "ctl-client.h"
#include "ctl-json.h"
#include "ctl-policy.h"
#include "ctl-text.h"
#include "ctl.h"
#include "policy-sign.h"
#include "pubkey.h"

#define POLICY_TEXT_MAX	(32u << 10)	/* bytes an issuer may write */

extern char **environ;

/* --- files --------------------------------------------------------------------- */

/* A whole small file, with a NUL behind it. 0, -EFBIG or -errno. */
static int
read_file(const char *path, uint8_t *buf, size_t size, size_t *lenp)
{
	size_t len = 0;
	ssize_t n;
	int fd, r = 0;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return -errno;
	while (len < size && (n = read(fd, buf + len, size - len)) != 0) {
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			break;
	}
	if (len == size)
		r = -EFBIG;
	else if (n < 0)
		r = -errno;
	else
		buf[len] = '\0';
	close(fd);
	*lenp = len;
	return r;
}

/* A new file, whole or not there; an existing one is left alone. */
static int
write_file(const char *path, const uint8_t *buf, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, buf, len) != (ssize_t)len)
		r = errno != 0 ? -errno : -EIO;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		unlink(path);
	return r;
}

int
ctl_policy_read(const struct ctl *ctl, const char *path,
    uint8_t bytes[POLICY_SIGNED_MAX + 1], size_t *lenp, struct policy *p,
    uint8_t key[POLICY_KEY_BYTES])
{
	int r = read_file(path, bytes, POLICY_SIGNED_MAX + 1, lenp);

	if (r < 0)
		return ctl_fail(ctl, "%s: %s", path, r == -EFBIG ?
		    "is no signed policy" : strerror(-r));
	switch (policy_verify(bytes, *lenp, p, key)) {
	case 0:
		return CTL_OK;
	case -EBADMSG:
		return ctl_fail(ctl, "%s: the signature is wrong: it was "
		    "changed after it was signed", path);
	case -ENOTSUP:
		return ctl_fail(ctl, "%s: was made for a newer version of "
		    "persona", path);
	default:
		return ctl_fail(ctl, "%s: is no signed policy; 'personactl "
		    "policy sign' makes one", path);
	}
}

/* --- keygen, sign ---------------------------------------------------------------- */

static int
keygen(struct ctl *ctl, const char *path)
{
	const char *argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "",
	    "-C", "persona policy issuer", "-f", path, NULL };
	int status = 0;
	pid_t pid;

	if (access(path, F_OK) == 0)
		return ctl_fail(ctl, "%s: exists already", path);
	if (posix_spawn(&pid, PERSONA_SSH_KEYGEN, NULL, NULL,
	    (char *const *)(uintptr_t)argv, environ) != 0)
		return ctl_fail(ctl, "%s cannot be started",
		    PERSONA_SSH_KEYGEN);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ctl_fail(ctl, "ssh-keygen: %s",
			    strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ctl_fail(ctl, "%s: no key could be made there", path);
	if (!ctl->json)
		printf("%s is the key that signs: keep it. %s.pub goes into "
		    "the handsets' personad.conf, behind `issuer`.\n", path,
		    path);
	return ctl_done(ctl);
}

static int
read_secret(struct ctl *ctl, const char *path,
    uint8_t secret[PRIVKEY_SECRET_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd >= 0 ? privkey_read(fd, secret) : -errno;

	if (fd >= 0)
		close(fd);
	if (r == 0)
		return CTL_OK;
	return ctl_fail(ctl, "%s: %s", path, r == -ENOKEY ?
	    "has a passphrase; make a copy without one (ssh-keygen -p) where "
	    "nobody else reads, and sign with that" : r == -EINVAL ?
	    "is no ed25519 private key of OpenSSH" : strerror(-r));
}

static int
sign(struct ctl *ctl, const char *key_path, const char *in, const char *out)
{
	uint8_t text[POLICY_TEXT_MAX], bytes[POLICY_SIGNED_MAX];
	uint8_t secret[PRIVKEY_SECRET_BYTES];
	char why[POLICY_WHY_MAX];
	struct policy p;
	size_t len;
	int r, status;

	if ((r = read_file(in, text, sizeof(text), &len)) < 0)
		return ctl_fail(ctl, "%s: %s", in, strerror(-r));
	if (policy_parse_text(&p, (char *)text, why) < 0)
		return ctl_fail(ctl, "%s: %s", in, why);
	if ((status = read_secret(ctl, key_path, secret)) != CTL_OK)
		return status;
	r = policy_sign(&p, secret, bytes, &len);
	explicit_bzero(secret, sizeof(secret));
	if (r == 0)
		r = write_file(out, bytes, len);
	if (r < 0)
		return ctl_fail(ctl, "%s: %s", out, strerror(-r));
	return ctl_done(ctl);
}

/* --- show, set --------------------------------------------------------------------- */

static void
print_rules(const struct policy *p, const char *key)
{
	char text[64];

	printf("%-14s %s\n%-14s %s\n", "issuer", p->issuer, "issuer's key",
	    key);
	printf("%-14s %llu\n", "serial", (unsigned long long)p->serial);
	printf("%-14s %s\n", "may move",
	    policy_move_text(p, text, sizeof(text)));
	for (size_t i = 0; i < p->n_handsets; i++)
		printf("%-14s %s\n", "  handset", p->handsets[i]);
	printf("%-14s %s\n", "export", p->may_export ? "yes" : "no");
	printf("%-14s %s\n", "standby", p->may_standby ? "yes" : "no");
	printf("%-14s %s\n", "must encrypt", p->must_encrypt ? "yes" : "no");
	printf("%-14s %s\n", "expires", ctl_policy_date(p->expires_unix_s,
	    text, sizeof(text)));
}

const char *
ctl_policy_date(uint64_t unix_s, char *buf, size_t size)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (unix_s == 0 || gmtime_r(&t, &tm) == NULL || strftime(buf, size,
	    unix_s % 86400 == 0 ? "%Y-%m-%d (UTC)" :
	    "%Y-%m-%d %H:%M:%S (UTC)", &tm) == 0)
		snprintf(buf, size, "never");
	return buf;
}

static int
show(struct ctl *ctl, const char *path)
{
	uint8_t bytes[POLICY_SIGNED_MAX + 1], point[POLICY_KEY_BYTES];
	char key[PUBKEY_TEXT_LEN + 1];
	struct policy p;
	struct json j;
	size_t len;
	int status;

	status = ctl_policy_read(ctl, path, bytes, &len, &p, point);
	if (status != CTL_OK)
		return status;
	pubkey_from_point(point, key);
	if (!ctl->json) {
		print_rules(&p, key);
		return CTL_OK;
	}
	json_begin(&j, stdout);
	json_bool(&j, "ok", true);
	json_object(&j, "policy");
	json_string(&j, "issuer", p.issuer);
	json_string(&j, "issuer_key", key);
	json_u64(&j, "serial", p.serial);
	json_string(&j, "move_to", ctl_policy_move_word((int)p.move_to));
	json_array(&j, "handsets");
	for (size_t i = 0; i < p.n_handsets; i++)
		json_string(&j, NULL, p.handsets[i]);
	json_end(&j);
	json_bool(&j, "may_export", p.may_export);
	json_bool(&j, "may_standby", p.may_standby);
	json_bool(&j, "must_encrypt", p.must_encrypt);
	json_u64(&j, "expires_unix_s", p.expires_unix_s);
	json_end(&j);
	return json_finish(&j) == 0 ? CTL_OK : CTL_FAILED;
}

const char *
ctl_policy_move_word(int move_to)
{
	static const char *const words[] = { "anyone", "listed", "nobody" };

	return move_to >= 0 && move_to < 3 ? words[move_to] : "unknown";
}

static int
set(struct ctl *ctl, const char *persona, const char *path)
{
	Persona__Control__Request req = PERSONA__CONTROL__REQUEST__INIT;
	Persona__Control__PolicySet what = PERSONA__CONTROL__POLICY_SET__INIT;
	uint8_t bytes[POLICY_SIGNED_MAX + 1], point[POLICY_KEY_BYTES];
	struct policy p;
	int status;

	if ((status = ctl_check_persona(ctl, persona)) != CTL_OK ||
	    (status = ctl_policy_read(ctl, path, bytes, &what.policy.len, &p,
	    point)) != CTL_OK)
		return status;
	what.name = (char *)(uintptr_t)persona;
	what.policy.data = bytes;
	req.what_case = PERSONA__CONTROL__REQUEST__WHAT_POLICY_SET;
	req.policy_set = &what;
	status = ctl_call(ctl, &req, NULL);
	return status == CTL_OK ? ctl_done(ctl) : status;
}

/* --- the command -------------------------------------------------------------------- */

int
ctl_policy(struct ctl *ctl, int argc, char **argv)
{
	static const struct option own[] = {
		CTL_COMMON_OPTIONS,
		{ "key", required_argument, NULL, 'k' },
		{ 0 }
	};
	const char *key = NULL, *pos[3];
	int c, status;

	while ((c = ctl_option(ctl, argc, argv, own)) != -1) {
		if (c == '?')
			return CTL_USAGE;
		key = optarg;
	}
	if ((status = ctl_arguments(ctl, argc, argv, 2, 3, pos)) != CTL_OK)
		return status;
	if (strcmp(pos[0], "sign") == 0 && pos[2] != NULL)
		return key != NULL ? sign(ctl, key, pos[1], pos[2]) :
		    ctl_usage(ctl, "--key is missing: whose policy is it?");
	if (key != NULL)
		return ctl_usage(ctl, "only sign takes --key");
	if (strcmp(pos[0], "set") == 0 && pos[2] != NULL)
		return set(ctl, pos[1], pos[2]);
	if (strcmp(pos[0], "show") == 0 && pos[2] == NULL)
		return show(ctl, pos[1]);
	if (strcmp(pos[0], "keygen") == 0 && pos[2] == NULL)
		return keygen(ctl, pos[1]);
	return ctl_usage(ctl, "policy keygen KEY | sign --key KEY TEXT FILE | "
	    "show FILE | set PERSONA FILE");
}
