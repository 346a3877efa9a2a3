/* members.c - connects clients, and forgets them. */
#include "members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>

#include "command.h"
#include "control.h"

static bool has_namespace(void *data, struct bytes nsp)
{
	(void)data;
	return bytes_equal_text(nsp, "/");
}

/* One piece of memory for what stays of the identity. */
static int keep_identity(struct member *member, const struct identity *identity, struct error *err)
{
	const char *texts[] = { identity->user_id, identity->username, identity->role };
	char *places[3];
	size_t size = 0;
	for (size_t i = 0; i < 3; i++)
		size += strlen(texts[i]) + 1;
	char *memory = malloc(size);
	if (!memory)
		return error_set(err, ERROR_SYSTEM, "no memory");
	char *next = memory;
	for (size_t i = 0; i < 3; i++) {
		places[i] = next;
		next = stpcpy(next, texts[i]) + 1;
	}
	member->user_id = places[0];
	member->username = places[1];
	member->role = places[2];
	return 0;
}

static void identify(struct hub *hub, struct member *member, struct bytes auth, const struct request_info *request)
{
	struct identity identity;
	struct error err;
	enum authentication_result result =
		authenticate(&hub->authentication, auth, request, clock_wall_ms() / 1000, &identity, &err);
	if (result == AUTHENTICATION_BAD) {
		hub->counters.bad_tokens++;
		log_limited(&hub->token_limit, "msg=\"token refused, the client stays anonymous\" sid=%s reason=\"%s\"", member->sid, err.text);
	} else if (result != AUTHENTICATION_NONE && keep_identity(member, &identity, &err) == 0) {
		hub->counters.connects_authenticated++;
	}
	/* A WebSocket's request is kept only for a client that would have to be known by it once more after a DISCONNECT. */
	if (result != AUTHENTICATION_BY_REQUEST)
		session_forget_request(client_session(member->client));
}

static int join_first_rooms(struct hub *hub, struct member *member, struct error *err)
{
	if (room_join_unnamed(&hub->rooms, member, hub->rooms.everyone, err))
		return -1;
	if (!member_is_authenticated(member))
		return 0;
	char name[sizeof("user-") + USER_ID_MAX];
	int len = snprintf(name, sizeof(name), "user-%s", member->user_id);
	return room_join_unnamed(&hub->rooms, member, hub->rooms.authenticated, err) ||
	               room_join(&hub->rooms, member, (struct bytes){ name, (size_t)len }, 0, err) ? -1 : 0;
}

static void forget(struct hub *hub, struct member *member)
{
	room_leave_all(&hub->rooms, member);
	HASH_DEL(hub->members, member);
	free(member->user_id);
	member->user_id = NULL;
	subscriber_touch(hub->subscriber);
}

static void refuse_blocked(struct hub *hub, struct client *client, uint64_t until_ms)
{
	char data[48];
	int len = snprintf(data, sizeof(data), "{\"until\":%" PRIu64 "}", until_ms);
	hub->counters.blocked++;
	client_refuse(client, "blocked", (struct bytes){ data, (size_t)len });
}

static void on_connect(struct client *client, struct bytes auth, const struct request_info *request)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	struct error err;
	*member = (struct member){ .client = client, .sid = client_sid(client), .position = fanout_position(hub->fanout) };
	identify(hub, member, auth, request);
	HASH_ADD_KEYPTR(hh, hub->members, member->sid, strlen(member->sid), member);
	uint64_t blocked_until = control_blocked_until(hub, member);
	if (blocked_until) {
		forget(hub, member);
		refuse_blocked(hub, client, blocked_until);
		return;
	}
	if (join_first_rooms(hub, member, &err)) {
		log_error("msg=\"client turned away\" error=\"%s\"", err.text);
		forget(hub, member);
		client_refuse(client, "Server is out of memory", (struct bytes){ 0 });
		return;
	}
	control_join_granted(hub, member);
	hub->counters.connects++;
	log_debug("msg=\"connected\" sid=%s user=\"%s\"", member->sid, member->user_id ? member->user_id : "");
	subscriber_touch(hub->subscriber);
	client_accept(client, NULL);
}

static void on_disconnect(struct client *client, enum close_reason reason)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	log_debug("msg=\"disconnected\" sid=%s reason=\"%s\"", member->sid, close_reason_name(reason));
	forget(hub, member);
}

/* A bucket of ten seconds' worth, in terms of the time up to which events are paid for. */
static bool pay_for_event(const struct hub *hub, struct member *member)
{
	uint64_t now = clock_monotonic_ms() * 1000;
	uint64_t price = 1000000 / (uint64_t)hub->config->events_per_second;
	if (member->rate_us < now)
		member->rate_us = now;
	if (member->rate_us > now + 10 * 1000000)
		return false;
	member->rate_us += price;
	return true;
}

static void on_event(struct client *client, const struct socketio_packet *packet)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	if (!pay_for_event(hub, member)) {
		hub->counters.rate_exceeded++;
		log_limited(&hub->rate_limit, "msg=\"client closed: too many events\" sid=%s", member->sid);
		session_close(client_session(client), CLOSE_FORCED);
		return;
	}
	command_run(hub, member, packet);
}

static void on_protocol_error(void *data, const struct error *err)
{
	struct hub *hub = data;
	hub->counters.protocol_errors++;
	log_limited(&hub->protocol_limit, "msg=\"client closed: protocol error\" reason=\"%s\"", err->text);
}

struct socketio_handler members_handler(struct hub *hub)
{
	return (struct socketio_handler){
		.above_size = sizeof(struct member),
		.has_namespace = has_namespace,
		.on_connect = on_connect,
		.on_event = on_event,
		.on_disconnect = on_disconnect,
		.on_protocol_error = on_protocol_error,
		.data = hub,
	};
}

void members_send(struct member *member, struct frame *const *frames, size_t count)
{
	client_send(member->client, frames, count);
}

bool members_is_writable(const struct member *member)
{
	return session_is_writable(client_session(member->client));
}

struct member *members_find_by_sid(void *data, struct bytes sid)
{
	const struct hub *hub = data;
	struct member *member;
	HASH_FIND(hh, hub->members, sid.data, sid.len, member);
	return member;
}
