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

enum variable {
	SCRIPT_NAME, PATH_INFO, REQUEST_URI, REQUEST_METHOD, QUERY_STRING, CONTENT_TYPE, CONTENT_LENGTH, HTTP_AUTHORIZATION, HTTP_IDEMPOTENCY_KEY,
	VARIABLE_COUNT,
};

#define NAME(variable) [variable] = { .name = { #variable, sizeof(#variable) - 1 }, .value = { "", 0 } }

void cgi_read_request(cgi_find *find, const void *data, const char *mount, struct buffer *scratch, struct request *out)
{
	struct cgi_variable variables[VARIABLE_COUNT] = {
		NAME(SCRIPT_NAME), NAME(PATH_INFO), NAME(REQUEST_URI), NAME(REQUEST_METHOD), NAME(QUERY_STRING), NAME(CONTENT_TYPE), NAME(CONTENT_LENGTH),
		NAME(HTTP_AUTHORIZATION), NAME(HTTP_IDEMPOTENCY_KEY),
	};
	find(data, variables, VARIABLE_COUNT);
	struct request_address address = {
		.script_name = variables[SCRIPT_NAME].value, .path_info = variables[PATH_INFO].value, .request_uri = variables[REQUEST_URI].value,
	};
	*out = (struct request){
		.method = variables[REQUEST_METHOD].value, .query = variables[QUERY_STRING].value, .content_type = variables[CONTENT_TYPE].value,
		.authorization = variables[HTTP_AUTHORIZATION].value, .idempotency_key = variables[HTTP_IDEMPOTENCY_KEY].value,
		.content_length = cgi_parse_length(variables[CONTENT_LENGTH].value),
	};
	if (!request_path(&address, mount, scratch, &out->path))
		out->path = address.request_uri.len ? address.request_uri : address.script_name; /* nowhere: 404 names it */
}

void cgi_add_head(const struct response *response, struct buffer *out)
{
	buffer_add_text(out, "Status: ");
	buffer_add_number(out, response->status);
	buffer_add_char(out, ' ');
	buffer_add_text(out, status_reason(response->status));
	buffer_add_text(out, "\r\nContent-Type: application/json\r\nContent-Length: ");
	buffer_add_number(out, response->body.len);
	buffer_add_text(out, "\r\nCache-Control: no-store\r\n");
	if (response->status == refusal_status(REFUSAL_UNAUTHORIZED))
		buffer_add_text(out, "WWW-Authenticate: Bearer realm=\"roomcast\"\r\n");
	if (response->allow[0])
		buffer_add_format(out, "Allow: %s\r\n", response->allow);
	if (response->retry_after_s)
		buffer_add_format(out, "Retry-After: %u\r\n", response->retry_after_s);
	buffer_add_text(out, "\r\n");
}
