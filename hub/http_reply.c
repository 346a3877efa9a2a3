/* http_reply.c - status line, header, body. */
#include "http_reply.h"

#include <time.h>

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 204, "No Content" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 413, "Content Too Large" },
	{ 414, "URI Too Long" }, { 417, "Expectation Failed" }, { 426, "Upgrade Required" },
	{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
	{ 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" },
};

static const char *reason_of(unsigned status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* RFC 9110, 5.6.7. The loop's thread writes one second's date many times: it is kept. */
static void add_date(struct buffer *out, uint64_t now_s)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	static struct buffer line;
	static uint64_t line_s;
	if (!line.len || line_s != now_s) {
		time_t now = (time_t)now_s;
		struct tm utc;
		gmtime_r(&now, &utc);
		buffer_clear(&line);
		buffer_add_format(&line, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
		                  utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
		line_s = now_s;
	}
	buffer_add_bytes(out, buffer_bytes(&line));
}

void http_reply_write(struct buffer *out, const struct http_reply_context *context, const struct http_answer *answer)
{
	const struct http_request *request = context->request;
	buffer_add_format(out, "HTTP/1.1 %u %s\r\n", answer->status, reason_of(answer->status));
	add_date(out, context->now_s);
	if (answer->content_type)
		buffer_add_format(out, "Content-Type: %s\r\n", answer->content_type);
	buffer_add_format(out, "Content-Length: %zu\r\nCache-Control: no-store\r\n", answer->body.len);
	if (context->cors && request->verb == HTTP_VERB_OPTIONS)
		cors_add_preflight_headers(context->cors, request->info.origin, request->requested_headers, out);
	else if (context->cors)
		cors_add_headers(context->cors, request->info.origin, out);
	if (answer->headers)
		buffer_add_text(out, answer->headers);
	buffer_add_text(out, context->is_last ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
	if (request->verb != HTTP_VERB_HEAD)
		buffer_add_bytes(out, answer->body);
}

void http_reply_write_error(struct buffer *out, const char *code, const char *message)
{
	buffer_add_text(out, "{\"success\":false,\"error\":");
	buffer_add_json_string(out, bytes_of(message));
	buffer_add_text(out, ",\"code\":");
	buffer_add_json_string(out, bytes_of(code));
	buffer_add_char(out, '}');
}
