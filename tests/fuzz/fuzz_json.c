/* fuzz_json.c - what the scanner accepts can be walked to its ends, compacted, and read by json-c. */
#include <roomcast/json.h>

#include <assert.h>
#include <json.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 32 };

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void check_valid(struct bytes value)
{
	must(json_check(value, DEPTH, NULL) == 0);
}

static void walk_string(struct bytes raw)
{
	char *text = malloc(raw.len);
	must(text != NULL);
	long len = json_string_decode(raw, text, raw.len);
	must(len >= 0 && (size_t)len + 2 <= raw.len);
	bool has_zero = strlen(text) != (size_t)len;
	must(json_string_equals(raw, text) == !has_zero);
	if (len > 0)
		must(json_string_decode(raw, text, (size_t)len) == -1);
	free(text);
}

static void walk(struct bytes value)
{
	struct bytes rest = value, key, inner;
	int64_t number;
	check_valid(value);
	must(bytes_equal(json_trim(value), value));
	enum json_kind kind = json_kind(value);
	must(kind != JSON_INVALID);
	if (kind == JSON_STRING)
		walk_string(value);
	if (kind == JSON_NUMBER)
		(void)json_int64(value, &number);
	(void)json_member(value, "a", &inner);
	while (kind == JSON_ARRAY && json_next_element(&rest, &inner))
		walk(inner);
	while (kind == JSON_OBJECT && json_next_member(&rest, &key, &inner)) {
		must(json_kind(key) == JSON_STRING);
		walk_string(key);
		walk(inner);
	}
	must(kind != JSON_ARRAY || rest.data[0] == ']' || rest.data[0] == '[');
	must(kind != JSON_OBJECT || rest.data[0] == '}' || rest.data[0] == '{');
}

static void compact(struct bytes value)
{
	struct buffer once = { 0 }, twice = { 0 };
	json_compact(&once, value);
	check_valid(buffer_bytes(&once));
	json_compact(&twice, buffer_bytes(&once));
	must(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
	buffer_deinit(&once);
	buffer_deinit(&twice);
}

static void read_by_json_c(struct bytes text)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH + 1);
	must(tokener != NULL);
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, text.data, (int)text.len);
	enum json_tokener_error error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue) { /* a number at the end of the text */
		object = json_tokener_parse_ex(tokener, "\n", 1);
		error = json_tokener_get_error(tokener);
	}
	must(error == json_tokener_success);
	json_object_put(object);
	json_tokener_free(tokener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = { (const char *)data, size };
	struct error err = { .code = ERROR_NONE };
	if (json_check(text, DEPTH, &err)) {
		must(err.code == ERROR_INVALID || err.code == ERROR_TOO_LARGE);
		must(json_check(text, 0, NULL) == -1);
		return 0;
	}
	walk(json_trim(text));
	compact(text);
	read_by_json_c(text);
	return 0;
}
