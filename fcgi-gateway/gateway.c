/* gateway.c - the way of one request: route, key, scope, handler. */
#include "gateway.h"

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "route.h"

static void answer(struct gateway *gateway, const struct request *request, struct response *response)
{
	const struct route *route = route_find(request->method, request->path, response);
	if (!route)
		return;
	const struct api_key *key = authorize(gateway->authorizer, request->authorization);
	if (!key)
		response_refuse(response, REFUSAL_UNAUTHORIZED, "%s", request->authorization.len ? "the API key is not valid"
		                : "an API key is required: Authorization: Bearer <key>");
	else if (!(key->scopes & route->scope))
		response_refuse(response, REFUSAL_FORBIDDEN, "the API key %s may not call %s", key->name, route->path);
	else
		route->handle(gateway, route, request, response);
}

/* Somebody else is active: all checks happen there. */
static bool is_standby(struct gateway *gateway, const struct request *request)
{
	return gateway->forward && !request->is_forwarded && !line_is_active(gateway->line) && forward_has_target(gateway->forward);
}

void gateway_handle(struct gateway *gateway, const struct request *request, struct response *response)
{
	static _Thread_local struct log_limit limit;
	if (is_standby(gateway, request)) {
		forward_request(gateway->forward, request, response);
		return;
	}
	answer(gateway, request, response);
	if (response->body.has_failed || !response->status)
		response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
	uint64_t now_ms = clock_monotonic_ms();
	atomic_fetch_add(&gateway->counters.requests, 1);
	rate_add(&gateway->counters.request_rate, now_ms);
	if (response->refusal) {
		atomic_fetch_add(&gateway->counters.refused[response->refusal], 1);
		log_limited(&limit, "msg=\"request refused\" status=%u code=%s path=%.*s", response->status, refusal_word(response->refusal),
		            (int)(request->path.len < 100 ? request->path.len : 100), request->path.len ? request->path.data : "");
	} else if (bytes_equal_text(request->method, "POST")) {
		atomic_fetch_add(&gateway->counters.accepted, 1);
		rate_add(&gateway->counters.publish_rate, now_ms);
	}
}
