/* SPDX-License-Identifier: ISC */
/* Messages and descriptors cross a socket pair whole, or are refused whole. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc.h"
#include "transfer.pb-c.h"
#include "unit.h"

static void
message_arrives_with_its_descriptor(void)
{
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT, *got;
	Persona__Transfer__Release rel = PERSONA__TRANSFER__RELEASE__INIT;
	static struct ipc_msg in;
	int sv[2], p[2], fd;
	char c = 0;

	CU_ASSERT_EQUAL_FATAL(ipc_pair(sv), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	m.attempt = 7;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_RELEASE;
	m.release = &rel;
	rel.tenure = 42;
	CU_ASSERT_EQUAL(ipc_send(sv[0], &m.base, &p[1], 1, 0), 0);
	CU_ASSERT_EQUAL_FATAL(ipc_recv(sv[1], &in), 1);
	got = persona__transfer__transfer_message__unpack(NULL, in.len,
	    in.data);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(got->attempt, 7);
	CU_ASSERT_EQUAL(got->release->tenure, 42);
	persona__transfer__transfer_message__free_unpacked(got, NULL);

	CU_ASSERT_TRUE((fd = ipc_take_fd(&in, 0)) >= 0);
	CU_ASSERT_EQUAL(ipc_take_fd(&in, 0), -1);
	CU_ASSERT_EQUAL(ipc_take_fd(&in, 1), -1);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(read(p[0], &c, 1), 1);
	CU_ASSERT_EQUAL(c, 'x');
	close(fd);
	close(p[0]);
	close(p[1]);
	CU_ASSERT_EQUAL(ipc_recv(sv[1], &in), -EAGAIN);
	close(sv[0]);
	CU_ASSERT_EQUAL(ipc_recv(sv[1], &in), 0);
	CU_ASSERT_EQUAL(ipc_send(sv[1], &m.base, NULL, 0, 0), -EPIPE);
	close(sv[1]);
}

static void
oversized_messages_are_refused_on_both_sides(void)
{
	static uint8_t big[IPC_MAX_MSG + 1];
	Persona__Transfer__TransferMessage m =
	    PERSONA__TRANSFER__TRANSFER_MESSAGE__INIT;
	Persona__Transfer__Refuse refuse = PERSONA__TRANSFER__REFUSE__INIT;
	static struct ipc_msg in;
	int sv[2];

	CU_ASSERT_EQUAL_FATAL(ipc_pair(sv), 0);
	memset(big, 'a', sizeof(big) - 1);
	refuse.message = (char *)big;
	m.kind_case = PERSONA__TRANSFER__TRANSFER_MESSAGE__KIND_REFUSE;
	m.refuse = &refuse;
	CU_ASSERT_EQUAL(ipc_send(sv[0], &m.base, NULL, 0, 0), -EMSGSIZE);
	CU_ASSERT_EQUAL(send(sv[0], big, sizeof(big), 0),
	    (ssize_t)sizeof(big));
	CU_ASSERT_EQUAL(ipc_recv(sv[1], &in), -EMSGSIZE);
	close(sv[0]);
	close(sv[1]);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "a message arrives with its descriptor",
		    message_arrives_with_its_descriptor },
		{ "oversized messages are refused on both sides",
		    oversized_messages_are_refused_on_both_sides },
	};

	return unit_main("ipc", tests, sizeof(tests) / sizeof(tests[0]));
}
