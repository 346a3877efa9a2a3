/* publication.c - a publication as it is journaled. */
#include "publication.h"

#include <stdlib.h>

static void room_set_deinit(struct room_set *set)
{
	buffer_deinit(&set->text);
	free(set->items);
	*set = (struct room_set){ 0 };
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
	if (!publication->stamp_at)
		return;
	char stamp[TIMESTAMP_SIZE];
	timestamp_format(wall_ms, stamp);
	memcpy(publication->body.data + publication->stamp_at, stamp, TIMESTAMP_SIZE - 1);
}

void publication_record(const struct publication *publication, struct place place, struct journal_record *out)
{
	*out = (struct journal_record){ .version = VERSION_NONE };
	out->message = (struct message){
		.kind = publication->is_volatile ? MESSAGE_VOLATILE : MESSAGE_EVENT,
		.epoch = place.epoch,
		.seq = place.seq,
		.droppable = publication->is_volatile,
		.time_ms = publication->time_ms,
		.audience = publication->audience,
		.exclude_user = bytes_of(publication->exclude_user),
		.rooms = { publication->rooms.items, publication->rooms.count },
		.except = { publication->except.items, publication->except.count },
		.body = buffer_bytes(&publication->body),
	};
}
