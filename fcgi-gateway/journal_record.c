/* journal_record.c - records, whichever journal keeps them. */
#include "journal_record.h"

#include <inttypes.h>
#include <stdlib.h>

enum { RECORD_OVERHEAD = 64 }; /* bytes that numbers and bookkeeping count for */

/* Every text of a record by its place; those of the message are what EVENT and CONTROL may carry. */
static const struct text {
	const char *name;
	size_t offset;
	size_t max;
} texts[] = {
	{ "exclude_user", offsetof(struct journal_record, message.exclude_user), MESSAGE_NAME_MAX },
	{ "exclude_sid", offsetof(struct journal_record, message.exclude_sid), MESSAGE_NAME_MAX },
	{ "user", offsetof(struct journal_record, message.user), MESSAGE_NAME_MAX },
	{ "sid", offsetof(struct journal_record, message.sid), MESSAGE_NAME_MAX },
	{ "room", offsetof(struct journal_record, message.room), MESSAGE_NAME_MAX },
	{ "entity type", offsetof(struct journal_record, message.entity_type), MESSAGE_NAME_MAX },
	{ "entity id", offsetof(struct journal_record, message.entity_id), MESSAGE_NAME_MAX },
	{ "event", offsetof(struct journal_record, event), MESSAGE_NAME_MAX },
	{ "user id", offsetof(struct journal_record, user_id), MESSAGE_NAME_MAX },
	{ "API key", offsetof(struct journal_record, api_key), MESSAGE_NAME_MAX },
};
enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static const size_t blobs[] = {
	offsetof(struct journal_record, message.body), offsetof(struct journal_record, idempotency_key), offsetof(struct journal_record, body_hash),
};
enum { BLOB_COUNT = sizeof(blobs) / sizeof(blobs[0]) };

static const size_t lists[] = { offsetof(struct journal_record, message.rooms), offsetof(struct journal_record, message.except) };
enum { LIST_COUNT = sizeof(lists) / sizeof(lists[0]) };

static const struct bytes *bytes_at(const struct journal_record *record, size_t offset)
{
	return (const struct bytes *)(const void *)((const char *)record + offset);
}

static const struct message_list *list_at(const struct journal_record *record, size_t offset)
{
	return (const struct message_list *)(const void *)((const char *)record + offset);
}

static size_t list_len(const struct message_list *list)
{
	size_t len = 0;
	for (size_t i = 0; i < list->count; i++)
		len += list->items[i].len;
	return len;
}

static size_t content_len(const struct journal_record *record)
{
	size_t len = 0;
	for (size_t i = 0; i < TEXT_COUNT; i++)
		len += bytes_at(record, texts[i].offset)->len;
	for (size_t i = 0; i < BLOB_COUNT; i++)
		len += bytes_at(record, blobs[i])->len;
	for (size_t i = 0; i < LIST_COUNT; i++)
		len += list_len(list_at(record, lists[i]));
	return len;
}

size_t journal_record_size(const struct journal_record *record)
{
	return RECORD_OVERHEAD + content_len(record);
}

int journal_record_pack(const struct journal_record *record, struct buffer *out, struct error *err)
{
	return message_pack(&record->message, out, err);
}

static struct bytes copy(char **free_place, struct bytes bytes)
{
	struct bytes result = { *free_place, bytes.len };
	if (bytes.len)
		memcpy(*free_place, bytes.data, bytes.len);
	*free_place += bytes.len;
	return bytes.len ? result : (struct bytes){ 0 };
}

struct journal_record *journal_record_dup(const struct journal_record *record)
{
	size_t items = 0;
	for (size_t i = 0; i < LIST_COUNT; i++)
		items += list_at(record, lists[i])->count;
	struct journal_record *dup = malloc(sizeof(*dup) + items * sizeof(struct bytes) + content_len(record));
	if (!dup)
		return NULL;
	*dup = *record;
	dup->data = (struct bytes){ 0 };
	struct bytes *item = (struct bytes *)(void *)(dup + 1);
	char *place = (char *)(item + items);
	for (size_t i = 0; i < TEXT_COUNT; i++)
		*(struct bytes *)(void *)((char *)dup + texts[i].offset) = copy(&place, *bytes_at(record, texts[i].offset));
	for (size_t i = 0; i < BLOB_COUNT; i++)
		*(struct bytes *)(void *)((char *)dup + blobs[i]) = copy(&place, *bytes_at(record, blobs[i]));
	for (size_t i = 0; i < LIST_COUNT; i++) {
		const struct message_list *list = list_at(record, lists[i]);
		*(struct message_list *)(void *)((char *)dup + lists[i]) = (struct message_list){ item, list->count };
		for (size_t j = 0; j < list->count; j++)
			*item++ = copy(&place, list->items[j]);
	}
	return dup;
}

static bool is_clean(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 0x20)
			return false;
	return true;
}

static int check_texts(const struct journal_record *record, struct error *err)
{
	for (size_t i = 0; i < TEXT_COUNT; i++) {
		const struct bytes *text = bytes_at(record, texts[i].offset);
		if (text->len > texts[i].max)
			return error_set(err, ERROR_TOO_LARGE, "%s: has %zu bytes, at most %zu are kept", texts[i].name, text->len, texts[i].max);
		if (!is_clean(*text))
			return error_set(err, ERROR_INVALID, "%s: must not contain control characters", texts[i].name);
	}
	for (size_t i = 0; i < LIST_COUNT; i++) {
		const struct message_list *list = list_at(record, lists[i]);
		if (list->count > MESSAGE_LIST_MAX)
			return error_set(err, ERROR_TOO_LARGE, "rooms: at most %d are kept", MESSAGE_LIST_MAX);
		for (size_t j = 0; j < list->count; j++)
			if (!is_clean(list->items[j]) || list->items[j].len > MESSAGE_NAME_MAX)
				return error_set(err, ERROR_INVALID, "rooms: have at most %d bytes and no control characters", MESSAGE_NAME_MAX);
	}
	return 0;
}

int journal_record_check(const struct journal_record *record, struct place last, struct error *err)
{
	const struct message *message = &record->message;
	if (message->epoch != last.epoch || message->seq != last.seq + 1)
		return error_set(err, ERROR_INVALID, "seq %" PRIu64 " of epoch %" PRIu64 " does not follow %" PRIu64, message->seq, message->epoch, last.seq);
	if (message->kind != MESSAGE_EVENT && message->kind != MESSAGE_CONTROL)
		return error_set(err, ERROR_INVALID, "a message of kind %s is not journaled", message_kind_name(message->kind));
	if (record->version != VERSION_NONE && (record->version < 0 || !message->entity_type.len || !message->entity_id.len))
		return error_set(err, ERROR_INVALID, "version: belongs to an entity and is not negative");
	if (record->body_hash.len && record->body_hash.len != BODY_HASH_LEN)
		return error_set(err, ERROR_INVALID, "a hash has %d bytes", BODY_HASH_LEN);
	if (record->idempotency_key.len > IDEMPOTENCY_KEY_MAX)
		return error_set(err, ERROR_TOO_LARGE, "an idempotency key has at most %d bytes", IDEMPOTENCY_KEY_MAX);
	return check_texts(record, err);
}

int journal_record_standing(const struct journal_record *record, const struct standing_change *change, struct error *err)
{
	const struct message *message = &record->message;
	if (message->kind != MESSAGE_CONTROL || !message->user.len)
		return 0;
	bool is_join = message->operation == CONTROL_JOIN;
	if (message->operation == CONTROL_DISCONNECT && message->until_ms)
		return change->block(change->data, message->user, message->until_ms > message->time_ms ? message->until_ms : 0, err);
	if (!is_join && message->operation != CONTROL_LEAVE)
		return 0;
	for (size_t i = 0; i < message->rooms.count; i++)
		if (change->grant(change->data, message->user, message->rooms.items[i], is_join, err))
			return -1;
	return 0;
}

void message_list_write(struct message_list list, struct buffer *out)
{
	for (size_t i = 0; i < list.count; i++) {
		buffer_add_bytes(out, list.items[i]);
		buffer_add_char(out, '\n');
	}
}

int message_list_read(struct bytes text, struct message_list *out, struct error *err)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == '\n';
	*out = (struct message_list){ 0 };
	if (!count)
		return 0;
	struct bytes *items = calloc(count, sizeof(*items));
	if (!items)
		return error_set(err, ERROR_UNAVAILABLE, "no memory for a list of %zu", count);
	const char *place = text.data;
	for (size_t i = 0; i < count; i++) {
		const char *end = memchr(place, '\n', text.len - (size_t)(place - text.data));
		items[i] = (struct bytes){ place, (size_t)(end - place) };
		place = end + 1;
	}
	*out = (struct message_list){ items, count };
	return 0;
}
