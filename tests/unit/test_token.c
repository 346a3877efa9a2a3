/* test_token.c - tokens good and bad: algorithms, signatures, times, identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <roomcast/token.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NOW = 1800000000 };
static const char secret_text[] = "a secret for tests";
static const char header_hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static struct bytes secret(void)
{
	return bytes_of(secret_text);
}

static void add_base64url(struct buffer *out, const void *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *bytes = data;
	unsigned held = 0, bits = 0;
	for (size_t i = 0; i < len; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= 6; bits -= 6)
			buffer_add_char(out, digits[held >> (bits - 6) & 63]);
	}
	if (bits)
		buffer_add_char(out, digits[held << (6 - bits) & 63]);
}

/* A token of any header and payload, signed by hash, made without the code under test. */
static struct buffer make_token(struct bytes header, struct bytes payload, const EVP_MD *hash)
{
	struct buffer token = { 0 };
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	add_base64url(&token, header.data, header.len);
	buffer_add_char(&token, '.');
	add_base64url(&token, payload.data, payload.len);
	if (hash)
		HMAC(hash, secret_text, (int)strlen(secret_text), (unsigned char *)token.data, token.len, mac, &mac_len);
	buffer_add_char(&token, '.');
	add_base64url(&token, mac, mac_len);
	return token;
}

static int verify_payload(struct bytes payload, struct identity *out, struct error *err)
{
	struct buffer token = make_token(bytes_of(header_hs256), payload, EVP_sha256());
	int result = token_verify(buffer_bytes(&token), secret(), NOW, 5, out, err);
	buffer_deinit(&token);
	return result;
}

static void test_identities(void **state)
{
	(void)state;
	static const struct { const char *payload, *user_id, *username, *role; } cases[] = {
		{ "{\"userId\":42}", "42", "", "" },
		{ "{\"userId\":\"42\"}", "42", "", "" },
		{ "{\"userId\":-7}", "-7", "", "" },
		{ "{\"userId\":9223372036854775807}", "9223372036854775807", "", "" },
		{ "{\"sub\":\"alice\"}", "alice", "", "" },
		{ "{\"sub\":\"alice\",\"userId\":1}", "1", "", "" },
		{ "{\"userId\":null,\"sub\":\"alice\"}", "alice", "", "" },
		{ "{\"userId\":1,\"userId\":2}", "2", "", "" },
		{ "{\"userId\":\"J\\u00fcrgen\",\"username\":\"\xf0\x9f\x98\x80\",\"role\":\"admin\"}", "J\xc3\xbcrgen", "\xf0\x9f\x98\x80", "admin" },
		{ "{\"userId\":1,\"name\":\"Bob\"}", "1", "Bob", "" },
		{ "{\"userId\":1,\"name\":\"Bob\",\"username\":\"bob\"}", "1", "bob", "" },
		{ "{\"userId\":1,\"username\":\"a\\nb\",\"name\":\"Bob\",\"role\":7}", "1", "Bob", "" },
		{ "{\"userId\":1,\"username\":null,\"role\":\"\"}", "1", "", "" },
		{ "{\"userId\":1,\"username\":\"C1: \\u0085\"}", "1", "", "" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct identity identity;
		struct error err;
		if (verify_payload(bytes_of(cases[i].payload), &identity, &err))
			fail_msg("%s: %s", cases[i].payload, err.text);
		assert_string_equal(identity.user_id, cases[i].user_id);
		assert_string_equal(identity.username, cases[i].username);
		assert_string_equal(identity.role, cases[i].role);
		assert_true(identity.expires_s == 0);
	}
}

static void test_unusable_payloads(void **state)
{
	(void)state;
	static const struct { struct bytes payload; const char *error; } cases[] = {
#define CASE(literal, error) { { literal, sizeof(literal) - 1 }, error }
		CASE("{}", "token names no user"),
		CASE("{\"userId\":null}", "token names no user"),
		CASE("{\"userId\":\"\"}", "token's userId is no user id"),
		CASE("{\"userId\":\"\",\"sub\":\"alice\"}", "token's userId is no user id"),
		CASE("{\"userId\":1.5}", "token's userId is no user id"),
		CASE("{\"userId\":1e3}", "token's userId is no user id"),
		CASE("{\"userId\":true}", "token's userId is no user id"),
		CASE("{\"userId\":[1]}", "token's userId is no user id"),
		CASE("{\"userId\":{\"$ne\":1}}", "token's userId is no user id"),
		CASE("{\"userId\":\"a\\u001eb\"}", "token's userId is no user id"),
		CASE("{\"userId\":\"a\\u007f\"}", "token's userId is no user id"),
		CASE("{\"userId\":\"\\u009f\"}", "token's userId is no user id"),
		CASE("{\"sub\":\"a\\nb\"}", "token's sub is no user id"),
		CASE("{\"userId\":1,\"exp\":\"1900000000\"}", "token's exp is not a time"),
		CASE("{\"userId\":1,\"exp\":null}", "token's exp is not a time"),
		CASE("{\"userId\":1,\"exp\":true}", "token's exp is not a time"),
		CASE("{\"userId\":1,\"exp\":[1900000000]}", "token's exp is not a time"),
		CASE("{\"userId\":1,\"exp\":1900000000,\"exp\":\"\"}", "token's exp is not a time"),
		CASE("{\"userId\":1,\"nbf\":\"soon\"}", "token's nbf is not a time"),
#undef CASE
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct identity identity = { .user_id = "untouched" };
		struct error err;
		if (!verify_payload(cases[i].payload, &identity, &err))
			fail_msg("accepted: %s", cases[i].payload.data);
		assert_string_equal(err.text, cases[i].error);
		assert_string_equal(identity.user_id, "untouched");
	}
}

/* What is not strict JSON is refused by libjwt or by us; which of the two does not matter. */
static void test_malformed_payloads(void **state)
{
	(void)state;
	static const struct bytes cases[] = {
#define CASE(literal) { literal, sizeof(literal) - 1 }
		CASE("{\"userId\":\"\xc3\"}"), CASE("{\"userId\":\"\xed\xa0\x80\"}"), CASE("{\"userId\":\"\xc0\x80\"}"),
		CASE("{\"userId\":\"a\x01\"}"), CASE("{\"userId\":01}"), CASE("{\"userId\":1"), CASE("{\"userId\":1}x"), CASE("[1]"), CASE("1"),
		CASE("null"), CASE("\"a\""), CASE(" "), CASE("\0"), CASE("{\"userId\":1}\0"), CASE("{\"userId\":NaN}"),
		CASE("{\"userId\":12345678901234567890}"), CASE("{\"userId\":1,\"role\":\"a\\u0000b\"}"),
		CASE("{\"userId\":1,\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"),
#undef CASE
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct identity identity;
		struct error err;
		if (!verify_payload(cases[i], &identity, &err))
			fail_msg("accepted: %s", cases[i].data);
	}
}

static void test_lengths(void **state)
{
	(void)state;
	char payload[TOKEN_MAX];
	struct identity identity;
	struct error err;
	snprintf(payload, sizeof(payload), "{\"userId\":\"%0128d\",\"username\":\"%0256d\",\"role\":\"%064d\"}", 7, 7, 7);
	assert_int_equal(verify_payload(bytes_of(payload), &identity, &err), 0);
	assert_int_equal(strlen(identity.user_id), 128);
	assert_int_equal(strlen(identity.username), 256);
	assert_int_equal(strlen(identity.role), 64);
	snprintf(payload, sizeof(payload), "{\"userId\":\"%0129d\"}", 7);
	assert_int_equal(verify_payload(bytes_of(payload), &identity, &err), -1);
	assert_string_equal(err.text, "token's userId is no user id");
	snprintf(payload, sizeof(payload), "{\"userId\":1,\"username\":\"%0257d\",\"role\":\"%065d\"}", 7, 7);
	assert_int_equal(verify_payload(bytes_of(payload), &identity, &err), 0);
	assert_string_equal(identity.username, "");
	assert_string_equal(identity.role, "");
	snprintf(payload, sizeof(payload), "{\"userId\":1,\"x\":\"%06000d\"}", 7);
	assert_int_equal(verify_payload(bytes_of(payload), &identity, &err), 0);
	snprintf(payload, sizeof(payload), "{\"userId\":1,\"x\":\"%07000d\"}", 7);
	assert_int_equal(verify_payload(bytes_of(payload), &identity, &err), -1);
	assert_non_null(strstr(err.text, "at most 8192 are allowed"));
}

static void test_times(void **state)
{
	(void)state;
	static const struct { const char *claims; const char *error; uint64_t expires_s; } cases[] = {
		/* now is 1800000000, the leeway 5 s */
		{ "\"exp\":1800000001", NULL, 1800000001 },
		{ "\"exp\":1800000000", NULL, 1800000000 },
		{ "\"exp\":1799999996", NULL, 1799999996 },
		{ "\"exp\":1799999995", "token expired 5 s ago", 0 },
		{ "\"exp\":1799999988", "token expired 12 s ago", 0 },
		{ "\"exp\":1800000001.75", NULL, 1800000001 },
		{ "\"exp\":1.8e9", NULL, 1800000000 },
		{ "\"exp\":0", "token expired 1800000000 s ago", 0 },
		{ "\"exp\":-1", "token expired 1800000000 s ago", 0 },
		{ "\"exp\":-1e300", "token expired 1800000000 s ago", 0 },
		{ "\"exp\":1e300", NULL, 253402300799 },
		{ "\"exp\":1800000001,\"exp\":1", "token expired 1799999999 s ago", 0 },
		{ "\"nbf\":1800000005", NULL, 0 },
		{ "\"nbf\":1800000006", "token is not valid before 6 s from now", 0 },
		{ "\"nbf\":1e300", "token is not valid before 251602300799 s from now", 0 },
		{ "\"nbf\":-1", NULL, 0 },
		{ "\"iat\":1900000000", NULL, 0 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char payload[200];
		struct identity identity;
		struct error err = { .code = ERROR_NONE };
		snprintf(payload, sizeof(payload), "{\"userId\":1,%s}", cases[i].claims);
		int result = verify_payload(bytes_of(payload), &identity, &err);
		if (result != (cases[i].error ? -1 : 0))
			fail_msg("%s: %d %s", payload, result, err.text);
		if (cases[i].error)
			assert_string_equal(err.text, cases[i].error);
		else
			assert_true(identity.expires_s == cases[i].expires_s);
	}
}

static void test_headers(void **state)
{
	(void)state;
	static const struct { const char *header; const EVP_MD *(*hash)(void); const char *error; } cases[] = {
		{ "{\"alg\":\"HS256\"}", EVP_sha256, NULL },
		{ "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"1\"}", EVP_sha256, NULL },
		{ "{\"alg\":\"none\"}", NULL, "token is not signed with HS256" },
		{ "{\"alg\":\"None\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"NONE\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"hs256\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"HS384\"}", EVP_sha384, "token is not signed with HS256" },
		{ "{\"alg\":\"HS512\"}", EVP_sha512, "token is not signed with HS256" },
		{ "{\"alg\":\"RS256\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"HS256\\u0000\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"a very long algorithm's name\"}", EVP_sha256, "token is not signed with HS256" },
		{ "{\"alg\":\"HS256\",\"alg\":\"none\"}", NULL, "token is not signed with HS256" },
		{ "{\"alg\":\"none\",\"alg\":\"HS256\"}", NULL, "token is not three parts of base64url" },
		{ "{\"alg\":[\"HS256\"]}", EVP_sha256, "token names no algorithm" },
		{ "{\"alg\":null}", EVP_sha256, "token names no algorithm" },
		{ "{}", EVP_sha256, "token names no algorithm" },
		{ "[]", EVP_sha256, "token's header is not a JSON object" },
		{ "{\"alg\":\"HS256\",}", EVP_sha256, "token's header: expected a member's name instead of '}' at byte 15" },
		{ "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", EVP_sha256, "token demands extensions" },
		{ "{\"alg\":\"HS256\"}", EVP_sha512, "token's signature is wrong" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct identity identity;
		struct error err = { .code = ERROR_NONE };
		struct buffer token = make_token(bytes_of(cases[i].header), bytes_of("{\"userId\":1}"), cases[i].hash ? cases[i].hash() : NULL);
		if (!cases[i].hash && i != 12)
			buffer_add_text(&token, "AAAA"); /* an empty signature is refused for that alone */
		int result = token_verify(buffer_bytes(&token), secret(), NOW, 0, &identity, &err);
		if (result != (cases[i].error ? -1 : 0))
			fail_msg("%s: %d %s", cases[i].header, result, err.text);
		if (cases[i].error)
			assert_string_equal(err.text, cases[i].error);
		buffer_deinit(&token);
	}
}

static void test_every_changed_byte(void **state)
{
	(void)state;
	struct identity identity;
	struct buffer token = make_token(bytes_of(header_hs256), bytes_of("{\"userId\":1}"), EVP_sha256());
	assert_int_equal(token_verify(buffer_bytes(&token), secret(), NOW, 0, &identity, NULL), 0);
	for (size_t i = 0; i < token.len; i++) {
		char kept = token.data[i];
		token.data[i] = kept == 'A' ? 'B' : 'A';
		assert_int_equal(token_verify(buffer_bytes(&token), secret(), NOW, 0, &identity, NULL), -1);
		token.data[i] = '\0';
		assert_int_equal(token_verify(buffer_bytes(&token), secret(), NOW, 0, &identity, NULL), -1);
		token.data[i] = kept;
		/* And every shorter token. */
		assert_int_equal(token_verify((struct bytes){ token.data, i }, secret(), NOW, 0, &identity, NULL), -1);
	}
	buffer_add_text(&token, "=");
	assert_int_equal(token_verify(buffer_bytes(&token), secret(), NOW, 0, &identity, NULL), -1);
	buffer_deinit(&token);
}

static void test_shapes_and_secrets(void **state)
{
	(void)state;
	static const char *const shapes[] = {
		"", ".", "..", "...", "a.b.c", "a.b.c.d", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9..", "eyJhbGciOiJIUzI1NiJ9.e30.",
		".e30.x", "eyJhbGciOiJIUzI1NiJ9..x", "e30.e30.e30", "eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOjF9.", "eyJhbGciOiJIUzI1NiJ9.e30.a b",
		"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "eyJhbGciOiJIUzI1NiJ9.e30.+/+/",
	};
	struct identity identity;
	for (size_t i = 0; i < COUNT(shapes); i++)
		assert_int_equal(token_verify(bytes_of(shapes[i]), secret(), NOW, 0, &identity, NULL), -1);
	struct buffer token = make_token(bytes_of(header_hs256), bytes_of("{\"userId\":1}"), EVP_sha256());
	struct error err;
	assert_int_equal(token_verify(buffer_bytes(&token), bytes_of(""), NOW, 0, &identity, &err), -1);
	assert_string_equal(err.text, "no secret to verify a token with");
	assert_int_equal(token_verify(buffer_bytes(&token), (struct bytes){ NULL, 0 }, NOW, 0, &identity, &err), -1);
	assert_int_equal(token_verify(buffer_bytes(&token), bytes_of("another secret"), NOW, 0, &identity, &err), -1);
	assert_string_equal(err.text, "token's signature is wrong");
	buffer_deinit(&token);
	static char huge[1 << 20];
	memset(huge, 'A', sizeof(huge));
	assert_int_equal(token_verify((struct bytes){ huge, sizeof(huge) }, secret(), NOW, 0, &identity, &err), -1);
	assert_string_equal(err.text, "token of 1048576 bytes, at most 8192 are allowed");
}

/* Made by another implementation (node, crypto), so that both sides cannot be wrong together. */
static void test_foreign_token(void **state)
{
	(void)state;
	struct identity identity;
	const char *token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"
	                    ".eyJ1c2VySWQiOjQyLCJ1c2VybmFtZSI6ImFsaWNlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE5MDAwMDAwMDB9"
	                    ".RQelIh1s15fOrAjRmJ32b1pKLhSEXUf0FknMWC2Sj_Y";
	struct error err;
	assert_int_equal(token_verify(bytes_of(token), bytes_of("secret"), NOW, 0, &identity, &err), 0);
	assert_string_equal(identity.user_id, "42");
	assert_string_equal(identity.username, "alice");
}

static void test_issued_tokens_verify(void **state)
{
	(void)state;
	struct identity wanted = { .user_id = "J\xc3\xbcrgen \"x\"", .username = "a\\b", .role = "admin", .expires_s = NOW + 60 }, got;
	struct error err;
	char *token = token_issue(&wanted, secret(), NOW, &err);
	assert_non_null(token);
	assert_int_equal(token_verify(bytes_of(token), secret(), NOW, 0, &got, &err), 0);
	assert_string_equal(got.user_id, wanted.user_id);
	assert_string_equal(got.username, wanted.username);
	assert_string_equal(got.role, wanted.role);
	assert_true(got.expires_s == NOW + 60);
	assert_int_equal(token_verify(bytes_of(token), secret(), NOW + 60, 0, &got, &err), -1);
	assert_string_equal(err.text, "token expired 0 s ago");
	free(token);

	struct identity small = { .user_id = "1" };
	token = token_issue(&small, secret(), NOW, &err);
	assert_non_null(token);
	assert_int_equal(token_verify(bytes_of(token), secret(), NOW, 0, &got, &err), 0);
	assert_string_equal(got.username, "");
	assert_true(got.expires_s == 0);
	free(token);
}

static void test_unissuable(void **state)
{
	(void)state;
	struct error err;
	struct identity identity = { .user_id = "1" };
	assert_null(token_issue(&identity, bytes_of(""), NOW, &err));
	assert_string_equal(err.text, "no secret to sign a token with");
	identity.user_id[0] = '\0';
	assert_null(token_issue(&identity, secret(), NOW, &err));
	strcpy(identity.user_id, "a\n");
	assert_null(token_issue(&identity, secret(), NOW, &err));
	strcpy(identity.user_id, "\xff");
	assert_null(token_issue(&identity, secret(), NOW, &err));
	assert_string_equal(err.text, "the token cannot be made: is every text UTF-8?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_unusable_payloads),
		cmocka_unit_test(test_malformed_payloads),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_every_changed_byte),
		cmocka_unit_test(test_shapes_and_secrets),
		cmocka_unit_test(test_foreign_token),
		cmocka_unit_test(test_issued_tokens_verify),
		cmocka_unit_test(test_unissuable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
