/* test_cgi.c - meta-variables become a request, an answer a header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cgi.h"

struct variable {
	const char *name, *value;
};

static void find(const void *data, struct cgi_variable *variables, size_t count)
{
	for (const struct variable *variable = data; variable->name; variable++)
		for (size_t i = 0; i < count; i++)
			if (bytes_equal_text(variables[i].name, variable->name))
				variables[i].value = bytes_of(variable->value);
}

static void test_requests(void **state)
{
	(void)state;
	static const struct variable all[] = {
		{ "REQUEST_METHOD", "POST" }, { "SCRIPT_NAME", "/api/broadcast" }, { "PATH_INFO", "/emit/" }, { "QUERY_STRING", "confirm=1" },
		{ "CONTENT_TYPE", "application/json" }, { "CONTENT_LENGTH", "12" }, { "HTTP_AUTHORIZATION", "Bearer x" }, { "HTTP_IDEMPOTENCY_KEY", "k" },
		{ NULL, NULL },
	};
	static const struct variable elsewhere[] = { { "REQUEST_URI", "/elsewhere?a=b" }, { NULL, NULL } };
	struct buffer scratch = { 0 };
	struct request request;
	cgi_read_request(find, all, "/api/broadcast", &scratch, &request);
	assert_true(bytes_equal_text(request.method, "POST") && bytes_equal_text(request.path, "/emit") && bytes_equal_text(request.query, "confirm=1"));
	assert_true(bytes_equal_text(request.content_type, "application/json") && bytes_equal_text(request.authorization, "Bearer x"));
	assert_true(bytes_equal_text(request.idempotency_key, "k") && request.content_length == 12 && !request.is_forwarded && !request.is_too_large);
	cgi_read_request(find, elsewhere, "/api/broadcast", &scratch, &request);
	assert_true(bytes_equal_text(request.path, "/elsewhere?a=b")); /* it is named in the 404 */
	assert_true(request.content_length == LENGTH_ABSENT && request.method.len == 0);
	buffer_deinit(&scratch);
}

static void test_lengths(void **state)
{
	(void)state;
	static const struct { const char *text; int64_t length; } rows[] = {
		{ "", LENGTH_ABSENT }, { "0", 0 }, { "007", 7 }, { "1048576", 1048576 }, { "-1", LENGTH_MALFORMED }, { "+1", LENGTH_MALFORMED },
		{ "1 ", LENGTH_MALFORMED }, { "0x10", LENGTH_MALFORMED }, { "1e3", LENGTH_MALFORMED },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(cgi_parse_length(bytes_of(rows[i].text)) == rows[i].length);
	assert_true(cgi_parse_length(bytes_of("99999999999999999999999999999999")) > INT64_MAX / 32);
}

static void assert_head(const struct response *response, const char *expected)
{
	struct buffer out = { 0 };
	cgi_add_head(response, &out);
	assert_string_equal(out.data, expected);
	buffer_deinit(&out);
}

static void test_heads(void **state)
{
	(void)state;
	struct response response = { .status = 200 };
	buffer_add_text(&response.body, "{}");
	assert_head(&response, "Status: 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\n");
	response.status = 401;
	assert_head(&response, "Status: 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n"
	            "WWW-Authenticate: Bearer realm=\"roomcast\"\r\n\r\n");
	response = (struct response){ .status = 405, .allow = "POST", .retry_after_s = 2, .body = response.body };
	assert_head(&response, "Status: 405 Method Not Allowed\r\nContent-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\n"
	            "Allow: POST\r\nRetry-After: 2\r\n\r\n");
	response_deinit(&response);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_requests), cmocka_unit_test(test_lengths), cmocka_unit_test(test_heads) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
