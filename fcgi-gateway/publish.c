/* publish.c - from a request's body to a published event and its answer. */
#include "publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/json.h>

#include "body.h"
#include "query.h"

enum { ANSWER_ROOM = 100 }; /* bytes of an answer about its id, mostly */

/* Entity types that the publication reaches by rooms; a key for other types may not go around them. */
static int check_types(const struct api_key *key, const struct publication *publication, struct response *response)
{
	static const char prefix[] = "sync-";
	size_t len = sizeof(prefix) - 1;
	/* Also whose sockets: `room` of a control event. */
	for (size_t i = 0; key->type_count && i <= publication->rooms.count; i++) {
		struct bytes room = i < publication->rooms.count ? publication->rooms.items[i] : bytes_of(publication->room);
		if (room.len < len || memcmp(room.data, prefix, len) != 0)
			continue;
		struct bytes type = { room.data + len, room.len - len };
		if (api_key_allows_type(key, type))
			continue;
		response_refuse(response, REFUSAL_FORBIDDEN, "the API key %s is not for the entity type %.*s", key->name, (int)type.len, type.data);
		return -1;
	}
	return 0;
}

int publish_build(struct call *call, const struct route *route, struct bytes body, struct publication *publication)
{
	if ((call->key->scopes & route->scopes) != route->scopes) {
		response_refuse(call->response, REFUSAL_FORBIDDEN, "the API key %s may not call %s", call->key->name, route->path);
		return -1;
	}
	return route->build(body, publication, call->response) || check_types(call->key, publication, call->response) ? -1 : 0;
}

/* --- what stands beside the body --- */

static int read_confirm(const struct call *call, bool *wants_confirm)
{
	static const struct { const char *text; bool value; } words[] = { { "1", true }, { "true", true }, { "0", false }, { "false", false } };
	struct query_parameter parameters[] = { { .name = "confirm" }, { .name = NULL } };
	struct buffer scratch = { 0 };
	*wants_confirm = false;
	int result = query_read(call->request->query, parameters, true, &scratch, call->response);
	struct bytes value = parameters[0].value;
	bool is_known = !value.data;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !is_known; i++) {
		is_known = bytes_equal_text(value, words[i].text);
		*wants_confirm = words[i].value;
	}
	if (result == 0 && !is_known) {
		response_refuse(call->response, REFUSAL_INVALID_FIELD, "confirm: must be 1 or 0");
		result = -1;
	}
	buffer_deinit(&scratch);
	return result;
}

static int read_key(const struct call *call, struct submission *submission)
{
	const struct request *request = call->request;
	struct bytes key = request->idempotency_key;
	struct error err = { 0 };
	bool is_visible = key.len <= IDEMPOTENCY_KEY_MAX;
	if (!key.len)
		return 0;
	for (size_t i = 0; is_visible && i < key.len; i++)
		is_visible = key.data[i] > 0x20 && key.data[i] < 0x7f;
	if (!is_visible)
		response_refuse(call->response, REFUSAL_INVALID_FIELD, "Idempotency-Key: must have 1 to %d visible ASCII characters", IDEMPOTENCY_KEY_MAX);
	else if (submission->items[0].is_volatile)
		response_refuse(call->response, REFUSAL_INVALID_FIELD, "Idempotency-Key: not with a volatile event, which is kept nowhere");
	else if (submission_set_key(submission, key, request->path, request->body, &err))
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
	else
		return 0;
	return -1;
}

/* --- confirmation --- */

static void add_names(const struct line_confirmation *confirmation, bool has_confirmed, struct buffer *out)
{
	const char *comma = "";
	buffer_add_char(out, '[');
	for (size_t i = 0; i < confirmation->hubs; i++) {
		if (confirmation->items[i].has_confirmed != has_confirmed)
			continue;
		buffer_add_format(out, "%s\"%s\"", comma, confirmation->items[i].name);
		comma = ",";
	}
	buffer_add_char(out, ']');
}

static void add_unconfirmed(const char *reason, struct buffer *out)
{
	buffer_add_format(out, ",\"confirmed\":false,\"reason\":\"%s\"", reason);
}

/* Waits on the request's own thread, so no more than a part of them may. */
static void add_confirmation(struct gateway *gateway, struct place place, struct buffer *out)
{
	struct line_confirmation confirmation = { 0 };
	bool may_wait = atomic_fetch_add(&gateway->confirming, 1) < gateway->confirm_max;
	if (may_wait)
		line_confirm(gateway->line, place, CONFIRM_MS, &confirmation);
	atomic_fetch_sub(&gateway->confirming, 1);
	if (!may_wait) {
		add_unconfirmed("too many requests wait for confirmation", out);
		return;
	}
	if (!confirmation.hubs)
		add_unconfirmed("no hub is live", out);
	else if (confirmation.confirmed < confirmation.hubs)
		add_unconfirmed("not every hub has acknowledged it", out);
	else
		buffer_add_text(out, ",\"confirmed\":true");
	buffer_add_text(out, ",\"confirmedBy\":");
	add_names(&confirmation, true, out);
	buffer_add_text(out, ",\"notConfirmedBy\":");
	add_names(&confirmation, false, out);
}

/* --- answers --- */

static void answer_stored(struct call *call, const struct submission_result *result, bool wants_confirm)
{
	struct buffer *out = &call->response->body;
	size_t hubs = line_hub_count(call->gateway->line);
	call->response->status = hubs ? 200 : 202;
	buffer_reserve(out, result->answer.len + ANSWER_ROOM);
	buffer_add_text(out, "{\"success\":true,");
	buffer_add_bytes(out, buffer_bytes(&result->answer));
	buffer_add_text(out, ",\"hubs\":");
	buffer_add_number(out, hubs);
	buffer_add_text(out, hubs ? "" : ",\"queued\":true");
	buffer_add_text(out, result->outcome == SUBMISSION_REPEATED ? ",\"repeated\":true" : "");
	if (wants_confirm)
		add_confirmation(call->gateway, result->place, out);
	buffer_add_char(out, '}');
}

static void answer_conflict(struct response *response, const struct submission_result *result, bool is_batch)
{
	if (is_batch)
		snprintf(response->where, sizeof(response->where), "events[%zu]", result->conflict_at);
	response_refuse(response, REFUSAL_VERSION_CONFLICT, "ifVersion: the entity has version %" PRId64, result->server_version);
	struct buffer *out = &response->body;
	out->len--; /* the brace */
	if (is_batch)
		buffer_add_format(out, ",\"index\":%zu", result->conflict_at);
	buffer_add_format(out, ",\"serverVersion\":%" PRId64 ",\"serverData\":", result->server_version);
	buffer_add_bytes(out, buffer_bytes(&result->server_data));
	buffer_add_char(out, '}');
}

static void answer(struct call *call, const struct submission_result *result, bool is_batch, bool wants_confirm)
{
	static const enum refusal refusals[] = {
		[SUBMISSION_MISMATCH] = REFUSAL_IDEMPOTENCY_MISMATCH, [SUBMISSION_INVALID] = REFUSAL_INVALID_FIELD,
		[SUBMISSION_OVERLOADED] = REFUSAL_OVERLOADED, [SUBMISSION_REFUSED] = REFUSAL_UNAVAILABLE,
		[SUBMISSION_UNKNOWN] = REFUSAL_OUTCOME_UNKNOWN,
	};
	if (result->outcome == SUBMISSION_STORED || result->outcome == SUBMISSION_REPEATED) {
		answer_stored(call, result, wants_confirm);
	} else if (result->outcome == SUBMISSION_CONFLICT) {
		answer_conflict(call->response, result, is_batch);
	} else {
		response_refuse(call->response, refusals[result->outcome], "%s", result->err.text);
		if (result->outcome == SUBMISSION_REFUSED || result->outcome == SUBMISSION_OVERLOADED)
			call->response->retry_after_s = 1;
	}
}

/* Nothing keeps it: there is no id, and without hubs nothing waits for them. */
static void publish_volatile(struct call *call, struct publication *publication, bool wants_confirm)
{
	struct gateway *gateway = call->gateway;
	struct error err = { 0 };
	if (!sequencer_is_active(gateway->sequencer))
		error_set(&err, ERROR_UNAVAILABLE, "not the active gateway");
	if (err.code || line_publish_volatile(gateway->line, publication, &err)) {
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
		call->response->retry_after_s = 1;
		return;
	}
	struct buffer *out = &call->response->body;
	call->response->status = 200;
	buffer_add_format(out, "{\"success\":true,\"volatile\":true,\"hubs\":%zu", line_hub_count(gateway->line));
	if (wants_confirm)
		add_unconfirmed("volatile events are not acknowledged", out);
	buffer_add_char(out, '}');
}

/* --- answers that no thread waits for --- */

struct stored_later {
	struct late_answer late;
	struct request_origin origin;
	struct gateway *gateway;
	const struct route *route;
	bool is_batch;
	struct submission_result result;
};

static void write_stored(struct late_answer *late, struct response *response)
{
	struct stored_later *later = (struct stored_later *)late;
	struct call call = { .gateway = later->gateway, .route = later->route, .response = response };
	answer(&call, &later->result, later->is_batch, false);
	gateway_finish(later->gateway, true, bytes_of(later->route->path), response);
	submission_result_deinit(&later->result);
	free(later);
}

static void on_stored(void *data, struct submission_result *result)
{
	struct stored_later *later = data;
	later->result = *result;
	later->origin.answer(&later->origin, &later->late);
}

static void put_off(struct call *call, struct submission *submission)
{
	struct stored_later *later = malloc(sizeof(*later));
	if (!later) {
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "out of memory");
		return;
	}
	*later = (struct stored_later){
		.late.write = write_stored, .origin = call->request->origin, .gateway = call->gateway, .route = call->route, .is_batch = submission->is_batch,
	};
	call->response->is_late = true;
	sequencer_start(call->gateway->sequencer, submission, on_stored, later);
}

void publish_submit(struct call *call, struct submission *submission)
{
	bool wants_confirm, is_batch = submission->is_batch;
	if (read_confirm(call, &wants_confirm) || read_key(call, submission))
		return;
	if (submission->items[0].is_volatile) {
		publish_volatile(call, &submission->items[0], wants_confirm);
		return;
	}
	struct submission_result result = { 0 };
	memcpy(submission->api_key, call->key->name, sizeof(submission->api_key));
	if (!wants_confirm && call->request->origin.answer) {
		put_off(call, submission);
		return;
	}
	sequencer_submit(call->gateway->sequencer, submission, &result);
	answer(call, &result, is_batch, wants_confirm);
	submission_result_deinit(&result);
}

void publish_handle(struct call *call)
{
	struct submission submission;
	struct error err = { 0 };
	if (body_check(call->request, call->gateway->max_body, call->response))
		return;
	if (submission_init(&submission, 1, &err)) {
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
		return;
	}
	if (publish_build(call, call->route, json_trim(call->request->body), &submission.items[0]) == 0)
		publish_submit(call, &submission);
	submission_deinit(&submission);
}
