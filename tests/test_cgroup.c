/* SPDX-License-Identifier: ISC */
/* Where our control groups go, read from what the kernel says; without any, words. */
#include <errno.h>
#include <string.h>

#include "cgroup.h"
#include "unit.h"

#define V1 \
	"24 30 0:22 / /proc rw - proc proc rw\n" \
	"33 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
#define V2	"35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define HYBRID \
	"41 32 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

static void
mounts(void)
{
	char path[64];

	CU_ASSERT(cgroup_parse_mount(V2, path, sizeof(path)) == 0);
	CU_ASSERT_STRING_EQUAL(path, "/sys/fs/cgroup");
	CU_ASSERT(cgroup_parse_mount(V1 HYBRID, path, sizeof(path)) == 0);
	CU_ASSERT_STRING_EQUAL(path, "/sys/fs/cgroup/unified");
	CU_ASSERT(cgroup_parse_mount(V1, path, sizeof(path)) == -ENOENT);
	CU_ASSERT(cgroup_parse_mount("", path, sizeof(path)) == -ENOENT);
	CU_ASSERT(cgroup_parse_mount("35 24 - cgroup2 x", path,
	    sizeof(path)) == -ENOENT);
	/* One that does not fit is none. */
	CU_ASSERT(cgroup_parse_mount(V2, path, 8) == -ENOENT);
}

static void
own(void)
{
	char path[64];

	CU_ASSERT(cgroup_parse_own("0::/user.slice/a b\n", path,
	    sizeof(path)) == 0);
	CU_ASSERT_STRING_EQUAL(path, "/user.slice/a b");
	CU_ASSERT(cgroup_parse_own("12:cpu:/x\n1:name=systemd:/y\n0::/z\n",
	    path, sizeof(path)) == 0);
	CU_ASSERT_STRING_EQUAL(path, "/z");
	CU_ASSERT(cgroup_parse_own("10::/x\n", path, sizeof(path)) ==
	    -ENOENT);
	CU_ASSERT(cgroup_parse_own("12:cpu:/x\n", path, sizeof(path)) ==
	    -ENOENT);
	CU_ASSERT(cgroup_parse_own("0::x\n", path, sizeof(path)) == -ENOENT);
	CU_ASSERT(cgroup_parse_own("0::/long/long\n", path, 8) == -ENOENT);
}

static void
without(void)
{
	struct cgroup_limits l = { .memory_bytes = 1 };
	struct cgroup_usage u;
	char name[CGROUP_NAME_MAX] = "x";

	CU_ASSERT(cgroup_make(NULL, "0", 1, &l, name) == -ENOTSUP);
	CU_ASSERT(name[0] == '\0');
	CU_ASSERT(cgroup_of(NULL, 1, name) < 0 && name[0] == '\0');
	CU_ASSERT(cgroup_limit(NULL, name, &l) == -ENOTSUP);
	CU_ASSERT(cgroup_usage(NULL, name, &u) == -ENOTSUP);
	cgroup_remove(NULL, name);
	cgroups_free(NULL);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "the mount is found among others", mounts },
		{ "our own group is found", own },
		{ "a handset without groups is no error", without },
	};

	return unit_main("cgroup", tests, sizeof(tests) / sizeof(tests[0]));
}
