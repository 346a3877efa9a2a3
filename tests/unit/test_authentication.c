/* test_authentication.c - where a client's token is looked for, in which order, and whose cookies count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authentication.h"

enum { NOW = 1700000000 };

/* Each place gets a token of its own, so that the user tells which one decided. */
static char *tokens[4];
static const char *const users[] = { "by-connect", "by-header", "by-query", "by-cookie" };
static struct cors *cors;

static struct bytes secret(void)
{
	return bytes_of("the secret of the tests");
}

static int setup(void **state)
{
	(void)state;
	struct error err;
	for (size_t i = 0; i < 4; i++) {
		struct identity identity = { .expires_s = NOW + 3600 };
		strcpy(identity.user_id, users[i]);
		tokens[i] = token_issue(&identity, secret(), NOW, &err);
		if (!tokens[i])
			return -1;
	}
	cors = cors_new("https://app.example, http://localhost:3000", &err);
	return cors ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++)
		free(tokens[i]);
	cors_free(cors);
	return 0;
}

/* Texts with the four tokens in the place of C, H, Q and K behind an @. */
struct attempt {
	const char *auth, *authorization, *query, *cookie, *origin, *host;
};

static struct bytes fill(const char *pattern, char *out, size_t size)
{
	static const char marks[] = "CHQK";
	size_t len = 0;
	for (; pattern && *pattern; pattern++) {
		const char *mark = pattern[0] == '@' && pattern[1] ? strchr(marks, pattern[1]) : NULL;
		if (mark)
			pattern++;
		len += (size_t)snprintf(out + len, size - len, mark ? "%s" : "%.1s", mark ? tokens[mark - marks] : pattern);
		assert_true(len < size);
	}
	return (struct bytes){ out, len };
}

static enum authentication_result try_with(const struct authentication *authentication, const struct attempt *attempt, struct identity *identity,
                                           struct error *err)
{
	char texts[4][1024];
	const struct request_info request = {
		.authorization = fill(attempt->authorization, texts[0], sizeof(texts[0])),
		.query = fill(attempt->query, texts[1], sizeof(texts[1])),
		.cookie = fill(attempt->cookie, texts[2], sizeof(texts[2])),
		.origin = bytes_of(attempt->origin ? attempt->origin : ""),
		.host = bytes_of(attempt->host ? attempt->host : "api.example:8443"),
	};
	*identity = (struct identity){ 0 };
	return authenticate(authentication, fill(attempt->auth ? attempt->auth : "{}", texts[3], sizeof(texts[3])), &request, NOW, identity, err);
}

static enum authentication_result try(const struct attempt *attempt, struct identity *identity)
{
	struct error err;
	const struct authentication authentication = { .secret = secret(), .cookie_name = "auth-token", .cors = cors };
	return try_with(&authentication, attempt, identity, &err);
}

struct expectation {
	struct attempt attempt;
	const char *user; /* NULL: anonymous */
	enum authentication_result result;
};

static void check_all(const struct expectation *expectations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct identity identity;
		enum authentication_result result = try(&expectations[i].attempt, &identity);
		if (result != expectations[i].result || (expectations[i].user && strcmp(identity.user_id, expectations[i].user) != 0))
			fail_msg("case %zu: result %d, user \"%s\"", i, (int)result, identity.user_id);
	}
}

#define CHECK_ALL(expectations) check_all(expectations, sizeof(expectations) / sizeof((expectations)[0]))
#define CONNECT "{\"token\":\"@C\"}"
#define NONE NULL, AUTHENTICATION_NONE
#define BAD NULL, AUTHENTICATION_BAD

static void test_places(void **state)
{
	(void)state;
	static const struct expectation expectations[] = {
		{ { 0 }, NONE },
		{ { .auth = CONNECT }, "by-connect", AUTHENTICATION_BY_CONNECT },
		{ { .auth = "{\"other\":1, \"token\" : \"@C\"}" }, "by-connect", AUTHENTICATION_BY_CONNECT },
		{ { .authorization = "Bearer @H" }, "by-header", AUTHENTICATION_BY_REQUEST },
		{ { .authorization = "bearer   @H" }, "by-header", AUTHENTICATION_BY_REQUEST },
		{ { .authorization = "Basic @H" }, NONE },
		{ { .authorization = "Bearer" }, NONE },
		{ { .authorization = "Bearer   " }, NONE },
		{ { .query = "EIO=4&token=@Q&t=x" }, "by-query", AUTHENTICATION_BY_REQUEST },
		{ { .query = "EIO=4&tokens=@Q" }, NONE },
		{ { .query = "token=" }, NONE },
		{ { .cookie = "a=b; auth-token=@K; c=d" }, "by-cookie", AUTHENTICATION_BY_REQUEST },
		{ { .cookie = "xauth-token=@K; auth-tokenx=@K" }, NONE },
		{ { .cookie = "auth-token=" }, NONE },
	};
	CHECK_ALL(expectations);
}

static void test_the_first_place_decides(void **state)
{
	(void)state;
	static const struct expectation expectations[] = {
		{ { CONNECT, "Bearer @H", "token=@Q", "auth-token=@K", 0, 0 }, "by-connect", AUTHENTICATION_BY_CONNECT },
		{ { "{}", "Bearer @H", "token=@Q", "auth-token=@K", 0, 0 }, "by-header", AUTHENTICATION_BY_REQUEST },
		{ { "{}", "", "token=@Q", "auth-token=@K", 0, 0 }, "by-query", AUTHENTICATION_BY_REQUEST },
		/* A bad one is not rescued by a later one. */
		{ { "{\"token\":\"bad\"}", "Bearer @H", "token=@Q", "auth-token=@K", 0, 0 }, BAD },
		{ { "{\"token\":7}", "Bearer @H", 0, 0, 0, 0 }, BAD },
		{ { "{\"token\":[\"@C\"]}", "Bearer @H", 0, 0, 0, 0 }, BAD },
		{ { "{}", "Bearer bad", "token=@Q", 0, 0, 0 }, BAD },
		{ { "{}", 0, "token=bad", "auth-token=@K", 0, 0 }, BAD },
		/* Nobody is logged in: absent. */
		{ { "{\"token\":null}", "Bearer @H", 0, 0, 0, 0 }, "by-header", AUTHENTICATION_BY_REQUEST },
		{ { "{\"token\":\"\"}", "Bearer @H", 0, 0, 0, 0 }, "by-header", AUTHENTICATION_BY_REQUEST },
	};
	CHECK_ALL(expectations);
}

static void test_whose_cookies_count(void **state)
{
	(void)state;
	static const char cookie[] = "auth-token=@K";
	static const struct expectation expectations[] = {
		{ { .cookie = cookie, .origin = "https://app.example" }, "by-cookie", AUTHENTICATION_BY_REQUEST },
		{ { .cookie = cookie, .origin = "http://localhost:3000" }, "by-cookie", AUTHENTICATION_BY_REQUEST },
		{ { .cookie = cookie, .origin = "https://api.example:8443" }, "by-cookie", AUTHENTICATION_BY_REQUEST },
		{ { .cookie = cookie, .origin = "https://api.example" }, NONE },
		{ { .cookie = cookie, .origin = "https://evil.example" }, NONE },
		{ { .cookie = cookie, .origin = "https://app.example.evil.example" }, NONE },
		{ { .cookie = cookie, .origin = "http://app.example" }, NONE },
		{ { .cookie = cookie, .origin = "null" }, NONE },
		{ { .cookie = cookie, .origin = "null", .host = "null" }, NONE },
		/* Only the cookie comes by itself; the other places are somebody's intention. */
		{ { .auth = CONNECT, .origin = "https://evil.example" }, "by-connect", AUTHENTICATION_BY_CONNECT },
		{ { .query = "token=@Q", .origin = "https://evil.example" }, "by-query", AUTHENTICATION_BY_REQUEST },
	};
	CHECK_ALL(expectations);
}

/* `*` is answered without credentials, so it must not let every page of the web use its visitors' cookies either. */
static void test_everyone_may_read_but_not_by_cookie(void **state)
{
	(void)state;
	struct error err;
	struct identity identity;
	struct cors *everyone = cors_new("*", &err);
	const struct authentication authentication = { .secret = secret(), .cookie_name = "auth-token", .cors = everyone };
	const struct attempt foreign = { .cookie = "auth-token=@K", .origin = "https://evil.example" };
	const struct attempt own = { .cookie = "auth-token=@K", .origin = "https://api.example:8443" };
	assert_int_equal(try_with(&authentication, &foreign, &identity, &err), AUTHENTICATION_NONE);
	assert_int_equal(try_with(&authentication, &own, &identity, &err), AUTHENTICATION_BY_REQUEST);
	cors_free(everyone);
}

static void test_without_a_secret_nobody_is_known(void **state)
{
	(void)state;
	struct error err;
	struct identity identity;
	const struct authentication authentication = { .cookie_name = "auth-token", .cors = cors };
	const struct attempt attempt = { .auth = CONNECT };
	assert_int_equal(try_with(&authentication, &attempt, &identity, &err), AUTHENTICATION_BAD);
	assert_non_null(strstr(err.text, "secret"));
}

static void test_garbage(void **state)
{
	(void)state;
	static const char *const garbage[] = {
		"x", ".", "..", "...", "a.b.c", "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOiI0MiJ9.", "\xff\xfe", "=.=.=", "@C.", ".@C", "@C@C", "@C ",
	};
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		char header[64];
		struct identity identity;
		snprintf(header, sizeof(header), "Bearer %s", garbage[i]);
		const struct attempt attempt = { .authorization = header };
		if (try(&attempt, &identity) != AUTHENTICATION_BAD)
			fail_msg("taken: %s", garbage[i]);
	}
}

static void test_a_token_too_long_is_bad(void **state)
{
	(void)state;
	static char auth[TOKEN_MAX + 64];
	struct error err;
	struct identity identity;
	const struct authentication authentication = { .secret = secret(), .cookie_name = "auth-token", .cors = cors };
	const struct request_info request = { .host = bytes_of("h") };
	size_t len = (size_t)snprintf(auth, sizeof(auth), "{\"token\":\"");
	memset(auth + len, 'x', TOKEN_MAX + 1);
	memcpy(auth + len + TOKEN_MAX + 1, "\"}", 3);
	assert_int_equal(authenticate(&authentication, bytes_of(auth), &request, NOW, &identity, &err), AUTHENTICATION_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_the_first_place_decides),
		cmocka_unit_test(test_whose_cookies_count),
		cmocka_unit_test(test_everyone_may_read_but_not_by_cookie),
		cmocka_unit_test(test_without_a_secret_nobody_is_known),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_a_token_too_long_is_bad),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
