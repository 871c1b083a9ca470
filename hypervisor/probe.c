/* SPDX-License-Identifier: ISC */
/*
 * The verdict on this handset's KVM, in words and as JSON. Deliberately runs no
 * guest of anybody's: the self-test is a kernel of three instructions.
 */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "arch.h"
#include "bounds.h"
#include "host.h"
#include "hv.h"
#include "kvm.h"

static void
say(char *to, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
say(char *to, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to, len, fmt, ap);
	va_end(ap);
}

#define REASON(p, ...) say((p)->reason, sizeof((p)->reason), __VA_ARGS__)
#define ADVICE(p, ...) say((p)->advice, sizeof((p)->advice), __VA_ARGS__)

/* Why there is no KVM, and what a person can do about it. */
static void
explain_none(struct probe *p, int error)
{
	if (error == -EACCES || error == -EPERM) {
		REASON(p, "/dev/kvm is there, but this user may not open it");
		ADVICE(p, "run as root, or: adduser <user> kvm, and log in "
		    "again");
	} else if (error == -EPROTO) {
		REASON(p, "this kernel's KVM has another API version than %d",
		    KVM_API_VERSION);
		ADVICE(p, "use a kernel from this century");
	} else if (error != -ENOENT && error != -ENODEV && error != -ENXIO) {
		REASON(p, "/dev/kvm cannot be opened: %s", strerror(-error));
	} else if (arch_cpu_can_virtualise()) {
		REASON(p, "the CPU can do it, but the KVM module is missing");
		ADVICE(p, "modprobe %s; if that fails, enable virtualisation "
		    "in the firmware", arch_kvm_module());
	} else {
		REASON(p, "there is no /dev/kvm, and the CPU shows no "
		    "virtualisation");
		ADVICE(p, "enable virtualisation in the firmware; in a "
		    "virtual machine, nested virtualisation at its host");
	}
}

static void
find_baselines(struct probe *p, struct hv_host *host)
{
	char why[HV_WHY_MAX];
	size_t n = 0;

	for (size_t i = 0; arch_baseline(i) != NULL && n < 4; i++)
		if (arch_baseline_check(host->kvm, arch_baseline(i),
		    host->software, why, sizeof(why)) == 0)
			p->baselines[n++] = arch_baseline(i);
}

static void
judge(struct probe *p, struct hv_host *host)
{
	int r = arch_self_test(host->kvm);

	p->linux_boots = r == 0;
	p->small_guests = r == 0 || r == -ENOTSUP;
	if (p->linux_boots)
		REASON(p, "personas run here, Linux ones too");
	else if (r == -ENOTSUP)
		REASON(p, "small personas run; Linux does not: this KVM "
		    "gives up on kernel instructions it would have to emulate");
	else
		REASON(p, "/dev/kvm is there, but a test machine did not run: "
		    "%s", strerror(-r));
	if (!p->linux_boots)
		ADVICE(p, "for Linux personas use a handset whose kernel has "
		    "kvm_intel or kvm_amd");
}

void
probe_kvm(struct probe *p)
{
	struct hv_host host;
	int n;

	memset(p, 0, sizeof(*p));
	hv_host_open(&host);
	if (host.kvm == NULL) {
		explain_none(p, host.error);
		return;
	}
	p->kvm = host.software ? PROBE_SOFTWARE : PROBE_HARDWARE;
	p->api_version = KVM_API_VERSION;
	n = kvm_cap(host.kvm, KVM_CAP_MAX_VCPUS);
	p->max_vcpus = n > VCPUS_MAX ? VCPUS_MAX : n;
	find_baselines(p, &host);
	judge(p, &host);
	hv_host_close(&host);
}

static const char *
kvm_word(enum probe_kvm kvm)
{
	switch (kvm) {
	case PROBE_SOFTWARE:
		return "software";
	case PROBE_HARDWARE:
		return "hardware";
	default:
		return "none";
	}
}

/* Our own sentences: only quotes and backslashes need care. */
static void
put_json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s >= 0x20)
			fputc(*s, f);
	}
	fputc('"', f);
}

static void
print_json(const struct probe *p, FILE *f)
{
	fprintf(f, "{\"kvm\":\"%s\",\"api_version\":%d,\"max_vcpus\":%d,"
	    "\"small_guests\":%s,\"linux_boots\":%s,\"baselines\":[",
	    kvm_word(p->kvm), p->api_version, p->max_vcpus,
	    p->small_guests ? "true" : "false",
	    p->linux_boots ? "true" : "false");
	for (size_t i = 0; p->baselines[i] != NULL; i++)
		fprintf(f, "%s\"%s\"", i > 0 ? "," : "", p->baselines[i]);
	fputs("],\"reason\":", f);
	put_json_string(f, p->reason);
	fputs(",\"advice\":", f);
	put_json_string(f, p->advice);
	fputs("}\n", f);
}

void
probe_print(const struct probe *p, bool json, FILE *f)
{
	if (json) {
		print_json(p, f);
		return;
	}
	fprintf(f, "KVM: %s\n", kvm_word(p->kvm));
	if (p->kvm != PROBE_NONE) {
		fprintf(f, "API version: %d\nvCPUs: up to %d\n"
		    "CPU baselines:", p->api_version, p->max_vcpus);
		for (size_t i = 0; p->baselines[i] != NULL; i++)
			fprintf(f, " %s", p->baselines[i]);
		fprintf(f, "\nSmall guests run: %s\nLinux boots: %s\n",
		    p->small_guests ? "yes" : "no",
		    p->linux_boots ? "yes" : "no");
	}
	fprintf(f, "%s\n", p->reason);
	if (p->advice[0] != '\0')
		fprintf(f, "Advice: %s\n", p->advice);
}
