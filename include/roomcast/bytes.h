/* bytes.h - a view of bytes that somebody else owns, and a buffer that grows up to a bound. */
#ifndef ROOMCAST_BYTES_H
#define ROOMCAST_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <roomcast/error.h>

/* Not terminated, any byte allowed. data may be NULL only when len is 0. */
struct bytes {
	const char *data;
	size_t len;
};

static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes){ text, text ? strlen(text) : 0 };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text)
{
	return bytes_equal(a, bytes_of(text));
}

/* Without the blanks and tabs around it. */
struct bytes bytes_trim(struct bytes text);
/* Cuts rest at the first separator: what stands in front is returned, rest becomes what stands behind, empty when there is none. */
struct bytes bytes_cut(struct bytes *rest, char separator);
int hex_digit_value(char c); /* -1: it is none */

/* Terminated copy on the heap, NULL when there is no memory. A byte 0 inside ends what C sees of it. */
char *bytes_dup(struct bytes bytes);

/* All zero is an empty buffer without a bound. data[len] is always 0 once something was added.
 * A failed addition (no memory, or past max) leaves the content as it was and sets has_failed,
 * so that many additions can be checked once at the end. */
struct buffer {
	char *data;
	size_t len;
	size_t capacity;
	size_t max; /* bytes; 0: no bound */
	bool has_failed;
};

void buffer_deinit(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory, forgets has_failed */
void buffer_add_number(struct buffer *buffer, uint64_t number); /* in decimal digits */
void buffer_add_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Adds text as a JSON string with its quotes; bytes below 0x20, `"` and `\` escaped. text must be UTF-8. */
void buffer_add_json_string(struct buffer *buffer, struct bytes text);
/* Makes room for len more bytes and returns where they go, or NULL; then buffer->len is the caller's to raise. */
char *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_consume(struct buffer *buffer, size_t len); /* drops the first len bytes */

/* Inline, because most pieces are a few bytes that fit. */
static inline void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
	char *place = len < buffer->capacity - buffer->len && !buffer->max ? buffer->data + buffer->len : buffer_reserve(buffer, len);
	if (!place)
		return;
	if (len)
		memcpy(place, data, len);
	place[len] = '\0';
	buffer->len += len;
}

static inline void buffer_add_bytes(struct buffer *buffer, struct bytes bytes)
{
	buffer_add(buffer, bytes.data, bytes.len);
}

static inline void buffer_add_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

static inline void buffer_add_char(struct buffer *buffer, char c)
{
	buffer_add(buffer, &c, 1);
}

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
	return (struct bytes){ buffer->data, buffer->len };
}

#endif
