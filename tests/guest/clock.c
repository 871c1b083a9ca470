/* SPDX-License-Identifier: ISC */
/*
 * Tell the time in ring 3. Where virtualisation is done in software, RDTSC there
 * may be the host's own, without the offset KVM's clock page counts on, so the page
 * is believed only if it agrees. Knows no memory and no serial line.
 */
#include <stddef.h>

#include "clock.h"
#include "ports.h"

#define PIT_HZ		1193182u
#define PIT_COUNT2	0x42
#define PIT_MODE	0x43
#define PIT_GATE	0x61
#define PIT_SPAN	59659u		/* 50 ms */
#define PIT_TRIES	2000u		/* equal reads before we give the PIT up */
#define GUESSED_KHZ	2000000u
#define NS_PER_S	1000000000u
#define PAGE_SANE_NS	(10ull * NS_PER_S)

/* Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW. */
struct kvmclock {
	uint32_t	version, pad;
	uint64_t	tsc_timestamp, system_time;
	uint32_t	mul;
	int8_t		shift;
	uint8_t		flags, pad2[2];
};
extern volatile struct kvmclock kvmclock_page;

static struct {
	const char	*name;
	int		use_page;
	uint64_t	tsc_khz;
	uint64_t	tsc_mul;	/* ns = ticks * mul >> 32 */
	uint64_t	start;		/* raw, ns */
	uint64_t	last;		/* ns since start */
	struct clock_pause pause;
	uint64_t	ticked;		/* last clock_tick */
} clk;

static uint64_t
mul_shift32(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 32);
}

/* The page's idea of now; 0 when there is no page. */
static uint64_t
page_ns(void)
{
	volatile struct kvmclock *k = &kvmclock_page;
	uint64_t ns, delta;
	uint32_t version;

	do {
		version = k->version;
		__asm__ volatile("" : : : "memory");
		delta = tsc_read() - k->tsc_timestamp;
		if (k->shift >= 0)
			delta <<= k->shift;
		else
			delta >>= -k->shift;
		ns = k->system_time + mul_shift32(delta, k->mul);
		__asm__ volatile("" : : : "memory");
	} while ((version & 1) != 0 || version != k->version);
	return version == 0 ? 0 : ns;
}

/* The page is sane when it moved with the counter and was filled in just now. */
static int
page_sane(void)
{
	uint64_t t0 = tsc_read(), n0 = page_ns();
	uint64_t away = t0 - kvmclock_page.tsc_timestamp;
	uint64_t t1, n1, by_tsc;

	if (n0 == 0 || kvmclock_page.mul == 0 ||
	    mul_shift32(away, clk.tsc_mul) > PAGE_SANE_NS)
		return 0;
	do
		t1 = tsc_read();
	while (mul_shift32(t1 - t0, clk.tsc_mul) < 2000000);
	n1 = page_ns();
	by_tsc = mul_shift32(tsc_read() - t0, clk.tsc_mul);
	return n1 > n0 && n1 - n0 > by_tsc / 2 && n1 - n0 < by_tsc * 2;
}

static uint16_t
pit_read(uint64_t *tsc, uint64_t *uncertain)
{
	uint64_t before = tsc_read(), after;
	uint16_t count;

	port_out8(PIT_MODE, 0x80);	/* latch counter 2 */
	count = port_in8(PIT_COUNT2);
	count |= (uint16_t)(port_in8(PIT_COUNT2) << 8);
	after = tsc_read();
	*tsc = before + (after - before) / 2;
	*uncertain = after - before;
	return count;
}

/* The tightest of a few reads: someone else's time slice may lie in one. */
static uint16_t
pit_read_best(uint64_t *tsc)
{
	uint64_t best = UINT64_MAX, t, u;
	uint16_t count = 0;

	for (unsigned int i = 0; i < 8; i++) {
		uint16_t c = pit_read(&t, &u);

		if (u < best) {
			best = u;
			*tsc = t;
			count = c;
		}
	}
	return count;
}

/* Ticks a millisecond, measured over 50 ms; 0 when the PIT stands still. */
static uint64_t
measure_khz(void)
{
	uint64_t t0, t1, u;
	uint16_t c0, c1 = 0;
	unsigned int tries = 0;

	port_out8(PIT_GATE, (port_in8(PIT_GATE) & 0xfc) | 1);
	port_out8(PIT_MODE, 0xb0);	/* counter 2, count down once */
	port_out8(PIT_COUNT2, 0xff);
	port_out8(PIT_COUNT2, 0xff);
	c0 = pit_read_best(&t0);
	do {
		uint16_t c = pit_read(&t1, &u);

		tries = c == c1 ? tries + 1 : 0;
		if (tries > PIT_TRIES)
			return 0;
		c1 = c;
	} while ((uint16_t)(c0 - c1) < PIT_SPAN - 2000);
	c1 = pit_read_best(&t1);
	if (c1 >= c0)
		return 0;
	return (t1 - t0) * PIT_HZ / ((uint64_t)(c0 - c1) * 1000);
}

/* What the page says the counter's rate is; 0 when there is no page. */
static uint64_t
page_khz(void)
{
	uint64_t khz;

	if (kvmclock_page.version == 0 || kvmclock_page.mul == 0)
		return 0;
	khz = (1000000ull << 32) / kvmclock_page.mul;
	return kvmclock_page.shift >= 0 ? khz >> kvmclock_page.shift :
	    khz << -kvmclock_page.shift;
}

static uint64_t
raw_ns(void)
{
	return clk.use_page ? page_ns() : mul_shift32(tsc_read(), clk.tsc_mul);
}

void
clock_init(uint8_t want)
{
	clk.name = "tsc";
	/* The page's figure is exact when it is there; the PIT's is measured. */
	if ((clk.tsc_khz = page_khz()) == 0)
		clk.tsc_khz = measure_khz();
	if (clk.tsc_khz == 0) {
		clk.tsc_khz = GUESSED_KHZ;
		clk.name = "tsc-guessed";
	}
	clk.tsc_mul = (1000000ull << 32) / clk.tsc_khz;
	if (want == 'k' || (want == 0 && page_sane())) {
		clk.use_page = 1;
		clk.name = "kvm";
	}
	clk.start = raw_ns();
	clk.last = 0;
	clock_watch_reset();
}

const char *
clock_name(void)
{
	return clk.name;
}

uint64_t
clock_tsc_khz(void)
{
	return clk.tsc_khz;
}

uint64_t
clock_ns(void)
{
	uint64_t now = raw_ns() - clk.start;

	if ((int64_t)(now - clk.last) < 0) {
		/* Stand still at the last good time and count on from here. */
		clk.pause.backward++;
		clk.start -= clk.last - now;
		now = clk.last;
	}
	clk.last = now;
	return now;
}

uint64_t
clock_tick(void)
{
	uint64_t now = clock_ns(), gap = now - clk.ticked;

	if (gap > clk.pause.longest_ns) {
		clk.pause.longest_ns = gap;
		clk.pause.at_ns = clk.ticked;
	}
	if (gap > clk.pause.recent_ns)
		clk.pause.recent_ns = gap;
	clk.ticked = now;
	return now;
}

void
clock_watch_reset(void)
{
	clk.ticked = clock_ns();
	clk.pause.longest_ns = 0;
	clk.pause.at_ns = clk.ticked;
	clk.pause.recent_ns = 0;
}

void
clock_recent_reset(void)
{
	clk.pause.recent_ns = 0;
}

struct clock_pause
clock_pause(void)
{
	return clk.pause;
}
