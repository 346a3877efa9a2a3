/* test_walk.c - members that come back are given what they missed, once and in order, whatever else goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "walk.h"

enum { MEMBERS = 40, ROOMS = 6, GOT_MAX = 8000, NOW = 1000000, NOT_HERE = -1 };

static struct person {
	struct member member; /* first */
	char sid[16], user[16];
	uint64_t got[GOT_MAX], owed[GOT_MAX];
	size_t got_count, owed_count, kept_count; /* kept: had when it came back the last time */
	bool is_here, is_slow, is_queued, awaits_drained;
	unsigned rooms;       /* bits */
	struct place floor;
} people[MEMBERS];

static uv_loop_t loop;
static struct rooms rooms;
static struct fanout *fanout;
static struct history *history;
static struct walks *walks;
static struct place newest, reach; /* the log's, of this hub */
static uint64_t seq;
static size_t largest_send;
static struct member *closed;
static struct member *ends_when_sent_to;
static uint32_t random_state;

static uint32_t pick(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

static struct person *person_of(struct member *member)
{
	return (struct person *)(void *)member;
}

static void on_send(struct member *member, struct frame *const *frames, size_t count)
{
	struct person *person = person_of(member);
	largest_send = count > largest_send ? count : largest_send;
	for (size_t i = 0; i < count; i++) {
		unsigned long long number, offset_epoch, offset;
		assert_int_equal(sscanf(frame_payload(frames[i]), "42[%llu ,\"%llu.%llu\"]", &number, &offset_epoch, &offset), 3);
		assert_int_equal(number, offset);
		person->got[person->got_count++] = number;
	}
	person->is_queued = person->is_slow;
	if (ends_when_sent_to == member) {
		walk_end(member);
		room_leave_all(&rooms, member);
	}
}

static void on_withdraw(struct member *member, const struct frame *frame)
{
	(void)member;
	(void)frame;
	fail();
}

static bool on_is_writable(const struct member *member)
{
	(void)member;
	return true;
}

static bool on_is_queued(const struct member *member)
{
	return ((const struct person *)(const void *)member)->is_queued;
}

static void on_await_drained(struct member *member)
{
	assert_true(person_of(member)->is_queued);
	person_of(member)->awaits_drained = true;
}

static bool is_deaf;

static void on_ask_echo(struct member *member)
{
	if (!is_deaf)
		walk_on_echo(member);
}

static void on_close(struct member *member)
{
	closed = member;
	walk_end(member);
}

static struct member *on_find_by_sid(void *data, struct bytes sid)
{
	(void)data;
	for (int i = 0; i < MEMBERS; i++)
		if (people[i].is_here && bytes_equal_text(sid, people[i].sid))
			return &people[i].member;
	return NULL;
}

static struct place on_newest(void *data)
{
	(void)data;
	return newest;
}

static bool may_come;

static bool on_may_come(void *data)
{
	(void)data;
	bool result = may_come;
	may_come = false;
	return result;
}

static struct place on_reach(void *data)
{
	(void)data;
	return place_larger(reach, history_reach(history));
}

static int setup(void **state)
{
	(void)state;
	struct error err;
	memset(people, 0, sizeof(people));
	newest = reach = (struct place){ 1, 0 };
	seq = 0;
	largest_send = 0;
	closed = ends_when_sent_to = NULL;
	may_come = is_deaf = false;
	for (int i = 0; i < MEMBERS; i++) {
		snprintf(people[i].sid, sizeof(people[i].sid), "sid%d", i);
		snprintf(people[i].user, sizeof(people[i].user), "%d", i);
		people[i].member.sid = people[i].sid;
		people[i].member.framing = FRAMING_OFFSET;
		people[i].member.user_id = i % 3 ? people[i].user : NULL;
	}
	uv_loop_init(&loop);
	history = history_new(&(struct history_bounds){ .age_ms = UINT32_MAX, .events = 5000, .bytes = 1 << 30 }, &err);
	if (!history || rooms_init(&rooms, &err))
		return -1;
	fanout = fanout_new(&loop, &rooms, &(struct fanout_settings){
		.chunk = 16, .backlog_max = 1 << 20, .send = on_send, .is_writable = on_is_writable, .withdraw = on_withdraw, .find_by_sid = on_find_by_sid,
		.newest = on_newest,
	}, &err);
	walks = walks_new(&loop, &(struct walks_settings){
		.batch_bytes = 2000, .history = history, .rooms = &rooms, .fanout = fanout, .send = on_send, .is_queued = on_is_queued,
		.await_drained = on_await_drained, .ask_echo = on_ask_echo, .close = on_close, .newest = on_newest, .reach = on_reach, .may_come = on_may_come, .ahead_wait_ms = 5,
	}, &err);
	return fanout && walks ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < MEMBERS; i++) {
		walk_end(&people[i].member);
		room_leave_all(&rooms, &people[i].member);
	}
	walks_close(walks, NULL, NULL);
	fanout_close(fanout, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	rooms_deinit(&rooms);
	history_free(history);
	return uv_loop_close(&loop);
}

/* As the hub does: into the history, then to those who are live. */
static void publish(struct message message)
{
	struct error err;
	char body[32];
	seq++;
	snprintf(body, sizeof(body), "%llu", (unsigned long long)seq);
	message.kind = MESSAGE_EVENT;
	message.epoch = 1;
	message.seq = seq;
	message.body = bytes_of(body);
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	newest = event->place;
	history_append(history, event, NOW);
	fanout_publish(fanout, event);
	walks_on_news(walks);
}

static void publish_to(const char *room)
{
	struct bytes name = bytes_of(room);
	publish((struct message){ .rooms = { &name, 1 } });
}

static void join(int who, const char *room)
{
	struct error err;
	assert_int_equal(room_join(&rooms, &people[who].member, bytes_of(room), 0, &err), 0);
	walk_on_join(&people[who].member);
}

static void start(int who, uint64_t after, bool has_rooms)
{
	struct error err;
	assert_int_equal(walk_start(walks, &people[who].member, (struct place){ 1, after }, has_rooms, &err), 0);
}

static void settle(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void drain(struct person *person)
{
	person->is_queued = false;
	if (person->awaits_drained) {
		person->awaits_drained = false;
		walk_on_drained(&person->member);
	}
}

static void assert_got(int who, uint64_t from, uint64_t to)
{
	assert_int_equal(people[who].got_count, to - from + 1);
	for (uint64_t i = from; i <= to; i++)
		assert_int_equal(people[who].got[i - from], i);
}

static void test_missed_events_then_live_ones(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++)
		publish_to("a");
	join(0, "a");
	start(0, 100, true);
	assert_false(walk_is_waiting(people[0].member.walk));
	publish_to("a"); /* not given ahead of the rest */
	fanout_run(fanout);
	assert_int_equal(people[0].got_count, 0);
	settle();
	assert_null(people[0].member.walk);
	publish_to("a");
	settle();
	assert_got(0, 101, 302);
	assert_in_range(largest_send, 2, 64);
	assert_int_equal(walks_figures(walks)->finished, 1);
	assert_int_equal(walks_figures(walks)->walking, 0);
	assert_int_equal(walks_figures(walks)->given, 201);
}

static void test_a_fresh_session_waits_for_its_joins(void **state)
{
	(void)state;
	publish_to("a");
	publish_to("b");
	start(0, 0, false);
	assert_true(walk_is_waiting(people[0].member.walk));
	join(0, "a");
	join(0, "b");
	publish_to("b");
	fanout_run(fanout);
	assert_int_equal(people[0].got_count, 0);
	assert_int_equal(walk_place(people[0].member.walk).seq, 0);
	settle();
	assert_got(0, 1, 3);
	start(1, 0, false); /* never joins: it is live all the same after a while */
	settle();
	assert_null(people[1].member.walk);
	assert_int_equal(people[1].got_count, 0);
}

static void test_it_waits_for_what_was_sent(void **state)
{
	(void)state;
	is_deaf = true;
	publish_to("a");
	publish((struct message){ .audience = AUDIENCE_EVERYONE });
	start(0, 0, false);
	settle();
	assert_true(walk_is_waiting(people[0].member.walk)); /* for ever, if need be: the session ends by its ping's time-out */
	join(0, "a");
	walk_on_echo(&people[0].member); /* of the question before the join */
	assert_true(walk_is_waiting(people[0].member.walk));
	settle();
	assert_int_equal(people[0].got_count, 0);
	walk_on_echo(&people[0].member);
	settle();
	assert_got(0, 1, 2);
	walk_on_echo(&people[0].member); /* it is live: nothing happens */
}

static void test_it_is_pulled_as_the_connection_drains(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		publish_to("a");
	join(0, "a");
	people[0].is_slow = true;
	start(0, 0, true);
	for (int turn = 0; turn < 5; turn++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_in_range(people[0].got_count, 1, 64); /* one batch, whatever time passes */
	assert_true(people[0].awaits_drained);
	assert_int_equal(walk_place(people[0].member.walk).seq, people[0].got_count);
	while (people[0].member.walk) {
		drain(&people[0]);
		settle();
	}
	assert_got(0, 1, 1000);
}

static void test_what_is_larger_than_a_batch_goes_alone(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	struct error err;
	char body[5100];
	for (int i = 0; i < 3; i++) {
		seq++;
		memset(body, ' ', sizeof(body));
		body[snprintf(body, 16, "%llu", (unsigned long long)seq)] = ' ';
		struct message message = { .kind = MESSAGE_EVENT, .epoch = 1, .seq = seq, .rooms = { &room, 1 }, .body = { body, sizeof(body) } };
		struct event *event = event_from_message(&message, &err);
		newest = event->place;
		history_append(history, event, NOW);
		event_unref(event);
	}
	join(0, "a");
	start(0, 0, true);
	settle();
	assert_got(0, 1, 3);
	assert_int_equal(largest_send, 1);
}

static void test_exclusions(void **state)
{
	(void)state;
	struct bytes a = bytes_of("a"), except_user = bytes_of("user-4"), except_room = bytes_of("c"), sid = bytes_of("sid4");
	publish((struct message){ .rooms = { &a, 1 }, .exclude_user = bytes_of("4") });
	publish((struct message){ .rooms = { &a, 1 }, .except = { &except_user, 1 } });
	publish((struct message){ .rooms = { &a, 1 }, .except = { &except_room, 1 } });
	publish((struct message){ .audience = AUDIENCE_EVERYONE, .except = { &sid, 1 } });
	publish((struct message){ .audience = AUDIENCE_AUTHENTICATED });
	publish((struct message){ .rooms = { &sid, 1 } });
	for (int who = 3; who <= 5; who++) {
		join(who, "a");
		if (people[who].member.user_id) {
			char room[24];
			snprintf(room, sizeof(room), "user-%s", people[who].user);
			join(who, room);
		}
	}
	start(3, 0, true);  /* anonymous */
	start(4, 0, true);
	start(5, 0, false); /* whether it was in "c" nobody knows, nor its id of then */
	settle();
	assert_int_equal(people[3].got_count, 4); /* all but the authenticated's, and the other's own */
	assert_int_equal(people[3].got[3], 4);
	assert_int_equal(people[4].got_count, 3);
	assert_int_equal(people[4].got[0], 3);
	assert_int_equal(people[4].got[1], 5);
	assert_int_equal(people[4].got[2], 6);
	assert_int_equal(people[5].got_count, 3);
	assert_int_equal(people[5].got[0], 1);
	assert_int_equal(people[5].got[1], 2);
	assert_int_equal(people[5].got[2], 5);
	assert_int_equal(walks_figures(walks)->withheld, 2);
}

static void test_replaced_events_are_passed_over(void **state)
{
	(void)state;
	publish_to("a");
	publish_to("a");
	history_replace(history, 0);
	join(0, "a");
	start(0, 0, true);
	settle();
	assert_got(0, 2, 2);
	assert_int_equal(walks_figures(walks)->replaced, 1);
}

static void test_a_hub_behind_its_client_gives_nothing_twice(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		publish_to("a");
	join(0, "a");
	start(0, 13, true); /* it has three more, from another hub */
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_run(&loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 5; i++)
		publish_to("a");
	settle();
	assert_got(0, 14, 15);
	may_come = true; /* once */
	start(1, 1000, true); /* and this one is ahead of everything that will come */
	join(1, "a");
	settle();
	assert_null(people[1].member.walk);
	assert_int_equal(walks_figures(walks)->never_reached, 1);
	publish_to("a");
	settle();
	assert_got(1, 16, 16);
}

static void test_a_history_that_does_not_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		publish_to("a");
	join(0, "a");
	people[0].is_slow = true;
	start(0, 0, true);
	for (int turn = 0; turn < 3; turn++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_null(closed);
	reach = (struct place){ 1, 150 };
	drain(&people[0]);
	settle();
	assert_ptr_equal(closed, &people[0].member);
	assert_int_equal(walks_figures(walks)->outrun, 1);
}

static void test_sending_may_end_the_member(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		publish_to("a");
	join(0, "a");
	ends_when_sent_to = &people[0].member;
	start(0, 0, true);
	settle();
	assert_int_equal(walks_figures(walks)->walking, 0);
	assert_in_range(people[0].got_count, 1, 64);
}

/* --- the model -------------------------------------------------------------------- */

static void room_name(char name[static 8], unsigned room)
{
	snprintf(name, 8, "r%u", room);
}

static void join_all(int who)
{
	char name[8];
	struct error err;
	assert_int_equal(room_join_unnamed(&rooms, &people[who].member, rooms.everyone, &err), 0);
	for (unsigned room = 0; room < ROOMS; room++) {
		room_name(name, room);
		if (people[who].rooms & 1u << room)
			join(who, name);
	}
}

static void arrive(int who)
{
	people[who].is_here = true;
	people[who].rooms = 1 + pick((1u << ROOMS) - 1);
	people[who].floor = newest;
	people[who].member.position = fanout_position(fanout);
	join_all(who);
}

/* What was on its way is lost. */
static void cut(int who)
{
	struct person *person = &people[who];
	walk_end(&person->member);
	room_leave_all(&rooms, &person->member);
	person->is_here = person->is_queued = person->awaits_drained = false;
	size_t losable = person->got_count - person->kept_count;
	person->got_count -= pick(losable < 30 ? (uint32_t)losable + 1 : 30);
}

static void come_back(int who)
{
	struct person *person = &people[who];
	struct place after = person->floor;
	if (person->got_count)
		after = place_larger(after, (struct place){ 1, person->got[person->got_count - 1] });
	person->floor = after;
	person->kept_count = person->got_count;
	person->is_here = true;
	person->is_slow = pick(3) == 0;
	bool has_rooms = pick(2);
	if (has_rooms)
		join_all(who);
	start(who, after.seq, has_rooms);
	if (!has_rooms)
		join_all(who);
}

static void publish_at_random(void)
{
	char names[2][8];
	struct bytes list[2];
	char user[16];
	unsigned room[2] = { pick(ROOMS), pick(ROOMS) }, kind = pick(4), excluded = pick(MEMBERS);
	snprintf(user, sizeof(user), "%u", excluded);
	bool has_exclusion = pick(4) == 0 && excluded % 3;
	for (int i = 0; i < 2; i++) {
		room_name(names[i], room[i]);
		list[i] = bytes_of(names[i]);
	}
	unsigned meant = kind == 0 ? ~0u : kind == 1 ? 1u << room[0] | 1u << room[1] : 1u << room[0];
	for (unsigned who = 0; who < MEMBERS; who++) {
		struct person *person = &people[who];
		if (person->rooms & meant && !(has_exclusion && who == excluded))
			person->owed[person->owed_count++] = seq + 1;
	}
	publish((struct message){
		.audience = kind ? AUDIENCE_ROOMS : AUDIENCE_EVERYONE, .rooms = { list, kind == 0 ? 0 : kind == 1 ? 2 : 1 },
		.exclude_user = has_exclusion ? bytes_of(user) : (struct bytes){ 0 },
	});
}

static void step(void)
{
	int who = (int)pick(MEMBERS);
	struct person *person = &people[who];
	if (!person->rooms)
		arrive(who);
	else if (!person->is_here)
		come_back(who);
	else if (pick(6) == 0)
		cut(who);
	drain(&people[pick(MEMBERS)]);
	if (pick(3) == 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (pick(5) == 0)
		fanout_run(fanout);
}

static void test_random_model(void **state)
{
	(void)state;
	random_state = (uint32_t)time(NULL) ^ (uint32_t)clock();
	if (getenv("SEED"))
		random_state = (uint32_t)strtoul(getenv("SEED"), NULL, 10);
	print_message("# SEED=%u\n", random_state);
	for (int round = 0; round < 4000; round++) {
		publish_at_random();
		step();
	}
	for (int who = 0; who < MEMBERS; who++)
		if (people[who].rooms && !people[who].is_here)
			come_back(who);
	for (int turn = 0; turn < 2000 && walks_figures(walks)->walking; turn++) {
		for (int who = 0; who < MEMBERS; who++)
			drain(&people[who]);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	settle();
	assert_int_equal(walks_figures(walks)->walking, 0);
	assert_in_range(walks_figures(walks)->given, 1000, INT32_MAX);
	for (int who = 0; who < MEMBERS; who++) {
		assert_int_equal(people[who].got_count, people[who].owed_count);
		for (size_t i = 0; i < people[who].got_count; i++)
			assert_int_equal(people[who].got[i], people[who].owed[i]);
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_missed_events_then_live_ones),
		TEST(test_a_fresh_session_waits_for_its_joins),
		TEST(test_it_waits_for_what_was_sent),
		TEST(test_it_is_pulled_as_the_connection_drains),
		TEST(test_what_is_larger_than_a_batch_goes_alone),
		TEST(test_exclusions),
		TEST(test_replaced_events_are_passed_over),
		TEST(test_a_hub_behind_its_client_gives_nothing_twice),
		TEST(test_a_history_that_does_not_wait),
		TEST(test_sending_may_end_the_member),
		TEST(test_random_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
