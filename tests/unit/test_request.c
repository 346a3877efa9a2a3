/* test_request.c - query parameters, cookies, copies, and the origins that may read answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cors.h"
#include "request.h"

static void expect_query(const char *query, const char *expected)
{
	char *value = request_query_value(bytes_of(query), "sid", NULL);
	if (expected) {
		assert_non_null(value);
		assert_string_equal(value, expected);
	} else {
		assert_null(value);
	}
	free(value);
}

static void test_query(void **state)
{
	(void)state;
	expect_query("", NULL);
	expect_query("EIO=4&sid=a~b", "a~b");
	expect_query("sid=1&sid=2", "2");
	expect_query("s%69d=a%7Eb+c", "a~b c");
	expect_query("sid", "");
	expect_query("sid=", "");
	expect_query("xsid=1&sidx=2", NULL);
	expect_query("sid=%", "%");
	expect_query("sid=%4", "%4");
	expect_query("sid=%zz", "%zz");
	expect_query("sid=a%00b", NULL);
	expect_query("&&sid=1=2&&", "1=2");
}

static void expect_cookie(const char *header, const char *expected)
{
	assert_true(bytes_equal_text(request_cookie(bytes_of(header), "auth-token"), expected));
}

static void test_cookie(void **state)
{
	(void)state;
	expect_cookie("", "");
	expect_cookie("a=b; auth-token=x.y.z; c=d", "x.y.z");
	expect_cookie("auth-token=\"quoted\"", "quoted");
	expect_cookie("auth-token=a=b", "a=b");
	expect_cookie("Auth-Token=no; xauth-token=no", "");
	expect_cookie("auth-token", "");
}

static void test_copy(void **state)
{
	(void)state;
	const struct request_info info = { .query = bytes_of("a=1"), .origin = bytes_of("http://x"), .peer = bytes_of("unix") };
	struct request_info *copy = request_info_dup(&info);
	assert_non_null(copy);
	assert_true(copy->query.data != info.query.data);
	assert_true(bytes_equal(copy->query, info.query) && bytes_equal(copy->origin, info.origin) && bytes_equal(copy->peer, info.peer));
	assert_int_equal(copy->cookie.len, 0);
	free(copy);
}

static void test_origins(void **state)
{
	(void)state;
	struct error err;
	struct cors *cors = cors_new(" https://app.example/ ,http://localhost:3000", &err);
	assert_non_null(cors);
	assert_true(cors_allows(cors, bytes_of("https://app.example")));
	assert_true(cors_allows(cors, bytes_of("http://localhost:3000")));
	assert_false(cors_allows(cors, bytes_of("http://localhost")));
	assert_false(cors_allows(cors, bytes_of("https://app.example.evil")));
	assert_false(cors_allows(cors, bytes_of("")));
	struct buffer out = { 0 };
	cors_add_headers(cors, bytes_of("http://evil.example"), &out);
	assert_string_equal(out.data, "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
	buffer_deinit(&out);
	cors_free(cors);
	assert_null(cors_new("app.example", &err));
	assert_null(cors_new("https://a.example/path", &err));
}

static void test_own_origin(void **state)
{
	(void)state;
	assert_true(cors_is_own(bytes_of("http://a.example:80"), bytes_of("a.example:80")));
	assert_false(cors_is_own(bytes_of("http://a.example"), bytes_of("b.example")));
	assert_false(cors_is_own(bytes_of(""), bytes_of("")));
	assert_false(cors_is_own(bytes_of("null"), bytes_of("null")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query), cmocka_unit_test(test_cookie), cmocka_unit_test(test_copy),
		cmocka_unit_test(test_origins), cmocka_unit_test(test_own_origin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
