/* test_stored.c - sessions kept for clients that may come back: what is kept, for how long, and what control events do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "room.h"
#include "stored.h"

static struct stored_sessions *stored;
static struct rooms rooms;
static char told[1024];

static int setup(void **state)
{
	(void)state;
	struct error err;
	stored = stored_new(&(struct stored_bounds){ .age_ms = 1000, .count = 5, .bytes = 1 << 16 }, &err);
	return stored && rooms_init(&rooms, &err) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	stored_free(stored);
	rooms_deinit(&rooms);
	return 0;
}

static void put(const char *sid, char *user, const char *room_a, const char *granted, uint64_t now_ms)
{
	struct error err;
	struct member member = { .sid = sid, .user_id = user };
	char own[64];
	assert_int_equal(room_join_unnamed(&rooms, &member, rooms.everyone, &err), 0);
	if (user) {
		snprintf(own, sizeof(own), "user-%s", user);
		assert_int_equal(room_join(&rooms, &member, bytes_of(own), 0, &err), 0);
	}
	if (room_a)
		assert_int_equal(room_join(&rooms, &member, bytes_of(room_a), 0, &err), 0);
	if (granted)
		assert_int_equal(room_join_granted(&rooms, &member, bytes_of(granted), 0, &err), 0);
	stored_put(stored, &member, now_ms);
	room_leave_all(&rooms, &member);
}

static void tell(void *data, const struct stored_room *room)
{
	(void)data;
	size_t used = strlen(told);
	snprintf(told + used, sizeof(told) - used, "%.*s%s", (int)room->name.len, room->name.data, room->is_granted ? "+" : "");
	used = strlen(told);
	snprintf(told + used, sizeof(told) - used, room->since.epoch ? "@%d" : "", (int)room->since.seq);
	used = strlen(told);
	snprintf(told + used, sizeof(told) - used, room->until.epoch ? "-%d " : " ", (int)room->until.seq);
}

static void expect(const char *sid, const char *names, uint64_t now_ms)
{
	struct stored_session *session = stored_take(stored, sid, now_ms);
	told[0] = '\0';
	if (!names) {
		assert_null(session);
		return;
	}
	assert_non_null(session);
	assert_string_equal(stored_session_sid(session), sid);
	stored_session_each_room(session, tell, NULL);
	assert_string_equal(told, names);
	stored_session_free(session);
	assert_null(stored_take(stored, sid, now_ms)); /* once */
}

static char seven[] = "7", eight[] = "8";

static void test_rooms_are_kept_once(void **state)
{
	(void)state;
	put("a", seven, "sync-X", "vip", 0);
	put("b", NULL, NULL, NULL, 0);
	expect("a", "sync-X vip+ ", 1000);
	expect("b", "", 1000);
	expect("c", NULL, 1000);
	assert_int_equal(stored_figures(stored).count, 0);
	assert_int_equal(stored_figures(stored).bytes, 0);
	put("a", seven, "sync-X", NULL, 0);
	put("a", seven, "sync-Y", NULL, 0); /* the later one counts */
	expect("a", "sync-Y ", 0);
}

static void test_bounds(void **state)
{
	(void)state;
	put("old", NULL, "r", NULL, 0);
	expect("old", NULL, 1001);
	char sid[8];
	for (int i = 0; i < 8; i++) {
		snprintf(sid, sizeof(sid), "s%d", i);
		put(sid, NULL, "r", NULL, 2000);
	}
	assert_int_equal(stored_figures(stored).count, 5);
	expect("s2", NULL, 2000);
	expect("s3", "r ", 2000);
	stored_expire(stored, 3001);
	assert_int_equal(stored_figures(stored).count, 0);
	/* bytes */
	char name[MESSAGE_NAME_MAX + 1];
	memset(name, 'x', MESSAGE_NAME_MAX);
	name[MESSAGE_NAME_MAX] = '\0';
	stored_free(stored);
	struct error err;
	stored = stored_new(&(struct stored_bounds){ .age_ms = 1000, .count = 500, .bytes = 10000 }, &err);
	for (int i = 0; i < 50; i++) {
		snprintf(sid, sizeof(sid), "s%d", i);
		put(sid, NULL, name, NULL, 0);
	}
	assert_in_range(stored_figures(stored).bytes, 5000, 10000);
	expect("s0", NULL, 0);
	struct stored_session *newest = stored_take(stored, "s49", 0);
	assert_non_null(newest);
	stored_session_free(newest);
}

static void control(struct message message)
{
	message.kind = MESSAGE_CONTROL;
	message.epoch = 1;
	message.seq = 9;
	stored_control(stored, &message);
}

static void test_control_events_reach_them(void **state)
{
	(void)state;
	struct bytes names[] = { bytes_of("vip"), bytes_of("sync-X") };
	put("a", seven, "sync-X", NULL, 0);
	put("b", eight, "sync-X", NULL, 0);
	put("c", NULL, "sync-Y", NULL, 0);
	control((struct message){ .operation = CONTROL_JOIN, .user = bytes_of("7"), .rooms = { names, 2 } });
	control((struct message){ .operation = CONTROL_JOIN, .sid = bytes_of("c"), .rooms = { names, 1 } });
	control((struct message){ .operation = CONTROL_LEAVE, .room = bytes_of("sync-X"), .rooms = { &names[1], 1 } });
	expect("a", "sync-X-9 vip+@9 ", 0);
	expect("b", "sync-X-9 ", 0);
	expect("c", "sync-Y vip+@9 ", 0);
	assert_int_equal(stored_figures(stored).bytes, 0);
	put("a", seven, "sync-X", NULL, 0);
	put("b", eight, "sync-X", NULL, 0);
	put("c", NULL, "sync-Y", NULL, 0);
	control((struct message){ .operation = CONTROL_DISCONNECT, .user = bytes_of("8") });
	control((struct message){ .operation = CONTROL_DISCONNECT, .room = bytes_of("sync-Y") });
	control((struct message){ .operation = CONTROL_DISCONNECT, .room = bytes_of("user-7") }); /* the room of its user */
	expect("a", NULL, 0);
	expect("b", NULL, 0);
	expect("c", NULL, 0);
	assert_int_equal(stored_figures(stored).dropped, 3);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_rooms_are_kept_once),
		TEST(test_bounds),
		TEST(test_control_events_reach_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
