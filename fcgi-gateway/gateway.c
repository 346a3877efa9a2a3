/* gateway.c - the way of one request: route, key, scope, limit, handler. */
#include "gateway.h"

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum { AT_ONCE_MAX = 16 << 10 }; /* bytes of a body: to check a long one would hold up others */

void gateway_refuse_rate(struct call *call, unsigned wait_s)
{
	response_refuse(call->response, REFUSAL_RATE_LIMITED, "the API key %s may not send more than %llu events and questions a second", call->key->name,
	                (unsigned long long)call->key->limit.rate);
	call->response->retry_after_s = wait_s;
}

static void answer(struct gateway *gateway, const struct request *request, struct response *response)
{
	struct call call = { .gateway = gateway, .request = request, .response = response };
	unsigned wait_s;
	call.route = route_find(request->method, request->path, response);
	if (!call.route)
		return;
	call.key = authorize(gateway->authorizer, request->authorization);
	if (!call.key)
		response_refuse(response, REFUSAL_UNAUTHORIZED, "%s", request->authorization.len ? "the API key is not valid"
		                : "an API key is required: Authorization: Bearer <key>");
	else if ((call.key->scopes & call.route->scopes) != call.route->scopes)
		response_refuse(response, REFUSAL_FORBIDDEN, "the API key %s may not call %s", call.key->name, call.route->path);
	else if (!api_key_take(call.key, 1, clock_monotonic_ms(), &wait_s))
		gateway_refuse_rate(&call, wait_s);
	else
		call.route->handle(&call);
}

/* Somebody else is active: all checks happen there. */
static bool is_standby(struct gateway *gateway, const struct request *request)
{
	return gateway->forward && !request->is_forwarded && !sequencer_is_active(gateway->sequencer) && forward_has_target(gateway->forward);
}

static void handle_here(struct gateway *gateway, const struct request *request, struct response *response)
{
	answer(gateway, request, response);
	if (!response->is_late)
		gateway_finish(gateway, bytes_equal_text(request->method, "POST"), request->path, response);
}

void gateway_handle(struct gateway *gateway, const struct request *request, struct response *response)
{
	if (is_standby(gateway, request)) {
		if (forward_request(gateway->forward, request, response) || !sequencer_is_active(gateway->sequencer))
			return;
		/* This gateway took over while it waited. */
		response_deinit(response);
		*response = (struct response){ 0 };
	}
	handle_here(gateway, request, response);
}

bool gateway_handle_at_once(struct gateway *gateway, const struct request *request, struct response *response)
{
	/* What reads the journal or asks hubs is a GET; who waits for hubs' acknowledgements says so in the query. */
	bool is_quick = bytes_equal_text(request->method, "POST") && !request->query.len && request->origin.answer
	    && request->body.len <= AT_ONCE_MAX && sequencer_is_active(gateway->sequencer);
	if (is_quick)
		handle_here(gateway, request, response);
	return is_quick;
}

/* As much of a stranger's path as forges no field of a log line. */
static int plain_len(struct bytes path)
{
	size_t len = 0;
	while (len < path.len && len < 100 && path.data[len] > ' ' && path.data[len] < 0x7f && path.data[len] != '"' && path.data[len] != '=')
		len++;
	return (int)len;
}

void gateway_finish(struct gateway *gateway, bool is_post, struct bytes path, struct response *response)
{
	static _Thread_local struct log_limit limit;
	if (response->body.has_failed || !response->status)
		response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
	uint64_t now_ms = clock_monotonic_ms();
	atomic_fetch_add(&gateway->counters.requests, 1);
	rate_add(&gateway->counters.request_rate, now_ms);
	if (response->refusal) {
		atomic_fetch_add(&gateway->counters.refused[response->refusal], 1);
		log_limited(&limit, "msg=\"request refused\" status=%u code=%s path=%.*s", response->status, refusal_word(response->refusal),
		            plain_len(path), path.len ? path.data : "");
	} else if (response->status < 300 && is_post) {
		atomic_fetch_add(&gateway->counters.accepted, 1);
		rate_add(&gateway->counters.publish_rate, now_ms);
	}
}
