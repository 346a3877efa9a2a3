/* test_cors.c - lists of origins, our own host, the header lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cors.h"

static struct cors *make(const char *origins)
{
	struct error err;
	struct cors *cors = cors_new(origins, &err);
	assert_non_null(cors);
	return cors;
}

static void test_exact(void **state)
{
	(void)state;
	struct cors *cors = make(" https://a.example/ , http://localhost:3000");
	static const struct { const char *origin; bool is_allowed; } rows[] = {
		{ "https://a.example", true }, { "http://localhost:3000", true }, { "http://a.example", false },
		{ "https://a.example.evil", false }, { "https://sub.a.example", false }, { "https://a.example:444", false },
		{ "http://localhost:3001", false }, { "null", false }, { "", false }, { "https://a.exampl", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(cors_allows(cors, bytes_of(rows[i].origin)), rows[i].is_allowed);
	cors_free(cors);
}

static void test_malformed_lists(void **state)
{
	(void)state;
	static const char *const lists[] = { "a.example", "https://", "https://a.example/path", "https://a b" };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct error err;
		assert_null(cors_new(lists[i], &err));
		assert_true(err.text[0]);
	}
}

static void test_own_host(void **state)
{
	(void)state;
	assert_true(cors_is_own(bytes_of("http://h.example:8080"), bytes_of("h.example:8080")));
	assert_false(cors_is_own(bytes_of("http://h.example:8081"), bytes_of("h.example:8080")));
	assert_false(cors_is_own(bytes_of("null"), bytes_of("h.example")));
	assert_false(cors_is_own(bytes_of("http://"), bytes_of("")));
}

static void test_headers(void **state)
{
	(void)state;
	struct cors *cors = make("https://a.example");
	struct buffer out = { 0 };
	cors_add_headers(cors, bytes_of("https://a.example"), &out);
	assert_non_null(strstr(out.data, "Access-Control-Allow-Origin: https://a.example\r\n"));
	assert_non_null(strstr(out.data, "Access-Control-Allow-Credentials: true\r\n"));
	assert_non_null(strstr(out.data, "Vary: Origin\r\n"));
	buffer_clear(&out);
	cors_add_headers(cors, bytes_of("https://b.example"), &out);
	assert_null(strstr(out.data, "Access-Control-Allow-Origin"));
	assert_non_null(strstr(out.data, "Vary: Origin\r\n"));
	buffer_deinit(&out);
	cors_free(cors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact), cmocka_unit_test(test_malformed_lists), cmocka_unit_test(test_own_host), cmocka_unit_test(test_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
