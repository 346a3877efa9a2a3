/* test_message.c - what gateway and hubs say to each other: every field there and back, and every way to be malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <roomcast/message.h>

static const struct bytes rooms[] = { { "sync-equipment", 14 }, { "user-42", 7 }, { "", 0 } };

static struct message full_event(void)
{
	return (struct message){
		.kind = MESSAGE_EVENT, .epoch = 1795428864, .seq = UINT64_MAX, .time_ms = 1, .audience = AUDIENCE_EVERYONE,
		.exclude_user = bytes_of("7"), .body = { "\"a\",{\"b\":\0}", 10 }, .rooms = { rooms, 3 }, .except = { rooms, 1 },
	};
}

static void test_event_there_and_back(void **state)
{
	(void)state;
	struct message in = full_event(), out;
	struct buffer packed = { 0 };
	assert_int_equal(message_pack(&in, &packed, NULL), 0);
	assert_int_equal(message_peek(buffer_bytes(&packed)), MESSAGE_EVENT);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &out, NULL), 0);
	assert_true(out.epoch == in.epoch && out.seq == in.seq && out.audience == in.audience && out.last_seq == 0);
	assert_true(bytes_equal(out.body, in.body) && bytes_equal(out.exclude_user, in.exclude_user) && out.exclude_sid.len == 0);
	assert_int_equal(out.rooms.count, 3);
	assert_true(bytes_equal(out.rooms.items[1], rooms[1]) && out.rooms.items[2].len == 0);
	assert_int_equal(out.except.count, 1);
	message_deinit(&out);
	buffer_deinit(&packed);
}

static void test_every_truncation_is_refused_or_whole(void **state)
{
	(void)state;
	struct message in = full_event(), out;
	struct buffer packed = { 0 };
	struct error err;
	assert_int_equal(message_pack(&in, &packed, NULL), 0);
	for (size_t len = 0; len < packed.len; len++) {
		/* A cut between fields leaves a shorter list, or lacks the body: never more than what is there. */
		if (message_unpack((struct bytes){ packed.data, len }, &out, &err) == 0) {
			assert_true(out.rooms.count <= 3);
			message_deinit(&out);
		} else {
			assert_true(err.text[0] != '\0');
		}
	}
	buffer_deinit(&packed);
}

static void assert_refused(const char *data, size_t len)
{
	struct message out;
	struct error err = { 0 };
	assert_int_equal(message_unpack((struct bytes){ data, len }, &out, &err), -1);
	assert_true(err.text[0] != '\0');
}

#define ASSERT_REFUSED(literal) assert_refused(literal, sizeof(literal) - 1)

static void test_malformed(void **state)
{
	(void)state;
	ASSERT_REFUSED("");
	ASSERT_REFUSED("RC");
	ASSERT_REFUSED("XX\1\3");
	ASSERT_REFUSED("RC\2\3");                                                     /* version */
	ASSERT_REFUSED("RC\1\0");                                                     /* kind */
	ASSERT_REFUSED("RC\1\377");
	ASSERT_REFUSED("RC\1\3");                                                     /* no epoch */
	ASSERT_REFUSED("RC\1\3\1\0\0\0\7\0\0\0\0\0\0\1");                             /* a number of 7 bytes */
	ASSERT_REFUSED("RC\1\3\1\0\0\0\10\0\0\0\0\0\0\0\1\1\0\0\0\10\0\0\0\0\0\0\0\1"); /* twice */
	ASSERT_REFUSED("RC\1\3\1\0\0\0\10\0\0\0\0\0\0\0\0");                     /* an epoch that is none */
	ASSERT_REFUSED("RC\1\6\15\0\0\0\0");                                     /* an empty reason */
	ASSERT_REFUSED("RC\1\3\1\377\377\377\377\0");                                 /* a length past the end */
}

static void test_the_highest_tags_there_and_back(void **state)
{
	(void)state;
	static const struct bytes grants[] = { { "42\nsync-a", 9 } };
	struct message in = { .kind = MESSAGE_STANDING, .index = 3, .is_last = 1, .grants = { grants, 1 }, .blocks = { grants, 1 } }, out;
	struct buffer packed = { 0 };
	assert_int_equal(message_pack(&in, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &out, NULL), 0);
	assert_true(out.index == 3 && out.is_last == 1 && out.grants.count == 1 && out.blocks.count == 1);
	assert_true(bytes_equal(out.blocks.items[0], grants[0]));
	message_deinit(&out);
	buffer_clear(&packed);
	struct message forward = { .kind = MESSAGE_FORWARD, .counter = 1, .method = bytes_of("POST"), .deadline_ms = 9, .idempotency_key = bytes_of("k") };
	assert_int_equal(message_pack(&forward, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &out, NULL), 0);
	assert_true(bytes_equal_text(out.method, "POST") && bytes_equal_text(out.idempotency_key, "k"));
	message_deinit(&out);
	buffer_deinit(&packed);
}

static void test_unknown_fields_are_skipped(void **state)
{
	(void)state;
	static const char heartbeat[] = "RC\1\3\310\0\0\0\2zz\1\0\0\0\10\0\0\0\0\0\0\0\5";
	struct message out;
	assert_int_equal(message_unpack((struct bytes){ heartbeat, sizeof(heartbeat) - 1 }, &out, NULL), 0);
	assert_true(out.epoch == 5);
	message_deinit(&out);
}

static void test_bounds(void **state)
{
	(void)state;
	static struct bytes many[MESSAGE_LIST_MAX + 1];
	static char name[MESSAGE_NAME_MAX + 1];
	struct buffer packed = { 0 };
	struct error err;
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 1, .seq = 1, .body = bytes_of("\"a\""), .rooms = { many, MESSAGE_LIST_MAX } };
	for (size_t i = 0; i < MESSAGE_LIST_MAX + 1; i++)
		many[i] = bytes_of("r");
	assert_int_equal(message_pack(&message, &packed, &err), 0);
	message.rooms.count++;
	assert_int_equal(message_pack(&message, &packed, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	message.rooms.count = 1;
	many[0] = (struct bytes){ name, sizeof(name) };
	assert_int_equal(message_pack(&message, &packed, &err), -1);
	message.rooms.count = 0;
	message.seq = 0;
	assert_int_equal(message_pack(&message, &packed, &err), -1); /* required */
	buffer_deinit(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_there_and_back),
		cmocka_unit_test(test_every_truncation_is_refused_or_whole),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_the_highest_tags_there_and_back),
		cmocka_unit_test(test_unknown_fields_are_skipped),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
