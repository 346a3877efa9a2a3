/* bytes.c - a growing buffer with a bound. */
#include <roomcast/bytes.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct bytes bytes_trim(struct bytes text)
{
	while (text.len && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.len--;
	}
	while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

struct bytes bytes_cut(struct bytes *rest, char separator)
{
	const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	size_t len = end ? (size_t)(end - rest->data) : rest->len, skip = end ? len + 1 : len;
	struct bytes front = { rest->data, len };
	if (skip)
		rest->data += skip;
	rest->len -= skip;
	return front;
}

int hex_digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

char *bytes_dup(struct bytes bytes)
{
	char *copy = malloc(bytes.len + 1);
	if (!copy)
		return NULL;
	if (bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	copy[bytes.len] = '\0';
	return copy;
}

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ .max = buffer->max };
}

void buffer_clear(struct buffer *buffer)
{
	buffer->len = 0;
	buffer->has_failed = false;
}

char *buffer_reserve(struct buffer *buffer, size_t len)
{
	if (len > SIZE_MAX / 4 - buffer->len || (buffer->max && buffer->len + len > buffer->max)) {
		buffer->has_failed = true;
		return NULL;
	}
	size_t needed = buffer->len + len + 1;
	if (needed > buffer->capacity) {
		size_t capacity = buffer->capacity ? buffer->capacity * 2 : 64;
		if (capacity < needed)
			capacity = needed;
		char *data = realloc(buffer->data, capacity);
		if (!data) {
			buffer->has_failed = true;
			return NULL;
		}
		buffer->data = data;
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->len;
}

void buffer_add_number(struct buffer *buffer, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);
	do
		digits[--first] = (char)('0' + number % 10);
	while (number /= 10);
	buffer_add(buffer, digits + first, sizeof(digits) - first);
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	size_t spare = buffer->data ? buffer->capacity - buffer->len : 0;
	int len = vsnprintf(spare ? buffer->data + buffer->len : NULL, spare, format, arguments);
	char *place = len < 0 ? NULL : buffer_reserve(buffer, (size_t)len);
	if (place) {
		if ((size_t)len >= spare)
			vsnprintf(place, (size_t)len + 1, format, again);
		buffer->len += (size_t)len;
	} else {
		buffer->has_failed = true;
		if (spare)
			buffer->data[buffer->len] = '\0';
	}
	va_end(again);
	va_end(arguments);
}

void buffer_add_json_string(struct buffer *buffer, struct bytes text)
{
	buffer_add_char(buffer, '"');
	size_t plain = 0; /* start of what needs no escape */
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buffer_add(buffer, text.data + plain, i - plain);
		plain = i + 1;
		if (c == '"' || c == '\\')
			buffer_add_format(buffer, "\\%c", c);
		else
			buffer_add_format(buffer, "\\u%04x", c);
	}
	if (text.len)
		buffer_add(buffer, text.data + plain, text.len - plain);
	buffer_add_char(buffer, '"');
}

void buffer_consume(struct buffer *buffer, size_t len)
{
	if (len == 0)
		return;
	memmove(buffer->data, buffer->data + len, buffer->len - len);
	buffer->len -= len;
	buffer->data[buffer->len] = '\0';
}
