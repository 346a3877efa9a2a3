/* test_publication.c - what publishers may say, what reaches the clients byte for byte, and what is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <roomcast/json.h>

#include "publication.h"

#define STAMP "2026-11-23T09:06:40.123Z"
static const uint64_t stamp_ms = UINT64_C(1795424800123);

static const struct {
	publication_builder *build;
	const char *request;
	const char *rooms;  /* joined by a space; NULL: everyone */
	const char *exclude_user;
	const char *body;
} accepted[] = {
	{ publication_from_data_change, "{\"entityType\":\"equipment\",\"action\":\"UPDATE\",\"data\":{\"n\":12345678901234567890,\"b\":1.10,\"a\":\"\\/\\u00e9\"}}",
	  "sync-equipment", "", "\"data-change\",{\"entityType\":\"equipment\",\"action\":\"UPDATE\",\"data\":{\"n\":12345678901234567890,\"b\":1.10,\"a\":\"\\/\\u00e9\"},\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_data_change, "{ \"data\" : {\n\t\"id\" : 1 , \"version\" : 7 } , \"action\" : \"CREATE\", \"entityType\":\"\\u0061b\", \"excludeUserId\": 42 }",
	  "sync-ab", "42", "\"data-change\",{\"entityType\":\"\\u0061b\",\"action\":\"CREATE\",\"data\":{\n\t\"id\" : 1 , \"version\" : 7 },\"timestamp\":\"" STAMP "\",\"version\":7}" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"DELETE\",\"data\":null,\"userId\":null,\"excludeUserId\":null,\"more\":1}",
	  "sync-e", "", "\"data-change\",{\"entityType\":\"e\",\"action\":\"DELETE\",\"data\":null,\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"version\":1.0}}",
	  "sync-e", "", "\"data-change\",{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"version\":1.0},\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"data\":[2]}",
	  "sync-e", "", "\"data-change\",{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":[2],\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_notification, "{\"userId\":\"7\",\"notification\":{\"z\":1.50,\"title\":\"T\",\"timestamp\":\"x\",\"message\":\"\",\"a\":[ 1 ]}}",
	  "user-7", "", "\"notification\",{\"z\":1.50,\"title\":\"T\",\"message\":\"\",\"a\":[ 1 ],\"type\":\"info\",\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_notification, "{\"userIds\":[1,\"b\",12345678901234567890],\"notification\":{\"title\":\"T\",\"message\":\"M\",\"type\":\"warn\"}}",
	  "user-1 user-b user-12345678901234567890", "", "\"notification\",{\"title\":\"T\",\"message\":\"M\",\"type\":\"warn\",\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_system_notification, "{\"title\":\"T\",\"message\":\"M\",\"type\":null}",
	  NULL, "", "\"system-notification\",{\"title\":\"T\",\"message\":\"M\",\"type\":\"info\",\"timestamp\":\"" STAMP "\"}" },
	{ publication_from_emit, "{\"event\":\"\\u0065\",\"args\":[ 1.0 , {\"b\": 2,\"a\":\"\\u2028\"},null ],\"rooms\":[\"a b\",\"c\"],\"except\":[\"d\"]}",
	  "a b c", "", "\"\\u0065\",1.0,{\"b\": 2,\"a\":\"\\u2028\"},null" },
	{ publication_from_emit, "{\"event\":\"e\",\"args\":null,\"rooms\":null,\"except\":[],\"volatile\":true}", NULL, "", "\"e\"" },
};

static void join(const struct room_set *set, struct buffer *out)
{
	for (size_t i = 0; i < set->count; i++) {
		if (i)
			buffer_add_char(out, ' ');
		buffer_add_bytes(out, set->items[i]);
	}
}

static void test_bytes_are_sacred(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		struct publication publication;
		struct response response = { 0 };
		publication_init(&publication);
		struct buffer names = { 0 };
		struct bytes body = bytes_of(accepted[i].request);
		assert_int_equal(json_check(body, JSON_DEPTH_DEFAULT, NULL), 0);
		assert_int_equal(accepted[i].build(body, &publication, &response), 0);
		publication_stamp(&publication, stamp_ms);
		assert_string_equal(publication.body.data, accepted[i].body);
		assert_string_equal(publication.exclude_user, accepted[i].exclude_user);
		assert_int_equal(publication.audience, accepted[i].rooms ? AUDIENCE_ROOMS : AUDIENCE_EVERYONE);
		join(&publication.rooms, &names);
		if (accepted[i].rooms)
			assert_string_equal(names.data, accepted[i].rooms);
		else
			assert_int_equal(names.len, 0);
		buffer_deinit(&names);
		publication_deinit(&publication);
		response_deinit(&response);
	}
}

static const struct {
	publication_builder *build;
	const char *request;
	enum refusal refusal;
	const char *named; /* how the text begins */
} refused[] = {
	{ publication_from_data_change, "[]", REFUSAL_INVALID_FIELD, "body:" },
	{ publication_from_data_change, "{}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":null,\"action\":\"CREATE\",\"data\":1}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":\"\",\"action\":\"CREATE\",\"data\":1}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":\"a\\u0000b\",\"action\":\"CREATE\",\"data\":1}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":\"a\\n\",\"action\":\"CREATE\",\"data\":1}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":1,\"action\":\"CREATE\",\"data\":1}", REFUSAL_INVALID_FIELD, "entityType:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"data\":1}", REFUSAL_INVALID_FIELD, "action:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"update\",\"data\":1}", REFUSAL_INVALID_FIELD, "action:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":{\"id\":1},\"data\":1}", REFUSAL_INVALID_FIELD, "action:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":7,\"data\":1}", REFUSAL_INVALID_FIELD, "action:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\"}", REFUSAL_INVALID_FIELD, "data:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"userId\":1.5}", REFUSAL_INVALID_FIELD, "userId:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"excludeUserId\":\"\"}", REFUSAL_INVALID_FIELD, "excludeUserId:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"excludeUserID\":1}", REFUSAL_INVALID_FIELD, "excludeUserID: unknown" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"exclude_user_id\":1}", REFUSAL_INVALID_FIELD, "exclude_user_id: unknown" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":1,\"ifVersion\":1}", REFUSAL_INVALID_FIELD, "ifVersion:" },
	{ publication_from_notification, "{\"notification\":{\"title\":\"T\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "userId:" },
	{ publication_from_notification, "{\"userId\":1,\"userIds\":[2],\"notification\":{\"title\":\"T\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "userId:" },
	{ publication_from_notification, "{\"userIds\":[],\"notification\":{\"title\":\"T\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "userIds:" },
	{ publication_from_notification, "{\"userIds\":[1,true],\"notification\":{\"title\":\"T\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "userIds[1]:" },
	{ publication_from_notification, "{\"userIds\":\"1\",\"notification\":{\"title\":\"T\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "userIds:" },
	{ publication_from_notification, "{\"userId\":1}", REFUSAL_INVALID_FIELD, "notification:" },
	{ publication_from_notification, "{\"userId\":1,\"notification\":\"x\"}", REFUSAL_INVALID_FIELD, "notification:" },
	{ publication_from_notification, "{\"userId\":1,\"notification\":{\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "notification.title:" },
	{ publication_from_notification, "{\"userId\":1,\"notification\":{\"title\":\"\",\"message\":\"M\"}}", REFUSAL_INVALID_FIELD, "notification.title:" },
	{ publication_from_notification, "{\"userId\":1,\"notification\":{\"title\":\"T\",\"message\":null}}", REFUSAL_INVALID_FIELD, "notification.message:" },
	{ publication_from_system_notification, "{\"title\":\"T\",\"message\":\"M\",\"type\":5}", REFUSAL_INVALID_FIELD, "type:" },
	{ publication_from_system_notification, "{\"title\":\"T\",\"message\":\"M\",\"type\":\"\"}", REFUSAL_INVALID_FIELD, "type:" },
	{ publication_from_emit, "{\"args\":[]}", REFUSAL_INVALID_FIELD, "event:" },
	{ publication_from_emit, "{\"event\":\"connect\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":\"conn\\u0065ct_error\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":\"disconnect\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":\"disconnecting\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":\"newListener\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":\"removeListener\"}", REFUSAL_RESERVED_EVENT, "event:" },
	{ publication_from_emit, "{\"event\":5}", REFUSAL_INVALID_FIELD, "event:" },
	{ publication_from_emit, "{\"event\":\"e\",\"args\":{}}", REFUSAL_INVALID_FIELD, "args:" },
	{ publication_from_emit, "{\"event\":\"e\",\"rooms\":[]}", REFUSAL_INVALID_FIELD, "rooms:" },
	{ publication_from_emit, "{\"event\":\"e\",\"rooms\":\"a\"}", REFUSAL_INVALID_FIELD, "rooms:" },
	{ publication_from_emit, "{\"event\":\"e\",\"rooms\":[\"a\",\"\"]}", REFUSAL_INVALID_FIELD, "rooms[1]:" },
	{ publication_from_emit, "{\"event\":\"e\",\"rooms\":[\"a\\u0007\"]}", REFUSAL_INVALID_FIELD, "rooms[0]:" },
	{ publication_from_emit, "{\"event\":\"e\",\"rooms\":[1]}", REFUSAL_INVALID_FIELD, "rooms[0]:" },
	{ publication_from_emit, "{\"event\":\"e\",\"Rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "Rooms: unknown" },
	{ publication_from_emit, "{\"event\":\"e\",\"volatile\":\"yes\"}", REFUSAL_INVALID_FIELD, "volatile:" },
};

static void test_refusals_name_the_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct publication publication;
		struct response response = { 0 };
		publication_init(&publication);
		char start[128];
		assert_int_equal(refused[i].build(bytes_of(refused[i].request), &publication, &response), -1);
		assert_int_equal(response.refusal, refused[i].refusal);
		int len = snprintf(start, sizeof(start), "{\"success\":false,\"error\":\"%s", refused[i].named);
		if (strncmp(response.body.data, start, (size_t)len) != 0)
			fail_msg("%s -> %s", refused[i].request, response.body.data);
		publication_deinit(&publication);
		response_deinit(&response);
	}
}

/* {"event":"e","rooms":["r","r",...]} */
static void build_many(size_t count, const char *room, struct response *response, int expected)
{
	struct publication publication;
	struct buffer body = { 0 };
	publication_init(&publication);
	buffer_add_text(&body, "{\"event\":\"e\",\"rooms\":[");
	for (size_t i = 0; i < count; i++)
		buffer_add_format(&body, "%s\"%s\"", i ? "," : "", room);
	buffer_add_text(&body, "]}");
	assert_int_equal(publication_from_emit(buffer_bytes(&body), &publication, response), expected);
	buffer_deinit(&body);
	publication_deinit(&publication);
}

static void test_bounds(void **state)
{
	(void)state;
	struct response response = { 0 };
	char room[ROOM_NAME_MAX + 2];
	build_many(MESSAGE_LIST_MAX, "r", &response, 0);
	build_many(MESSAGE_LIST_MAX + 1, "r", &response, -1);
	memset(room, 'a', sizeof(room));
	room[ROOM_NAME_MAX + 1] = '\0';
	build_many(1, room, &response, -1);
	room[ROOM_NAME_MAX] = '\0';
	build_many(1, room, &response, 0);
	response_deinit(&response);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_are_sacred),
		cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
