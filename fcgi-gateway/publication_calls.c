/* publication_calls.c - one builder for each call that publishes: its members, its bounds, its audience, its body. */
#include <inttypes.h>
#include <stdio.h>

#include "fields.h"

enum { VERSION_ROOM = 40 }; /* bytes that publication_set_version may add */
enum { ENVELOPE_ROOM = 200 }; /* bytes about a data-change's members */

static const char stamp_place[TIMESTAMP_SIZE] = "0000-00-00T00:00:00.000Z";

/* No publisher may emit what client libraries keep for themselves. */
static const char *const reserved_events[] = {
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
};

/* Both texts in quotes are ours; value is raw JSON. */
static void add_member(struct buffer *out, const char *name, struct bytes value)
{
	buffer_add_char(out, '"');
	buffer_add_text(out, name);
	buffer_add_text(out, "\":");
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

static void set_event(struct publication *publication, const char *name)
{
	snprintf(publication->event, sizeof(publication->event), "%s", name);
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

static int read_exclude_user(struct bytes value, struct publication *publication, struct response *response)
{
	struct bytes user = field_given(value);
	return user.len ? field_id(user, "excludeUserId", publication->exclude_user, response) : 0;
}

static int read_publisher(struct bytes value, struct publication *publication, struct response *response)
{
	struct bytes user = field_given(value);
	return user.len ? field_id(user, "userId", publication->user_id, response) : 0;
}

static int read_action(struct bytes action, struct publication *publication, struct response *response)
{
	static const char *const actions[ACTION_END] = { [ACTION_CREATE] = "CREATE", [ACTION_UPDATE] = "UPDATE", [ACTION_DELETE] = "DELETE" };
	for (int i = ACTION_NONE + 1; json_kind(action) == JSON_STRING && i < ACTION_END; i++) {
		if (json_string_equals(action, actions[i])) {
			publication->action = (enum entity_action)i;
			return 0;
		}
	}
	response_refuse(response, REFUSAL_INVALID_FIELD, "action: must be CREATE, UPDATE or DELETE");
	return -1;
}

/* data.id, when it can be one: a number as it is written, or a string without control characters. Other data has no id. */
static void read_entity_id(struct bytes id, struct publication *publication)
{
	if (json_kind(id) == JSON_NUMBER && id.len <= ENTITY_ID_MAX) {
		memcpy(publication->entity_id, id.data, id.len);
	} else if (json_kind(id) == JSON_STRING) {
		struct response ignored = { 0 };
		if (field_text(id, "id", (struct text_rule){ 1, ENTITY_ID_MAX }, publication->entity_id, &ignored))
			publication->entity_id[0] = '\0';
		response_deinit(&ignored);
	}
}

/* data.version, and whether ifVersion can be judged. */
static int read_versions(struct bytes version, struct bytes if_version, struct publication *publication, struct response *response)
{
	int64_t number;
	if (json_kind(version) == JSON_NUMBER && json_int64(version, &number) && number >= 0)
		publication->version = number;
	if (!if_version.len)
		return 0;
	if (field_integer(if_version, "ifVersion", 0, INT64_MAX, &publication->if_version, response))
		return -1;
	if (!publication->entity_id[0])
		response_refuse(response, REFUSAL_INVALID_FIELD, "ifVersion: data.id is needed, a string of at most %d bytes or a number", ENTITY_ID_MAX);
	else if (publication->version != VERSION_NONE && publication->version <= publication->if_version)
		response_refuse(response, REFUSAL_INVALID_FIELD, "data.version: becomes the entity's version, so it must be greater than ifVersion");
	else
		return 0;
	return -1;
}

int publication_from_data_change(struct bytes body, struct publication *publication, struct response *response)
{
	enum { TYPE, ACTION, DATA, USER, EXCLUDED, IF_VERSION, COUNT };
	enum { ID, VERSION };
	static const char *const names[] = {
		[TYPE] = "entityType", [ACTION] = "action", [DATA] = "data", [USER] = "userId", [EXCLUDED] = "excludeUserId", [IF_VERSION] = "ifVersion", NULL,
	};
	static const char *const data_names[] = { [ID] = "id", [VERSION] = "version", NULL };
	struct bytes given[COUNT], inside[2];
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response))
		return -1;
	fields_collect(body, names, given);
	struct bytes type = given[TYPE], action = given[ACTION], data = given[DATA];
	if (field_present(type, "entityType", response)
	    || field_text(type, "entityType", (struct text_rule){ 1, ENTITY_TYPE_MAX }, publication->entity_type, response)
	    || field_present(action, "action", response) || read_action(action, publication, response))
		return -1;
	if (!data.len) { /* null is data too */
		response_refuse(response, REFUSAL_INVALID_FIELD, "data: required");
		return -1;
	}
	fields_collect(data, data_names, inside);
	read_entity_id(inside[ID], publication);
	if (read_versions(inside[VERSION], field_given(given[IF_VERSION]), publication, response) || read_publisher(given[USER], publication, response)
	    || read_exclude_user(given[EXCLUDED], publication, response) || room_set_add(&publication->rooms, "sync-", publication->entity_type, response))
		return -1;
	set_event(publication, "data-change");
	publication->audience = AUDIENCE_ROOMS;
	buffer_reserve(&publication->body, type.len + action.len + data.len + ENVELOPE_ROOM); /* once for all */
	buffer_add_text(&publication->body, "\"data-change\",{");
	add_member(&publication->body, "entityType", type);
	add_member(&publication->body, "action", action);
	add_member(&publication->body, "data", data);
	publication->data_at = publication->body.len - 1 - data.len;
	publication->data_len = data.len;
	add_stamp(publication);
	if (publication->version != VERSION_NONE)
		buffer_add_format(&publication->body, ",\"version\":%" PRId64, publication->version);
	buffer_add_char(&publication->body, '}');
	buffer_reserve(&publication->body, VERSION_ROOM);
	return finish(publication, response);
}

/* {title, message, type and whatever else}, all as written; only a timestamp is ours to give. where ends with a dot, or is "". In a
 * batch the notification's own members stand beside the `type` that names the call: there that is not the notification's. */
static int add_notification(struct bytes given, const char *where, const char *event_name, struct publication *publication, struct response *response)
{
	bool has_own_type = !publication->is_in_batch || *where;
	char title_place[64], message_place[64], type_place[64];
	snprintf(title_place, sizeof(title_place), "%stitle", where);
	snprintf(message_place, sizeof(message_place), "%smessage", where);
	snprintf(type_place, sizeof(type_place), "%stype", where);
	struct bytes title, message, type = has_own_type ? field_find(given, "type") : (struct bytes){ 0 }, rest = given, key, value;
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
	set_event(publication, event_name);
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

int publication_from_notification(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "userId", "userIds", "notification", NULL };
	struct bytes notification;
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response))
		return -1;
	struct bytes user = field_find(body, "userId"), users = field_find(body, "userIds");
	if (!user.len == !users.len) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "userId: exactly one of userId and userIds is required");
		return -1;
	}
	if (user.len ? field_user_room(user, "userId", &publication->rooms, response)
	             : field_user_rooms(users, "userIds", &publication->rooms, response))
		return -1;
	if (field_require(body, "notification", "notification", &notification, response)
	    || field_object(notification, "notification", response)
	    || add_notification(notification, "notification.", "notification", publication, response))
		return -1;
	publication->audience = AUDIENCE_ROOMS;
	return finish(publication, response);
}

int publication_from_system_notification(struct bytes body, struct publication *publication, struct response *response)
{
	static const char *const names[] = { "title", "message", "type", "notification", NULL };
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response))
		return -1;
	/* Either as it stands, or as a notification to users stands. */
	struct bytes notification = field_find(body, "notification");
	bool is_inside = json_kind(notification) == JSON_OBJECT && !field_find(body, "title").len;
	if (add_notification(is_inside ? notification : body, is_inside ? "notification." : "", "system-notification", publication, response))
		return -1;
	publication->audience = AUDIENCE_EVERYONE;
	return finish(publication, response);
}

static int read_event_name(struct bytes name, struct publication *publication, struct response *response)
{
	if (field_text(name, "event", (struct text_rule){ 1, EVENT_NAME_MAX }, publication->event, response))
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
	if (field_object(body, "body", response) || fields_check_spelling(body, names, response)
	    || field_require(body, "event", "event", &name, response) || read_event_name(name, publication, response))
		return -1;
	struct bytes args = field_find(body, "args"), rooms = field_find(body, "rooms");
	struct bytes except = field_find(body, "except"), is_volatile = field_find(body, "volatile");
	if (args.len && json_kind(args) != JSON_ARRAY) {
		response_refuse(response, REFUSAL_INVALID_FIELD, "args: must be an array");
		return -1;
	}
	/* An empty list of rooms would be everyone in Socket.IO, and nobody to its author. */
	if ((rooms.len && field_rooms(rooms, "rooms", 1, &publication->rooms, response))
	    || (except.len && field_rooms(except, "except", 0, &publication->except, response))
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
