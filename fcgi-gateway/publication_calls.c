/* publication_calls.c - one builder a publishing call: its members, its bounds, its audience, its body. */
#include <stdio.h>

#include "fields.h"

static const char stamp_place[TIMESTAMP_SIZE] = "0000-00-00T00:00:00.000Z";

/* The name of an publication, as the body starts with it: no publisher may emit what client libraries keep for themselves. */
static const char *const reserved_events[] = {
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
};

static int require_object(struct bytes value, const char *where, struct response *response)
{
	if (json_kind(value) == JSON_OBJECT)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an object", where);
	return -1;
}

/* Both texts in quotes are ours; value is raw JSON. */
static void add_member(struct buffer *out, const char *name, struct bytes value)
{
	buffer_add_format(out, "\"%s\":", name);
	buffer_add_bytes(out, value);
	buffer_add_char(out, ',');
}

static void add_stamp(struct publication *publication)
{
	buffer_add_text(&publication->body, "\"timestamp\":\"");
	publication->stamp_at = publication->body.len;
	buffer_add_text(&publication->body, stamp_place);
	buffer_add_char(&publication->body, '"');
}

static int finish(struct publication *publication, struct response *response)
{
	if (publication->body.has_failed) {
		response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
		return -1;
	}
	if (room_set_finish(&publication->rooms, response) || room_set_finish(&publication->except, response))
		return -1;
	return 0;
}

static int read_exclude_user(struct bytes body, struct publication *publication, struct response *response)
{
	struct bytes user = field_find(body, "excludeUserId");
	return user.len ? field_id(user, "excludeUserId", publication->exclude_user, response) : 0;
}

/* Optional members that only have to be well formed here. */
static int check_publisher(struct bytes body, struct response *response)
{
	char id[USER_ID_MAX + 1];
	struct bytes user = field_find(body, "userId");
	if (user.len && field_id(user, "userId", id, response))
		return -1;
	if (!field_find(body, "ifVersion").len)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "ifVersion: versions are not kept without a journal");
	return -1;
}

static int check_action(struct bytes action, struct response *response)
{
	static const char *const actions[] = { "CREATE", "UPDATE", "DELETE" };
	for (size_t i = 0; json_kind(action) == JSON_STRING && i < sizeof(actions) / sizeof(actions[0]); i++)
		if (json_string_equals(action, actions[i]))
			return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "action: must be CREATE, UPDATE or DELETE");
	return -1;
}

int publication_from_data_change(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "entityType", "action", "data", "userId", "excludeUserId", "ifVersion", NULL };
	struct bytes type, action, data, version;
	char decoded_type[ENTITY_TYPE_MAX + 1];
	int64_t number;
	if (require_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || field_require(body, "entityType", "entityType", &type, response)
	    || field_text(type, "entityType", (struct text_rule){ 1, ENTITY_TYPE_MAX }, decoded_type, response)
	    || field_require(body, "action", "action", &action, response) || check_action(action, response))
		return -1;
	if (!json_member(body, "data", &data)) { /* null is data too */
		response_refuse(response, REFUSAL_INVALID_FIELD, "data: required");
		return -1;
	}
	if (check_publisher(body, response) || read_exclude_user(body, publication, response)
	    || room_set_add(&publication->rooms, "sync-", decoded_type, response))
		return -1;
	publication->audience = AUDIENCE_ROOMS;
	buffer_add_text(&publication->body, "\"data-change\",{");
	add_member(&publication->body, "entityType", type);
	add_member(&publication->body, "action", action);
	add_member(&publication->body, "data", data);
	add_stamp(publication);
	if (json_member(data, "version", &version) && json_kind(version) == JSON_NUMBER && json_int64(version, &number)) {
		buffer_add_text(&publication->body, ",\"version\":");
		buffer_add_bytes(&publication->body, version);
	}
	buffer_add_char(&publication->body, '}');
	return finish(publication, response);
}

/* {title, message, type and whatever else}, all as written; only a timestamp is ours to give. where ends with a dot, or is "". */
static int add_notification(struct bytes given, const char *where, const char *event_name, struct publication *publication, struct response *response)
{
	char title_place[64], message_place[64], type_place[64];
	snprintf(title_place, sizeof(title_place), "%stitle", where);
	snprintf(message_place, sizeof(message_place), "%smessage", where);
	snprintf(type_place, sizeof(type_place), "%stype", where);
	struct bytes title, message, type = field_find(given, "type"), rest = given, key, value;
	if (field_require(given, "title", title_place, &title, response) || field_require(given, "message", message_place, &message, response))
		return -1;
	if (json_kind(title) != JSON_STRING || title.len == 2) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be a string that is not empty", title_place);
		return -1;
	}
	if (json_kind(message) != JSON_STRING) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be a string", message_place);
		return -1;
	}
	if (type.len && field_text(type, type_place, (struct text_rule){ 1, NOTIFICATION_TYPE_MAX }, NULL, response))
		return -1;
	buffer_add_format(&publication->body, "\"%s\",{", event_name);
	while (json_next_member(&rest, &key, &value)) {
		if (json_string_equals(key, "timestamp") || (!type.len && json_string_equals(key, "type")))
			continue;
		buffer_add_bytes(&publication->body, key);
		buffer_add_char(&publication->body, ':');
		buffer_add_bytes(&publication->body, value);
		buffer_add_char(&publication->body, ',');
	}
	if (!type.len)
		add_member(&publication->body, "type", bytes_of("\"info\""));
	add_stamp(publication);
	buffer_add_char(&publication->body, '}');
	return 0;
}

/* Calls add for each element of the array `where`, at most MESSAGE_LIST_MAX. */
static int each_element(struct bytes array, const char *where, size_t least, struct room_set *set,
                        int (*add)(struct bytes, const char *, struct room_set *, struct response *), struct response *response)
{
	struct bytes rest = array, value;
	if (json_kind(array) != JSON_ARRAY) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must be an array", where);
		return -1;
	}
	for (size_t i = 0; json_next_element(&rest, &value); i++) {
		char place[64];
		snprintf(place, sizeof(place), "%s[%zu]", where, i);
		if (i >= MESSAGE_LIST_MAX) {
			response_refuse(response, REFUSAL_INVALID_FIELD, "%s: at most %d are allowed", where, MESSAGE_LIST_MAX);
			return -1;
		}
		if (add(value, place, set, response))
			return -1;
	}
	if (set->count >= least)
		return 0;
	response_refuse(response, REFUSAL_INVALID_FIELD, "%s: must not be empty", where);
	return -1;
}

static int add_user(struct bytes value, const char *where, struct room_set *set, struct response *response)
{
	char id[USER_ID_MAX + 1];
	return field_id(value, where, id, response) || room_set_add(set, "user-", id, response) ? -1 : 0;
}

static int add_room(struct bytes value, const char *where, struct room_set *set, struct response *response)
{
	char name[ROOM_NAME_MAX + 1];
	return field_text(value, where, (struct text_rule){ 1, ROOM_NAME_MAX }, name, response)
	    || room_set_add(set, "", name, response) ? -1 : 0;
}

int publication_from_notification(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "userId", "userIds", "notification", NULL };
	struct bytes notification;
	if (require_object(body, "body", response) || fields_check_spelling(body, names, response))
		return -1;
	struct bytes user = field_find(body, "userId"), users = field_find(body, "userIds");
	if (!user.len == !users.len) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "userId: exactly one of userId and userIds is required");
		return -1;
	}
	if (user.len ? add_user(user, "userId", &publication->rooms, response)
	             : each_element(users, "userIds", 1, &publication->rooms, add_user, response))
		return -1;
	if (field_require(body, "notification", "notification", &notification, response)
	    || require_object(notification, "notification", response)
	    || add_notification(notification, "notification.", "notification", publication, response))
		return -1;
	publication->audience = AUDIENCE_ROOMS;
	return finish(publication, response);
}

int publication_from_system_notification(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "title", "message", "type", NULL };
	if (require_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || add_notification(body, "", "system-notification", publication, response))
		return -1;
	publication->audience = AUDIENCE_EVERYONE;
	return finish(publication, response);
}

static int check_event_name(struct bytes name, struct response *response)
{
	if (field_text(name, "event", (struct text_rule){ 1, EVENT_NAME_MAX }, NULL, response))
		return -1;
	for (size_t i = 0; i < sizeof(reserved_events) / sizeof(reserved_events[0]); i++) {
		if (!json_string_equals(name, reserved_events[i]))
			continue;
		response_refuse(response, REFUSAL_RESERVED_EVENT, "event: %s is reserved by Socket.IO", reserved_events[i]);
		return -1;
	}
	return 0;
}

int publication_from_emit(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "event", "args", "rooms", "except", "volatile", NULL };
	struct bytes name, argument;
	if (require_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || field_require(body, "event", "event", &name, response) || check_event_name(name, response))
		return -1;
	struct bytes args = field_find(body, "args"), rooms = field_find(body, "rooms");
	struct bytes except = field_find(body, "except"), is_volatile = field_find(body, "volatile");
	if (args.len && json_kind(args) != JSON_ARRAY) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "args: must be an array");
		return -1;
	}
	/* An empty list of rooms would be everyone in Socket.IO, and nobody to its author. */
	if ((rooms.len && each_element(rooms, "rooms", 1, &publication->rooms, add_room, response))
	    || (except.len && each_element(except, "except", 0, &publication->except, add_room, response))
	    || (is_volatile.len && field_bool(is_volatile, "volatile", &publication->is_volatile, response)))
		return -1;
	publication->audience = rooms.len ? AUDIENCE_ROOMS : AUDIENCE_EVERYONE;
	buffer_add_bytes(&publication->body, name);
	while (args.len && json_next_element(&args, &argument)) {
		buffer_add_char(&publication->body, ',');
		buffer_add_bytes(&publication->body, argument);
	}
	return finish(publication, response);
}
