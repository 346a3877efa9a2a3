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
#define STAMP_MS UINT64_C(1795424800123)

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
	{ publication_from_system_notification, "{\"notification\":{\"title\":\"T\",\"message\":\"M\",\"type\":\"warn\"}}",
	  NULL, "", "\"system-notification\",{\"title\":\"T\",\"message\":\"M\",\"type\":\"warn\",\"timestamp\":\"" STAMP "\"}" },
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
		publication_stamp(&publication, STAMP_MS);
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
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":1},\"ifVersion\":-1}", REFUSAL_INVALID_FIELD, "ifVersion:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":1},\"ifVersion\":1.0}", REFUSAL_INVALID_FIELD, "ifVersion:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":1},\"ifVersion\":\"1\"}", REFUSAL_INVALID_FIELD, "ifVersion:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":{}},\"ifVersion\":1}", REFUSAL_INVALID_FIELD, "ifVersion: data.id" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":1,\"version\":5},\"ifVersion\":5}", REFUSAL_INVALID_FIELD, "data.version:" },
	{ publication_from_data_change, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"data\":{\"id\":1},\"if_version\":5}", REFUSAL_INVALID_FIELD, "if_version: unknown" },
	{ publication_from_join, "[]", REFUSAL_INVALID_FIELD, "body:" },
	{ publication_from_join, "{\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "userId: exactly one" },
	{ publication_from_join, "{\"userId\":1,\"sid\":\"s\",\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "userId: exactly one" },
	{ publication_from_join, "{\"userId\":1,\"sid\":\"s\",\"room\":\"r\",\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "userId: exactly one" },
	{ publication_from_join, "{\"userId\":1}", REFUSAL_INVALID_FIELD, "rooms: required" },
	{ publication_from_join, "{\"userId\":1,\"rooms\":[]}", REFUSAL_INVALID_FIELD, "rooms:" },
	{ publication_from_join, "{\"user_id\":1,\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "user_id: unknown" },
	{ publication_from_join, "{\"userId\":true,\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "userId:" },
	{ publication_from_leave, "{\"sid\":7,\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "sid:" },
	{ publication_from_leave, "{\"room\":\"\",\"rooms\":[\"a\"]}", REFUSAL_INVALID_FIELD, "room:" },
	{ publication_from_disconnect, "{}", REFUSAL_INVALID_FIELD, "userId: exactly one" },
	{ publication_from_disconnect, "{\"userId\":1,\"close\":1}", REFUSAL_INVALID_FIELD, "close:" },
	{ publication_from_disconnect, "{\"userId\":1,\"blockSeconds\":-1}", REFUSAL_INVALID_FIELD, "blockSeconds:" },
	{ publication_from_disconnect, "{\"userId\":1,\"blockSeconds\":315360001}", REFUSAL_INVALID_FIELD, "blockSeconds:" },
	{ publication_from_disconnect, "{\"sid\":\"s\",\"blockSeconds\":1}", REFUSAL_INVALID_FIELD, "blockSeconds: only a user" },
	{ publication_from_disconnect, "{\"userId\":1,\"block_seconds\":1}", REFUSAL_INVALID_FIELD, "block_seconds: unknown" },
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

static const struct {
	const char *data;     /* of an entity of type "e" */
	const char *id;
	int64_t version;      /* after one was assigned where there was none: 41 */
	const char *end;      /* of the body */
} versions[] = {
	{ "{\"id\":7,\"version\":12}", "7", 12, "\"timestamp\":\"" STAMP "\",\"version\":12}" },
	{ "{\"id\":7}", "7", 41, "\"timestamp\":\"" STAMP "\",\"version\":41}" },
	{ "{\"id\":\"\\u00e9\",\"version\":null}", "\xc3\xa9", 41, ",\"version\":41}" },
	{ "{\"id\":-1.50e3,\"version\":\"x\"}", "-1.50e3", 41, ",\"version\":41}" },
	{ "{\"id\":7,\"version\":-3}", "7", 41, ",\"version\":41}" },
	{ "{\"id\":7,\"version\":0}", "7", 0, ",\"version\":0}" },
	{ "{\"id\":7,\"version\":99999999999999999999}", "7", 41, ",\"version\":41}" },
	{ "{\"id\":\"a\\nb\",\"version\":1}", "", VERSION_NONE, ",\"version\":1}" },
	{ "{\"id\":\"\"}", "", VERSION_NONE, STAMP "\"}" },
	{ "{\"id\":[1]}", "", VERSION_NONE, STAMP "\"}" },
	{ "[{\"id\":7}]", "", VERSION_NONE, STAMP "\"}" },
};

static void test_entities_and_versions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct publication publication;
		struct response response = { 0 };
		struct buffer body = { 0 };
		struct journal_record record;
		publication_init(&publication);
		buffer_add_format(&body, "{\"entityType\":\"e\",\"action\":\"UPDATE\",\"userId\":5,\"data\":%s}", versions[i].data);
		assert_int_equal(publication_from_data_change(buffer_bytes(&body), &publication, &response), 0);
		publication_stamp(&publication, STAMP_MS);
		if (publication.entity_id[0] && publication.version == VERSION_NONE)
			publication_set_version(&publication, 41);
		publication_record(&publication, (struct place){ 3, 4 }, &record);
		assert_true(bytes_equal_text(record.message.entity_type, "e") && bytes_equal_text(record.message.entity_id, versions[i].id));
		assert_true(record.version == versions[i].version && record.message.action == ACTION_UPDATE);
		assert_true(bytes_equal_text(record.data, versions[i].data) && bytes_equal_text(record.user_id, "5"));
		assert_true(bytes_equal_text(record.event, "data-change") && record.message.epoch == 3 && record.message.seq == 4);
		assert_string_equal(publication.body.data + publication.body.len - strlen(versions[i].end), versions[i].end);
		buffer_deinit(&body);
		publication_deinit(&publication);
	}
}

static void test_a_deleted_entity_has_no_data(void **state)
{
	(void)state;
	struct publication publication;
	struct response response = { 0 };
	struct journal_record record;
	publication_init(&publication);
	assert_int_equal(publication_from_data_change(bytes_of("{\"entityType\":\"e\",\"action\":\"DELETE\",\"data\":{\"id\":1,\"version\":9}}"),
	                                              &publication, &response), 0);
	publication_record(&publication, (struct place){ 1, 1 }, &record);
	assert_true(record.version == 9 && record.data.len == 0 && record.message.action == ACTION_DELETE);
	publication_deinit(&publication);
}

static const struct {
	publication_builder *build;
	const char *request;
	enum control_operation operation;
	const char *user, *sid, *room, *rooms;
	uint64_t close, until_ms;
} controls[] = {
	{ publication_from_join, "{\"userId\":12,\"rooms\":[\"a\",\"b c\"]}", CONTROL_JOIN, "12", "", "", "a b c", 0, 0 },
	{ publication_from_leave, "{\"sid\":\"x~y\",\"rooms\":[\"a\"]}", CONTROL_LEAVE, "", "x~y", "", "a", 0, 0 },
	{ publication_from_join, "{\"room\":\"sync-e\",\"rooms\":[\"a\"],\"userId\":null}", CONTROL_JOIN, "", "", "sync-e", "a", 0, 0 },
	{ publication_from_disconnect, "{\"userId\":\"u\",\"close\":true,\"blockSeconds\":10}", CONTROL_DISCONNECT, "u", "", "", NULL, 1, STAMP_MS + 10000 },
	{ publication_from_disconnect, "{\"userId\":\"u\",\"blockSeconds\":0}", CONTROL_DISCONNECT, "u", "", "", NULL, 0, 1 },
	{ publication_from_disconnect, "{\"room\":\"r\",\"close\":false}", CONTROL_DISCONNECT, "", "", "r", NULL, 0, 0 },
};

static void test_control_events(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		struct publication publication;
		struct response response = { 0 };
		struct journal_record record;
		struct buffer names = { 0 };
		publication_init(&publication);
		assert_int_equal(controls[i].build(bytes_of(controls[i].request), &publication, &response), 0);
		publication_stamp(&publication, STAMP_MS);
		publication_record(&publication, (struct place){ 1, 1 }, &record);
		const struct message *message = &record.message;
		assert_true(message->kind == MESSAGE_CONTROL && message->operation == (uint64_t)controls[i].operation && message->body.len == 0);
		assert_true(bytes_equal_text(message->user, controls[i].user) && bytes_equal_text(message->sid, controls[i].sid));
		assert_true(bytes_equal_text(message->room, controls[i].room) && message->close == controls[i].close);
		assert_true(message->until_ms == controls[i].until_ms && message->time_ms == STAMP_MS && record.version == VERSION_NONE);
		join(&publication.rooms, &names);
		assert_true(bytes_equal_text(buffer_bytes(&names), controls[i].rooms));
		buffer_deinit(&names);
		publication_deinit(&publication);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_are_sacred),
		cmocka_unit_test(test_refusals_name_the_field),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_entities_and_versions),
		cmocka_unit_test(test_a_deleted_entity_has_no_data),
		cmocka_unit_test(test_control_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
