/* stored.c - keeps sessions of clients that went away. */
#include "stored.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "left_room.h"
#include "walk.h"

enum { ROOMS_BYTES_MAX = 1 << 20 /* of one session, whatever is granted to it */, MALLOC_COST = 24 };

struct room_head {
	struct place since, until;
	uint16_t name_len;
	bool is_granted;
};

struct stored_session {
	char sid[CLIENT_SID_SIZE];
	uint64_t stored_ms;
	struct buffer rooms; /* of each: its head, its name */
	UT_hash_handle hh;   /* by sid; in the order in which they were stored */
	char user_id[];      /* "" when anonymous */
};

struct stored_sessions {
	struct stored_bounds bounds;
	struct stored_session *by_sid;
	uint64_t bytes, dropped;
};

static uint64_t cost_of(const struct stored_session *session)
{
	return sizeof(*session) + strlen(session->user_id) + session->rooms.capacity + MALLOC_COST;
}

void stored_session_free(struct stored_session *session)
{
	if (!session)
		return;
	buffer_deinit(&session->rooms);
	free(session);
}

static void take_out(struct stored_sessions *stored, struct stored_session *session)
{
	HASH_DEL(stored->by_sid, session);
	stored->bytes -= cost_of(session);
}

static void drop(struct stored_sessions *stored, struct stored_session *session)
{
	take_out(stored, session);
	stored->dropped++;
	stored_session_free(session);
}

static void drop_past_bounds(struct stored_sessions *stored)
{
	while (stored->by_sid && (HASH_COUNT(stored->by_sid) > stored->bounds.count || stored->bytes > stored->bounds.bytes))
		drop(stored, stored->by_sid);
}

/* --- rooms -------------------------------------------------------------------- */

static void add_room(struct buffer *rooms, const struct stored_room *room)
{
	struct room_head head = { room->since, room->until, (uint16_t)room->name.len, room->is_granted };
	char *out = buffer_reserve(rooms, sizeof(head) + room->name.len);
	if (!out)
		return;
	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), room->name.data, room->name.len);
	rooms->len += sizeof(head) + room->name.len;
}

static bool next_room(struct bytes *rest, struct stored_room *room)
{
	struct room_head head;
	if (!rest->len)
		return false;
	memcpy(&head, rest->data, sizeof(head));
	*room = (struct stored_room){ { rest->data + sizeof(head), head.name_len }, head.since, head.until, head.is_granted };
	rest->data += sizeof(head) + head.name_len;
	rest->len -= sizeof(head) + head.name_len;
	return true;
}

static bool is_room_of(const char *user_id, struct bytes room)
{
	const size_t prefix = sizeof("user-") - 1;
	return *user_id && room.len > prefix && memcmp(room.data, "user-", prefix) == 0 &&
	       bytes_equal_text((struct bytes){ room.data + prefix, room.len - prefix }, user_id);
}

/* The user's own room is not kept: it goes with the identity. */
static bool has_room(const struct stored_session *session, struct bytes name)
{
	if (is_room_of(session->user_id, name))
		return true;
	struct bytes rest = buffer_bytes(&session->rooms);
	struct stored_room room;
	while (next_room(&rest, &room))
		if (!room.until.epoch && bytes_equal(room.name, name))
			return true;
	return false;
}

/* What came before is still for it. */
static void leave_room(struct stored_session *session, struct bytes name, struct place until)
{
	struct bytes rest = buffer_bytes(&session->rooms);
	struct stored_room room;
	size_t start = 0;
	while (next_room(&rest, &room)) {
		if (!room.until.epoch && bytes_equal(room.name, name)) {
			memcpy(session->rooms.data + start + offsetof(struct room_head, until), &until, sizeof(until));
			return;
		}
		start = session->rooms.len - rest.len;
	}
}

void stored_session_each_room(const struct stored_session *session, void (*visit)(void *data, const struct stored_room *room), void *data)
{
	struct bytes rest = buffer_bytes(&session->rooms);
	struct stored_room room;
	while (next_room(&rest, &room))
		visit(data, &room);
}

/* --- sessions ------------------------------------------------------------------ */

static struct stored_session *session_of(const struct member *member)
{
	const char *user_id = member->user_id ? member->user_id : "";
	struct stored_session *session = calloc(1, sizeof(*session) + strlen(user_id) + 1);
	if (!session)
		return NULL;
	strcpy(session->user_id, user_id);
	memcpy(session->sid, member->sid, strlen(member->sid) + 1);
	session->rooms.max = ROOMS_BYTES_MAX;
	for (uint32_t i = 0; i < member->memberships.count; i++) {
		const struct membership *membership = &member->memberships.items[i];
		struct stored_room room = { .name = { membership->room->name, membership->room->name_len }, .is_granted = membership->is_granted };
		if (member->walk)
			room.since = walk_since(member->walk, membership->room);
		if (membership->room->is_named && !is_room_of(user_id, room.name))
			add_room(&session->rooms, &room);
	}
	for (const struct left_room *left = member->left; left; left = left->next)
		add_room(&session->rooms, &(struct stored_room){ { left->name, left->name_len }, left->since, left->until, left->is_granted });
	if (!session->rooms.has_failed)
		return session;
	stored_session_free(session);
	return NULL;
}

static struct stored_session *find(const struct stored_sessions *stored, const char *sid)
{
	struct stored_session *session;
	HASH_FIND_STR(stored->by_sid, sid, session);
	return session;
}

void stored_put(struct stored_sessions *stored, const struct member *member, uint64_t now_ms)
{
	struct stored_session *session = session_of(member), *old = find(stored, member->sid);
	if (old)
		drop(stored, old);
	if (!session)
		return;
	session->stored_ms = now_ms;
	HASH_ADD_STR(stored->by_sid, sid, session);
	stored->bytes += cost_of(session);
	drop_past_bounds(stored);
}

struct stored_session *stored_take(struct stored_sessions *stored, const char *sid, uint64_t now_ms)
{
	stored_expire(stored, now_ms);
	struct stored_session *session = find(stored, sid);
	if (session)
		take_out(stored, session);
	return session;
}

void stored_expire(struct stored_sessions *stored, uint64_t now_ms)
{
	while (stored->by_sid && now_ms - stored->by_sid->stored_ms > stored->bounds.age_ms)
		drop(stored, stored->by_sid);
}

void stored_clear(struct stored_sessions *stored)
{
	while (stored->by_sid)
		drop(stored, stored->by_sid);
}

const char *stored_session_sid(const struct stored_session *session)
{
	return session->sid;
}

/* --- control events ------------------------------------------------------------- */

static bool is_meant(const struct stored_session *session, const struct message *control)
{
	if (control->user.len)
		return bytes_equal_text(control->user, session->user_id);
	if (control->sid.len)
		return bytes_equal_text(control->sid, session->sid);
	return control->room.len && has_room(session, control->room);
}

static void join(struct stored_session *session, const struct message *control)
{
	for (size_t i = 0; i < control->rooms.count; i++) {
		struct stored_room room = { .name = control->rooms.items[i], .since = { control->epoch, control->seq }, .is_granted = true };
		if (!has_room(session, room.name))
			add_room(&session->rooms, &room);
		session->rooms.has_failed = false; /* past the bound, or without memory, it does without */
	}
}

static void leave(struct stored_session *session, const struct message *control)
{
	for (size_t i = 0; i < control->rooms.count; i++)
		leave_room(session, control->rooms.items[i], (struct place){ control->epoch, control->seq });
}

static void apply(struct stored_sessions *stored, struct stored_session *session, const struct message *control)
{
	if (control->operation == CONTROL_DISCONNECT) {
		drop(stored, session);
		return;
	}
	stored->bytes -= cost_of(session);
	if (control->operation == CONTROL_JOIN)
		join(session, control);
	else if (control->operation == CONTROL_LEAVE)
		leave(session, control);
	stored->bytes += cost_of(session);
}

void stored_control(struct stored_sessions *stored, const struct message *control)
{
	struct stored_session *session, *next;
	HASH_ITER(hh, stored->by_sid, session, next)
		if (is_meant(session, control))
			apply(stored, session, control);
	drop_past_bounds(stored);
}

/* --- all of them ---------------------------------------------------------------- */

struct stored_sessions *stored_new(const struct stored_bounds *bounds, struct error *err)
{
	struct stored_sessions *stored = calloc(1, sizeof(*stored));
	if (stored)
		stored->bounds = *bounds;
	else
		error_set(err, ERROR_SYSTEM, "no memory");
	return stored;
}

void stored_free(struct stored_sessions *stored)
{
	if (!stored)
		return;
	stored_clear(stored);
	free(stored);
}

struct stored_figures stored_figures(const struct stored_sessions *stored)
{
	return (struct stored_figures){ .count = HASH_COUNT(stored->by_sid), .bytes = stored->bytes, .dropped = stored->dropped };
}
