/* forward_message.c - requests and answers on their way between gateways. */
#include "forward_message.h"

static struct bytes cut(struct bytes text)
{
	return (struct bytes){ text.data, text.len < MESSAGE_HEADER_MAX ? text.len : MESSAGE_HEADER_MAX };
}

int forward_pack_request(const struct request *request, uint64_t counter, uint64_t deadline_ms, struct buffer *out, struct error *err)
{
	struct message message = {
		.kind = MESSAGE_FORWARD, .counter = counter, .deadline_ms = deadline_ms,
		.method = cut(request->method), .path = cut(request->path), .query = cut(request->query),
		.content_type = cut(request->content_type), .authorization = cut(request->authorization),
		.idempotency_key = cut(request->idempotency_key), .body = request->body,
		.content_length = request->content_length >= 0 ? (uint64_t)request->content_length + 1 : 0,
		.is_malformed_length = request->content_length == LENGTH_MALFORMED, .is_too_large = request->is_too_large,
	};
	return message_pack(&message, out, err);
}

void forward_read_request(const struct message *message, struct request *out)
{
	*out = (struct request){
		.method = message->method, .path = message->path, .query = message->query, .content_type = message->content_type,
		.authorization = message->authorization, .idempotency_key = message->idempotency_key, .body = message->body,
		.content_length = LENGTH_ABSENT, .is_too_large = message->is_too_large, .is_forwarded = true,
	};
	if (message->is_malformed_length)
		out->content_length = LENGTH_MALFORMED;
	else if (message->content_length && message->content_length <= INT64_MAX)
		out->content_length = (int64_t)(message->content_length - 1);
}

int forward_pack_response(const struct response *response, uint64_t counter, struct buffer *out, struct error *err)
{
	struct message message = {
		.kind = MESSAGE_ANSWER, .counter = counter, .status = response->status, .retry_after_s = response->retry_after_s,
		.allow = bytes_of(response->allow), .body = buffer_bytes(&response->body),
	};
	return message_pack(&message, out, err);
}

int forward_pack_unhandled(const char *reason, uint64_t counter, struct buffer *out, struct error *err)
{
	struct message message = {
		.kind = MESSAGE_ANSWER, .counter = counter, .status = refusal_status(REFUSAL_UNAVAILABLE), .reason = bytes_of(reason),
	};
	return message_pack(&message, out, err);
}

int forward_read_response(const struct message *message, struct response *out)
{
	if (message->status < 200 || message->status > 599 || message->allow.len >= sizeof(out->allow))
		return -1;
	out->status = (unsigned)message->status;
	out->retry_after_s = message->retry_after_s < 3600 ? (unsigned)message->retry_after_s : 3600;
	if (message->allow.len)
		memcpy(out->allow, message->allow.data, message->allow.len);
	out->allow[message->allow.len] = '\0';
	buffer_add_bytes(&out->body, message->body);
	return out->body.has_failed ? -1 : 0;
}
