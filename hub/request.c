/* request.c - query parameters, cookies, and copies of what a request carried. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

/* One decoded byte from the front of text, which shrinks. A % without two digits stands for itself. */
static char decode_next(struct bytes *text)
{
	char c = text->data[0];
	size_t used = 1;
	if (c == '+') {
		c = ' ';
	} else if (c == '%' && text->len >= 3 && hex_digit_value(text->data[1]) >= 0 && hex_digit_value(text->data[2]) >= 0) {
		c = (char)(hex_digit_value(text->data[1]) * 16 + hex_digit_value(text->data[2]));
		used = 3;
	}
	text->data += used;
	text->len -= used;
	return c;
}

static bool decodes_to(struct bytes raw, const char *name)
{
	while (raw.len) {
		char c = decode_next(&raw);
		if (c == '\0' || c != *name++)
			return false;
	}
	return *name == '\0';
}

char *request_query_value(struct bytes query, const char *name, size_t *len)
{
	struct bytes found = { NULL, 0 };
	bool is_found = false;
	while (query.len) {
		struct bytes value = bytes_cut(&query, '&');
		struct bytes key = bytes_cut(&value, '=');
		if (decodes_to(key, name)) {
			found = value;
			is_found = true;
		}
	}
	char *decoded = is_found ? malloc(found.len + 1) : NULL;
	if (!decoded)
		return NULL;
	size_t used = 0;
	while (found.len) {
		decoded[used] = decode_next(&found);
		if (decoded[used++] == '\0') {
			free(decoded);
			return NULL;
		}
	}
	decoded[used] = '\0';
	if (len)
		*len = used;
	return decoded;
}

struct bytes request_cookie(struct bytes cookie_header, const char *name)
{
	while (cookie_header.len) {
		struct bytes value = bytes_cut(&cookie_header, ';');
		struct bytes key = bytes_trim(bytes_cut(&value, '='));
		if (!bytes_equal_text(key, name))
			continue;
		value = bytes_trim(value);
		if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
			value = (struct bytes){ value.data + 1, value.len - 2 };
		return value;
	}
	return (struct bytes){ NULL, 0 };
}

/* Every field of request_info is a view, so that it can be walked as an array. */
enum { INFO_FIELDS = sizeof(struct request_info) / sizeof(struct bytes) };
_Static_assert(sizeof(struct request_info) == INFO_FIELDS * sizeof(struct bytes), "request_info holds views only");

struct request_info *request_info_dup(const struct request_info *info)
{
	struct bytes fields[INFO_FIELDS];
	memcpy(fields, info, sizeof(fields));
	size_t size = sizeof(*info);
	for (size_t i = 0; i < INFO_FIELDS; i++)
		size += fields[i].len;
	struct request_info *copy = malloc(size);
	if (!copy)
		return NULL;
	char *place = (char *)(copy + 1);
	for (size_t i = 0; i < INFO_FIELDS; i++) {
		if (fields[i].len)
			memcpy(place, fields[i].data, fields[i].len);
		fields[i].data = fields[i].len ? place : NULL;
		place += fields[i].len;
	}
	memcpy(copy, fields, sizeof(fields));
	return copy;
}
