/* command.c - the events that clients send. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>
#include <roomcast/json.h>

#include "members.h"

struct call {
	struct hub *hub;
	struct member *member;
	const struct socketio_packet *packet;
	struct bytes argument; /* the first, raw JSON; empty when absent */
	bool is_recovered;     /* nothing is missing of any room joined */
	struct buffer answer;  /* the acknowledgement's only argument */
};

static void fail(struct call *call, const char *error, const char *code)
{
	buffer_clear(&call->answer);
	buffer_add_text(&call->answer, "{\"success\":false,\"error\":");
	buffer_add_json_string(&call->answer, bytes_of(error));
	buffer_add_format(&call->answer, ",\"code\":\"%s\"}", code);
}

/* --- entity types ------------------------------------------------------------ */

/* NULL when the member may follow the type, else a stable word. */
static const char *denial(const struct hub *hub, const struct member *member, struct bytes type)
{
	if (member_is_authenticated(member) || hub_config_is_development(hub->config) ||
	    hub_config_list_has(hub->config->anonymous_types, type))
		return NULL;
	return "authentication_required";
}

bool command_may_be_in(const struct hub *hub, const struct member *member, struct bytes room)
{
	const size_t prefix = sizeof("sync-") - 1;
	return room.len > prefix && memcmp(room.data, "sync-", prefix) == 0 &&
	       !denial(hub, member, (struct bytes){ room.data + prefix, room.len - prefix });
}

/* Decodes a raw JSON string into the name of its sync room. NULL, or why it cannot be one. */
static const char *sync_room(struct bytes raw, char room[static sizeof("sync-") + ENTITY_TYPE_MAX], struct bytes *type)
{
	char *text = stpcpy(room, "sync-");
	long len = json_kind(raw) == JSON_STRING ? json_string_decode(raw, text, ENTITY_TYPE_MAX + 1) : -1;
	if (len <= 0)
		return "invalid_type";
	for (long i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return "invalid_type";
	*type = (struct bytes){ text, (size_t)len };
	return NULL;
}

static void add_item(struct buffer *list, struct bytes name)
{
	if (list->len)
		buffer_add_char(list, ',');
	buffer_add_json_string(list, name);
}

static void add_denied(struct buffer *denied, struct buffer *reasons, struct bytes raw, const char *reason)
{
	buffer_add_text(denied, denied->len ? "," : "");
	buffer_add_bytes(denied, raw);
	if (json_kind(raw) != JSON_STRING)
		return; /* cannot be a member's name */
	buffer_add_text(reasons, reasons->len ? "," : "");
	buffer_add_bytes(reasons, raw);
	buffer_add_format(reasons, ":\"%s\"", reason);
}

static const char *join_type(struct call *call, struct bytes raw, struct buffer *rooms)
{
	char room[sizeof("sync-") + ENTITY_TYPE_MAX];
	struct bytes type;
	struct error err;
	const char *reason = sync_room(raw, room, &type);
	if (!reason)
		reason = denial(call->hub, call->member, type);
	if (reason)
		return reason;
	struct bytes name = { room, (size_t)(type.data - room) + type.len };
	bool was_member = rooms_have(&call->hub->rooms, call->member, name);
	if (room_join(&call->hub->rooms, call->member, name, (uint32_t)call->hub->config->rooms_per_client + ROOMS_OF_EVERYBODY, &err))
		return "too_many_rooms";
	call->is_recovered = call->is_recovered && recovery_covers(call->hub, call->member, name, was_member);
	if (!was_member)
		recovery_on_join(call->hub, call->member, name);
	call->member->has_joined = true;
	add_item(rooms, name);
	return NULL;
}

/* The argument is an array of types; one type alone is taken too. */
static bool next_type(struct bytes *rest, bool is_array, struct bytes *raw)
{
	if (is_array)
		return json_next_element(rest, raw);
	*raw = *rest;
	*rest = (struct bytes){ 0 };
	return raw->len != 0;
}

static bool is_type_list(struct call *call)
{
	enum json_kind kind = call->argument.len ? json_kind(call->argument) : JSON_INVALID;
	if (kind == JSON_ARRAY || kind == JSON_STRING)
		return true;
	fail(call, "expected an array of entity types", "invalid_arguments");
	return false;
}

static void join_data_sync(struct call *call)
{
	if (!is_type_list(call))
		return;
	struct buffer rooms = { 0 }, denied = { 0 }, reasons = { 0 };
	struct bytes rest = call->argument, raw;
	bool is_array = json_kind(call->argument) == JSON_ARRAY;
	call->is_recovered = true;
	while (next_type(&rest, is_array, &raw)) {
		const char *reason = join_type(call, raw, &rooms);
		if (!reason)
			continue;
		call->hub->counters.denied++;
		add_denied(&denied, &reasons, raw, reason);
	}
	buffer_add_format(&call->answer, "{\"success\":%s,\"rooms\":[%s],\"denied\":[%s]", denied.len ? "false" : "true",
	                  rooms.len ? rooms.data : "", denied.len ? denied.data : "");
	if (reasons.len)
		buffer_add_format(&call->answer, ",\"reasons\":{%s}", reasons.data);
	buffer_add_format(&call->answer, ",\"recovered\":%s}", call->is_recovered && rooms.len ? "true" : "false");
	buffer_deinit(&rooms);
	buffer_deinit(&denied);
	buffer_deinit(&reasons);
	subscriber_touch(call->hub->subscriber);
}

static void leave_data_sync(struct call *call)
{
	if (!is_type_list(call))
		return;
	struct buffer rooms = { 0 };
	struct bytes rest = call->argument, raw, type;
	bool is_array = json_kind(call->argument) == JSON_ARRAY;
	while (next_type(&rest, is_array, &raw)) {
		char room[sizeof("sync-") + ENTITY_TYPE_MAX];
		if (sync_room(raw, room, &type))
			continue;
		struct bytes name = { room, (size_t)(type.data - room) + type.len };
		recovery_on_leave(call->hub, call->member, name);
		room_leave(&call->hub->rooms, call->member, name);
		add_item(&rooms, name);
	}
	buffer_add_format(&call->answer, "{\"success\":true,\"rooms\":[%s]}", rooms.len ? rooms.data : "");
	buffer_deinit(&rooms);
	subscriber_touch(call->hub->subscriber);
}

/* --- people ------------------------------------------------------------------ */

/* One's own room was joined at connect, so this only says whether the client is who it thinks it is. */
static void join_user_room(struct call *call)
{
	char id[USER_ID_MAX + 1];
	enum json_kind kind = call->argument.len ? json_kind(call->argument) : JSON_INVALID;
	long len = -1;
	if (kind == JSON_STRING)
		len = json_string_decode(call->argument, id, sizeof(id));
	else if (kind == JSON_NUMBER && call->argument.len < sizeof(id))
		len = snprintf(id, sizeof(id), "%.*s", (int)call->argument.len, call->argument.data);
	if (len <= 0) {
		fail(call, "expected a user id", "invalid_arguments");
		return;
	}
	if (!member_is_authenticated(call->member)) {
		call->hub->counters.denied++;
		fail(call, "only authenticated clients have a user room", "authentication_required");
		return;
	}
	if (!bytes_equal_text((struct bytes){ id, (size_t)len }, call->member->user_id)) {
		call->hub->counters.denied++;
		fail(call, "this is not your own user id", "not_your_room");
		return;
	}
	buffer_add_text(&call->answer, "{\"success\":true,\"rooms\":[");
	char room[sizeof("user-") + USER_ID_MAX];
	snprintf(room, sizeof(room), "user-%s", id);
	buffer_add_json_string(&call->answer, bytes_of(room));
	buffer_add_text(&call->answer, "]}");
}

/* Copies the client's members, but never one that says who or when. */
static void add_activity(struct buffer *body, const struct call *call)
{
	static const char *const ours[] = { "userId", "username", "timestamp" };
	struct bytes rest = call->argument, key, value;
	bool is_object = call->argument.len && json_kind(call->argument) == JSON_OBJECT;
	while (is_object && json_next_member(&rest, &key, &value)) {
		bool is_ours = false;
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			is_ours = is_ours || json_string_equals(key, ours[i]);
		if (is_ours)
			continue;
		buffer_add_bytes(body, key);
		buffer_add_char(body, ':');
		buffer_add_bytes(body, value);
		buffer_add_char(body, ',');
	}
	char timestamp[TIMESTAMP_SIZE];
	timestamp_format(clock_wall_ms(), timestamp);
	buffer_add_text(body, "\"userId\":");
	buffer_add_json_string(body, bytes_of(call->member->user_id));
	buffer_add_text(body, ",\"username\":");
	buffer_add_json_string(body, bytes_of(call->member->username));
	buffer_add_format(body, ",\"timestamp\":\"%s\"", timestamp);
}

static void user_activity(struct call *call)
{
	if (!member_is_authenticated(call->member)) {
		call->hub->counters.denied++;
		fail(call, "only authenticated clients have activity", "authentication_required");
		return;
	}
	struct buffer body = { 0 };
	struct error err;
	buffer_add_text(&body, "\"user:activity\",{");
	add_activity(&body, call);
	buffer_add_char(&body, '}');
	struct message message = {
		.kind = MESSAGE_VOLATILE, .audience = AUDIENCE_AUTHENTICATED, .time_ms = clock_wall_ms(),
		.exclude_sid = bytes_of(call->member->sid), .body = buffer_bytes(&body),
	};
	struct event *event = body.has_failed ? NULL : event_from_message(&message, &err);
	if (event) {
		fanout_publish(call->hub->fanout, event);
		subscriber_relay(call->hub->subscriber, &message);
		buffer_add_text(&call->answer, "{\"success\":true}");
	} else {
		fail(call, "the activity cannot be passed on", "unavailable");
	}
	buffer_deinit(&body);
}

static void ping(struct call *call)
{
	char timestamp[TIMESTAMP_SIZE], pong[64 + TIMESTAMP_SIZE];
	timestamp_format(clock_wall_ms(), timestamp);
	snprintf(pong, sizeof(pong), "\"pong\",{\"timestamp\":\"%s\"}", timestamp);
	members_emit(call->hub, call->member, bytes_of(pong));
	buffer_add_format(&call->answer, "{\"success\":true,\"timestamp\":\"%s\"}", timestamp);
}

static const struct {
	const char *name;
	void (*run)(struct call *call);
} commands[] = {
	{ "join-data-sync", join_data_sync },
	{ "leave-data-sync", leave_data_sync },
	{ "join-user-room", join_user_room },
	{ "user:activity", user_activity },
	{ "ping", ping },
};

void command_run(struct hub *hub, struct member *member, const struct socketio_packet *packet)
{
	struct call call = { .hub = hub, .member = member, .packet = packet };
	struct bytes rest = packet->json, name = { 0 };
	if (!json_next_element(&rest, &name) || json_kind(name) != JSON_STRING) {
		hub->counters.unknown_events++;
		return;
	}
	if (!json_next_element(&rest, &call.argument))
		call.argument = (struct bytes){ 0 };
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!json_string_equals(name, commands[i].name))
			continue;
		hub->counters.commands++;
		commands[i].run(&call);
		if (call.answer.len && !call.answer.has_failed)
			client_acknowledge(member->client, packet, buffer_bytes(&call.answer), NULL, 0);
		buffer_deinit(&call.answer);
		return;
	}
	hub->counters.unknown_events++;
}
