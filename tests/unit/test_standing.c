/* test_standing.c - grants and blocks: loaded, kept current, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "standing.h"

static struct standing *standing;

static int setup(void **state)
{
	(void)state;
	standing = standing_new(0, 0);
	return standing ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	standing_free(standing);
	return 0;
}

static void control(enum control_operation operation, const char *user, const char *room)
{
	struct bytes name = bytes_of(room);
	standing_apply(standing, &(struct message){
		.kind = MESSAGE_CONTROL, .epoch = 1, .seq = 1, .time_ms = 1000, .operation = operation, .user = bytes_of(user), .rooms = { &name, 1 },
	});
}

static void block(const char *user, uint64_t until_ms)
{
	standing_apply(standing, &(struct message){
		.kind = MESSAGE_CONTROL, .epoch = 1, .seq = 1, .time_ms = 1000, .operation = CONTROL_DISCONNECT, .user = bytes_of(user), .until_ms = until_ms,
	});
}

static enum standing_progress load(uint64_t index, bool is_last, const char *grant, const char *blocked)
{
	struct bytes grants = bytes_of(grant), blocks = bytes_of(blocked);
	return standing_load(standing, &(struct message){
		.kind = MESSAGE_STANDING, .index = index, .is_last = is_last, .grants = { &grants, grant != NULL }, .blocks = { &blocks, blocked != NULL },
	});
}

static bool has(const char *user, const char *room)
{
	return standing_is_granted(standing, bytes_of(user), bytes_of(room));
}

static uint64_t blocked(const char *user, uint64_t now_ms)
{
	return standing_blocked_until(standing, bytes_of(user), now_ms);
}

static void note(void *data, struct bytes room)
{
	char *text = data;
	snprintf(text + strlen(text), 200 - strlen(text), "%.*s ", (int)room.len, room.data);
}

static void note_withdrawn(void *data, struct bytes user, struct bytes room)
{
	char *text = data;
	snprintf(text + strlen(text), 200 - strlen(text), "%.*s:%.*s ", (int)user.len, user.data, (int)room.len, room.data);
}

static struct standing_figures figures(void)
{
	struct standing_figures result;
	standing_figures(standing, &result);
	return result;
}

static void test_grants(void **state)
{
	(void)state;
	char rooms[200] = "";
	control(CONTROL_JOIN, "7", "a");
	control(CONTROL_JOIN, "7", "b");
	control(CONTROL_JOIN, "7", "b");
	control(CONTROL_JOIN, "8", "c");
	control(CONTROL_LEAVE, "8", "nowhere");
	control(CONTROL_LEAVE, "9", "a");
	assert_int_equal(figures().grants, 3);
	assert_int_equal(figures().users, 2);
	standing_each_grant(standing, bytes_of("7"), note, rooms);
	assert_string_equal(rooms, "a b ");
	control(CONTROL_LEAVE, "7", "a");
	assert_false(has("7", "a"));
	assert_true(has("7", "b"));
	control(CONTROL_LEAVE, "7", "b");
	control(CONTROL_LEAVE, "8", "c");
	assert_int_equal(figures().users, 0);
	assert_int_equal(figures().bytes, 0);
}

/* By Socket.IO id or by room nothing holds beyond the moment. */
static void test_only_users(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	struct message message = { .kind = MESSAGE_CONTROL, .epoch = 1, .seq = 1, .operation = CONTROL_JOIN, .sid = bytes_of("s"), .rooms = { &room, 1 } };
	standing_apply(standing, &message);
	message.sid = bytes_of("");
	message.room = bytes_of("b");
	standing_apply(standing, &message);
	assert_int_equal(figures().users, 0);
}

static void test_blocks(void **state)
{
	(void)state;
	block("7", 5000);
	assert_int_equal(blocked("7", 4999), 5000);
	assert_int_equal(blocked("7", 5000), 0); /* ended by itself */
	assert_int_equal(blocked("8", 0), 0);
	block("7", 9000);
	assert_int_equal(blocked("7", 6000), 9000);
	assert_int_equal(figures().blocks, 1);
	block("7", 0); /* a disconnect without a block */
	assert_int_equal(blocked("7", 6000), 9000);
	block("7", 1);
	block("8", 1);
	assert_int_equal(figures().users, 0);
	assert_int_equal(figures().blocks, 0);
}

static void test_load_replaces_when_it_is_whole(void **state)
{
	(void)state;
	char withdrawn[200] = "";
	control(CONTROL_JOIN, "7", "old");
	control(CONTROL_JOIN, "7", "kept");
	block("8", 5000);
	assert_int_equal(load(0, false, "7\nkept", NULL), STANDING_GOES_ON);
	assert_true(has("7", "old"));
	assert_int_equal(load(1, true, "9\nwith\nnewline", "10\n7000"), STANDING_LOADED);
	assert_false(has("7", "old"));
	assert_true(has("7", "kept"));
	assert_true(has("9", "with\nnewline"));
	assert_int_equal(blocked("8", 2000), 0);
	assert_int_equal(blocked("10", 2000), 7000);
	assert_true(standing_has_withdrawn(standing));
	standing_each_withdrawn(standing, note_withdrawn, withdrawn);
	assert_string_equal(withdrawn, "7:old ");
	standing_settle(standing);
	assert_false(standing_has_withdrawn(standing));
	assert_int_equal(load(0, true, NULL, NULL), STANDING_LOADED); /* nothing holds */
	assert_int_equal(figures().users, 0);
	assert_int_equal(figures().loads, 2);
}

static void test_what_happens_during_a_load_holds(void **state)
{
	(void)state;
	assert_int_equal(load(0, false, "7\na", "8\n5000"), STANDING_GOES_ON);
	control(CONTROL_LEAVE, "9", "late"); /* before the chunk that still has it */
	control(CONTROL_LEAVE, "7", "a");
	control(CONTROL_JOIN, "7", "b");
	block("8", 1);
	assert_int_equal(load(1, true, "9\nlate", NULL), STANDING_LOADED);
	assert_false(has("9", "late"));
	assert_false(has("7", "a"));
	assert_true(has("7", "b"));
	assert_int_equal(blocked("8", 2000), 0);
}

static void test_broken_loads(void **state)
{
	(void)state;
	control(CONTROL_JOIN, "7", "a");
	assert_int_equal(load(1, true, NULL, NULL), STANDING_BROKEN); /* never began */
	assert_int_equal(load(0, false, NULL, NULL), STANDING_GOES_ON);
	assert_int_equal(load(2, true, NULL, NULL), STANDING_BROKEN); /* one is missing */
	assert_int_equal(load(1, true, NULL, NULL), STANDING_BROKEN); /* too late */
	assert_true(has("7", "a"));
	assert_int_equal(load(0, false, "7\nb", NULL), STANDING_GOES_ON);
	assert_int_equal(load(0, true, "7\nc", NULL), STANDING_LOADED); /* begun anew */
	assert_false(has("7", "b"));
	assert_true(has("7", "c"));
	assert_int_equal(load(0, false, NULL, NULL), STANDING_GOES_ON);
	static char room[400];
	memset(room, 'x', sizeof(room) - 1);
	for (int i = 0; i < 20000; i++) /* more than may be remembered meanwhile */
		control(CONTROL_LEAVE, "7", room);
	assert_int_equal(load(1, true, NULL, NULL), STANDING_BROKEN);
	assert_int_equal(load(0, true, NULL, NULL), STANDING_LOADED);
}

static void test_malformed_items(void **state)
{
	(void)state;
	assert_int_equal(load(0, false, "no newline", "8\nsoon"), STANDING_GOES_ON);
	assert_int_equal(load(1, false, "", "9"), STANDING_GOES_ON);
	assert_int_equal(load(2, false, "7\n", "9\n123456789012345678901234567890"), STANDING_GOES_ON);
	assert_int_equal(load(3, true, "\nroom", "\n5000"), STANDING_LOADED);
	assert_int_equal(figures().users, 0);
	assert_int_equal(figures().left_out, 8);
}

static void test_bounds(void **state)
{
	(void)state;
	char name[32];
	standing_free(standing);
	standing = standing_new(10, 0);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		control(CONTROL_JOIN, name, "a");
	}
	assert_int_equal(figures().grants, 10);
	assert_int_equal(figures().left_out, 10);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		control(CONTROL_LEAVE, name, "a");
		block(name, 1500);
	}
	block("late", 5000);
	assert_int_equal(blocked("late", 1000), 0); /* full */
	standing_apply(standing, &(struct message){
		.kind = MESSAGE_CONTROL, .epoch = 1, .seq = 1, .time_ms = 2000, .operation = CONTROL_DISCONNECT, .user = bytes_of("late"), .until_ms = 5000,
	});
	assert_int_equal(blocked("late", 2000), 5000); /* the others had ended */
	assert_int_equal(figures().blocks, 1);

	standing_free(standing);
	standing = standing_new(0, 1000);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		control(CONTROL_JOIN, name, "a");
	}
	assert_in_range(figures().bytes, 500, 1000);
	standing_free(standing);
	standing = standing_new(0, 0);
	for (int i = 0; i < STANDING_ROOMS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "room%d", i);
		control(CONTROL_JOIN, "7", name);
	}
	assert_int_equal(figures().grants, STANDING_ROOMS_MAX);
	assert_int_equal(figures().left_out, 5);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_grants), CASE(test_only_users), CASE(test_blocks), CASE(test_load_replaces_when_it_is_whole),
		CASE(test_what_happens_during_a_load_holds), CASE(test_broken_loads), CASE(test_malformed_items), CASE(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
