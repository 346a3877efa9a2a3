/* batch.c - a list of events into one submission. */
#include "batch.h"

#include <stdio.h>

#include <roomcast/clock.h>
#include <roomcast/json.h>

#include "body.h"
#include "fields.h"
#include "publish.h"

static int refuse(struct response *response, const char *what)
{
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s", what);
	return -1;
}

/* *count of the array's elements. */
static int count_events(struct bytes events, size_t *count, struct response *response)
{
	struct bytes rest = events, event;
	*count = 0;
	if (json_kind(events) != JSON_ARRAY)
		return refuse(response, "events: must be an array");
	while (json_next_element(&rest, &event) && *count <= SUBMISSION_MAX)
		++*count;
	if (*count == 0)
		return refuse(response, "events: must not be empty");
	if (*count <= SUBMISSION_MAX)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "events: at most %d are allowed", SUBMISSION_MAX);
	return -1;
}

static int build_event(struct call *call, struct bytes event, struct publication *publication)
{
	struct response *response = call->response;
	struct bytes type;
	if (json_kind(event) != JSON_OBJECT)
		return refuse(response, "type: required, in an object");
	if (field_require(event, "type", "type", &type, response))
		return -1;
	const struct route *route = route_of_type(type);
	if (!route)
		return refuse(response, "type: must be the name of a call: data-change, notification, system-notification, emit, join, leave, disconnect");
	publication->is_in_batch = true;
	if (publish_build(call, route, event, publication))
		return -1;
	return publication->is_volatile ? refuse(response, "volatile: not in a batch, which is stored whole") : 0;
}

static int build_events(struct call *call, struct bytes events, struct submission *submission)
{
	struct bytes rest = events, event;
	struct response *response = call->response;
	for (size_t i = 0; json_next_element(&rest, &event); i++) {
		snprintf(response->where, sizeof(response->where), "events[%zu]", i);
		if (build_event(call, event, &submission->items[i]))
			return -1;
	}
	response->where[0] = '\0';
	return 0;
}

int batch_read(struct call *call, struct bytes body, struct submission *submission)
{
	static const char *const names[] = { "events", NULL };
	struct response *response = call->response;
	struct bytes events;
	struct error err = { 0 };
	size_t count;
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || field_require(body, "events", "events", &events, response) || count_events(events, &count, response))
		return -1;
	if (submission_init(submission, count, &err)) {
		response_refuse(response, REFUSAL_UNAVAILABLE, "%s", err.text);
		return -1;
	}
	submission->is_batch = true;
	if (build_events(call, events, submission) == 0)
		return 0;
	submission_deinit(submission);
	return -1;
}

void batch_handle(struct call *call)
{
	struct submission submission;
	unsigned wait_s;
	if (body_check(call->request, call->gateway->max_body, call->response)
	    || batch_read(call, json_trim(call->request->body), &submission))
		return;
	/* The request itself was counted as one. */
	if (submission.count == 1 || api_key_take(call->key, submission.count - 1, clock_monotonic_ms(), &wait_s))
		publish_submit(call, &submission);
	else
		gateway_refuse_rate(call, wait_s);
	submission_deinit(&submission);
}
