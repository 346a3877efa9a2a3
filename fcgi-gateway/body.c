/* body.c - what is demanded of a body before anything is read out of it. */
#include "body.h"

#include <inttypes.h>
#include <strings.h>

#include <roomcast/json.h>

static bool equals_word(struct bytes text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* RFC 8259, 8.1 and 11: JSON is UTF-8. A charset says so or is an error; other parameters mean nothing. */
static bool is_json(struct bytes content_type)
{
	static const char charset[] = "charset=";
	struct bytes rest = content_type;
	if (!equals_word(bytes_trim(bytes_cut(&rest, ';')), "application/json"))
		return false;
	while (rest.len) {
		struct bytes part = bytes_trim(bytes_cut(&rest, ';'));
		size_t len = sizeof(charset) - 1;
		if (part.len < len || strncasecmp(part.data, charset, len) != 0)
			continue;
		struct bytes value = { part.data + len, part.len - len };
		if (!equals_word(value, "utf-8") && !equals_word(value, "\"utf-8\"") && !equals_word(value, "utf8"))
			return false;
	}
	return true;
}

static int check_length(const struct request *request, size_t max_body, struct response *response)
{
	if (request->content_length == LENGTH_MALFORMED)
		response_refuse(response, REFUSAL_BODY_LENGTH, "Content-Length is not a number");
	else if (request->is_too_large)
		response_refuse(response, REFUSAL_TOO_LARGE, "the body has more than %zu bytes", max_body);
	else if (request->content_length == LENGTH_ABSENT && !request->body.len)
		response_refuse(response, REFUSAL_LENGTH_REQUIRED, "a body with a Content-Length is required");
	else if (request->content_length >= 0 && (uint64_t)request->content_length != request->body.len)
		response_refuse(response, REFUSAL_BODY_LENGTH, "Content-Length says %" PRId64 " bytes, %zu came", request->content_length, request->body.len);
	else
		return 0;
	return -1;
}

int body_check(const struct request *request, size_t max_body, struct response *response)
{
	struct error err = { 0 };
	if (check_length(request, max_body, response))
		return -1;
	if (!is_json(request->content_type)) {
		response_refuse(response, REFUSAL_UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, in UTF-8");
		return -1;
	}
	if (json_check(request->body, JSON_DEPTH_DEFAULT, &err)) {
		response_refuse(response, REFUSAL_MALFORMED_JSON, "body: %s", err.text);
		return -1;
	}
	return 0;
}
