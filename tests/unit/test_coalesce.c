/* test_coalesce.c - which UPDATE may stand for which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "coalesce.h"

static struct coalesce *coalesce;
static uint64_t number;

static int setup(void **state)
{
	(void)state;
	struct error err;
	number = 0;
	coalesce = coalesce_new("Other, Item", 3, &err);
	return coalesce ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	coalesce_free(coalesce);
	return 0;
}

static uint64_t note_message(struct message message)
{
	struct error err;
	char body[16];
	number++;
	snprintf(body, sizeof(body), "%d", (int)number);
	message.kind = MESSAGE_EVENT;
	message.epoch = 1;
	message.seq = number;
	message.body = bytes_of(body);
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	uint64_t replaced = coalesce_note(coalesce, event, number);
	char expected[32];
	snprintf(expected, sizeof(expected), "42[%d]", (int)replaced);
	assert_int_equal(event->replaces[FRAMING_PLAIN] != NULL, replaced != COALESCE_NONE);
	assert_int_equal(event->replaces[FRAMING_OFFSET] != NULL, replaced != COALESCE_NONE);
	if (replaced != COALESCE_NONE)
		assert_memory_equal(frame_payload(event->replaces[FRAMING_PLAIN]), expected, strlen(expected));
	event_unref(event);
	return replaced;
}

static uint64_t note(const char *type, const char *id, enum entity_action action, const char *exclude_user)
{
	char room[64];
	snprintf(room, sizeof(room), "sync-%s", type);
	struct bytes name = bytes_of(room);
	return note_message((struct message){
		.rooms = { &name, 1 }, .entity_type = bytes_of(type), .entity_id = bytes_of(id), .action = action, .exclude_user = bytes_of(exclude_user),
	});
}

#define UPDATE(id) note("Item", id, ACTION_UPDATE, "")

static void test_the_newest_stands_for_the_one_before(void **state)
{
	(void)state;
	assert_int_equal(UPDATE("1"), COALESCE_NONE);
	assert_int_equal(UPDATE("2"), COALESCE_NONE);
	assert_int_equal(UPDATE("1"), 1);
	assert_int_equal(UPDATE("2"), 2);
	assert_int_equal(UPDATE("1"), 3);
	assert_int_equal(coalesce_keys(coalesce), 2);
	assert_int_equal(note("Other", "1", ACTION_UPDATE, ""), COALESCE_NONE);
	assert_int_equal(note("Third", "1", ACTION_UPDATE, ""), COALESCE_NONE);
	assert_int_equal(note("Third", "1", ACTION_UPDATE, ""), COALESCE_NONE); /* is not in the list */
}

static void test_at_most_so_often(void **state)
{
	(void)state;
	UPDATE("1");
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(UPDATE("1"), i);
	assert_int_equal(UPDATE("1"), COALESCE_NONE); /* the fourth keeps its place */
	assert_int_equal(UPDATE("1"), 5);
}

static void test_creation_and_deletion_keep_their_place(void **state)
{
	(void)state;
	UPDATE("1");
	assert_int_equal(note("Item", "1", ACTION_DELETE, ""), COALESCE_NONE);
	assert_int_equal(UPDATE("1"), COALESCE_NONE);
	assert_int_equal(note("Item", "1", ACTION_CREATE, ""), COALESCE_NONE);
	assert_int_equal(coalesce_keys(coalesce), 0);
	assert_int_equal(UPDATE("1"), COALESCE_NONE);
	assert_int_equal(UPDATE("1"), 5);
}

/* A later one that somebody is not given cannot stand for one that is meant for them. */
static void test_exclusions(void **state)
{
	(void)state;
	assert_int_equal(note("Item", "1", ACTION_UPDATE, "7"), COALESCE_NONE);
	assert_int_equal(note("Item", "1", ACTION_UPDATE, "7"), 1);
	assert_int_equal(note("Item", "1", ACTION_UPDATE, "8"), COALESCE_NONE);
	assert_int_equal(note("Item", "1", ACTION_UPDATE, ""), 3);
	assert_int_equal(note("Item", "1", ACTION_UPDATE, "8"), COALESCE_NONE);
}

static void test_only_plain_changes_take_part(void **state)
{
	(void)state;
	struct bytes rooms[] = { bytes_of("sync-Item"), bytes_of("b") };
	struct message message = { .rooms = { rooms, 2 }, .entity_type = bytes_of("Item"), .entity_id = bytes_of("1"), .action = ACTION_UPDATE };
	UPDATE("1");
	assert_int_equal(note_message(message), COALESCE_NONE);
	message.rooms.count = 1;
	message.except = (struct message_list){ rooms + 1, 1 };
	assert_int_equal(note_message(message), COALESCE_NONE);
	message.except.count = 0;
	message.entity_id = (struct bytes){ 0 };
	assert_int_equal(note_message(message), COALESCE_NONE);
	assert_int_equal(note("Item", "1", ACTION_UPDATE, ""), 1);
	/* A byte in an id or a type cannot make two entities one. */
	note("Item", "x\ty", ACTION_UPDATE, "");
	assert_int_equal(note("Item", "x", ACTION_UPDATE, ""), COALESCE_NONE);
}

static void test_it_is_bounded(void **state)
{
	(void)state;
	char id[16];
	for (int i = 0; i < COALESCE_KEYS_MAX + 10; i++) {
		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(UPDATE(id), COALESCE_NONE);
	}
	assert_int_equal(coalesce_keys(coalesce), COALESCE_KEYS_MAX);
	assert_int_equal(UPDATE("0"), COALESCE_NONE);  /* forgotten */
	assert_int_equal(UPDATE("65545"), 65546);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_newest_stands_for_the_one_before),
		TEST(test_at_most_so_often),
		TEST(test_creation_and_deletion_keep_their_place),
		TEST(test_exclusions),
		TEST(test_only_plain_changes_take_part),
		TEST(test_it_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
