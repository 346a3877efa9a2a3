/* cors.c - origins lists and the header lines that tell browsers about them. */
#include "cors.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ORIGINS_MAX = 64, REQUESTED_MAX = 1024 };

struct cors {
	bool is_everyone;
	size_t count;
	struct bytes origins[ORIGINS_MAX]; /* into text */
	char *text;
};

static struct bytes trim_origin(const char *start, size_t len)
{
	while (len && (start[0] == ' ' || start[0] == '\t')) {
		start++;
		len--;
	}
	while (len && (start[len - 1] == ' ' || start[len - 1] == '\t' || start[len - 1] == '/'))
		len--;
	return (struct bytes){ start, len };
}

static int add_origin(struct cors *cors, struct bytes origin, struct error *err)
{
	if (bytes_equal_text(origin, "*")) {
		cors->is_everyone = true;
		return 0;
	}
	const char *scheme_end = memmem(origin.data, origin.len, "://", 3);
	bool has_blank = false;
	for (size_t i = 0; i < origin.len; i++)
		has_blank = has_blank || (unsigned char)origin.data[i] <= 0x20 || origin.data[i] == 0x7f;
	if (has_blank || !scheme_end || scheme_end == origin.data || scheme_end + 3 == origin.data + origin.len ||
	    memchr(scheme_end + 3, '/', (size_t)(origin.data + origin.len - scheme_end - 3)))
		return error_set(err, ERROR_INVALID, "`%.*s` is not an origin (scheme://host[:port])", (int)origin.len, origin.data);
	if (cors->count == ORIGINS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d origins", ORIGINS_MAX);
	cors->origins[cors->count++] = origin;
	return 0;
}

struct cors *cors_new(const char *origins, struct error *err)
{
	struct cors *cors = calloc(1, sizeof(*cors));
	if (!cors || !(cors->text = strdup(origins))) {
		cors_free(cors);
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	for (char *at = cors->text, *end; at; at = end ? end + 1 : NULL) {
		end = strchr(at, ',');
		struct bytes origin = trim_origin(at, end ? (size_t)(end - at) : strlen(at));
		if (origin.len && add_origin(cors, origin, err) < 0) {
			cors_free(cors);
			return NULL;
		}
	}
	return cors;
}

void cors_free(struct cors *cors)
{
	if (!cors)
		return;
	free(cors->text);
	free(cors);
}

/* Browsers send scheme and host in lower case; configurations are not always so tidy. */
static bool equals_ignoring_case(struct bytes a, struct bytes b)
{
	return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

bool cors_allows(const struct cors *cors, struct bytes origin)
{
	for (size_t i = 0; i < cors->count; i++)
		if (equals_ignoring_case(cors->origins[i], origin))
			return true;
	return false;
}

bool cors_is_own(struct bytes origin, struct bytes host)
{
	const char *scheme_end = origin.len ? memmem(origin.data, origin.len, "://", 3) : NULL;
	if (!scheme_end || host.len == 0)
		return false;
	const char *start = scheme_end + 3;
	return equals_ignoring_case((struct bytes){ start, origin.len - (size_t)(start - origin.data) }, host);
}

void cors_add_headers(const struct cors *cors, struct bytes origin, struct buffer *out)
{
	if (cors->is_everyone) {
		buffer_add_text(out, "Access-Control-Allow-Origin: *\r\n");
		return;
	}
	if (origin.len && cors_allows(cors, origin)) {
		buffer_add_text(out, "Access-Control-Allow-Origin: ");
		buffer_add_bytes(out, origin);
		buffer_add_text(out, "\r\n");
	}
	buffer_add_text(out, "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
}

void cors_add_preflight_headers(const struct cors *cors, struct bytes origin, struct bytes requested, struct buffer *out)
{
	cors_add_headers(cors, origin, out);
	buffer_add_text(out, "Access-Control-Allow-Methods: GET,POST\r\nAccess-Control-Max-Age: 600\r\n");
	if (requested.len && requested.len <= REQUESTED_MAX) {
		buffer_add_text(out, "Access-Control-Allow-Headers: ");
		buffer_add_bytes(out, requested);
		buffer_add_text(out, "\r\n");
	}
}
