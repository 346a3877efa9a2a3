/* http_answer.c - cuts HTTP answers out of a stream. */
#include "http_answer.h"

#include <stdlib.h>
#include <string.h>

/* The value of a header of the head, which ends with an empty line; NULL when absent. */
static const char *header_value(struct bytes head, const char *name)
{
	size_t name_len = strlen(name);
	const char *line = memchr(head.data, '\n', head.len), *end = head.data + head.len;
	while (line && ++line < end) {
		if ((size_t)(end - line) > name_len + 1 && strncasecmp(line, name, name_len) == 0 && line[name_len] == ':')
			return line + name_len + 1 + strspn(line + name_len + 1, " ");
		line = memchr(line, '\n', (size_t)(end - line));
	}
	return NULL;
}

/* Chunks until the last one, without trailers. */
static ssize_t chunked_length(struct bytes bytes)
{
	static const char last[] = "0\r\n\r\n";
	if (bytes.len >= 5 && memcmp(bytes.data, last, 5) == 0)
		return 5;
	const char *end = memmem(bytes.data, bytes.len, "\r\n0\r\n\r\n", 7);
	return end ? end - bytes.data + 7 : 0;
}

ssize_t http_answer_cut(struct bytes bytes, struct http_answer *answer)
{
	const char *end = bytes.len ? memmem(bytes.data, bytes.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return 0;
	if (memcmp(bytes.data, "HTTP/1.", 7) != 0)
		return -1;
	struct bytes head = { bytes.data, (size_t)(end - bytes.data) + 4 };
	const char *length = header_value(head, "content-length"), *encoding = header_value(head, "transfer-encoding");
	const char *connection = header_value(head, "connection");
	struct bytes rest = { bytes.data + head.len, bytes.len - head.len };
	ssize_t body = 0;
	answer->status = (unsigned)strtoul(bytes.data + 9, NULL, 10);
	if (length)
		body = (ssize_t)strtoul(length, NULL, 10);
	else if (encoding && strncasecmp(encoding, "chunked", 7) == 0 && (body = chunked_length(rest)) == 0)
		return 0;
	if ((size_t)body > rest.len)
		return 0;
	answer->is_last = connection && strncasecmp(connection, "close", 5) == 0;
	answer->body = (struct bytes){ rest.data, (size_t)body };
	return (ssize_t)head.len + body;
}
