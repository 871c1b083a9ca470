/* SPDX-License-Identifier: ISC */
/*
 * The in-memory link of stream-mem.h: one ring of bytes a direction, and a line
 * of counters that says how many of them arrive at which step. Knows no loop.
 */
#include "stream-mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CAPACITY	(64u << 10)

struct end {
	struct stream		stream;	/* first: the ops get its address */
	struct stream_mem	*link;
	unsigned int		index;
	bool			open;
	bool			want_write;
};

/* What one end writes and the other reads. */
struct direction {
	uint8_t		*ring;
	size_t		head;		/* the next byte to be read */
	size_t		arrived;	/* readable, from head on */
	size_t		flying;		/* behind those, not yet arrived */
	size_t		due;		/* of the flying: old enough */
	size_t		line[STREAM_MEM_DELAY_MAX];	/* by step written */
	uint64_t	written;	/* since the beginning */
	uint64_t	flip_at;	/* UINT64_MAX: never */
	bool		ended;		/* the writer closed */
};

struct stream_mem {
	struct stream_mem_config cfg;
	struct end		end[2];
	struct direction	dir[2];	/* by writer */
	unsigned int		now;	/* slot of the delay line */
	uint32_t		random;
	uint64_t		calls;	/* that moved bytes or closed */
	bool			cut;
	bool			frozen;
	uint64_t		unanswered_ns;
};

static size_t
chop(struct stream_mem *l, size_t len)
{
	uint32_t x = l->random;

	if (l->cfg.chunk_max == 0 || len == 0)
		return len;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	l->random = x;
	if (len > x % l->cfg.chunk_max + 1)
		len = x % l->cfg.chunk_max + 1;
	return len;
}

static ssize_t
mem_read(struct stream *s, void *buf, size_t len)
{
	struct end *e = (struct end *)s;
	struct stream_mem *l = e->link;
	struct direction *d = &l->dir[!e->index];
	uint8_t *out = buf;

	if (len == 0)
		return -EINVAL;
	if (d->arrived == 0) {
		if (l->cut)
			return -ECONNRESET;
		return d->ended && d->flying == 0 ? 0 : -EAGAIN;
	}
	len = chop(l, len < d->arrived ? len : d->arrived);
	for (size_t i = 0; i < len; i++)
		out[i] = d->ring[(d->head + i) % l->cfg.capacity];
	d->head = (d->head + len) % l->cfg.capacity;
	d->arrived -= len;
	l->calls++;
	return (ssize_t)len;
}

static ssize_t
mem_write(struct stream *s, const void *buf, size_t len)
{
	struct end *e = (struct end *)s;
	struct stream_mem *l = e->link;
	struct direction *d = &l->dir[e->index];
	size_t used = d->arrived + d->flying;
	size_t room = l->cfg.capacity - used;
	const uint8_t *in = buf;

	if (l->cut || !l->end[!e->index].open)
		return -EPIPE;
	if (room == 0)
		return -EAGAIN;
	len = chop(l, len < room ? len : room);
	for (size_t i = 0; i < len; i++, d->written++)
		d->ring[(d->head + used + i) % l->cfg.capacity] =
		    in[i] ^ (d->written == d->flip_at ? 0x10 : 0);
	l->calls++;
	if (l->cfg.delay_steps == 0 && l->cfg.step_bytes == 0 && !l->frozen) {
		d->arrived += len;
		return (ssize_t)len;
	}
	d->flying += len;
	if (l->cfg.delay_steps == 0)
		d->due += len;
	else
		d->line[l->now] += len;
	return (ssize_t)len;
}

static void
mem_want(struct stream *s, size_t to_write)
{
	((struct end *)s)->want_write = to_write > 0;
}

static int64_t
mem_unsent(struct stream *s)
{
	struct end *e = (struct end *)s;

	return (int64_t)e->link->dir[e->index].flying;
}

static uint64_t
mem_unanswered_ns(struct stream *s)
{
	return ((struct end *)s)->link->unanswered_ns;
}

static void
mem_close(struct stream *s)
{
	struct end *e = (struct end *)s;

	e->open = false;
	e->link->calls++;
	e->stream.ready = NULL;
	e->link->dir[e->index].ended = true;
}

static const struct stream_ops mem_ops = {
	.kind = "mem",
	.read = mem_read,
	.write = mem_write,
	.want = mem_want,
	.unsent = mem_unsent,
	.unanswered_ns = mem_unanswered_ns,
	.close = mem_close,
};

static size_t
arrive(struct stream_mem *l, struct direction *d)
{
	size_t n = d->due;

	if (l->cfg.step_bytes > 0 && n > l->cfg.step_bytes)
		n = l->cfg.step_bytes;
	d->due -= n;
	d->flying -= n;
	d->arrived += n;
	return n;
}

/* What was written delay_steps ago is old enough now. */
static void
turn_delay_line(struct stream_mem *l)
{
	if (l->cfg.delay_steps == 0)
		return;
	l->now = (l->now + 1) % l->cfg.delay_steps;
	for (int i = 0; i < 2; i++) {
		l->dir[i].due += l->dir[i].line[l->now];
		l->dir[i].line[l->now] = 0;
	}
}

static bool
end_is_ready(const struct stream_mem *l, unsigned int i)
{
	const struct direction *in = &l->dir[!i], *out = &l->dir[i];

	if (!l->end[i].open || l->end[i].stream.ready == NULL)
		return false;
	if (l->cut || in->arrived > 0 || (in->ended && in->flying == 0))
		return true;
	return l->end[i].want_write &&
	    out->arrived + out->flying < l->cfg.capacity;
}

bool
stream_mem_step(struct stream_mem *l)
{
	uint64_t calls = l->calls;
	bool moved = false;

	if (!l->frozen) {
		turn_delay_line(l);
		for (unsigned int i = 0; i < 2; i++) {
			moved |= arrive(l, &l->dir[i]) > 0;
			/* still under way: not quiet yet */
			moved |= l->dir[i].flying > 0;
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct stream *s = &l->end[i].stream;

		if (end_is_ready(l, i))
			s->ready(s, s->ready_arg);
	}
	return moved || l->calls != calls;
}

void
stream_mem_cut(struct stream_mem *l)
{
	l->cut = true;
	for (int i = 0; i < 2; i++) {
		l->dir[i].flying = l->dir[i].due = 0;
		memset(l->dir[i].line, 0, sizeof(l->dir[i].line));
	}
}

void
stream_mem_freeze(struct stream_mem *l, bool frozen)
{
	l->frozen = frozen;
}

void
stream_mem_set_unanswered(struct stream_mem *l, uint64_t ns)
{
	l->unanswered_ns = ns;
}

void
stream_mem_flip(struct stream_mem *l, unsigned int from, uint64_t at)
{
	l->dir[from].flip_at = at;
}

uint64_t
stream_mem_written(const struct stream_mem *l, unsigned int from)
{
	return l->dir[from].written;
}

int
stream_mem_open(struct stream_mem **lp, struct stream *ends[2],
    const struct stream_mem_config *cfg)
{
	struct stream_mem *l;

	if (cfg != NULL && cfg->delay_steps > STREAM_MEM_DELAY_MAX)
		return -EINVAL;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return -ENOMEM;
	if (cfg != NULL)
		l->cfg = *cfg;
	if (l->cfg.capacity == 0)
		l->cfg.capacity = DEFAULT_CAPACITY;
	l->random = l->cfg.seed != 0 ? l->cfg.seed : 1;
	for (unsigned int i = 0; i < 2; i++) {
		l->dir[i].flip_at = UINT64_MAX;
		if ((l->dir[i].ring = malloc(l->cfg.capacity)) == NULL)
			goto fail;
		l->end[i] = (struct end){ .stream.ops = &mem_ops, .link = l,
		    .index = i, .open = true };
		ends[i] = &l->end[i].stream;
	}
	*lp = l;
	return 0;
fail:
	stream_mem_free(l);
	return -ENOMEM;
}

void
stream_mem_free(struct stream_mem *l)
{
	if (l == NULL)
		return;
	free(l->dir[0].ring);
	free(l->dir[1].ring);
	free(l);
}
