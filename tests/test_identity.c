/* SPDX-License-Identifier: ISC */
/* A key text is one key or none; the handset's own key is made once and kept. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity.h"
#include "log.h"
#include "privdir.h"
#include "pubkey.h"
#include "unit.h"

/* Made by ssh-keygen for this test; the fingerprint is what ssh-keygen -l says. */
#define KEY	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" \
	"IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRWX"
#define FP	"SHA256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4wMA"

#define FP_PADDED	FP "="
#define FP_LONG		FP "A"

/* The same key with one thing wrong. */
#define HEAD	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
#define OTHER_ALGORITHM_OUTSIDE "ssh-ed25518 AAAAC3NzaC1lZDI1NTE5AAAA" \
	"IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRWX"
#define OTHER_ALGORITHM_INSIDE	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE4AAAA" \
	"IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRWX"
#define LENGTH_LIES	HEAD "Ic0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRWX"
#define NO_BASE64	HEAD "IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXRW!"
#define PADDED		HEAD "IM0lRKCNtCJntugqb/R48+i8ni+cku2AqD4lH1TcXR=="
#define BROKEN_LINE	HEAD "IM0lRKCNtCJntugqb/R48\ni8ni+cku2AqD4lH1TcXRWX"

static char dir[PATH_MAX];

static void
a_key_has_the_fingerprint_openssh_gives_it(void)
{
	char fp[FINGERPRINT_MAX + 1];
	uint8_t blob[PUBKEY_BLOB_BYTES];

	CU_ASSERT_EQUAL(pubkey_parse(KEY, blob), 0);
	CU_ASSERT_EQUAL(pubkey_fingerprint(KEY, fp), 0);
	CU_ASSERT_STRING_EQUAL(fp, FP);
	CU_ASSERT_TRUE(pubkey_is_fingerprint(fp));
	CU_ASSERT_TRUE(pubkey_equal(KEY, KEY));
}

static void
hostile_key_texts_are_refused(void)
{
	static const char *const bad[] = {
		"", "ssh-ed25519", "ssh-ed25519 ", KEY " comment", KEY "\n",
		" " KEY, KEY "A", KEY "=", "x" KEY,
		OTHER_ALGORITHM_OUTSIDE,
		OTHER_ALGORITHM_INSIDE,
		LENGTH_LIES,
		NO_BASE64, PADDED, BROKEN_LINE,
		"command=\"id\" " KEY, "\n" KEY,
	};
	uint8_t blob[PUBKEY_BLOB_BYTES];
	char fp[FINGERPRINT_MAX + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(pubkey_parse(bad[i], blob), -EINVAL);
		CU_ASSERT_EQUAL(pubkey_fingerprint(bad[i], fp), -EINVAL);
		CU_ASSERT_FALSE(pubkey_equal(bad[i], KEY));
		CU_ASSERT_FALSE(pubkey_equal(bad[i], bad[i]));
	}
}

static void
hostile_fingerprints_are_refused(void)
{
	static const char *const bad[] = { "", "SHA256:", FP_PADDED, FP_LONG,
	    "sha256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4wMA",
	    "SHA256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4wM",
	    "SHA256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4wM\"",
	    "SHA256:7Gnyse2z+usKyfwkbHgacRzKn5RME24GefqyzNQ4 MA" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(pubkey_is_fingerprint(bad[i]));
}

static void
the_identity_is_made_once(void)
{
	struct identity *id = NULL;
	char fp[FINGERPRINT_MAX + 1], key[PUBKEY_TEXT_LEN + 1];
	struct stat st;
	int fd;

	CU_ASSERT_EQUAL_FATAL(identity_open(&id, dir), 0);
	strcpy(key, identity_key(id));
	CU_ASSERT_EQUAL(pubkey_fingerprint(key, fp), 0);
	CU_ASSERT_STRING_EQUAL(fp, identity_fingerprint(id));
	CU_ASSERT_EQUAL(stat(identity_path(id), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_TRUE((fd = identity_private_fd(id)) >= 0);
	close(fd);
	identity_free(id);
	CU_ASSERT_EQUAL_FATAL(identity_open(&id, dir), 0);
	CU_ASSERT_STRING_EQUAL(key, identity_key(id));
	identity_free(id);
}

/* Needs the identity that the test before it made. */
static void
an_identity_others_can_reach_is_refused(void)
{
	char path[PATH_MAX + 16];
	struct identity *id = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/identity", dir);
	CU_ASSERT_EQUAL(chmod(path, 0644), 0);
	CU_ASSERT_EQUAL(identity_open(&id, dir), -EPERM);
	CU_ASSERT_EQUAL(chmod(path, 0600), 0);
	CU_ASSERT_EQUAL(chmod(dir, 0777), 0);
	CU_ASSERT_EQUAL(identity_open(&id, dir), -EPERM);
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f = fopen(path, "w"));
	fputs("no key at all\n", f);
	fclose(f);
	CU_ASSERT_EQUAL(identity_open(&id, dir), -EINVAL);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(symlink("/etc/passwd", path), 0);
	CU_ASSERT_EQUAL(identity_open(&id, dir), -EPERM);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_PTR_NULL(id);
}

static void
a_file_is_replaced_whole(void)
{
	char path[PATH_MAX + 16], got[16] = "";
	struct stat st, again;
	FILE *f;

	snprintf(path, sizeof(path), "%s/x", dir);
	CU_ASSERT_EQUAL(privdir_write(dir, "x", "one, longer", 0600), 0);
	CU_ASSERT_EQUAL(privdir_write(dir, "x", "two", 0600), 0);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	/* What is there already takes no room again; another mode is not it. */
	CU_ASSERT_EQUAL(privdir_write(dir, "x", "two", 0600), 0);
	CU_ASSERT_EQUAL(stat(path, &again), 0);
	CU_ASSERT_EQUAL(st.st_ino, again.st_ino);
	CU_ASSERT_EQUAL(privdir_write(dir, "x", "two", 0640), 0);
	CU_ASSERT_EQUAL(stat(path, &again), 0);
	CU_ASSERT_EQUAL(again.st_mode & 07777, 0640);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f = fopen(path, "r"));
	CU_ASSERT_EQUAL(fread(got, 1, sizeof(got), f), 3);
	CU_ASSERT_EQUAL(memcmp(got, "two", 3), 0);
	fclose(f);
	unlink(path);
	CU_ASSERT_EQUAL(privdir_write("/nonexistent", "x", "y", 0600),
	    -ENOENT);
	CU_ASSERT_EQUAL(privdir_check("/tmp"), -EPERM);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a key has the fingerprint OpenSSH gives it",
		    a_key_has_the_fingerprint_openssh_gives_it },
		{ "hostile key texts are refused",
		    hostile_key_texts_are_refused },
		{ "hostile fingerprints are refused",
		    hostile_fingerprints_are_refused },
		{ "the identity is made once", the_identity_is_made_once },
		{ "an identity others can reach is refused",
		    an_identity_others_can_reach_is_refused },
		{ "a file is replaced whole", a_file_is_replaced_whole },
	};
	const char *tmp = getenv("TMPDIR");
	int r;

	log_init("test_identity", LOG_ERR);
	snprintf(dir, sizeof(dir), "%s/persona-identity-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	r = unit_main("identity", tests, sizeof(tests) / sizeof(tests[0]));
	return rmdir(dir) == 0 ? r : EXIT_FAILURE;
}
