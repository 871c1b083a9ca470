/* SPDX-License-Identifier: ISC */
/*
 * The small guest: fills its memory, goes on changing some of it, goes on checking
 * all of it, and says on the serial line how it fares. It is the persona that tests
 * and the demo move about. Knows nothing of being moved.
 *
 * Command line, words between blanks, sizes with K, M or G:
 *   mix=zero:25,text:25,repeat:25,random:25
 *                   percent of the pages of each kind
 *   hot=32M         how much memory is dirtied, in turns chosen at random
 *   rate=10M        bytes of pages dirtied a second; 0: none
 *   rewrite=words   a dirtied page gets a new counter and 32 new bytes; `full`: new text
 *   beat=200        ms between heartbeat lines; 0: none
 *   tick=0          ms between single dots on a line of their own, for a watcher
 *                   outside who wants to see when the guest ran; 0: none
 *   verify=0        bytes a second compared; 0: as time allows; `off`: none
 *   timer=0         halt between PIT interrupts, so many a second (19 to 1000), as an
 *                   idle phone does; 0: never sleep. Pauses shorter than that
 *                   cannot be told, and verify=0 means 64M
 *   disk=0          bytes a second written to disk0, read back and flushed; 0: it is
 *                   left alone
 *   mem=0           use at most this much memory; 0: all
 *   seed=1          of all content; same seed and memory, same sum
 *   exit=0          power off this many ms after `ready`; 0: never
 *   clock=auto      `kvm`: KVM's clock page, `tsc`: the time stamp counter
 *
 * Lines it prints; fields are name=decimal, sum=16 hex digits:
 *   guest ...       at start: what it was given
 *   ready ...       memory is filled; from here on it watches and beats
 *   beat n= t_ms= dirtied= passes= sum= bad= max_pause_us= pause_at_ms= gap_us= fpu=
 *                   t_ms: its clock, from `ready`; bad: wrong places found so far;
 *                   max_pause_us: the longest time it did not run, since `ready` or p,
 *                   and when that began; gap_us: the same since the last beat
 *                   with a disk also disk_written= disk_flushed= (blocks since it was
 *                   empty), disk_read= disk_bad=
 *   disk blocks= found= bad=
 *                   it was looked through, at start or on d: found as disk_written
 *   BAD ...         a wrong place; bad= stays above 0 from then on
 *   echo: TEXT      a line was typed
 *
 * Commands, typed as a line (or left standing for half a second):
 *   v  compare all memory now      p  forget the longest pause
 *   q  power off                   b  beat now
 *   d  look through the disk
 *   corrupt [PAGE]  break one bit  help  say these
 *
 * Power-off: 0x2000 (S5) to the ACPI PM1 control port 0x604; if the machine
 * has none there, 0xfe to the keyboard controller at 0x64, a reset.
 */
#include <stddef.h>

#include "bootinfo.h"
#include "clock.h"
#include "disk.h"
#include "fpu.h"
#include "options.h"
#include "ports.h"
#include "serial.h"
#include "timer.h"
#include "witness.h"

#define MS			1000000u	/* ns */
#define INPUT_EVERY_NS		(5u * MS)
#define INPUT_STANDS_NS		(500u * MS)
#define INPUT_MAX		128u
#define DIRTY_AT_ONCE		64u
#define CHECK_AT_ONCE		4u
#define CHECK_AT_MOST		128u
#define CHECK_SLEEPY		(64u << 20)	/* bytes a second */
#define ARREARS_NS		(100ull * MS)
#define PACE_PAGE		1000000000ull	/* ns in a second */
#define BAD_LINES_MAX		50u
#define RAM_FLOOR		0x200000u	/* the image lies below */
#define RAM_CEILING		(12ull << 30)	/* start.S maps so much */
#define PORT_PM1_CONTROL	0x604
#define PORT_KEYBOARD		0x64

void	guest_main(uint32_t kind, uint32_t info) __attribute__((noreturn));
void	guest_trapped(void) __attribute__((noreturn));

extern const uint64_t trap_vector, trap_error, trap_rip, trap_cr2;
extern const char image_end[];

static struct bootinfo boot;
static struct options opt;

/* Something done a number of times a second. */
struct pace {
	uint64_t	last;	/* when it was last asked */
	uint64_t	owed;	/* in pages times PACE_PAGE */
};

/* When things are due, in clock_ns time. */
static struct {
	uint64_t	ready;
	uint64_t	beat, tick, input;
	struct pace	dirtying, checking, disk;
	int		has_disk;
	unsigned int	disk_write;	/* one is due */
	uint64_t	beats;
	int		watching;	/* ready has been said */
	int		in_ticks;	/* a line of dots is open */
} now;

static struct {
	char		text[INPUT_MAX];
	size_t		len;
	uint64_t	last;		/* when the last byte came */
} typed;

static void __attribute__((noreturn))
power_off(void)
{
	port_out16(PORT_PM1_CONTROL, 0x2000);
	port_out8(PORT_KEYBOARD, 0xfe);
	for (;;)
		__asm__ volatile("pause");
}

/* Every line begins here, so that it never continues a row of dots. */
static void
line(const char *s)
{
	if (now.in_ticks) {
		now.in_ticks = 0;
		say_end();
	}
	say(s);
}

static void
beat(void)
{
	struct witness_totals w = witness_totals();
	struct clock_pause p = clock_pause();
	uint64_t t = clock_ns() - now.ready;

	clock_recent_reset();
	line("beat");
	say_field("n", ++now.beats);
	say_field("t_ms", t / MS);
	say_field("dirtied", w.dirtied);
	say_field("passes", w.passes);
	say_field_hex("sum", w.sum);
	say_field("bad", w.faults);
	say_field("max_pause_us", p.longest_ns / 1000);
	say_field("pause_at_ms", p.longest_ns == 0 ? 0 :
	    (p.at_ns - now.ready) / MS);
	say_field("gap_us", p.recent_ns / 1000);
	say(fpu_intact() ? " fpu=ok" : " fpu=BAD");
	if (now.has_disk) {
		struct disk_totals d = disk_totals();

		say_field("disk_written", d.written);
		say_field("disk_flushed", d.flushed);
		say_field("disk_read", d.read);
		say_field("disk_bad", d.bad);
	}
	if (p.backward != 0)
		say_field("clock_back", p.backward);
	if (serial_dropped() != 0)
		say_field("dropped", serial_dropped());
	say_end();
}

/* What must go on even in long work: the watch, the ticks and the beats. */
static void
stay_alive(void)
{
	uint64_t t = clock_tick();

	if (!now.watching)
		return;
	if (opt.tick_ms != 0 && t >= now.tick) {
		now.tick = t + opt.tick_ms * MS;
		now.in_ticks = 1;
		say_char('.');
	}
	if (opt.beat_ms != 0 && t >= now.beat) {
		/* On the grid, unless a pause has carried us past it. */
		now.beat += opt.beat_ms * MS;
		if (now.beat <= t)
			now.beat = t + opt.beat_ms * MS;
		beat();
		/*
		 * Where saying it takes longer than until the next, work needs time
		 * as well: v would look at a page between two beats, for ever.
		 */
		t = clock_ns();
		if (now.beat < t + opt.beat_ms * MS / 2)
			now.beat = t + opt.beat_ms * MS;
	}
}

static void
bad_found(const struct fault *f)
{
	static unsigned int lines;

	if (++lines > BAD_LINES_MAX)
		return;
	line("BAD what=");
	say(f->what);
	say_field("page", f->page);
	say_field_hex("gpa", f->gpa);
	say_field("off", f->offset);
	say_field("want", f->want);
	say_field("have", f->have);
	say_field("bytes", f->wrong_bytes);
	if (f->count_want != 0 || f->count_have != 0) {
		say_field("count_want", f->count_want);
		say_field("count_have", f->count_have);
	}
	say_end();
}

static void
verify(void)
{
	struct witness_totals w;
	uint64_t sum, start = clock_ns();

	witness_check_all(&sum);
	w = witness_totals();
	line(w.faults == 0 && sum == w.sum && fpu_intact() ?
	    "verify ok" : "verify BAD");
	say_field("pages", w.pages);
	say_field_hex("sum", sum);
	say_field("bad", w.faults);
	say_field("ms", (clock_ns() - start) / MS);
	say_end();
}

static int
typed_is(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	if (n != typed.len)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (typed.text[i] != s[i])
			return 0;
	return 1;
}

static int
typed_corrupt(uint64_t *page)
{
	static const char word[] = "corrupt";
	size_t i;

	for (i = 0; i < sizeof(word) - 1; i++)
		if (i >= typed.len || typed.text[i] != word[i])
			return 0;
	*page = 0;
	for (; i < typed.len; i++)
		if (typed.text[i] >= '0' && typed.text[i] <= '9')
			*page = *page * 10 + (uint64_t)(typed.text[i] - '0');
	return 1;
}

static void
command(void)
{
	uint64_t page;

	line("echo: ");
	say_bytes(typed.text, typed.len);
	say_end();
	if (typed_is("q")) {
		line("bye");
		say_end();
		power_off();
	} else if (typed_is("v")) {
		verify();
	} else if (typed_is("d") && now.has_disk) {
		disk_scan();
	} else if (typed_is("p")) {
		clock_watch_reset();
	} else if (typed_is("b")) {
		beat();
	} else if (typed_corrupt(&page)) {
		witness_corrupt(page);
	} else if (typed_is("help")) {
		line("commands: v verify, p forget pause, b beat, q power off, "
		    "d look through the disk, corrupt [PAGE]");
		say_end();
		line("options: mix= hot= rate= rewrite= beat= tick= verify= "
		    "timer= disk= mem= seed= exit= clock=");
		say_end();
	}
	typed.len = 0;
}

static void
input(uint64_t t)
{
	int c;

	while ((c = serial_get()) >= 0) {
		typed.last = t;
		if (c == '\r' || c == '\n') {
			if (typed.len > 0)
				command();
		} else if (c >= ' ' && c < 0x7f && typed.len < INPUT_MAX) {
			typed.text[typed.len++] = (char)c;
		}
	}
	if (typed.len > 0 && t - typed.last > INPUT_STANDS_NS)
		command();
}

/*
 * How many pages are due at `bytes` a second. Time the guest did not run is paid
 * back for a tenth of a second at most: no burst after a long pause.
 */
static unsigned int
pages_due(struct pace *p, uint64_t t, uint64_t bytes, unsigned int at_most)
{
	uint64_t elapsed = t - p->last, n;

	if (elapsed > ARREARS_NS)
		elapsed = ARREARS_NS;
	p->last = t;
	p->owed += elapsed * (bytes / FILL_PAGE_BYTES);
	if ((n = p->owed / PACE_PAGE) > at_most)
		n = at_most;
	p->owed -= n * PACE_PAGE;
	if (p->owed > ARREARS_NS * (bytes / FILL_PAGE_BYTES) + PACE_PAGE)
		p->owed = 0;
	return (unsigned int)n;
}

static void
dirty_due(uint64_t t)
{
	unsigned int n = pages_due(&now.dirtying, t, opt.rate, DIRTY_AT_ONCE);

	while (n-- > 0)
		witness_dirty();
}

static void
check_due(uint64_t t)
{
	if (opt.verify_off)
		return;
	witness_check(opt.verify_rate == 0 ? CHECK_AT_ONCE :
	    pages_due(&now.checking, t, opt.verify_rate, CHECK_AT_MOST));
}

static void
disk_scanned(const struct disk_totals *t)
{
	line("disk");
	say_field("blocks", t->blocks);
	say_field("found", t->written);
	say_field("bad", t->bad);
	say_end();
}

/* A write that is due stays so until the request under way is answered. */
static void
disk_due(uint64_t t)
{
	if (!now.has_disk)
		return;
	if (now.disk_write == 0)
		now.disk_write = pages_due(&now.disk, t, opt.disk_rate, 1);
	now.disk_write -= disk_step(now.disk_write, disk_scanned);
}

static void
introduce(void)
{
	line("guest persona-small-guest 1");
	say_field("tsc_khz", clock_tsc_khz());
	say(" clock=");
	say(clock_name());
	for (unsigned int i = 0; i < boot.n_ram; i++)
		say_field("ram_kib", (boot.ram[i].end - boot.ram[i].start) >> 10);
	say_end();
	if (opt.bad[0] != '\0') {
		line("warn not understood: ");
		say(opt.bad);
		say_end();
	}
}

static void
get_ready(void)
{
	struct witness_totals w;
	uint64_t start = clock_ns(), t;

	if (witness_init(&boot, &opt, stay_alive, bad_found) < 0) {
		line("FATAL too little memory");
		say_end();
		power_off();
	}
	fpu_load();
	w = witness_totals();
	line("ready");
	say_field("pages", w.pages);
	say_field("hot", w.hot_pages);
	say_field("rate", opt.rate);
	say_field("seed", opt.seed);
	say_field_hex("sum", w.sum);
	say_field("fill_ms", (clock_ns() - start) / MS);
	say_end();
	if (opt.timer_hz != 0) {
		timer_start((uint32_t)opt.timer_hz);
		if (opt.verify_rate == 0)
			opt.verify_rate = CHECK_SLEEPY;
	}
	if (opt.disk_rate != 0 && !(now.has_disk = disk_init())) {
		line("warn there is no disk");
		say_end();
	}
	t = clock_ns();
	now.disk.last = t;
	now.ready = now.dirtying.last = now.checking.last = t;
	now.beat = t + opt.beat_ms * MS;
	now.tick = t;
	now.watching = 1;
	clock_watch_reset();
}

void
guest_main(uint32_t kind, uint32_t info)
{
	int r;

	serial_init();
	r = bootinfo_read(&boot, kind, info, RAM_FLOOR, RAM_CEILING);
	options_parse(&opt, boot.cmdline);
	clock_init(opt.clock);
	introduce();
	if (r < 0) {
		line("FATAL the loader gave no memory map");
		say_end();
		power_off();
	}
	get_ready();
	for (;;) {
		uint64_t t = clock_tick();

		stay_alive();
		dirty_due(t);
		check_due(t);
		disk_due(t);
		if (t >= now.input) {
			now.input = t + INPUT_EVERY_NS;
			input(t);
		}
		if (opt.exit_ms != 0 && t - now.ready > opt.exit_ms * MS) {
			line("bye");
			say_end();
			power_off();
		}
		if (opt.timer_hz != 0)
			timer_sleep();
	}
}

/* An exception: a bug of ours, or a machine that was restored wrongly. */
void
guest_trapped(void)
{
	line("TRAP");
	say_field("vector", trap_vector);
	say_field_hex("error", trap_error);
	say_field_hex("rip", trap_rip);
	say_field_hex("cr2", trap_cr2);
	say_end();
	power_off();
}
