/* SPDX-License-Identifier: ISC */
/*
 * Blocking reads and writes, and figures. These processes have nothing else to do,
 * and personad ends one that is no longer wanted, so waiting in a call is fine.
 */
#include "file-io.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "clock.h"

#define TELL_EVERY_NS	200000000ULL

/* 0 to try again, or -errno of the call that has failed. */
static int
wait_if_full(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (errno == EINTR)
		return 0;
	if (errno != EAGAIN)
		return -errno;
	return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

int
file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	int r;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if ((r = wait_if_full(fd, POLLOUT)) < 0)
				return r;
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t
file_read_some(int fd, void *data, size_t len)
{
	ssize_t n;
	int r;

	while ((n = read(fd, data, len)) < 0)
		if ((r = wait_if_full(fd, POLLIN)) < 0)
			return r;
	return n;
}

int
file_read_all(int fd, void *data, size_t len)
{
	uint8_t *p = data;

	while (len > 0) {
		ssize_t n = file_read_some(fd, p, len);

		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_read_start(int fd, void *data, size_t size, size_t *len)
{
	uint8_t *p = data;
	size_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, p + at, size - at, (off_t)at);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*len = at;
	return 0;
}

int
file_sync(int fd)
{
	if (fsync(fd) == 0)
		return 0;
	/* A pipe, or a device: nothing of ours is kept there. */
	return errno == EINVAL || errno == EROFS || errno == ENOTSUP ? 0 :
	    -errno;
}

int
file_passphrase_read(struct file_passphrase *p, int fd)
{
	char more;
	ssize_t n;

	p->len = 0;
	while (p->len < sizeof(p->text)) {
		n = pread(fd, p->text + p->len, sizeof(p->text) - p->len,
		    (off_t)p->len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		p->len += (size_t)n;
	}
	n = pread(fd, &more, 1, (off_t)p->len);
	return p->len == 0 || n != 0 ? -EINVAL : 0;
}

const char *
file_write_text(int r)
{
	switch (r) {
	case -ENOSPC:
	case -EDQUOT:
		return "there is no room where the file is written";
	case -EFBIG:
		return "the file system there cannot hold so large a file";
	case -EPIPE:
		return "whoever was reading the file has gone";
	case -ENOMEM:
		return "there is too little memory to make the file's key";
	default:
		return NULL;
	}
}

/* --- what personad is told ----------------------------------------------------------- */

void
file_pace_begin(struct file_pace *p, uint64_t now_ns)
{
	p->began_ns = now_ns;
	p->told_ns = 0;
}

void
file_tell_progress(struct worker *w, struct file_pace *pace,
    const struct personafile_figures *f, uint64_t bytes, bool now)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__FileProgress p =
	    PERSONA__TRANSFER__FILE_PROGRESS__INIT;
	uint64_t now_ns = clock_now_ns();
	uint64_t ms = (now_ns - pace->began_ns) / 1000000;

	if (!now && now_ns - pace->told_ns < TELL_EVERY_NS)
		return;
	pace->told_ns = now_ns;
	p.pages_done = f->pages_done;
	p.pages_total = f->pages_total > f->pages_done ? f->pages_total :
	    f->pages_done;
	p.bytes = bytes;
	if (ms > 0 && f->pages_done > 0) {
		p.has_rate = p.has_eta_ms = true;
		p.rate = f->pages_done * PAGE_BYTES * 1000 / ms;
		p.eta_ms = (p.pages_total - p.pages_done) * ms /
		    f->pages_done;
	}
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_PROGRESS;
	m.file_progress = &p;
	worker_tell(w, &m, NULL, 0);
}

void
file_tell_done(struct worker *w, const struct digest *root)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__FileDone done = PERSONA__TRANSFER__FILE_DONE__INIT;

	done.root.data = (uint8_t *)(uintptr_t)root->b;
	done.root.len = DIGEST_BYTES;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_FILE_DONE;
	m.file_done = &done;
	worker_tell(w, &m, NULL, 0);
}
