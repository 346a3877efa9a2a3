/* response.c - refusals as JSON. */
#include "response.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	unsigned status;
	const char *word;
} refusals[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = { 200, "none" },
	[REFUSAL_MALFORMED_JSON] = { 400, "malformed_json" },
	[REFUSAL_BODY_LENGTH] = { 400, "body_length" },
	[REFUSAL_UNAUTHORIZED] = { 401, "unauthorized" },
	[REFUSAL_FORBIDDEN] = { 403, "forbidden" },
	[REFUSAL_NOT_FOUND] = { 404, "not_found" },
	[REFUSAL_METHOD_NOT_ALLOWED] = { 405, "method_not_allowed" },
	[REFUSAL_LENGTH_REQUIRED] = { 411, "length_required" },
	[REFUSAL_TOO_LARGE] = { 413, "too_large" },
	[REFUSAL_UNSUPPORTED_MEDIA_TYPE] = { 415, "unsupported_media_type" },
	[REFUSAL_INVALID_FIELD] = { 422, "invalid_field" },
	[REFUSAL_RESERVED_EVENT] = { 422, "reserved_event" },
	[REFUSAL_IDEMPOTENCY_MISMATCH] = { 422, "idempotency_mismatch" },
	[REFUSAL_VERSION_CONFLICT] = { 409, "version_conflict" },
	[REFUSAL_RATE_LIMITED] = { 429, "rate_limited" },
	[REFUSAL_OVERLOADED] = { 503, "overloaded" },
	[REFUSAL_UNAVAILABLE] = { 503, "unavailable" },
	[REFUSAL_OUTCOME_UNKNOWN] = { 504, "outcome_unknown" },
};

static const struct {
	unsigned status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" }, { 202, "Accepted" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" },
	{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 409, "Conflict" }, { 411, "Length Required" }, { 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
	{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
};

unsigned refusal_status(enum refusal refusal)
{
	return refusals[refusal].status;
}

const char *refusal_word(enum refusal refusal)
{
	return refusals[refusal].word;
}

const char *status_reason(unsigned status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

void response_refuse(struct response *response, enum refusal refusal, const char *format, ...)
{
	char text[512] = "";
	va_list arguments;
	bool names_field = refusal == REFUSAL_INVALID_FIELD || refusal == REFUSAL_RESERVED_EVENT;
	if (response->where[0])
		snprintf(text, sizeof(text), "%s%s", response->where, names_field ? "." : ": ");
	size_t len = strlen(text);
	va_start(arguments, format);
	vsnprintf(text + len, sizeof(text) - len, format, arguments);
	va_end(arguments);
	/* What a publisher wrote may be quoted here, cut anywhere: the answer stays UTF-8. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c >= 0x7f)
			*c = '?';
	response->status = refusals[refusal].status;
	response->refusal = refusal;
	buffer_clear(&response->body);
	buffer_add_text(&response->body, "{\"success\":false,\"error\":");
	buffer_add_json_string(&response->body, bytes_of(text));
	buffer_add_format(&response->body, ",\"code\":\"%s\"}", refusals[refusal].word);
}

void response_deinit(struct response *response)
{
	buffer_deinit(&response->body);
}
