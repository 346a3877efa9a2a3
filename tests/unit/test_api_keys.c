/* test_api_keys.c - the file of API keys, what keys may, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api_keys.h"

static char path[] = "/tmp/roomcast-keys-XXXXXX";

static void write_keys(const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char good[] =
	"; comment\n"
	"[billing]\n"
	"hash = sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n" /* secret */
	"calls = data-change, events\n"
	"calls = join ; and more\n"
	"types = Invoice,Order\n"
	"types = Item\n"
	"rate = 2\n"
	"burst = 3\n"
	"[ops]\n"
	"secret = other\n"
	"calls = control,status\n"
	"[everything]\n"
	"secret = third\n"
	"rate = 10\n";

static void test_keys(void **state)
{
	(void)state;
	struct authorizer authorizer = { 0 };
	struct error err = { 0 };
	write_keys(good);
	if (api_keys_load(&authorizer, path, 1000, &err))
		fail_msg("%s", err.text);
	assert_int_equal(authorizer.count, 3);
	struct api_key *billing = authorize(&authorizer, bytes_of("Bearer secret"));
	assert_non_null(billing);
	assert_string_equal(billing->name, "billing");
	assert_int_equal(billing->scopes, SCOPE_DATA_CHANGE | SCOPE_EVENTS | SCOPE_JOIN);
	assert_true(api_key_allows_type(billing, bytes_of("Invoice")) && api_key_allows_type(billing, bytes_of("Item")));
	assert_false(api_key_allows_type(billing, bytes_of("invoice")) || api_key_allows_type(billing, bytes_of("")));
	assert_true(billing->limit.rate == 2 && billing->limit.burst == 3);
	struct api_key *ops = authorize(&authorizer, bytes_of("Bearer other"));
	assert_non_null(ops);
	assert_int_equal(ops->scopes, SCOPE_CONTROL | SCOPE_STATUS);
	assert_true(api_key_allows_type(ops, bytes_of("anything")));
	assert_int_equal(ops->limit.rate, 0);
	struct api_key *everything = authorize(&authorizer, bytes_of("Bearer third"));
	assert_non_null(everything);
	assert_true(everything->scopes == SCOPE_ALL && everything->limit.burst == 10);
	assert_null(authorize(&authorizer, bytes_of("Bearer billing")));
	authorizer_deinit(&authorizer);
}

static const struct { const char *text, *error; } bad[] = {
	{ "calls = emit\n", ":1: an API key's name" },
	{ "[a]\ncalls = emit\n", "the API key a has neither hash nor secret" },
	{ "[a]\nsecret = s\n[b]\ncalls = emit\n[c]\nsecret = t\n", ":6: the API key b has neither" },
	{ "[a]\nsecret = s\n[b]\nsecret = t\n[a]\nsecret = u\n", ":6: there are two API keys with the name a" },
	{ "[a b]\nsecret = s\n", ":2: an API key's name" },
	{ "[a]\nsecret = s\ncalls = emit, publsh\n", ":3: calls: there is no call \"publsh\"" },
	{ "[a]\nsecret = s\ncalls = emit,,join\n", ":3: calls: an empty name" },
	{ "[a]\nsecret = s\ncalls =\n", ":3: calls: an empty name" },
	{ "[a]\nsecret = s\ntypes = A, ,B\n", ":3: types: an empty name" },
	{ "[a]\nsecret =\n", ":2: secret: must not be empty" },
	{ "[a]\nhash = sha256:12\n", ":2: hash: must be sha256:" },
	{ "[a]\nhash = md5:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n", ":2: hash: must be sha256:" },
	{ "[a]\nhash = sha256:zbb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n", ":2: hash: must be sha256:" },
	{ "[a]\nsecret = s\nrate = 0\n", ":3: rate: must be a number from 1" },
	{ "[a]\nsecret = s\nrate = 5x\n", ":3: rate: must be a number" },
	{ "[a]\nsecret = s\nrate = 1000001\n", ":3: rate: must be a number" },
	{ "[a]\nsecret = s\nburst = 5\n", "has a burst, but no rate" },
	{ "[a]\nsecret = s\nscopes = emit\n", ":3: unknown option scopes" },
	{ "[a]\nsecret\n", "neither a [section] nor name = value" },
};

static void test_what_is_wrong_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct authorizer authorizer = { 0 };
		struct error err = { 0 };
		write_keys(bad[i].text);
		assert_int_equal(api_keys_load(&authorizer, path, 0, &err), -1);
		if (!strstr(err.text, bad[i].error) || !strstr(err.text, path))
			fail_msg("%s -> %s", bad[i].text, err.text);
		authorizer_deinit(&authorizer);
	}
	struct authorizer authorizer = { 0 };
	assert_int_equal(api_keys_load(&authorizer, "/nowhere/keys", 0, NULL), -1);
}

static void test_too_many(void **state)
{
	(void)state;
	struct authorizer authorizer = { 0 };
	struct error err = { 0 };
	struct buffer text = { 0 };
	for (int i = 0; i <= API_KEYS_MAX; i++)
		buffer_add_format(&text, "[k%d]\nsecret = %d\n", i, i);
	write_keys(text.data);
	assert_int_equal(api_keys_load(&authorizer, path, 0, &err), -1);
	assert_non_null(strstr(err.text, "more than 64 API keys"));
	authorizer_deinit(&authorizer);
	buffer_clear(&text);
	buffer_add_text(&text, "[a]\nsecret = s\n");
	for (int i = 0; i <= API_KEY_TYPES_MAX; i++)
		buffer_add_format(&text, "types = t%d\n", i);
	write_keys(text.data);
	assert_int_equal(api_keys_load(&authorizer, path, 0, &err), -1);
	assert_non_null(strstr(err.text, "more than 256 entity types"));
	authorizer_deinit(&authorizer);
	buffer_deinit(&text);
}

static void test_limits(void **state)
{
	(void)state;
	struct bucket bucket = { 0 };
	unsigned wait_s = 0;
	for (int i = 0; i < 1000; i++)
		assert_true(bucket_take(&bucket, 1000, 0, &wait_s));

	bucket_init(&bucket, 2, 5, 10000);
	for (int i = 0; i < 5; i++)
		assert_true(bucket_take(&bucket, 1, 10000, &wait_s));
	assert_false(bucket_take(&bucket, 1, 10000, &wait_s));
	assert_int_equal(wait_s, 1);
	assert_false(bucket_take(&bucket, 4, 10000, &wait_s));
	assert_int_equal(wait_s, 2);
	assert_false(bucket_take(&bucket, 1, 10499, &wait_s));
	assert_true(bucket_take(&bucket, 1, 10500, &wait_s));
	assert_false(bucket_take(&bucket, 1, 10500, &wait_s));
	/* More than it ever holds costs all that it holds. */
	assert_false(bucket_take(&bucket, 1000, 12999, &wait_s));
	assert_true(bucket_take(&bucket, 1000, 13000, &wait_s));
	assert_false(bucket_take(&bucket, 1, 13000, &wait_s));
	/* It never holds more than burst, and a clock that stands still gives nothing. */
	for (int i = 0; i < 5; i++)
		assert_true(bucket_take(&bucket, 1, UINT64_C(1) << 60, &wait_s));
	assert_false(bucket_take(&bucket, 1, UINT64_C(1) << 60, &wait_s));
	assert_false(bucket_take(&bucket, 1, 5, &wait_s));
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_what_is_wrong_is_told),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
