/* publication.c - a publication as it is packed for the hubs. */
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

int publication_pack(const struct publication *publication, const struct message *frame, struct buffer *out, struct error *err)
{
	struct message message = *frame;
	message.kind = publication->is_volatile ? MESSAGE_VOLATILE : MESSAGE_EVENT;
	message.droppable = publication->is_volatile;
	message.time_ms = publication->time_ms;
	message.audience = publication->audience;
	message.exclude_user = bytes_of(publication->exclude_user);
	message.rooms = (struct message_list){ publication->rooms.items, publication->rooms.count };
	message.except = (struct message_list){ publication->except.items, publication->except.count };
	message.body = buffer_bytes(&publication->body);
	return message_pack(&message, out, err);
}
