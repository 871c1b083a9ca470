/* SPDX-License-Identifier: ISC */
/*
 * The calls every stream answers, passed on to whatever it is made of. Knows
 * no implementation; each of them embeds struct stream and brings its ops.
 */
#include "stream.h"

void
stream_set_ready(struct stream *s, stream_ready_fn *ready, void *arg)
{
	s->ready = ready;
	s->ready_arg = arg;
	s->ops->want(s, 0);
}

void
stream_want(struct stream *s, size_t to_write)
{
	s->ops->want(s, to_write);
}

ssize_t
stream_read(struct stream *s, void *buf, size_t len)
{
	return s->ops->read(s, buf, len);
}

ssize_t
stream_write(struct stream *s, const void *buf, size_t len)
{
	return s->ops->write(s, buf, len);
}

size_t
stream_window(struct stream *s)
{
	return s->ops->window != NULL ? s->ops->window(s) : SIZE_MAX;
}

int64_t
stream_unsent(struct stream *s)
{
	return s->ops->unsent(s);
}

uint64_t
stream_unanswered_ns(struct stream *s)
{
	return s->ops->unanswered_ns != NULL ? s->ops->unanswered_ns(s) : 0;
}

void
stream_close(struct stream *s)
{
	if (s != NULL)
		s->ops->close(s);
}
