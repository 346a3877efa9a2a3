/* publication_controls.c - one builder for each call that acts on sockets: whose, and what. */
#include "fields.h"

/* Exactly one of userId, sid and room. */
static int read_selector(struct bytes body, struct publication *publication, struct response *response)
{
	struct bytes user = field_find(body, "userId"), sid = field_find(body, "sid"), room = field_find(body, "room");
	if (!!user.len + !!sid.len + !!room.len != 1) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "userId: exactly one of userId, sid and room is required");
		return -1;
	}
	if (user.len)
		return field_id(user, "userId", publication->user, response);
	if (sid.len)
		return field_text(sid, "sid", (struct text_rule){ 1, SOCKET_ID_MAX }, publication->sid, response);
	return field_text(room, "room", (struct text_rule){ 1, ROOM_NAME_MAX }, publication->room, response);
}

static int read_rooms(struct bytes body, enum control_operation operation, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "userId", "sid", "room", "rooms", NULL };
	struct bytes rooms;
	publication->operation = operation;
	return field_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || read_selector(body, publication, response) || field_require(body, "rooms", "rooms", &rooms, response)
	    || field_rooms(rooms, "rooms", 1, &publication->rooms, response) || room_set_finish(&publication->rooms, response) ? -1 : 0;
}

int publication_from_join(struct bytes body, struct publication *publication, struct response *response)
{
	return read_rooms(body, CONTROL_JOIN, publication, response);
}

int publication_from_leave(struct bytes body, struct publication *publication, struct response *response)
{
	return read_rooms(body, CONTROL_LEAVE, publication, response);
}

int publication_from_disconnect(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "userId", "sid", "room", "close", "blockSeconds", NULL };
	publication->operation = CONTROL_DISCONNECT;
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response) || read_selector(body, publication, response))
		return -1;
	struct bytes close = field_find(body, "close"), block = field_find(body, "blockSeconds");
	if ((close.len && field_bool(close, "close", &publication->closes, response))
	    || (block.len && field_integer(block, "blockSeconds", 0, BLOCK_SECONDS_MAX, &publication->block_seconds, response)))
		return -1;
	if (!block.len || publication->user[0])
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "blockSeconds: only a user can be blocked: give userId");
	return -1;
}
