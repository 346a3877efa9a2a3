/* outbox_rows.c - from rows to the sequencer and back. */
#include "outbox_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include <roomcast/json.h>

#include "batch.h"
#include "body.h"
#include "publish.h"

enum statement { READ, DELETE, PUT_ASIDE, STATEMENT_COUNT };

/* Never by a cursor over positions: what becomes visible late is read when it does. */
static const char *const texts[STATEMENT_COUNT] = {
	[READ] = "SELECT id::text, call, CASE WHEN octet_length(body) <= $2::bigint THEN body END,"
	         " (extract(epoch FROM clock_timestamp() - created_at) * 1000)::bigint"
	         " FROM roomcast_outbox WHERE failure IS NULL ORDER BY position LIMIT $1::bigint",
	[DELETE] = "DELETE FROM roomcast_outbox WHERE id = ANY ($1::text[]::uuid[])",
	[PUT_ASIDE] = ("UPDATE roomcast_outbox AS o SET failure = bad.reason, failed_at = clock_timestamp()"
	               " FROM unnest($1::text[]::uuid[], $2::text[]) AS bad (id, reason) WHERE o.id = bad.id"),
};

int outbox_rows_prepare(struct postgres *session, struct error *err)
{
	return postgres_prepare(session, texts, STATEMENT_COUNT, err);
}

/* --- reading --- */

static int add_row(void *data, const PGresult *result, struct error *err)
{
	struct outbox_rows *rows = data;
	struct outbox_row *row = &rows->items[rows->count];
	struct bytes id = postgres_bytes(result, 0, 0), call = postgres_bytes(result, 0, 1);
	if (!rows->count)
		rows->oldest_s = (double)postgres_number(result, 0, 3) / 1000;
	snprintf(row->id, sizeof(row->id), "%.*s", (int)id.len, id.data);
	/* One too long is none of ours either when it is cut. */
	snprintf(row->path, sizeof(row->path), "/%.*s", (int)(call.len < OUTBOX_CALL_MAX ? call.len : OUTBOX_CALL_MAX), call.data);
	row->is_too_large = PQgetisnull(result, 0, 2);
	buffer_add_bytes(&row->body, postgres_bytes(result, 0, 2));
	rows->count++;
	return row->body.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : 0;
}

int outbox_rows_read(struct postgres *session, struct outbox_rows *out, struct error *err)
{
	struct postgres_params params = { 0 };
	postgres_add_number(&params, OUTBOX_ROWS_MAX);
	postgres_add_number(&params, (int64_t)out->max_body);
	return postgres_each(session, READ, &params, add_row, out, err) < 0 ? -1 : 0;
}

void outbox_rows_clear(struct outbox_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		buffer_deinit(&rows->items[i].body);
	*rows = (struct outbox_rows){ .max_body = rows->max_body };
}

/* --- submitting --- */

static void decide(struct outbox_row *row, enum outbox_fate fate, const char *reason)
{
	row->fate = fate;
	snprintf(row->reason, sizeof(row->reason), "%s", reason);
}

/* What an HTTP answer would have said. */
static void refuse(struct outbox_row *row, const struct response *response)
{
	struct bytes error;
	char text[1024] = "refused";
	if (response->body.data && json_member(buffer_bytes(&response->body), "error", &error) && error.len < sizeof(text))
		json_string_decode(error, text, sizeof(text));
	/* Nothing is wrong with the row when there is no memory. */
	decide(row, response->refusal == REFUSAL_UNAVAILABLE ? OUTBOX_WAITING : OUTBOX_BAD, text);
}

static int build_one(struct call *call, struct submission *submission)
{
	struct error err = { 0 };
	if (submission_init(submission, 1, &err)) {
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
		return -1;
	}
	if (publish_build(call, call->route, json_trim(call->request->body), &submission->items[0]) == 0) {
		if (!submission->items[0].is_volatile)
			return 0;
		response_refuse(call->response, REFUSAL_INVALID_FIELD, "volatile: not from the outbox, which keeps what it is given");
	}
	submission_deinit(submission);
	return -1;
}

/* As a POST would be checked; the submission then has the row's id as its key. */
static int build(struct call *call, const struct outbox_row *row, struct submission *submission)
{
	const struct request *request = call->request;
	struct error err = { 0 };
	if (body_check(request, call->gateway->max_body, call->response))
		return -1;
	call->route = route_find(request->method, request->path, call->response);
	if (!call->route)
		return -1;
	if (call->route->build ? build_one(call, submission) : batch_read(call, json_trim(request->body), submission))
		return -1;
	if (submission_set_key(submission, bytes_of(row->id), request->path, request->body, &err) == 0) {
		snprintf(submission->api_key, sizeof(submission->api_key), "%s", call->key->name);
		return 0;
	}
	response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
	submission_deinit(submission);
	return -1;
}

/* 0: submission is to be submitted; -1: the row's fate is decided. */
static int prepare(struct outbox_row *row, struct gateway *gateway, struct api_key *key, struct submission *submission)
{
	struct response response = { 0 };
	struct request request = {
		.method = bytes_of("POST"), .path = bytes_of(row->path), .content_type = bytes_of("application/json"), .body = buffer_bytes(&row->body),
		.content_length = (int64_t)row->body.len, .is_too_large = row->is_too_large,
	};
	struct call call = { .gateway = gateway, .key = key, .request = &request, .response = &response };
	int result = build(&call, row, submission);
	if (result)
		refuse(row, &response);
	response_deinit(&response);
	return result;
}

static void judge(struct outbox_row *row, const struct submission_result *result)
{
	static const enum outbox_fate fates[] = {
		[SUBMISSION_STORED] = OUTBOX_DONE, [SUBMISSION_REPEATED] = OUTBOX_DONE,
		[SUBMISSION_MISMATCH] = OUTBOX_BAD, [SUBMISSION_CONFLICT] = OUTBOX_BAD, [SUBMISSION_INVALID] = OUTBOX_BAD,
		[SUBMISSION_OVERLOADED] = OUTBOX_WAITING, [SUBMISSION_REFUSED] = OUTBOX_WAITING, [SUBMISSION_UNKNOWN] = OUTBOX_WAITING,
	};
	decide(row, fates[result->outcome], result->err.text);
	if (result->outcome == SUBMISSION_CONFLICT)
		snprintf(row->reason, sizeof(row->reason), "ifVersion: the entity has version %lld", (long long)result->server_version);
}

void outbox_rows_submit(struct outbox_rows *rows, struct gateway *gateway, struct api_key *key)
{
	struct submission *submissions = calloc(rows->count, sizeof(*submissions));
	struct submission_result *results = calloc(rows->count, sizeof(*results));
	struct outbox_row *rows_of[OUTBOX_ROWS_MAX];
	size_t count = 0;
	if (submissions && results) {
		for (size_t i = 0; i < rows->count; i++) {
			if (prepare(&rows->items[i], gateway, key, &submissions[count]) == 0)
				rows_of[count++] = &rows->items[i];
			else if (rows->items[i].fate == OUTBOX_WAITING)
				break; /* nothing overtakes it */
		}
		sequencer_submit_all(gateway->sequencer, submissions, results, count);
	}
	for (size_t i = 0; i < count; i++) {
		judge(rows_of[i], &results[i]);
		submission_result_deinit(&results[i]);
	}
	free(submissions);
	free(results);
}

/* --- settling --- */

static int send_ids(struct postgres *session, enum statement which, const struct outbox_rows *rows, enum outbox_fate fate, size_t *sent, struct error *err)
{
	struct postgres_array ids = { 0 }, reasons = { 0 };
	struct postgres_params params = { 0 };
	int result = 0;
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->items[i].fate != fate)
			continue;
		postgres_array_add_bytes(&ids, bytes_of(rows->items[i].id));
		postgres_array_add_bytes(&reasons, bytes_of(rows->items[i].reason));
	}
	if (ids.count) {
		result = postgres_add_array(&params, &ids, POSTGRES_TEXT, err)
		    || (fate == OUTBOX_BAD && postgres_add_array(&params, &reasons, POSTGRES_TEXT, err))
		    || postgres_pipeline_send(session, which, &params, err) ? -1 : 0;
		*sent += result == 0;
	}
	buffer_deinit(&ids.data);
	buffer_deinit(&reasons.data);
	return result;
}

int outbox_rows_settle(struct postgres *session, const struct outbox_rows *rows, struct error *err)
{
	struct postgres_outcome outcome;
	size_t sent = 0;
	postgres_pipeline_begin(session);
	if (send_ids(session, DELETE, rows, OUTBOX_DONE, &sent, err) || send_ids(session, PUT_ASIDE, rows, OUTBOX_BAD, &sent, err)) {
		session->is_lost = true; /* in the middle of a pipeline */
		return -1;
	}
	return postgres_pipeline_finish(session, sent, NULL, NULL, &outcome, err);
}
