/* test_bytes.c - buffers: bounds, growth, JSON strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <roomcast/bytes.h>

static void test_additions_append(void **state)
{
	(void)state;
	struct buffer buffer = { 0 };
	buffer_add_text(&buffer, "ab");
	buffer_add_format(&buffer, "%d", 12345);
	buffer_add_char(&buffer, '!');
	assert_string_equal(buffer.data, "ab12345!");
	buffer_add_number(&buffer, 0);
	buffer_add_number(&buffer, UINT64_MAX);
	assert_string_equal(buffer.data, "ab12345!018446744073709551615");
	buffer.len -= 21;
	buffer_add_number(&buffer, 90);
	assert_string_equal(buffer.data, "ab12345!90");
	buffer.len -= 2;
	buffer_add_text(&buffer, "");
	buffer_consume(&buffer, 2);
	assert_string_equal(buffer.data, "12345!");
	assert_false(buffer.has_failed);
	buffer_deinit(&buffer);
}

static void test_bound_keeps_content(void **state)
{
	(void)state;
	struct buffer buffer = { .max = 4 };
	buffer_add_text(&buffer, "abcd");
	assert_false(buffer.has_failed);
	buffer_add_char(&buffer, 'e');
	assert_true(buffer.has_failed);
	assert_string_equal(buffer.data, "abcd");
	buffer_clear(&buffer);
	assert_false(buffer.has_failed);
	assert_int_equal(buffer.len, 0);
	buffer_deinit(&buffer);
}

static void test_json_string_escapes(void **state)
{
	(void)state;
	struct buffer buffer = { 0 };
	buffer_add_json_string(&buffer, (struct bytes){ "a\"\\\n\x1e\xc3\xa9", 7 });
	assert_string_equal(buffer.data, "\"a\\\"\\\\\\u000a\\u001e\xc3\xa9\"");
	buffer_clear(&buffer);
	buffer_add_json_string(&buffer, (struct bytes){ NULL, 0 });
	assert_string_equal(buffer.data, "\"\"");
	buffer_deinit(&buffer);
}

static void test_trim(void **state)
{
	(void)state;
	static const struct { const char *text, *trimmed; } rows[] = {
		{ "", "" }, { " ", "" }, { "\t \t", "" }, { "a", "a" }, { " a", "a" }, { "a\t", "a" }, { "\t a b \t", "a b" }, { "\na\n", "\na\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(bytes_equal_text(bytes_trim(bytes_of(rows[i].text)), rows[i].trimmed));
	assert_int_equal(bytes_trim((struct bytes){ NULL, 0 }).len, 0);
}

static void test_cut(void **state)
{
	(void)state;
	struct bytes rest = bytes_of("a&&bc&");
	static const char *const parts[] = { "a", "", "bc" };
	for (size_t i = 0; i < 3; i++) {
		assert_true(rest.len > 0);
		assert_true(bytes_equal_text(bytes_cut(&rest, '&'), parts[i]));
	}
	assert_int_equal(rest.len, 0);
	rest = bytes_of("whole");
	assert_true(bytes_equal_text(bytes_cut(&rest, '&'), "whole"));
	assert_int_equal(rest.len, 0);
	assert_int_equal(bytes_cut(&rest, '&').len, 0);
	rest = (struct bytes){ NULL, 0 };
	assert_int_equal(bytes_cut(&rest, '&').len, 0);
}

static void test_hex_digits(void **state)
{
	(void)state;
	static const char digits[] = "0123456789abcdef";
	for (int c = -128; c < 128; c++) {
		const char *at = c && c < 128 ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
		assert_int_equal(hex_digit_value((char)c), at ? at - digits : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_additions_append),
		cmocka_unit_test(test_bound_keeps_content),
		cmocka_unit_test(test_json_string_escapes),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_hex_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
