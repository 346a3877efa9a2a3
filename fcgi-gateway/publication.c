/* publication.c - a publication as it is journaled. */
#include "publication.h"

#include <stdlib.h>

static void room_set_deinit(struct room_set *set)
{
	buffer_deinit(&set->text);
	if (set->items != &set->only)
		free(set->items);
	*set = (struct room_set){ 0 };
}

void publication_init(struct publication *publication)
{
	*publication = (struct publication){ .version = VERSION_NONE, .if_version = VERSION_NONE, .block_seconds = BLOCK_NONE };
}

void publication_deinit(struct publication *publication)
{
	room_set_deinit(&publication->rooms);
	room_set_deinit(&publication->except);
	buffer_deinit(&publication->body);
}

void publication_stamp(struct publication *publication, uint64_t wall_ms)
{
	publication->time_ms = wall_ms;
	if (publication->block_seconds > 0)
		publication->until_ms = wall_ms + (uint64_t)publication->block_seconds * 1000;
	else if (publication->block_seconds == 0)
		publication->until_ms = 1;
	if (!publication->stamp_at)
		return;
	char stamp[TIMESTAMP_SIZE];
	timestamp_format(wall_ms, stamp);
	memcpy(publication->body.data + publication->stamp_at, stamp, TIMESTAMP_SIZE - 1);
}

void publication_set_version(struct publication *publication, int64_t version)
{
	publication->version = version;
	publication->body.len--; /* the brace; the builder reserved what is added */
	buffer_add_text(&publication->body, ",\"version\":");
	buffer_add_number(&publication->body, (uint64_t)version);
	buffer_add_char(&publication->body, '}');
}

static enum message_kind kind_of(const struct publication *publication)
{
	if (publication->operation)
		return MESSAGE_CONTROL;
	return publication->is_volatile ? MESSAGE_VOLATILE : MESSAGE_EVENT;
}

static struct message message_of(const struct publication *publication, struct place place)
{
	return (struct message){
		.kind = kind_of(publication), .epoch = place.epoch, .seq = place.seq, .time_ms = publication->time_ms,
		.audience = publication->audience, .droppable = publication->is_volatile,
		.rooms = { publication->rooms.items, publication->rooms.count }, .except = { publication->except.items, publication->except.count },
		.exclude_user = bytes_of(publication->exclude_user), .body = buffer_bytes(&publication->body),
		.action = publication->action, .entity_type = bytes_of(publication->entity_type), .entity_id = bytes_of(publication->entity_id),
		.operation = publication->operation, .user = bytes_of(publication->user), .sid = bytes_of(publication->sid),
		.room = bytes_of(publication->room), .close = publication->closes, .until_ms = publication->until_ms,
	};
}

void publication_record(const struct publication *publication, struct place place, struct journal_record *out)
{
	*out = (struct journal_record){
		.message = message_of(publication, place), .event = bytes_of(publication->event), .user_id = bytes_of(publication->user_id),
		.version = publication->entity_id[0] ? publication->version : VERSION_NONE,
	};
	if (publication->action && publication->action != ACTION_DELETE)
		out->data = (struct bytes){ publication->body.data + publication->data_at, publication->data_len };
}

static size_t room_set_size(const struct room_set *set)
{
	return set->text.capacity + set->count * sizeof(*set->items);
}

size_t publication_size(const struct publication *publication)
{
	return sizeof(*publication) + publication->body.capacity + room_set_size(&publication->rooms) + room_set_size(&publication->except);
}
