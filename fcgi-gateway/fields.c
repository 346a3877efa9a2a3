/* fields.c - checked members of a request body. */
#include "fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct bytes field_find(struct bytes object, const char *name)
{
	struct bytes value;
	return json_member(object, name, &value) ? field_given(value) : (struct bytes){ 0 };
}

void fields_collect(struct bytes object, const char *const *names, struct bytes *values)
{
	struct bytes key, value;
	for (size_t i = 0; names[i]; i++)
		values[i] = (struct bytes){ 0 };
	while (json_next_member(&object, &key, &value))
		for (size_t i = 0; names[i]; i++)
			if (json_string_equals(key, names[i]))
				values[i] = value;
}

struct bytes field_given(struct bytes value)
{
	return value.len && json_kind(value) != JSON_NULL ? value : (struct bytes){ 0 };
}

int field_present(struct bytes value, const char *where, struct response *response)
{
	if (field_given(value).len)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: required", where);
	return -1;
}

int field_require(struct bytes object, const char *name, const char *where, struct bytes *value, struct response *response)
{
	*value = field_find(object, name);
	return field_present(*value, where, response);
}

/* `key` is raw JSON: a misspelling that needs escapes is not one. */
static bool is_nearly(struct bytes key, const char *name)
{
	size_t i = 1;
	for (; i + 1 < key.len; i++) {
		char c = key.data[i];
		if (c == '_' || c == '-')
			continue;
		if (!*name || tolower((unsigned char)c) != tolower((unsigned char)*name))
			return false;
		name++;
	}
	return *name == '\0';
}

int fields_check_spelling(struct bytes object, const char *const *names, struct response *response)
{
	struct bytes rest = object, key, value;
	while (json_next_member(&rest, &key, &value)) {
		for (const char *const *name = names; *name; name++) {
			if (json_string_equals(key, *name))
				break;
			if (!is_nearly(key, *name))
				continue;
			response_refuse(response, REFUSAL_INVALID_FIELD, "%.*s: unknown; did you mean %s?", (int)key.len - 2, key.data + 1, *name);
			return -1;
		}
	}
	return 0;
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

int field_text(struct bytes value, const char *where, struct text_rule rule, char *out, struct response *response)
{
	if (json_kind(value) != JSON_STRING) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be a string", where);
		return -1;
	}
	/* An escape takes up to six times its decoded length. */
	size_t size = (rule.most + 1) * 6 + 3;
	char *decoded = malloc(size);
	long len = decoded ? json_string_decode(value, decoded, size) : -1;
	bool fits = len >= (long)rule.least && len <= (long)rule.most;
	bool is_clean = fits && !has_control(decoded, (size_t)len);
	if (!fits)
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must have %zu to %zu bytes", where, rule.least, rule.most);
	else if (!is_clean)
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must not contain control characters", where);
	else if (out)
		memcpy(out, decoded, (size_t)len + 1);
	free(decoded);
	return fits && is_clean ? 0 : -1;
}

int field_id(struct bytes value, const char *where, char out[static USER_ID_MAX + 1], struct response *response)
{
	if (json_kind(value) == JSON_STRING)
		return field_text(value, where, (struct text_rule){ 1, USER_ID_MAX }, out, response);
	bool is_integer = json_kind(value) == JSON_NUMBER && value.len <= USER_ID_MAX;
	for (size_t i = 0; is_integer && i < value.len; i++)
		is_integer = isdigit((unsigned char)value.data[i]) || (i == 0 && value.data[i] == '-');
	if (!is_integer) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be a string or an integer", where);
		return -1;
	}
	memcpy(out, value.data, value.len);
	out[value.len] = '\0';
	return 0;
}

int field_object(struct bytes value, const char *where, struct response *response)
{
	if (json_kind(value) == JSON_OBJECT)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an object", where);
	return -1;
}

int field_integer(struct bytes value, const char *where, int64_t least, int64_t most, int64_t *out, struct response *response)
{
	if (json_kind(value) == JSON_NUMBER && json_int64(value, out) && *out >= least && *out <= most)
		return 0;
	if (most == INT64_MAX)
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an integer, %" PRId64 " or more", where, least);
	else
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an integer from %" PRId64 " to %" PRId64, where, least, most);
	return -1;
}

int field_bool(struct bytes value, const char *where, bool *out, struct response *response)
{
	enum json_kind type = json_kind(value);
	*out = type == JSON_TRUE;
	if (type == JSON_TRUE || type == JSON_FALSE)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be true or false", where);
	return -1;
}

int room_set_add(struct room_set *set, const char *prefix, const char *name, struct response *response)
{
	buffer_add_text(&set->text, prefix);
	buffer_add(&set->text, name, strlen(name) + 1);
	set->count++;
	if (!set->text.has_failed)
		return 0;
	response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
	return -1;
}

/* Calls add for each element of the array `where`, at most MESSAGE_LIST_MAX. */
static int each_element(struct bytes array, const char *where, size_t least, struct room_set *set,
                        int (*add)(struct bytes, const char *, struct room_set *, struct response *), struct response *response)
{
	struct bytes rest = array, value;
	if (json_kind(array) != JSON_ARRAY) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an array", where);
		return -1;
	}
	for (size_t i = 0; json_next_element(&rest, &value); i++) {
		char place[64];
		snprintf(place, sizeof(place), "%s[%zu]", where, i);
		if (i >= MESSAGE_LIST_MAX) {
			response_refuse(response, REFUSAL_INVALID_FIELD, "%s: at most %d are allowed", where, MESSAGE_LIST_MAX);
			return -1;
		}
		if (add(value, place, set, response))
			return -1;
	}
	if (set->count >= least)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must not be empty", where);
	return -1;
}

int field_user_room(struct bytes value, const char *where, struct room_set *set, struct response *response)
{
	char id[USER_ID_MAX + 1];
	return field_id(value, where, id, response) || room_set_add(set, "user-", id, response) ? -1 : 0;
}

static int add_room(struct bytes value, const char *where, struct room_set *set, struct response *response)
{
	char name[ROOM_NAME_MAX + 1];
	return field_text(value, where, (struct text_rule){ 1, ROOM_NAME_MAX }, name, response)
	    || room_set_add(set, "", name, response) ? -1 : 0;
}

int field_rooms(struct bytes array, const char *where, size_t least, struct room_set *set, struct response *response)
{
	return each_element(array, where, least, set, add_room, response);
}

int field_user_rooms(struct bytes array, const char *where, struct room_set *set, struct response *response)
{
	return each_element(array, where, 1, set, field_user_room, response);
}

int room_set_finish(struct room_set *set, struct response *response)
{
	if (!set->count)
		return 0;
	set->items = set->count == 1 ? &set->only : calloc(set->count, sizeof(*set->items));
	if (!set->items) {
		response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
		return -1;
	}
	const char *place = set->text.data;
	for (size_t i = 0; i < set->count; i++) {
		set->items[i] = bytes_of(place);
		place += set->items[i].len + 1;
	}
	return 0;
}
