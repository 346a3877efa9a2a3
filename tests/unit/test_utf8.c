/* test_utf8.c - every code point, every bound, and at every place of the eight bytes that are looked at together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "utf8.h"

static bool is_valid(const void *data, size_t len)
{
	char *copy = malloc(len ? len : 1); /* exactly: the sanitizer sees a read past its end */
	assert_non_null(copy);
	memcpy(copy, data, len);
	bool result = utf8_is_valid((struct bytes){ copy, len });
	free(copy);
	return result;
}

static size_t encode(uint32_t point, unsigned char *out)
{
	if (point < 0x80)
		return (out[0] = (unsigned char)point, 1);
	size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = len - 1; i > 0; i--, point >>= 6)
		out[i] = (unsigned char)(0x80 | (point & 0x3f));
	out[0] = (unsigned char)(leads[len] | point);
	return len;
}

static void test_every_code_point(void **state)
{
	(void)state;
	unsigned char text[4];
	for (uint32_t point = 0; point < 0x120000; point++) {
		size_t len = encode(point, text);
		bool is_good = point < 0xd800 || (point > 0xdfff && point < 0x110000);
		if (utf8_is_valid((struct bytes){ (char *)text, len }) != is_good)
			fail_msg("U+%X", (unsigned)point);
	}
}

/* Valid is what the table above made, so: of all sequences of three bytes, as many as there are such texts. */
static void test_three_bytes_of_any_kind(void **state)
{
	(void)state;
	unsigned valid = 0;
	for (uint32_t bits = 0; bits < 1 << 24; bits++) {
		const char text[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
		valid += utf8_is_valid((struct bytes){ text, 3 });
	}
	unsigned two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800; /* code points of two and three bytes */
	assert_int_equal(valid, 128 * 128 * 128 + 2 * 128 * two + three);
}

static void test_at_every_place(void **state)
{
	(void)state;
	static const struct { const char *bytes; bool is_valid; } rows[] = {
		{ "\xc3\xa9", true }, { "\xe2\x82\xac", true }, { "\xf0\x9f\x98\x80", true }, { "", true },
		{ "\x80", false }, { "\xc3", false }, { "\xe2\x82", false }, { "\xf0\x9f\x98", false }, { "\xc0\x80", false }, { "\xff", false },
		{ "\xed\xa0\x80", false }, { "\xf4\x90\x80\x80", false }, { "\xf8\x88\x80\x80\x80", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t before = 0; before < 20; before++) {
			for (size_t after = 0; after < 20; after++) {
				char text[64];
				size_t len = strlen(rows[i].bytes);
				memset(text, 'a', sizeof(text));
				memcpy(text + before, rows[i].bytes, len);
				assert_int_equal(is_valid(text, before + len + after), rows[i].is_valid);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code_point), cmocka_unit_test(test_three_bytes_of_any_kind), cmocka_unit_test(test_at_every_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
