/* test_batch.c - many events in one request: each by its type, refused by its number, within what the key may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch.h"
#include "publish.h"

static int read_with(const struct api_key *key, const char *body, struct submission *submission, struct response *response)
{
	struct api_key copy = *key;
	struct call call = { .key = &copy, .response = response };
	*response = (struct response){ 0 };
	return batch_read(&call, bytes_of(body), submission);
}

static const struct api_key all = { .name = "all", .scopes = SCOPE_ALL };

static void test_each_by_its_type(void **state)
{
	(void)state;
	struct submission submission;
	struct response response;
	assert_int_equal(read_with(&all, "{\"events\":[{\"type\":\"data-change\",\"entityType\":\"e\",\"action\":\"CREATE\",\"data\":{ \"id\":1}},"
	                                 "{\"type\":\"notification\",\"userId\":4,\"notification\":{\"title\":\"T\",\"message\":\"M\",\"type\":\"warn\"}},"
	                                 "{\"type\":\"system-notification\",\"title\":\"T\",\"message\":\"M\",\"x\":1.0},"
	                                 "{\"type\":\"system-notification\",\"notification\":{\"type\":\"error\",\"title\":\"T\",\"message\":\"M\"}},"
	                                 "{\"type\":\"emit\",\"event\":\"e\",\"args\":[1.0]},"
	                                 "{\"type\":\"join\",\"userId\":4,\"rooms\":[\"r\"]},{\"type\":\"leave\",\"sid\":\"s\",\"rooms\":[\"r\"]},"
	                                 "{\"type\":\"\\u0064isconnect\",\"room\":\"r\"}]}", &submission, &response), 0);
	assert_true(submission.count == 8 && submission.is_batch);
	assert_string_equal(submission.items[0].entity_id, "1");
	assert_non_null(strstr(submission.items[1].body.data, "\"type\":\"warn\""));
	assert_non_null(strstr(submission.items[2].body.data, "{\"title\":\"T\",\"message\":\"M\",\"x\":1.0,\"type\":\"info\",\"timestamp\":"));
	assert_non_null(strstr(submission.items[3].body.data, "{\"type\":\"error\",\"title\":\"T\",\"message\":\"M\",\"timestamp\":"));
	assert_string_equal(submission.items[4].body.data, "\"e\",1.0");
	assert_int_equal(submission.items[5].operation, CONTROL_JOIN);
	assert_int_equal(submission.items[6].operation, CONTROL_LEAVE);
	assert_int_equal(submission.items[7].operation, CONTROL_DISCONNECT);
	assert_string_equal(response.where, "");
	submission_deinit(&submission);
	response_deinit(&response);
}

static const struct {
	const char *body, *error;
	unsigned status;
} refused[] = {
	{ "[]", "\"body: must be an object", 422 },
	{ "{}", "\"events: required", 422 },
	{ "{\"Events\":[]}", "\"Events: unknown", 422 },
	{ "{\"events\":{}}", "\"events: must be an array", 422 },
	{ "{\"events\":[]}", "\"events: must not be empty", 422 },
	{ "{\"events\":[5]}", "\"events[0].type: required, in an object", 422 },
	{ "{\"events\":[{}]}", "\"events[0].type: required", 422 },
	{ "{\"events\":[{\"type\":\"emit\",\"event\":\"a\"},{\"type\":\"status\"}]}", "\"events[1].type: must be", 422 },
	{ "{\"events\":[{\"type\":\"batch\",\"events\":[]}]}", "\"events[0].type: must be", 422 },
	{ "{\"events\":[{\"type\":7}]}", "\"events[0].type: must be", 422 },
	{ "{\"events\":[{\"type\":\"emit\",\"event\":\"a\"},{\"type\":\"emit\",\"event\":\"connect\"}]}", "\"events[1].event: connect is reserved", 422 },
	{ "{\"events\":[{\"type\":\"emit\",\"event\":\"a\",\"rooms\":[\"\"]}]}", "\"events[0].rooms[0]: must have", 422 },
	{ "{\"events\":[{\"type\":\"emit\",\"event\":\"a\",\"volatile\":true}]}", "\"events[0].volatile: not in a batch", 422 },
	{ "{\"events\":[{\"type\":\"system-notification\",\"message\":\"M\"}]}", "\"events[0].title: required", 422 },
	{ "{\"events\":[{\"type\":\"system-notification\",\"notification\":{\"title\":\"T\"}}]}", "\"events[0].notification.message: required", 422 },
};

static void test_refusals_name_the_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct submission submission;
		struct response response;
		assert_int_equal(read_with(&all, refused[i].body, &submission, &response), -1);
		if (response.status != refused[i].status || !strstr(response.body.data, refused[i].error))
			fail_msg("%s -> %s", refused[i].body, response.body.data);
		response_deinit(&response);
	}
}

static void test_bounds(void **state)
{
	(void)state;
	for (size_t count = SUBMISSION_MAX; count <= SUBMISSION_MAX + 1; count++) {
		struct buffer body = { 0 };
		struct submission submission;
		struct response response;
		buffer_add_text(&body, "{\"events\":[");
		for (size_t i = 0; i < count; i++)
			buffer_add_format(&body, "%s{\"type\":\"emit\",\"event\":\"e\"}", i ? "," : "");
		buffer_add_text(&body, "]}");
		assert_int_equal(read_with(&all, body.data, &submission, &response), count > SUBMISSION_MAX ? -1 : 0);
		if (count <= SUBMISSION_MAX)
			submission_deinit(&submission);
		else
			assert_non_null(strstr(response.body.data, "at most 1000"));
		buffer_deinit(&body);
		response_deinit(&response);
	}
}

/* A key for two calls and one entity type. */
static void test_what_the_key_may(void **state)
{
	(void)state;
	char *types[] = { test_malloc(8) };
	strcpy(types[0], "Invoice");
	const struct api_key key = { .name = "app", .scopes = SCOPE_DATA_CHANGE | SCOPE_JOIN, .types = types, .type_count = 1 };
	static const struct { const char *event, *error; } cases[] = {
		{ "\"data-change\",\"entityType\":\"Invoice\",\"action\":\"CREATE\",\"data\":1", NULL },
		{ "\"data-change\",\"entityType\":\"Order\",\"action\":\"CREATE\",\"data\":1", "\"events[0]: the API key app is not for the entity type Order" },
		{ "\"emit\",\"event\":\"x\"", "\"events[0]: the API key app may not call /emit" },
		{ "\"join\",\"userId\":1,\"rooms\":[\"r\",\"sync-Invoice\"]", NULL },
		{ "\"join\",\"userId\":1,\"rooms\":[\"r\",\"sync-Order\"]", "not for the entity type Order" },
		{ "\"join\",\"room\":\"sync-Order\",\"rooms\":[\"r\"]", "not for the entity type Order" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer body = { 0 };
		struct submission submission;
		struct response response;
		buffer_add_format(&body, "{\"events\":[{\"type\":%s}]}", cases[i].event);
		assert_int_equal(read_with(&key, body.data, &submission, &response), cases[i].error ? -1 : 0);
		if (!cases[i].error)
			submission_deinit(&submission);
		else if (response.status != 403 || !strstr(response.body.data, cases[i].error))
			fail_msg("%s -> %s", body.data, response.body.data);
		buffer_deinit(&body);
		response_deinit(&response);
	}
	test_free(types[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_by_its_type),
		cmocka_unit_test(test_refusals_name_the_event),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_what_the_key_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
