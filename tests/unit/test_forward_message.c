/* test_forward_message.c - requests and answers between gateways arrive as they left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forward_message.h"

static void assert_request(const struct request *request)
{
	struct buffer packed = { 0 };
	struct message message;
	struct request out;
	assert_int_equal(forward_pack_request(request, 7, 1234, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &message, NULL), 0);
	assert_int_equal(message.kind, MESSAGE_FORWARD);
	assert_true(message.counter == 7 && message.deadline_ms == 1234);
	forward_read_request(&message, &out);
	assert_true(out.is_forwarded);
	assert_true(bytes_equal(out.method, request->method) && bytes_equal(out.path, request->path) && bytes_equal(out.query, request->query));
	assert_true(bytes_equal(out.content_type, request->content_type) && bytes_equal(out.authorization, request->authorization));
	assert_true(bytes_equal(out.idempotency_key, request->idempotency_key) && bytes_equal(out.body, request->body));
	assert_true(out.content_length == request->content_length && out.is_too_large == request->is_too_large);
	message_deinit(&message);
	buffer_deinit(&packed);
}

static void test_requests(void **state)
{
	(void)state;
	static const char body[] = "{\0\xff\n}";
	struct request request = {
		.method = bytes_of("POST"), .path = bytes_of("/emit"), .query = bytes_of("confirm=1"), .content_type = bytes_of("application/json"),
		.authorization = bytes_of("Bearer x"), .idempotency_key = bytes_of("k"), .body = { body, sizeof(body) - 1 },
		.content_length = sizeof(body) - 1,
	};
	assert_request(&request);
	static const int64_t lengths[] = { 0, 1, LENGTH_ABSENT, LENGTH_MALFORMED, INT64_MAX / 16 };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		assert_request(&(struct request){ .content_length = lengths[i], .is_too_large = i % 2 });
}

static void test_what_is_too_long_is_cut(void **state)
{
	(void)state;
	static char text[MESSAGE_HEADER_MAX + 5];
	memset(text, 'a', sizeof(text));
	struct bytes all = { text, sizeof(text) };
	struct request request = { .method = all, .path = all, .authorization = all, .idempotency_key = all, .query = all, .content_type = all }, out;
	struct buffer packed = { 0 };
	struct message message;
	assert_int_equal(forward_pack_request(&request, 1, 1, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &message, NULL), 0);
	forward_read_request(&message, &out);
	assert_int_equal(out.path.len, MESSAGE_HEADER_MAX);
	assert_int_equal(out.idempotency_key.len, MESSAGE_HEADER_MAX);
	message_deinit(&message);
	buffer_deinit(&packed);
}

static void test_responses(void **state)
{
	(void)state;
	struct response response = { .status = 405, .allow = "POST", .retry_after_s = 3 }, out = { 0 };
	struct buffer packed = { 0 };
	struct message message;
	buffer_add_text(&response.body, "{}");
	assert_int_equal(forward_pack_response(&response, 9, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &message, NULL), 0);
	assert_true(message.kind == MESSAGE_ANSWER && message.counter == 9 && message.reason.len == 0);
	assert_int_equal(forward_read_response(&message, &out), 0);
	assert_int_equal(out.status, 405);
	assert_string_equal(out.allow, "POST");
	assert_int_equal(out.retry_after_s, 3);
	assert_true(bytes_equal_text(buffer_bytes(&out.body), "{}"));
	message_deinit(&message);
	response_deinit(&out);
	response_deinit(&response);

	buffer_clear(&packed);
	assert_int_equal(forward_pack_unhandled("a standby", 9, &packed, NULL), 0);
	assert_int_equal(message_unpack(buffer_bytes(&packed), &message, NULL), 0);
	assert_true(bytes_equal_text(message.reason, "a standby") && message.counter == 9);
	message_deinit(&message);
	buffer_deinit(&packed);
}

static void test_answers_that_are_none(void **state)
{
	(void)state;
	static const struct message answers[] = {
		{ .status = 0 }, { .status = 199 }, { .status = 600 }, { .status = UINT64_C(1) << 32 | 200 },
		{ .status = 405, .allow = { "0123456789012345678901234567890123456789", 40 } },
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct response out = { 0 };
		assert_int_equal(forward_read_response(&answers[i], &out), -1);
		response_deinit(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_what_is_too_long_is_cut),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_answers_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
