/* journal_columns.c - records to rows and back. */
#include "journal_columns.h"

#include <stdlib.h>

#define AT(member) offsetof(struct journal_record, member)

const struct journal_column journal_columns[JOURNAL_COLUMN_COUNT] = {
	{ "epoch", COLUMN_NUMBER, AT(message.epoch), false },
	{ "seq", COLUMN_NUMBER, AT(message.seq), false },
	{ "time_ms", COLUMN_NUMBER, AT(message.time_ms), false },
	{ "kind", COLUMN_KIND, AT(message.kind), false },
	{ "audience", COLUMN_NUMBER, AT(message.audience), false },
	{ "rooms", COLUMN_LIST, AT(message.rooms), true },
	{ "except_rooms", COLUMN_LIST, AT(message.except), true },
	{ "exclude_user", COLUMN_TEXT, AT(message.exclude_user), true },
	{ "exclude_sid", COLUMN_TEXT, AT(message.exclude_sid), true },
	{ "event", COLUMN_TEXT, AT(event), true },
	{ "entity_type", COLUMN_TEXT, AT(message.entity_type), true },
	{ "entity_id", COLUMN_TEXT, AT(message.entity_id), true },
	{ "action", COLUMN_NUMBER, AT(message.action), true },
	{ "version", COLUMN_VERSION, AT(version), true },
	{ "operation", COLUMN_NUMBER, AT(message.operation), true },
	{ "until_ms", COLUMN_NUMBER, AT(message.until_ms), true },
	{ "closes", COLUMN_NUMBER, AT(message.close), true },
	{ "for_user", COLUMN_TEXT, AT(message.user), true },
	{ "for_sid", COLUMN_TEXT, AT(message.sid), true },
	{ "for_room", COLUMN_TEXT, AT(message.room), true },
	{ "publisher_user", COLUMN_TEXT, AT(user_id), true },
	{ "api_key", COLUMN_TEXT, AT(api_key), true },
	{ "idempotency_key", COLUMN_BLOB, AT(idempotency_key), true },
	{ "body_hash", COLUMN_BLOB, AT(body_hash), true },
	{ "body", COLUMN_BLOB, AT(message.body), true },
};

static const void *const_place_of(const struct journal_record *record, const struct journal_column *column)
{
	return (const char *)record + column->offset;
}

static void *place_of(struct journal_record *record, const struct journal_column *column)
{
	return (char *)record + column->offset;
}

void journal_column_get(const struct journal_column *column, const struct journal_record *record, struct buffer *list, struct journal_value *out)
{
	const void *place = const_place_of(record, column);
	*out = (struct journal_value){ 0 };
	switch (column->type) {
	case COLUMN_NUMBER:
		out->number = (int64_t)*(const uint64_t *)place;
		out->is_null = column->is_optional && !out->number;
		break;
	case COLUMN_KIND:
		out->number = *(const enum message_kind *)place;
		break;
	case COLUMN_VERSION:
		out->number = *(const int64_t *)place;
		out->is_null = out->number == VERSION_NONE;
		break;
	case COLUMN_LIST:
		buffer_clear(list);
		message_list_write(*(const struct message_list *)place, list);
		out->text = buffer_bytes(list);
		out->is_null = !out->text.len;
		break;
	case COLUMN_TEXT:
	case COLUMN_BLOB:
		out->text = *(const struct bytes *)place;
		out->is_null = !out->text.len;
		break;
	}
}

int journal_column_set(const struct journal_column *column, const struct journal_value *value, struct journal_record *record, struct error *err)
{
	void *place = place_of(record, column);
	switch (column->type) {
	case COLUMN_NUMBER:
		*(uint64_t *)place = value->is_null ? 0 : (uint64_t)value->number;
		return 0;
	case COLUMN_KIND:
		if (value->number != MESSAGE_EVENT && value->number != MESSAGE_CONTROL)
			return error_set(err, ERROR_SYSTEM, "a record of the unknown kind %lld", (long long)value->number);
		*(enum message_kind *)place = (enum message_kind)value->number;
		return 0;
	case COLUMN_VERSION:
		*(int64_t *)place = value->is_null ? VERSION_NONE : value->number;
		return 0;
	case COLUMN_LIST:
		return message_list_read(value->is_null ? (struct bytes){ 0 } : value->text, place, err);
	case COLUMN_TEXT:
	case COLUMN_BLOB:
		*(struct bytes *)place = value->is_null ? (struct bytes){ 0 } : value->text;
		return 0;
	}
	return 0;
}

static void release_list(struct message_list *list)
{
	free((void *)(uintptr_t)list->items);
	*list = (struct message_list){ 0 };
}

void journal_record_release(struct journal_record *record)
{
	release_list(&record->message.rooms);
	release_list(&record->message.except);
}

void journal_columns_expand(const char *sql, struct buffer *out)
{
	static const char mark[] = "#columns";
	const char *at = strstr(sql, mark);
	buffer_add(out, sql, at ? (size_t)(at - sql) : strlen(sql));
	for (size_t i = 0; at && i < JOURNAL_COLUMN_COUNT; i++)
		buffer_add_format(out, "%s%s", i ? ", " : "", journal_columns[i].name);
	if (at)
		buffer_add_text(out, at + sizeof(mark) - 1);
}

void journal_columns_add_definitions(const char *const types[], struct buffer *out)
{
	for (size_t i = 0; i < JOURNAL_COLUMN_COUNT; i++) {
		const struct journal_column *column = &journal_columns[i];
		buffer_add_format(out, "%s%s %s%s", i ? ", " : "", column->name, types[column->type], column->is_optional ? "" : " NOT NULL");
	}
}

uint64_t journal_id_of(struct place place, const struct journal_epoch *following, size_t count)
{
	bool is_known = count && following[0].epoch == place.epoch;
	uint64_t end = count > (size_t)is_known ? following[is_known].base : INT64_MAX;
	if (!is_known)
		return end;
	return place.seq < end - following[0].base ? following[0].base + place.seq : end;
}

int journal_window_find(uint64_t first, uint64_t last, int (*fits)(void *data, uint64_t id, struct error *err), void *data, uint64_t *out,
                        struct error *err)
{
	uint64_t low = first, high = last + 1; /* high fits */
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int result = fits(data, middle, err);
		if (result < 0)
			return -1;
		if (result)
			high = middle;
		else
			low = middle + 1;
	}
	*out = high;
	return 0;
}
