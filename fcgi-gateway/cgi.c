/* cgi.c - meta-variables to requests, answers to headers. */
#include "cgi.h"

#include <ctype.h>

int64_t cgi_parse_length(struct bytes text)
{
	int64_t length = 0;
	if (!text.len)
		return LENGTH_ABSENT;
	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]))
			return LENGTH_MALFORMED;
		if (length < INT64_MAX / 16) /* more is too large anyway */
			length = length * 10 + (text.data[i] - '0');
	}
	return length;
}

void cgi_read_request(struct bytes (*find)(const void *data, const char *name), const void *data, const char *mount, struct buffer *scratch,
                      struct request *out)
{
	struct request_address address = {
		.script_name = find(data, "SCRIPT_NAME"), .path_info = find(data, "PATH_INFO"), .request_uri = find(data, "REQUEST_URI"),
	};
	*out = (struct request){
		.method = find(data, "REQUEST_METHOD"), .query = find(data, "QUERY_STRING"), .content_type = find(data, "CONTENT_TYPE"),
		.authorization = find(data, "HTTP_AUTHORIZATION"), .idempotency_key = find(data, "HTTP_IDEMPOTENCY_KEY"),
		.content_length = cgi_parse_length(find(data, "CONTENT_LENGTH")),
	};
	if (!request_path(&address, mount, scratch, &out->path))
		out->path = address.request_uri.len ? address.request_uri : address.script_name; /* nowhere: 404 names it */
}

void cgi_add_head(const struct response *response, struct buffer *out)
{
	buffer_add_format(out, "Status: %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n",
	                  response->status, status_reason(response->status), response->body.len);
	if (response->status == refusal_status(REFUSAL_UNAUTHORIZED))
		buffer_add_text(out, "WWW-Authenticate: Bearer realm=\"roomcast\"\r\n");
	if (response->allow[0])
		buffer_add_format(out, "Allow: %s\r\n", response->allow);
	if (response->retry_after_s)
		buffer_add_format(out, "Retry-After: %u\r\n", response->retry_after_s);
	buffer_add_text(out, "\r\n");
}
