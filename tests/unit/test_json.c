/* test_json.c - the strict scanner: every class of invalid JSON; views, strings, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <roomcast/json.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* A literal with its length, so that bytes 0 inside it count. */
#define TEXT(literal) { literal, sizeof(literal) - 1 }

static void test_valid(void **state)
{
	(void)state;
	static const struct bytes cases[] = {
		TEXT("null"), TEXT("true"), TEXT("false"), TEXT("0"), TEXT("-0"), TEXT("-1.5e+10"), TEXT("1E5"), TEXT("1e-5"),
		TEXT("1.10"), TEXT("12345678901234567890"), TEXT("1e999999"), TEXT("\"\""), TEXT("[]"), TEXT("{}"),
		TEXT(" \t\r\n[ 1 , \"a\" , { \"b\" : [ ] } ]\n"), TEXT("{\"\":0}"), TEXT("{\"a\":1,\"a\":2}"),
		TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0000\\uD83D\\uDE00\""), TEXT("\"\x7f\""),
		TEXT("\"\xc2\x80\xdf\xbf\""), TEXT("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\""),
		TEXT("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\""), TEXT("[[[[[[]]]]]]"),
		TEXT("\"exactly eight plain bytes, twice.\""), TEXT("[1,[2,{\"a\":[3]},4],5]"),
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error err;
		if (json_check(cases[i], JSON_DEPTH_DEFAULT, &err))
			fail_msg("refused: %s: %s", cases[i].data, err.text);
	}
}

struct refusal {
	struct bytes text;
	const char *error; /* the whole text */
};

static void check_refusals(const struct refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* On the heap without a terminator, so that the sanitizer sees a read past the end. */
		struct bytes text = { malloc(cases[i].text.len + !cases[i].text.len), cases[i].text.len };
		assert_non_null(text.data);
		memcpy((void *)(uintptr_t)text.data, cases[i].text.data, text.len);
		struct error err = { .code = ERROR_NONE };
		if (!json_check(text, JSON_DEPTH_DEFAULT, &err))
			fail_msg("accepted: %s", cases[i].text.data);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.text, cases[i].error);
		assert_int_equal(json_check(text, JSON_DEPTH_DEFAULT, NULL), -1);
		free((void *)(uintptr_t)text.data);
	}
}

static void test_invalid_structure(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{ TEXT(""), "unexpected end at byte 0" },
		{ TEXT(" \n\t "), "unexpected end at byte 4" },
		{ TEXT("["), "unexpected end at byte 1" },
		{ TEXT("[1"), "unexpected end at byte 2" },
		{ TEXT("[1,"), "unexpected end at byte 3" },
		{ TEXT("{\"a\""), "unexpected end at byte 4" },
		{ TEXT("{\"a\":"), "unexpected end at byte 5" },
		{ TEXT("{\"a\":1"), "unexpected end at byte 6" },
		{ TEXT("[1,]"), "unexpected ']' at byte 3" },
		{ TEXT("[,1]"), "unexpected ',' at byte 1" },
		{ TEXT("[1 2]"), "unexpected '2' at byte 3" },
		{ TEXT("[1}"), "unexpected '}' at byte 2" },
		{ TEXT("{\"a\":1]"), "unexpected ']' at byte 6" },
		{ TEXT("{\"a\":1,}"), "expected a member's name instead of '}' at byte 7" },
		{ TEXT("{,}"), "expected a member's name instead of ',' at byte 1" },
		{ TEXT("{a:1}"), "expected a member's name instead of 'a' at byte 1" },
		{ TEXT("{1:1}"), "expected a member's name instead of '1' at byte 1" },
		{ TEXT("{'a':1}"), "expected a member's name instead of ''' at byte 1" },
		{ TEXT("{\"a\" 1}"), "expected ':' instead of '1' at byte 5" },
		{ TEXT("{\"a\"}"), "expected ':' instead of '}' at byte 4" },
		{ TEXT("{\"a\":}"), "unexpected '}' at byte 5" },
		{ TEXT("]"), "unexpected ']' at byte 0" },
		{ TEXT("[]]"), "unexpected byte behind the value: ']' at byte 2" },
		{ TEXT("1,"), "unexpected byte behind the value: ',' at byte 1" },
		{ TEXT("{} x"), "unexpected byte behind the value: 'x' at byte 3" },
		{ TEXT("1\0"), "unexpected byte behind the value: 0x00 at byte 1" },
		{ TEXT("[1\0]"), "unexpected 0x00 at byte 2" },
		{ TEXT("\"\"\""), "unexpected byte behind the value: 0x22 at byte 2" },
		{ TEXT("\xef\xbb\xbf[]"), "unexpected 0xef at byte 0" },
		{ TEXT("\f1"), "unexpected 0x0c at byte 0" },
		{ TEXT("\xc2\xa0" "1"), "unexpected 0xc2 at byte 0" },
		{ TEXT("/**/1"), "unexpected '/' at byte 0" },
		{ TEXT("nul"), "unexpected 'n' at byte 0" },
		{ TEXT("True"), "unexpected 'T' at byte 0" },
		{ TEXT("nullx"), "unexpected byte behind the value: 'x' at byte 4" },
		{ TEXT("undefined"), "unexpected 'u' at byte 0" },
	};
	check_refusals(cases, COUNT(cases));
}

static void test_invalid_numbers(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{ TEXT("NaN"), "unexpected 'N' at byte 0" },
		{ TEXT("Infinity"), "unexpected 'I' at byte 0" },
		{ TEXT("-Infinity"), "number without a digit where one must be at byte 1" },
		{ TEXT("-"), "number without a digit where one must be at byte 1" },
		{ TEXT("+1"), "unexpected '+' at byte 0" },
		{ TEXT("1."), "number without a digit where one must be at byte 2" },
		{ TEXT("1.e5"), "number without a digit where one must be at byte 2" },
		{ TEXT(".5"), "unexpected '.' at byte 0" },
		{ TEXT("-.5"), "number without a digit where one must be at byte 1" },
		{ TEXT("01"), "number with a leading zero at byte 0" },
		{ TEXT("-012"), "number with a leading zero at byte 1" },
		{ TEXT("00"), "number with a leading zero at byte 0" },
		{ TEXT("1e"), "number without a digit where one must be at byte 2" },
		{ TEXT("1e+"), "number without a digit where one must be at byte 3" },
		{ TEXT("1e1.5"), "unexpected byte behind the value: '.' at byte 3" },
		{ TEXT("0x10"), "unexpected byte behind the value: 'x' at byte 1" },
		{ TEXT("1_000"), "unexpected byte behind the value: '_' at byte 1" },
		{ TEXT("1-"), "unexpected byte behind the value: '-' at byte 1" },
		{ TEXT("--1"), "number without a digit where one must be at byte 1" },
	};
	check_refusals(cases, COUNT(cases));
}

static void test_invalid_strings(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{ TEXT("\""), "string without an end at byte 1" },
		{ TEXT("\"abc"), "string without an end at byte 4" },
		{ TEXT("'a'"), "unexpected ''' at byte 0" },
		{ TEXT("\"a\x1e\""), "unescaped control character 0x1e at byte 2" },
		{ TEXT("\"0123456\n\""), "unescaped control character 0x0a at byte 8" },
		{ TEXT("\"\t\""), "unescaped control character 0x09 at byte 1" },
		{ TEXT("\"\0\""), "unescaped control character 0x00 at byte 1" },
		{ TEXT("{\"\x1f\":1}"), "unescaped control character 0x1f at byte 2" },
		{ TEXT("\"\\"), "unexpected end at byte 2" },
		{ TEXT("\"\\\""), "string without an end at byte 3" },
		{ TEXT("\"\\x41\""), "unknown escape at byte 1" },
		{ TEXT("\"\\'\""), "unknown escape at byte 1" },
		{ TEXT("\"\\0\""), "unknown escape at byte 1" },
		{ TEXT("\"\\\n\""), "unknown escape at byte 1" },
		{ TEXT("\"\\U0041\""), "unknown escape at byte 1" },
		{ TEXT("\"\\u12\""), "truncated escape at byte 1" },
		{ TEXT("\"\\u12\"  "), "escape without four hexadecimal digits at byte 1" },
		{ TEXT("\"\\u+123\""), "escape without four hexadecimal digits at byte 1" },
		{ TEXT("\"\\u00g0\""), "escape without four hexadecimal digits at byte 1" },
		{ TEXT("\"\\ud800\""), "lone high surrogate at byte 1" },
		{ TEXT("\"\\uD83Dabcdef\""), "lone high surrogate at byte 1" },
		{ TEXT("\"\\ud83d\\n12345\""), "lone high surrogate at byte 1" },
		{ TEXT("\"\\ud83d\\u0041\""), "lone high surrogate at byte 1" },
		{ TEXT("\"\\ud83d\\ud83d\""), "lone high surrogate at byte 1" },
		{ TEXT("\"\\ud83d\\ude0"), "lone high surrogate at byte 1" },
		{ TEXT("\"\\ude00\""), "lone low surrogate at byte 1" },
		{ TEXT("\"\\ude00\\ud83d\""), "lone low surrogate at byte 1" },
	};
	check_refusals(cases, COUNT(cases));
}

static void test_invalid_utf8(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{ TEXT("\"\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xbf\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xc0\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xc1\xbf\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xe0\x80\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xe0\x9f\xbf\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf0\x80\x80\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf0\x8f\xbf\xbf\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xed\xa0\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xed\xbf\xbf\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xed\xa0\xbd\xed\xb8\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf4\x90\x80\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf5\x80\x80\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf8\x88\x80\x80\x80\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xfe\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xff\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xc3\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xc3"), "truncated UTF-8 at byte 1" },
		{ TEXT("\"ab\xe2\x82"), "truncated UTF-8 at byte 3" },
		{ TEXT("\"\xe2\x82\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xe2\x28\xa1\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf0\x9f\x98\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xf0\x9f\x98"), "truncated UTF-8 at byte 1" },
		{ TEXT("\"\xf0\x28\x8c\xbc\""), "invalid UTF-8 at byte 1" },
		{ TEXT("\"\xc3\xa9\xa9\""), "invalid UTF-8 at byte 3" },
	};
	check_refusals(cases, COUNT(cases));
}

/* Each control character at each place of a word, for the scanner looks at eight bytes at once. */
static void test_every_byte_at_every_place(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 0x100; c++) {
		for (size_t at = 1; at < 20; at++) {
			char text[21];
			memset(text, 'x', sizeof(text));
			text[0] = text[20] = '"';
			text[at] = (char)c;
			bool is_valid = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
			assert_int_equal(json_check((struct bytes){ text, sizeof(text) }, 1, NULL), is_valid ? 0 : -1);
		}
	}
}

/* Writes depth opening and closing brackets. */
static struct bytes nested(char *out, size_t depth, const char *open, const char *middle, const char *close)
{
	size_t len = 0;
	for (size_t i = 0; i < depth; i++)
		len += (size_t)sprintf(out + len, "%s", open);
	len += (size_t)sprintf(out + len, "%s", middle);
	for (size_t i = 0; i < depth; i++)
		len += (size_t)sprintf(out + len, "%s", close);
	return (struct bytes){ out, len };
}

static void test_depth(void **state)
{
	(void)state;
	static char text[20 * JSON_DEPTH_LIMIT];
	struct error err;
	assert_int_equal(json_check(nested(text, 64, "[", "", "]"), 64, &err), 0);
	assert_int_equal(json_check(nested(text, 65, "[", "", "]"), 64, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(err.text, "more than 64 levels of nesting at byte 64");
	assert_int_equal(json_check(nested(text, 64, "{\"a\":", "1", "}"), 64, &err), 0);
	assert_int_equal(json_check(nested(text, 65, "{\"a\":", "1", "}"), 64, &err), -1);
	assert_int_equal(json_check(nested(text, 32, "[{\"a\":", "{}", "}]"), 65, &err), 0);
	assert_int_equal(json_check(nested(text, 32, "[{\"a\":", "{}", "]}"), 65, &err), -1);
	assert_int_equal(json_check(bytes_of("1"), 0, &err), 0);
	assert_int_equal(json_check(bytes_of("[]"), 0, &err), -1);
	assert_int_equal(json_check(bytes_of("[[],[],[[]]]"), 3, &err), 0);
	assert_int_equal(json_check(bytes_of("[[],[],[[]]]"), 2, &err), -1);
	/* Past the scanner's own limit, whatever the caller says. */
	assert_int_equal(json_check(nested(text, JSON_DEPTH_LIMIT, "[", "", "]"), 1u << 30, &err), 0);
	assert_int_equal(json_check(nested(text, JSON_DEPTH_LIMIT + 1, "[", "", "]"), 1u << 30, &err), -1);
}

static void test_depth_of_a_hundred_thousand(void **state)
{
	(void)state;
	size_t len = 200000;
	char *text = malloc(len);
	assert_non_null(text);
	memset(text, '[', len);
	assert_int_equal(json_check((struct bytes){ text, len }, JSON_DEPTH_DEFAULT, NULL), -1);
	free(text);
}

static void test_number_length(void **state)
{
	(void)state;
	char text[JSON_NUMBER_MAX + 1];
	memset(text, '7', sizeof(text));
	struct error err;
	assert_int_equal(json_check((struct bytes){ text, JSON_NUMBER_MAX }, 1, &err), 0);
	assert_int_equal(json_check((struct bytes){ text, JSON_NUMBER_MAX + 1 }, 1, &err), -1);
	assert_string_equal(err.text, "number of too many digits at byte 0");
}

static void assert_bytes(struct bytes bytes, const char *text)
{
	if (!bytes_equal_text(bytes, text))
		fail_msg("`%.*s` is not `%s`", (int)bytes.len, bytes.data, text);
}

static void test_types(void **state)
{
	(void)state;
	static const struct { const char *text; enum json_kind type; } cases[] = {
		{ "null", JSON_NULL }, { "false", JSON_FALSE }, { "true", JSON_TRUE }, { " -1", JSON_NUMBER },
		{ "0", JSON_NUMBER }, { "9e9", JSON_NUMBER }, { "\"\"", JSON_STRING }, { "\n[]", JSON_ARRAY },
		{ "{}", JSON_OBJECT }, { "", JSON_INVALID }, { "  ", JSON_INVALID },
	};
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(json_kind(bytes_of(cases[i].text)), cases[i].type);
	assert_bytes(json_trim(bytes_of("\r\n\t [1, 2] \t\n")), "[1, 2]");
	assert_int_equal(json_trim(bytes_of(" ")).len, 0);
}

static void test_elements(void **state)
{
	(void)state;
	static const char *const expected[] = { "[1]", "\"a,]\\\"\"", "{ \"x\" : [2 , 3] }", "-1.5e3", "null", "[]", "true" };
	struct bytes rest = bytes_of(" [ [1] ,\"a,]\\\"\" , { \"x\" : [2 , 3] },-1.5e3\n,null ,[], true ] "), value;
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_true(json_next_element(&rest, &value));
		assert_bytes(value, expected[i]);
	}
	assert_false(json_next_element(&rest, &value));
	assert_false(json_next_element(&rest, &value));
	rest = bytes_of("[ ]");
	assert_false(json_next_element(&rest, &value));
	assert_false(json_next_element(&rest, &value));
	rest = bytes_of("[[[],[]],[]]"); /* elements that look like the whole */
	assert_true(json_next_element(&rest, &value));
	assert_bytes(value, "[[],[]]");
	assert_true(json_next_element(&rest, &value));
	assert_bytes(value, "[]");
	assert_false(json_next_element(&rest, &value));
	static const char *const others[] = { "1", "\"[]\"", "{\"a\":1}", "null", "" };
	for (size_t i = 0; i < COUNT(others); i++) {
		rest = bytes_of(others[i]);
		assert_false(json_next_element(&rest, &value));
	}
}

static void test_members(void **state)
{
	(void)state;
	struct bytes key, value, rest = bytes_of("\t{ \"a\" : 1 ,\"b,}\":{\"c\":2}, \"\":\"x\" }");
	assert_true(json_next_member(&rest, &key, &value));
	assert_bytes(key, "\"a\"");
	assert_bytes(value, "1");
	assert_true(json_next_member(&rest, &key, &value));
	assert_bytes(key, "\"b,}\"");
	assert_bytes(value, "{\"c\":2}");
	assert_true(json_next_member(&rest, &key, &value));
	assert_bytes(key, "\"\"");
	assert_bytes(value, "\"x\"");
	assert_false(json_next_member(&rest, &key, &value));
	rest = bytes_of("{ }");
	assert_false(json_next_member(&rest, &key, &value));
	rest = bytes_of("[\"a\"]");
	assert_false(json_next_member(&rest, &key, &value));
}

static void test_tokens(void **state)
{
	(void)state;
	static const char *const expected[] = { "{", "\"a\\\"\"", ":", "[", "1.5e3", ",", "true", "]", ",", "\"\"", ":", "null", "}" };
	struct bytes token, rest = bytes_of(" {\"a\\\"\" :[1.5e3 ,true],\n\"\":null} ");
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_true(json_next_token(&rest, &token));
		assert_bytes(token, expected[i]);
	}
	assert_false(json_next_token(&rest, &token));
	assert_int_equal(rest.len, 0);
}

static void test_member_by_key(void **state)
{
	(void)state;
	struct bytes value = { NULL, 0 };
	struct bytes object = bytes_of("{\"a\":1,\"b\":{\"a\":2},\"\\u0061\":3,\"ab\":4}");
	assert_true(json_member(object, "a", &value));
	assert_bytes(value, "3"); /* the last one wins, however it is written */
	assert_true(json_member(object, "b", &value));
	assert_bytes(value, "{\"a\":2}");
	assert_false(json_member(object, "c", &value));
	assert_false(json_member(object, "", &value));
	assert_bytes(value, "{\"a\":2}");
	assert_false(json_member(bytes_of("[\"a\",1]"), "a", &value));
	/* Strings that end in backslashes and hold quotes. */
	assert_true(json_member(bytes_of("{\"x\":\"\\\\\",\"y\":\"\\\"\",\"z\":\"\\\\\\\",\\\"a\\\":0\",\"\":\"\",\"a\":1}"), "a", &value));
	assert_bytes(value, "1");
	assert_false(json_member(bytes_of("null"), "a", &value));
}

static void test_string_decode(void **state)
{
	(void)state;
	char out[64];
	assert_int_equal(json_string_decode(bytes_of("\"\""), out, 1), 0);
	assert_string_equal(out, "");
	assert_int_equal(json_string_decode(bytes_of("\"\""), out, 0), -1);
	assert_int_equal(json_string_decode(bytes_of("\"abc\""), out, 4), 3);
	assert_int_equal(json_string_decode(bytes_of("\"abc\""), out, 3), -1);
	const char *raw = "\"\\\"\\\\\\/\\b\\f\\n\\r\\tx\\u00e9\\u20AC\\ud83d\\ude00\\u007f\xc3\xa9\"";
	assert_int_equal(json_string_decode(bytes_of(raw), out, sizeof(out)), 21);
	assert_string_equal(out, "\"\\/\b\f\n\r\tx\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\xc3\xa9");
	assert_int_equal(json_string_decode(bytes_of("\"a\\u0000b\""), out, sizeof(out)), 3);
	assert_memory_equal(out, "a\0b", 4);
	assert_int_equal(json_string_decode(bytes_of("\"\\uffff\\u0800\\u07ff\\u0080\""), out, sizeof(out)), 10);
	assert_string_equal(out, "\xef\xbf\xbf\xe0\xa0\x80\xdf\xbf\xc2\x80");
	assert_int_equal(json_string_decode(bytes_of("\"\\udbff\\udfff\\ud800\\udc00\""), out, sizeof(out)), 8);
	assert_string_equal(out, "\xf4\x8f\xbf\xbf\xf0\x90\x80\x80");
}

static void test_string_equals(void **state)
{
	(void)state;
	assert_true(json_string_equals(bytes_of("\"abc\""), "abc"));
	assert_true(json_string_equals(bytes_of("\"\\u0061b\\u0063\""), "abc"));
	assert_true(json_string_equals(bytes_of("\"\""), ""));
	assert_false(json_string_equals(bytes_of("\"abc\""), "ab"));
	assert_false(json_string_equals(bytes_of("\"ab\""), "abc"));
	assert_false(json_string_equals(bytes_of("\"ab\\u0000\""), "ab"));
	assert_true(json_string_equals(bytes_of("\"\\u00e9\""), "\xc3\xa9"));
}

static void test_integer(void **state)
{
	(void)state;
	static const struct { const char *text; bool is_integer; int64_t value; } cases[] = {
		{ "0", true, 0 }, { "-0", true, 0 }, { "42", true, 42 }, { " 42 ", true, 42 }, { "-7", true, -7 },
		{ "9223372036854775807", true, INT64_MAX }, { "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 }, { "-9223372036854775809", false, 0 },
		{ "18446744073709551616", false, 0 }, { "99999999999999999999999999", false, 0 },
		{ "1.0", false, 0 }, { "1e2", false, 0 }, { "", false, 0 }, { "\"1\"", false, 0 }, { "null", false, 0 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t value = 0;
		assert_int_equal(json_int64(bytes_of(cases[i].text), &value), cases[i].is_integer);
		assert_true(value == cases[i].value);
	}
}

static void test_compact(void **state)
{
	(void)state;
	struct buffer out = { 0 };
	json_compact(&out, bytes_of(" { \"a b\\\" \" : [ 1.10 ,\t\"\\/ \" ] ,\r\n\"c\" : null } "));
	assert_string_equal(out.data, "{\"a b\\\" \":[1.10,\"\\/ \"],\"c\":null}");
	buffer_clear(&out);
	json_compact(&out, (struct bytes){ NULL, 0 });
	assert_int_equal(out.len, 0);
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid_structure),
		cmocka_unit_test(test_invalid_numbers),
		cmocka_unit_test(test_invalid_strings),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_every_byte_at_every_place),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_depth_of_a_hundred_thousand),
		cmocka_unit_test(test_number_length),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_member_by_key),
		cmocka_unit_test(test_string_decode),
		cmocka_unit_test(test_string_equals),
		cmocka_unit_test(test_integer),
		cmocka_unit_test(test_compact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
