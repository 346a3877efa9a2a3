/* test_fanout.c - who gets which event, in which order, however a broadcast is cut into chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "fanout.h"

enum { MEMBERS = 200, GOT_MAX = 400 };

/* What each member was given, by the number in the event's body. */
static struct test_member {
	struct member member;
	char sid[16];
	int got[GOT_MAX];
	int got_count, writes, together, prefetched;
	bool is_busy;
} people[MEMBERS];

static struct rooms rooms;
static struct fanout *fanout;
static uv_loop_t loop;
static struct member *leaves_when_given; /* another member that leaves all rooms when somebody is given something */

static void on_send(struct member *member, struct frame *const *frames, size_t count)
{
	struct test_member *person = (struct test_member *)member;
	person->writes++;
	for (size_t i = 0; i < count; i++) {
		int number;
		assert_int_equal(sscanf(frame_payload(frames[i]), "42[%d", &number), 1);
		assert_true(person->got_count < GOT_MAX);
		person->got[person->got_count++] = number;
	}
	if (leaves_when_given) {
		room_leave_all(&rooms, leaves_when_given);
		leaves_when_given = NULL;
	}
}

/* A client that is not ready takes nothing in this way. */
static bool on_send_together(struct member *member, const struct frames_together *together)
{
	struct test_member *person = (struct test_member *)member;
	if (person->is_busy)
		return false;
	const unsigned char *at = together->wire->wire, *end = at + frame_wire_len(together->wire);
	size_t count = 0;
	person->together++;
	person->writes++;
	for (; at < end; at += 2 + at[1], count++) { /* short texts */
		int number;
		assert_true(at[0] == 0x81 && at[1] < 126 && sscanf((const char *)at + 2, "42[%d", &number) == 1);
		assert_int_equal(member->framing == FRAMING_OFFSET, at[at[1]] == '"'); /* in front of the last bracket */
		assert_true(person->got_count < GOT_MAX);
		person->got[person->got_count++] = number;
	}
	assert_ptr_equal(at, end);
	assert_int_equal(count, together->count);
	if (leaves_when_given) {
		room_leave_all(&rooms, leaves_when_given);
		leaves_when_given = NULL;
	}
	return true;
}

static void on_prefetch(const struct room_slot *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct test_member *person = (struct test_member *)slots[i].member;
		if (person && person->writes == person->prefetched) /* not yet sent to */
			person->prefetched++;
	}
}

static const struct frame *withdrawn; /* last */
static int withdrawals;

static void on_withdraw(struct member *member, const struct frame *frame)
{
	(void)member;
	withdrawn = frame;
	withdrawals++;
}

static bool on_is_writable(const struct member *member)
{
	return !((const struct test_member *)member)->is_busy;
}

static struct member *on_find_by_sid(void *data, struct bytes sid)
{
	(void)data;
	for (int i = 0; i < MEMBERS; i++)
		if (bytes_equal_text(sid, people[i].sid))
			return &people[i].member;
	return NULL;
}

static struct place on_newest(void *data)
{
	(void)data;
	return (struct place){ 1, 77 };
}

static int setup(void **state)
{
	(void)state;
	struct error err;
	memset(people, 0, sizeof(people));
	for (int i = 0; i < MEMBERS; i++) {
		snprintf(people[i].sid, sizeof(people[i].sid), "sid%d", i);
		people[i].member.sid = people[i].sid;
	}
	uv_loop_init(&loop);
	if (rooms_init(&rooms, &err))
		return -1;
	fanout = fanout_new(&loop, &rooms, &(struct fanout_settings){
		.chunk = 32, .backlog_max = 100, .send = on_send, .send_together = on_send_together, .prefetch = on_prefetch, .is_writable = on_is_writable, .withdraw = on_withdraw,
		.find_by_sid = on_find_by_sid, .newest = on_newest,
	}, &err);
	return fanout ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++)
		room_leave_all(&rooms, &people[i].member);
	fanout_close(fanout, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	rooms_deinit(&rooms);
	return uv_loop_close(&loop);
}

static void join(int person, const char *room)
{
	struct error err;
	assert_int_equal(room_join(&rooms, &people[person].member, bytes_of(room), 0, &err), 0);
	/* A newcomer is not owed what was published before. */
	people[person].member.position = people[person].member.position ? people[person].member.position : fanout_position(fanout);
}

static void publish_message(struct message message, int number)
{
	struct error err;
	char body[32];
	snprintf(body, sizeof(body), "%d,\"padding\",1", number);
	message.body = bytes_of(body);
	if (!message.kind) {
		message.kind = MESSAGE_EVENT;
		message.epoch = 1;
		message.seq = (uint64_t)number + 1;
	}
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	fanout_publish(fanout, event);
}

static void publish(const char *room, int number)
{
	struct bytes name = bytes_of(room);
	publish_message((struct message){ .rooms = { &name, 1 } }, number);
}

static void finish(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void assert_got(int person, const int *numbers, int count)
{
	assert_int_equal(people[person].got_count, count);
	for (int i = 0; i < count; i++)
		assert_int_equal(people[person].got[i], numbers[i]);
}

#define ASSERT_GOT(person, ...) assert_got(person, (const int[]){ __VA_ARGS__ }, (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)))

static void test_only_members_get_it(void **state)
{
	(void)state;
	join(0, "a");
	join(1, "b");
	publish("a", 1);
	publish("nobody", 2);
	finish();
	ASSERT_GOT(0, 1);
	assert_int_equal(people[1].got_count, 0);
}

static void test_several_rooms_give_it_once(void **state)
{
	(void)state;
	struct bytes names[] = { bytes_of("a"), bytes_of("b"), bytes_of("a") };
	join(0, "a");
	join(0, "b");
	join(1, "b");
	publish_message((struct message){ .rooms = { names, 3 } }, 1);
	finish();
	ASSERT_GOT(0, 1);
	ASSERT_GOT(1, 1);
}

/* A client that is written to by its id may end at once, and its room with it: it was the last one in there. */
static void test_a_room_ends_while_an_event_for_it_is_published(void **state)
{
	(void)state;
	struct bytes names[] = { bytes_of("a"), bytes_of("b"), bytes_of("sid0") };
	join(0, "a");
	join(1, "b");
	leaves_when_given = &people[0].member;
	publish_message((struct message){ .rooms = { names, 3 } }, 1);
	finish();
	ASSERT_GOT(0, 1);
	ASSERT_GOT(1, 1);
}

static void test_events_that_wait_together_leave_in_one_write(void **state)
{
	(void)state;
	join(0, "a");
	for (int i = 1; i <= 64; i++)
		publish("a", i);
	finish();
	assert_int_equal(people[0].got_count, 64);
	assert_int_equal(people[0].writes, 1);
}

/* Each in its own framing; who is not ready, or has some of them, gets them one by one. */
static void test_together_for_whoever_is_ready(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		join(i, "a");
	people[1].member.framing = FRAMING_OFFSET;
	people[2].is_busy = true;
	people[3].member.framing = people[99].member.framing = FRAMING_OFFSET; /* the latter in another chunk */
	people[3].is_busy = true;
	for (int i = 1; i <= 3; i++)
		publish("a", i);
	people[4].member.position = fanout_position(fanout) - 1;
	people[5].member.position = POSITION_BEHIND;
	finish();
	for (int i = 0; i < 100; i++) {
		if (i == 4)
			ASSERT_GOT(i, 3);
		else if (i == 5)
			assert_int_equal(people[i].got_count, 0);
		else
			ASSERT_GOT(i, 1, 2, 3);
		assert_int_equal(people[i].together, i < 2 || i > 5);
		assert_int_equal(people[i].writes, i != 5);
	}
	assert_int_equal(fanout_counters(fanout)->deliveries, 98 * 3 + 1);
}

static void test_not_together_when_one_is_not_for_all(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	for (int i = 0; i < 3; i++)
		join(i, "a");
	publish("a", 1);
	publish_message((struct message){ .rooms = { &room, 1 }, .exclude_sid = bytes_of("sid1") }, 2);
	publish("a", 3);
	publish_message((struct message){ .kind = MESSAGE_VOLATILE, .droppable = 1, .rooms = { &room, 1 } }, 4);
	people[2].is_busy = true;
	finish();
	ASSERT_GOT(0, 1, 2, 3, 4);
	ASSERT_GOT(1, 1, 3, 4);
	ASSERT_GOT(2, 1, 2, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(people[i].together, 0);
}

/* A member of a broadcast that is under way gets what it is owed before the next burst, and that together. */
static void test_together_behind_an_unfinished_broadcast(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++)
		join(i, "large");
	join(198, "small");
	join(199, "small");
	publish("large", 1);
	publish("large", 2);
	fanout_run(fanout); /* one chunk */
	publish("small", 3);
	publish("small", 4);
	fanout_run(fanout);
	ASSERT_GOT(199, 1, 2, 3, 4);
	assert_int_equal(people[199].together, 1);
	assert_int_equal(people[100].got_count, 0);
	finish();
	ASSERT_GOT(199, 1, 2, 3, 4);
	ASSERT_GOT(100, 1, 2);
	assert_int_equal(people[100].together, 1);
}

static void test_leaving_while_burst_is_given(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		join(i, "a");
	leaves_when_given = &people[5].member;
	publish("a", 1);
	publish("a", 2);
	finish();
	for (int i = 0; i < 10; i++)
		assert_int_equal(people[i].got_count, i == 5 ? 0 : 2);
}

static void test_exclusions(void **state)
{
	(void)state;
	static char user[] = "7";
	struct bytes room = bytes_of("a"), except[] = { bytes_of("b"), bytes_of("sid3") };
	struct error err;
	for (int i = 0; i < 5; i++)
		join(i, "a");
	join(1, "b");
	people[2].member.user_id = user;
	assert_int_equal(room_join_unnamed(&rooms, &people[2].member, rooms.authenticated, &err), 0);
	publish_message((struct message){ .rooms = { &room, 1 }, .except = { except, 2 }, .exclude_user = bytes_of("7") }, 1);
	publish_message((struct message){ .audience = AUDIENCE_AUTHENTICATED, .exclude_sid = bytes_of("sid9") }, 2);
	publish_message((struct message){ .audience = AUDIENCE_AUTHENTICATED, .exclude_sid = bytes_of("sid2") }, 3);
	finish();
	ASSERT_GOT(0, 1);
	assert_int_equal(people[1].got_count, 0);
	ASSERT_GOT(2, 2);
	assert_int_equal(people[3].got_count, 0);
	ASSERT_GOT(4, 1);
	people[2].member.user_id = NULL;
}

static void test_sid_as_room(void **state)
{
	(void)state;
	struct bytes sid = bytes_of("sid150");
	struct error err;
	for (int i = 0; i < MEMBERS; i++) {
		assert_int_equal(room_join_unnamed(&rooms, &people[i].member, rooms.everyone, &err), 0);
		people[i].member.position = 0;
	}
	publish_message((struct message){ .audience = AUDIENCE_EVERYONE }, 1); /* 150 is behind several chunks */
	publish_message((struct message){ .rooms = { &sid, 1 } }, 2);
	finish();
	ASSERT_GOT(150, 1, 2);
	ASSERT_GOT(151, 1);
}

static void test_volatile_needs_a_ready_client(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	join(0, "a");
	join(1, "a");
	people[1].is_busy = true;
	publish_message((struct message){ .kind = MESSAGE_VOLATILE, .droppable = 1, .rooms = { &room, 1 } }, 1);
	publish_message((struct message){ .kind = MESSAGE_VOLATILE, .rooms = { &room, 1 } }, 2);
	finish();
	ASSERT_GOT(0, 1, 2);
	ASSERT_GOT(1, 2);
	assert_int_equal(fanout_counters(fanout)->dropped_volatile, 1);
}

static void test_small_room_overtakes_but_keeps_each_members_order(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++)
		join(i, "large");
	join(199, "small");
	publish("large", 1);
	fanout_run(fanout); /* one chunk */
	assert_int_equal(people[0].got_count, 1);
	assert_int_equal(people[199].got_count, 0);
	publish("small", 2);
	fanout_run(fanout);
	ASSERT_GOT(199, 1, 2); /* before the others of the large room had it */
	assert_int_equal(people[198].got_count, 0);
	publish("large", 3);
	finish();
	ASSERT_GOT(199, 1, 2, 3);
	ASSERT_GOT(198, 1, 3);
	ASSERT_GOT(0, 1, 3);
}

static void test_a_room_waits_for_no_larger_one(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++)
		join(i, "large");
	for (int i = 150; i < MEMBERS; i++)
		join(i, "medium");
	publish("large", 1);
	fanout_run(fanout);
	publish("medium", 2);
	for (int rounds = 0; rounds < 4; rounds++) /* of half a chunk each */
		fanout_run(fanout);
	for (int i = 150; i < MEMBERS; i++)
		ASSERT_GOT(i, 1, 2);
	assert_int_equal(people[95].got_count, 1);
	assert_int_equal(people[96].got_count, 0);
	publish("medium", 3);
	finish();
	ASSERT_GOT(149, 1);
	ASSERT_GOT(199, 1, 2, 3);
}

static void test_who_joins_later_is_not_meant(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		join(i, "large");
	publish("large", 1);
	fanout_run(fanout);
	join(150, "large");
	publish("large", 2);
	finish();
	ASSERT_GOT(150, 2);
	ASSERT_GOT(99, 1, 2);
}

static void test_who_leaves_gets_nothing_more(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		join(i, "large");
	publish("large", 1);
	fanout_run(fanout);
	room_leave(&rooms, &people[90].member, bytes_of("large"));
	room_leave(&rooms, &people[0].member, bytes_of("large"));
	finish();
	assert_int_equal(people[90].got_count, 0);
	ASSERT_GOT(99, 1);
}

static void test_leaving_while_it_is_given(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		join(i, "a");
	leaves_when_given = &people[5].member;
	publish("a", 1);
	finish();
	assert_int_equal(people[5].got_count, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(people[i].got_count, i != 5);
}

static void test_backpressure(void **state)
{
	(void)state;
	join(0, "a");
	assert_false(fanout_is_full(fanout));
	for (int i = 0; i < 20; i++)
		publish("a", i);
	assert_true(fanout_is_full(fanout));
	finish();
	assert_false(fanout_is_full(fanout));
}

/* A round may wait for more events in proportion to what it is about to do, and not once it does it. */
static void test_patience_grows_with_the_room(void **state)
{
	(void)state;
	assert_int_equal(fanout_patience_ns(fanout), 0);
	for (int i = 0; i < MEMBERS; i++)
		join(i, i ? "large" : "small");
	publish("small", 1);
	uint64_t of_one = fanout_patience_ns(fanout);
	publish("large", 2);
	assert_true(of_one > 0 && fanout_patience_ns(fanout) == of_one * (MEMBERS - 1));
	fanout_run(fanout); /* a chunk of it */
	assert_int_equal(fanout_patience_ns(fanout), 0);
	finish();
}

/* Members come to the prefetch before they are sent to, each once; those who left come as gaps. */
static void test_prefetch_comes_first(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		join(i, "a");
	publish("a", 1);
	fanout_run(fanout);
	room_leave(&rooms, &people[40].member, bytes_of("a"));
	finish();
	for (int i = 0; i < 50; i++)
		assert_int_equal(people[i].prefetched, i != 40);
}

/* What waits for a slow client is replaced; a client that is ready is given both. */
static void test_an_event_may_replace_one_that_waits(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	struct error err;
	struct event *events[3];
	for (uint64_t i = 0; i < 3; i++) {
		char body[8];
		snprintf(body, sizeof(body), "%d", (int)i + 1);
		events[i] = event_from_message(&(struct message){ .kind = MESSAGE_EVENT, .epoch = 1, .seq = i + 1, .rooms = { &room, 1 }, .body = bytes_of(body) }, &err);
		if (i)
			events[i]->replaces[FRAMING_PLAIN] = frame_ref(event_frame(events[i - 1], FRAMING_PLAIN));
	}
	join(0, "a");
	join(1, "a");
	people[1].is_busy = true;
	withdrawals = 0;
	const struct frame *second = events[2]->replaces[FRAMING_PLAIN];
	fanout_publish(fanout, events[0]);
	fanout_publish(fanout, events[1]); /* both in one go */
	finish();
	assert_int_equal(withdrawals, 0);
	fanout_publish(fanout, events[2]);
	finish();
	ASSERT_GOT(0, 1, 2, 3);
	ASSERT_GOT(1, 2, 3);
	assert_int_equal(withdrawals, 1);
	assert_ptr_equal(withdrawn, second);
}

/* Whatever the chunks, rooms, joins and leaves: what each member gets is in order, once, and nothing misses that was published
 * while it was in the room and stayed. */
static void test_random_order_holds(void **state)
{
	(void)state;
	uint32_t random = 99;
	static int since[MEMBERS][3]; /* the number from which on the member is in the room; 0: it is not */
	memset(since, 0, sizeof(since));
	static const char *const names[] = { "r0", "r1", "r2" };
	static int room_of[GOT_MAX];
	static bool is_owed[MEMBERS][GOT_MAX];
	memset(is_owed, 0, sizeof(is_owed));
	for (int number = 1; number < GOT_MAX; number++) {
		for (int change = 0; change < 5; change++) {
			random = random * 1664525 + 1013904223;
			int who = (int)((random >> 8) % MEMBERS), where = (int)((random >> 20) % 3);
			if (!since[who][where]) {
				join(who, names[where]);
				since[who][where] = number;
			} else if ((random >> 28) == 0) {
				room_leave(&rooms, &people[who].member, bytes_of(names[where]));
				since[who][where] = 0;
				for (int earlier = 1; earlier < number; earlier++)
					if (room_of[earlier] == where)
						is_owed[who][earlier] = false; /* may have come, need not */
			}
		}
		room_of[number] = (int)((random >> 12) % 3);
		for (int who = 0; who < MEMBERS; who++)
			is_owed[who][number] = since[who][room_of[number]] != 0;
		publish(names[room_of[number]], number);
		people[(random >> 6) % MEMBERS].is_busy = (random >> 5) & 1;
		people[(random >> 16) % MEMBERS].member.framing = (enum event_framing)((random >> 15) & 1);
		if (random >> 30)
			fanout_run(fanout);
	}
	finish();
	for (int who = 0; who < MEMBERS; who++) {
		int at = 0;
		for (int i = 1; i < people[who].got_count; i++)
			assert_true(people[who].got[i] > people[who].got[i - 1]);
		for (int number = 1; number < GOT_MAX; number++) {
			while (at < people[who].got_count && people[who].got[at] < number)
				at++;
			if (is_owed[who][number])
				assert_true(at < people[who].got_count && people[who].got[at] == number);
		}
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_only_members_get_it),
		TEST(test_several_rooms_give_it_once),
		TEST(test_a_room_ends_while_an_event_for_it_is_published),
		TEST(test_events_that_wait_together_leave_in_one_write),
		TEST(test_together_for_whoever_is_ready),
		TEST(test_not_together_when_one_is_not_for_all),
		TEST(test_together_behind_an_unfinished_broadcast),
		TEST(test_leaving_while_burst_is_given),
		TEST(test_exclusions),
		TEST(test_sid_as_room),
		TEST(test_volatile_needs_a_ready_client),
		TEST(test_small_room_overtakes_but_keeps_each_members_order),
		TEST(test_a_room_waits_for_no_larger_one),
		TEST(test_who_joins_later_is_not_meant),
		TEST(test_who_leaves_gets_nothing_more),
		TEST(test_leaving_while_it_is_given),
		TEST(test_backpressure),
		TEST(test_patience_grows_with_the_room),
		TEST(test_prefetch_comes_first),
		TEST(test_an_event_may_replace_one_that_waits),
		TEST(test_random_order_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
