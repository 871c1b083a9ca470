/* SPDX-License-Identifier: ISC */
/* Loss on a link that is not full is told from the loss that a full queue makes. */
#include "link-loss.h"
#include "unit.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct link_count before = { 1000, 10, 40000, 40000 };

/* `sent` more segments, `again` of them repeated, at that round trip. */
static bool
noise(uint32_t sent, uint32_t again, uint32_t rtt_us, uint32_t rtt_min_us)
{
	const struct link_count now = { before.sent + sent,
		before.again + again, rtt_us, rtt_min_us };

	return link_loss_is_noise(&before, &now);
}

static void
loss_on_an_empty_link_is_noise(void)
{
	CU_ASSERT_TRUE(noise(1000, 10, 41000, 40000));
	CU_ASSERT_TRUE(noise(200, 1, 9000, 100));
}

static void
loss_with_a_queue_is_congestion(void)
{
	CU_ASSERT_FALSE(noise(1000, 10, 50000, 100));
	CU_ASSERT_FALSE(noise(1000, 200, 90000, 40000));
}

static void
a_clean_link_stays_as_it_is(void)
{
	CU_ASSERT_FALSE(noise(100000, 0, 100, 100));
	CU_ASSERT_FALSE(noise(100000, 100, 100, 100));
}

static void
few_segments_say_nothing(void)
{
	CU_ASSERT_FALSE(noise(20, 20, 100, 100));
	CU_ASSERT_FALSE(noise(0, 0, 0, 0));
}

static void
other_sockets_are_left_alone(void)
{
	struct event_base *base = event_base_new();
	struct link_loss *l = NULL;
	int sv[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	CU_ASSERT_TRUE(link_loss_watch(&l, base, sv[0]) < 0);
	CU_ASSERT_PTR_NULL(l);
	link_loss_end(l);
	event_base_free(base);
	close(sv[0]);
	close(sv[1]);
}

int
main(void)
{
	static const struct unit_test tests[] = {
		{ "loss on an empty link is noise",
		    loss_on_an_empty_link_is_noise },
		{ "loss with a queue is congestion",
		    loss_with_a_queue_is_congestion },
		{ "a clean link stays as it is", a_clean_link_stays_as_it_is },
		{ "few segments say nothing", few_segments_say_nothing },
		{ "other sockets are left alone",
		    other_sockets_are_left_alone },
	};

	return unit_main("link-loss", tests, sizeof(tests) / sizeof(tests[0]));
}
