/* members.c - connects clients, and forgets them. */
#include "members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>

#include "command.h"
#include "control.h"
#include "left_room.h"

enum { DOUBT_WAIT = 2000 /* ms */ };

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
		if (identity.expires_s)
			expiries_set(&hub->expiries, &member->expiry, identity.expires_s + hub->authentication.leeway_s + 1);
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

static void forget_identity(struct member *member)
{
	expiry_cancel(&member->expiry);
	free(member->user_id);
	member->user_id = NULL;
}

static void forget(struct hub *hub, struct member *member)
{
	walk_end(member);
	room_leave_all(&hub->rooms, member);
	left_rooms_free(&member->left);
	HASH_DEL(hub->members, member);
	forget_identity(member);
	subscriber_touch(hub->subscriber);
}

static void refuse_blocked(struct hub *hub, struct client *client, uint64_t until_ms)
{
	char data[48];
	int len = snprintf(data, sizeof(data), "{\"until\":%" PRIu64 "}", until_ms);
	hub->counters.blocked++;
	client_refuse(client, "blocked", (struct bytes){ data, (size_t)len });
}

/* From here on it is a member, with its rooms. */
static int admit(struct hub *hub, struct member *member, struct recovery_start *start, struct error *err)
{
	bool is_resumed = start->session != NULL;
	if (is_resumed)
		client_take_sid(member->client, stored_session_sid(start->session));
	if (!start->pid[0])
		member->framing = FRAMING_PLAIN;
	member->position = fanout_position(hub->fanout);
	HASH_ADD_KEYPTR(hh, hub->members, member->sid, strlen(member->sid), member);
	if (join_first_rooms(hub, member, err))
		return -1;
	if (!is_resumed)
		control_join_granted(hub, member);
	if (recovery_begin(hub, member, start, err))
		return -1;
	if (is_resumed) /* what it has of them since it went away is in its session */
		control_join_granted(hub, member);
	return 0;
}

static void turn_away(struct client *client, const struct error *err)
{
	log_error("msg=\"client turned away\" error=\"%s\"", err->text);
	client_refuse(client, "Server is out of memory", (struct bytes){ 0 });
}

static void welcome(struct hub *hub, struct member *member, struct recovery_start *start)
{
	struct error err;
	uint64_t blocked_until = control_blocked_until(hub, member);
	if (blocked_until) {
		stored_session_free(start->session);
		forget_identity(member);
		refuse_blocked(hub, member->client, blocked_until);
		return;
	}
	if (admit(hub, member, start, &err)) {
		stored_session_free(start->session);
		forget(hub, member);
		turn_away(member->client, &err);
		return;
	}
	hub->counters.connects++;
	log_debug("msg=\"connected\" sid=%s user=\"%s\" resumed=%d", member->sid, member->user_id ? member->user_id : "", member->is_resumed);
	subscriber_touch(hub->subscriber);
	client_accept(member->client, start->pid[0] ? start->pid : NULL);
}

/* A client that shows what it saw; false: whether that can be cannot be told yet. */
static bool answer_returning(struct client *client, struct bytes auth, bool is_final)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	struct recovery_start start;
	if (!recovery_judge(hub, member, auth, is_final, &start))
		return false;
	welcome(hub, member, &start);
	return true;
}

/* -1: no memory. */
static int hold(struct hub *hub, struct client *client, struct bytes auth, struct error *err)
{
	struct buffer shown = { 0 };
	recovery_keep_shown(auth, &shown);
	int result = shown.has_failed ? error_set(err, ERROR_SYSTEM, "no memory") : arrivals_hold(&hub->arrivals, client, buffer_bytes(&shown), err);
	buffer_deinit(&shown);
	return result;
}

static void on_connect(struct client *client, struct bytes auth, const struct request_info *request)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	struct error err;
	*member = (struct member){ .client = client, .sid = client_sid(client) };
	bool is_wanted = recovery_is_wanted(hub->recovery.mode, auth, request, client_session_note(client));
	identify(hub, member, auth, request);
	if (!is_wanted) {
		welcome(hub, member, &(struct recovery_start){ 0 });
		return;
	}
	member->framing = FRAMING_OFFSET;
	if (!answer_returning(client, auth, false) && hold(hub, client, auth, &err)) {
		forget_identity(member);
		turn_away(client, &err);
	}
}

static void on_disconnect(struct client *client, enum close_reason reason)
{
	struct hub *hub = client_data(client);
	struct member *member = client_above(client);
	log_debug("msg=\"disconnected\" sid=%s reason=\"%s\"", member->sid, close_reason_name(reason));
	if (arrivals_drop(&hub->arrivals, client)) {
		forget_identity(member);
		return;
	}
	recovery_end(hub, member, reason);
	forget(hub, member);
}

static void on_drained(struct client *client)
{
	walk_on_drained(client_above(client));
}

static void on_echo(struct client *client)
{
	walk_on_echo(client_above(client));
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
		.on_drained = on_drained,
		.on_echo = on_echo,
		.on_protocol_error = on_protocol_error,
		.data = hub,
	};
}

void members_send(struct member *member, struct frame *const *frames, size_t count)
{
	client_send(member->client, frames, count);
}

bool members_send_together(struct member *member, const struct frames_together *together)
{
	return client_send_together(member->client, together);
}

/* A step at a time for all of them, so that they wait for memory together. */
void members_prefetch(const struct room_slot *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		__builtin_prefetch(slots[i].member);
		__builtin_prefetch((const void *)((uintptr_t)slots[i].member - sizeof(max_align_t))); /* gaps are NULL */
	}
	for (unsigned step = 0; step < 2; step++)
		for (uint32_t i = 0; i < count; i++)
			if (slots[i].member)
				session_prefetch(client_session(slots[i].member->client), step);
}

bool members_is_writable(const struct member *member)
{
	return session_is_writable(client_session(member->client));
}

void members_withdraw(struct member *member, const struct frame *frame)
{
	session_withdraw(client_session(member->client), frame);
}

bool members_is_queued(const struct member *member)
{
	return session_is_queued(client_session(member->client));
}

void members_await_drained(struct member *member)
{
	session_await_drained(client_session(member->client));
}

void members_ask_echo(struct member *member)
{
	session_ask_echo(client_session(member->client));
}

void members_close_slow(struct member *member)
{
	session_close(client_session(member->client), CLOSE_SLOW);
}

void members_emit(struct hub *hub, struct member *member, struct bytes arguments)
{
	if (member->framing == FRAMING_PLAIN) {
		client_emit(member->client, arguments, NULL, 0);
		return;
	}
	struct buffer with_offset = { 0 };
	char offset[PLACE_TEXT_SIZE];
	place_format(recovery_place(hub, member), offset);
	buffer_add_bytes(&with_offset, arguments);
	buffer_add_format(&with_offset, ",\"%s\"", offset);
	if (with_offset.has_failed)
		session_close(client_session(member->client), CLOSE_FORCED);
	else
		client_emit(member->client, buffer_bytes(&with_offset), NULL, 0);
	buffer_deinit(&with_offset);
}

/* The transport closes, so that the client comes back by itself, with a new token. */
static void on_expired(struct expiry *expiry, void *data)
{
	struct hub *hub = data;
	const struct member *member = (const struct member *)(const void *)((char *)expiry - offsetof(struct member, expiry));
	hub->counters.expired++;
	session_close(client_session(member->client), CLOSE_EXPIRED);
}

int members_open(struct hub *hub, struct error *err)
{
	expiries_init(&hub->expiries, hub->loop, clock_wall_ms() / 1000, on_expired, hub);
	return arrivals_init(&hub->arrivals, hub->loop, DOUBT_WAIT, answer_returning, err);
}

void members_close(struct hub *hub, void (*on_closed)(void *data), void *data)
{
	expiries_close(&hub->expiries);
	arrivals_close(&hub->arrivals, on_closed, data);
}

struct member *members_find_by_sid(void *data, struct bytes sid)
{
	const struct hub *hub = data;
	struct member *member;
	HASH_FIND(hh, hub->members, sid.data, sid.len, member);
	return member;
}
