/* test_route.c - from what the web server says to the call: address, method, key, body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "authorize.h"
#include "body.h"
#include "route.h"

static void test_paths(void **state)
{
	(void)state;
	static const struct { const char *script_name, *path_info, *request_uri, *path; } cases[] = {
		{ "/api/broadcast/emit", "", "/api/broadcast/emit?x=1", "/emit" },         /* nginx */
		{ "/api/broadcast/emit/", "", "", "/emit" },
		{ "/api/broadcast", "/emit", "/api/broadcast/emit", "/emit" },             /* lighttpd, CGI */
		{ "/api/broadcast/", "/emit", "", "/emit" },
		{ "/api/broadcast", "", "", "" },
		{ "/api/broadcast/emit", "", "/v2/live/emit", "/emit" },                   /* rewritten */
		{ "/cgi-bin/gateway", "/emit", "/api/broadcast/emit", "/emit" },
		{ "/cgi-bin/gateway", "/emit/", "/other", "/emit" },
		{ "", "", "/api/broadcast/status?a=/b", "/status" },
		{ "/api/broadcasting/emit", "", "/api/broadcasting/emit", NULL },
		{ "", "", "", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct request_address address = { bytes_of(cases[i].script_name), bytes_of(cases[i].path_info), bytes_of(cases[i].request_uri) };
		struct buffer scratch = { 0 };
		struct bytes path = { 0 };
		assert_int_equal(request_path(&address, "/api/broadcast", &scratch, &path), cases[i].path != NULL);
		if (cases[i].path && !bytes_equal_text(path, cases[i].path))
			fail_msg("case %zu: %.*s", i, (int)path.len, path.data);
		buffer_deinit(&scratch);
	}
}

static void test_routes(void **state)
{
	(void)state;
	struct response response = { 0 };
	const struct route *route = route_find(bytes_of("POST"), bytes_of("/data-change"), &response);
	assert_non_null(route);
	assert_true(route->build == publication_from_data_change);
	assert_null(route_find(bytes_of("GET"), bytes_of("/data-change"), &response));
	assert_int_equal(response.status, 405);
	assert_string_equal(response.allow, "POST");
	assert_null(route_find(bytes_of("post"), bytes_of("/emit"), &response));
	assert_int_equal(response.status, 405);
	assert_null(route_find(bytes_of("POST"), bytes_of("/Emit"), &response));
	assert_int_equal(response.status, 404);
	assert_null(route_find(bytes_of("POST"), (struct bytes){ 0 }, &response));
	assert_int_equal(response.status, 404);
	assert_null(route_find(bytes_of("POST"), bytes_of("/\"\\\xff"), &response));
	assert_string_equal(response.body.data, "{\"success\":false,\"error\":\"no such call: \\\"/\\\"\\\\?\\\"\",\"code\":\"not_found\"}");
	response_deinit(&response);
}

static void test_keys(void **state)
{
	(void)state;
	struct authorizer authorizer = { 0 };
	assert_null(authorize(&authorizer, bytes_of("Bearer first")));
	assert_int_equal(authorizer_add_secret(&authorizer, "one", bytes_of("first"), SCOPE_ALL, NULL), 0);
	assert_int_equal(authorizer_add_secret(&authorizer, "two", bytes_of("second"), SCOPE_STATUS, NULL), 0);
	assert_int_equal(authorizer_add_secret(&authorizer, "none", bytes_of(""), SCOPE_ALL, NULL), -1);
	const struct api_key *key = authorize(&authorizer, bytes_of("bearer  second "));
	assert_non_null(key);
	assert_string_equal(key->name, "two");
	assert_int_equal(key->scopes, SCOPE_STATUS);
	static const char *const wrong[] = { "", "Bearer", "Bearer ", "Bearer firs", "Bearer firstt", "Basic first", "first", "Bearerfirst", "Bearer First" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_null(authorize(&authorizer, bytes_of(wrong[i])));
	authorizer_deinit(&authorizer);
}

static void test_bodies(void **state)
{
	(void)state;
	static const struct { const char *type; int64_t length; const char *body; bool is_too_large; enum refusal refusal; } cases[] = {
		{ "application/json", 2, "{}", false, REFUSAL_NONE },
		{ "Application/JSON ; Charset=\"UTF-8\"", 2, "{}", false, REFUSAL_NONE },
		{ "application/json;v=1", LENGTH_ABSENT, "{}", false, REFUSAL_NONE },
		{ "application/json; charset=latin1", 2, "{}", false, REFUSAL_UNSUPPORTED_MEDIA_TYPE },
		{ "text/plain", 2, "{}", false, REFUSAL_UNSUPPORTED_MEDIA_TYPE },
		{ "", 2, "{}", false, REFUSAL_UNSUPPORTED_MEDIA_TYPE },
		{ "application/json", LENGTH_ABSENT, "", false, REFUSAL_LENGTH_REQUIRED },
		{ "application/json", 0, "", false, REFUSAL_MALFORMED_JSON },
		{ "application/json", 3, "{}", false, REFUSAL_BODY_LENGTH },
		{ "application/json", 1, "{}", false, REFUSAL_BODY_LENGTH },
		{ "application/json", LENGTH_MALFORMED, "{}", false, REFUSAL_BODY_LENGTH },
		{ "application/json", 5000000, "", true, REFUSAL_TOO_LARGE },
		{ "application/json", 8, "{\"a\":1.}", false, REFUSAL_MALFORMED_JSON },
		{ "application/json", 3, "\xff{}", false, REFUSAL_MALFORMED_JSON },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct request request = {
			.content_type = bytes_of(cases[i].type), .content_length = cases[i].length, .body = bytes_of(cases[i].body), .is_too_large = cases[i].is_too_large,
		};
		struct response response = { 0 };
		assert_int_equal(body_check(&request, 1000, &response), cases[i].refusal ? -1 : 0);
		assert_int_equal(response.refusal, cases[i].refusal);
		response_deinit(&response);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_bodies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
