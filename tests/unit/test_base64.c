/* test_base64.c - both alphabets, both ways, and what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <roomcast/base64.h>

/* RFC 4648, 10; and bytes that tell the alphabets apart. */
static const struct {
	const char *bytes, *standard, *for_urls;
} pairs[] = {
	{ "", "", "" }, { "f", "Zg==", "Zg" }, { "fo", "Zm8=", "Zm8" }, { "foo", "Zm9v", "Zm9v" }, { "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" }, { "foobar", "Zm9vYmFy", "Zm9vYmFy" }, { "\xfb\xff\xbf", "+/+/", "-_-_" },
};

static void test_known_pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct bytes data = bytes_of(pairs[i].bytes);
		char text[16] = { 0 };
		unsigned char back[16];
		base64_encode(data, text);
		assert_string_equal(text, pairs[i].standard);
		assert_int_equal(base64_encoded_len(data.len), strlen(text));
		assert_int_equal(base64_decode(bytes_of(text), back), data.len);
		assert_memory_equal(back, data.data, data.len);
		memset(text, 0, sizeof(text));
		base64url_encode(data, text);
		assert_string_equal(text, pairs[i].for_urls);
		assert_int_equal(base64url_encoded_len(data.len), strlen(text));
		assert_int_equal(base64url_decode(bytes_of(text), back), data.len);
		assert_memory_equal(back, data.data, data.len);
	}
}

static void test_padding(void **state)
{
	(void)state;
	unsigned char out[16];
	assert_int_equal(base64_decode(bytes_of("Zg"), out), 1); /* may be missing */
	assert_int_equal(base64_decode(bytes_of("Zm8"), out), 2);
	static const char *const bad[] = { "Z", "Zg=", "Zg===", "=", "====", "Zg==Zg==", "Z===", "Zm9vY" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bytes_of(bad[i]), out), -1);
	assert_int_equal(base64url_decode(bytes_of("Zg=="), out), -1);
	assert_int_equal(base64url_decode(bytes_of("Z"), out), -1);
}

/* Every byte that is not in the alphabet, at every place of a group. */
static void test_foreign_characters(void **state)
{
	(void)state;
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 4; at++) {
			char text[] = "AAAAAAAA";
			unsigned char out[8];
			text[at] = (char)c;
			bool is_common = c && strchr(letters, c);
			struct bytes all = { text, 8 };
			assert_int_equal(base64_decode(all, out) == 6, is_common || c == '+' || c == '/');
			assert_int_equal(base64url_decode(all, out) == 6, is_common || c == '-' || c == '_');
		}
	}
}

static void test_round_trip_in_place(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 256; len++) {
		unsigned char bytes[256];
		for (size_t i = 0; i < len; i++)
			bytes[i] = (unsigned char)(i * 7 + len);
		size_t text_len = base64_encoded_len(len);
		char *text = malloc(text_len + 1); /* exactly: the sanitizer sees a byte too many */
		assert_non_null(text);
		base64_encode((struct bytes){ (const char *)bytes, len }, text);
		assert_int_equal(base64_decode((struct bytes){ text, text_len }, (unsigned char *)text), (long)len);
		assert_memory_equal(bytes, text, len);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_pairs), cmocka_unit_test(test_padding), cmocka_unit_test(test_foreign_characters),
		cmocka_unit_test(test_round_trip_in_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
