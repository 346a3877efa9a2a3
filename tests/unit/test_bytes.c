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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_additions_append),
		cmocka_unit_test(test_bound_keeps_content),
		cmocka_unit_test(test_json_string_escapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
