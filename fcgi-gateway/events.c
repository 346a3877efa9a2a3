/* events.c - a page of the log. */
#include "events.h"

#include <inttypes.h>

#include <roomcast/json.h>

#include "gateway.h"
#include "query.h"

enum { STEP = 32, READER_MS = 1000 }; /* records read at once; how long to wait for a reader */

/* --- a record as JSON --- */

static void add_text(const char *name, struct bytes text, struct buffer *out)
{
	if (!text.len)
		return;
	buffer_add_format(out, ",\"%s\":", name);
	buffer_add_json_string(out, text);
}

static void add_time(const char *name, uint64_t wall_ms, struct buffer *out)
{
	char stamp[TIMESTAMP_SIZE];
	timestamp_format(wall_ms, stamp);
	add_text(name, bytes_of(stamp), out);
}

static void add_list(const char *name, struct message_list list, struct buffer *out)
{
	if (!list.count)
		return;
	buffer_add_format(out, ",\"%s\":[", name);
	for (size_t i = 0; i < list.count; i++) {
		if (i)
			buffer_add_char(out, ',');
		buffer_add_json_string(out, list.items[i]);
	}
	buffer_add_char(out, ']');
}

/* What stands behind the event's name, as it was written. */
static void add_args(struct bytes body, struct buffer *out)
{
	struct bytes rest = body, token;
	if (json_next_token(&rest, &token))
		(void)json_next_token(&rest, &token); /* the comma */
	buffer_add_text(out, ",\"args\":[");
	buffer_add_bytes(out, rest);
	buffer_add_char(out, ']');
}

static void add_control(const struct message *message, struct buffer *out)
{
	static const char *const operations[CONTROL_END] = { [CONTROL_JOIN] = "join", [CONTROL_LEAVE] = "leave", [CONTROL_DISCONNECT] = "disconnect" };
	add_text("control", bytes_of(message->operation < CONTROL_END ? operations[message->operation] : NULL), out);
	add_text("targetUserId", message->user, out);
	add_text("targetSid", message->sid, out);
	add_text("targetRoom", message->room, out);
	add_list("rooms", message->rooms, out);
	if (message->close)
		buffer_add_text(out, ",\"close\":true");
	if (message->until_ms)
		add_time("blockedUntil", message->until_ms, out);
}

static void add_event(const struct journal_record *record, struct buffer *out)
{
	static const char *const actions[ACTION_END] = { [ACTION_CREATE] = "CREATE", [ACTION_UPDATE] = "UPDATE", [ACTION_DELETE] = "DELETE" };
	const struct message *message = &record->message;
	add_text("event", record->event, out);
	add_text("entityType", message->entity_type, out);
	add_text("entityId", message->entity_id, out);
	add_text("action", bytes_of(message->action < ACTION_END ? actions[message->action] : NULL), out);
	if (record->version != VERSION_NONE)
		buffer_add_format(out, ",\"version\":%" PRId64, record->version);
	add_text("userId", record->user_id, out);
	add_text("excludeUserId", message->exclude_user, out);
	add_list("rooms", message->rooms, out);
	add_list("except", message->except, out);
	add_args(message->body, out);
}

void events_add_record(const struct journal_record *record, struct buffer *out)
{
	char id[PLACE_TEXT_SIZE];
	place_format((struct place){ record->message.epoch, record->message.seq }, id);
	buffer_add_format(out, "{\"id\":\"%s\"", id);
	add_time("time", record->message.time_ms, out);
	if (record->message.kind == MESSAGE_CONTROL)
		add_control(&record->message, out);
	else
		add_event(record, out);
	buffer_add_char(out, '}');
}

/* --- a page --- */

struct page {
	struct buffer *out;
	struct place last;   /* of what was added */
	size_t limit, count, start;
	bool has_more;
};

static void add_to_page(void *data, const struct journal_record *record)
{
	struct page *page = data;
	size_t size = page->out->len - page->start + record->message.body.len;
	if (page->has_more || page->count == page->limit || (page->count && size > EVENTS_PAGE_BYTES)) {
		page->has_more = true;
		return;
	}
	if (page->count)
		buffer_add_char(page->out, ',');
	events_add_record(record, page->out);
	page->last = (struct place){ record->message.epoch, record->message.seq };
	page->count++;
}

/* A few at a time, so that no more is read than about what the page holds; one past the page tells whether there is more. */
static int fill_page(struct journal_reader *reader, const struct journal_query *wanted, struct page *page, struct error *err)
{
	struct journal_query query = *wanted;
	for (long got = STEP; got == STEP && !page->has_more;) {
		query.after = page->last;
		query.limit = STEP;
		got = reader->operations->query(reader, &query, add_to_page, page, err);
		if (got < 0)
			return -1;
	}
	return 0;
}

/* How far the log behind `after` was thrown away already: whether the reader missed something for ever. An epoch's end
 * in front of `after` means that the log is another one than it was. *newest: the newest event's. */
static int judge_complete(struct journal_reader *reader, struct place after, bool *is_complete, struct place *newest, struct error *err)
{
	struct place epochs[MESSAGE_EPOCHS_MAX];
	struct journal_extent extent;
	long count = reader->operations->epochs(reader, epochs, MESSAGE_EPOCHS_MAX, err);
	if (count < 0 || reader->operations->extent(reader, &extent, err))
		return -1;
	*newest = extent.last;
	bool is_known = after.epoch == 0 && count < MESSAGE_EPOCHS_MAX;
	*is_complete = true;
	for (long i = 0; i < count; i++) {
		struct place end = epochs[i];
		uint64_t from = end.epoch == after.epoch ? after.seq : 0;
		if (end.epoch == after.epoch)
			is_known = after.seq <= end.seq;
		if (end.epoch < after.epoch || end.epoch > extent.first.epoch)
			continue;
		uint64_t gone = end.epoch == extent.first.epoch ? extent.first.seq - 1 : end.seq;
		*is_complete = *is_complete && gone <= from;
	}
	*is_complete = *is_complete && is_known;
	return 0;
}

static int answer(struct journal_reader *reader, const struct journal_query *query, struct response *response, struct error *err)
{
	struct buffer *out = &response->body;
	bool is_complete;
	struct place newest;
	char next[PLACE_TEXT_SIZE];
	if (judge_complete(reader, query->after, &is_complete, &newest, err))
		return -1;
	buffer_add_text(out, "{\"success\":true,\"events\":[");
	struct page page = { .out = out, .last = query->after, .limit = query->limit, .start = out->len };
	if (fill_page(reader, query, &page, err))
		return -1;
	/* What was not shown up to there did not match; whoever asks for few does not fall behind what is kept. */
	place_format(page.has_more ? page.last : place_larger(page.last, newest), next);
	buffer_add_format(out, "],\"next\":\"%s\",\"more\":%s,\"complete\":%s}", next, page.has_more ? "true" : "false", is_complete ? "true" : "false");
	response->status = 200;
	return 0;
}

/* --- what is asked --- */

static int refuse(struct response *response, const char *what)
{
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s", what);
	return -1;
}

static int read_limit(struct bytes value, size_t *out, struct response *response)
{
	int64_t limit = EVENTS_LIMIT_DEFAULT;
	if (value.data && (!value.len || value.data[0] == '-' || !json_int64(value, &limit) || limit < 1 || limit > EVENTS_LIMIT_MAX)) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "limit: must be a number from 1 to %d", EVENTS_LIMIT_MAX);
		return -1;
	}
	*out = (size_t)limit;
	return 0;
}

/* Views into scratch. */
static int read_query(const struct call *call, struct journal_query *query, struct buffer *scratch)
{
	struct query_parameter parameters[] = {
		{ .name = "after" }, { .name = "entityType" }, { .name = "entityId" }, { .name = "limit" }, { .name = NULL },
	};
	struct response *response = call->response;
	if (query_read(call->request->query, parameters, false, scratch, response) || read_limit(parameters[3].value, &query->limit, response))
		return -1;
	struct bytes after = parameters[0].value, type = parameters[1].value, id = parameters[2].value;
	if (after.data && !place_parse(after, &query->after))
		return refuse(response, "after: must be the id of an event, or next of the page before: <epoch>.<seq>");
	if ((type.data && !type.len) || (id.data && !id.len))
		return refuse(response, id.data && !id.len ? "entityId: must not be empty" : "entityType: must not be empty");
	if (id.len && !type.len)
		return refuse(response, "entityId: only together with entityType");
	query->entity_type = type;
	query->entity_id = id;
	if (call->key->type_count && !type.len)
		response_refuse(response, REFUSAL_FORBIDDEN, "the API key %s is for some entity types only: give entityType", call->key->name);
	else if (type.len && !api_key_allows_type(call->key, type))
		response_refuse(response, REFUSAL_FORBIDDEN, "the API key %s is not for the entity type %.*s", call->key->name, (int)type.len, type.data);
	else
		return 0;
	return -1;
}

void events_handle(struct call *call)
{
	struct journal_query query = { .limit = 0 };
	struct buffer scratch = { 0 };
	struct error err = { 0 };
	struct journal_reader *reader = NULL;
	if (read_query(call, &query, &scratch))
		goto out;
	reader = readers_take(call->gateway->readers, READER_MS);
	if (!reader) {
		response_refuse(call->response, REFUSAL_OVERLOADED, "too many read the log already");
		call->response->retry_after_s = 1;
	} else if (answer(reader, &query, call->response, &err)) {
		response_refuse(call->response, REFUSAL_UNAVAILABLE, "%s", err.text);
		call->response->retry_after_s = 1;
	}
out:
	if (reader)
		readers_give(call->gateway->readers, reader);
	buffer_deinit(&scratch);
}
