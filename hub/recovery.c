/* recovery.c - judges what returning clients show, and starts them. */
#include "recovery.h"

#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>
#include <roomcast/json.h>

#include "command.h"
#include "control.h"
#include "hub.h"
#include "left_room.h"
#include "members.h"

/* Milliseconds. */
enum { WAIT = 2000, JOINED_WAIT = 250, AHEAD_WAIT = 5000, UPKEEP = 1000 };
enum { BATCH_BYTES = 64 << 10 };

static const bool is_recoverable[CLOSE_REASON_COUNT] = {
	[CLOSE_TRANSPORT_CLOSE] = true,
	[CLOSE_TRANSPORT_ERROR] = true,
	[CLOSE_PING_TIMEOUT] = true,
	[CLOSE_FORCED] = true,
	[CLOSE_SHUTTING_DOWN] = true,
	[CLOSE_SLOW] = true,
	[CLOSE_EXPIRED] = true,
	[CLOSE_TAKEN_OVER] = true,
};

int recovery_mode_parse(const char *name, enum recovery_mode *out)
{
	static const char *const names[] = { [RECOVERY_AUTO] = "auto", [RECOVERY_ON] = "on", [RECOVERY_OFF] = "off" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*out = (enum recovery_mode)i;
		return 0;
	}
	return -1;
}

/* --- whether a connection wants it ------------------------------------------- */

enum wish { WISH_NONE, WISH_YES, WISH_NO };

static enum wish wish_of(const char *text)
{
	static const char *const words[][3] = { [WISH_YES] = { "1", "true", "on" }, [WISH_NO] = { "0", "false", "off" } };
	for (int wish = WISH_YES; wish <= WISH_NO; wish++)
		for (size_t i = 0; i < 3; i++)
			if (strcmp(text, words[wish][i]) == 0)
				return (enum wish)wish;
	return WISH_NONE;
}

/* A string, number or boolean; longer ones are no wish. */
static enum wish wish_in_auth(struct bytes auth)
{
	struct bytes value;
	char text[16];
	if (!json_member(auth, "recovery", &value) || value.len >= sizeof(text))
		return WISH_NONE;
	if (json_kind(value) == JSON_STRING && json_string_decode(value, text, sizeof(text)) < 0)
		return WISH_NONE;
	if (json_kind(value) != JSON_STRING) {
		memcpy(text, value.data, value.len);
		text[value.len] = '\0';
	}
	return wish_of(text);
}

static enum wish wish_in_request(const struct request_info *request)
{
	char *text = request_query_value(request->query, "recovery", NULL);
	enum wish wish = text ? wish_of(text) : WISH_NONE;
	free(text);
	static const char browsers[] = "Mozilla/";
	size_t len = sizeof(browsers) - 1;
	bool is_browser = request->user_agent.len >= len && memcmp(request->user_agent.data, browsers, len) == 0;
	return wish ? wish : is_browser ? WISH_YES : WISH_NO;
}

bool recovery_is_wanted(enum recovery_mode mode, struct bytes auth, const struct request_info *request, uint8_t *note)
{
	if (mode != RECOVERY_AUTO)
		return mode == RECOVERY_ON;
	if (!*note)
		*note = (uint8_t)wish_in_request(request);
	enum wish wish = wish_in_auth(auth);
	return (wish ? wish : (enum wish)*note) == WISH_YES;
}

/* --- what a client shows ------------------------------------------------------- */

/* A member of auth that should be a short string: its decoded length, 0 when absent (or null, or empty), -1 when it is something else. */
static long show(struct bytes auth, const char *name, char *out, size_t size)
{
	struct bytes value;
	if (!json_member(auth, name, &value) || json_kind(value) == JSON_NULL)
		return 0;
	return json_kind(value) == JSON_STRING && value.len <= size + 1 ? json_string_decode(value, out, size) : -1;
}

static struct place newest_of(const struct hub *hub)
{
	return subscriber_position(hub->subscriber);
}

/* Behind this place the history has everything. */
static struct place reach_of(const struct hub *hub)
{
	return place_larger(history_reach(hub->recovery.history), subscriber_complete_since(hub->subscriber));
}

enum standing_of_place { PLACE_GOOD, PLACE_AHEAD, PLACE_STALE, PLACE_UNKNOWN };

/* Ahead: the client saw more than this hub has. Unknown: the log does not go there, so what is behind it cannot be told. Where this hub may
 * not have heard of the newest yet, is_doubtful says so, and it is taken for ahead. */
static enum standing_of_place judge_place(const struct hub *hub, struct place place, bool *is_doubtful)
{
	uint64_t last;
	struct place newest = newest_of(hub);
	bool is_known = subscriber_epoch_end(hub->subscriber, place.epoch, &last);
	bool is_open = place.epoch >= newest.epoch; /* later epochs may have begun, this one may go on */
	*is_doubtful = !is_known || place.seq > last;
	if (*is_doubtful)
		return is_open && newest.epoch ? PLACE_AHEAD : PLACE_UNKNOWN;
	if (!subscriber_has_history(hub->subscriber) || place_compare(place, reach_of(hub)) < 0)
		return PLACE_STALE;
	return place_compare(place, newest) > 0 ? PLACE_AHEAD : PLACE_GOOD;
}

/* 1: a good pid for this user, and a usable offset; the place is the client's. 0: neither was shown. -1: they were, and are not believed. */
static int read_shown(struct hub *hub, const struct member *member, struct bytes auth, struct pid *pid, struct recovery_start *start)
{
	struct recovery_counters *counters = &hub->recovery.counters;
	const unsigned char *key = subscriber_mac_key(hub->subscriber);
	char offset_text[PLACE_TEXT_SIZE];
	struct place offset = { 0 };
	long pid_len = show(auth, "pid", start->pid, sizeof(start->pid)), offset_len = show(auth, "offset", offset_text, sizeof(offset_text));
	if (pid_len == 0 || !key)
		return 0;
	enum pid_verdict verdict = pid_len < 0 ? PID_MALFORMED : pid_read((struct bytes){ start->pid, (size_t)pid_len }, key, pid);
	if (verdict != PID_GOOD)
		return (verdict == PID_MALFORMED ? counters->pids_malformed++ : counters->pids_forged++), -1;
	if (strcmp(pid->user_id, member->user_id ? member->user_id : "") != 0)
		return counters->pids_of_others++, -1;
	if (offset_len < 0 || (offset_len > 0 && !place_parse((struct bytes){ offset_text, (size_t)offset_len }, &offset)))
		return counters->offsets_malformed++, -1;
	start->place = place_larger(pid->floor, offset);
	return 1;
}

/* The session that the pid belongs to, if it is known here: the connection that still holds it gives it up. */
static struct stored_session *claim_session(struct hub *hub, const struct pid *pid)
{
	struct member *holder = members_find_by_sid(hub, bytes_of(pid->sid));
	if (holder && client_is_connected(holder->client)) {
		hub->recovery.counters.taken_over++;
		session_close(client_session(holder->client), CLOSE_TAKEN_OVER);
	}
	return stored_take(hub->recovery.stored, pid->sid, clock_monotonic_ms());
}

/* A client that starts now, or behind, with an id and a pid of its own. */
static void issue_pid(struct hub *hub, const struct member *member, struct recovery_start *start)
{
	const unsigned char *key = subscriber_mac_key(hub->subscriber);
	struct pid pid = { .issued_ms = clock_wall_ms(), .floor = start->place };
	strcpy(pid.sid, member->sid);
	strcpy(pid.user_id, member->user_id ? member->user_id : "");
	if (!key || pid_write(&pid, key, start->pid))
		start->pid[0] = '\0';
}

bool recovery_judge(struct hub *hub, const struct member *member, struct bytes auth, bool is_final, struct recovery_start *start)
{
	struct recovery_counters *counters = &hub->recovery.counters;
	struct pid pid;
	bool is_doubtful = false;
	*start = (struct recovery_start){ 0 };
	enum standing_of_place standing = PLACE_UNKNOWN;
	if (read_shown(hub, member, auth, &pid, start) == 1) {
		standing = judge_place(hub, start->place, &is_doubtful);
		if (standing == PLACE_AHEAD && is_doubtful && !is_final)
			return false;
		if (is_doubtful && subscriber_is_following(hub->subscriber)) /* it would have been heard of */
			standing = PLACE_UNKNOWN;
		start->session = claim_session(hub, &pid);
		counters->offsets_stale += standing == PLACE_STALE;
		counters->offsets_unknown += standing == PLACE_UNKNOWN;
		log_debug("msg=\"a client returns\" sid=%s issued_ms=%llu place=%llu.%llu standing=%d", pid.sid, (unsigned long long)pid.issued_ms,
		          (unsigned long long)start->place.epoch, (unsigned long long)start->place.seq, (int)standing);
	}
	start->is_behind = standing == PLACE_GOOD || standing == PLACE_AHEAD;
	if (start->session && standing == PLACE_GOOD)
		return true; /* with the pid that it showed */
	stored_session_free(start->session);
	start->session = NULL;
	if (!start->is_behind)
		start->place = newest_of(hub);
	issue_pid(hub, member, start);
	return true;
}

void recovery_keep_shown(struct bytes auth, struct buffer *out)
{
	static const char *const names[] = { "pid", "offset" };
	struct bytes value;
	buffer_add_char(out, '{');
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!json_member(auth, names[i], &value))
			continue;
		buffer_add_format(out, "%s\"%s\":", out->len > 1 ? "," : "", names[i]);
		buffer_add_bytes(out, value);
	}
	buffer_add_char(out, '}');
}

/* --- the start ------------------------------------------------------------------- */

struct restoring {
	struct hub *hub;
	struct member *member;
};

/* Rights are judged anew: what the token says now counts. */
static void restore_room(void *data, const struct stored_room *stored)
{
	const struct restoring *restoring = data;
	struct hub *hub = restoring->hub;
	struct member *member = restoring->member;
	struct error err;
	int result = -1;
	if (stored->until.epoch) {
		if (stored->is_granted || command_may_be_in(hub, member, stored->name))
			left_rooms_add(&member->left, &(struct left_room){ .since = stored->since, .until = stored->until, .is_granted = stored->is_granted },
			               stored->name);
		return;
	}
	if (stored->is_granted)
		result = room_join_granted(&hub->rooms, member, stored->name, CONTROL_ROOMS_MAX, &err);
	else if (command_may_be_in(hub, member, stored->name))
		result = room_join(&hub->rooms, member, stored->name, (uint32_t)hub->config->rooms_per_client + ROOMS_OF_EVERYBODY, &err);
	if (result == 0 && stored->since.epoch)
		walk_limit(member, rooms_find(&hub->rooms, stored->name), stored->since);
}

int recovery_begin(struct hub *hub, struct member *member, struct recovery_start *start, struct error *err)
{
	struct recovery *recovery = &hub->recovery;
	int result = 0;
	if (start->is_behind)
		result = walk_start(recovery->walks, member, start->place, start->session != NULL, err);
	if (result == 0 && start->session) {
		stored_session_each_room(start->session, restore_room, &(struct restoring){ hub, member });
		recovery->counters.resumed++;
	} else if (result == 0 && start->is_behind) {
		recovery->counters.behind++;
	}
	member->is_resumed = start->is_behind;
	member->has_joined = start->session != NULL;
	stored_session_free(start->session);
	start->session = NULL;
	return result;
}

void recovery_end(struct hub *hub, struct member *member, enum close_reason reason)
{
	/* What came back and still waits for its joins, or waited in vain, has no rooms that it could go on with: it starts behind once more. */
	bool is_waiting = member->is_resumed && (!member->has_joined || (member->walk && walk_is_waiting(member->walk)));
	if (member->framing == FRAMING_OFFSET && is_recoverable[reason] && !is_waiting && !hub->is_draining)
		stored_put(hub->recovery.stored, member, clock_monotonic_ms());
	walk_end(member);
}

/* --- meanwhile --------------------------------------------------------------------- */

void recovery_on_join(struct hub *hub, struct member *member, struct bytes room)
{
	if (!member->walk)
		return;
	if (walk_is_waiting(member->walk))
		walk_on_join(member);
	else
		walk_limit(member, rooms_find(&hub->rooms, room), newest_of(hub));
}

void recovery_on_grant(struct hub *hub, struct member *member, struct bytes room)
{
	if (member->walk)
		walk_limit(member, rooms_find(&hub->rooms, room), newest_of(hub));
}

void recovery_on_leave(struct hub *hub, struct member *member, struct bytes room)
{
	const struct room *left = rooms_find(&hub->rooms, room);
	if (left)
		walk_unlimit(member, left);
}

/* A live member is remembered the same of: its connection may be broken, and what it was given never have come. */
void recovery_on_removal(struct hub *hub, struct member *member, struct bytes name)
{
	const struct room *room = rooms_find(&hub->rooms, name);
	if (!room || room_slot_of(room, member) < 0)
		return;
	struct left_room left = { .until = newest_of(hub) };
	for (uint32_t i = 0; i < member->memberships.count; i++)
		if (member->memberships.items[i].room == room)
			left.is_granted = member->memberships.items[i].is_granted;
	if (member->walk)
		left.since = walk_since(member->walk, room);
	if (member->framing == FRAMING_OFFSET)
		left_rooms_add(&member->left, &left, name);
	walk_unlimit(member, room);
}

static bool is_judged_since(const struct hub *hub, const struct member *member, struct bytes room, struct place place)
{
	const struct history *history = hub->recovery.history;
	return place_compare(history_unjudged(history, &room, false), place) <= 0 &&
	       place_compare(history_unjudged(history, NULL, member_is_authenticated(member)), place) <= 0;
}

bool recovery_covers(const struct hub *hub, const struct member *member, struct bytes room, bool was_member)
{
	bool is_doubtful;
	if (!member->is_resumed)
		return false;
	if (!member->walk || !walk_is_waiting(member->walk))
		return was_member;
	struct place place = walk_place(member->walk);
	enum standing_of_place standing = judge_place(hub, place, &is_doubtful);
	return (standing == PLACE_GOOD || standing == PLACE_AHEAD) && !is_doubtful && is_judged_since(hub, member, room, place);
}

struct place recovery_place(struct hub *hub, struct member *member)
{
	if (member->walk)
		return walk_place(member->walk);
	fanout_catch_up(hub->fanout, member);
	return newest_of(hub);
}

void recovery_on_event(struct hub *hub, struct event *event)
{
	if (hub->recovery.mode == RECOVERY_OFF)
		return;
	uint64_t number = history_append(hub->recovery.history, event, clock_wall_ms());
	uint64_t replaced = coalesce_note(hub->recovery.coalesce, event, number);
	if (replaced != COALESCE_NONE)
		history_replace(hub->recovery.history, replaced);
}

void recovery_on_control(struct hub *hub, const struct message *control)
{
	stored_control(hub->recovery.stored, control);
}

/* What control events did to stored sessions may be wrong now: they go, and their clients start behind. */
void recovery_on_loss(struct hub *hub)
{
	stored_clear(hub->recovery.stored);
}

void recovery_on_round(struct hub *hub)
{
	if (hub->recovery.walks)
		walks_on_news(hub->recovery.walks);
}

/* --- life ---------------------------------------------------------------------------- */

static struct place on_newest(void *data)
{
	return newest_of(data);
}

static struct place on_reach(void *data)
{
	return reach_of(data);
}

static bool on_may_come(void *data)
{
	const struct hub *hub = data;
	return !subscriber_is_following(hub->subscriber);
}

static void on_upkeep(uv_timer_t *timer)
{
	struct hub *hub = timer->data;
	history_trim(hub->recovery.history, clock_wall_ms());
	stored_expire(hub->recovery.stored, clock_monotonic_ms());
}

static int open_parts(struct hub *hub, struct error *err)
{
	struct recovery *recovery = &hub->recovery;
	const struct hub_config *config = hub->config;
	recovery->history = history_new(&(struct history_bounds){
		.age_ms = (uint64_t)config->history_age, .events = (uint64_t)config->history_events, .bytes = (uint64_t)config->history_bytes,
	}, err);
	recovery->stored = stored_new(&(struct stored_bounds){
		.age_ms = (uint64_t)config->stored_age, .count = (uint64_t)config->stored_sessions, .bytes = (uint64_t)config->stored_bytes,
	}, err);
	recovery->coalesce = coalesce_new(config->coalesce_types, (uint32_t)config->coalesce_max, err);
	if (!recovery->history || !recovery->stored || !recovery->coalesce)
		return -1;
	size_t batch_bytes = (size_t)config->max_unsent / 2;
	recovery->walks = walks_new(hub->loop, &(struct walks_settings){
		.wait_ms = WAIT, .joined_wait_ms = JOINED_WAIT, .ahead_wait_ms = AHEAD_WAIT,
		.batch_bytes = batch_bytes < BATCH_BYTES ? batch_bytes : BATCH_BYTES,
		.history = recovery->history, .rooms = &hub->rooms, .fanout = hub->fanout,
		.send = members_send, .is_queued = members_is_queued, .await_drained = members_await_drained, .ask_echo = members_ask_echo, .close = members_close_slow,
		.newest = on_newest, .reach = on_reach, .may_come = on_may_come, .data = hub,
	}, err);
	return recovery->walks ? 0 : -1;
}

int recovery_open(struct hub *hub, struct error *err)
{
	struct recovery *recovery = &hub->recovery;
	if (recovery_mode_parse(hub->config->recovery, &recovery->mode))
		return error_set(err, ERROR_INVALID, "unknown mode of recovery"); /* the configuration was checked */
	if (open_parts(hub, err))
		return -1;
	uv_timer_init(hub->loop, &recovery->upkeep);
	recovery->upkeep.data = hub;
	uv_timer_start(&recovery->upkeep, on_upkeep, UPKEEP, UPKEEP);
	return 0;
}

void recovery_close(struct hub *hub, void (*on_closed)(void *data), void *data)
{
	struct walks *walks = hub->recovery.walks;
	hub->recovery.walks = NULL;
	uv_close((uv_handle_t *)&hub->recovery.upkeep, NULL);
	walks_close(walks, on_closed, data);
}

void recovery_deinit(struct hub *hub)
{
	history_free(hub->recovery.history);
	stored_free(hub->recovery.stored);
	coalesce_free(hub->recovery.coalesce);
}
