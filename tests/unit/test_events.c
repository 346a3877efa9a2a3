/* test_events.c - the log as pages: what a record looks like, where pages begin and end, what is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <roomcast/json.h>

#include "events.h"
#include "gateway.h"

static void test_records(void **state)
{
	(void)state;
	static const struct bytes rooms[] = { { "sync-e\"", 7 }, { "b", 1 } };
	static const struct { struct journal_record record; const char *json; } cases[] = {
		{ { .message = { .kind = MESSAGE_EVENT, .epoch = 5, .seq = 6, .time_ms = 1000, .rooms = { rooms, 2 }, .action = ACTION_UPDATE,
		                 .entity_type = { "e", 1 }, .entity_id = { "7", 1 }, .exclude_user = { "u", 1 }, .body = { "\"a\\\"b\",{\"n\":1.10},[ 2 ]", 23 } },
		    .event = { "a\"b", 3 }, .version = 3, .user_id = { "9", 1 } },
		  "{\"id\":\"5.6\",\"time\":\"1970-01-01T00:00:01.000Z\",\"event\":\"a\\\"b\",\"entityType\":\"e\",\"entityId\":\"7\",\"action\":\"UPDATE\",\"version\":3,"
		  "\"userId\":\"9\",\"excludeUserId\":\"u\",\"rooms\":[\"sync-e\\\"\",\"b\"],\"args\":[{\"n\":1.10},[ 2 ]]}" },
		{ { .message = { .kind = MESSAGE_EVENT, .epoch = 5, .seq = 7, .body = { "\"x\"", 3 }, .except = { rooms + 1, 1 } }, .event = { "x", 1 },
		    .version = VERSION_NONE },
		  "{\"id\":\"5.7\",\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"x\",\"except\":[\"b\"],\"args\":[]}" },
		{ { .message = { .kind = MESSAGE_CONTROL, .epoch = 5, .seq = 8, .operation = CONTROL_JOIN, .user = { "7", 1 }, .rooms = { rooms + 1, 1 } },
		    .version = VERSION_NONE },
		  "{\"id\":\"5.8\",\"time\":\"1970-01-01T00:00:00.000Z\",\"control\":\"join\",\"targetUserId\":\"7\",\"rooms\":[\"b\"]}" },
		{ { .message = { .kind = MESSAGE_CONTROL, .epoch = 5, .seq = 9, .operation = CONTROL_DISCONNECT, .user = { "7", 1 }, .close = 1, .until_ms = 2000 },
		    .version = VERSION_NONE },
		  "{\"id\":\"5.9\",\"time\":\"1970-01-01T00:00:00.000Z\",\"control\":\"disconnect\",\"targetUserId\":\"7\",\"close\":true,"
		  "\"blockedUntil\":\"1970-01-01T00:00:02.000Z\"}" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer out = { 0 };
		events_add_record(&cases[i].record, &out);
		assert_string_equal(out.data, cases[i].json);
		assert_int_equal(json_check(buffer_bytes(&out), JSON_DEPTH_DEFAULT, NULL), 0);
		buffer_deinit(&out);
	}
}

/* --- pages of a journal in memory --- */

static struct gateway gateway;
static struct journal_writer *writer;

static void open_journal(uint64_t keep_events)
{
	struct journal_settings settings = { .retention = { .events = keep_events, .bytes = 256 << 20 } };
	gateway.journal = journal_memory_new(&settings, NULL);
	assert_non_null(gateway.journal);
	assert_int_equal(gateway.journal->operations->open_writer(gateway.journal, 100, "", &writer, NULL), 0);
	gateway.readers = readers_new(gateway.journal, 2, NULL);
	assert_non_null(gateway.readers);
}

static void close_journal(void)
{
	readers_free(gateway.readers);
	writer->operations->close(writer);
	journal_close(gateway.journal);
}

static void store(size_t count, size_t body_len, const char *entity_type)
{
	struct buffer body = { 0 };
	buffer_add_text(&body, "\"x\",\"");
	while (body.len < body_len)
		buffer_add_char(&body, 'a');
	buffer_add_char(&body, '"');
	for (size_t i = 0; i < count; i++) {
		struct journal_record record = { .event = bytes_of("x"), .version = VERSION_NONE };
		record.message = (struct message){ .kind = MESSAGE_EVENT, .epoch = writer->last.epoch, .seq = writer->last.seq + 1, .body = buffer_bytes(&body),
		                                   .entity_type = bytes_of(entity_type) };
		assert_int_equal(writer->operations->begin(writer, NULL), 0);
		assert_int_equal(writer->operations->savepoint(writer, 1, NULL), 0);
		assert_int_equal(writer->operations->append(writer, &record, NULL), 0);
		assert_int_equal(writer->operations->release(writer, NULL), 0);
		assert_int_equal(writer->operations->commit(writer, NULL), JOURNAL_STORED);
	}
	buffer_deinit(&body);
}

struct answer {
	struct response response;
	size_t count;
	char first[PLACE_TEXT_SIZE], next[PLACE_TEXT_SIZE];
	bool has_more, is_complete;
};

static bool is_true(struct bytes object, const char *name)
{
	struct bytes value;
	assert_true(json_member(object, name, &value));
	return json_kind(value) == JSON_TRUE;
}

static void ask_as(struct api_key *key, const char *query, struct answer *answer)
{
	struct request request = { .query = bytes_of(query) };
	struct call call = { .gateway = &gateway, .key = key, .request = &request, .response = &answer->response };
	struct bytes events = { 0 }, next = { 0 }, event, id;
	*answer = (struct answer){ .count = 0 };
	events_handle(&call);
	struct bytes body = buffer_bytes(&answer->response.body);
	assert_int_equal(json_check(body, JSON_DEPTH_DEFAULT, NULL), 0);
	if (answer->response.status != 200)
		return;
	assert_true(json_member(body, "events", &events) && json_member(body, "next", &next));
	assert_true(json_string_decode(next, answer->next, sizeof(answer->next)) > 0);
	answer->has_more = is_true(body, "more");
	answer->is_complete = is_true(body, "complete");
	for (; json_next_element(&events, &event); answer->count++)
		if (!answer->first[0])
			assert_true(json_member(event, "id", &id) && json_string_decode(id, answer->first, sizeof(answer->first)) > 0);
}

static struct api_key everything = { .name = "all", .scopes = SCOPE_ALL };

static void expect(const char *query, size_t count, const char *first, const char *next, bool has_more, bool is_complete)
{
	struct answer answer;
	ask_as(&everything, query, &answer);
	if (answer.response.status != 200 || answer.count != count || strcmp(answer.first, first) != 0 || strcmp(answer.next, next) != 0
	    || answer.has_more != has_more || answer.is_complete != is_complete)
		fail_msg("%s -> %u, %zu from %s, next %s, more %d, complete %d", query, answer.response.status, answer.count, answer.first, answer.next,
		         answer.has_more, answer.is_complete);
	response_deinit(&answer.response);
}

static void test_pages(void **state)
{
	(void)state;
	open_journal(10000);
	expect("", 0, "", "0.0", false, true);
	store(150, 20, "e");
	store(10, 20, "f");
	expect("", 100, "100.1", "100.100", true, true);
	expect("after=100.100", 60, "100.101", "100.160", false, true);
	expect("after=100.160", 0, "", "100.160", false, true);
	expect("after=100.100&limit=60", 60, "100.101", "100.160", false, true);
	expect("limit=1000", 160, "100.1", "100.160", false, true);
	expect("limit=32", 32, "100.1", "100.32", true, true);
	expect("after=100.128&limit=32", 32, "100.129", "100.160", false, true);
	expect("entityType=f", 10, "100.151", "100.160", false, true);
	expect("entityType=f&after=100.155&limit=2", 2, "100.156", "100.157", true, true);
	/* Whoever follows a few entities does not stay behind. */
	expect("entityType=g", 0, "", "100.160", false, true);
	expect("entityType=e", 100, "100.1", "100.100", true, true);
	expect("entityType=e&after=100.100", 50, "100.101", "100.160", false, true);
	/* It never was that long, or never was at all. */
	expect("after=100.161", 0, "", "100.161", false, false);
	expect("after=99.5", 100, "100.1", "100.100", true, false);
	close_journal();
}

static void test_a_page_is_bounded_in_bytes(void **state)
{
	(void)state;
	open_journal(10000);
	store(3, EVENTS_PAGE_BYTES + 100, "e");
	store(10, EVENTS_PAGE_BYTES / 4, "e");
	expect("limit=1000", 1, "100.1", "100.1", true, true);
	expect("limit=1000&after=100.3", 3, "100.4", "100.6", true, true);
	close_journal();
}

static void test_what_is_gone(void **state)
{
	(void)state;
	open_journal(10);
	store(25, 20, "e");
	expect("", 10, "100.16", "100.25", false, false);
	expect("after=100.14", 10, "100.16", "100.25", false, false);
	expect("after=100.15", 10, "100.16", "100.25", false, true);
	expect("after=100.20", 5, "100.21", "100.25", false, true);
	expect("after=100.20&entityType=f", 0, "", "100.25", false, true);
	writer->operations->close(writer);
	assert_int_equal(gateway.journal->operations->open_writer(gateway.journal, 100, "", &writer, NULL), 0);
	store(4, 20, "e");
	expect("after=100.20", 9, "100.21", "101.4", false, true);
	store(6, 20, "e");
	expect("after=100.25", 10, "101.1", "101.10", false, true);
	expect("after=100.24", 10, "101.1", "101.10", false, false);
	store(1, 20, "e");
	expect("after=100.25", 10, "101.2", "101.11", false, false);
	close_journal();
}

static const struct { const char *query, *error; } refused[] = {
	{ "after=5", "\"after: must be" },
	{ "after=", "\"after: must be" },
	{ "after=5.x", "\"after: must be" },
	{ "limit=0", "\"limit: must be" },
	{ "limit=1001", "\"limit: must be" },
	{ "limit=-1", "\"limit: must be" },
	{ "limit=", "\"limit: must be" },
	{ "limit=99999999999999999999", "\"limit: must be" },
	{ "entityType=", "\"entityType: must not be empty" },
	{ "entityType=e&entityId=", "\"entityId: must not be empty" },
	{ "entityId=7", "\"entityId: only together" },
	{ "entitytype=e", "\"entitytype: there is no such" },
	{ "entityType=%zz", "\"entityType: is not encoded" },
};

static void test_refusals(void **state)
{
	(void)state;
	struct answer answer;
	char *types[] = { test_malloc(8) };
	strcpy(types[0], "Invoice");
	struct api_key key = { .name = "app", .scopes = SCOPE_EVENTS, .types = types, .type_count = 1 };
	open_journal(10);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		ask_as(&everything, refused[i].query, &answer);
		if (answer.response.status != 422 || !strstr(answer.response.body.data, refused[i].error))
			fail_msg("%s -> %s", refused[i].query, answer.response.body.data);
		response_deinit(&answer.response);
	}
	static const struct { const char *query; unsigned status; } scoped[] = { { "", 403 }, { "entityType=Order", 403 }, { "entityType=Invoice", 200 } };
	for (size_t i = 0; i < 3; i++) {
		ask_as(&key, scoped[i].query, &answer);
		assert_int_equal(answer.response.status, scoped[i].status);
		response_deinit(&answer.response);
	}
	/* Both readers are lent. */
	struct journal_reader *one = readers_take(gateway.readers, 0), *two = readers_take(gateway.readers, 0);
	assert_true(one && two && !readers_take(gateway.readers, 0));
	ask_as(&everything, "", &answer);
	assert_int_equal(answer.response.status, 503);
	response_deinit(&answer.response);
	readers_give(gateway.readers, one);
	readers_give(gateway.readers, two);
	close_journal();
	test_free(types[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_a_page_is_bounded_in_bytes),
		cmocka_unit_test(test_what_is_gone),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
