/* control.c - control events, and grants and blocks, on the clients of this hub. */
#include "control.h"

#include <inttypes.h>
#include <stdio.h>

#include <roomcast/clock.h>

#include "members.h"

typedef void control_act(struct hub *hub, struct member *member, const struct message *control);

/* --- what is done to one client --------------------------------------------- */

static void grant_room(struct hub *hub, struct member *member, struct bytes room)
{
	struct error err;
	bool was_member = rooms_have(&hub->rooms, member, room);
	if (room_join_granted(&hub->rooms, member, room, CONTROL_ROOMS_MAX, &err)) {
		hub->counters.grants_refused++;
		log_limited(&hub->control_limit, "msg=\"a room is not joined\" sid=%s room=\"%.*s\" reason=\"%s\"", member->sid, (int)room.len, room.data,
		            err.text);
	} else if (!was_member) {
		recovery_on_grant(hub, member, room);
	}
}

static void join(struct hub *hub, struct member *member, const struct message *control)
{
	for (size_t i = 0; i < control->rooms.count; i++)
		grant_room(hub, member, control->rooms.items[i]);
}

/* Whether it is still connected after being given what it had a right to. */
static bool catch_up(struct hub *hub, struct member *member)
{
	fanout_catch_up(hub->fanout, member);
	return client_is_connected(member->client);
}

static bool is_own_room(const struct member *member, struct bytes room)
{
	const size_t prefix = sizeof("user-") - 1;
	return member_is_authenticated(member) && room.len > prefix && memcmp(room.data, "user-", prefix) == 0 &&
	       bytes_equal_text((struct bytes){ room.data + prefix, room.len - prefix }, member->user_id);
}

static void leave(struct hub *hub, struct member *member, const struct message *control)
{
	if (!catch_up(hub, member))
		return;
	for (size_t i = 0; i < control->rooms.count; i++)
		if (!is_own_room(member, control->rooms.items[i])) {
			recovery_on_removal(hub, member, control->rooms.items[i]);
			room_leave(&hub->rooms, member, control->rooms.items[i]);
		}
}

static void disconnect(struct hub *hub, struct member *member, const struct message *control)
{
	struct session *session = client_session(member->client);
	if (!catch_up(hub, member))
		return;
	hub->counters.control_disconnects++;
	log_info("msg=\"disconnected by a publisher\" sid=%s user=\"%s\"", member->sid, member->user_id ? member->user_id : "");
	client_disconnect(member->client);
	if (control->close && session_is_open(session))
		session_close(session, CLOSE_FORCED);
}

/* --- whom it is done to ----------------------------------------------------- */

/* Slots keep their numbers meanwhile; who joins the room by it is not visited. */
static void each_in_room(struct hub *hub, struct room *room, const char *user, control_act *act, const struct message *control)
{
	if (!room)
		return;
	room_pin(room);
	for (uint32_t i = 0, count = room->slot_count; i < count; i++) {
		struct member *member = room->slots[i].member;
		if (member && (!user || (member->user_id && strcmp(member->user_id, user) == 0)))
			act(hub, member, control);
	}
	room_unpin(&hub->rooms, room);
}

/* Every client of a user is in the user's room, as others may be, too. */
static void each_of_user(struct hub *hub, struct bytes user, control_act *act, const struct message *control)
{
	char name[sizeof("user-") + USER_ID_MAX];
	if (user.len > USER_ID_MAX || memchr(user.data, 0, user.len))
		return;
	int len = snprintf(name, sizeof(name), "user-%.*s", (int)user.len, user.data);
	each_in_room(hub, rooms_find(&hub->rooms, (struct bytes){ name, (size_t)len }), name + strlen("user-"), act, control);
}

static const struct {
	const char *name;
	control_act *act;
} operations[CONTROL_END] = {
	[CONTROL_JOIN] = { "join", join },
	[CONTROL_LEAVE] = { "leave", leave },
	[CONTROL_DISCONNECT] = { "disconnect", disconnect },
};

void control_apply(struct hub *hub, const struct message *control, bool is_history)
{
	control_act *act = control->operation < CONTROL_END ? operations[control->operation].act : NULL;
	bool only_unblocks = control->operation == CONTROL_DISCONNECT && control->until_ms && control->until_ms <= control->time_ms;
	if (!act) {
		log_limited(&hub->control_limit, "msg=\"unknown control event\" operation=%" PRIu64, control->operation);
		return;
	}
	hub->counters.controls++;
	standing_apply(hub->standing, control);
	if (is_history || only_unblocks)
		return;
	log_debug("msg=control operation=%s epoch=%" PRIu64 " seq=%" PRIu64, operations[control->operation].name, control->epoch, control->seq);
	if (control->user.len) {
		each_of_user(hub, control->user, act, control);
	} else if (control->sid.len) {
		struct member *member = members_find_by_sid(hub, control->sid);
		if (member)
			act(hub, member, control);
	} else if (control->room.len) {
		each_in_room(hub, rooms_find(&hub->rooms, control->room), NULL, act, control);
	}
	recovery_on_control(hub, control);
	subscriber_touch(hub->subscriber);
}

/* --- grants and blocks ------------------------------------------------------ */

struct granting {
	struct hub *hub;
	struct member *member;
};

static void on_grant(void *data, struct bytes room)
{
	struct granting *granting = data;
	grant_room(granting->hub, granting->member, room);
}

void control_join_granted(struct hub *hub, struct member *member)
{
	if (member_is_authenticated(member))
		standing_each_grant(hub->standing, bytes_of(member->user_id), on_grant, &(struct granting){ hub, member });
}

uint64_t control_blocked_until(const struct hub *hub, const struct member *member)
{
	return member_is_authenticated(member) ? standing_blocked_until(hub->standing, bytes_of(member->user_id), clock_wall_ms()) : 0;
}

static void on_withdrawn(void *data, struct bytes user, struct bytes room)
{
	struct hub *hub = data;
	struct message control = { .operation = CONTROL_LEAVE, .rooms = { &room, 1 } };
	if (!standing_is_granted(hub->standing, user, room))
		each_of_user(hub, user, leave, &control);
}

static void reconcile_member(struct hub *hub, struct member *member, const struct message *control)
{
	if (control_blocked_until(hub, member))
		disconnect(hub, member, control);
	else
		control_join_granted(hub, member);
}

static void reconcile(struct hub *hub)
{
	log_info("msg=\"clients are put in accord with grants and blocks\" clients=%" PRIu64, hub_clients(hub));
	standing_each_withdrawn(hub->standing, on_withdrawn, hub);
	each_in_room(hub, hub->rooms.authenticated, NULL, reconcile_member, &(struct message){ .operation = CONTROL_DISCONNECT });
	standing_settle(hub->standing);
	hub->is_in_accord = true;
}

bool control_on_standing(struct hub *hub, const struct message *message)
{
	enum standing_progress progress = standing_load(hub->standing, message);
	if (progress == STANDING_BROKEN)
		subscriber_greet(hub->subscriber);
	if (progress == STANDING_LOADED && !hub->is_in_accord)
		reconcile(hub);
	return progress == STANDING_LOADED;
}

void control_on_loss(struct hub *hub)
{
	hub->is_in_accord = false;
}

void control_settle(struct hub *hub)
{
	if (hub->is_in_accord && standing_has_withdrawn(hub->standing) && subscriber_is_caught_up(hub->subscriber))
		standing_settle(hub->standing);
}
