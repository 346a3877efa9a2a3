/* fuzz_http.c - a stranger's bytes on the HTTP socket. Behind the first one, which says how they are cut, they are parsed
 * whole and in pieces, with pauses: the same requests must come out, and nothing of them past its bound. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http_parse.h"
#include "http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_parse_bounds bounds = { .max_header = 2048, .max_url = 512 };

/* What came out, as one number. */
struct seen {
	uint64_t hash;
	uint64_t body_left; /* of a length that was said */
	unsigned requests;
	bool is_chunked, has_pauses, is_in_request;
};

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void note(struct seen *seen, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < len; i++)
		seen->hash = (seen->hash ^ bytes[i]) * 1099511628211u;
}

static void note_view(struct seen *seen, struct bytes view)
{
	must(view.len <= HTTP_HEAD_TEXT_MAX && (view.len == 0 || view.data));
	for (size_t i = 0; i < view.len; i++)
		must(view.data[i] != '\r' && view.data[i] != '\n' && view.data[i] != '\0'); /* nothing smuggled into an answer or a log */
	note(seen, &view.len, sizeof(view.len));
	note(seen, view.data, view.len);
}

/* What the layers above make of the query and the cookies. */
static void read_values(const struct request_info *info)
{
	static const char *const names[] = { "sid", "transport", "EIO", "token" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = 0;
		char *value = request_query_value(info->query, names[i], &len);
		must(!value || (strlen(value) == len && len <= info->query.len));
		free(value);
		must(request_cookie(info->cookie, names[i]).len <= info->cookie.len);
	}
	struct request_info *copy = request_info_dup(info);
	must(copy && bytes_equal(copy->query, info->query) && bytes_equal(copy->peer, info->peer));
	free(copy);
}

static void on_begin(void *data)
{
	struct seen *seen = data;
	must(!seen->is_in_request);
	seen->is_in_request = true;
	note(seen, "begin", 5);
}

static bool on_head(void *data, const struct http_fields *fields, char *text)
{
	struct seen *seen = data;
	const struct http_request *request = &fields->request;
	const struct request_info *info = &request->info;
	const struct bytes views[] = {
		request->path, info->query, info->authorization, info->cookie, info->origin, info->host, info->user_agent, info->forwarded_for,
		request->content_type, request->requested_headers, request->websocket_key, request->websocket_version, fields->expect, fields->upgrade,
	};
	must(seen->is_in_request && request->path.len + info->query.len <= bounds.max_url);
	must(!request->is_websocket_upgrade || (request->verb == HTTP_VERB_GET && request->content_length == 0 && fields->wants_close));
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		note_view(seen, views[i]);
	const unsigned char marks[] = { (unsigned char)request->verb, request->is_websocket_upgrade, fields->wants_close };
	note(seen, marks, sizeof(marks));
	note(seen, &request->content_length, sizeof(request->content_length));
	read_values(info);
	struct buffer out = { 0 };
	http_reply_write(&out, &(struct http_reply_context){ .request = request, .is_last = fields->wants_close }, &(struct http_answer){ .status = 200 });
	must(!out.has_failed);
	buffer_deinit(&out);
	seen->is_chunked = request->content_length == HTTP_LENGTH_UNKNOWN;
	seen->body_left = seen->is_chunked ? 0 : request->content_length;
	free(text);
	return true;
}

static bool on_body(void *data, struct bytes piece)
{
	struct seen *seen = data;
	must(seen->is_in_request && (seen->is_chunked || piece.len <= seen->body_left));
	seen->body_left -= seen->is_chunked ? 0 : piece.len;
	note(seen, piece.data, piece.len);
	return true;
}

static enum http_parse_next on_complete(void *data)
{
	struct seen *seen = data;
	must(seen->is_in_request && seen->body_left == 0);
	seen->is_in_request = false;
	note(seen, "end", 3);
	return seen->has_pauses && ++seen->requests % 2 ? HTTP_PARSE_PAUSE : HTTP_PARSE_GO_ON;
}

static const struct http_parse_handler handler = { on_begin, on_head, on_body, on_complete };

/* One segment, in memory of exactly its size, fed until it is used up or the parse ends. */
static enum http_parse_result feed_segment(struct http_parse *parse, const uint8_t *data, size_t size)
{
	char *copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data, size);
	struct bytes rest = { copy, size };
	enum http_parse_result result = HTTP_PARSE_MORE;
	while (rest.len && (result == HTTP_PARSE_MORE || result == HTTP_PARSE_PAUSED)) {
		size_t used = 0;
		result = http_parse_feed(parse, rest, &used);
		must(used <= rest.len && (result != HTTP_PARSE_MORE || used == rest.len));
		rest.data += used;
		rest.len -= used;
	}
	must(result != HTTP_PARSE_STOPPED);
	free(copy);
	return result;
}

/* The status of the refusal, 101 for an upgrade, else 0. */
static unsigned parse_all(const uint8_t *data, size_t size, size_t segment, struct seen *seen)
{
	struct http_parse *parse = http_parse_new(&bounds, &handler, seen);
	must(parse != NULL);
	enum http_parse_result result = HTTP_PARSE_MORE;
	for (size_t at = 0; at < size && (result == HTTP_PARSE_MORE || result == HTTP_PARSE_PAUSED); at += segment)
		result = feed_segment(parse, data + at, size - at < segment ? size - at : segment);
	unsigned status = 0;
	if (result == HTTP_PARSE_REFUSED) {
		const struct http_refusal *refusal = http_parse_refusal(parse);
		must(refusal->code && refusal->message && refusal->status >= 400);
		status = refusal->status;
	} else if (result == HTTP_PARSE_UPGRADED) {
		status = 101;
	}
	http_parse_free(parse);
	return status;
}

static bool is_bound(unsigned status)
{
	return status == 414 || status == 431;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct seen whole = { 0 }, cut = { .has_pauses = true };
	unsigned status = parse_all(data + 1, size - 1, size - 1, &whole);
	unsigned cut_status = parse_all(data + 1, size - 1, 1 + data[0] % 64u, &cut);
	/* the library counts a header's bytes when a segment ends: past a bound the cuts decide when it is seen */
	if (!is_bound(status) && !is_bound(cut_status))
		must(status == cut_status && whole.hash == cut.hash);
	return 0;
}
