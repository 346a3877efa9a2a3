/* test_http_reply.c - the bytes of answers, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_reply.h"

static struct buffer out;

static int teardown(void **state)
{
	(void)state;
	buffer_deinit(&out);
	return 0;
}

static void write_reply(struct http_request request, const struct cors *cors, bool is_last, struct http_answer answer)
{
	buffer_clear(&out);
	http_reply_write(&out, &(struct http_reply_context){ .request = &request, .cors = cors, .is_last = is_last, .now_s = 784111777 }, &answer);
	assert_false(out.has_failed);
}

static void test_plain(void **state)
{
	(void)state;
	write_reply((struct http_request){ .verb = HTTP_VERB_GET }, NULL, false,
	            (struct http_answer){ .status = 200, .content_type = "text/html", .body = bytes_of("ok") });
	assert_string_equal(out.data, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html\r\nContent-Length: 2\r\nCache-Control: no-store\r\n"
	                              "Connection: keep-alive\r\n\r\nok");
	write_reply((struct http_request){ .verb = HTTP_VERB_GET }, NULL, true,
	            (struct http_answer){ .status = 503, .headers = "Retry-After: 1\r\n" });
	assert_string_equal(out.data, "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"
	                              "Retry-After: 1\r\nConnection: close\r\n\r\n");
}

static void test_head_has_the_length_only(void **state)
{
	(void)state;
	write_reply((struct http_request){ .verb = HTTP_VERB_HEAD }, NULL, false, (struct http_answer){ .status = 200, .body = bytes_of("hello") });
	assert_non_null(strstr(out.data, "Content-Length: 5\r\n"));
	assert_string_equal(strstr(out.data, "\r\n\r\n"), "\r\n\r\n");
}

static void test_bodies_are_bytes(void **state)
{
	(void)state;
	write_reply((struct http_request){ .verb = HTTP_VERB_GET }, NULL, false, (struct http_answer){ .status = 200, .body = { "a\0b", 3 } });
	assert_memory_equal(out.data + out.len - 3, "a\0b", 3);
	assert_non_null(strstr(out.data, "Content-Length: 3\r\n"));
}

static void test_cors(void **state)
{
	(void)state;
	struct error err;
	struct cors *cors = cors_new("https://a.example", &err);
	struct http_request request = { .verb = HTTP_VERB_GET, .info.origin = bytes_of("https://a.example"), .requested_headers = bytes_of("x-a") };
	write_reply(request, cors, false, (struct http_answer){ .status = 400 });
	assert_non_null(strstr(out.data, "\r\nAccess-Control-Allow-Origin: https://a.example\r\n"));
	assert_null(strstr(out.data, "Access-Control-Allow-Methods"));
	request.verb = HTTP_VERB_OPTIONS;
	write_reply(request, cors, false, (struct http_answer){ .status = 204 });
	assert_non_null(strstr(out.data, "\r\nAccess-Control-Allow-Methods: GET,POST\r\n"));
	assert_non_null(strstr(out.data, "\r\nAccess-Control-Allow-Headers: x-a\r\n"));
	cors_free(cors);
}

static void test_dates(void **state)
{
	(void)state;
	static const struct { uint64_t now_s; const char *line; } rows[] = {
		{ 0, "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" }, { 1709164800, "\r\nDate: Thu, 29 Feb 2024 00:00:00 GMT\r\n" },
		{ 1709164800, "\r\nDate: Thu, 29 Feb 2024 00:00:00 GMT\r\n" }, { 4102444799, "\r\nDate: Thu, 31 Dec 2099 23:59:59 GMT\r\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buffer_clear(&out);
		http_reply_write(&out, &(struct http_reply_context){ .request = &(struct http_request){ 0 }, .now_s = rows[i].now_s },
		                 &(struct http_answer){ .status = 200 });
		assert_non_null(strstr(out.data, rows[i].line));
	}
}

/* Every status that this program answers has a reason. */
static void test_reasons(void **state)
{
	(void)state;
	static const unsigned statuses[] = { 200, 204, 400, 401, 403, 404, 405, 408, 413, 414, 417, 426, 429, 431, 500, 503, 505 };
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		write_reply((struct http_request){ .verb = HTTP_VERB_GET }, NULL, false, (struct http_answer){ .status = statuses[i] });
		assert_null(strstr(out.data, "Unknown"));
	}
}

static void test_error_body(void **state)
{
	(void)state;
	buffer_clear(&out);
	http_reply_write_error(&out, "a_word", "what \"stands\" where\n");
	assert_string_equal(out.data, "{\"success\":false,\"error\":\"what \\\"stands\\\" where\\u000a\",\"code\":\"a_word\"}");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_plain), TEST(test_head_has_the_length_only), TEST(test_bodies_are_bytes), TEST(test_cors), TEST(test_reasons), TEST(test_dates),
		TEST(test_error_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
