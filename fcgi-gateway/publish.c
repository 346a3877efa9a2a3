/* publish.c - from a request's body to a published event and its answer. */
#include "publish.h"

#include <inttypes.h>
#include <strings.h>

#include <roomcast/json.h>

static struct bytes trim(struct bytes text)
{
	while (text.len && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.len--;
	}
	while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* Cuts what stands before the next `;` off rest. */
static struct bytes next_part(struct bytes *rest)
{
	const char *mark = rest->len ? memchr(rest->data, ';', rest->len) : NULL;
	size_t len = mark ? (size_t)(mark - rest->data) : rest->len, skip = mark ? len + 1 : len;
	struct bytes part = { rest->data, len };
	rest->data += skip;
	rest->len -= skip;
	return trim(part);
}

static bool equals_word(struct bytes text, const char *word)
{
	return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* RFC 8259, 8.1 and 11: JSON is UTF-8. A charset says so or is an error; other parameters mean nothing. */
static bool is_json(struct bytes content_type)
{
	static const char charset[] = "charset=";
	struct bytes rest = content_type;
	if (!equals_word(next_part(&rest), "application/json"))
		return false;
	while (rest.len) {
		struct bytes part = next_part(&rest);
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

int publish_check_body(const struct request *request, size_t max_body, struct response *response)
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

static void answer_stored(struct gateway *gateway, uint64_t seq, struct response *response)
{
	struct sequencer_figures sequencer;
	sequencer_figures(gateway->sequencer, &sequencer);
	size_t hubs = line_hub_count(gateway->line);
	response->status = hubs ? 200 : 202;
	buffer_add_format(&response->body, "{\"success\":true,\"id\":\"%" PRIu64 ".%" PRIu64 "\",\"hubs\":%zu%s}",
	                  sequencer.epoch, seq, hubs, hubs ? "" : ",\"queued\":true");
}

static void publish_journaled(struct gateway *gateway, struct publication *publication, struct response *response)
{
	static const enum refusal refusals[] = { [PUBLISH_REFUSED] = REFUSAL_UNAVAILABLE, [PUBLISH_UNKNOWN] = REFUSAL_OUTCOME_UNKNOWN };
	struct error err = { 0 };
	uint64_t seq = 0;
	enum publish_outcome outcome = sequencer_publish(gateway->sequencer, publication, &seq, &err);
	if (outcome == PUBLISH_STORED) {
		answer_stored(gateway, seq, response);
		return;
	}
	response_refuse(response, err.code == ERROR_TOO_LARGE ? REFUSAL_OVERLOADED : refusals[outcome], "%s", err.text);
	if (outcome == PUBLISH_REFUSED)
		response->retry_after_s = 1;
}

/* Nothing keeps it: there is no id, and without hubs nothing waits for them. */
static void publish_volatile(struct gateway *gateway, struct publication *publication, struct response *response)
{
	struct error err = { 0 };
	if (line_publish_volatile(gateway->line, publication, &err)) {
		response_refuse(response, REFUSAL_UNAVAILABLE, "%s", err.text);
		return;
	}
	response->status = 200;
	buffer_add_format(&response->body, "{\"success\":true,\"volatile\":true,\"hubs\":%zu}", line_hub_count(gateway->line));
}

void publish_handle(struct gateway *gateway, const struct route *route, const struct request *request, struct response *response)
{
	struct publication publication = { 0 };
	if (publish_check_body(request, gateway->max_body, response) == 0
	    && route->build(json_trim(request->body), &publication, response) == 0) {
		if (publication.is_volatile)
			publish_volatile(gateway, &publication, response);
		else
			publish_journaled(gateway, &publication, response);
	}
	publication_deinit(&publication);
}
